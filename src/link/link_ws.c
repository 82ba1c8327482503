/*
 * The WebSocket on a connection: what the session yields becomes events, pongs and the closing handshake (RFC
 * 6455 5.5, 7).
 */
#include "link/link_impl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "ws/close.h"

#include <errno.h>
#include <string.h>

int wf_link_deflate(wf_link *link, const wf_pmd_params *params) {
    wf_link_pmd *pmd = wf_mem_alloc(sizeof *pmd);
    wf_codec *codec = &link->env->codec;
    if (!pmd) {
        wf_link_die(link, ENOMEM, "out of memory");
        return WF_ENOMEM;
    }
    *pmd = (wf_link_pmd) {.turn = link->env->turn};
    uint32_t bytes_min = wf_link_limits_of(link)->pmd.bytes_min;
    unsigned server_bits = params->server_max_window_bits, client_bits = params->client_max_window_bits;
    bool server_forgets = params->server_no_context_takeover, client_forgets = params->client_no_context_takeover;
    wf_ws_use_inflate(&link->ws, &pmd->in);
    link->deflates = true;
    if (wf_link_is_client(link)) {
        wf_inflate_init(&pmd->in, codec, server_forgets ? 0 : server_bits);
        wf_deflate_init(&pmd->out, codec, client_bits, !client_forgets, bytes_min);
        return WF_OK;
    }
    wf_inflate_init(&pmd->in, codec, client_forgets ? 0 : client_bits);
    wf_deflate_init(&pmd->out, codec, server_bits, !server_forgets, bytes_min);
    /* A message encoded once for all refers to nothing outside of itself, so it may be as long as the peer's window. */
    unsigned bits = params->server_bits_named ? server_bits : WF_WINDOW_BITS_MAX;
    link->q.recodes = !server_forgets;
    link->q.alt_bytes_min = bytes_min;
    link->q.alt_bits = bits == WF_WINDOW_BITS_MAX ? WF_OUTQ_ALT_ANY : (uint8_t)bits;
    return WF_OK;
}

void wf_link_pmd_free(wf_link *link) {
    wf_link_pmd *pmd = wf_link_pmd_of(link);
    if (!pmd)
        return;
    wf_ws_use_inflate(&link->ws, NULL);
    wf_inflate_deinit(&pmd->in);
    wf_deflate_deinit(&pmd->out);
    wf_mem_free(pmd);
}

/* What a client sends is masked, each frame with a new key (RFC 6455 5.3). */
static int choose_mask(wf_link *link, wf_frame *frame) {
    frame->masked = wf_link_is_client(link);
    return frame->masked ? wf_mask_key(link->env->keys, frame->key) : WF_OK;
}

/* Writes a frame to the queue. The budget is the caller's to look at. */
static inline int queue_frame(wf_link *link, wf_frame *frame, const void *data) {
    if (choose_mask(link, frame) < 0)
        return WF_ESYS;
    uint8_t *room = wf_outq_write(&link->q, wf_frame_encoded_bytes(frame) + (size_t)frame->len);
    if (!room)
        return WF_ENOMEM;
    room += wf_frame_encode(room, frame);
    if (frame->len > 0 && frame->masked)
        wf_mask(room, data, (size_t)frame->len, frame->key, 0);
    else if (frame->len > 0)
        memcpy(room, data, (size_t)frame->len);
    return WF_OK;
}

/* A control frame ahead of data. */
static int queue_urgent(wf_link *link, uint8_t opcode, const uint8_t *data, size_t len, bool replace) {
    uint8_t bytes[WF_OUTQ_URGENT_BYTES];
    wf_frame frame = {.fin = true, .opcode = opcode, .len = len};
    if (choose_mask(link, &frame) < 0)
        return WF_ESYS;
    size_t head_len = wf_frame_encode(bytes, &frame);
    if (len > 0)
        wf_mask(bytes + head_len, data, len, frame.key, 0); /* a server's key is zero */
    return wf_outq_urgent(&link->q, bytes, head_len + len, replace);
}

/* The close frame goes behind all data; after it nothing is sent. */
static void start_closing(wf_link *link, int code, const char *reason, size_t reason_len) {
    uint8_t payload[WF_CONTROL_BYTES_MAX];
    size_t len = wf_close_encode(payload, code, reason, reason_len);
    wf_link_end *end = wf_link_ending(link);
    if (!end)
        return;
    wf_outq_close(&link->q);
    end->sent_code = (uint16_t)(len > 0 ? code : WF_CLOSE_NO_STATUS);
    wf_link_enter(link, WF_LINK_CLOSING, wf_link_limits_of(link)->close_timeout_ms);
    if (queue_frame(link, &(wf_frame) {.fin = true, .opcode = WF_OP_CLOSE, .len = len}, payload) < 0)
        wf_link_die(link, 0, "out of memory");
}

void wf_link_close_done(wf_link *link) {
    const wf_link_end *end = wf_link_end_of(link);
    bool is_over = end->fault.status != 0 || end->received_code != 0;
    if (!is_over || !wf_link_seal_end(link))
        return;
    if (end->fault.status != 0)
        wf_link_linger(link);
    else if (wf_link_is_client(link))
        wf_link_await_fin(link);
    else
        wf_link_die(link, 0, NULL);
}

void wf_link_fail(wf_link *link, int code, const char *rule) {
    wf_link_end *end;
    switch (link->stage) {
    case WF_LINK_OPEN:
        if (!(end = wf_link_ending(link)))
            break;
        wf_fault_set(&end->fault, WF_ERROR, code, rule);
        wf_outq_clear_unsent(&link->q);
        start_closing(link, code, rule, strlen(rule));
        break;
    case WF_LINK_CLOSING:
        if (!(end = wf_link_ending(link)))
            break;
        wf_fault_set(&end->fault, WF_ERROR, code, rule);
        if (wf_link_all_sent(link)) /* the close frame may be sealed and wait */
            wf_link_close_done(link);
        break;
    case WF_LINK_STREAM:
    case WF_LINK_STREAM_END:
        wf_link_fail_stream(link, code, rule);
        break;
    case WF_LINK_HTTP:
    case WF_LINK_RAW:
    case WF_LINK_WAITING:
    case WF_LINK_CONNECTING:
    case WF_LINK_REPLY:
        wf_link_die(link, 0, rule);
        break;
    default:
        break;
    }
}

bool wf_link_fail_slow(wf_link *link) {
    if (!link->q.overflowed || !wf_link_is_open(link))
        return false;
    wf_link_fail(link, 1008, "subscriber reads too slowly: queue_bytes_max");
    return true;
}

int wf_link_close(wf_link *link, int code, const char *reason) {
    size_t len = reason ? strlen(reason) : 0;
    if (!wf_close_ok(code, reason, len))
        return WF_EINVAL;
    if (!wf_link_is_open(link) || wf_link_fail_slow(link)) /* a plain close would keep the gap from the peer */
        return WF_ECLOSED;
    if (link->is_stream)
        wf_link_close_stream(link, code);
    else
        start_closing(link, code, reason, len);
    return WF_OK;
}

static void on_ping(wf_link *link, const wf_ws_event *event) {
    if (link->stage != WF_LINK_OPEN)
        return; /* after our close frame nothing is sent */
    if (queue_urgent(link, WF_OP_PONG, event->data, event->len, true) < 0) {
        wf_link_fail(link, 1011, "out of memory");
        return;
    }
    uint32_t wait_ms =
        wf_deadlines_ping_take(&link->deadlines, wf_link_limits_of(link)->pings_per_second, link->env->now_ms);
    if (wait_ms > 0) {
        link->deadlines.until_ms = wf_time_kept(link->env->now_ms + wait_ms);
        wf_link_arm(link);
    }
}

/* The payload of our ping: a nonce, since no two pings of a connection go out at the same nanosecond, that a
 * peer cannot guess ahead. */
static uint64_t ping_nonce(const wf_link *link) {
    return (link->ping_ns ^ link->env->ping_secret) * 0x9E3779B97F4A7C15u;
}

static bool on_pong(wf_link *link, const wf_ws_event *event) {
    uint64_t nonce = ping_nonce(link);
    if (link->deadlines.ping_ms == 0 || event->len != sizeof nonce || memcmp(event->data, &nonce, sizeof nonce) != 0)
        return false;
    link->deadlines.ping_ms = 0;
    link->rtt_ns = wf_clock_ns() - link->ping_ns;
    wf_link_arm(link);
    return true;
}

static void on_close(wf_link *link, const wf_ws_event *event) {
    wf_link_end *end = wf_link_ending(link);
    if (!end)
        return;
    end->received_code = (uint16_t)event->close_code;
    if (event->len > 0 && (end->reason = wf_mem_zalloc(event->len + 1)))
        memcpy(end->reason, event->data, event->len);
    if (link->stage == WF_LINK_OPEN) {
        end->by_peer = true;
        start_closing(link, event->close_code, NULL, 0);
    } else if (wf_outq_sendable(&link->q) == 0) {
        wf_link_close_done(link);
    }
}

/* Between two reads: is a message begun, and has it gone on? */
static __attribute__((noinline)) void watch_progress(wf_link *link) {
    bool begun = wf_ws_in_message(&link->ws);
    if (begun && (!link->deadlines.in_message || wf_ws_progress(&link->ws) != link->message_seen))
        link->deadlines.message_ms = (uint32_t)link->env->now_ms;
    bool arm = begun && !link->deadlines.in_message;
    link->message_seen = wf_ws_progress(&link->ws);
    link->deadlines.in_message = begun;
    if (arm)
        wf_link_arm(link);
}

/* What is no message is dealt with here. True: the server is to know of it. Not inlined, for messages are in a
 * hurry. */
static __attribute__((noinline)) bool on_control(wf_link *link, wf_link_event *out_event) {
    const wf_ws_event *event = &out_event->message;
    out_event->kind = WF_LINK_CONTROL;
    switch (event->kind) {
    case WF_WS_PING:
        on_ping(link, event);
        break;
    case WF_WS_PONG:
        if (on_pong(link, event))
            out_event->kind = WF_LINK_PONG;
        break;
    default:
        on_close(link, event);
        return false;
    }
    return out_event->kind == WF_LINK_PONG || link->stage == WF_LINK_OPEN;
}

/* Nothing more is taken from the session now. After a ping: an answer to what comes next would not fit behind the
 * pong. */
static bool stops(const wf_link *link) {
    return link->stage == WF_LINK_DEAD || wf_link_has_done_enough(link) ||
           (link->stage == WF_LINK_OPEN && (link->deadlines.until_ms || wf_outq_full(&link->q)));
}

static __attribute__((noinline)) int session_over(wf_link *link) {
    wf_fault fault = wf_ws_fault(&link->ws);
    wf_link_fail(link, fault.close_code, fault.rule);
    return WF_WANT_INPUT;
}

int wf_link_next_ws(wf_link *link, wf_link_event *out_event) {
    wf_ws_event *event = &out_event->message;
    wf_link_pmd *pmd = wf_link_pmd_of(link);
    if (pmd && pmd->turn != link->env->turn) {
        pmd->turn = link->env->turn;
        pmd->work_seen = pmd->in.work;
    }
    do {
        int got = wf_ws_next(&link->ws, event);
        if (!wf_usual(got == WF_OK)) {
            if (got < 0)
                return session_over(link);
            watch_progress(link);
            return WF_WANT_INPUT;
        }
        if (wf_usual(event->kind == WF_WS_MESSAGE)) {
            link->deadlines.message_ms = (uint32_t)link->env->now_ms;
            wf_count_add(&link->env->messages_in, 1);
            out_event->kind = WF_LINK_MESSAGE;
            if (wf_usual(link->stage == WF_LINK_OPEN))
                return WF_OK;
            /* We have said goodbye: only the peer's close frame is of interest. */
        } else if (on_control(link, out_event)) {
            return WF_OK;
        }
    } while (!stops(link));
    return WF_WANT_INPUT;
}

static inline int may_send(wf_link *link) {
    if (link->stage != WF_LINK_OPEN)
        return WF_ECLOSED;
    if (wf_outq_full(&link->q)) {
        link->want_drained = true;
        return WF_FULL;
    }
    return WF_OK;
}

/* From here on two ranges cost less than a copy. */
enum { IN_PLACE_BYTES = 4096 };

/* A payload that lies where it came is sent from there: WF_OK. WF_FULL: it does not. */
static int queue_in_place(wf_link *link, const wf_frame *frame, const uint8_t *data) {
    uint8_t head[WF_FRAME_HEAD_MAX];
    size_t head_len = wf_frame_encode(head, frame), len = (size_t)frame->len;
    const wf_link_env *env = link->env;
    if (env->lender == link && !link->held && data >= env->lent_data && data + len <= link->ws.in)
        return wf_outq_lend(&link->q, head, head_len, &(wf_str) {(const char *)data, len});
    wf_blob *blob = wf_ws_share(&link->ws, data, len, env->blob_bytes);
    if (!blob)
        return WF_FULL;
    int got = wf_outq_refer(&link->q, head, head_len, blob);
    wf_blob_unref(blob);
    return got;
}

/* What a client sends is masked, and so copied. */
static __attribute__((noinline)) int queue_any(wf_link *link, uint8_t opcode, const void *data, size_t len) {
    wf_frame frame = {.fin = true, .opcode = opcode, .len = len};
    bool copied = len < IN_PLACE_BYTES || wf_link_is_client(link);
    int got = copied ? WF_FULL : queue_in_place(link, &frame, data);
    return got == WF_FULL ? queue_frame(link, &frame, data) : got;
}

/* A server's short message, of which there are many, has a way of its own. */
static inline int queue_plain(wf_link *link, uint8_t opcode, const void *data, size_t len) {
    if (!wf_usual(len < IN_PLACE_BYTES && !wf_link_is_client(link)))
        return queue_any(link, opcode, data, len);
    wf_frame frame = {.fin = true, .opcode = opcode, .len = len};
    uint8_t *room = wf_outq_write(&link->q, wf_frame_encoded_bytes(&frame) + len);
    if (!room)
        return WF_ENOMEM;
    room += wf_frame_encode(room, &frame);
    if (len > 0)
        memcpy(room, data, len);
    return WF_OK;
}

/* The frame of a message compressed, when that was agreed on and it pays. */
static bool deflate_frame(wf_link *link, uint8_t opcode, const uint8_t *data, size_t len, wf_frame *out_frame,
                          const uint8_t **out_data) {
    size_t deflated_len;
    if (!wf_link_pmd_of(link) ||
        wf_deflate_message(&wf_link_pmd_of(link)->out, data, len, out_data, &deflated_len) != WF_OK)
        return false;
    *out_frame = (wf_frame) {.fin = true, .rsv = WF_RSV1, .opcode = opcode, .len = deflated_len};
    return true;
}

/* A message was compressed that will not be sent: what comes may not refer to it. */
static void forget_context(wf_link *link) {
    wf_window_deinit(&wf_link_pmd_of(link)->out.window);
}

static int queue_deflated(wf_link *link, uint8_t opcode, const void *data, size_t len) {
    wf_frame frame;
    const uint8_t *deflated;
    wf_link_encode(link, SIZE_MAX); /* what was published before it comes before it in the context too */
    if (!deflate_frame(link, opcode, data, len, &frame, &deflated))
        return queue_plain(link, opcode, data, len);
    int got = queue_frame(link, &frame, deflated);
    if (got < 0)
        forget_context(link);
    wf_link_count_memory(link);
    return got;
}

static void encode(wf_link *link, wf_outq_walk *walk, const wf_blob *plain) {
    wf_frame frame;
    if (plain->as_is) {
        wf_outq_raw_keep(walk);
        return;
    }
    wf_frame_decode(plain->data, &frame);
    size_t head_len = plain->len - (size_t)frame.len;
    const uint8_t *deflated, *payload = plain->data + head_len;
    if (plain->len >= WF_LINK_SHARED_BYTES && wf_outq_takes_alt(&link->q, plain)) {
        wf_deflate_note(&wf_link_pmd_of(link)->out, payload, (size_t)frame.len);
        wf_outq_raw_take_alt(&link->q, walk);
        return;
    }
    if (!deflate_frame(link, frame.opcode, payload, (size_t)frame.len, &frame, &deflated)) {
        wf_outq_raw_keep(walk);
        return;
    }
    uint8_t head[WF_FRAME_HEAD_MAX];
    head_len = wf_frame_encode(head, &frame);
    uint8_t *room = wf_outq_raw_encode(&link->q, walk, head_len + (size_t)frame.len);
    if (!room) {
        forget_context(link);
        wf_outq_raw_keep(walk);
        return;
    }
    memcpy(room, head, head_len);
    memcpy(room + head_len, deflated, (size_t)frame.len);
}

void wf_link_encode_raw(wf_link *link, size_t segs_max) {
    wf_outq_walk walk = {0};
    const wf_blob *plain;
    if (link->is_stream) {
        wf_link_encode_stream(link, segs_max);
        return;
    }
    while (wf_outq_raw_next(&link->q, &walk, segs_max, &plain))
        encode(link, &walk, plain);
    wf_link_count_memory(link);
}

static inline int send_message(wf_link *link, uint8_t opcode, const void *data, size_t len, bool plain) {
    int got = link->q.fragmenting && link->stage == WF_LINK_OPEN ? WF_EINVAL : may_send(link);
    if (got == WF_ECLOSED && link->stage == WF_LINK_STREAM)
        return link->q.fragmenting ? WF_EINVAL : wf_link_send_stream(link, data, len, true);
    if (got == WF_OK)
        got = plain ? queue_plain(link, opcode, data, len) : queue_deflated(link, opcode, data, len);
    if (got == WF_OK)
        wf_count_add(&link->env->messages_out, 1);
    return got;
}

int wf_link_send(wf_link *link, uint8_t opcode, const void *data, size_t len) {
    return send_message(link, opcode, data, len, !wf_link_pmd_of(link));
}

int wf_link_send_plain(wf_link *link, uint8_t opcode, const void *data, size_t len) {
    return send_message(link, opcode, data, len, true);
}

int wf_link_send_fragment(wf_link *link, uint8_t opcode, const void *data, size_t len, bool fin) {
    int got = may_send(link);
    if (got == WF_ECLOSED && link->stage == WF_LINK_STREAM)
        return wf_link_send_stream(link, data, len, fin);
    uint8_t this_opcode = link->q.fragmenting ? WF_OP_CONTINUATION : opcode;
    if (got == WF_OK)
        got = queue_frame(link, &(wf_frame) {.fin = fin, .opcode = this_opcode, .len = len}, data);
    if (got != WF_OK)
        return got;
    if (fin) {
        wf_outq_fragments_done(&link->q);
        wf_count_add(&link->env->messages_out, 1);
    } else {
        link->q.fragmenting = true;
    }
    return WF_OK;
}

int wf_link_send_control(wf_link *link, uint8_t opcode, const void *data, size_t len) {
    if ((opcode != WF_OP_PING && opcode != WF_OP_PONG) || len > WF_CONTROL_BYTES_MAX)
        return WF_EINVAL;
    int got = may_send(link);
    return got == WF_OK ? queue_frame(link, &(wf_frame) {.fin = true, .opcode = opcode, .len = len}, data) : got;
}

int wf_link_ping(wf_link *link) {
    if (link->stage != WF_LINK_OPEN)
        return WF_ECLOSED;
    if (link->deadlines.ping_ms != 0)
        return WF_FULL;
    link->ping_ns = wf_clock_ns();
    uint64_t nonce = ping_nonce(link);
    int got = queue_urgent(link, WF_OP_PING, (const uint8_t *)&nonce, sizeof nonce, false);
    if (got < 0)
        return got;
    link->deadlines.ping_ms = wf_time_kept(link->env->now_ms);
    if (!link->deadlines.in_message) /* the last message may be out of a kept time's reach, and no longer counts */
        link->deadlines.message_ms = link->deadlines.ping_ms;
    wf_link_arm(link);
    return WF_OK;
}
