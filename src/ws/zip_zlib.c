/*
 * zlib: everywhere, and for decompressing what is small or comes in pieces the better one: its state is 7 KiB, and 32
 * KiB of window only when a message is longer than what came at once.
 */
#include "ws/zip_impl.h"

#include "base/mem.h"
#include "base/status.h"

#include <zlib.h>

/* memLevel 6: the hash table is wiped for each message, and should not be larger than messages are. */
enum { LEVEL = 1, MEM_LEVEL = 6, DEFLATE_BYTES = 170 * 1024, INFLATE_BYTES = 40 * 1024 };

static voidpf take(voidpf opaque, uInt count, uInt size) {
    (void)opaque;
    return wf_mem_zalloc((size_t)count * size);
}

static void give_back(voidpf opaque, voidpf address) {
    (void)opaque;
    wf_mem_free(address);
}

static const z_stream fresh = {.zalloc = take, .zfree = give_back};

/* ---- compressing ---- */

typedef struct deflater {
    z_stream *by_bits[16]; /* the window's size is fixed when a stream is made */
} deflater;

static void *deflater_new(void) {
    return wf_mem_zalloc(sizeof(deflater));
}

static void deflater_free(void *state) {
    deflater *d = state;
    for (size_t i = 0; d && i < sizeof d->by_bits / sizeof *d->by_bits; i++) {
        if (d->by_bits[i])
            deflateEnd(d->by_bits[i]);
        wf_mem_free(d->by_bits[i]);
    }
    wf_mem_free(d);
}

static z_stream *deflater_of(deflater *d, unsigned bits) {
    z_stream *z = d->by_bits[bits];
    if (z)
        return deflateReset(z) == Z_OK ? z : NULL;
    if (!(z = wf_mem_alloc(sizeof *z)))
        return NULL;
    *z = fresh;
    if (deflateInit2(z, LEVEL, Z_DEFLATED, -(int)bits, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        wf_mem_free(z);
        return NULL;
    }
    return d->by_bits[bits] = z;
}

static size_t deflater_run(void *state, const wf_zip_job *job) {
    z_stream *z = deflater_of(state, job->window_bits);
    if (!z)
        return 0;
    if (job->history_len > 0 && deflateSetDictionary(z, job->history, (uInt)job->history_len) != Z_OK)
        return 0;
    z->next_in = (Bytef *)job->data;
    z->avail_in = job->len;
    z->next_out = job->out;
    z->avail_out = job->out_cap;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_out == 0) /* full: the flush may not be complete */
        return 0;
    return job->out_cap - z->avail_out - WF_ZIP_TAIL_BYTES;
}

static size_t deflater_memory(const void *state) {
    const deflater *d = state;
    size_t bytes = sizeof *d;
    for (size_t i = 0; i < sizeof d->by_bits / sizeof *d->by_bits; i++)
        bytes += d->by_bits[i] ? DEFLATE_BYTES : 0;
    return bytes;
}

const wf_compressor wf_zip_zlib_compressor = {
    .name = "zlib",
    .window_bits_min = 9,
    .new = deflater_new,
    .free = deflater_free,
    .memory = deflater_memory,
    .run = deflater_run,
};

/* ---- decompressing ---- */

typedef struct inflater {
    z_stream z;
    bool between_blocks;
} inflater;

static void *inflater_new(void) {
    inflater *i = wf_mem_alloc(sizeof *i);
    if (!i)
        return NULL;
    *i = (inflater) {.z = fresh};
    if (inflateInit2(&i->z, -MAX_WBITS) != Z_OK) {
        wf_mem_free(i);
        return NULL;
    }
    return i;
}

static void inflater_free(void *state) {
    inflater *i = state;
    if (i)
        inflateEnd(&i->z);
    wf_mem_free(i);
}

static int inflater_begin(void *state, const uint8_t *history, size_t history_len) {
    inflater *i = state;
    i->between_blocks = true;
    if (inflateReset(&i->z) != Z_OK)
        return WF_ENOMEM;
    if (history_len > 0 && inflateSetDictionary(&i->z, history, (uInt)history_len) != Z_OK)
        return WF_ENOMEM;
    return WF_OK;
}

/* One call of zlib; its answer. */
static int step(z_stream *z, wf_zip_io *io) {
    uInt in_given = z->avail_in = wf_zip_part(io->in_len), out_given = z->avail_out = wf_zip_part(io->out_len);
    z->next_in = (Bytef *)io->in;
    z->next_out = io->out;
    int got = inflate(z, Z_SYNC_FLUSH);
    io->in += in_given - z->avail_in;
    io->in_len -= in_given - z->avail_in;
    io->out += out_given - z->avail_out;
    io->out_len -= out_given - z->avail_out;
    return got;
}

static int inflater_run(void *state, wf_zip_io *io) {
    inflater *i = state;
    while (io->out_len > 0) {
        switch (step(&i->z, io)) {
        case Z_OK:
            /* Where it stands: 128 before the head of a block, and how many bits of the last byte are left. */
            i->between_blocks = i->z.data_type & 128 && (i->z.data_type & 7) == 0;
            break;
        case Z_STREAM_END:
            inflateResetKeep(&i->z); /* the window stays */
            i->between_blocks = true;
            break;
        case Z_BUF_ERROR: /* there is nothing left to do */
            return WF_OK;
        case Z_MEM_ERROR:
            return WF_ENOMEM;
        default:
            return WF_ERROR;
        }
    }
    return WF_OK;
}

static bool inflater_between_blocks(const void *state) {
    return ((const inflater *)state)->between_blocks;
}

const wf_decompressor wf_zip_zlib_decompressor = {
    .name = "zlib",
    .new = inflater_new,
    .free = inflater_free,
    .memory = INFLATE_BYTES,
    .begin = inflater_begin,
    .run = inflater_run,
    .between_blocks = inflater_between_blocks,
};
