#include "app/pusher/apps.h"

#include "app/log.h"
#include "app/pusher/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of a walk: what is looked at before others may look, and how often that is waited for. */
enum { SLOTS_AT_ONCE = 256, WAYS_MAX = 10 };

/* All channels of an app. */
enum { HISTORY_BYTES_MAX = 64 << 20, HISTORY_LOGS_MAX = 10000, HISTORY_IDLE_MS = 600000 };

/* A key of an app, in the table by_key. */
typedef struct named_key {
    push_link link;
    const char *key; /* in the app's settings */
    push_app *app;
} named_key;

uint64_t push_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

push_app *push_app_of(const push_conn *conn) {
    return (push_app *)conn->state;
}

push_settings *push_app_settings(push_app *app) {
    pthread_mutex_lock(&app->lock);
    push_settings *settings = push_settings_ref(app->settings);
    pthread_mutex_unlock(&app->lock);
    return settings;
}

/* ---- carrying out ---- */

/* What it asked for cannot be done. */
static void give_up(weft_conn *conn, const char *why) {
    const push_conn *who = weft_conn_user(conn);
    if (who)
        push_count_code(&push_app_of(who)->counts, 4100);
    weft_conn_close(conn, 4100, why);
}

static void say(const push_peer *peer, const char *text, size_t len) {
    if (peer->session) {
        push_session_say(peer->session, text, len);
        return;
    }
    int got = weft_conn_send(peer->conn, WEFT_TEXT, text, len);
    if (got == WEFT_FULL || got == WEFT_ENOMEM)
        give_up(peer->conn, got == WEFT_FULL ? "it is not read fast enough" : "out of memory");
}

void push_say(const push_peer *peer, const char *text, size_t len) {
    if (peer->session) {
        push_app_enter(peer->session->app);
        say(peer, text, len);
        push_app_leave(peer->session->app, NULL);
    } else {
        say(peer, text, len);
    }
}

void push_shut(const push_peer *peer, int code, const char *why) {
    if (peer->session) {
        push_app_enter(peer->session->app);
        push_session_close(peer->session, code, why);
        push_app_leave(peer->session->app, NULL);
    } else {
        weft_conn_close(peer->conn, code, why);
    }
}

/* What cannot be told to one is told to none: he comes again, and learns how it stands. */
static void join(const push_peer *self, const char *topic, const char *text, size_t len) {
    if (len > 0)
        say(self, text, len);
    if (self->session) {
        push_session_join(self->session, topic);
        return;
    }
    int got = weft_conn_subscribe(self->conn, topic, 0);
    if (got != WEFT_OK && got != WEFT_ECLOSED)
        give_up(self->conn, weft_status_text(got));
}

static void leave(const push_peer *self, const char *topic) {
    if (self->session)
        push_session_leave(self->session, topic);
    else
        weft_conn_unsubscribe(self->conn, topic);
}

static void publish(push_app *app, const char *topic, const char *text, size_t len, const push_conn *except) {
    weft_handle handle = except ? except->handle : 0;
    if (weft_publish_except(app->apps->server, topic, WEFT_TEXT, text, len, handle) == WEFT_ENOMEM)
        app_log(APP_ERROR, "an event was lost: out of memory", "topic", topic, NULL);
    push_sessions_publish(&app->sessions, topic, (weft_text) {text, len}, except);
}

/* As weft_conn_close has it. */
static bool may_travel(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static int send_away(push_app *app, const push_conn *who, int code, const char *why) {
    if (!who->session)
        return weft_handle_close(app->apps->server, who->handle, code, why);
    if (!may_travel(code))
        return WEFT_EINVAL;
    push_session_close(who->session, code, why);
    return WEFT_OK;
}

static void carry_out(push_app *app, const push_effect *effect, const push_peer *self) {
    const char *texts = app->effects.text.data, *topic = texts + effect->topic, *text = texts + effect->at;
    switch (effect->kind) {
    case PUSH_JOIN:
        join(self, topic, text, effect->len);
        break;
    case PUSH_LEAVE:
        leave(self, topic);
        break;
    case PUSH_SEND:
        say(self, text, effect->len);
        break;
    case PUSH_PUBLISH:
        publish(app, topic, text, effect->len, effect->who);
        break;
    case PUSH_CLOSE:
        push_count_code(&app->counts, effect->code);
        send_away(app, effect->who, effect->code, "");
        break;
    case PUSH_NOTE:
        if (app->notes)
            push_hooks_note(app->hooked, (push_note)effect->code, push_str(topic), (weft_text) {text, effect->len});
        push_trace_note(app, (push_note)effect->code, topic, (weft_text) {text, effect->len});
        break;
    }
}

push_effects *push_app_enter(push_app *app) {
    if (pthread_mutex_trylock(&app->lock) != 0) {
        atomic_fetch_add(&app->waiting, 1);
        pthread_mutex_lock(&app->lock);
        atomic_fetch_sub(&app->waiting, 1);
    }
    app->effects.notes = app->notes || app_traced();
    return &app->effects;
}

void push_app_leave(push_app *app, const push_peer *self) {
    push_effects *e = &app->effects;
    for (size_t i = 0; i < e->count; i++)
        carry_out(app, &e->items[i], self);
    if (!push_effects_ok(e))
        app_log(APP_ERROR, "not all could be told: out of memory", "app", app->settings->name, NULL);
    push_effects_clear(e);
    push_sessions_flush(&app->sessions);
    pthread_mutex_unlock(&app->lock);
}

int push_app_send_away(push_app *app, weft_text socket_id, int code, const char *why) {
    push_app_enter(app);
    const push_conn *who = push_conn_find(&app->state, socket_id);
    int got = who ? send_away(app, who, code, why) : WEFT_ESTALE;
    push_app_leave(app, NULL);
    return got;
}

/* A mutex goes to whoever asks first, and that is the one who has just let go of it. */
static void give_way(const push_app *app) {
    for (int i = 0; i < WAYS_MAX && atomic_load(&app->waiting) > 0; i++)
        nanosleep(&(struct timespec) {.tv_nsec = 1000}, NULL);
}

void push_app_channels(push_app *app, void (*see)(void *context, const push_channel *channel), void *context) {
    uint64_t place = 0;
    do {
        push_app_enter(app);
        for (int i = 0; i < SLOTS_AT_ONCE && (i == 0 || place != 0); i++)
            for (push_link *l = push_table_slot(&app->state.channels, &place); l; l = l->next)
                if (((push_channel *)l)->subs > 0)
                    see(context, (push_channel *)l);
        push_app_leave(app, NULL);
        give_way(app);
    } while (place != 0);
}

/* ---- the apps ---- */

bool push_apps_init(push_apps *apps, weft_server *server, app_store *store) {
    *apps = (push_apps) {.server = server, .store = store};
    return pthread_rwlock_init(&apps->lock, NULL) == 0;
}

static push_app *app_of(push_link *l) {
    return (push_app *)((char *)l - offsetof(push_app, link));
}

static void forget_keys(push_apps *apps) {
    for (push_link *l; (l = push_table_walk(&apps->by_key, NULL));) {
        push_table_remove(&apps->by_key, l);
        free(l);
    }
}

void push_apps_deinit(push_apps *apps) {
    forget_keys(apps);
    for (push_link *l; (l = push_table_walk(&apps->by_id, NULL));) {
        push_app *app = app_of(l);
        push_table_remove(&apps->by_id, l);
        push_sessions_stop(&app->sessions, &app->effects);
        push_sessions_free(&app->sessions);
        push_state_deinit(&app->state);
        app_history_free(app->state.history);
        push_effects_free(&app->effects);
        push_settings_unref(app->settings);
        pthread_mutex_destroy(&app->lock);
        free(app);
    }
    push_table_free(&apps->by_key);
    push_table_free(&apps->by_id);
    pthread_rwlock_destroy(&apps->lock);
}

static push_app *find_id(const push_apps *apps, weft_text id) {
    for (push_link *l = push_table_first(&apps->by_id, push_hash(id.data, id.len)); l; l = push_table_next(l))
        if (push_text_equal(push_str(app_of(l)->settings->id), id))
            return app_of(l);
    return NULL;
}

push_app *push_apps_by_id(push_apps *apps, weft_text id) {
    pthread_rwlock_rdlock(&apps->lock);
    push_app *app = find_id(apps, id);
    if (app && app->removed)
        app = NULL;
    pthread_rwlock_unlock(&apps->lock);
    return app;
}

push_app *push_apps_by_key(push_apps *apps, weft_text key) {
    push_app *app = NULL;
    pthread_rwlock_rdlock(&apps->lock);
    for (push_link *l = push_table_first(&apps->by_key, push_hash(key.data, key.len)); l && !app;
         l = push_table_next(l))
        if (push_text_equal(push_str(((named_key *)l)->key), key))
            app = ((named_key *)l)->app;
    pthread_rwlock_unlock(&apps->lock);
    return app;
}

void push_apps_tick(push_apps *apps) {
    pthread_rwlock_rdlock(&apps->lock);
    for (push_link *l = NULL; (l = push_table_walk(&apps->by_id, l));) {
        push_app *app = app_of(l);
        push_effects *e = push_app_enter(app);
        push_tick(&app->state, e, push_now_ms());
        push_sessions_tick(&app->sessions, e, push_now_ms(), atomic_load(&apps->drains));
        push_app_leave(app, NULL);
    }
    pthread_rwlock_unlock(&apps->lock);
}

void push_apps_drain(push_apps *apps) {
    atomic_store(&apps->drains, true);
}

/* That they have gone is told to webhooks. */
void push_apps_stop(push_apps *apps) {
    for (push_link *l = NULL; (l = push_table_walk(&apps->by_id, l));) {
        push_sessions_stop(&app_of(l)->sessions, push_app_enter(app_of(l)));
        push_app_leave(app_of(l), NULL);
    }
}

/* ---- new settings ---- */

/* What it keeps of channels is as its settings say. False: memory is out. */
static bool remember(push_app *app, const push_settings *settings) {
    app_store *store = app->apps->store;
    app_history_limits limits = {.messages_max = settings->limits.history_messages,
                                 .bytes_max = settings->limits.history_bytes,
                                 .age_ms = settings->limits.history_seconds * UINT64_C(1000),
                                 .total_bytes_max = HISTORY_BYTES_MAX,
                                 .logs_max = HISTORY_LOGS_MAX,
                                 .idle_ms = HISTORY_IDLE_MS,
                                 .load = store ? app_shelf_load : NULL,
                                 .store = &app->shelf};
    if (!settings->history)
        return true;
    if (app->state.history) {
        app_history_limit(app->state.history, &limits);
        return true;
    }
    app->shelf.store = store;
    snprintf(app->shelf.prefix, sizeof app->shelf.prefix, "apps/%s/", settings->id);
    app_history *history = app_history_new(&limits);
    pthread_mutex_lock(&app->lock);
    app->state.history = history;
    pthread_mutex_unlock(&app->lock);
    return history != NULL;
}

static push_app *app_new(push_apps *apps, push_settings *settings) {
    push_app *app = push_table_reserve(&apps->by_id) ? calloc(1, sizeof *app) : NULL;
    if (!app)
        return NULL;
    pthread_mutex_init(&app->lock, NULL);
    app->apps = apps;
    app->sessions.server = apps->server;
    snprintf(app->id, sizeof app->id, "%s", settings->id);
    app->settings = push_settings_ref(settings);
    push_state_init(&app->state, settings);
    push_table_add(&apps->by_id, &app->link, push_hash(settings->id, strlen(settings->id)));
    return app;
}

/* Without memory some URLs are told nothing. */
static bool set_hooks(push_app *app) {
    push_hooks *hooks = app->apps->hooks;
    push_app_enter(app);
    bool wanted = app->settings->webhooks.count > 0;
    bool ok = !hooks || (!wanted && !app->hooked) || push_hooks_set(hooks, &app->hooked, app->settings);
    app->notes = wanted && app->hooked;
    push_app_leave(app, NULL);
    return ok;
}

static void close_all(push_app *app, push_effects *e, int code) {
    for (push_link *l = NULL; (l = push_table_walk(&app->state.conns, l));)
        push_effect_close(e, (push_conn *)l, code);
}

/* NULL settings: it is removed. */
static void app_set(push_app *app, push_settings *settings) {
    push_effects *e = push_app_enter(app);
    app->removed = !settings;
    if (settings) {
        push_settings_unref(app->settings);
        app->settings = push_settings_ref(settings);
        app->state.settings = settings;
    }
    if (app->removed || !app->settings->enabled)
        close_all(app, e, app->removed ? 4001 : 4003);
    push_app_leave(app, NULL);
}

static void free_keys(push_link *keys) {
    for (push_link *next; keys; keys = next) {
        next = keys->next;
        free(keys);
    }
}

/* As many as the list has, to be named: then nothing can fail. False: memory is out. */
static bool make_keys(push_apps *apps, const push_settings *list, push_link **out_keys) {
    *out_keys = NULL;
    bool ok = push_table_reserve(&apps->by_key);
    for (; list && ok; list = list->next) {
        for (size_t i = 0; i < list->key_count && ok; i++) {
            named_key *key = calloc(1, sizeof *key);
            ok = key != NULL;
            if (key) {
                key->link.next = *out_keys;
                *out_keys = &key->link;
            }
        }
    }
    if (!ok)
        free_keys(*out_keys);
    return ok;
}

static void name_keys(push_apps *apps, push_app *app, push_link **keys) {
    for (size_t i = 0; i < app->settings->key_count; i++) {
        named_key *named = (named_key *)*keys;
        *keys = named->link.next;
        named->key = app->settings->keys[i].key;
        named->app = app;
        push_table_reserve(&apps->by_key);
        push_table_add(&apps->by_key, &named->link, push_hash(named->key, strlen(named->key)));
    }
}

static const push_settings *listed(const push_settings *list, const char *id) {
    while (list && strcmp(list->id, id) != 0)
        list = list->next;
    return list;
}

bool push_apps_set(push_apps *apps, push_settings *list) {
    push_link *keys;
    pthread_rwlock_wrlock(&apps->lock);
    bool ok = make_keys(apps, list, &keys);
    if (!ok) {
        pthread_rwlock_unlock(&apps->lock);
        push_settings_unref_all(list);
        return false;
    }
    forget_keys(apps);
    for (push_settings *s = list; s; s = s->next) {
        push_app *known = find_id(apps, push_str(s->id)), *app = known ? known : app_new(apps, s);
        ok = app && remember(app, s) && ok; /* first: events come meanwhile */
        if (known)
            app_set(known, s);
        if (app)
            name_keys(apps, app, &keys);
        ok = app && set_hooks(app) && ok;
    }
    free_keys(keys);
    for (push_link *l = NULL; (l = push_table_walk(&apps->by_id, l));)
        if (!app_of(l)->removed && !listed(list, app_of(l)->settings->id))
            app_set(app_of(l), NULL);
    pthread_rwlock_unlock(&apps->lock);
    push_settings_unref_all(list);
    return ok;
}

/* ---- changes at run time ---- */

/* A change reads what there is and sets what there shall be: one at a time. It also guards the links of the lists that
 * are made of settings in use. */
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

/* A list of what there is, or of what came at run time, but `without`; each a reference. */
static push_settings *listed_now(push_apps *apps, bool all, weft_text without) {
    push_settings *list = NULL;
    pthread_rwlock_rdlock(&apps->lock);
    for (push_link *l = NULL; (l = push_table_walk(&apps->by_id, l));) {
        push_app *app = app_of(l);
        if (app->removed || push_text_equal(push_str(app->id), without))
            continue;
        push_settings *s = push_app_settings(app);
        if (all || s->by_api) {
            s->next = list;
            list = s;
        } else {
            push_settings_unref(s);
        }
    }
    pthread_rwlock_unlock(&apps->lock);
    return list;
}

bool push_apps_put(push_apps *apps, push_settings *settings, char *out_why, size_t cap) {
    pthread_mutex_lock(&changing);
    settings->by_api = true;
    settings->next = listed_now(apps, true, push_str(settings->id));
    bool ok = push_settings_differ(settings, out_why, cap);
    if (!ok)
        push_settings_unref_all(settings);
    else if (!(ok = push_apps_set(apps, settings)))
        snprintf(out_why, cap, "out of memory");
    pthread_mutex_unlock(&changing);
    return ok;
}

bool push_apps_remove(push_apps *apps, weft_text id) {
    pthread_mutex_lock(&changing);
    bool ok = push_apps_by_id(apps, id) && push_apps_set(apps, listed_now(apps, true, id));
    pthread_mutex_unlock(&changing);
    return ok;
}

bool push_apps_reload(push_apps *apps, push_settings *list) {
    char why[128];
    pthread_mutex_lock(&changing);
    for (push_settings *s = listed_now(apps, false, (weft_text) {"", 0}), *next; s; s = next) {
        next = s->next;
        s->next = list;
        if (push_settings_differ(s, why, sizeof why)) {
            list = s;
            continue;
        }
        app_log(APP_INFO, "the file has taken the place of an app that came at run time", "app", s->name, NULL);
        s->next = NULL;
        push_settings_unref(s);
    }
    bool ok = push_apps_set(apps, list);
    pthread_mutex_unlock(&changing);
    return ok;
}

void push_apps_each(push_apps *apps, void (*see)(void *context, push_app *app), void *context) {
    pthread_rwlock_rdlock(&apps->lock);
    for (push_link *l = NULL; (l = push_table_walk(&apps->by_id, l));)
        if (!app_of(l)->removed)
            see(context, app_of(l));
    pthread_rwlock_unlock(&apps->lock);
}
