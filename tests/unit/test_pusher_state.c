/*
 * The state of an app, operation by operation: what it says must be done, to the byte; that it does nothing when memory
 * is out; and what it weighs.
 */
#include "test.h"

#include "app/pusher/state.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory that can be out, within an operation ---- */

static size_t fail_at; /* the n-th allocation from now; 0: none */

static bool refused(void) {
    return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strndup(const char *text, size_t len);

void *__wrap_malloc(size_t size) {
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return refused() ? NULL : __real_realloc(old, size);
}

char *__wrap_strndup(const char *text, size_t len) {
    return refused() ? NULL : __real_strndup(text, len);
}

/* ---- a state, and its effects as lines ---- */

static push_settings settings;
static push_state state;
static push_effects effects;
static push_conn *a, *b;
static uint64_t now_ms;

static void begin(void) {
    settings = (push_settings) {.id = (char *)"7",
                                .client_events = true,
                                .subscription_count = false,
                                .limits = {.channels = 4,
                                           .app_channels = UINT32_MAX,
                                           .members = 2,
                                           .client_events_second = 2,
                                           .subscriptions_second = 10,
                                           .watchlist = 10,
                                           .cached_channels = 2}};
    now_ms = 1000000;
    push_state_init(&state, &settings);
    effects = (push_effects) {0};
    a = push_connect(&state, "1.1", 11);
    b = push_connect(&state, "2.2", 22);
    CHECK(a && b && push_state_holds(&state));
}

static void end(void) {
    fail_at = 0;
    CHECK(push_state_holds(&state));
    for (push_link *l; (l = push_table_walk(&state.conns, NULL));)
        push_disconnect((push_conn *)l, &effects, now_ms);
    CHECK(push_state_holds(&state) && state.occupied == 0 && state.subs.count == 0 && state.users.count == 0);
    push_state_deinit(&state);
    push_effects_free(&effects);
}

/* What is to be done, a line each: "join 7 news: {...}". */
static const char *lines(void) {
    static const char *const words[] = {"join", "leave", "send", "publish", "close", "note"};
    static char out[8192];
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < effects.count; i++) {
        const push_effect *e = &effects.items[i];
        used += (size_t)snprintf(out + used, sizeof out - used, "%s", words[e->kind]);
        if (e->kind != PUSH_SEND && e->kind != PUSH_CLOSE)
            used += (size_t)snprintf(out + used, sizeof out - used, " %s", effects.text.data + e->topic);
        if (e->who)
            used += (size_t)snprintf(out + used, sizeof out - used, " -%llu", (unsigned long long)e->who->handle);
        if (e->kind == PUSH_CLOSE || e->kind == PUSH_NOTE)
            used += (size_t)snprintf(out + used, sizeof out - used, " %d", e->code);
        if (e->len > 0)
            used += (size_t)snprintf(out + used, sizeof out - used, ": %.*s", (int)e->len, effects.text.data + e->at);
        used += (size_t)snprintf(out + used, sizeof out - used, "\n");
        CHECK(used < sizeof out);
    }
    CHECK(push_effects_ok(&effects));
    push_effects_clear(&effects);
    CHECK(push_state_holds(&state));
    return out;
}

static push_verdict subscribe(push_conn *conn, const char *channel, const char *id, const char *info) {
    push_want want = {.channel = push_str(channel), .user_id = push_str(id), .user_info = push_str(info)};
    return push_subscribe(conn, &want, &effects, now_ms);
}

static push_verdict trigger(const char *channel, const char *name, const char *data, const push_conn *except) {
    push_event event = {.channel = push_str(channel), .name = push_str(name), .data = push_str(data)};
    return push_trigger(&state, &event, except, &effects, now_ms);
}

static push_verdict say(push_conn *conn, const char *channel) {
    push_event event = {
        .channel = push_str(channel), .name = push_str("\"client-x\""), .data = push_str("{\"n\": 1.0}")};
    return push_client_event(conn, &event, &effects, now_ms);
}

#define SUCCEEDED(channel, data)                                                                                       \
    "{\"event\":\"pusher_internal:subscription_succeeded\",\"channel\":\"" channel "\",\"data\":\"" data "\"}"

TEST(a_public_channel) {
    begin();
    CHECK_EQ(subscribe(a, "news", "", ""), PUSH_DONE);
    CHECK_STR(lines(), "join 7 news: " SUCCEEDED("news", "{}") "\n");
    CHECK_EQ(subscribe(a, "news", "", ""), PUSH_AGAIN);
    CHECK_STR(lines(), "");
    CHECK_EQ(trigger("news", "\"e\"", "\"d\"", b), PUSH_DONE);
    CHECK_STR(lines(), "publish 7 news -22: {\"event\":\"e\",\"channel\":\"news\",\"data\":\"d\"}\n");
    CHECK_EQ(trigger("empty", "\"e\"", "\"d\"", 0), PUSH_DONE); /* nobody is there: nothing is to be done */
    CHECK_STR(lines(), "");
    push_unsubscribe(b, push_str("news"), &effects, now_ms);
    push_unsubscribe(a, push_str("other"), &effects, now_ms);
    CHECK_STR(lines(), "");
    push_unsubscribe(a, push_str("news"), &effects, now_ms);
    CHECK_STR(lines(), "leave 7 news\n");
    CHECK(!push_channel_find(&state, push_str("news")));
    end();
}

TEST(a_presence_channel_has_each_user_once) {
    begin();
    push_conn *c = push_connect(&state, "3.3", 33);
    CHECK_EQ(subscribe(a, "presence-p", "1", "{\"n\":1}"), PUSH_DONE);
    CHECK_STR(lines(), "join 7 presence-p: " SUCCEEDED("presence-p", "{\\\"presence\\\":{\\\"count\\\":1,\\\"ids\\\":"
                                                                     "[\\\"1\\\"],\\\"hash\\\":{\\\"1\\\":{\\\"n\\\":1}"
                                                                     "}}}") "\n");
    CHECK_EQ(subscribe(b, "presence-p", "2", ""), PUSH_DONE);
    CHECK_STR(lines(), "publish 7 presence-p: {\"event\":\"pusher_internal:member_added\",\"channel\":\"presence-p\","
                       "\"data\":\"{\\\"user_id\\\":\\\"2\\\"}\"}\n"
                       "join 7 presence-p: " SUCCEEDED(
                           "presence-p", "{\\\"presence\\\":{\\\"count\\\":2,\\\"ids\\\":[\\\"1\\\",\\\"2\\\"],"
                                         "\\\"hash\\\":{\\\"1\\\":{\\\"n\\\":1},\\\"2\\\":null}}}") "\n");
    CHECK_EQ(subscribe(c, "presence-p", "3", ""), PUSH_TOO_MANY_MEMBERS);
    CHECK_EQ(subscribe(c, "presence-p", "2", ""), PUSH_DONE); /* a second tab: the others hear nothing */
    CHECK(strncmp(lines(), "join ", 5) == 0);
    push_unsubscribe(b, push_str("presence-p"), &effects, now_ms);
    CHECK_STR(lines(), "leave 7 presence-p\n");
    push_disconnect(c, &effects, now_ms);
    CHECK_STR(lines(), "publish 7 presence-p: {\"event\":\"pusher_internal:member_removed\",\"channel\":\"presence-p\","
                       "\"data\":\"{\\\"user_id\\\":\\\"2\\\"}\"}\n");
    end();
}

TEST(a_connection_is_in_so_many_channels) {
    begin();
    CHECK_EQ(subscribe(a, "c1", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(a, "c2", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(a, "c3", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(a, "c4", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(a, "c5", "", ""), PUSH_TOO_MANY_CHANNELS);
    CHECK(!push_channel_find(&state, push_str("c5")));
    settings.limits.app_channels = 4;
    CHECK_EQ(subscribe(b, "c4", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(b, "c5", "", ""), PUSH_APP_FULL);
    settings.limits.app_channels = 5;
    CHECK_EQ(subscribe(b, "c5", "", ""), PUSH_DONE);
    end();
}

/* For all who are there may hear of it. */
TEST(nobody_comes_and_goes_without_end) {
    begin();
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(subscribe(a, "news", "", ""), PUSH_DONE);
        push_unsubscribe(a, push_str("news"), &effects, now_ms);
        lines();
    }
    CHECK_EQ(subscribe(a, "news", "", ""), PUSH_TOO_FAST);
    CHECK_STR(lines(), "");
    CHECK(!push_channel_find(&state, push_str("news")));
    CHECK_EQ(subscribe(b, "news", "", ""), PUSH_DONE); /* others may */
    now_ms += 100;
    CHECK_EQ(subscribe(a, "news", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(a, "other", "", ""), PUSH_TOO_FAST);
    settings.limits.channels = 1000; /* and who may be in many may join them all again */
    now_ms += 1000000;
    for (int i = 0; i < 2000; i++) {
        push_unsubscribe(a, push_str("news"), &effects, now_ms);
        CHECK_EQ(subscribe(a, "news", "", ""), PUSH_DONE);
        push_effects_clear(&effects);
    }
    CHECK_EQ(subscribe(a, "other", "", ""), PUSH_TOO_FAST);
    end();
}

TEST(client_events_have_their_rules) {
    begin();
    CHECK_EQ(subscribe(a, "news", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(a, "private-x", "", ""), PUSH_DONE);
    CHECK_EQ(subscribe(a, "presence-p", "u\"1", ""), PUSH_DONE);
    lines();
    CHECK_EQ(say(a, "news"), PUSH_NOT_FOR_CLIENTS);
    CHECK_EQ(say(a, "private-encrypted-x"), PUSH_NOT_FOR_CLIENTS);
    CHECK_EQ(say(b, "private-x"), PUSH_NOT_IN);
    CHECK_EQ(say(a, "private-y"), PUSH_NOT_IN);
    CHECK_STR(lines(), "");
    CHECK_EQ(say(a, "private-x"), PUSH_DONE);
    CHECK_STR(lines(), "publish 7 private-x -11: {\"event\":\"client-x\",\"channel\":\"private-x\","
                       "\"data\":{\"n\": 1.0}}\n");
    CHECK_EQ(say(a, "presence-p"), PUSH_DONE);
    CHECK_STR(lines(), "publish 7 presence-p -11: {\"event\":\"client-x\",\"channel\":\"presence-p\","
                       "\"data\":{\"n\": 1.0},\"user_id\":\"u\\\"1\"}\n");
    CHECK_EQ(say(a, "private-x"), PUSH_TOO_FAST); /* 2 a second */
    now_ms += 499;
    CHECK_EQ(say(a, "private-x"), PUSH_TOO_FAST);
    now_ms += 1;
    CHECK_EQ(say(a, "private-x"), PUSH_DONE);
    CHECK_EQ(say(a, "private-x"), PUSH_TOO_FAST);
    now_ms += 100000; /* no more than a second's are saved */
    CHECK_EQ(say(a, "private-x"), PUSH_DONE);
    CHECK_EQ(say(a, "private-x"), PUSH_DONE);
    CHECK_EQ(say(a, "private-x"), PUSH_TOO_FAST);
    settings.client_events = false;
    CHECK_EQ(say(a, "private-x"), PUSH_SWITCHED_OFF);
    lines();
    end();
}

TEST(a_cache_channel_keeps_its_last_event) {
    static const char miss[] = "join 7 cache-c: " SUCCEEDED(
        "cache-c", "{}") "\n"
                         "send: {\"event\":\"pusher:cache_miss\",\"channel\":\"cache-c\"}\n";
    begin();
    CHECK_EQ(subscribe(a, "cache-c", "", ""), PUSH_DONE);
    CHECK_STR(lines(), miss);
    CHECK_EQ(trigger("cache-c", "\"e\"", "\"1\"", 0), PUSH_DONE);
    CHECK_EQ(trigger("cache-c", "\"e\"", "\"2\"", 0), PUSH_DONE);
    push_unsubscribe(a, push_str("cache-c"), &effects, now_ms);
    lines();
    CHECK_EQ(subscribe(a, "cache-c", "", ""), PUSH_DONE); /* also when nobody was there meanwhile */
    CHECK_STR(lines(), "join 7 cache-c: " SUCCEEDED(
                           "cache-c", "{}") "\n"
                                            "send: {\"event\":\"e\",\"channel\":\"cache-c\",\"data\":\"2\"}\n");
    now_ms += 30 * 60 * 1000 - 1;
    push_tick(&state, &effects, now_ms);
    CHECK_EQ(state.cached_count, 1);
    now_ms += 1;
    push_tick(&state, &effects, now_ms);
    CHECK_EQ(state.cached_count, 0);
    CHECK_EQ(subscribe(b, "cache-c", "", ""), PUSH_DONE);
    CHECK_STR(lines(), miss);
    CHECK_EQ(trigger("cache-1", "\"e\"", "\"1\"", 0), PUSH_DONE); /* two are kept, the oldest goes */
    CHECK_EQ(trigger("cache-2", "\"e\"", "\"1\"", 0), PUSH_DONE);
    CHECK_EQ(trigger("cache-3", "\"e\"", "\"1\"", 0), PUSH_DONE);
    lines();
    CHECK(!push_channel_find(&state, push_str("cache-1")) && push_channel_find(&state, push_str("cache-2")));
    settings.limits.cached_channels = 1; /* as of a reload */
    CHECK_EQ(trigger("cache-3", "\"e\"", "\"2\"", 0), PUSH_DONE);
    CHECK(state.cached_count == 1 && push_channel_find(&state, push_str("cache-3")));
    lines();
    end();
}

static uint64_t day_ms(void) {
    return now_ms;
}

/* As after a restart: the log has come out of the store, and nothing is cached. */
TEST(a_cache_channel_takes_its_last_event_from_its_history) {
    static const char epoch[] = "0123456789abcdef";
    begin();
    settings.history = (char *)"cache-";
    settings.limits.cached_channels = 0;
    state.history = app_history_new(&(app_history_limits) {
        .messages_max = 10, .bytes_max = 1000, .total_bytes_max = 10000, .logs_max = 10, .now_ms = day_ms});
    app_past *log = app_history_lock(state.history, "cache-c");
    app_place place = {.offset = 6};
    memcpy(place.epoch, epoch, sizeof epoch);
    app_past_begin_at(log, &place);
    static const char text[] = "{\"event\":\"\\\",\\\"data\\\":\",\"channel\":\"cache-c\",\"data\":\"{1}\"";
    app_message kept = {7, WEFT_TEXT, (const uint8_t *)text, sizeof text - 1, now_ms};
    CHECK(app_past_restore(log, &kept));
    CHECK_BYTES(push_kept_data(&kept, push_str("cache-c")).data, 5, "\"{1}\"", 5);
    app_past_unlock(log);
    now_ms += PUSH_CACHE_MS - 1;
    CHECK_EQ(subscribe(a, "cache-c", "", ""), PUSH_DONE);
    CHECK(strstr(lines(), ",\"offset\":7}\nsend: {\"event\":\"\\\",\\\"data\\\":\",\"channel\":\"cache-c\","
                          "\"data\":\"{1}\",\"offset\":7}\n"));
    push_want back = {.channel = push_str("cache-c"), .returns = true, .place = place};
    CHECK_EQ(push_subscribe(b, &back, &effects, now_ms), PUSH_DONE);
    const char *said = lines(), *once = strstr(said, "\"{1}\"");
    CHECK(once && !strstr(once + 1, "\"{1}\"") && !strstr(said, "cache_miss"));
    push_unsubscribe(b, push_str("cache-c"), &effects, now_ms);
    now_ms++;
    lines();
    CHECK_EQ(subscribe(b, "cache-c", "", ""), PUSH_DONE); /* it is too old by now */
    CHECK(strstr(lines(), "send: {\"event\":\"pusher:cache_miss\""));
    end();
    app_history_free(state.history);
}

TEST(counts_are_told_at_once_and_above_a_hundred_now_and_then) {
    begin();
    settings.subscription_count = true;
    CHECK_EQ(subscribe(a, "news", "", ""), PUSH_DONE);
    CHECK(strstr(lines(), "\npublish 7 news: {\"event\":\"pusher_internal:subscription_count\",\"channel\":\"news\","
                          "\"data\":\"{\\\"subscription_count\\\":1}\"}\n"));
    CHECK_EQ(subscribe(a, "presence-p", "1", ""), PUSH_DONE); /* there the members are told */
    CHECK(!strstr(lines(), "count\\\":1}\"}"));
    char id[16];
    push_conn *many[120];
    for (int i = 0; i < 120; i++) {
        snprintf(id, sizeof id, "9.%d", i);
        many[i] = push_connect(&state, id, 100 + (weft_handle)i);
        CHECK_EQ(subscribe(many[i], "news", "", ""), PUSH_DONE);
        CHECK_EQ(strstr(lines(), "subscription_count\\\"") != NULL, i < 99);
    }
    push_tick(&state, &effects, now_ms + 4999);
    CHECK_STR(lines(), "");
    push_tick(&state, &effects, now_ms + 5000);
    CHECK(strstr(lines(), "\\\"subscription_count\\\":121}"));
    push_tick(&state, &effects, now_ms + 50000); /* once is enough */
    CHECK_STR(lines(), "");
    now_ms += 6000;
    push_unsubscribe(many[0], push_str("news"), &effects, now_ms);
    CHECK(strstr(lines(), "\\\"subscription_count\\\":120}") == NULL);
    for (int i = 1; i < 120; i++)
        push_unsubscribe(many[i], push_str("news"), &effects, now_ms);
    push_unsubscribe(a, push_str("news"), &effects, now_ms); /* it goes while its count is due */
    push_effects_clear(&effects);
    push_tick(&state, &effects, now_ms + 50000);
    CHECK_STR(lines(), "");
    end();
}

static push_verdict sign_in(push_conn *conn, const char *id, const weft_text *watched, size_t count) {
    push_signin who = {push_str(id), push_str("{\"n\":1}"), watched, count, push_str("{\"id\":..}")};
    return push_sign_in(conn, &who, &effects);
}

TEST(users_are_watched) {
    begin();
    weft_text watched[] = {push_str("anna"), push_str("otto")};
    CHECK_EQ(sign_in(a, "anna", NULL, 0), PUSH_DONE);
    CHECK_STR(lines(), "send: {\"event\":\"pusher:signin_success\",\"data\":{\"user_data\":\"{\\\"id\\\":..}\"}}\n"
                       "publish 7 !anna: {\"event\":\"pusher_internal:watchlist_events\",\"data\":\"{\\\"events\\\":"
                       "[{\\\"name\\\":\\\"online\\\",\\\"user_ids\\\":[\\\"anna\\\"]}]}\"}\n");
    CHECK_EQ(sign_in(a, "anna", NULL, 0), PUSH_AGAIN);
    CHECK_EQ(sign_in(b, "bob", watched, 2), PUSH_DONE);
    const char *said = lines();
    CHECK(strstr(said, "\njoin 7 !anna\njoin 7 !otto\nsend: "));
    CHECK(strstr(said, "\"{\\\"events\\\":[{\\\"name\\\":\\\"online\\\",\\\"user_ids\\\":[\\\"anna\\\"]},"
                       "{\\\"name\\\":\\\"offline\\\",\\\"user_ids\\\":[\\\"otto\\\"]}]}\""));
    push_conn *c = push_connect(&state, "3.3", 33);
    CHECK_EQ(sign_in(c, "anna", NULL, 0), PUSH_DONE); /* she is online already */
    CHECK(!strstr(lines(), "watchlist"));
    push_terminate(&state, push_str("anna"), &effects);
    CHECK_STR(lines(), "close -33 4009\nclose -11 4009\n");
    push_terminate(&state, push_str("nobody"), &effects);
    push_disconnect(a, &effects, now_ms);
    CHECK_STR(lines(), "");
    push_disconnect(c, &effects, now_ms);
    CHECK(strstr(lines(), "publish 7 !anna: ") && !push_user_find(&state, push_str("anna")));
    end();
}

TEST(notes_are_for_those_who_want_them) {
    begin();
    effects.notes = true;
    CHECK_EQ(subscribe(a, "presence-cache-p", "1", ""), PUSH_DONE);
    CHECK_EQ(say(a, "presence-cache-p"), PUSH_DONE);
    const char *said = lines();
    CHECK(strstr(said, "note presence-cache-p 0\nnote presence-cache-p 2: 1\njoin"));
    CHECK(strstr(said, "note presence-cache-p 5\npublish"));
    CHECK(strstr(said, "note presence-cache-p 4: {\"event\":\"client-x\",\"channel\":\"presence-cache-p\",\"data\":"
                       "\"{\\\"n\\\": 1.0}\",\"socket_id\":\"1.1\",\"user_id\":\"1\"}\n"));
    push_disconnect(a, &effects, now_ms);
    CHECK_STR(lines(), "note presence-cache-p 3: 1\nnote presence-cache-p 1\n");
    a = NULL;
    settings.subscription_count = true;
    CHECK_EQ(subscribe(b, "news", "", ""), PUSH_DONE);
    CHECK(strstr(lines(), "\nnote news 6: 1\n"));
    end();
}

static bool unreadable(void *store, app_past *log) {
    (void)store, (void)log;
    return false;
}

TEST(a_history_that_cannot_be_read_takes_no_event_and_leaves_nothing) {
    begin();
    app_history_limits limits = {
        .messages_max = 10, .bytes_max = 1000, .total_bytes_max = 1000, .logs_max = 10, .load = unreadable};
    settings.history = (char *)"cache-";
    state.history = app_history_new(&limits);
    CHECK(state.history != NULL);
    CHECK_EQ(trigger("cache-new", "\"e\"", "\"d\"", NULL), PUSH_NO_MEMORY);
    CHECK_STR(lines(), "");
    CHECK_EQ(state.channels.count, 0);
    CHECK_EQ(subscribe(a, "cache-new", "", ""), PUSH_DONE); /* he is told that there is none */
    CHECK(strstr(lines(), "\"event\":\"pusher:cache_miss\""));
    end();
    app_history_free(state.history);
}

/* Each operation, with each of its allocations failing in turn: it is done whole, or nothing has changed. */
TEST(without_memory_nothing_changes) {
    weft_text watched[] = {push_str("x"), push_str("y")};
    for (int operation = 0; operation < 4; operation++) {
        push_verdict got = PUSH_NO_MEMORY;
        for (size_t n = 1; got == PUSH_NO_MEMORY; n++) {
            CHECK(n < 60);
            test_context("operation %d, allocation %zu", operation, n);
            begin();
            settings.subscription_count = true;
            CHECK_EQ(subscribe(b, "presence-cache-p", "2", "{}"), PUSH_DONE);
            push_effects_free(&effects);
            size_t subs = state.subs.count, channels = state.channels.count;
            fail_at = n;
            got = operation == 0   ? subscribe(a, "presence-cache-p", "1", "{\"n\":1}")
                  : operation == 1 ? subscribe(a, "cache-new", "", "")
                  : operation == 2 ? trigger("cache-new", "\"e\"", "\"d\"", 0)
                                   : sign_in(a, "anna", watched, 2);
            if (fail_at > 0) /* none failed */
                CHECK_EQ(got, PUSH_DONE);
            if (fail_at == 0 && got == PUSH_DONE) /* only what is said of the number may be missing, and that shows */
                got = operation < 2 ? PUSH_NO_MEMORY : PUSH_DONE;
            else if (got == PUSH_NO_MEMORY)
                CHECK(state.subs.count == subs && state.channels.count == channels && state.users.count == 0 &&
                      effects.count == 0);
            CHECK(got == PUSH_DONE || got == PUSH_NO_MEMORY);
            bool failed = fail_at == 0;
            fail_at = 0;
            CHECK(push_state_holds(&state));
            end();
            if (!failed)
                break;
        }
    }
    test_context("%s", "");
}

/* 10,000 connections in 10 channels each; 10,000 channels. Figures go to the documentation. */
TEST(what_it_weighs) {
    enum { CONNS = 5000, SUBS = 4, CHANNELS = 20000 };
    begin();
    char name[32];
    size_t before = mallinfo2().uordblks;
    static push_conn *conns[CONNS];
    for (int i = 0; i < CONNS; i++) {
        snprintf(name, sizeof name, "%d.%d", i, i);
        conns[i] = push_connect(&state, name, (weft_handle)i + 1);
    }
    size_t with_conns = mallinfo2().uordblks;
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "channel-number-%06d", i);
        CHECK(push_channel_need(&state, push_str(name)) != NULL);
    }
    size_t with_channels = mallinfo2().uordblks;
    for (int i = 0; i < CONNS * SUBS; i++) {
        snprintf(name, sizeof name, "channel-number-%06d", i % CHANNELS);
        CHECK_EQ(subscribe(conns[i / SUBS], name, "", ""), PUSH_DONE);
        push_effects_clear(&effects);
    }
    size_t with_subs = mallinfo2().uordblks;
    double conn = (double)(with_conns - before) / CONNS, channel = (double)(with_channels - with_conns) / CHANNELS,
           sub = (double)(with_subs - with_channels) / (CONNS * SUBS);
    printf("bytes: %.0f per connection, %.0f per channel with a name of 21, %.0f per subscription\n", conn, channel,
           sub);
    if (before > 0) /* a sanitizer's heap does not say */
        CHECK(conn > 0 && conn < 260 && channel < 220 && sub < 120);
    end();
}
