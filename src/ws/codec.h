/*
 * codec.h - what the compressed connections of one loop share: the states of the libraries, borrowed for as long as
 * they are needed, and room for the message at hand. Made at first use: a loop that never compresses holds nothing.
 */
#ifndef WF_WS_CODEC_H
#define WF_WS_CODEC_H

#include "base/buf.h"
#include "base/counter.h"
#include "ws/zip.h"

typedef struct wf_codec {
    const wf_compressor *compressor;
    const wf_decompressor *decompressor; /* for every message */
    const wf_decompressor *whole; /* faster, for those that are whole and of whole_bytes_min; NULL: there is none */
    size_t whole_bytes_min;
    void *compressor_state, *decompressor_state, *whole_state; /* NULL: not made yet, or lent */
    wf_buf deflated, inflated;                                 /* the message at hand, out and in; kept while small */
    wf_counter deflate_in_bytes, deflate_out_bytes;            /* of messages compressed; any thread may read them */
    wf_counter inflate_in_bytes, inflate_out_bytes;
} wf_codec;

/* With the best libraries there are. */
void wf_codec_init(wf_codec *codec);
void wf_codec_deinit(wf_codec *codec); /* nothing is lent out */

/* Before the first message: this library, "isa-l" or "zlib", wherever it can. WF_OK; WF_EINVAL: it was not built in. */
int wf_codec_use(wf_codec *codec, const char *name);

/* Compresses with the shared state: the bytes written to job->out, or 0: they do not fit, or there is no memory. */
size_t wf_codec_deflate(wf_codec *codec, const wf_zip_job *job);

/* Lends the state of codec->decompressor; NULL: out of memory. */
void *wf_codec_borrow(wf_codec *codec);
void wf_codec_give_back(wf_codec *codec, void *state);

/* Between two turns of the loop: lets go of the room long messages took. */
void wf_codec_rest(wf_codec *codec);

/* Bytes held for the loop; what is lent counts where it is. */
size_t wf_codec_memory(const wf_codec *codec);

#endif
