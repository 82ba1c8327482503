/*
 * ISA-L. Compressing has two ways:
 *
 *   with a history, a short message is mostly references: level 0 and the fixed Huffman tables of RFC 1951 3.2.6, which cost
 *   no head;
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
    if (job->len > UINT32_MAX) /* its counters have 32 bits */
        return 0;
    uint32_t out_cap = job->out_cap < UINT32_MAX ? (uint32_t)job->out_cap : UINT32_MAX;
    z->next_in = (uint8_t *)job->data;
    z->avail_in = (uint32_t)job->len;
    z->next_out = job->out;
    z->avail_out = out_cap;
    if (isal_deflate(z) != COMP_OK || z->avail_in > 0 || z->internal_state.state != ZSTATE_NEW_HDR)
        return 0; /* stopped on the way, for want of room */
    return out_cap - z->avail_out - WF_ZIP_TAIL_BYTES;
}

const wf_compressor wf_zip_isal_compressor = {
    .name = "isa-l",
    .window_bits_min = 8,
    .new = deflater_new,
    .free = wf_mem_free,
    .memory = sizeof(deflater),
    .run = deflater_run,
};

/* ---- decompressing ---- */

static void *inflater_new(void) {
    return wf_mem_alloc(sizeof(struct inflate_state));
}

static int inflater_begin(void *state, const uint8_t *history, size_t history_len) {
    struct inflate_state *s = state;
    isal_inflate_init(s);
    if (history_len > 0 && isal_inflate_set_dict(s, (uint8_t *)history, (uint32_t)history_len) != COMP_OK)
        return WF_ENOMEM;
    return WF_OK;
}

static uint32_t part(size_t len) {
    return len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
}

static int inflater_run(void *state, wf_zip_io *io) {
    struct inflate_state *s = state;
    while (io->out_len > 0) {
        uint32_t in_given = s->avail_in = part(io->in_len), out_given = s->avail_out = part(io->out_len);
        s->next_in = (uint8_t *)io->in;
        s->next_out = io->out;
        int got = isal_inflate(s);
        io->in += in_given - s->avail_in;
        io->in_len -= in_given - s->avail_in;
        io->out += out_given - s->avail_out;
        io->out_len -= out_given - s->avail_out;
        if (got < 0)
            return WF_ERROR;
        if (s->block_state == ISAL_BLOCK_FINISH) {
            s->block_state = ISAL_BLOCK_NEW_HDR;
            s->bfinal = 0;
            s->read_in >>= s->read_in_length & 7; /* the next stream begins with a byte */
            s->read_in_length -= s->read_in_length & 7;
        } else if (io->in_len == 0 || s->avail_in == in_given) {
            return WF_OK;
        }
    }
    return WF_OK;
}

static bool inflater_between_blocks(const void *state) {
    const struct inflate_state *s = state;
    bool at_head = s->block_state == ISAL_BLOCK_NEW_HDR || s->block_state == ISAL_BLOCK_HDR;
    return at_head && s->read_in_length == 0 && s->tmp_in_size == 0; /* nothing of the head is there */
}

const wf_decompressor wf_zip_isal_decompressor = {
    .name = "isa-l",
    .new = inflater_new,
    .free = wf_mem_free,
    .memory = sizeof(struct inflate_state),
    .begin = inflater_begin,
    .run = inflater_run,
    .between_blocks = inflater_between_blocks,
};
