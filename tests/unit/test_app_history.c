/*
 * The history of rooms: by example, against a model that remembers everything, and with allocations failing.
 */
#include "app/history.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t now;
static size_t fails_at; /* the n-th allocation from now; 0: none */

static uint64_t clock_of_test(void) {
    return now;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool refused(void) {
    return fails_at > 0 && --fails_at == 0;
}

void *__wrap_malloc(size_t size) {
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return refused() ? NULL : __real_calloc(count, size);
}

static app_history *make(uint32_t messages, uint32_t bytes, uint64_t total, uint32_t logs) {
    now = 1000;
    app_history *history = app_history_new(&(app_history_limits) {.messages_max = messages,
                                                                  .bytes_max = bytes,
                                                                  .total_bytes_max = total,
                                                                  .logs_max = logs,
                                                                  .idle_ms = 60000,
                                                                  .now_ms = clock_of_test});
    CHECK(history != NULL);
    return history;
}

static uint64_t append(app_history *history, const char *key, const char *text) {
    app_past *past = app_history_lock(history, key);
    CHECK(past != NULL);
    uint64_t offset = app_past_append(past, WEFT_TEXT, text, strlen(text));
    app_past_unlock(past);
    return offset;
}

/* "EPOCH? first..last: one two three" */
static const char *tell(app_history *history, const char *key) {
    static char text[1000];
    app_past *past = app_history_lock(history, key);
    CHECK(past != NULL);
    app_message message;
    uint64_t first = app_past_first(past), last = app_past_end(past).offset;
    size_t at = (size_t)snprintf(text, sizeof text, "%llu..%llu:", (unsigned long long)first, (unsigned long long)last);
    CHECK(!app_past_at(past, first - 1, &message));
    CHECK(!app_past_at(past, last + 1, &message));
    for (uint64_t offset = first; offset <= last; offset++) {
        CHECK(app_past_at(past, offset, &message));
        CHECK_EQ(message.offset, offset);
        at += (size_t)snprintf(text + at, sizeof text - at, " %.*s", (int)message.len, (const char *)message.data);
    }
    app_past_unlock(past);
    return text;
}

static app_place end_of(app_history *history, const char *key) {
    app_past *past = app_history_lock(history, key);
    CHECK(past != NULL);
    app_place place = app_past_end(past);
    app_past_unlock(past);
    return place;
}

static bool recovers(app_history *history, const char *key, app_place place) {
    app_past *past = app_history_lock(history, key);
    CHECK(past != NULL);
    bool is = app_past_recovers(past, &place);
    app_past_unlock(past);
    return is;
}

static void look(void *context, app_past *past) {
    (void)context;
    CHECK(app_past_first(past) <= app_past_end(past).offset + 1);
}

/* What has been idle is forgotten when its shard is looked at. */
static void sweep(app_history *h) {
    app_history_each(h, look, NULL);
}

TEST(messages_have_offsets_and_the_last_are_kept) {
    app_history *h = make(3, 100000, 1 << 20, 100);
    CHECK_STR(tell(h, "a"), "1..0:");
    CHECK_EQ(append(h, "a", "one"), 1);
    CHECK_EQ(append(h, "b", "other"), 1);
    app_place one = end_of(h, "a");
    CHECK_EQ(append(h, "a", ""), 2);
    CHECK_EQ(append(h, "a", "three"), 3);
    CHECK_STR(tell(h, "a"), "1..3: one  three");
    CHECK_EQ(append(h, "a", "four"), 4);
    CHECK_STR(tell(h, "a"), "2..4:  three four");
    CHECK(recovers(h, "a", one));
    CHECK_EQ(append(h, "a", "five"), 5);
    CHECK(!recovers(h, "a", one));
    CHECK(recovers(h, "a", end_of(h, "a")));
    CHECK(!recovers(h, "b", end_of(h, "a")));
    app_place ahead = end_of(h, "a");
    ahead.offset++;
    CHECK(!recovers(h, "a", ahead));
    app_history_free(h);
}

TEST(nothing_is_kept_and_offsets_go_on) {
    app_history *h = make(0, 1000, 1 << 20, 100);
    CHECK_EQ(append(h, "a", "one"), 1);
    CHECK_EQ(append(h, "a", "two"), 2);
    CHECK_STR(tell(h, "a"), "3..2:");
    CHECK(recovers(h, "a", end_of(h, "a")));
    app_history_free(h);
}

TEST(what_is_longer_than_all_that_is_kept_leaves_no_gap) {
    static char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    app_history *h = make(10, 1000, 1 << 20, 100);
    append(h, "a", "one");
    CHECK_EQ(append(h, "a", long_text), 2);
    CHECK_EQ(append(h, "a", "three"), 3);
    CHECK_STR(tell(h, "a"), "3..3: three");
    app_history_free(h);
}

TEST(who_is_idle_is_forgotten_and_begins_anew) {
    app_history *h = make(3, 1000, 1 << 20, 100);
    append(h, "idle", "one");
    append(h, "held", "one");
    app_past *held = app_history_lock(h, "held");
    app_past_hold(held);
    *app_past_user(held) = h;
    app_past_unlock(held);
    app_place idle_place = end_of(h, "idle"), held_place = end_of(h, "held");
    now += 60000;
    sweep(h);
    CHECK(recovers(h, "idle", idle_place)); /* and is looked at now */
    now += 60001;
    sweep(h);
    CHECK_STR(tell(h, "idle"), "1..0:");
    CHECK(strcmp(end_of(h, "idle").epoch, idle_place.epoch) != 0);
    CHECK(!recovers(h, "idle", idle_place));
    CHECK(recovers(h, "held", held_place));
    app_past_lock(held);
    CHECK(*app_past_user(held) == h);
    app_past_let_go(held);
    app_past_unlock(held);
    CHECK(recovers(h, "held", held_place)); /* its time begins when it is let go */
    now += 60001;
    sweep(h);
    CHECK(!recovers(h, "held", held_place));
    app_history_free(h);
}

TEST(so_many_logs_are_remembered) {
    char key[32];
    app_history *h = make(3, 1000, 1 << 20, 160);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "room %d", i);
        append(h, key, "x");
    }
    size_t count = 0;
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "room %d", i);
        app_past *past = app_history_lock(h, key);
        count += app_past_end(past).offset == 1;
        app_past_unlock(past);
    }
    CHECK(count <= 11 * 16);
    app_history_free(h);
}

static void add_weight(void *context, app_past *past) {
    app_message message;
    for (uint64_t at = app_past_first(past); app_past_at(past, at, &message); at++)
        *(size_t *)context += message.len;
}

static app_past *held[100];

static const char *held_key(int i) {
    static char key[32];
    snprintf(key, sizeof key, "room %d", i);
    return key;
}

/* Only messages can go. */
static app_history *make_held(void) {
    app_history *h = make(1000, 20000, 400000, 1000);
    for (int i = 0; i < 100; i++) {
        held[i] = app_history_lock(h, held_key(i));
        app_past_hold(held[i]);
        app_past_unlock(held[i]);
    }
    return h;
}

static void free_held(app_history *h) {
    for (int i = 0; i < 100; i++) {
        app_past_lock(held[i]);
        app_past_let_go(held[i]);
        app_past_unlock(held[i]);
    }
    app_history_free(h);
}

static const char *long_text(void) {
    static char text[500];
    memset(text, 'x', sizeof text - 1);
    return text;
}

TEST(all_together_stay_within_the_total) {
    app_history *h = make_held();
    for (int round = 0; round < 40; round++)
        for (int i = 0; i < 100; i++)
            CHECK_EQ(append(h, held_key(i), long_text()), round + 1);
    size_t bytes = 0;
    app_history_each(h, add_weight, &bytes);
    CHECK(bytes <= 400000 && bytes > 200000);
    free_held(h);
}

TEST(who_comes_when_the_total_is_reached_keeps_something) {
    app_history *h = make_held();
    for (int i = 0; i < 5000; i++)
        append(h, held_key(i % 50), long_text());
    for (int i = 50; i < 100; i++) {
        for (int n = 0; n < 10; n++)
            append(h, held_key(i), long_text());
        app_past_lock(held[i]);
        CHECK(app_past_end(held[i]).offset + 1 - app_past_first(held[i]) >= 3);
        app_past_unlock(held[i]);
    }
    size_t bytes = 0;
    app_history_each(h, add_weight, &bytes);
    CHECK(bytes <= 400000);
    free_held(h);
}

TEST(places_are_read_as_they_are_written) {
    app_place place;
    CHECK(app_place_parse("0123456789abcdef:0", &place));
    CHECK_STR(place.epoch, "0123456789abcdef");
    CHECK_EQ(place.offset, 0);
    CHECK(app_place_parse("0123456789abcdef:999999999999999999", &place));
    CHECK_EQ(place.offset, 999999999999999999);
    static const char *const wrong[] = {"",
                                        ":",
                                        "0123456789abcdef",
                                        "0123456789abcdef:",
                                        "0123456789abcde:1",
                                        "0123456789abcdef0:1",
                                        "0123456789ABCDEF:1",
                                        "0123456789abcdef:-1",
                                        "0123456789abcdef:1 ",
                                        "0123456789abcdef:9999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!app_place_parse(wrong[i], &place));
}

/* ---- against a model ---- */

enum { KEYS = 5, ALL_MAX = 4000 };

typedef struct model {
    app_place places[ALL_MAX]; /* behind each message; [0] the beginning of this epoch */
    uint64_t count;            /* messages of this epoch */
    uint32_t lengths[ALL_MAX]; /* by offset */
    app_past *held;
} model;

static model models[KEYS];

/* Whatever place it once gave: what came after it is all there and right, or it does not recover; and the newest place
 * always does. */
static void judge(app_past *past, model *m, uint64_t *random) {
    app_place end = app_past_end(past);
    if (strcmp(end.epoch, m->places[0].epoch) != 0) { /* forgotten, which only happens to who is not held */
        CHECK(!m->held);
        CHECK_EQ(end.offset, 0);
        if (m->count > 0)
            CHECK(!app_past_recovers(past, &m->places[test_random(random) % (m->count + 1)]));
        m->count = 0;
        m->places[0] = end;
    }
    CHECK_EQ(end.offset, m->count);
    CHECK(app_past_recovers(past, &end));
    const app_place *place = &m->places[test_random(random) % (m->count + 1)];
    if (!app_past_recovers(past, place)) {
        CHECK(place->offset + 1 < app_past_first(past));
        return;
    }
    for (uint64_t offset = place->offset + 1; offset <= m->count; offset++) {
        app_message message;
        CHECK(app_past_at(past, offset, &message));
        CHECK_EQ(message.len, m->lengths[offset]);
        CHECK_EQ(message.kind, message.len % 2 ? WEFT_TEXT : WEFT_BINARY);
        for (size_t i = 0; i < message.len; i++)
            CHECK_EQ(message.data[i], (uint8_t)(offset + i));
    }
}

static void act(app_past *past, model *m, uint64_t *random) {
    uint8_t bytes[700];
    switch (test_random(random) % 8) {
    case 0:
        if (m->held) {
            app_past_let_go(past);
            m->held = NULL;
        } else {
            app_past_hold(past);
            m->held = past;
        }
        break;
    case 1:
    case 2:
        break;
    default:
        if (m->count + 1 == ALL_MAX)
            break;
        uint64_t offset = m->count + 1;
        size_t len = test_random(random) % (test_random(random) % 20 == 0 ? sizeof bytes : 40);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(offset + i);
        fails_at = test_random(random) % 30 == 0;
        uint64_t got = app_past_append(past, len % 2 ? WEFT_TEXT : WEFT_BINARY, bytes, len);
        if (got == 0)
            break;
        CHECK_EQ(got, offset);
        m->count = offset;
        m->lengths[offset] = (uint32_t)len;
        m->places[offset] = app_past_end(past);
    }
    fails_at = 0;
}

TEST(a_model_agrees_whatever_happens) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        test_context("seed %llu", (unsigned long long)seed);
        uint64_t random = seed * 0x9E3779B97F4A7C15u;
        app_history *h = make((uint32_t)(test_random(&random) % 30), 300 + (uint32_t)(test_random(&random) % 2000),
                              test_random(&random) % 40000, (uint32_t)(test_random(&random) % 40));
        memset(models, 0, sizeof models);
        for (int step = 0; step < 3000; step++) {
            char key[2] = {(char)('a' + test_random(&random) % KEYS), '\0'};
            model *m = &models[key[0] - 'a'];
            fails_at = test_random(&random) % 50 == 0;
            app_past *past = app_history_lock(h, key);
            fails_at = 0;
            if (!past)
                continue;
            if (m->held)
                CHECK(past == m->held);
            judge(past, m, &random);
            act(past, m, &random);
            judge(past, m, &random);
            app_past_unlock(past);
            now += test_random(&random) % 3000;
            if (test_random(&random) % 20 == 0)
                sweep(h);
        }
        for (int i = 0; i < KEYS; i++)
            if (models[i].held) {
                app_past_lock(models[i].held);
                app_past_let_go(models[i].held);
                app_past_unlock(models[i].held);
            }
        app_history_free(h);
    }
    test_context("%s", "");
}
