/*
 * Three stages: HEAD collects a frame's head (ws/head.c judges it), PAYLOAD its payload, OVER passes everything by
 * (a close frame came, or a fault).
 *
 *      fed bytes   |head|payload......|head|payload...........|head|pay
 *                        ^ whole: unmasked here, handed out         ^ cut: unmasked into ws->part->message
 *
 * Nearly all messages are one frame that is all there: next_whole takes those in one step, and leaves all else, and
 * every verdict but that on the text, to next_part.
 *
 * Payload is unmasked, and text validated, in the one pass that reads it, whether in place or on its way into
 * ws->part->message. A message in fragments is gathered in ws->part->message. A compressed one is unmasked in place,
 * inflated, and its text validated as it comes out.
 */
#include "ws/session.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/usual.h"
#include "ws/close.h"
#include "ws/head.h"

#include <string.h>

/* DONE: what was handed out, a message or a control frame that was cut, dies with the next call. SHARED: the same of a
 * message that others have too. */
enum { STAGE_HEAD, STAGE_PAYLOAD, STAGE_DONE, STAGE_SHARED, STAGE_OVER };

enum { NOMEM_CODE = 1011 }; /* no rule is answered so */

_Static_assert(STAGE_HEAD == 0, "wf_ws_at_rest");

struct wf_ws_part {
    uint8_t message_kind; /* opcode of the message begun, 0: none */
    wf_head head;
    wf_utf8 utf8;
    bool fin;
    bool compressed; /* the message begun */
    uint8_t opcode;
    uint8_t key[4];
    uint32_t empty_fragments;
    uint64_t frame_len, frame_got;
    uint64_t message_wire; /* payload bytes of the message begun that have come */
    wf_buf message;        /* what the message has so far, when it is cut */
    union {
        uint8_t *control; /* 125 bytes, while a control frame is cut */
        wf_blob *shared;  /* the message that was handed out last, when others have it too */
    };
    bool on_stack; /* of next_long: it moves to the heap when there is something to keep */
};

void wf_ws_init(wf_ws *ws, wf_ws_role role, const wf_ws_limits *limits) {
    *ws = (wf_ws) {.role = (uint8_t)role, .stage = STAGE_HEAD, .limits = limits};
}

/* Of what lies beside the message. */
static void drop_aside(wf_ws *ws) {
    if (ws->stage == STAGE_SHARED)
        wf_blob_unref(ws->part->shared);
    else
        wf_mem_free(ws->part->control);
    ws->part->control = NULL;
}

static void drop_part(wf_ws *ws) {
    if (!ws->part)
        return;
    wf_buf_deinit(&ws->part->message);
    drop_aside(ws);
    if (!ws->part->on_stack)
        wf_mem_free(ws->part);
    ws->part = NULL;
    if (ws->stage != STAGE_OVER)
        ws->stage = STAGE_HEAD;
}

void wf_ws_deinit(wf_ws *ws) {
    drop_part(ws);
    if (ws->inflate)
        wf_inflate_abandon(ws->inflate);
}

void wf_ws_use_inflate(wf_ws *ws, wf_inflate *inflate) {
    ws->inflate = inflate;
}

size_t wf_ws_take_rest(wf_ws *ws, uint8_t **out_data) {
    size_t len = ws->in_len;
    *out_data = ws->in;
    ws->in_len = 0;
    return len;
}

wf_blob *wf_ws_share(wf_ws *ws, const uint8_t *data, size_t len, atomic_size_t *account) {
    if (!ws->part)
        return NULL;
    if (ws->stage == STAGE_DONE && !ws->part->control && ws->part->message.data == data &&
        ws->part->message.len == len) {
        wf_blob *blob = wf_blob_of_buf(&ws->part->message, account);
        if (!blob)
            return NULL;
        ws->part->shared = blob;
        ws->stage = STAGE_SHARED;
    }
    bool is_it = ws->stage == STAGE_SHARED && ws->part->shared->data == data && ws->part->shared->len == len;
    return is_it ? wf_blob_ref(ws->part->shared) : NULL;
}

bool wf_ws_in_message(const wf_ws *ws) {
    return ws->part && ws->stage != STAGE_OVER &&
           (ws->part->message_kind != 0 || ws->part->head.len > 0 || ws->stage == STAGE_PAYLOAD);
}

uint32_t wf_ws_progress(const wf_ws *ws) {
    return ws->part ? (uint32_t)ws->part->message_wire : 0;
}

size_t wf_ws_memory(const wf_ws *ws) {
    size_t bytes = ws->inflate ? wf_inflate_memory(ws->inflate) : 0;
    if (ws->part) {
        bytes += sizeof *ws->part + ws->part->message.cap;
        bytes += ws->part->control && ws->stage != STAGE_SHARED ? WF_CONTROL_BYTES_MAX : 0;
    }
    return bytes;
}

/* What was fed is used up: after a fault the caller may go on feeding, and all of it is passed over. */
static int fail(wf_ws *ws, int close_code, const char *rule) {
    wf_ws_deinit(ws);
    ws->stage = STAGE_OVER;
    ws->in_len = 0;
    ws->fault_code = (uint16_t)close_code;
    ws->fault_rule = rule;
    return wf_ws_fault(ws).status;
}

static int fail_nomem(wf_ws *ws) {
    return fail(ws, NOMEM_CODE, "out of memory");
}

wf_fault wf_ws_fault(const wf_ws *ws) {
    int status = !ws->fault_rule ? WF_OK : ws->fault_code == NOMEM_CODE ? WF_ENOMEM : WF_ERROR;
    return (wf_fault) {.status = (int16_t)status, .close_code = ws->fault_code, .rule = ws->fault_rule};
}

static int fail_too_long(wf_ws *ws) {
    return fail(ws, 1009, "message over message_bytes_max");
}

/* Payload bytes that a message may take on the wire. How long a compressed one is, is judged as it is inflated; a
 * sender that flushes after every byte sends eight, and more than that is a message that never ends. */
static uint64_t message_wire_max(const wf_ws *ws) {
    uint64_t max = ws->limits->message_bytes_max;
    return ws->part->compressed && max < INT64_MAX / 16 ? max * 16 + 1024 : max;
}

/* The head is whole: what the frame means for the message. */
static int begin_frame(wf_ws *ws, const wf_frame *frame) {
    if (!wf_opcode_is_control(frame->opcode)) {
        if (frame->opcode != WF_OP_CONTINUATION) {
            ws->part->message_kind = frame->opcode;
            ws->part->compressed = frame->rsv & WF_RSV1;
            ws->part->message_wire = 0;
            ws->part->empty_fragments = 0;
            ws->part->utf8 = (wf_utf8) {0};
        }
        uint64_t wire_max = message_wire_max(ws);
        if (frame->len > wire_max || ws->part->message_wire > wire_max - frame->len)
            return fail_too_long(ws);
        if (frame->len == 0 && !frame->fin && ++ws->part->empty_fragments > ws->limits->empty_fragments_max)
            return fail(ws, 1008, "empty fragments over empty_fragments_max");
    }
    ws->part->fin = frame->fin;
    ws->part->opcode = frame->opcode;
    memcpy(ws->part->key, frame->key, 4);
    ws->part->frame_len = frame->len;
    ws->part->frame_got = 0;
    ws->stage = STAGE_PAYLOAD;
    return WF_OK;
}

static int read_head(wf_ws *ws) {
    wf_head_rules rules = {
        .masked = ws->role == WF_WS_SERVER, .deflates = ws->inflate, .in_message = ws->part->message_kind != 0};
    wf_str rest = {(const char *)ws->in, ws->in_len};
    wf_frame frame;
    const char *rule;
    int got = wf_head_read(&ws->part->head, &rules, &rest, &frame, &rule);
    ws->in += ws->in_len - rest.len;
    ws->in_len = (uint32_t)rest.len;
    if (got == WF_ERROR)
        return fail(ws, 1002, rule);
    return got == WF_OK ? begin_frame(ws, &frame) : got;
}

/* Unmasks (and for text validates) `len` payload bytes from src to dst; they may be the same. */
static int open_payload(wf_ws *ws, uint8_t *dst, const uint8_t *src, size_t len) {
    static const uint8_t no_key[4];
    const uint8_t *key = ws->role == WF_WS_SERVER ? ws->part->key : no_key;
    size_t offset = (size_t)(ws->part->frame_got & 3);
    bool text = ws->part->message_kind == WF_OP_TEXT && !wf_opcode_is_control(ws->part->opcode);

    if (ws->role == WF_WS_CLIENT && dst == src) /* nothing to unmask */
        return text ? wf_utf8_feed(&ws->part->utf8, src, len) : WF_OK;
    if (text)
        return wf_mask_utf8(dst, src, len, key, offset, &ws->part->utf8);
    wf_mask(dst, src, len, key, offset);
    return WF_OK;
}

static int fail_utf8(wf_ws *ws) {
    return fail(ws, 1007, "RFC6455/8.1: text is not UTF-8");
}

static int finish_control(wf_ws *ws, const uint8_t *payload, wf_ws_event *out_event) {
    size_t len = (size_t)ws->part->frame_len;
    *out_event = (wf_ws_event) {.opcode = ws->part->opcode, .data = payload, .len = len};
    ws->stage = ws->part->control ? STAGE_DONE : STAGE_HEAD;
    if (ws->part->opcode == WF_OP_PING) {
        out_event->kind = WF_WS_PING;
    } else if (ws->part->opcode == WF_OP_PONG) {
        out_event->kind = WF_WS_PONG;
    } else {
        out_event->kind = WF_WS_CLOSE;
        wf_fault fault = {0};
        if (wf_close_decode(payload, len, &out_event->close_code, &fault) < 0)
            return fail(ws, fault.close_code, fault.rule);
        out_event->data = len > 2 ? payload + 2 : NULL;
        out_event->len = len > 2 ? len - 2 : 0;
        ws->stage = STAGE_OVER;
    }
    return WF_OK;
}

static int read_control(wf_ws *ws, wf_ws_event *out_event) {
    size_t want = (size_t)(ws->part->frame_len - ws->part->frame_got);
    size_t take = ws->in_len < want ? ws->in_len : want;
    uint8_t *payload = ws->in;
    if (take < want || ws->part->frame_got > 0) { /* cut */
        if (!ws->part->control && !(ws->part->control = wf_mem_alloc(WF_CONTROL_BYTES_MAX)))
            return fail_nomem(ws);
        payload = ws->part->control;
    }
    open_payload(ws, payload + (payload == ws->part->control ? ws->part->frame_got : 0), ws->in, take);
    ws->part->frame_got += take;
    ws->in += take;
    ws->in_len -= take;
    return ws->part->frame_got < ws->part->frame_len ? WF_WANT_INPUT : finish_control(ws, payload, out_event);
}

static void finish_message(wf_ws *ws, const uint8_t *data, size_t len, wf_ws_event *out_event) {
    *out_event = (wf_ws_event) {.kind = WF_WS_MESSAGE, .opcode = ws->part->message_kind, .data = data, .len = len};
    ws->part->message_kind = 0;
    ws->stage = STAGE_DONE;
}

/* `count` bytes of payload are used. True when that was the frame's end. */
static bool move_on(wf_ws *ws, size_t count) {
    ws->part->frame_got += count;
    ws->part->message_wire += count;
    ws->in += count;
    ws->in_len -= count;
    return ws->part->frame_got == ws->part->frame_len;
}

/* A data frame's payload is used up: on to the next fragment, or the message is whole. */
static int end_frame(wf_ws *ws, const uint8_t *message, size_t len, wf_ws_event *out_event) {
    ws->stage = STAGE_HEAD;
    if (!ws->part->fin)
        return WF_WANT_INPUT;
    if (ws->part->message_kind == WF_OP_TEXT && !wf_utf8_complete(&ws->part->utf8))
        return fail_utf8(ws);
    finish_message(ws, message, len, out_event);
    return WF_OK;
}

/* All that is left of the frame, or of the input. */
static size_t at_hand(const wf_ws *ws) {
    uint64_t want = ws->part->frame_len - ws->part->frame_got;
    return ws->in_len < want ? ws->in_len : (size_t)want;
}

/* With these bytes the message is whole, and they are all of it. */
static bool is_all(const wf_ws *ws, size_t take) {
    return ws->part->fin && ws->part->message_wire == 0 && take == ws->part->frame_len;
}

/* Room for `take` bytes of the message, and ahead for as much again of the frame: what a peer only announces takes no
 * memory. */
static int make_room(wf_ws *ws, size_t take) {
    uint64_t rest = ws->part->frame_len - ws->part->frame_got;
    size_t most = ws->part->message.len + 2 * take;
    if (take <= ws->part->message.cap - ws->part->message.len)
        return WF_OK;
    return wf_buf_reserve(&ws->part->message, rest < most ? (size_t)rest : most);
}

static int read_data(wf_ws *ws, wf_ws_event *out_event) {
    size_t take = at_hand(ws);
    bool all = is_all(ws, take);
    uint8_t *dst = ws->in;
    if (!all && take > 0) {
        if (make_room(ws, take) < 0)
            return fail_nomem(ws);
        dst = ws->part->message.data + ws->part->message.len;
        ws->part->message.len += take;
    }
    if (open_payload(ws, dst, ws->in, take) < 0)
        return fail_utf8(ws);
    if (!move_on(ws, take))
        return WF_WANT_INPUT;
    return all ? end_frame(ws, dst, take, out_event)
               : end_frame(ws, ws->part->message.data, ws->part->message.len, out_event);
}

/* The text is judged before what ended it, so that the verdict does not depend on how the bytes were cut. */
static int judge_inflated(wf_ws *ws, int got, const uint8_t *data, size_t len) {
    if (ws->part->message_kind == WF_OP_TEXT && wf_utf8_feed(&ws->part->utf8, data, len) < 0)
        return fail_utf8(ws);
    switch (got) {
    case WF_OK:
        return WF_OK;
    case WF_FULL:
        return fail_too_long(ws);
    case WF_ENOMEM:
        return fail_nomem(ws);
    default:
        return fail(ws, 1007, "RFC7692/7.2.2: compressed data is corrupt");
    }
}

static int read_compressed(wf_ws *ws, wf_ws_event *out_event) {
    size_t take = at_hand(ws);
    bool all = is_all(ws, take), last = ws->part->fin && ws->part->frame_got + take == ws->part->frame_len;
    wf_codec *codec = ws->inflate->codec;
    wf_buf *out = &ws->part->message;
    if (all) {
        out = &codec->inflated;
        out->len = 0;
    }
    size_t before = out->len;
    if (ws->role == WF_WS_SERVER)
        wf_mask(ws->in, ws->in, take, ws->part->key, (size_t)(ws->part->frame_got & 3));
    int got = wf_inflate_piece(ws->inflate, ws->in, take, last, out, ws->limits->message_bytes_max);
    got = judge_inflated(ws, got, out->data ? out->data + before : NULL, out->len - before);
    if (got != WF_OK)
        return got;
    if (!move_on(ws, take))
        return WF_WANT_INPUT;
    if (last) {
        wf_count_add(&codec->inflate_in_bytes, ws->part->message_wire);
        wf_count_add(&codec->inflate_out_bytes, out->len);
    }
    return end_frame(ws, out->data, out->len, out_event);
}

static int read_payload(wf_ws *ws, wf_ws_event *out_event) {
    if (wf_opcode_is_control(ws->part->opcode))
        return read_control(ws, out_event);
    return ws->part->compressed ? read_compressed(ws, out_event) : read_data(ws, out_event);
}

/* A whole text, unmasked in place unless `key` is NULL. Not inlined: its state would be made room for on the short
 * way too. */
static __attribute__((noinline)) int open_text(wf_ws *ws, uint8_t *data, size_t len, const uint8_t *key) {
    wf_utf8 utf8 = {0};
    int got = key ? wf_mask_utf8(data, data, len, key, 0, &utf8) : wf_utf8_feed(&utf8, data, len);
    return got == WF_OK && wf_utf8_complete(&utf8) ? WF_OK : fail_utf8(ws);
}

/* The short way, between two messages: the next one, when it is a single frame that is all there. Whatever
 * else is next is left as it is. */
static inline int next_whole(wf_ws *ws, wf_ws_event *out_event) {
    bool masked = wf_usual(ws->role == WF_WS_SERVER);
    wf_whole whole;
    if (!wf_usual(wf_head_whole(ws->in, ws->in_len, masked, &whole) && whole.len <= ws->limits->message_bytes_max))
        return WF_WANT_INPUT;
    uint8_t opcode = whole.opcode;
    size_t len = whole.len;
    uint8_t *payload = ws->in + whole.head_len;
    ws->in = payload + len;
    ws->in_len -= (uint32_t)(whole.head_len + len);
    out_event->kind = WF_WS_MESSAGE;
    out_event->opcode = opcode;
    out_event->close_code = 0;
    out_event->data = payload;
    out_event->len = len;
    if (opcode == WF_OP_TEXT)
        return open_text(ws, payload, len, masked ? payload - 4 : NULL);
    if (masked)
        wf_mask(payload, payload, len, payload - 4, 0);
    return WF_OK;
}

/* What was handed out last time is dead now. */
static __attribute__((noinline)) void drop_done(wf_ws *ws) {
    if (ws->stage == STAGE_DONE || ws->stage == STAGE_SHARED) {
        if (ws->part->control)
            drop_aside(ws);
        else
            wf_buf_deinit(&ws->part->message);
        ws->stage = STAGE_HEAD;
    }
    if (ws->stage == STAGE_HEAD && ws->part->message_kind == 0 && ws->part->head.len == 0)
        drop_part(ws);
}

/* The long way. */
static int next_part(wf_ws *ws, wf_ws_event *out_event) {
    for (;;) {
        int got;
        switch (ws->stage) {
        case STAGE_HEAD:
            if (ws->in_len == 0)
                return WF_WANT_INPUT;
            got = read_head(ws);
            if (got != WF_OK)
                return got;
            break;
        case STAGE_PAYLOAD:
            got = read_payload(ws, out_event);
            if (got != WF_WANT_INPUT)
                return got;
            if (ws->stage == STAGE_PAYLOAD)
                return WF_WANT_INPUT;
            break; /* a fragment is done: on to the next head */
        default:   /* the close frame handed out last time is dead now, and so is a message it cut off */
            wf_ws_deinit(ws);
            ws->in_len = 0;
            return ws->fault_rule ? wf_ws_fault(ws).status : WF_WANT_INPUT;
        }
    }
}

static bool holds_something(const wf_ws *ws) {
    const wf_ws_part *part = ws->part;
    return part->message_kind != 0 || part->head.len > 0 || ws->stage == STAGE_PAYLOAD || part->message.data ||
           part->control;
}

/* The long way from a boundary. Not inlined: its frame would be made on the short way too. */
static __attribute__((noinline)) int next_long(wf_ws *ws, wf_ws_event *out_event) {
    wf_ws_part part = {.on_stack = true};
    ws->part = &part;
    int got = next_part(ws, out_event);
    if (ws->part != &part)
        return got;
    if (!holds_something(ws)) {
        drop_part(ws);
        return got;
    }
    wf_ws_part *kept = wf_mem_alloc(sizeof *kept);
    if (!kept)
        return fail_nomem(ws);
    *kept = part;
    kept->on_stack = false;
    ws->part = kept;
    return got;
}

int wf_ws_next(wf_ws *ws, wf_ws_event *out_event) {
    if (!wf_usual(!ws->part))
        drop_done(ws);
    if (!wf_usual(wf_ws_at_rest(ws)))
        return next_part(ws, out_event);
    if (ws->in_len == 0)
        return WF_WANT_INPUT;
    int got = next_whole(ws, out_event);
    return wf_usual(got != WF_WANT_INPUT) ? got : next_long(ws, out_event);
}

void wf_ws_check(const wf_ws *ws) {
    const wf_ws_part *part = ws->part;
    wf_assert(ws->stage <= STAGE_OVER);
    wf_assert(part || ws->stage == STAGE_HEAD || ws->stage == STAGE_OVER);
    if (!part)
        return;
    wf_buf_check(&part->message);
    wf_assert(part->head.len <= WF_FRAME_HEAD_MAX);
    wf_assert(part->frame_got <= part->frame_len || ws->stage == STAGE_OVER);
    wf_assert(ws->stage == STAGE_OVER || part->message.len <= ws->limits->message_bytes_max);
    wf_assert(part->message_kind == 0 || part->message_kind == WF_OP_TEXT || part->message_kind == WF_OP_BINARY);
}
