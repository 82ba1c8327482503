/*
 * Dialling: what is refused at once, what the kernel refuses, what takes too long, what is given up, and every
 * allocation and call that can fail on the way.
 */
#include "client_help.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/un.h>

#define GOOD                                                                                                           \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "          \
    "{A}\r\n\r\n"
#define CLOSE "\x88\x02\x03\xe8"

static const char *const bad_headers[] = {"Host: a", NULL}, *const bad_protocols[] = {"a b", NULL};

#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *name;
    weft_dial dial;
    const char *why;
} refused[] = {
    {"no_struct_size", {.url = "ws://127.0.0.1/"}, "struct_size is not set: begin with WEFT_DIAL_INIT"},
    {"no_url", {WEFT_DIAL_INIT}, "there is no url"},
    {"no_ws", {WEFT_DIAL_INIT, .url = "ftp://a/"}, "RFC6455/3: this is not a ws:// URL"},
    {"header",
     {WEFT_DIAL_INIT, .url = "ws://127.0.0.1/", .headers = bad_headers},
     "a header is one that the handshake sets itself"},
    {"subprotocol",
     {WEFT_DIAL_INIT, .url = "ws://127.0.0.1/", .subprotocols = bad_protocols},
     "RFC6455/4.1: a subprotocol is not a token"},
    {"address", {WEFT_DIAL_INIT, .url = "ws://a/", .address = "127.0.0.1"}, "port is missing: write host:port"},
    {"second_address", {WEFT_DIAL_INIT, .url = "ws://a/", .address = "127.0.0.1:1,,"}, "address is empty"},
    {"local_address",
     {WEFT_DIAL_INIT, .url = "ws://127.0.0.1/", .local_address = "127.0.0.1:5"},
     "local_address is not an IP address"},
    {"long_host",
     {WEFT_DIAL_INIT, .url = "wss://" A50 A50 A50 A50 A50 "aaaa/", .address = "127.0.0.1:1"},
     "the host is over 253 bytes"},
    {"window",
     {WEFT_DIAL_INIT, .url = "ws://127.0.0.1/", .deflate = {WEFT_DEFLATE_SHARED, 7, 0, 0}},
     "deflate: a window has 8 to 15 bits"},
    {"long_socket",
     {WEFT_DIAL_INIT,
      .url = "ws+unix:/.........................................................................................."
             "......................................................:/"},
     "unix socket name is over 107 bytes"},
};

TEST(dials_that_cannot_be_meant_are_refused) {
    weft_client *c = weft_client_new(NULL);
    CHECK_STR(weft_client_error(c), "");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        weft_conn *conn = NULL;
        test_context("row %s", refused[i].name);
        CHECK_EQ(weft_client_dial(c, &refused[i].dial, &conn), WEFT_EINVAL);
        CHECK_STR(weft_client_error(c), refused[i].why);
        CHECK(conn == NULL && weft_client_connections(c) == 0);
    }
    weft_client_free(c);
}

TEST(configs_that_cannot_be_meant_are_refused) {
    CHECK(weft_client_new(&(weft_client_config) {0}) == NULL && errno == EINVAL);
    CHECK(weft_client_new(
              &(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .deflate = {WEFT_DEFLATE_SHARED, 16, 0, 0}}) == NULL);
    weft_client_free(NULL);
}

/* A port of 127.0.0.1 where nobody listens. */
static void nobody(char url[64]) {
    raw_server s;
    raw_server_listen(&s);
    close(s.listen_fd);
    memcpy(url, s.url, sizeof s.url);
}

static void check_dial(const weft_dial *dial, const char *expected) {
    weft_client *c = weft_client_new(NULL);
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, dial, NULL), WEFT_OK);
    CHECK_STR(seen, ""); /* no call calls back */
    run_out(c);
    CHECK_STR(seen, expected);
    weft_client_free(c);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(what_the_kernel_refuses_is_told_by_callback) {
    char url[64];
    nobody(url);
    weft_dial dial = dial_to(url);
    check_dial(&dial, "failed to connect ECONNREFUSED");
    dial = dial_to("ws+unix:/nowhere/at/all.sock:/");
    check_dial(&dial, "failed to connect ENOENT");
    dial = dial_to(url);
    dial.local_address = "192.0.2.1"; /* RFC 5737: nobody's */
    check_dial(&dial, "failed to connect EADDRNOTAVAIL");
    dial = dial_to("ws://[::1]:9/");
    dial.local_address = "127.0.0.1"; /* of another family */
    check_dial(&dial, "failed to connect EAFNOSUPPORT");
    test_call_fail_at("socket", 1, EMFILE);
    weft_client *c = weft_client_new(NULL);
    test_call_fail_at("socket", 1, EMFILE);
    dial = dial_to(url);
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    test_call_fail_at(NULL, 0, 0);
    run_out(c);
    CHECK_STR(seen, "failed to connect EMFILE");
    weft_client_free(c);
}

/* Of addresses that it does not lead to nothing is told while there are others. */
TEST(a_local_address_is_of_one_family) {
    char url[64], by_name[64];
    nobody(url);
    snprintf(by_name, sizeof by_name, "ws://localhost%s", strrchr(url, ':'));
    weft_dial dial = dial_to(by_name);
    dial.local_address = "127.0.0.1";
    check_dial(&dial, "failed to connect ECONNREFUSED");
    dial.address = "unix:/nowhere/at/all.sock"; /* it is of no use there */
    check_dial(&dial, "failed to connect ENOENT");
}

static void see_text(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    see("%s", failure->text);
}

TEST(failures_are_told_in_words) {
    char url[64], expected[200];
    nobody(url);
    weft_dial dial = dial_to(url);
    dial.failed = see_text;
    snprintf(expected, sizeof expected, "cannot connect to %.*s: Connection refused", (int)strlen(url) - 6, url + 5);
    check_dial(&dial, expected);
    raw_server s;
    raw_server_start(&s, (script) {"HTTP/1.1 403 Eh\r\n\r\n", 19, ENDS_WITH_FIN, NULL, 0});
    dial.url = s.url;
    snprintf(expected, sizeof expected, "%.*s answered 403 Forbidden", (int)strlen(s.url) - 6, s.url + 5);
    check_dial(&dial, expected);
    raw_server_end(&s);
    raw_server_start(&s, (script) {"x\n", 2, ENDS_WITH_FIN, NULL, 0});
    dial.url = s.url;
    snprintf(expected, sizeof expected,
             "the handshake with %.*s failed: RFC9112/4: the answer does not begin with an HTTP/1.x status line",
             (int)strlen(s.url) - 6, s.url + 5);
    check_dial(&dial, expected);
    raw_server_end(&s);
}

TEST(addresses_are_tried_in_turn) {
    char url[64], addresses[200];
    raw_server s;
    nobody(url);
    raw_server_start(&s, (script) {GOOD CLOSE, sizeof(GOOD CLOSE) - 1, ENDS_WITH_FIN, NULL, 0});
    snprintf(addresses, sizeof addresses, "%.*s, [::1]:%s ,%.*s", (int)strlen(url) - 6, url + 5, "1",
             (int)strlen(s.url) - 6, s.url + 5);
    weft_dial dial = dial_to("ws://a.name/");
    dial.address = addresses;
    check_dial(&dial, "open 101; closed 1000  clean peer");
    raw_server_end(&s);
    snprintf(addresses, sizeof addresses, "%.*s,%.*s", (int)strlen(url) - 6, url + 5, (int)strlen(url) - 6, url + 5);
    check_dial(&dial, "failed to connect ECONNREFUSED");
}

/* A listener whose backlog is full: what else connects waits, as for a host that does not answer. */
typedef struct silent {
    raw_server server;
    int filling[4];
} silent;

static void silent_start(silent *s) {
    raw_server_listen(&s->server);
    CHECK_EQ(listen(s->server.listen_fd, 0), 0);
    for (int i = 0; i < 4; i++) {
        struct sockaddr_in in;
        socklen_t len = sizeof in;
        getsockname(s->server.listen_fd, (struct sockaddr *)&in, &len);
        s->filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(s->filling[i], (struct sockaddr *)&in, len);
    }
}

static void silent_end(silent *s) {
    for (int i = 0; i < 4; i++)
        close(s->filling[i]);
    close(s->server.listen_fd);
}

static size_t descriptors(void) {
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

TEST(an_address_that_does_not_answer_is_raced) {
    char addresses[200];
    raw_server s;
    silent quiet;
    silent_start(&quiet);
    raw_server_start(&s, (script) {GOOD CLOSE, sizeof(GOOD CLOSE) - 1, ENDS_WITH_FIN, NULL, 0});
    size_t before = descriptors();
    uint64_t begun_ms = wf_clock_ms();
    snprintf(addresses, sizeof addresses, "%.*s,%.*s", (int)strlen(quiet.server.url) - 6, quiet.server.url + 5,
             (int)strlen(s.url) - 6, s.url + 5);
    weft_dial dial = dial_to("ws://a.name/");
    dial.address = addresses;
    check_dial(&dial, "open 101; closed 1000  clean peer");
    uint64_t took_ms = wf_clock_ms() - begun_ms;
    CHECK(took_ms >= 250 && took_ms < 3000); /* RFC 8305 5: the connection attempt delay */
    raw_server_end(&s);
    CHECK(descriptors() <= before);

    snprintf(addresses, sizeof addresses, "%.*s,%.*s", (int)strlen(quiet.server.url) - 6, quiet.server.url + 5,
             (int)strlen(quiet.server.url) - 6, quiet.server.url + 5);
    dial.connect_timeout_ms = 300;
    check_dial(&dial, "failed to connect ETIMEDOUT connect_timeout: no connection came about in time");
    weft_client *c = weft_client_new(NULL); /* given up by abort, and by the end of the client */
    weft_conn *conn;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, &conn), WEFT_OK);
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
    weft_conn_abort(conn);
    CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
    CHECK_STR(seen, "failed to connect ECONNABORTED");
    weft_client_free(c);
    CHECK_EQ(test_mem_live(), 0);
    CHECK(descriptors() <= before);
    silent_end(&quiet);
}

static char asked[2][2048];

/* Two servers: the first answers with a redirect to the second. What each was asked is in `asked`. */
static void *redirects(void *arg) {
    const int *fds = arg;
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in in;
        socklen_t len = sizeof in;
        char answer[300];
        getsockname(fds[1], (struct sockaddr *)&in, &len);
        int fd = accept(fds[i], NULL, NULL);
        hear_request(fd, asked[i], sizeof asked[i]);
        snprintf(answer, sizeof answer, "HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:%d/there?x#y\r\n\r\n",
                 ntohs(in.sin_port));
        if (i == 0)
            speak(fd, answer, strlen(answer), asked[0]);
        else
            speak(fd, GOOD CLOSE, sizeof(GOOD CLOSE) - 1, asked[1]);
        shutdown(fd, SHUT_WR);
        recv(fd, answer, sizeof answer, 0);
        close(fd);
    }
    return NULL;
}

TEST(redirects_are_followed_when_asked_for) {
    static const char *const secret[] = {"Cookie: s3cret", "X-Key: s3cret", NULL}, *const list[] = {"a", NULL};
    raw_server a, b;
    raw_server_listen(&a);
    raw_server_listen(&b);
    int fds[] = {a.listen_fd, b.listen_fd};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, redirects, fds), 0);
    weft_dial dial = dial_to(a.url);
    dial.redirects_max = 1;
    dial.headers = secret;
    dial.subprotocols = list;
    dial.bearer_token = "s3cret";
    check_dial(&dial, "open 101; closed 1000  clean peer");
    pthread_join(thread, NULL);
    CHECK(strstr(asked[0], "Cookie: s3cret") && strstr(asked[0], "X-Key: s3cret") && strstr(asked[0], "Bearer s3cret"));
    CHECK(strncmp(asked[1], "GET /there?x HTTP/1.1\r\n", 23) == 0);
    CHECK(strstr(asked[1], "Sec-WebSocket-Protocol: a\r\n") && !strstr(asked[1], "s3cret"));
    close(a.listen_fd);
    close(b.listen_fd);
}

static void check_not_followed(uint32_t max, const char *location) {
    raw_server s;
    char answer[200];
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 302 Go\r\n%s\r\n", location);
    raw_server_start(&s, (script) {answer, (size_t)len, ENDS_WITH_FIN, NULL, 0});
    weft_dial dial = dial_to(s.url);
    dial.redirects_max = max;
    test_context("%s", location);
    check_dial(&dial, "failed to open 302 () RFC6455/4.1: the status is not 101");
    raw_server_end(&s);
}

TEST(redirects_that_are_not_followed) {
    check_not_followed(0, "Location: /b\r\n");
    check_not_followed(1, "");
    check_not_followed(1, "Location: ws+unix:/b\r\n");
    check_not_followed(1, "Location: file:///etc/passwd\r\n");
    check_not_followed(1, "Location: ws://user:password@127.0.0.1/\r\n");
    check_not_followed(1, "Location: /b\r\nLocation: /c\r\n");
}

TEST(localhost_needs_no_looking_up) {
    char url[64];
    raw_server s;
    raw_server_start(&s, (script) {GOOD CLOSE, sizeof(GOOD CLOSE) - 1, ENDS_WITH_FIN, NULL, 0});
    snprintf(url, sizeof url, "ws://LocalHost%s", strrchr(s.url, ':'));
    weft_dial dial = dial_to(url);
    dial.local_address = NULL;
    check_dial(&dial, "open 101; closed 1000  clean peer");
    raw_server_end(&s);
}

TEST(a_server_that_does_not_answer_in_time) {
    raw_server s;
    raw_server_listen(&s); /* the kernel connects, and nobody speaks */
    weft_dial dial = dial_to(s.url);
    dial.handshake_timeout_ms = 50;
    check_dial(&dial, "failed to open ETIMEDOUT handshake_timeout: no whole answer came in time");
    close(s.listen_fd);
}

/* A unix socket with a full backlog: connect answers EAGAIN, and it is tried again until there is room. */
TEST(a_full_backlog_is_waited_for) {
    char url[128];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int len = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "weft-test-%d", (int)getpid());
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    raw_server s = {.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK_EQ(bind(s.listen_fd, (struct sockaddr *)&un, bytes), 0);
    CHECK_EQ(listen(s.listen_fd, 0), 0);
    int first = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(connect(first, (struct sockaddr *)&un, bytes), 0);
    snprintf(url, sizeof url, "ws+unix:@%s:/", un.sun_path + 1);

    weft_dial dial = dial_to(url);
    dial.connect_timeout_ms = 50;
    check_dial(&dial, "failed to connect ETIMEDOUT connect_timeout: no connection came about in time");

    weft_client *c = weft_client_new(NULL);
    weft_conn *conn;
    dial.connect_timeout_ms = WEFT_NONE;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, &conn), WEFT_OK);
    weft_conn_abort(conn);
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_turn(c, 20), WEFT_OK);
    CHECK_STR(seen, "failed to connect ECONNABORTED");
    int accepted = accept(s.listen_fd, NULL, NULL);
    s.script = (script) {GOOD CLOSE, sizeof(GOOD CLOSE) - 1, ENDS_WITH_FIN, NULL, 0};
    CHECK_EQ(pthread_create(&s.thread, NULL, raw_server_run, &s), 0);
    seen[0] = '\0';
    run_out(c);
    CHECK_STR(seen, "open 101; closed 1000  clean peer");
    raw_server_end(&s);
    close(first);
    close(accepted);
    weft_client_free(c);
}

TEST(calls_before_open) {
    raw_server s;
    char text[100];
    raw_server_listen(&s);
    weft_client *c = weft_client_new(NULL);
    weft_conn *conn;
    int me;
    weft_dial dial = dial_to(s.url);
    dial.user = &me;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, &conn), WEFT_OK);
    CHECK(weft_conn_user(conn) == &me && weft_conn_client(conn) == c);
    CHECK_EQ(weft_conn_send(conn, WEFT_TEXT, "a", 1), WEFT_ECLOSED);
    CHECK_EQ(weft_conn_send_fragment(conn, WEFT_TEXT, "a", 1, true), WEFT_ECLOSED);
    CHECK_EQ(weft_conn_close(conn, 1000, NULL), WEFT_ECLOSED);
    CHECK_EQ(weft_conn_ping(conn), WEFT_ECLOSED);
    CHECK(!weft_conn_deflates(conn) && weft_conn_rtt_ns(conn) == 0);
    weft_conn_peer(conn, text, sizeof text);
    CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
    weft_conn_abort(conn);
    weft_conn_abort(conn);
    CHECK_STR(seen, "");
    CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
    CHECK_STR(seen, "failed to open ECONNABORTED");
    CHECK_EQ(weft_client_connections(c), 0);
    CHECK_EQ(weft_client_run(c), WEFT_OK);
    weft_client_free(c);
    close(s.listen_fd);
}

TEST(freeing_calls_nobody) {
    raw_server s;
    raw_server_listen(&s);
    weft_client *c = weft_client_new(NULL);
    weft_dial dial = dial_to(s.url);
    seen[0] = '\0';
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    weft_client_free(c);
    CHECK_STR(seen, "");
    CHECK_EQ(test_mem_live(), 0);
    close(s.listen_fd);
}

static void *stop_soon(void *arg) {
    usleep(20000);
    weft_client_stop(arg);
    return NULL;
}

static void *wake_soon(void *arg) {
    usleep(20000);
    weft_client_wake(arg);
    return NULL;
}

TEST(stopped_and_woken_from_another_thread) {
    raw_server s;
    pthread_t thread;
    raw_server_listen(&s);
    weft_client *c = weft_client_new(NULL);
    weft_dial dial = dial_to(s.url);
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    CHECK_EQ(pthread_create(&thread, NULL, stop_soon, c), 0);
    CHECK_EQ(weft_client_run(c), WEFT_OK);
    CHECK_EQ(weft_client_connections(c), 1);
    pthread_join(thread, NULL);
    CHECK_EQ(pthread_create(&thread, NULL, wake_soon, c), 0);
    uint64_t began_ms = wf_clock_ms();
    CHECK_EQ(weft_client_turn(c, 9000), WEFT_OK);
    CHECK(wf_clock_ms() - began_ms < 5000);
    pthread_join(thread, NULL);
    weft_client_free(c);
    close(s.listen_fd);
}

TEST(in_a_loop_of_the_program) {
    raw_server s;
    raw_server_start(&s, (script) {GOOD CLOSE, sizeof(GOOD CLOSE) - 1, ENDS_WITH_FIN, NULL, 0});
    weft_client *c = weft_client_new(NULL);
    CHECK_EQ(weft_client_timeout_ms(c), -1);
    weft_dial dial = dial_to(s.url);
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_timeout_ms(c), 0); /* the request waits to be sent */
    for (int i = 0; weft_client_connections(c) > 0 && i < 100; i++) {
        struct pollfd watched = {.fd = weft_client_fd(c), .events = POLLIN};
        poll(&watched, 1, weft_client_timeout_ms(c));
        CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
    }
    CHECK_STR(seen, "open 101; closed 1000  clean peer");
    weft_client_free(c);
    raw_server_end(&s);
}

/* One dial from beginning to end; exactly one thing comes of it, whatever fails. */
static void play(const char *call, size_t n, int error) {
    raw_server s;
    raw_server_start(&s, (script) {GOOD "\x89\x01p"
                                        "\x81\x02hi" CLOSE,
                                   sizeof(GOOD "\x89\x01p"
                                               "\x81\x02hi" CLOSE) -
                                       1,
                                   ENDS_WITH_FIN, NULL, 0});
    static const char *const list[] = {"a", NULL};
    weft_dial dial = dial_to(s.url);
    dial.subprotocols = list;
    seen[0] = '\0';
    test_context("%s %zu fails", call ? call : "allocation", n);
    if (call)
        test_call_fail_at(call, n, error);
    else
        test_mem_fail_at(n);
    weft_client *c = weft_client_new(NULL);
    int got = c ? weft_client_dial(c, &dial, NULL) : WEFT_ENOMEM;
    for (int i = 0; got == WEFT_OK && weft_client_connections(c) > 0 && i < 200; i++)
        weft_client_turn(c, 20);
    if (got == WEFT_OK)
        CHECK(weft_client_connections(c) == 0 &&
              (strncmp(seen, "failed ", 7) == 0 || (strncmp(seen, "open 101; ", 10) == 0 && strstr(seen, "closed "))));
    else
        CHECK_STR(seen, "");
    weft_client_free(c);
    test_call_fail_at(NULL, 0, 0);
    if (call)
        test_mem_fail_at(0);
    shutdown(s.listen_fd, SHUT_RDWR); /* a server nobody came to */
    raw_server_end(&s);
}

TEST(a_dial_survives_every_failed_allocation) {
    for (size_t n = 1;; n++) {
        play(NULL, n, 0);
        CHECK_EQ(test_mem_live(), 0);
        CHECK(n < 100);
        if (test_mem_calls() < n)
            break;
    }
    test_mem_fail_at(0);
    CHECK_STR(seen, "open 101; text hi; closed 1000  clean peer");
}

TEST(a_dial_survives_refusing_calls) {
    static const struct {
        const char *name;
        int error;
    } failing[] = {{"epoll_create1", EMFILE}, {"eventfd", EMFILE},  {"connect", ENETUNREACH}, {"epoll_ctl", ENOMEM},
                   {"send", ECONNRESET},      {"recv", ECONNRESET}, {"socket", EMFILE},       {"EVP_DigestFinal_ex", 0},
                   {"RAND_bytes", 0},         {"connect", EINTR},   {"setsockopt", EINVAL}};
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++)
        for (size_t n = 1; n <= 4; n++) {
            play(failing[i].name, n, failing[i].error);
            CHECK_EQ(test_mem_live(), 0);
        }
}

TEST(names_are_resolved_on_request) {
    char text[256];
    const char *why = NULL;
    CHECK_EQ(weft_resolve("ws://127.0.0.1:9001/", text, sizeof text, &why), WEFT_OK);
    CHECK_STR(text, "127.0.0.1:9001");
    CHECK_EQ(weft_resolve("ws://[::1]/", text, sizeof text, NULL), WEFT_OK);
    CHECK_STR(text, "[::1]:80");
    CHECK_EQ(weft_resolve("ws://localhost/", text, sizeof text, NULL), WEFT_OK);
    CHECK_STR(text, "127.0.0.1:80,[::1]:80");
    CHECK_EQ(weft_resolve("ws+unix:/a/b:/c", text, sizeof text, NULL), WEFT_OK);
    CHECK_STR(text, "unix:/a/b");
    CHECK_EQ(weft_resolve("ws://localhost/", text, 20, &why), WEFT_ELIMIT);
    CHECK_STR(why, "the addresses do not fit");
    CHECK_EQ(weft_resolve("a", text, sizeof text, &why), WEFT_EINVAL);
    CHECK_STR(why, "RFC6455/3: this is not a ws:// URL");
    int got = weft_resolve("ws://no-such-host.invalid/", text, sizeof text, &why); /* RFC 6761 6.4 */
    CHECK(got == WEFT_ESTALE || got == WEFT_ESYS);
}
