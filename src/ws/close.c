#include "ws/close.h"

#include "base/bytes.h"
#include "ws/unmask.h"

bool wf_close_code_ok(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

bool wf_close_ok(int code, const char *reason, size_t reason_len) {
    if (code == 0)
        return reason_len == 0;
    wf_utf8 utf8 = {0};
    return wf_close_code_ok(code) && reason_len <= WF_CLOSE_REASON_MAX &&
           wf_utf8_feed(&utf8, (const uint8_t *)reason, reason_len) == WF_OK && wf_utf8_complete(&utf8);
}

int wf_close_decode(const uint8_t *payload, size_t len, int *out_code, wf_fault *fault) {
    if (len == 0) {
        *out_code = WF_CLOSE_NO_STATUS;
        return WF_OK;
    }
    if (len == 1)
        return wf_fault_set(fault, WF_ERROR, 1002, "RFC6455/5.5.1: close payload of one byte");
    int code = wf_load_be16(payload);
    if (!wf_close_code_ok(code))
        return wf_fault_set(fault, WF_ERROR, 1002, "RFC6455/7.4: close code that may not travel");
    wf_utf8 utf8 = {0};
    if (wf_utf8_feed(&utf8, payload + 2, len - 2) < 0 || !wf_utf8_complete(&utf8))
        return wf_fault_set(fault, WF_ERROR, 1007, "RFC6455/5.5.1: close reason is not UTF-8");
    *out_code = code;
    return WF_OK;
}

size_t wf_close_encode(uint8_t out[WF_CONTROL_BYTES_MAX], int code, const char *reason, size_t reason_len) {
    if (code == 0 || code == WF_CLOSE_NO_STATUS)
        return 0;
    wf_store_be16(out, (uint16_t)code);
    if (reason_len > WF_CLOSE_REASON_MAX) {
        reason_len = WF_CLOSE_REASON_MAX;
        while (reason_len > 0 && ((unsigned char)reason[reason_len] & 0xc0) == 0x80)
            reason_len--;
    }
    if (reason_len > 0)
        memcpy(out + 2, reason, reason_len);
    return 2 + reason_len;
}
