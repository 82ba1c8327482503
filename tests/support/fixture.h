/*
 * fixture.h - a server on threads of its own, and a diary of what its callbacks saw.
 *
 *     fixture_new(&(weft_config) {WEFT_CONFIG_INIT});
 *     fixture_route("/echo", &(weft_route) {.message = on_message});
 *     fixture_run();                                  // listens on 127.0.0.1, any port
 *     ... clients speak to fixture.address; callbacks write: diary("message %s", ...)
 *     CHECK_STR(diary_next(), "message hello");
 *     CHECK_EQ(fixture_end(), WEFT_OK);
 *
 * Checks end a test by a jump, so they belong on the main thread; callbacks write to the diary instead. Only
 * one server is up at a time; what a failed test left behind is taken down by the next fixture_new.
 */
#ifndef WF_TESTS_FIXTURE_H
#define WF_TESTS_FIXTURE_H

#include "client.h"
#include "test.h"

#include <weft/weft.h>

typedef struct fixture_state {
    weft_server *server;
    const char *address;
} fixture_state;

extern fixture_state fixture;

/* A server that is not running yet; NULL config: defaults with 512 connections. Empties the diary. */
void fixture_new(const weft_config *config);

/* Adds a route; path and struct_size are filled in. */
void fixture_route(const char *path, const weft_route *route);

/* Listens on `address` if it does not listen yet (NULL: any port of 127.0.0.1) and runs on a thread. */
void fixture_run(const char *address);

/* Waits until weft_server_run has returned: its result; WEFT_ESTALE when it does not within the time. */
int fixture_wait(int timeout_ms);

/* Stops, waits, frees: what run returned. Blocks of memory left alive, if any, are a failed check. */
int fixture_end(void);

/* Writes a line; any thread. */
void diary(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The next line, waited for; "nothing" when none comes. Main thread. */
const char *diary_next(void);
const char *diary_next_within(int timeout_ms);

/* Puts one line: "closed 1000 bye clean peer RULE". */
void diary_closed(const weft_close_info *info);

/* Ready-made callbacks: open and closed write to the diary, message echoes. */
void fixture_on_open(weft_conn *conn, const weft_request *request, void *user);
void fixture_on_message(weft_conn *conn, weft_message message, void *user);
void fixture_on_closed(weft_conn *conn, const weft_close_info *info, void *user);

/* Waits until the expression is true, 10 s at most. */
#define EVENTUALLY(e)                                                                                                  \
    do {                                                                                                               \
        uint64_t until_ = client_now_ms() + CLIENT_PATIENCE_MS;                                                        \
        while (!(e) && client_now_ms() < until_)                                                                       \
            client_sleep_ms(2);                                                                                        \
        CHECK(e);                                                                                                      \
    } while (0)

weft_stats fixture_stats(void);

#endif
