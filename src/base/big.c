/*
 * A stack of blocks: the last given is the first taken, for it is the warmest. What lies at the bottom has not been
 * used since the stack was last that low, and that is all there is to ageing.
 */
#include "base/big.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

enum { BLOCKS_MAX = 32 };

static _Thread_local struct {
    struct {
        void *ptr;
        size_t cap;
    } blocks[BLOCKS_MAX];
    size_t count, unused; /* the lowest `unused` blocks have lain there since the last rest */
    size_t bytes, bytes_max;
} kept;

static void remove_at(size_t at) {
    kept.count--;
    kept.bytes -= kept.blocks[at].cap;
    memmove(&kept.blocks[at], &kept.blocks[at + 1], (kept.count - at) * sizeof kept.blocks[0]);
    if (kept.unused > at)
        kept.unused = at;
}

/* A kept one; NULL: none fits. */
static void *take_kept(size_t need, size_t *out_cap) {
    for (size_t i = kept.count; i > 0; i--) {
        size_t cap = kept.blocks[i - 1].cap;
        if (cap >= need && cap / 2 <= need) {
            void *ptr = kept.blocks[i - 1].ptr;
            remove_at(i - 1);
            *out_cap = cap;
            return ptr;
        }
    }
    *out_cap = need;
    return NULL;
}

void *wf_big_take(size_t need, size_t *out_cap) {
    void *ptr = take_kept(need, out_cap);
    return ptr ? ptr : wf_mem_alloc(need);
}

void *wf_big_grow(void *ptr, size_t len, size_t cap, size_t need, size_t *out_cap) {
    void *grown = take_kept(need, out_cap);
    if (!grown)
        return wf_mem_resize(ptr, need); /* the system moves pages, not bytes */
    if (len > 0)
        memcpy(grown, ptr, len);
    wf_big_give(ptr, cap);
    return grown;
}

void wf_big_give(void *ptr, size_t cap) {
    if (!ptr || cap < WF_BIG_BYTES || kept.count == BLOCKS_MAX || cap > kept.bytes_max - kept.bytes) {
        wf_mem_free(ptr);
        return;
    }
    kept.blocks[kept.count].ptr = ptr;
    kept.blocks[kept.count++].cap = cap;
    kept.bytes += cap;
}

static void free_lowest(size_t count) {
    for (size_t i = 0; i < count; i++)
        wf_mem_free(kept.blocks[i].ptr);
    for (; count > 0; count--)
        remove_at(0);
}

void wf_big_keep(size_t bytes_max) {
    free_lowest(kept.count);
    kept.bytes_max = bytes_max;
}

void wf_big_rest(void) {
    free_lowest(kept.unused);
    kept.unused = kept.count;
}

size_t wf_big_kept(void) {
    return kept.bytes;
}
