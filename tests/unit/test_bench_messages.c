/*
 * What a message says of itself, and what has come of a numbered stream.
 */
#include "cli/bench/ledger.h"
#include "cli/bench/stamp.h"
#include "test.h"

#include <weft/conn.h>

static const size_t sizes[] = {16, 17, 31, 32, 33, 64, 125, 126, 1000, 4096};
enum { SIZE_COUNT = sizeof sizes / sizeof *sizes };

static const uint64_t now_ns = UINT64_C(1000000000) * 3600;

TEST(a_stamp_comes_back_as_it_was) {
    char text[4096];
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        for (int is_short = 0; is_short < 2; is_short++) {
            if (!is_short && sizes[i] < BENCH_STAMP_LONG)
                continue;
            bench_stamper s;
            CHECK(bench_stamper_init(&s, 0xdeadbeef, is_short ? 16 : 32, 4096));
            bench_stamp in = {.connection = 54321, .number = 70000, .intended_ns = now_ns - 777777}, out;
            bench_stamp_write(&s, &in, text, sizes[i]);
            CHECK(weft_utf8_valid(text, sizes[i]));
            CHECK_EQ(bench_stamp_read(&s, text, sizes[i], now_ns, &out), BENCH_STAMP_GOOD);
            CHECK_EQ(out.connection, 54321);
            CHECK_EQ(out.number, is_short ? 70000 - 65536 : 70000);
            CHECK(in.intended_ns - out.intended_ns < (is_short ? 64 : 1));
            bench_stamper_deinit(&s);
        }
    }
}

TEST(every_changed_bit_is_seen) {
    char text[4096];
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        bench_stamper s;
        CHECK(bench_stamper_init(&s, 7, sizes[i], 4096));
        bench_stamp in = {.connection = 1, .number = 2, .intended_ns = now_ns}, out;
        bench_stamp_write(&s, &in, text, sizes[i]);
        for (size_t bit = 0; bit < sizes[i] * 8; bit++) {
            text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
            test_context("%zu bytes, bit %zu", sizes[i], bit);
            CHECK(bench_stamp_read(&s, text, sizes[i], now_ns, &out) != BENCH_STAMP_GOOD);
            text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        }
        CHECK_EQ(bench_stamp_read(&s, text, sizes[i], now_ns, &out), BENCH_STAMP_GOOD);
        bench_stamper_deinit(&s);
    }
}

TEST(every_other_length_is_seen) {
    char text[5000] = {0};
    bench_stamper s;
    CHECK(bench_stamper_init(&s, 7, 64, 4096));
    bench_stamp in = {.connection = 1, .number = 2, .intended_ns = now_ns}, out;
    bench_stamp_write(&s, &in, text, 1000);
    for (size_t len = 0; len < sizeof text; len++)
        CHECK((bench_stamp_read(&s, text, len, now_ns, &out) == BENCH_STAMP_GOOD) == (len == 1000));
    bench_stamper_deinit(&s);
}

TEST(a_message_of_another_run_is_foreign) {
    for (size_t size = 16; size <= 64; size += 48) {
        char text[64];
        bench_stamper s, other;
        CHECK(bench_stamper_init(&s, 7, size, 64));
        CHECK(bench_stamper_init(&other, 8, size, 64));
        bench_stamp in = {.connection = 1, .number = 2, .intended_ns = now_ns}, out;
        bench_stamp_write(&other, &in, text, size);
        CHECK_EQ(bench_stamp_read(&s, text, size, now_ns, &out), BENCH_STAMP_FOREIGN);
        bench_stamper_deinit(&s);
        bench_stamper_deinit(&other);
    }
}

/* The short form wraps after 2^38 ns. */
TEST(a_short_time_is_the_last_one_that_fits) {
    static const uint64_t starts[] = {0, 64, UINT64_C(1) << 38, (UINT64_C(1) << 38) + 6400, UINT64_C(5) << 40};
    static const uint64_t waits[] = {0, 64, 1000000, UINT64_C(274) * 1000000000};
    bench_stamper s;
    CHECK(bench_stamper_init(&s, 7, 16, 16));
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        for (size_t k = 0; k < sizeof waits / sizeof *waits; k++) {
            char text[16];
            bench_stamp in = {.intended_ns = starts[i]}, out;
            bench_stamp_write(&s, &in, text, sizeof text);
            CHECK_EQ(bench_stamp_read(&s, text, sizeof text, starts[i] + waits[k], &out), BENCH_STAMP_GOOD);
            CHECK_EQ(out.intended_ns, starts[i]);
        }
    }
    bench_stamper_deinit(&s);
}

TEST(the_check_is_crc_32c) {
    CHECK_EQ(bench_crc32c(0, "123456789", 9), 0xe3069283);
    CHECK_EQ(bench_crc32c(0, "", 0), 0);
    CHECK_EQ(bench_crc32c(bench_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static const struct {
    const char *name;
    int numbers[12], count;
    int late, duplicate, stale, came, next;
} streams[] = {
    {"in_order", {0, 1, 2, 3}, 4, 0, 0, 0, 4, 4},
    {"one_lost", {0, 1, 3}, 3, 0, 0, 0, 3, 4},
    {"one_late", {0, 2, 1, 3}, 4, 1, 0, 0, 4, 4},
    {"the_first_late", {1, 0}, 2, 1, 0, 0, 2, 2},
    {"twice", {0, 1, 1, 2}, 4, 0, 1, 0, 3, 3},
    {"twice_later", {0, 1, 2, 0}, 4, 0, 1, 0, 3, 3},
    {"late_and_twice", {0, 2, 1, 1}, 4, 1, 1, 0, 3, 3},
    {"late_by_255", {0, 256, 1}, 3, 1, 0, 0, 3, 257},
    {"late_by_256", {0, 257, 1}, 3, 0, 0, 1, 2, 258},
    {"twice_at_the_windows_end", {0, 1, 256, 1}, 4, 0, 1, 0, 3, 257},
    {"the_window_is_empty_behind_a_long_gap", {0, 1, 5000, 4999, 4999}, 5, 1, 1, 0, 4, 5001},
};

TEST(each_number_of_a_stream_is_accounted_for) {
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        test_context("%s", streams[i].name);
        bench_ledger l = {0};
        int seen[4] = {0};
        for (int k = 0; k < streams[i].count; k++)
            seen[bench_ledger_arrived(&l, (uint64_t)streams[i].numbers[k])]++;
        CHECK_EQ(seen[BENCH_LATE], streams[i].late);
        CHECK_EQ(seen[BENCH_DUPLICATE], streams[i].duplicate);
        CHECK_EQ(seen[BENCH_STALE], streams[i].stale);
        CHECK_EQ(l.count, streams[i].came);
        CHECK_EQ(l.next, streams[i].next);
    }
}

TEST(a_shuffled_stream_beside_a_model_that_remembers_all) {
    enum { NUMBERS = 20000 };
    static uint8_t came[NUMBERS];
    bench_ledger l = {0};
    uint64_t state = 11, top = 0, count = 0;
    for (int i = 0; i < 100000 && top < NUMBERS - 40; i++) {
        uint64_t far = test_random(&state) % 40, number = top > 20 ? top - 20 + far : far;
        bench_arrival told = bench_ledger_arrived(&l, number);
        CHECK_EQ(told, came[number] ? BENCH_DUPLICATE : number < top ? BENCH_LATE : BENCH_IN_ORDER);
        count += !came[number];
        came[number] = 1;
        top = number >= top ? number + 1 : top;
    }
    CHECK(top > 10000);
    CHECK_EQ(l.count, count);
}

TEST(a_number_is_widened_to_the_nearest_to_what_is_expected) {
    static const uint64_t nexts[] = {0, 1, 100, 65535, 65536, 65537, 1000000, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof nexts / sizeof *nexts; i++) {
        bench_ledger l = {.next = nexts[i]};
        for (int64_t far = -30000; far <= 30000; far += 613) {
            if (far < 0 && nexts[i] < (uint64_t)-far)
                continue;
            uint64_t number = nexts[i] + (uint64_t)far;
            CHECK_EQ(bench_ledger_widen(&l, number & 65535, 16), number);
        }
    }
}
