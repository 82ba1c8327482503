/*
 * The ground floor: growable bytes, borrowed strings, shared blobs, and the map, the last beside a model that
 * is a plain array of names.
 */
#include "base/big.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/map.h"
#include "base/status.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- buf ---- */

TEST(buf_keeps_what_is_appended) {
    wf_buf buf = WF_BUF_INIT;
    wf_buf_check(&buf);
    CHECK_EQ(wf_buf_append(&buf, NULL, 0), WF_OK);
    CHECK(buf.data == NULL);
    CHECK_EQ(wf_buf_append(&buf, "ab", 2), WF_OK);
    CHECK_EQ(wf_buf_append_str(&buf, "cde"), WF_OK);
    CHECK_EQ(wf_buf_printf(&buf, "<%d|%s>", -7, "x"), WF_OK);
    CHECK_BYTES(buf.data, buf.len, "abcde<-7|x>", 11);
    wf_buf_consume(&buf, 0);
    wf_buf_consume(&buf, 3);
    CHECK_BYTES(buf.data, buf.len, "de<-7|x>", 8);
    wf_buf_consume(&buf, 8);
    CHECK_EQ(buf.len, 0);
    wf_buf_check(&buf);
    wf_buf_deinit(&buf);
    wf_buf_check(&buf);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(buf_prints_what_is_longer_than_its_room) {
    wf_buf buf = WF_BUF_INIT;
    char text[5000];
    memset(text, 'q', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK_EQ(wf_buf_printf(&buf, "%s", ""), WF_OK);
    CHECK_EQ(buf.len, 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(wf_buf_printf(&buf, "%s!", text), WF_OK);
    CHECK_EQ(buf.len, 5 * sizeof text);
    CHECK(buf.data[4998] == 'q' && buf.data[4999] == '!' && buf.data[5 * 5000 - 1] == '!');
    wf_buf_deinit(&buf);
}

/* The header's promise: cap <= 1.125 * len + 4 KiB, and growing is not copying each time. */
TEST(buf_grows_by_an_eighth_and_a_page_at_most) {
    static const size_t steps[] = {1, 7, 64, 255, 256, 257, 1000, 4096, 100000};
    static const uint8_t zeros[100000];
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        wf_buf buf = WF_BUF_INIT;
        test_context("steps of %zu", steps[i]);
        test_mem_fail_at(0);
        while (buf.len < 1 << 20) {
            CHECK_EQ(wf_buf_append(&buf, zeros, steps[i]), WF_OK);
            wf_buf_check(&buf);
            CHECK(buf.cap <= buf.len + buf.len / 8 + 4096);
            CHECK_EQ(test_mem_bytes(), buf.cap);
        }
        CHECK(test_mem_calls() < 90);
        wf_buf_deinit(&buf);
    }
}

TEST(buf_without_memory_stays_as_it_was) {
    wf_buf buf = WF_BUF_INIT;
    test_mem_fail_at(1);
    CHECK_EQ(wf_buf_append(&buf, "a", 1), WF_ENOMEM);
    CHECK(buf.data == NULL && buf.len == 0);
    CHECK_EQ(wf_buf_append(&buf, "abc", 3), WF_OK);
    static const char big[10000];
    test_mem_fail_at(1);
    CHECK_EQ(wf_buf_append(&buf, big, sizeof big), WF_ENOMEM);
    test_mem_fail_at(1);
    CHECK_EQ(wf_buf_printf(&buf, "%1000d", 5), WF_ENOMEM);
    test_mem_fail_at(0);
    CHECK_EQ(wf_buf_reserve(&buf, SIZE_MAX), WF_ENOMEM);
    CHECK_EQ(wf_buf_reserve(&buf, SIZE_MAX - 2), WF_ENOMEM);
    CHECK_EQ(wf_buf_reserve(&buf, SIZE_MAX / 2), WF_ENOMEM);
    CHECK_BYTES(buf.data, buf.len, "abc", 3);
    wf_buf_check(&buf);
    wf_buf_deinit(&buf);
    CHECK_EQ(test_mem_live(), 0);
}

/* ---- bytes ---- */

static const struct {
    const char *name, *list, *elements; /* the elements parted by '|' */
} lists[] = {
    {"empty_list", "", ""},
    {"one", "a", "a"},
    {"two", "a,b", "a|b"},
    {"spaces_and_tabs_around_are_not_part", " \ta \t, b\t", "a|b"},
    {"spaces_inside_are", "a b , c", "a b|c"},
    {"empty_elements_are_passed_over", ",, a,, ,b,", "a|b"},
    {"nothing_but_commas", " , ,,", ""},
    {"quoted_comma_does_not_part", "a=\"x,y\", b", "a=\"x,y\"|b"},
    {"escaped_quote_does_not_end_the_string", "a=\"x\\\",y\",b", "a=\"x\\\",y\"|b"},
    {"escaped_backslash_does_not_escape_the_quote", "a=\"x\\\\\",b", "a=\"x\\\\\"|b"},
    {"backslash_outside_quotes_is_a_byte", "a\\,b", "a\\|b"},
    {"open_quote_goes_to_the_end", "a=\"x,y", "a=\"x,y"},
    {"backslash_as_last_byte", "a=\"x\\", "a=\"x\\"},
    {"extension_offers", "permessage-deflate; client_max_window_bits, x;y=\",\"",
     "permessage-deflate; client_max_window_bits|x;y=\",\""},
    {"bytes_over_127_are_bytes", "\xc3\xa9,\xff", "\xc3\xa9|\xff"},
};

TEST(each_list_has_its_elements) {
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        test_context("%s", lists[i].name);
        size_t len = strlen(lists[i].list);
        char *exact = malloc(len ? len : 1), joined[200] = "";
        CHECK(exact != NULL);
        memcpy(exact, lists[i].list, len);
        wf_str rest = {exact, len}, element;
        for (int count = 0; wf_str_next_element(&rest, &element); count++) {
            CHECK(count < 100 && element.len > 0);
            if (count > 0)
                strcat(joined, "|");
            strncat(joined, element.data, element.len);
        }
        CHECK_EQ(rest.len, 0);
        CHECK_STR(joined, lists[i].elements);
        free(exact);
    }
}

TEST(a_list_of_nothing_at_all_has_no_elements) {
    wf_str rest = wf_str_of(NULL), element;
    CHECK(!wf_str_next_element(&rest, &element));
}

TEST(case_of_letters_alone_is_passed_over) {
    CHECK(wf_str_eq_nocase(wf_str_of("WebSocket"), wf_str_of("wEBsOCKET")));
    CHECK(!wf_str_eq_nocase(wf_str_of("websocket"), wf_str_of("websockets")));
    CHECK(wf_str_eq_nocase(wf_str_of(""), wf_str_of(NULL)));
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char x = (char)a, y = (char)b;
            bool letters = (a | 32) == (b | 32) && (a | 32) >= 'a' && (a | 32) <= 'z';
            CHECK_EQ(wf_str_eq_nocase((wf_str) {&x, 1}, (wf_str) {&y, 1}), a == b || letters);
            CHECK_EQ(wf_str_eq((wf_str) {&x, 1}, (wf_str) {&y, 1}), a == b);
        }
    }
}

/* Letter by letter, wherever in a text of whatever length. */
TEST(case_is_passed_over_at_every_place) {
    char a[40], b[40];
    for (size_t len = 1; len < sizeof a; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(a, 'x', len);
                memset(b, 'X', len);
                a[at] = (char)c;
                b[at] = (char)(c ^ 0x20);
                bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
                CHECK_EQ(wf_str_eq_nocase((wf_str) {a, len}, (wf_str) {b, len}), letter);
                b[at] = (char)c;
                CHECK(wf_str_eq_nocase((wf_str) {a, len}, (wf_str) {b, len}));
            }
        }
    }
}

TEST(numbers_are_written_in_decimal) {
    static const uint64_t numbers[] = {0, 9, 10, 99, 100, 65535, UINT32_MAX, 9999999999u, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[WF_DECIMAL_MAX], owed[32];
        snprintf(owed, sizeof owed, "%llu", (unsigned long long)numbers[i]);
        size_t len = wf_decimal(text, numbers[i]);
        CHECK_BYTES(text, len, owed, strlen(owed));
    }
}

TEST(trimming_takes_spaces_and_tabs_only) {
    wf_str s = wf_str_trim(wf_str_of(" \t\na b\r \t"));
    CHECK_BYTES(s.data, s.len, "\na b\r", 5);
    CHECK_EQ(wf_str_trim(wf_str_of(" \t ")).len, 0);
    CHECK_EQ(wf_str_trim(wf_str_of(NULL)).len, 0);
}

TEST(numbers_stand_in_network_order) {
    uint8_t bytes[9];
    wf_store_be16(bytes + 1, 0x0102);
    CHECK(bytes[1] == 1 && bytes[2] == 2 && wf_load_be16(bytes + 1) == 0x0102);
    wf_store_be64(bytes + 1, 0x0102030405060708u);
    for (int i = 1; i <= 8; i++)
        CHECK_EQ(bytes[i], i);
    CHECK(wf_load_be64(bytes + 1) == 0x0102030405060708u);
}

/* ---- blob ---- */

TEST(a_blob_lives_until_the_last_lets_go) {
    atomic_size_t account = 5;
    wf_blob *blob = wf_blob_new(10, &account);
    CHECK(blob != NULL);
    CHECK_EQ(account, 15);
    memset(blob->data, 'x', blob->len);
    CHECK(wf_blob_ref(blob) == blob);
    wf_blob_unref(blob);
    CHECK_EQ(account, 15);
    CHECK_EQ(blob->data[9], 'x');
    wf_blob_unref(blob);
    CHECK_EQ(account, 5);
    CHECK_EQ(test_mem_live(), 0);
    wf_blob_unref(NULL);
}

TEST(a_blob_takes_over_a_buffer) {
    atomic_size_t account = 0;
    wf_buf buf = WF_BUF_INIT;
    CHECK_EQ(wf_buf_append_str(&buf, "text"), WF_OK);
    test_mem_fail_at(1);
    CHECK(wf_blob_of_buf(&buf, &account) == NULL);
    CHECK_EQ(buf.len, 4);
    test_mem_fail_at(0);
    const uint8_t *data = buf.data;
    wf_blob *blob = wf_blob_of_buf(&buf, &account);
    CHECK(blob && blob->data == data && blob->len == 4 && buf.data == NULL);
    CHECK_EQ(account, 4);
    wf_blob_unref(blob);
    CHECK_EQ(account, 0);
    CHECK_EQ(test_mem_live(), 0);
}

/* ---- big blocks ---- */

TEST(nothing_is_kept_where_nobody_said_so) {
    size_t cap;
    void *block = wf_big_take(100000, &cap);
    CHECK(block && cap == 100000);
    wf_big_give(block, cap);
    CHECK_EQ(wf_big_kept(), 0);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(a_kept_block_is_taken_again_where_it_fits) {
    size_t cap;
    wf_big_keep(1 << 20);
    void *block = wf_big_take(200000, &cap);
    wf_big_give(block, cap);
    CHECK_EQ(wf_big_kept(), 200000);
    void *small = wf_big_take(WF_BIG_BYTES, &cap); /* less than half */
    CHECK(small && small != block && cap == WF_BIG_BYTES);
    CHECK(wf_big_take(150000, &cap) == block);
    CHECK_EQ(cap, 200000);
    wf_big_give(block, cap);
    memset(small, 'x', WF_BIG_BYTES);
    uint8_t *grown = wf_big_grow(small, WF_BIG_BYTES, WF_BIG_BYTES, 120000, &cap);
    CHECK(grown == block && cap == 200000 && grown[0] == 'x' && grown[WF_BIG_BYTES - 1] == 'x');
    wf_big_give(grown, cap);
    CHECK_EQ(wf_big_kept(), 200000 + WF_BIG_BYTES);
    wf_big_keep(0);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(no_more_is_kept_than_was_said_and_nothing_that_is_not_used) {
    void *blocks[40];
    size_t cap;
    wf_big_keep(4 * WF_BIG_BYTES);
    for (int i = 0; i < 40; i++)
        blocks[i] = wf_big_take(WF_BIG_BYTES, &cap);
    for (int i = 0; i < 40; i++)
        wf_big_give(blocks[i], WF_BIG_BYTES);
    CHECK_EQ(wf_big_kept(), 4 * WF_BIG_BYTES);
    CHECK_EQ(test_mem_live(), 4);
    wf_big_rest();
    CHECK_EQ(wf_big_kept(), 4 * WF_BIG_BYTES);
    wf_big_give(wf_big_take(WF_BIG_BYTES, &cap), WF_BIG_BYTES); /* one is in use */
    wf_big_rest();
    CHECK_EQ(wf_big_kept(), WF_BIG_BYTES);
    wf_big_keep(0);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(a_blob_may_be_empty_or_counted_nowhere) {
    wf_blob *blob = wf_blob_new(0, NULL);
    CHECK(blob && blob->len == 0);
    wf_blob_unref(blob);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(a_blob_without_memory_is_not_counted) {
    atomic_size_t account = 0;
    test_mem_fail_at(1);
    CHECK(wf_blob_new(10, &account) == NULL);
    CHECK_EQ(account, 0);
}

/* ---- map ---- */

static const uint8_t hash_key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

enum { NAMES = 300 };

typedef struct thing {
    wf_map_node node;
    bool in, seen;
    char name[8];
} thing;

static thing things[NAMES];

/* Names of 0 to 7 bytes, all different, some with a NUL inside. */
static void make_things(void) {
    memset(things, 0, sizeof things);
    for (size_t i = 0; i < NAMES; i++) {
        int len = i == 0 ? 0 : snprintf(things[i].name, sizeof things[i].name, "%zu", i);
        if (i % 7 == 6)
            things[i].name[len++] = '\0';
        things[i].node.name = (wf_str) {things[i].name, (size_t)len};
    }
}

static void check_walk(const wf_map *map, size_t count) {
    wf_map_walk walk = {0};
    size_t seen = 0;
    for (size_t i = 0; i < NAMES; i++)
        things[i].seen = false;
    for (wf_map_node *node; (node = wf_map_next(map, &walk)); seen++) {
        thing *it = (thing *)node;
        CHECK(it->in && !it->seen);
        it->seen = true;
    }
    CHECK_EQ(seen, count);
}

/* Random puts, removals and looks; now and then an allocation fails, which only matters while there is no
 * table. */
TEST(map_is_what_an_array_of_names_is) {
    uint64_t seed = 21;
    wf_map map;
    size_t count = 0;
    make_things();
    wf_map_init(&map, hash_key);
    for (int step = 0; step < 20000; step++) {
        uint64_t r = test_random(&seed);
        size_t reach = step < 10000 ? 40 : NAMES;
        thing *it = &things[(r >> 8) % reach];
        wf_str name = it->node.name;
        test_context("step %d", step);
        CHECK(wf_map_find(&map, name) == (it->in ? &it->node : NULL));
        test_mem_fail_at(r % 5 == 0 ? 1 : 0);
        if (!it->in && r % 3) {
            bool first = map.bucket_count == 0;
            int got = wf_map_insert(&map, &it->node);
            CHECK_EQ(got, first && r % 5 == 0 ? WF_ENOMEM : WF_OK);
            it->in = got == WF_OK;
            count += it->in;
        } else if (it->in && r % 3 != 1) {
            wf_map_remove(&map, &it->node);
            it->in = false;
            count--;
        }
        CHECK_EQ(map.count, count);
        if (step % 50 == 0) {
            wf_map_check(&map);
            check_walk(&map, count);
        }
    }
    test_mem_fail_at(0);
    wf_map_walk walk = {0};
    for (wf_map_node *node; (node = wf_map_next(&map, &walk));)
        wf_map_remove(&map, node); /* the one just handed out may go */
    CHECK_EQ(map.count, 0);
    wf_map_deinit(&map);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(map_takes_no_memory_before_its_first_name) {
    wf_map map;
    wf_map_walk walk = {0};
    make_things();
    wf_map_init(&map, hash_key);
    CHECK(wf_map_find(&map, wf_str_of("x")) == NULL && wf_map_next(&map, &walk) == NULL);
    CHECK_EQ(test_mem_live(), 0);
    test_mem_fail_at(1);
    CHECK_EQ(wf_map_insert(&map, &things[1].node), WF_ENOMEM);
    CHECK_EQ(map.count, 0);
    wf_map_check(&map);
    wf_map_deinit(&map);
}

TEST(map_hash_depends_on_key_and_every_byte) {
    wf_map a, b;
    uint8_t other[16];
    memcpy(other, hash_key, 16);
    other[15] ^= 1;
    wf_map_init(&a, hash_key);
    wf_map_init(&b, other);
    char text[20] = {0};
    for (size_t len = 0; len < sizeof text; len++) {
        wf_str name = {text, len};
        uint64_t hash = wf_map_hash(&a, name);
        CHECK(hash == wf_map_hash(&a, name));
        CHECK(hash != wf_map_hash(&b, name));
        for (size_t i = 0; i < len; i++) {
            text[i] = 1;
            CHECK(hash != wf_map_hash(&a, name));
            text[i] = 0;
        }
        CHECK(len == 0 || hash != wf_map_hash(&a, (wf_str) {text, len - 1}));
    }
}
