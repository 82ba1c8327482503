/*
 * A call's place on a shared connection: it waits in one list, has its stream in another, and its link is on a port.
 */
#include "client/http2.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>

static void lanes_add(wf_lanes *list, wf_lane *lane) {
    lane->list = list;
    lane->prev = list->last;
    lane->next = NULL;
    *(list->last ? &list->last->next : &list->first) = lane;
    list->last = lane;
    list->count++;
}

static void lanes_remove(wf_lane *lane) {
    wf_lanes *list = lane->list;
    *(lane->prev ? &lane->prev->next : &list->first) = lane->next;
    *(lane->next ? &lane->next->prev : &list->last) = lane->prev;
    list->count--;
}

void wf_lane_free(wf_call *call) {
    wf_lane *lane = call->lane;
    if (!lane)
        return;
    wf_assert(!lane->stream);
    lanes_remove(lane);
    wf_trunk_stir(lane->trunk);
    wf_mem_free(lane);
    call->lane = NULL;
}

wf_call *wf_call_way(const wf_call *call) {
    return call->lane ? &call->lane->trunk->call : (wf_call *)call;
}

bool wf_lane_all_sent(const wf_call *call) {
    const wf_lane *lane = call->lane;
    return !lane ||
           ((!lane->stream || wf_h2_stream_waiting(lane->stream) == 0) && wf_link_all_sent(&lane->trunk->call.link));
}

/* Who is silent to one may be gone for all. */
void wf_lane_ended(wf_call *call) {
    if (wf_link_end_of(&call->link)->fault.sys_errno == ETIMEDOUT || call->link.deadlines.ping_ms != 0)
        wf_trunk_unlist(call->lane->trunk);
}

/* ---- a sock's calls ---- */

static wf_lane *lane_of(wf_port *port) {
    return (wf_lane *)port;
}

static void port_pause(wf_port *port) {
    wf_h2_stream_pause(lane_of(port)->stream);
}

static void port_resume(wf_port *port) {
    wf_h2_stream_resume(lane_of(port)->stream);
    wf_trunk_stir(lane_of(port)->trunk);
}

static int64_t port_send(wf_port *port, const struct iovec *ranges, int count) {
    int64_t taken = wf_h2_stream_send(lane_of(port)->stream, ranges, count);
    if (taken < 0) {
        errno = taken == WF_ELIMIT ? E2BIG : ENOMEM;
        return WF_ESYS;
    }
    wf_trunk_stir(lane_of(port)->trunk);
    return taken > 0 ? taken : WF_SEND_LATER;
}

static void port_shutdown(wf_port *port) {
    wf_h2_stream_end(lane_of(port)->stream);
    wf_trunk_stir(lane_of(port)->trunk);
}

static void port_close(wf_port *port, bool abort) {
    wf_lane *lane = lane_of(port);
    wf_h2_stream_close(lane->stream, abort);
    lane->stream = NULL;
    wf_trunk_stir(lane->trunk);
}

static const wf_port_calls calls = {port_pause, port_resume, port_send, port_shutdown, port_close};

/* ---- joining ---- */

void wf_lane_seat(wf_lane *lane) {
    wf_trunk *trunk = lane->trunk;
    wf_call *call = lane->call;
    const wf_buf *request = &call->dialling->request;
    lanes_remove(lane);
    lanes_add(&trunk->riding, lane);
    lane->port = (wf_port) {.calls = &calls, .below = &trunk->call.link.sock};
    lane->stream = wf_h2_open(trunk->h2, lane);
    if (lane->stream &&
        wf_link_connect_port(&call->link, &lane->port, (wf_str) {(const char *)request->data, request->len}) == WF_OK)
        return;
    if (lane->stream)
        wf_h2_stream_close(lane->stream, true);
    lane->stream = NULL;
    wf_call_die_soon(call, ENOMEM);
}

void wf_trunk_join(wf_trunk *trunk, wf_call *call, wf_lane *lane) {
    *lane = (wf_lane) {.call = call, .trunk = trunk};
    call->lane = lane;
    lanes_add(&trunk->waiting, lane);
    if (trunk->awaited)
        wf_link_connected(&call->link);
    else if (trunk->call.dialling->turn == WF_TURN_AWAITED)
        wf_link_expect(&call->link, WF_NEVER);
    if (trunk->h2 && wf_h2_room(trunk->h2) > 0 && wf_h2_websockets(trunk->h2))
        wf_lane_seat(lane);
}
