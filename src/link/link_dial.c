/*
 * A client's connection until it is a WebSocket: the request waits in the queue while the socket connects, leaves
 * with the first flush that succeeds, and then its answer is read.
 */
#include "link/link_impl.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void wf_link_dial(wf_link *link, wf_link_env *env, const wf_link_limits *limits, uint32_t connect_timeout_ms) {
    memset(link, 0, sizeof *link);
    link->env = env;
    link->sock.fd = -1;
    wf_ws_init(&link->ws, WF_WS_CLIENT, &limits->ws);
    wf_outq_init(&link->q, &env->pool, limits->queue_bytes_max, limits->slow_policy);
    wf_link_enter(link, WF_LINK_CONNECTING, connect_timeout_ms);
}

void wf_link_expect(wf_link *link, uint32_t timeout_ms) {
    wf_link_enter(link, WF_LINK_CONNECTING, timeout_ms);
}

static int queue_request(wf_link *link, wf_str request) {
    if (request.len == 0) {
        wf_outq_mark_ready(&link->q);
        return WF_OK;
    }
    uint8_t *room = link->q.bytes == 0 ? wf_outq_write(&link->q, request.len) : NULL;
    if (link->q.bytes == 0)
        return WF_ENOMEM;
    if (room)
        memcpy(room, request.data, request.len);
    return WF_OK;
}

int wf_link_connect(wf_link *link, int fd, wf_tls *tls, wf_str request) {
    int got = queue_request(link, request);
    return got == WF_OK ? wf_link_adopt(link, fd, tls) : got;
}

int wf_link_connect_port(wf_link *link, wf_port *port, wf_str request) {
    if (queue_request(link, request) < 0 || wf_port_adopt(link->env->loop, &link->sock, port) < 0)
        return WF_ENOMEM;
    if (link->stage == WF_LINK_CONNECTING)
        wf_link_connected(link);
    return WF_OK;
}

void wf_link_connected(wf_link *link) {
    link->connected = true;
    if (!link->tunnels)
        wf_link_enter(link, WF_LINK_REPLY, wf_link_limits_of(link)->handshake_timeout_ms);
}

void wf_link_tunnel(wf_link *link) {
    link->tunnels = true;
}

int wf_link_through(wf_link *link, wf_tls *tls, wf_str request) {
    wf_assert(link->q.bytes == 0);
    if (queue_request(link, request) < 0 || (tls && wf_link_take_tls(link, tls) < 0))
        return WF_ENOMEM;
    link->tunnels = false;
    wf_link_connected(link);
    return WF_OK;
}

/* What was meant for the proxy must have left before anything else is said: it would be told to the target. */
static int next_bytes(wf_link *link, wf_link_event *out_event) {
    uint8_t *in;
    size_t in_len = wf_ws_take_rest(&link->ws, &in);
    if (in_len > 0 && !wf_link_all_sent(link))
        wf_link_die(link, 0, "the proxy spoke before it was asked");
    if (link->stage == WF_LINK_DEAD || (in_len == 0 && !link->input_over))
        return WF_WANT_INPUT;
    out_event->kind = WF_LINK_BYTES;
    out_event->message.data = in;
    out_event->message.len = in_len;
    return WF_OK;
}

/* An answer before the request is none, and what it says will not fit our key: so it needs no rule here. */
int wf_link_next_reply(wf_link *link, wf_link_event *out_event) {
    if (link->tunnels)
        return next_bytes(link, out_event);
    uint8_t *in;
    size_t in_len = wf_ws_take_rest(&link->ws, &in);
    if (in_len == 0 && !link->input_over)
        return WF_WANT_INPUT;
    if (link->secure && !wf_tls_was_ready(link->aside->tls)) {
        wf_link_die(link, ECONNRESET, "the connection ended");
        return WF_WANT_INPUT;
    }
    if (!link->reply && !(link->reply = wf_http_reply_reader_new(&link->env->http->limits))) {
        wf_link_die(link, ENOMEM, "out of memory");
        return WF_WANT_INPUT;
    }
    int got = WF_WANT_INPUT;
    size_t used = 0;
    if (in_len > 0)
        got = wf_http_reply_feed(link->reply, in, in_len, &used);
    wf_ws_feed(&link->ws, in + used, in_len - used);
    if (got == WF_WANT_INPUT && link->input_over)
        got = wf_http_reply_end(link->reply);
    if (got == WF_WANT_INPUT)
        return got;
    if (got < 0) {
        const wf_fault *fault = wf_http_reply_fault(link->reply);
        wf_link_die(link, got == WF_ENOMEM ? ENOMEM : fault->sys_errno, fault->rule);
        return WF_WANT_INPUT;
    }
    wf_link_enter(link, WF_LINK_WAITING, WF_NEVER);
    out_event->kind = WF_LINK_REPLIED;
    return WF_OK;
}

bool wf_link_reply_will_do(wf_link *link) {
    if (link->stage != WF_LINK_REPLY || !link->reply || !wf_http_reply_has_head(link->reply))
        return false;
    link->input_over = true;
    link->deadlines.until_ms = 0;
    return true;
}

wf_http_reply_reader *wf_link_take_reply(wf_link *link) {
    wf_http_reply_reader *reply = link->reply;
    link->reply = NULL;
    return reply;
}

void wf_link_open(wf_link *link) {
    link->ping_ns = 0;
    wf_deadlines_ping_init(&link->deadlines, link->env->now_ms);
    link->deadlines.input_ms = link->deadlines.message_ms = (uint32_t)link->env->now_ms;
    wf_link_enter(link, WF_LINK_OPEN, WF_NEVER);
}
