/*
 * Both halves of permessage-deflate on one connection: what the one makes, the other reads; when a message goes
 * plain; what is held between two messages.
 */
#include "base/status.h"
#include "test.h"
#include "ws/deflate.h"
#include "ws/inflate.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONG_BYTES = 300000, NO_LIMIT = 1 << 30 };

typedef struct pair {
    wf_codec codec;
    wf_deflate out;
    wf_inflate in;
    wf_buf read;
} pair;

static void pair_init(pair *p, unsigned bits, bool takeover, const char *library) {
    wf_codec_init(&p->codec);
    if (library)
        CHECK_EQ(wf_codec_use(&p->codec, library), WF_OK);
    wf_deflate_init(&p->out, &p->codec, bits, takeover, 1);
    wf_inflate_init(&p->in, &p->codec, takeover ? bits : 0);
    p->read = (wf_buf)WF_BUF_INIT;
}

static void pair_deinit(pair *p) {
    wf_deflate_deinit(&p->out);
    wf_inflate_deinit(&p->in);
    wf_codec_deinit(&p->codec);
    wf_buf_deinit(&p->read);
    CHECK_EQ(test_mem_live(), 0);
}

/* Sends one message over: the bytes it took, or 0: it went plain. */
static size_t say(pair *p, const void *data, size_t len) {
    const uint8_t *wire;
    size_t wire_len;
    if (wf_deflate_message(&p->out, data, len, &wire, &wire_len) != WF_OK)
        return 0;
    CHECK(wire_len > 0 && wire_len < len);
    wf_buf_deinit(&p->read);
    CHECK_EQ(wf_inflate_piece(&p->in, wire, wire_len, true, &p->read, NO_LIMIT), WF_OK);
    CHECK_BYTES(p->read.data, p->read.len, data, len);
    wf_window_check(&p->out.window);
    wf_window_check(&p->in.window);
    CHECK(p->in.lent == NULL);
    return wire_len;
}

static size_t write_json(char *text, size_t cap, int n) {
    return (size_t)snprintf(text, cap,
                            "{\"id\":%d,\"room\":\"lobby\",\"user\":{\"name\":\"user%d\",\"color\":\"#%06x\"},"
                            "\"text\":\"message number %d of many\"}",
                            n, n % 7, n * 977 % 0xffffff, n);
}

TEST(messages_get_through_with_every_library_and_window) {
    static const char *const libraries[] = {NULL, "zlib", "isa-l"};
    static char text[LONG_BYTES];
    for (size_t l = 0; l < 3; l++) {
        if (libraries[l] && strcmp(libraries[l], "isa-l") == 0 && !wf_zip_compressors(1))
            continue; /* built without it */
        for (unsigned bits = 8; bits <= 15; bits++) {
            for (int takeover = 0; takeover <= 1; takeover++) {
                test_context("%s, %u bits, takeover %d", libraries[l] ? libraries[l] : "best", bits, takeover);
                pair p;
                pair_init(&p, bits, takeover, libraries[l]);
                for (int n = 0; n < 200; n++)
                    say(&p, text, write_json(text, sizeof text, n));
                for (size_t i = 0; i < sizeof text; i++)
                    text[i] = (char)('a' + i * i / 1000 % 7);
                bool whole_windows = bits >= p.codec.compressor->window_bits_min;
                CHECK_EQ(say(&p, text, sizeof text) > 0, whole_windows);
                CHECK(say(&p, text, 200) > 0);
                CHECK(p.out.window.cap <= (takeover ? 17u << bits >> 4 : 0));
                CHECK_EQ(p.in.window.cap, p.out.window.cap);
                pair_deinit(&p);
            }
        }
    }
}

TEST(with_takeover_small_messages_become_smaller) {
    char text[400];
    size_t bytes[2] = {0}, plain = 0;
    for (int takeover = 0; takeover <= 1; takeover++) {
        pair p;
        pair_init(&p, 12, takeover, NULL);
        plain = 0;
        for (int n = 0; n < 100; n++) {
            size_t len = write_json(text, sizeof text, n), wire = say(&p, text, len);
            bytes[takeover] += wire ? wire : len;
            plain += len;
        }
        pair_deinit(&p);
    }
    CHECK(bytes[1] < plain * 4 / 10);
    CHECK(bytes[1] < bytes[0] * 6 / 10);
}

TEST(what_would_not_shrink_goes_plain_and_is_forgotten) {
    uint8_t noise[2000];
    uint64_t seed = 5;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)test_random(&seed);
    pair p;
    pair_init(&p, 15, true, NULL);
    CHECK(say(&p, "hello hello hello hello", 23) > 0);
    CHECK_EQ(say(&p, noise, sizeof noise), 0);
    CHECK_EQ(p.out.window.len, 23); /* the peer's window does not have it either */
    CHECK(say(&p, "hello hello hello hello", 23) > 0);
    CHECK_EQ(say(&p, "", 0), 0);
    CHECK_EQ(say(&p, "a", 1), 0);
    pair_deinit(&p);
}

TEST(what_is_longer_than_32_bits_can_say_goes_plain) {
    pair p;
    pair_init(&p, 15, true, NULL);
    CHECK_EQ(say(&p, "only the beginning", (size_t)UINT32_MAX + 1), 0); /* and was not looked at */
    pair_deinit(&p);
}

TEST(what_is_shorter_than_the_threshold_goes_plain) {
    pair p;
    pair_init(&p, 15, true, NULL);
    p.out.bytes_min = 24;
    CHECK_EQ(say(&p, "hello hello hello hello", 23), 0);
    CHECK(say(&p, "hello hello hello hello!", 24) > 0);
    pair_deinit(&p);
}

/* Text around a dense middle, as a picture in a page: the sample says no. */
TEST(a_dense_middle_spares_the_work) {
    static uint8_t data[LONG_BYTES];
    uint64_t seed = 6;
    memset(data, 'a', sizeof data);
    pair p;
    pair_init(&p, 15, false, NULL);
    CHECK(say(&p, data, sizeof data) > 0);
    for (size_t i = sizeof data / 2; i < sizeof data / 2 + 5000; i++)
        data[i] = (uint8_t)test_random(&seed);
    CHECK_EQ(say(&p, data, sizeof data), 0);
    CHECK(say(&p, data, 15000) > 0); /* not looked at */
    pair_deinit(&p);
}

TEST(long_messages_leave_no_room_behind) {
    static uint8_t data[LONG_BYTES];
    memset(data, 'a', sizeof data);
    pair p;
    pair_init(&p, 15, true, NULL);
    CHECK(say(&p, data, sizeof data) > 0);
    CHECK(p.codec.deflated.cap >= sizeof data);
    wf_codec_rest(&p.codec);
    CHECK_EQ(p.codec.deflated.cap, 0);
    CHECK(say(&p, data, 100) > 0);
    wf_codec_rest(&p.codec);
    CHECK(p.codec.deflated.cap > 0); /* small room is kept: nothing is allocated for the next */
    pair_deinit(&p);
}

TEST(without_memory_a_message_goes_plain) {
    char text[400];
    for (size_t nth = 1; nth < 40; nth++) {
        test_context("allocation %zu fails", nth);
        pair p;
        pair_init(&p, 12, true, NULL);
        const uint8_t *wire;
        size_t wire_len, len = 0;
        test_mem_fail_at(nth);
        for (int n = 0; n < 3; n++) {
            len = write_json(text, sizeof text, n);
            if (wf_deflate_message(&p.out, (uint8_t *)text, len, &wire, &wire_len) == WF_OK) {
                char *copy = malloc(wire_len);
                CHECK(copy != NULL);
                memcpy(copy, wire, wire_len);
                size_t calls = test_mem_calls();
                test_mem_fail_at(0); /* the reader has memory */
                p.read.len = 0;
                CHECK_EQ(wf_inflate_piece(&p.in, (uint8_t *)copy, wire_len, true, &p.read, NO_LIMIT), WF_OK);
                CHECK_BYTES(p.read.data, p.read.len, text, len);
                test_mem_fail_at(nth > calls ? nth - calls : 0);
                free(copy);
            }
        }
        test_mem_fail_at(0);
        CHECK(say(&p, text, len) > 0);
        pair_deinit(&p);
    }
}

TEST(a_bomb_takes_no_more_than_the_limit) {
    static uint8_t zeros[LONG_BYTES];
    pair p;
    pair_init(&p, 15, false, NULL);
    const uint8_t *wire;
    size_t wire_len;
    CHECK_EQ(wf_deflate_message(&p.out, zeros, sizeof zeros, &wire, &wire_len), WF_OK);
    CHECK(wire_len < sizeof zeros / 100);
    uint8_t *copy = malloc(wire_len);
    CHECK(copy != NULL);
    memcpy(copy, wire, wire_len);
    for (size_t limit = 0; limit <= sizeof zeros; limit += limit < 5000 ? 499 : 29500) {
        for (size_t piece = 1; piece <= wire_len; piece += wire_len - 1) {
            test_context("limit %zu, pieces of %zu", limit, piece);
            wf_buf_deinit(&p.read);
            int got = WF_OK;
            for (size_t at = 0; at < wire_len && got == WF_OK; at += piece) {
                size_t len = wire_len - at < piece ? wire_len - at : piece;
                got = wf_inflate_piece(&p.in, copy + at, len, at + len == wire_len, &p.read, limit);
            }
            CHECK_EQ(got, limit < sizeof zeros ? WF_FULL : WF_OK);
            CHECK(p.read.len <= limit + 1);
            CHECK(p.read.cap <= limit + limit / 8 + 4096);
            CHECK(p.in.lent == NULL);
        }
    }
    free(copy);
    pair_deinit(&p);
}

TEST(between_two_messages_only_the_window_is_held) {
    char text[400];
    pair p;
    pair_init(&p, 15, true, NULL);
    for (int n = 0; n < 1000; n++)
        say(&p, text, write_json(text, sizeof text, n));
    CHECK_EQ(wf_inflate_memory(&p.in), 34816);
    CHECK_EQ(p.out.window.cap, 34816);
    pair_deinit(&p);
}

TEST(a_codec_is_told_its_library_once_or_twice) {
    pair p;
    pair_init(&p, 15, true, "zlib");
    CHECK_EQ(wf_codec_use(&p.codec, "zlib"), WF_OK);
    CHECK_EQ(wf_codec_use(&p.codec, "lzma"), WF_EINVAL);
    CHECK_STR(p.codec.compressor->name, "zlib");
    CHECK(say(&p, "hello hello hello hello", 23) > 0);
    pair_deinit(&p);
}

TEST(a_codec_counts_what_it_holds) {
    pair p;
    pair_init(&p, 15, true, NULL);
    CHECK_EQ(wf_codec_memory(&p.codec), 0);
    CHECK(say(&p, "hello hello hello hello", 23) > 0);
    size_t held = test_mem_bytes() - p.out.window.cap - p.in.window.cap - p.read.cap;
    CHECK(wf_codec_memory(&p.codec) >= held);
    CHECK_EQ(wf_buf_reserve(&p.codec.inflated, LONG_BYTES), WF_OK);
    wf_codec_rest(&p.codec);
    CHECK_EQ(p.codec.inflated.cap, 0);
    pair_deinit(&p);
}

TEST(of_two_states_given_back_one_is_kept) {
    pair p;
    pair_init(&p, 15, true, NULL);
    void *first = wf_codec_borrow(&p.codec), *second = wf_codec_borrow(&p.codec);
    CHECK(first && second && first != second);
    wf_codec_give_back(&p.codec, first);
    wf_codec_give_back(&p.codec, second);
    CHECK(wf_codec_borrow(&p.codec) == first);
    wf_codec_give_back(&p.codec, first);
    pair_deinit(&p);
}

static int gets_stuck(void *state, wf_zip_io *io) {
    (void)state, (void)io;
    return WF_OK;
}

static int cannot_begin(void *state, const uint8_t *history, size_t history_len) {
    (void)state, (void)history, (void)history_len;
    return WF_ENOMEM;
}

/* What the libraries never do as far as we know. */
TEST(a_library_that_fails_ends_its_message) {
    static const uint8_t hello[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
    pair p;
    pair_init(&p, 15, true, "zlib");
    wf_decompressor real = *p.codec.decompressor, stuck = real, unready = real;
    stuck.run = gets_stuck;
    unready.begin = cannot_begin;
    p.codec.decompressor = &stuck;
    CHECK_EQ(wf_inflate_piece(&p.in, hello, sizeof hello, true, &p.read, NO_LIMIT), WF_ERROR);
    p.codec.decompressor = &unready;
    CHECK_EQ(wf_inflate_piece(&p.in, hello, sizeof hello, true, &p.read, NO_LIMIT), WF_ENOMEM);
    p.codec.whole = &unready;
    p.codec.decompressor = &real;
    CHECK_EQ(wf_inflate_piece(&p.in, hello, sizeof hello, true, &p.read, NO_LIMIT), WF_ENOMEM);
    CHECK_EQ(p.read.len, 0);
    p.codec.whole = NULL;
    real.free(p.codec.whole_state);
    p.codec.whole_state = NULL;
    CHECK_EQ(wf_inflate_piece(&p.in, hello, sizeof hello, true, &p.read, NO_LIMIT), WF_OK);
    CHECK_BYTES(p.read.data, p.read.len, "Hello", 5);
    p.codec.decompressor = wf_zip_decompressors(0);
    pair_deinit(&p);
}

TEST(a_codec_counts_a_state_for_each_window) {
    static uint8_t text[4000];
    const wf_compressor *c;
    memset(text, 'a', sizeof text);
    for (size_t n = 0; (c = wf_zip_compressors(n)); n++) {
        pair p;
        pair_init(&p, 15, false, c->name);
        for (unsigned bits = 8; bits <= 15; bits++) {
            p.out.window_bits = (uint8_t)bits;
            say(&p, text, 1u << 8);
            CHECK(test_mem_bytes() <= wf_codec_memory(&p.codec) + p.read.cap);
        }
        pair_deinit(&p);
    }
}

TEST(a_window_keeps_the_last_bytes) {
    uint64_t seed = 9;
    static uint8_t said[100000];
    for (size_t i = 0; i < sizeof said; i++)
        said[i] = (uint8_t)test_random(&seed);
    for (unsigned bits = 8; bits <= 15; bits++) {
        wf_window w;
        wf_window_init(&w, bits);
        size_t at = 0;
        while (at < sizeof said) {
            size_t len = test_random(&seed) % (test_random(&seed) % 9 ? 300 : 40000);
            len = len < sizeof said - at ? len : sizeof said - at;
            CHECK_EQ(wf_window_append(&w, said + at, len), WF_OK);
            at += len;
            size_t kept = at < 1u << bits ? at : 1u << bits;
            CHECK_BYTES(wf_window_bytes(&w), w.len, said + at - kept, kept);
            wf_window_check(&w);
        }
        test_mem_fail_at(1);
        CHECK_EQ(wf_window_append(&w, said, 10), WF_OK); /* it is full: it needs no more */
        wf_window_deinit(&w);
        CHECK_EQ(wf_window_append(&w, said, 10), WF_ENOMEM);
        test_mem_fail_at(0);
        CHECK_EQ(w.len, 0);
        wf_window_deinit(&w);
    }
    CHECK_EQ(test_mem_live(), 0);
}

TEST(a_window_of_nothing_keeps_nothing) {
    wf_window w;
    wf_window_init(&w, 0);
    CHECK_EQ(wf_window_append(&w, (const uint8_t *)"abc", 3), WF_OK);
    CHECK(w.len == 0 && w.data == NULL);
}

/* Little input, much work: it is counted where it is done. */
TEST(work_is_counted) {
    static uint8_t zeros[LONG_BYTES];
    pair p;
    pair_init(&p, 15, true, NULL);
    uint32_t before = p.in.work;
    size_t wire = say(&p, zeros, sizeof zeros);
    CHECK(p.in.work - before >= wire + sizeof zeros);
    before = p.in.work;
    wire = say(&p, zeros, 100);
    CHECK(p.in.work - before >= wire + 100 + 32768 / 64); /* the window was handed over */
    pair_deinit(&p);
}

/* Blocks that hold nothing, and ends of streams: whichever library begins, the message is the same. */
TEST(odd_messages_are_the_same_by_both_libraries) {
    static const uint8_t empty_fixed[] = {0x02, 0x08, 0x20, 0x80, 0x00}; /* four empty blocks of 10 bits */
    uint8_t wire[6000];
    for (int ends = 0; ends <= 1; ends++) {
        size_t len = 0;
        memcpy(wire, "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", 11); /* Hello */
        len = 11;
        while (len + 32 < sizeof wire) {
            if (ends)
                memcpy(wire + len, "\x03\x00", 2), len += 2;
            else
                memcpy(wire + len, empty_fixed, 5), len += 5;
        }
        memcpy(wire + len, "\xf2\x00\x11\x00\x00", 5); /* Hello again, from the history */
        len += 5;
        for (int fast = 0; fast <= 1; fast++) {
            test_context("ends %d, library %d", ends, fast);
            pair p;
            pair_init(&p, 15, true, fast ? NULL : "zlib");
            CHECK_EQ(wf_inflate_piece(&p.in, wire, len, true, &p.read, NO_LIMIT), WF_OK);
            CHECK_BYTES(p.read.data, p.read.len, "HelloHello", 10);
            CHECK_BYTES(wf_window_bytes(&p.in.window), p.in.window.len, "HelloHello", 10);
            pair_deinit(&p);
        }
    }
}
