/*
 * Three stages: HEAD collects a frame's head, PAYLOAD its payload, OVER passes everything by (a close frame
 * came, or a fault). A head is judged as soon as the bytes that condemn it are there: the first two say
 * nearly everything, the rest the length.
 *
 *      fed bytes   |head|payload......|head|payload...........|head|pay
 *                        ^ whole: unmasked here, handed out         ^ cut: unmasked into ws->message
 *
 * Nearly all messages are one short frame that is all there: next_whole takes those in one step, and leaves all else, and
 * every verdict but that on the text, to next_part.
 *
 * Payload is unmasked, and text validated, in the one pass that reads it, whether in place or on its way into
 * ws->message. A message in fragments is gathered in ws->message. A compressed one is unmasked in place, inflated,
 * and its text validated as it comes out.
 */
#include "ws/session.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "ws/close.h"

#include <string.h>

/* DONE: what was handed out, a message or a control frame that was cut, dies with the next call. SHARED: the same of a
 * message that others have too. */
enum { STAGE_HEAD, STAGE_PAYLOAD, STAGE_DONE, STAGE_SHARED, STAGE_OVER };

_Static_assert(STAGE_HEAD == 0, "wf_ws_at_rest");

void wf_ws_init(wf_ws *ws, wf_ws_role role, const wf_ws_limits *limits) {
    *ws = (wf_ws) {.role = (uint8_t)role, .stage = STAGE_HEAD, .limits = limits};
}

/* Of what lies beside the message. */
static void let_go(wf_ws *ws) {
    if (ws->stage == STAGE_SHARED)
        wf_blob_unref(ws->shared);
    else
        wf_mem_free(ws->control);
    ws->control = NULL;
}

void wf_ws_deinit(wf_ws *ws) {
    wf_buf_deinit(&ws->message);
    let_go(ws);
    if (ws->inflate)
        wf_inflate_abandon(ws->inflate);
}

void wf_ws_use_inflate(wf_ws *ws, wf_inflate *inflate) {
    ws->inflate = inflate;
}

void wf_ws_feed(wf_ws *ws, uint8_t *data, size_t len) {
    wf_assert(ws->in_len == 0);
    ws->in = data;
    ws->in_len = len;
}

size_t wf_ws_take_rest(wf_ws *ws, uint8_t **out_data) {
    size_t len = ws->in_len;
    *out_data = ws->in;
    ws->in_len = 0;
    return len;
}

wf_blob *wf_ws_share(wf_ws *ws, const uint8_t *data, size_t len, atomic_size_t *account) {
    if (ws->stage == STAGE_DONE && !ws->control && ws->message.data == data && ws->message.len == len) {
        wf_blob *blob = wf_blob_of_buf(&ws->message, account);
        if (!blob)
            return NULL;
        ws->shared = blob;
        ws->stage = STAGE_SHARED;
    }
    bool is_it = ws->stage == STAGE_SHARED && ws->shared->data == data && ws->shared->len == len;
    return is_it ? wf_blob_ref(ws->shared) : NULL;
}

bool wf_ws_in_message(const wf_ws *ws) {
    return ws->stage != STAGE_OVER && (ws->message_kind != 0 || ws->head_len > 0 || ws->stage == STAGE_PAYLOAD);
}

size_t wf_ws_memory(const wf_ws *ws) {
    return ws->message.cap + (ws->control && ws->stage != STAGE_SHARED ? WF_CONTROL_BYTES_MAX : 0) +
           (ws->inflate ? wf_inflate_memory(ws->inflate) : 0);
}

/* What was fed is used up: after a fault the caller may go on feeding, and all of it is passed over. */
static int fail_with(wf_ws *ws, int status, int close_code, const char *rule) {
    wf_ws_deinit(ws);
    ws->stage = STAGE_OVER;
    ws->in_len = 0;
    return wf_fault_set(&ws->fault, status, close_code, rule);
}

static int fail(wf_ws *ws, int close_code, const char *rule) {
    return fail_with(ws, WF_ERROR, close_code, rule);
}

static int fail_nomem(wf_ws *ws) {
    return fail_with(ws, WF_ENOMEM, 1011, "out of memory");
}

/* RSV1 marks the first frame of a compressed message, and nothing else is marked (RFC 7692 6.1). */
static const char *judge_reserved_bits(const wf_ws *ws, uint8_t rsv, uint8_t opcode) {
    if (rsv == 0)
        return NULL;
    if (!ws->inflate)
        return "RFC6455/5.2: reserved bit set with no extension negotiated";
    if (rsv != WF_RSV1)
        return "RFC6455/5.2: reserved bit set that no extension uses";
    if (opcode == WF_OP_CONTINUATION || wf_opcode_is_control(opcode))
        return "RFC7692/6.1: compressed mark on a control frame or a later fragment";
    return NULL;
}

/* What the first two bytes condemn. NULL: nothing yet. */
static const char *judge_first_bytes(const wf_ws *ws, const uint8_t first[2]) {
    bool fin = first[0] >> 7, masked = first[1] >> 7;
    uint8_t opcode = first[0] & 15, len7 = first[1] & 0x7f;

    const char *rule = judge_reserved_bits(ws, first[0] >> 4 & 7, opcode);
    if (rule)
        return rule;
    if ((opcode > WF_OP_BINARY && opcode < WF_OP_CLOSE) || opcode > WF_OP_PONG)
        return "RFC6455/5.2: unknown opcode";
    if (ws->role == WF_WS_SERVER && !masked)
        return "RFC6455/5.1: client frame is not masked";
    if (ws->role == WF_WS_CLIENT && masked)
        return "RFC6455/5.1: server frame is masked";
    if (wf_opcode_is_control(opcode)) {
        if (!fin)
            return "RFC6455/5.5: fragmented control frame";
        if (len7 > WF_CONTROL_BYTES_MAX)
            return "RFC6455/5.5: control frame over 125 bytes";
    } else if (opcode == WF_OP_CONTINUATION) {
        if (ws->message_kind == 0)
            return "RFC6455/5.4: continuation of nothing";
    } else if (ws->message_kind != 0) {
        return "RFC6455/5.4: new message inside a fragmented one";
    }
    return NULL;
}

static int fail_too_long(wf_ws *ws) {
    return fail(ws, 1009, "message over message_bytes_max");
}

/* Payload bytes that a message may take on the wire. How long a compressed one is, is judged as it is inflated; a
 * sender that flushes after every byte sends eight, and more than that is a message that never ends. */
static uint64_t message_wire_max(const wf_ws *ws) {
    uint64_t max = ws->limits->message_bytes_max;
    return ws->compressed && max < INT64_MAX / 16 ? max * 16 + 1024 : max;
}

/* The head is whole: its length, then what the frame means for the message. */
static int begin_frame(wf_ws *ws, const uint8_t *head) {
    wf_frame frame;
    wf_frame_decode(head, &frame);
    if (!wf_frame_length_ok(head, &frame))
        return fail(ws, 1002,
                    frame.len >> 63 ? "RFC6455/5.2: top bit of the length is set"
                                    : "RFC6455/5.2: length is not in its shortest form");
    if (!wf_opcode_is_control(frame.opcode)) {
        if (frame.opcode != WF_OP_CONTINUATION) {
            ws->message_kind = frame.opcode;
            ws->compressed = frame.rsv & WF_RSV1;
            ws->message_wire = 0;
            ws->empty_fragments = 0;
            ws->utf8 = (wf_utf8) {0};
        }
        uint64_t wire_max = message_wire_max(ws);
        if (frame.len > wire_max || ws->message_wire > wire_max - frame.len)
            return fail_too_long(ws);
        if (frame.len == 0 && !frame.fin && ++ws->empty_fragments > ws->limits->empty_fragments_max)
            return fail(ws, 1008, "empty fragments over empty_fragments_max");
    }
    ws->fin = frame.fin;
    ws->opcode = frame.opcode;
    memcpy(ws->key, frame.key, 4);
    ws->frame_len = frame.len;
    ws->frame_got = 0;
    ws->head_len = 0;
    ws->stage = STAGE_PAYLOAD;
    return WF_OK;
}

static int read_head(wf_ws *ws) {
    const uint8_t *head = ws->in;
    size_t need, from_input;
    if (ws->head_len == 0 && ws->in_len >= 2 && ws->in_len >= (need = wf_frame_head_bytes(ws->in))) {
        from_input = need;
    } else {
        /* The head is cut: gather it byte by byte, judging as early as possible. */
        from_input = 0;
        need = ws->head_len >= 2 ? wf_frame_head_bytes(ws->head) : 2;
        while (ws->head_len < need && from_input < ws->in_len) {
            ws->head[ws->head_len++] = ws->in[from_input++];
            if (ws->head_len == 2) {
                const char *rule = judge_first_bytes(ws, ws->head);
                if (rule)
                    return fail(ws, 1002, rule);
                need = wf_frame_head_bytes(ws->head);
            }
        }
        head = ws->head;
    }
    ws->in += from_input;
    ws->in_len -= from_input;
    if (head == ws->head && ws->head_len < need)
        return WF_WANT_INPUT;
    const char *rule = judge_first_bytes(ws, head);
    return rule ? fail(ws, 1002, rule) : begin_frame(ws, head);
}

/* Unmasks (and for text validates) `len` payload bytes from src to dst; they may be the same. */
static int open_payload(wf_ws *ws, uint8_t *dst, const uint8_t *src, size_t len) {
    static const uint8_t no_key[4];
    const uint8_t *key = ws->role == WF_WS_SERVER ? ws->key : no_key;
    size_t offset = (size_t)(ws->frame_got & 3);
    bool text = ws->message_kind == WF_OP_TEXT && !wf_opcode_is_control(ws->opcode);

    if (ws->role == WF_WS_CLIENT && dst == src) /* nothing to unmask */
        return text ? wf_utf8_feed(&ws->utf8, src, len) : WF_OK;
    if (text)
        return wf_mask_utf8(dst, src, len, key, offset, &ws->utf8);
    wf_mask(dst, src, len, key, offset);
    return WF_OK;
}

static int fail_utf8(wf_ws *ws) {
    return fail(ws, 1007, "RFC6455/8.1: text is not UTF-8");
}

static int finish_control(wf_ws *ws, const uint8_t *payload, wf_ws_event *out_event) {
    size_t len = (size_t)ws->frame_len;
    *out_event = (wf_ws_event) {.data = payload, .len = len};
    ws->stage = ws->control ? STAGE_DONE : STAGE_HEAD;
    if (ws->opcode == WF_OP_PING) {
        out_event->kind = WF_WS_PING;
    } else if (ws->opcode == WF_OP_PONG) {
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
    size_t want = (size_t)(ws->frame_len - ws->frame_got);
    size_t take = ws->in_len < want ? ws->in_len : want;
    uint8_t *payload = ws->in;
    if (take < want || ws->frame_got > 0) { /* cut */
        if (!ws->control && !(ws->control = wf_mem_alloc(WF_CONTROL_BYTES_MAX)))
            return fail_nomem(ws);
        payload = ws->control;
    }
    open_payload(ws, payload + (payload == ws->control ? ws->frame_got : 0), ws->in, take);
    ws->frame_got += take;
    ws->in += take;
    ws->in_len -= take;
    return ws->frame_got < ws->frame_len ? WF_WANT_INPUT : finish_control(ws, payload, out_event);
}

static void finish_message(wf_ws *ws, const uint8_t *data, size_t len, wf_ws_event *out_event) {
    *out_event = (wf_ws_event) {.kind = WF_WS_MESSAGE, .opcode = ws->message_kind, .data = data, .len = len};
    ws->message_kind = 0;
    ws->stage = STAGE_DONE;
}

/* `count` bytes of payload are used. True when that was the frame's end. */
static bool move_on(wf_ws *ws, size_t count) {
    ws->frame_got += count;
    ws->message_wire += count;
    ws->in += count;
    ws->in_len -= count;
    return ws->frame_got == ws->frame_len;
}

/* A data frame's payload is used up: on to the next fragment, or the message is whole. */
static int end_frame(wf_ws *ws, const uint8_t *message, size_t len, wf_ws_event *out_event) {
    ws->stage = STAGE_HEAD;
    if (!ws->fin)
        return WF_WANT_INPUT;
    if (ws->message_kind == WF_OP_TEXT && !wf_utf8_complete(&ws->utf8))
        return fail_utf8(ws);
    finish_message(ws, message, len, out_event);
    return WF_OK;
}

/* All that is left of the frame, or of the input. */
static size_t at_hand(const wf_ws *ws) {
    uint64_t want = ws->frame_len - ws->frame_got;
    return ws->in_len < want ? ws->in_len : (size_t)want;
}

/* With these bytes the message is whole, and they are all of it. */
static bool is_all(const wf_ws *ws, size_t take) {
    return ws->fin && ws->message_wire == 0 && take == ws->frame_len;
}

/* Room for `take` bytes of the message, and ahead for as much again of the frame: what a peer only announces takes no
 * memory. */
static int make_room(wf_ws *ws, size_t take) {
    uint64_t rest = ws->frame_len - ws->frame_got;
    size_t most = ws->message.len + 2 * take;
    if (take <= ws->message.cap - ws->message.len)
        return WF_OK;
    return wf_buf_reserve(&ws->message, rest < most ? (size_t)rest : most);
}

static int read_data(wf_ws *ws, wf_ws_event *out_event) {
    size_t take = at_hand(ws);
    bool all = is_all(ws, take);
    uint8_t *dst = ws->in;
    if (!all && take > 0) {
        if (make_room(ws, take) < 0)
            return fail_nomem(ws);
        dst = ws->message.data + ws->message.len;
        ws->message.len += take;
    }
    if (open_payload(ws, dst, ws->in, take) < 0)
        return fail_utf8(ws);
    if (!move_on(ws, take))
        return WF_WANT_INPUT;
    return all ? end_frame(ws, dst, take, out_event) : end_frame(ws, ws->message.data, ws->message.len, out_event);
}

/* The text is judged before what ended it, so that the verdict does not depend on how the bytes were cut. */
static int judge_inflated(wf_ws *ws, int got, const uint8_t *data, size_t len) {
    if (ws->message_kind == WF_OP_TEXT && wf_utf8_feed(&ws->utf8, data, len) < 0)
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
    bool all = is_all(ws, take), last = ws->fin && ws->frame_got + take == ws->frame_len;
    wf_codec *codec = ws->inflate->codec;
    wf_buf *out = &ws->message;
    if (all) {
        out = &codec->inflated;
        out->len = 0;
    }
    size_t before = out->len;
    if (ws->role == WF_WS_SERVER)
        wf_mask(ws->in, ws->in, take, ws->key, (size_t)(ws->frame_got & 3));
    int got = wf_inflate_piece(ws->inflate, ws->in, take, last, out, ws->limits->message_bytes_max);
    got = judge_inflated(ws, got, out->data ? out->data + before : NULL, out->len - before);
    if (got != WF_OK)
        return got;
    if (!move_on(ws, take))
        return WF_WANT_INPUT;
    if (last) {
        wf_count_add(&codec->inflate_in_bytes, ws->message_wire);
        wf_count_add(&codec->inflate_out_bytes, out->len);
    }
    return end_frame(ws, out->data, out->len, out_event);
}

static int read_payload(wf_ws *ws, wf_ws_event *out_event) {
    if (wf_opcode_is_control(ws->opcode))
        return read_control(ws, out_event);
    return ws->compressed ? read_compressed(ws, out_event) : read_data(ws, out_event);
}

/* Unmasks in place, unless `key` is NULL. False: it should be text and is not. */
static bool open_whole(uint8_t *data, size_t len, const uint8_t *key, bool text) {
    wf_utf8 utf8 = {0};
    if (!text) {
        if (key)
            wf_mask(data, data, len, key, 0);
        return true;
    }
    int got = key ? wf_mask_utf8(data, data, len, key, 0, &utf8) : wf_utf8_feed(&utf8, data, len);
    return got == WF_OK && wf_utf8_complete(&utf8);
}

/* The short way, between two messages: the next one, when it is a single frame of up to 64 KiB that is all there. Whatever
 * else is next is left as it is. */
static int next_whole(wf_ws *ws, wf_ws_event *out_event) {
    const uint8_t *head = ws->in;
    if (ws->in_len < 8) /* the longest head that is looked at here */
        return WF_WANT_INPUT;
    bool masked = ws->role == WF_WS_SERVER;
    uint8_t opcode = head[0] ^ 0x80; /* a whole frame that no extension has touched leaves nothing else */
    size_t len = head[1] ^ (masked ? 0x80u : 0), head_len = masked ? 6 : 2;
    if (len == 126) {
        len = wf_load_be16(head + 2);
        head_len += 2;
        if (len < 126)
            return WF_WANT_INPUT; /* not in its shortest form */
    } else if (len > 126) {
        return WF_WANT_INPUT; /* longer, or wrongly masked */
    }
    if ((opcode != WF_OP_TEXT && opcode != WF_OP_BINARY) || len > ws->in_len - head_len ||
        len > ws->limits->message_bytes_max)
        return WF_WANT_INPUT;
    uint8_t *payload = ws->in + head_len;
    ws->in = payload + len;
    ws->in_len -= head_len + len;
    if (!open_whole(payload, len, masked ? payload - 4 : NULL, opcode == WF_OP_TEXT))
        return fail_utf8(ws);
    *out_event = (wf_ws_event) {.kind = WF_WS_MESSAGE, .opcode = opcode, .data = payload, .len = len};
    return WF_OK;
}

/* Not inlined: its registers would be saved on the short way too. */
static __attribute__((noinline)) int next_part(wf_ws *ws, wf_ws_event *out_event) {
    if (ws->stage == STAGE_DONE || ws->stage == STAGE_SHARED) {
        if (ws->control)
            let_go(ws);
        else
            wf_buf_deinit(&ws->message);
        ws->stage = STAGE_HEAD;
    }
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
            return ws->fault.status < 0 ? ws->fault.status : WF_WANT_INPUT;
        }
    }
}

int wf_ws_next(wf_ws *ws, wf_ws_event *out_event) {
    if (wf_ws_at_rest(ws)) {
        int got = next_whole(ws, out_event);
        if (got != WF_WANT_INPUT)
            return got;
    }
    return next_part(ws, out_event);
}

void wf_ws_check(const wf_ws *ws) {
    wf_buf_check(&ws->message);
    wf_assert(ws->stage <= STAGE_OVER);
    wf_assert(ws->head_len <= WF_FRAME_HEAD_MAX);
    wf_assert(ws->frame_got <= ws->frame_len || ws->stage == STAGE_OVER);
    wf_assert(ws->stage == STAGE_OVER || ws->message.len <= ws->limits->message_bytes_max);
    wf_assert(ws->message_kind == 0 || ws->message_kind == WF_OP_TEXT || ws->message_kind == WF_OP_BINARY);
}
