/*
 * When a message is due follows from its number alone, so nothing has to be remembered of those that could not be
 * sent in time.
 */
#include "cli/bench/pace.h"

#include "cli/bench/clock.h"

/* At most so many in a turn, then the answers get theirs. */
enum { BURST = 256 };

uint64_t bench_pace_due_of(const bench_peer *p) {
    const bench_worker *w = p->worker;
    return w->due > p->index ? (w->due - p->index - 1) / w->sender_count + 1 : 0;
}

uint64_t bench_pace_act(bench_worker *w, uint64_t now) {
    uint64_t at = bench_due_ns(w, w->due);
    for (int burst = 0; at <= now && bench_worker_sends(w, at); burst++) {
        if (burst == BURST)
            return now;
        bench_peer *p = &w->peers[w->due % w->sender_count];
        w->due++;
        if (p->state == BENCH_OPEN) {
            w->outstanding++;
            now = bench_now();
            if (bench_worker_send(p, at, now) && at >= w->measure_ns)
                bench_hist_record(&w->block->lag, now - at);
            else if (p->is_blocked)
                w->block->delayed++;
        }
        at = bench_due_ns(w, w->due);
    }
    return bench_worker_sends(w, at) ? at : BENCH_NEVER;
}

void bench_pace_catch_up(bench_peer *p, uint64_t now) {
    uint64_t due = bench_pace_due_of(p);
    while (p->sent < due && bench_worker_send(p, bench_due_of(p->worker, p->index, p->sent), now)) {
    }
}
