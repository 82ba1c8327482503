/*
 * An answer that goes on: the connection carries the bytes of one body until that is closed. To the queue it is what a
 * WebSocket is; a published message, which is a frame, waits there raw and is turned into body when its turn comes
 * (hub/outq.h), as it would be compressed for a WebSocket.
 *
 *      CHUNKED  "5\r\nhello\r\n" ... "0\r\n\r\n"     HTTP/1.1
 *      AS_IS    "hello" ... FIN                       HTTP/1.0, and HTTP/2, where a port makes DATA of it
 *
 * Behind it the connection is closed, as its head says: so what the peer sends meanwhile is no request that anybody
 * would answer, and is passed over.
 */
#include "link/link_impl.h"

#include <errno.h>
#include <string.h>

static const char last_chunk[] = "0\r\n\r\n";

enum { CHUNK_ENDS = 4 };

static size_t hex_digits(size_t len) {
    size_t digits = 1;
    while (len >>= 4)
        digits++;
    return digits;
}

/* `len` > 0 bytes of body, as they go. */
static size_t laid_out_bytes(const wf_link *link, size_t len) {
    return link->chunked ? hex_digits(len) + CHUNK_ENDS + len : len;
}

static void lay_out(const wf_link *link, uint8_t *room, const void *data, size_t len) {
    if (!link->chunked) {
        memcpy(room, data, len);
        return;
    }
    size_t digits = hex_digits(len);
    for (size_t i = 0; i < digits; i++)
        room[i] = (uint8_t) "0123456789abcdef"[len >> 4 * (digits - 1 - i) & 15];
    memcpy(room + digits, "\r\n", 2);
    memcpy(room + digits + 2, data, len);
    memcpy(room + digits + 2 + len, "\r\n", 2);
}

static int begin_end(wf_link *link, int code) {
    wf_link_end *end = wf_link_ending(link);
    if (!end)
        return WF_ENOMEM;
    end->sent_code = (uint16_t)(code != 0 ? code : 1005);
    wf_outq_close(&link->q);
    wf_link_enter(link, WF_LINK_STREAM_END, WF_NEVER); /* only a standstill ends it before */
    wf_outq_mark_ready(&link->q);
    return WF_OK;
}

int wf_link_stream(wf_link *link, const wf_str *head, const wf_link_limits *limits, wf_link_body body) {
    if (link->stage != WF_LINK_WAITING)
        return WF_ECLOSED;
    if (wf_link_queue(link, head->data, head->len) < 0)
        return WF_ENOMEM;
    wf_http_reader_free(wf_link_take_reader(link));
    wf_link_next_stream(link);
    wf_ws_init(&link->ws, WF_WS_SERVER, &limits->ws);
    link->q.bytes_max = limits->queue_bytes_max;
    link->q.policy = (uint8_t)limits->slow_policy;
    link->q.recodes = true;
    link->is_stream = true;
    link->chunked = body == WF_LINK_BODY_CHUNKED;
    if (limits->intervals.send_timeout_ms != WF_NEVER)
        wf_sock_patience(link->env->loop, &link->sock, limits->intervals.send_timeout_ms);
    if (body == WF_LINK_BODY_NONE)
        return begin_end(link, 1000);
    wf_link_enter(link, WF_LINK_STREAM, WF_NEVER);
    return WF_OK;
}

int wf_link_next_stream(wf_link *link) {
    uint8_t *passed_over;
    wf_ws_take_rest(&link->ws, &passed_over);
    return WF_WANT_INPUT;
}

int wf_link_send_stream(wf_link *link, const void *data, size_t len, bool fin) {
    if (wf_outq_full(&link->q)) {
        link->want_drained = true;
        return WF_FULL;
    }
    if (len > 0) { /* an empty chunk would be the last */
        uint8_t *room = wf_outq_write(&link->q, laid_out_bytes(link, len));
        if (!room)
            return WF_ENOMEM;
        lay_out(link, room, data, len);
    }
    link->q.fragmenting = !fin;
    if (fin) {
        wf_outq_fragments_done(&link->q);
        wf_count_add(&link->env->messages_out, 1);
    }
    return WF_OK;
}

static bool encode(wf_link *link, wf_outq_walk *walk, const wf_blob *frame_bytes) {
    wf_frame frame;
    wf_frame_decode(frame_bytes->data, &frame);
    size_t len = (size_t)frame.len;
    if (len == 0) {
        wf_outq_raw_drop(&link->q, walk);
        return true;
    }
    const uint8_t *payload = frame_bytes->data + (frame_bytes->len - len);
    wf_blob *kept = wf_blob_ref((wf_blob *)frame_bytes); /* the queue lets go of it before it is copied */
    uint8_t *room = wf_outq_raw_encode(&link->q, walk, laid_out_bytes(link, len));
    if (room)
        lay_out(link, room, payload, len);
    wf_blob_unref(kept);
    return room != NULL;
}

void wf_link_encode_stream(wf_link *link, size_t segs_max) {
    wf_outq_walk walk = {0};
    const wf_blob *frame;
    while (wf_outq_raw_next(&link->q, &walk, segs_max, &frame))
        if (!encode(link, &walk, frame)) {
            wf_link_die(link, ENOMEM, "out of memory"); /* a gap nobody could see is worse */
            return;
        }
}

void wf_link_close_stream(wf_link *link, int code) {
    if (begin_end(link, code) == WF_OK && link->chunked)
        wf_link_queue(link, last_chunk, sizeof last_chunk - 1);
}

void wf_link_stream_done(wf_link *link) {
    wf_link_end *end = wf_link_ending(link);
    if (!end || !wf_link_seal_end(link))
        return;
    end->received_code = end->sent_code; /* nobody says more: a clean end is that all has gone */
    link->stage = WF_LINK_LINGER;
    wf_link_linger(link);
}

void wf_link_fail_stream(wf_link *link, int code, const char *rule) {
    wf_link_end *end = wf_link_ending(link);
    if (!end)
        return;
    end->by_peer = code == 0;
    if (code != 0 && end->fault.status == 0)
        wf_fault_set(&end->fault, WF_ERROR, code, rule);
    wf_link_die(link, 0, rule);
}
