/*
 * Where operations enter the app's state: the linker sends those calls here. What each must be answered is worked out
 * from the tables, and what comes of it is written into them.
 */
#include "sim.h"
#include "truth.h"

#include "app/pusher/apps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- who, and where ---- */

static int topic_of_text(weft_text name, bool user) {
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)name.len, name.data);
    int found = user ? truth_user_of(text) : truth_channel_of(text);
    if (found < 0)
        sim_fail("simulator", "nobody asked for %s", text);
    return found;
}

static int conn_of(const push_conn *who) {
    for (int i = 0; i < truth_conn_count; i++)
        if (truth_conns[i].who == who)
            return i;
    sim_fail("truth", "a connection acts that has gone, or never came");
}

static int channels_of(int conn) {
    int count = 0;
    for (int c = 0; c < CHANNELS; c++)
        count += truth_in(conn, c);
    return count;
}

/* ---- what is told ---- */

static void tell(int topic, truth_kind kind, uint32_t number) {
    truth_topic *t = &truth_topics[topic];
    if (t->count == ENTRIES_MAX)
        sim_fail("simulator", "a log is full");
    t->entries[t->count++] = (truth_entry) {.kind = kind, .number = number};
    sim_trace("truth", topic, (int64_t)kind, number);
}

static void tell_count(int channel) {
    uint32_t subs = truth_topics[channel].subs;
    if (!truth_rules_now.counts || truth_is_presence(channel) || subs == 0)
        return;
    tell(channel, TRUTH_COUNT, subs);
    truth_happened[2]++;
}

/* An end that comes back within the grace is not told. On the very moment either may come first. */
static void spell_begins(truth_spell *s) {
    enum { SLACK_NS = 2 * SIM_MS };
    uint64_t lasted = sim.now_ns - s->ended_ns;
    if (s->ended_ns > 0 && lasted + SLACK_NS >= truth_grace_ns) {
        s->unsure += lasted <= truth_grace_ns + SLACK_NS;
        s->ends += lasted > truth_grace_ns + SLACK_NS;
    }
    s->is = true;
}

static void spell_ends(truth_spell *s) {
    s->is = false;
    s->ended_ns = sim.now_ns;
}

static truth_stay *stay_begin(int conn, int topic) {
    truth_conn *c = &truth_conns[conn];
    if (truth_stay_count == STAYS_MAX)
        sim_fail("simulator", "too many stays");
    int at = truth_stay_count++, last = c->last_stay[topic];
    *(last < 0 ? &c->first_stay[topic] : &truth_stays[last].next) = at;
    c->last_stay[topic] = at;
    truth_stays[at] = (truth_stay) {.conn = conn, .topic = topic, .user = -1, .to = UINT32_MAX, .next = -1};
    truth_stays[at].from = truth_topics[topic].count;
    return &truth_stays[at];
}

static void stay_end(int conn, int topic) {
    truth_stay *stay = &truth_stays[truth_conns[conn].last_stay[topic]];
    truth_topic *t = &truth_topics[topic];
    stay->to = t->count;
    t->subs--;
    if (stay->user >= 0 && !truth_has_member(topic, stay->user)) {
        tell(topic, TRUTH_REMOVED, (uint32_t)stay->user);
        spell_ends(&truth_member[topic][stay->user]);
    }
    tell_count(topic);
    if (t->subs == 0)
        spell_ends(&truth_occupied[topic]);
}

/* ---- where operations enter ---- */

push_conn *__real_push_connect(push_state *state, const char *socket_id, weft_handle handle);
push_conn *__wrap_push_connect(push_state *state, const char *socket_id, weft_handle handle);
void __real_push_disconnect(push_conn *conn, push_effects *e, uint64_t now_ms);
void __wrap_push_disconnect(push_conn *conn, push_effects *e, uint64_t now_ms);
push_verdict __real_push_subscribe(push_conn *conn, const push_want *want, push_effects *e, uint64_t now_ms);
push_verdict __wrap_push_subscribe(push_conn *conn, const push_want *want, push_effects *e, uint64_t now_ms);
void __real_push_unsubscribe(push_conn *conn, weft_text channel, push_effects *e, uint64_t now_ms);
void __wrap_push_unsubscribe(push_conn *conn, weft_text channel, push_effects *e, uint64_t now_ms);
push_verdict __real_push_trigger(push_state *state, const push_event *event, const push_conn *except, push_effects *e,
                                 uint64_t now_ms);
push_verdict __wrap_push_trigger(push_state *state, const push_event *event, const push_conn *except, push_effects *e,
                                 uint64_t now_ms);
push_verdict __real_push_client_event(push_conn *conn, const push_event *event, push_effects *e, uint64_t now_ms);
push_verdict __wrap_push_client_event(push_conn *conn, const push_event *event, push_effects *e, uint64_t now_ms);
push_verdict __real_push_sign_in(push_conn *conn, const push_signin *who, push_effects *e);
push_verdict __wrap_push_sign_in(push_conn *conn, const push_signin *who, push_effects *e);
void __real_push_terminate(push_state *state, weft_text user_id, push_effects *e);
void __wrap_push_terminate(push_state *state, weft_text user_id, push_effects *e);
int __real_weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                               weft_handle except);
int __wrap_weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                               weft_handle except);

push_conn *__wrap_push_connect(push_state *state, const char *socket_id, weft_handle handle) {
    push_conn *who = __real_push_connect(state, socket_id, handle);
    if (!who)
        return NULL;
    if (truth_conn_count == CONNS_MAX)
        sim_fail("simulator", "too many connections");
    truth_conn *c = &truth_conns[truth_conn_count++];
    *c = (truth_conn) {.who = who, .user = -1};
    for (int t = 0; t < TOPICS; t++)
        c->first_stay[t] = c->last_stay[t] = -1;
    snprintf(c->socket_id, sizeof c->socket_id, "%s", socket_id);
    sim_trace("comes", truth_conn_count - 1, 0, 0);
    return who;
}

void __wrap_push_disconnect(push_conn *who, push_effects *e, uint64_t now_ms) {
    int conn = conn_of(who);
    truth_conn *c = &truth_conns[conn];
    sim_trace("goes", conn, 0, 0);
    for (int t = 0; t < CHANNELS; t++)
        if (truth_in(conn, t))
            stay_end(conn, t);
    for (int u = 0; u < USERS; u++)
        if (truth_in(conn, CHANNELS + u))
            truth_stays[c->last_stay[CHANNELS + u]].to = truth_topics[CHANNELS + u].count;
    c->who = NULL;
    if (c->user >= 0 && !truth_online(c->user))
        tell(CHANNELS + c->user, TRUTH_OFFLINE, (uint32_t)c->user);
    __real_push_disconnect(who, e, now_ms);
}

static push_verdict expected_of(int conn, int channel, int user) {
    uint32_t members = truth_members(channel);
    if (truth_in(conn, channel))
        return PUSH_AGAIN;
    if (channels_of(conn) >= (int)truth_rules_now.channels_max)
        return PUSH_TOO_MANY_CHANNELS;
    if (user >= 0 && !(members & 1u << user) && truth_members_count(members) >= (int)truth_rules_now.members_max)
        return PUSH_TOO_MANY_MEMBERS;
    return PUSH_DONE;
}

static void check_verdict(const char *what, push_verdict got, push_verdict expected, int conn) {
    if (got != expected)
        sim_fail("truth", "%s of connection %d is answered %d, not %d", what, conn, (int)got, (int)expected);
}

push_verdict __wrap_push_subscribe(push_conn *who, const push_want *want, push_effects *e, uint64_t now_ms) {
    int conn = conn_of(who), channel = topic_of_text(want->channel, false);
    int user = truth_is_presence(channel) ? topic_of_text(want->user_id, true) : -1;
    push_verdict got = __real_push_subscribe(who, want, e, now_ms), expected = expected_of(conn, channel, user);
    check_verdict("subscribe", got, expected, conn);
    if (got != PUSH_DONE)
        return got;
    truth_topic *t = &truth_topics[channel];
    if (t->subs++ == 0)
        spell_begins(&truth_occupied[channel]);
    if (user >= 0 && !truth_has_member(channel, user)) {
        tell(channel, TRUTH_ADDED, (uint32_t)user);
        spell_begins(&truth_member[channel][user]);
    }
    truth_stay *stay = stay_begin(conn, channel);
    stay->user = user;
    stay->members = truth_members(channel);
    stay->cached = t->cached;
    stay->offset = t->kept_count;
    truth_happened[1] += truth_is_cache(channel) && !t->cached.number;
    tell_count(channel);
    return got;
}

void __wrap_push_unsubscribe(push_conn *who, weft_text name, push_effects *e, uint64_t now_ms) {
    int conn = conn_of(who), channel = topic_of_text(name, false);
    if (truth_in(conn, channel))
        stay_end(conn, channel);
    __real_push_unsubscribe(who, name, e, now_ms);
}

/* "event-12" or "client-12", as JSON. */
static uint32_t number_of(const push_event *event) {
    const char *dash = memchr(event->name.data, '-', event->name.len);
    uint32_t number = dash ? (uint32_t)strtoul(dash + 1, NULL, 10) : 0;
    if (number == 0 || number >= truth_event_count)
        sim_fail("truth", "an event that nobody has sent: %.*s", (int)event->name.len, event->name.data);
    return number;
}

static void went(uint32_t number, int channel) {
    truth_event *event = &truth_events[number];
    if (!(event->meant & 1u << channel) || event->went & 1u << channel)
        sim_fail("truth", "event %u goes to %s%s", number, truth_channel_name(channel),
                 event->went & 1u << channel ? " again" : ", for which it is not");
    event->went |= 1u << channel;
    tell(channel, TRUTH_EVENT, number);
}

push_verdict __wrap_push_trigger(push_state *state, const push_event *event, const push_conn *except, push_effects *e,
                                 uint64_t now_ms) {
    int channel = topic_of_text(event->channel, false);
    uint32_t number = number_of(event);
    push_verdict got = __real_push_trigger(state, event, except, e, now_ms);
    check_verdict("trigger", got, PUSH_DONE, -1);
    went(number, channel);
    truth_topic *t = &truth_topics[channel];
    if (truth_keeps(channel)) {
        t->entries[t->count - 1].offset = t->kept_count + 1;
        t->kept[t->kept_count++] = t->entries[t->count - 1];
    }
    if (truth_is_cache(channel))
        t->cached = t->entries[t->count - 1];
    return got;
}

push_verdict __wrap_push_client_event(push_conn *who, const push_event *event, push_effects *e, uint64_t now_ms) {
    int conn = conn_of(who), channel = topic_of_text(event->channel, false);
    uint32_t number = number_of(event);
    push_verdict got = __real_push_client_event(who, event, e, now_ms);
    push_verdict expected = !truth_takes_client_events(channel) ? PUSH_NOT_FOR_CLIENTS
                            : !truth_in(conn, channel)          ? PUSH_NOT_IN
                            : got == PUSH_TOO_FAST              ? PUSH_TOO_FAST
                                                                : PUSH_DONE;
    check_verdict("client event", got, expected, conn);
    truth_conns[conn].rejected += got != PUSH_DONE;
    if (got == PUSH_DONE) {
        truth_events[number].user = truth_stays[truth_conns[conn].last_stay[channel]].user;
        went(number, channel);
        truth_happened[0]++;
    }
    return got;
}

push_verdict __wrap_push_sign_in(push_conn *who, const push_signin *signin, push_effects *e) {
    int conn = conn_of(who), user = topic_of_text(signin->id, true);
    truth_conn *c = &truth_conns[conn];
    push_verdict got = __real_push_sign_in(who, signin, e), expected = c->user >= 0 ? PUSH_AGAIN : PUSH_DONE;
    check_verdict("signin", got, expected, conn);
    if (got != PUSH_DONE)
        return got;
    if (!truth_online(user))
        tell(CHANNELS + user, TRUTH_ONLINE, (uint32_t)user);
    c->user = user;
    for (size_t i = 0; i < signin->watch_count; i++) {
        int watched = topic_of_text(signin->watchlist[i], true);
        c->watches |= 1u << watched;
        c->online |= truth_online(watched) ? 1u << watched : 0;
        stay_begin(conn, CHANNELS + watched);
    }
    return got;
}

void __wrap_push_terminate(push_state *state, weft_text user_id, push_effects *e) {
    int user = topic_of_text(user_id, true);
    for (int i = 0; i < truth_conn_count; i++)
        truth_conns[i].terminated |= truth_conns[i].who && truth_conns[i].user == user;
    __real_push_terminate(state, user_id, e);
}

/* It is said that an event was lost then, and to whom it was not told cannot be known. */
int __wrap_weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                               weft_handle except) {
    int got = __real_weft_publish_except(server, topic, kind, data, len, except);
    const char *name = strchr(topic, ' ') + 1;
    int at = name[0] == '!' ? CHANNELS + topic_of_text(push_str(name + 1), true) : topic_of_text(push_str(name), false);
    for (int i = 0; i < truth_stay_count && got == WEFT_ENOMEM; i++)
        if (truth_stays[i].topic == at)
            truth_stays[i].holed = true;
    return got;
}
