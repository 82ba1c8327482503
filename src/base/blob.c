#include "base/blob.h"

#include "base/assert.h"
#include "base/big.h"
#include "base/mem.h"

static void init(wf_blob *blob, const wf_blob *as, atomic_size_t *account) {
    *blob = *as;
    atomic_init(&blob->refs, 1);
    blob->account = account;
    if (account)
        atomic_fetch_add_explicit(account, blob->len, memory_order_relaxed);
}

wf_blob *wf_blob_new(size_t len, atomic_size_t *account) {
    size_t cap = sizeof(wf_blob) + len;
    wf_blob *blob = cap >= WF_BIG_BYTES ? wf_big_take(cap, &cap) : wf_mem_alloc(cap);
    if (blob)
        init(blob, &(wf_blob) {.len = len, .cap = cap, .data = (uint8_t *)(blob + 1)}, account);
    return blob;
}

wf_blob *wf_blob_of_buf(wf_buf *buf, atomic_size_t *account) {
    wf_blob *blob = wf_mem_alloc(sizeof *blob);
    if (!blob)
        return NULL;
    init(blob, &(wf_blob) {.apart = true, .len = buf->len, .cap = buf->cap, .data = buf->data}, account);
    *buf = (wf_buf)WF_BUF_INIT;
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
    if (blob->apart) {
        wf_big_give(blob->data, blob->cap);
        wf_mem_free(blob);
    } else {
        wf_big_give(blob, blob->cap);
    }
}
