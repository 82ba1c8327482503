#include "truth.h"

#include "client.h"
#include "sim.h"

#include "app/pusher/apps.h"
#include "app/pusher/json.h"
#include "app/pusher/pusher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

truth_topic truth_topics[TOPICS];
truth_stay truth_stays[STAYS_MAX];
truth_conn truth_conns[CONNS_MAX];
truth_event truth_events[EVENTS_MAX];
int truth_conn_count;
uint32_t truth_happened[3];
truth_rules truth_rules_now;
truth_spell truth_occupied[CHANNELS], truth_member[CHANNELS][USERS];
uint64_t truth_grace_ns;
int truth_stay_count;
uint32_t truth_event_count;

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

void truth_begin(void) {
    for (int i = 0; i < TOPICS; i++)
        truth_topics[i].place = truth_topics[i].count = truth_topics[i].subs = truth_topics[i].kept_count =
            truth_topics[i].cached.number = truth_topics[i].epoch[0] = 0;
    truth_conn_count = truth_stay_count = 0;
    truth_event_count = 1;
    memset(truth_happened, 0, sizeof truth_happened);
    memset(truth_occupied, 0, sizeof truth_occupied);
    memset(truth_member, 0, sizeof truth_member);
}

/* ---- names ---- */

const char *truth_channel_name(int channel) {
    return channels[channel];
}

const char *truth_user_name(int user) {
    return users[user];
}

static int index_of(const char *const *names, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

int truth_channel_of(const char *name) {
    return index_of(channels, CHANNELS, name);
}

int truth_user_of(const char *name) {
    return index_of(users, USERS, name);
}

bool truth_is_presence(int channel) {
    return strncmp(channels[channel], "presence-", 9) == 0;
}

bool truth_is_cache(int channel) {
    return strstr(channels[channel], "cache-") != NULL;
}

bool truth_is_public(int channel) {
    return strncmp(channels[channel], "p", 1) != 0;
}

bool truth_takes_client_events(int channel) {
    return !truth_is_public(channel) && strncmp(channels[channel], "private-encrypted-", 18) != 0;
}

/* The settings say what names begin with. */
bool truth_keeps(int channel) {
    for (int c = 0; c < CHANNELS; c++)
        if (truth_rules_now.keeps >> c & 1 && strncmp(channels[channel], channels[c], strlen(channels[c])) == 0)
            return true;
    return false;
}

/* ---- who is where ---- */

int truth_conn_of(const char *socket_id) {
    for (int i = truth_conn_count - 1; i >= 0; i--)
        if (strcmp(truth_conns[i].socket_id, socket_id) == 0)
            return i;
    return -1;
}

bool truth_in(int conn, int topic) {
    int last = truth_conns[conn].last_stay[topic];
    return last >= 0 && truth_stays[last].to == UINT32_MAX;
}

bool truth_has_member(int channel, int user) {
    for (int i = 0; i < truth_conn_count; i++)
        if (truth_in(i, channel) && truth_stays[truth_conns[i].last_stay[channel]].user == user)
            return true;
    return false;
}

uint32_t truth_members(int channel) {
    uint32_t members = 0;
    for (int u = 0; u < USERS && truth_is_presence(channel); u++)
        members |= truth_has_member(channel, u) ? 1u << u : 0;
    return members;
}

int truth_members_count(uint32_t members) {
    return __builtin_popcount(members);
}

bool truth_online(int user) {
    for (int i = 0; i < truth_conn_count; i++)
        if (truth_conns[i].who && truth_conns[i].user == user)
            return true;
    return false;
}

/* ---- events ---- */

uint32_t truth_event_new(int by) {
    if (truth_event_count == EVENTS_MAX)
        sim_fail("simulator", "too many events");
    truth_events[truth_event_count] = (truth_event) {.by = by, .user = -1};
    return truth_event_count++;
}

size_t truth_event_text(uint32_t number, char out[8192]) {
    static const char *const pieces[] = {"\"", "\\", "\n", "\xc3\xa9", "\xf0\x9f\x98\x80", "{", "/", "\t"};
    uint64_t kept = sim.random;
    sim.random = sim.seed * 1000003 + number;
    uint32_t dice = sim_below(100);
    size_t len = 0, most = dice < 70 || sim_pipe_step() < 256    ? sim_below(60)
                           : dice < 95 || sim_pipe_step() < 2048 ? sim_below(600)
                                                                 : sim_below(6000);
    while (len < most) {
        if (sim_below(12) == 0)
            len += (size_t)sprintf(out + len, "%s", pieces[sim_below(sizeof pieces / sizeof *pieces)]);
        else
            out[len++] = (char)('a' + sim_below(26));
    }
    out[len] = '\0';
    sim.random = kept;
    return len;
}

bool truth_is_for(const truth_entry *entry, int conn) {
    if (entry->kind != TRUTH_EVENT)
        return true;
    const truth_event *event = &truth_events[entry->number];
    return strcmp(event->except, truth_conns[conn].socket_id) != 0;
}

/* ---- when nothing happens ---- */

void truth_check(void) {
    push_app *app = push_apps_by_id(app_pusher_apps(), push_str("7"));
    size_t there = 0, occupied = 0;
    if (!app || !push_state_holds(&app->state))
        sim_fail("truth", "the app's state contradicts itself");
    for (int i = 0; i < truth_conn_count; i++)
        there += truth_conns[i].who != NULL;
    for (int c = 0; c < CHANNELS; c++)
        occupied += truth_topics[c].subs > 0;
    if (app->state.conns.count != there || app->state.occupied != occupied)
        sim_fail("truth", "the app has %zu connections and %zu channels, not %zu and %zu", app->state.conns.count,
                 app->state.occupied, there, occupied);
}
