/*
 * A stack with one atomic head: posting is a compare-and-swap, taking is an exchange with NULL, and since
 * nobody ever pops a single node there is no ABA. The owner turns the stack over to get the order of posting.
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

void wf_outbox_add(wf_outbox *box, wf_mail *m) {
    m->next = NULL;
    *(box->last ? &box->last->next : &box->first) = m;
    box->last = m;
}

void wf_outbox_free(wf_outbox *box) {
    for (wf_mail *m = box->first, *next; m; m = next) {
        next = m->next;
        wf_mail_free(m);
    }
    *box = (wf_outbox) {0};
}

/* `newest` .. `oldest` is a chain through next. */
static void push_chain(wf_mailbox *to, wf_loop *loop, wf_mail *newest, wf_mail *oldest) {
    wf_mail *before = atomic_load_explicit(&to->last, memory_order_relaxed);
    do {
        oldest->next = before;
    } while (
        !atomic_compare_exchange_weak_explicit(&to->last, &before, newest, memory_order_release, memory_order_relaxed));
    if (!before && loop)
        wf_loop_wake(loop);
}

static wf_mail *turned_over(wf_mail *m) {
    wf_mail *out = NULL;
    while (m) {
        wf_mail *next = m->next;
        m->next = out;
        out = m;
        m = next;
    }
    return out;
}

void wf_outbox_post(wf_outbox *box, wf_mailbox *to, wf_loop *loop) {
    if (!box->first)
        return;
    wf_mail *oldest = box->first;
    wf_mail *newest = turned_over(oldest);
    *box = (wf_outbox) {0};
    push_chain(to, loop, newest, oldest);
}

void wf_mailbox_post(wf_mailbox *to, wf_loop *loop, wf_mail *m) {
    push_chain(to, loop, m, m);
}

wf_mail *wf_mailbox_take(wf_mailbox *box) {
    return turned_over(atomic_exchange_explicit(&box->last, NULL, memory_order_acquire));
}
