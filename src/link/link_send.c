/*
 * From the queue to the socket. What the kernel does not take at once is its loop's to tell of (SENT); until then the
 * connection is in flight, and nothing more is offered. What an empty queue means is the stage's: a close frame or the
 * last answer has left, and the connection may end.
 */
#include "link/link_impl.h"

#include "base/mem.h"
#include "base/usual.h"

#include <errno.h>
#include <string.h>

enum { RANGES_MAX = 64 };

int wf_link_queue(wf_link *link, const void *data, size_t len) {
    if (len == 0)
        return WF_OK;
    uint8_t *room = wf_outq_write(&link->q, len);
    if (!room) {
        wf_link_die(link, ENOMEM, "out of memory");
        return WF_ENOMEM;
    }
    memcpy(room, data, len);
    return WF_OK;
}

static void end_said(wf_link *link) {
    if (wf_link_seal_end(link))
        wf_link_linger(link);
}

static void flushed(wf_link *link) {
    if (link->deadlines.sending) {
        if (link->deadlines.ping_ms)
            link->deadlines.ping_ms = wf_time_kept(link->env->now_ms); /* it may have left only now */
        link->deadlines.sending = false;
    }
    if (link->stage == WF_LINK_CLOSING)
        wf_link_close_done(link);
    else if (link->stage == WF_LINK_STREAM_END)
        wf_link_stream_done(link);
    else if ((link->stage == WF_LINK_HTTP || link->stage == WF_LINK_RAW) && link->close_after)
        end_said(link);
    else if (link->stage == WF_LINK_HTTP && link->served && !link->reader) /* an answer takes the time it takes */
        wf_link_enter(link, WF_LINK_HTTP, link->env->http->keep_alive_ms);
}

void wf_link_await_sent(wf_link *link) {
    link->in_flight = true;
    if (!link->deadlines.sending && link->stage != WF_LINK_CONNECTING) {
        link->deadlines.sending = true;
        link->deadlines.output_ms = (uint32_t)link->env->now_ms;
        wf_link_arm(link);
    }
}

static inline int64_t send_ranges(wf_link *link, const struct iovec *ranges, int count) {
    if (link->secure)
        return wf_link_seal(link, ranges, count);
    int64_t sent = link->stage == WF_LINK_OPEN ? wf_sock_send_soon(link->env->loop, &link->sock, ranges, count)
                                               : wf_sock_send(link->env->loop, &link->sock, ranges, count);
    if (sent > 0)
        wf_link_count_sent(link, (size_t)sent);
    return sent;
}

/* What became of a connect is told once. When a receive that waits has been told, a send finds a broken pipe: the event
 * that is on its way says why. */
static void send_failed(wf_link *link) {
    if (link->stage != WF_LINK_CONNECTING || errno != EPIPE)
        wf_link_failed(link, errno);
}

/* What was sealed goes first. False: nothing else can go now. The last step of a handshake leaves with what follows it:
 * it saves a call, and a server that refuses our certificate then has not closed between the two, which would reset the
 * connection before its alert is read. */
static bool flush_sealed(wf_link *link) {
    bool follows = wf_tls_ready(link->aside->tls) && wf_outq_sendable(&link->q) > 0;
    if (!follows && wf_link_send_sealed(link) < 0) {
        send_failed(link);
        return false;
    }
    return link->stage != WF_LINK_DEAD && !link->in_flight && wf_tls_was_ready(link->aside->tls);
}

/* What came of a send. False: nothing more can be sent now. */
static inline bool offered(wf_link *link, int64_t sent) {
    if (wf_usual(sent > 0)) {
        wf_outq_taken(&link->q, (size_t)sent);
        return true;
    }
    if (sent < 0) {
        send_failed(link);
        return false;
    }
    wf_outq_taken(&link->q, 0); /* nothing was kept: what waits may still be dropped */
    wf_link_await_sent(link);
    return false;
}

static __attribute__((noinline)) void flush_all(wf_link *link) {
    struct iovec ranges[RANGES_MAX];
    if (link->stage == WF_LINK_DEAD)
        return;
    wf_link_fail_slow(link);
    if (link->in_flight || (link->secure && !flush_sealed(link)))
        return;
    do {
        wf_link_encode(link, RANGES_MAX);
        int count = wf_outq_gather(&link->q, ranges, RANGES_MAX);
        if (count == 0)
            break;
        if (!offered(link, send_ranges(link, ranges, count)))
            return;
        if (link->stage == WF_LINK_CONNECTING)
            wf_link_connected(link);
    } while (wf_outq_sendable(&link->q) > 0 && !link->in_flight);
    if (wf_outq_sendable(&link->q) == 0 && !link->in_flight)
        flushed(link);
}

/* The usual flush is one range that leaves whole. */
void wf_link_flush(wf_link *link) {
    struct iovec range;
    if (wf_usual(link->stage == WF_LINK_OPEN && !link->q.overflowed && !link->in_flight && !link->secure &&
                 wf_outq_gather_one(&link->q, &range))) {
        int64_t sent = wf_sock_send_soon(link->env->loop, &link->sock, &range, 1);
        if (wf_usual(sent > 0))
            wf_link_count_sent(link, (size_t)sent);
        if (!offered(link, sent))
            return;
        if (wf_usual(link->q.bytes == 0 && !link->deadlines.sending))
            return;
    }
    flush_all(link);
}

void wf_link_sent(wf_link *link, size_t len) {
    link->in_flight = false;
    if (len > 0)
        wf_link_count_sent(link, len);
    wf_outq_taken(&link->q, len);
    wf_link_flush(link);
}

void wf_link_waits(wf_link *link) {
    wf_link_await_sent(link);
    link->deadlines.output_ms = (uint32_t)link->env->now_ms;
}
