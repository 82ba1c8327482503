/*
 * The SSE4.2 kernel: 16 bytes to a register, for x86-64 processors without AVX2.
 *
 * The functions carry the target attribute, so this file needs no compiler flags; unmask.c calls them only
 * where the processor has SSE4.2 (byte shuffles are SSSE3, the bit test SSE4.1).
 */
#if defined(__x86_64__)

#include <immintrin.h>

#include "ws/unmask_impl.h"

#define KERNEL static inline __attribute__((always_inline, target("sse4.2")))

enum { WIDTH = 16 };
typedef uint8_t vec __attribute__((vector_size(16)));

/* Read at `count`, it takes the first `count` bytes of 16 to the end; 0x80 makes a zero. */
static const uint8_t moves[32] = {
    [0 ... 15] = 0x80, [16] = 0, [17] = 1,  [18] = 2,  [19] = 3,  [20] = 4,  [21] = 5,  [22] = 6,  [23] = 7,
    [24] = 8,          [25] = 9, [26] = 10, [27] = 11, [28] = 12, [29] = 13, [30] = 14, [31] = 15,
};

KERNEL vec splat8(uint8_t v) {
    return (vec)_mm_set1_epi8((char)v);
}

KERNEL vec splat32(uint32_t v) {
    return (vec)_mm_set1_epi32((int)v);
}

KERNEL vec splat16x8(const uint8_t *table) {
    return (vec)_mm_loadu_si128((const __m128i *)table);
}

KERNEL vec lookup(vec table, vec index) {
    return (vec)_mm_shuffle_epi8((__m128i)table, (__m128i)index);
}

KERNEL vec minus(vec a, vec b) {
    return (vec)_mm_subs_epu8((__m128i)a, (__m128i)b);
}

KERNEL vec back1(vec now, vec before) {
    return (vec)_mm_alignr_epi8((__m128i)now, (__m128i)before, 15);
}

KERNEL vec back2(vec now, vec before) {
    return (vec)_mm_alignr_epi8((__m128i)now, (__m128i)before, 14);
}

KERNEL vec back3(vec now, vec before) {
    return (vec)_mm_alignr_epi8((__m128i)now, (__m128i)before, 13);
}

KERNEL bool any_high(vec v) {
    return _mm_movemask_epi8((__m128i)v) != 0;
}

KERNEL bool any_set(vec v) {
    return !_mm_testz_si128((__m128i)v, (__m128i)v);
}

KERNEL uint32_t last4(vec v) {
    return (uint32_t)_mm_extract_epi32((__m128i)v, 3);
}

KERNEL vec to_end(vec v, size_t count) {
    return lookup(v, splat16x8(moves + count));
}

KERNEL vec take_short(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, bool write) {
    wf_unmask_short text = wf_unmask_take(dst, src, len, key, write);
    return (vec)_mm_set_epi64x((long long)text.high, (long long)text.low);
}

#include "ws/unmask_vector.h"

const wf_unmask_kernel wf_unmask_sse = {"sse4.2", mask, feed, mask_utf8};

#endif
