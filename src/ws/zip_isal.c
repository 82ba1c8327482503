/*
 * ISA-L. Compressing has two ways:
 *
 *   with a history, a short message is mostly references: level 0 and the fixed Huffman tables of RFC 1951 3.2.6,
 *   which cost no head;
 *
 *   without, or when there is much to say, literals count: level 1, with tables made for the message.
 *
 * The figures are in docs/COMPRESSION.md.
 */
#include "ws/zip_impl.h"

#include "base/mem.h"
#include "base/status.h"

#include <isa-l.h>

enum { LARGE_BYTES = 4096, LEVEL_1_BYTES = ISAL_DEF_LVL1_MEDIUM };

typedef struct deflater {
    struct isal_zstream z;
    uint8_t level_1[LEVEL_1_BYTES];
} deflater;

static void *deflater_new(void) {
    return wf_mem_alloc(sizeof(deflater));
}

static size_t deflater_run(void *state, const wf_zip_job *job) {
    deflater *d = state;
    struct isal_zstream *z = &d->z;
    isal_deflate_init(z);
    z->flush = SYNC_FLUSH;
    z->hist_bits = (uint16_t)job->window_bits;
    if (job->history_len == 0 || job->len >= LARGE_BYTES) {
        z->level = 1;
        z->level_buf = d->level_1;
        z->level_buf_size = sizeof d->level_1;
    } else if (isal_deflate_set_hufftables(z, NULL, IGZIP_HUFFTABLE_STATIC) != COMP_OK) {
        return 0;
    }
    if (job->history_len > 0 &&
        isal_deflate_set_dict(z, (uint8_t *)job->history, (uint32_t)job->history_len) != COMP_OK)
        return 0;
    z->next_in = (uint8_t *)job->data;
    z->avail_in = job->len;
    z->next_out = job->out;
    z->avail_out = job->out_cap;
    if (isal_deflate(z) != COMP_OK || z->avail_in > 0 || z->internal_state.state != ZSTATE_NEW_HDR)
        return 0; /* stopped on the way, for want of room */
    return job->out_cap - z->avail_out - WF_ZIP_TAIL_BYTES;
}

static size_t deflater_memory(const void *state) {
    (void)state;
    return sizeof(deflater);
}

const wf_compressor wf_zip_isal_compressor = {
    .name = "isa-l",
    .window_bits_min = 8,
    .new = deflater_new,
    .free = wf_mem_free,
    .memory = deflater_memory,
    .run = deflater_run,
};

/* ---- decompressing ---- */

/* The input is given in slices. One that gives less than a GAIN-th of itself is made of blocks without content, each
 * of which sets up its tables here: zlib does that in a tenth of the time. */
enum { SLICE_BYTES = 4096, SLICE_GAIN = 4 };

typedef struct inflater {
    struct inflate_state s;
    size_t slice_in, slice_out; /* of the slice at hand */
} inflater;

static void *inflater_new(void) {
    return wf_mem_alloc(sizeof(inflater));
}

static int inflater_begin(void *state, const uint8_t *history, size_t history_len) {
    inflater *i = state;
    isal_inflate_init(&i->s);
    i->slice_in = i->slice_out = 0;
    if (history_len > 0 && isal_inflate_set_dict(&i->s, (uint8_t *)history, (uint32_t)history_len) != COMP_OK)
        return WF_ENOMEM;
    return WF_OK;
}

static bool slice_is_empty(inflater *i, size_t used, size_t made) {
    i->slice_in += used;
    i->slice_out += made;
    if (i->slice_in < SLICE_BYTES && i->s.avail_out > 0)
        return false;
    if (i->s.avail_out == 0) /* full: there may be more of it */
        i->slice_out = i->slice_in;
    bool empty = i->slice_out < i->slice_in / SLICE_GAIN;
    i->slice_in = i->slice_out = 0;
    return empty;
}

static int inflater_run(void *state, wf_zip_io *io) {
    inflater *i = state;
    while (io->out_len > 0) {
        size_t slice = SLICE_BYTES - i->slice_in;
        uint32_t in_given = i->s.avail_in = (uint32_t)(io->in_len < slice ? io->in_len : slice);
        uint32_t out_given = i->s.avail_out = wf_zip_part(io->out_len);
        i->s.next_in = (uint8_t *)io->in;
        i->s.next_out = io->out;
        int got = isal_inflate(&i->s);
        /* What is corrupt is left to zlib to judge, so that the verdict is one; and it does not keep its history over
         * the end of a stream. */
        if (got < 0 || i->s.block_state == ISAL_BLOCK_FINISH)
            return WF_ZIP_DECLINED;
        size_t used = in_given - i->s.avail_in, made = out_given - i->s.avail_out;
        io->in += used;
        io->in_len -= used;
        io->out += made;
        io->out_len -= made;
        if (slice_is_empty(i, used, made))
            return WF_ZIP_DECLINED;
        if (used + made == 0)
            break;
    }
    return WF_OK;
}

static bool inflater_between_blocks(const void *state) {
    const struct inflate_state *s = &((const inflater *)state)->s;
    bool at_head = s->block_state == ISAL_BLOCK_NEW_HDR || s->block_state == ISAL_BLOCK_HDR;
    return at_head && s->read_in_length == 0 && s->tmp_in_size == 0; /* nothing of the head is there */
}

const wf_decompressor wf_zip_isal_decompressor = {
    .name = "isa-l",
    .whole_only = true,
    .new = inflater_new,
    .free = wf_mem_free,
    .memory = sizeof(inflater),
    .begin = inflater_begin,
    .run = inflater_run,
    .between_blocks = inflater_between_blocks,
};
