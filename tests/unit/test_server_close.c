/*
 * How a WebSocket ends, by whom and why, seen from both sides; and every call inside every callback.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>

static client c, other;

/* Obeys the client: "close CODE REASON", "abort", "silent". */
static void obey(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    char order[200], reason[130] = "";
    int code = 0;
    snprintf(order, sizeof order, "%.*s", (int)message.len, (const char *)message.data);
    if (sscanf(order, "close %d %120[^\n]", &code, reason) >= 1)
        diary("close %d", weft_conn_close(conn, code, reason[0] ? reason : NULL));
    else if (strcmp(order, "abort") == 0)
        weft_conn_abort(conn);
}

static void begin(void) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .limits = {.close_timeout_ms = 150}});
    fixture_route("/", &(weft_route) {.message = obey, .closed = fixture_on_closed});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
}

/* Exactly one `closed`, and nothing is left. */
static void end(const char *closed) {
    CHECK_STR(diary_next(), closed);
    CHECK_STR(diary_next_within(20), "nothing");
    EVENTUALLY(fixture_stats().websockets == 0 && fixture_stats().connections == 0);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(the_peer_closes_with_a_code_and_a_reason) {
    begin();
    CHECK(client_say_close(&c, 4321, "b\xc3\xa9!"));
    CHECK_STR(client_next(&c), "close 4321");
    CHECK_STR(client_next(&c), "eof"); /* the server closes TCP first */
    end("closed 4321 b\xc3\xa9! clean peer");
}

TEST(the_peer_closes_without_a_code) {
    begin();
    CHECK(client_say_close(&c, 0, NULL));
    CHECK_STR(client_next(&c), "close");
    CHECK_STR(client_next(&c), "eof");
    end("closed 1005 clean peer");
}

TEST(we_close_and_the_peer_agrees) {
    begin();
    CHECK(client_text(&c, "close 4000 enough"));
    CHECK_STR(client_next(&c), "close 4000 enough");
    CHECK_STR(diary_next(), "close 0");
    CHECK_STR(client_next_within(&c, 30), "timeout"); /* the peer's word is waited for */
    CHECK(client_say_close(&c, 4000, NULL));
    CHECK_STR(client_next(&c), "eof");
    end("closed 4000 clean");
}

TEST(we_close_without_a_code) {
    begin();
    CHECK(client_text(&c, "close 0"));
    CHECK_STR(client_next(&c), "close");
    CHECK_STR(diary_next(), "close 0");
    CHECK(client_say_close(&c, 0, NULL));
    CHECK_STR(client_next(&c), "eof");
    end("closed 1005 clean");
}

TEST(both_close_at_once) {
    begin();
    uint8_t bytes[64];
    size_t len = client_encode(bytes, 0x81, "close 4000", 10);
    len += client_encode(bytes + len, 0x88, "\x03\xe8me too", 8); /* before ours can have come */
    CHECK(client_send(&c, bytes, len));
    CHECK_STR(client_next(&c), "close 4000");
    CHECK_STR(client_next(&c), "eof");
    CHECK_STR(diary_next(), "close 0");
    CHECK_STR(diary_next(), "closed 1000 me too clean");
    CHECK_STR(diary_next_within(20), "nothing");
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(we_close_and_the_peer_never_answers) {
    begin();
    uint64_t since = client_now_ms();
    CHECK(client_text(&c, "close 1000"));
    CHECK_STR(client_next(&c), "close 1000");
    CHECK_STR(diary_next(), "close 0");
    const char *how = client_next(&c);
    CHECK(strcmp(how, "eof") == 0 || strcmp(how, "reset") == 0);
    CHECK(client_now_ms() - since >= 140 && client_now_ms() - since < 3000);
    end("closed 1006 the closing handshake was not finished in time");
}

TEST(an_abort_is_a_reset_and_no_close_frame) {
    begin();
    CHECK(client_text(&c, "abort"));
    CHECK_STR(client_next(&c), "reset");
    end("closed 1006");
}

TEST(a_broken_rule_is_named_to_both_sides) {
    static const uint8_t unmasked[] = {0x81, 0x01, 'x'};
    begin();
    CHECK(client_send(&c, unmasked, sizeof unmasked));
    CHECK_STR(client_next(&c), "close 1002 RFC6455/5.1: client frame is not masked");
    CHECK_STR(client_next(&c), "eof");
    client_close(&c); /* the server waits for our end: no reset may eat its last words */
    end("closed 1002 RFC6455/5.1: client frame is not masked");
}

TEST(a_tcp_reset) {
    begin();
    client_reset(&c);
    end("closed 1006 the connection broke");
}

TEST(an_end_without_a_close_frame) {
    begin();
    client_shutdown(&c);
    CHECK_STR(client_next(&c), "eof");
    end("closed 1006 RFC6455/7.1.5: connection ended without a close frame");
}

TEST(closes_are_counted_by_code) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = obey, .closed = fixture_on_closed});
    fixture_run(NULL);
    static const struct {
        int code, slot;
        const char *name;
    } rows[] = {{1000, 0, "1000"},  {1001, 1, "1001"},  {1005, 5, "1005"},  {1006, 6, "1006"}, {1015, 15, "1015"},
                {3000, 16, "3xxx"}, {3999, 16, "3xxx"}, {4000, 17, "4xxx"}, {4999, 17, "4xxx"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_EQ(weft_close_slot(rows[i].code), rows[i].slot);
        CHECK_STR(weft_close_slot_name(rows[i].slot), rows[i].name);
        if (rows[i].code == 1005 || rows[i].code == 1006 || rows[i].code == 1015)
            continue;
        CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
        uint64_t before = fixture_stats().closes[rows[i].slot];
        CHECK(client_say_close(&c, rows[i].code, NULL));
        CHECK(client_ended(&c, CLIENT_PATIENCE_MS));
        EVENTUALLY(fixture_stats().closes[rows[i].slot] == before + 1);
        client_close(&c);
    }
    CHECK_EQ(weft_close_slot(0), -1);
    CHECK_EQ(weft_close_slot(2000), -1);
    CHECK_EQ(weft_close_slot(5000), -1);
    CHECK_STR(weft_close_slot_name(-1), "");
    CHECK_STR(weft_close_slot_name(WEFT_CLOSE_SLOTS), "");
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- every call inside every callback ---- */

typedef enum where { IN_OPEN, IN_MESSAGE, IN_PONG, IN_DRAINED, IN_CLOSED, WHERE_COUNT } where;
static const char *const where_names[] = {"open", "message", "pong", "drained", "closed"};

typedef enum deed { DO_CLOSE, DO_ABORT, DO_CLOSE_ABORT, DO_ALL, DEED_COUNT } deed;
static const char *const deed_names[] = {"close", "abort", "close then abort", "everything"};

static where do_where;
static deed do_what;
static atomic_int closed_count, calls_after_closed;
static char big[200000];

static void call_everything(weft_conn *conn) {
    char peer[64];
    weft_server *server = weft_conn_server(conn);
    weft_handle handle = weft_conn_handle(conn);
    weft_conn_send(conn, WEFT_TEXT, "x", 1);
    weft_conn_send_fragment(conn, WEFT_TEXT, "x", 1, false);
    weft_conn_subscribe(conn, "t", 10);
    weft_conn_publish(conn, "t", WEFT_TEXT, "y", 1);
    weft_publish(server, "t", WEFT_TEXT, "z", 1);
    weft_conn_send_fragment(conn, WEFT_TEXT, "x", 1, true);
    weft_conn_unsubscribe(conn, "t");
    weft_conn_subscribe(conn, "t", 10);
    weft_conn_ping(conn);
    weft_conn_rtt_ns(conn);
    weft_conn_buffered(conn);
    weft_conn_peer(conn, peer, sizeof peer);
    weft_conn_set_user(conn, weft_conn_user(conn));
    weft_handle_send(server, handle, WEFT_TEXT, "h", 1);
    weft_handle_close(server, handle, 1000, NULL);
}

static void act(weft_conn *conn, where here) {
    if (atomic_load(&closed_count) > 0 && here != IN_CLOSED)
        atomic_fetch_add(&calls_after_closed, 1);
    if (here != do_where)
        return;
    if (do_what == DO_ALL)
        call_everything(conn);
    if (do_what == DO_CLOSE || do_what == DO_CLOSE_ABORT)
        weft_conn_close(conn, 4000, "in a callback");
    if (do_what == DO_ABORT || do_what == DO_CLOSE_ABORT)
        weft_conn_abort(conn);
    if (do_what != DO_ALL) {
        call_everything(conn);
        diary("after: send %d, fragment %d, close %d, ping %d, subscribe %d", weft_conn_send(conn, WEFT_TEXT, "x", 1),
              weft_conn_send_fragment(conn, WEFT_TEXT, "x", 1, true), weft_conn_close(conn, 1000, NULL),
              weft_conn_ping(conn), weft_conn_subscribe(conn, "t", 0));
    }
}

static void deed_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)user;
    act(conn, IN_OPEN);
    if (weft_request_header(request, "Host").len != 9) /* still readable */
        diary("the request is broken");
}

static void deed_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    act(conn, IN_MESSAGE);
    if (message.len != 2 || memcmp(message.data, "go", 2) != 0) /* still readable, also after an abort */
        diary("the message is broken");
    if (do_where == IN_PONG)
        weft_conn_ping(conn);
    if (do_where == IN_DRAINED)
        for (int i = 0; i < 9; i++)
            weft_conn_send(conn, WEFT_BINARY, big, sizeof big);
}

static void deed_pong(weft_conn *conn, uint64_t rtt_ns, void *user) {
    (void)rtt_ns;
    (void)user;
    act(conn, IN_PONG);
}

static void deed_drained(weft_conn *conn, void *user) {
    (void)user;
    act(conn, IN_DRAINED);
}

static void deed_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)user;
    (void)info;
    act(conn, IN_CLOSED);
    atomic_fetch_add(&closed_count, 1);
}

/* Speaks to the server until it hangs up, answering pings and closes; at last says close itself. */
static void be_polite(client *who) {
    CHECK(client_text(who, "go"));
    bool closing = false;
    for (int frames = 0; frames < 100; frames++) {
        const char *came = client_next_within(who, closing ? CLIENT_PATIENCE_MS : 60);
        if (strcmp(came, "eof") == 0 || strcmp(came, "reset") == 0)
            return;
        uint8_t payload[125];
        size_t len = who->data_len < sizeof payload ? who->data_len : 0;
        if (len > 0)
            memcpy(payload, who->data, len);
        if (strcmp(came, "ping") == 0) {
            client_frame(who, 0x8A, payload, len);
        } else if (!closing && (strncmp(came, "close", 5) == 0 || strcmp(came, "timeout") == 0)) {
            client_say_close(who, 1000, NULL);
            closing = true;
        }
    }
    CHECK(!"the server went on for ever");
}

TEST(every_call_is_legal_in_every_callback) {
    for (int w = 0; w < WHERE_COUNT; w++) {
        for (int d = 0; d < DEED_COUNT; d++) {
            do_where = (where)w;
            do_what = (deed)d;
            atomic_store(&closed_count, 0);
            test_context("%s inside %s", deed_names[d], where_names[w]);
            fixture_new(NULL);
            CHECK_EQ(weft_server_history(fixture.server, "", 10, 10000), WEFT_OK);
            fixture_route("/", &(weft_route) {.open = deed_open,
                                              .message = deed_message,
                                              .pong = deed_pong,
                                              .drained = deed_drained,
                                              .closed = deed_closed,
                                              .limits = {.queue_bytes_max = 300000}});
            fixture_run(NULL);
            bool aborted = w == IN_OPEN && (d == DO_ABORT || d == DO_CLOSE_ABORT); /* and the 101 with it */
            CHECK_EQ(client_open(&c, fixture.address, "/", NULL), aborted ? 0 : 101);
            if (!aborted)
                be_polite(&c);
            client_close(&c);
            EVENTUALLY(atomic_load(&closed_count) == 1);
            EVENTUALLY(fixture_stats().connections == 0);
            if (d != DO_ALL)
                CHECK_STR(diary_next(), "after: send -4, fragment -4, close -4, ping -4, subscribe -4");
            CHECK_STR(diary_next_within(1), "nothing");
            CHECK_EQ(fixture_end(), WEFT_OK);
            CHECK_EQ(closed_count, 1);
            CHECK_EQ(calls_after_closed, 0);
        }
    }
    test_context("%s", "");
}

/* ---- one connection's callback on another ---- */

static weft_conn *first;

static void remember(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    weft_conn_subscribe(conn, "t", 0);
    weft_conn_subscribe(conn, "u", 0);
    if (!first)
        first = conn;
}

static void meddle(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    char order = (char)message.data[0];
    if (order == 'u')
        weft_conn_unsubscribe(first, "t");
    else if (order == 's')
        diary("send %d", weft_conn_send(first, WEFT_TEXT, "from another", 12));
    else if (order == 'c')
        diary("close %d", weft_conn_close(first, 4001, "by another"));
    else if (order == 'a')
        weft_conn_abort(first);
    weft_conn_publish(conn, "t", WEFT_TEXT, "t", 1);
    weft_conn_publish(conn, "u", WEFT_TEXT, "u", 1);
}

static void publish_in_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)user;
    diary_closed(info);
    diary("publish %d, to the dead %d", weft_conn_publish(conn, "u", WEFT_TEXT, "goodbye", 7),
          weft_conn_send(conn, WEFT_TEXT, "x", 1));
}

TEST(a_callback_may_do_everything_to_another_connection) {
    for (int abort = 0; abort < 2; abort++) {
        test_context("abort %d", abort);
        first = NULL;
        fixture_new(NULL);
        fixture_route("/", &(weft_route) {.open = remember, .message = meddle, .closed = publish_in_closed});
        fixture_run(NULL);
        CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
        CHECK_EQ(client_open(&other, fixture.address, "/", NULL), 101);
        CHECK(client_text(&other, "send"));
        CHECK_STR(diary_next(), "send 0");
        CHECK_STR(client_next(&c), "text from another");
        CHECK_STR(client_next(&c), "text t");
        CHECK_STR(client_next(&c), "text u");
        CHECK(client_text(&other, "unsubscribe"));
        CHECK_STR(client_next(&c), "text u");
        CHECK(client_text(&other, abort ? "abort" : "close"));
        if (abort) {
            CHECK_STR(client_next(&c), "reset");
            CHECK_STR(diary_next(), "closed 1006");
        } else {
            CHECK_STR(diary_next(), "close 0");
            CHECK_STR(client_next(&c), "close 4001 by another"); /* and nothing behind it */
            CHECK(client_say_close(&c, 4001, NULL));
            CHECK_STR(diary_next(), "closed 4001 clean");
        }
        CHECK_STR(diary_next(), "publish 0, to the dead -4");
        CHECK_STR(client_next(&other), "text goodbye");
        client_close(&c);
        client_close(&other);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
    test_context("%s", "");
}
