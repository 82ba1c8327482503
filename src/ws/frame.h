/*
 * frame.h - frame heads (RFC 6455 5.2), as pure functions.
 *
 *      0               1               2 ...
 *     |F|R R R|opcode |M| length 7    | length 16 or 64 | masking key |
 */
#ifndef WF_WS_FRAME_H
#define WF_WS_FRAME_H

#include "base/bytes.h"

enum { WF_FRAME_HEAD_MAX = 14, WF_CONTROL_BYTES_MAX = 125, WF_RSV1 = 4 };

typedef enum wf_opcode {
    WF_OP_CONTINUATION = 0,
    WF_OP_TEXT = 1,
    WF_OP_BINARY = 2,
    WF_OP_CLOSE = 8,
    WF_OP_PING = 9,
    WF_OP_PONG = 10
} wf_opcode;

typedef struct wf_frame {
    bool fin;
    uint8_t rsv; /* three bits, RSV1 is 4 */
    uint8_t opcode;
    bool masked;
    uint8_t key[4];
    uint64_t len; /* payload bytes */
} wf_frame;

/* Bytes the whole head takes, told by its first two. */
size_t wf_frame_head_bytes(const uint8_t first[2]);

/* Decodes a head of wf_frame_head_bytes bytes. Judges nothing. */
void wf_frame_decode(const uint8_t *head, wf_frame *out_frame);

/* The length is in its shortest form, and below 2^63 (RFC 6455 5.2). */
bool wf_frame_length_ok(const uint8_t *head, const wf_frame *frame);

/* Bytes of the head in its shortest form. */
static inline size_t wf_frame_encoded_bytes(const wf_frame *f) {
    return (f->len < 126 ? 2u : f->len <= 0xffff ? 4u : 10u) + (f->masked ? 4u : 0u);
}

/* Writes the head in its shortest form; returns its bytes. The key follows when masked. */
static inline size_t wf_frame_encode(uint8_t *out, const wf_frame *f) {
    size_t used = 2;
    out[0] = (uint8_t)(f->fin << 7 | f->rsv << 4 | f->opcode);
    if (f->len < 126) {
        out[1] = (uint8_t)f->len;
    } else if (f->len <= 0xffff) {
        out[1] = 126;
        wf_store_be16(out + 2, (uint16_t)f->len);
        used = 4;
    } else {
        out[1] = 127;
        wf_store_be64(out + 2, f->len);
        used = 10;
    }
    if (f->masked) {
        out[1] |= 0x80;
        memcpy(out + used, f->key, 4);
        used += 4;
    }
    return used;
}

static inline bool wf_opcode_is_control(uint8_t opcode) {
    return opcode >= 8;
}

#endif
