/*
 * From a call's events to the application's callbacks, and nowhere else. No API call calls back, so a pump is never
 * inside another.
 */
#include "client/client_impl.h"

#include "base/mem.h"
#include "http/response.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>

/* TLS 1.3 lets a client send before the server has looked at its certificate: what TLS says then is of TLS still. */
static weft_dial_phase phase_of(const wf_call *call) {
    const wf_link *link = &wf_call_way(call)->link;
    const wf_dialling *d = wf_call_way(call)->dialling;
    if (!link->connected)
        return d->count == 0 || (d->via && d->via->seeks) ? WEFT_DIAL_RESOLVE : WEFT_DIAL_CONNECT;
    if (link->tunnels)
        return WEFT_DIAL_PROXY;
    const wf_tls *tls = wf_link_tls_of(link);
    return tls && (!wf_tls_was_ready(tls) || wf_tls_rule(tls)) ? WEFT_DIAL_TLS : WEFT_DIAL_HANDSHAKE;
}

/* Of what has no rule, and of what broke, the system knows more. */
static void say_why(const wf_fault *fault, int find_error, char *out, size_t cap) {
    bool broke = fault->rule == wf_link_broke && fault->sys_errno;
    bool unknown = !fault->rule && find_error != 0 && find_error != EAI_SYSTEM;
    const char *system = unknown ? gai_strerror(find_error) : strerror(fault->sys_errno);
    if (broke)
        snprintf(out, cap, "%s: %s", fault->rule, system);
    else
        snprintf(out, cap, "%s", fault->rule ? fault->rule : system);
}

static long verify_error_of(const wf_call *call) {
    const wf_tls *tls = wf_link_tls_of(&wf_call_way(call)->link);
    return tls ? wf_tls_verify_error(tls) : 0;
}

static void say_failed(const wf_call *call, const wf_http_reply *reply, char *out, size_t cap) {
    const wf_dialling *d = wf_call_way(call)->dialling;
    const wf_via *via = d->via;
    char address[WF_ADDRESS_TEXT_BYTES] = "", place[WF_ADDRESS_TEXT_BYTES + sizeof via->target + 32], why[256];
    weft_dial_phase phase = phase_of(call);
    say_why(&wf_link_end_of(&call->link)->fault, d->find_error, why, sizeof why);
    if (d->count > 0)
        wf_address_format(&d->addresses[d->at], address, sizeof address);
    const char *rule = wf_link_end_of(&call->link)->fault.rule; /* of a proxy it says all */
    if (via)
        snprintf(place, sizeof place, "%s (through the proxy %s)", via->target, address);
    else
        snprintf(place, sizeof place, "%s", address);
    if (phase == WEFT_DIAL_RESOLVE && via && !via->seeks)
        snprintf(out, cap, "cannot find the proxy %s: %s", via->proxy.host, why);
    else if (phase == WEFT_DIAL_RESOLVE)
        snprintf(out, cap, "cannot find %s: %s", d->host, why);
    else if (phase == WEFT_DIAL_CONNECT)
        snprintf(out, cap, "cannot connect to %s%s: %s", via ? "the proxy " : "", address, why);
    else if (phase == WEFT_DIAL_PROXY && reply)
        snprintf(out, cap, "the proxy %s answered %d %s", address, reply->status, wf_http_status_text(reply->status));
    else if (phase == WEFT_DIAL_PROXY)
        snprintf(out, cap, "the proxy %s made no connection to %s: %s", address, via->target, rule ? rule : why);
    else if (phase == WEFT_DIAL_TLS && verify_error_of(call) != 0)
        snprintf(out, cap, "the certificate of %s is not good for %s: %s", place, d->host, why);
    else if (phase == WEFT_DIAL_TLS)
        snprintf(out, cap, "no TLS with %s: %s", place, why);
    else if (reply && reply->status != 101)
        snprintf(out, cap, "%s answered %d %s", place, reply->status, wf_http_status_text(reply->status));
    else
        snprintf(out, cap, "the handshake with %s failed: %s", place, why);
}

static void call_failed(wf_call *call) {
    const wf_http_reply_reader *own = call->dialling->reply, *proxys = wf_call_way(call)->dialling->reply;
    const wf_http_reply *reply = own ? wf_http_reply_of(own) : proxys ? wf_http_reply_of(proxys) : NULL;
    char text[1024];
    say_failed(call, reply, text, sizeof text);
    weft_dial_failure failure = {
        .phase = phase_of(call),
        .sys_errno = wf_link_end_of(&call->link)->fault.sys_errno,
        .text = text,
        .rule = wf_link_end_of(&call->link)->fault.rule,
        .verify_error = verify_error_of(call),
        .response = (const weft_response *)reply,
    };
    weft_retry_end end = weft_retry_of_failure(&failure);
    failure.retry_ms = wf_reconnect_after(call, &end);
    if (call->failed)
        call->failed(wf_call_conn(call), &failure, call->user);
}

static void call_closed(wf_call *call) {
    weft_close_info info;
    wf_conn_close_info(wf_call_conn(call), &info);
    weft_retry_end end = weft_retry_of_close(&info);
    info.retry_ms = wf_reconnect_after(call, &end);
    if (call->closed)
        call->closed(wf_call_conn(call), &info, call->user);
}

static void unlist(wf_call *call) {
    weft_client *client = wf_call_client(call);
    *(call->prev ? &call->prev->next : &client->calls) = call->next;
    if (call->next)
        call->next->prev = call->prev;
    client->call_count--;
    if (call->dialling)
        wf_call_give_up(call);
    wf_lane_free(call);
}

static void on_ended(wf_call *call) {
    weft_client *client = wf_call_client(call);
    if (call->lane)
        wf_lane_ended(call);
    if (call->dialling)
        call_failed(call);
    else
        call_closed(call);
    unlist(call);
    call->next = client->ended;
    client->ended = call;
}

/* ---- the answer ---- */

static int judge_extensions(const wf_dialling *d, const wf_http_reply *reply, bool *out_agreed,
                            wf_pmd_params *out_params, wf_fault *fault) {
    wf_str *lines = NULL;
    size_t count = 0;
    for (size_t i = 0; i < reply->header_count; i++) {
        if (!wf_str_eq_nocase(reply->headers[i].name, wf_str_of("Sec-WebSocket-Extensions")))
            continue;
        if (!lines && !(lines = wf_mem_alloc(reply->header_count * sizeof *lines)))
            return wf_fault_set(fault, WF_ENOMEM, 0, "out of memory");
        lines[count++] = reply->headers[i].value;
    }
    int got = wf_pmd_check_answer(lines, count, d->offers ? &d->offer : NULL, out_agreed, out_params, fault);
    wf_mem_free(lines);
    return got;
}

static void on_replied(wf_call *call) {
    wf_dialling *d = call->dialling;
    d->reply = wf_link_take_reply(&call->link);
    if (wf_call_redirected(call))
        return;
    const wf_http_reply *reply = wf_http_reply_of(d->reply);
    wf_fault fault = {0};
    wf_pmd_params params;
    bool agreed;
    if (wf_opening_judge(reply, call->lane ? NULL : d->key, (const char *const *)d->subprotocols, &fault) < 0 ||
        judge_extensions(d, reply, &agreed, &params, &fault) < 0) {
        wf_link_die(&call->link, fault.status == WF_ENOMEM ? ENOMEM : 0, fault.rule);
        return;
    }
    wf_link_open(&call->link);
    if (agreed && wf_link_deflate(&call->link, &params) < 0)
        return;
    wf_call_gives_turn(call);
    wf_reconnect_opened(call);
    call->dialling = NULL;
    if (call->open)
        call->open(wf_call_conn(call), (const weft_response *)reply, call->user);
    wf_dialling_free(d);
}

void wf_call_pump(wf_call *call) {
    wf_call_client(call)->pumped = true;
    wf_link_event event;
    weft_conn *conn = wf_call_conn(call);
    if (call->is_trunk) {
        wf_trunk_pump(call);
        return;
    }
    while (wf_link_next(&call->link, &event) == WF_OK) {
        switch (event.kind) {
        case WF_LINK_REPLIED:
            on_replied(call);
            break;
        case WF_LINK_BYTES:
            wf_call_told(call, event.message.data, event.message.len);
            break;
        case WF_LINK_MESSAGE:
            if (call->message)
                call->message(conn, wf_message_of(&event.message), call->user);
            break;
        case WF_LINK_PONG:
            if (call->pong)
                call->pong(conn, call->link.rtt_ns, call->user);
            break;
        case WF_LINK_CONTROL:
            if (call->control)
                call->control(conn, wf_message_of(&event.message), call->user);
            break;
        case WF_LINK_DRAINED:
            if (call->drained)
                call->drained(conn, call->user);
            break;
        case WF_LINK_ENDED:
            on_ended(call);
            return;
        default: /* a server's */
            break;
        }
    }
}
