/*
 * hooks.h - webhooks: what has happened in the apps is told to the URLs that they name, on one thread for all.
 *
 *     note -> pending (3 s) -> event -> an outbox for each URL -> post, again and again -> the dead-letter file
 *
 * A worker only puts an event into memory, under a lock that is held for no longer than that takes. Everything else is
 * the thread's: bodies, signatures, names, sockets, the file. An event that finds its outbox full, or is given up, is
 * written to the file; one that cannot be kept at all is counted and logged. What is in memory dies with the process.
 */
#ifndef APP_PUSHER_HOOKS_H
#define APP_PUSHER_HOOKS_H

#include "app/pusher/config.h"
#include "app/pusher/dead.h"
#include "app/pusher/effects.h"

typedef struct push_hooks push_hooks;
typedef struct push_hooked push_hooked; /* an app, as seen from here */

/* Takes the file over. NULL: it could not be. */
push_hooks *push_hooks_new(push_dead dead);

/* Starts the thread. False: errno says why. */
bool push_hooks_start(push_hooks *hooks);

/* Tries what is left once more, for two seconds at most; the rest goes to the file. Then the thread has ended. */
void push_hooks_stop(push_hooks *hooks);
void push_hooks_free(push_hooks *hooks); /* NULL is accepted */

/* An app has come (`*app` is NULL) or has other settings; it stays until all is freed. What waits for a URL that is
 * named no more goes to the file. False: memory is out, and some of its URLs may be missing. */
bool push_hooks_set(push_hooks *hooks, push_hooked **app, push_settings *settings);

/* Any thread; texts are copied. */
void push_hooks_note(push_hooked *app, push_note note, weft_text channel, weft_text text);

/* Events but for `failed` and `retried`, which are posts; each URL counts. */
typedef struct push_hooks_counts {
    uint64_t sent, failed, retried, dead, lost;
    uint64_t queued; /* that wait to be told */
} push_hooks_counts;

push_hooks_counts push_hooks_count(const push_hooked *app);

#endif
