/*
 * What speaks WebSocket, and the routes of rooms: whoever connects to /rooms/NAME is in that room (room.h), and what it
 * sends goes to the others.
 *
 *      /rooms/NAME?echo=1&last=50&token=...     WebSocket: join
 *      /rooms/NAME?recover=EPOCH:OFFSET         the same in envelopes, from where one was
 *      GET, POST /rooms/NAME                    rooms_http.c
 *      GET /rooms                               list: with --jwt-keys, of what one may join
 *      /echo                                    WebSocket: every message comes back
 */
#include "app/rooms_http.h"

#include "app/log.h"
#include "app/routes.h"
#include "app/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool flag_param(const weft_request *request, const char *name) {
    char text[8];
    return weft_request_param(request, name, text, sizeof text) == WEFT_OK && strcmp(text, "1") == 0;
}

static void on_join(weft_request *request, void *user) {
    const app_config *config = user;
    room_member *m = room_member_of(request, config);
    if (!m)
        return;
    m->echo = flag_param(request, "echo");
    m->acks = m->form == ROOM_ENVELOPES && flag_param(request, "acks");
    weft_request_set_user(request, m);
    if (weft_request_accept(request, NULL, NULL, 0) != WEFT_OK)
        room_member_free(m);
}

/* `subject` NULL: nobody knows who it is. */
static void log_conn(const char *event, const char *peer, const char *where, const char *subject,
                     const weft_close_info *info) {
    if (!app_log_wants(APP_DEBUG))
        return;
    char code[16];
    snprintf(code, sizeof code, "%d", info ? info->code : 101);
    app_log(APP_DEBUG, event, "peer", peer, "path", where, "code", code, "reason", info ? info->reason : "", "why",
            info && info->rule ? info->rule : "", subject ? "sub" : NULL, subject, NULL);
}

static void trace(const room_member *m, const char *what) {
    if (app_traced())
        app_trace(
            &(app_happening) {.what = what, .app = APP_ROOMS, .who = m->peer, .channel = {m->name, strlen(m->name)}});
}

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    room_member *m = weft_conn_user(conn);
    log_conn("joined", m->peer, m->name, room_bearer_subject(m->bearer), NULL);
    room_bearer_opened(m->bearer, weft_conn_handle(conn));
    room_enter(conn, m);
    trace(m, "joined");
}

static void on_drained(weft_conn *conn, void *user) {
    (void)user;
    room_go_on(conn, weft_conn_user(conn));
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    room_member *m = weft_conn_user(conn);
    if (!m->publishes) {
        weft_conn_close(conn, ROOM_CLOSE_FORBIDDEN, "this token does not let you publish in this room");
        return;
    }
    int got = room_say(conn, m, message);
    if (got == WEFT_ELIMIT)
        weft_conn_close(conn, WEFT_CLOSE_TOO_BIG, "longer than the store may keep of a room");
    else if (got == WEFT_ENOMEM || got == WEFT_FULL) /* never lost in silence */
        weft_conn_close(conn, WEFT_CLOSE_TRY_LATER, "the message could not be passed on");
}

/* The request was accepted, and then its connection was gone. */
static void on_lost(void *accepted, void *user) {
    (void)user;
    room_member_free(accepted);
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)user;
    room_member *m = weft_conn_user(conn);
    log_conn("left", m->peer, m->name, room_bearer_subject(m->bearer), info);
    room_leave(m);
    trace(m, "left");
    room_member_free(m);
}

const room_member *room_member_on(const weft_conn *conn) {
    const weft_route *route = weft_conn_route(conn);
    return route && route->open == on_open ? weft_conn_user(conn) : NULL;
}

/* ---- the list ---- */

typedef struct row {
    uint32_t members;
    uint64_t messages;
    char name[ROOM_NAME_MAX + 1];
} row;

typedef struct list {
    const room_pass *pass; /* whose rooms */
    row *rows;
    size_t count, cap;
    bool failed;
} list;

static void add_row(void *context, const room_info *info) {
    list *l = context;
    if (!room_pass_may(l->pass, ROOM_JOIN, info->name))
        return;
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        row *rows = realloc(l->rows, cap * sizeof *rows);
        if (!rows) {
            l->failed = true;
            return;
        }
        l->rows = rows;
        l->cap = cap;
    }
    row *r = &l->rows[l->count++];
    r->members = info->members;
    r->messages = info->messages;
    snprintf(r->name, sizeof r->name, "%s", info->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const row *)a)->name, ((const row *)b)->name);
}

static void on_list(weft_request *request, void *user) {
    const app_config *config = user;
    room_pass pass = {.all = true};
    if (!app_want_get(request, "GET, HEAD") || (config->jwt_keys_file && !room_pass_of(request, &pass)))
        return;
    list l = {.pass = &pass};
    app_text json = {0};
    room_each(add_row, &l);
    room_pass_free(&pass);
    if (l.count > 0)
        qsort(l.rows, l.count, sizeof *l.rows, by_name);
    app_text_print(&json, "{\"message_bytes_max\":%u,\"rooms\":[", config->message_bytes_max);
    for (size_t i = 0; i < l.count; i++) /* names need no escaping: room_name_ok */
        app_text_print(&json, "%s{\"name\":\"%s\",\"members\":%u,\"messages\":%llu}", i ? "," : "", l.rows[i].name,
                       l.rows[i].members, (unsigned long long)l.rows[i].messages);
    app_text_add(&json, "]}\n", 3);
    if (l.failed || json.failed)
        app_reply_text(request, 503, "out of memory\n");
    else
        app_reply(request, 200, "application/json", json.data, json.len);
    app_text_free(&json);
    free(l.rows);
}

/* ---- echo ---- */

/* Only who is logged needs a name kept. */
static void echo_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)user;
    if (!app_log_wants(APP_DEBUG))
        return;
    weft_conn_set_user(conn, strdup(weft_request_peer(request)));
    log_conn("opened", weft_request_peer(request), "/echo", NULL, NULL);
}

static void echo_request(weft_request *request, void *user) {
    (void)user;
    if (app_want_get(request, "GET, HEAD"))
        room_upgrade_required(request, "connect with a WebSocket\n");
}

/* One answer for each message: the queue is never found full (weft/conn.h), so nothing is lost. */
static void echo_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    if (weft_conn_send(conn, message.kind, message.data, message.len) == WEFT_ENOMEM)
        weft_conn_close(conn, WEFT_CLOSE_TRY_LATER, "out of memory");
}

static void echo_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)user;
    char *peer = weft_conn_user(conn);
    log_conn("closed", peer ? peer : "", "/echo", NULL, info);
    free(peer);
}

int app_rooms_add(weft_server *server, const app_config *config, app_store *store) {
    const weft_route routes[] = {
        {WEFT_ROUTE_INIT, .path = "/rooms", .user = (void *)config, .request = on_list},
        {WEFT_ROUTE_INIT, .path = "/rooms/*", .user = (void *)config, .request = room_on_request, .upgrade = on_join,
         .open = on_open, .message = on_message, .drained = on_drained, .lost = on_lost, .closed = on_closed},
        {WEFT_ROUTE_INIT, .path = "/echo", .request = echo_request, .open = echo_open, .message = echo_message,
         .closed = echo_closed},
    };
    if (!room_setup(server, config, store) || !room_auth_setup(server))
        return WEFT_ENOMEM;
    int got = WEFT_OK;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && got == WEFT_OK; i++)
        got = weft_server_route(server, &routes[i]);
    return got;
}
