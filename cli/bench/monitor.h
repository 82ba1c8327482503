/*
 * monitor.h - the thread that watches: starts the workers together, gathers their intervals, draws the live view,
 * reads what the server uses, and listens to Ctrl-C.
 */
#ifndef CLI_BENCH_MONITOR_H
#define CLI_BENCH_MONITOR_H

#include "cli/bench/live.h"
#include "cli/bench/use.h"
#include "cli/bench/worker.h"

enum { BENCH_PENDING = 4 };

/* An interval of which not all workers have told yet. */
typedef struct bench_pending {
    bool is_used;
    uint32_t index;
    uint64_t end_ns, longest_ns, done, faults;
    bench_hist latency;
} bench_pending;

typedef struct bench_monitor {
    bench_run *run;
    bench_report *report;
    bench_use_of server;
    bench_live live;
    bench_pending *pending; /* BENCH_PENDING of them, by index */
    uint64_t *measured_ns;  /* per worker */
    uint64_t *cpu_ns, *wait_ns;
    size_t sample_cap;
    double *server_cpu; /* at the start of interval i, seconds */
    size_t server_marks, server_cap;
    bench_use server_first;     /* at the start of the measurement */
    uint64_t ready_ns, rest_ns; /* since when all workers are in READY, in REST; 0: not yet */
    bool is_started, is_server_over;
} bench_monitor;

/* Runs the workers, which are ready to start, to their end, and fills the report. 0, or the exit code of the signal
 * that ended it (128 and its number), then nothing is reported. */
int bench_monitor_run(bench_monitor *m);

#endif
