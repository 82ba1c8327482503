/*
 * unmask_impl.h - what the unmask kernels share and nobody else sees.
 *
 * The state of a cut sequence. A sequence cut short wants some number of continuation bytes, the first
 * perhaps from a narrowed range. Some lead byte standing alone wants exactly the same, so that lead byte is
 * the state:
 *
 *     0x00  nothing (a character boundary)      0xE0  A0..BF, then one more
 *     0xC2  one continuation                    0xED  80..9F, then one more
 *     0xE1  two continuations                   0xF0  90..BF, then two more
 *     0xF1  three continuations                 0xF4  80..8F, then two more
 *
 * Going on from a state then needs no code at all: put the state before the new bytes and read on as if it
 * were text.
 */
#ifndef WF_WS_UNMASK_IMPL_H
#define WF_WS_UNMASK_IMPL_H

#include <stdbool.h>
#include <string.h>

#include "base/status.h"
#include "ws/unmask.h"

#define WF_UNMASK_INLINE static inline __attribute__((always_inline, unused))

/* Each is defined on the processors that have it; unmask.c knows which. */
extern const wf_unmask_kernel wf_unmask_avx2;
extern const wf_unmask_kernel wf_unmask_sse;
extern const wf_unmask_kernel wf_unmask_neon;
extern const wf_unmask_kernel wf_unmask_portable;

WF_UNMASK_INLINE uint64_t wf_unmask_load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

WF_UNMASK_INLINE uint32_t wf_unmask_load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

WF_UNMASK_INLINE uint16_t wf_unmask_load16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The key as it applies `bytes` further on: the lowest byte of the result meets the first byte there. */
WF_UNMASK_INLINE uint32_t wf_unmask_turn(uint32_t key, size_t bytes) {
    unsigned bits = 8 * (unsigned)(bytes & 3);
    return key >> bits | key << (-bits & 31);
}

WF_UNMASK_INLINE uint32_t wf_unmask_key(const uint8_t key[4], size_t offset) {
    return wf_unmask_turn(wf_unmask_load32(key), offset);
}

/* Up to 15 bytes standing at the end of 16, zeros before them. */
typedef struct wf_unmask_short {
    uint64_t low, high;
} wf_unmask_short;

/* Takes a text of len < 16 from src, unmasks it, and with `write` also stores it at dst. Two words, one from
 * each end, cover any length from once to twice their width; where they overlap they carry the same bytes. */
WF_UNMASK_INLINE wf_unmask_short wf_unmask_take(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key,
                                                bool write) {
    wf_unmask_short text = {0, 0};
    if (len >= 8) {
        uint32_t turned = wf_unmask_turn(key, len - 8);
        uint64_t head = wf_unmask_load64(src) ^ ((uint64_t)key << 32 | key);
        text.high = wf_unmask_load64(src + len - 8) ^ ((uint64_t)turned << 32 | turned);
        if (write) {
            memcpy(dst, &head, 8);
            memcpy(dst + len - 8, &text.high, 8);
        }
        text.low = head << (8 * (15 - len)) << 8;
    } else if (len >= 4) {
        uint32_t head = wf_unmask_load32(src) ^ key;
        uint32_t tail = wf_unmask_load32(src + len - 4) ^ wf_unmask_turn(key, len - 4);
        if (write) {
            memcpy(dst, &head, 4);
            memcpy(dst + len - 4, &tail, 4);
        }
        text.high = (uint64_t)tail << 32 | (uint32_t)((uint64_t)head << (8 * (8 - len)));
    } else if (len >= 2) {
        uint16_t head = (uint16_t)(wf_unmask_load16(src) ^ key);
        uint16_t tail = (uint16_t)(wf_unmask_load16(src + len - 2) ^ wf_unmask_turn(key, len - 2));
        if (write) {
            memcpy(dst, &head, 2);
            memcpy(dst + len - 2, &tail, 2);
        }
        text.high = (uint64_t)tail << 48 | (uint64_t)(uint16_t)((uint32_t)head << (8 * (4 - len))) << 32;
    } else if (len == 1) {
        uint8_t byte = (uint8_t)(src[0] ^ key);
        if (write)
            dst[0] = byte;
        text.high = (uint64_t)byte << 56;
    }
    return text;
}

#endif
