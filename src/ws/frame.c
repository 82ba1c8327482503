/*
 * A head is 2 to 14 bytes and its first two tell how many. Judgement (which opcode, which bits, when) needs
 * the state of the connection and belongs to session.c; here is only the layout.
 */
#include "ws/frame.h"

size_t wf_frame_head_bytes(const uint8_t first[2]) {
    unsigned len7 = first[1] & 0x7f;
    size_t extended = len7 == 126 ? 2 : len7 == 127 ? 8 : 0;
    return 2 + extended + (first[1] & 0x80 ? 4 : 0);
}

void wf_frame_decode(const uint8_t *head, wf_frame *out_frame) {
    unsigned len7 = head[1] & 0x7f;
    const uint8_t *p = head + 2;
    out_frame->fin = head[0] >> 7;
    out_frame->rsv = head[0] >> 4 & 7;
    out_frame->opcode = head[0] & 15;
    out_frame->masked = head[1] >> 7;
    out_frame->len = len7;
    if (len7 == 126) {
        out_frame->len = wf_load_be16(p);
        p += 2;
    } else if (len7 == 127) {
        out_frame->len = wf_load_be64(p);
        p += 8;
    }
    if (out_frame->masked)
        memcpy(out_frame->key, p, 4);
}

bool wf_frame_length_ok(const uint8_t *head, const wf_frame *frame) {
    unsigned len7 = head[1] & 0x7f;
    if (len7 == 126)
        return frame->len > 125;
    if (len7 == 127)
        return frame->len > 0xffff && frame->len >> 63 == 0;
    return true;
}
