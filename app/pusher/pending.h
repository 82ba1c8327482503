/*
 * pending.h - what webhooks tell of an end (a channel is empty, a member has gone) waits for a moment, and is dropped
 * together with its counterpart when it begins again within that: who reloads a page has not gone.
 *
 *     if (push_pending_note(p, &what, now_ms + 3000))
 *         tell(&what);                                                  // else it waits, or both are dropped
 *     for (push_waiting *w; (w = push_pending_take(p, now_ms)); free(w))
 *         tell(&w->what);                                               // it has ended for good
 *
 * It has no clock and no lock. What waits is told in the order in which it happened.
 */
#ifndef APP_PUSHER_PENDING_H
#define APP_PUSHER_PENDING_H

#include "app/pusher/effects.h"
#include "app/pusher/table.h"

enum { PUSH_PENDING_MAX = 50000 }; /* beyond that the oldest are due at once */

typedef struct push_happened {
    push_note note;
    weft_text channel;
    weft_text text; /* the user's id, or what else the note says */
} push_happened;

typedef struct push_waiting {
    push_link link;
    struct push_waiting *prev, *next; /* the oldest first */
    uint64_t due_ms;
    push_happened what; /* its texts are in `bytes` */
    char bytes[];
} push_waiting;

typedef struct push_pending {
    push_table table;
    push_waiting *first, *last;
} push_pending;

void push_pending_free(push_pending *p);

/* True: it is to be told now, as is everything that does not wait (or has to when memory is out). */
bool push_pending_note(push_pending *p, const push_happened *what, uint64_t due_ms);

/* The next that is due, for the caller to free(); NULL: none is. */
push_waiting *push_pending_take(push_pending *p, uint64_t now_ms);

uint64_t push_pending_due(const push_pending *p); /* UINT64_MAX: nothing waits */

#endif
