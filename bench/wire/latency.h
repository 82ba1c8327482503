/*
 * latency.h: a histogram of times, 32 steps to each doubling, so that a quantile is right within 3 %.
 */
#ifndef WIRE_LATENCY_H
#define WIRE_LATENCY_H

#include <stdint.h>

#define WIRE_LATENCY_STEPS 1920

struct wire_latency {
    uint64_t counts[WIRE_LATENCY_STEPS];
    uint64_t total;
};

void wire_latency_add(struct wire_latency *latency, uint64_t ns);

/* Prints " p50_us=... p99_us=... p999_us=... max_us=..." to stdout, `prefix` before each name; nothing when no time was
 * added. */
void wire_latency_print(const struct wire_latency *latency, const char *prefix);

#endif
