/*
 * The one who writes an index is the only one who does; release and acquire carry the block across.
 */
#include "cli/bench/interval.h"

#include <stdlib.h>
#include <string.h>

void bench_interval_clear(bench_interval *i) {
    bench_hist_clear(&i->latency);
    bench_hist_clear(&i->lag);
    bench_hist_clear(&i->connect);
    bench_hist_clear(&i->last);
    bench_hist_clear(&i->spread);
    memset(i, 0, offsetof(bench_interval, latency));
}

void bench_ring_put(bench_ring *r, bench_interval *block) {
    unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    r->slots[tail % BENCH_BLOCKS] = block;
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

bench_interval *bench_ring_take(bench_ring *r) {
    unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (atomic_load_explicit(&r->tail, memory_order_acquire) == head)
        return NULL;
    bench_interval *block = r->slots[head % BENCH_BLOCKS];
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return block;
}

bench_interval *bench_exchange_init(bench_exchange *x) {
    memset(x, 0, sizeof *x);
    x->blocks = calloc(BENCH_BLOCKS, sizeof *x->blocks);
    for (size_t i = 1; x->blocks && i < BENCH_BLOCKS; i++)
        bench_ring_put(&x->empty, &x->blocks[i]);
    return x->blocks;
}

void bench_exchange_deinit(bench_exchange *x) {
    free(x->blocks);
    x->blocks = NULL;
}
