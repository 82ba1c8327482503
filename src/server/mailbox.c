/*
 * A stack with one atomic head: putting is a compare-and-swap, taking is an exchange with NULL, and since
 * nobody ever pops a single node there is no ABA. The owner turns the stack over to get the order of putting.
 */
#include "server/mailbox.h"

#include "base/mem.h"

#include <string.h>

wf_mail *wf_mail_new(mail_kind kind, uint64_t handle, wf_blob *blob, const char *text, size_t text_len) {
    wf_mail *m = wf_mem_alloc(sizeof *m + text_len + 1);
    if (!m) {
        wf_blob_unref(blob);
        return NULL;
    }
    *m = (wf_mail) {.kind = kind, .handle = handle, .blob = blob, .text_len = text_len};
    if (text_len > 0)
        memcpy(m->text, text, text_len);
    m->text[text_len] = '\0';
    return m;
}

void wf_mail_free(wf_mail *m) {
    if (!m)
        return;
    wf_blob_unref(m->blob);
    wf_mem_free(m);
}

void wf_mailbox_put(wf_mailbox *box, wf_mail *m) {
    m->next = atomic_load_explicit(&box->last, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&box->last, &m->next, m, memory_order_release, memory_order_relaxed))
        ;
}

/* The owner takes back the mark before it takes the mail: so whoever still finds it set has put his in before that. */
void wf_mailbox_wake(wf_mailbox *box, wf_loop *loop) {
    if (!wf_mailbox_empty(box) && !atomic_exchange_explicit(&box->woken, true, memory_order_acq_rel))
        wf_loop_wake(loop);
}

wf_mail *wf_mailbox_take(wf_mailbox *box) {
    if (atomic_load_explicit(&box->woken, memory_order_relaxed))
        atomic_exchange_explicit(&box->woken, false, memory_order_acq_rel);
    if (wf_mailbox_empty(box))
        return NULL;
    wf_mail *out = NULL;
    for (wf_mail *m = atomic_exchange_explicit(&box->last, NULL, memory_order_acquire), *next; m; m = next) {
        next = m->next;
        m->next = out;
        out = m;
    }
    return out;
}
