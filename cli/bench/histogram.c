/*
 * The bucket of a value is its top eleven bits and how far they were shifted. As the top bit of those is always set
 * once there is a shift, a shift needs only 1,024 buckets, and all of them follow one another without a hole.
 */
#include "cli/bench/histogram.h"

#include <math.h>
#include <string.h>

static size_t bucket_of(uint64_t value) {
    if (value >> BENCH_HIST_TOP)
        return BENCH_HIST_BUCKETS - 1;
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned shift = bits > BENCH_HIST_BITS ? bits - BENCH_HIST_BITS : 0;
    return (size_t)shift * BENCH_HIST_HALF + (size_t)(value >> shift);
}

/* The greatest value that falls into a bucket. */
static uint64_t edge_of(size_t bucket) {
    if (bucket < 2 * BENCH_HIST_HALF)
        return bucket;
    unsigned shift = (unsigned)(bucket / BENCH_HIST_HALF) - 1;
    uint64_t top = bucket - (uint64_t)shift * BENCH_HIST_HALF;
    return ((top + 1) << shift) - 1;
}

void bench_hist_record(bench_hist *h, uint64_t value) {
    h->min = h->count == 0 || value < h->min ? value : h->min;
    h->max = value > h->max ? value : h->max;
    h->count++;
    h->sum += value;
    h->buckets[bucket_of(value)]++;
}

void bench_hist_merge(bench_hist *into, const bench_hist *from) {
    if (from->count == 0)
        return;
    into->min = into->count == 0 || from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
    into->count += from->count;
    into->sum += from->sum;
    for (size_t i = bucket_of(from->min), last = bucket_of(from->max); i <= last; i++)
        into->buckets[i] += from->buckets[i];
}

void bench_hist_clear(bench_hist *h) {
    if (h->count > 0) {
        size_t first = bucket_of(h->min), last = bucket_of(h->max);
        memset(h->buckets + first, 0, (last - first + 1) * sizeof h->buckets[0]);
    }
    h->count = h->sum = h->min = h->max = 0;
}

/* The bucket in which the sample of this rank (from 1) lies, and how many samples there are up to its end. */
static size_t find_rank(const bench_hist *h, uint64_t rank, uint64_t *out_below) {
    uint64_t below = 0;
    size_t i = bucket_of(h->min), last = bucket_of(h->max);
    for (; i <= last; i++) {
        below += h->buckets[i];
        if (below >= rank)
            break;
    }
    *out_below = below;
    return i;
}

static uint64_t value_of(const bench_hist *h, size_t bucket) {
    uint64_t edge = edge_of(bucket);
    return bucket == BENCH_HIST_BUCKETS - 1 || edge > h->max ? h->max : edge;
}

static uint64_t rank_of(const bench_hist *h, double q) {
    double rank = ceil(q * (double)h->count - 1e-9); /* 0.999 * 1,000 is a hair over 999 */
    return rank < 1 ? 1 : rank > (double)h->count ? h->count : (uint64_t)rank;
}

uint64_t bench_hist_at(const bench_hist *h, double q) {
    if (h->count == 0)
        return 0;
    if (q <= 0)
        return h->min;
    uint64_t below;
    return value_of(h, find_rank(h, rank_of(h, q), &below));
}

double bench_hist_mean(const bench_hist *h) {
    return h->count > 0 ? (double)h->sum / (double)h->count : 0;
}

double bench_hist_deviation(const bench_hist *h) {
    if (h->count == 0)
        return 0;
    double mean = bench_hist_mean(h), sum = 0;
    for (size_t i = bucket_of(h->min), last = bucket_of(h->max); i <= last; i++) {
        double far = (double)value_of(h, i) - mean;
        sum += (double)h->buckets[i] * far * far;
    }
    return sqrt(sum / (double)h->count);
}

void bench_curve_start(bench_curve *c, const bench_hist *h) {
    *c = (bench_curve) {.h = h, .over = h->count == 0};
}

bool bench_curve_next(bench_curve *c) {
    enum { PER_HALF = 5 };
    if (c->over)
        return false;
    uint64_t half = c->step / PER_HALF;
    double left = ldexp(1, -(int)half);
    c->q = 1 - left + left / 2 * (double)(c->step % PER_HALF) / PER_HALF;
    c->step++;
    uint64_t rank = c->q > 0 ? rank_of(c->h, c->q) : 1;
    if (rank >= c->h->count || half >= 60) {
        c->over = true;
        c->q = 1;
        c->value = c->h->max;
        c->below = c->h->count;
        return true;
    }
    size_t bucket = find_rank(c->h, rank, &c->below);
    c->value = c->q > 0 ? value_of(c->h, bucket) : c->h->min;
    return true;
}
