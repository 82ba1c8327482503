/*
 * Pings and pongs: those asked for, those of the heartbeat, and what the peer sends by itself.
 */
#include "cli/connect/connect.h"

#include <stdio.h>
#include <string.h>

static void print(connect_session *s, const char *op, weft_message frame, uint64_t rtt_ns) {
    connect_event e = connect_event_of(op, frame.data, frame.len);
    e.rsv = 0; /* else it had broken the connection */
    e.wire_len = (int64_t)(2 + frame.len);
    e.rtt_ns = rtt_ns;
    connect_print_event(s, &e);
}

/* Of weft_conn_ping: the payload is the library's. */
void connect_on_pong(weft_conn *conn, uint64_t rtt_ns, void *user) {
    connect_session *s = user;
    (void)conn;
    if (s->options->json) {
        connect_event e = connect_event_of("pong", NULL, 0);
        e.rsv = 0;
        e.len = EVENT_UNKNOWN;
        e.data = NULL;
        e.rtt_ns = rtt_ns;
        connect_print_event(s, &e);
    } else if (s->options->show_pongs || s->asked_pong) {
        connect_note(s, "pong after %.3f ms", (double)rtt_ns / 1e6);
    }
    s->asked_pong = false;
}

/* The one with a text of ours comes here, as does what nobody asked for. */
void connect_on_control(weft_conn *conn, weft_message frame, void *user) {
    connect_session *s = user;
    (void)conn;
    bool is_ping = frame.kind == WEFT_PING;
    bool is_asked =
        !is_ping && s->ping_ns > 0 && frame.len == s->ping_len && memcmp(frame.data, s->ping_text, frame.len) == 0;
    uint64_t rtt_ns = is_asked ? connect_now_ns() - s->ping_ns : 0;
    if (is_asked)
        s->ping_ns = 0;
    if (s->options->json)
        print(s, is_ping ? "ping" : "pong", frame, rtt_ns);
    else if (is_asked)
        connect_note(s, "pong \"%.*s\" after %.3f ms", (int)frame.len, (const char *)frame.data, (double)rtt_ns / 1e6);
    else if (s->options->show_pongs)
        connect_note(s, "%s%s%.*s", is_ping ? "ping from the peer" : "pong from the peer that nobody asked for",
                     frame.len ? ": " : "", (int)frame.len, (const char *)frame.data);
}

int connect_ping_text(connect_session *s, const char *text, size_t len) {
    int got = connect_send(s, WEFT_PING, text, len);
    if (got != WEFT_OK)
        return got;
    memcpy(s->ping_text, text, len);
    s->ping_len = len;
    s->ping_ns = connect_now_ns();
    return WEFT_OK;
}
