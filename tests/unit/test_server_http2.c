/*
 * HTTP/2 without TLS against a server on a socket: how a connection begins, is half closed and ends, and answers that
 * are larger than usual. What a stream is like from inside is in test_h2.c.
 */
#include "fixture.h"

#include <nghttp2/nghttp2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { STREAMS = 8 };

typedef struct answer {
    int status, fields;
    size_t field_bytes, body_bytes;
    bool ended, closed;
    uint32_t error;
} answer;

static client c;
static nghttp2_session *session;
static answer answers[STREAMS]; /* by stream: 1, 3, 5.. */
static const uint8_t *upload;
static size_t upload_left;
static bool upload_stays_open;

static answer *answer_of(int32_t id) {
    return &answers[id / 2];
}

static int on_field(nghttp2_session *from, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                    const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    (void)from, (void)flags, (void)user;
    answer *a = answer_of(frame->hd.stream_id);
    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        a->status = atoi((const char *)value);
    a->fields++;
    a->field_bytes += name_len + value_len;
    return 0;
}

static int on_data(nghttp2_session *from, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user) {
    (void)from, (void)flags, (void)data, (void)user;
    answer_of(id)->body_bytes += len;
    return 0;
}

static int on_frame(nghttp2_session *from, const nghttp2_frame *frame, void *user) {
    (void)from, (void)user;
    if (frame->hd.stream_id > 0 && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        answer_of(frame->hd.stream_id)->ended = true;
    return 0;
}

static int on_close(nghttp2_session *from, int32_t id, uint32_t error, void *user) {
    (void)from, (void)user;
    answer_of(id)->closed = true;
    answer_of(id)->error = error;
    return 0;
}

static ssize_t on_upload(nghttp2_session *from, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
    (void)from, (void)id, (void)source, (void)user;
    size_t len = upload_left < cap ? upload_left : cap;
    memcpy(buf, upload, len);
    upload += len;
    upload_left -= len;
    if (upload_left == 0 && !upload_stays_open)
        *flags = NGHTTP2_DATA_FLAG_EOF;
    return len == 0 && upload_stays_open ? NGHTTP2_ERR_DEFERRED : (ssize_t)len;
}

/* ---- the server ---- */

static _Atomic(weft_request *) kept;

static void page(weft_request *request, void *user) {
    (void)user;
    weft_request_reply(request, 200, NULL, "hello", 5);
}

static void long_page(weft_request *request, void *user) {
    static char text[200000];
    (void)user;
    weft_request_reply(request, 200, NULL, text, sizeof text);
}

static void late_page(weft_request *request, void *user) {
    (void)user;
    atomic_store(&kept, weft_request_ref(request));
    diary("kept");
}

static void body_page(weft_request *request, void *user) {
    (void)user;
    diary("body of %zu", weft_request_body(request).len);
    weft_request_reply(request, 200, NULL, NULL, 0);
}

static char large[100 * 1024]; /* text */

/* Many headers, or two that are long. */
static void large_page(weft_request *request, void *user) {
    weft_header headers[32];
    char names[32][32];
    size_t count = *(const size_t *)user;
    memset(large, 0, sizeof large);
    memset(large, 'x', count == 2 ? sizeof large - 1 : 10);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "X-%zu", i);
        headers[i] = (weft_header) {names[i], large};
    }
    diary("replied %d", weft_request_reply_with(request, 200, headers, count, (weft_text) {"hello", 5}));
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    char peer[80];
    (void)user;
    diary("closed %d, peer %s", info->code, weft_conn_peer(conn, peer, sizeof peer));
}

static void begin_with(const weft_config *config, uint32_t window) {
    static const size_t counts[2] = {32, 2};
    fixture_new(config);
    fixture_route("/page", &(weft_route) {.request = page});
    fixture_route("/long", &(weft_route) {.request = long_page});
    fixture_route("/late", &(weft_route) {.request = late_page});
    fixture_route("/body", &(weft_route) {.request = body_page});
    fixture_route("/many", &(weft_route) {.request = large_page, .user = (void *)&counts[0]});
    fixture_route("/large", &(weft_route) {.request = large_page, .user = (void *)&counts[1]});
    fixture_route("/echo", &(weft_route) {.open = fixture_on_open, .message = fixture_on_message, .closed = on_closed});
    fixture_run(NULL);
    memset(answers, 0, sizeof answers);
    CHECK(client_connect(&c, fixture.address, 0));
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&session, callbacks, NULL);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &settings, 1);
}

static void begin(void) {
    begin_with(&(weft_config) {WEFT_CONFIG_INIT, .http2 = WEFT_HTTP2_CLEAR, .connections_max = 256}, 65535);
}

static void end(void) {
    nghttp2_session_del(session);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static int32_t ask(const char *method, const char *path, const uint8_t *body, size_t len) {
    bool is_websocket = strcmp(method, "CONNECT") == 0;
    const char *const fields[][2] = {{":method", method},
                                     {":scheme", "http"},
                                     {":authority", "a"},
                                     {":path", path},
                                     {"sec-websocket-version", "13"},
                                     {":protocol", "websocket"}};
    nghttp2_nv nv[6];
    size_t count = 0, order[] = {0, 5, 1, 2, 3, 4};
    for (size_t i = 0; i < 6; i++) {
        const char *const *field = fields[order[i]];
        if (order[i] < 4 || is_websocket)
            nv[count++] = (nghttp2_nv) {(uint8_t *)field[0], (uint8_t *)field[1], strlen(field[0]), strlen(field[1]),
                                        NGHTTP2_NV_FLAG_NONE};
    }
    nghttp2_data_provider provider = {.read_callback = on_upload};
    upload = body;
    upload_left = len;
    return nghttp2_submit_request(session, NULL, nv, count, body ? &provider : NULL, NULL);
}

static void say(void) {
    const uint8_t *data;
    for (ssize_t len; (len = nghttp2_session_mem_send(session, &data)) > 0;)
        CHECK(client_send(&c, data, (size_t)len));
}

/* Reads until there is an end. */
static void hear(void) {
    uint8_t bytes[16384];
    for (ssize_t len; (len = recv(c.fd, bytes, sizeof bytes, 0)) > 0;)
        CHECK_EQ(nghttp2_session_mem_recv(session, bytes, (size_t)len), len);
}

static void hear_until_ended(int32_t id) {
    uint8_t bytes[16384];
    while (!answer_of(id)->ended && !answer_of(id)->closed) {
        ssize_t len = recv(c.fd, bytes, sizeof bytes, 0);
        CHECK(len > 0);
        CHECK_EQ(nghttp2_session_mem_recv(session, bytes, (size_t)len), len);
        say();
    }
}

TEST(a_peer_that_has_said_its_last_still_gets_its_answers) {
    begin();
    int32_t first = ask("GET", "/page", NULL, 0), late = ask("GET", "/late", NULL, 0),
            last = ask("GET", "/page", NULL, 0);
    say();
    CHECK_STR(diary_next(), "kept");
    weft_request *request = atomic_exchange(&kept, NULL);
    CHECK(!weft_request_half_closed(request));
    client_shutdown(&c);
    EVENTUALLY(weft_request_half_closed(request));
    CHECK(!weft_request_gone(request));
    weft_request_reply(request, 200, NULL, "late", 4);
    weft_request_unref(request);
    hear();
    CHECK_EQ(answer_of(first)->status, 200);
    CHECK(answer_of(first)->ended && answer_of(first)->body_bytes == 5);
    CHECK_EQ(answer_of(late)->status, 200);
    CHECK(answer_of(late)->ended && answer_of(late)->body_bytes == 4);
    CHECK(answer_of(last)->ended && answer_of(last)->body_bytes == 5);
    EVENTUALLY(fixture_stats().connections == 0);
    end();
}

TEST(a_fin_is_the_end_of_every_websocket_and_of_every_body) {
    begin();
    upload_stays_open = true;
    int32_t socket = ask("CONNECT", "/echo", (const uint8_t *)"", 0);
    say();
    CHECK_STR(diary_next(), "open /echo");
    ask("POST", "/body", (const uint8_t *)"some of it", 10);
    say();
    client_shutdown(&c);
    CHECK_STR(diary_next(), "closed 1006, peer gone");
    hear();
    CHECK_EQ(answer_of(socket)->status, 200);
    upload_stays_open = false;
    CHECK_STR(diary_next_within(0), "nothing"); /* nobody was told of half a body */
    EVENTUALLY(fixture_stats().connections == 0);
    end();
}

TEST(a_fin_behind_half_a_head_ends_it) {
    begin();
    ask("GET", "/page", NULL, 0);
    const uint8_t *data;
    uint8_t all[4096];
    size_t all_len = 0;
    for (ssize_t len; (len = nghttp2_session_mem_send(session, &data)) > 0; all_len += (size_t)len)
        memcpy(all + all_len, data, (size_t)len);
    CHECK(client_send(&c, all, all_len - 3));
    client_shutdown(&c);
    hear();
    EVENTUALLY(fixture_stats().connections == 0);
    end();
}

TEST(a_preface_may_come_in_pieces) {
    for (size_t cut = 1; cut <= 5; cut++) {
        test_context("cut behind %zu", cut);
        begin();
        int32_t id = ask("GET", "/page", NULL, 0);
        const uint8_t *data;
        bool began = false;
        for (ssize_t len; (len = nghttp2_session_mem_send(session, &data)) > 0; began = true)
            for (size_t at = 0, step; at < (size_t)len; at += step) {
                step = began || at >= 5 ? (size_t)len - at : cut == 5 ? 1 : at == 0 ? cut : (size_t)len - at;
                CHECK(client_send(&c, data + at, step));
                if (!began && at < 5)
                    client_sleep_ms(15);
            }
        hear_until_ended(id);
        CHECK_EQ(answer_of(id)->status, 200);
        CHECK_EQ(answer_of(id)->body_bytes, 5);
        end();
    }
    test_context("%s", "");
}

TEST(what_only_begins_like_a_preface_is_http) {
    static const char *const methods[] = {"PR", "PUT", "PROPFIND"};
    for (size_t i = 0; i < 3; i++) {
        begin();
        for (const char *at = methods[i]; *at; at++) {
            CHECK(client_send(&c, at, 1));
            client_sleep_ms(5);
        }
        CHECK(client_print(&c, " /page HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        int status = client_answer(&c);
        CHECK(i == 0 ? status == 400 || status == 501 : status == 200 || status == 405);
        end();
    }
}

TEST(an_answer_may_have_many_headers_or_long_ones) {
    for (int i = 0; i < 2; i++) {
        begin();
        int32_t id = ask("GET", i == 0 ? "/many" : "/large", NULL, 0);
        say();
        CHECK_STR(diary_next(), "replied 0");
        if (i == 0) {
            hear_until_ended(id);
            CHECK_EQ(answer_of(id)->status, 200);
            CHECK(answer_of(id)->fields > 32);
            CHECK_EQ(answer_of(id)->body_bytes, 5);
        } else { /* too long for this client of ours: nghttp2 takes a block of 64 KiB */
            size_t came = 0;
            uint8_t bytes[65536];
            while (came < 150 * 1024) {
                ssize_t len = recv(c.fd, bytes, sizeof bytes, 0);
                CHECK(len > 0);
                came += (size_t)len;
            }
        }
        end();
    }
}

TEST(a_head_over_the_limit_is_431_and_the_connection_goes_on) {
    begin();
    static char path[9000] = "/";
    memset(path + 1, 'x', sizeof path - 2);
    int32_t id = ask("GET", path, NULL, 0);
    say();
    hear_until_ended(id);
    CHECK_EQ(answer_of(id)->status, 431);
    id = ask("GET", "/page", NULL, 0);
    say();
    hear_until_ended(id);
    CHECK_EQ(answer_of(id)->status, 200);
    end();
}

TEST(a_body_that_comes_byte_by_byte_is_one) {
    static uint8_t body[20000];
    begin();
    say();
    upload_stays_open = true;
    int32_t id = ask("POST", "/body", body, 0);
    say();
    for (size_t i = 0; i < sizeof body; i++) {
        upload = body + i;
        upload_left = 1;
        upload_stays_open = i + 1 < sizeof body;
        CHECK_EQ(nghttp2_session_resume_data(session, id), 0);
        say();
    }
    CHECK_STR(diary_next(), "body of 20000");
    hear_until_ended(id);
    CHECK_EQ(answer_of(id)->status, 200);
    end();
}

/* Answers of all lengths stand before windows of nothing; what they hold is given back when their time is over. */
TEST(a_peer_that_opens_no_window_is_ended) {
    static const char *const paths[] = {"/page", "/long", "/page"};
    begin_with(&(weft_config) {WEFT_CONFIG_INIT, .http2 = WEFT_HTTP2_CLEAR, .connections_max = 256,
                               .keep_alive_ms = 200, .limits = {.send_timeout_ms = 300}},
               0);
    for (int i = 0; i < 3; i++)
        ask("GET", paths[i], NULL, 0);
    say();
    uint64_t began_ms = client_now_ms();
    hear();
    CHECK(client_now_ms() - began_ms < 5000);
    for (int i = 0; i < 3; i++)
        CHECK(answers[i].status == 200 && answers[i].body_bytes == 0 && !answers[i].ended);
    EVENTUALLY(fixture_stats().connections == 0);
    end();
}
