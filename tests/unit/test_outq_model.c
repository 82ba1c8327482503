/*
 * The output queue in a random run beside a model.
 *
 * The model keeps what must leave as a list of pieces (bytes, and whether a piece was published, is pinned,
 * is begun) in one array per list, and does every operation in the most obvious way. What the queue lays out
 * must at each step be what the model says, byte by byte.
 */
#include "outq_help.h"

#include <stdlib.h>

enum { PIECES_MAX = 512, PIECE_BYTES = 9000, BUDGET = 12000, RANGES = 6, URGENT_FILL = 0xF0 };

/* What was queued by one call: `len` equal bytes are left of it. Those of control frames are 0xF0 up. */
typedef struct piece {
    uint8_t fill;
    size_t len;
    bool published, raw;
} piece;

typedef struct pieces {
    piece at[PIECES_MAX];
    size_t count;
} pieces;

typedef struct run {
    fixture f;
    pieces queue, held, urgent;
    uint8_t last_fill;
    bool last_replaceable; /* of the urgent ones */
    bool inside;           /* the first of the queue is begun */
    struct iovec ranges[RANGES];
    int range_count;     /* gathered and not yet taken */
    size_t pinned_bytes; /* of them, data */
} run;

static size_t bytes_of(const pieces *list) {
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        bytes += list->at[i].len;
    return bytes;
}

static void add(pieces *list, piece it) {
    CHECK(list->count < PIECES_MAX);
    list->at[list->count++] = it;
}

static void remove_at(pieces *list, size_t index) {
    list->count--;
    memmove(list->at + index, list->at + index + 1, (list->count - index) * sizeof *list->at);
}

static uint8_t next_fill(run *s) {
    return s->last_fill = (uint8_t)((s->last_fill + 1) % URGENT_FILL);
}

/* The kernel takes bytes: they must be the model's first, control frames only where no piece is begun. */
static void leaves(run *s, const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        bool urgent = bytes[i] >= URGENT_FILL;
        pieces *list = urgent ? &s->urgent : &s->queue;
        CHECK(!urgent || !s->inside);
        CHECK(list->count > 0);
        CHECK_EQ(bytes[i], list->at[0].fill);
        if (!urgent)
            s->inside = list->at[0].len > 1;
        if (--list->at[0].len == 0)
            remove_at(list, 0);
    }
}

static void step_write(run *s, size_t len) {
    uint8_t *room = wf_outq_write(&s->f.q, len);
    CHECK(room != NULL);
    add(&s->queue, (piece) {.fill = next_fill(s), .len = len});
    memset(room, s->last_fill, len);
}

/* Drops the oldest published pieces that are neither begun nor in the kernel's hands, until `need` fits. */
static size_t model_drop(run *s, pieces *list, size_t pinned_bytes, size_t weight, size_t need) {
    size_t start = 0;
    for (size_t i = 0; i < list->count && weight + need > BUDGET;) {
        const piece *it = &list->at[i];
        size_t len = it->len;
        bool begun = list == &s->queue && i == 0 && s->inside;
        start += len;
        if (it->published && !begun && start - len >= pinned_bytes) {
            remove_at(list, i);
            weight -= len + WF_OUTQ_SEG_COST; /* a published one is a segment of its own */
        } else {
            i++;
        }
    }
    return weight;
}

static void step_publish(run *s, size_t len) {
    wf_outq *q = &s->f.q;
    size_t weight = q->bytes + q->seg_count * WF_OUTQ_SEG_COST, before = s->queue.count + s->held.count;
    uint64_t drops_before = drops(&s->f);
    wf_blob *blob = wf_blob_new(len, NULL);
    CHECK(blob != NULL);
    memset(blob->data, next_fill(s), len);
    bool overflowed = q->overflowed;
    int got = wf_outq_publish(q, blob);
    wf_blob_unref(blob);
    if (weight >= BUDGET && q->policy == WF_SLOW_DROP_OLDEST) {
        weight = model_drop(s, &s->queue, s->pinned_bytes, weight, len);
        weight = model_drop(s, &s->held, 0, weight, len);
    }
    size_t dropped = before - s->queue.count - s->held.count;
    bool empty = s->queue.count + s->held.count + s->urgent.count == 0;
    bool refused = weight >= BUDGET && !empty;
    CHECK_EQ(got, refused ? WF_FULL : WF_OK);
    CHECK_EQ(drops(&s->f) - drops_before, dropped + refused);
    CHECK_EQ(q->overflowed, q->policy == WF_SLOW_CLOSE && (overflowed || refused));
    piece it = {.fill = s->last_fill, .len = len, .published = true, .raw = q->recodes};
    if (got == WF_OK)
        add(q->fragmenting ? &s->held : &s->queue, it);
}

/* What is raw among the first segments becomes half as long, or stays as it is. */
static void step_encode(run *s, uint64_t r, size_t segs_max) {
    wf_outq *q = &s->f.q;
    wf_outq_walk walk = {0};
    const wf_blob *blob;
    for (size_t at = 0; wf_outq_raw_next(q, &walk, segs_max, &blob); r = r >> 1 | r << 63) {
        while (at < s->queue.count && !s->queue.at[at].raw)
            at++;
        CHECK(at < s->queue.count);
        piece *it = &s->queue.at[at];
        CHECK_BYTES(blob->data, 1, &it->fill, 1);
        CHECK_EQ(blob->len, it->len);
        it->raw = false;
        if (r & 1) {
            wf_outq_raw_keep(&walk);
        } else {
            it->len = (it->len + 1) / 2;
            it->published = false;
            uint8_t *room = wf_outq_raw_encode(q, &walk, it->len);
            CHECK(room != NULL);
            memset(room, it->fill, it->len);
        }
        wf_outq_check(q);
    }
}

static void step_urgent(run *s, uint64_t r) {
    uint8_t frame[127];
    size_t len = 1 + r % sizeof frame, waiting = urgent_count(&s->f.q);
    bool replace = r >> 8 & 3;
    piece it = {.fill = (uint8_t)(URGENT_FILL | (r >> 16 & 15)), .len = len};
    memset(frame, it.fill, len);
    CHECK_EQ(wf_outq_urgent(&s->f.q, frame, len, replace), WF_OK);
    if (replace && waiting >= WF_OUTQ_URGENT_MAX && s->last_replaceable) {
        s->urgent.at[s->urgent.count - 1] = it;
    } else {
        add(&s->urgent, it);
        s->last_replaceable = replace;
    }
}

static void step_gather(run *s, uint64_t r) {
    int most = 1 + (int)(r % RANGES);
    step_encode(s, r >> 8, (size_t)most);
    if (r >> 16 & 1 && wf_outq_gather_one(&s->f.q, s->ranges))
        s->range_count = 1;
    else
        s->range_count = wf_outq_gather(&s->f.q, s->ranges, most);
    s->pinned_bytes = 0;
    for (int i = 0; i < s->range_count; i++)
        if (*(const uint8_t *)s->ranges[i].iov_base < URGENT_FILL)
            s->pinned_bytes += s->ranges[i].iov_len;
}

static void step_taken(run *s, uint64_t r) {
    size_t total = 0;
    for (int i = 0; i < s->range_count; i++)
        total += s->ranges[i].iov_len;
    size_t count = r % 4 == 0 ? 0 : r % 4 == 1 ? total : (r >> 8) % (total + 1), left = count;
    for (int i = 0; i < s->range_count && left > 0; i++) {
        size_t len = s->ranges[i].iov_len < left ? s->ranges[i].iov_len : left;
        leaves(s, s->ranges[i].iov_base, len);
        left -= len;
    }
    wf_outq_taken(&s->f.q, count);
    s->range_count = 0;
    s->pinned_bytes = 0;
}

static void step_fragment(run *s) {
    if (!s->f.q.fragmenting) {
        s->f.q.fragmenting = true;
        return;
    }
    wf_outq_fragments_done(&s->f.q);
    for (size_t i = 0; i < s->held.count; i++)
        add(&s->queue, s->held.at[i]);
    s->held.count = 0;
}

static void step(run *s, uint64_t r) {
    size_t len = (r >> 24) % 8 == 0 ? 1 + (r >> 32) % PIECE_BYTES : 1 + (r >> 32) % 200;
    bool crowded = s->queue.count + s->held.count > PIECES_MAX - 10 || s->urgent.count > PIECES_MAX - 10;
    switch (crowded ? 9 : r % 12) {
    case 0:
        if (s->range_count == 0)
            step_encode(s, r >> 16, SIZE_MAX);
        /* fall through */
    case 1:
        step_write(s, len);
        break;
    case 2:
    case 3:
    case 4:
        step_publish(s, len);
        break;
    case 5:
    case 6:
        step_urgent(s, r >> 32);
        break;
    case 7:
        step_fragment(s);
        break;
    default:
        if (s->range_count > 0)
            step_taken(s, r >> 32);
        else
            step_gather(s, r >> 32);
    }
}

static void check_step(const run *s) {
    const wf_outq *q = &s->f.q;
    wf_outq_check(q);
    CHECK_EQ(held_bytes(q), bytes_of(&s->held));
    CHECK_EQ(q->bytes, held_bytes(q) + bytes_of(&s->queue) + bytes_of(&s->urgent));
    CHECK(q->bytes == 0 || q->listed);
}

/* What a cleared queue still sends is a beginning of what it would have sent: at least what the kernel has. */
static void clear_and_drain(run *s) {
    wf_outq *q = &s->f.q;
    size_t pinned = 0;
    for (int i = 0; i < s->range_count; i++)
        pinned += s->ranges[i].iov_len;
    wf_outq_clear_unsent(q);
    wf_outq_check(q);
    CHECK(q->bytes >= pinned && held_bytes(q) == 0);
    while (q->bytes > 0) {
        if (s->range_count == 0)
            step_gather(s, 0);
        step_taken(s, 1);
    }
}

TEST(queue_is_what_a_list_of_pieces_is) {
    uint64_t seed = 31;
    for (int round = 0; round < 180; round++) {
        run *s = calloc(1, sizeof *s);
        CHECK(s != NULL);
        fixture_init(&s->f, BUDGET, (wf_slow_policy)(WF_SLOW_CLOSE + round % 3));
        s->f.q.recodes = round >= 90;
        for (int i = 0; i < 1000; i++) {
            test_context("round %d, step %d", round, i);
            step(s, test_random(&seed));
            check_step(s);
        }
        clear_and_drain(s);
        fixture_deinit(&s->f);
        free(s);
    }
}
