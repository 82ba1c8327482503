/*
 * Clients come, and are told who they are or why they are not wanted; and go. A client that is refused gets a WebSocket
 * all the same, an error and a close code: by that pusher-js knows whether to come again.
 */
#include "app/pusher/connect.h"

#include "app/log.h"
#include "app/pusher/fallback.h"
#include "app/pusher/protocol.h"
#include "app/pusher/routes.h"
#include "app/pusher/trace.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { ACTIVITY_TIMEOUT_S = 120, PROTOCOL_MIN = 4, PROTOCOL_MAX = 7 };

static const push_refusal plain = {4000, "This app is reached over TLS only: use wss://"};
static const push_refusal unknown = {4001, "There is no app with this key"};
static const push_refusal disabled = {4003, "This app is disabled"};
static const push_refusal over_quota = {4004, "This app has as many connections as it may"};
static const push_refusal no_path = {4005, "Clients connect to /app/KEY"};
static const push_refusal bad_version = {4006,
                                         "version= is no version: digits, letters, . - _ + and at most 32 of them"};
static const push_refusal bad_protocol = {4007, "This protocol is not supported: 4 to 7 are"};
static const push_refusal no_protocol = {4008, "protocol= is missing"};
const push_refusal push_over_capacity = {4100, "Out of memory"};

push_counts *push_counts_of(push_apps *apps, push_app *app) {
    return app ? &app->counts : &apps->counts;
}

static void refuse(weft_conn *conn, const push_refusal *why) {
    push_say_error(&(push_peer) {conn, NULL}, why->code, why->text);
    weft_conn_close(conn, why->code, why->text);
}

static const push_refusal *bad_params(const weft_request *request) {
    char text[33];
    int got = weft_request_param(request, "protocol", text, sizeof text);
    if (got == WEFT_ESTALE)
        return &no_protocol;
    if (got != WEFT_OK || text[0] < '0' + PROTOCOL_MIN || text[0] > '0' + PROTOCOL_MAX || text[1] != '\0')
        return &bad_protocol;
    got = weft_request_param(request, "version", text, sizeof text);
    size_t good =
        got == WEFT_OK ? strspn(text, "0123456789.-_+abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") : 0;
    return got == WEFT_ESTALE || (good > 0 && text[good] == '\0') ? NULL : &bad_version;
}

/* Two numbers that nobody guesses, and that no other connection has. */
static bool make_socket_id(const push_state *state, char out[PUSH_SOCKET_ID_BYTES]) {
    uint64_t random[2];
    do {
        if (getrandom(random, sizeof random, 0) != sizeof random)
            return false;
        snprintf(out, PUSH_SOCKET_ID_BYTES, "%llu.%llu", (unsigned long long)(random[0] >> 16),
                 (unsigned long long)(random[1] >> 16));
    } while (push_conn_find(state, push_str(out)));
    return true;
}

const push_refusal *push_let_in(push_app *app, const weft_request *request, weft_handle handle, push_conn **out) {
    char socket_id[PUSH_SOCKET_ID_BYTES];
    if (app->settings->require_tls && !weft_request_secure(request))
        return &plain;
    if (app->removed)
        return &unknown;
    if (!app->settings->enabled)
        return &disabled;
    if (app->state.conns.count >= app->settings->limits.connections)
        return &over_quota;
    *out = make_socket_id(&app->state, socket_id) ? push_connect(&app->state, socket_id, handle) : NULL;
    return *out ? NULL : &push_over_capacity;
}

const push_refusal *push_wanted(push_apps *apps, weft_text key, const weft_request *request, push_app **out) {
    *out = push_apps_by_key(apps, key);
    const push_refusal *why = bad_params(request);
    return why || *out ? why : &unknown;
}

void push_greeting(const push_conn *who, char out[PUSH_GREETING_BYTES]) {
    snprintf(out, PUSH_GREETING_BYTES,
             "{\"event\":\"pusher:connection_established\",\"data\":"
             "\"{\\\"socket_id\\\":\\\"%s\\\",\\\"activity_timeout\\\":%d}\"}",
             who->socket_id, ACTIVITY_TIMEOUT_S);
}

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    push_apps *apps = user;
    char key[256], text[PUSH_GREETING_BYTES];
    if (weft_conn_is_stream(conn)) {
        push_xhr_open(conn);
        return;
    }
    if (weft_request_tail(request, key, sizeof key) != WEFT_OK || key[0] == '\0' || strchr(key, '/')) {
        push_count_code(&apps->counts, no_path.code);
        refuse(conn, &no_path);
        return;
    }
    push_app *app;
    push_conn *who = NULL;
    const push_refusal *why = push_wanted(apps, push_str(key), request, &app);
    if (!why) {
        push_app_enter(app);
        why = push_let_in(app, request, weft_conn_handle(conn), &who);
        push_app_leave(app, NULL);
    }
    if (why) {
        push_count_code(push_counts_of(apps, app), why->code);
        refuse(conn, why);
        return;
    }
    weft_conn_set_user(conn, who);
    push_greeting(who, text);
    push_say(&(push_peer) {conn, NULL}, text, strlen(text));
    push_trace(app, "connected", who, (weft_text) {0}, (weft_text) {0});
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    push_conn *who = weft_conn_user(conn);
    if (who) /* else it is refused, and has not heard yet */
        push_on_message(&(push_peer) {conn, NULL}, who, message);
}

static void trace_closed(const push_conn *who, const weft_close_info *info) {
    char text[160];
    if (!app_traced())
        return;
    int len = snprintf(text, sizeof text, "%d %s", info->code, info->reason);
    push_trace(push_app_of(who), "disconnected", who, (weft_text) {0}, (weft_text) {text, (size_t)len});
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)user;
    if (weft_conn_is_stream(conn)) {
        push_xhr_closed(conn);
        return;
    }
    push_conn *who = weft_conn_user(conn);
    if (!who)
        return;
    trace_closed(who, info);
    push_app *app = push_app_of(who);
    if (info->code == 4201 && !info->by_peer)
        push_count_code(&app->counts, 4201);
    push_disconnect(who, push_app_enter(app), push_now_ms());
    push_app_leave(app, NULL);
}

push_app *push_client_enter(const weft_conn *conn, const push_conn **out_who) {
    const weft_route *route = weft_conn_route(conn);
    void *user = route && route->open == on_open ? weft_conn_user(conn) : NULL;
    if (!user)
        return NULL;
    const push_session *session = weft_conn_is_stream(conn) ? user : NULL;
    push_app *app = session ? session->app : push_app_of(user);
    push_app_enter(app);
    *out_who = session ? session->who : user;
    if (*out_who)
        return app;
    push_app_leave(app, NULL);
    return NULL;
}

int push_clients_add(weft_server *server, push_apps *apps, const char *path) {
    static const char *const anywhere[] = {"*", "null", NULL};
    weft_route route = {WEFT_ROUTE_INIT,
                        .path = path,
                        .user = apps,
                        .origins = anywhere, /* what may be done is a matter of signatures */
                        .limits = {.topics_max = WEFT_NONE, .ping_timeout_code = 4201},
                        .request = push_xhr_request,
                        .open = on_open,
                        .message = on_message,
                        .lost = push_xhr_lost,
                        .closed = on_closed};
    return weft_server_route(server, &route);
}
