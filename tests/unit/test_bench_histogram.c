/*
 * The histogram against what it stands for: the sorted list of its samples.
 */
#include "cli/bench/histogram.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 20000 };

static bench_hist one, two, both; /* 264 KiB each */

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Never below the sample of that rank, and above it by a 1,024th at most. */
static void check_against(bench_hist *h, uint64_t *samples, size_t count) {
    static const double shares[] = {0.0001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};
    qsort(samples, count, sizeof *samples, ascending);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += samples[i];
    CHECK_EQ(h->count, count);
    CHECK_EQ(h->sum, sum);
    CHECK_EQ(h->min, samples[0]);
    CHECK_EQ(h->max, samples[count - 1]);
    CHECK_EQ(bench_hist_at(h, 0), samples[0]);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        size_t rank = (size_t)ceil(shares[i] * (double)count - 1e-9);
        uint64_t exact = samples[rank > 0 ? rank - 1 : 0], told = bench_hist_at(h, shares[i]);
        test_context("share %g: exact %llu, told %llu", shares[i], (unsigned long long)exact, (unsigned long long)told);
        CHECK(told >= exact);
        CHECK(told - exact <= exact / 1024);
    }
}

typedef uint64_t (*distribution)(uint64_t *state);

static uint64_t even(uint64_t *state) {
    return test_random(state) % 10000000;
}

/* As many between 1 and 2 as between 2^39 and 2^40. */
static uint64_t any_size(uint64_t *state) {
    return test_random(state) >> (24 + test_random(state) % 40);
}

/* Round trips, with a stall now and then. */
static uint64_t with_stalls(uint64_t *state) {
    uint64_t stall = test_random(state) % 1000 == 0 ? test_random(state) % 2000000000 : 0;
    return 40000 + test_random(state) % 20000 + stall;
}

static uint64_t few_values(uint64_t *state) {
    return 2047 + test_random(state) % 3;
}

static const struct {
    const char *name;
    distribution next;
} distributions[] = {{"even", even}, {"any_size", any_size}, {"with_stalls", with_stalls}, {"few_values", few_values}};

TEST(each_percentile_is_that_of_the_sorted_samples) {
    static uint64_t samples[SAMPLES];
    for (size_t d = 0; d < sizeof distributions / sizeof *distributions; d++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            uint64_t state = seed;
            bench_hist_clear(&one);
            for (size_t i = 0; i < SAMPLES; i++) {
                samples[i] = distributions[d].next(&state);
                bench_hist_record(&one, samples[i]);
            }
            check_against(&one, samples, SAMPLES);
        }
    }
}

TEST(each_edge_of_a_bucket_is_within_the_precision) {
    uint64_t edges[5 * 64];
    size_t count = 0;
    for (unsigned bit = 0; bit < BENCH_HIST_TOP; bit++) {
        uint64_t power = UINT64_C(1) << bit;
        const uint64_t near[] = {power - 1, power, power + 1, power + power / 2, 2 * power - 1};
        for (size_t i = 0; i < 5; i++) {
            bench_hist_clear(&one);
            bench_hist_record(&one, near[i]);
            bench_hist_record(&one, near[i] + near[i]); /* so that the maximum does not help */
            uint64_t told = bench_hist_at(&one, 0.5);
            CHECK(told >= near[i]);
            CHECK(told - near[i] <= near[i] / 1024);
            edges[count++] = near[i];
        }
    }
    bench_hist_clear(&one);
    for (size_t i = 0; i < count; i++)
        bench_hist_record(&one, edges[i]);
    check_against(&one, edges, count);
}

TEST(what_is_longer_than_an_hour_is_in_the_last_bucket_and_the_maximum_exact) {
    bench_hist_clear(&one);
    bench_hist_record(&one, 5);
    bench_hist_record(&one, UINT64_MAX);
    bench_hist_record(&one, UINT64_C(1) << BENCH_HIST_TOP);
    CHECK(bench_hist_at(&one, 1) == UINT64_MAX);
    CHECK(one.max == UINT64_MAX);
    CHECK_EQ(bench_hist_at(&one, 0.3), 5);
    CHECK_EQ(one.buckets[BENCH_HIST_BUCKETS - 1], 2);
}

TEST(nothing_recorded_is_zero_everywhere) {
    bench_hist_clear(&one);
    CHECK_EQ(bench_hist_at(&one, 0.5), 0);
    CHECK_EQ(one.max, 0);
    CHECK(bench_hist_mean(&one) == 0);
    CHECK(bench_hist_deviation(&one) == 0);
    bench_curve c;
    bench_curve_start(&c, &one);
    CHECK(!bench_curve_next(&c));
}

TEST(merging_is_recording_into_one) {
    uint64_t state = 9;
    bench_hist_clear(&one);
    bench_hist_clear(&two);
    bench_hist_clear(&both);
    for (size_t i = 0; i < SAMPLES; i++) {
        uint64_t value = any_size(&state) + 1; /* a least one that is not 0 */
        bench_hist_record(i % 3 ? &one : &two, value);
        bench_hist_record(&both, value);
    }
    bench_hist_merge(&one, &two);
    CHECK(memcmp(&one, &both, sizeof one) == 0);
    bench_hist_clear(&two);
    bench_hist_merge(&one, &two); /* an empty one changes nothing, its zeros included */
    CHECK(memcmp(&one, &both, sizeof one) == 0);
    bench_hist_merge(&two, &both);
    CHECK(memcmp(&two, &both, sizeof two) == 0);
}

TEST(clearing_leaves_nothing_behind) {
    static const bench_hist empty;
    uint64_t state = 3;
    for (size_t i = 0; i < 1000; i++)
        bench_hist_record(&one, any_size(&state));
    bench_hist_clear(&one);
    CHECK(memcmp(&one, &empty, sizeof one) == 0);
}

TEST(mean_and_deviation) {
    bench_hist_clear(&one);
    for (uint64_t i = 1; i <= 9; i++)
        bench_hist_record(&one, i * 100);
    CHECK(bench_hist_mean(&one) == 500);
    CHECK(fabs(bench_hist_deviation(&one) - 258.199) < 0.001);
}

TEST(the_curve_rises_and_ends_at_the_maximum) {
    uint64_t state = 4;
    bench_hist_clear(&one);
    for (size_t i = 0; i < SAMPLES; i++)
        bench_hist_record(&one, with_stalls(&state));
    bench_curve c;
    bench_curve_start(&c, &one);
    double q = -1;
    uint64_t value = 0, below = 0;
    size_t points = 0;
    while (bench_curve_next(&c)) {
        CHECK(c.q > q);
        CHECK(c.value >= value);
        CHECK(c.below >= below);
        CHECK((double)c.below >= c.q * SAMPLES - 0.001);
        CHECK_EQ(c.value, bench_hist_at(&one, c.q));
        q = c.q;
        value = c.value;
        below = c.below;
        points++;
    }
    CHECK(q == 1);
    CHECK_EQ(value, one.max);
    CHECK_EQ(below, SAMPLES);
    CHECK(points > 5 * 13 && points < 5 * 17); /* five for each halving of 20,000 */
}
