/*
 * One turn of a worker:
 *
 *      wait -> socket events -> mail -> timers -> flush what got output -> post mail to other workers -> free what ended
 *
 * Whatever happens to a connection ends in wf_worker_pump, which pulls its events and calls the application. No API call
 * calls back, so a pump is never inside another.
 */
#include "server/server_impl.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#include <sys/random.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 1000, LAG_WINDOW_MS = 1000, HISTORY_BYTES_MAX = 64 << 20, VACANT_MAX = 10000, VACANT_MS = 600000 };

static _Thread_local wf_worker *current;

wf_worker *wf_worker_current(void) {
    return current;
}

int wf_worker_init(wf_worker *w, weft_server *server, unsigned index) {
    w->server = server;
    w->index = index;
    w->env.http = &server->http;
    w->env.now_ms = wf_clock_ms();
    wf_timers_init(&w->env.timers, w->env.now_ms);
    wf_hub_config hub = {.history_bytes_max = HISTORY_BYTES_MAX,
                         .vacant_max = VACANT_MAX,
                         .vacant_ms = VACANT_MS};
    if (getrandom(hub.hash_key, sizeof hub.hash_key, 0) != sizeof hub.hash_key ||
        getrandom(&w->env.ping_secret, sizeof w->env.ping_secret, 0) != sizeof w->env.ping_secret)
        return WF_ESYS;
    wf_hub_init(&w->hub, &hub);
    w->loop = w->env.loop = wf_loop_new(0);
    w->outboxes = wf_mem_zalloc(server->worker_count * sizeof *w->outboxes);
    /* Some more than the maximum, to be told 503 instead of being dropped. */
    if (!w->loop || !w->outboxes || wf_slots_init(&w->slots, server->config.connections_max + 64) < 0)
        return WF_ENOMEM;
    return WF_OK;
}

static void free_ended(wf_worker *w) {
    while (w->ended) {
        weft_conn *conn = w->ended;
        w->ended = conn->half_next;
        wf_outq_deinit(&conn->link.q); /* what was published to it between its death and its end */
        wf_link_deinit(&conn->link);
        wf_mem_free(conn);
    }
}

static void free_mail(wf_mail *m) {
    if (m->kind == MAIL_ANSWER)
        wf_answer_free(m->answer);
    wf_mail_free(m);
}

void wf_worker_deinit(wf_worker *w) {
    if (!w->server)
        return;
    for (wf_mail *m = wf_mailbox_take(&w->mail), *next; m; m = next) {
        next = m->next;
        free_mail(m);
    }
    for (unsigned i = 0; w->outboxes && i < w->server->worker_count; i++) {
        for (wf_mail *m = w->outboxes[i].first, *next; m; m = next) {
            next = m->next;
            free_mail(m);
        }
    }
    wf_hub_deinit(&w->hub);
    wf_outq_pool_deinit(&w->env.pool);
    wf_slots_deinit(&w->slots);
    wf_mem_free(w->outboxes);
    wf_mem_free(w->listeners);
    wf_loop_free(w->loop);
}

/* ---- one connection ---- */

static void conn_ended(weft_conn *conn) {
    wf_worker *w = conn->worker;
    wf_worker_half_done(conn);
    wf_hub_leave_all(&w->hub, &conn->subscriber);
    if (conn->request) {
        wf_request_left(conn->request);
        weft_request_unref(conn->request);
        conn->request = NULL;
    }
    const wf_link_end *end = &conn->link.end;
    const wf_fault *fault = &conn->link.fault;
    if (conn->opened) {
        bool clean = end->sent_code && end->received_code && fault->status == 0;
        weft_close_info info = {
            .code = end->by_peer || clean ? end->received_code : fault->close_code,
            .reason = end->reason ? end->reason : "",
            .clean = clean,
            .by_peer = end->by_peer,
            .rule = fault->rule,
            .sys_errno = fault->sys_errno,
        };
        if (info.code == 0)
            info.code = WEFT_CLOSE_ABNORMAL;
        wf_count_add(&w->websockets, (uint64_t)-1);
        int counted = weft_close_slot(info.code);
        if (counted >= 0)
            wf_count_add(&w->closes[counted], 1);
        if (conn->route->is.closed)
            conn->route->is.closed(conn, &info, conn->route->is.user);
    }
    wf_slots_remove(&w->slots, conn);
    atomic_fetch_sub_explicit(&w->server->connection_count, 1, memory_order_relaxed);
    wf_count_add(&w->connections, (uint64_t)-1);
    conn->half_next = w->ended;
    w->ended = conn;
}

static void conn_open(weft_conn *conn) {
    weft_request *request = conn->request;
    conn->request = NULL;
    conn->open_due = false;
    conn->opened = true;
    wf_count_add(&conn->worker->websockets, 1);
    if (conn->route->is.open)
        conn->route->is.open(conn, request, conn->route->is.user);
    weft_request_unref(request);
}

void wf_worker_pump(weft_conn *conn) {
    wf_link_event event;
    for (;;) {
        if (conn->open_due)
            conn_open(conn);
        if (wf_link_next(&conn->link, &event) != WF_OK)
            return;
        const weft_route *route = conn->route ? &conn->route->is : NULL;
        switch (event.kind) {
        case WF_LINK_REQUEST:
            wf_on_request(conn);
            break;
        case WF_LINK_BROKEN:
            wf_on_broken(conn);
            break;
        case WF_LINK_UNANSWERED:
            wf_request_set_overdue(conn->request);
            wf_request_simple(conn->request, 503, "the application did not answer in time\n");
            break;
        case WF_LINK_MESSAGE:
            if (route->message)
                route->message(conn,
                               (weft_message) {(weft_kind)event.message.opcode, event.message.data, event.message.len},
                               route->user);
            break;
        case WF_LINK_PONG:
            if (route->pong)
                route->pong(conn, conn->link.rtt_ns, route->user);
            break;
        case WF_LINK_DRAINED:
            if (route->drained)
                route->drained(conn, route->user);
            break;
        case WF_LINK_ENDED:
            conn_ended(conn);
            return;
        }
    }
}

/* ---- one turn ---- */

static void on_loop_event(wf_worker *w, const wf_loop_event *event) {
    if (event->kind == WF_LOOP_ACCEPTED) {
        wf_worker_accept(w, event->fd);
        return;
    }
    if (event->kind == WF_LOOP_WOKEN)
        return; /* mail and orders are looked at each turn */
    weft_conn *conn = (weft_conn *)event->sock;
    switch (event->kind) {
    case WF_LOOP_RECEIVED:
        wf_link_received(&conn->link, event->data, event->len);
        break;
    case WF_LOOP_SENT:
        wf_link_sent(&conn->link, event->len);
        break;
    case WF_LOOP_EOF:
        wf_link_input_over(&conn->link);
        break;
    default:
        wf_link_failed(&conn->link, event->sys_errno);
        break;
    }
    wf_worker_pump(conn);
}

static void read_mail(wf_worker *w) {
    for (wf_mail *m = wf_mailbox_take(&w->mail), *next; m; m = next) {
        next = m->next;
        weft_conn *conn;
        switch (m->kind) {
        case MAIL_PUBLISH:
            wf_publish_home(w, m);
            continue; /* the mail goes on to the others */
        case MAIL_DELIVER:
            wf_publish_deliver(w, m);
            break;
        case MAIL_SEND:
            if ((conn = wf_handle_conn(w, m->handle)) && conn->opened && conn->link.stage == WF_LINK_OPEN &&
                wf_outq_publish(&conn->link.q, m->blob) == WF_OK)
                wf_count_add(&w->env.messages_out, 1);
            break;
        case MAIL_CLOSE:
            if ((conn = wf_handle_conn(w, m->handle)) && conn->opened)
                wf_link_close(&conn->link, m->code, m->text_len > 0 ? m->text : NULL);
            break;
        case MAIL_ANSWER:
            wf_request_apply(m->answer);
            m->answer = NULL;
            break;
        }
        wf_mail_free(m);
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
    wf_timers_add(&w->env.timers, &w->tick, w->env.now_ms + TICK_MS);
}

static void run_timers(wf_worker *w) {
    wf_timers_advance(&w->env.timers, w->env.now_ms);
    wf_timer *timer;
    while ((timer = wf_timers_next(&w->env.timers))) {
        if (timer == &w->tick) {
            on_tick(w);
            continue;
        }
        weft_conn *conn = (weft_conn *)((char *)timer - offsetof(weft_conn, link.timer));
        wf_link_timer_due(&conn->link);
        wf_worker_pump(conn);
    }
}

/* Sends what this turn has queued: one system call per connection. Flushing may open a gate and so produce more. */
static void flush(wf_worker *w) {
    wf_outq *q;
    while ((q = wf_outq_ready_take(&w->env.ready))) {
        weft_conn *conn = (weft_conn *)((char *)q - offsetof(weft_conn, link.q));
        wf_link_flush(&conn->link);
        if (wf_link_runnable(&conn->link))
            wf_worker_pump(conn);
    }
}

static void end_turn(wf_worker *w) {
    flush(w);
    for (unsigned i = 0; i < w->server->worker_count; i++)
        wf_outbox_post(&w->outboxes[i], &w->server->workers[i].mail, w->server->workers[i].loop);
    wf_worker_check_memory(w);
    free_ended(w);
    uint64_t lag = wf_clock_ns() - w->turn_started_ns;
    if (lag > w->window_lag_ns)
        w->window_lag_ns = lag;
}

static void turn(wf_worker *w) {
    int64_t wait = wf_timers_wait_ms(&w->env.timers);
    wf_loop_wait(w->loop, wait);
    w->turn_started_ns = wf_clock_ns();
    w->env.now_ms = w->turn_started_ns / 1000000;
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
        weft_conn *conn = w->slots.table[i].conn;
        if (conn) {
            wf_link_die(&conn->link, 0, "the server stopped");
            wf_worker_pump(conn);
        }
    }
    end_turn(w);
}

void *wf_worker_run(void *arg) {
    wf_worker *w = arg;
    current = w;
    w->env.now_ms = w->window_started_ms = wf_clock_ms();
    wf_timers_add(&w->env.timers, &w->tick, w->env.now_ms + TICK_MS);
    while (!atomic_load_explicit(&w->server->stop, memory_order_relaxed) && !wf_worker_drained(w))
        turn(w);
    for (size_t i = 0; i < w->server->listener_count; i++)
        wf_sock_close(w->loop, &w->listeners[i]);
    close_all(w);
    current = NULL;
    return NULL;
}
