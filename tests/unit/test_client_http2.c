/*
 * A client's WebSockets over HTTP/2 against a server that plays a script of single frames, so that it can do what no
 * good server does; and every allocation that can fail on the way.
 */
#include "client_help.h"

#include "base/bytes.h"

#include <netinet/tcp.h>

/*
 * Scripts, one for each connection, in the order they come; a letter is a step:
 *
 *      P  hears the preface and SETTINGS             H  hears a request, the stream of what follows
 *      S  SETTINGS: WebSockets                       A  answers it 200
 *      s  SETTINGS: nothing of the kind              I  103, then 200
 *      1  ... and one stream at a time               F  403 with a body, all of it
 *      0  ... and not any more                       f  403 with a body, and more to come
 *      z  ... and no stream at all                   B  200 with 14 KB of headers
 *      w  ... and windows of nothing                 M  sends "hi"
 *      U  opens the stream's window                  C  a close frame, 1000
 *      G  GOAWAY, nothing was looked at              D  hears DATA
 *      g  GOAWAY, up to the stream                   X  END_STREAM
 *      R  RST_STREAM, by the hexadecimal behind it   N  hears nothing for 50 ms
 *      p  PUSH_PROMISE                               W  waits for the client's end
 *      Y  hears RST_STREAM                           L  waits 100 ms
 *      h  is a server of HTTP/1.1                    n  is one that does not understand the preface
 *      Q  sends 60 KB to the first stream
 *      K  closes at once, not when all is played     a  acknowledges the client's SETTINGS
 */
enum { CONNECTIONS_MAX = 6 };

typedef struct server {
    int listen_fd;
    char url[64];
    const char *const *scripts;
    pthread_t thread;
    int fds[CONNECTIONS_MAX];
    int connections;
    uint32_t stream;
    int unexpected; /* the step's letter */
} server;

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PUSH_PROMISE = 5, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

static void put32(uint8_t *to, uint32_t number) {
    wf_store_be16(to, (uint16_t)(number >> 16));
    wf_store_be16(to + 2, (uint16_t)number);
}

static bool hear_bytes(int fd, void *out, size_t len) {
    return len == 0 || recv(fd, out, len, MSG_WAITALL) == (ssize_t)len;
}

static void say_frame(server *s, int fd, uint8_t type, uint8_t flags, uint32_t stream, const void *data, size_t len) {
    uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags};
    (void)s;
    put32(head + 5, stream);
    send(fd, head, sizeof head, MSG_NOSIGNAL | (len > 0 ? MSG_MORE : 0));
    if (len > 0)
        send(fd, data, len, MSG_NOSIGNAL);
}

/* Passes over others. False: the client has left. */
static bool hear_frame(server *s, int fd, uint8_t wanted) {
    uint8_t head[9], payload[65536];
    for (int i = 0; i < 100; i++) {
        if (!hear_bytes(fd, head, sizeof head))
            return false;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (len > sizeof payload || !hear_bytes(fd, payload, len))
            return false;
        if (head[3] == HEADERS)
            s->stream = (uint32_t)head[7] << 8 | head[8];
        if (head[3] == wanted)
            return true;
    }
    return false;
}

static void say_settings(server *s, int fd, const uint16_t *pairs, size_t count) {
    uint8_t payload[36] = {0};
    for (size_t i = 0; i < count; i++) {
        wf_store_be16(payload + 6 * i, pairs[2 * i]);
        wf_store_be16(payload + 6 * i + 4, pairs[2 * i + 1]);
    }
    say_frame(s, fd, SETTINGS, 0, 0, payload, 6 * count);
}

static void say_number(server *s, int fd, uint8_t type, uint32_t stream, uint32_t number) {
    uint8_t payload[4];
    put32(payload, number);
    say_frame(s, fd, type, 0, stream, payload, sizeof payload);
}

static void go_away(server *s, int fd, uint32_t last) {
    uint8_t payload[8] = {0};
    put32(payload, last);
    say_frame(s, fd, GOAWAY, 0, 0, payload, sizeof payload);
}

/* HPACK by hand: ":status" is 8 of the static table, and with 200 all of it. */
static void answer_long(server *s, int fd) {
    static uint8_t block[1 + 2 * 8000];
    size_t len = 0;
    block[len++] = 0x88;
    for (char name = 'a'; name < 'c'; name++) { /* of 7,000 bytes each */
        static const uint8_t value[] = {0x7f, 0xd9, 0x35};
        block[len++] = 0x00;
        block[len++] = 1;
        block[len++] = (uint8_t)name;
        memcpy(block + len, value, sizeof value);
        len += sizeof value;
        memset(block + len, 'x', 7000);
        len += 7000;
    }
    say_frame(s, fd, HEADERS, END_HEADERS, s->stream, block, len);
}

static void be_http1(int fd, const char *answer) {
    char request[2048];
    uint8_t frame[64];
    hear_request(fd, request, sizeof request);
    speak(fd, answer, strlen(answer), request);
    send(fd, "\x88\x02\x03\xe8", 4, MSG_NOSIGNAL);
    if (recv(fd, frame, sizeof frame, 0) < 0)
        return;
}

static bool hear_preface(server *s, int fd) {
    char preface[24];
    return hear_bytes(fd, preface, sizeof preface) && memcmp(preface, "PRI * HTTP/2.0\r\n", 16) == 0 &&
           hear_frame(s, fd, SETTINGS);
}

static bool hears_nothing(int fd) {
    uint8_t head[9];
    usleep(50000);
    while (recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)sizeof head && head[3] != DATA) {
        uint8_t rest[256];
        size_t len = (size_t)head[1] << 8 | head[2];
        if (len > sizeof rest || !hear_bytes(fd, head, sizeof head) || !hear_bytes(fd, rest, len))
            return false;
    }
    return recv(fd, head, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static bool say_step(server *s, int fd, const char *step) {
    static const uint16_t plain[] = {8, 1}, one[] = {8, 1, 3, 1}, none[] = {8, 1, 3, 0}, shut[] = {8, 1, 4, 0},
                          off[] = {8, 0};
    static const uint8_t flood[10000] = {0x82, 126, 9996 >> 8, 9996 & 255}, good[] = {0x88},
                         refusal[] = {0x08, 3, '4', '0', '3'}, early[] = {0x08, 3, '1', '0', '3'},
                         promise[] = {0, 0, 0, 2, 0x82, 0x87, 0x84};
    switch (*step) {
    case 'S':
        return say_settings(s, fd, plain, 1), true;
    case 's':
        return say_settings(s, fd, NULL, 0), true;
    case '1':
        return say_settings(s, fd, one, 2), true;
    case 'z':
        return say_settings(s, fd, none, 2), true;
    case 'w':
        return say_settings(s, fd, shut, 2), true;
    case 'a':
        return say_frame(s, fd, SETTINGS, ACK, 0, "", 0), true;
    case '0':
        return say_settings(s, fd, off, 1), true;
    case 'I':
        say_frame(s, fd, HEADERS, END_HEADERS, s->stream, early, sizeof early);
        return say_frame(s, fd, HEADERS, END_HEADERS, s->stream, good, sizeof good), true;
    case 'A':
        return say_frame(s, fd, HEADERS, END_HEADERS, s->stream, good, sizeof good), true;
    case 'F':
    case 'f':
        say_frame(s, fd, HEADERS, END_HEADERS, s->stream, refusal, sizeof refusal);
        return say_frame(s, fd, DATA, *step == 'F' ? END_STREAM : 0, s->stream, "no", 2), true;
    case 'B':
        return answer_long(s, fd), true;
    case 'M':
        return say_frame(s, fd, DATA, 0, s->stream, "\x81\x02hi", 4), true;
    case 'Q':
        for (int i = 0; i < 6; i++)
            say_frame(s, fd, DATA, 0, 1, flood, sizeof flood);
        return true;
    case 'C':
        return say_frame(s, fd, DATA, 0, s->stream, "\x88\x02\x03\xe8", 4), true;
    case 'X':
        return say_frame(s, fd, DATA, END_STREAM, s->stream, "", 0), true;
    case 'U':
        return say_number(s, fd, WINDOW_UPDATE, s->stream, 65535), true;
    case 'G':
        return go_away(s, fd, 0), true;
    case 'g':
        return go_away(s, fd, s->stream), true;
    case 'R':
        return say_number(s, fd, RST_STREAM, s->stream, (uint32_t)strtoul((char[]) {step[1], 0}, NULL, 16)), true;
    case 'p':
        return say_frame(s, fd, PUSH_PROMISE, END_HEADERS, s->stream, promise, sizeof promise), true;
    default:
        return false;
    }
}

static bool hear_step(server *s, int fd, char step) {
    static const char good[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: {A}\r\n\r\n";
    switch (step) {
    case 'P':
        return hear_preface(s, fd);
    case 'H':
        return hear_frame(s, fd, HEADERS);
    case 'D':
        return hear_frame(s, fd, DATA);
    case 'Y':
        return hear_frame(s, fd, RST_STREAM);
    case 'N':
        return hears_nothing(fd);
    case 'W':
        return !hear_frame(s, fd, UINT8_MAX);
    case 'h':
        return be_http1(fd, good), true;
    case 'n':
        return be_http1(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), true;
    default:
        usleep(100000);
        return true;
    }
}

static void play_script(server *s, int *fd, const char *steps) {
    for (const char *step = steps; *step; step++) {
        if (*step == 'K') {
            close(*fd);
            *fd = -1;
            return;
        }
        if (!say_step(s, *fd, step) && !hear_step(s, *fd, *step)) {
            s->unexpected = *step;
            return;
        }
        step += *step == 'R';
    }
}

static void *serve(void *arg) {
    server *s = arg;
    struct timeval patience = {.tv_sec = 3};
    for (int i = 0; s->scripts[i]; i++) {
        int fd = s->fds[i] = accept(s->listen_fd, NULL, NULL);
        if (fd < 0)
            break;
        s->connections++;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int) {1}, sizeof(int));
        play_script(s, &s->fds[i], s->scripts[i]);
    }
    for (int i = 0; i < s->connections; i++)
        if (s->fds[i] >= 0)
            close(s->fds[i]);
    return NULL;
}

static void server_start(server *s, const char *const *scripts) {
    raw_server raw;
    raw_server_listen(&raw);
    *s = (server) {.listen_fd = raw.listen_fd, .scripts = scripts};
    memcpy(s->url, raw.url, sizeof s->url);
    CHECK_EQ(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(server *s) {
    shutdown(s->listen_fd, SHUT_RDWR); /* nobody else comes */
    pthread_join(s->thread, NULL);
    close(s->listen_fd);
}

static weft_client *new_client_of(uint32_t timeout_ms) {
    return weft_client_new(&(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .http2 = WEFT_HTTP2_CLEAR,
                                                  .connect_timeout_ms = 4000, .handshake_timeout_ms = timeout_ms,
                                                  .head_bytes_max = 8192});
}

static weft_client *new_client(void) {
    return new_client_of(4000);
}

/* ---- what a server does, and what comes of it ---- */

#define WELL    "open 101; closed 1000  clean peer"
#define REFUSED "failed to open ECONNRESET RFC9113/7: the stream was reset: "

static const struct {
    const char *name;
    const char *const scripts[CONNECTIONS_MAX];
    const char *seen;
    int dials;       /* one behind the other's beginning; 0: one */
    int connections; /* 0: as many as there are scripts */
} rows[] = {
    {"opens_and_closes", {"PSHACDXW"}, WELL, 0, 0},
    {"says_something", {"PSHAMCDXW"}, "open 101; text hi; closed 1000  clean peer", 0, 0},
    {"settings_before_the_preface", {"SPHACDXW"}, WELL, 0, 0},
    {"settings_late", {"PLSHACDXW"}, WELL, 0, 0},
    {"settings_never", {"PW"}, "failed to open ETIMEDOUT handshake_timeout: no whole answer came in time", 0, 0},
    {"answer_never", {"PSHW"}, "failed to open ETIMEDOUT handshake_timeout: no whole answer came in time", 0, 0},
    {"interim_answer", {"PSHICDXW"}, WELL, 0, 0},
    {"no_websockets", {"PsW", "hK"}, WELL, 0, 0},
    {"no_websockets_is_kept_in_mind", {"PsW", "hK", "hK"}, WELL WELL, -2, 0},
    {"http11_required", {"PSHRdW", "hK"}, WELL, 0, 0},
    {"no_http2", {"n"}, "failed to open RFC9113/5.4.1: the server does not keep to HTTP/2", 0, 0},
    {"refusal", {"PSHFW"}, "failed to open 403 (no) RFC6455/4.1: the status is not 101", 0, 0},
    {"refusal_cut", {"PSHfR2W"}, "failed to open 403 (no) RFC6455/4.1: the status is not 101", 0, 0},
    {"refusal_without_end", {"PSHfYW"}, "failed to open 403 (no) RFC6455/4.1: the status is not 101", 0, 0},
    {"long_head", {"PSHBYW"}, "failed to open head_bytes_max: the head of the answer is over the limit", 0, 0},
    {"goaway_at_once", {"PSGW", "PSHACDXW"}, WELL, 0, 0},
    {"goaway_before_the_answer", {"PSHGW", "PSHACDXW"}, WELL, 0, 0},
    {"goaway_and_the_stream_goes_on", {"PSHAgMCDXW"}, "open 101; text hi; closed 1000  clean peer", 0, 0},
    {"goaway_and_the_next_goes_elsewhere", {"PSHAgCDXW", "PSHACDXW"}, WELL WELL, -2, 0},
    {"goaway_always", {"PSHGW", "PSHGW", "PSHGW", "PSHGW"}, REFUSED "REFUSED_STREAM", 0, 0},
    {"goaway_while_waiting",
     {"PzGW", "PzGW", "PzGW", "PzGW"},
     "failed to open ECONNRESET RFC9113/6.8: the server goes away",
     0,
     0},
    {"refused_once", {"PSHR7W", "PSHACDXW"}, WELL, 0, 0},
    {"refused_twice", {"PSHR7W", "PSHR7W"}, REFUSED "REFUSED_STREAM", 0, 0},
    {"cancel", {"PSHR8W"}, REFUSED "CANCEL", 0, 0},
    {"internal_error", {"PSHR2W"}, REFUSED "INTERNAL_ERROR", 0, 0},
    {"reset_when_open", {"PSHAMR8W"}, "open 101; text hi; closed 1006  RFC9113/7: the stream was reset: CANCEL", 0, 0},
    {"reset_behind_the_close", {"PSHAMCDR0W"}, "open 101; text hi; closed 1000  clean peer", 0, 0},
    {"ends_when_open",
     {"PSHAMXW"},
     "open 101; text hi; closed 1006  RFC6455/7.1.5: connection ended without a close frame",
     0,
     0},
    {"setting_taken_back",
     {"PSHA0W"},
     "open 101; closed 1006  RFC9113/5.4.1: the server does not keep to HTTP/2",
     0,
     0},
    {"push", {"PSaHApW"}, "open 101; closed 1006  RFC9113/5.4.1: the server does not keep to HTTP/2", 0, 0},
    {"lost_before_settings", {"PK"}, "failed to open ECONNRESET the connection broke", 0, 0},
    {"lost_before_the_answer", {"PSHK"}, "failed to open ECONNRESET the connection ended", 0, 0},
    {"lost_when_open", {"PSHAMK"}, "open 101; text hi; closed 1006  the connection ended", 0, 0},
    {"one_at_a_time", {"P1HACDX", "PL1HACDXW"}, WELL WELL, 2, 0},
    {"none_for_now", {"PzL1HACDXW"}, WELL, 0, 0},
    {"none_ever", {"PzW"}, "failed to open ETIMEDOUT handshake_timeout: no whole answer came in time", 0, 0},
    {"two_share", {"PSHAHACDXW"}, "open 101; open 101; closed 1000  clean peer", 2, 0},
    {"a_client_without_calls_leaves", {"PSHACDXW", "PSHACDXW"}, WELL WELL, -2, 0},
};

/* dials > 0: all at once; < 0: each when the one before it has ended, by the client's turns. */
static void play_row(size_t i) {
    server s;
    int dials = rows[i].dials == 0 ? 1 : abs(rows[i].dials), wanted = 0;
    while (wanted < CONNECTIONS_MAX && rows[i].scripts[wanted])
        wanted++;
    test_context("row %s", rows[i].name);
    server_start(&s, rows[i].scripts);
    weft_client *c =
        new_client_of(strstr(rows[i].seen, "ETIMEDOUT") || strstr(rows[i].name, "without_end") ? 300 : 4000);
    weft_dial dial = dial_to(s.url);
    seen[0] = '\0';
    for (int k = 0; k < dials; k++) {
        CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
        size_t before = strlen(seen);
        uint64_t until_ms = wf_clock_ms() + PATIENCE_MS;
        while (rows[i].dials < 0 && k + 1 < dials && !strstr(seen + before, "closed") && wf_clock_ms() < until_ms)
            CHECK_EQ(weft_client_turn(c, 50), WEFT_OK);
    }
    uint64_t until_ms = wf_clock_ms() + PATIENCE_MS;
    while (weft_client_connections(c) > 0 && wf_clock_ms() < until_ms && !strstr(rows[i].name, "two_share"))
        CHECK_EQ(weft_client_turn(c, 50), WEFT_OK);
    while (!strcmp(rows[i].name, "two_share") && !strstr(seen, "closed") && wf_clock_ms() < until_ms)
        CHECK_EQ(weft_client_turn(c, 50), WEFT_OK);
    CHECK_STR(seen, rows[i].seen);
    weft_client_free(c);
    server_end(&s);
    CHECK_EQ(s.connections, wanted);
    if (s.unexpected)
        test_fail(__FILE__, __LINE__, "not as in the script: %c", s.unexpected);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(server_rows) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        play_row(i);
    test_context("%s", "");
}

/* ---- flow control ---- */

static int sent_more;

static void say_when_open(weft_conn *conn, const weft_response *response, void *user) {
    (void)user;
    see("open %d; ", weft_response_status(response));
    sent_more = weft_conn_send(conn, WEFT_TEXT, "hello", 5);
}

TEST(a_window_of_nothing_keeps_what_is_sent) {
    server s;
    server_start(&s, (const char *const[]) {"PwHANUDCDXW", NULL});
    weft_client *c = new_client();
    weft_dial dial = dial_to(s.url);
    dial.open = say_when_open;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    run_out(c);
    CHECK_STR(seen, WELL);
    CHECK_EQ(sent_more, WEFT_OK);
    weft_client_free(c);
    server_end(&s);
    CHECK_EQ(s.unexpected, 0);
}

/* Who has sent until it may not is not read from any more. */
static void fill(weft_conn *conn) {
    static const char block[1000];
    while (weft_conn_send(conn, WEFT_BINARY, block, sizeof block) == WEFT_OK)
        ;
}

TEST(a_stream_that_stands_stalls_no_other) {
    server s;
    weft_conn *stands;
    server_start(&s, (const char *const[]) {"PwHAHALQMUCDXW", NULL});
    weft_client *c = new_client();
    weft_dial dial = dial_to(s.url);
    dial.limits.queue_bytes_max = 100000;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, &stands), WEFT_OK);
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    for (uint64_t until_ms = wf_clock_ms() + PATIENCE_MS; !strstr(seen, "closed") && wf_clock_ms() < until_ms;) {
        fill(stands);
        CHECK_EQ(weft_client_turn(c, 5), WEFT_OK);
    }
    CHECK_STR(seen, "open 101; open 101; text hi; closed 1000  clean peer");
    CHECK_EQ(weft_conn_send(stands, WEFT_TEXT, "x", 1), WEFT_FULL);
    weft_client_free(c);
    server_end(&s);
    CHECK_EQ(s.unexpected, 0);
}

/* ---- giving up ---- */

TEST(a_dial_that_waits_can_be_given_up_and_others_go_on) {
    server s;
    server_start(&s, (const char *const[]) {"PLSHACDXW", NULL});
    weft_client *c = new_client();
    weft_dial dial = dial_to(s.url);
    weft_conn *given_up;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, &given_up), WEFT_OK);
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_turn(c, 10), WEFT_OK);
    weft_conn_abort(given_up);
    run_out(c);
    CHECK_STR(seen, "failed to open ECONNABORTED" WELL);
    weft_client_free(c);
    server_end(&s);
    CHECK_EQ(s.connections, 1);
}

TEST(a_connection_nobody_waits_for_is_given_up) {
    server s;
    server_start(&s, (const char *const[]) {"PW", NULL});
    weft_client *c = new_client();
    weft_dial dial = dial_to(s.url);
    weft_conn *given_up;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, &given_up), WEFT_OK);
    CHECK_EQ(weft_client_turn(c, 10), WEFT_OK);
    weft_conn_abort(given_up);
    uint64_t began_ms = wf_clock_ms();
    CHECK_EQ(weft_client_run(c), WEFT_OK);
    CHECK(wf_clock_ms() - began_ms < 1500);
    CHECK_STR(seen, "failed to open ECONNABORTED");
    server_end(&s);
    CHECK_EQ(s.unexpected, 0);
    weft_client_free(c);
}

TEST(a_client_is_freed_in_whatever_state) {
    static const char *const scripts[][2] = {{"PW", NULL}, {"PSW", NULL}, {"PSHW", NULL}, {"PSHAMW", NULL}};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        server s;
        server_start(&s, scripts[i]);
        weft_client *c = new_client();
        weft_dial dial = dial_to(s.url);
        for (int k = 0; k < 3; k++)
            CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
        for (int k = 0; k < 5; k++)
            CHECK_EQ(weft_client_turn(c, 10), WEFT_OK);
        weft_client_free(c);
        server_end(&s);
        CHECK_EQ(test_mem_live(), 0);
    }
}

/* ---- without memory ---- */

/* One dial from beginning to end; exactly one thing comes of it, whatever fails. */
static void play_without_memory(size_t n) {
    server s;
    server_start(&s, (const char *const[]) {"PSHAMCDXW", "PSHAMCDXW", NULL}); /* what was not sent is tried again */
    test_context("allocation %zu fails", n);
    weft_dial dial = dial_to(s.url);
    seen[0] = '\0';
    test_mem_fail_at(n);
    weft_client *c = new_client();
    int got = c ? weft_client_dial(c, &dial, NULL) : WEFT_ENOMEM;
    for (int i = 0; got == WEFT_OK && weft_client_connections(c) > 0 && i < 200; i++)
        weft_client_turn(c, 20);
    if (got == WEFT_OK)
        CHECK(weft_client_connections(c) == 0 &&
              (strncmp(seen, "failed ", 7) == 0 || (strncmp(seen, "open 101; ", 10) == 0 && strstr(seen, "closed "))));
    else
        CHECK_STR(seen, "");
    weft_client_free(c);
    server_end(&s);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(a_dial_survives_every_failed_allocation) {
    for (size_t n = 1;; n++) {
        play_without_memory(n);
        CHECK(n < 100);
        if (test_mem_calls() < n)
            break;
    }
    test_mem_fail_at(0);
    test_context("%s", "");
    CHECK_STR(seen, "open 101; text hi; closed 1000  clean peer");
}
