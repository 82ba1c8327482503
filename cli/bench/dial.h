/*
 * dial.h - connections of a worker: how they are dialled, and what is made of their failures.
 */
#ifndef CLI_BENCH_DIAL_H
#define CLI_BENCH_DIAL_H

#include "cli/bench/worker.h"

/* From worker.c: what dial.c tells it. */
void bench_worker_opened(bench_peer *p, uint64_t now);
void bench_worker_message(bench_peer *p, weft_message m);
void bench_worker_ended(bench_peer *p);

#endif
