/*
 * Random operations by many clients on many channels, against a model that is nothing but tables of who is where.
 * Effects are carried out on topics that are sets; each client folds what it is told into its own view. After each
 * operation every view must be what is true, and each event must have reached exactly those it was for. What webhooks
 * tell is true too, but for an end that happened just now.
 */
#include "test.h"

#include "app/pusher/json.h"
#include "app/pusher/pending.h"
#include "app/pusher/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 10,
    CHANNELS = 9,
    USERS = 6,
    TOPICS = CHANNELS + USERS,
    MEMBERS_MAX = 4,
    CHANNELS_MAX = 6,
    CACHED_MAX = 2
};
enum { CACHE_MS = 30 * 60 * 1000, EVENTS_PER_SECOND = 2, GRACE_MS = 3000 };

static const char *const channels[CHANNELS] = {"news",
                                               "cache-news",
                                               "private-a",
                                               "private-cache-b",
                                               "private-encrypted-c",
                                               "presence-one",
                                               "presence-cache-two",
                                               "private-encrypted-cache-d",
                                               "presence-three"};
static const char *const users[USERS] = {"anna", "bo\"b", "7", "otto", "\xc3\xa9va", "x"};

static bool is_presence(int channel) {
    return strncmp(channels[channel], "presence-", 9) == 0;
}

static bool is_cache(int channel) {
    return strstr(channels[channel], "cache-") != NULL;
}

/* ---- the truth ---- */

static struct {
    bool online[CLIENTS], in[CLIENTS][CHANNELS], signed_in[CLIENTS], watches[CLIENTS][USERS];
    int member[CLIENTS][CHANNELS], user[CLIENTS]; /* users, by number */
    int cached[CHANNELS];                         /* the event; 0: none */
    uint64_t cached_ms[CHANNELS];
    uint64_t cached_order[CHANNELS];
} truth;

static int subscriptions(int channel) {
    int count = 0;
    for (int i = 0; i < CLIENTS; i++)
        count += truth.in[i][channel];
    return count;
}

static bool has_member(int channel, int user) {
    for (int i = 0; i < CLIENTS; i++)
        if (truth.in[i][channel] && truth.member[i][channel] == user)
            return true;
    return false;
}

static int member_count(int channel) {
    int count = 0;
    for (int u = 0; u < USERS; u++)
        count += has_member(channel, u);
    return count;
}

static int channel_count(int client) {
    int count = 0;
    for (int c = 0; c < CHANNELS; c++)
        count += truth.in[client][c];
    return count;
}

static bool user_online(int user) {
    for (int i = 0; i < CLIENTS; i++)
        if (truth.signed_in[i] && truth.user[i] == user)
            return true;
    return false;
}

/* ---- what clients see, and the world of notes ---- */

typedef struct view {
    push_conn *conn;
    bool in[CHANNELS], member[CHANNELS][USERS];
    int count[CHANNELS]; /* as told; 0: not yet */
    bool online[USERS], known[USERS];
    bool signed_in;
    int event, events; /* the last one that was told in this operation, and how many */
    int event_channel;
    int from_cache, missed; /* in this operation */
} view;

static view views[CLIENTS];
static bool topics[TOPICS][CLIENTS];
static bool noted[CHANNELS], noted_member[CHANNELS][USERS];
static bool hooked[CHANNELS], hooked_member[CHANNELS][USERS];         /* as webhooks tell it */
static uint64_t ended_ms[CHANNELS], member_ended_ms[CHANNELS][USERS]; /* 0: never */
static int hooked_events;                                             /* of clients, in this operation */
static push_pending pending;
static int closes[CLIENTS];
static push_settings settings;
static push_state state;
static push_effects effects;
static uint64_t now_ms, seed;
static int serial;

static unsigned dice(unsigned sides) {
    return (unsigned)(test_random(&seed) >> 20) % sides;
}

static int channel_of(const char *name) {
    for (int c = 0; c < CHANNELS; c++)
        if (name && strcmp(channels[c], name) == 0)
            return c;
    test_fail(__FILE__, __LINE__, "no such channel: %s", name ? name : "(none)");
}

static int user_of(const char *id) {
    for (int u = 0; u < USERS; u++)
        if (id && strcmp(users[u], id) == 0)
            return u;
    test_fail(__FILE__, __LINE__, "no such user: %s", id ? id : "(none)");
}

static int topic_of(const char *topic) {
    CHECK(strncmp(topic, "7 ", 2) == 0);
    return topic[2] == '!' ? CHANNELS + user_of(topic + 3) : channel_of(topic + 2);
}

static void see_snapshot(view *v, int channel, const json_t *data) {
    CHECK(!v->in[channel]);
    v->in[channel] = true;
    v->count[channel] = 0;
    memset(v->member[channel], 0, sizeof v->member[channel]);
    if (!is_presence(channel))
        return;
    const json_t *presence = json_object_get(data, "presence"), *ids = json_object_get(presence, "ids");
    const json_t *hash = json_object_get(presence, "hash");
    CHECK_EQ(json_number_value(json_object_get(presence, "count")), json_array_size(ids));
    CHECK_EQ(json_object_size(hash), json_array_size(ids));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        CHECK(!v->member[channel][user_of(id)]);
        v->member[channel][user_of(id)] = true;
        CHECK_STR(json_string_value(json_object_get(json_object_get(hash, id), "is")), id);
    }
}

static void see_online(view *v, const json_t *data) {
    const json_t *events = json_object_get(data, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *one = json_array_get(events, i), *ids = json_object_get(one, "user_ids");
        for (size_t k = 0; k < json_array_size(ids); k++) {
            int user = user_of(json_string_value(json_array_get(ids, k)));
            bool online = strcmp(json_string_value(json_object_get(one, "name")), "online") == 0;
            CHECK(!v->known[user] || v->online[user] != online); /* it is told when it changes */
            v->known[user] = true;
            v->online[user] = online;
        }
    }
}

static void see_event(view *v, const json_t *message, const char *name, int channel) {
    CHECK(v->in[channel]);
    v->event = atoi(name + (strncmp(name, "client-", 7) == 0 ? 7 : 1));
    v->event_channel = channel;
    v->events++;
    const json_t *user = json_object_get(message, "user_id");
    CHECK_EQ(user != NULL, is_presence(channel) && name[0] == 'c');
}

/* A text that a client is told. */
static void see(view *v, const char *text, size_t len) {
    json_t *message = push_json_parse((weft_text) {text, len});
    CHECK(json_is_object(message));
    const char *name = json_string_value(json_object_get(message, "event"));
    weft_text inner = push_json_text(message, "data");
    json_t *data = inner.data ? push_json_parse(inner) : NULL;
    const char *channel_name = json_string_value(json_object_get(message, "channel"));
    int channel = channel_name ? channel_of(channel_name) : -1;
    if (strcmp(name, "pusher_internal:subscription_succeeded") == 0) {
        see_snapshot(v, channel, data);
    } else if (strcmp(name, "pusher_internal:member_added") == 0) {
        bool *there = &v->member[channel][user_of(json_string_value(json_object_get(data, "user_id")))];
        CHECK(v->in[channel] && !*there);
        *there = true;
    } else if (strcmp(name, "pusher_internal:member_removed") == 0) {
        bool *there = &v->member[channel][user_of(json_string_value(json_object_get(data, "user_id")))];
        CHECK(v->in[channel] && *there);
        *there = false;
    } else if (strcmp(name, "pusher_internal:subscription_count") == 0) {
        v->count[channel] = (int)json_number_value(json_object_get(data, "subscription_count"));
    } else if (strcmp(name, "pusher_internal:watchlist_events") == 0) {
        see_online(v, data);
    } else if (strcmp(name, "pusher:signin_success") == 0) {
        v->signed_in = true;
    } else if (strcmp(name, "pusher:cache_miss") == 0) {
        v->missed++;
    } else {
        see_event(v, message, name, channel);
    }
    json_decref(data);
    json_decref(message);
}

/* A webhook: each is a change of what was told before. */
static void see_hook(const push_happened *what) {
    char name[64], id[64];
    snprintf(name, sizeof name, "%.*s", (int)what->channel.len, what->channel.data);
    snprintf(id, sizeof id, "%.*s", (int)what->text.len, what->text.data);
    int channel = channel_of(name);
    bool begins = what->note == PUSH_OCCUPIED || what->note == PUSH_MEMBER_ADDED;
    bool *told = what->note == PUSH_OCCUPIED || what->note == PUSH_VACATED ? &hooked[channel]
                 : what->note <= PUSH_MEMBER_REMOVED                       ? &hooked_member[channel][user_of(id)]
                                                                           : NULL;
    if (told) {
        CHECK_EQ(*told, !begins);
        *told = begins;
    }
    hooked_events += what->note == PUSH_CLIENT_EVENT;
}

static void see_ends(void) {
    for (push_waiting *w; (w = push_pending_take(&pending, now_ms)); free(w))
        see_hook(&w->what);
}

static void see_note(const push_effect *e) {
    const char *text = effects.text.data + e->at;
    int channel = channel_of(effects.text.data + e->topic);
    char id[64];
    snprintf(id, sizeof id, "%.*s", (int)e->len, text);
    push_happened what = {(push_note)e->code, push_str(channels[channel]), {text, e->len}};
    if (push_pending_note(&pending, &what, now_ms + GRACE_MS))
        see_hook(&what);
    if (e->code == PUSH_VACATED)
        ended_ms[channel] = now_ms;
    else if (e->code == PUSH_MEMBER_REMOVED)
        member_ended_ms[channel][user_of(id)] = now_ms;
    switch ((push_note)e->code) {
    case PUSH_OCCUPIED:
    case PUSH_VACATED:
        CHECK_EQ(noted[channel], e->code == PUSH_VACATED);
        noted[channel] = !noted[channel];
        break;
    case PUSH_MEMBER_ADDED:
    case PUSH_MEMBER_REMOVED:
        CHECK_EQ(noted_member[channel][user_of(id)], e->code == PUSH_MEMBER_REMOVED);
        noted_member[channel][user_of(id)] = e->code == PUSH_MEMBER_ADDED;
        break;
    default:
        break;
    }
}

/* `self` is the client that acts, or -1. */
static void carry_out(int self) {
    CHECK(push_effects_ok(&effects));
    for (size_t i = 0; i < effects.count; i++) {
        const push_effect *e = &effects.items[i];
        const char *text = effects.text.data + e->at;
        int topic = e->kind <= PUSH_PUBLISH && e->kind != PUSH_SEND ? topic_of(effects.text.data + e->topic) : 0;
        switch (e->kind) {
        case PUSH_JOIN:
            if (e->len > 0)
                see(&views[self], text, e->len);
            topics[topic][self] = true;
            break;
        case PUSH_LEAVE:
            CHECK(topics[topic][self]);
            topics[topic][self] = views[self].in[topic] = false;
            break;
        case PUSH_SEND: {
            int before = views[self].events;
            see(&views[self], text, e->len);
            views[self].from_cache += views[self].events - before;
            break;
        }
        case PUSH_PUBLISH:
            for (int k = 0; k < CLIENTS; k++)
                if (topics[topic][k] && (!e->who || (int)e->who->handle != k + 1))
                    see(&views[k], text, e->len);
            break;
        case PUSH_CLOSE:
            closes[e->who->handle - 1]++;
            break;
        case PUSH_NOTE:
            see_note(e);
            break;
        }
    }
    push_effects_clear(&effects);
}

/* ---- operations ---- */

static void forget_cached(int channel) {
    truth.cached[channel] = 0;
}

static void tick(void) {
    now_ms += dice(4) ? dice(2 * GRACE_MS) : dice(CACHE_MS);
    see_ends();
    push_tick(&state, &effects, now_ms);
    carry_out(-1);
    for (int c = 0; c < CHANNELS; c++)
        if (truth.cached[c] && truth.cached_ms[c] + CACHE_MS <= now_ms)
            forget_cached(c);
}

static void come_or_go(int i) {
    if (!truth.online[i]) {
        char id[32];
        snprintf(id, sizeof id, "%d.%d", i + 1, ++serial);
        views[i] = (view) {.conn = push_connect(&state, id, (weft_handle)i + 1)};
        CHECK(views[i].conn && push_conn_find(&state, push_str(id)) == views[i].conn);
        truth.online[i] = true;
        return;
    }
    for (int t = 0; t < TOPICS; t++) /* the library does that before it says that the connection is closed */
        topics[t][i] = false;
    push_disconnect(views[i].conn, &effects, now_ms);
    memset(truth.in[i], 0, sizeof truth.in[i]);
    memset(truth.watches[i], 0, sizeof truth.watches[i]);
    truth.online[i] = truth.signed_in[i] = false;
    views[i] = (view) {0};
    carry_out(-1);
}

static void subscribe(int i, int channel) {
    int user = truth.signed_in[i] && dice(2) ? truth.user[i] : (int)dice(USERS);
    push_text info = {0};
    push_put_str(&info, "{\"is\":");
    push_put_quoted(&info, push_str(users[user]));
    push_put_str(&info, "}");
    push_want want = {.channel = push_str(channels[channel])};
    if (is_presence(channel)) {
        want.user_id = push_str(users[user]);
        want.user_info = (weft_text) {info.data, info.len};
    }
    push_verdict expected = truth.in[i][channel]               ? PUSH_AGAIN
                            : channel_count(i) == CHANNELS_MAX ? PUSH_TOO_MANY_CHANNELS
                            : is_presence(channel) && !has_member(channel, user) && member_count(channel) == MEMBERS_MAX
                                ? PUSH_TOO_MANY_MEMBERS
                                : PUSH_DONE;
    CHECK_EQ(push_subscribe(views[i].conn, &want, &effects, now_ms), expected);
    carry_out(i);
    push_text_free(&info);
    if (expected != PUSH_DONE)
        return;
    truth.in[i][channel] = true;
    truth.member[i][channel] = user;
    if (is_cache(channel)) {
        CHECK_EQ(views[i].from_cache, truth.cached[channel] != 0);
        CHECK_EQ(views[i].missed, truth.cached[channel] == 0);
        CHECK_EQ(views[i].event, truth.cached[channel]);
    }
}

static void unsubscribe(int i, int channel) {
    push_unsubscribe(views[i].conn, push_str(channels[channel]), &effects, now_ms);
    carry_out(i);
    truth.in[i][channel] = false;
}

/* The event reached exactly those who are in the channel, but for one. */
static void check_reached(int channel, int except) {
    for (int i = 0; i < CLIENTS; i++) {
        bool due = truth.in[i][channel] && i != except;
        test_context("event %d in %s to client %d", serial, channels[channel], i);
        CHECK_EQ(views[i].events, due);
        if (due)
            CHECK(views[i].event == serial && views[i].event_channel == channel);
    }
    test_context("%s", "");
}

static void keep(int channel) {
    int count = 0, oldest = channel;
    truth.cached[channel] = serial;
    truth.cached_ms[channel] = now_ms;
    truth.cached_order[channel] = (uint64_t)serial;
    for (int c = 0; c < CHANNELS; c++) {
        count += truth.cached[c] != 0;
        if (truth.cached[c] && truth.cached_order[c] < truth.cached_order[oldest])
            oldest = c;
    }
    if (count > CACHED_MAX)
        forget_cached(oldest);
}

static void trigger(int channel) {
    char name[32];
    int except = dice(2) ? (int)dice(CLIENTS) : -1;
    snprintf(name, sizeof name, "\"e%d\"", ++serial);
    push_event event = {.channel = push_str(channels[channel]), .name = push_str(name), .data = push_str("\"text\"")};
    const push_conn *left_out = except >= 0 ? views[except].conn : NULL;
    CHECK_EQ(push_trigger(&state, &event, left_out, &effects, now_ms), PUSH_DONE);
    carry_out(-1);
    check_reached(channel, except);
    if (is_cache(channel))
        keep(channel);
}

static void say(int i, int channel) {
    char name[32];
    snprintf(name, sizeof name, "\"client-%d\"", ++serial);
    push_event event = {.channel = push_str(channels[channel]), .name = push_str(name), .data = push_str("{}")};
    push_verdict got = push_client_event(views[i].conn, &event, &effects, now_ms);
    carry_out(i);
    bool kind = strncmp(channels[channel], "private-", 8) == 0 && strncmp(channels[channel], "private-encrypted-", 18);
    if (!kind && !is_presence(channel))
        CHECK_EQ(got, PUSH_NOT_FOR_CLIENTS);
    else if (!truth.in[i][channel])
        CHECK_EQ(got, PUSH_NOT_IN);
    else
        CHECK(got == PUSH_DONE || got == PUSH_TOO_FAST);
    if (got == PUSH_DONE)
        check_reached(channel, i);
    CHECK_EQ(hooked_events, got == PUSH_DONE);
    for (int k = 0; k < CLIENTS && got != PUSH_DONE; k++)
        CHECK_EQ(views[k].events, 0);
}

static void sign_in(int i) {
    weft_text watched[USERS];
    push_signin who = {.watchlist = watched, .user_data = push_str("{}")};
    int user = (int)dice(USERS);
    bool watches[USERS] = {false};
    who.id = push_str(users[user]);
    for (int u = 0; u < USERS; u++) {
        watches[u] = dice(3) == 0;
        if (watches[u])
            watched[who.watch_count++] = push_str(users[u]);
    }
    CHECK_EQ(push_sign_in(views[i].conn, &who, &effects), truth.signed_in[i] ? PUSH_AGAIN : PUSH_DONE);
    carry_out(i);
    if (truth.signed_in[i])
        return;
    truth.signed_in[i] = true;
    truth.user[i] = user;
    memcpy(truth.watches[i], watches, sizeof watches);
}

static void terminate(void) {
    int user = (int)dice(USERS);
    memset(closes, 0, sizeof closes);
    push_terminate(&state, push_str(users[user]), &effects);
    carry_out(-1);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_EQ(closes[i], truth.signed_in[i] && truth.user[i] == user);
}

/* ---- whether all agree ---- */

static void check_client(int i) {
    const view *v = &views[i];
    CHECK_EQ(v->signed_in, truth.signed_in[i]);
    for (int c = 0; c < CHANNELS; c++) {
        test_context("client %d in %s after %d", i, channels[c], serial);
        CHECK_EQ(v->in[c], truth.in[i][c]);
        CHECK_EQ(topics[c][i], truth.in[i][c]);
        if (v->in[c] && !is_presence(c))
            CHECK_EQ(v->count[c], subscriptions(c));
        for (int u = 0; u < USERS && v->in[c] && is_presence(c); u++)
            CHECK_EQ(v->member[c][u], has_member(c, u));
    }
    for (int u = 0; u < USERS; u++) {
        CHECK_EQ(v->known[u], truth.watches[i][u]);
        if (v->known[u])
            CHECK_EQ(v->online[u], user_online(u));
    }
}

static void check_all(void) {
    size_t occupied = 0;
    CHECK(push_state_holds(&state));
    for (int i = 0; i < CLIENTS; i++)
        check_client(i);
    for (int c = 0; c < CHANNELS; c++) {
        const push_channel *channel = push_channel_find(&state, push_str(channels[c]));
        test_context("%s after %d", channels[c], serial);
        CHECK_EQ(channel ? channel->subs : 0, subscriptions(c));
        CHECK_EQ(channel && channel->cached, truth.cached[c] != 0);
        CHECK_EQ(noted[c], subscriptions(c) > 0);
        CHECK_EQ(hooked[c], subscriptions(c) > 0 || (ended_ms[c] && now_ms < ended_ms[c] + GRACE_MS));
        for (int u = 0; u < USERS && is_presence(c); u++) {
            CHECK_EQ(noted_member[c][u], has_member(c, u));
            CHECK_EQ(hooked_member[c][u],
                     has_member(c, u) || (member_ended_ms[c][u] && now_ms < member_ended_ms[c][u] + GRACE_MS));
        }
        occupied += subscriptions(c) > 0;
    }
    CHECK_EQ(state.occupied, occupied);
    test_context("%s", "");
}

static void step(void) {
    int i = (int)dice(CLIENTS), channel = (int)dice(CHANNELS);
    for (int k = 0; k < CLIENTS; k++)
        views[k].events = views[k].event = views[k].from_cache = views[k].missed = 0;
    hooked_events = 0;
    unsigned what = dice(32);
    if (what < 3 || (what < 24 && !truth.online[i]))
        come_or_go(i);
    else if (what < 13)
        subscribe(i, channel);
    else if (what < 17)
        unsubscribe(i, channel);
    else if (what < 20)
        say(i, channel);
    else if (what < 24)
        sign_in(i);
    else if (what < 25)
        terminate();
    else if (what < 27)
        tick();
    else
        trigger(channel);
}

TEST(every_view_is_what_is_true) {
    enum { ROUNDS = 60, STEPS = 500 };
    for (int round = 0; round < ROUNDS; round++) {
        seed = (uint64_t)round + 1;
        memset(&truth, 0, sizeof truth);
        memset(topics, 0, sizeof topics);
        memset(noted, 0, sizeof noted);
        memset(noted_member, 0, sizeof noted_member);
        memset(ended_ms, 0, sizeof ended_ms);
        memset(member_ended_ms, 0, sizeof member_ended_ms);
        settings = (push_settings) {.id = (char *)"7",
                                    .client_events = true,
                                    .subscription_count = true,
                                    .limits = {.channels = CHANNELS_MAX,
                                               .app_channels = UINT32_MAX,
                                               .members = MEMBERS_MAX,
                                               .client_events_second = EVENTS_PER_SECOND,
                                               .subscriptions_second = UINT32_MAX,
                                               .watchlist = USERS,
                                               .cached_channels = CACHED_MAX}};
        now_ms = 1000000;
        push_state_init(&state, &settings);
        effects.notes = true;
        for (int n = 0; n < STEPS; n++) {
            step();
            check_all();
        }
        for (int i = 0; i < CLIENTS; i++)
            if (truth.online[i])
                come_or_go(i);
        CHECK(push_state_holds(&state) && state.occupied == 0);
        now_ms += GRACE_MS;
        see_ends();
        for (int c = 0; c < CHANNELS; c++)
            CHECK(!hooked[c]);
        push_state_deinit(&state);
    }
    push_pending_free(&pending);
    push_effects_free(&effects);
}
