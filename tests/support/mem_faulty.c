/*
 * Stands in for src/base/mem.c in unit tests: counts what is alive and fails the n-th allocation on request.
 * A header before each block keeps its size.
 */
#include "base/mem.h"
#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>

typedef union header {
    size_t size;
    max_align_t align;
} header;

static atomic_size_t calls, fail_at, live, bytes;
static int (*fails)(void);

void test_mem_fail_at(size_t n) {
    calls = 0;
    fail_at = n;
}

void test_mem_fail_when(int (*refuse)(void)) {
    fails = refuse;
}

size_t test_mem_calls(void) {
    return calls;
}

size_t test_mem_live(void) {
    return live;
}

size_t test_mem_bytes(void) {
    return bytes;
}

static int refused(void) {
    size_t call = atomic_fetch_add(&calls, 1) + 1;
    return (fail_at != 0 && call == fail_at) || (fails && fails());
}

void *wf_mem_alloc(size_t size) {
    header *block = refused() ? NULL : malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    atomic_fetch_add(&live, 1);
    atomic_fetch_add(&bytes, size);
    return block + 1;
}

void *wf_mem_zalloc(size_t size) {
    void *ptr = wf_mem_alloc(size);
    return ptr ? memset(ptr, 0, size) : NULL;
}

void *wf_mem_resize(void *ptr, size_t size) {
    if (!ptr)
        return wf_mem_alloc(size);
    header *block = (header *)ptr - 1;
    size_t before = block->size;
    block = refused() ? NULL : realloc(block, sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    atomic_fetch_add(&bytes, size - before);
    return block + 1;
}

void wf_mem_free(void *ptr) {
    if (!ptr)
        return;
    header *block = (header *)ptr - 1;
    atomic_fetch_sub(&live, 1);
    atomic_fetch_sub(&bytes, block->size);
    free(block);
}
