/*
 * The AVX2 kernel: 32 bytes to a register.
 *
 * AVX2 registers are two halves that shuffles and byte shifts do not cross. What must cross (the text 1 to 3
 * bytes earlier, the move of the odd part to the register's end) first brings a copy of the right half over.
 * The functions carry the target attribute, so this file needs no compiler flags; unmask.c calls them only
 * where the processor has AVX2.
 */
#if defined(__x86_64__)

#include <immintrin.h>

#include "ws/unmask_impl.h"

#define KERNEL static inline __attribute__((always_inline, target("avx2")))

enum { WIDTH = 32 };
typedef uint8_t vec __attribute__((vector_size(32)));

/* Read at `count`, it takes the first `count` bytes of 32 to the end; 0x80 makes a zero. */
static const uint8_t moves[64] = {
    [0 ... 31] = 0x80, [32] = 0, [33] = 1,  [34] = 2,  [35] = 3,  [36] = 4,  [37] = 5,  [38] = 6,  [39] = 7,
    [40] = 8,          [41] = 9, [42] = 10, [43] = 11, [44] = 12, [45] = 13, [46] = 14, [47] = 15, [48 ... 63] = 0x80,
};

KERNEL vec splat8(uint8_t v) {
    return (vec)_mm256_set1_epi8((char)v);
}

KERNEL vec splat32(uint32_t v) {
    return (vec)_mm256_set1_epi32((int)v);
}

KERNEL vec splat16x8(const uint8_t *table) {
    return (vec)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

KERNEL vec lookup(vec table, vec index) {
    return (vec)_mm256_shuffle_epi8((__m256i)table, (__m256i)index);
}

KERNEL vec minus(vec a, vec b) {
    return (vec)_mm256_subs_epu8((__m256i)a, (__m256i)b);
}

/* The upper half of `before`, then the lower half of `now`. */
KERNEL __m256i between(vec now, vec before) {
    return _mm256_permute2x128_si256((__m256i)before, (__m256i)now, 0x21);
}

KERNEL vec back1(vec now, vec before) {
    return (vec)_mm256_alignr_epi8((__m256i)now, between(now, before), 15);
}

KERNEL vec back2(vec now, vec before) {
    return (vec)_mm256_alignr_epi8((__m256i)now, between(now, before), 14);
}

KERNEL vec back3(vec now, vec before) {
    return (vec)_mm256_alignr_epi8((__m256i)now, between(now, before), 13);
}

KERNEL bool any_high(vec v) {
    return _mm256_movemask_epi8((__m256i)v) != 0;
}

KERNEL bool any_set(vec v) {
    return !_mm256_testz_si256((__m256i)v, (__m256i)v);
}

KERNEL uint32_t last4(vec v) {
    return (uint32_t)_mm256_extract_epi32((__m256i)v, 7);
}

KERNEL vec to_end(vec v, size_t count) {
    __m256i low_above = _mm256_permute2x128_si256((__m256i)v, (__m256i)v, 0x08); /* zeros, then the lower half */
    vec stay = lookup(v, splat16x8(moves + count));
    vec cross = lookup((vec)low_above, splat16x8(moves + 16 + count));
    return stay | cross;
}

KERNEL vec take_short(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, bool write) {
    __m128i low, high;
    if (len >= 16) {
        __m128i head = _mm_loadu_si128((const __m128i *)src);
        high = _mm_loadu_si128((const __m128i *)(src + len - 16));
        head = _mm_xor_si128(head, _mm_set1_epi32((int)key));
        high = _mm_xor_si128(high, _mm_set1_epi32((int)wf_unmask_turn(key, len - 16)));
        if (write) {
            _mm_storeu_si128((__m128i *)dst, head);
            _mm_storeu_si128((__m128i *)(dst + len - 16), high);
        }
        low = _mm_shuffle_epi8(head, _mm_loadu_si128((const __m128i *)(moves + len)));
    } else {
        wf_unmask_short text = wf_unmask_take(dst, src, len, key, write);
        low = _mm_setzero_si128();
        high = _mm_set_epi64x((long long)text.high, (long long)text.low);
    }
    return (vec)_mm256_set_m128i(high, low);
}

#include "ws/unmask_vector.h"

const wf_unmask_kernel wf_unmask_avx2 = {"avx2", mask, feed, mask_utf8};

#endif
