/*
 * One growth rule serves partial messages, request heads and text: an eighth plus 4 KiB. Doubling would let a
 * peer make us hold twice what it paid for; a fixed step would make a long message quadratic.
 */
#include "base/buf.h"

#include "base/assert.h"
#include "base/big.h"
#include "base/mem.h"
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 256, STEP_BYTES = 4096 };

int wf_buf_reserve(wf_buf *buf, size_t more) {
    if (more <= buf->cap - buf->len)
        return WF_OK;
    if (more > SIZE_MAX / 2 - buf->len)
        return WF_ENOMEM;
    size_t need = buf->len + more;
    size_t cap = buf->cap == 0 && need <= FIRST_BYTES ? FIRST_BYTES
                                                      : need + need / 8 + (need > FIRST_BYTES ? STEP_BYTES / 2 : 0);
    uint8_t *data =
        cap >= WF_BIG_BYTES ? wf_big_grow(buf->data, buf->len, buf->cap, cap, &cap) : wf_mem_resize(buf->data, cap);
    if (!data)
        return WF_ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return WF_OK;
}

int wf_buf_append(wf_buf *buf, const void *data, size_t len) {
    if (len == 0)
        return WF_OK;
    if (wf_buf_reserve(buf, len) < 0)
        return WF_ENOMEM;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return WF_OK;
}

int wf_buf_append_str(wf_buf *buf, const char *text) {
    return wf_buf_append(buf, text, strlen(text));
}

int wf_buf_printf(wf_buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    wf_assert(length >= 0);
    if (wf_buf_reserve(buf, (size_t)length + 1) < 0)
        return WF_ENOMEM;
    va_start(args, format);
    vsnprintf((char *)buf->data + buf->len, (size_t)length + 1, format, args);
    va_end(args);
    buf->len += (size_t)length;
    return WF_OK;
}

void wf_buf_consume(wf_buf *buf, size_t count) {
    wf_assert(count <= buf->len);
    buf->len -= count;
    if (buf->len > 0)
        memmove(buf->data, buf->data + count, buf->len);
}

void wf_buf_deinit(wf_buf *buf) {
    wf_big_give(buf->data, buf->cap);
    *buf = (wf_buf)WF_BUF_INIT;
}

void wf_buf_check(const wf_buf *buf) {
    wf_assert(buf->len <= buf->cap);
    wf_assert((buf->data == NULL) == (buf->cap == 0));
}
