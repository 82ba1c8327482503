/*
 * One turn of a worker:
 *
 *      wait -> socket events -> mail -> timers -> wake whom we wrote to -> flush queues -> free what ended
 *
 * An answer to what a socket brought is flushed right after it; what was published waits for the end of the turn, or
 * until much was.
 *
 * Whatever happens to a connection ends in wf_conn_pump (dispatch.c).
 */
#include "server/server_impl.h"

#include "base/assert.h"
#include "base/big.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { TICK_MS = 1000, LAG_WINDOW_MS = 1000, HISTORY_BYTES_MAX = 64 << 20, VACANT_MAX = 10000, VACANT_MS = 600000 };

/* Large blocks kept for the next large message, for so many ticks. */
enum { BIG_BYTES_MAX = 16 << 20, BIG_REST_TICKS = 3 };

static _Thread_local wf_worker *current;

wf_worker *wf_worker_current(void) {
    return current;
}

/* The past of all topics shall not be what new connections are turned away for. */
static size_t history_bytes_max(const weft_server *server) {
    uint64_t share = server->config.memory_bytes_max / 4 / server->worker_count;
    return share < HISTORY_BYTES_MAX ? (size_t)share : HISTORY_BYTES_MAX;
}

static size_t big_bytes_max(const weft_server *server) {
    uint64_t share = server->config.memory_bytes_max / 16 / server->worker_count;
    return share < BIG_BYTES_MAX ? (size_t)share : BIG_BYTES_MAX;
}

_Static_assert((int)WEFT_BACKEND_EPOLL == WF_LOOP_EPOLL && (int)WEFT_BACKEND_IO_URING == WF_LOOP_URING,
               "public and internal backends are the same numbers");

int wf_worker_init(wf_worker *w, weft_server *server, unsigned index) {
    w->server = server;
    w->index = index;
    w->env.http = &server->http;
    w->env.blob_bytes = &server->blob_bytes;
    w->env.now_ms = wf_clock_ms();
    wf_timers_init(&w->env.timers, w->env.now_ms);
    wf_codec_init(&w->env.codec);
    wf_hub_config hub = {
        .history_bytes_max = history_bytes_max(server), .vacant_max = VACANT_MAX, .vacant_ms = VACANT_MS};
    if (getrandom(hub.hash_key, sizeof hub.hash_key, 0) != sizeof hub.hash_key ||
        getrandom(&w->env.ping_secret, sizeof w->env.ping_secret, 0) != sizeof w->env.ping_secret)
        return WF_ESYS;
    wf_hub_init(&w->hub, &hub);
    w->loop = w->env.loop = wf_loop_new_on((wf_loop_kind)server->config.backend, 0);
    w->to_wake = wf_mem_zalloc(server->worker_count * sizeof *w->to_wake);
    w->key_digest = wf_key_digest_new();
    /* Some more than the maximum, to be told 503 instead of being dropped. */
    if (!w->loop || !w->to_wake || !w->key_digest || wf_slots_init(&w->slots, server->config.connections_max + 64) < 0)
        return WF_ENOMEM;
    return WF_OK;
}

static void free_ended(wf_worker *w) {
    while (w->ended) {
        weft_conn *conn = w->ended;
        w->ended = conn->ended_next;
        wf_link_deinit(&conn->link);
        wf_slots_free(&w->slots, conn);
    }
}

static void free_mail(weft_server *server, wf_mail *m) {
    if (m->kind == MAIL_VISIT) {
        wf_visit_end(server, m, 0);
        return;
    }
    if (m->kind == MAIL_ANSWER)
        wf_request_apply_late(m->answer); /* to nobody: the application takes back what it accepted with */
    wf_mail_free(m);
}

void wf_worker_deinit(wf_worker *w) {
    if (!w->server)
        return;
    for (wf_mail *m = wf_mailbox_take(&w->mail), *next; m; m = next) {
        next = m->next;
        free_mail(w->server, m);
    }
    for (size_t i = 0; w->listeners && i < w->server->listener_count; i++)
        wf_sock_close(w->loop, &w->listeners[i]); /* open still when run could not start */
    wf_hub_deinit(&w->hub);
    wf_outq_pool_deinit(&w->env.pool);
    wf_codec_deinit(&w->env.codec);
    wf_tls_shared_deinit(&w->env.tls);
    wf_slots_deinit(&w->slots);
    wf_key_digest_free(w->key_digest);
    wf_mem_free(w->to_wake);
    wf_mem_free(w->listeners);
    wf_loop_free(w->loop);
}

/* Those we wrote to. We ourselves look at our mail before we wait. */
static inline void wake_others(wf_worker *w) {
    if (!w->wakes)
        return;
    w->wakes = false;
    for (unsigned i = 0; i < w->server->worker_count; i++) {
        wf_worker *to = &w->server->workers[i];
        if (w->to_wake[i] && to != w)
            wf_mailbox_wake(&to->mail, to->loop);
        w->to_wake[i] = false;
    }
}

void wf_worker_post(wf_worker *to, wf_mail *m) {
    wf_worker *here = current;
    if (here && here->server == to->server) {
        wf_worker_mail(here, to->index, m);
        return;
    }
    wf_mailbox_put(&to->mail, m);
    wf_mailbox_wake(&to->mail, to->loop);
}

static weft_conn *conn_of(wf_outq *q) {
    return (weft_conn *)((char *)q - offsetof(weft_conn, link.q));
}

static inline void flush_one(weft_conn *conn) {
    bool more = conn->is_http2 && wf_http2_pump(conn);
    wf_link_flush(&conn->link);
    if (wf_link_runnable(&conn->link))
        wf_conn_pump(conn);
    if (more && !conn->link.in_flight) /* the kernel took all that there was room for */
        wf_outq_mark_ready(&conn->link.q);
}

static void on_eof(weft_conn *conn) {
    wf_link_input_over(&conn->link);
    if (!conn->half_open && !conn->opened && !conn->is_http2 && conn->request)
        wf_request_half_close(conn->request);
}

/* All but bytes. NULL: no connection has to do with it. */
static weft_conn *on_other_event(wf_worker *w, const wf_loop_event *event) {
    if (event->kind == WF_LOOP_ACCEPTED) {
        wf_worker_accept(w, event->sock, event->fd);
        return NULL;
    }
    if (event->kind == WF_LOOP_WOKEN)
        return NULL;                           /* mail and orders are looked at each turn */
    if (event->sock->kind == WF_SOCK_LISTEN) { /* a listening socket that broke */
        wf_sock_close(w->loop, event->sock);
        return NULL;
    }
    weft_conn *conn = (weft_conn *)event->sock;
    if (event->kind == WF_LOOP_SENT)
        wf_link_sent(&conn->link, event->len);
    else if (event->kind == WF_LOOP_WAITS)
        wf_link_waits(&conn->link);
    else if (event->kind == WF_LOOP_EOF)
        on_eof(conn);
    else
        wf_link_failed(&conn->link, event->sys_errno);
    return conn;
}

static inline void on_loop_event(wf_worker *w, const wf_loop_event *event) {
    weft_conn *conn = (weft_conn *)event->sock;
    if (wf_usual(event->kind == WF_LOOP_RECEIVED))
        wf_link_received_lent(&conn->link, event->data, event->len);
    else if (!(conn = on_other_event(w, event)))
        return;
    wf_conn_pump(conn);
    if (conn->is_http2)
        wf_http2_pump(conn);
    /* What it was answered leaves at once, in one system call and from a warm chunk. What was published waits
     * for the end of the turn: more may come. */
    bool answers = conn->link.q.written && !conn->link.in_flight;
    if (answers) {
        wake_others(w);
        flush_one(conn);
    }
    wf_link_settle(&conn->link);
    if (wf_link_runnable(&conn->link)) /* it rests, or there was no memory for that */
        wf_outq_mark_ready(&conn->link.q);
    else if (answers && conn->link.q.bytes == 0 && !conn->is_http2)
        wf_outq_ready_done(&conn->link.q);
}

static void read_mail(wf_worker *w) {
    for (wf_mail *m = wf_mailbox_take(&w->mail), *next; m; m = next) {
        next = m->next;
        w->reads_mail = next != NULL;
        weft_conn *conn;
        switch (m->kind) {
        case MAIL_PUBLISH:
            wf_publish_home(w, m);
            wf_worker_relieve(w);
            continue; /* the mail goes on to the others */
        case MAIL_DELIVER:
            wf_publish_deliver(w, m);
            break;
        case MAIL_FENCE:
            wf_worker_fence(w, m);
            continue; /* it goes back */
        case MAIL_JOIN:
            wf_publish_join(w, m);
            continue; /* it may go on, too */
        case MAIL_SEND:
            w->published_bytes += m->blob->len + WF_OUTQ_SEG_COST;
            conn = wf_handle_conn(w, m->handle);
            if (!conn || !conn->opened || !wf_link_is_open(&conn->link))
                break;
            if (conn->link.deflates)
                wf_publish_deflate(w, m->blob);
            if (wf_outq_publish(&conn->link.q, m->blob) == WF_OK)
                wf_count_add(&w->env.messages_out, 1);
            break;
        case MAIL_CLOSE:
            if ((conn = wf_handle_conn(w, m->handle)) && conn->opened)
                weft_conn_close(conn, m->code, m->text_len > 0 ? m->text : NULL);
            break;
        case MAIL_ANSWER:
            wf_request_apply_late(m->answer);
            m->answer = NULL;
            break;
        case MAIL_VISIT:
            wf_visit_go_on(w, m);
            continue;
        }
        wf_mail_free(m);
        wf_worker_relieve(w);
    }
}

static void on_tick(wf_worker *w) {
    if (w->env.now_ms - w->window_started_ms >= LAG_WINDOW_MS) {
        wf_count_set(&w->lag_ns, w->window_lag_ns);
        w->window_lag_ns = 0;
        w->window_started_ms = w->env.now_ms;
    }
    w->hub.now_ms = w->env.now_ms;
    wf_hub_sweep(&w->hub);
    wf_slots_rest(&w->slots);
    wf_outq_pool_rest(&w->env.pool);
    if (++w->ticks % BIG_REST_TICKS == 0)
        wf_big_rest();
    wf_timers_add(&w->env.timers, &w->tick, w->env.now_ms + TICK_MS);
}

static wf_chore *chore_of(const wf_worker *w, const wf_timer *timer) {
    wf_chore *chore = w->index == 0 ? w->server->chores : NULL;
    while (chore && &chore->timer != timer)
        chore = chore->next;
    return chore;
}

static void begin_chores(wf_worker *w) {
    for (wf_chore *chore = w->server->chores; chore; chore = chore->next)
        wf_timers_add(&w->env.timers, &chore->timer, w->env.now_ms + chore->interval_ms);
}

void wf_worker_chores_now(wf_worker *w) {
    for (wf_chore *chore = w->server->chores; chore; chore = chore->next)
        wf_timers_add(&w->env.timers, &chore->timer, w->env.now_ms);
}

static void run_timers(wf_worker *w) {
    wf_timers_advance(&w->env.timers, w->env.now_ms);
    wf_timer *timer;
    while ((timer = wf_timers_next(&w->env.timers))) {
        if (timer == &w->tick) {
            on_tick(w);
            continue;
        }
        wf_chore *chore = chore_of(w, timer);
        if (chore) {
            wf_timers_add(&w->env.timers, timer, w->env.now_ms + chore->interval_ms);
            chore->call(w->server, chore->user);
            continue;
        }
        weft_conn *conn = (weft_conn *)((char *)timer - offsetof(weft_conn, link.timer));
        wf_link_timer_due(&conn->link);
        wf_conn_pump(conn);
    }
}

/* Sends what has been queued: one system call per connection. Flushing may open a gate and so produce more;
 * that is for the next turn, so that a busy few cannot keep the others waiting. */
static void flush(wf_worker *w) {
    w->published_bytes = 0;
    for (size_t left = w->env.pool.ready_count; left > 0; left--) {
        wf_outq *q = wf_outq_ready_take(&w->env.pool);
        if (!q)
            break;
        flush_one(conn_of(q));
    }
}

/* A subscriber is slow when the kernel does not take what it has, not when much was published before the kernel was
 * asked. Nothing is pulled here, so that it may stand between two events of a connection: who has something to tell
 * stays listed. */
void wf_worker_offer(wf_worker *w) {
    w->published_bytes = 0;
    wake_others(w);
    for (size_t left = w->env.pool.ready_count; left > 0; left--) {
        wf_outq *q = wf_outq_ready_take(&w->env.pool);
        weft_conn *conn = conn_of(q);
        wf_link_flush(&conn->link);
        if (wf_link_runnable(&conn->link) || conn->is_http2)
            wf_outq_mark_ready(q);
    }
}

static void end_turn(wf_worker *w) {
    wake_others(w);
    flush(w);
    wake_others(w);
    wf_codec_rest(&w->env.codec);
    wf_worker_check_memory(w);
    free_ended(w);
    w->turn_ended_ns = wf_clock_ns();
    if (w->turn_ended_ns - w->turn_started_ns > w->window_lag_ns)
        w->window_lag_ns = w->turn_ended_ns - w->turn_started_ns;
}

/* The wheel's clock stands at the start of the last turn, which took its time. */
static int64_t wait_ms(const wf_worker *w) {
    int64_t wait = wf_timers_wait_ms(&w->env.timers), passed = (int64_t)(w->turn_ended_ns / 1000000 - w->env.now_ms);
    if (w->env.pool.ready_count > 0 || !wf_mailbox_empty(&w->mail))
        return 0;
    return wait < 0 ? wait : wait > passed ? wait - passed : 0;
}

static void turn(wf_worker *w) {
    wf_loop_wait(w->loop, wait_ms(w));
    w->turn_started_ns = wf_clock_ns();
    w->env.now_ms = w->turn_started_ns / 1000000;
    w->env.turn++;
    w->hub.now_ms = w->env.now_ms;
    wf_loop_event event;
    while (wf_loop_next(w->loop, &event) == WF_OK)
        on_loop_event(w, &event);
    read_mail(w);
    run_timers(w);
    if (atomic_load_explicit(&w->server->drain, memory_order_relaxed))
        wf_worker_drain(w);
    end_turn(w);
}

static void close_all(wf_worker *w) {
    for (uint32_t i = 0; i < w->slots.high; i++) {
        weft_conn *conn = wf_slots_at(&w->slots, i);
        if (conn) {
            wf_link_die(&conn->link, 0, "the server stopped");
            wf_conn_pump(conn);
        }
    }
    end_turn(w);
}

void *wf_worker_run(void *arg) {
    wf_worker *w = arg;
    current = w;
    wf_big_keep(big_bytes_max(w->server));
    wf_deflate_init(&w->shared, &w->env.codec, WF_WINDOW_BITS_MAX, false, w->server->deflate_bytes_min);
    w->turn_ended_ns = wf_clock_ns();
    w->env.now_ms = w->window_started_ms = w->turn_ended_ns / 1000000;
    wf_timers_add(&w->env.timers, &w->tick, w->env.now_ms + TICK_MS);
    if (w->index == 0)
        begin_chores(w);
    while (!atomic_load_explicit(&w->server->stop, memory_order_relaxed) && !wf_worker_drained(w))
        turn(w);
    wf_worker_deafen(w);
    close_all(w);
    wf_loop_flush(w->loop);
    wf_big_keep(0);
    current = NULL;
    return NULL;
}
