/*
 * counter.h - counters written by one thread and read by any, without a lock or a locked instruction.
 */
#ifndef WF_BASE_COUNTER_H
#define WF_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t wf_counter;

static inline uint64_t wf_count_read(const wf_counter *counter) {
    return atomic_load_explicit((wf_counter *)counter, memory_order_relaxed);
}

/* Owner thread only. */
static inline void wf_count_add(wf_counter *counter, uint64_t by) {
    atomic_store_explicit(counter, wf_count_read(counter) + by, memory_order_relaxed);
}

static inline void wf_count_set(wf_counter *counter, uint64_t value) {
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

#endif
