#include "base/blob.h"

#include "base/assert.h"
#include "base/mem.h"

wf_blob *wf_blob_new(size_t len, atomic_size_t *account) {
    wf_blob *blob = wf_mem_alloc(sizeof *blob + len);
    if (!blob)
        return NULL;
    atomic_init(&blob->refs, 1);
    blob->as_is = false;
    blob->account = account;
    blob->alt = NULL;
    blob->len = len;
    if (account)
        atomic_fetch_add_explicit(account, len, memory_order_relaxed);
    return blob;
}

wf_blob *wf_blob_ref(wf_blob *blob) {
    unsigned before = atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    wf_assert(before > 0);
    return blob;
}

void wf_blob_unref(wf_blob *blob) {
    if (!blob)
        return;
    /* Release: our reads come before the free; acquire: the freeing thread sees everybody's. */
    if (atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (blob->account)
        atomic_fetch_sub_explicit(blob->account, blob->len, memory_order_relaxed);
    wf_blob_unref(blob->alt);
    wf_mem_free(blob);
}
