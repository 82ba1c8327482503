/*
 * clock.h - the time of a run: nanoseconds on the monotonic clock since the program asked first.
 */
#ifndef CLI_BENCH_CLOCK_H
#define CLI_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define BENCH_SECOND UINT64_C(1000000000)
#define BENCH_MS     UINT64_C(1000000)
#define BENCH_NEVER  UINT64_MAX

static inline uint64_t bench_clock_read(clockid_t clock) {
    struct timespec t = {0, 0};
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * BENCH_SECOND + (uint64_t)t.tv_nsec;
}

extern uint64_t bench_clock_epoch; /* set once, before there are threads */

static inline uint64_t bench_now(void) {
    return bench_clock_read(CLOCK_MONOTONIC) - bench_clock_epoch;
}

#endif
