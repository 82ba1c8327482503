/*
 * The client of Pusher Channels joins and leaves, says things, signs in, and goes in one of the ways in which clients
 * go.
 */
#include "chatter.h"
#include "sim.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAUSE_MS = 100 };

static chatter chatters[CLIENTS_MAX];

chatter *chatter_of(const sim_client *c) {
    return &chatters[c->id];
}

static chatter *of(const sim_client *c) {
    return &chatters[c->id];
}

static bool is_one(const sim_client *c) {
    return c && (c->model == &world_chatter || c->model == &world_poller || c->model == &world_streamer);
}

int chatter_conn(int id) {
    const sim_client *c = sim_client_of(id);
    return is_one(c) && !c->over && c->silent_ns == UINT64_MAX ? chatters[id].conn : -1;
}

const char *chatter_socket_id(int id) {
    const sim_client *c = sim_client_of(id);
    return is_one(c) ? chatters[id].socket_id : "";
}

void chatter_begin(sim_client *c) {
    chatter *p = of(c);
    json_decref(p->outbox);
    *p = (chatter) {.conn = -1, .acts_left = sim_log_between(1, 60)};
    for (int t = 0; t < TOPICS; t++)
        p->stay[t] = -1;
    p->fate = sim_below(3) ? STAYS : (fate)sim_below(FATES);
    c->budget = sim_log_between(1, 2000);
    c->next_ns = (uint64_t)sim_below(world_busy_ms()) * SIM_MS;
}

static void begin(sim_client *c) {
    chatter_begin(c);
    sim_ws_ask(c, "/app/" WORLD_KEY "?protocol=7&client=js&version=8.4.0");
}

/* ---- what it says ---- */

/* Without a WebSocket it goes with the next request. */
static void say(sim_client *c, const char *text, size_t len) {
    if (of(c)->outbox) {
        json_array_append_new(of(c)->outbox, json_stringn(text, len));
        return;
    }
    int opcode = 1 | sim_ws_prepare(c, (const uint8_t *)text, len);
    sim_ws_frame(c, true, opcode, c->payload, c->payload_len);
}

static void say_json(sim_client *c, json_t *message) {
    char *text = json_dumps(message, JSON_COMPACT);
    say(c, text, strlen(text));
    free(text);
    json_decref(message);
}

static asked *ask(chatter *p, asked_kind kind, int channel) {
    asked *a = &p->asked[p->asked_to++ % CHATTER_ASKED_MAX];
    *a = (asked) {.kind = kind, .channel = channel};
    return a;
}

/* KEY:SIGNATURE of socket id, what stands between, and what was said of oneself. */
static json_t *auth_of(const chatter *p, const char *between, const char *data, bool good) {
    char text[1024], hex[65];
    snprintf(text, sizeof text, "%s:%s%s%s", p->socket_id, between, data ? ":" : "", data ? data : "");
    world_sign(text, hex);
    if (!good)
        hex[7] = hex[7] == '0' ? '1' : '0';
    return json_sprintf("%s:%s", WORLD_KEY, hex);
}

/* Somebody was in the channel before, and comes back; or says so. */
static void return_to(json_t *data, int channel, asked *a) {
    const char *epoch = truth_topics[channel].epoch;
    if (!epoch[0] || !sim_below(3))
        return;
    a->returns = true;
    a->lost = sim_below(8) == 0;
    a->offset = truth_topics[channel].place;
    json_object_set_new(
        data, "recover",
        json_pack("{s:s,s:i}", "epoch", a->lost ? "0000000000000000" : epoch, "offset", (int)a->offset));
}

static void subscribe(sim_client *c, int channel) {
    chatter *p = of(c);
    bool good = truth_is_public(channel) || sim_below(16);
    const char *name = truth_channel_name(channel);
    json_t *data = json_pack("{s:s}", "channel", name);
    char *member = NULL;
    if (truth_is_presence(channel)) {
        const char *user = truth_user_name((int)sim_below(USERS));
        json_t *is = json_pack("{s:s,s:{s:s}}", "user_id", user, "user_info", "is", user);
        member = json_dumps(is, 0);
        json_object_set_new(data, "channel_data", json_string(member));
        json_decref(is);
    }
    if (!truth_is_public(channel))
        json_object_set_new(data, "auth", auth_of(p, name, member, good));
    free(member);
    return_to(data, channel, ask(p, good ? ASKED_SUBSCRIBE : ASKED_BAD_SUBSCRIBE, channel));
    say_json(c, json_pack("{s:s,s:o}", "event", "pusher:subscribe", "data", data));
}

static void unsubscribe(sim_client *c, int channel) {
    say_json(c,
             json_pack("{s:s,s:{s:s}}", "event", "pusher:unsubscribe", "data", "channel", truth_channel_name(channel)));
    chatter *p = of(c);
    p->wants &= ~(1u << channel);
    p->left_at[channel] = p->asked_to;
}

static void tell_others(sim_client *c, int channel) {
    char name[32], text[8192];
    uint32_t number = truth_event_new(c->id);
    truth_event *event = &truth_events[number];
    event->of_client = true;
    event->meant = 1u << channel;
    snprintf(event->except, sizeof event->except, "%s", of(c)->socket_id);
    snprintf(name, sizeof name, "client-%u", number);
    truth_event_text(number, text);
    say_json(c, json_pack("{s:s,s:s,s:s}", "event", name, "channel", truth_channel_name(channel), "data", text));
}

static void sign_in(sim_client *c) {
    chatter *p = of(c);
    json_t *watched = json_array(), *is = json_object();
    for (int u = 0; u < USERS; u++) {
        if (sim_below(3))
            continue;
        p->watches |= 1u << u;
        json_array_append_new(watched, json_string(truth_user_name(u)));
    }
    json_object_set_new(is, "id", json_string(truth_user_name((int)sim_below(USERS))));
    json_object_set_new(is, "watchlist", watched);
    char *text = json_dumps(is, 0);
    json_t *data = json_pack("{s:s}", "user_data", text);
    json_object_set_new(data, "auth", auth_of(p, ":user:", text, true));
    say_json(c, json_pack("{s:s,s:o}", "event", "pusher:signin", "data", data));
    ask(p, ASKED_SIGNIN, -1);
    p->signs_in = true;
    free(text);
    json_decref(is);
}

static void ping(sim_client *c) {
    static const char text[] = "{\"event\":\"pusher:ping\",\"data\":{}}";
    say(c, text, sizeof text - 1);
    ask(of(c), ASKED_PONG, -1);
}

void chatter_act(sim_client *c) {
    chatter *p = of(c);
    int channel = (int)sim_below(CHANNELS);
    uint32_t what = sim_below(20);
    if (what < 8)
        subscribe(c, channel);
    else if (what < 11)
        unsubscribe(c, channel);
    else if (what < 15)
        tell_others(c, channel);
    else if (what < 17 && !p->signs_in)
        sign_in(c);
    else if (what < 19)
        ping(c);
    else if (!p->outbox)
        sim_ws_ping(c);
    p->acts_left--;
}

/* ---- how it goes ---- */

uint64_t chatter_owed(const sim_client *c) {
    const chatter *p = of(c);
    uint64_t entries = p->asked_to - p->asked_from;
    for (int t = 0; t < CHANNELS; t++)
        entries += p->replay_to[t] - p->replay[t];
    for (int t = 0; t < TOPICS && p->conn >= 0; t++) {
        if (p->stay[t] < 0)
            continue;
        const truth_stay *stay = &truth_stays[p->stay[t]];
        uint32_t to = stay->to < truth_topics[t].count ? stay->to : truth_topics[t].count;
        for (uint32_t i = p->cursor[t]; i < to && !stay->holed; i++)
            entries += truth_is_for(&truth_topics[t].entries[i], p->conn);
    }
    return entries;
}

void chatter_go(sim_client *c) {
    bool closes = of(c)->fate == CLOSES;
    if (closes && chatter_owed(c) > 0) {
        sim_client_rest(c, PAUSE_MS);
        return;
    }
    if (closes && !of(c)->outbox) {
        sim_ws_close(c, 1000);
        c->quiet = false;
        return;
    }
    c->hurt = true;
    if (of(c)->fate == RESETS)
        sim_pipe_reset(c->pipe);
    else if (of(c)->fate == FALLS_SILENT && sim_below(2))
        sim_pipe_fin(c->pipe);
    if (of(c)->fate == FALLS_SILENT)
        sim_client_fall_silent(c);
    else
        sim_client_leave(c);
}

static void speak(sim_client *c) {
    chatter *p = of(c);
    c->quiet = true;
    if (!c->open || c->close_sent || p->conn < 0 || world_now() != WORLD_BUSY)
        return;
    if (sim.now_ns < c->pause_until_ns || p->asked_to - p->asked_from == CHATTER_ASKED_MAX) {
        sim_client_rest(c, PAUSE_MS);
    } else if (p->acts_left > 0) {
        chatter_act(c);
        c->pause_until_ns = sim.now_ns + (uint64_t)sim_below(c->budget) * SIM_MS;
        c->quiet = false;
    } else if (p->fate != STAYS) {
        chatter_go(c);
    }
}

/* What was published before a drain is told before it. */
static void check_drained(const sim_client *c) {
    const chatter *p = of(c);
    if (c->hurt || (c->pipe && sim_pipe_hurt(c->pipe)) || world_slow() || c->close_code == 0 ||
        truth_conns[p->conn].terminated)
        return;
    for (int t = 0; t < TOPICS; t++)
        for (uint32_t i = p->cursor[t]; p->stay[t] >= 0 && i < world_last_entry(t) && i < truth_stays[p->stay[t]].to;
             i++)
            if (truth_is_for(&truth_topics[t].entries[i], p->conn))
                sim_fail("drain", "client %d, connection %d was not told entry %u of topic %d", c->id, p->conn, i, t);
}

/* Who reads slowly may be cut before he has read why he is closed. */
static void ended(sim_client *c, sim_end end) {
    const chatter *p = of(c);
    bool terminated = p->conn >= 0 && truth_conns[p->conn].terminated;
    if (world_now() == WORLD_ENDING && p->conn >= 0)
        check_drained(c);
    bool slow = world_slow() && (c->close_code == 1008 || c->close_code == 4100);
    bool cut = (world_slow() || terminated) && c->close_code == 0;
    if (sim_client_excused(c) || slow || cut || (terminated && c->close_code == 4009))
        return;
    if (end != SIM_END_FIN || c->close_code != 1000 || !c->close_sent || p->fate != CLOSES)
        sim_fail("endings", "client %d (chatter): ended by %d, close %d", c->id, (int)end, c->close_code);
}

static bool waits(const sim_client *c) {
    return !c->close_sent && !c->close_code && (of(c)->conn < 0 || chatter_owed(c) > 0);
}

bool chatter_settled(int id) {
    const sim_client *c = sim_client_of(id);
    return chatter_conn(id) < 0 || c->close_code || chatter_owed(c) == 0;
}

/* It is in what it was told to be in, and sees there who is there. */
void chatter_check(int id) {
    const sim_client *c = sim_client_of(id);
    const chatter *p = &chatters[id];
    if (chatter_conn(id) < 0)
        return;
    const truth_conn *conn = &truth_conns[p->conn];
    if (!conn->who || p->rejected != conn->rejected)
        sim_fail("quiet", "client %d is there, and has gone, or missed a refusal", c->id);
    for (int t = 0; t < CHANNELS; t++) {
        bool is = p->wants >> t & 1;
        if (is != truth_in(p->conn, t))
            sim_fail("quiet", "client %d is%s in %s", c->id, is ? "" : " not", truth_channel_name(t));
        if (!is || truth_stays[p->stay[t]].holed)
            continue;
        if (truth_is_presence(t) && p->members[t] != truth_members(t))
            sim_fail("quiet", "client %d sees %x in %s, not %x", c->id, p->members[t], truth_channel_name(t),
                     truth_members(t));
        if (!truth_is_presence(t) && truth_rules_now.counts && p->count[t] != truth_topics[t].subs)
            sim_fail("quiet", "client %d counts %u in %s, not %u", c->id, p->count[t], truth_channel_name(t),
                     truth_topics[t].subs);
    }
    for (int u = 0; u < USERS; u++)
        if (p->watches >> u & 1 && !truth_stays[p->stay[CHANNELS + u]].holed && (p->online >> u & 1) != truth_online(u))
            sim_fail("quiet", "client %d sees %s wrongly", c->id, truth_user_name(u));
}

const sim_model world_chatter = {"chatter", begin, speak, sim_ws_read, chatter_hears, ended, waits, NULL};
