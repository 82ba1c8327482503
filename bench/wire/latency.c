/*
 * A step is the six highest bits of a time, the leading one included, and how many bits follow them. Below 64
 * a time is its own step.
 */
#include "latency.h"

#include <stddef.h>
#include <stdio.h>

static size_t step_of(uint64_t ns) {
    if (ns < 64)
        return (size_t)ns;
    unsigned shift = 58 - (unsigned)__builtin_clzll(ns);
    return 32 * shift + (size_t)(ns >> shift);
}

/* The largest time of a step. */
static uint64_t step_end_ns(size_t step) {
    if (step < 64)
        return step;
    unsigned shift = (unsigned)(step / 32 - 1);
    return ((uint64_t)(step - 32 * shift + 1) << shift) - 1;
}

void wire_latency_add(struct wire_latency *latency, uint64_t ns) {
    latency->counts[step_of(ns)]++;
    latency->total++;
}

static double quantile_us(const struct wire_latency *latency, double part) {
    uint64_t below = 0, wanted = (uint64_t)(part * (double)(latency->total - 1)) + 1;
    size_t step = 0;
    while (step < WIRE_LATENCY_STEPS - 1 && (below += latency->counts[step]) < wanted)
        step++;
    return (double)step_end_ns(step) / 1000;
}

void wire_latency_print(const struct wire_latency *latency, const char *prefix) {
    if (latency->total == 0)
        return;
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        printf(" %s%s_us=%.1f", prefix, quantiles[i].name, quantile_us(latency, quantiles[i].part));
}
