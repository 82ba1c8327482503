/*
 * The store with each call of SQLite failing in turn: what was told to be stored is in the file, in order and once, and
 * what was told not to be is not; memory says the same as the file, and the next message is stored again.
 */
#include "app/log.h"
#include "app/store.h"
#include "test.h"

#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS = 6, LOGS = 2 };

static atomic_int fails_at; /* the n-th step from now on; 0: none */
static atomic_int how;

int __real_sqlite3_step(sqlite3_stmt *prepared);
int __wrap_sqlite3_step(sqlite3_stmt *prepared);

int __wrap_sqlite3_step(sqlite3_stmt *prepared) {
    if (atomic_load(&fails_at) > 0 && atomic_fetch_sub(&fails_at, 1) == 1)
        return atomic_load(&how);
    return __real_sqlite3_step(prepared);
}

static char path[64];
static app_store *store;
static app_shelf shelf;
static app_history *history;
static sem_t done_count;
static char expected[LOGS][400], why[512];

typedef struct event {
    app_write write;
    int log;
    bool stored;
    char text[16];
} event;

static void on_done(app_write *write, const char *why_not) {
    event *e = (event *)write;
    app_past_lock(write->log);
    e->stored = !why_not;
    if (!why_not)
        app_past_append_stored(write->log, &write->message);
    app_past_let_go(write->log);
    app_past_unlock(write->log);
    sem_post(&done_count);
}

static void begin(void) {
    snprintf(path, sizeof path, "/tmp/weft-store-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    app_log_setup(false, -2);
    sem_init(&done_count, 0, 0);
}

static void open_all(void) {
    store = app_store_open(&(app_store_config) {.path = path, .bytes_max = 1 << 30}, why, sizeof why);
    CHECK(store != NULL);
    shelf = (app_shelf) {store, "t/"};
    history = app_history_new(&(app_history_limits) {.messages_max = 4,
                                                     .bytes_max = 100000,
                                                     .total_bytes_max = 1 << 20,
                                                     .logs_max = 100,
                                                     .idle_ms = 60000,
                                                     .load = app_shelf_load,
                                                     .store = &shelf});
    CHECK(history != NULL);
}

static void close_all(void) {
    app_store_stop(store);
    app_history_free(history);
    app_store_free(store);
}

/* Each log's messages, as long as they are kept. */
static void tell(int log, char *out, size_t cap) {
    char key[2] = {(char)('a' + log), 0};
    app_message message;
    app_past *past = app_history_lock(history, key);
    CHECK(past != NULL);
    size_t at = 0;
    out[0] = '\0';
    for (uint64_t offset = app_past_first(past); app_past_at(past, offset, &message); offset++)
        at += (size_t)snprintf(out + at, cap - at, " %llu=%.*s", (unsigned long long)offset, (int)message.len,
                               (const char *)message.data);
    app_past_unlock(past);
}

static bool add(event *e, int log, int number) {
    char key[2] = {(char)('a' + log), 0};
    app_past *past = app_history_lock(history, key);
    if (!past)
        return false;
    *e = (event) {.log = log};
    snprintf(e->text, sizeof e->text, "m%d", number);
    e->write = (app_write) {.shelf = &shelf, .log = past, .done = on_done};
    e->write.message =
        (app_message) {.kind = WEFT_TEXT, .data = (const uint8_t *)e->text, .len = strlen(e->text), .at_ms = 1};
    app_past_hold(past);
    app_past_unlock(past);
    return true;
}

/* Adds a list for both logs, and waits for it. True: both were stored. */
static bool write_round(event events[LOGS], int number) {
    int count = 0;
    for (int log = 0; log < LOGS; log++)
        count += add(&events[count], log, number);
    if (count == 2)
        events[0].write.next = &events[1].write;
    bool all = count == LOGS;
    if (count > 0)
        CHECK(app_store_add(store, &events[0].write));
    for (int i = 0; i < count; i++)
        sem_wait(&done_count);
    for (int i = 0; i < count; i++)
        all = all && events[i].stored;
    if (count == 2)
        CHECK_EQ(events[0].stored, events[1].stored); /* one transaction */
    return all;
}

static void check_file_says_the_same(void) {
    for (int log = 0; log < LOGS; log++)
        tell(log, expected[log], sizeof expected[log]);
    close_all();
    open_all();
    for (int log = 0; log < LOGS; log++) {
        char found[sizeof expected[log]];
        tell(log, found, sizeof found);
        CHECK_STR(found, expected[log]);
    }
}

static void fail_once(int step, int code, bool *out_failed) {
    event events[LOGS];
    begin();
    open_all();
    CHECK(app_store_start(store));
    CHECK(write_round(events, 0));
    atomic_store(&how, code);
    atomic_store(&fails_at, step);
    for (int i = 1; i < ROUNDS; i++)
        *out_failed |= !write_round(events, i);
    *out_failed |= atomic_load(&fails_at) == 0;
    atomic_store(&fails_at, 0);
    CHECK(write_round(events, 99)); /* it has healed */
    char text[400];
    tell(0, text, sizeof text);
    CHECK(strstr(text, "=m99") != NULL);
    check_file_says_the_same();
    close_all();
    unlink(path); /* the others went with the close */
}

TEST(a_step_that_fails_loses_nothing) {
    static const int codes[] = {SQLITE_FULL, SQLITE_IOERR, SQLITE_BUSY};
    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
        bool failed = true;
        for (int step = 1; failed; step += 3) {
            failed = false;
            fail_once(step, codes[c], &failed);
            CHECK(step < 200);
        }
    }
}

TEST(what_is_read_fails_alone) {
    event events[LOGS];
    begin();
    open_all();
    CHECK(app_store_start(store));
    CHECK(write_round(events, 0));
    close_all();
    open_all();
    atomic_store(&how, SQLITE_CORRUPT);
    atomic_store(&fails_at, 1);
    CHECK(app_history_lock(history, "a") == NULL);
    tell(0, expected[0], sizeof expected[0]);
    CHECK_STR(expected[0], " 1=m0");
    close_all();
    unlink(path);
}

/* Singles that nearly fill a batch, and behind them a list. */
TEST(a_list_is_one_transaction_wherever_it_stands) {
    enum { SINGLES = 1020, TOGETHER = 10, ALL = SINGLES + TOGETHER };
    static event events[ALL];
    app_store_stats stats;
    begin();
    open_all();
    for (int i = 0; i < ALL; i++)
        CHECK(add(&events[i], i % LOGS, i));
    for (int i = SINGLES; i + 1 < ALL; i++)
        events[i].write.next = &events[i + 1].write;
    for (int i = 0; i <= SINGLES; i++)
        CHECK(app_store_add(store, &events[i].write));
    CHECK(app_store_start(store));
    for (int i = 0; i < ALL; i++)
        sem_wait(&done_count);
    app_store_look(store, &stats);
    CHECK_EQ(stats.messages, ALL);
    CHECK_EQ(stats.commits, 1);
    close_all();
    unlink(path);
}
