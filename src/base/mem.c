#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL_BYTES = 1024 };

void *wf_mem_alloc(size_t size) {
    return malloc(size);
}

/* A large block is best left to calloc, which knows what the system has zeroed already; for a small one glibc's does
 * not look into the thread's cache, where the last of its kind lies. */
void *wf_mem_zalloc(size_t size) {
    void *ptr = size <= SMALL_BYTES ? malloc(size) : calloc(1, size);
    if (ptr && size <= SMALL_BYTES)
        memset(ptr, 0, size);
    return ptr;
}

void *wf_mem_resize(void *ptr, size_t size) {
    return realloc(ptr, size);
}

void wf_mem_free(void *ptr) {
    free(ptr);
}
