/*
 * A storm of handshakes: connect, upgrade, close 1000, and again. Each peer is a place for one connection. In the
 * open model a handshake that is due while all places are taken waits for one, and its waiting counts.
 */
#include "cli/bench/clock.h"
#include "cli/bench/worker.h"

enum { GIVE_UP_AFTER = 100 }; /* failures and not one success: nobody is there */

static bool is_open_model(const bench_worker *w) {
    return w->period_ns > 0;
}

/* Dials on the peer what is due next. */
static void dial_next(bench_peer *p, uint64_t now) {
    bench_worker *w = p->worker;
    uint64_t at = is_open_model(w) ? bench_due_ns(w, w->due) : now;
    w->due += is_open_model(w) || now >= w->measure_ns || w->config->count == 0;
    w->block->sent += at >= w->measure_ns;
    w->outstanding++;
    bench_worker_dial(p, at);
}

/* What was due before the end is still dialled in DRAIN. */
static bool is_due(const bench_worker *w, uint64_t now) {
    if (!is_open_model(w))
        return bench_worker_sends(w, now);
    uint64_t at = bench_due_ns(w, w->due);
    return at <= now && at < w->end_ns && w->due < w->quota;
}

static uint64_t storm_act(bench_worker *w, uint64_t now) {
    for (uint32_t i = 0; i < w->peer_count && w->free_count > 0 && is_due(w, now); i++) {
        bench_peer *p = w->free_peers[--w->free_count];
        uint64_t at = bench_due_ns(w, w->due);
        if (is_open_model(w) && w->free_since_ns <= at && at >= w->measure_ns)
            bench_hist_record(&w->block->lag, now - at);
        else if (is_open_model(w))
            w->block->delayed++;
        dial_next(p, now);
    }
    w->free_since_ns = w->free_count == 0 ? BENCH_NEVER : w->free_since_ns == BENCH_NEVER ? now : w->free_since_ns;
    if (atomic_load_explicit(&w->opened, memory_order_relaxed) == 0 &&
        atomic_load_explicit(&w->failed, memory_order_relaxed) >= GIVE_UP_AFTER)
        w->quota = w->due;
    if (w->free_count == 0 || !is_open_model(w))
        return w->free_count > 0 && is_due(w, now) ? now : BENCH_NEVER;
    uint64_t at = bench_due_ns(w, w->due);
    return at < w->end_ns && w->due < w->quota ? at : BENCH_NEVER;
}

static void storm_opened(bench_peer *p, uint64_t now) {
    bench_worker_done(p->worker, p->dialled_ns, now);
    weft_conn_close(p->conn, WEFT_CLOSE_NORMAL, NULL);
}

static void storm_ended(bench_peer *p, uint64_t now) {
    bench_worker *w = p->worker;
    (void)now;
    w->outstanding--;
    w->free_peers[w->free_count++] = p;
}

static bool storm_is_settled(const bench_worker *w) {
    return w->outstanding == 0 && !(is_open_model(w) && is_due(w, w->end_ns));
}

/* Those that found no place, and those under way, have no answer. */
static void storm_finish(bench_worker *w, uint64_t now) {
    uint64_t missed = 0;
    for (; is_open_model(w) && is_due(w, now); w->due++)
        missed++;
    for (uint32_t i = 0; i < w->peer_count; i++)
        missed += w->peers[i].state == BENCH_DIALLING;
    bench_worker_fault(w, BENCH_FAULT_UNANSWERED, missed);
}

const bench_traffic bench_storm = {
    .act = storm_act,
    .opened = storm_opened,
    .ended = storm_ended,
    .has_sent_all = bench_worker_has_sent_all,
    .is_settled = storm_is_settled,
    .finish = storm_finish,
};
