/*
 * HTTP/2 connections: each stream is a weft_conn like any other, on a port in place of a socket, so that routes,
 * limits, deadlines and callbacks are the same for all (RFC 8441).
 *
 *      bytes --> link (RAW) --> wf_h2 --> stream --event--> weft_conn's link --> ...
 *      bytes <-- link (RAW) <-- wf_h2 <-- stream <--port--- weft_conn's link <-- ...
 *
 * The connection itself has no application. It is pumped after whatever may have moved one of its streams: its own
 * bytes, or a flush, for which a stream that has sent puts it on the ready list.
 */
#include "server/server_impl.h"

#include "base/mem.h"
#include "http/h2.h"

#include <errno.h>

enum { STREAMS_MAX = 100, ROUNDS_MAX = 16 };

typedef struct stream_port {
    wf_port port; /* first. Below is the sock of the HTTP/2 connection */
    wf_h2_stream *stream;
} stream_port;

static wf_h2_stream *stream_of(wf_port *port) {
    return ((stream_port *)port)->stream;
}

/* There is something for the connection to send. */
static void stir(wf_port *port) {
    weft_conn *below = (weft_conn *)port->below; /* a sock leads to its connection */
    wf_outq_mark_ready(&below->link.q);
}

/* ---- a sock's calls ---- */

static void port_pause(wf_port *port) {
    wf_h2_stream_pause(stream_of(port));
}

static void port_resume(wf_port *port) {
    wf_h2_stream_resume(stream_of(port));
    stir(port);
}

static int64_t port_send(wf_port *port, const struct iovec *ranges, int count) {
    int64_t taken = wf_h2_stream_send(stream_of(port), ranges, count);
    if (taken < 0) {
        errno = ENOMEM;
        return WF_ESYS;
    }
    stir(port);
    return taken > 0 ? taken : WF_SEND_LATER;
}

static void port_shutdown(wf_port *port) {
    wf_h2_stream_end(stream_of(port));
    stir(port);
}

static void port_close(wf_port *port, bool abort) {
    wf_h2_stream_close(stream_of(port), abort);
    stir(port);
    wf_mem_free(port);
}

static const wf_port_calls calls = {port_pause, port_resume, port_send, port_shutdown, port_close};

/* ---- streams ---- */

static void open_stream(weft_conn *below, wf_h2_stream *stream) {
    stream_port *port = wf_mem_zalloc(sizeof *port);
    if (!port) {
        wf_h2_stream_close(stream, true);
        return;
    }
    *port = (stream_port) {.port = {.calls = &calls, .below = &below->link.sock}, .stream = stream};
    wf_h2_stream_set_user(stream, port);
    if (wf_worker_accept_port(wf_conn_worker(below), &port->port))
        return;
    wf_mem_free(port);
    wf_h2_stream_close(stream, true);
}

static void deliver(weft_conn *conn, const wf_h2_event *event) {
    switch (event->kind) {
    case WF_H2_RECEIVED:
        wf_link_received(&conn->link, event->data, event->len);
        break;
    case WF_H2_EOF:
        wf_link_input_over(&conn->link);
        break;
    case WF_H2_SENT:
        wf_link_sent(&conn->link, 0);
        break;
    default:
        wf_link_failed(&conn->link, ECONNRESET);
        break;
    }
    wf_conn_pump(conn);
    wf_outq_mark_ready(&conn->link.q);
}

/* False: there was nothing to tell. */
static bool tell_streams(weft_conn *below) {
    wf_h2_event event;
    bool told = false;
    for (; wf_h2_next(below->http2, &event) == WF_OK; told = true) {
        stream_port *port = wf_h2_stream_user(event.stream);
        if (event.kind == WF_H2_OPENED)
            open_stream(below, event.stream);
        else if (port)
            deliver((weft_conn *)port->port.sock, &event);
    }
    return told;
}

/* Who has no more to say on a connection reads answers at most. */
static void half_close_requests(weft_conn *below) {
    for (wf_h2_stream *s = NULL; (s = wf_h2_next_stream(below->http2, s));) {
        stream_port *port = wf_h2_stream_user(s);
        weft_conn *conn = port ? (weft_conn *)port->port.sock : NULL;
        if (conn && !conn->half_open && !conn->opened && conn->request)
            wf_request_half_close(conn->request);
    }
}

/* ---- the connection ---- */

void wf_http2_begin(weft_conn *conn) {
    const weft_config *config = &wf_conn_worker(conn)->server->config;
    wf_worker_half_done(conn);
    conn->http2 = wf_h2_new(&(wf_h2_limits) {.head_bytes_max = config->head_bytes_max,
                                             .streams_max = STREAMS_MAX,
                                             .held_bytes = &conn->link.env->input_bytes});
    conn->is_http2 = conn->http2 != NULL;
    if (!conn->is_http2)
        wf_link_die(&conn->link, ENOMEM, "out of memory");
}

void wf_http2_bytes(weft_conn *conn, const wf_ws_event *bytes) {
    if (conn->is_http2 && wf_h2_feed(conn->http2, bytes->data, bytes->len) == WF_ENOMEM)
        wf_link_die(&conn->link, ENOMEM, "out of memory");
}

/* What there is to be sent, as far as there is room. True: there may be more. */
static bool fill(weft_conn *conn) {
    const uint8_t *data;
    size_t len;
    while (wf_link_raw_room(&conn->link) > 0) {
        if ((len = wf_h2_output(conn->http2, &data)) == 0)
            return false;
        if (wf_link_send_raw(&conn->link, data, len) != WF_OK)
            return false;
    }
    return true;
}

bool wf_http2_pump(weft_conn *conn) {
    size_t held = wf_h2_memory(conn->http2);
    bool more = false, input_over = wf_link_raw_input_over(&conn->link);
    if (input_over)
        wf_h2_input_over(conn->http2);
    for (int round = 0; round < ROUNDS_MAX && (tell_streams(conn) || round == 0); round++) {
        if (conn->link.stage != WF_LINK_RAW)
            return false;
        more = fill(conn); /* what went may make room for more */
    }
    if (input_over)
        half_close_requests(conn);
    /* Streams have deadlines of their own. When nobody has one, the peer is to go on: with a head that it has begun,
     * with windows for the last answers, or with something new. */
    bool idle = wf_h2_owned(conn->http2) == 0, takes = wf_h2_memory(conn->http2) < held;
    if (idle == (conn->link.deadlines.until_ms == 0) || (idle && takes))
        wf_link_raw_idle(&conn->link, idle);
    /* What a peer that has said its last has no window for never goes. */
    if (!more && (wf_h2_over(conn->http2) || (conn->http2_leaves && wf_h2_streams(conn->http2) == 0) ||
                  (input_over && wf_h2_owned(conn->http2) == 0)))
        wf_link_raw_end(&conn->link);
    return more;
}

void wf_http2_leave(weft_conn *conn) {
    conn->http2_leaves = true;
    wf_h2_go_away(conn->http2);
    wf_outq_mark_ready(&conn->link.q);
}

void wf_http2_end(weft_conn *conn) {
    wf_h2_cut(conn->http2);
    tell_streams(conn);
    wf_h2_free(conn->http2);
    conn->http2 = NULL;
    conn->is_http2 = false;
}
