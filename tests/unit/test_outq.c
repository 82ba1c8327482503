/*
 * The output queue, behaviour by behaviour: order, budget and policies, what is held, what goes ahead, what a
 * fault leaves. test_outq_model.c runs it at random beside a model.
 */
#include "outq_help.h"

#include <stdio.h>

static void write_text(fixture *f, const char *text) {
    uint8_t *room = wf_outq_write(&f->q, strlen(text));
    CHECK(room != NULL);
    memcpy(room, text, strlen(text));
    wf_outq_check(&f->q);
}

static int publish_text(fixture *f, const char *text) {
    wf_blob *blob = wf_blob_new(strlen(text), NULL);
    CHECK(blob != NULL);
    memcpy(blob->data, text, blob->len);
    int got = wf_outq_publish(&f->q, blob);
    wf_blob_unref(blob);
    wf_outq_check(&f->q);
    return got;
}

static int urgent_text(fixture *f, const char *text, bool replace) {
    int got = wf_outq_urgent(&f->q, (const uint8_t *)text, strlen(text), replace);
    wf_outq_check(&f->q);
    return got;
}

/* Gathers and lets the kernel take up to `most` bytes; what it took, as text. */
static const char *take(fixture *f, size_t most) {
    static char taken[65536];
    struct iovec ranges[64];
    int count = wf_outq_gather(&f->q, ranges, 64);
    size_t used = 0;
    wf_outq_check(&f->q);
    for (int i = 0; i < count; i++) {
        size_t len = ranges[i].iov_len < most - used ? ranges[i].iov_len : most - used;
        CHECK(used + len < sizeof taken);
        memcpy(taken + used, ranges[i].iov_base, len);
        used += len;
    }
    taken[used] = '\0';
    wf_outq_taken(&f->q, used);
    wf_outq_check(&f->q);
    return taken;
}

TEST(what_is_written_leaves_in_order_as_one_range) {
    fixture f;
    struct iovec ranges[4];
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "one ");
    write_text(&f, "two ");
    CHECK_EQ(f.q.bytes, 8);
    CHECK_EQ(wf_outq_gather(&f.q, ranges, 4), 1);
    CHECK_BYTES(ranges[0].iov_base, ranges[0].iov_len, "one two ", 8);
    wf_outq_taken(&f.q, 8);
    CHECK_EQ(f.q.bytes, 0);
    CHECK_EQ(wf_outq_gather(&f.q, ranges, 4), 0);
    fixture_deinit(&f);
}

TEST(only_what_is_one_range_leaves_by_the_short_way) {
    fixture f;
    struct iovec range;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    CHECK(!wf_outq_gather_one(&f.q, &range));
    write_text(&f, "one two ");
    CHECK(wf_outq_gather_one(&f.q, &range));
    CHECK_BYTES(range.iov_base, range.iov_len, "one two ", 8);
    wf_outq_taken(&f.q, 4);
    wf_outq_check(&f.q);
    CHECK(wf_outq_gather_one(&f.q, &range));
    CHECK_BYTES(range.iov_base, range.iov_len, "two ", 4);
    wf_outq_taken(&f.q, 0);
    urgent_text(&f, "!", true);
    CHECK(!wf_outq_gather_one(&f.q, &range));
    CHECK_STR(take(&f, 100), "two !");
    publish_text(&f, "three");
    write_text(&f, "four");
    CHECK(!wf_outq_gather_one(&f.q, &range));
    CHECK_STR(take(&f, 100), "threefour");
    CHECK_EQ(wf_outq_lend(&f.q, "five", 4, &(wf_str) {"six", 3}), WF_OK);
    CHECK(!wf_outq_gather_one(&f.q, &range));
    CHECK_STR(take(&f, 100), "fivesix");
    f.q.recodes = true;
    publish_text(&f, "raw");
    CHECK(!wf_outq_gather_one(&f.q, &range));
    fixture_deinit(&f);
}

TEST(nothing_taken_is_nothing_lost) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "abc");
    CHECK_STR(take(&f, 0), "");
    CHECK_STR(take(&f, 1), "a");
    CHECK_STR(take(&f, 0), "");
    CHECK_STR(take(&f, 100), "bc");
    fixture_deinit(&f);
}

TEST(what_comes_between_gather_and_taken_is_not_lost) {
    fixture f;
    struct iovec ranges[8];
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "abc");
    CHECK_EQ(wf_outq_gather(&f.q, ranges, 8), 1);
    write_text(&f, "def");
    CHECK_EQ(publish_text(&f, "ghi"), WF_OK);
    CHECK_EQ(urgent_text(&f, "!", false), WF_OK);
    CHECK_BYTES(ranges[0].iov_base, ranges[0].iov_len, "abc", 3);
    wf_outq_taken(&f.q, 3);
    CHECK_STR(take(&f, 100), "def!ghi"); /* the chunk was begun */
    fixture_deinit(&f);
}

TEST(urgent_goes_first_but_not_into_a_frame_begun) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "data");
    urgent_text(&f, "1", true);
    urgent_text(&f, "2", true);
    CHECK_STR(take(&f, 100), "12data");
    CHECK_EQ(publish_text(&f, "first"), WF_OK);
    CHECK_EQ(publish_text(&f, "second"), WF_OK);
    CHECK_STR(take(&f, 2), "fi");
    urgent_text(&f, "!", true);
    CHECK_STR(take(&f, 100), "rst!second");
    fixture_deinit(&f);
}

TEST(control_frames_keep_their_order_when_nothing_is_taken) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "data");
    urgent_text(&f, "1", true);
    CHECK_STR(take(&f, 0), "");
    urgent_text(&f, "22", true);
    CHECK_STR(take(&f, 2), "12");
    urgent_text(&f, "3", true);
    write_text(&f, "more");
    CHECK_STR(take(&f, 100), "23datamore");
    urgent_text(&f, "4", true);
    CHECK_STR(take(&f, 0), "");
    write_text(&f, "d");
    urgent_text(&f, "5", true);
    CHECK_STR(take(&f, 100), "45d");
    fixture_deinit(&f);
}

TEST(a_control_frame_does_not_wait_for_what_is_written_after_it) {
    fixture f;
    struct iovec ranges[2];
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "data");
    CHECK_STR(take(&f, 1), "d");
    urgent_text(&f, "!", true);
    write_text(&f, "CLOSE");
    CHECK_STR(take(&f, 100), "ata!CLOSE");
    write_text(&f, "data");
    CHECK_EQ(wf_outq_gather(&f.q, ranges, 2), 1);
    urgent_text(&f, "!", true);
    write_text(&f, "CLOSE");
    wf_outq_taken(&f.q, 4);
    CHECK_STR(take(&f, 100), "!CLOSE");
    fixture_deinit(&f);
}

TEST(an_answer_kept_ahead_is_not_overtaken) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "101 ");
    wf_outq_keep_ahead(&f.q);
    urgent_text(&f, "ping ", false);
    write_text(&f, "data ");
    urgent_text(&f, "pong ", true);
    CHECK_STR(take(&f, 100), "101 ping pong data ");
    fixture_deinit(&f);
}

TEST(the_seventeenth_pong_replaces_the_sixteenth) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    for (int i = 0; i < 20; i++) {
        char text[] = {(char)('a' + i), 'x', 'y', '\0'};
        text[1 + i % 3] = '\0';
        CHECK_EQ(urgent_text(&f, text, true), WF_OK);
        CHECK_EQ(urgent_count(&f.q), i < 16 ? i + 1 : 16);
    }
    CHECK_STR(take(&f, 100), "abxcxydexfxyghxixyjkxlxymnxoxytx");
    fixture_deinit(&f);
}

TEST(our_own_ping_is_never_replaced_by_a_pong) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    for (int i = 0; i < 16; i++)
        urgent_text(&f, "a", true);
    CHECK_EQ(urgent_text(&f, "PING", false), WF_OK);
    urgent_text(&f, "b", true);
    urgent_text(&f, "c", true);
    CHECK_EQ(urgent_count(&f.q), 18);
    CHECK_STR(take(&f, 100), "aaaaaaaaaaaaaaaaPINGc");
    fixture_deinit(&f);
}

TEST(one_message_always_fits_and_the_next_is_for_the_policy) {
    static const struct {
        wf_slow_policy policy;
        const char *leaves;
        int drops, got;
        bool overflowed;
    } rows[] = {
        {WF_SLOW_CLOSE, "0123456789012345", 1, WF_FULL, true},
        {WF_SLOW_DROP_NEWEST, "0123456789012345", 1, WF_FULL, false},
        {WF_SLOW_DROP_OLDEST, "abc", 1, WF_OK, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture f;
        test_context("policy %d", rows[i].policy);
        fixture_init(&f, 10, rows[i].policy);
        CHECK(!wf_outq_full(&f.q));
        CHECK_EQ(publish_text(&f, "0123456789012345"), WF_OK);
        CHECK(wf_outq_full(&f.q));
        CHECK_EQ(publish_text(&f, "abc"), rows[i].got);
        CHECK_EQ(drops(&f), rows[i].drops);
        CHECK_EQ(f.q.overflowed, rows[i].overflowed);
        CHECK_STR(take(&f, 100), rows[i].leaves);
        fixture_deinit(&f);
    }
}

TEST(drop_oldest_spares_what_is_begun_and_what_was_not_published) {
    fixture f;
    fixture_init(&f, 12 + 3 * WF_OUTQ_SEG_COST, WF_SLOW_DROP_OLDEST);
    publish_text(&f, "begun ");
    CHECK_STR(take(&f, 1), "b");
    write_text(&f, "own ");
    CHECK_EQ(publish_text(&f, "old "), WF_OK);
    CHECK_EQ(drops(&f), 0);
    CHECK_EQ(publish_text(&f, "new "), WF_OK); /* 13 bytes in three segments waited: old is gone */
    CHECK_EQ(drops(&f), 1);
    CHECK_STR(take(&f, 100), "egun own new ");
    fixture_deinit(&f);
}

TEST(drop_oldest_with_nothing_to_drop_drops_the_newest) {
    fixture f;
    fixture_init(&f, 4, WF_SLOW_DROP_OLDEST);
    write_text(&f, "own data");
    CHECK_EQ(publish_text(&f, "new"), WF_FULL);
    CHECK_EQ(drops(&f), 1);
    CHECK(!f.q.overflowed);
    CHECK_STR(take(&f, 100), "own data");
    fixture_deinit(&f);
}

TEST(many_small_published_messages_are_bounded_by_their_number) {
    enum { MANY = 1000, ROOM = MANY * (WF_OUTQ_SEG_COST + 1) };
    for (int policy = WF_SLOW_CLOSE; policy <= WF_SLOW_DROP_OLDEST; policy++) {
        fixture f;
        test_context("policy %d", policy);
        fixture_init(&f, ROOM, (wf_slow_policy)policy);
        for (int i = 0; i < MANY; i++)
            CHECK_EQ(publish_text(&f, "x"), WF_OK);
        CHECK_EQ(drops(&f), 0);
        size_t used = f.pool.bytes_used;
        CHECK(used >= MANY * sizeof(void *) && used <= MANY * WF_OUTQ_SEG_COST);
        for (int i = 1; i <= MANY; i++) {
            CHECK_EQ(publish_text(&f, "y"), policy == WF_SLOW_DROP_OLDEST ? WF_OK : WF_FULL);
            CHECK_EQ(drops(&f), i); /* told while the reader is still stuck */
        }
        CHECK_EQ(f.pool.bytes_used, used);
        CHECK_EQ(f.q.bytes, MANY);
        CHECK(!wf_outq_full(&f.q)); /* our own sending goes by bytes alone */
        for (int i = 0; i < 20; i++)
            take(&f, MANY);
        CHECK_EQ(f.q.bytes, 0);
        CHECK_EQ(f.pool.bytes_used, 0);
        CHECK_EQ(publish_text(&f, "z"), WF_OK);
        fixture_deinit(&f);
        CHECK_EQ(drops(&f), MANY); /* the count outlives the queue */
    }
}

TEST(what_is_held_counts_for_what_is_published) {
    fixture f;
    fixture_init(&f, 3 * (WF_OUTQ_SEG_COST + 1), WF_SLOW_DROP_OLDEST);
    f.q.fragmenting = true;
    for (char text[] = "a"; *text <= 'e'; ++*text)
        CHECK_EQ(publish_text(&f, text), WF_OK);
    CHECK_EQ(drops(&f), 2);
    CHECK_EQ(held_bytes(&f.q), 3);
    wf_outq_fragments_done(&f.q);
    CHECK_STR(take(&f, 100), "cde");
    fixture_deinit(&f);
}

TEST(published_messages_wait_for_the_end_of_an_open_one) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "[first ");
    f.q.fragmenting = true;
    CHECK_EQ(publish_text(&f, "(one)"), WF_OK);
    CHECK_EQ(held_bytes(&f.q), 5);
    CHECK_STR(take(&f, 100), "[first ");
    CHECK_EQ(wf_outq_sendable(&f.q), 0);
    CHECK_EQ(publish_text(&f, "(two)"), WF_OK);
    write_text(&f, "last]");
    wf_outq_fragments_done(&f.q);
    wf_outq_check(&f.q);
    CHECK_EQ(publish_text(&f, "(three)"), WF_OK);
    CHECK_STR(take(&f, 100), "last](one)(two)(three)");
    fixture_deinit(&f);
}

TEST(what_is_held_does_not_stop_the_open_message) {
    fixture f;
    fixture_init(&f, 4, WF_SLOW_DROP_NEWEST);
    f.q.fragmenting = true;
    CHECK_EQ(publish_text(&f, "held"), WF_OK);
    CHECK(!wf_outq_full(&f.q));
    CHECK_EQ(publish_text(&f, "more"), WF_FULL);
    write_text(&f, "last");
    CHECK(wf_outq_full(&f.q));
    wf_outq_fragments_done(&f.q);
    CHECK_STR(take(&f, 100), "lastheld");
    fixture_deinit(&f);
}

TEST(nothing_is_published_behind_a_close_frame) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    f.q.fragmenting = true;
    publish_text(&f, "held");
    wf_outq_close(&f.q);
    CHECK_EQ(held_bytes(&f.q), 0);
    write_text(&f, "CLOSE");
    CHECK_EQ(publish_text(&f, "late"), WF_ECLOSED);
    CHECK_EQ(drops(&f), 0);
    CHECK(!f.q.overflowed);
    CHECK_STR(take(&f, 100), "CLOSE");
    wf_outq_ready_remove(&f.q);
    wf_outq_deinit(&f.q);
    CHECK_EQ(publish_text(&f, "later"), WF_ECLOSED);
    fixture_deinit(&f);
}

TEST(clearing_keeps_what_the_kernel_has_and_what_is_begun) {
    fixture f;
    struct iovec ranges[2];
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    publish_text(&f, "one");
    publish_text(&f, "two");
    publish_text(&f, "three");
    urgent_text(&f, "!", true);
    CHECK_STR(take(&f, 2), "!o");
    urgent_text(&f, "?", true);
    wf_outq_clear_unsent(&f.q);
    wf_outq_check(&f.q);
    CHECK_EQ(f.q.bytes, 2);
    write_text(&f, " CLOSE");
    CHECK_EQ(wf_outq_gather(&f.q, ranges, 1), 1);
    wf_outq_clear_unsent(&f.q);
    CHECK_BYTES(ranges[0].iov_base, ranges[0].iov_len, "ne", 2);
    wf_outq_taken(&f.q, 0);
    CHECK_STR(take(&f, 100), "ne");
    fixture_deinit(&f);
}

TEST(clearing_keeps_what_is_kept_ahead) {
    static const char whole[] = "101 CLOSE";
    for (size_t sent = 0; sent <= 4; sent++) {
        fixture f;
        test_context("%zu bytes are sent", sent);
        fixture_init(&f, 1000, WF_SLOW_CLOSE);
        write_text(&f, "101 ");
        wf_outq_keep_ahead(&f.q);
        write_text(&f, "data ");
        publish_text(&f, "published ");
        CHECK_BYTES(take(&f, sent), sent, "101 ", sent);
        urgent_text(&f, "ping ", false);
        wf_outq_clear_unsent(&f.q);
        wf_outq_check(&f.q);
        CHECK_EQ(f.q.bytes, 4 - sent);
        write_text(&f, "CLOSE");
        CHECK_STR(take(&f, 100), whole + sent);
        fixture_deinit(&f);
    }
}

TEST(clearing_keeps_the_answers_before_the_handshake) {
    fixture f;
    fixture_init(&f, 1 << 20, WF_SLOW_CLOSE);
    static char large[6000];
    memset(large, 'h', sizeof large - 1);
    write_text(&f, "200 ");
    write_text(&f, large);
    write_text(&f, "101 ");
    wf_outq_keep_ahead(&f.q);
    wf_outq_clear_unsent(&f.q);
    CHECK_EQ(f.q.bytes, 8 + sizeof large - 1);
    CHECK_STR(take(&f, 4), "200 ");
    CHECK_STR(take(&f, sizeof large - 1), large);
    CHECK_STR(take(&f, 100), "101 ");
    fixture_deinit(&f);
}

TEST(the_ready_list_has_each_queue_once_in_the_order_of_coming) {
    fixture f;
    wf_outq other, third;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    wf_outq_init(&other, &f.pool, 1000, WF_SLOW_CLOSE);
    wf_outq_init(&third, &f.pool, 1000, WF_SLOW_CLOSE);
    write_text(&f, "a");
    write_text(&f, "b");
    wf_outq_mark_ready(&other);
    wf_outq_mark_ready(&third);
    CHECK_EQ(f.pool.ready_count, 3);
    wf_outq_ready_remove(&other);
    wf_outq_ready_remove(&other);
    CHECK_EQ(f.pool.ready_count, 2);
    wf_outq_mark_ready(&other);
    CHECK(wf_outq_ready_take(&f.pool) == &f.q);
    publish_text(&f, "c"); /* what comes while others wait goes behind them */
    CHECK(wf_outq_ready_take(&f.pool) == &third);
    CHECK(wf_outq_ready_take(&f.pool) == &other);
    CHECK(wf_outq_ready_take(&f.pool) == &f.q);
    CHECK(wf_outq_ready_take(&f.pool) == NULL);
    CHECK_EQ(f.pool.ready_count, 0);
    wf_outq_deinit(&other);
    wf_outq_deinit(&third);
    fixture_deinit(&f);
}

TEST(a_busy_queue_allocates_nothing) {
    fixture f;
    fixture_init(&f, 1 << 20, WF_SLOW_CLOSE);
    wf_blob *blob = wf_blob_new(100, NULL);
    memset(blob->data, 'b', 100);
    for (int round = 0; round < 1000; round++) {
        if (round == 10)
            test_mem_fail_at(0);
        for (int i = 0; i < 50; i++) {
            write_text(&f, "a small answer, again and again");
            CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
        }
        while (*take(&f, 3000))
            ;
    }
    CHECK_EQ(test_mem_calls(), 0);
    wf_blob_unref(blob);
    fixture_deinit(&f);
}

TEST(without_memory_nothing_changes) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    test_mem_fail_at(1);
    CHECK(wf_outq_write(&f.q, 5) == NULL);
    test_mem_fail_at(1);
    CHECK_EQ(urgent_text(&f, "!", true), WF_ENOMEM);
    test_mem_fail_at(0);
    CHECK_EQ(f.q.bytes, 0);
    CHECK_EQ(urgent_count(&f.q), 0);
    wf_outq_check(&f.q);
    fixture_deinit(&f);
}

TEST(a_published_message_without_memory_is_an_overflow) {
    for (int policy = WF_SLOW_CLOSE; policy <= WF_SLOW_DROP_OLDEST; policy++) {
        fixture f;
        test_context("policy %d", policy);
        fixture_init(&f, 1000, (wf_slow_policy)policy);
        wf_blob *blob = wf_blob_new(3, NULL);
        memcpy(blob->data, "abc", 3);
        test_mem_fail_at(1);
        CHECK_EQ(wf_outq_publish(&f.q, blob), WF_FULL);
        test_mem_fail_at(0);
        CHECK_EQ(drops(&f), 1);
        CHECK_EQ(f.q.overflowed, policy == WF_SLOW_CLOSE);
        CHECK_EQ(f.q.listed, policy == WF_SLOW_CLOSE); /* so that somebody looks and closes */
        CHECK_EQ(blob->refs, 1);
        CHECK_EQ(f.q.bytes, 0);
        wf_blob_unref(blob);
        fixture_deinit(&f);
    }
}

/* ---- encodings ---- */

static wf_blob *two_encodings(const char *plain, const char *shorter) {
    wf_blob *blob = wf_blob_new(strlen(plain), NULL);
    CHECK(blob != NULL && (blob->alt = wf_blob_new(strlen(shorter), NULL)) != NULL);
    memcpy(blob->data, plain, blob->len);
    memcpy(blob->alt->data, shorter, blob->alt->len);
    return blob;
}

/* All that is queued, as text; it stays queued. */
static const char *queued_text(wf_outq *q) {
    static char text[400];
    struct iovec ranges[16];
    size_t len = 0;
    int count = wf_outq_gather(q, ranges, 16);
    for (int i = 0; i < count; i++) {
        CHECK(len + ranges[i].iov_len < sizeof text);
        memcpy(text + len, ranges[i].iov_base, ranges[i].iov_len);
        len += ranges[i].iov_len;
    }
    wf_outq_taken(q, 0);
    text[len] = '\0';
    return text;
}

TEST(who_can_read_the_shorter_encoding_gets_it) {
    static const struct {
        uint32_t alt_bytes_min;
        uint8_t alt_bits;
        const char *gets;
    } rows[] = {{0, 0, "long and longer."}, {0, 3, "long and longer."},  {0, 4, "short"},
                {16, 4, "short"},           {17, 9, "long and longer."}, {0, WF_OUTQ_ALT_ANY, "short"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_context("%u to 2^%u", rows[i].alt_bytes_min, rows[i].alt_bits);
        fixture f;
        fixture_init(&f, 1000, WF_SLOW_CLOSE);
        f.q.alt_bytes_min = rows[i].alt_bytes_min;
        f.q.alt_bits = rows[i].alt_bits;
        wf_blob *blob = two_encodings("long and longer.", "short");
        CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
        wf_blob_unref(blob); /* the queue alone keeps what it took */
        CHECK_STR(queued_text(&f.q), rows[i].gets);
        fixture_deinit(&f);
    }
}

/* A burst of references is kept for the next one, and given back when none comes. */
TEST(free_references_are_given_back_by_and_by) {
    enum { BURST = 20000, USUAL = 4096 };
    fixture f;
    fixture_init(&f, UINT32_MAX, WF_SLOW_CLOSE);
    size_t live = test_mem_live();
    wf_blob *blob = wf_blob_new(10, NULL);
    for (int i = 0; i < BURST; i++)
        CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    wf_blob_unref(blob);
    wf_outq_clear_unsent(&f.q);
    CHECK_EQ(test_mem_live(), live + BURST);
    wf_outq_pool_rest(&f.pool);
    CHECK(test_mem_live() < live + BURST && test_mem_live() > live + USUAL);
    for (int i = 0; i < 20; i++)
        wf_outq_pool_rest(&f.pool);
    CHECK_EQ(test_mem_live(), live + USUAL);
    fixture_deinit(&f);
}

TEST(what_is_raw_is_encoded_in_its_place) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    f.q.recodes = true;
    f.q.alt_bits = WF_OUTQ_ALT_ANY;
    wf_blob *blob = two_encodings("raw", "alt"), *as_is = two_encodings("|as it is|", "never");
    as_is->as_is = true;
    wf_blob_unref(as_is->alt);
    as_is->alt = NULL;
    memcpy(wf_outq_write(&f.q, 6), "direct", 6);
    CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    CHECK_EQ(wf_outq_publish(&f.q, as_is), WF_OK);
    CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    CHECK(f.q.raws);
    wf_outq_walk walk = {0};
    const wf_blob *raw;
    for (int i = 0; wf_outq_raw_next(&f.q, &walk, SIZE_MAX, &raw); i++) {
        if (i == 1 || i == 2)
            wf_outq_raw_keep(&walk);
        else
            memcpy(wf_outq_raw_encode(&f.q, &walk, 2), i == 0 ? "<0" : "<2", 2);
        wf_outq_check(&f.q);
    }
    CHECK(!f.q.raws);
    CHECK_STR(queued_text(&f.q), "direct<0|as it is|raw<2");
    wf_blob_unref(blob);
    wf_blob_unref(as_is);
    fixture_deinit(&f);
}

TEST(what_is_raw_may_come_to_nothing) {
    for (int first = 0; first <= 1; first++) {
        fixture f;
        fixture_init(&f, 1000, WF_SLOW_CLOSE);
        f.q.recodes = true;
        wf_blob *blob = two_encodings("raw", "alt");
        if (!first)
            memcpy(wf_outq_write(&f.q, 6), "direct", 6);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
        wf_outq_walk walk = {0};
        const wf_blob *raw;
        for (int i = 0; wf_outq_raw_next(&f.q, &walk, SIZE_MAX, &raw); i++) {
            if (i == 1)
                wf_outq_raw_keep(&walk);
            else
                wf_outq_raw_drop(&f.q, &walk);
            wf_outq_check(&f.q);
        }
        CHECK_STR(queued_text(&f.q), first ? "raw" : "directraw");
        CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
        wf_blob_unref(blob);
        fixture_deinit(&f);
    }
}

TEST(only_the_first_segments_are_encoded) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    f.q.recodes = true;
    wf_blob *blob = two_encodings("raw", "alt");
    for (int i = 0; i < 5; i++)
        CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    wf_outq_walk walk = {0};
    const wf_blob *raw;
    int kept = 0;
    for (; wf_outq_raw_next(&f.q, &walk, 2, &raw); kept++)
        wf_outq_raw_keep(&walk);
    CHECK_EQ(kept, 2);
    CHECK(f.q.raws);
    for (; wf_outq_raw_next(&f.q, &walk, SIZE_MAX, &raw); kept++)
        wf_outq_raw_keep(&walk);
    CHECK_EQ(kept, 5);
    CHECK(!f.q.raws);
    wf_blob_unref(blob);
    fixture_deinit(&f);
}

TEST(without_memory_what_is_raw_can_still_go_as_it_is) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    f.q.recodes = true;
    wf_blob *blob = two_encodings("raw", "alt");
    CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    wf_outq_walk walk = {0};
    const wf_blob *raw;
    CHECK(wf_outq_raw_next(&f.q, &walk, SIZE_MAX, &raw));
    test_mem_fail_at(1);
    CHECK(wf_outq_raw_encode(&f.q, &walk, 2) == NULL);
    test_mem_fail_at(0);
    wf_outq_raw_keep(&walk);
    CHECK_STR(queued_text(&f.q), "raw");
    wf_blob_unref(blob);
    fixture_deinit(&f);
}

TEST(the_other_encoding_is_as_fixed_as_what_was_recoded) {
    fixture f;
    fixture_init(&f, 200, WF_SLOW_DROP_OLDEST);
    f.q.recodes = true;
    wf_blob *blob = two_encodings("long words", "short");
    CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    wf_outq_walk walk = {0};
    const wf_blob *raw;
    CHECK(wf_outq_raw_next(&f.q, &walk, 1, &raw));
    wf_outq_raw_take_alt(&f.q, &walk);
    wf_outq_check(&f.q);
    for (int i = 0; i < 4; i++) /* the other is dropped, not this one */
        CHECK_EQ(wf_outq_publish(&f.q, blob), WF_OK);
    CHECK(drops(&f) > 0);
    wf_blob_unref(blob);
    while (wf_outq_raw_next(&f.q, &walk, SIZE_MAX, &raw))
        wf_outq_raw_keep(&walk);
    CHECK_EQ(strncmp(queued_text(&f.q), "shortlong words", 15), 0);
    fixture_deinit(&f);
}

/* Room is made for what is queued, not for what it was made of. */
TEST(the_shorter_encoding_needs_less_room) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_DROP_OLDEST);
    f.q.alt_bits = WF_OUTQ_ALT_ANY;
    wf_blob *small = two_encodings("0123456789", "01"), *large = wf_blob_new(900, NULL);
    CHECK(large != NULL && (large->alt = wf_blob_new(10, NULL)) != NULL);
    memset(large->data, 'x', large->len);
    memset(large->alt->data, 'x', 10);
    while (drops(&f) == 0)
        CHECK_EQ(wf_outq_publish(&f.q, small), WF_OK);
    uint64_t before = drops(&f);
    CHECK_EQ(wf_outq_publish(&f.q, large), WF_OK);
    CHECK(drops(&f) - before <= 2);
    wf_blob_unref(small);
    wf_blob_unref(large);
    fixture_deinit(&f);
}

/* ---- payloads that lie elsewhere ---- */

static wf_str text_of(const char *text) {
    return (wf_str) {text, strlen(text)};
}

TEST(what_is_lent_leaves_from_where_it_lies) {
    fixture f;
    struct iovec ranges[4];
    char payload[] = "payload";
    wf_str lent = text_of(payload);
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    write_text(&f, "one ");
    CHECK_EQ(wf_outq_lend(&f.q, "head:", 5, &lent), WF_OK);
    write_text(&f, " two");
    CHECK_EQ(f.q.bytes, 20);
    CHECK_EQ(wf_outq_gather(&f.q, ranges, 4), 4);
    CHECK(ranges[2].iov_base == payload);
    wf_outq_taken(&f.q, 0);
    CHECK_STR(take(&f, SIZE_MAX), "one head:payload two");
    CHECK_EQ(wf_outq_settle(&f.q), WF_OK);
    fixture_deinit(&f);
}

/* Wherever the kernel stopped. */
TEST(what_is_lent_is_copied_when_it_is_taken_back) {
    static const char all[] = "ahead:firstb:seconda";
    for (size_t cut = 0; cut <= sizeof all - 1; cut++) {
        char first[] = "first", second[] = "second", got[64];
        fixture f;
        test_context("cut at %zu", cut);
        fixture_init(&f, 1000, WF_SLOW_CLOSE);
        CHECK_EQ(wf_outq_lend(&f.q, "ahead:", 6, &(wf_str) {first, 5}), WF_OK);
        CHECK_EQ(wf_outq_lend(&f.q, "b:", 2, &(wf_str) {second, 6}), WF_OK);
        write_text(&f, "a");
        snprintf(got, sizeof got, "%s", take(&f, cut));
        CHECK_EQ(wf_outq_settle(&f.q), WF_OK);
        wf_outq_check(&f.q);
        memset(first, '?', 5);
        memset(second, '?', 6);
        CHECK_EQ(f.q.bytes, sizeof all - 1 - cut);
        strcat(got, take(&f, SIZE_MAX));
        CHECK_STR(got, all);
        fixture_deinit(&f);
    }
}

TEST(what_is_lent_stays_lent_without_memory) {
    fixture f;
    fixture_init(&f, 1000, WF_SLOW_CLOSE);
    test_mem_fail_at(1);
    CHECK_EQ(wf_outq_lend(&f.q, "head:", 5, &(wf_str) {"x", 1}), WF_ENOMEM);
    CHECK_EQ(f.q.bytes, 0);
    test_mem_fail_at(0);
    CHECK_EQ(wf_outq_lend(&f.q, "head:", 5, &(wf_str) {"payload", 7}), WF_OK);
    test_mem_fail_at(1);
    CHECK_EQ(wf_outq_settle(&f.q), WF_ENOMEM);
    test_mem_fail_at(0);
    CHECK_STR(take(&f, SIZE_MAX), "head:payload");
    fixture_deinit(&f);
}

TEST(a_frame_that_refers_to_a_blob_is_not_cut_by_control_frames) {
    for (size_t cut = 1; cut < 12; cut++) {
        fixture f;
        char got[64];
        test_context("cut at %zu", cut);
        fixture_init(&f, 1000, WF_SLOW_CLOSE);
        wf_blob *blob = wf_blob_new(7, NULL);
        CHECK(blob != NULL);
        memcpy(blob->data, "payload", 7);
        CHECK_EQ(wf_outq_refer(&f.q, "head:", 5, blob), WF_OK);
        wf_blob_unref(blob);
        write_text(&f, "more");
        snprintf(got, sizeof got, "%s", take(&f, cut));
        CHECK_EQ(urgent_text(&f, "pong", false), WF_OK);
        strcat(got, take(&f, SIZE_MAX));
        CHECK_STR(got, "head:payloadpongmore");
        fixture_deinit(&f);
    }
}

TEST(own_messages_between_published_ones_take_little_more_than_they_weigh) {
    enum { BUDGET = 1 << 20 };
    fixture f;
    fixture_init(&f, BUDGET, WF_SLOW_DROP_NEWEST);
    wf_blob *blob = wf_blob_new(10, NULL);
    CHECK(blob != NULL);
    memset(blob->data, 'p', blob->len);
    size_t pairs = 0;
    for (; wf_outq_publish(&f.q, blob) == WF_OK; pairs++)
        memset(wf_outq_write(&f.q, 10), 'o', 10);
    wf_blob_unref(blob);
    CHECK(pairs > 5000);
    CHECK(f.pool.bytes_used <= 2 * wf_outq_weight(&f.q));
    fixture_deinit(&f);
}
