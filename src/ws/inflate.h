/*
 * inflate.h - the receiving half of permessage-deflate for one connection (RFC 7692 7.2.2): a message comes in
 * pieces, in any cut, and leaves as plain bytes at the end of a buffer.
 *
 * Between two messages a connection keeps its window and nothing else. A decompressor is borrowed with the first
 * piece and given back with the last; for a message that comes in one piece that is within one call.
 */
#ifndef WF_WS_INFLATE_H
#define WF_WS_INFLATE_H

#include "ws/codec.h"
#include "ws/window.h"

typedef struct wf_inflate {
    wf_codec *codec;
    wf_window window; /* of what the peer said; empty without context takeover */
    void *lent;       /* a decompressor's state, while a message is cut; NULL: none */
    uint32_t work;    /* what has been done so far, in inflated bytes or as much; only differences count */
} wf_inflate;

/* `window_bits`: of the peer's compressor, 8..15; 0: no context takeover. */
void wf_inflate_init(wf_inflate *inflate, wf_codec *codec, unsigned window_bits);
void wf_inflate_deinit(wf_inflate *inflate);

/* The next piece of a message, `last` with its end. Plain bytes are appended to *out, which never grows beyond
 * bytes_max + 1 (and its slack): memory is taken as bytes are produced. out->data holds this message from its
 * beginning. WF_OK; WF_FULL: the message is longer than bytes_max; WF_ERROR: corrupt; WF_ENOMEM. After all but WF_OK
 * the connection's context is lost. Cost: linear in the bytes in and out, and one copy of the window a message. */
int wf_inflate_piece(wf_inflate *inflate, const uint8_t *data, size_t len, bool last, wf_buf *out, uint64_t bytes_max);

/* The message begun will not go on. */
void wf_inflate_abandon(wf_inflate *inflate);

/* Bytes held for this connection. */
size_t wf_inflate_memory(const wf_inflate *inflate);

#endif
