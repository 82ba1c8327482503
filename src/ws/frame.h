/*
 * frame.h - frame heads (RFC 6455 5.2), as pure functions.
 *
 *      0               1               2 ...
 *     |F|R R R|opcode |M| length 7    | length 16 or 64 | masking key |
 */
#ifndef WF_WS_FRAME_H
#define WF_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* Bytes of the head that wf_frame_encode will write. */
static inline size_t wf_frame_encoded_bytes(const wf_frame *of) {
    return (of->len < 126 ? 2 : of->len <= 0xffff ? 4 : 10) + (of->masked ? 4 : 0);
}

/* Writes the head in its shortest form; returns its bytes. The key follows when masked. */
size_t wf_frame_encode(uint8_t out[WF_FRAME_HEAD_MAX], const wf_frame *frame);

static inline bool wf_opcode_is_control(uint8_t opcode) {
    return opcode >= 8;
}

#endif
