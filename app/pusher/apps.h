/*
 * apps.h - the apps that are served: each a state behind a lock of its own, with the settings of the moment.
 *
 *     push_effects *e = push_app_enter(app);          // locked
 *     push_verdict got = push_subscribe(conn, &want, e, push_now_ms());
 *     push_app_leave(app, peer);                      // carried out, unlocked
 *
 * What the effects publish is published under the lock, so the order of publishes is the order of the changes.
 */
#ifndef APP_PUSHER_APPS_H
#define APP_PUSHER_APPS_H

#include "app/envelope.h"
#include "app/pusher/counts.h"
#include "app/pusher/hooks.h"
#include "app/pusher/session.h"
#include "app/pusher/state.h"
#include "app/store.h"

#include <pthread.h>

typedef struct push_apps push_apps;

/* Who acts, as his texts reach him: a WebSocket, on its own thread, or a session. */
typedef struct push_peer {
    weft_conn *conn; /* NULL: a session */
    push_session *session;
} push_peer;

typedef struct push_app {
    push_state state; /* first: a connection's state leads to its app */
    push_link link;   /* by id */
    push_apps *apps;
    char id[PUSH_APP_ID_MAX + 1]; /* never changes */
    pthread_mutex_t lock;
    atomic_uint waiting; /* for it */
    push_effects effects;
    push_settings *settings;
    app_shelf shelf;     /* of its history */
    push_hooked *hooked; /* NULL: it never had webhooks */
    push_sessions sessions;
    push_counts counts; /* any thread */
    bool notes;         /* its webhooks want them */
    bool removed;       /* no file names it any more */
} push_app;

struct push_apps {
    weft_server *server;
    app_store *store;      /* of the history of channels; NULL: none */
    push_hooks *hooks;     /* NULL: there are none; set before the first app */
    pthread_rwlock_t lock; /* of the tables; an app lives as long as they do */
    push_table by_id, by_key;
    push_counts counts;     /* of those who named no app; any thread */
    size_t queue_bytes_max; /* of a connection */
    atomic_bool drains;
};

bool push_apps_init(push_apps *apps, weft_server *server, app_store *store);
void push_apps_deinit(push_apps *apps); /* nobody is connected any more */

/* From now on these are the apps; takes the list over. An app is known by its id: it keeps its connections whatever
 * else has changed. Those of an app that is disabled or named no more are closed. False: memory is out; some may be
 * new. */
bool push_apps_set(push_apps *apps, push_settings *list);

/* One more app, or other settings of one that there is, which is known by its id. Takes the settings over. False:
 * out_why says why all is as it was. */
bool push_apps_put(push_apps *apps, push_settings *settings, char *out_why, size_t cap);

/* One app less. False: there is none with this id, or memory is out. */
bool push_apps_remove(push_apps *apps, weft_text id);

/* What a file says now: as push_apps_set, but the apps that came at run time stay, where the file does not name them or
 * one of their keys. */
bool push_apps_reload(push_apps *apps, push_settings *list);

/* Each that is served. No lock of an app is held. */
void push_apps_each(push_apps *apps, void (*see)(void *context, push_app *app), void *context);

/* figures.c: adds to the page what there is to tell of each. */
void push_apps_figures(push_apps *apps, app_text *page);

/* NULL: there is none. */
push_app *push_apps_by_key(push_apps *apps, weft_text key);
push_app *push_apps_by_id(push_apps *apps, weft_text id);

/* What time has brought to each app. */
void push_apps_tick(push_apps *apps);

/* Sessions are sent away by the next tick; signal-safe. And before the server is freed: nobody waits any more. */
void push_apps_drain(push_apps *apps);
void push_apps_stop(push_apps *apps);

push_app *push_app_of(const push_conn *conn);

/* Closes a client, however it has come. WEFT_OK; WEFT_ESTALE: there is none with this socket id; WEFT_EINVAL: such a
 * code does not travel. */
int push_app_send_away(push_app *app, weft_text socket_id, int code, const char *why);

/* A reference. */
push_settings *push_app_settings(push_app *app);

push_effects *push_app_enter(push_app *app);

/* Shows each channel with somebody in it, under the lock, which others may have in between: no list is so long that they
 * wait for all of it. A channel that is there all the while is seen once, one that comes or goes meanwhile once or not
 * at all. */
void push_app_channels(push_app *app, void (*see)(void *context, const push_channel *channel), void *context);

/* `self` is who acts; NULL: nobody does. */
void push_app_leave(push_app *app, const push_peer *self);

uint64_t push_now_ms(void); /* monotonic */

/* Queues a text; whoever reads too slowly for what he asked is closed. Not between enter and leave. */
void push_say(const push_peer *peer, const char *text, size_t len);
void push_shut(const push_peer *peer, int code, const char *why);

#endif
