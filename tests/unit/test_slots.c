/*
 * Slots in a random run beside a plain list of what lives, and the memory they give back.
 */
#include "server/server_impl.h"
#include "test.h"

#include <stdlib.h>

enum { MOST = 1000, STEPS = 20000, PAGE = 64 };

static wf_worker w; /* handles lead through one */
static weft_conn *living[MOST + PAGE];
static weft_handle handles[MOST + PAGE];
static uint32_t count;

static weft_conn *add(void) {
    weft_conn *conn = wf_slots_add(&w.slots);
    if (conn) {
        CHECK(conn->link.stage == 0 && !conn->opened && conn->link.user == NULL);
        conn->link.q.pool = &w.env.pool;
        conn->link.env = &w.env;
        conn->link.user = conn;
        handles[count] = wf_handle_of(conn);
        living[count++] = conn;
    }
    return conn;
}

static void drop(uint32_t at) {
    weft_conn *conn = living[at];
    weft_handle handle = handles[at];
    CHECK(conn->link.user == conn); /* nobody else has had its memory */
    CHECK(wf_handle_conn(&w, handle) == conn);
    wf_slots_end(&w.slots, conn);
    CHECK(!wf_handle_alive(&w, handle) && !wf_handle_conn(&w, handle));
    CHECK(conn->link.user == conn);
    wf_slots_free(&w.slots, conn);
    living[at] = living[--count];
    handles[at] = handles[count];
}

static size_t begin(void) {
    size_t live = test_mem_live();
    count = 0;
    CHECK_EQ(wf_slots_init(&w.slots, MOST), WF_OK);
    return live;
}

static void end(size_t live) {
    while (count > 0)
        drop(count - 1);
    wf_slots_check(&w.slots);
    wf_slots_deinit(&w.slots);
    CHECK_EQ(test_mem_live(), live);
}

TEST(whoever_comes_and_goes_has_memory_and_a_handle_of_its_own) {
    size_t live = begin();
    srand(7);
    for (int i = 0; i < STEPS; i++) {
        bool crowd = i / 2000 % 2 == 0; /* more come than go, then the other way round */
        if (rand() % 8 < (crowd ? 6 : 2))
            CHECK((add() != NULL) == (w.slots.used <= w.slots.count && count <= w.slots.count));
        else if (count > 0)
            drop((uint32_t)rand() % count);
        if (i % 100 == 0)
            wf_slots_check(&w.slots);
        CHECK_EQ(w.slots.used, count);
    }
    end(live);
}

TEST(a_connection_is_small) {
    CHECK(sizeof(weft_conn) <= 256);
}

TEST(no_more_than_there_are_slots) {
    size_t live = begin();
    while (add())
        CHECK(count <= MOST + PAGE);
    CHECK(count >= MOST);
    wf_slots_check(&w.slots);
    drop(0);
    CHECK(add() != NULL);
    CHECK(add() == NULL);
    end(live);
}

TEST(all_that_live_are_found_by_number) {
    size_t live = begin();
    for (int i = 0; i < 200; i++)
        add();
    for (int i = 0; i < 150; i++)
        drop((uint32_t)(i * 7) % count);
    uint32_t found = 0;
    for (uint32_t i = 0; i < w.slots.high; i++) {
        weft_conn *conn = wf_slots_at(&w.slots, i);
        CHECK(!conn || conn->slot == i);
        found += conn != NULL;
    }
    CHECK_EQ(found, 50);
    end(live);
}

TEST(memory_is_given_back_with_the_last_of_a_page) {
    size_t live = begin(), tables = test_mem_live();
    for (int i = 0; i < 3 * PAGE; i++)
        add();
    CHECK_EQ(test_mem_live(), tables + 3);
    for (int i = 0; i < PAGE; i++)
        drop(count - 1);
    CHECK_EQ(test_mem_live(), tables + 3); /* the only one with room: for the next to come */
    drop(count - 1);
    CHECK_EQ(test_mem_live(), tables + 2); /* now another has */
    while (count > 0)
        drop(0);
    CHECK_EQ(test_mem_live(), tables + 1);
    CHECK(add() != NULL);
    wf_slots_rest(&w.slots);
    CHECK_EQ(test_mem_live(), tables + 1); /* it is in use */
    drop(0);
    wf_slots_rest(&w.slots);
    CHECK_EQ(test_mem_live(), tables);
    end(live);
}

/* A page that has gone leaves no way to who lived in it. */
TEST(a_handle_stays_stale_when_its_page_is_taken_again) {
    size_t live = begin();
    weft_handle old[2 * PAGE];
    for (int i = 0; i < 2 * PAGE; i++) {
        add();
        old[i] = handles[i];
    }
    for (int round = 0; round < 2; round++) {
        while (count > 0)
            drop(0);
        for (int i = 0; i < 2 * PAGE; i++)
            CHECK(!wf_handle_conn(&w, old[i]));
        for (int i = 0; i < 2 * PAGE; i++)
            CHECK(add() != NULL);
        for (int i = 0; i < 2 * PAGE; i++)
            CHECK(!wf_handle_conn(&w, old[i]));
    }
    end(live);
}

TEST(without_memory_for_a_page_nobody_is_let_in) {
    size_t live = begin();
    test_mem_fail_at(1);
    CHECK(add() == NULL);
    test_mem_fail_at(0);
    wf_slots_check(&w.slots);
    CHECK(add() != NULL);
    end(live);
    for (size_t nth = 1; nth <= 2; nth++) {
        test_mem_fail_at(nth);
        CHECK_EQ(wf_slots_init(&w.slots, MOST), WF_ENOMEM);
        test_mem_fail_at(0);
        wf_slots_deinit(&w.slots);
        CHECK_EQ(test_mem_live(), live);
    }
}
