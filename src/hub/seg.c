#include "hub/seg.h"

#include "base/mem.h"

#include <string.h>

wf_seg *wf_seg_alloc(size_t cap) {
    size_t bytes = sizeof(wf_seg) + cap;
    if (cap > UINT32_MAX)
        return NULL;
    bool big = bytes >= WF_BIG_BYTES && cap <= UINT32_MAX / 2; /* for it may be twice as many */
    wf_seg *seg = big ? wf_big_take(bytes, &bytes) : wf_mem_alloc(bytes);
    if (seg)
        seg->cap = (uint32_t)(bytes - sizeof *seg);
    return seg;
}

void wf_seg_splice(wf_outq_list *to, wf_seg *before, wf_outq_list *from) {
    if (!from->tail)
        return;
    if (!to->tail) {
        to->tail = from->tail;
    } else {
        wf_seg *place = before ? before : to->tail, *following = place->next;
        place->next = from->tail->next;
        from->tail->next = following;
        if (before == to->tail)
            to->tail = from->tail;
    }
    from->tail = NULL;
}

wf_seg *wf_seg_copy(wf_outq_pool *pool, wf_seg *seg) {
    struct iovec ranges[2];
    wf_seg *own = wf_seg_new(pool, seg->end - seg->start);
    if (!own)
        return NULL;
    for (int i = 0, count = wf_seg_ranges(seg, ranges); i < count; i++) {
        memcpy(own->data + own->end, ranges[i].iov_base, ranges[i].iov_len);
        own->end += ranges[i].iov_len;
    }
    own->begun = seg->begun;
    return own;
}

void wf_outq_pool_deinit(wf_outq_pool *pool) {
    wf_seg *seg;
    while ((seg = wf_seg_take(&pool->chunks, &pool->chunk_count)))
        wf_mem_free(seg);
    while ((seg = wf_seg_take(&pool->smalls, &pool->small_count)))
        wf_mem_free(seg);
    while ((seg = wf_seg_take(&pool->refs, &pool->ref_count)))
        wf_mem_free(seg);
}

void wf_outq_pool_rest(wf_outq_pool *pool) {
    size_t spare = pool->ref_count > WF_REFS_KEPT ? pool->ref_count - WF_REFS_KEPT : 0;
    for (size_t left = (spare + 1) / 2; left > 0; left--)
        wf_mem_free(wf_seg_take(&pool->refs, &pool->ref_count));
}
