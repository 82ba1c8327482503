/*
 * apps.h - the apps that are served: each a state behind a lock of its own, with the settings of the moment.
 *
 *     push_effects *e = push_app_enter(app);          // locked
 *     push_verdict got = push_subscribe(conn, &want, e, push_now_ms());
 *     push_app_leave(app, weft_conn);                 // carried out, unlocked
 *
 * What the effects publish is published under the lock, so the order of publishes is the order of the changes.
 */
#ifndef APP_PUSHER_APPS_H
#define APP_PUSHER_APPS_H

#include "app/pusher/hooks.h"
#include "app/pusher/state.h"

#include <pthread.h>

typedef struct push_apps push_apps;

typedef struct push_app {
    push_state state; /* first: a connection's state leads to its app */
    push_link link;   /* by id */
    push_apps *apps;
    pthread_mutex_t lock;
    push_effects effects;
    push_settings *settings;
    push_hooked *hooked; /* NULL: it never had webhooks */
    bool removed;        /* no file names it any more */
} push_app;

struct push_apps {
    weft_server *server;
    push_hooks *hooks;     /* NULL: there are none; set before the first app */
    pthread_rwlock_t lock; /* of the tables; an app lives as long as they do */
    push_table by_id, by_key;
};

bool push_apps_init(push_apps *apps, weft_server *server);
void push_apps_deinit(push_apps *apps); /* nobody is connected any more */

/* From now on these are the apps; takes the list over. An app is known by its id: it keeps its connections whatever
 * else has changed. Those of an app that is disabled or named no more are closed. False: memory is out; some may be
 * new. */
bool push_apps_set(push_apps *apps, push_settings *list);

/* NULL: there is none. */
push_app *push_apps_by_key(push_apps *apps, weft_text key);
push_app *push_apps_by_id(push_apps *apps, weft_text id);

/* Each app's push_tick. */
void push_apps_tick(push_apps *apps);

push_app *push_app_of(const push_conn *conn);

/* A reference. */
push_settings *push_app_settings(push_app *app);

push_effects *push_app_enter(push_app *app);

/* `self` is the connection that acts, on its own thread; NULL: none does. */
void push_app_leave(push_app *app, weft_conn *self);

uint64_t push_now_ms(void); /* monotonic */

/* Queues a text; whoever reads too slowly for what he asked is closed. */
void push_say(weft_conn *conn, const char *text, size_t len);

#endif
