/*
 * outq_help.h - one output queue with a pool of its own, which must be as found at the end.
 */
#ifndef WF_TESTS_OUTQ_HELP_H
#define WF_TESTS_OUTQ_HELP_H

#include "hub/outq.h"
#include "test.h"

typedef struct fixture {
    wf_outq_pool pool;
    wf_outq q;
    size_t live_before; /* blocks of memory */
} fixture;

static inline void fixture_init(fixture *f, uint32_t bytes_max, wf_slow_policy policy) {
    memset(f, 0, sizeof *f);
    f->live_before = test_mem_live();
    wf_outq_init(&f->q, &f->pool, bytes_max, policy);
}

static inline void fixture_deinit(fixture *f) {
    wf_outq_ready_remove(&f->q);
    wf_outq_deinit(&f->q);
    CHECK_EQ(f->q.bytes, 0);
    CHECK_EQ(f->q.seg_count, 0);
    CHECK_EQ(f->pool.bytes_used, 0);
    CHECK(f->pool.ready_first == NULL && f->pool.ready_last == NULL && f->pool.ready_count == 0);
    wf_outq_check(&f->q);
    wf_outq_pool_deinit(&f->pool);
    CHECK_EQ(test_mem_live(), f->live_before);
}

static inline size_t urgent_count(const wf_outq *q) {
    return q->aside ? q->aside->urgent_count : 0;
}

static inline size_t held_bytes(const wf_outq *q) {
    return q->aside ? q->aside->held_bytes : 0;
}

/* Published messages that did not fit, of all queues of the pool. */
static inline uint64_t drops(const fixture *f) {
    return wf_count_read(&f->pool.drops);
}

#endif
