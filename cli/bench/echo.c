/*
 * Echo: each message comes back, once, in order, byte for byte.
 *
 * In the open model a message's number says when it was due. In the closed model the time travels in the stamp;
 * messages of the user carry none, so there the times of those in flight are kept.
 */
#include "cli/bench/clock.h"
#include "cli/bench/pace.h"
#include "cli/bench/worker.h"

enum { LOOK_AHEAD = 64 };

static bool is_open_model(const bench_worker *w) {
    return w->period_ns > 0;
}

/* ---- closed model ---- */

static void refill(bench_peer *p, uint64_t now) {
    bench_worker *w = p->worker;
    while (p->sent - p->ledger.next < w->config->inflight && bench_worker_sends(w, now) &&
           bench_worker_send(p, now, now)) {
        w->outstanding++;
        w->due += now >= w->measure_ns || w->config->count == 0;
    }
}

static void echo_begin(bench_worker *w, uint64_t now) {
    for (uint32_t i = 0; i < w->peer_count && !is_open_model(w); i++)
        refill(&w->peers[i], now);
}

static uint64_t echo_act(bench_worker *w, uint64_t now) {
    return is_open_model(w) ? bench_pace_act(w, now) : BENCH_NEVER;
}

static void echo_drained(bench_peer *p, uint64_t now) {
    if (is_open_model(p->worker))
        bench_pace_catch_up(p, now);
    else
        refill(p, now);
}

/* ---- answers ---- */

/* The number of a message of the user: the expected one, or one near it. false: none of them. */
static bool recognize(const bench_peer *p, weft_message m, uint64_t *out_number) {
    const bench_script *s = &p->worker->config->script;
    uint64_t next = p->ledger.next;
    for (uint64_t n = next; n < p->sent && n < next + LOOK_AHEAD; n++) {
        if (bench_script_is(s, n, m.data, m.len)) {
            *out_number = n;
            return true;
        }
    }
    for (uint64_t n = next; n-- > 0 && n + LOOK_AHEAD >= next;) {
        if (bench_script_is(s, n, m.data, m.len)) {
            *out_number = n;
            return true;
        }
    }
    return false;
}

typedef enum answer { ANSWER, SPOILT, STRAY } answer;

/* Which message it answers, and when that was meant to be sent. */
static answer identify(bench_peer *p, weft_message m, uint64_t now, uint64_t *out_number, uint64_t *out_intended) {
    bench_worker *w = p->worker;
    if (w->config->script.count > 0) {
        if (!recognize(p, m, out_number))
            return SPOILT;
        *out_intended =
            is_open_model(w) ? bench_due_of(w, p->index, *out_number) : p->times[*out_number % w->config->inflight];
        return ANSWER;
    }
    bench_stamp stamp;
    bench_stamp_verdict verdict = bench_stamp_read(&w->run->stamper, m.data, m.len, now, &stamp);
    if (verdict != BENCH_STAMP_GOOD)
        return verdict == BENCH_STAMP_CORRUPT ? SPOILT : STRAY;
    uint32_t own = w->run->stamper.is_short ? (uint16_t)p->id : p->id;
    *out_number = bench_ledger_widen(&p->ledger, stamp.number, w->run->stamper.number_bits);
    *out_intended = is_open_model(w) ? bench_due_of(w, p->index, *out_number) : stamp.intended_ns;
    return stamp.connection == own && *out_number < p->sent ? ANSWER : STRAY;
}

static void arrived(bench_peer *p, uint64_t number) {
    uint64_t before = p->ledger.next;
    bench_arrival arrival = bench_ledger_arrived(&p->ledger, number);
    p->worker->outstanding -= p->ledger.next - before;
    if (arrival == BENCH_DUPLICATE)
        bench_worker_fault(p->worker, BENCH_FAULT_DUPLICATED, 1);
    else if (arrival != BENCH_IN_ORDER)
        bench_worker_fault(p->worker, BENCH_FAULT_REORDERED, 1);
}

static void echo_message(bench_peer *p, weft_message m, uint64_t now) {
    bench_worker *w = p->worker;
    uint64_t number, intended, had = p->ledger.count;
    if (p->state != BENCH_OPEN || w->phase > BENCH_DRAIN)
        return;
    if (m.kind != (w->config->is_binary ? WEFT_BINARY : WEFT_TEXT))
        bench_worker_fault(w, BENCH_FAULT_WRONG_OPCODE, 1);
    answer what = identify(p, m, now, &number, &intended);
    if (what == SPOILT && p->ledger.next < p->sent) {
        bench_worker_fault(w, BENCH_FAULT_CORRUPT, 1);
        arrived(p, p->ledger.next); /* what is spoilt is not lost too */
    } else if (what != ANSWER) {
        bench_worker_fault(w, BENCH_FAULT_STRAY, 1);
    } else {
        arrived(p, number);
        if (p->ledger.count > had)
            bench_worker_done(w, intended, now);
    }
    if (!is_open_model(w))
        refill(p, now);
}

/* ---- the end ---- */

static uint64_t expected_of(const bench_peer *p) {
    return is_open_model(p->worker) && p->state == BENCH_OPEN ? bench_pace_due_of(p) : p->sent;
}

static void echo_ended(bench_peer *p, uint64_t now) {
    bench_worker *w = p->worker;
    (void)now;
    uint64_t expected = is_open_model(w) ? bench_pace_due_of(p) : p->sent;
    w->outstanding -= expected - p->ledger.next;
}

static bool echo_is_settled(const bench_worker *w) {
    return w->outstanding == 0;
}

/* What was never answered has waited at least until now: leaving it out would make a server that drops look fast. */
static void echo_finish(bench_worker *w, uint64_t now) {
    for (uint32_t i = 0; i < w->peer_count; i++) {
        bench_peer *p = &w->peers[i];
        uint64_t expected = expected_of(p);
        bench_worker_fault(w, BENCH_FAULT_LOST, p->ledger.next - p->ledger.count);
        bench_worker_fault(w, BENCH_FAULT_UNANSWERED, expected - p->ledger.next);
        for (uint64_t n = p->ledger.next; n < expected && is_open_model(w); n++) {
            uint64_t due = bench_due_of(w, p->index, n);
            if (due >= w->measure_ns)
                bench_hist_record(&w->block->latency, now > due ? now - due : 0);
        }
    }
}

const bench_traffic bench_echo = {
    .keeps_connections = true,
    .begin = echo_begin,
    .act = echo_act,
    .message = echo_message,
    .drained = echo_drained,
    .ended = echo_ended,
    .has_sent_all = bench_worker_has_sent_all,
    .is_settled = echo_is_settled,
    .finish = echo_finish,
};
