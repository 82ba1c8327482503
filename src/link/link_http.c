/*
 * HTTP on a connection: one request is read, then nothing more until it is answered. The reader is made with
 * the first byte of a request and goes to the server with it, so that a request outlives its connection and
 * an idle one owns nothing.
 */
#include "link/link_impl.h"

#include <errno.h>
#include <string.h>

static const uint8_t preface[] = "PRI ";
enum { PREFACE_BYTES = sizeof preface - 1 };

/* By agreement in the TLS handshake, or because it begins so (RFC 9113 3.2, 3.3); no method of HTTP/1.1 is "PRI".
 * *out_read: of these bytes, a reader has so many already. */
static bool speaks_http2(const wf_link *link, const uint8_t *in, size_t len, size_t *out_read) {
    wf_str read = link->reader ? wf_http_reader_head(link->reader) : (wf_str) {NULL, 0};
    *out_read = read.len;
    if (link->served)
        return false;
    if (link->secure)
        return !link->reader && wf_tls_http2(link->aside->tls);
    return link->env->http->h2c && link->sock.kind != WF_SOCK_PORT && read.len < PREFACE_BYTES &&
           read.len + len >= PREFACE_BYTES && (read.len == 0 || memcmp(read.data, preface, read.len) == 0) &&
           memcmp(in, preface + read.len, PREFACE_BYTES - read.len) == 0;
}

/* What a reader has is given back with the event. */
static int begin_http2(wf_link *link, size_t read, wf_link_event *out_event) {
    wf_http_reader_free(wf_link_take_reader(link));
    wf_link_enter(link, WF_LINK_RAW, link->env->http->handshake_timeout_ms);
    out_event->kind = WF_LINK_HTTP2;
    out_event->message.data = preface;
    out_event->message.len = read;
    return WF_OK;
}

int wf_link_next_http(wf_link *link, wf_link_event *out_event) {
    uint8_t *in;
    size_t in_len = wf_ws_take_rest(&link->ws, &in);
    if (in_len == 0 || link->close_after) /* the last answer is on its way: nothing more is read */
        return WF_WANT_INPUT;
    size_t read;
    if (speaks_http2(link, in, in_len, &read)) {
        wf_ws_feed(&link->ws, in, in_len);
        return begin_http2(link, read, out_event);
    }
    if (!link->reader) {
        link->reader = wf_http_reader_new(&link->env->http->limits);
        if (!link->reader) {
            wf_link_die(link, ENOMEM, "out of memory");
            return WF_WANT_INPUT;
        }
        if (link->served) /* the first request's time runs since accept */
            wf_link_enter(link, WF_LINK_HTTP, link->env->http->handshake_timeout_ms);
    }
    size_t used = 0;
    int got = wf_http_reader_feed(link->reader, in, in_len, &used);
    wf_ws_feed(&link->ws, in + used, in_len - used);
    if (got == WF_WANT_INPUT) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (wf_http_reader_wants_continue(link->reader))
            wf_link_queue(link, go_on, sizeof go_on - 1);
        return WF_WANT_INPUT;
    }
    wf_link_enter(link, WF_LINK_WAITING, link->env->http->answer_timeout_ms);
    if (got == WF_OK) {
        link->waits_upgrade = wf_http_reader_request(link->reader)->websocket;
        out_event->kind = WF_LINK_REQUEST;
        return WF_OK;
    }
    link->waits_upgrade = false;
    wf_link_end *end = wf_link_ending(link);
    if (!end)
        return WF_WANT_INPUT;
    if (got == WF_ENOMEM)
        wf_fault_set(&end->fault, WF_ENOMEM, 503, "out of memory");
    else
        end->fault = *wf_http_reader_fault(link->reader);
    out_event->kind = WF_LINK_BROKEN;
    return WF_OK;
}

wf_http_reader *wf_link_take_reader(wf_link *link) {
    wf_http_reader *reader = link->reader;
    link->reader = NULL;
    return reader;
}

void wf_link_refuse(wf_link *link, int http_status, const char *rule) {
    if (link->stage == WF_LINK_DEAD)
        return;
    wf_link_end *end = wf_link_ending(link);
    if (!end)
        return;
    wf_fault_set(&end->fault, WF_ERROR, http_status, rule);
    link->due_broken = true;
    link->waits_upgrade = false;
    wf_link_enter(link, WF_LINK_WAITING, link->env->http->answer_timeout_ms);
}

int wf_link_reply(wf_link *link, const void *bytes, size_t len, bool close) {
    if (link->stage != WF_LINK_WAITING)
        return WF_ECLOSED;
    if (wf_link_queue(link, bytes, len) < 0)
        return WF_ENOMEM;
    wf_http_reader_free(wf_link_take_reader(link));
    link->served = true;
    link->waits_upgrade = false;
    link->close_after = close;
    /* Until it is sent, only a standstill ends it. Who is refused before TLS is there must get there first. */
    wf_link_enter(link, WF_LINK_HTTP, wf_link_can_send(link) ? WF_NEVER : link->env->http->handshake_timeout_ms);
    return WF_OK;
}

int wf_link_accept(wf_link *link, const void *bytes, size_t len, const wf_link_limits *limits) {
    if (link->stage != WF_LINK_WAITING)
        return WF_ECLOSED;
    if (wf_link_queue(link, bytes, len) < 0)
        return WF_ENOMEM;
    wf_outq_keep_ahead(&link->q); /* nothing overtakes the 101, and no fault drops it */
    wf_http_reader_free(wf_link_take_reader(link));
    link->q.bytes_max = limits->queue_bytes_max;
    link->q.policy = (uint8_t)limits->slow_policy;
    uint8_t *in;
    size_t in_len = wf_ws_take_rest(&link->ws, &in);
    wf_ws_init(&link->ws, WF_WS_SERVER, &limits->ws);
    wf_ws_feed(&link->ws, in, in_len); /* what came behind the request */
    wf_deadlines_ping_init(&link->deadlines, link->env->now_ms);
    link->deadlines.input_ms = link->deadlines.message_ms = (uint32_t)link->env->now_ms;
    wf_link_enter(link, WF_LINK_OPEN, WF_NEVER);
    return WF_OK;
}
