/*
 * head.h - a frame's head as it comes (RFC 6455 5.2), judged as soon as the bytes that condemn it are there: the
 * first two say nearly everything, the rest the length. Pure: what may stand there now is told each time.
 */
#ifndef WF_WS_HEAD_H
#define WF_WS_HEAD_H

#include "base/usual.h"
#include "ws/frame.h"

/* What has come of a head that is cut. All zero: nothing. */
typedef struct wf_head {
    uint8_t len;
    uint8_t bytes[WF_FRAME_HEAD_MAX];
} wf_head;

typedef struct wf_head_rules {
    bool masked;     /* the sender has to mask; else it must not */
    bool deflates;   /* permessage-deflate was agreed on */
    bool in_message; /* a fragmented message is open */
} wf_head_rules;

/* Takes from *input what belongs to the head. WF_OK: it is *out_frame, and `head` is ready for the next.
 * WF_WANT_INPUT: all was taken. WF_ERROR: *out_rule is broken (1002), and `head` is of no more use. */
int wf_head_read(wf_head *head, const wf_head_rules *rules, wf_str *input, wf_frame *out_frame, const char **out_rule);

/* A message that is one frame, whole in the input, and no extension has touched: nearly all are. */
typedef struct wf_whole {
    uint8_t opcode;
    size_t head_len, len;
} wf_whole;

/* True: `data` begins with one, good in every respect but its text. False: whatever it begins with, wf_head_read has
 * the verdict. */
static inline bool wf_head_whole(const uint8_t *data, size_t data_len, bool masked, wf_whole *out) {
    size_t head_len = masked ? 6 : 2;
    if (!wf_usual(data_len >= head_len))
        return false;
    uint8_t opcode = data[0] ^ 0x80; /* FIN, and no reserved bit, leave nothing else */
    size_t len = data[1] ^ (masked ? 0x80u : 0);
    if (len == 126) {
        head_len += 2;
        if (data_len < head_len || (len = wf_load_be16(data + 2)) < 126)
            return false; /* cut, or not in its shortest form */
    } else if (len == 127) {
        head_len += 8;
        if (data_len < head_len)
            return false;
        uint64_t announced = wf_load_be64(data + 2);
        if (announced <= 0xffff || announced > data_len)
            return false;
        len = (size_t)announced;
    } else if (len > 127) {
        return false; /* wrongly masked */
    }
    *out = (wf_whole) {opcode, head_len, len};
    return (opcode == WF_OP_TEXT || opcode == WF_OP_BINARY) && len <= data_len - head_len;
}

#endif
