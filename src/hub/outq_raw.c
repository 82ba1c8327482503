/*
 * What is published to a connection with an encoding of its own waits raw, and is encoded when it is its turn: outq.h
 * says why.
 */
#include "hub/seg.h"

bool wf_outq_raw_next(wf_outq *q, wf_outq_walk *walk, size_t segs_max, const wf_blob **out_blob) {
    if (!q->raws)
        return false;
    while (walk->before ? walk->before != q->queue.tail : q->queue.tail != NULL) {
        if (walk->seen >= segs_max)
            return false;
        wf_seg *seg = walk->before ? walk->before->next : wf_seg_first(&q->queue);
        if (seg->raw) {
            walk->seg = seg;
            *out_blob = seg->blob;
            return true;
        }
        walk->before = seg;
        walk->seen++;
    }
    q->raws = q->aside && q->aside->held.tail;
    return false;
}

uint8_t *wf_outq_raw_encode(wf_outq *q, wf_outq_walk *walk, size_t len) {
    wf_seg *raw = walk->seg, *to = walk->before;
    /* Behind what was encoded last, where there is room: then one range goes out for many messages. */
    if (!to || to->cap == 0 || to->ahead || to->begun || to->cap - to->end < len) {
        if (!(to = wf_seg_new(q->pool, len <= WF_CHUNK_BYTES ? WF_CHUNK_BYTES : len)))
            return NULL;
        wf_outq_list fresh = {0};
        wf_seg_push(&fresh, to);
        wf_seg_splice(&q->queue, walk->before, &fresh);
        q->seg_count++;
        walk->before = to;
        walk->seen++;
    }
    q->bytes -= raw->end - raw->start;
    wf_seg_release(q, wf_seg_remove_after(&q->queue, to));
    uint8_t *room = to->data + to->end;
    to->end += len;
    q->bytes += len;
    return room;
}

void wf_outq_raw_drop(wf_outq *q, wf_outq_walk *walk) {
    q->bytes -= walk->seg->end - walk->seg->start;
    wf_seg_release(q, wf_seg_remove_after(&q->queue, walk->before ? walk->before : q->queue.tail));
}

void wf_outq_raw_keep(wf_outq_walk *walk) {
    walk->seg->raw = false;
}

void wf_outq_raw_take_alt(wf_outq *q, wf_outq_walk *walk) {
    wf_seg *seg = walk->seg;
    wf_blob *plain = seg->blob;
    wf_outq_raw_keep(walk);
    seg->published = false;
    wf_seg_refer(seg, plain->alt);
    q->bytes = q->bytes - plain->len + seg->blob->len;
    wf_blob_unref(plain);
}
