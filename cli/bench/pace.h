/*
 * pace.h - sending by a schedule that nothing holds up: the open model.
 */
#ifndef CLI_BENCH_PACE_H
#define CLI_BENCH_PACE_H

#include "cli/bench/worker.h"

/* Sends all messages that are due; answers when the next one is. */
uint64_t bench_pace_act(bench_worker *w, uint64_t now);

/* The peer can send again: sends what became due for it meanwhile. */
void bench_pace_catch_up(bench_peer *p, uint64_t now);

/* How many messages have become due for a sending peer. */
uint64_t bench_pace_due_of(const bench_peer *p);

#endif
