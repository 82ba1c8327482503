/*
 * The socket's side of a connection: stages, the timer, reading, resting and ending. What the bytes mean is
 * in link_http.c, link_dial.c and link_ws.c; how they leave, in link_send.c; how they are sealed, in link_tls.c.
 *
 * Ending is the part that is easily got wrong, so there is one way: wf_link_die closes the socket, and ENDED
 * is pulled once after it. All else (a close handshake, a fault, a last HTTP answer) leads there, through
 * LINGER when the peer may still be sending: a close() with unread bytes would turn into a reset and could
 * destroy our last words on their way.
 */
#include "link/link_impl.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/usual.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* An HTTP client that sends requests and does not read answers is not read from either beyond
 * HTTP_QUEUE_BYTES. */
enum { LINGER_MS = 2000, HTTP_QUEUE_BYTES = 64 * 1024 };

int wf_link_take_tls(wf_link *link, wf_tls *tls) {
    wf_assert(!link->aside);
    link->aside = wf_mem_zalloc(sizeof *link->aside);
    if (!link->aside)
        return WF_ENOMEM;
    link->aside->tls = tls;
    link->secure = true;
    return WF_OK;
}

int wf_link_adopt(wf_link *link, int fd, wf_tls *tls) {
    if (tls && wf_link_take_tls(link, tls) < 0)
        return WF_ENOMEM;
    if (wf_sock_adopt(link->env->loop, &link->sock, fd) < 0) {
        wf_mem_free(link->aside);
        link->aside = NULL;
        link->secure = false;
        return WF_ESYS;
    }
    if (tls && wf_tls_waiting(tls) > 0)
        wf_outq_mark_ready(&link->q);
    return WF_OK;
}

static void init(wf_link *link, wf_link_env *env) {
    memset(link, 0, sizeof *link);
    link->env = env;
    wf_outq_init(&link->q, &env->pool, UINT32_MAX, WF_SLOW_CLOSE);
}

int wf_link_init_on_port(wf_link *link, wf_link_env *env, wf_port *port) {
    init(link, env);
    if (wf_port_adopt(env->loop, &link->sock, port) < 0)
        return WF_ENOMEM;
    wf_link_enter(link, WF_LINK_HTTP, env->http->handshake_timeout_ms);
    return WF_OK;
}

int wf_link_init(wf_link *link, wf_link_env *env, int fd, wf_tls *tls) {
    init(link, env);
    int got = wf_link_adopt(link, fd, tls);
    if (got < 0)
        return got;
    wf_link_enter(link, WF_LINK_HTTP, env->http->handshake_timeout_ms);
    return WF_OK;
}

static wf_due next_due(const wf_link *link, uint64_t *out_at_ms) {
    wf_intervals http = {WF_NEVER, WF_NEVER, WF_NEVER, link->env->http->send_timeout_ms};
    const wf_link_limits *limits = wf_link_limits_of(link);
    return wf_deadlines_next(&link->deadlines, limits ? &limits->intervals : &http, link->env->now_ms, out_at_ms);
}

void wf_link_arm(wf_link *link) {
    uint64_t at;
    if (link->stage == WF_LINK_DEAD || next_due(link, &at) == WF_DUE_NOTHING)
        return;
    if (!wf_timer_armed(&link->timer) || at < link->timer.deadline_ms)
        wf_timers_add(&link->env->timers, &link->timer, at);
}

void wf_link_enter(wf_link *link, wf_link_stage stage, uint32_t timeout_ms) {
    link->stage = (uint8_t)stage;
    link->deadlines.until_ms =
        timeout_ms == WF_NEVER ? 0
                               : wf_time_kept(link->env->now_ms + (timeout_ms < INT32_MAX ? timeout_ms : INT32_MAX));
    link->deadlines.open = stage == WF_LINK_OPEN;
    wf_link_arm(link);
}

void wf_link_count_memory(wf_link *link) {
    const wf_link_pmd *pmd = wf_link_pmd_of(link);
    size_t now = (link->held ? sizeof *link->held + link->held->len : 0) + wf_ws_memory(&link->ws) +
                 (pmd ? pmd->out.window.cap : 0);
    if (now == link->counted)
        return;
    link->env->input_bytes += now - link->counted;
    link->counted = now;
}

static void let_go_held(wf_link *link) {
    wf_mem_free(link->held);
    link->held = NULL;
}

static void drop_input(wf_link *link) {
    uint8_t *unused;
    wf_ws_take_rest(&link->ws, &unused);
    wf_ws_deinit(&link->ws);
    wf_link_pmd_free(link);
    let_go_held(link);
    wf_link_count_memory(link);
}

/* What is told when there is no memory for more. */
static const wf_link_end no_end,
    no_memory = {.fault = {.status = WF_ENOMEM, .sys_errno = ENOMEM, .rule = "out of memory"}};

const wf_link_end *wf_link_end_of(const wf_link *link) {
    return link->aside ? &link->aside->end : link->end_lost ? &no_memory : &no_end;
}

static wf_link_end *take_end(wf_link *link) {
    if (!link->aside && !link->end_lost && !(link->aside = wf_mem_zalloc(sizeof *link->aside)))
        link->end_lost = true;
    return link->aside ? &link->aside->end : NULL;
}

wf_link_end *wf_link_ending(wf_link *link) {
    wf_link_end *end = take_end(link);
    if (!end)
        wf_link_die(link, ENOMEM, "out of memory");
    return end;
}

static void note_fault(wf_link *link, int sys_errno, const char *rule) {
    wf_link_end *end = take_end(link);
    if (!end || end->fault.status != 0)
        return;
    wf_fault_set(&end->fault, WF_ERROR, 0, rule);
    end->fault.sys_errno = sys_errno;
}

static void drop_reader(wf_link *link) {
    if (link->stage >= WF_LINK_OPEN)
        return;
    if (wf_link_is_client(link))
        wf_http_reply_reader_free(wf_link_take_reply(link));
    else
        wf_http_reader_free(wf_link_take_reader(link));
}

void wf_link_die(wf_link *link, int sys_errno, const char *rule) {
    if (link->stage == WF_LINK_DEAD)
        return;
    if (sys_errno || rule)
        note_fault(link, sys_errno, rule);
    bool cut = link->stage == WF_LINK_STREAM || link->stage == WF_LINK_STREAM_END;
    bool failed = sys_errno || rule || (link->aside && link->aside->end.fault.status != 0);
    bool left = failed && link->sock.kind == WF_SOCK_PORT;
    if (cut || left) /* nobody shall take its body for whole; and what a stream's peer does not take has no end else */
        wf_sock_abort(link->env->loop, &link->sock);
    else if (sys_errno == 0)
        wf_link_seal_end(link);
    drop_reader(link);
    link->stage = WF_LINK_DEAD;
    link->due_ended = true;
    wf_sock_close(link->env->loop, &link->sock);
    wf_timers_cancel(&link->env->timers, &link->timer);
    wf_outq_ready_remove(&link->q);
    wf_outq_deinit(&link->q);
    /* the input stays until ENDED is pulled: a callback may be looking at it */
}

void wf_link_deinit(wf_link *link) {
    wf_link_die(link, 0, NULL);
    wf_outq_ready_remove(&link->q); /* an abort after the end lists it again */
    drop_input(link);
    wf_tls_free(wf_link_tls_of(link));
    link->secure = false;
    if (link->aside)
        wf_mem_free(link->aside->end.reason);
    wf_mem_free(link->aside);
    link->aside = NULL;
}

void wf_link_abort(wf_link *link) {
    if (link->stage != WF_LINK_DEAD)
        wf_sock_abort(link->env->loop, &link->sock);
    wf_link_die(link, ECONNABORTED, NULL);
}

/* What still comes is read and passed over. */
static void pass_over(wf_link *link) {
    drop_input(link);
    if (link->deadlines.resting)
        wf_sock_resume(link->env->loop, &link->sock);
    link->deadlines.resting = false;
}

void wf_link_linger(wf_link *link) {
    if (link->input_over) {
        wf_link_die(link, 0, NULL);
        return;
    }
    wf_link_seal_end(link);
    wf_sock_shutdown(link->env->loop, &link->sock);
    drop_reader(link);
    pass_over(link);
    wf_link_enter(link, WF_LINK_LINGER, LINGER_MS);
}

void wf_link_await_fin(wf_link *link) {
    if (link->input_over) {
        wf_link_die(link, 0, NULL);
        return;
    }
    pass_over(link);
    link->stage = WF_LINK_LINGER; /* the deadline stays */
}

/* ---- input ---- */

void wf_link_settle_queue(wf_link *link) {
    if (wf_outq_settle(&link->q) < 0)
        wf_link_die(link, ENOMEM, "out of memory");
}

void wf_link_input_over(wf_link *link) {
    link->input_over = true;
}

const char wf_link_broke[] = "the connection broke";

void wf_link_failed(wf_link *link, int sys_errno) {
    if (link->stage == WF_LINK_LINGER) /* all was said */
        wf_link_die(link, 0, NULL);
    if (wf_link_reply_will_do(link))
        return;
    wf_link_die(link, sys_errno, link->stage == WF_LINK_CONNECTING ? NULL : wf_link_broke);
}

static bool gated(const wf_link *link) {
    switch (link->stage) {
    case WF_LINK_HTTP:
        return link->q.bytes >= HTTP_QUEUE_BYTES && !link->close_after;
    case WF_LINK_RAW:
        return wf_link_raw_room(link) == 0;
    case WF_LINK_WAITING:
        return true;
    case WF_LINK_STREAM:
    case WF_LINK_STREAM_END:
        return false;
    case WF_LINK_OPEN:
        return wf_outq_full(&link->q) || link->deadlines.until_ms != 0 || link->paused || wf_link_has_done_enough(link);
    default:
        return wf_link_has_done_enough(link);
    }
}

static void stop_reading(wf_link *link) {
    if (link->deadlines.resting)
        return;
    link->deadlines.resting = true;
    wf_sock_pause(link->env->loop, &link->sock);
}

void wf_link_pause(wf_link *link, bool pause) {
    link->paused = pause;
    if (pause && link->stage == WF_LINK_OPEN)
        stop_reading(link); /* and so it is not as usual: the next pull looks for why */
    else if (!pause && link->stage != WF_LINK_DEAD)
        wf_outq_mark_ready(&link->q);
}

/* Stops reading and keeps what has been read. */
static void rest(wf_link *link) {
    stop_reading(link);
    if (link->ws.in_len > 0 && !link->held) {
        uint8_t *in;
        size_t in_len = wf_ws_take_rest(&link->ws, &in);
        link->held = wf_mem_alloc(sizeof *link->held + in_len);
        if (!link->held) {
            wf_link_die(link, ENOMEM, "out of memory");
            return;
        }
        link->held->len = in_len;
        memcpy(link->held->data, in, in_len);
        wf_ws_feed(&link->ws, link->held->data, in_len);
    }
    wf_link_count_memory(link); /* a message that was just handed out may still be there */
}

/* Everything held has been used: reading goes on. */
static void resume(wf_link *link) {
    if (link->held) {
        let_go_held(link);
        wf_link_count_memory(link);
    }
    if (link->deadlines.resting) {
        link->deadlines.resting = false;
        link->deadlines.input_ms = link->deadlines.message_ms = (uint32_t)link->env->now_ms;
        if (!link->input_over)
            wf_sock_resume(link->env->loop, &link->sock);
        wf_link_arm(link);
    }
}

/* The peer will send nothing more, and all it sent has been used. A half-closed HTTP client still gets its
 * answer; a WebSocket without a close frame is over (RFC 6455 7.1.5). */
static void input_ended(wf_link *link) {
    switch (link->stage) {
    case WF_LINK_HTTP:
        link->close_after = true;
        if (wf_link_all_sent(link) && wf_link_seal_end(link))
            wf_link_die(link, 0, NULL);
        break;
    case WF_LINK_WAITING:
        if (link->waits_upgrade)
            wf_link_die(link, 0, "the client left before the answer");
        break;
    case WF_LINK_OPEN:
        wf_link_die(link, 0, "RFC6455/7.1.5: connection ended without a close frame");
        break;
    case WF_LINK_STREAM:
    case WF_LINK_STREAM_END:
        if (link->sock.kind != WF_SOCK_PORT) /* there, the end of the request is no more than that */
            wf_link_fail_stream(link, 0, "the client left");
        break;
    case WF_LINK_CLOSING:
        if (wf_link_end_of(link)->received_code == 0 && wf_link_end_of(link)->fault.status == 0)
            wf_link_die(link, 0, "RFC6455/7.1.5: connection ended without a close frame");
        break;
    case WF_LINK_LINGER:
        wf_link_die(link, 0, NULL);
        break;
    default: /* RAW: what is still to be sent is known above, wf_link_raw_input_over tells it */
        break;
    }
}

/* What is due without any input. */
static bool next_due_event(wf_link *link, wf_link_event *out_event) {
    if (link->due_broken) {
        link->due_broken = false;
        out_event->kind = WF_LINK_BROKEN;
    } else if (link->due_unanswered) {
        link->due_unanswered = false;
        out_event->kind = WF_LINK_UNANSWERED;
    } else if (link->want_drained && wf_link_is_open(link) && wf_outq_sendable(&link->q) == 0) {
        link->want_drained = false;
        out_event->kind = WF_LINK_DRAINED;
    } else {
        return false;
    }
    return true;
}

static int pull(wf_link *link, wf_link_event *out_event) {
    switch (link->stage) {
    case WF_LINK_HTTP:
        return wf_link_next_http(link, out_event);
    case WF_LINK_RAW:
        return wf_link_next_raw(link, out_event);
    case WF_LINK_CONNECTING:
    case WF_LINK_REPLY:
        return wf_link_next_reply(link, out_event);
    case WF_LINK_STREAM:
    case WF_LINK_STREAM_END:
        return wf_link_next_stream(link);
    case WF_LINK_LINGER:
        return WF_WANT_INPUT;
    default:
        return wf_link_next_ws(link, out_event);
    }
}

int wf_link_next_event(wf_link *link, wf_link_event *out_event) {
    for (;;) {
        if (link->due_ended) {
            link->due_ended = false;
            drop_input(link);
            out_event->kind = WF_LINK_ENDED;
            return WF_OK;
        }
        if (link->stage == WF_LINK_DEAD)
            return WF_WANT_INPUT;
        if (next_due_event(link, out_event))
            return WF_OK;
        if (gated(link)) {
            rest(link);
            if (wf_link_has_done_enough(link))
                wf_outq_mark_ready(&link->q); /* it goes on in the next turn */
            if (link->input_over && link->ws.in_len == 0)
                input_ended(link);
            if (!link->due_ended)
                return WF_WANT_INPUT;
            continue;
        }
        int got = pull(link, out_event);
        if (got != WF_WANT_INPUT)
            return got;
        wf_link_count_memory(link);
        if (gated(link) || link->due_broken || link->due_ended)
            continue;
        resume(link);
        if (link->input_over)
            input_ended(link);
        if (!link->due_ended)
            return WF_WANT_INPUT;
    }
}

/* ---- time ---- */

static void stage_over(wf_link *link) {
    switch (link->stage) {
    case WF_LINK_HTTP:
        if (link->reader && !wf_http_reader_idle(link->reader) && !link->close_after) {
            wf_link_refuse(link, 408, "the request was not finished in time");
        } else if ((!wf_link_all_sent(link) && wf_link_can_send(link)) || !wf_link_seal_end(link)) {
            /* the answer before it is still on its way, or that nothing follows */
            link->close_after = true;
            link->deadlines.until_ms = 0;
        } else {
            wf_link_die(link, 0, "no request came in time");
        }
        break;
    case WF_LINK_RAW:
        link->deadlines.until_ms = 0;
        wf_link_raw_end(link);
        break;
    case WF_LINK_WAITING:
        link->due_unanswered = true;
        link->deadlines.until_ms = 0;
        break;
    case WF_LINK_CONNECTING:
        wf_link_die(link, ETIMEDOUT, "connect_timeout: no connection came about in time");
        break;
    case WF_LINK_REPLY:
        if (!wf_link_reply_will_do(link))
            wf_link_die(link, ETIMEDOUT, "handshake_timeout: no whole answer came in time");
        break;
    case WF_LINK_CLOSING:
        wf_link_die(link, ETIMEDOUT, "the closing handshake was not finished in time");
        break;
    default:
        wf_link_die(link, 0, NULL);
        break;
    }
}

static void fail_late(wf_link *link, int code, const char *rule) {
    wf_link_fail(link, code, rule);
    wf_link_end *end = wf_link_ending(link);
    if (end)
        end->fault.sys_errno = ETIMEDOUT;
}

static void act(wf_link *link, wf_due due) {
    switch (due) {
    case WF_DUE_STAGE:
        stage_over(link);
        break;
    case WF_DUE_PING:
        if (wf_link_ping(link) != WF_OK)
            link->deadlines.input_ms = (uint32_t)link->env->now_ms; /* no memory: another time */
        break;
    case WF_DUE_PONG:
        fail_late(link, wf_link_limits_of(link)->ping_timeout_code, "ping_timeout: the peer does not answer our ping");
        break;
    case WF_DUE_MESSAGE:
        fail_late(link, 1008, "message_timeout: a message was begun and does not go on");
        break;
    case WF_DUE_SEND:
        wf_link_die(link, ETIMEDOUT, "send_timeout: the peer takes nothing");
        break;
    case WF_DUE_GATE:
        link->deadlines.until_ms = 0;
        break;
    case WF_DUE_NOTHING:
        break;
    }
}

void wf_link_timer_due(wf_link *link) {
    uint64_t at;
    wf_due due;
    while (link->stage != WF_LINK_DEAD && (due = next_due(link, &at)) != WF_DUE_NOTHING && at <= link->env->now_ms)
        act(link, due);
    wf_link_arm(link);
}
