/*
 * blob.h - bytes shared by reference count: written once by whoever made them, then read by any number of
 * queues on any thread. A published message is one blob however many subscribers it has.
 */
#ifndef WF_BASE_BLOB_H
#define WF_BASE_BLOB_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wf_blob {
    atomic_uint refs;
    bool as_is;             /* it is not to be compressed */
    bool apart;             /* `data` is memory of its own, `cap` bytes; else it is behind the struct */
    atomic_size_t *account; /* bytes alive are counted here; NULL: nowhere */
    struct wf_blob
        *alt; /* the same in a shorter encoding, for those who can read it; owned. Set before it is shared. */
    size_t len;
    size_t cap; /* of the memory that holds it */
    uint8_t *data;
} wf_blob;

/* One reference, `len` bytes to be written before it is shared. NULL when memory is out. */
wf_blob *wf_blob_new(size_t len, atomic_size_t *account);

/* Takes over the bytes of a buffer, which is empty then. One reference. NULL when memory is out: the buffer is
 * unchanged. */
wf_blob *wf_blob_of_buf(wf_buf *buf, atomic_size_t *account);

wf_blob *wf_blob_ref(wf_blob *blob);
void wf_blob_unref(wf_blob *blob); /* NULL is accepted; the last one frees */

#endif
