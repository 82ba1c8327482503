/*
 * Apps at run time. What a body says is read as the lines of a section of the config file: one set of rules for both.
 */
#include "app/admin/call.h"
#include "app/admin/lists.h"
#include "app/log.h"
#include "app/pusher/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { LINES_MAX = 64, NAME_MAX_BYTES = 64 };

/* The lines of a section, out of a JSON object. Values are kept in `texts`. */
typedef struct reading {
    push_line lines[LINES_MAX];
    size_t count;
    char *texts[LINES_MAX];
    char id[PUSH_APP_ID_MAX + 1], key[24], secret[48]; /* that are made up */
    const char *problem;
} reading;

static void add_line(reading *r, const char *name, const json_t *value) {
    char number[32];
    const char *text = json_string_value(value);
    if (json_is_number(value)) {
        snprintf(number, sizeof number, "%.0f", json_number_value(value));
        text = number;
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? "true" : "false";
    }
    if (!text || (json_is_string(value) && strlen(text) != json_string_length(value)))
        r->problem = "a setting is a string, a number, true or false, or an array of those";
    else if (strpbrk(text, "\r\n"))
        r->problem = "a setting is one line";
    else if (r->count == LINES_MAX)
        r->problem = "these are too many settings";
    else if (!(r->texts[r->count] = strdup(text)))
        r->problem = "out of memory";
    else
        r->lines[r->count] = (push_line) {name, r->texts[r->count]}, r->count++;
}

/* {"key":..,"secret":..}, with the key before its secret however they stand. */
static void add_pair(reading *r, const json_t *pair) {
    const json_t *key = json_object_get(pair, "key"), *secret = json_object_get(pair, "secret");
    if (!key || !secret)
        r->problem = "a key has its secret, and a secret its key";
    else
        add_line(r, "key", key), add_line(r, "secret", secret);
}

static void add_member(reading *r, const char *name, const json_t *value) {
    bool keys = strcmp(name, "keys") == 0;
    if (strcmp(name, "name") == 0 || strcmp(name, "key") == 0 || strcmp(name, "secret") == 0)
        return;
    if (!json_is_array(value)) {
        add_line(r, name, value);
        return;
    }
    for (size_t i = 0; i < json_array_size(value) && !r->problem; i++) {
        if (keys)
            add_pair(r, json_array_get(value, i));
        else
            add_line(r, name, json_array_get(value, i));
    }
}

/* NULL: there is none. */
static const char *line_of(const reading *r, const char *name) {
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->lines[i].name, name) == 0)
            return r->lines[i].value;
    return NULL;
}

static void add_text(reading *r, const char *name, const char *text) {
    if (r->count < LINES_MAX)
        r->lines[r->count++] = (push_line) {name, text};
}

static bool make_up(reading *r) {
    uint32_t random[9];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    if (!line_of(r, "id")) {
        snprintf(r->id, sizeof r->id, "%u", 100000 + random[0] % 900000);
        add_text(r, "id", r->id);
    }
    if (!line_of(r, "key")) {
        snprintf(r->key, sizeof r->key, "%08x%08x%04x", random[1], random[2], random[3] & 0xffff);
        snprintf(r->secret, sizeof r->secret, "%08x%08x%08x%08x", random[4], random[5], random[6], random[7]);
        add_text(r, "key", r->key);
        add_text(r, "secret", r->secret);
    }
    return true;
}

/* The keys of before, for settings that name none. */
static void keep_keys(reading *r, const push_settings *settings) {
    if (line_of(r, "key"))
        return;
    for (size_t i = 0; i < settings->key_count; i++) {
        add_text(r, "key", settings->keys[i].key);
        add_text(r, "secret", settings->keys[i].secret);
    }
}

static bool read_settings(admin_call *c, const json_t *json, reading *r) {
    const char *name;
    json_t *value;
    if (!json_is_object(json)) {
        r->problem = "the body is a JSON object of settings";
        return false;
    }
    if (json_object_get(json, "key") || json_object_get(json, "secret"))
        add_pair(r, json);
    json_object_foreach((json_t *)json, name, value) {
        if (r->problem)
            return false;
        add_member(r, name, value);
    }
    const json_t *title = json_object_get(json, "name");
    const char *id = line_of(r, "id");
    size_t title_len = json_string_length(title);
    if (r->problem)
        return false;
    if (title && (title_len < 1 || title_len > NAME_MAX_BYTES))
        r->problem = "name is a string of 1 to 64 bytes";
    else if (c->app && !id)
        add_text(r, "id", c->app->id);
    else if (c->app && strcmp(id, c->app->id) != 0)
        r->problem = "the id of an app never changes";
    else if (id && !c->app && push_apps_by_id(c->apps, push_str(id)))
        r->problem = "there is an app with this id already";
    return !r->problem;
}

/* Before the settings are given away. The secret is told this once, to who has made the app. */
static void put_made(admin_call *c, const push_settings *s) {
    push_put_str(&c->out, "{\"id\":");
    push_put_quoted(&c->out, push_str(s->id));
    push_put_str(&c->out, ",\"name\":");
    push_put_quoted(&c->out, push_str(s->name));
    push_put_str(&c->out, ",\"key\":");
    push_put_quoted(&c->out, push_str(s->keys[0].key));
    push_put_str(&c->out, ",\"secret\":");
    push_put_quoted(&c->out, push_str(s->keys[0].secret));
    push_put_str(&c->out, "}");
}

/* What the body asks for; NULL: `why` says what is wrong with it. */
static push_settings *make(admin_call *c, const json_t *json, char *why, size_t cap) {
    reading r = {.count = 0};
    push_settings *old = c->app ? push_app_settings(c->app) : NULL, *s = NULL;
    bool ok = read_settings(c, json, &r);
    if (ok && old)
        keep_keys(&r, old);
    if (!ok || (!old && !make_up(&r))) {
        snprintf(why, cap, "%s", r.problem ? r.problem : "there is no randomness");
    } else {
        const char *name = json_string_value(json_object_get(json, "name"));
        s = push_settings_make(name ? name : old ? old->name : "app", r.lines, r.count, why, cap);
    }
    if (s && s->webhooks.count > 0 && !c->apps->hooks) {
        snprintf(why, cap, "webhooks need a server with a config file (--config)");
        push_settings_unref(s);
        s = NULL;
    }
    for (size_t i = 0; i < LINES_MAX; i++)
        free(r.texts[i]);
    push_settings_unref(old);
    return s;
}

static void put_app(admin_call *c) {
    char why[160] = "";
    json_t *json = push_json_parse(weft_request_body(c->request));
    push_settings *s = make(c, json, why, sizeof why);
    if (s && !c->app)
        put_made(c, s);
    if (!s || !push_apps_put(c->apps, s, why, sizeof why)) {
        admin_refuse(c, 400, why);
    } else {
        app_log(APP_INFO, "admin", "did", c->app ? "change an app" : "make an app", "peer",
                weft_request_peer(c->request), NULL);
        if (c->app)
            admin_put_app(&c->out, c->app);
        admin_answer(c, c->app ? 200 : 201);
    }
    json_decref(json);
}

static void on_app(admin_call *c) {
    if (admin_is(c, "GET")) {
        admin_put_app(&c->out, c->app);
        admin_answer(c, 200);
    } else if (admin_is(c, "PUT")) {
        put_app(c);
    } else if (!admin_is(c, "DELETE")) {
        admin_wrong_method(c, "GET, PUT, DELETE");
    } else if (push_apps_remove(c->apps, push_str(c->app->id))) {
        admin_done(c, "remove an app", c->app->id);
    } else {
        admin_refuse(c, 503, "out of memory");
    }
}

void admin_apps(admin_call *c) {
    if (c->parts[1][0] == '\0') {
        if (admin_is(c, "POST")) {
            put_app(c);
        } else if (admin_is(c, "GET")) {
            push_put_str(&c->out, "{\"apps\":");
            admin_put_apps(&c->out, c->apps);
            push_put_str(&c->out, "}");
            admin_answer(c, 200);
        } else {
            admin_wrong_method(c, "GET, POST");
        }
        return;
    }
    const char *of = c->parts[2], *which = c->parts[3];
    c->app = push_apps_by_id(c->apps, push_str(c->parts[1]));
    if (!c->app)
        admin_refuse(c, 404, "there is no app with this id");
    else if (strcmp(of, "clients") == 0 && *which)
        (admin_is(c, "DELETE") ? admin_send_away(c) : admin_wrong_method(c, "DELETE"));
    else if (*which)
        admin_refuse(c, 404, "there is no such thing in the API");
    else if (*of == '\0')
        on_app(c);
    else if (strcmp(of, "channels") == 0)
        admin_channels(c);
    else if (strcmp(of, "events") != 0)
        admin_refuse(c, 404, "there is no such thing in the API");
    else if (admin_is(c, "POST"))
        admin_publish(c);
    else
        admin_wrong_method(c, "POST");
}
