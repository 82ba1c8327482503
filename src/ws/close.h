/*
 * close.h - close codes and the close frame's payload (RFC 6455 5.5.1, 7.4).
 */
#ifndef WF_WS_CLOSE_H
#define WF_WS_CLOSE_H

#include "base/status.h"
#include "ws/frame.h"

enum { WF_CLOSE_REASON_MAX = 123, WF_CLOSE_NO_STATUS = 1005, WF_CLOSE_ABNORMAL = 1006 };

/* May stand in a close frame: 1000-1003, 1007-1014, 3000-4999. */
bool wf_close_code_ok(int code);

/* What we may send: such a code and up to 123 bytes of UTF-8, or code 0 and no reason. */
bool wf_close_ok(int code, const char *reason, size_t reason_len);

/* Reads a payload. 0 with *out_code (1005 when empty) and the reason as the payload's rest; or WF_ERROR with
 * *fault set to 1002 (one byte; a code that may not travel) or 1007 (reason is not UTF-8). */
int wf_close_decode(const uint8_t *payload, size_t len, int *out_code, wf_fault *fault);

/* Writes code and reason; returns the bytes, 0 for code 0 or 1005. The reason is cut at a character boundary
 * to fit. */
size_t wf_close_encode(uint8_t out[WF_CONTROL_BYTES_MAX], int code, const char *reason, size_t reason_len);

#endif
