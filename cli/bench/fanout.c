/*
 * Fan-out: what a publisher sends comes to every subscriber. The publishers' connections have the lowest numbers, and
 * come first among a worker's peers; what comes back to them is not looked at. In the closed model a message is on its
 * way until all subscribers have it.
 */
#include "cli/bench/clock.h"
#include "cli/bench/fan.h"
#include "cli/bench/pace.h"
#include "cli/bench/worker.h"

static void fanout_ready(bench_worker *w) {
    for (uint32_t i = w->sender_count; i < w->peer_count; i++) {
        w->peers[i].takes_part = w->peers[i].state == BENCH_OPEN;
        w->subscriber_count += w->peers[i].takes_part;
    }
    atomic_fetch_add(&w->run->fan->subscribers, w->subscriber_count);
}

static bool is_open_model(const bench_worker *w) {
    return w->config->rate > 0;
}

static void refill(bench_peer *p, uint64_t now) {
    bench_worker *w = p->worker;
    uint64_t complete = atomic_load_explicit(&w->run->fan->complete[p->id], memory_order_acquire);
    while (p->sent - complete < w->config->inflight && bench_worker_sends(w, now) && bench_worker_send(p, now, now))
        w->due += now >= w->measure_ns || w->config->count == 0;
}

static uint64_t publish(bench_worker *w, uint64_t now) {
    if (is_open_model(w))
        return w->sender_count > 0 ? bench_pace_act(w, now) : BENCH_NEVER;
    for (uint32_t i = 0; i < w->sender_count; i++)
        refill(&w->peers[i], now);
    return BENCH_NEVER;
}

static uint64_t fanout_act(bench_worker *w, uint64_t now) {
    bench_fan *f = w->run->fan;
    uint64_t next = publish(w, now);
    if (!w->has_published && (w->due >= w->quota || w->phase != BENCH_RUN || now >= w->end_ns)) {
        w->has_published = true;
        atomic_fetch_sub_explicit(&f->publishing, 1, memory_order_release);
    }
    return next;
}

static bool nobody_publishes(const bench_worker *w) {
    return atomic_load_explicit(&w->run->fan->publishing, memory_order_acquire) == 0;
}

/* This thread looks at its own publishers after each turn. */
static void wake_publisher(const bench_worker *w, uint32_t publisher) {
    const bench_worker *of = &w->run->workers[publisher % w->config->threads];
    if (of != w && !is_open_model(w))
        weft_client_wake(of->client);
}

static void fanout_drained(bench_peer *p, uint64_t now) {
    if (is_open_model(p->worker))
        bench_pace_catch_up(p, now);
    else
        refill(p, now);
}

static void fanout_message(bench_peer *p, weft_message m, uint64_t now) {
    bench_worker *w = p->worker;
    const bench_stamper *s = &w->run->stamper;
    bench_stamp stamp;
    if (!p->ledgers || p->state != BENCH_OPEN || w->phase > BENCH_DRAIN)
        return;
    if (m.kind != (w->config->is_binary ? WEFT_BINARY : WEFT_TEXT))
        bench_worker_fault(w, BENCH_FAULT_WRONG_OPCODE, 1);
    bench_stamp_verdict verdict = bench_stamp_read(s, m.data, m.len, now, &stamp);
    if (verdict == BENCH_STAMP_CORRUPT) {
        bench_worker_fault(w, BENCH_FAULT_CORRUPT, 1);
        if (w->config->publishers == 1) /* then it is known whose it was, and what is spoilt is not lost too */
            bench_ledger_arrived(&p->ledgers[0], p->ledgers[0].next);
        return;
    }
    if (verdict == BENCH_STAMP_FOREIGN || stamp.connection >= w->config->publishers) {
        bench_worker_fault(w, BENCH_FAULT_STRAY, 1);
        return;
    }
    bench_ledger *l = &p->ledgers[stamp.connection];
    uint64_t number = bench_ledger_widen(l, stamp.number, s->number_bits), times[2];
    bench_arrival arrival = bench_ledger_arrived(l, number);
    if (arrival == BENCH_DUPLICATE) {
        bench_worker_fault(w, BENCH_FAULT_DUPLICATED, 1);
        return;
    }
    if (arrival != BENCH_IN_ORDER)
        bench_worker_fault(w, BENCH_FAULT_REORDERED, 1);
    if (arrival == BENCH_STALE)
        return;
    bench_worker_done(w, stamp.intended_ns, now);
    w->delivered++;
    if (!bench_fan_deliver(w->run->fan, stamp.connection, number, now, times))
        return;
    wake_publisher(w, stamp.connection);
    if (stamp.intended_ns >= w->measure_ns) {
        w->block->complete++;
        bench_hist_record(&w->block->last, times[1] > stamp.intended_ns ? times[1] - stamp.intended_ns : 0);
        bench_hist_record(&w->block->spread, times[1] - times[0]);
    }
}

static bool fanout_is_settled(const bench_worker *w) {
    uint64_t published = atomic_load_explicit(&w->run->fan->published, memory_order_relaxed);
    return nobody_publishes(w) && w->delivered >= published * w->subscriber_count;
}

const bench_traffic bench_fanout = {
    .keeps_connections = true,
    .ready = fanout_ready,
    .act = fanout_act,
    .message = fanout_message,
    .drained = fanout_drained,
    .has_sent_all = nobody_publishes,
    .is_settled = fanout_is_settled,
};
