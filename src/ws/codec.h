/*
 * codec.h - what the compressed connections of one loop share: the states of the libraries, borrowed for as long as they are
 * needed, and room for the message at hand. Made at first use: a loop that never compresses holds nothing.
 */
#ifndef WF_WS_CODEC_H
#define WF_WS_CODEC_H

#include "base/buf.h"
#include "base/counter.h"
#include "ws/zip.h"

/* A decompressor's state, and whose it is. */
typedef struct wf_inflating {
    const wf_decompressor *library;
    void *state; /* NULL: none */
} wf_inflating;

typedef struct wf_codec {
    const wf_compressor *compressor;
    void *compressor_state;
    wf_inflating small, large; /* for little at once, and for much; the states that are not lent out */
    wf_buf deflated, inflated; /* the message at hand, out and in; kept while small */
    wf_counter deflate_in_bytes, deflate_out_bytes; /* of messages sent compressed; any thread may read them */
    wf_counter inflate_in_bytes, inflate_out_bytes;
} wf_codec;

/* With the best libraries there are. */
void wf_codec_init(wf_codec *codec);
void wf_codec_deinit(wf_codec *codec); /* nothing is lent out */

/* Before the first message: only this library, "isa-l" or "zlib". WF_OK; WF_EINVAL: it was not built in. */
int wf_codec_use(wf_codec *codec, const char *name);

/* Compresses with the shared state: the bytes written to job->out, or 0: they do not fit, or there is no memory. */
size_t wf_codec_deflate(wf_codec *codec, const wf_zip_job *job);

/* Lends a decompressor that has begun with this history. WF_OK, WF_ENOMEM. */
int wf_codec_borrow(wf_codec *codec, bool large, const uint8_t *history, size_t history_len, wf_inflating *out_lent);
void wf_codec_give_back(wf_codec *codec, wf_inflating *lent);

/* Lets go of the room a long message took. */
void wf_codec_shrink(wf_buf *room);

/* Bytes held for the loop; what is lent counts where it is. */
size_t wf_codec_memory(const wf_codec *codec);

#endif
