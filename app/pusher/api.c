/*
 * /apps/ID/...: who it is for, whether it is signed, and which part of the API it is.
 */
#include "app/pusher/api.h"

#include "app/pusher/routes.h"
#include "app/routes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REST_MAX = 600 };

void push_refuse(push_call *call, int status, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    call->answered = true;
    if (call->counts)
        push_count_answer(call->counts, status);
    app_reply(call->request, status, "text/plain; charset=utf-8", text, strlen(text));
}

void push_answer(push_call *call) {
    if (call->out.failed) {
        push_refuse(call, 503, "out of memory");
        return;
    }
    if (call->writes) {
        push_answer_stored(call);
        return;
    }
    call->answered = true;
    if (call->counts)
        push_count_answer(call->counts, 200);
    app_reply(call->request, 200, "application/json", call->out.data, call->out.len);
}

unsigned push_info_of(weft_text words) {
    static const char *const known[] = {"user_count", "subscription_count", "cache"};
    unsigned info = 0;
    for (size_t at = 0, end; at < words.len; at = end + 1) {
        for (end = at; end < words.len && words.data[end] != ',';)
            end++;
        for (unsigned i = 0; i < 3; i++)
            if (push_text_equal((weft_text) {words.data + at, end - at}, push_str(known[i])))
                info |= 1u << i;
    }
    return info;
}

static bool method_is(const push_call *call, const char *method) {
    weft_text is = weft_request_method(call->request);
    return push_text_equal(is, push_str(method)) ||
           (strcmp(method, "GET") == 0 && push_text_equal(is, push_str("HEAD")));
}

/* The part between a prefix and a suffix of `rest`; data NULL: it is made otherwise. A user's id may have slashes. */
static weft_text between(const char *rest, const char *prefix, const char *suffix) {
    size_t len = strlen(rest), before = strlen(prefix), after = strlen(suffix);
    if (len <= before + after || strncmp(rest, prefix, before) != 0 || strcmp(rest + len - after, suffix) != 0)
        return (weft_text) {NULL, 0};
    return (weft_text) {rest + before, len - before - after};
}

/* 405 when the method is another. */
static bool wants(push_call *call, const char *method) {
    if (method_is(call, method))
        return true;
    char text[64];
    int len = snprintf(text, sizeof text, "%s is what this path takes", method);
    weft_header headers[] = {{"Allow", strcmp(method, "GET") == 0 ? "GET, HEAD" : method},
                             {"Content-Type", "text/plain; charset=utf-8"}};
    call->answered = true;
    app_log_request(call->request, 405);
    weft_request_reply_with(call->request, 405, headers, 2, (weft_text) {text, (size_t)len});
    return false;
}

static void dispatch(push_call *call) {
    const char *rest = call->rest;
    weft_text part;
    if (strcmp(rest, "events") == 0) {
        if (wants(call, "POST"))
            push_api_events(call);
    } else if (strcmp(rest, "batch_events") == 0) {
        if (wants(call, "POST"))
            push_api_batch(call);
    } else if (strcmp(rest, "channels") == 0) {
        if (wants(call, "GET"))
            push_api_channels(call);
    } else if ((part = between(rest, "channels/", "/users")).data) {
        if (wants(call, "GET"))
            push_api_users(call, part);
    } else if ((part = between(rest, "channels/", "/history")).data) {
        if (wants(call, "GET"))
            push_api_history(call, part);
    } else if ((part = between(rest, "channels/", "")).data) {
        if (wants(call, "GET"))
            push_api_channel(call, part);
    } else if ((part = between(rest, "users/", "/terminate_connections")).data) {
        if (wants(call, "POST"))
            push_api_terminate(call, part);
    } else {
        push_refuse(call, 404, "There is no such thing in the API");
    }
}

static void on_request(weft_request *request, void *user) {
    push_apps *apps = user;
    push_call call = {.request = request};
    char path[REST_MAX];
    if (weft_request_tail(request, path, sizeof path) != WEFT_OK) {
        push_refuse(&call, 400, "This path cannot be read: a bad escape, or too long");
        return;
    }
    size_t id_len = strcspn(path, "/");
    call.app = push_apps_by_id(apps, (weft_text) {path, id_len});
    call.rest = path[id_len] ? path + id_len + 1 : "";
    if (!call.app) {
        push_refuse(&call, 404, "Unknown app %.*s", (int)(id_len < 64 ? id_len : 64), path);
        return;
    }
    call.counts = &call.app->counts;
    push_settings *settings = push_app_settings(call.app);
    call.settings = settings;
    if (push_authorized(&call)) {
        if (settings->enabled)
            dispatch(&call);
        else
            push_refuse(&call, 403, "This app is disabled");
    }
    push_drop_writes(&call);
    push_text_free(&call.out);
    push_settings_unref(settings);
}

int push_api_add(weft_server *server, push_apps *apps, const char *path) {
    return weft_server_route(server,
                             &(weft_route) {WEFT_ROUTE_INIT, .path = path, .user = apps, .request = on_request});
}
