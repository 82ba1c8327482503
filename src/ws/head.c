/*
 * A head that lies whole in the input is read there. Of one that is cut, bytes are gathered, and never one more than
 * it has.
 */
#include "ws/head.h"

#include "base/status.h"

/* RSV1 marks the first frame of a compressed message, and nothing else is marked (RFC 7692 6.1). */
static const char *judge_reserved_bits(const wf_head_rules *rules, uint8_t rsv, uint8_t opcode) {
    if (rsv == 0)
        return NULL;
    if (!rules->deflates)
        return "RFC6455/5.2: reserved bit set with no extension negotiated";
    if (rsv != WF_RSV1)
        return "RFC6455/5.2: reserved bit set that no extension uses";
    if (opcode == WF_OP_CONTINUATION || wf_opcode_is_control(opcode))
        return "RFC7692/6.1: compressed mark on a control frame or a later fragment";
    return NULL;
}

/* What the first two bytes condemn. NULL: nothing yet. */
static const char *judge_first_bytes(const wf_head_rules *rules, const uint8_t first[2]) {
    bool fin = first[0] >> 7, masked = first[1] >> 7;
    uint8_t opcode = first[0] & 15, len7 = first[1] & 0x7f;

    const char *rule = judge_reserved_bits(rules, first[0] >> 4 & 7, opcode);
    if (rule)
        return rule;
    if ((opcode > WF_OP_BINARY && opcode < WF_OP_CLOSE) || opcode > WF_OP_PONG)
        return "RFC6455/5.2: unknown opcode";
    if (rules->masked && !masked)
        return "RFC6455/5.1: client frame is not masked";
    if (!rules->masked && masked)
        return "RFC6455/5.1: server frame is masked";
    if (wf_opcode_is_control(opcode)) {
        if (!fin)
            return "RFC6455/5.5: fragmented control frame";
        if (len7 > WF_CONTROL_BYTES_MAX)
            return "RFC6455/5.5: control frame over 125 bytes";
    } else if (opcode == WF_OP_CONTINUATION) {
        if (!rules->in_message)
            return "RFC6455/5.4: continuation of nothing";
    } else if (rules->in_message) {
        return "RFC6455/5.4: new message inside a fragmented one";
    }
    return NULL;
}

static const char *judge_length(const uint8_t *bytes, const wf_frame *frame) {
    if (wf_frame_length_ok(bytes, frame))
        return NULL;
    return frame->len >> 63 ? "RFC6455/5.2: top bit of the length is set"
                            : "RFC6455/5.2: length is not in its shortest form";
}

static int gather(wf_head *head, const wf_head_rules *rules, wf_str *input, const char **out_rule) {
    size_t need = head->len >= 2 ? wf_frame_head_bytes(head->bytes) : 2;
    while (head->len < need && input->len > 0) {
        head->bytes[head->len++] = (uint8_t)*input->data++;
        input->len--;
        if (head->len != 2)
            continue;
        if ((*out_rule = judge_first_bytes(rules, head->bytes)))
            return WF_ERROR;
        need = wf_frame_head_bytes(head->bytes);
    }
    return head->len < need ? WF_WANT_INPUT : WF_OK;
}

int wf_head_read(wf_head *head, const wf_head_rules *rules, wf_str *input, wf_frame *out_frame, const char **out_rule) {
    const uint8_t *bytes = (const uint8_t *)input->data;
    if (head->len == 0 && input->len >= 2 && input->len >= wf_frame_head_bytes(bytes)) {
        size_t used = wf_frame_head_bytes(bytes);
        *input = (wf_str) {input->data + used, input->len - used};
        if ((*out_rule = judge_first_bytes(rules, bytes)))
            return WF_ERROR;
    } else {
        int got = gather(head, rules, input, out_rule);
        if (got != WF_OK)
            return got;
        bytes = head->bytes;
        head->len = 0;
    }
    wf_frame_decode(bytes, out_frame);
    return (*out_rule = judge_length(bytes, out_frame)) ? WF_ERROR : WF_OK;
}
