/*
 * A graceful end. Listening stops at once; then the connections of each worker are closed one after another,
 * spread evenly over the time given, so that their clients do not all come back in the same instant. Idle
 * HTTP connections just end, requests that wait for an answer get it. Who is still there some seconds after
 * the spread is cut.
 *
 * What was published before the order may still be on its way between workers, and is for those who are about to be
 * closed: so each worker sends a fence through all mailboxes, its own too, and closes nobody until all are back.
 */
#include "server/server_impl.h"

enum { AFTER_MS = 5000, STEP_MS = 10, AGAIN_MS = 100 };

void wf_worker_deafen(wf_worker *w) {
    for (size_t i = 0; i < w->server->listener_count; i++)
        wf_sock_close(w->loop, &w->listeners[i]);
    if (w->index == 0)
        wf_server_remove_socket_files(w->server);
}

/* Between two requests: nobody waits for anything. */
static bool end_idle_http(weft_conn *conn) {
    if (conn->is_http2 && !conn->http2_leaves)
        wf_http2_leave(conn);
    if (conn->link.stage != WF_LINK_HTTP || conn->link.reader || conn->link.q.bytes > 0 || conn->link.in_flight)
        return false;
    wf_link_die(&conn->link, 0, "the server stopped");
    wf_conn_pump(conn);
    return true;
}

void wf_worker_fence(wf_worker *w, wf_mail *m) {
    unsigned from = (unsigned)m->handle;
    if (m->code == 0) { /* on its way there */
        m->code = 1;
        wf_worker_mail(w, from, m);
        return;
    }
    w->drain_fences--;
    wf_mail_free(m);
}

/* Without memory it is as it was without fences. */
static void send_fences(wf_worker *w) {
    for (unsigned i = 0; i < w->server->worker_count; i++) {
        wf_mail *m = wf_mail_new(MAIL_FENCE, w->index, NULL, NULL, 0);
        if (!m)
            continue;
        wf_worker_mail(w, i, m);
        w->drain_fences++;
    }
}

static void begin(wf_worker *w, unsigned order) {
    w->drain_seen = order;
    w->drain_started_ms = w->env.now_ms;
    w->drain_total = 0;
    send_fences(w);
    wf_worker_deafen(w);
    if (w->index == 0)
        wf_worker_chores_now(w); /* whoever keeps requests waiting may end that */
    atomic_fetch_add(&w->server->deaf_workers, 1);
    for (uint32_t i = 0; i < w->slots.high; i++) {
        weft_conn *conn = wf_slots_at(&w->slots, i);
        if (conn && !end_idle_http(conn))
            w->drain_total++;
    }
}

static void drain_one(weft_conn *conn, int code) {
    if (wf_link_is_open(&conn->link)) {
        wf_link_close(&conn->link, code, code == WEFT_CLOSE_RESTART ? "server restarts" : "server is going away");
        wf_conn_pump(conn);
    } else {
        end_idle_http(conn);
    }
}

/* How many of this worker's connections are to be closed by now. The workers' turns interleave: with W
 * workers of n connections each the k-th close of worker i is at (k + i/W) / n of the spread. */
static uint64_t due_by(const wf_worker *w, uint64_t elapsed, uint64_t spread) {
    uint64_t workers = w->server->worker_count;
    uint64_t passed = w->drain_total * elapsed * workers, offset = w->index * spread;
    return passed >= offset ? (passed - offset) / (spread * workers) + 1 : 0;
}

void wf_worker_drain(wf_worker *w) {
    unsigned order = atomic_load(&w->server->drain);
    uint64_t spread = atomic_load(&w->server->drain_spread_ms);
    if (!w->drain_seen)
        begin(w, order);
    uint64_t elapsed = w->env.now_ms - w->drain_started_ms;
    if (elapsed > spread + AFTER_MS) {
        atomic_store(&w->server->stop, true);
        return;
    }
    uint64_t due = w->drain_fences > 0 ? 0 : elapsed >= spread ? UINT32_MAX : due_by(w, elapsed, spread);
    while (w->drain_done < due && w->drain_slot < w->slots.high) {
        weft_conn *conn = wf_slots_at(&w->slots, w->drain_slot++);
        if (conn) {
            w->drain_done++;
            drain_one(conn, (int)(order >> 1));
        }
    }
    if (elapsed >= spread && w->drain_fences == 0 && w->drain_slot >= w->slots.high &&
        w->env.now_ms >= w->drain_again_ms) {
        w->drain_slot = 0; /* once more for those that were busy with a request */
        w->drain_again_ms = w->env.now_ms + AGAIN_MS;
    }
    uint64_t next = w->env.now_ms + STEP_MS;
    if (!wf_timer_armed(&w->tick) || next < w->tick.deadline_ms)
        wf_timers_add(&w->env.timers, &w->tick, next);
}

/* Who has no connections left stays as long as anybody has, or may still accept one: it is the home of topics. */
bool wf_worker_drained(const wf_worker *w) {
    const weft_server *server = w->server;
    return w->drain_seen != 0 && atomic_load(&server->deaf_workers) == server->worker_count &&
           atomic_load(&server->connection_count) == 0;
}
