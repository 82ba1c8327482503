/*
 * unmask.h - masking (RFC 6455 5.3) and UTF-8 validation (RFC 3629), alone and in one pass.
 *
 * The widest kernel the processor has is chosen once, at the first call (AVX2, SSE4.2, NEON, portable); all
 * give the same answers. No kernel reads or writes a byte outside the given ranges.
 *
 * UTF-8 is checked as a stream: a sequence may be cut anywhere between two calls, and the first byte that no
 * continuation could make right is refused at once.
 */
#ifndef WF_WS_UNMASK_H
#define WF_WS_UNMASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* State between calls: the unfinished sequence, as a lead byte that alone would want the same continuations.
 * All zero: at a character boundary. All kernels keep the same state. */
typedef struct wf_utf8 {
    uint8_t state;
} wf_utf8;

/* dst[i] = src[i] ^ key[(offset + i) % 4]. dst == src, or the two do not overlap. `key` is the four key bytes
 * as they stand on the wire; `offset` is how many payload bytes of this frame came before (only its low two
 * bits count). */
void wf_mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset);

/* Checks the next `len` bytes. 0: possible so far. WF_ERROR: impossible; the state is then undefined. */
int wf_utf8_feed(wf_utf8 *utf8, const uint8_t *data, size_t len);

/* At a character boundary: the text may end here. */
static inline bool wf_utf8_complete(const wf_utf8 *utf8) {
    return utf8->state == 0;
}

/* wf_mask, then wf_utf8_feed over dst, in one pass. On WF_ERROR the content of dst is unspecified; in place
 * the masked bytes are gone. */
int wf_mask_utf8(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset, wf_utf8 *utf8);

/* One set of kernels. `wf_unmask_kernels(i)` lists those that this processor can run, best first, NULL at the
 * end; tests and the bench go through them all. */
typedef struct wf_unmask_kernel {
    const char *name; /* "avx2", "sse4.2", "neon", "portable" */
    void (*mask)(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset);
    int (*utf8)(wf_utf8 *utf8, const uint8_t *data, size_t len);
    int (*mask_utf8)(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4], size_t offset, wf_utf8 *utf8);
} wf_unmask_kernel;

const wf_unmask_kernel *wf_unmask_kernels(size_t index);

#endif
