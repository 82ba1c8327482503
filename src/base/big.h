/*
 * big.h - large blocks of memory, kept for the next use.
 *
 * A block of this size comes fresh from the system, and the system gives it page by page, each at the price of a
 * fault: a message of 1 MiB would pay more for that than for all else. So a thread that says so keeps some of the
 * blocks that were given back to it, whoever took them: they are plain memory of base/mem.h, and other threads simply
 * free them.
 *
 * Invariants: 1. no thread keeps more than it said, nor more than 32 blocks. 2. what was not used between two calls of
 * wf_big_rest goes back to the system at the second.
 */
#ifndef WF_BASE_BIG_H
#define WF_BASE_BIG_H

#include <stddef.h>

enum { WF_BIG_BYTES = 64 * 1024 }; /* from here on a block is big */

/* At least `need` >= WF_BIG_BYTES bytes, and at most twice as many. NULL when memory is out. */
void *wf_big_take(size_t need, size_t *out_cap);

/* A block of `len` used bytes becomes one of at least `need`, as above. On failure NULL, and it is as it was. */
void *wf_big_grow(void *ptr, size_t len, size_t cap, size_t need, size_t *out_cap);

void wf_big_give(void *ptr, size_t cap); /* any block of base/mem.h; kept when it is big and there is room */

/* This thread keeps up to so many bytes from now on. 0, as it begins: none, and lets go of what it has. */
void wf_big_keep(size_t bytes_max);

/* Now and then: lets go of what was not needed since the last call. */
void wf_big_rest(void);

size_t wf_big_kept(void); /* bytes */

#endif
