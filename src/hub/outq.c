/*
 * Three lists, and the budget over them: outq.h has the picture, seg.h what they are made of.
 */
#include "hub/seg.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/usual.h"

#include <string.h>

static void list_free(wf_outq *q, wf_outq_list *list) {
    while (list->tail) {
        wf_seg *seg = wf_seg_remove_after(list, list->tail);
        q->bytes -= seg->end - seg->start;
        wf_seg_release(q, seg);
    }
}

static bool has_urgent(const wf_outq *q) {
    return q->aside && q->aside->urgent.tail;
}

/* Its lists are there. False: memory is out. */
static bool aside_take(wf_outq *q) {
    return q->aside || (q->aside = wf_mem_zalloc(sizeof *q->aside));
}

static void aside_done(wf_outq *q) {
    if (q->aside && !q->aside->urgent.tail && !q->aside->held.tail) {
        wf_mem_free(q->aside);
        q->aside = NULL;
    }
}

static void urgent_free(wf_outq *q) {
    if (!q->aside)
        return;
    list_free(q, &q->aside->urgent);
    q->aside->urgent_count = 0;
    aside_done(q);
}

static void held_free(wf_outq *q) {
    if (!q->aside)
        return;
    list_free(q, &q->aside->held);
    q->aside->held_bytes = 0;
    aside_done(q);
}

void wf_outq_init(wf_outq *q, wf_outq_pool *pool, uint32_t bytes_max, wf_slow_policy policy) {
    *q = (wf_outq) {.bytes_max = bytes_max, .policy = (uint8_t)policy, .pool = pool};
}

void wf_outq_deinit(wf_outq *q) {
    wf_assert(!q->listed);
    list_free(q, &q->queue);
    urgent_free(q);
    held_free(q);
    q->closed = true;
}

static inline void queued(wf_outq *q, wf_outq_list *list, wf_seg *seg) {
    wf_seg_push(list, seg);
    q->seg_count++;
    q->bytes += seg->end - seg->start;
    wf_outq_mark_ready(q);
}

/* A control frame that waits for the end of what is begun shall not wait for more. */
static inline bool has_room(const wf_outq *q, const wf_seg *seg, size_t len) {
    return seg->cap > 0 && seg->cap - seg->end >= len && !seg->ahead && !((seg->begun || seg->pinned) && has_urgent(q));
}

/* Behind a reference another one is likely: there it is no bigger than it need be. */
static __attribute__((noinline)) wf_seg *add_chunk(wf_outq *q, size_t len) {
    bool alone = q->queue.tail && q->queue.tail->cap == 0;
    size_t least = alone ? WF_SMALL_BYTES : WF_CHUNK_BYTES;
    wf_seg *seg = wf_seg_new(q->pool, len > least ? len : least);
    if (seg)
        queued(q, &q->queue, seg);
    return seg;
}

uint8_t *wf_outq_write(wf_outq *q, size_t len) {
    wf_seg *tail = q->queue.tail;
    wf_assert(len > 0);
    if (!tail && wf_usual(len <= WF_CHUNK_BYTES)) { /* an answer */
        tail = wf_seg_new(q->pool, WF_CHUNK_BYTES);
        if (!tail)
            return NULL;
        q->queue.tail = tail->next = tail;
        q->seg_count++;
    } else if (!tail || !has_room(q, tail, len)) {
        tail = add_chunk(q, len);
        if (!tail)
            return NULL;
    }
    uint8_t *room = tail->data + tail->end;
    tail->end += len;
    q->bytes += len;
    q->written = true;
    wf_outq_mark_ready(q);
    return room;
}

/* A frame whose payload is elsewhere. NULL when memory is out. */
static wf_seg *add_frame(wf_outq *q, const void *head, size_t head_len, const uint8_t *payload, size_t len) {
    wf_seg *seg = wf_seg_new(q->pool, 0);
    if (!seg)
        return NULL;
    wf_assert(head_len <= sizeof seg->head);
    memcpy(seg->head, head, head_len);
    seg->head_len = (uint8_t)head_len;
    seg->bytes = (uint8_t *)payload;
    seg->end = head_len + len;
    queued(q, &q->queue, seg);
    q->written = true;
    return seg;
}

int wf_outq_refer(wf_outq *q, const void *head, size_t head_len, wf_blob *blob) {
    wf_seg *seg = add_frame(q, head, head_len, blob->data, blob->len);
    if (!seg)
        return WF_ENOMEM;
    seg->blob = wf_blob_ref(blob);
    return WF_OK;
}

int wf_outq_lend(wf_outq *q, const void *head, size_t head_len, const wf_str *data) {
    wf_seg *seg = add_frame(q, head, head_len, (const uint8_t *)data->data, data->len);
    if (!seg)
        return WF_ENOMEM;
    q->lent = seg->lent = true;
    return WF_OK;
}

int wf_outq_settle_lent(wf_outq *q) {
    wf_seg *before = q->queue.tail, *last = q->queue.tail;
    for (bool more = last != NULL; more; before = before->next) {
        wf_seg *seg = before->next, *own;
        more = seg != last;
        if (!seg->lent)
            continue;
        wf_assert(!seg->pinned);
        if (!(own = wf_seg_copy(q->pool, seg)))
            return WF_ENOMEM;
        own->next = seg->next == seg ? own : seg->next;
        if (before == seg)
            before = own;
        before->next = own;
        if (q->queue.tail == seg)
            q->queue.tail = own;
        wf_seg_free(q->pool, seg);
    }
    q->lent = false;
    return WF_OK;
}

static bool over_budget(const wf_outq *q, size_t more) {
    return wf_outq_weight(q) + more > q->bytes_max;
}

static void dropped(wf_outq *q) {
    wf_count_add(&q->pool->drops, 1);
}

/* Makes room by dropping the published messages that wait longest. */
static void drop_oldest(wf_outq *q, wf_outq_list *list, size_t need) {
    wf_seg *before = list->tail, *last = list->tail;
    bool more = last != NULL;
    while (more && over_budget(q, need)) {
        wf_seg *seg = before->next;
        more = seg != last;
        if (seg->pinned || seg->begun || !seg->published) {
            before = seg;
            continue;
        }
        wf_seg_remove_after(list, before);
        q->bytes -= seg->end - seg->start;
        if (list != &q->queue)
            q->aside->held_bytes -= seg->end - seg->start;
        dropped(q);
        wf_seg_release(q, seg);
    }
}

/* A published message is not queued: the subscriber has a gap, which the default policy does not leave
 * untold. */
static int overflow(wf_outq *q) {
    dropped(q);
    if (q->policy == WF_SLOW_CLOSE) {
        q->overflowed = true;
        wf_outq_mark_ready(q);
    }
    return WF_FULL;
}

bool wf_outq_takes_alt(const wf_outq *q, const wf_blob *blob) {
    return blob->alt && q->alt_bits > 0 && blob->len >= q->alt_bytes_min && blob->len <= (size_t)1 << q->alt_bits;
}

int wf_outq_publish(wf_outq *q, wf_blob *blob) {
    if (q->closed)
        return WF_ECLOSED;
    wf_assert(blob->len > 0);
    bool raw = q->recodes;
    if (!raw && wf_outq_takes_alt(q, blob))
        blob = blob->alt;
    if (over_budget(q, 1) && q->policy == WF_SLOW_DROP_OLDEST) {
        drop_oldest(q, &q->queue, blob->len);
        if (q->aside)
            drop_oldest(q, &q->aside->held, blob->len);
        aside_done(q);
    }
    if (q->bytes > 0 && over_budget(q, 1))
        return overflow(q);
    wf_seg *seg = !q->fragmenting || aside_take(q) ? wf_seg_new(q->pool, 0) : NULL;
    if (!seg) {
        aside_done(q);
        return overflow(q);
    }
    wf_seg_refer(seg, blob);
    seg->published = true;
    seg->raw = raw;
    q->raws |= raw;
    if (q->fragmenting)
        q->aside->held_bytes += blob->len;
    queued(q, q->fragmenting ? &q->aside->held : &q->queue, seg);
    return WF_OK;
}

int wf_outq_urgent(wf_outq *q, const uint8_t *frame, size_t len, bool replace) {
    wf_seg *last = q->aside ? q->aside->urgent.tail : NULL;
    if (replace && last && q->aside->urgent_count >= WF_OUTQ_URGENT_MAX && last->replaceable) {
        wf_assert(len <= last->cap);
        q->bytes -= last->end;
        q->bytes += last->end = len;
        memcpy(last->data, frame, len);
        return WF_OK;
    }
    /* Room for any control frame, so that a later one can replace it. */
    wf_seg *seg = aside_take(q) ? wf_seg_new(q->pool, WF_OUTQ_URGENT_BYTES) : NULL;
    if (!seg) {
        aside_done(q);
        return WF_ENOMEM;
    }
    wf_assert(len > 0 && len <= seg->cap);
    memcpy(seg->data, frame, len);
    seg->end = len;
    seg->ahead = true;
    seg->replaceable = replace;
    q->aside->urgent_count++;
    queued(q, &q->aside->urgent, seg);
    return WF_OK;
}

void wf_outq_keep_ahead(wf_outq *q) {
    for (wf_seg *seg = wf_seg_first(&q->queue); seg; seg = seg == q->queue.tail ? NULL : seg->next)
        seg->ahead = true;
}

void wf_outq_fragments_done(wf_outq *q) {
    q->fragmenting = false;
    if (!q->aside)
        return;
    q->aside->held_bytes = 0;
    wf_seg_splice(&q->queue, q->queue.tail, &q->aside->held);
    aside_done(q);
}

void wf_outq_close(wf_outq *q) {
    held_free(q);
    q->fragmenting = false;
    q->closed = true;
}

void wf_outq_clear_unsent(wf_outq *q) {
    urgent_free(q);
    wf_outq_close(q);
    wf_outq_list kept = {0};
    while (q->queue.tail) {
        wf_seg *seg = wf_seg_remove_after(&q->queue, q->queue.tail);
        if (seg->pinned || seg->begun || seg->ahead) {
            wf_seg_push(&kept, seg);
        } else {
            q->bytes -= seg->end - seg->start;
            wf_seg_release(q, seg);
        }
    }
    q->queue = kept;
}

/* Control frames go behind a segment already begun, and behind what came before them and may not be
 * overtaken. */
static wf_seg *urgent_place(const wf_outq_list *queue) {
    wf_seg *before = NULL, *seg = wf_seg_first(queue);
    while (seg && (seg->begun || seg->ahead)) {
        before = seg;
        seg = seg == queue->tail ? NULL : seg->next;
    }
    return before;
}

int wf_outq_gather(wf_outq *q, struct iovec *ranges, int max) {
    wf_assert(!q->queue.tail || !wf_seg_first(&q->queue)->pinned);
    if (has_urgent(q)) {
        wf_seg_splice(&q->queue, urgent_place(&q->queue), &q->aside->urgent);
        q->aside->urgent_count = 0;
        aside_done(q);
    }
    q->written = false;
    int count = 0;
    for (wf_seg *seg = wf_seg_first(&q->queue); seg && count + (seg->head_len > 0) < max;
         seg = seg == q->queue.tail ? NULL : seg->next) {
        wf_assert(!seg->raw);
        seg->pinned = true;
        count += wf_seg_ranges(seg, ranges + count);
    }
    return count;
}

bool wf_outq_gather_one(wf_outq *q, struct iovec *out_range) {
    wf_seg *seg = q->queue.tail;
    if (!wf_usual(seg && seg->next == seg && !q->aside && !seg->raw && seg->head_len == 0))
        return false;
    wf_assert(!seg->pinned);
    q->written = false;
    seg->pinned = true;
    *out_range = (struct iovec) {seg->bytes + seg->start, seg->end - seg->start};
    return true;
}

static __attribute__((noinline)) void taken_many(wf_outq *q, size_t count) {
    while (q->queue.tail) {
        wf_seg *head = wf_seg_first(&q->queue);
        size_t left = head->end - head->start;
        wf_assert(head->pinned || count == 0);
        if (count < left || !head->pinned) {
            head->start += count;
            head->begun |= count > 0;
            break;
        }
        count -= left;
        wf_seg_release(q, wf_seg_remove_after(&q->queue, q->queue.tail));
    }
    for (wf_seg *seg = wf_seg_first(&q->queue); seg && seg->pinned; seg = seg == q->queue.tail ? NULL : seg->next)
        seg->pinned = false;
}

void wf_outq_taken(wf_outq *q, size_t count) {
    wf_seg *seg = q->queue.tail;
    wf_assert(count <= q->bytes);
    q->bytes -= count;
    if (!wf_usual(seg && seg->next == seg && count == seg->end - seg->start && !seg->blob)) {
        taken_many(q, count);
        return;
    }
    wf_assert(seg->pinned);
    q->queue.tail = NULL;
    wf_seg_release(q, seg);
}

void wf_outq_ready_remove(wf_outq *q) {
    wf_outq_pool *pool = q->pool;
    if (!q->listed)
        return;
    wf_outq *before = NULL;
    if (pool->ready_first != q)
        for (before = pool->ready_first; before->ready_next != q;)
            before = before->ready_next;
    *(before ? &before->ready_next : &pool->ready_first) = q->ready_next;
    if (pool->ready_last == q)
        pool->ready_last = before;
    pool->ready_count--;
    q->listed = false;
}

void wf_outq_check(const wf_outq *q) {
    static const wf_outq_aside no_aside;
    const wf_outq_aside *aside = q->aside ? q->aside : &no_aside;
    const wf_outq_list *lists[] = {&q->queue, &aside->urgent, &aside->held};
    size_t bytes = 0, held_bytes = 0, urgent = 0, segs = 0;
    for (int i = 0; i < 3; i++) {
        bool pinned = true;
        for (wf_seg *seg = wf_seg_first(lists[i]); seg; seg = seg == lists[i]->tail ? NULL : seg->next) {
            wf_assert(seg->start < seg->end);
            bytes += seg->end - seg->start;
            held_bytes += i == 2 ? seg->end - seg->start : 0;
            wf_assert(!seg->begun || (i == 0 && seg == wf_seg_first(lists[0])));
            wf_assert(pinned || !seg->pinned);
            pinned = seg->pinned;
            urgent += i == 1;
            wf_assert(!seg->raw || (q->raws && seg->blob && !seg->pinned && !seg->begun));
            segs++;
        }
    }
    wf_assert(bytes == q->bytes);
    wf_assert(held_bytes == aside->held_bytes);
    wf_assert(urgent == aside->urgent_count);
    wf_assert(!q->aside || urgent > 0 || held_bytes > 0);
    wf_assert(segs == q->seg_count);
}
