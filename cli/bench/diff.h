/*
 * diff.h - two reports side by side: what changed by more than noise.
 */
#ifndef CLI_BENCH_DIFF_H
#define CLI_BENCH_DIFF_H

#include "cli/bench/json.h"

#include <stdio.h>

typedef enum bench_diff_verdict {
    BENCH_DIFF_SAME,  /* nothing changed by more than noise */
    BENCH_DIFF_WORSE, /* something got worse */
    BENCH_DIFF_BETTER /* something got better and nothing worse */
} bench_diff_verdict;

/* Writes the comparison of two documents of bench_write_json. `least` is the smallest change that counts: 0.05 is 5
 * %. */
bench_diff_verdict bench_diff_write(const bench_json *a, const bench_json *b, double least, FILE *out);

/* Reads a report. NULL with a line on stderr when the file cannot be read or is no report. *out_text has to live as
 * long as the report; free both. */
bench_json *bench_diff_load(const char *path, char **out_text);

#endif
