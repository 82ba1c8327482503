/*
 * One clock for everything that measures a span. clock_gettime cannot fail here: CLOCK_MONOTONIC is always
 * there and the pointer is good.
 */
#include "base/clock.h"

#include <time.h>

uint64_t wf_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t wf_clock_ms(void) {
    return wf_clock_ns() / 1000000u;
}
