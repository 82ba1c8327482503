/*
 * buf.h - a growable run of bytes, owned.
 *
 *      data          data+len        data+cap
 *        |#############|...............|
 *
 * Invariants (wf_buf_check): 1. len <= cap. 2. data is NULL exactly when cap is 0.
 *
 * Growth is by an eighth plus 4 KiB, so that what a peer makes us hold stays close to what it sent:
 * cap <= 1.125 * len + 4 KiB at any time after wf_buf_append. A big one is a block of base/big.h and may be twice as
 * much, where blocks are kept.
 */
#ifndef WF_BASE_BUF_H
#define WF_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct wf_buf {
    uint8_t *data;
    size_t len; /* bytes used */
    size_t cap; /* bytes owned */
} wf_buf;

#define WF_BUF_INIT                                                                                                    \
    { 0 }

/* Room for `more` bytes behind len. 0, or WF_ENOMEM with the buffer unchanged. Amortised O(1) per byte. */
int wf_buf_reserve(wf_buf *buf, size_t more);

/* Copies `len` bytes to the end. 0, or WF_ENOMEM with the buffer unchanged. */
int wf_buf_append(wf_buf *buf, const void *data, size_t len);
int wf_buf_append_str(wf_buf *buf, const char *text);

/* Appends formatted text (printf). 0, or WF_ENOMEM with the buffer unchanged. */
int wf_buf_printf(wf_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `count` bytes (count <= len), moving the rest down. O(len). */
void wf_buf_consume(wf_buf *buf, size_t count);

/* Gives the memory back; the buffer is empty and usable again. */
void wf_buf_deinit(wf_buf *buf);

void wf_buf_check(const wf_buf *buf);

#endif
