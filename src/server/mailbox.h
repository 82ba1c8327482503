/*
 * mailbox.h - how one thread speaks to another's loop: mail goes in from any thread without a lock, the owner
 * takes all of it at once, in the order of posting.
 *
 * A worker collects what it has for another in an outbox and posts it once at the end of its turn: one atomic
 * exchange and at most one wake-up, however many messages.
 */
#ifndef WF_SERVER_MAILBOX_H
#define WF_SERVER_MAILBOX_H

#include "base/blob.h"
#include "base/buf.h"
#include "net/loop.h"

typedef enum mail_kind {
    MAIL_PUBLISH, /* to the topic's home: give it its place in the order */
    MAIL_DELIVER, /* from the home: queue it to your subscribers */
    MAIL_SEND,    /* to one connection */
    MAIL_CLOSE,
    MAIL_ANSWER /* to a request */
} mail_kind;

typedef struct wf_mail {
    struct wf_mail *next;
    mail_kind kind;
    uint64_t handle; /* SEND, CLOSE: whom; PUBLISH, DELIVER: whom not */
    wf_blob *blob;   /* PUBLISH, DELIVER, SEND: a reference */
    int code;        /* CLOSE */
    void *answer;    /* ANSWER: request.c's own */
    size_t text_len;
    char text[]; /* topic or close reason, NUL-terminated */
} wf_mail;

/* Takes over the blob reference, also on failure. NULL when memory is out. */
wf_mail *wf_mail_new(mail_kind kind, uint64_t handle, wf_blob *blob, const char *text, size_t text_len);
void wf_mail_free(wf_mail *m);

typedef struct wf_mailbox {
    _Atomic(wf_mail *) last; /* newest first */
} wf_mailbox;

typedef struct wf_outbox {
    wf_mail *first, *last;
} wf_outbox;

void wf_outbox_add(wf_outbox *box, wf_mail *m);

void wf_outbox_free(wf_outbox *box); /* with all mail in it */

/* Posts everything in the outbox, which is empty then. Wakes the loop (NULL: nobody) when the mailbox was
 * empty. */
void wf_outbox_post(wf_outbox *box, wf_mailbox *to, wf_loop *loop);

/* Any thread, also before the loop runs. */
void wf_mailbox_post(wf_mailbox *to, wf_loop *loop, wf_mail *m);

/* Owner: all mail, oldest first; NULL when there is none. */
wf_mail *wf_mailbox_take(wf_mailbox *box);

#endif
