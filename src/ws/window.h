/*
 * window.h - the last bytes that were said, for a compressor or decompressor to refer back to (RFC 7692 7.2.3.2): all that a
 * connection keeps of its compression between two messages.
 *
 * Invariants (wf_window_check): 1. len <= cap <= bytes_max. 2. data is NULL exactly when cap is 0.
 */
#ifndef WF_WS_WINDOW_H
#define WF_WS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

typedef struct wf_window {
    uint8_t *data; /* the oldest byte first */
    uint32_t len, cap, bytes_max;
} wf_window;

/* `bits` 8..15 for 2^bits bytes, 0: keeps nothing. */
void wf_window_init(wf_window *w, unsigned bits);
void wf_window_deinit(wf_window *w); /* empty, and usable again */

/* What was said goes on by these bytes. 0; WF_ENOMEM: the window is unchanged and no longer true. Cost: at most bytes_max
 * moved. Memory grows as it is filled, up to bytes_max exactly. */
int wf_window_append(wf_window *w, const uint8_t *data, size_t len);

void wf_window_check(const wf_window *w);

#endif
