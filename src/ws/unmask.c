/*
 * Which kernel runs.
 *
 * The kernels stand in a table, best first, each with a question to the processor. The first call asks and
 * keeps the answer; threads that come first together all find the same answer, so a relaxed atomic pointer is
 * lock enough.
 */
#include "ws/unmask.h"

#include <stdatomic.h>

#include "ws/unmask_impl.h"

#if defined(__x86_64__)

static size_t list(const wf_unmask_kernel *out_kernels[3]) {
    size_t count = 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        out_kernels[count++] = &wf_unmask_avx2;
    if (__builtin_cpu_supports("sse4.2"))
        out_kernels[count++] = &wf_unmask_sse;
    out_kernels[count++] = &wf_unmask_portable;
    return count;
}

#elif defined(__aarch64__)

static size_t list(const wf_unmask_kernel *out_kernels[3]) {
    out_kernels[0] = &wf_unmask_neon;
    out_kernels[1] = &wf_unmask_portable;
    return 2;
}

#else

static size_t list(const wf_unmask_kernel *out_kernels[3]) {
    out_kernels[0] = &wf_unmask_portable;
    return 1;
}

#endif

const wf_unmask_kernel *wf_unmask_kernels(size_t index) {
    const wf_unmask_kernel *kernels[3];
    return index < list(kernels) ? kernels[index] : NULL;
}

/* The kernel in use. The first one called chooses: no other call pays for the question. */
static void first_mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset);
static int first_utf8(wf_utf8 *utf8, const uint8_t *data, size_t len);
static int first_mask_utf8(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset,
                           wf_utf8 *utf8);

static const wf_unmask_kernel first = {"first", first_mask, first_utf8, first_mask_utf8};
static _Atomic(const wf_unmask_kernel *) chosen = &first;

static inline const wf_unmask_kernel *kernel(void) {
    return atomic_load_explicit(&chosen, memory_order_relaxed);
}

static const wf_unmask_kernel *choose(void) {
    const wf_unmask_kernel *best = wf_unmask_kernels(0);
    atomic_store_explicit(&chosen, best, memory_order_relaxed);
    return best;
}

static void first_mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset) {
    choose()->mask(dst, src, len, key, offset);
}

static int first_utf8(wf_utf8 *utf8, const uint8_t *data, size_t len) {
    return choose()->utf8(utf8, data, len);
}

static int first_mask_utf8(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset,
                           wf_utf8 *utf8) {
    return choose()->mask_utf8(dst, src, len, key, offset, utf8);
}

void wf_mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset) {
    kernel()->mask(dst, src, len, key, offset);
}

int wf_utf8_feed(wf_utf8 *utf8, const uint8_t *data, size_t len) {
    return kernel()->utf8(utf8, data, len);
}

int wf_mask_utf8(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset, wf_utf8 *utf8) {
    return kernel()->mask_utf8(dst, src, len, key, offset, utf8);
}
