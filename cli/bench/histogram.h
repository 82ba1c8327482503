/*
 * histogram.h - counts of durations in buckets whose width grows with the value: fixed memory, any number of samples,
 * and a known error.
 *
 *     value                    bucket                                     width
 *     0 .. 2,047               value                                      1
 *     2,048 .. 2^42-1          shift * 1,024 + (value >> shift)           2^shift, shift = bits of value - 11
 *     2^42 (73 minutes) up     the last one                               (the maximum itself is kept)
 *
 * So a bucket is never wider than a 1,024th of what is in it: three significant digits. A percentile is answered by
 * the upper edge of its bucket, or the maximum if that is less: at most 0.1 % too high and never too low.
 */
#ifndef CLI_BENCH_HISTOGRAM_H
#define CLI_BENCH_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_HIST_BITS = 11, BENCH_HIST_TOP = 42, BENCH_HIST_HALF = 1 << (BENCH_HIST_BITS - 1) };
enum { BENCH_HIST_BUCKETS = (BENCH_HIST_TOP - BENCH_HIST_BITS + 2) * BENCH_HIST_HALF + 1 };

/* Zeroed memory is an empty one. 264 KiB: not for the stack. */
typedef struct bench_hist {
    uint64_t count, sum, min, max; /* min and max are exact */
    uint64_t buckets[BENCH_HIST_BUCKETS];
} bench_hist;

/* One duration in nanoseconds. A few instructions; allocates nothing. */
void bench_hist_record(bench_hist *h, uint64_t value);

void bench_hist_merge(bench_hist *into, const bench_hist *from);
void bench_hist_clear(bench_hist *h); /* costs what was used of it */

/* The value that the share `q` of all samples (0 to 1) does not exceed; 0 when empty. */
uint64_t bench_hist_at(const bench_hist *h, double q);
double bench_hist_mean(const bench_hist *h);
double bench_hist_deviation(const bench_hist *h);

/* The points of a percentile curve: dense where it ends. Five between 0 and 0.5, five between 0.5 and 0.75, and so on
 * until the last sample; then q is 1. */
typedef struct bench_curve {
    const bench_hist *h;
    uint64_t step;
    bool over;
    double q;       /* 0 .. 1 */
    uint64_t value; /* nanoseconds */
    uint64_t below; /* samples up to the value */
} bench_curve;

void bench_curve_start(bench_curve *c, const bench_hist *h);
bool bench_curve_next(bench_curve *c); /* false: no more */

#endif
