/*
 * permessage-deflate through the public API: what each route agrees to, what is sent compressed and what is not, and
 * what is counted. The client compresses and inflates with the library's own cores, whose bytes other tests hold
 * against zlib and against a client that is not ours.
 */
#include "base/status.h"
#include "fixture.h"
#include "ws/deflate.h"
#include "ws/inflate.h"

#include <stdio.h>

#define PMD   "permessage-deflate"
#define OFFER "Sec-WebSocket-Extensions: " PMD
#define SAID  "one and one and one and one"

static client c;

/* The client's side: what it says is compressed by itself, what it hears may refer to what it has heard. */
static struct {
    wf_codec codec;
    wf_deflate out;
    wf_inflate in;
} zip;

static void zip_init(void) {
    wf_codec_init(&zip.codec);
    wf_deflate_init(&zip.out, &zip.codec, 15, false, 1);
    wf_inflate_init(&zip.in, &zip.codec, 15);
}

static void zip_deinit(void) {
    wf_deflate_deinit(&zip.out);
    wf_inflate_deinit(&zip.in);
    wf_codec_deinit(&zip.codec);
}

/* Sends a message compressed; the bytes of its payload. */
static size_t say(uint8_t first, const char *text) {
    const uint8_t *deflated;
    size_t len;
    CHECK_EQ(wf_deflate_message(&zip.out, (const uint8_t *)text, strlen(text), &deflated, &len), WF_OK);
    CHECK(client_frame(&c, first, deflated, len));
    return len;
}

/* The next frame as "c1 text": its first byte and its payload, inflated where it is marked. */
static const char *hear(void) {
    static char words[400];
    wf_buf message = WF_BUF_INIT;
    const char *told = client_next(&c);
    if (strcmp(told, "timeout") == 0 || strcmp(told, "eof") == 0 || strcmp(told, "reset") == 0)
        return told;
    if (c.first & 0x40)
        CHECK_EQ(wf_inflate_piece(&zip.in, c.data, c.data_len, true, &message, 1 << 20), WF_OK);
    else
        CHECK_EQ(wf_buf_append(&message, c.data, c.data_len), WF_OK);
    snprintf(words, sizeof words, "%02x %.*s", c.first, (int)message.len, (const char *)message.data);
    wf_buf_deinit(&message);
    return words;
}

static void tell_deflates(weft_conn *conn, const weft_request *request, void *user) {
    weft_text path = weft_request_path(request);
    (void)user;
    diary("%.*s %s", (int)path.len, path.data, weft_conn_deflates(conn) ? "deflates" : "does not");
}

/* The server's own mode is SHARED: a route that says nothing has it, one that names a mode has its own. */
TEST(each_route_answers_an_offer_by_its_mode) {
    static const struct {
        const char *path, *offer, *answer; /* answer "": declined */
    } rows[] = {
        {"/server", PMD, PMD "; server_no_context_takeover"},
        {"/server", PMD "; client_max_window_bits", PMD "; server_no_context_takeover; client_max_window_bits=11"},
        {"/server", PMD "; client_max_window_bits=9", PMD "; server_no_context_takeover; client_max_window_bits=9"},
        {"/server", "", ""},
        {"/server", "x-webkit-deflate-frame", ""},
        {"/server", PMD "; level=9", ""},
        {"/server", PMD "; server_max_window_bits=16, " PMD "; server_max_window_bits=10",
         PMD "; server_no_context_takeover; server_max_window_bits=10"},
        {"/server", "x-unknown\r\n" OFFER "; level=9\r\n" OFFER "; client_no_context_takeover",
         PMD "; server_no_context_takeover; client_no_context_takeover"},
        {"/off", PMD, ""},
        {"/none", PMD "; client_max_window_bits",
         PMD "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"},
        {"/dedicated", PMD, PMD},
        {"/dedicated", PMD "; server_no_context_takeover", PMD "; server_no_context_takeover"},
        {"/dedicated", PMD "; server_max_window_bits=15; client_max_window_bits",
         PMD "; server_max_window_bits=10; client_max_window_bits=13"},
        {"/usual", PMD "; server_max_window_bits=15; client_max_window_bits=15",
         PMD "; server_max_window_bits=12; client_max_window_bits=12"},
        {"/dedicated", PMD "; server_max_window_bits=8", PMD "; server_max_window_bits=8"},
    };
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {WEFT_DEFLATE_SHARED, .client_window_bits = 11}});
    fixture_route("/server", &(weft_route) {.open = tell_deflates});
    fixture_route("/off", &(weft_route) {.open = tell_deflates, .deflate = {.mode = WEFT_DEFLATE_OFF}});
    fixture_route("/none", &(weft_route) {.open = tell_deflates, .deflate = {.mode = WEFT_DEFLATE_NO_TAKEOVER}});
    fixture_route("/usual", &(weft_route) {.open = tell_deflates, .deflate = {.mode = WEFT_DEFLATE_DEDICATED}});
    fixture_route("/dedicated", &(weft_route) {.open = tell_deflates, .deflate = {WEFT_DEFLATE_DEDICATED, 10, 13, 0}});
    fixture_run(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char headers[300], line[60];
        test_context("%s, offered \"%s\"", rows[i].path, rows[i].offer);
        snprintf(headers, sizeof headers, "Sec-WebSocket-Extensions: %s\r\n", rows[i].offer);
        CHECK_EQ(client_open(&c, fixture.address, rows[i].path, headers), 101);
        CHECK_STR(client_header(&c, "Sec-WebSocket-Extensions"), rows[i].answer);
        snprintf(line, sizeof line, "%s %s", rows[i].path, rows[i].answer[0] ? "deflates" : "does not");
        CHECK_STR(diary_next(), line);
        EVENTUALLY(fixture_stats().deflating == (rows[i].answer[0] != 0));
        client_close(&c);
        EVENTUALLY(fixture_stats().websockets == 0);
        CHECK_EQ(fixture_stats().deflating, 0);
    }
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_server_compresses_for_nobody_unless_it_is_told_to) {
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.open = tell_deflates, .message = fixture_on_message});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/ws", OFFER "\r\n"), 101);
    CHECK_STR(client_header(&c, "Sec-WebSocket-Extensions"), "");
    CHECK_STR(diary_next(), "/ws does not");
    CHECK(client_frame(&c, 0xc1, "\x00", 1)); /* and a client that compresses all the same breaks a rule */
    CHECK_STR(client_next(&c), "close 1002 RFC6455/5.2: reserved bit set with no extension negotiated");
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* Answers each message with all that can be sent. */
static void send_all(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    weft_conn_send(conn, WEFT_TEXT, message.data, message.len);
    weft_conn_send(conn, WEFT_TEXT_PLAIN, message.data, message.len);
    weft_conn_send(conn, WEFT_BINARY, message.data, message.len);
    weft_conn_send(conn, WEFT_BINARY_PLAIN, message.data, message.len);
    weft_conn_send(conn, WEFT_TEXT, "short", 5);
    weft_conn_send(conn, WEFT_TEXT, message.data, message.len);
    weft_conn_send_fragment(conn, WEFT_TEXT, message.data, message.len, false);
    weft_conn_send_fragment(conn, WEFT_TEXT, "", 0, true);
    weft_conn_ping(conn);
}

static const weft_deflate_mode modes[] = {WEFT_DEFLATE_NO_TAKEOVER, WEFT_DEFLATE_SHARED, WEFT_DEFLATE_DEDICATED};

TEST(each_message_is_compressed_or_plain_as_it_was_sent) {
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        test_context("mode %d", modes[m]);
        fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {modes[m], .message_bytes_min = 6}});
        fixture_route("/ws", &(weft_route) {.message = send_all});
        fixture_run(NULL);
        zip_init();
        CHECK_EQ(client_open(&c, fixture.address, "/ws", OFFER "\r\n"), 101);
        size_t len = say(0xc1, SAID);
        bool pinged = false;
        static const char *const heard[] = {"c1 " SAID, "81 " SAID, "c2 " SAID, "82 " SAID,
                                            "81 short", "c1 " SAID, "01 " SAID, "80 "};
        for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++) {
            const char *words = hear();
            if (strncmp(words, "89 ", 3) == 0) { /* a ping goes ahead */
                pinged = true;
                words = hear();
            }
            CHECK_STR(words, heard[i]);
        }
        CHECK(pinged || strncmp(hear(), "89 ", 3) == 0);
        weft_stats stats = fixture_stats();
        CHECK_EQ(stats.deflate_in_bytes, 3 * strlen(SAID));
        CHECK(stats.deflate_out_bytes > 0 && stats.deflate_out_bytes < stats.deflate_in_bytes);
        CHECK_EQ(stats.inflate_in_bytes, len);
        CHECK_EQ(stats.inflate_out_bytes, strlen(SAID));
        CHECK_EQ(stats.messages_in, 1);
        CHECK_EQ(stats.messages_out, 7);
        client_close(&c);
        zip_deinit();
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
}

static void join(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    weft_conn_subscribe(conn, "room", 0);
    diary("joined");
}

TEST(what_is_published_or_sent_by_handle_is_compressed_too_unless_it_is_plain) {
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        test_context("mode %d", modes[m]);
        client plain;
        fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {modes[m], .message_bytes_min = 6}});
        fixture_route("/ws", &(weft_route) {.open = join});
        fixture_run(NULL);
        zip_init();
        CHECK_EQ(client_open(&c, fixture.address, "/ws", OFFER "\r\n"), 101);
        CHECK_EQ(client_open(&plain, fixture.address, "/ws", NULL), 101);
        CHECK_STR(diary_next(), "joined");
        CHECK_STR(diary_next(), "joined");
        CHECK_EQ(weft_publish(fixture.server, "room", WEFT_TEXT, SAID, strlen(SAID)), WEFT_OK);
        CHECK_EQ(weft_publish(fixture.server, "room", WEFT_TEXT_PLAIN, SAID, strlen(SAID)), WEFT_OK);
        CHECK_EQ(weft_publish(fixture.server, "room", WEFT_BINARY, SAID, strlen(SAID)), WEFT_OK);
        CHECK_EQ(weft_publish(fixture.server, "room", WEFT_BINARY_PLAIN, SAID, strlen(SAID)), WEFT_OK);
        CHECK_STR(hear(), "c1 " SAID);
        CHECK_STR(hear(), "81 " SAID);
        CHECK_STR(hear(), "c2 " SAID);
        CHECK_STR(hear(), "82 " SAID);
        for (int i = 0; i < 4; i++) {
            CHECK_STR(client_next(&plain), i < 2 ? "text " SAID : "binary " SAID);
            CHECK_EQ(plain.first, i < 2 ? 0x81 : 0x82);
        }
        client_close(&c);
        client_close(&plain);
        zip_deinit();
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
}

static void answer_by_handle(weft_conn *conn, weft_message message, void *user) {
    weft_handle handle = weft_conn_handle(conn);
    (void)user;
    weft_handle_send(weft_conn_server(conn), handle, WEFT_TEXT, message.data, message.len);
    weft_handle_send(weft_conn_server(conn), handle, WEFT_BINARY_PLAIN, message.data, message.len);
}

TEST(a_plain_message_may_stand_between_compressed_ones) {
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        test_context("mode %d", modes[m]);
        fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {modes[m], .message_bytes_min = 6}});
        fixture_route("/ws", &(weft_route) {.message = answer_by_handle});
        fixture_run(NULL);
        zip_init();
        CHECK_EQ(client_open(&c, fixture.address, "/ws", OFFER "\r\n"), 101);
        for (int i = 0; i < 6; i++) {
            if (i % 2)
                CHECK(client_text(&c, SAID));
            else
                say(0xc1, SAID);
            CHECK_STR(hear(), "c1 " SAID);
            CHECK_STR(hear(), "82 " SAID);
        }
        client_close(&c);
        zip_deinit();
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
}

TEST(nothing_is_compressed_where_the_least_length_is_none) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {WEFT_DEFLATE_SHARED, .message_bytes_min = WEFT_NONE}});
    fixture_route("/ws", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    zip_init();
    CHECK_EQ(client_open(&c, fixture.address, "/ws", OFFER "\r\n"), 101);
    say(0xc1, SAID);
    CHECK_STR(hear(), "81 " SAID);
    CHECK_EQ(fixture_stats().deflate_in_bytes, 0);
    CHECK_EQ(fixture_stats().inflate_out_bytes, strlen(SAID));
    client_close(&c);
    zip_deinit();
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_rule_broken_by_what_is_compressed_is_told) {
    static const struct {
        const char *name, *payload;
        size_t len;
        uint8_t first;
        const char *words;
    } rows[] = {
        {"corrupt", "\x07", 1, 0xc1, "close 1007 RFC7692/7.2.2: compressed data is corrupt"},
        {"marked_ping", "", 0, 0xc9, "close 1002 RFC7692/6.1: compressed mark on a control frame or a later fragment"},
        {"not_utf8", "\xfa\x9f\x48\x32\x00\x00", 6, 0xc1, "close 1007 RFC6455/8.1: text is not UTF-8"},
        {"too_long", "\x4a\x4c\x1c\x05\xa3\x60\x14\x0c\x77\x00\x00", 11, 0xc2,
         "close 1009 message over message_bytes_max"}};
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {.mode = WEFT_DEFLATE_SHARED}});
    fixture_route("/ws", &(weft_route) {.message = fixture_on_message, .limits = {.message_bytes_max = 999}});
    fixture_run(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("%s", rows[i].name);
        CHECK_EQ(client_open(&c, fixture.address, "/ws", OFFER "\r\n"), 101);
        CHECK(client_frame(&c, rows[i].first, rows[i].payload, rows[i].len));
        CHECK_STR(client_next(&c), rows[i].words);
        client_close(&c);
    }
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_window_of_other_than_8_to_15_bits_is_refused) {
    static const weft_deflate bad[] = {
        {.mode = WEFT_DEFLATE_SHARED, .window_bits = 7},
        {.mode = WEFT_DEFLATE_SHARED, .window_bits = 16},
        {.mode = WEFT_DEFLATE_DEDICATED, .client_window_bits = 7},
        {.mode = WEFT_DEFLATE_DEDICATED, .client_window_bits = 16},
        {.mode = (weft_deflate_mode)(WEFT_DEFLATE_DEDICATED + 1)},
    };
    weft_server *server = weft_server_new(NULL);
    CHECK(server != NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        test_context("row %zu", i);
        CHECK(weft_server_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = bad[i]}) == NULL);
        CHECK_EQ(weft_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/", .deflate = bad[i]}),
                 WEFT_EINVAL);
    }
    weft_server_free(server);
    CHECK_EQ(test_mem_live(), 0);
}

/* ---- what belongs to one connection and not to its neighbours ---- */

static char long_text[5001];

static void fill_long_text(void) {
    for (size_t i = 0; i < sizeof long_text - 1; i++)
        long_text[i] = (char)('a' + i % 7);
}

static void tell_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)info, (void)user;
    diary("closed, %s", weft_conn_deflates(conn) ? "deflates" : "does not");
}

TEST(also_in_closed_it_can_be_asked) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {.mode = WEFT_DEFLATE_SHARED}});
    fixture_route("/", &(weft_route) {.closed = tell_closed});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", OFFER "\r\n"), 101);
    client_say_close(&c, 1000, "bye");
    CHECK_STR(client_next(&c), "close 1000");
    client_close(&c);
    CHECK_STR(diary_next(), "closed, deflates");
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static weft_handle handle;

static void join_long(weft_conn *conn, const weft_request *request, void *user) {
    (void)request, (void)user;
    weft_conn_subscribe(conn, "long", 0);
    handle = weft_conn_handle(conn);
    diary("open");
}

/* Another route of the same server shares what is compressed once: this one has asked for plain. */
TEST(a_route_that_wants_all_plain_gets_it_beside_one_that_shares) {
    static const weft_deflate_mode either[] = {WEFT_DEFLATE_SHARED, WEFT_DEFLATE_DEDICATED};
    fill_long_text();
    for (size_t i = 0; i < 2; i++) {
        client other;
        weft_deflate plain = {.mode = either[i], .message_bytes_min = WEFT_NONE};
        fixture_new(NULL);
        fixture_route("/plain", &(weft_route) {.open = join_long, .deflate = plain});
        fixture_route("/other", &(weft_route) {.open = join_long, .deflate = {.mode = WEFT_DEFLATE_SHARED}});
        fixture_run(NULL);
        CHECK_EQ(client_open(&c, fixture.address, "/plain", OFFER "\r\n"), 101);
        CHECK_STR(diary_next(), "open");
        CHECK_EQ(client_open(&other, fixture.address, "/other", OFFER "\r\n"), 101);
        CHECK_STR(diary_next(), "open");
        CHECK_EQ(weft_publish(fixture.server, "long", WEFT_TEXT, long_text, 5000), WEFT_OK);
        client_next(&c);
        CHECK_EQ(c.data_len, 5000);
        client_next(&other);
        CHECK(other.data_len < 500);
        client_close(&c);
        client_close(&other);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
}

TEST(nothing_is_compressed_for_nobody) {
    client plain;
    fill_long_text();
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .deflate = {.mode = WEFT_DEFLATE_SHARED}});
    fixture_route("/", &(weft_route) {.open = join_long});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", OFFER "\r\n"), 101);
    CHECK_STR(diary_next(), "open");
    CHECK_EQ(client_open(&plain, fixture.address, "/", NULL), 101);
    CHECK_STR(diary_next(), "open");
    CHECK_EQ(weft_publish(fixture.server, "nobody is here", WEFT_TEXT, long_text, 5000), WEFT_OK);
    CHECK_EQ(weft_handle_send(fixture.server, handle, WEFT_TEXT, long_text, 5000), WEFT_OK);
    client_next(&plain);
    CHECK_EQ(plain.data_len, 5000);
    CHECK_EQ(fixture_stats().deflate_in_bytes, 0);
    client_close(&c);
    client_close(&plain);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void accept_with_32_headers(weft_request *request, void *user) {
    static weft_header headers[33];
    (void)user;
    for (size_t i = 0; i < 33; i++)
        headers[i] = (weft_header) {"X-A", "b"};
    diary("33: %d", weft_request_accept(request, NULL, headers, 33));
    diary("32: %d", weft_request_accept(request, NULL, headers, 32));
}

TEST(our_headers_take_none_of_the_applications_places) {
    static const char *const offers[] = {NULL, OFFER "\r\n"};
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .server_name = "weft", .deflate = {.mode = WEFT_DEFLATE_SHARED}});
    fixture_route("/", &(weft_route) {.upgrade = accept_with_32_headers});
    fixture_run(NULL);
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(client_open(&c, fixture.address, "/", offers[i]), 101);
        CHECK_STR(diary_next(), "33: -3");
        CHECK_STR(diary_next(), "32: 0");
        client_close(&c);
    }
    CHECK_EQ(fixture_end(), WEFT_OK);
}
