/*
 * The application is the server of Pusher Channels, whole, as `weft serve` has it. What it is made of and who ends it:
 * world.h.
 */
#include "app.h"

#include "kernel.h"
#include "oracles.h"
#include "sim.h"
#include "world.h"

#include "app/log.h"
#include "app/pusher/apps.h"
#include "app/pusher/pusher.h"
#include "app/pusher/table.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* As long as the dead are taken for living, ends wait, and posts are tried again. */
enum { QUIET_MS = 180000, SETTLE_MS = 500, SETTLED_BY_MS = 3600000, INSPECTOR = 0 };

const char sim_app_name[] = "sim_pusher";

static weft_server *server;
static world_phase phase;
static uint64_t next_ns;
static uint32_t busy_ms, spread_ms;
static bool slow, inspected;
static uint32_t last_entries[TOPICS];

/* A sender comes right behind its streamer. */
const sim_model *sim_app_model(int id) {
    static const sim_model *const models[] = {&world_chatter, &world_chatter,  &world_chatter, &world_chatter,
                                              &world_poller,  &world_streamer, &world_backend, &world_backend};
    static const sim_model *last;
    last = id == INSPECTOR           ? &world_inspector
           : last == &world_streamer ? &world_sender
                                     : models[sim_below(sizeof models / sizeof *models)];
    return last;
}

world_phase world_now(void) {
    return phase;
}

uint32_t world_busy_ms(void) {
    return busy_ms;
}

bool world_slow(void) {
    return slow;
}

uint32_t world_last_entry(int topic) {
    return last_entries[topic];
}

void world_inspected(void) {
    inspected = true;
}

/* ---- from busy to the end ---- */

/* The first who has not all that is its; -1: there is none. */
static int unsettled(void) {
    int i = 0;
    while (i < CLIENTS_MAX && chatter_settled(i))
        i++;
    return i < CLIENTS_MAX ? i : -1;
}

/* Who is connected, as clients know it. */
static void check_connections(void) {
    for (int i = 0; i < truth_conn_count; i++) {
        bool known = !truth_conns[i].who;
        for (int k = 0; k < CLIENTS_MAX && !known; k++)
            known = chatter_conn(k) == i;
        if (!known)
            sim_fail("quiet", "connection %d is there for the app, and has gone", i);
        if (truth_conns[i].who && truth_conns[i].terminated)
            sim_fail("quiet", "connection %d is there, and was to be ended", i);
    }
}

static void check_quiet(void) {
    truth_check();
    check_connections();
    for (int i = 0; i < CLIENTS_MAX; i++)
        chatter_check(i);
    collector_check();
}

/* One more event in each channel, published by another thread, for all who are there. */
static void publish_last(void *unused) {
    (void)unused;
    push_app *app = push_apps_by_id(app_pusher_apps(), push_str(WORLD_APP));
    for (int c = 0; c < CHANNELS; c++) {
        char name[32], text[8192];
        push_text json = {0};
        uint32_t number = truth_event_new(INSPECTOR);
        truth_events[number].meant = 1u << c;
        truth_event_text(number, text);
        push_put_quoted(&json, push_str(text));
        snprintf(name, sizeof name, "\"event-%u\"", number);
        push_event event = {.channel = push_str(truth_channel_name(c)), .name = push_str(name)};
        event.data = (weft_text) {json.data, json.len};
        push_trigger(&app->state, &event, NULL, push_app_enter(app), push_now_ms());
        push_app_leave(app, NULL);
        push_text_free(&json);
    }
}

static void end_server(void) {
    bool stop = sim_below(10) == 0;
    phase = WORLD_ENDING;
    sim_trace(stop ? "stop" : "drain", spread_ms, 0, 0);
    app_pusher_drain();
    if (!stop)
        sim_outside(publish_last, NULL);
    for (int t = 0; t < TOPICS; t++)
        last_entries[t] = stop ? 0 : truth_topics[t].count;
    if (stop)
        weft_server_stop(server);
    else
        weft_server_drain(server, sim_below(2) ? 1001 : 1012, spread_ms);
    sim_oracle_ends_by(sim.now_ns + (uint64_t)(stop ? 0 : spread_ms + 5100) * SIM_MS);
}

static void next_phase(void) {
    if (sim.now_ns > (uint64_t)SETTLED_BY_MS * SIM_MS)
        sim_fail("quiet", "client %d waits for what is its for ever", unsettled());
    next_ns = sim.now_ns + (uint64_t)SETTLE_MS * SIM_MS;
    if (phase == WORLD_BUSY) {
        phase = WORLD_QUIET;
        next_ns = sim.now_ns + (uint64_t)QUIET_MS * SIM_MS;
    } else if (phase == WORLD_QUIET && unsettled() < 0) {
        check_quiet();
        phase = WORLD_INSPECTED;
        sim_client_hurry(INSPECTOR);
    } else if (phase == WORLD_INSPECTED && sim_client_of(INSPECTOR)->over && unsettled() < 0) {
        if (!inspected && !sim_client_of(INSPECTOR)->hurt)
            sim_fail("inspector", "he was not let in");
        check_connections();
        end_server();
    }
}

void sim_app_act(void) {
    collector_act();
    if (phase != WORLD_ENDING && sim.now_ns >= next_ns)
        next_phase();
}

uint64_t sim_app_next_ns(void) {
    uint64_t next = collector_next_ns();
    return phase != WORLD_ENDING && next_ns < next ? next_ns : next;
}

bool sim_app_ending(void) {
    return phase == WORLD_ENDING;
}

/* ---- the app ---- */

static void write_settings(const char *path) {
    FILE *file = fopen(path, "w");
    if (!file)
        sim_fail("simulator", "the settings could not be written");
    fprintf(file, "[app sim]\nid = %s\nkey = %s\nsecret = %s\nclient_events = true\nsubscription_count = %s\n",
            WORLD_APP, WORLD_KEY, WORLD_SECRET, truth_rules_now.counts ? "true" : "false");
    fprintf(file, "channels = %u\nmembers = %u\nclient_events_second = %u\n", truth_rules_now.channels_max,
            truth_rules_now.members_max, truth_rules_now.events_second);
    if (truth_rules_now.keeps)
        fprintf(file, "history_messages = %u\nhistory =", truth_rules_now.kept_max);
    for (int c = 0; c < CHANNELS; c++)
        if (truth_rules_now.keeps >> c & 1)
            fprintf(file, " %s", truth_channel_name(c));
    fprintf(file, "\nwebhook = http://hooks.example/all\nwebhook = http://hooks.example/members\n");
    fprintf(file, "webhook_events = member_added, member_removed\nwebhook_grace_ms = %u\nwebhook_batch_ms = %u\n",
            (unsigned)(truth_grace_ns / SIM_MS), sim_log_between(1, 500));
    fprintf(file, "webhook_batch_events = %u\n", sim_log_between(1, 20));
    fclose(file);
}

/* A file in memory: it has a name as long as it is open. */
static const char *settings_file(void) {
    static char name[64];
    if (!name[0])
        snprintf(name, sizeof name, "/proc/self/fd/%d", memfd_create("settings", 0));
    return name;
}

/* What is made once does not take from the seed's. */
static void make_hash_key(void) {
    uint64_t kept = sim.random;
    sim.random = 0;
    push_hash("", 0);
    sim.random = kept;
}

void sim_app_reset(void) {
    phase = WORLD_BUSY;
    inspected = false;
    busy_ms = sim_between(5000, 40000);
    memset(last_entries, 0, sizeof last_entries);
    truth_begin();
    collector_begin();
}

weft_server *sim_app_begin(void) {
    static app_config config;
    spread_ms = sim_below(2) ? 0 : sim_below(3000);
    next_ns = (uint64_t)busy_ms * SIM_MS;
    slow = sim_below(3) == 0;
    truth_rules_now = (truth_rules) {.counts = sim_below(2),
                                     .channels_max = sim_between(2, CHANNELS),
                                     .members_max = sim_between(1, USERS),
                                     .events_second = sim_log_between(1, 100),
                                     .keeps = sim_below(1u << CHANNELS) & sim_below(1u << CHANNELS),
                                     .kept_max = sim_log_between(1, 50)};
    truth_grace_ns = (uint64_t)sim_log_between(100, 5000) * SIM_MS;
    make_hash_key();
    app_log_setup(false, -2);
    write_settings(settings_file());
    config = (app_config) {.config_file = settings_file(),
                           .queue_bytes_max = slow ? sim_log_between(2048, 65536) : WEFT_NONE};
    server = sim_server_new((weft_config) {
        WEFT_CONFIG_INIT, .connections_max = 64, .memory_bytes_max = WEFT_NONE,
        .keep_alive_ms = sim_log_between(5000, 15000),
        .limits = {.ping_interval_ms = sim_log_between(1000, 25000), .queue_bytes_max = config.queue_bytes_max}});
    sim_server_listen(server);
    if (!app_pusher_add(server, &config, NULL) || !app_pusher_start_hooks())
        sim_fail("simulator", "the app could not be made");
    collector_start();
    return server;
}

/* Those without WebSockets go when the app stops. */
void sim_app_run_over(void) {
    app_pusher_stop();
    for (int i = 0; i < truth_conn_count; i++)
        if (truth_conns[i].who)
            sim_fail("callbacks", "connection %d never went", i);
}

void sim_app_freed(void) {
    collector_let_run();
    app_pusher_free();
    collector_end();
}
