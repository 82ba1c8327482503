/*
 * Whoever knows a session's id may receive its messages, and send in its name: the client has made it up, about 50 bits
 * of it, and there is no other proof in this protocol. What is done against a second one: while the first receives, he
 * is sent away with 4200 (pusher-js then comes again by another id), and nothing changes for the first. Pages of any
 * origin may ask, without credentials: what may be done is a matter of signatures, as with WebSockets.
 */
#include "app/pusher/fallback.h"

#include "app/pusher/connect.h"
#include "app/pusher/json.h"
#include "app/pusher/protocol.h"
#include "app/pusher/trace.h"
#include "app/routes.h"

#include <string.h>

enum { PATH_MAX_BYTES = 300, MESSAGES_MAX = 100 };

static const push_refusal in_use = {4200, "This session is in use: make up another id"};
static const push_refusal no_place = {4100, "Too many sessions have no request open: come again in a moment"};

/* ---- short answers ---- */

static void reply(weft_request *request, int status, const char *text) {
    weft_header headers[] = {{"Access-Control-Allow-Origin", "*"}, {"Content-Type", "text/plain; charset=utf-8"}};
    app_log_request(request, status);
    weft_request_reply_with(request, status, headers, text ? 2 : 1, text ? push_str(text) : (weft_text) {NULL, 0});
}

/* A browser asks beforehand, as the content is JSON. */
static void preflight(weft_request *request) {
    weft_header headers[] = {{"Allow", "POST, OPTIONS"},
                             {"Access-Control-Allow-Origin", "*"},
                             {"Access-Control-Allow-Methods", "POST"},
                             {"Access-Control-Allow-Headers", "Content-Type"},
                             {"Access-Control-Max-Age", "600"}};
    app_log_request(request, 204);
    weft_request_reply_with(request, 204, headers, 5, (weft_text) {NULL, 0});
}

static void refuse_method(weft_request *request) {
    static const char text[] = "POST is what this path takes\n";
    weft_header headers[] = {{"Allow", "POST, OPTIONS"},
                             {"Access-Control-Allow-Origin", "*"},
                             {"Content-Type", "text/plain; charset=utf-8"}};
    app_log_request(request, 405);
    weft_request_reply_with(request, 405, headers, 3, (weft_text) {text, sizeof text - 1});
}

/* RFC 9110 7.8: an Upgrade field is named in Connection. */
static void want_upgrade(weft_request *request) {
    static const char text[] = "clients connect with a WebSocket; docs/PUSHER.md tells more\n";
    weft_header headers[] = {
        {"Content-Type", "text/plain; charset=utf-8"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
    app_log_request(request, 426);
    weft_request_reply_with(request, 426, headers, 3, (weft_text) {text, sizeof text - 1});
}

/* As a WebSocket is refused: it opens, hears of it, and is closed. */
static void refuse(weft_request *request, const push_refusal *why) {
    push_text error = {0}, frames = {0};
    push_put_error(&error, why->code, why->text);
    push_put_str(&frames, "o{}\n");
    push_frame_message(&frames, (weft_text) {error.data, error.len});
    push_frame_close(&frames, why->code, why->text);
    if (error.failed || frames.failed)
        reply(request, 503, "out of memory\n");
    else
        push_xhr_reply(request, (weft_text) {frames.data, frames.len});
    push_text_free(&error);
    push_text_free(&frames);
}

/* ---- to receive ---- */

static const push_refusal *begin(push_app *app, weft_text id, const weft_request *request, push_session **out) {
    char text[PUSH_GREETING_BYTES];
    push_conn *who = NULL;
    const push_refusal *why = push_session_has_place(app) ? push_let_in(app, request, 0, &who) : &no_place;
    if (why)
        return why;
    push_greeting(who, text);
    *out = push_session_new(app, id, who);
    if (!*out) {
        push_disconnect(who, &app->effects, push_now_ms());
        return &push_over_capacity;
    }
    push_session_say(*out, text, strlen(text));
    push_trace(app, "connected", who, (weft_text) {0}, push_str("without WebSocket"));
    return NULL;
}

static void let_go(push_session *s) {
    push_app *app = s->app;
    push_app_enter(app);
    push_session_unref(s);
    push_app_leave(app, NULL);
}

static void open_stream(weft_request *request, push_session *s) {
    weft_request_set_user(request, s);
    app_log_request(request, 200);
    if (weft_request_stream(request, 200, push_xhr_headers, PUSH_XHR_HEADERS) != WEFT_OK)
        push_xhr_lost(s, NULL);
}

static void receive(weft_request *request, push_apps *apps, const push_xhr *xhr) {
    push_app *app;
    push_session *s = NULL;
    const push_refusal *why = push_wanted(apps, xhr->key, request, &app);
    if (why) {
        push_count_code(push_counts_of(apps, app), why->code);
        refuse(request, why);
        return;
    }
    push_app_enter(app);
    s = push_session_find(&app->sessions, xhr->session);
    if (!s)
        why = begin(app, xhr->session, request, &s);
    bool asks = !why && push_session_asks(s), streams = asks && xhr->verb == PUSH_XHR_STREAM;
    if (streams)
        s->opening = true;
    else if (asks)
        push_session_poll(s, request);
    if (s && !streams)
        push_session_unref(s);
    push_app_leave(app, NULL);
    if (!asks && !why)
        why = &in_use;
    if (why)
        push_count_code(&app->counts, why->code);
    if (why)
        refuse(request, why);
    else if (streams)
        open_stream(request, s);
}

void push_xhr_open(weft_conn *conn) {
    push_session *s = weft_conn_user(conn);
    push_app_enter(s->app);
    push_session_open(s, weft_conn_handle(conn));
    push_app_leave(s->app, NULL);
}

void push_xhr_closed(weft_conn *conn) {
    push_session *s = weft_conn_user(conn);
    push_app_enter(s->app);
    push_session_closed(s, weft_conn_handle(conn));
    push_app_leave(s->app, NULL);
    let_go(s);
}

void push_xhr_lost(void *session, void *apps) {
    (void)apps;
    push_session *s = session;
    push_app_enter(s->app);
    s->opening = false;
    s->over = true;
    push_app_leave(s->app, NULL);
    let_go(s);
}

/* ---- to send ---- */

static bool all_texts(const json_t *array) {
    bool good = json_is_array(array) && json_array_size(array) <= MESSAGES_MAX;
    for (size_t i = 0; good && i < json_array_size(array); i++)
        good = json_is_string(json_array_get(array, i));
    return good;
}

/* Whether it may go on speaking: it has not been sent away. */
static bool hears(push_session *s) {
    push_app_enter(s->app);
    bool there = s->who && !s->closing && !s->over;
    s->heard_ms = push_now_ms();
    push_app_leave(s->app, NULL);
    return there;
}

static bool take_messages(push_session *s, const json_t *array) {
    push_peer peer = {NULL, s};
    pthread_mutex_lock(&s->turn);
    bool there = hears(s);
    for (size_t i = 0; there && i < json_array_size(array); i++) {
        const json_t *text = json_array_get(array, i);
        push_on_message(&peer, s->who,
                        (weft_message) {WEFT_TEXT, (const uint8_t *)json_string_value(text), json_string_length(text)});
        there = hears(s);
    }
    pthread_mutex_unlock(&s->turn);
    return there;
}

static void take(weft_request *request, push_apps *apps, const push_xhr *xhr) {
    push_app *app = push_apps_by_key(apps, xhr->key);
    json_t *array = push_json_parse(weft_request_body(request));
    push_session *s = NULL;
    if (app) {
        push_app_enter(app);
        s = push_session_find(&app->sessions, xhr->session);
        push_app_leave(app, NULL);
    }
    if (!s)
        reply(request, 404, "There is no such session\n");
    else if (!all_texts(array))
        reply(request, 400, "What is sent is a JSON array of at most 100 strings\n");
    else if (!take_messages(s, array))
        reply(request, 404, "This session has ended\n");
    else
        reply(request, 204, NULL);
    if (s)
        let_go(s);
    json_decref(array);
}

/* ---- which of them ---- */

static bool method_is(const weft_request *request, const char *method) {
    return push_text_equal(weft_request_method(request), push_str(method));
}

void push_xhr_request(weft_request *request, void *apps) {
    char path[PATH_MAX_BYTES];
    push_xhr xhr;
    if (weft_request_tail(request, path, sizeof path) != WEFT_OK || !push_xhr_parse(path, &xhr)) {
        if (method_is(request, "GET") || method_is(request, "HEAD"))
            want_upgrade(request);
        else
            reply(request, 404, "Clients connect to /app/KEY, or by HTTP to /pusher/app/KEY/NUMBER/RANDOM/xhr\n");
    } else if (method_is(request, "OPTIONS")) {
        preflight(request);
    } else if (!method_is(request, "POST")) {
        refuse_method(request);
    } else if (xhr.verb == PUSH_XHR_SEND) {
        take(request, apps, &xhr);
    } else if (weft_request_body(request).len > 0) { /* it would be kept for as long as a poll waits */
        reply(request, 400, "Who receives says nothing: messages are for xhr_send\n");
    } else {
        receive(request, apps, &xhr);
    }
}
