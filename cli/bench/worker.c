/*
 * The loop of a measuring thread. Each turn: do what is due, let the client send and receive, hand over the interval
 * when its time is over, and sleep until the next of these, to the nanosecond: a schedule in milliseconds would bunch
 * the messages.
 *
 * A sleeper wakes up some 50 us late, which is much beside a round trip of 100. So the last SPIN_NS before something is
 * due are not slept but spent looking for answers; that time is not counted as the thread's work.
 */
#include "cli/bench/worker.h"

#include "cli/bench/clock.h"
#include "cli/bench/dial.h"
#include "cli/bench/fan.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { DIALLING_MAX = 100, CLOSE_MS = 1000, STOPPED_GRACE_MS = 1000, IDLE_TURN_NS_MAX = 5000 };

#define SPIN_NS (60 * UINT64_C(1000))

uint64_t bench_clock_epoch;

/* ---- for the traffic ---- */

void bench_worker_fault(bench_worker *w, bench_fault fault, uint64_t count) {
    w->block->faults[fault] += count;
}

static size_t size_of(const bench_worker *w, const bench_peer *p) {
    const bench_config *c = w->config;
    if (c->size_max == c->size_min)
        return c->size_min;
    uint64_t mixed = (p->sent + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)p->id * UINT64_C(0xd1b54a32d192ed03);
    return c->size_min + (size_t)((mixed >> 32) * (c->size_max - c->size_min + UINT64_C(1)) >> 32);
}

bool bench_worker_send(bench_peer *p, uint64_t intended_ns, uint64_t now) {
    bench_worker *w = p->worker;
    const bench_config *c = w->config;
    const char *data = w->buffer;
    size_t len;
    if (p->is_blocked || p->state != BENCH_OPEN)
        return false;
    if (c->script.count > 0) {
        const bench_script_message *m = bench_script_at(&c->script, p->sent);
        data = m->data;
        len = m->len;
        if (p->times)
            p->times[p->sent % c->inflight] = now;
    } else {
        bench_stamp stamp = {.connection = p->id, .number = (uint32_t)p->sent, .intended_ns = intended_ns};
        len = size_of(w, p);
        bench_stamp_write(&w->run->stamper, &stamp, w->buffer, len);
    }
    if (w->run->fan)
        bench_fan_begin(w->run->fan, p->id, p->sent);
    int got = weft_conn_send(p->conn, c->is_binary ? WEFT_BINARY : WEFT_TEXT, data, len);
    if (got == WEFT_FULL) {
        p->is_blocked = true;
        return false;
    }
    if (got != WEFT_OK)
        return false;
    p->sent++;
    w->events++;
    if (w->run->fan)
        atomic_fetch_add_explicit(&w->run->fan->published, 1, memory_order_release);
    w->block->sent += intended_ns >= w->measure_ns;
    w->block->payload_out += len;
    return true;
}

void bench_worker_done(bench_worker *w, uint64_t intended_ns, uint64_t now) {
    bool counts = intended_ns >= w->measure_ns;
    w->block->done += counts || w->config->duration_ns > 0; /* in a stretch of time it is what comes out that counts */
    w->last_done_ns = now;
    if (counts)
        bench_hist_record(&w->block->latency, now > intended_ns ? now - intended_ns : 0);
}

/* ---- what the client tells ---- */

void bench_worker_opened(bench_peer *p, uint64_t now) {
    bench_worker *w = p->worker;
    p->state = BENCH_OPEN;
    w->events++;
    w->dialling--;
    w->open++;
    atomic_store_explicit(&w->opened, atomic_load_explicit(&w->opened, memory_order_relaxed) + 1, memory_order_release);
    if (w->run->traffic->keeps_connections)
        bench_hist_record(&w->block->connect, now - p->dialled_ns);
    if (w->run->traffic->opened)
        w->run->traffic->opened(p, now);
}

void bench_worker_message(bench_peer *p, weft_message m) {
    bench_worker *w = p->worker;
    w->events++;
    w->block->payload_in += m.len;
    if (p->greetings < w->config->skip)
        p->greetings++;
    else if (w->run->traffic->message)
        w->run->traffic->message(p, m, bench_now());
}

void bench_worker_ended(bench_peer *p) {
    bench_worker *w = p->worker;
    bool was_open = p->state == BENCH_OPEN;
    p->state = BENCH_ENDED;
    p->conn = NULL;
    w->events++;
    if (was_open)
        w->open--;
    else
        w->dialling--;
    if (!was_open)
        atomic_store_explicit(&w->failed, atomic_load_explicit(&w->failed, memory_order_relaxed) + 1,
                              memory_order_release);
    if (w->run->traffic->ended)
        w->run->traffic->ended(p, bench_now());
}

/* ---- intervals ---- */

static uint64_t thread_cpu(void) {
    return bench_clock_read(CLOCK_THREAD_CPUTIME_ID);
}

/* How long the thread has been ready to run and had no processor. */
static uint64_t thread_wait(const bench_worker *w) {
    char text[96] = "";
    unsigned long long ran, waited;
    ssize_t got = w->schedule_fd >= 0 ? pread(w->schedule_fd, text, sizeof text - 1, 0) : 0;
    return got > 0 && sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

static void begin_block(bench_worker *w, uint64_t now) {
    bool counts = w->phase == BENCH_RUN || (w->phase == BENCH_DRAIN && w->config->duration_ns == 0);
    w->block->start_ns = now;
    w->block->is_measured = counts && now >= w->measure_ns;
    w->block->index = w->block->is_measured ? (uint32_t)((now - w->measure_ns) / w->config->interval_ns) : 0;
}

/* Hands the block over, if there is another to go on with, or none is needed. `at` is when it ended. */
static void hand_over(bench_worker *w, uint64_t at, bool is_last) {
    bench_interval *next = bench_ring_take(&w->exchange.empty);
    if (!next && !is_last)
        return;
    uint64_t cpu = thread_cpu();
    w->block->end_ns = at;
    uint64_t used = cpu - w->cpu_mark_ns, in, out;
    weft_client_bytes(w->client, &in, &out);
    w->block->wire_in = in - w->wire_in_mark;
    w->block->wire_out = out - w->wire_out_mark;
    w->wire_in_mark = in;
    w->wire_out_mark = out;
    w->block->cpu_ns = used > w->idle_ns ? used - w->idle_ns : 0;
    w->cpu_mark_ns = cpu;
    w->idle_ns = 0;
    uint64_t waited = thread_wait(w);
    w->block->wait_ns = waited - w->wait_mark_ns;
    w->wait_mark_ns = waited;
    bench_ring_put(&w->exchange.full, w->block);
    w->block = next;
    if (!is_last)
        begin_block(w, at);
}

static uint64_t block_end(const bench_worker *w) {
    const bench_interval *b = w->block;
    if (b->is_measured)
        return w->measure_ns + (b->index + UINT64_C(1)) * w->config->interval_ns;
    uint64_t end = b->start_ns + w->config->interval_ns;
    return w->phase == BENCH_RUN && b->start_ns < w->measure_ns && end > w->measure_ns ? w->measure_ns : end;
}

/* ---- phases ---- */

static void enter(bench_worker *w, bench_phase phase, uint64_t now) {
    bool ends_late = phase >= BENCH_REST && w->block->is_measured && w->last_done_ns > w->block->start_ns;
    w->phase = phase;
    hand_over(w, ends_late ? w->last_done_ns : now, phase == BENCH_OVER);
    atomic_store_explicit(&w->shown_phase, phase, memory_order_release); /* OVER: the last block is out */
}

static bool is_stopping(const bench_worker *w) {
    return atomic_load_explicit(&w->run->is_stopping, memory_order_relaxed);
}

static uint64_t act_connect(bench_worker *w, uint64_t now) {
    uint64_t next = BENCH_NEVER;
    while (w->next_dial < w->peer_count && w->dialling < DIALLING_MAX) {
        uint64_t at = w->dial_phase_ns + w->next_dial * w->dial_period_ns;
        if (at > now) {
            next = at;
            break;
        }
        bench_worker_dial(&w->peers[w->next_dial++], now);
    }
    if (w->next_dial == w->peer_count && w->dialling == 0) {
        if (w->run->traffic->ready)
            w->run->traffic->ready(w);
        enter(w, BENCH_READY, now);
    }
    return next;
}

static void plan(bench_worker *w, uint64_t start) {
    const bench_config *c = w->config;
    w->first_ns = start + (c->rate > 0 ? (uint64_t)(w->number * 1e9 / c->rate) : 0);
    w->measure_ns = start + c->warmup_ns;
    w->end_ns = c->duration_ns > 0 ? w->measure_ns + c->duration_ns : BENCH_NEVER;
    for (uint64_t n = 0; c->count > 0 && w->period_ns > 0 && bench_due_ns(w, n) < w->measure_ns; n++)
        w->quota++; /* what is due in the warm-up does not count */
}

static uint64_t act_ready(bench_worker *w, uint64_t now) {
    uint64_t start = atomic_load_explicit(&w->run->start_ns, memory_order_acquire);
    if (start > now)
        return start;
    plan(w, start);
    enter(w, BENCH_RUN, now);
    if (w->run->traffic->begin)
        w->run->traffic->begin(w, now);
    return now;
}

static uint64_t act_run(bench_worker *w, uint64_t now) {
    uint64_t next = w->run->traffic->act ? w->run->traffic->act(w, now) : BENCH_NEVER;
    atomic_store_explicit(&w->shown_sent, w->due, memory_order_relaxed);
    bool is_over =
        now >= w->end_ns || w->run->traffic->has_sent_all(w) || (w->open == 0 && w->run->traffic->keeps_connections);
    if (is_over || is_stopping(w)) {
        uint64_t stopped = w->measure_ns > now ? w->measure_ns : now;
        w->end_ns = stopped < w->end_ns ? stopped : w->end_ns;
        enter(w, BENCH_DRAIN, now);
        return now;
    }
    return next;
}

static uint64_t begin_close(bench_worker *w, uint64_t now) {
    enter(w, BENCH_CLOSE, now);
    for (uint32_t i = 0; i < w->peer_count; i++)
        if (w->peers[i].conn)
            weft_conn_close(w->peers[i].conn, WEFT_CLOSE_NORMAL, NULL);
    w->end_ns = now + CLOSE_MS * BENCH_MS; /* from here on: of closing */
    return now;
}

static uint64_t act_drain(bench_worker *w, uint64_t now) {
    uint64_t grace = w->config->grace_ns;
    if (is_stopping(w) && grace > STOPPED_GRACE_MS * BENCH_MS)
        grace = STOPPED_GRACE_MS * BENCH_MS;
    uint64_t next = w->run->traffic->act ? w->run->traffic->act(w, now) : BENCH_NEVER;
    bool goes_on = w->config->duration_ns == 0 && w->last_done_ns > w->end_ns; /* a count takes the time it takes */
    uint64_t until = (goes_on ? w->last_done_ns : w->end_ns) + grace;
    if (!w->run->traffic->is_settled(w) && now < until) {
        uint64_t look = now + 10 * BENCH_MS; /* others may settle it */
        next = next < until ? next : until;
        return next < look ? next : look;
    }
    if (w->run->traffic->finish)
        w->run->traffic->finish(w, now);
    if (w->config->settle_ns > 0) {
        enter(w, BENCH_REST, now);
        return BENCH_NEVER;
    }
    return begin_close(w, now);
}

static uint64_t act_rest(bench_worker *w, uint64_t now) {
    bool is_over = atomic_load_explicit(&w->run->has_rested, memory_order_acquire) || is_stopping(w);
    return is_over ? begin_close(w, now) : BENCH_NEVER;
}

static uint64_t act(bench_worker *w, uint64_t now) {
    switch (w->phase) {
    case BENCH_CONNECT:
    case BENCH_READY:
        if (!is_stopping(w))
            return w->phase == BENCH_CONNECT ? act_connect(w, now) : act_ready(w, now);
        enter(w, BENCH_OVER, now);
        return now;
    case BENCH_RUN:
        return act_run(w, now);
    case BENCH_DRAIN:
        return act_drain(w, now);
    case BENCH_REST:
        return act_rest(w, now);
    default:
        if (weft_client_connections(w->client) == 0 || now >= w->end_ns)
            enter(w, BENCH_OVER, now);
        return w->end_ns;
    }
}

/* Sleeps until `until`, or something arrives, or the client has a deadline. */
static void sleep_until(bench_worker *w, uint64_t until) {
    uint64_t now = bench_now(), wait = until > now ? until - now : 0;
    int deadline_ms = weft_client_timeout_ms(w->client);
    if (deadline_ms >= 0 && (uint64_t)deadline_ms * BENCH_MS < wait)
        wait = (uint64_t)deadline_ms * BENCH_MS;
    if (wait == 0)
        return;
    wait = wait < BENCH_SECOND ? wait : BENCH_SECOND;
    struct pollfd fd = {.fd = weft_client_fd(w->client), .events = POLLIN};
    ppoll(&fd, 1, &(struct timespec) {(time_t)(wait / BENCH_SECOND), (long)(wait % BENCH_SECOND)}, NULL);
}

/* One turn, which ends soon enough for what is due at `next`. Where nothing is, the client may wait by itself, in
 * milliseconds, which is a system call less. */
static bool turn(bench_worker *w, uint64_t now, uint64_t next) {
    uint64_t end = block_end(w), before = w->events;
    end = w->phase == BENCH_RUN && w->end_ns < end ? w->end_ns : end;
    if (next == BENCH_NEVER) {
        uint64_t wait_ms = end > now ? (end - now) / BENCH_MS + 1 : 0;
        return weft_client_turn(w->client, wait_ms < 1000 ? (int)wait_ms : 1000) == WEFT_OK;
    }
    if (weft_client_turn(w->client, 0) != WEFT_OK)
        return false;
    if (w->phase > BENCH_RUN && w->events != before)
        return true; /* perhaps it was the last thing to wait for */
    uint64_t after = bench_now(), soon = next > SPIN_NS ? next - SPIN_NS : 0;
    if (soon > after)
        sleep_until(w, soon < end ? soon : end);
    else if (w->events == before)
        w->idle_ns += after - now < IDLE_TURN_NS_MAX ? after - now : IDLE_TURN_NS_MAX;
    return true;
}

static void *work(void *argument) {
    bench_worker *w = argument;
    prctl(PR_SET_TIMERSLACK, 1UL); /* wake up when asked to, not 50 us later */
    w->schedule_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    w->wait_mark_ns = thread_wait(w);
    w->cpu_mark_ns = thread_cpu();
    w->dial_phase_ns += bench_now();
    begin_block(w, bench_now());
    while (w->phase != BENCH_OVER) {
        uint64_t now = bench_now();
        if (now >= block_end(w))
            hand_over(w, now, false);
        uint64_t next = act(w, now);
        if (w->phase == BENCH_OVER || !turn(w, now, next))
            break;
    }
    if (w->phase != BENCH_OVER)
        enter(w, BENCH_OVER, bench_now());
    if (w->schedule_fd >= 0)
        close(w->schedule_fd);
    return NULL;
}

/* ---- life ---- */

static uint32_t share(uint32_t total, uint32_t parts, uint32_t number) {
    return total / parts + (number < total % parts);
}

static bool init_peers(bench_worker *w) {
    const bench_config *c = w->config;
    w->peers = calloc(w->peer_count ? w->peer_count : 1, sizeof *w->peers);
    for (uint32_t i = 0; w->peers && i < w->peer_count; i++) {
        bench_peer *p = &w->peers[i];
        p->worker = w;
        p->index = i;
        p->id = w->number + i * c->threads;
        bool is_subscriber = c->mode == BENCH_FANOUT && p->id >= c->publishers;
        if (is_subscriber && !(p->ledgers = calloc(c->publishers, sizeof *p->ledgers)))
            return false;
        if (c->rate == 0 && c->script.count > 0 && !(p->times = calloc(c->inflight, sizeof *p->times)))
            return false;
    }
    return w->peers != NULL;
}

static bool init_places(bench_worker *w) {
    w->free_peers = calloc(w->peer_count + 1, sizeof *w->free_peers);
    for (uint32_t i = 0; w->free_peers && i < w->peer_count; i++)
        w->free_peers[w->free_count++] = &w->peers[i];
    return w->free_peers != NULL;
}

bool bench_worker_init(bench_worker *w, bench_run *run, uint32_t number) {
    const bench_config *c = run->config;
    uint32_t senders = c->mode == BENCH_FANOUT ? c->publishers : c->connections;
    w->run = run;
    w->config = c;
    w->number = number;
    w->measure_ns = w->end_ns = BENCH_NEVER;
    w->peer_count = share(c->connections, c->threads, number);
    w->sender_count = share(senders, c->threads, number);
    w->quota = BENCH_NEVER;
    if (c->count > 0) { /* rounded so that the shares of all make the whole */
        uint64_t before =
            number * (uint64_t)(senders / c->threads) + (number < senders % c->threads ? number : senders % c->threads);
        w->quota = c->count * (before + w->sender_count) / senders - c->count * before / senders;
    }
    if (w->sender_count == 0)
        w->quota = 0;
    w->period_ns = c->rate > 0 && w->sender_count > 0 ? 1e9 / c->rate * senders / w->sender_count : 0;
    if (c->connect_rate > 0) {
        w->dial_period_ns = (uint64_t)(1e9 / c->connect_rate * c->threads);
        w->dial_phase_ns = (uint64_t)(1e9 / c->connect_rate * number);
    }
    w->buffer = malloc(c->size_max + 1);
    w->block = bench_exchange_init(&w->exchange);
    w->client =
        weft_client_new(&(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .connect_timeout_ms = c->connect_timeout_ms,
                                               .handshake_timeout_ms = c->connect_timeout_ms, .tls = c->tls,
                                               .http2 = c->http2 ? WEFT_HTTP2_CLEAR : WEFT_HTTP2_OFF,
                                               .limits = {.message_bytes_max = BENCH_SIZE_MAX + (1 << 20),
                                                          .ping_interval_ms = WEFT_NONE,
                                                          .message_timeout_ms = WEFT_NONE,
                                                          .send_timeout_ms = WEFT_NONE,
                                                          .pings_per_second = WEFT_NONE}});
    if (!run->traffic->keeps_connections)
        w->phase = BENCH_READY;
    return w->buffer && w->block && w->client && init_peers(w) && init_places(w);
}

bool bench_worker_start(bench_worker *w) {
    atomic_store(&w->shown_phase, w->phase);
    return pthread_create(&w->thread, NULL, work, w) == 0;
}

void bench_worker_deinit(bench_worker *w) {
    weft_client_free(w->client);
    for (uint32_t i = 0; w->peers && i < w->peer_count; i++) {
        free(w->peers[i].ledgers);
        free(w->peers[i].times);
    }
    free(w->peers);
    free(w->free_peers);
    free(w->buffer);
    free(w->failure.refusal);
    bench_exchange_deinit(&w->exchange);
}
