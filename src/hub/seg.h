/*
 * seg.h - what queues are made of, for the files of this room alone: segments, the lists they stand in, and the pool
 * they come from and go back to.
 *
 * A segment is a range of bytes to send: of a shared blob, or of its own memory behind the struct. Chunks
 * (own memory, 4 KiB) and references come from freelists in last-in first-out order, so that a connection
 * that answers small messages writes to the same warm chunk over and over, and nothing is allocated.
 *
 *      wf_seg [next|bytes|blob|start|end|cap|flags] data...........
 *                                                  ^start     ^end      ^cap
 */
#ifndef WF_HUB_SEG_H
#define WF_HUB_SEG_H

#include "base/big.h"
#include "base/usual.h"
#include "hub/outq.h"

enum { WF_SEG_HEAD_BYTES = 10 };

struct wf_seg {
    wf_seg *next;
    uint8_t *bytes;    /* own ones: `data` */
    wf_blob *blob;     /* NULL: own bytes, or lent ones */
    size_t start, end; /* what is left to send */
    uint32_t cap;      /* own bytes; 0: they are elsewhere */
    bool pinned;       /* given to the kernel */
    bool begun;        /* partly sent */
    bool published;
    bool raw;         /* to be encoded before it is gathered */
    bool ahead;       /* control frames do not overtake it */
    bool lent;        /* to be copied when they are still here at wf_outq_settle */
    bool replaceable; /* a control frame that a later one may take the place of */
    uint8_t
        head_len; /* of a frame whose payload is elsewhere: these come before `bytes`, and start and end count them */
    uint8_t head[WF_SEG_HEAD_BYTES];
    uint8_t data[];
};

enum {
    WF_CHUNK_BYTES = 4096 - sizeof(wf_seg) - 16,
    WF_CHUNKS_KEPT = 64,
    WF_REFS_KEPT = 4096,
    WF_REFS_MOST = 32768, /* kept until the next rest: a room of thousands, some messages each */
    WF_SMALL_BYTES = 128,
    WF_SMALLS_KEPT = 1024
};

/* wf_seg_new's, when none is free. Only `cap` is set: what the memory holds, which may be more. */
wf_seg *wf_seg_alloc(size_t cap);

/* Moves all of `from` into `to`, behind `before` (NULL: to the front). */
void wf_seg_splice(wf_outq_list *to, wf_seg *before, wf_outq_list *from);

/* The same bytes in memory of its own. NULL when memory is out. */
wf_seg *wf_seg_copy(wf_outq_pool *pool, wf_seg *seg);

/* The last one of a list of free ones; NULL: none. */
static inline wf_seg *wf_seg_take(wf_seg **list, size_t *count) {
    wf_seg *seg = *list;
    if (seg) {
        *list = seg->next;
        (*count)--;
    }
    return seg;
}

/* All but what means nothing without a length. */
static inline wf_seg *wf_seg_clear(wf_seg *seg, size_t cap) {
    seg->bytes = seg->data;
    seg->blob = NULL;
    seg->start = seg->end = 0;
    seg->cap = (uint32_t)cap;
    seg->pinned = seg->begun = seg->published = seg->raw = seg->ahead = seg->lent = seg->replaceable = false;
    seg->head_len = 0;
    return seg;
}

/* `cap` bytes of its own, or 0: a reference. Empty. NULL when memory is out. */
static inline wf_seg *wf_seg_new(wf_outq_pool *pool, size_t cap) {
    wf_seg *seg = NULL;
    if (cap == 0)
        seg = wf_seg_take(&pool->refs, &pool->ref_count);
    else if (cap == WF_CHUNK_BYTES)
        seg = wf_seg_take(&pool->chunks, &pool->chunk_count);
    else if (cap == WF_SMALL_BYTES)
        seg = wf_seg_take(&pool->smalls, &pool->small_count);
    if (!wf_usual(seg)) {
        if (!(seg = wf_seg_alloc(cap)))
            return NULL;
        cap = seg->cap;
    }
    pool->bytes_used += sizeof *seg + cap;
    return wf_seg_clear(seg, cap);
}

static inline void wf_seg_free(wf_outq_pool *pool, wf_seg *seg) {
    pool->bytes_used -= sizeof *seg + seg->cap;
    if (seg->blob)
        wf_blob_unref(seg->blob);
    if (wf_usual(seg->cap == WF_CHUNK_BYTES && pool->chunk_count < WF_CHUNKS_KEPT)) {
        seg->next = pool->chunks;
        pool->chunks = seg;
        pool->chunk_count++;
    } else if (seg->cap == 0 && pool->ref_count < WF_REFS_MOST) {
        seg->next = pool->refs;
        pool->refs = seg;
        pool->ref_count++;
    } else if (seg->cap == WF_SMALL_BYTES && pool->small_count < WF_SMALLS_KEPT) {
        seg->next = pool->smalls;
        pool->smalls = seg;
        pool->small_count++;
    } else {
        wf_big_give(seg, sizeof *seg + seg->cap);
    }
}

/* At the end. */
static inline void wf_seg_push(wf_outq_list *list, wf_seg *seg) {
    seg->next = list->tail ? list->tail->next : seg;
    if (list->tail)
        list->tail->next = seg;
    list->tail = seg;
}

/* NULL: none. */
static inline wf_seg *wf_seg_first(const wf_outq_list *list) {
    return list->tail ? list->tail->next : NULL;
}

/* Takes out the segment behind `before`. */
static inline wf_seg *wf_seg_remove_after(wf_outq_list *list, wf_seg *before) {
    wf_seg *seg = before->next;
    if (seg == before) {
        list->tail = NULL;
    } else {
        before->next = seg->next;
        if (list->tail == seg)
            list->tail = before;
    }
    return seg;
}

/* All of a blob, with a reference of its own. */
static inline void wf_seg_refer(wf_seg *seg, wf_blob *blob) {
    seg->blob = wf_blob_ref(blob);
    seg->bytes = blob->data;
    seg->end = blob->len;
}

/* Lays out what is left of a segment: one range, or two. Returns their number. */
static inline int wf_seg_ranges(wf_seg *seg, struct iovec *ranges) {
    int count = 0;
    size_t at = seg->start;
    if (at < seg->head_len) {
        ranges[count++] = (struct iovec) {seg->head + at, seg->head_len - at};
        at = seg->head_len;
    }
    ranges[count++] = (struct iovec) {seg->bytes + (at - seg->head_len), seg->end - at};
    return count;
}

/* Out of its queue and gone. */
static inline void wf_seg_release(wf_outq *q, wf_seg *seg) {
    q->seg_count--;
    wf_seg_free(q->pool, seg);
}

#endif
