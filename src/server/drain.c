/*
 * A graceful end. Listening stops at once; then the connections of each worker are closed one after another, spread evenly
 * over the time given, so that their clients do not all come back in the same instant. Idle HTTP connections just end,
 * requests that wait for an answer get it. Who is still there some seconds after the spread is cut.
 */
#include "server/server_impl.h"

enum { AFTER_MS = 5000, STEP_MS = 10 };

static void begin(wf_worker *w, unsigned order) {
    w->drain_seen = order;
    w->drain_started_ms = w->env.now_ms;
    w->drain_total = w->slots.used;
    for (size_t i = 0; i < w->server->listener_count; i++)
        wf_sock_close(w->loop, &w->listeners[i]);
}

static void drain_one(weft_conn *conn, int code) {
    switch (conn->link.stage) {
    case WF_LINK_OPEN:
        wf_link_close(&conn->link, code, code == WEFT_CLOSE_RESTART ? "server restarts" : "server is going away");
        break;
    case WF_LINK_HTTP:
        if (!conn->link.reader && conn->link.q.bytes == 0)
            wf_link_die(&conn->link, 0, "the server stopped");
        break;
    default:
        break;
    }
    wf_worker_pump(conn);
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
    uint64_t due = elapsed >= spread ? UINT32_MAX : (uint64_t)w->drain_total * elapsed / spread + 1;
    while (w->drain_done < due && w->drain_slot < w->slots.high) {
        weft_conn *conn = w->slots.table[w->drain_slot++].conn;
        if (conn) {
            w->drain_done++;
            drain_one(conn, (int)(order >> 1));
        }
    }
    if (elapsed >= spread && w->drain_slot >= w->slots.high)
        w->drain_slot = 0; /* once more for those that were busy with a request */
    uint64_t next = w->env.now_ms + STEP_MS;
    if (!wf_timer_armed(&w->tick) || next < w->tick.deadline_ms)
        wf_timers_add(&w->env.timers, &w->tick, next);
}

bool wf_worker_drained(const wf_worker *w) {
    return w->drain_seen != 0 && w->slots.used == 0;
}
