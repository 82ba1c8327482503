/*
 * A handshake that is answered late, from another thread: its `open`, the frames that waited behind it and even
 * its `closed` are told while the queues are flushed at the end of a turn, where the connection may end under the
 * hands of whoever flushes. And a client that did not wait for the answer.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>

static const char handshake[] = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static client c, other, third;
static _Atomic(weft_request *) kept;

static void keep(weft_request *request, void *user) {
    (void)user;
    weft_request_set_user(request, "accepted");
    atomic_store(&kept, weft_request_ref(request));
    diary("kept");
}

static weft_request *wait_kept(void) {
    CHECK_STR(diary_next(), "kept");
    return atomic_exchange(&kept, NULL);
}

/* A handshake, and right behind it a message and, if wanted, a close frame. */
static void ask_and_go_on(client *who, bool closes) {
    uint8_t bytes[512];
    size_t len = sizeof handshake - 1;
    memcpy(bytes, handshake, len);
    len += client_encode(bytes + len, 0x81, "go", 2);
    if (closes)
        len += client_encode(bytes + len, 0x88, "\x03\xe8", 2);
    CHECK(client_connect(who, fixture.address, 0));
    CHECK(client_send(who, bytes, len));
}

/* ---- ending inside a callback of the flush ---- */

enum { IN_OPEN, IN_MESSAGE, IN_CLOSED, WHERE_COUNT };
static const char *const where_names[] = {"open", "message", "closed"};
static int do_where;
static bool do_abort;

static void act(weft_conn *conn, int here) {
    if (here != do_where)
        return;
    if (do_abort)
        weft_conn_abort(conn);
    else
        weft_conn_close(conn, 4000, "in a callback");
}

static void act_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    diary("open");
    act(conn, IN_OPEN);
}

static void act_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    diary("message %.*s", (int)message.len, (const char *)message.data);
    act(conn, IN_MESSAGE);
}

static void act_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)info;
    (void)user;
    diary("closed");
    act(conn, IN_CLOSED);
}

/* The whole life of one client that is accepted late. */
static void live_and_die(void) {
    ask_and_go_on(&c, do_where == IN_CLOSED);
    weft_request *request = wait_kept();
    client_sleep_ms(10); /* what is behind the handshake has come */
    CHECK_EQ(weft_request_accept(request, NULL, NULL, 0), WEFT_OK);
    weft_request_unref(request);
    CHECK_STR(diary_next(), "open");
    if (do_where != IN_OPEN)
        CHECK_STR(diary_next(), "message go");
    if (do_abort || do_where == IN_CLOSED) {
        CHECK(client_ended(&c, CLIENT_PATIENCE_MS));
    } else {
        CHECK_EQ(client_answer(&c), 101);
        CHECK_STR(client_next(&c), "close 4000 in a callback");
        CHECK(client_say_close(&c, 4000, NULL));
        CHECK_STR(client_next(&c), "eof");
    }
    client_close(&c);
    CHECK_STR(diary_next(), "closed");
}

TEST(an_end_inside_any_callback_after_a_late_accept_hurts_nobody_else) {
    for (int i = 0; i < 2 * WHERE_COUNT; i++) {
        do_where = i / 2;
        do_abort = i % 2;
        test_context("%s inside %s", do_abort ? "abort" : "close", where_names[do_where]);
        fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .workers = 1});
        fixture_route("/ws",
                      &(weft_route) {.upgrade = keep, .open = act_open, .message = act_message, .closed = act_closed});
        fixture_route("/echo", &(weft_route) {.message = fixture_on_message});
        fixture_run(NULL);
        CHECK_EQ(client_open(&other, fixture.address, "/echo", NULL), 101);
        for (int round = 0; round < 3; round++) {
            live_and_die();
            CHECK(client_text(&other, "still here"));
            CHECK_STR(client_next(&other), "text still here");
            EVENTUALLY(fixture_stats().connections == 1);
        }
        CHECK_STR(diary_next_within(5), "nothing");
        client_close(&other);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
    test_context("%s", "");
}

/* ---- nobody is there any more ---- */

static atomic_int allowed; /* so many blocked callbacks go on */

static void block(weft_request *request, void *user) {
    static int entered;
    (void)user;
    if (atomic_load(&allowed) == 0)
        entered = 0;
    entered++;
    diary("blocked %d", entered);
    for (int i = 0; atomic_load(&allowed) < entered && i < CLIENT_PATIENCE_MS; i++)
        client_sleep_ms(1);
    weft_request_reply(request, 204, NULL, NULL, 0);
}

static void lost(void *accepted, void *user) {
    diary("lost %s by %s", (const char *)accepted, (const char *)user);
}

/* The worker is held up once so that a second such request and the client's end come to it in one go, and by that
 * request once more, so that the accept is given when the end has come but is not known yet. */
TEST(an_accept_for_a_client_that_has_gone_is_told_as_lost_and_nothing_else) {
    for (int reset = 0; reset < 2; reset++) {
        test_context("reset %d", reset);
        atomic_store(&allowed, 0);
        fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .workers = 1});
        fixture_route("/ws", &(weft_route) {.upgrade = keep,
                                            .open = act_open,
                                            .message = act_message,
                                            .closed = act_closed,
                                            .lost = lost,
                                            .user = "the route"});
        fixture_route("/block", &(weft_route) {.request = block});
        fixture_run(NULL);
        CHECK(client_connect(&c, fixture.address, 0));
        CHECK(client_ask(&c, "/ws", NULL, true));
        weft_request *request = wait_kept();
        CHECK(client_connect(&other, fixture.address, 0));
        CHECK(client_connect(&third, fixture.address, 0));
        EVENTUALLY(fixture_stats().connections == 3);
        CHECK(client_ask(&other, "/block", NULL, false));
        CHECK_STR(diary_next(), "blocked 1");
        CHECK(client_ask(&third, "/block", NULL, false));
        client_sleep_ms(10);
        if (reset)
            client_reset(&c);
        else
            client_close(&c);
        client_sleep_ms(10);
        atomic_store(&allowed, 1);
        CHECK_STR(diary_next(), "blocked 2");
        CHECK_EQ(weft_request_accept(request, NULL, NULL, 0), WEFT_OK);
        weft_request_unref(request);
        atomic_store(&allowed, 2);
        CHECK_STR(diary_next(), "lost accepted by the route");
        CHECK_EQ(client_answer(&other), 204);
        CHECK_EQ(client_answer(&third), 204);
        EVENTUALLY(fixture_stats().connections == 2);
        CHECK_STR(diary_next_within(20), "nothing");
        client_close(&other);
        client_close(&third);
        CHECK_EQ(fixture_end(), WEFT_OK);
        CHECK_STR(diary_next_within(1), "nothing");
    }
    test_context("%s", "");
}
