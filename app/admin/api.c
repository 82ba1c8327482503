/*
 * The admin API. Every answer is JSON; what is wrong is {"error":"..."}.
 *
 *     GET     /admin/stats
 *     GET     /admin/apps                    POST: one more; id, key and secret are made up where they are not given
 *     GET     /admin/apps/ID                 PUT: other settings   DELETE: it is gone, and its clients are closed
 *     GET     /admin/apps/ID/channels        ?prefix= ?after= ?limit=
 *     POST    /admin/apps/ID/events          {"channel":..,"name":..,"data":..}
 *     DELETE  /admin/apps/ID/clients/SOCKET  ?code=4009
 *     GET     /admin/connections             ?after= ?limit=
 *     DELETE  /admin/connections/ID          ?code=4009
 *     GET     /admin/rooms                   ?prefix= ?after= ?limit=
 *     POST    /admin/rooms/NAME              publishes the body
 *
 * The secret comes in a header that no page of another origin can set without asking first, and asking (CORS) is never
 * answered: so nobody can be made to do anything here by visiting a page.
 */
#include "app/admin/admin.h"

#include "app/admin/call.h"
#include "app/admin/guard.h"
#include "app/admin/lists.h"
#include "app/log.h"
#include "app/pusher/api.h"
#include "app/pusher/pusher.h"
#include "app/pusher/trace.h"
#include "app/room.h"
#include "app/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DISCONNECT_CODE = 4009 };

/* ---- answers ---- */

/* `more`: a header that belongs to this status; NULL: none does. */
static void reply_json(weft_request *request, int status, const push_text *text, const weft_header *more) {
    static const char out_of_memory[] = "{\"error\":\"out of memory\"}";
    weft_header headers[] = {{"Content-Type", "application/json"},
                             {"Cache-Control", "no-store"},
                             {"X-Content-Type-Options", "nosniff"},
                             more ? *more : (weft_header) {NULL, NULL}};
    if (text->failed)
        status = 503;
    weft_text body =
        text->failed ? (weft_text) {out_of_memory, sizeof out_of_memory - 1} : (weft_text) {text->data, text->len};
    app_log_request(request, status);
    app_reply_with(request, status, headers, more ? 4 : 3, body);
}

void admin_answer(admin_call *c, int status) {
    reply_json(c->request, status, &c->out, NULL);
}

static void refuse_with(admin_call *c, int status, const char *why, const weft_header *more) {
    push_text_clear(&c->out);
    push_put_str(&c->out, "{\"error\":");
    push_put_quoted(&c->out, push_str(why));
    push_put_str(&c->out, "}");
    reply_json(c->request, status, &c->out, more);
}

void admin_refuse(admin_call *c, int status, const char *why) {
    refuse_with(c, status, why, NULL);
}

void admin_done(admin_call *c, const char *what, const char *with) {
    app_log(APP_INFO, "admin", "did", what, "with", with, "peer", weft_request_peer(c->request), NULL);
    push_put_str(&c->out, "{}");
    admin_answer(c, 200);
}

/* ---- what is asked ---- */

static bool may(admin_call *c) {
    static const char scheme[] = "Bearer ";
    static const weft_header bearers = {"WWW-Authenticate", "Bearer"}, later = {"Retry-After", "1"};
    size_t len = sizeof scheme - 1;
    weft_text bearer = weft_request_header(c->request, "Authorization");
    if (bearer.len <= len || strncasecmp(bearer.data, scheme, len) != 0) {
        refuse_with(c, 401, "the secret is needed: Authorization: Bearer ...", &bearers);
        return false;
    }
    switch (admin_guard((weft_text) {bearer.data + len, bearer.len - len}, weft_request_peer(c->request))) {
    case ADMIN_MAY:
        return true;
    case ADMIN_WRONG:
        refuse_with(c, 401, "this is not the secret", &bearers);
        return false;
    default:
        refuse_with(c, 429, "too many wrong secrets from this address", &later);
        return false;
    }
}

bool admin_is(const admin_call *c, const char *method) {
    return push_text_equal(weft_request_method(c->request), push_str(method));
}

void admin_wrong_method(admin_call *c, const char *allow) {
    refuse_with(c, 405, "this method is not for this path", &(weft_header) {"Allow", allow});
}

/* False: answered. */
static bool read_page(admin_call *c, admin_page *page, char prefix[201], char after[201]) {
    char limit[8];
    *page = (admin_page) {.prefix = prefix, .after = after, .max = ADMIN_PAGE_MAX};
    const char *names[] = {"prefix", "after", "limit"};
    char *outs[] = {prefix, after, limit};
    size_t caps[] = {201, 201, sizeof limit};
    for (int i = 0; i < 3; i++) {
        int got = weft_request_param(c->request, names[i], outs[i], caps[i]);
        if (got == WEFT_ESTALE) {
            outs[i][0] = '\0';
        } else if (got != WEFT_OK) {
            admin_refuse(c, 400, "a parameter is too long, or has a bad escape");
            return false;
        }
    }
    if (limit[0] == '\0')
        return true;
    char *end;
    unsigned long max = strtoul(limit, &end, 10);
    if (limit[0] < '0' || limit[0] > '9' || *end != '\0' || max < 1 || max > ADMIN_PAGE_MAX) {
        admin_refuse(c, 400, "limit= takes 1 to 100");
        return false;
    }
    page->max = (uint32_t)max;
    return true;
}

/* ---- channels and events ---- */

static void list(admin_call *c, const char *what, bool rooms) {
    char prefix[201], after[201];
    admin_page page;
    if (!admin_is(c, "GET")) {
        admin_wrong_method(c, "GET");
        return;
    }
    if (!read_page(c, &page, prefix, after))
        return;
    push_put_str(&c->out, "{\"");
    push_put_str(&c->out, what);
    push_put_str(&c->out, "\":");
    bool more = rooms ? admin_put_rooms(&c->out, &page) : admin_put_channels(&c->out, c->app, &page);
    push_put_str(&c->out, more ? ",\"more\":true}" : ",\"more\":false}");
    admin_answer(c, 200);
}

static bool good_event(admin_call *c, weft_text channel, weft_text name, weft_text data, uint32_t bytes_max) {
    const char *wrong = NULL;
    if (!channel.data || !push_channel_name_ok(channel))
        wrong = "channel: 1 to 200 of A-Z a-z 0-9 _ - = @ , . ;";
    else if (!name.data || !push_event_name_ok(name))
        wrong = "name: the event's, 1 to 200 bytes";
    else if (push_kind_of(channel).access == PUSH_ENCRYPTED)
        wrong = "this channel is encrypted: only who has its key can publish there";
    else if (!data.data)
        wrong = "data is missing: a string, or any other JSON";
    else if (data.len > bytes_max)
        wrong = "data is longer than this app allows";
    if (wrong)
        admin_refuse(c, 400, wrong);
    return !wrong;
}

/* One whose channel is kept in a store is answered when it is there. */
static void store_event(admin_call *c, const push_settings *settings, const push_event *event, app_past *log) {
    push_call call = {.request = c->request, .app = c->app, .settings = settings};
    push_put_str(&call.out, "{}");
    if (push_store_event(&call, event, (weft_text) {NULL, 0}, log))
        push_answer(&call);
    push_drop_writes(&call);
    push_text_free(&call.out);
}

static void publish_event(admin_call *c, const push_settings *settings, const push_event *event) {
    app_past *log;
    push_trace_event(c->app, "api_event", NULL, event);
    push_effects *e = push_app_enter(c->app);
    bool stores = push_stores(c->app, event->channel, &log);
    push_verdict got = stores ? PUSH_DONE : push_trigger(&c->app->state, event, NULL, e, push_now_ms());
    push_app_leave(c->app, NULL);
    if (stores)
        store_event(c, settings, event, log);
    else if (got == PUSH_NO_MEMORY)
        admin_refuse(c, 503, "out of memory");
    else
        admin_done(c, "publish", c->app->id);
}

void admin_publish(admin_call *c) {
    weft_text body = weft_request_body(c->request), raw = push_json_raw(body, "data");
    json_t *json = push_json_parse(body);
    push_settings *settings = push_app_settings(c->app);
    push_event event = {.channel = push_json_text(json, "channel")};
    weft_text name = push_json_text(json, "name");
    push_text text = {0};
    if (good_event(c, event.channel, name, raw, settings->limits.event_bytes)) {
        push_put_quoted(&text, name);
        size_t name_len = text.len;
        if (raw.data[0] == '"')
            push_put_text(&text, raw);
        else
            push_put_quoted(&text, raw); /* clients parse it again */
        event.name = (weft_text) {text.data, name_len};
        event.data = (weft_text) {text.data + name_len, text.len - name_len};
        if (text.failed)
            admin_refuse(c, 503, "out of memory");
        else
            publish_event(c, settings, &event);
    }
    push_text_free(&text);
    push_settings_unref(settings);
    json_decref(json);
}

static void publish_to_room(admin_call *c) {
    weft_text body = weft_request_body(c->request);
    if (!admin_is(c, "POST"))
        admin_wrong_method(c, "POST");
    else if (!room_name_ok(c->parts[1]))
        admin_refuse(c, 400, "a room's name is 1 to 194 characters of A-Z a-z 0-9 _ - = @ , . ;");
    else if (!weft_utf8_valid(body.data, body.len))
        admin_refuse(c, 400, "this is not UTF-8");
    else /* it answers */
        room_publish(c->parts[1], (weft_message) {WEFT_TEXT, (const uint8_t *)body.data, body.len}, c->request);
}

void admin_channels(admin_call *c) {
    list(c, "channels", false);
}

/* ---- connections ---- */

typedef struct walk {
    weft_request *request;
    push_text out;
} walk;

static bool visit(weft_conn *conn, void *user) {
    walk *w = user;
    admin_put_connection(&w->out, conn);
    return true;
}

static void visited(weft_server *server, weft_handle last, void *user) {
    walk *w = user;
    char next[40];
    (void)server;
    snprintf(next, sizeof next, last ? "],\"next\":\"%llu\"}" : "],\"next\":null}", (unsigned long long)last);
    push_put_str(&w->out, next);
    reply_json(w->request, 200, &w->out, NULL);
    weft_request_unref(w->request);
    push_text_free(&w->out);
    free(w);
}

static void list_connections(admin_call *c) {
    char prefix[201], after[201];
    admin_page page;
    if (!read_page(c, &page, prefix, after))
        return;
    walk *w = calloc(1, sizeof *w);
    if (!w) {
        admin_refuse(c, 503, "out of memory");
        return;
    }
    w->request = weft_request_ref(c->request);
    push_put_str(&w->out, "{\"connections\":[");
    weft_visit v = {WEFT_VISIT_INIT, .after = strtoull(after, NULL, 10), .max = page.max, .user = w, .visit = visit,
                    .done = visited};
    int got = weft_server_visit(c->apps->server, &v);
    if (got == WEFT_OK)
        return;
    weft_request_unref(w->request);
    push_text_free(&w->out);
    free(w);
    admin_refuse(c, got == WEFT_EINVAL ? 400 : 503,
                 got == WEFT_EINVAL ? "after= is no connection" : weft_status_text(got));
}

static const char by_admin[] = "closed by the administrator";

static int asked_code(const admin_call *c) {
    char code[8] = "";
    int got = weft_request_param(c->request, "code", code, sizeof code);
    return got == WEFT_ESTALE ? DISCONNECT_CODE : atoi(code);
}

static void say_closed(admin_call *c, int got, const char *who) {
    if (got == WEFT_OK)
        admin_done(c, "disconnect", who);
    else if (got == WEFT_ESTALE)
        admin_refuse(c, 404, "there is no such connection any more");
    else
        admin_refuse(c, 400, "code= takes what may stand in a close frame: 1000-1003, 1007-1014, 3000-4999");
}

static void disconnect(admin_call *c) {
    weft_handle handle = strtoull(c->parts[1], NULL, 10);
    say_closed(c, weft_handle_close(c->apps->server, handle, asked_code(c), by_admin), c->parts[1]);
}

void admin_send_away(admin_call *c) {
    say_closed(c, push_app_send_away(c->app, push_str(c->parts[3]), asked_code(c), by_admin), c->parts[3]);
}

/* ---- the paths ---- */

static void dispatch(admin_call *c) {
    const char *what = c->parts[0];
    bool all = c->parts[1][0] == '\0';
    if (strcmp(what, "apps") == 0) {
        admin_apps(c);
    } else if (c->parts[2][0] != '\0' || c->parts[3][0] != '\0') {
        admin_refuse(c, 404, "there is no such thing in the API");
    } else if (strcmp(what, "stats") == 0 && all) {
        if (!admin_is(c, "GET")) {
            admin_wrong_method(c, "GET");
            return;
        }
        admin_put_stats(&c->out, c->apps->server);
        admin_answer(c, 200);
    } else if (strcmp(what, "connections") == 0) {
        if (admin_is(c, all ? "GET" : "DELETE"))
            (all ? list_connections : disconnect)(c);
        else
            admin_wrong_method(c, all ? "GET" : "DELETE");
    } else if (strcmp(what, "rooms") == 0) {
        if (all)
            list(c, "rooms", true);
        else
            publish_to_room(c);
    } else {
        admin_refuse(c, 404, "there is no such thing in the API");
    }
}

static void on_request(weft_request *request, void *user) {
    admin_call c = {.request = request, .apps = user};
    if (may(&c)) {
        if (weft_request_tail(request, c.path, sizeof c.path) == WEFT_OK) {
            char *at = c.path;
            for (int i = 0; i < ADMIN_PARTS; i++) {
                c.parts[i] = at;
                at += strcspn(at, "/");
                if (*at == '/')
                    *at++ = '\0';
            }
            if (c.parts[ADMIN_PARTS - 1][0] == '\0')
                dispatch(&c);
            else
                admin_refuse(&c, 404, "there is no such thing in the API");
        } else {
            admin_refuse(&c, 400, "this path cannot be read: a bad escape, or too long");
        }
    }
    push_text_free(&c.out);
}

bool app_admin_add(weft_server *server, const app_config *config) {
    if (!app_has_console(config))
        return true;
    const char *file = config->admin_secret_file, *wrong = admin_guard_setup(config->admin_secret, file);
    if (wrong) {
        fprintf(stderr, "weft: --admin-secret%s: %s%s%s\n", file ? "-file" : "", file ? file : "", file ? ": " : "",
                wrong);
        return false;
    }
    weft_route api = {WEFT_ROUTE_INIT, .path = "/admin/*", .user = app_pusher_apps(), .request = on_request};
    if (weft_server_route(server, &api) == WEFT_OK && admin_stream_add(server) == WEFT_OK)
        return true;
    fprintf(stderr, "weft: cannot start: out of memory\n");
    return false;
}
