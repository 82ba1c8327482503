/*
 * Connections that end at times of their own, against a list that is searched from end to end.
 */
#include "app/expiry.h"
#include "test.h"

#include <stdbool.h>
#include <stdlib.h>

enum { COUNT = 3000, LAP_MS = APP_EXPIRY_SLOTS * APP_EXPIRY_MS };

static app_expiry expiry;
static app_expiry_item items[COUNT];
static uint64_t due[COUNT]; /* 0: it waits for nothing */
static size_t ended;
static uint64_t now;

static bool refuses;

static bool end(void *context, weft_handle who) {
    CHECK(context == &ended);
    if (refuses)
        return false;
    CHECK(due[who] > 0 && due[who] <= now);
    due[who] = 0;
    ended++;
    return true;
}

static void add(size_t i, uint64_t at) {
    due[i] = at > now ? at : now; /* what is over already ends soon */
    app_expiry_add(&expiry, &items[i], i, at);
}

static size_t turn(size_t max) {
    ended = 0;
    size_t count = app_expiry_turn(&expiry, now, max, end, &ended);
    CHECK_EQ(count, ended);
    return count;
}

static void begin(void) {
    now = 12345678;
    app_expiry_init(&expiry, now);
    memset(items, 0, sizeof items);
    memset(due, 0, sizeof due);
}

TEST(each_ends_once_within_two_slots_of_its_time) {
    uint64_t seed = 7;
    begin();
    for (int step = 0; step < 20000; step++) {
        size_t i = test_random(&seed) % COUNT;
        if (due[i]) {
            app_expiry_remove(&expiry, &items[i]);
            due[i] = 0;
        } else {
            add(i, now - 1000 + test_random(&seed) % (test_random(&seed) % 4 ? 20000 : 3 * LAP_MS));
        }
        if (step % 3 == 0) {
            now += test_random(&seed) % 500 ? test_random(&seed) % 300 : 2 * LAP_MS; /* it also stands still */
            turn(COUNT);
            for (size_t at = 0; at < COUNT; at++)
                CHECK(due[at] == 0 || due[at] + 2 * APP_EXPIRY_MS > now);
        }
    }
}

TEST(no_more_than_so_many_in_a_turn) {
    begin();
    for (size_t i = 0; i < COUNT; i++)
        add(i, now + 1 + i % 3);
    now += 1000;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(turn(COUNT / 3), COUNT / 3);
    CHECK_EQ(turn(COUNT), 0);
}

TEST(who_cannot_be_ended_now_is_ended_later) {
    begin();
    for (size_t i = 0; i < 10; i++)
        add(i, now + 1000 * (i % 2));
    now += 500;
    refuses = true;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(turn(COUNT), 0);
    refuses = false;
    CHECK_EQ(turn(COUNT), 5);
    now += 1000;
    CHECK_EQ(turn(COUNT), 5);
}

TEST(who_has_ended_may_be_removed) {
    begin();
    app_expiry_remove(&expiry, &items[0]); /* was never added */
    add(0, now);
    add(1, now);
    app_expiry_remove(&expiry, &items[1]);
    now += 1000;
    CHECK_EQ(turn(COUNT), 1);
    app_expiry_remove(&expiry, &items[0]);
    app_expiry_remove(&expiry, &items[0]);
    add(0, now - 500); /* and again, when it is over already */
    now += 250;
    CHECK_EQ(turn(COUNT), 1);
}
