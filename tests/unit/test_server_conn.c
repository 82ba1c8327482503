/*
 * An open WebSocket: what is sent, in whole or in fragments, under a full queue, with pings, under the limits
 * of its route.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static client c;

static void end(void) {
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(what_comes_is_handed_over_and_echoed_whatever_its_size) {
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 300000, 1024 * 1024};
    fixture_new(NULL);
    fixture_route("/echo", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/echo", NULL), 101);
    uint8_t *data = malloc(1024 * 1024);
    CHECK(data != NULL);
    for (size_t i = 0; i < 1024 * 1024; i++)
        data[i] = (uint8_t)('a' + i * 7 % 26);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int kind = WEFT_TEXT; kind <= WEFT_BINARY; kind++) {
            test_context("%zu bytes, kind %d", sizes[i], kind);
            CHECK(client_frame(&c, (uint8_t)(0x80 | kind), data, sizes[i]));
            CHECK_EQ(strncmp(client_next(&c), kind == WEFT_TEXT ? "text" : "binary", 4), 0);
            CHECK_BYTES(c.data, c.data_len, data, sizes[i]);
        }
    }
    test_context("%s", "");
    free(data);
    weft_stats stats = fixture_stats();
    CHECK_EQ(stats.messages_in, 18);
    CHECK_EQ(stats.messages_out, 18);
    CHECK_EQ(stats.websockets, 1);
    end();
}

static void send_wrong(weft_conn *conn, weft_message message, void *user) {
    (void)message;
    (void)user;
    int bad_kind = weft_conn_send(conn, (weft_kind)8, "x", 1);
    int no_kind = weft_conn_send(conn, (weft_kind)0, "x", 1);
    diary("kinds %d %d %d", bad_kind, no_kind, weft_conn_send_fragment(conn, (weft_kind)9, "x", 1, true));
    diary("codes %d %d %d %d", weft_conn_close(conn, 1005, NULL), weft_conn_close(conn, 999, NULL),
          weft_conn_close(conn, 2999, NULL), weft_conn_close(conn, 5000, NULL));
    char reason[125];
    memset(reason, 'r', 124);
    reason[124] = '\0';
    diary("reasons %d %d %d", weft_conn_close(conn, 1000, reason), weft_conn_close(conn, 1000, "\xff"),
          weft_conn_close(conn, 0, "reason without a code"));
    diary("topics %d %d", weft_conn_subscribe(conn, "", 0), weft_conn_publish(conn, "", WEFT_TEXT, "x", 1));
    diary("still open %d, peer %.10s", weft_conn_send(conn, WEFT_TEXT, "yes", 3),
          weft_conn_peer(conn, (char[64]) {0}, 64));
}

TEST(wrong_arguments_are_refused_and_change_nothing) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = send_wrong});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK(client_text(&c, "go"));
    CHECK_STR(client_next(&c), "text yes");
    CHECK_STR(diary_next(), "kinds -3 -3 -3");
    CHECK_STR(diary_next(), "codes -3 -3 -3 -3");
    CHECK_STR(diary_next(), "reasons -3 -3 -3");
    CHECK_STR(diary_next(), "topics -3 -3");
    CHECK_STR(diary_next(), "still open 0, peer 127.0.0.1:");
    end();
}

/* ---- fragments ---- */

static void send_fragments(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    weft_conn_subscribe(conn, "t", 0);
    if (message.len == 5) { /* "begin" */
        diary("begin %d", weft_conn_send_fragment(conn, WEFT_TEXT, "frag", 4, false));
        diary("whole in between %d", weft_conn_send(conn, WEFT_TEXT, "no", 2));
        weft_publish(weft_conn_server(conn), "t", WEFT_TEXT, "held 1", 6);
        diary("empty %d", weft_conn_send_fragment(conn, WEFT_BINARY, NULL, 0, false));
        weft_publish(weft_conn_server(conn), "t", WEFT_TEXT, "held 2", 6);
    } else {
        diary("end %d", weft_conn_send_fragment(conn, WEFT_TEXT, "ment", 4, true));
        diary("after %d", weft_conn_send(conn, WEFT_TEXT, "whole", 5));
    }
}

TEST(what_is_published_waits_until_a_fragmented_message_is_finished) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = send_fragments});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK(client_text(&c, "begin"));
    CHECK_STR(diary_next(), "begin 0");
    CHECK_STR(diary_next(), "whole in between -3");
    CHECK_STR(diary_next(), "empty 0");
    CHECK_STR(client_next(&c), "text+ frag");
    CHECK_STR(client_next(&c), "continuation+");
    CHECK_STR(client_next_within(&c, 30), "timeout");
    CHECK(client_frame(&c, 0x89, "p", 1));
    CHECK_STR(client_next(&c), "pong p"); /* control frames pass */
    CHECK(client_text(&c, "finish"));
    CHECK_STR(diary_next(), "end 0");
    CHECK_STR(diary_next(), "after 0");
    CHECK_STR(client_next(&c), "continuation ment");
    CHECK_STR(client_next(&c), "text held 1");
    CHECK_STR(client_next(&c), "text held 2");
    CHECK_STR(client_next(&c), "text whole");
    CHECK_EQ(fixture_stats().messages_out, 4);
    end();
}

/* ---- a full queue ---- */

enum { QUEUE_BYTES = 100000, PIECE_BYTES = 60000 };
static char piece[PIECE_BYTES];

static void fill_queue(weft_conn *conn, weft_message message, void *user) {
    (void)message;
    (void)user;
    int sent = 0, got;
    while ((got = weft_conn_send(conn, WEFT_BINARY, piece, sizeof piece)) == WEFT_OK && sent < 100)
        sent++;
    bool within = weft_conn_buffered(conn) >= QUEUE_BYTES && weft_conn_buffered(conn) <= QUEUE_BYTES + PIECE_BYTES + 14;
    diary("sent %d, then %d, fragment %d, buffered %s", sent, got,
          weft_conn_send_fragment(conn, WEFT_TEXT, "x", 1, true), within ? "budget" : "wrong");
}

static void tell_drained(weft_conn *conn, void *user) {
    (void)user;
    diary("drained, buffered %zu", weft_conn_buffered(conn));
    weft_conn_send(conn, WEFT_TEXT, "after", 5);
}

TEST(a_full_queue_says_so_and_drained_comes_once_when_it_is_empty) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {
                           .message = fill_queue, .drained = tell_drained, .limits = {.queue_bytes_max = QUEUE_BYTES}});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    for (int round = 0; round < 3; round++) {
        CHECK(client_text(&c, "go"));
        CHECK_STR(diary_next(), "sent 2, then 2, fragment 2, buffered budget");
        CHECK_STR(client_next(&c), "binary of 60000 bytes");
        CHECK_STR(client_next(&c), "binary of 60000 bytes");
        CHECK_STR(client_next(&c), "text after");
        CHECK_STR(diary_next(), "drained, buffered 0");
    }
    CHECK_STR(diary_next_within(30), "nothing");
    end();
}

/* ---- pings ---- */

static void ping_back(weft_conn *conn, weft_message message, void *user) {
    (void)message;
    (void)user;
    int first = weft_conn_ping(conn);
    diary("ping %d, again %d, rtt %s", first, weft_conn_ping(conn), weft_conn_rtt_ns(conn) > 0 ? "known" : "unknown");
}

static void tell_pong(weft_conn *conn, uint64_t rtt_ns, void *user) {
    (void)user;
    diary("pong %s", rtt_ns >= 20000000 && rtt_ns < 9000000000 && rtt_ns == weft_conn_rtt_ns(conn) ? "timed" : "wrong");
}

static void tell_control(weft_conn *conn, weft_message frame, void *user) {
    (void)conn, (void)user;
    diary("%s '%.*s'", frame.kind == WEFT_PING ? "ping" : "pong", (int)frame.len, (const char *)frame.data);
}

TEST(a_ping_is_answered_and_timed_and_foreign_pongs_do_not_count) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = ping_back, .pong = tell_pong, .control = tell_control});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    for (int round = 0; round < 2; round++) {
        uint8_t nonce[125];
        CHECK(client_text(&c, "go"));
        CHECK_STR(client_next(&c), "ping");
        CHECK_STR(diary_next(), round ? "ping 0, again 2, rtt known" : "ping 0, again 2, rtt unknown");
        size_t len = c.data_len;
        memcpy(nonce, c.data, len);
        CHECK(client_frame(&c, 0x8A, "unasked", 7));
        CHECK(client_frame(&c, 0x8A, NULL, 0));
        client_sleep_ms(20);
        CHECK_STR(diary_next(), "pong 'unasked'");
        CHECK_STR(diary_next(), "pong ''");
        CHECK_STR(diary_next_within(5), "nothing");
        CHECK(client_frame(&c, 0x8A, nonce, len));
        CHECK_STR(diary_next(), "pong timed");
    }
    end();
}

static void send_controls(weft_conn *conn, weft_message message, void *user) {
    char longest[126] = {0};
    (void)message, (void)user;
    diary("%d %d %d", weft_conn_send(conn, WEFT_PING, longest, 126), weft_conn_send(conn, (weft_kind)8, NULL, 0),
          weft_conn_send_fragment(conn, WEFT_PING, "x", 1, true));
    CHECK_EQ(weft_conn_send_fragment(conn, WEFT_TEXT, "begun", 5, false), WEFT_OK);
    CHECK_EQ(weft_conn_send(conn, WEFT_PING, "mine", 4), WEFT_OK);
    CHECK_EQ(weft_conn_send(conn, WEFT_PONG, longest, 125), WEFT_OK);
    CHECK_EQ(weft_conn_send_fragment(conn, WEFT_TEXT, NULL, 0, true), WEFT_OK);
}

TEST(pings_and_pongs_of_ones_own_go_and_come) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = send_controls, .pong = tell_pong, .control = tell_control});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK(client_text(&c, "go"));
    CHECK_STR(diary_next(), "-3 -3 -3");
    CHECK_STR(client_next(&c), "text+ begun");
    CHECK_STR(client_next(&c), "ping");
    CHECK(c.data_len == 4 && memcmp(c.data, "mine", 4) == 0);
    CHECK_STR(client_next(&c), "pong of 125 bytes");
    CHECK_STR(client_next(&c), "continuation");
    CHECK(client_frame(&c, 0x8A, "mine", 4));
    CHECK_STR(diary_next(), "pong 'mine'");
    CHECK(client_frame(&c, 0x89, "yours", 5));
    CHECK_STR(client_next(&c), "pong yours");
    CHECK_STR(diary_next(), "ping 'yours'");
    end();
}

static void ping_at_once(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    diary("ping %d", weft_conn_ping(conn));
}

TEST(control_frames_never_overtake_the_answer_to_the_handshake) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.open = ping_at_once, .message = fixture_on_message});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK_STR(client_next(&c), "ping");
    client_close(&c);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c,
                       "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                       "\x89\x81%c%c%c%cx",
                       'k', 'e', 'y', 's')); /* a ping in the same segment */
    CHECK_EQ(client_answer(&c), 101);
    CHECK_STR(client_next(&c), "ping");
    CHECK_STR(client_next(&c), "pong \x13"); /* 'x' ^ 'k' */
    end();
}

TEST(a_rule_broken_in_the_handshakes_own_segment_is_told_behind_its_answer) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                           "\x81\x01x"));
    CHECK_EQ(client_answer(&c), 101);
    CHECK_STR(client_next(&c), "close 1002 RFC6455/5.1: client frame is not masked");
    end();
}

TEST(silence_is_pinged_and_no_answer_ends_in_1008) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64,
                                .limits = {.ping_interval_ms = 50, .ping_timeout_ms = 100}});
    fixture_route("/", &(weft_route) {.message = fixture_on_message, .closed = fixture_on_closed});
    fixture_route("/never", &(weft_route) {.message = fixture_on_message, .limits = {.ping_interval_ms = WEFT_NONE}});
    fixture_run(NULL);
    client quiet;
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK_EQ(client_open(&quiet, fixture.address, "/never", NULL), 101);
    for (int round = 0; round < 3; round++) {
        CHECK_STR(client_next(&c), "ping");
        uint8_t nonce[8];
        CHECK_EQ(c.data_len, 8);
        memcpy(nonce, c.data, 8);
        CHECK(client_frame(&c, 0x8A, nonce, 8));
    }
    uint64_t since = client_now_ms();
    CHECK_STR(client_next(&c), "ping");
    CHECK_STR(client_next(&c), "close 1008 ping_timeout: the peer does not answer our ping");
    CHECK(client_now_ms() - since >= 100);
    CHECK_STR(diary_next(), "closed 1008 ping_timeout: the peer does not answer our ping");
    CHECK_STR(client_next_within(&quiet, 30), "timeout");
    client_close(&quiet);
    end();
}

TEST(the_code_of_that_end_is_a_routes_own) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64,
                                .limits = {.ping_interval_ms = 50, .ping_timeout_ms = 50, .ping_timeout_code = 4201}});
    fixture_route("/", &(weft_route) {.message = fixture_on_message});
    fixture_route("/own", &(weft_route) {.message = fixture_on_message, .limits = {.ping_timeout_code = 4444}});
    fixture_route("/bad", &(weft_route) {.message = fixture_on_message, .limits = {.ping_timeout_code = 1006}});
    fixture_run(NULL);
    static const char *const rows[][2] = {{"/", "close 4201 ping_timeout: the peer does not answer our ping"},
                                          {"/own", "close 4444 ping_timeout: the peer does not answer our ping"},
                                          {"/bad", "close 1008 ping_timeout: the peer does not answer our ping"}};
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(client_open(&c, fixture.address, rows[i][0], NULL), 101);
        CHECK_STR(client_next(&c), "ping");
        CHECK_STR(client_next(&c), rows[i][1]);
        client_close(&c);
    }
    end();
}

/* ---- limits per route ---- */

TEST(each_route_has_its_own_message_limit) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .limits = {.message_bytes_max = 1000}});
    fixture_route("/server", &(weft_route) {.message = fixture_on_message});
    fixture_route("/small", &(weft_route) {.message = fixture_on_message, .limits = {.message_bytes_max = 10}});
    fixture_route("/large", &(weft_route) {.message = fixture_on_message, .limits = {.message_bytes_max = 100000}});
    fixture_route("/none", &(weft_route) {.message = fixture_on_message, .limits = {.message_bytes_max = WEFT_NONE}});
    fixture_run(NULL);
    static const struct {
        const char *path;
        size_t len;
        bool fits;
    } rows[] = {{"/server", 1000, true},  {"/server", 1001, false},  {"/small", 10, true},    {"/small", 11, false},
                {"/large", 100000, true}, {"/large", 100001, false}, {"/none", 3000000, true}};
    char *data = calloc(1, 3000000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("%s, %zu bytes", rows[i].path, rows[i].len);
        CHECK_EQ(client_open(&c, fixture.address, rows[i].path, NULL), 101);
        CHECK(client_frame(&c, 0x82, data, rows[i].len) || !rows[i].fits);
        CHECK_EQ(strncmp(client_next(&c), rows[i].fits ? "binary" : "close 1009", rows[i].fits ? 6 : 10), 0);
        client_close(&c);
    }
    test_context("%s", "");
    free(data);
    end();
}

TEST(a_header_that_claims_2_to_the_62_takes_no_memory) {
    fixture_new(NULL);
    fixture_route("/none", &(weft_route) {.message = fixture_on_message, .limits = {.message_bytes_max = WEFT_NONE}});
    fixture_route("/", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    static const uint8_t claim[14] = {0x82, 0xff, 0x40};
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK(client_send(&c, claim, sizeof claim));
    CHECK_EQ(strncmp(client_next(&c), "close 1009", 10), 0);
    client_close(&c);
    CHECK_EQ(client_open(&c, fixture.address, "/none", NULL), 101);
    size_t before = test_mem_bytes();
    CHECK(client_send(&c, claim, sizeof claim));
    CHECK_STR(client_next_within(&c, 30), "timeout");
    CHECK(test_mem_bytes() < before + 65536);
    end();
}

TEST(utf8_is_told_from_what_only_looks_like_it) {
    CHECK(weft_utf8_valid("", 0));
    CHECK(weft_utf8_valid("\xe2\x82\xac", 3));
    CHECK(!weft_utf8_valid("\xe2\x82", 2));
    CHECK(!weft_utf8_valid("\xc0\x80", 2));
    CHECK(!weft_utf8_valid("\xed\xa0\x80", 3));
    CHECK(weft_text_equal_secret((weft_text) {"abc", 3}, "abc"));
    CHECK(!weft_text_equal_secret((weft_text) {"abd", 3}, "abc"));
    CHECK(!weft_text_equal_secret((weft_text) {"ab", 2}, "abc"));
    CHECK(!weft_text_equal_secret((weft_text) {"abcabc", 6}, "abc"));
    CHECK(!weft_text_equal_secret((weft_text) {NULL, 0}, "abc"));
    CHECK(weft_text_equal_secret((weft_text) {NULL, 0}, ""));
}
