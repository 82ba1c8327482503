/*
 * Our client and our server, in one process: what one says the other understands.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONNECTIONS = 300, ROUNDS = 5 };

static weft_client *here;
static char url[200];
static size_t opened, answered, closed_clean, wrong;

static void begin(const weft_deflate *deflate) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 512, .half_open_max = 512});
    weft_route route = {.message = fixture_on_message, .closed = fixture_on_closed};
    if (deflate)
        route.deflate = *deflate;
    fixture_route("/echo", &route);
    fixture_run(NULL);
    snprintf(url, sizeof url, "ws://%s/echo", fixture.address);
    opened = answered = closed_clean = wrong = 0;
    here = weft_client_new(NULL);
    CHECK(here != NULL);
}

static void end(void) {
    weft_client_free(here);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void turn_until_done(void) {
    uint64_t until_ms = client_now_ms() + CLIENT_PATIENCE_MS;
    while (weft_client_connections(here) > 0 && client_now_ms() < until_ms)
        CHECK_EQ(weft_client_turn(here, 100), WEFT_OK);
    CHECK_EQ(weft_client_connections(here), 0);
}

static void count_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn, (void)user;
    closed_clean += info->clean && info->code == 1000;
}

static void count_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    fprintf(stderr, "%s\n", failure->text);
    wrong++;
}

/* ---- messages of all sizes, plain and compressed ---- */

static const size_t sizes[] = {0, 1, 5, 125, 126, 127, 4000, 65535, 65536, 300000};
static const size_t size_count = sizeof sizes / sizeof sizes[0];

/* Message `index`: text that compresses a little, each byte told by its place. */
static uint8_t *make(size_t index) {
    uint8_t *data = malloc(sizes[index] + 1);
    for (size_t i = 0; data && i < sizes[index]; i++)
        data[i] = (uint8_t)('a' + (i * 7 + index + i / 26) % 26);
    return data;
}

static void say_next(weft_conn *conn, size_t index) {
    uint8_t *data = make(index);
    if (!data || weft_conn_send(conn, index % 2 ? WEFT_TEXT : WEFT_BINARY, data, sizes[index]) != WEFT_OK)
        wrong++;
    free(data);
}

static void on_open(weft_conn *conn, const weft_response *response, void *user) {
    opened++;
    wrong += weft_response_status(response) != 101 || weft_conn_deflates(conn) != (user != NULL);
    say_next(conn, 0);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    uint8_t *expected = make(answered);
    wrong += message.len != sizes[answered] || memcmp(message.data ? message.data : expected, expected, message.len) ||
             message.kind != (answered % 2 ? WEFT_TEXT : WEFT_BINARY);
    free(expected);
    if (++answered < size_count)
        say_next(conn, answered);
    else
        wrong += weft_conn_close(conn, 1000, "done") != WEFT_OK;
}

static void check_sizes(weft_deflate_mode server_mode, weft_deflate_mode client_mode, bool deflates) {
    test_context("server mode %d, client mode %d", server_mode, client_mode);
    begin(&(weft_deflate) {.mode = server_mode});
    weft_dial dial = {WEFT_DIAL_INIT,
                      .url = url,
                      .user = deflates ? url : NULL,
                      .deflate = {.mode = client_mode},
                      .open = on_open,
                      .message = on_message,
                      .closed = count_closed,
                      .failed = count_failed};
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    turn_until_done();
    CHECK_EQ(wrong, 0);
    CHECK_EQ(answered, size_count);
    CHECK_EQ(closed_clean, 1);
    CHECK_STR(diary_next(), "closed 1000 done clean peer");
    end();
}

TEST(messages_of_all_sizes_come_back) {
    check_sizes(WEFT_DEFLATE_OFF, WEFT_DEFLATE_OFF, false);
    check_sizes(WEFT_DEFLATE_OFF, WEFT_DEFLATE_SHARED, false);
    check_sizes(WEFT_DEFLATE_SHARED, WEFT_DEFLATE_OFF, false);
}

TEST(compressed_messages_come_back) {
    static const weft_deflate_mode modes[] = {WEFT_DEFLATE_NO_TAKEOVER, WEFT_DEFLATE_SHARED, WEFT_DEFLATE_DEDICATED};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            check_sizes(modes[i], modes[k], true);
}

/* ---- many connections ---- */

static void ping_pong(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    size_t round = (size_t)weft_conn_user(conn);
    wrong += message.len != 20;
    answered++;
    weft_conn_set_user(conn, (void *)(round + 1));
    if (round + 1 < ROUNDS)
        weft_conn_send(conn, message.kind, message.data, message.len);
    else
        weft_conn_close(conn, 1000, NULL);
}

static void say_hello(weft_conn *conn, const weft_response *response, void *user) {
    (void)response, (void)user;
    opened++;
    weft_conn_send(conn, WEFT_TEXT, "twenty bytes of text", 20);
}

TEST(many_connections_on_one_thread) {
    begin(NULL);
    weft_dial dial = {WEFT_DIAL_INIT,        .url = url,           .local_address = "127.0.0.2",
                      .open = say_hello,     .message = ping_pong, .closed = count_closed,
                      .failed = count_failed};
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_connections(here), CONNECTIONS);
    turn_until_done();
    CHECK_EQ(opened, CONNECTIONS);
    CHECK_EQ(answered, CONNECTIONS * ROUNDS);
    CHECK_EQ(closed_clean, CONNECTIONS);
    CHECK_EQ(wrong, 0);
    end();
}

/* ---- the rest of a connection's calls ---- */

static uint64_t measured_ns;
static int drained;
static char peer_text[100];

static void try_all(weft_conn *conn, const weft_response *response, void *user) {
    (void)user;
    weft_text accept = weft_response_header(response, "sec-websocket-accept"), name, value;
    wrong += accept.len != 28 || weft_response_header(response, "X-None").data != NULL ||
             !weft_response_header_at(response, 0, &name, &value) ||
             weft_response_header_at(response, 99, &name, &value) || weft_response_body(response).len != 0;
    wrong += weft_conn_subscribe(conn, "a", 0) != WEFT_EINVAL || weft_conn_unsubscribe(conn, "a") != WEFT_EINVAL ||
             weft_conn_publish(conn, "a", WEFT_TEXT, "b", 1) != WEFT_EINVAL || weft_conn_server(conn) != NULL ||
             weft_conn_handle(conn) != 0 || weft_conn_client(conn) != here;
    weft_conn_peer(conn, peer_text, sizeof peer_text);
    wrong += weft_conn_ping(conn) != WEFT_OK || weft_conn_ping(conn) != WEFT_FULL;
}

static void flood(weft_conn *conn, uint64_t rtt_ns, void *user) {
    (void)user;
    static const char block[100000];
    measured_ns = rtt_ns;
    wrong += weft_conn_rtt_ns(conn) != rtt_ns;
    int got;
    while ((got = weft_conn_send(conn, WEFT_BINARY, block, sizeof block)) == WEFT_OK)
        ;
    wrong += got != WEFT_FULL || weft_conn_buffered(conn) < 200000;
}

static void all_gone(weft_conn *conn, void *user) {
    (void)user;
    drained++;
    wrong += weft_conn_buffered(conn) != 0 || weft_conn_close(conn, 999, NULL) != WEFT_EINVAL;
    wrong += weft_conn_close(conn, 1000, NULL) != WEFT_OK || weft_conn_close(conn, 1000, NULL) != WEFT_ECLOSED;
}

TEST(every_call_answers_in_a_client) {
    begin(NULL);
    weft_dial dial = {WEFT_DIAL_INIT,
                      .url = url,
                      .limits = {.queue_bytes_max = 250000},
                      .open = try_all,
                      .pong = flood,
                      .drained = all_gone,
                      .closed = count_closed,
                      .failed = count_failed};
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    turn_until_done();
    CHECK_EQ(wrong, 0);
    CHECK(measured_ns > 0);
    CHECK_EQ(drained, 1);
    CHECK_STR(peer_text, fixture.address);
    CHECK_EQ(closed_clean, 1);
    end();
}

/* Nothing leaves unmasked when there is no randomness. */
static void send_without_keys(weft_conn *conn, const weft_response *response, void *user) {
    (void)response, (void)user;
    int got = WEFT_OK;
    test_call_fail_at("RAND_bytes", 0, 0);
    for (int i = 0; i < 2000 && got == WEFT_OK; i++)
        got = weft_conn_send(conn, WEFT_TEXT, "a", 1);
    wrong += got != WEFT_ESYS || weft_conn_send_fragment(conn, WEFT_TEXT, "a", 1, true) != WEFT_ESYS ||
             weft_conn_ping(conn) != WEFT_ESYS;
    test_call_fail_at(NULL, 0, 0);
    wrong += weft_conn_send(conn, WEFT_TEXT, "b", 1) != WEFT_OK || weft_conn_close(conn, 1000, NULL) != WEFT_OK;
}

TEST(without_randomness_nothing_is_sent) {
    begin(NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = url, .open = send_without_keys, .closed = count_closed,
                      .failed = count_failed};
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    turn_until_done();
    CHECK_EQ(wrong, 0);
    CHECK_EQ(closed_clean, 1);
    end();
}

/* What the server saw: each handshake with a key of its own (RFC 6455 4.1). */
static void tell_key(weft_conn *conn, const weft_request *request, void *user) {
    (void)user;
    weft_text key = weft_request_header(request, "Sec-WebSocket-Key");
    diary("%.*s", (int)key.len, key.data);
    weft_conn_close(conn, 1000, NULL);
}

TEST(keys_are_drawn_for_each_connection) {
    char first[100];
    fixture_new(NULL);
    fixture_route("/echo", &(weft_route) {.open = tell_key});
    fixture_run(NULL);
    snprintf(url, sizeof url, "ws://%s/echo", fixture.address);
    here = weft_client_new(NULL);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_client_dial(here, &(weft_dial) {WEFT_DIAL_INIT, .url = url}, NULL), WEFT_OK);
    turn_until_done();
    snprintf(first, sizeof first, "%s", diary_next());
    CHECK_EQ(strlen(first), 24);
    const char *second = diary_next();
    CHECK_EQ(strlen(second), 24);
    CHECK(strcmp(first, second) != 0);
    end();
}

/* Sent between two turns: it leaves with the next, before that waits. */
TEST(what_is_sent_between_turns_leaves_at_once) {
    weft_conn *conn;
    begin(NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = url, .message = ping_pong, .closed = count_closed, .failed = count_failed};
    CHECK_EQ(weft_client_dial(here, &dial, &conn), WEFT_OK);
    while (weft_conn_send(conn, WEFT_TEXT, "twenty bytes of text", 20) == WEFT_ECLOSED && wrong == 0)
        CHECK_EQ(weft_client_turn(here, 100), WEFT_OK);
    uint64_t began_ms = client_now_ms();
    while (answered == 0)
        CHECK_EQ(weft_client_turn(here, CLIENT_PATIENCE_MS), WEFT_OK);
    CHECK(client_now_ms() - began_ms < CLIENT_PATIENCE_MS / 2);
    weft_conn_abort(conn);
    CHECK_EQ(weft_client_run(here), WEFT_OK);
    CHECK_EQ(closed_clean, 0);
    end();
}

/* The server's heartbeat is answered, and the client has its own. */
TEST(silence_is_pinged) {
    begin(NULL);
    weft_dial dial = {WEFT_DIAL_INIT,        .url = url,          .limits = {.ping_interval_ms = 20},
                      .pong = flood,         .drained = all_gone, .closed = count_closed,
                      .failed = count_failed};
    measured_ns = 0;
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    turn_until_done();
    CHECK(measured_ns > 0);
    end();
}
