/*
 * The NEON kernel: 16 bytes to a register. Every AArch64 processor has it, so nothing is asked at run time.
 */
#if defined(__aarch64__)

#include <arm_neon.h>

#include "ws/unmask_impl.h"

#define KERNEL static inline __attribute__((always_inline))

enum { WIDTH = 16 };
typedef uint8x16_t vec;

/* Read at `count`, it takes the first `count` bytes of 16 to the end; 0x80, out of the table, makes a zero. */
static const uint8_t moves[32] = {
    [0 ... 15] = 0x80, [16] = 0, [17] = 1,  [18] = 2,  [19] = 3,  [20] = 4,  [21] = 5,  [22] = 6,  [23] = 7,
    [24] = 8,          [25] = 9, [26] = 10, [27] = 11, [28] = 12, [29] = 13, [30] = 14, [31] = 15,
};

KERNEL vec splat8(uint8_t v) {
    return vdupq_n_u8(v);
}

KERNEL vec splat32(uint32_t v) {
    return vreinterpretq_u8_u32(vdupq_n_u32(v));
}

KERNEL vec splat16x8(const uint8_t *table) {
    return vld1q_u8(table);
}

KERNEL vec lookup(vec table, vec index) {
    return vqtbl1q_u8(table, index);
}

KERNEL vec minus(vec a, vec b) {
    return vqsubq_u8(a, b);
}

KERNEL vec back1(vec now, vec before) {
    return vextq_u8(before, now, 15);
}

KERNEL vec back2(vec now, vec before) {
    return vextq_u8(before, now, 14);
}

KERNEL vec back3(vec now, vec before) {
    return vextq_u8(before, now, 13);
}

KERNEL bool any_high(vec v) {
    return vmaxvq_u8(v) >= 0x80;
}

KERNEL bool any_set(vec v) {
    return vmaxvq_u32(vreinterpretq_u32_u8(v)) != 0;
}

KERNEL uint32_t last4(vec v) {
    return vgetq_lane_u32(vreinterpretq_u32_u8(v), 3);
}

KERNEL vec to_end(vec v, size_t count) {
    return lookup(v, splat16x8(moves + count));
}

KERNEL vec take_short(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key, bool write) {
    wf_unmask_short text = wf_unmask_take(dst, src, len, key, write);
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(text.low), vcreate_u64(text.high)));
}

#include "ws/unmask_vector.h"

const wf_unmask_kernel wf_unmask_neon = {"neon", mask, feed, mask_utf8};

#endif
