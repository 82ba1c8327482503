/*
 * poster.h - posts over http and https, many at once, by libcurl on one thread: that of whoever calls push_poster_work.
 *
 *     push_poster_begin(poster, &post, user);
 *     push_poster_work(poster, 1000);
 *     for (push_posted got; push_poster_next(poster, &got);)
 *         ... got.user, got.status
 *
 * No redirect is followed, no proxy or password taken from the environment, and of an answer only the status looked at;
 * its body is passed over, and cut when it is long.
 */
#ifndef APP_PUSHER_POSTER_H
#define APP_PUSHER_POSTER_H

#include "app/pusher/webhook.h"

typedef struct push_poster push_poster;

typedef struct push_post {
    const push_webhooks *hooks; /* all that this needs of them is copied */
    const push_webhook *hook;
    const char *key, *secret;
    const push_text *body; /* stays as it is until the post is over */
} push_post;

typedef struct push_posted {
    void *user;
    int status;      /* of the answer; 0: there was none */
    char error[160]; /* why it has not arrived; "": it has */
} push_posted;

/* NULL: memory or descriptors are out. libcurl is loaded for the first post. */
push_poster *push_poster_new(void);
void push_poster_free(push_poster *poster); /* what is under way is broken off */

/* False: memory is out, and nothing has begun. */
bool push_poster_begin(push_poster *poster, const push_post *post, void *user);

/* Goes on with all of them, and waits for something to happen, for at most so long. */
void push_poster_work(push_poster *poster, int wait_ms);

/* The next that is over. */
bool push_poster_next(push_poster *poster, push_posted *out);

/* Breaks off a push_poster_work, or the next one. From any thread. */
void push_poster_wake(push_poster *poster);

#endif
