/*
 * zip.h - the compression libraries, behind one small interface: raw deflate (RFC 1951), one message at a time.
 *
 * A compressor's state is only needed while it works: what it knew of the past is given to it anew with each message,
 * as the bytes themselves. So one state serves all connections of a loop, and nothing is left in it that could be
 * wrong.
 *
 * The libraries: ISA-L where it is there (x86-64, arm64), zlib always. wf_zip_compressors and wf_zip_decompressors
 * list what was built in, best first, NULL at the end; all pass the same tests, and each reads what another wrote.
 */
#ifndef WF_WS_ZIP_H
#define WF_WS_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wf_zip_job {
    const uint8_t *history; /* what was said before; references reach back into it */
    size_t history_len;     /* at most 2^window_bits */
    unsigned window_bits;   /* window_bits_min..15: no reference reaches further */
    const uint8_t *data;
    uint32_t len; /* > 0; the libraries count in 32 bits */
    uint8_t *out;
    uint32_t out_cap;
} wf_zip_job;

typedef struct wf_compressor {
    const char *name;         /* "isa-l", "zlib" */
    unsigned window_bits_min; /* 8 or 9: shorter windows it cannot promise */
    void *(*new)(void);       /* NULL: out of memory */
    void (*free)(void *state);
    size_t (*memory)(const void *state); /* bytes held by a state */
    /* Compresses the message into whole bytes that end in an empty stored block, and leaves off that block's 00 00 ff
     * ff (RFC 7692 7.2.1). The bytes written, or 0: they do not fit. */
    size_t (*run)(void *state, const wf_zip_job *job);
} wf_compressor;

typedef struct wf_zip_io {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len; /* room */
} wf_zip_io;

enum { WF_ZIP_DECLINED = 3 };

typedef struct wf_decompressor {
    const char *name;
    bool whole_only;    /* for messages that are whole from the first call on; and it may decline */
    void *(*new)(void); /* NULL: out of memory */
    void (*free)(void *state);
    size_t memory; /* bytes held by a state, at the most */
    /* At the start of a message: forgets everything but this history. WF_OK, WF_ENOMEM. */
    int (*begin)(void *state, const uint8_t *history, size_t history_len);
    /* Moves in and out on. WF_OK: `in` is used up, or `out` is full and there may be more; WF_ERROR: corrupt;
     * WF_ENOMEM; WF_ZIP_DECLINED: ask another, from the beginning. A block marked as the last of its stream (BFINAL)
     * ends nothing: another stream with the same history may follow (RFC 7692 7.2.3.4). */
    int (*run)(void *state, wf_zip_io *io);
    /* All that came is used, and it ended with a block: nothing is missing. */
    bool (*between_blocks)(const void *state);
} wf_decompressor;

const wf_compressor *wf_zip_compressors(size_t index);
const wf_decompressor *wf_zip_decompressors(size_t index);

#endif
