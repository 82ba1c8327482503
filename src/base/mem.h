/*
 * mem.h - the one door to the heap.
 *
 * Every allocation of the library goes through these four. Tests link tests/support/mem_faulty.c in place of
 * mem.c, which counts what is alive and fails the n-th call on request.
 */
#ifndef WF_BASE_MEM_H
#define WF_BASE_MEM_H

#include <stddef.h>

/* All answer NULL when memory is out; nothing else changes then. Sizes are bytes, 0 is not allowed. */
void *wf_mem_alloc(size_t size);
void *wf_mem_zalloc(size_t size);
void *wf_mem_resize(void *ptr, size_t size); /* NULL ptr: alloc. On failure ptr stays valid. */
void wf_mem_free(void *ptr);                 /* NULL is accepted */

#endif
