#include "app/admin/lists.h"

#include "app/pusher/routes.h"
#include "app/room.h"
#include "app/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/stats.h>

static void put_number(push_text *out, const char *name, uint64_t number) {
    push_put_str(out, ",\"");
    push_put_str(out, name);
    push_put_str(out, "\":");
    push_put_number(out, number);
}

static void put_string(push_text *out, const char *name, const char *value) {
    push_put_str(out, ",\"");
    push_put_str(out, name);
    push_put_str(out, "\":");
    push_put_quoted(out, push_str(value));
}

static void put_switch(push_text *out, const char *name, bool on) {
    push_put_str(out, ",\"");
    push_put_str(out, name);
    push_put_str(out, on ? "\":true" : "\":false");
}

/* Members are put with a comma before them; the first one's becomes the brace. */
static void end_object(push_text *out, size_t at) {
    if (!out->failed && out->len > at)
        out->data[at] = '{';
    push_put_str(out, "}");
}

void admin_put_stats(push_text *out, const weft_server *server) {
    weft_stats s;
    size_t at = out->len;
    weft_server_stats(server, &s);
    put_number(out, "connections", s.connections);
    put_number(out, "websockets", s.websockets);
    put_number(out, "streams", s.streams);
    put_number(out, "accepted", s.accepted);
    put_number(out, "messages_in", s.messages_in);
    put_number(out, "messages_out", s.messages_out);
    put_number(out, "bytes_in", s.bytes_in);
    put_number(out, "bytes_out", s.bytes_out);
    put_number(out, "published", s.published);
    put_number(out, "delivered", s.delivered);
    put_number(out, "queue_drops", s.queue_drops);
    put_number(out, "shed_connections", s.shed_connections);
    put_number(out, "memory_bytes", s.memory_bytes);
    put_number(out, "loop_lag_us", s.loop_lag_ns_max / 1000);
    end_object(out, at);
}

/* ---- apps ---- */

void admin_put_app(push_text *out, push_app *app) {
    size_t at = out->len;
    push_app_enter(app);
    const push_settings *s = app->settings;
    put_string(out, "id", app->id);
    put_string(out, "name", s->name);
    push_put_str(out, ",\"keys\":[");
    for (size_t i = 0; i < s->key_count; i++) {
        push_put_str(out, i > 0 ? "," : "");
        push_put_quoted(out, push_str(s->keys[i].key));
    }
    push_put_str(out, "]");
    put_switch(out, "enabled", s->enabled);
    put_switch(out, "client_events", s->client_events);
    put_switch(out, "subscription_count", s->subscription_count);
    put_switch(out, "require_tls", s->require_tls);
    put_switch(out, "by_api", s->by_api);
    put_number(out, "connections", app->state.conns.count);
    put_number(out, "channels", app->state.occupied);
    put_number(out, "users", app->state.users.count);
    push_app_leave(app, NULL);
    end_object(out, at);
}

static void see_app(void *out, push_app *app) {
    push_text *text = out;
    if (text->len > 0 && text->data[text->len - 1] == '}')
        push_put_str(text, ",");
    admin_put_app(text, app);
}

void admin_put_apps(push_text *out, push_apps *apps) {
    push_put_str(out, "[");
    push_apps_each(apps, see_app, out);
    push_put_str(out, "]");
}

/* ---- channels and rooms: the first so many of an order ---- */

typedef struct row {
    uint32_t subs, members;
    uint64_t messages;
    char name[PUSH_CHANNEL_NAME_MAX + 1];
} row;

typedef struct table {
    const admin_page *page;
    row *rows;
    uint32_t count;
    bool more;
} table;

static bool before(const table *t, const row *a, const row *b) {
    if (t->page->fullest && a->subs != b->subs)
        return a->subs > b->subs;
    return strcmp(a->name, b->name) < 0;
}

static bool table_init(table *t, const admin_page *page) {
    *t = (table) {.page = page, .rows = calloc(page->max, sizeof(row))};
    return t->rows != NULL;
}

/* Into its place; of one too many the last goes. */
static void add(table *t, const row *r) {
    if (strncmp(r->name, t->page->prefix, strlen(t->page->prefix)) != 0 || strcmp(r->name, t->page->after) <= 0)
        return;
    uint32_t at = t->count;
    if (t->count == t->page->max) {
        t->more = true;
        if (!before(t, r, &t->rows[--at]))
            return;
    } else {
        t->count++;
    }
    for (; at > 0 && before(t, r, &t->rows[at - 1]); at--)
        t->rows[at] = t->rows[at - 1];
    t->rows[at] = *r;
}

static bool table_put(table *t, push_text *out, bool rooms) {
    push_put_str(out, "[");
    for (uint32_t i = 0; i < t->count; i++) {
        const row *r = &t->rows[i];
        push_put_str(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        push_put_quoted(out, push_str(r->name));
        put_number(out, rooms ? "members" : "subscriptions", r->subs);
        if (rooms)
            put_number(out, "messages", r->messages);
        else if (push_kind_of(push_str(r->name)).access == PUSH_PRESENCE)
            put_number(out, "users", r->members);
        push_put_str(out, "}");
    }
    push_put_str(out, "]");
    free(t->rows);
    return t->more;
}

static void see_channel(void *context, const push_channel *channel) {
    row r = {.subs = channel->subs, .members = channel->member_count};
    memcpy(r.name, channel->name, channel->name_len);
    add(context, &r);
}

bool admin_put_channels(push_text *out, push_app *app, const admin_page *page) {
    table t;
    if (!table_init(&t, page)) {
        out->failed = true;
        return false;
    }
    push_app_channels(app, see_channel, &t);
    return table_put(&t, out, false);
}

static void see_room(void *context, const room_info *info) {
    row r = {.subs = info->members, .messages = info->messages};
    size_t len = strlen(info->name);
    memcpy(r.name, info->name, len < sizeof r.name ? len : sizeof r.name - 1);
    add(context, &r);
}

bool admin_put_rooms(push_text *out, const admin_page *page) {
    table t;
    if (!table_init(&t, page)) {
        out->failed = true;
        return false;
    }
    room_each(see_room, &t);
    return table_put(&t, out, true);
}

/* ---- connections ---- */

void admin_put_connection(push_text *out, weft_conn *conn) {
    char peer[64], id[24];
    if (out->len > 0 && out->data[out->len - 1] == '}')
        push_put_str(out, ",");
    size_t at = out->len;
    const room_member *member = room_member_on(conn);
    snprintf(id, sizeof id, "%llu", (unsigned long long)weft_conn_handle(conn));
    put_string(out, "id", id);
    put_string(out, "peer", weft_conn_peer(conn, peer, sizeof peer));
    put_string(out, "route", weft_conn_route(conn)->path);
    const push_conn *client;
    push_app *app = push_client_enter(conn, &client);
    if (app) {
        put_string(out, "app", app->id);
        put_string(out, "who", client->socket_id);
        put_number(out, "channels", client->sub_count);
        if (client->user) {
            push_put_str(out, ",\"user\":");
            push_put_quoted(out, (weft_text) {client->user->id, client->user->id_len});
        }
        push_app_leave(app, NULL);
    } else if (member) {
        const char *subject = room_bearer_subject(member->bearer);
        put_string(out, "app", APP_ROOMS);
        put_string(out, "who", member->peer);
        put_string(out, "room", member->name);
        if (subject) {
            push_put_str(out, ",\"user\":");
            push_put_quoted(out, push_str(subject));
        }
    }
    put_switch(out, "stream", weft_conn_is_stream(conn));
    put_switch(out, "deflate", weft_conn_deflates(conn));
    put_number(out, "queue_bytes", weft_conn_buffered(conn));
    put_number(out, "rtt_us", weft_conn_rtt_ns(conn) / 1000);
    end_object(out, at);
}
