/*
 * The portable kernel: 8 bytes to a word, for processors without vectors we know.
 *
 * UTF-8 goes through a state machine that has no branch. Each of its nine states is a bit position, and the
 * row of a byte is one 64-bit word that holds, at every state's position, the position of the next state: a
 * step is one load and one shift. Rows differ only by kinds of bytes (ASCII, three ranges of continuations,
 * eight kinds of leads).
 *
 * The state a caller keeps is a byte of text (see unmask_impl.h), so the machine enters it by reading that
 * byte from the boundary.
 */
#include "ws/unmask_impl.h"

/* What is wanted next, as a bit position in a row. Each takes six bits, enough for a position. */
enum {
    BOUNDARY = 0, /* a first byte */
    WANT_1 = 6,   /* that many continuations */
    WANT_2 = 12,
    WANT_3 = 18,
    PAST_E0 = 24, /* as after this lead */
    PAST_ED = 30,
    PAST_F0 = 36,
    PAST_F4 = 42,
    BROKEN = 48
};

#define ROW(boundary, want_1, want_2, want_3, e0, ed, f0, f4)                                                          \
    ((uint64_t)(boundary) << BOUNDARY | (uint64_t)(want_1) << WANT_1 | (uint64_t)(want_2) << WANT_2 |                  \
     (uint64_t)(want_3) << WANT_3 | (uint64_t)(e0) << PAST_E0 | (uint64_t)(ed) << PAST_ED |                            \
     (uint64_t)(f0) << PAST_F0 | (uint64_t)(f4) << PAST_F4 | (uint64_t)BROKEN << BROKEN)
#define FIRST(next)               ROW(next, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN)
#define CONTINUED(e0, ed, f0, f4) ROW(BROKEN, BOUNDARY, WANT_1, WANT_2, e0, ed, f0, f4)

static const uint64_t rows[256] = {
    [0x00 ... 0x7F] = FIRST(BOUNDARY),
    [0x80 ... 0x8F] = CONTINUED(BROKEN, WANT_1, BROKEN, WANT_2),
    [0x90 ... 0x9F] = CONTINUED(BROKEN, WANT_1, WANT_2, BROKEN),
    [0xA0 ... 0xBF] = CONTINUED(WANT_1, BROKEN, WANT_2, BROKEN),
    [0xC0 ... 0xC1] = FIRST(BROKEN),
    [0xC2 ... 0xDF] = FIRST(WANT_1),
    [0xE0] = FIRST(PAST_E0),
    [0xE1 ... 0xEC] = FIRST(WANT_2),
    [0xED] = FIRST(PAST_ED),
    [0xEE ... 0xEF] = FIRST(WANT_2),
    [0xF0] = FIRST(PAST_F0),
    [0xF1 ... 0xF3] = FIRST(WANT_3),
    [0xF4] = FIRST(PAST_F4),
    [0xF5 ... 0xFF] = FIRST(BROKEN),
};

/* The state as callers keep it. */
static const uint8_t kept[] = {
    [BOUNDARY / 6] = 0x00, [WANT_1 / 6] = 0xC2,  [WANT_2 / 6] = 0xE1,  [WANT_3 / 6] = 0xF1,
    [PAST_E0 / 6] = 0xE0,  [PAST_ED / 6] = 0xED, [PAST_F0 / 6] = 0xF0, [PAST_F4 / 6] = 0xF4,
};

static const uint64_t high_bits = 0x8080808080808080;

/* Only the low six bits of a state count; what the shift leaves above them is never looked at. */
WF_UNMASK_INLINE uint64_t step(uint64_t state, uint8_t byte) {
    return rows[byte] >> (state & 63);
}

WF_UNMASK_INLINE uint64_t step8(uint64_t state, uint64_t word) {
    for (int i = 0; i < 8; i++, word >>= 8)
        state = step(state, (uint8_t)word);
    return state;
}

/* Checks a text and, if `write`, unmasks it to dst on the way. */
WF_UNMASK_INLINE int check(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, wf_utf8 *utf8, bool write) {
    uint64_t keys = (uint64_t)key << 32 | key;
    uint64_t state = step(BOUNDARY, utf8->state);
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        uint64_t word = wf_unmask_load64(src + at) ^ keys;
        if (write)
            memcpy(dst + at, &word, 8);
        if ((state & 63) != BOUNDARY || (word & high_bits))
            state = step8(state, word);
    }
    for (; at < len; at++, keys >>= 8) {
        uint8_t byte = (uint8_t)(src[at] ^ keys);
        if (write)
            dst[at] = byte;
        state = step(state, byte);
    }
    state &= 63;
    if (state == BROKEN)
        return WF_ERROR;
    utf8->state = kept[state / 6];
    return WF_OK;
}

static void mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset) {
    uint32_t turned = wf_unmask_key(key, offset);
    uint64_t keys = (uint64_t)turned << 32 | turned;
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        uint64_t word = wf_unmask_load64(src + at) ^ keys;
        memcpy(dst + at, &word, 8);
    }
    (void)wf_unmask_take(dst + at, src + at, len - at, turned, true);
}

static int feed(wf_utf8 *utf8, const uint8_t *data, size_t len) {
    return check(NULL, data, len, 0, utf8, false);
}

static int mask_utf8(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset, wf_utf8 *utf8) {
    return check(dst, src, len, wf_unmask_key(key, offset), utf8, true);
}

const wf_unmask_kernel wf_unmask_portable = {"portable", mask, feed, mask_utf8};
