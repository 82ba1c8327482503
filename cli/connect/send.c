/*
 * What we send: each call of the library, and the event it is. Its bytes on the wire are what the queue has grown by.
 */
#include "cli/connect/connect.h"

#include <stdio.h>
#include <string.h>

enum { RSV1 = 4, MASK_BYTES = 4 };

static const char *const ops[] = {
    [WEFT_TEXT] = "text", [WEFT_BINARY] = "binary", [WEFT_PING] = "ping", [WEFT_PONG] = "pong"};

/* Of a client's frame that is not compressed. */
static int64_t plain_wire_len(size_t len) {
    return (int64_t)(2 + (len < 126 ? 0U : len < 65536 ? 2U : 8U) + MASK_BYTES + len);
}

static void tell(connect_session *s, connect_event *e, size_t queued_before) {
    e->is_out = true;
    e->rsv = 0;
    e->wire_len = (int64_t)(weft_conn_buffered(s->conn) - queued_before);
    connect_print_event(s, e);
}

int connect_send(connect_session *s, weft_kind kind, const void *data, size_t len) {
    size_t before = weft_conn_buffered(s->conn);
    int got = weft_conn_send(s->conn, kind, data, len);
    if (got != WEFT_OK || !s->options->json)
        return got;
    connect_event e = connect_event_of(ops[kind], data, len);
    e.is_out = true;
    e.wire_len = (int64_t)(weft_conn_buffered(s->conn) - before);
    e.rsv =
        e.wire_len < plain_wire_len(len) ? RSV1 : 0; /* it is compressed where that makes it shorter, and only there */
    connect_print_event(s, &e);
    return WEFT_OK;
}

int connect_send_fragment(connect_session *s, weft_kind kind, const void *data, size_t len, bool fin) {
    size_t before = weft_conn_buffered(s->conn);
    kind = s->fragmenting ? s->fragmenting : kind;
    int got = weft_conn_send_fragment(s->conn, kind, data, len, fin);
    if (got != WEFT_OK)
        return got;
    if (s->options->json) {
        connect_event e = connect_event_of(s->fragmenting ? "continuation" : ops[kind], data, len);
        e.is_binary = kind == WEFT_BINARY;
        e.fin = fin;
        tell(s, &e, before);
    }
    s->fragmenting = fin ? 0 : kind;
    return WEFT_OK;
}

int connect_close(connect_session *s, int code, const char *reason) {
    size_t before = weft_conn_buffered(s->conn);
    int got = weft_conn_close(s->conn, code, reason);
    if (got != WEFT_OK)
        return got;
    s->is_leaving = true;
    if (s->options->json) {
        char more[32];
        connect_event e = connect_event_of("close", reason, reason ? strlen(reason) : 0);
        snprintf(more, sizeof more, "\"code\":%d", code);
        e.more = more;
        tell(s, &e, before);
    }
    return WEFT_OK;
}

int connect_ping(connect_session *s) {
    int got = weft_conn_ping(s->conn);
    if (got == WEFT_OK && s->options->json) {
        connect_event e = connect_event_of("ping", NULL, 0);
        e.is_out = true;
        e.rsv = 0;
        e.len = EVENT_UNKNOWN; /* the library's secret */
        e.data = NULL;
        connect_print_event(s, &e);
    }
    return got;
}
