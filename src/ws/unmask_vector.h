/*
 * unmask_vector.h - masking and UTF-8 in vector registers: one text for every vector width.
 *
 * A kernel file defines the few operations listed below for its registers, then includes this file, which
 * builds the three kernel functions from them. All of it is inlined, so that each kernel is compiled for its
 * own processor.
 *
 * UTF-8 after Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction Per Byte" (2021). Whatever
 * can be wrong shows in two neighbouring bytes, but for one thing: where third and fourth bytes have to
 * stand. For the neighbours three 16-entry tables (high half of the first byte, its low half, high half of
 * the second) each name the mistakes they allow, as bits; a mistake that all three allow is one that was
 * made. Two continuations in a row are such a "mistake" unless the byte two before is a three-byte lead or
 * the byte three before a four-byte one, which two saturating subtractions tell. Every mistake shows at the
 * byte that makes it, except one: a byte that can never stand in UTF-8 shows at its neighbour, so finish()
 * looks at the last byte by itself.
 *
 * Edges. The text is cut so that the odd part comes first, at the end of a register that is otherwise zero,
 * with the carried state before it (see unmask_impl.h); whole registers follow, and the text ends where a
 * register ends:
 *
 *     | 0 0 0 0 0 0 state text | text text text text | text text text text |
 *
 * Zeros are good text, so nothing here needs to be left out of the check. The odd part is cut from a whole
 * register that was read from the start of the text; that register is written back last, because in place it
 * covers bytes the next one has still to be read from. Texts shorter than a register are put together from
 * two overlapping words.
 *
 * The including file defines:
 *     KERNEL                     attributes of every function here; inlining and the processor
 *     vec, WIDTH                 a vector of uint8_t and its size in bytes
 *     splat8, splat32            every byte, every four bytes the same
 *     splat16x8(table)           every 16 bytes the same, loaded from `table`
 *     lookup(table, index)       per 16 bytes: table[index], for index < 16
 *     minus(a, b)                saturating at 0
 *     back1, back2, back3        (current, previous): the text as it stands 1, 2, 3 bytes earlier
 *     any_high, any_set          has any byte its high bit set; any bit at all
 *     last4                      the last four bytes as they lie in memory
 *     to_end(v, count)           the first `count` < WIDTH bytes of v moved to its end, zeros before
 *     take_short(dst, src, len, key, write)
 *                                as wf_unmask_take, for len < WIDTH
 */
#ifndef WF_WS_UNMASK_VECTOR_H
#define WF_WS_UNMASK_VECTOR_H

#include "ws/unmask_impl.h"

/* Mistakes. The last two share a bit: their first bytes differ, F0 and F5 up. */
enum {
    TOO_SHORT = 1 << 0,     /* a lead, then no continuation */
    TOO_LONG = 1 << 1,      /* ASCII, then a continuation */
    OVERLONG_3 = 1 << 2,    /* E0, then 80..9F */
    TOO_LARGE = 1 << 3,     /* F4, then 90..BF; F5 up, then 90..BF */
    SURROGATE = 1 << 4,     /* ED, then A0..BF */
    OVERLONG_2 = 1 << 5,    /* C0 or C1, then a continuation */
    OVERLONG_4 = 1 << 6,    /* F0, then 80..8F */
    TOO_LARGE_8X = 1 << 6,  /* F5 up, then 80..8F */
    TWO_CONTINUED = 1 << 7, /* a continuation, then another: a mistake unless a third or fourth byte is due */
    /* Those that do not depend on the low half of the first byte; those with a first byte from F5 up; those
     * that any continuation can be the second byte of. */
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTINUED,
    F5_UP = ANY_LOW | TOO_LARGE | TOO_LARGE_8X,
    CONTINUED = TOO_LONG | OVERLONG_2 | TWO_CONTINUED
};

static const uint8_t first_high[16] = {
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TWO_CONTINUED,
    TWO_CONTINUED,
    TWO_CONTINUED,
    TWO_CONTINUED,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | TOO_LARGE_8X | OVERLONG_4,
};

static const uint8_t first_low[16] = {
    ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    ANY_LOW | OVERLONG_2,
    ANY_LOW,
    ANY_LOW,
    ANY_LOW | TOO_LARGE,
    F5_UP,
    F5_UP,
    F5_UP,
    F5_UP,
    F5_UP,
    F5_UP,
    F5_UP,
    F5_UP,
    F5_UP | SURROGATE,
    F5_UP,
    F5_UP,
};

static const uint8_t second_high[16] = {
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    CONTINUED | OVERLONG_3 | OVERLONG_4 | TOO_LARGE_8X,
    CONTINUED | OVERLONG_3 | TOO_LARGE,
    CONTINUED | SURROGATE | TOO_LARGE,
    CONTINUED | SURROGATE | TOO_LARGE,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
};

/* What a text leaves open when it ends with this byte. IMPOSSIBLE: the byte stands in no text. */
enum { IMPOSSIBLE = 0xFF };

static const uint8_t open_after[256] = {
    [0xC0 ... 0xC1] = IMPOSSIBLE,
    [0xC2 ... 0xDF] = 0xC2,
    [0xE0] = 0xE0,
    [0xE1 ... 0xEC] = 0xE1,
    [0xED] = 0xED,
    [0xEE ... 0xEF] = 0xE1,
    [0xF0] = 0xF0,
    [0xF1 ... 0xF3] = 0xF1,
    [0xF4] = 0xF4,
    [0xF5 ... 0xFF] = IMPOSSIBLE,
};

/* The byte at WIDTH, and zeros on both sides. */
static const uint8_t one_byte[2 * WIDTH] = {[WIDTH] = 0xFF};

/* A register that ends with more than this, byte by byte, ends inside a sequence. */
static const uint8_t whole_end[WIDTH] = {
    [0 ... WIDTH - 4] = 0xFF, [WIDTH - 3] = 0xEF, [WIDTH - 2] = 0xDF, [WIDTH - 1] = 0xBF};

/* Taken from the byte two (three) back, saturating, it leaves the high bit set where a third (fourth) byte is
 * due. */
static const uint8_t third_due[WIDTH] = {[0 ... WIDTH - 1] = 0xE0 - 0x80};
static const uint8_t fourth_due[WIDTH] = {[0 ... WIDTH - 1] = 0xF0 - 0x80};
static const uint8_t high_bit[WIDTH] = {[0 ... WIDTH - 1] = 0x80};

KERNEL vec load(const uint8_t *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* A constant from memory. The empty asm hides what it is: gcc knows better than to load a vector of equal
 * bytes and builds it from a general register, three instructions each time; that is a tenth of a short
 * message. */
KERNEL vec load_constant(const uint8_t *p) {
    __asm__("" : "+r"(p));
    return load(p);
}

KERNEL void store(uint8_t *p, vec v) {
    memcpy(p, &v, sizeof v);
}

/* Bits are set where `now`, which follows `before`, has a byte that cannot stand there. */
KERNEL vec mistakes(vec now, vec before) {
    vec first = back1(now, before);
    vec wrong = lookup(splat16x8(first_high), first >> 4) & lookup(splat16x8(first_low), first & splat8(0x0F)) &
                lookup(splat16x8(second_high), now >> 4);
    vec third = minus(back2(now, before), load_constant(third_due));
    vec fourth = minus(back3(now, before), load_constant(fourth_due));
    return wrong ^ ((third | fourth) & load_constant(high_bit));
}

/* Closes a call whose text ends with `last` and was right up to there. */
KERNEL int finish(vec wrong, vec last, wf_utf8 *utf8) {
    if (any_set(wrong))
        return WF_ERROR;
    uint32_t end = last4(last);
    uint8_t third = (uint8_t)(end >> 8), second = (uint8_t)(end >> 16), state = open_after[end >> 24];
    /* In right text at most one of the three bytes is a lead whose sequence is still open. */
    state |= second >= 0xF0 ? 0xE1 : second >= 0xE0 ? 0xC2 : 0;
    state |= third >= 0xF0 ? 0xC2 : 0;
    utf8->state = state;
    return state == IMPOSSIBLE ? WF_ERROR : WF_OK;
}

/* The carried state, standing where it comes just before the last `len` < WIDTH bytes. */
KERNEL vec carried(const wf_utf8 *utf8, size_t len) {
    return load(one_byte + 1 + len) & splat8(utf8->state);
}

/* Checks a text and, if `write`, unmasks it to dst on the way. */
KERNEL int check(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, wf_utf8 *utf8, bool write) {
    vec before = splat8(0), wrong = splat8(0);
    if (len < WIDTH) {
        vec text = take_short(dst, src, len, key, write);
        if (utf8->state == 0 && !any_high(text))
            return WF_OK;
        text |= carried(utf8, len);
        return finish(mistakes(text, before), text, utf8);
    }
    size_t odd = len % WIDTH;
    vec head = load(src) ^ splat32(key);
    vec keys = splat32(wf_unmask_turn(key, odd));
    if (utf8->state != 0 || any_high(head)) {
        vec text = to_end(head, odd) | carried(utf8, odd);
        wrong = mistakes(text, before);
        before = text;
    }
    size_t at = odd;
    for (; at + 2 * WIDTH <= len; at += 2 * WIDTH) {
        vec now = load(src + at) ^ keys, next = load(src + at + WIDTH) ^ keys;
        if (write) {
            store(dst + at, now);
            store(dst + at + WIDTH, next);
        }
        if (any_high(now | next))
            wrong |= mistakes(now, before) | mistakes(next, now);
        else
            wrong |= minus(before, load(whole_end));
        before = next;
    }
    if (at < len) {
        vec now = load(src + at) ^ keys;
        if (write)
            store(dst + at, now);
        if (any_high(now))
            wrong |= mistakes(now, before);
        else
            wrong |= minus(before, load(whole_end));
        before = now;
    }
    if (write)
        store(dst, head);
    return finish(wrong, before, utf8);
}

/* The first and the last register may overlap their neighbours, so both are read before and written after all
 * others. Between them writes are aligned. */
KERNEL void mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset) {
    uint32_t turned = wf_unmask_key(key, offset);
    if (len < WIDTH) {
        (void)take_short(dst, src, len, turned, true);
        return;
    }
    vec head = load(src) ^ splat32(turned);
    vec tail = load(src + len - WIDTH) ^ splat32(wf_unmask_turn(turned, len - WIDTH));
    size_t at = WIDTH - (uintptr_t)dst % WIDTH;
    vec keys = splat32(wf_unmask_turn(turned, at));
    for (; at + 4 * WIDTH <= len; at += 4 * WIDTH) {
        vec a = load(src + at), b = load(src + at + WIDTH);
        vec c = load(src + at + 2 * WIDTH), d = load(src + at + 3 * WIDTH);
        store(dst + at, a ^ keys);
        store(dst + at + WIDTH, b ^ keys);
        store(dst + at + 2 * WIDTH, c ^ keys);
        store(dst + at + 3 * WIDTH, d ^ keys);
    }
    for (; at + WIDTH <= len; at += WIDTH)
        store(dst + at, load(src + at) ^ keys);
    store(dst, head);
    store(dst + len - WIDTH, tail);
}

KERNEL int feed(wf_utf8 *utf8, const uint8_t *data, size_t len) {
    return check(NULL, data, len, 0, utf8, false);
}

KERNEL int mask_utf8(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset, wf_utf8 *utf8) {
    return check(dst, src, len, wf_unmask_key(key, offset), utf8, true);
}

#endif
