/*
 * outq.h - what one connection still has to send: a queue of byte ranges with a budget.
 *
 *      urgent:  [pong][ping]                          control frames, outside the budget
 *      queue:   [chunk: copied bytes..|room] [ref -> blob] [ref -> blob] [chunk]
 *      held:    [ref -> blob]                         published while a fragmented message is open
 *
 * Copied bytes share chunks of 4 KiB from a pool of the loop; a published message is a reference to its blob.
 * An empty queue owns nothing. wf_outq_gather lays the front out for one system call, urgent segments first
 * (but never inside a segment already begun); wf_outq_taken drops what the kernel took. Between the two
 * nothing gathered is moved or freed.
 *
 * The budget: something is refused only while what waits has already reached it (our own sending goes by bytes,
 * published messages by wf_outq_weight), so that one message always goes into an empty queue, and the queue never
 * exceeds the budget and one message. What is held does not count against our own sending, for it leaves only when
 * the open message is finished: so while one is open, twice that may wait.
 *
 * Encodings. A published message may come in two (wf_blob.alt); a queue takes the one its connection can read. Where
 * each connection has an encoding of its own (`recodes`), the reference is raw: before it is gathered, and not
 * sooner, who flushes replaces it by its own bytes. What is dropped before was never encoded, so an encoding that
 * depends on all that was sent before loses nothing.
 *
 * Invariants (wf_outq_check): 1. bytes is the sum over all segments, aside->held_bytes over the held ones. 2. an empty
 * list has a NULL tail. 3. only the first segment of the queue may be partly sent. 4. pinned segments stand in front of
 * unpinned ones. 5. no segment is empty. 6. seg_count is their number over all lists; without `raws`
 * none is raw. 7. nothing raw is pinned or begun. 8. aside is there exactly when one of its lists is not empty.
 */
#ifndef WF_HUB_OUTQ_H
#define WF_HUB_OUTQ_H

#include "base/blob.h"
#include "base/bytes.h"
#include "base/counter.h"
#include "base/status.h"

#include <stdbool.h>
#include <sys/uio.h>

typedef struct wf_seg wf_seg;

/* What the queues of one loop share. */
typedef struct wf_outq_pool {
    wf_seg *chunks, *smalls, *refs; /* free segments, kept for the next use */
    size_t chunk_count, small_count, ref_count;
    size_t bytes_used; /* memory of queues now: copied bytes by capacity, and the segments themselves */
    wf_counter drops;  /* published messages that did not fit; any thread may read it */
    struct wf_outq *ready_first, *ready_last; /* queues that got something since they were last taken from this list */
    size_t ready_count;
} wf_outq_pool;

typedef enum wf_slow_policy { WF_SLOW_CLOSE = 1, WF_SLOW_DROP_NEWEST, WF_SLOW_DROP_OLDEST } wf_slow_policy;

typedef struct wf_outq_list {
    wf_seg *tail; /* circular: tail->next is the head */
} wf_outq_list;

/* What few queues have, and none for long: taken with the first segment of either list, gone with the last. */
typedef struct wf_outq_aside {
    wf_outq_list urgent, held;
    size_t held_bytes;
    uint32_t urgent_count;
} wf_outq_aside;

enum { WF_OUTQ_ALT_ANY = 63 }; /* alt_bits: however long */

typedef struct wf_outq {
    wf_outq_list queue;
    wf_outq_aside *aside; /* NULL: nothing is urgent or held */
    size_t bytes;
    uint32_t bytes_max; /* the budget */
    uint32_t seg_count;
    /* of published messages of alt_bytes_min to 2^alt_bits bytes the shorter encoding is taken; 0 bits: of none */
    uint32_t alt_bytes_min;
    uint8_t alt_bits;
    uint8_t policy;       /* wf_slow_policy */
    bool fragmenting : 1; /* a fragmented message is open: published ones wait in held */
    bool overflowed : 1;  /* a published message did not fit and the policy is to close */
    bool closed : 1;      /* nothing is published any more */
    bool lent : 1;        /* memory was lent since it was last settled */
    bool listed : 1;      /* stands in the ready list */
    bool written : 1;     /* something was written since it was last gathered, not only published */
    bool recodes : 1;     /* published messages are raw: their encoding is this connection's own */
    bool raws : 1;        /* something may be raw */
    struct wf_outq *ready_next;
    wf_outq_pool *pool;
} wf_outq;

void wf_outq_pool_deinit(wf_outq_pool *pool);

/* Gives back half of the free segments that are more than the usual ones. Call now and then. */
void wf_outq_pool_rest(wf_outq_pool *pool);

void wf_outq_init(wf_outq *q, wf_outq_pool *pool, uint32_t bytes_max, wf_slow_policy policy);
void wf_outq_deinit(wf_outq *q); /* frees what is queued and closes; must not stand in the ready list */

/* Bytes that wait for the kernel now. */
static inline size_t wf_outq_sendable(const wf_outq *q) {
    return q->aside ? q->bytes - q->aside->held_bytes : q->bytes;
}

/* For our own sending. */
static inline bool wf_outq_full(const wf_outq *q) {
    return wf_outq_sendable(q) >= q->bytes_max;
}

/* What each segment weighs in the budget of published messages, beside its bytes: many small ones are not
 * free. */
enum { WF_OUTQ_SEG_COST = 64 };

/* What waits, for published messages: what is held counts as well. */
static inline size_t wf_outq_weight(const wf_outq *q) {
    return q->bytes + (size_t)q->seg_count * WF_OUTQ_SEG_COST;
}

/* Room for `len` > 0 bytes at the end, for the caller to write: NULL when memory is out. Does not look at the
 * budget. The queue counts them as queued. */
uint8_t *wf_outq_write(wf_outq *q, size_t len);

/* Queue a frame whose payload is not copied: `head` is. Do not look at the budget. WF_OK, or WF_ENOMEM.
 * refer: the payload is a blob; takes a reference of its own.
 * lend: it is memory of the caller's, which stays as it is until wf_outq_settle. */
int wf_outq_refer(wf_outq *q, const void *head, size_t head_len, wf_blob *blob);
int wf_outq_lend(wf_outq *q, const void *head, size_t head_len, const wf_str *data);

/* What was lent and is still queued is copied: the memory is the caller's again. WF_ENOMEM: some is still lent. */
int wf_outq_settle_lent(wf_outq *q);
static inline int wf_outq_settle(wf_outq *q) {
    return q->lent ? wf_outq_settle_lent(q) : WF_OK;
}

/* Queues a published message under the budget and the policy; takes a reference of its own. WF_OK; WF_FULL
 * when it was dropped or the queue is to be closed (then overflowed is set), be it for the budget or for
 * memory; WF_ECLOSED. */
int wf_outq_publish(wf_outq *q, wf_blob *blob);

/* The connection can read the blob's other encoding, and wants it for a message of this length. */
bool wf_outq_takes_alt(const wf_outq *q, const wf_blob *blob);

/* Queues a control frame of up to WF_OUTQ_URGENT_BYTES ahead of data. When WF_OUTQ_URGENT_MAX of them wait and the last
 * one came with `replace` as well, it is overwritten instead. */
enum { WF_OUTQ_URGENT_MAX = 16, WF_OUTQ_URGENT_BYTES = 132 }; /* a masked frame of 125 is 131 bytes */
int wf_outq_urgent(wf_outq *q, const uint8_t *frame, size_t len, bool replace);

/* What is queued now leaves before any control frame queued later: the answer to the opening handshake. */
void wf_outq_keep_ahead(wf_outq *q);

/* Ends the open fragmented message: what was held moves to the queue. */
void wf_outq_fragments_done(wf_outq *q);

/* Nothing is published any more: what is held is dropped, for the fragmented message will not be finished. */
void wf_outq_close(wf_outq *q);

/* Drops all that has not been begun and need not go (wf_outq_keep_ahead); what is pinned or partly sent
 * stays. Closes as well. */
void wf_outq_clear_unsent(wf_outq *q);

/* The raw messages among the first segments of the queue, in order: walk from {0}. False: none is left before segment
 * `segs_max`. Each must be answered by one of the calls below before the next. */
typedef struct wf_outq_walk {
    wf_seg *before, *seg; /* before: NULL at the front */
    size_t seen;
} wf_outq_walk;

bool wf_outq_raw_next(wf_outq *q, wf_outq_walk *walk, size_t segs_max, const wf_blob **out_blob);

/* Replaces it by `len` > 0 bytes for the caller to write. NULL when memory is out: it is still to be answered. */
uint8_t *wf_outq_raw_encode(wf_outq *q, wf_outq_walk *walk, size_t len);

/* Nothing is to be sent for it. */
void wf_outq_raw_drop(wf_outq *q, wf_outq_walk *walk);

/* It is sent as it is; or in its blob's other encoding, which is then as fixed in its place as what was recoded. */
void wf_outq_raw_keep(wf_outq_walk *walk);
void wf_outq_raw_take_alt(wf_outq *q, wf_outq_walk *walk);

/* Lays out up to `max` >= 2 ranges from the front and pins them. Returns their number. */
int wf_outq_gather(wf_outq *q, struct iovec *ranges, int max);

/* The same when one range is all there is to gather, as behind an answer. False: nothing was done. */
bool wf_outq_gather_one(wf_outq *q, struct iovec *out_range);

/* The kernel took `count` bytes of what was gathered; unpins. */
void wf_outq_taken(wf_outq *q, size_t count);

/* Puts the queue on the ready list. */
static inline void wf_outq_mark_ready(wf_outq *q) {
    wf_outq_pool *pool = q->pool;
    if (q->listed)
        return;
    q->listed = true;
    q->ready_next = NULL;
    *(pool->ready_last ? &pool->ready_last->ready_next : &pool->ready_first) = q;
    pool->ready_last = q;
    pool->ready_count++;
}

static inline wf_outq *wf_outq_ready_take(wf_outq_pool *pool) { /* NULL: none */
    wf_outq *q = pool->ready_first;
    if (!q)
        return NULL;
    pool->ready_first = q->ready_next;
    if (!q->ready_next)
        pool->ready_last = NULL;
    pool->ready_count--;
    q->listed = false;
    return q;
}

void wf_outq_ready_remove(wf_outq *q);

/* It needs not be looked at again: leaves the ready list when that costs nothing, which is when it is the first. */
static inline void wf_outq_ready_done(wf_outq *q) {
    if (q->pool->ready_first == q)
        wf_outq_ready_take(q->pool);
}

void wf_outq_check(const wf_outq *q);

#endif
