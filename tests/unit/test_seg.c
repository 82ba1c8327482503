/*
 * Segments: lists beside plain arrays, what a pool keeps, and copies byte by byte.
 */
#include "hub/seg.h"
#include "test.h"

#include <stdlib.h>

enum { MANY = 40, STEPS = 5000 };

typedef struct model {
    wf_outq_list list;
    wf_seg *at[MANY];
    int count;
} model;

static wf_outq_pool pool;

static void check(const model *m) {
    const wf_seg *seg = wf_seg_first(&m->list);
    CHECK((seg == NULL) == (m->count == 0));
    for (int i = 0; i < m->count; i++, seg = seg->next)
        CHECK(seg == m->at[i]);
    CHECK(m->count == 0 || (seg == m->at[0] && m->list.tail == m->at[m->count - 1])); /* circular */
}

static void remove_at(model *m, int at) {
    wf_seg *before = m->at[at > 0 ? at - 1 : m->count - 1];
    CHECK(wf_seg_remove_after(&m->list, before) == m->at[at]);
    wf_seg_free(&pool, m->at[at]);
    m->count--;
    memmove(m->at + at, m->at + at + 1, (size_t)(m->count - at) * sizeof *m->at);
}

/* All of `from` behind the first `at` of `to`; 0: to the front. */
static void splice_at(model *to, int at, model *from) {
    wf_seg_splice(&to->list, at > 0 ? to->at[at - 1] : NULL, &from->list);
    memmove(to->at + at + from->count, to->at + at, (size_t)(to->count - at) * sizeof *to->at);
    memcpy(to->at + at, from->at, (size_t)from->count * sizeof *from->at);
    to->count += from->count;
    from->count = 0;
}

TEST(a_list_is_what_was_done_to_it) {
    static model m[2];
    size_t live = test_mem_live();
    srand(3);
    for (int i = 0; i < STEPS; i++) {
        model *it = &m[rand() % 2], *other = it == m ? m + 1 : m;
        int what = rand() % 8;
        if (what < 4 && it->count < MANY / 2) {
            wf_seg *seg = wf_seg_new(&pool, 0);
            CHECK(seg != NULL);
            wf_seg_push(&it->list, it->at[it->count++] = seg);
        } else if (what < 7 && it->count > 0) {
            remove_at(it, rand() % it->count);
        } else if (what == 7 && it->count + other->count <= MANY / 2) {
            splice_at(it, rand() % (it->count + 1), other);
        }
        check(&m[0]);
        check(&m[1]);
    }
    for (int i = 0; i < 2; i++)
        while (m[i].count > 0)
            remove_at(&m[i], 0);
    CHECK_EQ(pool.bytes_used, 0);
    wf_outq_pool_deinit(&pool);
    CHECK_EQ(test_mem_live(), live);
}

/* Of each kind so many are kept, and the last that was freed is the next. */
TEST(a_pool_keeps_what_it_says_and_the_warmest_first) {
    static const struct {
        size_t cap, kept;
    } kinds[] = {{0, WF_REFS_MOST}, {WF_CHUNK_BYTES, WF_CHUNKS_KEPT}, {WF_SMALL_BYTES, WF_SMALLS_KEPT}, {777, 0}};
    static wf_seg *segs[WF_REFS_MOST + 10];
    size_t live = test_mem_live();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t count = kinds[i].kept + 10;
        test_context("%zu bytes", kinds[i].cap);
        for (size_t k = 0; k < count; k++) {
            segs[k] = wf_seg_new(&pool, kinds[i].cap);
            CHECK(segs[k] && segs[k]->cap == kinds[i].cap && segs[k]->start == 0 && segs[k]->end == 0);
        }
        CHECK_EQ(pool.bytes_used, count * (sizeof(wf_seg) + kinds[i].cap));
        for (size_t k = 0; k < count; k++)
            wf_seg_free(&pool, segs[k]);
        CHECK_EQ(pool.bytes_used, 0);
        CHECK_EQ(test_mem_live(), live + kinds[i].kept);
        if (kinds[i].kept > 0) {
            wf_seg *again = wf_seg_new(&pool, kinds[i].cap);
            CHECK(again == segs[kinds[i].kept - 1]);
            wf_seg_free(&pool, again);
        }
        wf_outq_pool_deinit(&pool);
        CHECK_EQ(test_mem_live(), live);
    }
}

/* A frame whose head is apart, from wherever the kernel has stopped. */
TEST(a_copy_has_the_bytes_that_are_left) {
    size_t live = test_mem_live();
    for (size_t start = 0; start < 9; start++) {
        wf_seg *seg = wf_seg_new(&pool, 0);
        CHECK(seg != NULL);
        test_context("from byte %zu", start);
        memcpy(seg->head, "head", 4);
        seg->head_len = 4;
        seg->bytes = (uint8_t *)"bytes";
        seg->start = start;
        seg->end = 9;
        seg->begun = start > 0;
        struct iovec ranges[2];
        CHECK_EQ(wf_seg_ranges(seg, ranges), start < 4 ? 2 : 1);
        wf_seg *copy = wf_seg_copy(&pool, seg);
        CHECK(copy && copy->blob == NULL && copy->head_len == 0 && copy->begun == seg->begun);
        CHECK_BYTES(copy->data, copy->end, &"headbytes"[start], 9 - start);
        wf_seg_free(&pool, copy);
        test_mem_fail_at(1);
        CHECK(wf_seg_copy(&pool, seg) == NULL);
        test_mem_fail_at(0);
        wf_seg_free(&pool, seg);
    }
    wf_outq_pool_deinit(&pool);
    CHECK_EQ(test_mem_live(), live);
}

TEST(a_segment_is_no_longer_than_its_length_can_say) {
    CHECK(wf_seg_new(&pool, (size_t)UINT32_MAX + 1) == NULL);
    CHECK_EQ(pool.bytes_used, 0);
}

TEST(a_reference_keeps_its_blob) {
    size_t live = test_mem_live();
    wf_blob *blob = wf_blob_new(3, NULL);
    wf_seg *seg = wf_seg_new(&pool, 0);
    CHECK(blob && seg);
    memcpy(blob->data, "abc", 3);
    wf_seg_refer(seg, blob);
    wf_blob_unref(blob);
    struct iovec range;
    CHECK_EQ(wf_seg_ranges(seg, &range), 1);
    CHECK_BYTES(range.iov_base, range.iov_len, "abc", 3);
    wf_seg_free(&pool, seg);
    wf_outq_pool_deinit(&pool);
    CHECK_EQ(test_mem_live(), live);
}
