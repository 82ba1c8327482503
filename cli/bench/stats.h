/*
 * stats.h - is the difference between two runs more than noise? Each run brings a value per interval.
 */
#ifndef CLI_BENCH_STATS_H
#define CLI_BENCH_STATS_H

#include <stddef.h>

/* Of `count` values, which are put in order. 0 of none. */
typedef struct bench_quartiles {
    double low, median, high;
} bench_quartiles;

bench_quartiles bench_quartiles_of(double *values, size_t count);

/* How far apart two sets of values are by rank (Mann and Whitney's U as a normal deviate, ties averaged, not
 * negative): 2.6 is one chance in a hundred that they are of one kind. 0 when a set has fewer than five. */
double bench_rank_distance(const double *a, size_t a_count, const double *b, size_t b_count);

typedef enum bench_change {
    BENCH_CHANGE_NONE,   /* less than what counts, or what noise explains */
    BENCH_CHANGE_UP,     /* b is greater */
    BENCH_CHANGE_DOWN,   /* b is less */
    BENCH_CHANGE_UNKNOWN /* too few intervals to tell */
} bench_change;

/* A change is one that the ranks show (one in a hundred), that lifts the medians out of the other's quartiles, and
 * that is more than `least` (0.05: 5 %) of a's median. Puts both sets in order. */
bench_change bench_change_between(double *a, size_t a_count, double *b, size_t b_count, double least);

#endif
