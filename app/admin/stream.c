/*
 * What the console shows, over one WebSocket. The page says first who it is, then what it wants to see:
 *
 *     {"secret":"..."}                                               else nothing is told, and soon it is closed
 *     {"view":{"app":"42","prefix":"","connections":true,"after":"0"}}
 *     {"debug":{"app":"42","channel":"","who":""}}                   "" is any; null: nothing more
 *     {"got":3}                                                      so many debug messages have been read
 *
 *     {"live":{"stats":{..},"apps":[..],"rooms":[..],"channels":[..]}}     each second
 *     {"connections":[..],"next":"..."}                                    every two
 *     {"watching":true}                                                    behind the last of what it wanted before
 *     {"debug":[..],"missed":0}                                            when something has happened
 *
 * A page that does not read is sent nothing more, and what happens meanwhile is counted (app/trace.h).
 */
#include "app/admin/admin.h"

#include "app/admin/guard.h"
#include "app/admin/lists.h"
#include "app/log.h"
#include "app/pusher/json.h"
#include "app/pusher/pusher.h"
#include "app/trace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGES_MAX = 16,
    TICK_MS = 250,
    LIVE_TICKS = 4,
    WALK_TICKS = 8,
    AHEAD_MAX = 4,
    SILENCE_MS = 5000,
    MESSAGE_MAX = 4096
};

/* What a page wants to see: the tick copies it. */
typedef struct view {
    weft_handle handle;
    uint32_t ticks;
    bool connections;
    weft_handle after;
    char app[PUSH_APP_ID_MAX + 8], prefix[PUSH_CHANNEL_NAME_MAX + 1];
} view;

/* One page that is open. Its connection's thread makes and ends it. All under the lock, but for the onlooker, which has
 * one of its own. */
typedef struct session {
    struct session *next;
    view view;
    uint64_t opened_ms;
    bool known;     /* it has said the secret */
    bool walks;     /* connections are being walked for it */
    uint32_t ahead; /* debug messages that it has not read yet */
    char peer[64];
    app_onlooker onlooker;
} session;

/* What is due for a page. */
typedef struct due {
    view view;
    bool ends, walks;
} due;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static session *sessions;
static atomic_uint session_count;

/* ---- coming and going ---- */

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)user;
    session *s = atomic_fetch_add(&session_count, 1) < PAGES_MAX ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        atomic_fetch_sub(&session_count, 1);
        weft_conn_close(conn, WEFT_CLOSE_TRY_LATER, "too many consoles are open");
        return;
    }
    s->view.handle = weft_conn_handle(conn);
    s->opened_ms = push_now_ms();
    snprintf(s->peer, sizeof s->peer, "%s", weft_request_peer(request));
    weft_conn_set_user(conn, s);
    pthread_mutex_lock(&lock);
    s->next = sessions;
    sessions = s;
    pthread_mutex_unlock(&lock);
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)info;
    (void)user;
    session *s = weft_conn_user(conn);
    if (!s)
        return;
    app_onlooker_end(&s->onlooker);
    pthread_mutex_lock(&lock);
    session **at = &sessions;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&lock);
    atomic_fetch_sub(&session_count, 1);
    free(s);
}

/* ---- what it says ---- */

static void say(weft_conn *conn, const char *text) {
    weft_conn_send(conn, WEFT_TEXT, text, strlen(text));
}

static void log_in(weft_conn *conn, session *s, const json_t *json) {
    weft_text secret = push_json_text(json, "secret");
    switch (secret.data ? admin_guard(secret, s->peer) : ADMIN_WRONG) {
    case ADMIN_MAY:
        app_log(APP_INFO, "a console opens", "peer", s->peer, NULL);
        pthread_mutex_lock(&lock);
        s->known = true;
        pthread_mutex_unlock(&lock);
        say(conn, "{\"welcome\":\"" WEFT_VERSION "\"}");
        break;
    case ADMIN_WRONG:
        weft_conn_close(conn, 4401, "this is not the secret");
        break;
    case ADMIN_TOO_OFTEN:
        weft_conn_close(conn, 4429, "too many wrong secrets from this address");
        break;
    }
}

static void copy(char *out, size_t cap, weft_text text) {
    size_t len = text.len < cap ? text.len : cap - 1;
    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
}

static void set_view(session *s, const json_t *json) {
    weft_text after = push_json_text(json, "after");
    char number[24];
    copy(number, sizeof number, after);
    pthread_mutex_lock(&lock);
    copy(s->view.app, sizeof s->view.app, push_json_text(json, "app"));
    copy(s->view.prefix, sizeof s->view.prefix, push_json_text(json, "prefix"));
    s->view.connections = json_is_true(json_object_get(json, "connections"));
    s->view.after = strtoull(number, NULL, 10);
    s->view.ticks = 0; /* and now */
    pthread_mutex_unlock(&lock);
}

static void set_debug(weft_server *server, session *s, const json_t *debug) {
    static const char watching[] = "{\"watching\":true}";
    app_trace_filter filter;
    copy(filter.app, sizeof filter.app, push_json_text(debug, "app"));
    copy(filter.channel, sizeof filter.channel, push_json_text(debug, "channel"));
    copy(filter.who, sizeof filter.who, push_json_text(debug, "who"));
    pthread_mutex_lock(&lock);
    s->ahead = 0;
    if (json_is_object(debug))
        app_onlooker_begin(&s->onlooker, &filter);
    else
        app_onlooker_end(&s->onlooker);
    /* By mail and under the lock, as what was seen before was sent. */
    weft_handle_send(server, s->view.handle, WEFT_TEXT, watching, sizeof watching - 1);
    pthread_mutex_unlock(&lock);
}

static void set_got(session *s, const json_t *got) {
    double count = json_number_value(got);
    pthread_mutex_lock(&lock);
    s->ahead = count >= s->ahead ? 0 : s->ahead - (uint32_t)(count > 0 ? count : 0);
    pthread_mutex_unlock(&lock);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    session *s = weft_conn_user(conn);
    if (!s)
        return;
    json_t *json = push_json_parse((weft_text) {(const char *)message.data, message.len});
    if (!s->known)
        log_in(conn, s, json);
    else if (json_object_get(json, "view"))
        set_view(s, json_object_get(json, "view"));
    else if (json_object_get(json, "debug"))
        set_debug(weft_conn_server(conn), s, json_object_get(json, "debug"));
    else
        set_got(s, json_object_get(json, "got"));
    json_decref(json);
}

/* ---- what it is told ---- */

static void send_text(weft_server *server, weft_handle to, push_text *text) {
    if (!text->failed)
        weft_handle_send(server, to, WEFT_TEXT, text->data, text->len);
    push_text_free(text);
}

/* Its session, under the lock; NULL: it has gone. */
static session *find(weft_handle handle) {
    session *s = sessions;
    while (s && s->view.handle != handle)
        s = s->next;
    return s;
}

typedef struct walk {
    weft_handle to;
    push_text out;
} walk;

/* Who is shown is pinged, so that the round trip is of now. */
static bool visit(weft_conn *conn, void *user) {
    walk *w = user;
    admin_put_connection(&w->out, conn);
    weft_conn_ping(conn);
    return true;
}

static void visited(weft_server *server, weft_handle last, void *user) {
    walk *w = user;
    char next[40];
    snprintf(next, sizeof next, last ? "],\"next\":\"%llu\"}" : "],\"next\":null}", (unsigned long long)last);
    push_put_str(&w->out, next);
    send_text(server, w->to, &w->out);
    pthread_mutex_lock(&lock);
    session *s = find(w->to);
    if (s)
        s->walks = false;
    pthread_mutex_unlock(&lock);
    free(w);
}

static bool begin_walk(weft_server *server, const view *v) {
    walk *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    w->to = v->handle;
    push_put_str(&w->out, "{\"connections\":[");
    weft_visit visit_all = {WEFT_VISIT_INIT, .after = v->after, .max = ADMIN_PAGE_MAX,
                            .user = w,       .visit = visit,    .done = visited};
    if (weft_server_visit(server, &visit_all) == WEFT_OK)
        return true;
    push_text_free(&w->out);
    free(w);
    return false;
}

static void send_live(weft_server *server, push_apps *apps, const view *v) {
    push_text out = {0};
    admin_page page = {.prefix = v->prefix, .after = "", .max = ADMIN_PAGE_MAX, .fullest = true};
    push_app *app = push_apps_by_id(apps, push_str(v->app));
    push_put_str(&out, "{\"live\":{\"stats\":");
    admin_put_stats(&out, server);
    push_put_str(&out, ",\"apps\":");
    admin_put_apps(&out, apps);
    push_put_str(&out, ",\"app\":");
    push_put_quoted(&out, push_str(v->app));
    bool more = false;
    if (app) {
        push_put_str(&out, ",\"channels\":");
        more = admin_put_channels(&out, app, &page);
    } else if (strcmp(v->app, APP_ROOMS) == 0) {
        push_put_str(&out, ",\"rooms\":");
        more = admin_put_rooms(&out, &page);
    }
    push_put_str(&out, more ? ",\"more\":true}}" : ",\"more\":false}}");
    send_text(server, v->handle, &out);
}

static void send_debug(weft_server *server, session *s) {
    push_text lines, out = {0};
    uint64_t missed;
    if (s->ahead >= AHEAD_MAX || !app_onlooker_take(&s->onlooker, &lines, &missed))
        return;
    push_put_str(&out, "{\"debug\":[");
    push_put(&out, lines.data, lines.len > 0 ? lines.len - 1 : 0); /* the last comma */
    push_put_str(&out, "],\"missed\":");
    push_put_number(&out, missed);
    push_put_str(&out, "}");
    push_text_free(&lines);
    s->ahead++;
    send_text(server, s->view.handle, &out);
}

/* Written down under the lock: what may take long is done behind it. */
static size_t find_due(weft_server *server, due out[PAGES_MAX]) {
    size_t count = 0;
    uint64_t now_ms = push_now_ms();
    pthread_mutex_lock(&lock);
    for (session *s = sessions; s && count < PAGES_MAX; s = s->next) {
        if (!s->known && now_ms - s->opened_ms <= SILENCE_MS)
            continue;
        if (s->known)
            send_debug(server, s);
        bool walks = s->known && s->view.connections && !s->walks && s->view.ticks % WALK_TICKS == 0;
        s->walks = s->walks || walks;
        out[count++] = (due) {s->view, !s->known, walks};
        s->view.ticks++;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

static void serve(weft_server *server, push_apps *apps, const due *d) {
    if (d->ends) {
        weft_handle_close(server, d->view.handle, 4401, "the secret did not come");
        return;
    }
    if (d->view.ticks % LIVE_TICKS == 0)
        send_live(server, apps, &d->view);
    if (!d->walks || begin_walk(server, &d->view))
        return;
    pthread_mutex_lock(&lock);
    session *now = find(d->view.handle);
    if (now) { /* that place is no more: from the beginning */
        now->walks = false;
        now->view.after = 0;
    }
    pthread_mutex_unlock(&lock);
}

static void tick(weft_server *server, void *apps) {
    static due all[PAGES_MAX]; /* the first worker's alone */
    if (atomic_load_explicit(&session_count, memory_order_relaxed) == 0)
        return;
    size_t count = find_due(server, all);
    for (size_t i = 0; i < count; i++)
        serve(server, apps, &all[i]);
}

int admin_stream_add(weft_server *server) {
    weft_route route = {WEFT_ROUTE_INIT,
                        .path = "/admin/stream",
                        .limits = {.message_bytes_max = MESSAGE_MAX, .slow_policy = WEFT_SLOW_CLOSE},
                        .open = on_open,
                        .message = on_message,
                        .closed = on_closed};
    int got = weft_server_route(server, &route);
    return got == WEFT_OK ? weft_server_every(server, TICK_MS, tick, app_pusher_apps()) : got;
}
