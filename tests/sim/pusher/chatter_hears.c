/*
 * What a client of Pusher Channels gets is read as strictly as can be: the answers to what it asked, in order, and of
 * each topic it is in the log from its joining on, entry by entry (truth.h).
 */
#include "chatter.h"
#include "sim.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static chatter *of(const sim_client *c) {
    return chatter_of(c);
}

static _Noreturn void lie(const sim_client *c, const char *what, const char *about) {
    sim_fail("pusher", "client %d, connection %d: %s: %.300s", c->id, of(c)->conn, what, about);
}

static asked answered(sim_client *c, const char *text) {
    chatter *p = of(c);
    if (p->asked_from == p->asked_to)
        lie(c, "an answer to nothing", text);
    return p->asked[p->asked_from++ % CHATTER_ASKED_MAX];
}

void chatter_finish(const sim_client *c, int topic) {
    const chatter *p = of(c);
    if (p->stay[topic] < 0)
        return;
    const truth_stay *stay = &truth_stays[p->stay[topic]];
    for (uint32_t i = p->cursor[topic]; i < stay->to && i < truth_topics[topic].count && !stay->holed; i++)
        if (truth_is_for(&truth_topics[topic].entries[i], p->conn))
            sim_fail("pusher", "client %d, connection %d was not told entry %u of topic %d", c->id, p->conn, i, topic);
}

static const truth_stay *next_stay(sim_client *c, int topic, const char *text) {
    chatter *p = of(c);
    chatter_finish(c, topic);
    int at = p->stay[topic] < 0 ? truth_conns[p->conn].first_stay[topic] : truth_stays[p->stay[topic]].next;
    if (at < 0)
        lie(c, "it is told that it is somewhere, and is not", text);
    p->stay[topic] = at;
    p->cursor[topic] = truth_stays[at].from;
    return &truth_stays[at];
}

static uint32_t members_of(const sim_client *c, const json_t *presence, const char *text) {
    uint32_t members = 0;
    const json_t *ids = json_object_get(presence, "ids"), *hash = json_object_get(presence, "hash");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        int user = id ? truth_user_of(id) : -1;
        const char *is = id ? json_string_value(json_object_get(json_object_get(hash, id), "is")) : NULL;
        if (user < 0 || members & 1u << user || !is || strcmp(is, id) != 0)
            lie(c, "a list of members is none", text);
        members |= 1u << user;
    }
    if (json_object_size(hash) != json_array_size(ids) ||
        json_integer_value(json_object_get(presence, "count")) != (json_int_t)json_array_size(ids))
        lie(c, "a list of members miscounts", text);
    return members;
}

/* Whether all that came behind the offset is kept still. */
static bool can_return(const asked *a, uint32_t last) {
    return a->returns && !a->lost && a->offset <= last && last - a->offset <= truth_rules_now.kept_max;
}

/* True: it is told all it has missed. With small queues that may be too much. */
static bool hear_place(sim_client *c, const asked *a, const truth_stay *stay, const json_t *message, const char *text) {
    truth_topic *t = &truth_topics[a->channel];
    const char *epoch = json_string_value(json_object_get(message, "epoch"));
    const json_t *told = json_object_get(message, "recovered");
    bool recovered = json_is_true(told), can = can_return(a, stay->offset);
    long long offset = (long long)json_integer_value(json_object_get(message, "offset"));
    if (!truth_keeps(a->channel)) {
        if (epoch || recovered || (told != NULL) != a->returns)
            lie(c, "a place where none is kept", text);
        return false;
    }
    if (!epoch || (t->epoch[0] && strcmp(t->epoch, epoch) != 0))
        lie(c, "another epoch", text);
    snprintf(t->epoch, sizeof t->epoch, "%s", epoch);
    if ((told != NULL) != a->returns || (recovered && !can) || (!recovered && can && !world_slow()))
        lie(c, "what it missed can be had, or not, and it is told otherwise", text);
    if (offset != (recovered ? a->offset : stay->offset))
        lie(c, "another offset", text);
    if (a->returns)
        sim_trace("returns", c->id, recovered, recovered ? stay->offset - a->offset : 0);
    chatter *p = of(c);
    p->replay[a->channel] = recovered ? a->offset : 0;
    p->replay_to[a->channel] = recovered ? stay->offset : 0;
    return recovered;
}

static void hear_subscribed(sim_client *c, int channel, const json_t *message, const json_t *data, const char *text) {
    chatter *p = of(c);
    asked a = answered(c, text);
    if (a.kind != ASKED_SUBSCRIBE || a.channel != channel)
        lie(c, "another subscription is answered", text);
    const truth_stay *stay = next_stay(c, channel, text);
    if (p->asked_from > p->left_at[channel]) /* else it has asked to leave since */
        p->wants |= 1u << channel;
    if (truth_is_presence(channel)) {
        p->members[channel] = members_of(c, json_object_get(data, "presence"), text);
        if (p->members[channel] != stay->members)
            lie(c, "the members are others", text);
    }
    bool recovered = hear_place(c, &a, stay, message, text);
    if (truth_is_cache(channel) && !(recovered && stay->cached.number))
        p->cache_due |= 1u << channel;
}

/* The event of this number, as it was meant; or the end of the run. */
static void check_event(const sim_client *c, const json_t *message, const truth_entry *entry, const char *text) {
    uint32_t number = entry->number;
    const json_t *offset = json_object_get(message, "offset");
    char expected[8192], name[32];
    const truth_event *event = &truth_events[number];
    const char *data = json_string_value(json_object_get(message, "data"));
    const char *user = json_string_value(json_object_get(message, "user_id"));
    const char *expected_user = event->user >= 0 ? truth_user_name(event->user) : NULL;
    truth_event_text(number, expected);
    snprintf(name, sizeof name, "%s-%u", event->of_client ? "client" : "event", number);
    if (strcmp(json_string_value(json_object_get(message, "event")), name) != 0 || !data || strcmp(data, expected) != 0)
        sim_fail("pusher", "client %d, connection %d: not event %u, but %.300s", c->id, of(c)->conn, number, text);
    if ((offset != NULL) != (entry->offset > 0) || (offset && json_integer_value(offset) != entry->offset))
        lie(c, "an event of another offset", text);
    if ((user != NULL) != (expected_user != NULL) || (user && strcmp(user, expected_user) != 0))
        lie(c, "an event of another user", text);
}

/* The next entry of the topic's log that is for it. */
static truth_entry next_entry(sim_client *c, int topic, const char *text) {
    chatter *p = of(c);
    const truth_stay *stay = p->stay[topic] < 0 ? NULL : &truth_stays[p->stay[topic]];
    const truth_topic *t = &truth_topics[topic];
    if (!stay)
        lie(c, "it is not there, and is told", text);
    while (p->cursor[topic] < stay->to && p->cursor[topic] < t->count) {
        const truth_entry *entry = &t->entries[p->cursor[topic]++];
        if (truth_is_for(entry, p->conn))
            return *entry;
    }
    lie(c, "nobody has said so, or it is not for it", text);
}

static bool holed(const sim_client *c, int topic) {
    return of(c)->stay[topic] >= 0 && truth_stays[of(c)->stay[topic]].holed;
}

static void hear_cache(sim_client *c, int channel, const json_t *message, bool missed, const char *text) {
    chatter *p = of(c);
    const truth_entry *cached = &truth_stays[p->stay[channel]].cached;
    p->cache_due &= ~(1u << channel);
    if (missed != (cached->number == 0))
        lie(c, missed ? "a miss, and there is an event" : "an event was kept, that is none", text);
    if (!missed)
        check_event(c, message, cached, text);
}

static void hear_entry(sim_client *c, int topic, const json_t *message, const json_t *data, const char *text) {
    chatter *p = of(c);
    const char *name = json_string_value(json_object_get(message, "event"));
    const char *id = json_string_value(json_object_get(data, "user_id"));
    if (holed(c, topic))
        return;
    truth_entry entry = next_entry(c, topic, text);
    switch (entry.kind) {
    case TRUTH_EVENT:
        check_event(c, message, &entry, text);
        if (entry.offset > 0 && sim_below(4) == 0)
            truth_topics[topic].place = entry.offset;
        return;
    case TRUTH_ADDED:
    case TRUTH_REMOVED:
        if (strcmp(name, entry.kind == TRUTH_ADDED ? "pusher_internal:member_added"
                                                   : "pusher_internal:member_removed") != 0 ||
            !id || truth_user_of(id) != (int)entry.number)
            lie(c, "another member comes, or goes", text);
        p->members[topic] ^= 1u << entry.number;
        return;
    case TRUTH_COUNT:
        p->count[topic] = (uint32_t)json_integer_value(json_object_get(data, "subscription_count"));
        if (strcmp(name, "pusher_internal:subscription_count") != 0 || p->count[topic] != entry.number)
            lie(c, "another count", text);
        return;
    default:
        break;
    }
    if (topic < CHANNELS || strcmp(name, "pusher_internal:watchlist_events") != 0)
        lie(c, "a user comes or goes otherwise", text);
    p->online ^= 1u << entry.number;
    if (((p->online >> entry.number) & 1) != (entry.kind == TRUTH_ONLINE))
        lie(c, "a user comes, or goes, twice", text);
}

/* The list after signin; behind it one user at a time. */
static void hear_watched(sim_client *c, const json_t *message, const json_t *data, const char *text) {
    chatter *p = of(c);
    uint32_t named[2] = {0, 0};
    const json_t *events = json_object_get(data, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i), *ids = json_object_get(event, "user_ids");
        const char *name = json_string_value(json_object_get(event, "name"));
        for (size_t k = 0; k < json_array_size(ids); k++) {
            int user = truth_user_of(json_string_value(json_array_get(ids, k)));
            if (user < 0 || !name)
                lie(c, "an unknown user", text);
            named[strcmp(name, "online") == 0] |= 1u << user;
        }
    }
    uint32_t all = named[0] | named[1];
    if (p->watch_due) {
        p->watch_due = false;
        if (all != p->watches || named[0] & named[1] || named[1] != truth_conns[p->conn].online)
            lie(c, "others are online", text);
        p->online = named[1];
        return;
    }
    if (all == 0 || all & (all - 1))
        lie(c, "not one user comes or goes", text);
    int user = __builtin_ctz(all);
    if (holed(c, CHANNELS + user))
        return;
    bool was = p->online >> user & 1;
    hear_entry(c, CHANNELS + user, message, data, text);
    if (was == (named[1] != 0))
        lie(c, "a user comes who is there, or goes who is not", text);
}

static void hear_signed_in(sim_client *c, const char *text) {
    chatter *p = of(c);
    if (answered(c, text).kind != ASKED_SIGNIN)
        lie(c, "a signin that was not next", text);
    for (int u = 0; u < USERS; u++)
        if (p->watches & 1u << u)
            next_stay(c, CHANNELS + u, text);
    p->watch_due = p->watches != 0;
}

static void hear_error(sim_client *c, const json_t *message, const char *text) {
    const json_t *code = json_object_get(json_object_get(message, "data"), "code");
    long long number = json_is_number(code) ? (long long)json_number_value(code) : 0;
    if (number == 4301) {
        if (++of(c)->rejected > truth_conns[of(c)->conn].rejected)
            lie(c, "an event was rejected that was not", text);
    } else if (number == 0) {
        if (answered(c, text).kind != ASKED_SUBSCRIBE || !strstr(text, "Existing subscription"))
            lie(c, "an error", text);
    } else if (!sim_client_excused(c)) {
        lie(c, "an error", text);
    }
}

static void hear_refused(sim_client *c, int channel, const json_t *message, const char *text) {
    asked a = answered(c, text);
    const char *type = json_string_value(json_object_get(json_object_get(message, "data"), "type"));
    const char *expected = a.kind == ASKED_BAD_SUBSCRIBE ? "AuthError" : "LimitReached";
    if (a.channel != channel || a.kind == ASKED_PONG || !type || strcmp(type, expected) != 0)
        lie(c, "a refusal of something else", text);
}

static void hear_greeting(sim_client *c, const json_t *data, const char *text) {
    chatter *p = of(c);
    const char *socket_id = json_string_value(json_object_get(data, "socket_id"));
    if (p->conn >= 0 || !socket_id)
        lie(c, "a greeting out of place", text);
    snprintf(p->socket_id, sizeof p->socket_id, "%s", socket_id);
    p->conn = truth_conn_of(socket_id);
    if (p->conn < 0)
        lie(c, "it is greeted as somebody else", text);
    sim_trace("is greeted", c->id, p->conn, 0);
}

static void hear(sim_client *c, const json_t *message, const json_t *data, const char *text) {
    const char *event = json_string_value(json_object_get(message, "event"));
    const char *name = json_string_value(json_object_get(message, "channel"));
    int channel = name ? truth_channel_of(name) : -1;
    if (!event || (name && channel < 0))
        lie(c, "what it is told is nothing", text);
    if (of(c)->conn < 0 && strcmp(event, "pusher:connection_established") != 0 && !sim_client_excused(c))
        lie(c, "it is told something before who it is", text);
    if (strcmp(event, "pusher:connection_established") == 0)
        hear_greeting(c, data, text);
    else if (strcmp(event, "pusher:error") == 0)
        hear_error(c, message, text);
    else if (strcmp(event, "pusher:signin_success") == 0)
        hear_signed_in(c, text);
    else if (strcmp(event, "pusher_internal:watchlist_events") == 0)
        hear_watched(c, message, data, text);
    else if (strcmp(event, "pusher:pong") == 0 && answered(c, text).kind != ASKED_PONG)
        lie(c, "a pong that was not next", text);
    else if (channel < 0 && strcmp(event, "pusher:pong") != 0)
        lie(c, "it knows nothing of that", text);
    else if (strcmp(event, "pusher_internal:subscription_succeeded") == 0)
        hear_subscribed(c, channel, message, data, text);
    else if (strcmp(event, "pusher:subscription_error") == 0)
        hear_refused(c, channel, message, text);
    else if (channel >= 0 && of(c)->replay[channel] < of(c)->replay_to[channel])
        check_event(c, message, &truth_topics[channel].kept[of(c)->replay[channel]++], text);
    else if (channel >= 0 && of(c)->cache_due & 1u << channel)
        hear_cache(c, channel, message, strcmp(event, "pusher:cache_miss") == 0, text);
    else if (channel >= 0)
        hear_entry(c, channel, message, data, text);
}

void chatter_hears(sim_client *c, int opcode, const uint8_t *bytes, size_t len) {
    static char text[MESSAGE_MAX + 1];
    memcpy(text, bytes, len);
    text[len] = '\0';
    json_t *message = opcode == 1 ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *inner = json_string_value(json_object_get(message, "data"));
    json_t *data = inner ? json_loads(inner, 0, NULL) : NULL;
    if (!message)
        lie(c, "what it is told is no JSON", text);
    hear(c, message, data, text);
    json_decref(data);
    json_decref(message);
}
