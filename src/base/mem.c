#include "base/mem.h"

#include <stdlib.h>

void *wf_mem_alloc(size_t size) {
    return malloc(size);
}

void *wf_mem_zalloc(size_t size) {
    return calloc(1, size);
}

void *wf_mem_resize(void *ptr, size_t size) {
    return realloc(ptr, size);
}

void wf_mem_free(void *ptr) {
    free(ptr);
}
