/*
 * window.h - the last bytes that were said, for a compressor or decompressor to refer back to (RFC 7692 7.2.3.2): all
 * that a connection keeps of its compression between two messages.
 *
 *      data        data+start              data+start+len    data+cap
 *        |..forgotten..|####################|...............|
 *
 * Bytes are added behind, and moved to the front when the end is reached: there is a sixteenth more room than the
 * window is long, so that small messages do not move it all each time.
 *
 * Invariants (wf_window_check): 1. len <= bytes_max. 2. start + len <= cap <= bytes_max + bytes_max / 16. 3. data is
 * NULL exactly when cap is 0.
 */
#ifndef WF_WS_WINDOW_H
#define WF_WS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

enum { WF_WINDOW_BYTES_MAX = 32768 };

typedef struct wf_window {
    uint8_t *data;
    uint32_t start, len, cap, bytes_max;
} wf_window;

/* `bits` 8..15 for 2^bits bytes, 0: keeps nothing. */
void wf_window_init(wf_window *w, unsigned bits);
void wf_window_deinit(wf_window *w); /* empty, and usable again */

/* The oldest of its `len` bytes; NULL when it has none. */
static inline const uint8_t *wf_window_bytes(const wf_window *w) {
    return w->data ? w->data + w->start : NULL;
}

/* What was said goes on by these bytes. 0; WF_ENOMEM: the window is unchanged and no longer true. Cost: a copy of the
 * bytes, and now and then of the window. Memory grows as it is filled. */
int wf_window_append(wf_window *w, const uint8_t *data, size_t len);

void wf_window_check(const wf_window *w);

#endif
