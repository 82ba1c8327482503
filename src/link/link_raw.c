/*
 * A connection whose bytes are somebody else's to make sense of: HTTP/2, which server/http2.c parts into streams.
 * Deadlines, queue, TLS and the way it ends stay the link's.
 */
#include "link/link_impl.h"

enum { RAW_QUEUE_BYTES = 256 * 1024 };

int wf_link_next_raw(wf_link *link, wf_link_event *out_event) {
    uint8_t *in;
    out_event->message.len = wf_ws_take_rest(&link->ws, &in);
    out_event->message.data = in;
    out_event->kind = WF_LINK_BYTES;
    return out_event->message.len > 0 ? WF_OK : WF_WANT_INPUT;
}

int wf_link_send_raw(wf_link *link, const void *bytes, size_t len) {
    return link->stage == WF_LINK_RAW || link->tunnels ? wf_link_queue(link, bytes, len) : WF_ECLOSED;
}

void wf_link_raw_begin(wf_link *link) {
    wf_link_enter(link, WF_LINK_RAW, WF_NEVER);
}

size_t wf_link_raw_room(const wf_link *link) {
    return link->q.bytes < RAW_QUEUE_BYTES ? RAW_QUEUE_BYTES - link->q.bytes : 0;
}

bool wf_link_raw_input_over(const wf_link *link) {
    return link->input_over && link->ws.in_len == 0;
}

/* When it is used again it does not end any more, if it was about to behind what had not been sent. */
void wf_link_raw_idle(wf_link *link, bool idle) {
    link->close_after = link->close_after && idle;
    if (link->stage == WF_LINK_RAW)
        wf_link_enter(link, WF_LINK_RAW, idle ? link->env->http->keep_alive_ms : WF_NEVER);
}

void wf_link_raw_end(wf_link *link) {
    link->close_after = true;
    if (link->stage == WF_LINK_RAW && wf_link_all_sent(link) && wf_link_seal_end(link))
        wf_link_linger(link);
}
