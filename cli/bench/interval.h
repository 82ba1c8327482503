/*
 * interval.h - what a measuring thread saw in one interval, and how it hands it over without ever waiting.
 *
 *     worker: writes one block  ---- full ---->  monitor: adds it to the whole, clears it
 *                               <--- empty ----
 *
 * Each direction is a ring with one writer and one reader. When the monitor is late and there is no empty block, the
 * worker goes on with the one it has: the interval gets longer, nothing is lost.
 */
#ifndef CLI_BENCH_INTERVAL_H
#define CLI_BENCH_INTERVAL_H

#include "cli/bench/histogram.h"
#include "cli/bench/report.h"

#include <stdatomic.h>

typedef struct bench_interval {
    uint32_t index;   /* of the interval that begins it */
    bool is_measured; /* false: warm-up or draining: counts for faults and latencies only */
    uint64_t start_ns, end_ns;
    uint64_t wait_ns; /* in it, ready to run while others ran */
    uint64_t cpu_ns;  /* of the thread, in it */
    uint64_t sent, done, delayed, complete;
    uint64_t payload_out, payload_in, wire_out, wire_in;
    uint64_t faults[BENCH_FAULTS];
    bench_hist latency, lag, connect, last, spread;
} bench_interval;

void bench_interval_clear(bench_interval *i);

enum { BENCH_BLOCKS = 8 }; /* phases may follow one another faster than they are read */

typedef struct bench_ring {
    bench_interval *slots[BENCH_BLOCKS];
    atomic_uint head; /* taken up to here: the reader's */
    char apart[64];
    atomic_uint tail; /* put up to here: the writer's */
} bench_ring;

void bench_ring_put(bench_ring *r, bench_interval *block); /* there is always room for all blocks */
bench_interval *bench_ring_take(bench_ring *r);            /* NULL: nothing there */

typedef struct bench_exchange {
    bench_ring full, empty;
    bench_interval *blocks; /* all of them */
} bench_exchange;

/* Returns the first block to write into, or NULL: out of memory. */
bench_interval *bench_exchange_init(bench_exchange *x);
void bench_exchange_deinit(bench_exchange *x);

#endif
