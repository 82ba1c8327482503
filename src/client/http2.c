/*
 * A connection that calls share, the counterpart of server/http2.c:
 *
 *      bytes --> trunk's link (RAW) --> wf_h2 --> stream --event--> call's link --> ...
 *      bytes <-- trunk's link (RAW) <-- wf_h2 <-- stream <--port--- call's link <-- ...
 *
 * It is pumped after whatever may have moved one of its streams: its own bytes, or a flush, for which a call that has
 * sent, or gone, puts it on the ready list. What a server will not have on this connection is dialled anew: with
 * HTTP/1.1 when it has no WebSockets over HTTP/2, on another connection when it has refused the stream.
 */
#include "client/http2.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>

enum { ROUNDS_MAX = 16, REFUSED_MAX = 1, LEFT_BEHIND_MAX = 3 };

static const char goes_away[] = "RFC9113/6.8: the server goes away";

void wf_trunk_unlist(wf_trunk *trunk) {
    wf_trunk **at = &trunk->origin->trunks;
    while (trunk->listed && *at != trunk)
        at = &(*at)->next;
    if (trunk->listed)
        *at = trunk->next;
    trunk->listed = false;
}

bool wf_trunk_takes(const wf_trunk *trunk) {
    if (!trunk->h2 || !wf_h2_settled(trunk->h2))
        return trunk->waiting.count < trunk->origin->streams_max;
    return wf_h2_room(trunk->h2) > 0 || wf_h2_streams(trunk->h2) == 0; /* one that takes none now may take some soon */
}

static bool is_idle(const wf_trunk *trunk) {
    return trunk->waiting.count + trunk->riding.count == 0;
}

/* ---- those that wait ---- */

/* With HTTP/1.1, or wherever there is a place. */
static void go_elsewhere(wf_call *call) {
    wf_call_anew(call);
    wf_call_begin(call);
}

/* True: it was given up in this turn, and is told so. Nothing else may be made of it. */
static bool was_given_up(wf_call *call) {
    if (call->link.stage != WF_LINK_DEAD)
        return false;
    wf_call_pump(call);
    return true;
}

/* Nothing of an answer has come. */
static bool asks(const wf_call *call) {
    return call->dialling && (call->link.stage == WF_LINK_CONNECTING || call->link.stage == WF_LINK_REPLY) &&
           !call->link.reply;
}

/* True: it has been dialled again. */
static bool refused(wf_call *call, bool left_behind) {
    if (!asks(call) || call->dialling->refused >= (left_behind ? LEFT_BEHIND_MAX : REFUSED_MAX))
        return false;
    call->dialling->refused++;
    wf_trunk_unlist(call->lane->trunk);
    go_elsewhere(call);
    return true;
}

static void leave_behind(wf_call *call) {
    if (refused(call, true))
        return;
    wf_link_die(&call->link, ECONNRESET, goes_away);
    wf_call_pump(call);
}

/* What the server's SETTINGS, and how it goes on, mean for those that wait. */
static void seat_waiting(wf_trunk *trunk) {
    wf_h2 *h2 = trunk->h2;
    wf_lane *lane;
    if (!wf_h2_settled(h2))
        return;
    if (!wf_h2_websockets(h2)) {
        trunk->origin->http1 = true;
        wf_trunk_unlist(trunk);
    }
    size_t most = wf_h2_room(h2) + wf_h2_streams(h2);
    trunk->origin->streams_max = most > 0 ? most : 1;
    for (size_t left = trunk->waiting.count; left > 0 && (lane = trunk->waiting.first) != NULL; left--) {
        if (was_given_up(lane->call))
            continue;
        if (trunk->origin->http1)
            go_elsewhere(lane->call);
        else if (wf_h2_room(h2) > 0)
            wf_lane_seat(lane);
        else if (wf_h2_left(h2))
            leave_behind(lane->call);
        else if (wf_h2_streams(h2) > 0)
            go_elsewhere(lane->call);
    }
}

/* ---- streams ---- */

/* As the connection has, or else by this rule. */
static void die_with(const wf_trunk *trunk, wf_call *call, const char *rule, int sys_errno) {
    const wf_fault *fault = &wf_link_end_of(&trunk->call.link)->fault;
    if (call->link.stage == WF_LINK_LINGER) /* all was said */
        wf_link_die(&call->link, 0, NULL);
    else if (fault->rule || fault->sys_errno)
        wf_link_die(&call->link, fault->sys_errno, fault->rule);
    else if (trunk->call.link.stage == WF_LINK_DEAD)
        wf_link_die(&call->link, ECONNRESET, "the connection ended");
    else if (wf_h2_over(trunk->h2) && !wf_h2_left(trunk->h2))
        wf_link_die(&call->link, 0, "RFC9113/5.4.1: the server does not keep to HTTP/2");
    else
        wf_link_die(&call->link, sys_errno, rule);
}

static void on_gone(wf_lane *lane, uint32_t error) {
    wf_call *call = lane->call;
    wf_trunk *trunk = lane->trunk;
    if (call->link.stage == WF_LINK_REPLY && call->link.reply) {
        wf_link_failed(&call->link, ECONNRESET); /* what has come of the answer may do */
    } else if (error == WF_H2_HTTP_1_1_REQUIRED && asks(call)) {
        trunk->origin->http1 = true;
        wf_trunk_unlist(trunk);
        go_elsewhere(call);
    } else if (error != WF_H2_REFUSED_STREAM || !refused(call, wf_h2_left(trunk->h2))) {
        die_with(trunk, call, wf_h2_error_text(error), error == WF_H2_HEAD_OVER ? 0 : ECONNRESET);
    }
}

static void deliver(wf_lane *lane, const wf_h2_event *event) {
    wf_call *call = lane->call;
    switch (event->kind) {
    case WF_H2_RECEIVED:
        wf_link_received(&call->link, event->data, event->len);
        break;
    case WF_H2_EOF:
        wf_link_input_over(&call->link);
        break;
    case WF_H2_SENT:
        wf_link_sent(&call->link, 0);
        break;
    default:
        on_gone(lane, event->error);
        break;
    }
    wf_call_pump(call);
    if (call->link.q.written && !call->link.in_flight)
        wf_link_flush(&call->link);
    if (wf_link_runnable(&call->link))
        wf_outq_mark_ready(&call->link.q);
}

/* False: there was nothing to tell. */
static bool tell_streams(wf_trunk *trunk) {
    wf_h2_event event;
    bool told = false;
    for (; wf_h2_next(trunk->h2, &event) == WF_OK; told = true)
        deliver(wf_h2_stream_user(event.stream), &event);
    return told;
}

/* ---- the connection ---- */

static wf_h2 *new_h2(weft_client *client, bool secure) {
    return wf_h2_new(&(wf_h2_limits) {.head_bytes_max = client->config.head_bytes_max,
                                      .streams_max = UINT32_MAX,
                                      .held_bytes = &client->env.input_bytes,
                                      .scheme = secure ? "https" : "http"});
}

/* Without TLS it is HTTP/2 from the first byte. */
static int begin_clear(weft_client *client, wf_trunk *trunk) {
    wf_buf *request = &trunk->call.dialling->request;
    const uint8_t *data;
    size_t len;
    if (!(trunk->h2 = new_h2(client, false)))
        return WF_ENOMEM;
    while ((len = wf_h2_output(trunk->h2, &data)) > 0)
        if (wf_buf_append(request, data, len) < 0)
            return WF_ENOMEM;
    return WF_OK;
}

wf_trunk *wf_trunk_new(weft_client *client, wf_origin *origin, const wf_dialling *dialling) {
    wf_trunk *trunk = wf_mem_zalloc(sizeof *trunk);
    if (!trunk)
        return NULL;
    wf_call *call = &trunk->call;
    call->is_trunk = true;
    call->dialling = wf_dialling_of_trunk(dialling);
    if (!call->dialling || (!dialling->secure && begin_clear(client, trunk) < 0)) {
        wf_dialling_free(call->dialling);
        wf_h2_free(trunk->h2);
        wf_mem_free(trunk);
        return NULL;
    }
    call->dialling->call = call;
    call->limits = wf_limits_of_link(&client->config.limits);
    call->limits.queue_bytes_max = UINT32_MAX;
    call->limits.handshake_timeout_ms = WF_NEVER;
    wf_link_dial(&call->link, &client->env, &call->limits, WF_NEVER);
    call->next = client->trunks;
    if (client->trunks)
        client->trunks->prev = call;
    client->trunks = call;
    client->trunk_count++;
    trunk->origin = origin;
    origin->trunk_count++;
    trunk->next = origin->trunks;
    origin->trunks = trunk;
    trunk->listed = true;
    wf_call_connect(call);
    return trunk;
}

void wf_trunk_expect(wf_call *call, bool waits) {
    for (wf_lane *lane = ((wf_trunk *)call)->waiting.first; lane; lane = lane->next)
        if (lane->call->link.stage == WF_LINK_CONNECTING)
            wf_link_expect(&lane->call->link, waits ? WF_NEVER : lane->call->dialling->connect_timeout_ms);
}

void wf_trunk_deinit(wf_call *call) {
    wf_trunk *trunk = (wf_trunk *)call;
    wf_trunk_unlist(trunk);
    wf_h2_free(trunk->h2);
    trunk->origin->trunk_count--;
}

/* Those that wait, and those whose end nobody has pulled yet. */
static void end_lanes(wf_trunk *trunk, wf_lanes *list) {
    for (size_t left = list->count; left > 0 && list->first; left--) {
        wf_call *call = list->first->call;
        die_with(trunk, call, goes_away, ECONNRESET);
        wf_call_pump(call);
    }
}

static void end_all(wf_trunk *trunk) {
    wf_trunk_unlist(trunk);
    if (trunk->h2) {
        wf_h2_cut(trunk->h2);
        tell_streams(trunk);
    }
    end_lanes(trunk, &trunk->riding);
    end_lanes(trunk, &trunk->waiting);
    wf_assert(is_idle(trunk));
}

static void on_ended(wf_trunk *trunk) {
    wf_call *call = &trunk->call;
    weft_client *client = wf_call_client(call);
    end_all(trunk);
    *(call->prev ? &call->prev->next : &client->trunks) = call->next;
    if (call->next)
        call->next->prev = call->prev;
    client->trunk_count--;
    wf_call_give_up(call);
    call->next = client->ended;
    client->ended = call;
}

static void give_up_http2(wf_trunk *trunk) {
    trunk->origin->http1 = true;
    wf_trunk_unlist(trunk);
    for (wf_lane *lane; (lane = trunk->waiting.first) != NULL;)
        if (!was_given_up(lane->call))
            go_elsewhere(lane->call);
    wf_link_die(&trunk->call.link, 0, NULL);
}

/* How far the connection has come. */
static void look(wf_trunk *trunk) {
    wf_link *link = &trunk->call.link;
    bool secure = trunk->call.dialling->secure;
    if (link->stage == WF_LINK_CONNECTING && link->ws.in_len > 0 && !secure && !link->tunnels)
        wf_link_connected(link); /* the server spoke first */
    if (link->stage != WF_LINK_REPLY)
        return;
    for (wf_lane *lane = trunk->awaited ? NULL : trunk->waiting.first; lane; lane = lane->next)
        if (lane->call->link.stage == WF_LINK_CONNECTING) /* else it was given up in this turn */
            wf_link_connected(&lane->call->link);
    trunk->awaited = true;
    if (secure && !wf_tls_ready(wf_link_tls_of(link)))
        return;
    if (secure && !wf_tls_http2(wf_link_tls_of(link)))
        give_up_http2(trunk);
    else if (!trunk->h2 && !(trunk->h2 = new_h2(wf_call_client(&trunk->call), true)))
        wf_link_die(link, ENOMEM, "out of memory");
    else
        wf_link_raw_begin(link);
    wf_call_gives_turn(&trunk->call);
}

static void on_bytes(wf_trunk *trunk, const wf_ws_event *bytes) {
    if (trunk->call.link.tunnels)
        wf_call_told(&trunk->call, bytes->data, bytes->len);
    else if (wf_h2_feed(trunk->h2, bytes->data, bytes->len) == WF_ENOMEM)
        wf_link_die(&trunk->call.link, ENOMEM, "out of memory");
}

/* False: it has ended. */
static bool pull(wf_trunk *trunk) {
    wf_link_event event;
    look(trunk);
    while (wf_link_next(&trunk->call.link, &event) == WF_OK) {
        if (event.kind == WF_LINK_ENDED) {
            on_ended(trunk);
            return false;
        }
        if (event.kind == WF_LINK_BYTES)
            on_bytes(trunk, &event.message);
        look(trunk); /* what a proxy said may have brought it on */
    }
    return true;
}

/* What there is to be sent, as far as there is room. True: there may be more. */
static bool fill(wf_trunk *trunk) {
    const uint8_t *data;
    size_t len;
    while (wf_link_raw_room(&trunk->call.link) > 0) {
        if ((len = wf_h2_output(trunk->h2, &data)) == 0)
            return false;
        if (wf_link_send_raw(&trunk->call.link, data, len) != WF_OK)
            return false;
    }
    return true;
}

/* Nobody uses it. */
static void rest(wf_trunk *trunk) {
    wf_link *link = &trunk->call.link;
    bool idle = is_idle(trunk);
    if (idle && (link->stage == WF_LINK_CONNECTING || link->stage == WF_LINK_REPLY))
        wf_link_die(link, 0, NULL);
    if (link->stage != WF_LINK_RAW)
        return;
    if (idle && !trunk->leaves && (!trunk->listed || wf_call_client(&trunk->call)->call_count == 0)) {
        wf_trunk_unlist(trunk);
        trunk->leaves = true;
        wf_h2_go_away(trunk->h2);
    }
    if (idle == (link->deadlines.until_ms == 0))
        wf_link_raw_idle(link, idle);
}

/* Both sides of the connection, until there is nothing to be done. True: there may be more to be sent. */
static bool carry(wf_trunk *trunk) {
    bool more = false;
    for (int round = 0; round < ROUNDS_MAX && (tell_streams(trunk) || round == 0); round++) {
        seat_waiting(trunk);
        more = fill(trunk); /* what went may make room for more */
    }
    if (wf_h2_left(trunk->h2))
        wf_trunk_unlist(trunk);
    if (wf_h2_over(trunk->h2))
        end_all(trunk);
    return more;
}

bool wf_trunk_pump(wf_call *call) {
    wf_trunk *trunk = (wf_trunk *)call;
    wf_link *link = &call->link;
    bool more = false;
    if (!pull(trunk))
        return false;
    if (link->stage == WF_LINK_RAW && wf_link_raw_input_over(link))
        wf_link_die(link, 0, NULL);
    if (link->stage == WF_LINK_RAW)
        more = carry(trunk);
    rest(trunk);
    if (trunk->leaves && link->stage == WF_LINK_RAW)
        more = fill(trunk);
    if (link->stage == WF_LINK_RAW && !more &&
        (wf_h2_over(trunk->h2) || (trunk->leaves && wf_h2_streams(trunk->h2) == 0)))
        wf_link_raw_end(link);
    return link->due_ended ? pull(trunk) : more;
}
