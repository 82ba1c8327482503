/*
 * hooks_parts.h - what hooks.c, which others call, and hooks_turn.c, which is the thread, share.
 *
 *     push_hooks   lock over everything here; the poster, the file and bodies are the thread's alone
 *       push_hooked    an app: settings, pending, counters
 *         push_target    a URL: its outbox, and what found that full and waits for the file
 */
#ifndef APP_PUSHER_HOOKS_PARTS_H
#define APP_PUSHER_HOOKS_PARTS_H

#include "app/pusher/hooks.h"
#include "app/pusher/pending.h"
#include "app/pusher/poster.h"

#include <pthread.h>

typedef struct push_target {
    struct push_target *next;
    push_hooked *app;
    char *url;
    const push_webhook *hook; /* in the app's settings; NULL: they name it no more */
    push_outbox box, over;
    push_posted last; /* how the last attempt ended */
    bool gives_up;    /* what is too old by now */
} push_target;

struct push_hooked {
    push_hooked *next;
    push_hooks *hooks;
    push_settings *settings;
    push_pending pending;
    push_target *targets;
    push_hooks_counts counts; /* `queued` is counted when it is asked for */
    uint64_t lost_told;
};

struct push_hooks {
    push_poster *poster;
    push_dead dead;
    push_text lines; /* for the file; the thread's */
    size_t lines_events;
    push_hooked *lines_app; /* whose they are */
    char lines_name[64];    /* the app's, as it may get others meanwhile */
    pthread_t thread;
    bool runs;

    pthread_mutex_t lock; /* over what follows, and the apps */
    push_hooked *apps;
    uint64_t wakes_ms; /* when the thread will look again by itself */
    bool awake;        /* it is at it, and will see what is earlier than that */
    bool stops;
    uint64_t stops_ms; /* when it gives up */
};

/* Under the lock: an event goes to each URL that wants it. */
void push_hooked_tell(push_hooked *app, const push_happened *what, uint64_t now_ms);
void push_target_free(push_target *target);

/* The thread: until it is to stop, and all is told or time is over. */
void *push_hooks_run(void *hooks);

/* What is left goes to the file. The thread and the posts have ended. */
void push_hooks_bury_all(push_hooks *hooks);

#endif
