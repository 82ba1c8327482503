/*
 * mailbox.h - how one thread speaks to another's loop: mail goes in from any thread without a lock, the owner
 * takes all of it at once, in the order in which it was put in.
 *
 * A worker puts mail in at once, so that the order of calls is the order of mail whoever calls, and wakes the owners
 * when its turn ends: at most one wake-up each, however many messages.
 */
#ifndef WF_SERVER_MAILBOX_H
#define WF_SERVER_MAILBOX_H

#include "base/blob.h"
#include "base/buf.h"
#include "net/loop.h"

typedef enum mail_kind {
    MAIL_PUBLISH, /* to the topic's home: give it its place in the order */
    MAIL_DELIVER, /* from the home: queue it to your subscribers */
    MAIL_JOIN,    /* to the topic's home, and from there to the connection's worker: what follows is for it */
    MAIL_FENCE,   /* from the worker `handle`, and back to it: what came before has been dealt with */
    MAIL_SEND,    /* to one connection */
    MAIL_CLOSE,
    MAIL_ANSWER, /* to a request */
    MAIL_VISIT   /* from worker to worker: who is here */
} mail_kind;

typedef struct wf_mail {
    struct wf_mail *next;
    mail_kind kind;
    uint32_t join;   /* JOIN: which (hub/hub.h) */
    uint64_t handle; /* SEND, CLOSE, JOIN: whom; PUBLISH, DELIVER: whom not */
    wf_blob *blob;   /* PUBLISH, DELIVER, SEND: a reference */
    int code;        /* CLOSE */
    uint32_t replay; /* JOIN: how much of the past */
    void *answer;    /* ANSWER: request.c's own; VISIT: visit.c's */
    size_t text_len;
    char text[]; /* topic or close reason, NUL-terminated */
} wf_mail;

/* Takes over the blob reference, also on failure. NULL when memory is out. */
wf_mail *wf_mail_new(mail_kind kind, uint64_t handle, wf_blob *blob, const char *text, size_t text_len);
void wf_mail_free(wf_mail *m);

typedef struct wf_mailbox {
    _Atomic(wf_mail *) last; /* newest first */
    atomic_bool woken;       /* the owner was woken for what is here */
} wf_mailbox;

/* Any thread, also before the loop runs. Who puts something in wakes the owner, then or soon. */
void wf_mailbox_put(wf_mailbox *box, wf_mail *m);
void wf_mailbox_wake(wf_mailbox *box, wf_loop *loop);

/* Any thread; may be over a moment later. */
static inline bool wf_mailbox_empty(const wf_mailbox *box) {
    return !atomic_load_explicit(&box->last, memory_order_relaxed);
}

/* Owner: all mail, oldest first; NULL when there is none. */
wf_mail *wf_mailbox_take(wf_mailbox *box);

#endif
