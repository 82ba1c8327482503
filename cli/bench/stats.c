/*
 * Ranks ask nothing of how values are distributed; quartiles keep a difference that is real and of no interest from
 * counting.
 */
#include "cli/bench/stats.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { FEWEST = 5 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double between(const double *sorted, size_t count, double q) {
    double at = q * (double)(count - 1);
    size_t i = (size_t)at;
    return i + 1 < count ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

bench_quartiles bench_quartiles_of(double *values, size_t count) {
    if (count == 0)
        return (bench_quartiles) {0, 0, 0};
    qsort(values, count, sizeof *values, ascending);
    return (bench_quartiles) {between(values, count, 0.25), between(values, count, 0.5), between(values, count, 0.75)};
}

typedef struct ranked {
    double value;
    bool is_a;
} ranked;

static int by_value(const void *a, const void *b) {
    return ascending(&((const ranked *)a)->value, &((const ranked *)b)->value);
}

/* The sum of a's ranks, ties sharing their average; *out_ties is the sum of t^3 - t over groups of t equal ones. */
static double rank_sum(ranked *all, size_t count, double *out_ties) {
    double sum = 0;
    *out_ties = 0;
    for (size_t i = 0, end; i < count; i = end) {
        size_t of_a = 0;
        for (end = i; end < count && all[end].value == all[i].value; end++)
            of_a += all[end].is_a;
        double same = (double)(end - i);
        sum += (double)of_a * ((double)(i + 1) + (double)end) / 2;
        *out_ties += same * same * same - same;
    }
    return sum;
}

double bench_rank_distance(const double *a, size_t a_count, const double *b, size_t b_count) {
    size_t count = a_count + b_count;
    ranked *all = a_count >= FEWEST && b_count >= FEWEST ? malloc(count * sizeof *all) : NULL;
    if (!all)
        return 0;
    for (size_t i = 0; i < count; i++)
        all[i] = i < a_count ? (ranked) {a[i], true} : (ranked) {b[i - a_count], false};
    qsort(all, count, sizeof *all, by_value);
    double n = (double)a_count, m = (double)b_count, ties;
    double u = rank_sum(all, count, &ties) - n * (n + 1) / 2;
    free(all);
    double variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)));
    return variance > 0 ? fabs(u - n * m / 2) / sqrt(variance) : 0;
}

bench_change bench_change_between(double *a, size_t a_count, double *b, size_t b_count, double least) {
    static const double one_in_a_hundred = 2.576;
    if (a_count < FEWEST || b_count < FEWEST)
        return BENCH_CHANGE_UNKNOWN;
    bench_quartiles of_a = bench_quartiles_of(a, a_count), of_b = bench_quartiles_of(b, b_count);
    double far = of_b.median - of_a.median;
    bool apart = of_b.median < of_a.low || of_b.median > of_a.high;
    apart = apart && (of_a.median < of_b.low || of_a.median > of_b.high);
    if (!apart || fabs(far) <= least * fabs(of_a.median) ||
        bench_rank_distance(a, a_count, b, b_count) < one_in_a_hundred)
        return BENCH_CHANGE_NONE;
    return far > 0 ? BENCH_CHANGE_UP : BENCH_CHANGE_DOWN;
}
