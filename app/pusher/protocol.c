/*
 * One message of a client: an object with "event", "data" and for its own events "channel". Whatever is wrong with it
 * is answered, and the connection stays, but for a signin that fails.
 */
#include "app/pusher/protocol.h"

#include "app/pusher/json.h"
#include "app/pusher/sign.h"
#include "app/pusher/trace.h"

#include <stdio.h>
#include <string.h>

/* A message under way. */
typedef struct asked {
    const push_peer *peer;
    push_conn *who;
    weft_text text; /* all of it */
    const json_t *message;
    json_t *data; /* a reference; NULL: it is no object */
} asked;

void push_put_error(push_text *out, int code, const char *text) {
    push_put_str(out, "{\"event\":\"pusher:error\",\"data\":{\"code\":");
    if (code)
        push_put_number(out, (uint64_t)code);
    else
        push_put_str(out, "null");
    push_put_str(out, ",\"message\":");
    push_put_quoted(out, push_str(text));
    push_put_str(out, "}}");
}

void push_say_error(const push_peer *peer, int code, const char *text) {
    push_text out = {0};
    push_put_error(&out, code, text);
    if (!out.failed)
        push_say(peer, out.data, out.len);
    push_text_free(&out);
}

static void say_error(const asked *a, int code, const char *text) {
    push_say_error(a->peer, code, text);
    push_count_code(&push_app_of(a->who)->counts, code);
    push_trace(push_app_of(a->who), "error", a->who, (weft_text) {0}, push_str(text));
}

static void say_refused(const asked *a, weft_text channel, push_denial denial, const char *why) {
    static const uint64_t statuses[PUSH_DENIALS] = {401, 400, 403};
    push_text out = {0};
    push_count_denied(&push_app_of(a->who)->counts, denial);
    push_put_str(&out, "{\"event\":\"pusher:subscription_error\",\"channel\":");
    push_put_quoted(&out, channel);
    push_put_str(&out, ",\"data\":{\"type\":\"");
    push_put_str(&out, push_denial_name(denial));
    push_put_str(&out, "\",\"error\":");
    push_put_quoted(&out, push_str(why));
    push_put_str(&out, ",\"status\":");
    push_put_number(&out, statuses[denial]);
    push_put_str(&out, "}}");
    if (!out.failed)
        push_say(a->peer, out.data, out.len);
    push_text_free(&out);
    push_trace(push_app_of(a->who), "refused", a->who, channel, push_str(why));
}

static void out_of_memory(const asked *a) {
    push_count_code(&push_app_of(a->who)->counts, 4100);
    push_shut(a->peer, 4100, "out of memory");
}

/* ---- signatures ---- */

/* Whether auth is "key:signature", with one of the app's keys and the text signed by its secret. */
static bool is_signed(const push_settings *settings, weft_text auth, push_text *text) {
    const char *colon = auth.data ? memchr(auth.data, ':', auth.len) : NULL;
    if (!colon || text->failed)
        return false;
    size_t key_len = (size_t)(colon - auth.data);
    const char *secret = push_settings_secret(settings, (weft_text) {auth.data, key_len});
    return secret && push_signed(secret, text->data, text->len, (weft_text) {colon + 1, auth.len - key_len - 1});
}

static bool subscription_is_signed(const asked *a, const push_settings *settings, weft_text channel, weft_text data) {
    push_text text = {0};
    push_put_str(&text, a->who->socket_id);
    push_put(&text, ":", 1);
    push_put_text(&text, channel);
    if (data.data) {
        push_put(&text, ":", 1);
        push_put_text(&text, data);
    }
    bool ok = is_signed(settings, push_json_text(a->data, "auth"), &text);
    push_text_free(&text);
    return ok;
}

static bool signin_is_signed(const asked *a, const push_settings *settings, weft_text user_data) {
    push_text text = {0};
    push_put_str(&text, a->who->socket_id);
    push_put_str(&text, "::user::");
    push_put_text(&text, user_data);
    bool ok = is_signed(settings, push_json_text(a->data, "auth"), &text);
    push_text_free(&text);
    return ok;
}

/* ---- subscribe ---- */

/* What channel_data says of a member. Texts are borrowed from it and from `id`. NULL, or what is wrong. */
static const char *read_member(weft_text data, uint32_t bytes_max, char id[PUSH_USER_ID_MAX + 1], push_want *want) {
    if (data.len > bytes_max)
        return "channel_data is longer than this app allows";
    json_t *json = push_json_parse(data);
    bool ok = push_json_id(data, json, "user_id", id, PUSH_USER_ID_MAX + 1) && push_user_id_ok(push_str(id));
    json_decref(json);
    if (!ok)
        return "channel_data needs a user_id: a string or a number, of 1 to 128 bytes";
    want->user_id = push_str(id);
    want->user_info = push_json_raw(data, "user_info");
    return NULL;
}

static void subscribe(const asked *a, const push_want *want) {
    push_app *app = push_app_of(a->who);
    push_verdict got = push_subscribe(a->who, want, push_app_enter(app), push_now_ms());
    push_app_leave(app, a->peer);
    char text[PUSH_CHANNEL_NAME_MAX + 64];
    if (got == PUSH_DONE)
        push_trace(app, "subscribed", a->who, want->channel, (weft_text) {0});
    switch (got) {
    case PUSH_AGAIN:
        snprintf(text, sizeof text, "Existing subscription to channel %.*s", (int)want->channel.len,
                 want->channel.data);
        say_error(a, 0, text);
        break;
    case PUSH_TOO_MANY_CHANNELS:
        say_refused(a, want->channel, PUSH_LIMIT_REACHED, "This connection is in as many channels as it may");
        break;
    case PUSH_APP_FULL:
        say_refused(a, want->channel, PUSH_LIMIT_REACHED, "This app has as many channels as it may");
        break;
    case PUSH_TOO_MANY_MEMBERS:
        say_refused(a, want->channel, PUSH_LIMIT_REACHED, "This channel has as many members as it may");
        break;
    case PUSH_TOO_FAST:
        say_refused(a, want->channel, PUSH_LIMIT_REACHED, "This connection subscribes more often than it may");
        break;
    case PUSH_NO_MEMORY:
        out_of_memory(a);
        break;
    default:
        break;
    }
}

static void say_unsigned(const asked *a, weft_text channel, bool with_data) {
    push_text why = {0};
    push_put_str(&why, "Invalid signature: auth must be KEY:SIGNATURE, the hex HMAC-SHA256 under the key's secret of ");
    push_put_str(&why, a->who->socket_id);
    push_put(&why, ":", 1);
    push_put_text(&why, channel);
    if (with_data)
        push_put_str(&why, ":channel_data");
    if (!why.failed)
        say_refused(a, channel, PUSH_AUTH_ERROR, why.data);
    push_text_free(&why);
}

/* Who is to join a presence channel: what was signed, or else the user who has signed in. */
static const char *member_of(const asked *a, const push_settings *settings, char *id, push_want *want) {
    weft_text data = push_json_text(a->data, "channel_data");
    if (data.data)
        return read_member(data, settings->limits.member_bytes, id, want);
    if (!a->who->user)
        return "A presence channel needs channel_data, or a user who has signed in";
    want->user_id = (weft_text) {a->who->user->id, a->who->user->id_len};
    if (a->who->user_info)
        want->user_info = push_str(a->who->user_info);
    return want->user_info.len > settings->limits.member_bytes ? "user_info is longer than this app allows" : NULL;
}

static void subscribe_signed(const asked *a, const push_settings *settings, push_want *want) {
    char id[PUSH_USER_ID_MAX + 1];
    weft_text data = push_json_text(a->data, "channel_data");
    if (!subscription_is_signed(a, settings, want->channel, data)) {
        say_unsigned(a, want->channel, data.data != NULL);
        return;
    }
    const char *wrong = push_kind_of(want->channel).access == PUSH_PRESENCE ? member_of(a, settings, id, want) : NULL;
    if (wrong)
        say_refused(a, want->channel, PUSH_AUTH_ERROR, wrong);
    else
        subscribe(a, want);
}

/* Where a client that returns was: "recover":{"epoch":"5f0c8e7d6b5a4930","offset":7}. Anything else is no place of
 * ours. */
static void read_place(const json_t *recover, push_want *want) {
    char text[APP_EPOCH_LEN + 24];
    weft_text epoch = push_json_text(recover, "epoch");
    const json_t *number = json_object_get(recover, "offset");
    double offset = json_is_number(number) ? json_number_value(number) : -1;
    want->returns = recover && !json_is_null(recover);
    if (epoch.len == APP_EPOCH_LEN && offset >= 0 && offset < 1e15 && offset == (double)(uint64_t)offset) {
        snprintf(text, sizeof text, "%.*s:%.0f", APP_EPOCH_LEN, epoch.data, offset);
        app_place_parse(text, &want->place);
    }
}

/* What there is room for in his queue, with a margin. Over it he would be closed, come back and be closed again. */
static size_t room_of(const asked *a) {
    size_t max = push_app_of(a->who)->apps->queue_bytes_max,
           used = a->peer->conn ? weft_conn_buffered(a->peer->conn) : 0;
    return used < max ? (max - used) / 2 + 1 : 1;
}

static void on_subscribe(const asked *a) {
    push_want want = {.channel = push_json_text(a->data, "channel"), .bytes_max = room_of(a)};
    read_place(json_object_get(a->data, "recover"), &want);
    if (!want.channel.data) {
        say_error(a, 0, "pusher:subscribe needs data with a channel");
        return;
    }
    if (!push_channel_name_ok(want.channel)) {
        say_refused(a, want.channel, PUSH_INVALID_CHANNEL, "A channel's name is 1 to 200 of A-Z a-z 0-9 _ - = @ , . ;");
        return;
    }
    push_access access = push_kind_of(want.channel).access;
    if (access == PUSH_PUBLIC) {
        subscribe(a, &want);
    } else if (access == PUSH_USER) {
        const push_user *user = a->who->user;
        if (user && push_text_equal((weft_text) {user->id, user->id_len}, push_channel_user(want.channel)))
            subscribe(a, &want);
        else
            say_refused(a, want.channel, PUSH_AUTH_ERROR, "This is the channel of a user who has to sign in first");
    } else {
        push_settings *settings = push_app_settings(push_app_of(a->who));
        subscribe_signed(a, settings, &want);
        push_settings_unref(settings);
    }
}

static void on_unsubscribe(const asked *a) {
    weft_text channel = push_json_text(a->data, "channel");
    if (!channel.data) {
        say_error(a, 0, "pusher:unsubscribe needs data with a channel");
        return;
    }
    push_app *app = push_app_of(a->who);
    push_unsubscribe(a->who, channel, push_app_enter(app), push_now_ms());
    push_app_leave(app, a->peer);
    push_trace(app, "unsubscribed", a->who, channel, (weft_text) {0});
}

/* ---- signin ---- */

static void not_authorized(const asked *a, const char *why) {
    say_error(a, 4009, why);
    push_shut(a->peer, 4009, "Connection not authorized");
}

/* The ids of the watchlist, as many as fit. True: there were more. NULs in them are no good, and left out. */
static bool read_watchlist(const json_t *json, weft_text *ids, size_t max, size_t *out_count) {
    const json_t *list = json_object_get(json, "watchlist");
    *out_count = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        weft_text id = {json_string_value(item), json_string_length(item)};
        if (!id.data || !push_user_id_ok(id))
            continue;
        if (*out_count == max)
            return true;
        ids[(*out_count)++] = id;
    }
    return false;
}

static void sign_in(const asked *a, const push_settings *settings, weft_text user_data) {
    enum { WATCHLIST_MAX = 1000 };
    weft_text ids[WATCHLIST_MAX];
    json_t *json = push_json_parse(user_data);
    push_signin who = {.id = push_json_text(json, "id"), .watchlist = ids, .user_data = user_data};
    if (!who.id.data || !push_user_id_ok(who.id)) {
        not_authorized(a, "user_data needs an id: a string of 1 to 128 bytes");
        json_decref(json);
        return;
    }
    who.info = push_json_raw(user_data, "user_info");
    bool more = read_watchlist(json, ids, settings->limits.watchlist, &who.watch_count);
    push_app *app = push_app_of(a->who);
    push_verdict got = push_sign_in(a->who, &who, push_app_enter(app));
    push_app_leave(app, a->peer);
    json_decref(json);
    if (got == PUSH_AGAIN)
        not_authorized(a, "A user has signed in on this connection already");
    else if (got == PUSH_DONE)
        push_trace(app, "signed_in", a->who, (weft_text) {0}, user_data);
    if (got == PUSH_NO_MEMORY)
        out_of_memory(a);
    else if (more)
        say_error(a, 4302, "The watchlist is longer than this app allows; its first users are watched");
}

static void on_signin(const asked *a) {
    push_settings *settings = push_app_settings(push_app_of(a->who));
    weft_text user_data = push_json_text(a->data, "user_data");
    if (!user_data.data || !signin_is_signed(a, settings, user_data))
        not_authorized(a,
                       "Invalid signature: auth must be KEY:SIGNATURE, the hex HMAC-SHA256 under the key's secret of "
                       "socket_id::user::user_data");
    else
        sign_in(a, settings, user_data);
    push_settings_unref(settings);
}

/* ---- client events ---- */

static const char *text_of(push_verdict verdict) {
    switch (verdict) {
    case PUSH_NOT_FOR_CLIENTS:
        return "Client event rejected: only private and presence channels have them";
    case PUSH_SWITCHED_OFF:
        return "Client event rejected: this app does not allow them";
    case PUSH_NOT_IN:
        return "Client event rejected: you are not in this channel";
    default:
        return "Client event rejected: you send more of them than you may in a second";
    }
}

static void on_client_event(const asked *a, weft_text name) {
    push_event event = {.channel = push_json_text(a->message, "channel"),
                        .name = push_json_raw(a->text, "event"),
                        .data = push_json_raw(a->text, "data")};
    if (!event.data.data)
        event.data = (weft_text) {"null", 4};
    push_app *app = push_app_of(a->who);
    push_effects *e = push_app_enter(app);
    push_verdict got = PUSH_NOT_IN;
    bool too_long = event.data.len > app->settings->limits.event_bytes;
    if (!too_long && push_event_name_ok(name) && event.channel.data && push_channel_name_ok(event.channel))
        got = push_client_event(a->who, &event, e, push_now_ms());
    push_app_leave(app, a->peer);
    if (got == PUSH_DONE)
        push_trace_event(app, "client_event", a->who, &event);
    if (too_long)
        say_error(a, 4301, "Client event rejected: its data is longer than this app allows");
    else if (got == PUSH_NO_MEMORY)
        out_of_memory(a);
    else if (got != PUSH_DONE)
        say_error(a, 4301, text_of(got));
}

/* ---- any message ---- */

/* The data as an object, also when it came as a string. */
static json_t *data_of(const json_t *message) {
    json_t *data = json_object_get(message, "data");
    if (json_is_string(data))
        return push_json_parse(push_json_text(message, "data"));
    return json_incref(data);
}

static void answer(asked *a) {
    weft_text name = push_json_text(a->message, "event");
    if (push_text_equal(name, push_str("pusher:ping"))) {
        static const char pong[] = "{\"event\":\"pusher:pong\",\"data\":\"{}\"}";
        push_say(a->peer, pong, sizeof pong - 1);
        return;
    }
    if (push_text_equal(name, push_str("pusher:pong")))
        return;
    if (name.data && push_event_of_client(name)) {
        on_client_event(a, name);
        return;
    }
    a->data = data_of(a->message);
    if (push_text_equal(name, push_str("pusher:subscribe")))
        on_subscribe(a);
    else if (push_text_equal(name, push_str("pusher:unsubscribe")))
        on_unsubscribe(a);
    else if (push_text_equal(name, push_str("pusher:signin")))
        on_signin(a);
    else
        say_error(a, 0, "Unsupported event: those of clients begin with client-");
    json_decref(a->data);
}

void push_on_message(const push_peer *peer, push_conn *who, weft_message message) {
    asked a = {.peer = peer, .who = who, .text = {(const char *)message.data, message.len}};
    json_t *json = message.kind == WEFT_TEXT ? push_json_parse(a.text) : NULL;
    a.message = json;
    if (json_is_object(json))
        answer(&a);
    else
        push_say_error(peer, 0, "A message is a JSON object of at most 32 levels, without duplicate keys");
    json_decref(json);
}
