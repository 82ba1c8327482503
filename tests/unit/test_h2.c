/*
 * A client of nghttp2's against our side of the connection, with no socket between them.
 */
#include "http/h2.h"
#include "http/h2_text.h"
#include "test.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the text ---- */

static const struct {
    const char *name, *fields, *text; /* fields: "name value" lines */
    bool ends;
    int status;
} requests[] = {
    {"get", ":method GET\n:scheme https\n:authority a:1\n:path /x?y\naccept */*\n",
     "GET /x?y HTTP/1.1\r\nHost: a:1\r\naccept: */*\r\n\r\n", true, 0},
    {"host_in_place_of_authority", ":method GET\n:path /\nhost b\n", "GET / HTTP/1.1\r\nhost: b\r\n\r\n", true, 0},
    {"authority_over_host", ":method GET\n:authority a\n:path /\nhost b\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true,
     0},
    {"crumbs", ":method GET\n:authority a\n:path /\ncookie x=1\ncookie y=2\n",
     "GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1; y=2\r\n\r\n", true, 0},
    {"body_of_a_length", ":method POST\n:authority a\n:path /\ncontent-length 3\n",
     "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\n\r\n", false, 0},
    {"body_of_no_length", ":method POST\n:authority a\n:path /\n",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false, 0},
    {"websocket",
     ":method CONNECT\n:protocol websocket\n:scheme https\n:authority a\n:path /c\norigin https://a\n"
     "sec-websocket-version 13\nsec-websocket-key x\n",
     "GET /c HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\norigin: https://a\r\nsec-websocket-version: 13\r\n\r\n",
     false, 0},
    {"what_is_ours_is_dropped", ":method GET\n:authority a\n:path /\nte trailers\nexpect 100-continue\nupgrade x\n",
     "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, 0},
    {"a_tunnel", ":method CONNECT\n:authority a:1\n", NULL, false, 405},
    {"another_protocol", ":method CONNECT\n:protocol webtransport\n:authority a\n:path /\n", NULL, false, 501},
    {"a_length_of_a_websocket", ":method CONNECT\n:protocol websocket\n:authority a\n:path /\ncontent-length 5\n", NULL,
     false, 400},
    {"protocol_without_connect", ":method GET\n:protocol websocket\n:authority a\n:path /\n", NULL, true, 400},
    {"no_path", ":method GET\n:authority a\n", NULL, true, 400},
    {"a_path_of_two_words", ":method GET\n:authority a\n:path / HTTP/1.1\n", NULL, true, 400},
    {"an_authority_of_two_words", ":method GET\n:authority a b\n:path /\n", NULL, true, 400},
};

static void add_fields(wf_h2_head *head, const char *lines) {
    for (const char *line = lines; *line; line = strchr(line, '\n') + 1) {
        size_t name_len = strcspn(line, " ");
        const char *value = line + name_len + 1;
        CHECK_EQ(wf_h2_head_add(head, (wf_str) {line, name_len}, (wf_str) {value, strcspn(value, "\n")}), WF_OK);
    }
}

TEST(request_rows) {
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        wf_h2_head head = {.bytes_max = 4096};
        wf_buf out = WF_BUF_INIT;
        bool chunked;
        int status;
        test_context("row %s", requests[i].name);
        add_fields(&head, requests[i].fields);
        int got = wf_h2_request_write(&head, requests[i].ends, &out, &chunked, &status);
        CHECK_EQ(status, requests[i].status);
        CHECK_EQ(got, requests[i].text ? WF_OK : WF_EINVAL);
        if (requests[i].text)
            CHECK_BYTES(out.data, out.len, requests[i].text, strlen(requests[i].text));
        wf_buf_deinit(&out);
        wf_h2_head_deinit(&head);
    }
    test_context("%s", "");
}

TEST(a_head_over_its_limit_is_431) {
    wf_h2_head head = {.bytes_max = 100};
    wf_buf out = WF_BUF_INIT;
    bool chunked;
    int status;
    char value[80];
    memset(value, 'x', sizeof value);
    CHECK_EQ(wf_h2_head_add(&head, wf_str_of(":method"), wf_str_of("GET")), WF_OK);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(wf_h2_head_add(&head, wf_str_of("a"), (wf_str) {value, sizeof value}), WF_OK);
    CHECK(head.over);
    CHECK(head.fields.len <= 100);
    CHECK_EQ(wf_h2_request_write(&head, true, &out, &chunked, &status), WF_EINVAL);
    CHECK_EQ(status, 431);
    wf_buf_deinit(&out);
    wf_h2_head_deinit(&head);
}

TEST(answer_rows) {
    char text[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: Chat\r\n\r\n";
    wf_h2_fields answer;
    CHECK_EQ(wf_h2_answer_read(text, strlen(text), &answer), WF_OK);
    CHECK_EQ(answer.status, 200);
    CHECK(answer.websocket);
    CHECK_EQ(answer.count, 2);
    CHECK_BYTES(answer.names[0].data, answer.names[0].len, ":status", 7);
    CHECK_BYTES(answer.values[0].data, answer.values[0].len, "200", 3);
    CHECK_BYTES(answer.names[1].data, answer.names[1].len, "sec-websocket-protocol", 22);
    CHECK_BYTES(answer.values[1].data, answer.values[1].len, "Chat", 4);
    char page[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\nX: \r\n\r\n";
    CHECK_EQ(wf_h2_answer_read(page, strlen(page), &answer), WF_OK);
    CHECK_EQ(answer.status, 404);
    CHECK_EQ(answer.body_bytes, 5);
    CHECK_EQ(answer.count, 3);
    CHECK_BYTES(answer.values[0].data, answer.values[0].len, "404", 3);
    CHECK_EQ(answer.values[2].len, 0);
    char broken[] = "HTTP/1.1 200 OK\r\nno colon\r\n\r\n";
    CHECK_EQ(wf_h2_answer_read(broken, strlen(broken), &answer), WF_EINVAL);
}

/* What a client sends, and what it is answered. */
TEST(a_handshake_becomes_an_extended_connect) {
    char text[] = "GET /c?d HTTP/1.1\r\nHost: a:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\nOrigin: http://O\r\nTE: x\r\n\r\n";
    static const char *const expected[][2] = {
        {":method", "CONNECT"}, {":protocol", "websocket"},      {":scheme", "https"},  {":path", "/c?d"},
        {":authority", "a:1"},  {"sec-websocket-version", "13"}, {"origin", "http://O"}};
    wf_h2_fields fields;
    CHECK_EQ(wf_h2_request_read(text, strlen(text), "https", &fields), WF_OK);
    CHECK(fields.websocket);
    CHECK_EQ(fields.count, 7);
    for (size_t i = 0; i < fields.count; i++) {
        CHECK_BYTES(fields.names[i].data, fields.names[i].len, expected[i][0], strlen(expected[i][0]));
        CHECK_BYTES(fields.values[i].data, fields.values[i].len, expected[i][1], strlen(expected[i][1]));
    }
    char page[] = "POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK_EQ(wf_h2_request_read(page, strlen(page), "https", &fields), WF_EINVAL);
    char many[4096] = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < WF_H2_FIELDS_MAX; i++)
        strcat(many, "X: y\r\n");
    strcat(many, "\r\n");
    CHECK_EQ(wf_h2_request_read(many, strlen(many), "https", &fields), WF_ELIMIT);
}

static const struct {
    const char *fields, *text;
} answers[] = {
    {":status 200\nsec-websocket-protocol chat\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                                   "Connection: Upgrade\r\nsec-websocket-protocol: chat\r\n\r\n"},
    {":status 204\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    {":status 403\ncontent-length 3\n", "HTTP/1.1 403 \r\ncontent-length: 3\r\n\r\n"},
    {":status 103\nlink x\n", ""},
};

TEST(answers_become_text) {
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        wf_h2_head head = {.bytes_max = 4096};
        wf_buf out = WF_BUF_INIT;
        test_context("row %zu", i);
        add_fields(&head, answers[i].fields);
        CHECK_EQ(wf_h2_answer_write(&head, &out), WF_OK);
        CHECK_BYTES(out.data, out.len, answers[i].text, strlen(answers[i].text));
        wf_buf_deinit(&out);
        wf_h2_head_deinit(&head);
    }
    test_context("%s", "");
}

TEST(resets_are_told_in_words) {
    static const char *const texts[] = {"RFC9113/7: the stream was reset: NO_ERROR",
                                        "RFC9113/7: the stream was reset: PROTOCOL_ERROR",
                                        "RFC9113/7: the stream was reset: INTERNAL_ERROR",
                                        "RFC9113/7: the stream was reset: FLOW_CONTROL_ERROR",
                                        "RFC9113/7: the stream was reset: SETTINGS_TIMEOUT",
                                        "RFC9113/7: the stream was reset: STREAM_CLOSED",
                                        "RFC9113/7: the stream was reset: FRAME_SIZE_ERROR",
                                        "RFC9113/7: the stream was reset: REFUSED_STREAM",
                                        "RFC9113/7: the stream was reset: CANCEL",
                                        "RFC9113/7: the stream was reset: COMPRESSION_ERROR",
                                        "RFC9113/7: the stream was reset: CONNECT_ERROR",
                                        "RFC9113/7: the stream was reset: ENHANCE_YOUR_CALM",
                                        "RFC9113/7: the stream was reset: INADEQUATE_SECURITY",
                                        "RFC9113/7: the stream was reset: HTTP_1_1_REQUIRED",
                                        "RFC9113/7: the stream was reset, by no known error"};
    for (uint32_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        CHECK_STR(wf_h2_error_text(i), texts[i]);
    CHECK_STR(wf_h2_error_text(UINT32_MAX), texts[NGHTTP2_HTTP_1_1_REQUIRED + 1]);
}

/* ---- the connection ---- */

typedef struct client_stream {
    int32_t id;
    int status;
    uint8_t *body;
    size_t len;
    bool ended, closed;
    uint32_t error;
} client_stream;

static wf_h2 *h2;
static nghttp2_session *client;
static client_stream streams[300];
static const char *to_send; /* of the client's next stream */
static size_t to_send_len;
static bool keeps_open;
static size_t held_bytes;

static client_stream *stream_of(int32_t id) {
    return &streams[id / 2];
}

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                         const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    (void)session, (void)flags, (void)user, (void)value_len;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        stream_of(frame->hd.stream_id)->status = atoi((const char *)value);
    return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                       void *user) {
    (void)session, (void)flags, (void)user;
    client_stream *s = stream_of(id);
    s->body = realloc(s->body, s->len + len);
    memcpy(s->body + s->len, data, len);
    s->len += len;
    return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session, (void)user;
    if (frame->hd.stream_id > 0 && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        stream_of(frame->hd.stream_id)->ended = true;
    return 0;
}

static int client_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    (void)session, (void)user;
    stream_of(id)->closed = true;
    stream_of(id)->error = error;
    return 0;
}

static void begin(uint32_t streams_max) {
    memset(streams, 0, sizeof streams);
    h2 = wf_h2_new(&(wf_h2_limits) {.head_bytes_max = 8192, .streams_max = streams_max, .held_bytes = &held_bytes});
    CHECK(h2 != NULL);
    nghttp2_session_callbacks *c;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_header_callback(c, client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, client_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, client_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, client_close);
    nghttp2_session_client_new(&client, c, NULL);
    nghttp2_session_callbacks_del(c);
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void end(void) {
    nghttp2_session_del(client);
    wf_h2_free(h2);
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        free(streams[i].body);
    CHECK_EQ(test_mem_live(), 0);
    CHECK_EQ(held_bytes, 0);
}

/* Both ways until nothing moves; what comes to us in pieces. False: we have given up. */
static bool carry(size_t step) {
    bool moved = true, good = true;
    for (int i = 0; moved && i < 100000; i++) {
        const uint8_t *data;
        moved = false;
        for (ssize_t len; (len = nghttp2_session_mem_send(client, &data)) > 0; moved = true)
            for (ssize_t at = 0; at < len && good; at += (ssize_t)step)
                good = wf_h2_feed(h2, data + at, (size_t)(len - at) < step ? (size_t)(len - at) : step) == WF_OK;
        for (size_t len; (len = wf_h2_output(h2, &data)) > 0; moved = true)
            CHECK(nghttp2_session_mem_recv(client, data, len) == (ssize_t)len);
    }
    return good;
}

static ssize_t client_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                           nghttp2_data_source *source, void *user) {
    (void)session, (void)id, (void)source, (void)user;
    size_t len = to_send_len < cap ? to_send_len : cap;
    memcpy(buf, to_send, len);
    to_send += len;
    to_send_len -= len;
    if (to_send_len == 0 && !keeps_open)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return len == 0 && keeps_open ? NGHTTP2_ERR_DEFERRED : (ssize_t)len;
}

static int32_t ask(const char *const *fields, const char *body, size_t len) {
    nghttp2_nv nv[16];
    size_t count = 0;
    for (; fields[2 * count]; count++)
        nv[count] = (nghttp2_nv) {(uint8_t *)fields[2 * count], (uint8_t *)fields[2 * count + 1],
                                  strlen(fields[2 * count]), strlen(fields[2 * count + 1]), NGHTTP2_NV_FLAG_NONE};
    nghttp2_data_provider provider = {.read_callback = client_body};
    to_send = body;
    to_send_len = len;
    return nghttp2_submit_request(client, NULL, nv, count, body ? &provider : NULL, NULL);
}

static const char *const get[] = {":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", NULL};
static const char *const post[] = {":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/", NULL};
static const char *const websocket[] = {":method",    "CONNECT", ":protocol", "websocket", ":scheme", "https",
                                        ":authority", "a",       ":path",     "/",         NULL};

static wf_h2_event next(void) {
    wf_h2_event event;
    CHECK_EQ(wf_h2_next(h2, &event), WF_OK);
    return event;
}

static wf_h2_stream *expect(wf_h2_event_kind kind) {
    wf_h2_event event = next();
    CHECK_EQ(event.kind, kind);
    return event.stream;
}

static void nothing_more(void) {
    wf_h2_event event;
    CHECK_EQ(wf_h2_next(h2, &event), WF_WANT_INPUT);
}

static int64_t say(wf_h2_stream *s, const char *text) {
    struct iovec range = {(void *)text, strlen(text)};
    return wf_h2_stream_send(s, &range, 1);
}

TEST(a_page_whatever_the_cuts) {
    static const size_t steps[] = {1, 2, 9, 1 << 20};
    for (size_t i = 0; i < 4; i++) {
        test_context("in steps of %zu", steps[i]);
        begin(100);
        int32_t id = ask(get, NULL, 0);
        CHECK(carry(steps[i]));
        expect(WF_H2_OPENED);
        wf_h2_event event = next();
        static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        CHECK_BYTES(event.data, event.len, text, sizeof text - 1);
        wf_h2_stream *s = expect(WF_H2_EOF);
        nothing_more();
        say(s, "HTTP/1.1 200 OK\r\nContent-Le");
        say(s, "ngth: 5\r\n\r\nhe");
        say(s, "llo");
        CHECK(carry(1 << 20));
        CHECK_EQ(stream_of(id)->status, 200);
        CHECK_BYTES(stream_of(id)->body, stream_of(id)->len, "hello", 5);
        CHECK(stream_of(id)->ended && stream_of(id)->closed);
        expect(WF_H2_GONE);
        nothing_more();
        CHECK_EQ(wf_h2_streams(h2), 0);
        CHECK_EQ(wf_h2_memory(h2), 0);
        end();
    }
    test_context("%s", "");
}

TEST(a_body_of_unknown_length_is_chunked) {
    begin(100);
    ask(post, "some body", 9);
    CHECK(carry(1 << 20));
    expect(WF_H2_OPENED);
    static const char text[] =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000009\r\nsome body\r\n0\r\n\r\n";
    wf_h2_event event = next();
    CHECK_BYTES(event.data, event.len, text, sizeof text - 1);
    expect(WF_H2_EOF);
    end();
}

TEST(a_websocket_goes_both_ways_and_ends_from_either_side) {
    for (int ours_first = 0; ours_first < 2; ours_first++) {
        begin(100);
        carry(1 << 20);
        keeps_open = true;
        int32_t id = ask(websocket, "frames", 6);
        CHECK(carry(1 << 20));
        wf_h2_stream *s = expect(WF_H2_OPENED);
        wf_h2_event event = next();
        CHECK(event.len > 6 && memcmp(event.data + event.len - 6, "frames", 6) == 0);
        nothing_more();
        say(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
        say(s, "answer");
        CHECK(carry(1 << 20));
        CHECK_EQ(stream_of(id)->status, 200);
        CHECK_BYTES(stream_of(id)->body, stream_of(id)->len, "answer", 6);
        CHECK(!stream_of(id)->ended);
        keeps_open = false;
        if (ours_first) {
            wf_h2_stream_end(s);
            CHECK(carry(1 << 20));
            CHECK(stream_of(id)->ended && !stream_of(id)->closed);
        }
        nghttp2_session_resume_data(client, id);
        CHECK(carry(1 << 20));
        expect(WF_H2_EOF);
        if (!ours_first) {
            wf_h2_stream_end(s);
            CHECK(carry(1 << 20));
        }
        expect(WF_H2_GONE);
        CHECK(stream_of(id)->closed);
        CHECK_EQ(stream_of(id)->error, NGHTTP2_NO_ERROR);
        end();
    }
}

TEST(a_stream_that_is_closed_before_its_answer_is_reset) {
    begin(100);
    int32_t id = ask(get, NULL, 0);
    carry(1 << 20);
    wf_h2_stream_close(expect(WF_H2_OPENED), false);
    carry(1 << 20);
    CHECK(stream_of(id)->closed);
    CHECK_EQ(stream_of(id)->error, NGHTTP2_CANCEL);
    nothing_more();
    CHECK_EQ(wf_h2_streams(h2), 0);
    end();
}

TEST(who_closes_behind_an_answer_has_it_sent_whole) {
    begin(100);
    keeps_open = true;
    int32_t id = ask(post, "x", 1); /* a body without end */
    carry(1 << 20);
    wf_h2_stream *s = expect(WF_H2_OPENED);
    say(s, "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nover");
    CHECK_EQ(wf_h2_owned(h2), 1);
    wf_h2_stream_close(s, false);
    CHECK_EQ(wf_h2_owned(h2), 0);
    CHECK_EQ(wf_h2_streams(h2), 1); /* its answer is on its way */
    carry(1 << 20);
    CHECK_EQ(stream_of(id)->status, 413);
    CHECK_BYTES(stream_of(id)->body, stream_of(id)->len, "over", 4);
    CHECK(stream_of(id)->closed);
    CHECK_EQ(stream_of(id)->error, NGHTTP2_NO_ERROR);
    nothing_more();
    keeps_open = false;
    end();
}

TEST(who_closes_behind_the_end_of_an_answer_waits_for_no_more) {
    begin(100);
    keeps_open = true;
    int32_t id = ask(post, "x", 1); /* a body without end */
    carry(1 << 20);
    wf_h2_stream *s = expect(WF_H2_OPENED);
    say(s, "HTTP/1.1 408 Too Late\r\nContent-Length: 4\r\n\r\nlate");
    carry(1 << 20);
    CHECK(stream_of(id)->ended && !stream_of(id)->closed);
    wf_h2_stream_close(s, false);
    carry(1 << 20);
    CHECK(stream_of(id)->closed);
    CHECK_EQ(stream_of(id)->error, NGHTTP2_NO_ERROR);
    CHECK_EQ(wf_h2_streams(h2), 0);
    keeps_open = false;
    end();
}

TEST(a_slow_stream_stalls_no_other_and_its_window_fills) {
    static char much[300000];
    begin(100);
    carry(1 << 20);
    ask(post, much, sizeof much);
    carry(1 << 20);
    wf_h2_stream *slow = expect(WF_H2_OPENED);
    wf_h2_stream_pause(slow);
    nothing_more();
    CHECK(wf_h2_memory(h2) < 70000);
    CHECK(wf_h2_memory(h2) > 60000);
    CHECK_EQ(held_bytes, wf_h2_memory(h2));
    size_t held = to_send_len;
    CHECK(held > 200000);
    const char *rest = to_send;
    int32_t id = ask(get, NULL, 0);
    carry(1 << 20);
    expect(WF_H2_OPENED);
    next();
    wf_h2_stream *other = expect(WF_H2_EOF);
    say(other, "HTTP/1.1 204 No Content\r\n\r\n");
    to_send = rest;
    to_send_len = held;
    carry(1 << 20);
    CHECK_EQ(stream_of(id)->status, 204);
    CHECK(stream_of(id)->closed);
    CHECK_EQ(to_send_len, held);
    wf_h2_stream_resume(slow); /* and it goes on to its end */
    size_t came = 0;
    for (int i = 0; i < 100; i++) {
        wf_h2_event event;
        while (wf_h2_next(h2, &event) == WF_OK)
            came += event.kind == WF_H2_RECEIVED ? event.len : 0;
        carry(1 << 20);
    }
    CHECK_EQ(to_send_len, 0);
    CHECK(came > sizeof much);
    end();
}

TEST(a_reader_that_is_slow_makes_us_wait) {
    static char much[200000];
    begin(100);
    keeps_open = true;
    int32_t id = ask(websocket, "", 0);
    nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    carry(1 << 20);
    wf_h2_stream *s = expect(WF_H2_OPENED);
    next();
    say(s, "HTTP/1.1 101 S\r\n\r\n");
    struct iovec range = {much, sizeof much};
    int64_t taken = 0, got;
    while ((got = wf_h2_stream_send(s, &range, 1)) > 0) {
        taken += got;
        range.iov_base = (char *)range.iov_base + got;
        range.iov_len -= (size_t)got;
    }
    CHECK_EQ(taken, 65536);
    nothing_more();
    carry(1 << 20); /* the client's windows open as it reads */
    expect(WF_H2_SENT);
    CHECK(wf_h2_stream_send(s, &range, 1) > 0);
    carry(1 << 20);
    CHECK_EQ(stream_of(id)->len, 131072);
    keeps_open = false;
    end();
}

TEST(what_came_whole_is_read_before_a_reset_is_told) {
    begin(100);
    carry(1 << 20);
    int32_t id = ask(post, "all of it", 9);
    carry(1 << 20);
    wf_h2_stream *s = expect(WF_H2_OPENED);
    wf_h2_stream_pause(s);
    nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    carry(1 << 20);
    nothing_more();
    CHECK_EQ(say(s, "HTTP/1.1 200 OK\r\n\r\n"), 19); /* and goes nowhere */
    wf_h2_stream_resume(s);
    CHECK(memmem(next().data, 100, "all of it", 9) != NULL);
    expect(WF_H2_EOF);
    expect(WF_H2_GONE);
    nothing_more();
    CHECK_EQ(wf_h2_memory(h2), 0);
    end();
}

TEST(more_streams_than_allowed_are_refused) {
    begin(3);
    carry(1 << 20);
    int32_t ids[5];
    nghttp2_settings_entry none = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, &none, 1);
    for (int i = 0; i < 5; i++)
        ids[i] = ask(get, NULL, 0);
    carry(1 << 20);
    CHECK_EQ(wf_h2_streams(h2), 3); /* nghttp2's client keeps the others back */
    CHECK(!stream_of(ids[4])->closed);
    end();
}

TEST(resets_without_end_are_ended) {
    begin(100);
    carry(1 << 20);
    for (int i = 0; i < 140; i++) {
        int32_t id = ask(get, NULL, 0);
        const uint8_t *data;
        for (ssize_t len; (len = nghttp2_session_mem_send(client, &data)) > 0;)
            wf_h2_feed(h2, data, (size_t)len);
        nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    carry(1 << 20);
    CHECK(wf_h2_over(h2));
    nothing_more(); /* nobody was told of what had gone already */
    CHECK_EQ(wf_h2_streams(h2), 0);
    end();
}

TEST(what_is_no_http2_is_refused) {
    h2 = wf_h2_new(&(wf_h2_limits) {.head_bytes_max = 8192, .streams_max = 10});
    CHECK_EQ(wf_h2_feed(h2, (const uint8_t *)"GET / HTTP/1.1\r\n\r\n012345678", 27), WF_ERROR);
    CHECK(wf_h2_over(h2));
    CHECK_EQ(wf_h2_feed(h2, (const uint8_t *)"x", 1), WF_ERROR);
    wf_h2_free(h2);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(without_memory_it_ends_and_leaks_nothing) {
    for (size_t n = 1; n < 60; n++) {
        test_mem_fail_at(n);
        wf_h2 *made = h2 = wf_h2_new(&(wf_h2_limits) {.head_bytes_max = 8192, .streams_max = 10});
        if (made) {
            test_mem_fail_at(0);
            wf_h2_free(h2);
            begin(10);
            test_mem_fail_at(n);
            keeps_open = true;
            ask(websocket, "frames", 6);
            carry(1 << 20);
            wf_h2_event event;
            for (int i = 0; i < 20 && wf_h2_next(h2, &event) == WF_OK; i++)
                if (event.kind == WF_H2_RECEIVED)
                    say(event.stream, "HTTP/1.1 101 S\r\n\r\nanswer");
            carry(1 << 20);
            keeps_open = false;
            bool done = test_mem_calls() < n;
            test_mem_fail_at(0);
            end();
            if (done)
                return;
        }
        test_mem_fail_at(0);
    }
    CHECK(!"there is no end of allocations");
}
