/*
 * A frame of an input is its first byte, a shape, and what the shape asks for:
 *
 *     shape    0-127  so many bytes of payload follow
 *            128-183  two bytes of length, of which ten bits count, and a byte: a payload of that byte
 *            184-191  the same with all bits of the length, or, by bit 0, the low eight of them and 64 KiB
 *            192-223  up to 31 bytes of the wire follow, as they stand; the first byte above is dropped
 *            224-255  eight bytes of length as it is written, whatever comes; bits: 64 (not 16) bits wide, mask turned
 *
 * So a frame is right unless the input makes it wrong, and long ones cost few bytes of input.
 */
#include "frames.h"

static void put_head(fuzz_bytes *wire, uint8_t first, uint64_t len, int width, const uint8_t *key) {
    uint8_t head[14] = {first, (uint8_t)(width == 0 ? len : width == 2 ? 126 : 127)};
    size_t at = 2;
    for (int i = width - 1; i >= 0; i--)
        head[at++] = (uint8_t)(len >> 8 * i);
    if (key) {
        head[1] |= 0x80;
        memcpy(head + at, key, 4);
        at += 4;
    }
    fuzz_put(wire, head, at);
}

static void put_payload(fuzz_bytes *wire, const uint8_t *data, size_t len, const uint8_t *key) {
    size_t from = wire->len;
    fuzz_put(wire, data, len);
    for (size_t i = 0; key && i < len; i++)
        wire->data[from + i] ^= key[i % 4];
}

static void put_filled(fuzz_bytes *wire, uint8_t first, fuzz_input *in, uint8_t shape, const uint8_t *key) {
    static uint8_t filling[2 << 16];
    size_t len = (size_t)fuzz_number(in, 2);
    len = shape < 184 ? len & 0x3ff : shape & 1 ? 0x10000 + (len & 0xff) : len;
    memset(filling, fuzz_byte(in), len);
    put_head(wire, first, len, len < 126 ? 0 : len < 1 << 16 ? 2 : 8, key);
    put_payload(wire, filling, len, key);
}

void fuzz_put_frame(fuzz_bytes *wire, wf_ws_role receiver, fuzz_input *in) {
    uint8_t first = fuzz_byte(in), shape = fuzz_byte(in);
    /* Its own key for each frame; now and then none at all, which is a key as well. */
    uint8_t bytes[4] = {(uint8_t)(wire->len * 7), (uint8_t)(first ^ 0x5A), shape, (uint8_t)wire->len};
    const uint8_t *key = receiver == WF_WS_SERVER ? bytes : NULL;
    if (shape % 8 == 7)
        memset(bytes, 0, sizeof bytes);
    if (shape < 128) {
        fuzz_input payload = fuzz_take(in, shape);
        put_head(wire, first, payload.len, payload.len < 126 ? 0 : 2, key);
        put_payload(wire, payload.data, payload.len, key);
    } else if (shape < 192) {
        put_filled(wire, first, in, shape, key);
    } else if (shape < 224) {
        fuzz_input raw = fuzz_take(in, shape - 192u);
        fuzz_put(wire, raw.data, raw.len);
    } else {
        bool wide = shape & 1, turned = shape & 2;
        uint64_t len = fuzz_number(in, wide ? 8 : 2);
        put_head(wire, first, len, wide ? 8 : 2, (key != NULL) != turned ? bytes : NULL);
    }
}

void fuzz_put_frames(fuzz_bytes *wire, wf_ws_role receiver, fuzz_input *in) {
    while (in->len > 0 && wire->len < FUZZ_WIRE_BYTES_MAX)
        fuzz_put_frame(wire, receiver, in);
}

void fuzz_log_event(fuzz_bytes *log, const wf_ws_event *event) {
    char kind = event->kind == WF_WS_PING     ? 'P'
                : event->kind == WF_WS_PONG   ? 'O'
                : event->kind == WF_WS_CLOSE  ? 'C'
                : event->opcode == WF_OP_TEXT ? 'T'
                                              : 'B';
    CHECK(kind != 'B' || event->opcode == WF_OP_BINARY);
    fuzz_log(log, kind, kind == 'C' ? event->close_code : 0, event->data, event->len);
}

/* ---- what a receiver owes ---- */

typedef struct model {
    bool server;
    const wf_ws_limits *limits;
    fuzz_bytes message; /* unmasked, of all fragments so far */
    uint8_t kind;       /* of the message begun: 1 text, 2 binary, 0 none */
    size_t text_from;   /* where its last unfinished character begins */
    uint32_t empties;
} model;

typedef struct head {
    bool fin, masked;
    uint8_t opcode;
    uint64_t len;
    size_t bytes;
    const uint8_t *key;
} head;

enum { INCOMPLETE = -1, RIGHT = 0 };

/* Reads a head: RIGHT, INCOMPLETE, or the close code it deserves, as early as its bytes say so. */
static int model_head(const model *m, const uint8_t *at, size_t left, head *out) {
    if (left < 2)
        return INCOMPLETE;
    bool control = at[0] & 8;
    *out = (head) {.fin = at[0] & 128, .masked = at[1] & 128, .opcode = at[0] & 15, .len = at[1] & 127, .bytes = 2};
    if ((at[0] & 0x70) || out->masked != m->server)
        return 1002; /* 5.2, 5.1 */
    if (out->opcode > 10 || (out->opcode > 2 && !control))
        return 1002; /* 5.2 */
    if (control && (!out->fin || out->len > 125))
        return 1002; /* 5.5 */
    if (!control && (out->opcode == 0) != (m->kind != 0))
        return 1002; /* 5.4 */
    size_t width = out->len == 126 ? 2 : out->len == 127 ? 8 : 0;
    out->bytes += width + (out->masked ? 4 : 0);
    if (left < out->bytes)
        return INCOMPLETE;
    for (size_t i = 0; i < width; i++)
        out->len = (i == 0 ? 0 : out->len << 8) | at[2 + i];
    if ((width == 2 && out->len < 126) || (width == 8 && (out->len < 65536 || out->len >> 63)))
        return 1002; /* 5.2 */
    out->key = out->masked ? at + out->bytes - 4 : NULL;
    return RIGHT;
}

/* What the frame means for its message, before its payload. */
static int model_begin(model *m, const head *frame) {
    uint64_t max = m->limits->message_bytes_max;
    if (frame->opcode == 0) {
        if (frame->len > max - m->message.len)
            return 1009;
    } else if (frame->len > max) {
        return 1009;
    }
    if (frame->opcode != 0) {
        m->kind = frame->opcode;
        m->message.len = m->text_from = 0;
        m->empties = 0;
    }
    m->empties += frame->len == 0 && !frame->fin;
    return m->empties > m->limits->empty_fragments_max ? 1008 : RIGHT;
}

static void unmask(fuzz_bytes *out, const uint8_t *payload, size_t len, const uint8_t *key) {
    size_t from = out->len;
    fuzz_put(out, payload, len);
    for (size_t i = 0; key && i < len; i++)
        out->data[from + i] ^= key[i % 4];
}

/* The bytes of payload that are there, all of them or not. */
static int model_data(model *m, fuzz_bytes *log, const head *frame, const uint8_t *payload, size_t len) {
    bool complete = true;
    unmask(&m->message, payload, len, frame->key);
    if (m->kind == 1 && m->message.len > 0) {
        const uint8_t *text = m->message.data + m->text_from;
        size_t text_len = m->message.len - m->text_from;
        if (fuzz_utf8_possible(text, text_len, &complete) < text_len)
            return 1007;
        size_t end = m->message.len;
        while (!complete && end > m->text_from && (m->message.data[--end] & 0xC0) == 0x80)
            ;
        m->text_from = end;
    }
    if (len < frame->len)
        return INCOMPLETE;
    if (frame->fin && !complete)
        return 1007;
    if (frame->fin) {
        fuzz_log(log, m->kind == 1 ? 'T' : 'B', 0, m->message.data, m->message.len);
        m->kind = 0;
    }
    return RIGHT;
}

static bool close_code_may_travel(unsigned code) {
    return (code >= 1000 && code < 1015 && (code < 1004 || code > 1006)) || (code >= 3000 && code < 5000);
}

/* A whole control frame. *out_closed: nothing behind it is looked at. */
static int model_control(fuzz_bytes *log, const head *frame, const uint8_t *payload, bool *out_closed) {
    fuzz_bytes body = {0};
    unmask(&body, payload, (size_t)frame->len, frame->key);
    int code = 0;
    bool complete = true;
    if (frame->opcode == 8 && body.len == 1) {
        code = 1002;
    } else if (frame->opcode == 8 && body.len > 1) {
        unsigned told = (unsigned)body.data[0] << 8 | body.data[1];
        size_t possible = fuzz_utf8_possible(body.data + 2, body.len - 2, &complete);
        code = !close_code_may_travel(told) ? 1002 : possible < body.len - 2 || !complete ? 1007 : 0;
        if (code == 0)
            fuzz_log(log, 'C', (int)told, body.data + 2, body.len - 2);
    } else if (frame->opcode == 8) {
        fuzz_log(log, 'C', 1005, NULL, 0);
    } else {
        fuzz_log(log, frame->opcode == 9 ? 'P' : 'O', 0, body.data, body.len);
    }
    *out_closed = frame->opcode == 8;
    fuzz_free(&body);
    return code;
}

void fuzz_model_frames(fuzz_bytes *log, wf_ws_role receiver, const wf_ws_limits *limits, const fuzz_bytes *wire) {
    model m = {.server = receiver == WF_WS_SERVER, .limits = limits};
    bool closed = false;
    int got = RIGHT;
    for (size_t at = 0; got == RIGHT && !closed && at < wire->len;) {
        head frame;
        got = model_head(&m, wire->data + at, wire->len - at, &frame);
        if (got == RIGHT && frame.opcode < 8)
            got = model_begin(&m, &frame);
        if (got != RIGHT)
            break;
        at += frame.bytes;
        size_t left = wire->len - at, len = left < frame.len ? left : (size_t)frame.len;
        if (frame.opcode < 8)
            got = model_data(&m, log, &frame, wire->data + at, len);
        else
            got = len < frame.len ? INCOMPLETE : model_control(log, &frame, wire->data + at, &closed);
        at += len;
    }
    if (got > 0)
        fuzz_log(log, '!', got, NULL, 0);
    fuzz_free(&m.message);
}
