/*
 * Clients of Pusher Channels who say anything: three of them, whose messages are the input's own or such as a good
 * client sends, rightly signed, with names and data of the input. The library is played: what is sent and published
 * must be JSON, and who has joined a topic is who the state says is in the channel.
 *
 * An input: records of a kind (3 bits), a client (2 bits), a length, and so many bytes.
 */
#include "fuzz.h"

#include "app/pusher/json.h"
#include "app/pusher/protocol.h"
#include "app/pusher/sign.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY    "k"
#define SECRET "s"

enum { CLIENTS = 3, TOPICS_MAX = 64 };

typedef struct client {
    push_conn *who; /* NULL: has gone */
    char *topics[TOPICS_MAX];
    bool closed;
} client;

static client clients[CLIENTS];

/* ---- the library, as far as it is asked ---- */

size_t __wrap_weft_conn_buffered(const weft_conn *conn);
int __wrap_weft_conn_send(weft_conn *conn, weft_kind kind, const void *data, size_t len);
int __wrap_weft_conn_close(weft_conn *conn, int code, const char *reason);
int __wrap_weft_conn_subscribe(weft_conn *conn, const char *topic, size_t replay);
int __wrap_weft_conn_unsubscribe(weft_conn *conn, const char *topic);
int __wrap_weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                               weft_handle except);
int __wrap_weft_handle_close(weft_server *server, weft_handle handle, int code, const char *reason);

/* Without a limit of depth, for what one says is put into more. Surrogates, whole and half, are passed on as escapes:
 * here they are other characters. */
static json_t *parse(weft_text text) {
    char *copy = malloc(text.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    for (size_t i = 0; i + 2 < text.len; i++)
        if (copy[i] == '\\' && copy[i + 1] == 'u' && (copy[i + 2] | 32) == 'd')
            copy[i + 2] = '1';
    json_t *json = json_loadb(copy, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    free(copy);
    CHECK(json_is_object(json));
    return json;
}

static void check_text(const void *data, size_t len) {
    json_t *json = parse((weft_text) {data, len});
    const char *event = json_string_value(json_object_get(json, "event"));
    CHECK(event != NULL);
    if (strncmp(event, "pusher_internal:", 16) == 0) /* JSON within JSON */
        json_decref(parse(push_json_text(json, "data")));
    json_decref(json);
}

size_t __wrap_weft_conn_buffered(const weft_conn *conn) {
    (void)conn;
    return 0;
}

int __wrap_weft_conn_send(weft_conn *conn, weft_kind kind, const void *data, size_t len) {
    (void)conn;
    CHECK_EQ(kind, WEFT_TEXT);
    check_text(data, len);
    return WEFT_OK;
}

int __wrap_weft_conn_close(weft_conn *conn, int code, const char *reason) {
    (void)reason;
    CHECK(code == 4009);
    ((client *)(void *)conn)->closed = true;
    return WEFT_OK;
}

static char **place_of(client *c, const char *topic) {
    for (int i = 0; i < TOPICS_MAX; i++)
        if (c->topics[i] && strcmp(c->topics[i], topic) == 0)
            return &c->topics[i];
    return NULL;
}

int __wrap_weft_conn_subscribe(weft_conn *conn, const char *topic, size_t replay) {
    client *c = (client *)(void *)conn;
    int i = 0;
    CHECK(replay == 0 && strlen(topic) <= 255);
    if (place_of(c, topic)) {
        CHECK(strchr(topic, '!')); /* one who is watched twice */
        return WEFT_OK;
    }
    while (c->topics[i])
        CHECK(++i < TOPICS_MAX);
    c->topics[i] = strdup(topic);
    return WEFT_OK;
}

int __wrap_weft_conn_unsubscribe(weft_conn *conn, const char *topic) {
    char **place = place_of((client *)(void *)conn, topic);
    CHECK(place != NULL);
    free(*place);
    *place = NULL;
    return WEFT_OK;
}

int __wrap_weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                               weft_handle except) {
    (void)server, (void)kind;
    CHECK(strlen(topic) <= 255 && except <= CLIENTS);
    check_text(data, len);
    return WEFT_OK;
}

int __wrap_weft_handle_close(weft_server *server, weft_handle handle, int code, const char *reason) {
    (void)server, (void)code, (void)reason;
    CHECK(handle > 0 && handle <= CLIENTS);
    return WEFT_OK;
}

/* ---- clients ---- */

static weft_conn *conn_of(int i) {
    return (weft_conn *)(void *)&clients[i];
}

static void come(push_app *app, int i) {
    char id[32];
    snprintf(id, sizeof id, "%d.%d", i, i);
    clients[i].who = push_connect(&app->state, id, (weft_handle)i + 1);
    clients[i].closed = false;
    CHECK(clients[i].who != NULL);
}

static void go(push_app *app, int i) {
    for (int k = 0; k < TOPICS_MAX; k++) {
        free(clients[i].topics[k]);
        clients[i].topics[k] = NULL;
    }
    push_disconnect(clients[i].who, push_app_enter(app), 0);
    push_app_leave(app, NULL);
    clients[i].who = NULL;
}

static void say(int i, const char *data, size_t len) {
    uint8_t *exact = fuzz_exact(data, len);
    push_on_message(&(push_peer) {conn_of(i), NULL}, clients[i].who, (weft_message) {WEFT_TEXT, exact, len});
    free(exact);
}

/* Auth of these parts, and what else there is to say, as a message. */
static void say_signed(int i, const char *event, const push_text *to_sign, const push_text *more) {
    char hex[PUSH_SHA256_HEX];
    push_text out = {0};
    CHECK(push_hmac_hex(SECRET, to_sign->data, to_sign->len, hex));
    push_put_str(&out, "{\"event\":\"");
    push_put_str(&out, event);
    push_put_str(&out, "\",\"data\":{\"auth\":\"" KEY ":");
    push_put_str(&out, hex);
    push_put_str(&out, "\",");
    push_put_text(&out, (weft_text) {more->data, more->len});
    push_put_str(&out, "}}");
    say(i, out.data, out.len);
    push_text_free(&out);
}

/* "channel" or "channel user" of the input. */
static void say_subscribe(int i, weft_text words) {
    const char *space = memchr(words.data, ' ', words.len);
    weft_text channel = {words.data, space ? (size_t)(space - words.data) : words.len};
    push_text to_sign = {0}, more = {0}, data = {0};
    push_put_str(&to_sign, clients[i].who->socket_id);
    push_put_str(&to_sign, ":");
    push_put_text(&to_sign, channel);
    push_put_str(&more, "\"channel\":");
    push_put_quoted(&more, channel);
    if (space) { /* what stands behind the space is in place of the id: JSON or not */
        push_put_str(&data, "{\"user_id\":");
        push_put(&data, space + 1, words.len - channel.len - 1);
        push_put_str(&data, ",\"user_info\":{\"a\":1}}");
        push_put_str(&to_sign, ":");
        push_put(&to_sign, data.data, data.len);
        push_put_str(&more, ",\"channel_data\":");
        push_put_quoted(&more, (weft_text) {data.data, data.len});
    }
    say_signed(i, "pusher:subscribe", &to_sign, &more);
    push_text_free(&to_sign);
    push_text_free(&more);
    push_text_free(&data);
}

static void say_signin(int i, weft_text user_data) {
    push_text to_sign = {0}, more = {0};
    push_put_str(&to_sign, clients[i].who->socket_id);
    push_put_str(&to_sign, "::user::");
    push_put_text(&to_sign, user_data);
    push_put_str(&more, "\"user_data\":");
    push_put_quoted(&more, user_data);
    say_signed(i, "pusher:signin", &to_sign, &more);
    push_text_free(&to_sign);
    push_text_free(&more);
}

static void say_about(int i, const char *before, weft_text name, const char *after) {
    push_text out = {0};
    push_put_str(&out, before);
    push_put_quoted(&out, name);
    push_put_str(&out, after);
    say(i, out.data, out.len);
    push_text_free(&out);
}

static void publish(push_app *app, weft_text channel) {
    if (!push_channel_name_ok(channel))
        return;
    push_event event = {.channel = channel, .name = push_str("\"e\""), .data = push_str("\"d\"")};
    push_trigger(&app->state, &event, clients[0].who, push_app_enter(app), 0);
    push_app_leave(app, NULL);
}

/* Only text that is valid is handed on by the library. */
static void act(push_app *app, int kind, int i, weft_text text) {
    bool complete;
    if (fuzz_utf8_possible((const uint8_t *)text.data, text.len, &complete) < text.len || !complete)
        return;
    switch (kind) {
    case 0:
    case 1:
        say(i, text.data, text.len);
        break;
    case 2:
        say_subscribe(i, text);
        break;
    case 3:
        say_signin(i, text);
        break;
    case 4:
        say_about(i, "{\"event\":\"pusher:unsubscribe\",\"data\":{\"channel\":", text, "}}");
        break;
    case 5:
        say_about(i, "{\"event\":\"client-x\",\"data\":{},\"channel\":", text, "}");
        break;
    case 6:
        publish(app, text);
        break;
    default:
        go(app, i);
        come(app, i);
    }
}

static void check(const push_app *app) {
    CHECK(push_state_holds(&app->state));
    for (int i = 0; i < CLIENTS; i++) {
        uint32_t channels = 0;
        for (int k = 0; k < TOPICS_MAX; k++)
            channels += clients[i].topics[k] && clients[i].topics[k][2] != '!';
        CHECK_EQ(channels, clients[i].who->sub_count);
    }
}

static push_settings *make_settings(void) {
    push_settings *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    atomic_init(&s->refs, 1);
    s->name = strdup("fuzz");
    s->id = strdup("7");
    s->keys[0] = (push_key) {strdup(KEY), strdup(SECRET)};
    s->key_count = 1;
    s->enabled = s->client_events = s->subscription_count = true;
    s->limits = (push_limits) {.connections = 10,
                               .channels = 4,
                               .app_channels = 5,
                               .members = 2,
                               .member_bytes = 200,
                               .event_bytes = 100,
                               .client_events_second = 1000000,
                               .subscriptions_second = 1000000,
                               .watchlist = 3,
                               .cached_channels = 2,
                               .history_messages = 3,
                               .history_bytes = 1000};
    s->history = strdup("presence- private-cache-");
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    push_apps apps;
    CHECK(push_apps_init(&apps, NULL, NULL) && push_apps_set(&apps, make_settings()));
    apps.queue_bytes_max = 1 << 20;
    push_app *app = push_apps_by_key(&apps, push_str(KEY));
    for (int i = 0; i < CLIENTS; i++)
        come(app, i);
    while (in.len > 0) {
        uint8_t choice = fuzz_byte(&in);
        fuzz_input bytes = fuzz_take(&in, fuzz_byte(&in));
        int i = (choice >> 3) % CLIENTS;
        uint8_t *exact = fuzz_exact(bytes.data, bytes.len);
        act(app, choice & 7, i, (weft_text) {(const char *)exact, bytes.len});
        free(exact);
        check(app);
        if (clients[i].closed) {
            go(app, i);
            come(app, i);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        go(app, i);
    CHECK(app->state.occupied == 0 && app->state.users.count == 0 && app->state.conns.count == 0);
    push_apps_deinit(&apps);
    return 0;
}
