/*
 * A client against servers that do what they should not. A row is what the server does, and what the callbacks see of
 * it.
 */
#include "client_help.h"

#include "ws/frame.h"

#define S101     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define GOOD     S101 "Sec-WebSocket-Accept: {A}\r\n\r\n"
#define BYTES(t) t, sizeof(t) - 1

typedef struct row {
    const char *name;
    script script;
    const char *expected;
} row;

static const row rows[] = {
    {"ended_at_once", {NULL, 0, ENDS_BEFORE, NULL, 0}, NULL},
    {"no_answer",
     {BYTES(""), ENDS_WITH_FIN, NULL, 0},
     "failed to open ECONNRESET RFC6455/4.1: the connection ended without an answer"},
    {"half_an_answer",
     {BYTES("HTTP/1.1 101 Swit"), ENDS_WITH_FIN, NULL, 0},
     "failed to open ECONNRESET RFC6455/4.1: the connection ended within the answer's head"},
    {"reset_in_the_answer",
     {BYTES("HTTP/1.1 101 Swit"), ENDS_WITH_RESET, NULL, 0},
     "failed to open ECONNRESET the connection broke"},
    {"garbage",
     {BYTES("220 mail.example.org ready\r\n\r\n"), ENDS_WITH_CLIENT, NULL, 0},
     "failed to open RFC9112/4: the answer does not begin with an HTTP/1.x status line"},
    {"page",
     {BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), ENDS_WITH_CLIENT, NULL, 0},
     "failed to open 200 (hello) RFC6455/4.1: the status is not 101"},
    {"redirect",
     {BYTES("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), ENDS_WITH_CLIENT, NULL, 0},
     "failed to open 302 () RFC6455/4.1: the status is not 101"},
    {"body_until_fin",
     {BYTES("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\nwho are you?"), ENDS_WITH_FIN, NULL, 0},
     "failed to open 401 (who are you?) RFC6455/4.1: the status is not 101"},
    {"body_that_breaks_off",
     {BYTES("HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\nwho are you?"), ENDS_WITH_RESET, NULL, 0},
     "failed to open 401 (who are you?) RFC6455/4.1: the status is not 101"},
    {"wrong_accept",
     {BYTES(S101 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"), ENDS_WITH_CLIENT, NULL, 0},
     "failed to open 101 () RFC6455/4.1: Sec-WebSocket-Accept is not what follows from our key"},
    {"extension_nobody_offered",
     {BYTES(S101 "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: {A}\r\n\r\n"), ENDS_WITH_CLIENT,
      NULL, 0},
     "failed to open 101 () RFC6455/9.1: the server chose an extension that was not offered"},

    {"frames_behind_the_answer",
     {BYTES(GOOD "\x81\x02hi\x88\x02\x03\xe8"), ENDS_WITH_CLIENT, NULL, 0},
     "open 101; text hi; closed 1000  clean peer"},
    {"reason",
     {BYTES(GOOD "\x88\x05\x0f\xa0"
                 "bye"),
      ENDS_WITH_CLIENT, NULL, 0},
     "open 101; closed 4000 bye clean peer"},
    {"reset_behind_the_close",
     {BYTES(GOOD "\x88\x02\x03\xe8"), ENDS_WITH_RESET, BYTES("x")},
     "open 101; closed 1000  clean peer"},
    {"masked_frame",
     {BYTES(GOOD "\x81\x82\1\2\3\4ab"), ENDS_WITH_CLIENT, NULL, 0},
     "open 101; closed 1002  RFC6455/5.1: server frame is masked"},
    {"no_close_frame",
     {BYTES(GOOD "\x81\x02hi"), ENDS_WITH_FIN, NULL, 0},
     "open 101; text hi; closed 1006  RFC6455/7.1.5: connection ended without a close frame"},
    {"no_fin_behind_the_close",
     {BYTES(GOOD "\x88\x00"), ENDS_WITH_CLIENT, NULL, 0},
     "open 101; closed 1005  clean peer"},
};

TEST(servers_that_do_what_they_should_not) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        raw_server server;
        test_context("row %s", rows[i].name);
        seen[0] = '\0';
        raw_server_start(&server, rows[i].script);
        weft_client *client = weft_client_new(NULL);
        CHECK(client != NULL);
        weft_dial dial = dial_to(server.url);
        dial.limits.close_timeout_ms = 100;
        CHECK_EQ(weft_client_dial(client, &dial, NULL), WEFT_OK);
        CHECK_STR(seen, "");
        run_out(client);
        raw_server_end(&server);
        if (rows[i].expected) /* else it is FIN or reset, as it happens */
            CHECK_STR(seen, rows[i].expected);
        else
            CHECK(strncmp(seen, "failed to open ", 15) == 0);
        weft_client_free(client);
        CHECK_EQ(test_mem_live(), 0);
    }
}

/* ---- what it sends ---- */

static void send_two(weft_conn *conn, const weft_response *response, void *user) {
    on_open(conn, response, user);
    CHECK_EQ(weft_conn_send(conn, WEFT_TEXT, "one", 3), WEFT_OK);
    CHECK_EQ(weft_conn_send_fragment(conn, WEFT_BINARY, "tw", 2, false), WEFT_OK);
    CHECK_EQ(weft_conn_send_fragment(conn, WEFT_BINARY, "o", 1, true), WEFT_OK);
    CHECK_EQ(weft_conn_close(conn, 1000, "bye"), WEFT_OK);
    CHECK_EQ(weft_conn_send(conn, WEFT_TEXT, "no", 2), WEFT_ECLOSED);
}

/* In words; every frame is masked, and no two with the same key. */
static const char *heard(const raw_server *s) {
    static char words[SEEN_BYTES];
    uint8_t keys[16][4];
    size_t at = 0, used = 0, count = 0;
    words[0] = '\0';
    while (s->heard_len - at >= 2) {
        wf_frame frame;
        uint8_t payload[200];
        wf_frame_decode(s->heard + at, &frame);
        CHECK(frame.masked && frame.len < sizeof payload && count < 16);
        at += wf_frame_head_bytes(s->heard + at);
        for (size_t i = 0; i < frame.len; i++)
            payload[i] = s->heard[at + i] ^ frame.key[i % 4];
        at += frame.len;
        for (size_t i = 0; i < count; i++)
            CHECK(memcmp(keys[i], frame.key, 4) != 0);
        memcpy(keys[count++], frame.key, 4);
        size_t skip = frame.opcode == WF_OP_CLOSE && frame.len >= 2 ? 2 : 0;
        used += (size_t)snprintf(words + used, sizeof words - used, "%x%s(%.*s) ", frame.opcode, frame.fin ? "" : "+",
                                 (int)(frame.len - skip), payload + skip);
    }
    CHECK_EQ(at, s->heard_len);
    return words;
}

TEST(frames_are_masked_with_keys_of_their_own) {
    raw_server server;
    seen[0] = '\0';
    raw_server_start(&server, (script) {BYTES(GOOD "\x89\x01p"), ENDS_WITH_CLIENT, NULL, 0});
    weft_client *client = weft_client_new(NULL);
    weft_dial dial = dial_to(server.url);
    dial.open = send_two;
    dial.limits.close_timeout_ms = 100;
    CHECK_EQ(weft_client_dial(client, &dial, NULL), WEFT_OK);
    run_out(client);
    raw_server_end(&server);
    CHECK_STR(seen, "open 101; closed 1006  the closing handshake was not finished in time");
    CHECK_STR(heard(&server), "1(one) 2+(tw) 0(o) 8(bye) ");
    weft_client_free(client);
}

TEST(pings_are_answered) {
    raw_server server;
    seen[0] = '\0';
    raw_server_start(&server, (script) {BYTES(GOOD "\x89\x01p"), ENDS_WITH_CLIENT, BYTES("\x88\x02\x03\xe9")});
    weft_client *client = weft_client_new(NULL);
    weft_dial dial = dial_to(server.url);
    dial.limits.close_timeout_ms = 100;
    CHECK_EQ(weft_client_dial(client, &dial, NULL), WEFT_OK);
    run_out(client);
    raw_server_end(&server);
    CHECK_STR(seen, "open 101; closed 1001  clean peer");
    CHECK_STR(heard(&server), "a(p) 8() ");
    weft_client_free(client);
}

static void on_control(weft_conn *conn, weft_message frame, void *user) {
    (void)conn, (void)user;
    see("%s(%.*s); ", frame.kind == WEFT_PING ? "ping" : "pong", (int)frame.len, (const char *)frame.data);
}

static void ping_with_text(weft_conn *conn, const weft_response *response, void *user) {
    on_open(conn, response, user);
    CHECK_EQ(weft_conn_send(conn, WEFT_PING, "mine", 4), WEFT_OK);
    CHECK_EQ(weft_conn_send(conn, WEFT_PING, NULL, 126), WEFT_EINVAL);
}

TEST(control_frames_are_told_of) {
    raw_server server;
    seen[0] = '\0';
    raw_server_start(&server,
                     (script) {BYTES(GOOD "\x89\x01p\x8a\x04mine\x8a\x00"), ENDS_WITH_CLIENT, BYTES("\x88\x00")});
    weft_client *client = weft_client_new(NULL);
    weft_dial dial = dial_to(server.url);
    dial.open = ping_with_text;
    dial.control = on_control;
    dial.limits.close_timeout_ms = 100;
    CHECK_EQ(weft_client_dial(client, &dial, NULL), WEFT_OK);
    run_out(client);
    raw_server_end(&server);
    CHECK_STR(seen, "open 101; ping(p); pong(mine); pong(); closed 1005  clean peer");
    CHECK_STR(heard(&server), "a(p) 9(mine) 8() ");
    weft_client_free(client);
}

/* The server ends the connection, and the client waits for it (RFC 6455 7.1.1). */
TEST(the_server_closes_first) {
    raw_server server;
    seen[0] = '\0';
    raw_server_start(&server, (script) {BYTES(GOOD "\x88\x02\x03\xe8"), ENDS_LATE, NULL, 0});
    weft_client *client = weft_client_new(NULL);
    weft_dial dial = dial_to(server.url);
    uint64_t began_ms = wf_clock_ms();
    dial.limits.close_timeout_ms = 60000;
    CHECK_EQ(weft_client_dial(client, &dial, NULL), WEFT_OK);
    run_out(client);
    CHECK(wf_clock_ms() - began_ms < PATIENCE_MS);
    raw_server_end(&server);
    CHECK(!server.heard_fin);
    CHECK_STR(seen, "open 101; closed 1000  clean peer");
    weft_client_free(client);
}
