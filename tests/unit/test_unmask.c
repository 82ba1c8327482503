/*
 * Every kernel against two slow judges that share no idea with them: masking as a loop over bytes, and UTF-8
 * as RFC 3629 defines it, by the numbers that are encoded: a prefix is possible while some scalar value that
 * needs exactly this many bytes, and is no surrogate, begins with it.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/status.h"
#include "test.h"
#include "ws/unmask.h"

/* ---- the judges ---- */

typedef struct judge {
    uint32_t value; /* bits so far */
    unsigned seen, due;
    bool broken;
} judge;

static bool some_scalar(uint32_t low, uint32_t high, unsigned bytes) {
    static const uint32_t first[5] = {0, 0, 0x80, 0x800, 0x10000}, last[5] = {0, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
    if (low < first[bytes])
        low = first[bytes];
    if (high > last[bytes])
        high = last[bytes];
    return low <= high && !(low >= 0xD800 && high <= 0xDFFF);
}

static void judge_byte(judge *j, uint8_t byte) {
    if (j->seen == 0) {
        if (byte < 0x80)
            return;
        j->due = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
        j->value = byte & (0x7F >> j->due);
        j->broken |= byte < 0xC0 || byte >= 0xF8;
    } else {
        j->broken |= (byte & 0xC0) != 0x80;
        j->value = j->value << 6 | (byte & 0x3F);
    }
    j->seen++;
    unsigned open_bits = 6 * (j->due - j->seen);
    uint32_t low = j->value << open_bits, high = low + (1u << open_bits) - 1;
    j->broken |= !some_scalar(low, high, j->due);
    if (j->seen == j->due)
        j->seen = 0;
}

static judge judge_of(const uint8_t *text, size_t len) {
    judge j = {0};
    for (size_t i = 0; i < len && !j.broken; i++)
        judge_byte(&j, text[i]);
    return j;
}

static bool agrees(const judge *j, int result, const wf_utf8 *utf8) {
    return j->broken ? result == WF_ERROR : result == WF_OK && wf_utf8_complete(utf8) == (j->seen == 0);
}

static void slow_mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset) {
    for (size_t i = 0; i < len; i++)
        dst[i] = src[i] ^ key[(offset + i) % 4];
}

/* ---- material ---- */

#define EACH_KERNEL(k) (size_t i_ = 0; ((k) = wf_unmask_kernels(i_)) != NULL; i_++)

static const uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D};

/* The ends of all the ranges RFC 3629 knows. */
static const uint8_t ends[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                               0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
enum { ENDS = sizeof ends, POSITIONS = 71 };

static size_t put_scalar(uint8_t *p, uint32_t c) {
    if (c < 0x80)
        return p[0] = (uint8_t)c, 1;
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; c >>= 6)
        p[i] = (uint8_t)(0x80 | (c & 0x3F));
    p[0] = (uint8_t)(0xF0 << (4 - len) | c);
    return len;
}

/* Exactly `len` bytes of right text in runs of one script; only the end may stand inside a sequence. */
static void put_text(uint8_t *p, size_t len, uint64_t *seed) {
    static const uint32_t from[5] = {0x00, 0x80, 0x800, 0xE000, 0x10000};
    static const uint32_t to[5] = {0x7F, 0x7FF, 0xD7FF, 0xFFFF, 0x10FFFF};
    uint64_t r = test_random(seed);
    for (size_t at = 0; at < len;) {
        if (test_random(seed) % 8 == 0)
            r = test_random(seed);
        uint8_t one[4] = {0};
        size_t script = r % 5;
        size_t n = put_scalar(one, from[script] + (uint32_t)(test_random(seed) % (to[script] - from[script] + 1)));
        n = n > len - at ? len - at : n;
        memcpy(p + at, one, n);
        at += n;
    }
}

/* ---- masking ---- */

/* One kernel, in place and apart, at one alignment; nothing beside dst may change. */
static void check_masking(const wf_unmask_kernel *k, const uint8_t *text, size_t len, size_t align, size_t offset) {
    static uint8_t space[512] __attribute__((aligned(64))), wire[512] __attribute__((aligned(64)));
    judge j = judge_of(text, len);
    uint8_t *dst = space + 64 + align, *src = wire + (align * 7 + offset) % 64;
    slow_mask(src, text, len, key, offset);
    for (int i = 0; i < 4; i++) {
        bool in_place = i & 1, with_utf8 = i & 2;
        memset(space, 0xA5, sizeof space);
        if (in_place && len > 0)
            memcpy(dst, src, len);
        wf_utf8 utf8 = {0};
        if (with_utf8)
            CHECK(agrees(&j, k->mask_utf8(dst, in_place ? dst : src, len, key, offset, &utf8), &utf8));
        else
            k->mask(dst, in_place ? dst : src, len, key, offset);
        CHECK(memcmp(dst, text, len) == 0);
        for (size_t b = 1; b <= 40; b++)
            CHECK(dst[-(ptrdiff_t)b] == 0xA5 && dst[len + b - 1] == 0xA5);
    }
}

TEST(masking_equals_the_byte_loop_at_every_length_and_alignment) {
    uint64_t seed = 1;
    const wf_unmask_kernel *k;
    for
        EACH_KERNEL(k)
    for (size_t len = 0; len <= 200; len++) {
        uint8_t text[200];
        put_text(text, len, &seed);
        for (size_t align = 0; align < 64; align++)
            for (size_t offset = 0; offset < 4; offset++) {
                test_context("%s, %zu bytes, alignment %zu, offset %zu", k->name, len, align, offset);
                check_masking(k, text, len, align, offset);
            }
    }
}

TEST(only_the_low_bits_of_the_offset_count) {
    uint8_t src[50] = "any text will do", want[50], got[50];
    slow_mask(want, src, 50, key, 3);
    const wf_unmask_kernel *k;
    for
        EACH_KERNEL(k) {
            k->mask(got, src, 50, key, SIZE_MAX);
            CHECK_BYTES(got, 50, want, 50);
        }
}

TEST(long_texts_are_masked_and_checked) {
    enum { LONG = 70000 };
    uint8_t *text = malloc(LONG), *wire = malloc(LONG);
    uint64_t seed = 2;
    for (int round = 0; round < 60; round++) {
        size_t len = test_random(&seed) % LONG, offset = test_random(&seed) % 4;
        put_text(text, len, &seed);
        if (round % 3 == 0 && len > 0)
            text[test_random(&seed) % len] = (uint8_t)test_random(&seed);
        judge j = judge_of(text, len);
        const wf_unmask_kernel *k;
        for
            EACH_KERNEL(k) {
                test_context("%s, %zu bytes, round %d", k->name, len, round);
                wf_utf8 utf8 = {0}, again = {0};
                slow_mask(wire, text, len, key, offset);
                CHECK(agrees(&j, k->mask_utf8(wire, wire, len, key, offset, &utf8), &utf8));
                CHECK(agrees(&j, k->utf8(&again, text, len), &again));
                if (!j.broken)
                    CHECK_BYTES(wire, len, text, len);
                slow_mask(wire, text, len, key, offset);
                k->mask(wire, wire, len, key, offset);
                CHECK_BYTES(wire, len, text, len);
            }
    }
    free(text);
    free(wire);
}

/* ---- UTF-8 ---- */

/* The sequence after `at` bytes of ASCII: as the end of the text, and with ASCII behind it. */
static void check_sequence(const uint8_t *sequence, size_t len, size_t at, const judge *open, const judge *closed) {
    static uint8_t text[128];
    memset(text, 'a', at);
    memcpy(text + at, sequence, len);
    memset(text + at + len, 'a', 40);
    const wf_unmask_kernel *k;
    for
        EACH_KERNEL(k) {
            wf_utf8 utf8 = {0}, behind = {0};
            if (agrees(open, k->utf8(&utf8, text, at + len), &utf8) &&
                agrees(closed, k->utf8(&behind, text, at + len + 1 + at % 37), &behind))
                continue;
            test_context("%s: %02x %02x %02x %02x, %zu bytes at %zu", k->name, sequence[0], sequence[1], sequence[2],
                         sequence[3], len, at);
            CHECK(!"the kernel and the judge agree");
        }
}

static void check_sequence_at(const uint8_t *sequence, size_t len, size_t from, size_t to) {
    judge open = judge_of(sequence, len), closed = open;
    if (!closed.broken)
        judge_byte(&closed, 'a');
    for (size_t at = from; at < to; at++)
        check_sequence(sequence, len, at, &open, &closed);
}

TEST(every_byte_and_every_pair_at_every_position) {
    for (uint32_t v = 0; v < 0x100; v++)
        check_sequence_at((uint8_t[4]) {(uint8_t)v}, 1, 0, POSITIONS);
    for (uint32_t v = 0; v < 0x10000; v++) /* behind ASCII, which cannot matter, at one position each */
        check_sequence_at((uint8_t[4]) {(uint8_t)(v >> 8), (uint8_t)v}, 2, v < 0x8000 ? v % POSITIONS : 0,
                          v < 0x8000 ? v % POSITIONS + 1 : POSITIONS);
}

/* Behind ASCII the other two are a pair, and behind a lone continuation nothing is right: both are tested
 * above. */
TEST(every_lead_with_every_two_bytes) {
    for (uint32_t v = 0xC00000; v < 0x1000000; v++)
        check_sequence_at((uint8_t[4]) {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 3, v % POSITIONS,
                          v % POSITIONS + 1);
}

TEST(three_bytes_of_range_ends_at_every_position) {
    for (size_t a = 0; a < ENDS; a++)
        for (size_t b = 0; b < ENDS; b++)
            for (size_t c = 0; c < ENDS; c++)
                check_sequence_at((uint8_t[4]) {ends[a], ends[b], ends[c]}, 3, 0, POSITIONS);
}

TEST(four_bytes_from_f0_to_f4) {
    size_t turn = 0;
    for (unsigned lead = 0xF0; lead <= 0xF4; lead++)
        for (unsigned second = 0; second < 0x100; second++)
            for (size_t c = 0; c < ENDS; c++)
                for (size_t d = 0; d < ENDS; d++) {
                    uint8_t sequence[4] = {(uint8_t)lead, (uint8_t)second, ends[c], ends[d]};
                    size_t at = turn++ % POSITIONS;
                    check_sequence_at(sequence, 4, at, at + 1);
                }
}

TEST(four_bytes_of_range_ends_at_every_position) {
    for (unsigned lead = 0xF0; lead <= 0xF4; lead++)
        for (size_t b = 0; b < ENDS; b++)
            for (size_t c = 1; c < 9; c++)
                for (size_t d = 1; d < 9; d++)
                    check_sequence_at((uint8_t[4]) {(uint8_t)lead, ends[b], ends[c], ends[d]}, 4, 0, POSITIONS);
}

TEST(one_wrong_byte_is_found) {
    uint64_t seed = 3;
    for (int round = 0; round < 30000; round++) {
        uint8_t text[300];
        size_t len = 1 + test_random(&seed) % sizeof text;
        put_text(text, len, &seed);
        text[test_random(&seed) % len] = (uint8_t)test_random(&seed);
        judge j = judge_of(text, len);
        const wf_unmask_kernel *k;
        for
            EACH_KERNEL(k) {
                test_context("%s, round %d", k->name, round);
                wf_utf8 utf8 = {0};
                CHECK(agrees(&j, k->utf8(&utf8, text, len), &utf8));
            }
    }
}

/* ---- the stream ---- */

/* Feeds text in the given chunk, masked or plain, and compares with the judge, who has read as far. */
static bool feed_chunk(const wf_unmask_kernel *k, const uint8_t *text, size_t at, size_t len, wf_utf8 *utf8, judge *j) {
    uint8_t wire[256];
    for (size_t i = at; i < at + len && !j->broken; i++)
        judge_byte(j, text[i]);
    if (len % 2)
        return agrees(j, k->utf8(utf8, text + at, len), utf8);
    slow_mask(wire, text + at, len, key, at);
    return agrees(j, k->mask_utf8(wire, wire, len, key, at, utf8), utf8) &&
           (j->broken || memcmp(wire, text + at, len) == 0);
}

/* Chunks of 1 + random % chunk_max, each from the kernel that `pick` chooses: the state belongs to none of
 * them. */
static void check_chunks(const wf_unmask_kernel *k, const uint8_t *text, size_t len, size_t chunk_max, uint64_t *seed) {
    judge j = {0};
    wf_utf8 utf8 = {0};
    for (size_t at = 0; at < len && !j.broken;) {
        size_t n = test_random(seed) % (chunk_max + 1);
        n = chunk_max == 1 ? 1 : n > len - at ? len - at : n;
        const wf_unmask_kernel *other = wf_unmask_kernels(test_random(seed) % 4);
        CHECK(feed_chunk(k ? k : other ? other : wf_unmask_kernels(0), text, at, n, &utf8, &j));
        at += n;
    }
}

static void check_all_splits(const wf_unmask_kernel *k, const uint8_t *text, size_t len, uint64_t *seed) {
    for (size_t split = 0; split <= len; split++) {
        judge j = {0};
        wf_utf8 utf8 = {0};
        CHECK(feed_chunk(k, text, 0, split, &utf8, &j));
        CHECK(j.broken || feed_chunk(k, text, split, len - split, &utf8, &j));
    }
    check_chunks(k, text, len, 1, seed);
    static const size_t chunk_max[] = {3, 10, 20, 40, 80};
    for (size_t i = 0; i < sizeof chunk_max / sizeof *chunk_max; i++) {
        check_chunks(k, text, len, chunk_max[i], seed);
        check_chunks(NULL, text, len, chunk_max[i], seed);
    }
}

TEST(a_stream_is_judged_alike_however_it_is_cut) {
    uint64_t seed = 4;
    for (int round = 0; round < 600; round++) {
        uint8_t text[160];
        size_t len = test_random(&seed) % (sizeof text + 1);
        put_text(text, len, &seed);
        if (round % 2 && len > 0)
            text[test_random(&seed) % len] = ends[test_random(&seed) % ENDS];
        const wf_unmask_kernel *k;
        for
            EACH_KERNEL(k) {
                test_context("%s, round %d", k->name, round);
                check_all_splits(k, text, len, &seed);
            }
    }
}

TEST(the_first_impossible_byte_is_refused_by_the_call_that_brings_it) {
    static const struct {
        const char *good, *bad; /* `bad` is one byte */
    } rows[] = {{"", "\x80"},
                {"", "\xC0"},
                {"", "\xC1"},
                {"", "\xF5"},
                {"", "\xFF"},
                {"\xC2", "a"},
                {"\xC2", "\xC2"},
                {"\xE0", "\x9F"},
                {"\xE0", "\x80"},
                {"\xED", "\xA0"},
                {"\xF0", "\x8F"},
                {"\xF0", "\x80"},
                {"\xF4", "\x90"},
                {"\xE1\x80", "\xC0"},
                {"\xE1\x80", "a"},
                {"\xF1\x80", "a"},
                {"\xF1\x80\x80", "a"},
                {"\xC2\x80", "\x80"},
                {"\xE0\xA0\x80", "\xBF"},
                {"\xF0\x90\x80\x80", "\x80"}};
    const wf_unmask_kernel *k;
    for
        EACH_KERNEL(k)
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++)
        for (size_t before = 0; before < POSITIONS; before++)
            for (size_t cut = 0; cut <= strlen(rows[row].good); cut++) {
                test_context("%s, row %zu, after %zu bytes, cut at %zu", k->name, row, before, cut);
                uint8_t text[POSITIONS + 8];
                size_t len = before + strlen(rows[row].good);
                memset(text, 'a', before);
                strcpy((char *)text + before, rows[row].good);
                strcpy((char *)text + len, rows[row].bad);
                wf_utf8 utf8 = {0};
                CHECK_EQ(k->utf8(&utf8, text, before + cut), WF_OK);
                CHECK_EQ(k->utf8(&utf8, text + before + cut, len - before - cut), WF_OK);
                CHECK_EQ(k->utf8(&utf8, text + len, 1), WF_ERROR);
                utf8.state = 0;
                CHECK_EQ(k->utf8(&utf8, text, before + cut), WF_OK);
                CHECK_EQ(k->utf8(&utf8, text + before + cut, len - before - cut + 1), WF_ERROR);
            }
}

/* ---- edges of memory ---- */

/* Two readable pages with a forbidden one on either side. */
static uint8_t *guarded_pages(size_t *out_bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *all = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    CHECK_EQ(mprotect(all, page, PROT_NONE), 0);
    CHECK_EQ(mprotect(all + 3 * page, page, PROT_NONE), 0);
    *out_bytes = 2 * page;
    return all + page;
}

static void check_guarded(const wf_unmask_kernel *k, uint8_t *dst, uint8_t *src, size_t len, const uint8_t *text) {
    wf_utf8 utf8 = {0};
    judge j = judge_of(text, len);
    slow_mask(src, text, len, key, 1);
    k->mask(dst, src, len, key, 1);
    CHECK(memcmp(dst, text, len) == 0);
    CHECK(agrees(&j, k->utf8(&utf8, dst, len), &utf8));
    utf8.state = 0;
    CHECK(agrees(&j, k->mask_utf8(dst, src, len, key, 1, &utf8), &utf8));
    utf8.state = 0;
    CHECK(agrees(&j, k->mask_utf8(src, src, len, key, 1, &utf8), &utf8));
    slow_mask(src, text, len, key, 1);
    k->mask(src, src, len, key, 1);
    CHECK(memcmp(src, text, len) == 0);
}

TEST(no_byte_outside_is_touched) {
    uint64_t seed = 5;
    size_t bytes;
    const wf_unmask_kernel *k;
    uint8_t *one = guarded_pages(&bytes), *two = guarded_pages(&bytes);
    for
        EACH_KERNEL(k)
    for (size_t len = 0; len <= 300; len++) {
        test_context("%s, %zu bytes", k->name, len);
        uint8_t text[300];
        for (int script = 0; script < 2; script++) {
            if (script == 0)
                memset(text, 'a', len);
            else
                put_text(text, len, &seed);
            check_guarded(k, one, two, len, text);
            check_guarded(k, one, two + bytes - len, len, text);
            check_guarded(k, one + bytes - len, two, len, text);
            check_guarded(k, one + bytes - len, two + bytes - len, len, text);
        }
    }
    size_t page = bytes / 2;
    CHECK_EQ(munmap(one - page, 4 * page), 0);
    CHECK_EQ(munmap(two - page, 4 * page), 0);
}

/* ---- choosing ---- */

TEST(the_portable_kernel_is_last_and_always_there) {
    size_t count = 0;
    while (wf_unmask_kernels(count))
        count++;
    CHECK(count >= 1 && count <= 3);
    CHECK_STR(wf_unmask_kernels(count - 1)->name, "portable");
    CHECK(wf_unmask_kernels(SIZE_MAX) == NULL);
}

TEST(the_plain_functions_run_the_best_kernel) {
    static const uint8_t text[] = "gr\xC3\xBC\xC3\x9F dich \xE4\xB8\x96\xE7\x95\x8C \xF0\x9F\x8C\x8D";
    enum { LEN = sizeof text - 1 };
    uint8_t wire[LEN];
    wf_utf8 utf8 = {0};
    wf_mask(wire, text, LEN, key, 2);
    CHECK_EQ(wf_mask_utf8(wire, wire, LEN, key, 2, &utf8), WF_OK);
    CHECK(wf_utf8_complete(&utf8));
    CHECK_BYTES(wire, LEN, text, LEN);
    CHECK_EQ(wf_utf8_feed(&utf8, text, LEN - 1), WF_OK);
    CHECK(!wf_utf8_complete(&utf8));
    CHECK_EQ(wf_utf8_feed(&utf8, text, LEN), WF_ERROR);
}
