/*
 *      GET /rooms/NAME   Accept: text/event-stream      server-sent events; Last-Event-ID or ?last_event_id= recovers
 *      GET /rooms/NAME?poll=EPOCH:OFFSET                what came behind it, or waits for that; "" tells where one is
 *      GET /rooms/NAME/history?since=EPOCH:OFFSET       what there is; without it the last ones
 *      POST /rooms/NAME                                 publishes the body
 *
 * Who may is the same for all: a token (room_auth.h), and an origin that is welcome (CORS lets its pages read the
 * answers).
 */
#include "app/rooms_http.h"

#include "app/log.h"
#include "app/room_auth.h"
#include "app/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HISTORY_LIMIT = 100 };

/* ---- what is asked for ---- */

/* The name, from the path behind "/rooms/" without `suffix`. False: answered with 400. */
static bool room_name(weft_request *request, const char *suffix, char *out, size_t cap) {
    size_t suffix_len = strlen(suffix);
    if (weft_request_tail(request, out, cap) == WEFT_OK && strlen(out) > suffix_len) {
        out[strlen(out) - suffix_len] = '\0';
        if (room_name_ok(out))
            return true;
    }
    room_refuse(request, 400, "a room's name is 1 to 194 characters of A-Z a-z 0-9 _ - = @ , . ;\n");
    return false;
}

/* Whether it may do this in the room that its path names without `suffix`. False: answered. */
static bool let_in(weft_request *request, room_right right, const char *suffix, char *out_name, size_t cap,
                   room_pass *out_pass) {
    if (!room_pass_of(request, out_pass))
        return false;
    if (room_name(request, suffix, out_name, cap) && room_pass_need(request, out_pass, right, out_name))
        return true;
    room_pass_free(out_pass);
    return false;
}

/* A parameter that is a number; 0 and true when it is not there. */
static bool number_param(const weft_request *request, const char *name, uint32_t *out_number) {
    char text[16], *end;
    *out_number = 0;
    int got = weft_request_param(request, name, text, sizeof text);
    if (got == WEFT_ESTALE)
        return true;
    if (got != WEFT_OK || text[0] < '0' || text[0] > '9')
        return false;
    unsigned long value = strtoul(text, &end, 10);
    *out_number = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    return *end == '\0';
}

/* A place: whoever gives none, or one of another form than ours, is new here. */
static bool place_param(const weft_request *request, const char *name, app_place *out_place) {
    char text[APP_EPOCH_LEN + 24];
    return weft_request_param(request, name, text, sizeof text) == WEFT_OK && app_place_parse(text, out_place);
}

static bool has_param(const weft_request *request, const char *name) {
    return weft_request_param(request, name, (char[1]) {0}, 1) != WEFT_ESTALE;
}

/* Names a type of content, whatever else. */
static bool accepts(const weft_request *request, const char *type) {
    weft_text accept = weft_request_header(request, "Accept");
    return accept.data && memmem(accept.data, accept.len, type, strlen(type)) != NULL;
}

static bool is_method(const weft_request *request, const char *method) {
    weft_text is = weft_request_method(request);
    return is.len == strlen(method) && memcmp(is.data, method, is.len) == 0;
}

/* Who it is: as its token says, and without one as it says itself; "" when nobody does. False: answered with 400. */
static bool who_is(weft_request *request, const room_pass *pass, char out_who[HERE_NAME_BYTES + 1]) {
    const char *subject = room_pass_subject(pass);
    snprintf(out_who, HERE_NAME_BYTES + 1, "%s", subject ? subject : "");
    if (!pass->all) /* where names are vouched for nobody makes up one */
        return true;
    int got = weft_request_param(request, "as", out_who, HERE_NAME_BYTES + 1);
    if (got == WEFT_ESTALE || (got == WEFT_OK && here_name_ok(out_who)))
        return true;
    room_refuse(request, 400, "as= takes a name: 1 to 160 bytes of UTF-8 without control characters\n");
    return false;
}

static room_member *new_member(const room_pass *pass, const char *name, const char *who) {
    room_member *m = calloc(1, sizeof *m);
    if (!m || !room_bearer_new(pass, &m->bearer)) {
        free(m);
        return NULL;
    }
    memcpy(m->name, name, strlen(name) + 1); /* room_name_ok has judged its length */
    m->publishes = room_pass_may(pass, ROOM_PUBLISH, name);
    if (!*who || (m->who = strdup(who)))
        return m;
    room_member_free(m);
    return NULL;
}

void room_member_free(room_member *member) {
    if (member) {
        room_bearer_free(member->bearer);
        free(member->who);
    }
    free(member);
}

room_member *room_member_of(weft_request *request, const app_config *config) {
    char name[ROOM_NAME_MAX + 600], who[HERE_NAME_BYTES + 1];
    uint32_t last;
    room_pass pass;
    if (!let_in(request, ROOM_JOIN, "", name, sizeof name, &pass))
        return NULL;
    room_member *m = NULL;
    if (!number_param(request, "last", &last))
        room_refuse(request, 400, "last= takes a number\n");
    else if (who_is(request, &pass, who) && !(m = new_member(&pass, name, who)))
        room_refuse(request, 503, "out of memory\n");
    room_pass_free(&pass);
    if (!m)
        return NULL;
    m->last = last;
    m->form = has_param(request, "recover") ? ROOM_ENVELOPES : ROOM_RAW;
    m->returns = place_param(request, "recover", &m->place);
    m->hears = m->form == ROOM_ENVELOPES && has_param(request, "here");
    snprintf(m->peer, sizeof m->peer, "%s",
             app_log_wants(APP_DEBUG) || app_has_console(config) ? weft_request_peer(request) : "");
    return m;
}

/* ---- to hear ---- */

static void serve_events(weft_request *request, const app_config *config) {
    char origin[ROOM_ORIGIN_BYTES], id[APP_EPOCH_LEN + 24];
    weft_header headers[5] = {{"Content-Type", "text/event-stream"},
                              {"Cache-Control", "no-store"},
                              {"X-Accel-Buffering", "no"}}; /* else nginx keeps it to itself */
    room_member *m = room_member_of(request, config);
    if (!m)
        return;
    weft_text last_id = weft_request_header(request, "Last-Event-ID");
    snprintf(id, sizeof id, "%.*s", (int)(last_id.len < sizeof id ? last_id.len : 0), last_id.data ? last_id.data : "");
    m->form = ROOM_EVENTS;
    m->hears = has_param(request, "here");
    m->returns = app_place_parse(id, &m->place) || place_param(request, "last_event_id", &m->place);
    size_t count = 3 + room_cors(request, origin, headers + 3);
    weft_request_set_user(request, m);
    app_log_request(request, 200);
    if (weft_request_stream(request, 200, headers, count) != WEFT_OK)
        room_member_free(m);
}

static void reply_json(weft_request *request, app_text *json, const char *why_not) {
    if (json->failed)
        room_reply(request, 503, "text/plain; charset=utf-8", (weft_text) {why_not, strlen(why_not)});
    else
        room_reply(request, 200, "application/json", (weft_text) {json->data, json->len});
    app_text_free(json);
}

static void serve_poll(weft_request *request, const char *name, const room_pass *pass) {
    char who[HERE_NAME_BYTES + 1], version[24];
    room_reading reading = {.ends_ms = pass->ends_ms, .hears = has_param(request, "here")};
    app_text json = {0};
    if (weft_request_body(request).len > 0) { /* it would be kept for as long as the poll */
        room_refuse(request, 400, "a poll has no body\n");
        return;
    }
    if (!number_param(request, "last", &reading.last)) {
        room_refuse(request, 400, "last= takes a number\n");
        return;
    }
    if (!who_is(request, pass, who))
        return;
    reading.who = *who ? who : NULL;
    reading.returns = place_param(request, "poll", &reading.place);
    if (weft_request_param(request, "here", version, sizeof version) == WEFT_OK)
        reading.version = strtoull(version, NULL, 10);
    if (room_read_or_park(name, &reading, request, &json))
        app_text_free(&json);
    else
        reply_json(request, &json, "too many are waiting already, or the store cannot be read\n");
}

static void serve_history(weft_request *request, const char *name) {
    room_reading reading = {0};
    app_text json = {0};
    if (!number_param(request, "limit", &reading.limit)) {
        room_refuse(request, 400, "limit= takes a number\n");
        return;
    }
    if (reading.limit == 0)
        reading.limit = HISTORY_LIMIT;
    reading.last = reading.limit;
    reading.returns = place_param(request, "since", &reading.place);
    room_read(name, &reading, &json);
    reply_json(request, &json, "out of memory, or the store cannot be read\n");
}

/* ---- to say something ---- */

static bool is_octets(const weft_request *request) {
    weft_text type = weft_request_header(request, "Content-Type");
    static const char octets[] = "application/octet-stream";
    return type.len >= sizeof octets - 1 && strncasecmp(type.data, octets, sizeof octets - 1) == 0;
}

static void publish(weft_request *request, const app_config *config, const char *name) {
    weft_text body = weft_request_body(request);
    if (body.len > config->message_bytes_max) {
        room_refuse(request, 413, "the message is longer than --message-max\n");
        return;
    }
    weft_kind kind = !is_octets(request) && weft_utf8_valid(body.data, body.len) ? WEFT_TEXT : WEFT_BINARY;
    room_publish(name, (weft_message) {kind, (const uint8_t *)body.data, body.len}, request);
}

/* ---- which of them ---- */

/* What only a WebSocket may ask for. RFC 9110 7.8: an Upgrade field is named in Connection. */
void room_upgrade_required(weft_request *request, const char *text) {
    weft_header headers[] = {
        {"Content-Type", "text/plain; charset=utf-8"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
    app_log_request(request, 426);
    weft_request_reply_with(request, 426, headers, 3, (weft_text) {text, strlen(text)});
}

/* A browser asks beforehand what a page of another origin may do (CORS). */
static void preflight(weft_request *request) {
    char origin[ROOM_ORIGIN_BYTES];
    weft_header headers[6] = {{"Allow", "GET, HEAD, POST, OPTIONS"},
                              {"Access-Control-Allow-Methods", "GET, POST"},
                              {"Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID"},
                              {"Access-Control-Max-Age", "600"}};
    size_t cors = room_cors(request, origin, headers + 4);
    app_log_request(request, 204);
    weft_request_reply_with(request, 204, headers, cors > 0 ? 4 + cors : 1, (weft_text) {NULL, 0});
}

/* A room's; one that is named "history" is a room. */
static bool asks_for_history(const weft_request *request) {
    static const char suffix[] = "/history";
    weft_text path = weft_request_path(request);
    return path.len >= sizeof "/" ROOM_PREFIX - 1 + sizeof suffix - 1 &&
           memcmp(path.data + path.len - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0;
}

void room_on_request(weft_request *request, void *user) {
    const app_config *config = user;
    char name[ROOM_NAME_MAX + 600];
    room_pass pass;
    bool says = is_method(request, "POST"), history = asks_for_history(request);
    bool polls = has_param(request, "poll"), streams = accepts(request, "text/event-stream");
    if (says && history) {
        app_want_get(request, "GET, HEAD, OPTIONS");
        return;
    }
    if (!says && !is_method(request, "OPTIONS")) {
        if (!app_want_get(request, "GET, HEAD, POST, OPTIONS"))
            return;
        if (!history && !polls && !streams) {
            room_upgrade_required(request, "connect with a WebSocket, or POST a message; docs/ROOMS.md tells more\n");
            return;
        }
    }
    if (!weft_request_origin_ok(request)) {
        room_refuse(request, 403, "this origin is not welcome here\n");
        return;
    }
    if (is_method(request, "OPTIONS")) {
        preflight(request);
        return;
    }
    if (!says && !history && !polls) {
        serve_events(request, config);
        return;
    }
    if (!let_in(request, says ? ROOM_PUBLISH : ROOM_JOIN, history ? "/history" : "", name, sizeof name, &pass))
        return;
    if (room_pass_subject(&pass))
        app_log(APP_DEBUG, "token", "peer", weft_request_peer(request), "room", name, "sub", room_pass_subject(&pass),
                NULL);
    if (says)
        publish(request, config, name);
    else if (history)
        serve_history(request, name);
    else
        serve_poll(request, name, &pass);
    room_pass_free(&pass);
}
