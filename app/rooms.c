/*
 * Rooms. A room is a topic, "rooms/NAME"; whoever connects to /rooms/NAME is subscribed to it, what it sends
 * is published to the others, and the hub keeps the last messages for those who come later.
 *
 *      /rooms/NAME?echo=1&last=50&token=…     WebSocket: join
 *      POST /rooms/NAME                       publish the body
 *      GET /rooms                             list
 *      /echo                                  WebSocket: every message comes back
 */
#include "app/log.h"
#include "app/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ROOM_PREFIX "rooms/"

enum { NAME_MAX_BYTES = 200 - (sizeof ROOM_PREFIX - 1) };

/* What a member carries; its connection's user pointer. */
typedef struct member {
    bool echo;
    uint32_t last;
    char peer[64]; /* for the log; empty when nothing is logged */
    char topic[];  /* "rooms/NAME" */
} member;

static bool name_ok(const char *name) {
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;");
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0; /* browsers resolve them out of a path */
    return len > 0 && len <= NAME_MAX_BYTES && name[len] == '\0' && !dots;
}

/* "rooms/NAME" from the path behind "/rooms/". False: answered with 400. */
static bool room_topic(weft_request *request, char *topic, size_t cap) {
    static const char prefix[] = ROOM_PREFIX;
    memcpy(topic, prefix, sizeof prefix);
    char *name = topic + sizeof prefix - 1;
    if (weft_request_tail(request, name, cap - (sizeof prefix - 1)) == WEFT_OK && name_ok(name))
        return true;
    app_reply_text(request, 400, "a room's name is 1 to 194 characters of A-Z a-z 0-9 _ - = @ , . ;\n");
    return false;
}

/* The token may come as ?token= (browsers cannot set headers) or as a bearer. False: answered with 401. */
static bool token_ok(weft_request *request, const char *token) {
    if (!token)
        return true;
    char param[512];
    weft_text bearer = weft_request_header(request, "Authorization");
    static const char scheme[] = "Bearer ";
    bool given = weft_request_param(request, "token", param, sizeof param) == WEFT_OK &&
                 weft_text_equal_secret((weft_text) {param, strlen(param)}, token);
    if (!given && bearer.len >= sizeof scheme - 1 && strncasecmp(bearer.data, scheme, sizeof scheme - 1) == 0)
        given = weft_text_equal_secret((weft_text) {bearer.data + sizeof scheme - 1, bearer.len - (sizeof scheme - 1)},
                                       token);
    if (given)
        return true;
    static const char text[] = "a token is needed: ?token=... or Authorization: Bearer ...\n";
    weft_header headers[] = {{"Content-Type", "text/plain; charset=utf-8"}, {"WWW-Authenticate", "Bearer"}};
    app_log_request(request, 401);
    weft_request_reply_with(request, 401, headers, 2, (weft_text) {text, sizeof text - 1});
    return false;
}

/* ?last=N: false when it is there and is no number. */
static bool last_param(const weft_request *request, uint32_t *out_last) {
    char text[16], *end;
    *out_last = 0;
    int got = weft_request_param(request, "last", text, sizeof text);
    if (got == WEFT_ESTALE)
        return true;
    if (got != WEFT_OK || text[0] < '0' || text[0] > '9')
        return false;
    unsigned long value = strtoul(text, &end, 10);
    *out_last = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    return *end == '\0';
}

static bool flag_param(const weft_request *request, const char *name) {
    char text[8];
    return weft_request_param(request, name, text, sizeof text) == WEFT_OK && strcmp(text, "1") == 0;
}

static void on_join(weft_request *request, void *user) {
    const app_config *config = user;
    char topic[sizeof ROOM_PREFIX + 600];
    uint32_t last;
    if (!token_ok(request, config->token) || !room_topic(request, topic, sizeof topic))
        return;
    if (!last_param(request, &last)) {
        app_reply_text(request, 400, "last= takes a number\n");
        return;
    }
    member *m = malloc(sizeof *m + strlen(topic) + 1);
    if (!m) {
        app_reply_text(request, 503, "out of memory\n");
        return;
    }
    m->echo = flag_param(request, "echo");
    m->last = last;
    snprintf(m->peer, sizeof m->peer, "%s", app_log_wants(APP_DEBUG) ? weft_request_peer(request) : "");
    strcpy(m->topic, topic);
    weft_request_set_user(request, m);
    if (weft_request_accept(request, NULL, NULL, 0) != WEFT_OK)
        free(m);
}

static void log_conn(const char *event, const char *peer, const char *where, const weft_close_info *info) {
    if (!app_log_wants(APP_DEBUG))
        return;
    char code[16];
    snprintf(code, sizeof code, "%d", info ? info->code : 101);
    app_log(APP_DEBUG, event, "peer", peer, "path", where, "code", code, "reason", info ? info->reason : "", "why",
            info && info->rule ? info->rule : "", NULL);
}

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    member *m = weft_conn_user(conn);
    log_conn("joined", m->peer, m->topic, NULL);
    if (weft_conn_subscribe(conn, m->topic, m->last) != WEFT_OK)
        weft_conn_close(conn, WEFT_CLOSE_INTERNAL, "the room cannot be joined");
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    member *m = weft_conn_user(conn);
    int got = m->echo ? weft_publish(weft_conn_server(conn), m->topic, message.kind, message.data, message.len)
                      : weft_conn_publish(conn, m->topic, message.kind, message.data, message.len);
    if (got == WEFT_ENOMEM) /* never lose a message in silence */
        weft_conn_close(conn, WEFT_CLOSE_TRY_LATER, "the message could not be passed on");
}

/* The request was accepted, and then its connection was gone. */
static void on_lost(void *accepted, void *user) {
    (void)user;
    free(accepted);
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)user;
    member *m = weft_conn_user(conn);
    log_conn("left", m->peer, m->topic, info);
    free(m);
}

/* ---- plain HTTP ---- */

static bool is_octets(const weft_request *request) {
    weft_text type = weft_request_header(request, "Content-Type");
    static const char octets[] = "application/octet-stream";
    return type.len >= sizeof octets - 1 && strncasecmp(type.data, octets, sizeof octets - 1) == 0;
}

/* What only a WebSocket may ask for. RFC 9110 7.8: an Upgrade field is named in Connection. */
static void upgrade_required(weft_request *request, const char *text) {
    weft_header headers[] = {
        {"Content-Type", "text/plain; charset=utf-8"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
    app_log_request(request, 426);
    weft_request_reply_with(request, 426, headers, 3, (weft_text) {text, strlen(text)});
}

static void on_room_request(weft_request *request, void *user) {
    const app_config *config = user;
    char topic[sizeof ROOM_PREFIX + 600];
    weft_text method = weft_request_method(request), body = weft_request_body(request);
    if (method.len != 4 || memcmp(method.data, "POST", 4) != 0) {
        if (app_want_get(request, "GET, HEAD, POST"))
            upgrade_required(request, "connect with a WebSocket, or POST a message\n");
        return;
    }
    if (!weft_request_origin_ok(request)) {
        app_reply_text(request, 403, "this origin may not publish here\n");
        return;
    }
    if (!token_ok(request, config->token) || !room_topic(request, topic, sizeof topic))
        return;
    if (body.len > config->message_bytes_max) {
        app_reply_text(request, 413, "the message is longer than --message-max\n");
        return;
    }
    weft_kind kind = !is_octets(request) && weft_utf8_valid(body.data, body.len) ? WEFT_TEXT : WEFT_BINARY;
    if (weft_publish(weft_request_server(request), topic, kind, body.data, body.len) == WEFT_OK)
        app_reply(request, 204, NULL, NULL, 0);
    else
        app_reply_text(request, 503, "the message could not be passed on\n");
}

static void on_list(weft_request *request, void *user) {
    const app_config *config = user;
    if (!app_want_get(request, "GET, HEAD"))
        return;
    size_t count;
    weft_topic_info *topics = weft_server_topics(weft_request_server(request), ROOM_PREFIX, &count);
    size_t cap = 64 + count * (NAME_MAX_BYTES + 96), at = 0;
    char *json = malloc(cap);
    if (!json) {
        weft_topics_free(topics);
        app_reply_text(request, 503, "out of memory\n");
        return;
    }
    at += (size_t)snprintf(json, cap, "{\"message_bytes_max\":%u,\"rooms\":[", config->message_bytes_max);
    for (size_t i = 0; i < count; i++) /* names need no escaping: name_ok */
        at += (size_t)snprintf(json + at, cap - at, "%s{\"name\":\"%s\",\"members\":%u,\"messages\":%llu}",
                               i ? "," : "", topics[i].name + sizeof ROOM_PREFIX - 1, topics[i].subscribers,
                               (unsigned long long)topics[i].messages);
    at += (size_t)snprintf(json + at, cap - at, "]}\n");
    app_reply(request, 200, "application/json", json, at);
    free(json);
    weft_topics_free(topics);
}

/* ---- echo ---- */

/* Only who is logged needs a name kept. */
static void echo_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)user;
    if (!app_log_wants(APP_DEBUG))
        return;
    weft_conn_set_user(conn, strdup(weft_request_peer(request)));
    log_conn("opened", weft_request_peer(request), "/echo", NULL);
}

static void echo_request(weft_request *request, void *user) {
    (void)user;
    if (app_want_get(request, "GET, HEAD"))
        upgrade_required(request, "connect with a WebSocket\n");
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
    log_conn("closed", peer ? peer : "", "/echo", info);
    free(peer);
}

int app_rooms_add(weft_server *server, const app_config *config) {
    const weft_route routes[] = {
        {WEFT_ROUTE_INIT, .path = "/rooms", .user = (void *)config, .request = on_list},
        {WEFT_ROUTE_INIT, .path = "/rooms/*", .user = (void *)config, .request = on_room_request, .upgrade = on_join,
         .open = on_open, .message = on_message, .lost = on_lost, .closed = on_closed},
        {WEFT_ROUTE_INIT, .path = "/echo", .request = echo_request, .open = echo_open, .message = echo_message,
         .closed = echo_closed},
    };
    int got = weft_server_history(server, ROOM_PREFIX, config->history_messages, config->history_bytes);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && got == WEFT_OK; i++)
        got = weft_server_route(server, &routes[i]);
    return got;
}
