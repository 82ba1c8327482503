/*
 * From a connection's events to the application's callbacks, and nowhere else: whatever happens to a
 * connection, bytes, mail, a timer, a flush, ends in wf_conn_pump. No API call calls back, so a pump is never
 * inside another.
 */
#include "server/server_impl.h"

static void count_deflating(weft_conn *conn, int by) {
    weft_server *server = wf_conn_worker(conn)->server;
    if (conn->link.deflates)
        atomic_fetch_add_explicit(&server->deflating, (unsigned)by, memory_order_relaxed);
    if (conn->shares)
        atomic_fetch_add_explicit(&server->sharing, (unsigned)by, memory_order_relaxed);
}

static void conn_ended(weft_conn *conn) {
    wf_worker *w = wf_conn_worker(conn);
    wf_worker_half_done(conn);
    if (conn->is_http2) {
        wf_http2_end(conn);
    } else if (conn->opened) {
        wf_hub_leave_all(&w->hub, &conn->subscriber);
    } else if (conn->request) {
        wf_request_left(conn->request);
        weft_request_unref(conn->request);
        conn->request = NULL;
    }
    if (conn->opened) {
        weft_close_info info;
        wf_conn_close_info(conn, &info);
        wf_count_add(conn->link.is_stream ? &w->streams : &w->websockets, (uint64_t)-1);
        count_deflating(conn, -1);
        int counted = weft_close_slot(info.code);
        if (counted >= 0)
            wf_count_add(&w->closes[counted], 1);
        const weft_route *route = &wf_conn_route(conn)->is;
        if (route->closed)
            route->closed(conn, &info, route->user);
    }
    wf_slots_end(&w->slots, conn);
    atomic_fetch_sub_explicit(&w->server->connection_count, 1, memory_order_relaxed);
    wf_count_add(&w->connections, (uint64_t)-1);
    conn->ended_next = w->ended;
    w->ended = conn;
}

static void conn_open(weft_conn *conn) {
    weft_request *request = conn->request;
    const wf_route *route = wf_conn_route(conn);
    conn->subscriber = (wf_subscriber) {.count_max = route->topics_max};
    conn->open_due = false;
    conn->opened = true;
    conn->shares = conn->link.deflates && !conn->link.q.recodes;
    wf_count_add(conn->link.is_stream ? &wf_conn_worker(conn)->streams : &wf_conn_worker(conn)->websockets, 1);
    count_deflating(conn, 1);
    if (route->is.open)
        route->is.open(conn, request, route->is.user);
    weft_request_unref(request);
}

static void on_message(weft_conn *conn, const wf_ws_event *event) {
    const weft_route *route = &wf_conn_route(conn)->is;
    if (route->message)
        route->message(conn, wf_message_of(event), route->user);
    wf_worker_relieve(wf_conn_worker(conn));
}

static void on_unanswered(weft_conn *conn) {
    if (!wf_request_answered(conn->request))
        wf_request_set_overdue(conn->request);
    wf_request_simple(conn->request, 503, "the application did not answer in time\n");
    if (conn->request && !wf_request_answered(conn->request)) /* an answer may be on its way by mail */
        wf_link_die(&conn->link, 0, "out of memory");
}

/* All but messages. */
static __attribute__((noinline)) void on_event(weft_conn *conn, const wf_link_event *event) {
    const weft_route *route;
    switch (event->kind) {
    case WF_LINK_REQUEST:
        wf_on_request(conn);
        if (conn->open_due)
            conn_open(conn);
        break;
    case WF_LINK_HTTP2:
        wf_http2_begin(conn);
        wf_http2_bytes(conn, &event->message);
        break;
    case WF_LINK_BYTES:
        wf_http2_bytes(conn, &event->message);
        break;
    case WF_LINK_BROKEN:
        wf_on_broken(conn);
        break;
    case WF_LINK_UNANSWERED:
        on_unanswered(conn);
        break;
    case WF_LINK_PONG:
        route = &wf_conn_route(conn)->is;
        if (route->pong)
            route->pong(conn, conn->link.rtt_ns, route->user);
        break;
    case WF_LINK_CONTROL:
        route = &wf_conn_route(conn)->is;
        if (route->control)
            route->control(conn, wf_message_of(&event->message), route->user);
        break;
    case WF_LINK_DRAINED:
        route = &wf_conn_route(conn)->is;
        if (route->drained)
            route->drained(conn, route->user);
        break;
    case WF_LINK_ENDED:
        conn_ended(conn);
        break;
    default:
        break;
    }
}

void wf_conn_pump(weft_conn *conn) {
    wf_link_event event;
    if (conn->open_due)
        conn_open(conn);
    while (wf_link_next(&conn->link, &event) == WF_OK) {
        if (wf_usual(event.kind == WF_LINK_MESSAGE))
            on_message(conn, &event.message);
        else
            on_event(conn, &event);
    }
}
