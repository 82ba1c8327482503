/*
 * clock.h - the monotonic clock (CLOCK_MONOTONIC): it never jumps, and means nothing but differences.
 * Whatever can, takes the time as a parameter; only the threads' outermost loops and benchmarks ask here.
 * Cost: about 20 ns, no system call where the kernel offers it so (vDSO).
 */
#ifndef WF_BASE_CLOCK_H
#define WF_BASE_CLOCK_H

#include <stdint.h>

uint64_t wf_clock_ns(void);
uint64_t wf_clock_ms(void); /* rounded down */

#endif
