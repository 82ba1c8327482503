/*
 * dial.h - connections of a worker: how they are dialled, and what is made of their failures.
 */
#ifndef CLI_BENCH_DIAL_H
#define CLI_BENCH_DIAL_H

#include "cli/bench/worker.h"

/* The exit codes of the program. */
enum {
    BENCH_EXIT_OK = 0,
    BENCH_EXIT_FAILED = 1,
    BENCH_EXIT_USAGE = 2,
    BENCH_EXIT_DNS = 6,
    BENCH_EXIT_CONNECT = 7,
    BENCH_EXIT_HTTP = 22,
    BENCH_EXIT_TIMEOUT = 28,
    BENCH_EXIT_TLS = 35,
    BENCH_EXIT_CERTIFICATE = 60,
    BENCH_EXIT_ABNORMAL = 64,
    BENCH_EXIT_PROTOCOL = 65,
    BENCH_EXIT_CLOSED_1XXX = 66,
    BENCH_EXIT_CLOSED_OTHER = 67,
    BENCH_EXIT_INVALID = 70
};

/* From worker.c: what dial.c tells it. */
void bench_worker_opened(bench_peer *p, uint64_t now);
void bench_worker_message(bench_peer *p, weft_message m);
void bench_worker_ended(bench_peer *p);

#endif
