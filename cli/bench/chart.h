/*
 * chart.h - line charts as SVG text, coloured by the style sheet of the page that holds them.
 */
#ifndef CLI_BENCH_CHART_H
#define CLI_BENCH_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum bench_axis_kind {
    BENCH_AXIS_SECONDS,
    BENCH_AXIS_COUNT,     /* from 0 */
    BENCH_AXIS_LATENCY,   /* nanoseconds, logarithmic */
    BENCH_AXIS_PERCENTILE /* log10 of 1 / (1 - share): 90 %, 99 %, 99.9 % are equally far apart */
} bench_axis_kind;

enum { BENCH_CHART_LINES = 3 };

/* The points of one line; they are borrowed. Where y is not a number the line has a gap. */
typedef struct bench_line {
    const char *name;
    const double *x, *y;
    size_t count;
} bench_line;

typedef struct bench_chart {
    const char *title;
    int width, height;
    bench_axis_kind x, y;
    bench_line lines[BENCH_CHART_LINES];
    size_t line_count;
    bool steps; /* horizontal, then vertical: what a curve of percentiles is */
} bench_chart;

void bench_chart_write(const bench_chart *c, FILE *out);

#endif
