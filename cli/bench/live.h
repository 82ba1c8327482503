/*
 * live.h - one line on a terminal that says how the run is going. Drawn by the monitor's thread from what workers
 * handed over.
 */
#ifndef CLI_BENCH_LIVE_H
#define CLI_BENCH_LIVE_H

#include "cli/bench/interval.h"

#include <stdbool.h>

struct bench_run;

typedef struct bench_live {
    bool is_on, is_colored;
    uint64_t drawn_ns;
    uint64_t done, faults, span_ns; /* since it was last drawn */
    double rate;
    uint64_t p50_ns, p99_ns, fault_total;
    bench_hist latency;
} bench_live;

void bench_live_add(bench_live *l, const bench_interval *i);
void bench_live_draw(bench_live *l, const struct bench_run *run, uint64_t now);
void bench_live_end(bench_live *l); /* takes the line away */

#endif
