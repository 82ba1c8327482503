/*
 * The inspector: when all is quiet it asks the HTTP API about everything, and wants the truth. Then it publishes one
 * more event to each channel.
 */
#include "sim.h"
#include "world.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALL,
    PRESENCE,
    EACH,
    USERS_OF = EACH + CHANNELS,
    PUBLISH = USERS_OF + CHANNELS,
    HISTORY_OF = PUBLISH + CHANNELS,
    DONE = HISTORY_OF + CHANNELS
};

static uint32_t published;

static void begin(sim_client *c) {
    c->delay_us_max = 1000;
    c->read_max = c->write_max = CLIENT_BYTES_MAX;
    c->next_ns = UINT64_MAX; /* until it is called */
}

static void ask_about(sim_client *c, int channel, bool users) {
    char rest[128];
    snprintf(rest, sizeof rest, "channels/%s%s", truth_channel_name(channel), users ? "/users" : "");
    backend_ask(c, "GET", rest,
                users                        ? ""
                : truth_is_presence(channel) ? "info=user_count,subscription_count"
                : truth_is_cache(channel)    ? "info=subscription_count,cache"
                                             : "info=subscription_count",
                NULL);
}

static void ask_history(sim_client *c, int channel) {
    char rest[128];
    snprintf(rest, sizeof rest, "channels/%s/history", truth_channel_name(channel));
    backend_ask(c, "GET", rest, "limit=1000", NULL);
}

static void publish(sim_client *c, int channel) {
    char name[32], text[8192];
    published = truth_event_new(c->id);
    truth_events[published].meant = 1u << channel;
    snprintf(name, sizeof name, "event-%u", published);
    truth_event_text(published, text);
    json_t *json = json_pack("{s:s,s:s,s:[s],s:s}", "name", name, "data", text, "channels", truth_channel_name(channel),
                             "info", "subscription_count,user_count");
    char *body = json_dumps(json, 0);
    backend_ask(c, "POST", "events", "", body);
    free(body);
    json_decref(json);
}

static void speak(sim_client *c) {
    c->quiet = true;
    if (c->sent > c->received)
        return;
    int what = (int)c->sent++;
    if (what >= DONE) {
        world_inspected();
        sim_client_leave(c);
        return;
    }
    if (what == ALL)
        backend_ask(c, "GET", "channels", "info=subscription_count", NULL);
    else if (what == PRESENCE)
        backend_ask(c, "GET", "channels", "filter_by_prefix=presence-&info=user_count", NULL);
    else if (what < USERS_OF)
        ask_about(c, what - EACH, false);
    else if (what < PUBLISH)
        ask_about(c, what - USERS_OF, true);
    else if (what < HISTORY_OF)
        publish(c, what - PUBLISH);
    else
        ask_history(c, what - HISTORY_OF);
    c->quiet = false;
}

/* ---- what is true ---- */

static json_t *info_of(int channel, bool subs, bool members) {
    json_t *info = json_object();
    if (members && truth_is_presence(channel))
        json_object_set_new(info, "user_count", json_integer(truth_members_count(truth_members(channel))));
    if (subs)
        json_object_set_new(info, "subscription_count", json_integer(truth_topics[channel].subs));
    return info;
}

static json_t *channels_of(bool only_presence) {
    json_t *channels = json_object();
    for (int c = 0; c < CHANNELS; c++)
        if (truth_topics[c].subs > 0 && (truth_is_presence(c) || !only_presence))
            json_object_set_new(channels, truth_channel_name(c), info_of(c, !only_presence, only_presence));
    return json_pack("{s:o}", "channels", channels);
}

/* What is kept lasts for a while; the while is not compared. */
static json_t *cache_of(int channel, const json_t *got) {
    char text[8192];
    uint32_t cached = truth_topics[channel].cached.number;
    if (!cached)
        return json_null();
    truth_event_text(cached, text);
    json_t *ttl = json_object_get(json_object_get(got, "cache"), "ttl");
    return json_pack("{s:s,s:O}", "data", text, "ttl", ttl ? ttl : json_null());
}

static json_t *channel_of(int channel, const json_t *got) {
    json_t *info = info_of(channel, true, true);
    json_object_set_new(info, "occupied", json_boolean(truth_topics[channel].subs > 0));
    if (truth_is_cache(channel) && !truth_is_presence(channel))
        json_object_set_new(info, "cache", cache_of(channel, got));
    return info;
}

static json_t *users_of(int channel, const json_t *got) {
    uint32_t named = 0, members = truth_members(channel);
    const json_t *list = json_object_get(got, "users");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(list, i), "id"));
        int user = id ? truth_user_of(id) : -1;
        named |= user >= 0 ? 1u << user : 0;
    }
    bool same = named == members && json_array_size(list) == (size_t)truth_members_count(members);
    return same ? json_deep_copy(got) : json_string("other users");
}

/* The last of what was kept, as it was published. */
static json_t *history_of(int channel, const json_t *got) {
    char name[32], text[8192];
    const truth_topic *t = &truth_topics[channel];
    json_t *events = json_array();
    uint32_t from = t->kept_count > truth_rules_now.kept_max ? t->kept_count - truth_rules_now.kept_max : 0;
    for (uint32_t i = from; i < t->kept_count; i++) {
        snprintf(name, sizeof name, "event-%u", t->kept[i].number);
        truth_event_text(t->kept[i].number, text);
        json_array_append_new(events, json_pack("{s:s,s:s,s:s,s:i}", "event", name, "channel",
                                                truth_channel_name(channel), "data", text, "offset", (int)i + 1));
    }
    const char *epoch = t->epoch[0] ? t->epoch : json_string_value(json_object_get(got, "epoch"));
    return json_pack("{s:o,s:s?,s:i,s:b}", "events", events, "epoch", epoch, "offset", (int)t->kept_count, "recovered",
                     0);
}

static json_t *expected_of(int what, const json_t *got) {
    if (what >= HISTORY_OF)
        return history_of(what - HISTORY_OF, got);
    if (what < EACH)
        return channels_of(what == PRESENCE);
    if (what < USERS_OF)
        return channel_of(what - EACH, got);
    if (what < PUBLISH)
        return users_of(what - USERS_OF, got);
    return json_pack("{s:{s:o}}", "channels", truth_channel_name(what - PUBLISH), info_of(what - PUBLISH, true, true));
}

static void answered(sim_client *c, int status, const char *body, size_t len) {
    int what = (int)c->sent - 1;
    bool none = what >= HISTORY_OF ? !truth_keeps(what - HISTORY_OF)
                                   : what >= USERS_OF && what < PUBLISH && !truth_is_presence(what - USERS_OF);
    if (none) {
        if (status != 400)
            sim_fail("inspector", "question %d about what a channel has not: %d, %.*s", what, status, (int)len, body);
        return;
    }
    json_t *got = json_loadb(body, len, 0, NULL), *expected = expected_of(what, got);
    if (status != 200 || !json_equal(got, expected))
        sim_fail("inspector", "question %d is answered %d, %.*s; the truth is %s", what, status, (int)len, body,
                 json_dumps(expected, 0));
    if (what >= PUBLISH && what < HISTORY_OF && !truth_events[published].went)
        sim_fail("inspector", "event %u was acknowledged, and has not gone", published);
    json_decref(expected);
    json_decref(got);
}

static size_t read_some(sim_client *c) {
    return backend_read(c, answered);
}

/* When it cannot ask, there is nothing to be said. */
static void ended(sim_client *c, sim_end end) {
    if (!sim_client_excused(c))
        sim_fail("inspector", "ended by %d after %u answers", (int)end, c->received);
    world_inspected();
}

static bool waits(const sim_client *c) {
    return c->sent > c->received;
}

const sim_model world_inspector = {"inspector", begin, speak, read_some, NULL, ended, waits, NULL};
