/*
 * Our client and our server over HTTP/2, in one process: many WebSockets on few connections, and all that a connection
 * of one's own can.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SOCKETS = 1000, STREAMS_OF_SERVER = 100 };

static weft_client *here;
static char url[200];
static size_t opened, answered, closed_clean, failures;

/* ---- what the server does ---- */

static void join(weft_conn *conn, const weft_request *request, void *user) {
    (void)request, (void)user;
    weft_conn_subscribe(conn, "room", 0);
}

static void publish(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    weft_conn_publish(conn, "room", message.kind, message.data, message.len);
}

static void refuse(weft_request *request, void *user) {
    (void)user;
    static const weft_header headers[] = {{"Retry-After", "7"}, {"Set-Cookie", "a=b"}};
    weft_request_reply_with(request, 403, headers, 2, (weft_text) {"not you", 7});
}

static void move(weft_request *request, void *user) {
    (void)user;
    weft_request_reply_with(request, 307, &(weft_header) {"Location", "/told"}, 1, (weft_text) {"", 0});
}

/* Tells what came, and takes the second of the subprotocols. */
static void tell(weft_request *request, void *user) {
    (void)user;
    static const char *const names[] = {"Cookie", "Origin", "Authorization", "X-Mine", "Sec-WebSocket-Protocol"};
    char text[500] = "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        weft_text value = weft_request_header(request, names[i]);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s|", (int)value.len, value.data);
    }
    diary("%s", text);
    weft_request_accept(request, "two", &(weft_header) {"X-Told", "yes"}, 1);
}

static void begin(const weft_deflate *deflate, weft_http2 http2) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 2048, .half_open_max = 2048,
                                .http2 = WEFT_HTTP2_CLEAR,
                                .limits = {.message_bytes_max = 4 << 20, .queue_bytes_max = 8 << 20},
                                .deflate = deflate ? *deflate : (weft_deflate) {0}});
    fixture_route("/echo", &(weft_route) {.message = fixture_on_message});
    fixture_route("/room", &(weft_route) {.open = join, .message = publish});
    fixture_route("/refused", &(weft_route) {.upgrade = refuse});
    static const char *const anybody[] = {"*", NULL};
    fixture_route("/moved", &(weft_route) {.upgrade = move, .origins = anybody});
    fixture_route("/told", &(weft_route) {.upgrade = tell, .closed = fixture_on_closed, .origins = anybody});
    fixture_run(NULL);
    opened = answered = closed_clean = failures = 0;
    here = weft_client_new(&(weft_client_config) {
        WEFT_CLIENT_CONFIG_INIT, .http2 = http2, .deflate = deflate ? *deflate : (weft_deflate) {0},
        .limits = {.message_bytes_max = 4 << 20, .queue_bytes_max = 8 << 20}});
    CHECK(here != NULL);
}

static void end(void) {
    weft_client_free(here);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* The second time it means nothing any more. */
static void give_up_again(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)user;
    CHECK_EQ(failure->sys_errno, ECONNABORTED);
    failures++;
    weft_conn_abort(conn);
}

static const char *at(const char *path) {
    snprintf(url, sizeof url, "ws://%s%s", fixture.address, path);
    return url;
}

#define TURN_UNTIL(e)                                                                                                  \
    do {                                                                                                               \
        uint64_t until_ = client_now_ms() + CLIENT_PATIENCE_MS;                                                        \
        while (!(e) && client_now_ms() < until_)                                                                       \
            CHECK_EQ(weft_client_turn(here, 50), WEFT_OK);                                                             \
        CHECK(e);                                                                                                      \
    } while (0)

/* ---- what the client sees ---- */

static void count_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn, (void)user;
    closed_clean += info->clean && info->code == 1000;
}

static void count_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    fprintf(stderr, "%s\n", failure->text);
    failures++;
}

static void count_open(weft_conn *conn, const weft_response *response, void *user) {
    (void)conn, (void)response, (void)user;
    opened++;
}

static void count_message(weft_conn *conn, weft_message message, void *user) {
    (void)conn, (void)message, (void)user;
    answered++;
}

static weft_dial dial_to(const char *path) {
    return (weft_dial) {WEFT_DIAL_INIT,           .url = at(path),        .open = count_open,
                        .message = count_message, .closed = count_closed, .failed = count_failed};
}

static void say_hello(weft_conn *conn, const weft_response *response, void *user) {
    (void)response, (void)user;
    opened++;
    weft_conn_send(conn, WEFT_TEXT, "hello", 5);
}

TEST(a_thousand_sockets_on_ten_connections) {
    static weft_conn *conns[SOCKETS];
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/echo");
    dial.open = say_hello;
    for (int i = 0; i < SOCKETS; i++)
        CHECK_EQ(weft_client_dial(here, &dial, &conns[i]), WEFT_OK);
    TURN_UNTIL(answered == SOCKETS);
    CHECK_EQ(opened, SOCKETS);
    CHECK_EQ(fixture_stats().accepted, SOCKETS / STREAMS_OF_SERVER);
    CHECK_EQ(fixture_stats().websockets, SOCKETS);
    for (int i = 0; i < SOCKETS; i++)
        CHECK_EQ(weft_conn_close(conns[i], 1000, NULL), WEFT_OK);
    CHECK_EQ(weft_client_run(here), WEFT_OK); /* the connections are closed with their last socket */
    CHECK_EQ(closed_clean, SOCKETS);
    CHECK_EQ(failures, 0);
    EVENTUALLY(fixture_stats().connections == 0);
    end();
}

/* ---- messages ---- */

static const size_t sizes[] = {0, 1, 125, 126, 4000, 65535, 65536, 300000, 1 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static uint8_t *make(size_t index) {
    uint8_t *data = malloc(sizes[index] + 1);
    for (size_t i = 0; data && i < sizes[index]; i++)
        data[i] = (uint8_t)('a' + (i * 7 + index + i / 26) % 26);
    return data;
}

static void say_next(weft_conn *conn, size_t index) {
    uint8_t *data = make(index);
    failures += !data || weft_conn_send(conn, index % 2 ? WEFT_TEXT : WEFT_BINARY, data, sizes[index]) != WEFT_OK;
    free(data);
}

static void say_first(weft_conn *conn, const weft_response *response, void *user) {
    (void)response, (void)user;
    say_next(conn, 0);
}

static void say_another(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    uint8_t *expected = make(answered);
    failures += message.len != sizes[answered] || (message.len > 0 && memcmp(message.data, expected, message.len) != 0);
    free(expected);
    if (++answered < SIZES)
        say_next(conn, answered);
    else
        weft_conn_close(conn, 1000, NULL);
}

TEST(messages_of_all_sizes_come_back) {
    static const weft_deflate_mode modes[] = {WEFT_DEFLATE_OFF, WEFT_DEFLATE_SHARED, WEFT_DEFLATE_DEDICATED};
    for (int i = 0; i < 3; i++) {
        test_context("mode %d", modes[i]);
        begin(&(weft_deflate) {.mode = modes[i]}, WEFT_HTTP2_CLEAR);
        weft_dial dial = dial_to("/echo");
        dial.open = say_first;
        dial.message = say_another;
        CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
        CHECK_EQ(weft_client_run(here), WEFT_OK);
        CHECK_EQ(answered, SIZES);
        CHECK_EQ(failures, 0);
        CHECK_EQ(closed_clean, 1);
        end();
    }
    test_context("%s", "");
}

/* ---- beside HTTP/1.1, and one behind the other ---- */

TEST(a_room_across_both_versions) {
    weft_conn *speaker, *old;
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_client *other = weft_client_new(NULL);
    weft_dial dial = dial_to("/room");
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_client_dial(here, &dial, &speaker), WEFT_OK);
    CHECK_EQ(weft_client_dial(other, &dial, &old), WEFT_OK);
    TURN_UNTIL((weft_client_turn(other, 0), opened == 11));
    CHECK_EQ(fixture_stats().accepted, 2);
    CHECK_EQ(weft_conn_send(speaker, WEFT_TEXT, "from HTTP/2", 11), WEFT_OK);
    TURN_UNTIL((weft_client_turn(other, 0), answered == 10));
    CHECK_EQ(weft_conn_send(old, WEFT_TEXT, "from HTTP/1.1", 13), WEFT_OK);
    TURN_UNTIL((weft_client_turn(other, 0), answered == 20));
    weft_client_free(other);
    end();
}

TEST(a_later_dial_finds_the_connection) {
    weft_conn *first, *second;
    char peer[2][100];
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/echo");
    CHECK_EQ(weft_client_dial(here, &dial, &first), WEFT_OK);
    TURN_UNTIL(opened == 1);
    CHECK_EQ(weft_client_dial(here, &dial, &second), WEFT_OK);
    TURN_UNTIL(opened == 2);
    CHECK_EQ(fixture_stats().accepted, 1);
    CHECK_STR(weft_conn_peer(first, peer[0], sizeof peer[0]), fixture.address);
    CHECK_STR(weft_conn_peer(second, peer[1], sizeof peer[1]), fixture.address);
    weft_conn_close(first, 1000, NULL);
    TURN_UNTIL(closed_clean == 1);
    weft_conn_send(second, WEFT_TEXT, "still here", 10);
    TURN_UNTIL(answered == 1);
    dial.local_address = "127.0.0.3"; /* another way is another connection */
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    TURN_UNTIL(opened == 3);
    CHECK_EQ(fixture_stats().accepted, 2);
    end();
}

TEST(without_being_wanted_it_is_http1) {
    begin(NULL, WEFT_HTTP2_ON); /* ws:// */
    weft_dial dial = dial_to("/echo");
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    TURN_UNTIL(opened == 3);
    CHECK_EQ(fixture_stats().accepted, 3);
    end();
}

/* ---- handshakes ---- */

static char failed_with[300];

static void note_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    weft_text body = weft_response_body(failure->response), again, cookie;
    again = weft_response_header(failure->response, "Retry-After");
    cookie = weft_response_header(failure->response, "Set-Cookie");
    snprintf(failed_with, sizeof failed_with, "%d %.*s %.*s %.*s", weft_response_status(failure->response),
             (int)body.len, body.data, (int)again.len, again.data, (int)cookie.len, cookie.data);
}

TEST(a_refusal_is_told_whole) {
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/refused");
    dial.failed = note_failed;
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_run(here), WEFT_OK);
    CHECK_STR(failed_with, "403 not you 7 a=b");
    end();
}

static void note_open(weft_conn *conn, const weft_response *response, void *user) {
    (void)user;
    weft_text told = weft_response_header(response, "X-Told");
    weft_text chosen = weft_response_header(response, "Sec-WebSocket-Protocol");
    snprintf(failed_with, sizeof failed_with, "%d %.*s %.*s", weft_response_status(response), (int)told.len, told.data,
             (int)chosen.len, chosen.data);
    weft_conn_close(conn, 1000, "seen");
}

TEST(what_is_told_and_a_redirect) {
    static const char *const protocols[] = {"one", "two", NULL}, *const headers[] = {"Cookie: x=1; y=2", "X-Mine: z",
                                                                                     NULL};
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/moved");
    dial.origin = "https://elsewhere.example";
    dial.subprotocols = protocols;
    dial.user_password = "u:p";
    dial.headers = headers;
    dial.redirects_max = 1;
    dial.open = note_open;
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_run(here), WEFT_OK);
    CHECK_STR(failed_with, "101 yes two");
    CHECK_STR(diary_next(), "x=1; y=2|https://elsewhere.example|Basic dTpw|z|one, two|");
    CHECK_STR(diary_next(), "closed 1000 seen clean peer");
    CHECK_EQ(fixture_stats().accepted, 1);
    end();
}

/* ---- ends ---- */

static int lost;

static void count_lost(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn, (void)user;
    lost += info->code;
}

TEST(a_server_that_drains_is_left) {
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/echo");
    dial.closed = count_lost;
    lost = 0;
    for (int i = 0; i < 5; i++)
        CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    TURN_UNTIL(opened == 5);
    weft_server_drain(fixture.server, 1001, 0);
    CHECK_EQ(weft_client_run(here), WEFT_OK);
    CHECK_EQ(lost, 5 * 1001);
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    end();
}

TEST(a_server_that_is_gone_ends_all) {
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/echo");
    dial.closed = count_lost;
    lost = 0;
    for (int i = 0; i < 5; i++)
        CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    TURN_UNTIL(opened == 5);
    weft_server_stop(fixture.server);
    CHECK_EQ(weft_client_run(here), WEFT_OK);
    CHECK_EQ(lost, 5 * 1006);
    end();
}

TEST(one_that_is_cut_leaves_the_others) {
    weft_conn *conns[3];
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/echo");
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_client_dial(here, &dial, &conns[i]), WEFT_OK);
    TURN_UNTIL(opened == 3);
    weft_conn_abort(conns[1]);
    TURN_UNTIL(weft_client_connections(here) == 2);
    EVENTUALLY(fixture_stats().websockets == 2);
    weft_conn_send(conns[0], WEFT_TEXT, "a", 1);
    weft_conn_send(conns[2], WEFT_TEXT, "c", 1);
    TURN_UNTIL(answered == 2);
    end();
}

/* It waits for the connection, which comes about in the turn in which it is given up. */
TEST(a_dial_that_is_given_up_ends_once) {
    weft_conn *conn;
    begin(NULL, WEFT_HTTP2_CLEAR);
    weft_dial dial = dial_to("/echo");
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    dial.failed = give_up_again;
    CHECK_EQ(weft_client_dial(here, &dial, &conn), WEFT_OK);
    weft_conn_abort(conn);
    TURN_UNTIL(opened == 1);
    CHECK_EQ(failures, 1);
    CHECK_EQ(weft_client_connections(here), 1);
    end();
}
