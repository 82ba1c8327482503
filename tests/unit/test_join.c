/*
 * Joined ranges hold the bytes that were given, in order, in as few ranges as there can be.
 */
#include "net/join.h"
#include "test.h"

#include <stdlib.h>

enum { GIVEN_MAX = 200, LONGEST = 3000 };

static wf_join join;
static uint8_t source[GIVEN_MAX * LONGEST];

/* Lays out ranges of these lengths, end to end in `source` but for a gap of one byte. */
static void give(struct iovec *ranges, const size_t *lens, int count) {
    uint8_t *at = source;
    for (int i = 0; i < count; i++) {
        ranges[i] = (struct iovec) {at, lens[i]};
        at += lens[i] + 1;
    }
    CHECK(at <= source + sizeof source);
}

/* The outcome is the beginning of what was given. Returns how many bytes of it. */
static size_t same_bytes(const struct iovec *given, int given_count, int count) {
    size_t total = 0, offset = 0;
    int at = 0;
    for (int i = 0; i < count; i++) {
        const uint8_t *bytes = join.ranges[i].iov_base;
        CHECK(join.ranges[i].iov_len > 0);
        for (size_t k = 0; k < join.ranges[i].iov_len; k++, total++) {
            CHECK(at < given_count);
            CHECK_EQ(bytes[k], ((uint8_t *)given[at].iov_base)[offset]);
            if (++offset == given[at].iov_len) {
                at++;
                offset = 0;
            }
        }
    }
    CHECK_EQ(offset, 0); /* no range is cut */
    return total;
}

static void fill_source(void) {
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)(i * 2654435761u >> 13);
}

TEST(short_neighbours_become_one_range) {
    static const struct {
        const char *name;
        size_t lens[8];
        int count, joined;
    } rows[] = {
        {"all_short", {66, 66, 66, 66}, 4, 1},
        {"a_long_one_between", {66, 66, 4000, 70, 70}, 5, 3},
        {"a_head_and_its_payload", {10, 16384}, 2, 2},
        {"a_short_one_alone", {5000, 66, 5000}, 3, 3},
        {"as_long_as_short_ones_are", {WF_JOIN_SHORT, WF_JOIN_SHORT}, 2, 1},
        {"one_byte_longer", {WF_JOIN_SHORT + 1, WF_JOIN_SHORT + 1}, 2, 2},
        {"only_one", {66}, 1, 1},
    };
    fill_source();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct iovec ranges[8];
        size_t total = 0;
        test_context("%s", rows[i].name);
        give(ranges, rows[i].lens, rows[i].count);
        for (int k = 0; k < rows[i].count; k++)
            total += rows[i].lens[k];
        int count = wf_join_ranges(&join, ranges, rows[i].count);
        CHECK_EQ(count, rows[i].joined);
        CHECK_EQ(same_bytes(ranges, rows[i].count, count), total);
    }
}

TEST(what_pays_is_tried) {
    struct iovec ranges[3] = {{source, 10}, {source, 66}, {source, 66}};
    CHECK(!wf_join_pays(ranges, 1));
    CHECK(wf_join_pays(ranges, 2) && wf_join_pays(ranges, 3));
    ranges[1].iov_len = 16384;
    CHECK(!wf_join_pays(ranges, 2) && wf_join_pays(ranges, 3));
}

/* What there is no room for is passed on as it is, or left for the next send. */
TEST(nothing_is_lost_where_room_ends) {
    struct iovec ranges[GIVEN_MAX];
    fill_source();
    srand(11);
    for (int round = 0; round < 500; round++) {
        size_t lens[GIVEN_MAX], total = 0;
        int count = 1 + rand() % GIVEN_MAX;
        for (int i = 0; i < count; i++) {
            lens[i] = 1 + (size_t)rand() % (rand() % 4 ? WF_JOIN_SHORT : LONGEST);
            total += lens[i];
        }
        give(ranges, lens, count);
        int got = wf_join_ranges(&join, ranges, count);
        CHECK(got > 0 && got <= count && got <= WF_JOIN_RANGES);
        size_t laid_out = same_bytes(ranges, count, got);
        CHECK(laid_out == total || got == WF_JOIN_RANGES);
    }
}
