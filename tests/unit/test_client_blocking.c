/*
 * The blocking form: one thing after the other, and nothing lost in between.
 */
#include "client_help.h"
#include "fixture.h"

#include <stdatomic.h>
#include <weft/blocking.h>

#define GOOD                                                                                                           \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "          \
    "{A}\r\n\r\n"
#define BYTES(t) t, sizeof(t) - 1

enum { LONG_MS = 10000, SHORT_MS = 30, FLOOD_COUNT = 400, FLOOD_BYTES = 1000 };

static weft_blocking *ws;
static char url[100];

static void begin(const char *path, const weft_route *route, const weft_client_config *config) {
    fixture_new(NULL);
    fixture_route(path, route);
    fixture_run(NULL);
    snprintf(url, sizeof url, "ws://%s%s", fixture.address, path);
    ws = weft_blocking_new(config);
    CHECK(ws != NULL);
}

static void end(void) {
    weft_blocking_free(ws);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void receives(const char *expected) {
    weft_message message;
    CHECK_EQ(weft_blocking_receive(ws, &message, LONG_MS), WEFT_OK);
    CHECK_STR((const char *)message.data, expected);
    CHECK_EQ(message.len, strlen(expected));
}

static const weft_route echo = {.message = fixture_on_message, .closed = fixture_on_closed};

TEST(one_thing_after_the_other) {
    weft_message message;
    uint64_t rtt_ns = 0;
    begin("/echo", &echo, NULL);
    CHECK(weft_blocking_conn(ws) == NULL);
    CHECK_EQ(weft_blocking_connect(ws, url, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_conn_buffered(weft_blocking_conn(ws)), 0);
    CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "one", 3, LONG_MS), WEFT_OK);
    receives("one");
    CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "two", 3, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_blocking_send(ws, WEFT_BINARY, NULL, 0, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_blocking_ping(ws, &rtt_ns, LONG_MS), WEFT_OK); /* the messages came before its pong */
    CHECK(rtt_ns > 0);
    CHECK_EQ(weft_blocking_receive(ws, &message, 0), WEFT_OK);
    CHECK_EQ(message.kind, WEFT_TEXT);
    CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, message.data, message.len, LONG_MS), WEFT_OK); /* still there */
    CHECK_EQ(weft_blocking_receive(ws, &message, 0), WEFT_OK);
    CHECK_EQ(message.kind, WEFT_BINARY);
    CHECK_EQ(message.len, 0);
    receives("two");
    CHECK_EQ(weft_blocking_close(ws, 999, NULL, LONG_MS), WEFT_EINVAL);
    CHECK(weft_blocking_close_info(ws) == NULL);
    CHECK_EQ(weft_blocking_close(ws, 1000, "done", LONG_MS), WEFT_OK);
    CHECK(weft_blocking_close_info(ws)->clean);
    CHECK(weft_blocking_conn(ws) == NULL);
    CHECK_EQ(weft_blocking_close(ws, 1000, NULL, LONG_MS), WEFT_ECLOSED);
    CHECK_STR(weft_blocking_error(ws), "closed by us: 1000");
    CHECK_STR(diary_next(), "closed 1000 done clean peer");
    end();
}

TEST(nothing_came_in_time) {
    weft_message message;
    begin("/echo", &echo, NULL);
    CHECK_EQ(weft_blocking_connect(ws, url, -1), WEFT_OK);
    uint64_t began_ms = wf_clock_ms();
    CHECK_EQ(weft_blocking_receive(ws, &message, 0), WEFT_TIMEOUT);
    CHECK_EQ(weft_blocking_receive(ws, &message, SHORT_MS), WEFT_TIMEOUT);
    CHECK_STR(weft_blocking_error(ws), "nothing came in time");
    CHECK(wf_clock_ms() - began_ms >= SHORT_MS);
    CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "late", 4, 0), WEFT_OK);
    receives("late");
    end();
}

static const struct {
    const char *url, *why;
    int status;
} refused[] = {
    {"ftp://127.0.0.1/", "this is not a ws:// URL", WEFT_EINVAL},
    {"ws://127.0.0.1:1/", "cannot connect to 127.0.0.1:1: Connection refused", WEFT_ECLOSED},
    {"ws://{A}/nowhere", "answered 404 Not Found", WEFT_ECLOSED},
};

TEST(refusals_are_told) {
    begin("/echo", &echo, NULL);
    CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "a", 1, LONG_MS), WEFT_ECLOSED);
    CHECK_STR(weft_blocking_error(ws), "it is not connected");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        test_context("%s", refused[i].url);
        char to[100];
        const char *mark = strstr(refused[i].url, "{A}");
        snprintf(to, sizeof to, "ws://%s%s", fixture.address, mark ? mark + 3 : "");
        CHECK_EQ(weft_blocking_connect(ws, mark ? to : refused[i].url, LONG_MS), refused[i].status);
        test_context("%s: %s", refused[i].url, weft_blocking_error(ws));
        CHECK(strstr(weft_blocking_error(ws), refused[i].why) != NULL);
        CHECK(weft_blocking_close_info(ws) == NULL);
    }
    CHECK_EQ(weft_blocking_dial(ws, &(weft_dial) {.url = url}, LONG_MS), WEFT_EINVAL);
    CHECK_EQ(weft_blocking_dial(ws, &(weft_dial) {WEFT_DIAL_INIT, .url = url, .message = on_message}, LONG_MS),
             WEFT_EINVAL);
    CHECK_EQ(weft_blocking_dial(ws, &(weft_dial) {WEFT_DIAL_INIT, .url = url, .control = on_message}, LONG_MS),
             WEFT_EINVAL);
    CHECK_EQ(weft_blocking_connect(ws, url, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_blocking_connect(ws, url, LONG_MS), WEFT_EINVAL);
    CHECK_STR(weft_blocking_error(ws), "it is connected: close it first");
    end();
}

/* The answer's headers are there for who wants them; the user pointer is his. */
static void on_answer(weft_conn *conn, const weft_response *response, void *user) {
    CHECK(weft_conn_user(conn) == user && user == url);
    see("open %d; ", weft_response_status(response));
}

static void on_refusal(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn;
    CHECK(user == url);
    see("refused %d; ", weft_response_status(failure->response));
}

TEST(a_dial_has_its_say) {
    begin("/echo", &echo, NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = url, .user = url, .open = on_answer, .failed = on_refusal};
    seen[0] = '\0';
    CHECK_EQ(weft_blocking_dial(ws, &dial, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_blocking_close(ws, 1000, NULL, LONG_MS), WEFT_OK);
    strcat(url, "es");
    CHECK_EQ(weft_blocking_dial(ws, &dial, LONG_MS), WEFT_ECLOSED);
    CHECK_STR(seen, "open 101; refused 404; ");
    end();
}

static void say_goodbye(weft_conn *conn, const weft_request *request, void *user) {
    (void)request, (void)user;
    for (int i = 0; i < 3; i++)
        weft_conn_send(conn, WEFT_TEXT, &"abc"[i], 1);
    weft_conn_close(conn, 4000, "bye");
}

TEST(the_peer_closes) {
    weft_message message;
    begin("/short", &(weft_route) {.open = say_goodbye}, NULL);
    for (int i = 0; i < 2; i++) { /* and it may be dialled again */
        CHECK_EQ(weft_blocking_connect(ws, url, LONG_MS), WEFT_OK);
        receives("a");
        receives("b");
        receives("c");
        CHECK_EQ(weft_blocking_receive(ws, &message, LONG_MS), WEFT_ECLOSED);
        CHECK_STR(weft_blocking_error(ws), "closed by the peer: 4000 bye");
        CHECK_EQ(weft_blocking_close_info(ws)->code, 4000);
        CHECK_STR(weft_blocking_close_info(ws)->reason, "bye");
        CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "a", 1, LONG_MS), WEFT_ECLOSED);
        CHECK_EQ(weft_blocking_ping(ws, NULL, LONG_MS), WEFT_ECLOSED);
        CHECK_EQ(weft_blocking_close(ws, 1000, NULL, LONG_MS), WEFT_ECLOSED);
        CHECK_STR(weft_blocking_error(ws), "closed by the peer: 4000 bye");
    }
    end();
}

/* What a server with a script says is received until it ends. */
TEST(the_peer_breaks_off) {
    raw_server server;
    weft_message message;
    raw_server_start(&server, (script) {BYTES(GOOD "\x81\x02hi\x81\x05ha"), ENDS_WITH_FIN, NULL, 0});
    ws = weft_blocking_new(NULL);
    CHECK_EQ(weft_blocking_connect(ws, server.url, LONG_MS), WEFT_OK);
    receives("hi");
    CHECK_EQ(weft_blocking_receive(ws, &message, -1), WEFT_ECLOSED);
    CHECK_STR(weft_blocking_error(ws), "the connection broke: RFC6455/7.1.5: connection ended without a close frame");
    raw_server_end(&server);
    weft_blocking_free(ws);
}

TEST(pings_are_answered_inside_a_call) {
    raw_server server;
    raw_server_start(&server, (script) {BYTES(GOOD "\x89\x01p"), ENDS_WITH_CLIENT, BYTES("\x81\x02hi\x88\x00")});
    ws = weft_blocking_new(NULL);
    CHECK_EQ(weft_blocking_connect(ws, server.url, LONG_MS), WEFT_OK);
    receives("hi"); /* said after the pong */
    CHECK_EQ(server.heard[0], 0x8a);
    weft_blocking_free(ws);
    raw_server_end(&server);
}

/* Also in those that need not wait: a program that works on each message has many of them left for long. */
TEST(pings_are_answered_while_messages_are_left) {
    raw_server server;
    raw_server_start(&server,
                     (script) {BYTES(GOOD "\x81\x02hi\x81\x02ho\x81\x02ha"), ENDS_WITH_CLIENT, BYTES("\x89\x01p")});
    ws = weft_blocking_new(NULL);
    CHECK_EQ(weft_blocking_connect(ws, server.url, LONG_MS), WEFT_OK);
    receives("hi");
    CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "a", 1, LONG_MS), WEFT_OK);
    usleep(SHORT_MS * 1000); /* the ping comes now */
    receives("ho");
    usleep(SHORT_MS * 1000);
    weft_blocking_free(ws);
    raw_server_end(&server);
    CHECK_EQ(server.heard_len, 7 + 7);
    CHECK_EQ(server.heard[7], 0x8a);
}

/* ---- much at once ---- */

static void flood(weft_conn *conn, const weft_request *request, void *user) {
    char data[FLOOD_BYTES];
    (void)request, (void)user;
    memset(data, '.', sizeof data);
    for (int i = 0; i < FLOOD_COUNT; i++) {
        snprintf(data, sizeof data, "%d", i);
        if (weft_conn_send(conn, WEFT_TEXT, data, sizeof data) != WEFT_OK)
            diary("queue full at %d", i);
    }
}

/* More comes while it sends than it may keep: it stops reading, loses nothing, and goes on as it receives. */
TEST(what_comes_while_it_sends_is_kept_within_bounds) {
    weft_message message;
    weft_client_config config = {WEFT_CLIENT_CONFIG_INIT, .limits = {.queue_bytes_max = 32 * 1024}};
    begin("/flood", &(weft_route) {.open = flood, .closed = fixture_on_closed}, &config);
    CHECK_EQ(weft_blocking_connect(ws, url, LONG_MS), WEFT_OK);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "so", 2, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_blocking_ping(ws, NULL, LONG_MS), WEFT_FULL);
    CHECK_STR(weft_blocking_error(ws), "messages are in the way: receive them first");
    for (int i = 0; i < FLOOD_COUNT; i++) {
        test_context("message %d", i);
        CHECK_EQ(weft_blocking_receive(ws, &message, LONG_MS), WEFT_OK);
        CHECK_EQ(message.len, FLOOD_BYTES);
        CHECK_EQ(atoi((const char *)message.data), i);
    }
    CHECK_EQ(weft_blocking_ping(ws, NULL, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_blocking_close(ws, 1000, NULL, LONG_MS), WEFT_OK);
    CHECK_STR(diary_next(), "closed 1000 clean peer");
    end();
}

/* The same, and nothing is received: the closing handshake passes over it. */
TEST(it_closes_over_what_was_not_received) {
    weft_client_config config = {WEFT_CLIENT_CONFIG_INIT, .limits = {.queue_bytes_max = 32 * 1024}};
    begin("/flood", &(weft_route) {.open = flood, .closed = fixture_on_closed}, &config);
    CHECK_EQ(weft_blocking_connect(ws, url, LONG_MS), WEFT_OK);
    while (weft_blocking_ping(ws, NULL, LONG_MS) == WEFT_OK)
        ;
    CHECK_EQ(weft_blocking_close(ws, 1000, NULL, LONG_MS), WEFT_OK);
    CHECK_STR(diary_next(), "closed 1000 clean peer");
    weft_message message;
    CHECK_EQ(weft_blocking_receive(ws, &message, 0), WEFT_OK); /* what came before is still there */
    CHECK_STR((const char *)message.data, "0");
    end();
}

static void note_length(weft_conn *conn, weft_message message, void *user) {
    (void)conn, (void)user;
    diary("%zu bytes", message.len);
}

/* What left is the kernel's, of a shared connection too: nothing is lost when it is cut then. */
TEST(what_was_sent_over_http2_has_left) {
    enum { MUCH = 1 << 20 };
    char *much = calloc(1, MUCH);
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .http2 = WEFT_HTTP2_CLEAR, .limits = {.message_bytes_max = MUCH}});
    fixture_route("/sink", &(weft_route) {.message = note_length});
    fixture_run(NULL);
    snprintf(url, sizeof url, "ws://%s/sink", fixture.address);
    ws = weft_blocking_new(&(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .http2 = WEFT_HTTP2_CLEAR});
    CHECK_EQ(weft_blocking_connect(ws, url, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_blocking_send(ws, WEFT_BINARY, much, MUCH, LONG_MS), WEFT_OK);
    weft_blocking_free(ws);
    CHECK_STR(diary_next(), "1048576 bytes");
    CHECK_EQ(fixture_end(), WEFT_OK);
    free(much);
}

/* ---- a server that answers, and then is deaf for as long as the test wants ---- */

static atomic_bool deaf;

static void *be_deaf(void *arg) {
    raw_server *s = arg;
    char request[2048], data[4096];
    int fd = accept(s->listen_fd, NULL, NULL);
    hear_request(fd, request, sizeof request);
    speak(fd, BYTES(GOOD), request);
    while (atomic_load(&deaf))
        usleep(1000);
    while (recv(fd, data, sizeof data, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void begin_deaf(raw_server *s, const weft_client_config *config) {
    raw_server_listen(s);
    atomic_store(&deaf, true);
    CHECK_EQ(pthread_create(&s->thread, NULL, be_deaf, s), 0);
    ws = weft_blocking_new(config);
    CHECK_EQ(weft_blocking_connect(ws, s->url, LONG_MS), WEFT_OK);
}

static void end_deaf(raw_server *s) {
    atomic_store(&deaf, false);
    weft_blocking_free(ws);
    raw_server_end(s);
}

TEST(a_peer_that_reads_nothing) {
    enum { MUCH = 16 << 20 };
    raw_server s;
    uint8_t *much = calloc(1, MUCH);
    begin_deaf(&s, NULL);
    CHECK_EQ(weft_blocking_send(ws, WEFT_BINARY, much, MUCH, SHORT_MS), WEFT_TIMEOUT);
    CHECK(strstr(weft_blocking_error(ws), "bytes wait") != NULL);
    CHECK_EQ(weft_blocking_send(ws, WEFT_BINARY, much, 1, SHORT_MS), WEFT_FULL);
    atomic_store(&deaf, false);
    CHECK_EQ(weft_blocking_send(ws, WEFT_BINARY, much, 1, LONG_MS), WEFT_OK);
    CHECK_EQ(weft_conn_buffered(weft_blocking_conn(ws)), 0);
    free(much);
    end_deaf(&s);
}

TEST(a_peer_that_does_not_close) {
    raw_server s;
    begin_deaf(&s, NULL);
    CHECK_EQ(weft_blocking_ping(ws, NULL, SHORT_MS), WEFT_TIMEOUT);
    CHECK_EQ(weft_blocking_close(ws, 1000, NULL, SHORT_MS), WEFT_TIMEOUT);
    CHECK_STR(weft_blocking_error(ws), "the peer did not close in time");
    CHECK_EQ(weft_blocking_close_info(ws)->code, 1006);
    end_deaf(&s);
}

TEST(a_peer_that_does_not_close_within_the_limit) {
    raw_server s;
    begin_deaf(&s, &(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .limits = {.close_timeout_ms = SHORT_MS}});
    CHECK_EQ(weft_blocking_close(ws, 1000, NULL, LONG_MS), WEFT_TIMEOUT);
    CHECK_STR(weft_blocking_error(ws), "the connection broke: the closing handshake was not finished in time");
    CHECK_EQ(weft_blocking_close_info(ws)->sys_errno, ETIMEDOUT);
    end_deaf(&s);
}

TEST(a_peer_that_does_not_answer) {
    raw_server s;
    raw_server_listen(&s);
    ws = weft_blocking_new(NULL);
    CHECK_EQ(weft_blocking_connect(ws, s.url, SHORT_MS), WEFT_TIMEOUT);
    CHECK(strstr(weft_blocking_error(ws), "did not answer in time") != NULL);
    CHECK_EQ(weft_blocking_connect(ws, s.url, 0), WEFT_TIMEOUT); /* nothing is left of it */
    weft_blocking_free(ws);
    close(s.listen_fd);
}

/* ---- memory ---- */

enum { RAW_FLOOD_COUNT = 4000, RAW_FLOOD_BYTES = 4000 };

static void *flood_raw(void *arg) {
    raw_server *s = arg;
    char request[2048], frame[4 + RAW_FLOOD_BYTES] = {(char)0x82, 126, RAW_FLOOD_BYTES >> 8, RAW_FLOOD_BYTES & 0xff};
    int fd = accept(s->listen_fd, NULL, NULL);
    hear_request(fd, request, sizeof request);
    speak(fd, BYTES(GOOD), request);
    for (int i = 0; i < RAW_FLOOD_COUNT; i++) {
        snprintf(frame + 4, sizeof frame - 4, "%d", i);
        speak(fd, frame, sizeof frame, "");
    }
    while (recv(fd, request, sizeof request, 0) > 0)
        ;
    close(fd);
    return NULL;
}

TEST(a_flood_waits_in_the_sockets) {
    raw_server s;
    weft_message message;
    weft_client_config config = {WEFT_CLIENT_CONFIG_INIT, .limits = {.queue_bytes_max = 32 * 1024}};
    raw_server_listen(&s);
    CHECK_EQ(pthread_create(&s.thread, NULL, flood_raw, &s), 0);
    ws = weft_blocking_new(&config);
    CHECK_EQ(weft_blocking_connect(ws, s.url, LONG_MS), WEFT_OK);
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(weft_blocking_send(ws, WEFT_TEXT, "so", 2, LONG_MS), WEFT_OK);
        usleep(500);
    }
    CHECK(test_mem_bytes() < 4 << 20); /* of 16: what io_uring had received before it was told to pause is kept */
    for (int i = 0; i < RAW_FLOOD_COUNT; i++) {
        CHECK_EQ(weft_blocking_receive(ws, &message, LONG_MS), WEFT_OK);
        CHECK_EQ(atoi((const char *)message.data), i);
    }
    weft_blocking_free(ws);
    raw_server_end(&s);
}

static int converse(const char *to) {
    weft_message message;
    int got = weft_blocking_connect(ws, to, LONG_MS);
    if (got == WEFT_OK)
        got = weft_blocking_send(ws, WEFT_TEXT, "hello", 5, LONG_MS);
    if (got == WEFT_OK)
        got = weft_blocking_receive(ws, &message, LONG_MS);
    if (got == WEFT_OK)
        CHECK_STR((const char *)message.data, "hi");
    if (got == WEFT_OK)
        got = weft_blocking_ping(ws, NULL, 0);
    if (got == WEFT_TIMEOUT)
        got = weft_blocking_close(ws, 1000, NULL, LONG_MS);
    return got;
}

TEST(every_allocation_can_fail) {
    size_t messages_lost = 0;
    /* the server leaves it to us to end the connection */
    weft_client_config config = {WEFT_CLIENT_CONFIG_INIT, .limits = {.close_timeout_ms = SHORT_MS}};
    for (size_t n = 1;; n++) {
        raw_server server;
        raw_server_start(&server, (script) {BYTES(GOOD "\x81\x02hi"), ENDS_WITH_CLIENT, BYTES("\x88\x00")});
        test_mem_fail_at(n);
        ws = weft_blocking_new(&config);
        int got = ws ? converse(server.url) : WEFT_ENOMEM;
        bool reached = test_mem_calls() >= n;
        test_mem_fail_at(0);
        test_context("allocation %zu: %s", n, ws ? weft_blocking_error(ws) : "none");
        CHECK(reached || got == WEFT_OK || got == WEFT_ECLOSED);
        CHECK(got == WEFT_OK || !ws || weft_blocking_error(ws)[0] != '\0');
        messages_lost += ws && strcmp(weft_blocking_error(ws), "there was no memory for a message of 2 bytes") == 0;
        weft_blocking_free(ws);
        int unblock = socket(AF_INET, SOCK_STREAM, 0); /* when it never came to a connection */
        struct sockaddr_in in;
        socklen_t len = sizeof in;
        getsockname(server.listen_fd, (struct sockaddr *)&in, &len);
        connect(unblock, (struct sockaddr *)&in, len);
        close(unblock);
        raw_server_end(&server);
        CHECK_EQ(test_mem_live(), 0);
        if (!reached)
            break;
    }
    CHECK_EQ(messages_lost, 1);
}
