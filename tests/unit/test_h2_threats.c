/*
 * What a hostile peer of HTTP/2 may do, frame by frame, and what it must come to: the connection ended with a GOAWAY,
 * the stream with a RST_STREAM, or an answer that refuses; nobody told of what is no request; memory bounded.
 */
#include "http/h2.h"
#include "test.h"

#include <malloc.h>
#include <nghttp2/nghttp2.h>

enum { NONE = -1, STREAMS_MAX = 100, WIRE_MAX = 1 << 20 };
enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
    UNKNOWN
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

static wf_h2 *h2;
static uint8_t wire[WIRE_MAX];
static size_t wire_len;

/* What came back. */
static int goaway, reset, status_byte, acks, refused;

/* ---- frames ---- */

static void put(const void *bytes, size_t len) {
    CHECK(wire_len + len <= sizeof wire);
    if (len > 0)
        memcpy(wire + wire_len, bytes, len);
    wire_len += len;
}

static void put_number(uint32_t number, int bytes) {
    for (int i = bytes - 1; i >= 0; i--)
        put(&(uint8_t) {(uint8_t)(number >> 8 * i)}, 1);
}

static void frame(int type, int flags, uint32_t id, const void *payload, size_t len) {
    put_number((uint32_t)len, 3);
    put_number((uint32_t)type, 1);
    put_number((uint32_t)flags, 1);
    put_number(id, 4);
    put(payload, len);
}

/* Frames of one number, or two. */
static void frame_of(int type, uint32_t id, uint32_t number) {
    uint8_t payload[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    frame(type, 0, id, payload, 4);
}

static void setting(uint16_t id, uint32_t value) {
    put_number(6, 3);
    put_number(SETTINGS, 1);
    put_number(0, 1);
    put_number(0, 4);
    put_number(id, 2);
    put_number(value, 4);
}

/* "name value" lines as literals that are not indexed: each shorter than 127. */
static size_t block(uint8_t *out, const char *fields) {
    size_t at = 0;
    for (const char *line = fields; *line; line = strchr(line, '\n') + 1) {
        size_t name_len = strcspn(line + 1, " \n") + 1;
        const char *value = line + name_len + 1;
        size_t value_len = line[name_len] == ' ' ? strcspn(value, "\n") : 0;
        out[at++] = 0;
        out[at++] = (uint8_t)name_len;
        memcpy(out + at, line, name_len);
        at += name_len;
        out[at++] = (uint8_t)value_len;
        memcpy(out + at, value, value_len);
        at += value_len;
    }
    return at;
}

static void headers(uint32_t id, int flags, const char *fields) {
    uint8_t bytes[2048];
    frame(HEADERS, flags | END_HEADERS, id, bytes, block(bytes, fields));
}

#define GET       ":method GET\n:scheme http\n:authority a\n:path /\n"
#define POST      ":method POST\n:scheme http\n:authority a\n:path /\n"
#define WEBSOCKET ":method CONNECT\n:protocol websocket\n:scheme http\n:authority a\n:path /\n"

/* ---- the two sides ---- */

static void look_at(const uint8_t *f, size_t len) {
    uint32_t id = (uint32_t)(f[5] << 24 | f[6] << 16 | f[7] << 8 | f[8]);
    const uint8_t *payload = f + 9;
    if (f[3] == GOAWAY)
        goaway = payload[7];
    else if (f[3] == RST_STREAM && payload[3] == NGHTTP2_REFUSED_STREAM)
        refused++;
    else if (f[3] == RST_STREAM && id > 0)
        reset = payload[3];
    else if ((f[3] == SETTINGS || f[3] == PING) && f[4] & ACK)
        acks++;
    else if (f[3] == HEADERS && len > 9)
        status_byte = payload[0];
}

static void hear(void) {
    static uint8_t in[WIRE_MAX];
    const uint8_t *data;
    size_t in_len = 0, at = 0;
    for (size_t len; (len = wf_h2_output(h2, &data)) > 0; in_len += len) {
        CHECK(in_len + len <= sizeof in);
        memcpy(in + in_len, data, len);
    }
    for (size_t len; at < in_len; at += len) {
        len = 9 + (size_t)(in[at] << 16 | in[at + 1] << 8 | in[at + 2]);
        look_at(in + at, len);
    }
}

/* What was put goes over. */
static int say(void) {
    int got = wf_h2_feed(h2, wire, wire_len);
    wire_len = 0;
    return got;
}

static void begin(void) {
    wire_len = 0;
    goaway = reset = NONE;
    status_byte = acks = refused = 0;
    h2 = wf_h2_new(&(wf_h2_limits) {.head_bytes_max = 8192, .streams_max = STREAMS_MAX});
    CHECK(h2 != NULL);
    put("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    frame(SETTINGS, 0, 0, NULL, 0);
    CHECK_EQ(say(), WF_OK);
    hear();
}

static void end(void) {
    wf_h2_free(h2);
    CHECK_EQ(test_mem_live(), 0);
}

/* How many streams somebody was told of. */
static int told(void) {
    wf_h2_event event;
    int count = 0;
    while (wf_h2_next(h2, &event) == WF_OK)
        count += event.kind == WF_H2_OPENED;
    return count;
}

static wf_h2_stream *next_is(wf_h2_event_kind kind) {
    wf_h2_event event;
    CHECK_EQ(wf_h2_next(h2, &event), WF_OK);
    CHECK_EQ(event.kind, kind);
    return event.stream;
}

static void answer(wf_h2_stream *s, const char *text) {
    struct iovec range = {(void *)text, strlen(text)};
    CHECK(wf_h2_stream_send(s, &range, 1) > 0);
}

/* ---- what ends the connection ---- */

static void continuation_flood(void) {
    frame(HEADERS, 0, 1, NULL, 0);
    for (int i = 0; i < 10000; i++)
        frame(CONTINUATION, 0, 1, NULL, 0);
}

static void continuations_of_fields(void) {
    uint8_t bytes[256];
    size_t len = block(bytes, "a-name of-a-field\nanother of-another-value\n");
    frame(HEADERS, END_STREAM, 1, NULL, 0);
    for (int i = 0; i < 10000; i++)
        frame(CONTINUATION, 0, 1, bytes, len);
}

static void continuations_of_a_refused_stream(void) {
    for (uint32_t i = 0; i < STREAMS_MAX; i++)
        headers(2 * i + 1, 0, POST);
    frame(HEADERS, 0, 2 * STREAMS_MAX + 1, NULL, 0);
    for (int i = 0; i < 100; i++)
        frame(CONTINUATION, 0, 2 * STREAMS_MAX + 1, NULL, 0);
}

static void settings_flood(void) {
    for (int i = 0; i < 1000; i++)
        setting(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, (uint32_t)i);
}

static void ping_flood(void) {
    for (int i = 0; i < 1000; i++)
        frame(PING, 0, 0, "12345678", 8);
}

static void empty_data_flood(void) {
    headers(1, 0, POST);
    for (int i = 0; i < 2000; i++)
        frame(DATA, 0, 1, NULL, 0);
}

static void padding_flood(void) {
    headers(1, 0, POST);
    for (int i = 0; i < 2000; i++)
        frame(DATA, PADDED, 1, "\0", 1);
}

static void rapid_reset(void) {
    for (uint32_t i = 0; i < 200; i++) {
        headers(2 * i + 1, END_STREAM, GET);
        frame_of(RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
    }
}

static void window_over_all(void) {
    frame_of(WINDOW_UPDATE, 0, 0x7fffffff);
}

static void window_of_nothing(void) {
    frame_of(WINDOW_UPDATE, 0, 0);
}

static void window_size_too_large(void) {
    setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x80000000);
}

static void frame_size_too_small(void) {
    setting(NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 100);
}

static void push_setting_of_two(void) {
    setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 2);
}

static void even_stream(void) {
    headers(2, END_STREAM, GET);
}

static void stream_zero(void) {
    headers(0, END_STREAM, GET);
}

static void stream_id_again(void) {
    headers(5, END_STREAM, GET);
    headers(5, END_STREAM, GET);
}

static void data_of_an_idle_stream(void) {
    frame(DATA, 0, 7, "x", 1);
}

static void data_of_the_connection(void) {
    frame(DATA, 0, 0, "x", 1);
}

static void window_of_an_idle_stream(void) {
    frame_of(WINDOW_UPDATE, 9, 1);
}

static void reset_of_an_idle_stream(void) {
    frame_of(RST_STREAM, 9, NGHTTP2_CANCEL);
}

static void promise_of_a_client(void) {
    uint8_t payload[64] = {0, 0, 0, 2};
    frame(PUSH_PROMISE, END_HEADERS, 1, payload, 4 + block(payload + 4, GET));
}

static void continuation_of_nothing(void) {
    frame(CONTINUATION, END_HEADERS, 1, NULL, 0);
}

static void frame_within_a_head(void) {
    frame(HEADERS, 0, 1, NULL, 0);
    frame(PING, 0, 0, "12345678", 8);
}

static void frame_too_large(void) {
    static const uint8_t much[17000];
    headers(1, 0, POST);
    frame(DATA, 0, 1, much, sizeof much);
}

static void settings_of_five_bytes(void) {
    frame(SETTINGS, 0, 0, "12345", 5);
}

static void padding_longer_than_its_frame(void) {
    headers(1, 0, POST);
    frame(DATA, PADDED, 1, "\x09x", 2);
}

static void index_of_nothing(void) {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, "\xff\xff\x7f", 3);
}

static void table_larger_than_agreed(void) {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, "\x3f\xe2\xff\x03", 4);
}

/* Each stream is a request that we are made to reset (CVE-2025-8671). */
static void made_us_reset(void) {
    for (uint32_t i = 0; i < 200; i++) {
        headers(2 * i + 1, END_STREAM, GET);
        frame_of(WINDOW_UPDATE, 2 * i + 1, 0x7fffffff);
    }
}

static const struct {
    const char *name;
    void (*put)(void);
    int goaway;
    int told_max; /* of streams */
    bool drained; /* the peer reads what comes, frame by frame */
} connection_rows[] = {
    {"continuation_flood", continuation_flood, NGHTTP2_ENHANCE_YOUR_CALM, 0, false},
    {"continuations_of_fields", continuations_of_fields, NGHTTP2_ENHANCE_YOUR_CALM, 0, false},
    {"continuations_of_a_refused_stream", continuations_of_a_refused_stream, NGHTTP2_ENHANCE_YOUR_CALM, STREAMS_MAX,
     false},
    {"settings_flood", settings_flood, NGHTTP2_ENHANCE_YOUR_CALM, 0, false},
    {"ping_flood", ping_flood, NGHTTP2_ENHANCE_YOUR_CALM, 0, false},
    {"empty_data_flood", empty_data_flood, NGHTTP2_ENHANCE_YOUR_CALM, 1, false},
    {"padding_flood", padding_flood, NGHTTP2_ENHANCE_YOUR_CALM, 1, false},
    {"rapid_reset", rapid_reset, NGHTTP2_INTERNAL_ERROR, 0, false},
    {"made_us_reset", made_us_reset, NGHTTP2_ENHANCE_YOUR_CALM, 0, true},
    {"window_over_all", window_over_all, NGHTTP2_FLOW_CONTROL_ERROR, 0, false},
    {"window_of_nothing", window_of_nothing, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"window_size_too_large", window_size_too_large, NGHTTP2_FLOW_CONTROL_ERROR, 0, false},
    {"frame_size_too_small", frame_size_too_small, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"push_setting_of_two", push_setting_of_two, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"even_stream", even_stream, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"stream_zero", stream_zero, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"stream_id_again", stream_id_again, NGHTTP2_STREAM_CLOSED, 1, false},
    {"data_of_an_idle_stream", data_of_an_idle_stream, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"data_of_the_connection", data_of_the_connection, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"window_of_an_idle_stream", window_of_an_idle_stream, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"reset_of_an_idle_stream", reset_of_an_idle_stream, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"promise_of_a_client", promise_of_a_client, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"continuation_of_nothing", continuation_of_nothing, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"frame_within_a_head", frame_within_a_head, NGHTTP2_PROTOCOL_ERROR, 0, false},
    {"frame_too_large", frame_too_large, NGHTTP2_FRAME_SIZE_ERROR, 1, false},
    {"settings_of_five_bytes", settings_of_five_bytes, NGHTTP2_FRAME_SIZE_ERROR, 0, false},
    {"padding_longer_than_its_frame", padding_longer_than_its_frame, NGHTTP2_PROTOCOL_ERROR, 1, false},
    {"index_of_nothing", index_of_nothing, NGHTTP2_COMPRESSION_ERROR, 0, false},
    {"table_larger_than_agreed", table_larger_than_agreed, NGHTTP2_COMPRESSION_ERROR, 0, false},
};

/* Feeds what was put in steps, and hears in between. */
static void say_in_steps(size_t step) {
    for (size_t at = 0; at < wire_len; at += step) {
        wf_h2_feed(h2, wire + at, wire_len - at < step ? wire_len - at : step);
        hear();
    }
    wire_len = 0;
}

TEST(what_ends_the_connection) {
    for (size_t i = 0; i < sizeof connection_rows / sizeof *connection_rows; i++) {
        for (int cut = 0; cut < 2; cut++) {
            test_context("row %s%s", connection_rows[i].name, cut ? ", byte by byte" : "");
            begin();
            connection_rows[i].put();
            size_t sent = wire_len;
            if (cut && !connection_rows[i].drained && connection_rows[i].goaway == NGHTTP2_ENHANCE_YOUR_CALM)
                for (size_t at = 0; at < sent; at++) /* whoever floods does not read */
                    wf_h2_feed(h2, wire + at, 1);
            else
                say_in_steps(cut ? 1 : connection_rows[i].drained ? 64 : wire_len);
            hear();
            CHECK_EQ(goaway, connection_rows[i].goaway);
            CHECK(wf_h2_over(h2));
            CHECK(wf_h2_memory(h2) <= sent);
            CHECK(told() <= connection_rows[i].told_max);
            end();
        }
    }
    test_context("%s", "");
}

/* ---- what ends a stream ---- */

static const struct {
    const char *name, *fields;
} malformed_rows[] = {
    {"no_method", ":scheme http\n:authority a\n:path /\n"},
    {"no_path", ":method GET\n:scheme http\n:authority a\n"},
    {"no_scheme", ":method GET\n:authority a\n:path /\n"},
    {"empty_path", ":method GET\n:scheme http\n:authority a\n:path \n"},
    {"two_methods", ":method GET\n" GET},
    {"two_paths", GET ":path /other\n"},
    {"two_authorities", GET ":authority b\n"},
    {"a_status", GET ":status 200\n"},
    {"an_unknown_pseudo_header", GET ":wonder x\n"},
    {"a_pseudo_header_behind_others", ":method GET\n:scheme http\n:authority a\nx y\n:path /\n"},
    {"upper_case", GET "Upper x\n"},
    {"connection", GET "connection close\n"},
    {"keep_alive", GET "keep-alive x\n"},
    {"proxy_connection", GET "proxy-connection x\n"},
    {"transfer_encoding", POST "transfer-encoding chunked\n"},
    {"upgrade", GET "upgrade websocket\n"},
    {"te_other_than_trailers", GET "te gzip\n"},
    {"two_lengths", POST "content-length 1\ncontent-length 1\n"},
    {"length_that_is_none", POST "content-length x\n"},
    {"line_end_in_a_value", GET "x a\rb\n"},
    {"space_in_a_name", GET "x\ty z\n"},
    {"connect_with_a_path", ":method CONNECT\n:authority a\n:path /\n"},
    {"websocket_without_a_scheme", ":method CONNECT\n:protocol websocket\n:authority a\n:path /\n"},
    {"websocket_without_a_path", ":method CONNECT\n:protocol websocket\n:scheme http\n:authority a\n"},
    {"websocket_without_an_authority", ":method CONNECT\n:protocol websocket\n:scheme http\n:path /\n"},
    {"two_protocols", WEBSOCKET ":protocol websocket\n"},
    {"protocol_without_connect", ":method GET\n:protocol websocket\n:scheme http\n:authority a\n:path /\n"},
};

TEST(what_is_no_request_is_reset_and_nobody_is_told) {
    for (size_t i = 0; i < sizeof malformed_rows / sizeof *malformed_rows; i++) {
        test_context("row %s", malformed_rows[i].name);
        begin();
        headers(1, END_STREAM, malformed_rows[i].fields);
        CHECK_EQ(say(), WF_OK);
        hear();
        CHECK_EQ(reset, NGHTTP2_PROTOCOL_ERROR);
        CHECK_EQ(told(), 0);
        headers(3, END_STREAM, GET); /* the others go on */
        CHECK_EQ(say(), WF_OK);
        CHECK_EQ(told(), 1);
        CHECK_EQ(goaway, NONE);
        end();
    }
    test_context("%s", "");
}

/* What comes behind a request; its owner hears of no end that is none. */
static const struct {
    const char *name, *fields;
    int type, flags;
    const char *payload;
    size_t len;
    int reset;
} behind_rows[] = {
    {"more_than_its_length", POST "content-length 3\n", DATA, 0, "four", 4, NGHTTP2_PROTOCOL_ERROR},
    {"less_than_its_length", POST "content-length 3\n", DATA, END_STREAM, "no", 2, NGHTTP2_PROTOCOL_ERROR},
    {"trailers_that_end_nothing", POST, HEADERS, END_HEADERS, "\0\1x\1y", 5, NGHTTP2_PROTOCOL_ERROR},
    {"trailers_with_a_path", POST, HEADERS, END_HEADERS | END_STREAM, "\0\5:path\1/", 9, NGHTTP2_PROTOCOL_ERROR},
    {"window_of_nothing", POST, WINDOW_UPDATE, 0, "\0\0\0\0", 4, NGHTTP2_PROTOCOL_ERROR},
    {"window_over_all", POST, WINDOW_UPDATE, 0, "\x7f\xff\xff\xff", 4, NGHTTP2_FLOW_CONTROL_ERROR},
};

TEST(what_breaks_a_stream_is_no_end_of_its_body) {
    for (size_t i = 0; i < sizeof behind_rows / sizeof *behind_rows; i++) {
        test_context("row %s", behind_rows[i].name);
        begin();
        headers(1, 0, behind_rows[i].fields);
        CHECK_EQ(say(), WF_OK);
        next_is(WF_H2_OPENED);
        next_is(WF_H2_RECEIVED);
        frame(behind_rows[i].type, behind_rows[i].flags, 1, behind_rows[i].payload, behind_rows[i].len);
        say();
        hear();
        CHECK(reset == behind_rows[i].reset || goaway == behind_rows[i].reset);
        if (goaway != NONE)
            wf_h2_cut(h2);
        wf_h2_event event;
        bool gone = false;
        while (wf_h2_next(h2, &event) == WF_OK) {
            CHECK(event.kind != WF_H2_EOF);
            gone = event.kind == WF_H2_GONE;
        }
        CHECK(gone);
        end();
    }
    test_context("%s", "");
}

TEST(requests_that_are_reset_at_once_reach_nobody) {
    begin();
    for (uint32_t id = 1; id < 100; id += 2) {
        headers(id, END_STREAM, GET);
        frame_of(RST_STREAM, id, NGHTTP2_CANCEL);
    }
    CHECK_EQ(say(), WF_OK);
    CHECK_EQ(told(), 0);
    CHECK_EQ(wf_h2_streams(h2), 0);
    CHECK_EQ(wf_h2_memory(h2), 0);
    end();
}

TEST(errors_of_streams_are_forgiven_for_those_that_go_well) {
    begin();
    for (uint32_t i = 0; i < 600; i += 2) {
        headers(2 * i + 1, END_STREAM, GET);
        frame_of(WINDOW_UPDATE, 2 * i + 1, 0x7fffffff);
        headers(2 * i + 3, END_STREAM, GET);
        CHECK_EQ(say(), WF_OK);
        hear();
        wf_h2_event event;
        while (wf_h2_next(h2, &event) == WF_OK)
            if (event.kind == WF_H2_EOF)
                answer(event.stream, "HTTP/1.1 204 No Content\r\n\r\n");
        hear();
    }
    CHECK_EQ(goaway, NONE);
    end();
}

/* Before it has agreed to the limit it could not know it. */
TEST(streams_over_the_limit_are_refused) {
    for (int agreed = 0; agreed < 2; agreed++) {
        begin();
        if (agreed)
            frame(SETTINGS, ACK, 0, NULL, 0);
        for (uint32_t i = 0; i < STREAMS_MAX + 20; i++)
            headers(2 * i + 1, END_STREAM, GET);
        say();
        CHECK_EQ(told(), STREAMS_MAX);
        hear();
        CHECK_EQ(refused, agreed ? 0 : 20);
        CHECK_EQ(goaway, agreed ? NGHTTP2_PROTOCOL_ERROR : NONE);
        end();
    }
}

TEST(a_head_in_nine_parts_is_one_whatever_the_cuts) {
    uint8_t bytes[256];
    size_t len = block(bytes, GET "x y\n");
    CHECK(len > 30);
    for (size_t step = 1; step < 40; step += 4) {
        begin();
        frame(HEADERS, END_STREAM, 1, bytes, 1);
        for (size_t i = 0; i < 8; i++)
            frame(CONTINUATION, i == 7 ? END_HEADERS : 0, 1, bytes + 1 + i, i == 7 ? len - 8 : 1);
        say_in_steps(step);
        CHECK_EQ(goaway, NONE);
        CHECK_EQ(told(), 1);
        end();
    }
}

TEST(a_stream_that_is_not_read_from_holds_its_window_and_no_more) {
    static const uint8_t much[16384];
    begin();
    headers(1, 0, WEBSOCKET);
    CHECK_EQ(say(), WF_OK);
    wf_h2_stream_pause(next_is(WF_H2_OPENED));
    for (int i = 0; i < 5; i++)
        frame(DATA, 0, 1, much, sizeof much);
    say();
    hear();
    CHECK(reset == NGHTTP2_FLOW_CONTROL_ERROR || goaway == NGHTTP2_FLOW_CONTROL_ERROR);
    CHECK(wf_h2_memory(h2) <= 5 * sizeof much);
    end();
}

TEST(bytes_that_come_one_by_one_are_held_as_bytes) {
    static const char *const heads[] = {POST, POST "content-length 100000\n", WEBSOCKET};
    for (size_t i = 0; i < 3; i++) {
        begin();
        headers(1, 0, heads[i]);
        CHECK_EQ(say(), WF_OK);
        wf_h2_stream_pause(next_is(WF_H2_OPENED));
        size_t before = wf_h2_memory(h2);
        for (int part = 0; part < 6; part++) {
            for (int n = 0; n < 10000; n++)
                frame(DATA, 0, 1, "x", 1);
            CHECK_EQ(say(), WF_OK);
        }
        CHECK(wf_h2_memory(h2) >= before + 60000 && wf_h2_memory(h2) <= before + 60000 + 16);
        end();
    }
}

TEST(a_peer_that_takes_nothing_has_us_hold_little) {
    static char much[200000];
    begin();
    setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    CHECK_EQ(say(), WF_OK);
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        headers(2 * i + 1, END_STREAM, GET);
        CHECK_EQ(say(), WF_OK);
        wf_h2_stream *s = next_is(WF_H2_OPENED);
        next_is(WF_H2_RECEIVED);
        next_is(WF_H2_EOF);
        answer(s, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
        struct iovec range = {much, sizeof much};
        CHECK_EQ(wf_h2_stream_send(s, &range, 1), 65536);
        CHECK_EQ(wf_h2_stream_send(s, &range, 1), 0);
        hear();
        wf_h2_event event;
        CHECK_EQ(wf_h2_next(h2, &event), WF_WANT_INPUT);
    }
    CHECK(wf_h2_memory(h2) <= STREAMS_MAX * 65536);
    end();
}

/* One entry of 4 KB in the table, and a byte for each time it is named. */
TEST(a_head_of_references_is_bounded_by_what_they_stand_for) {
    uint8_t bytes[16000], value[3900];
    memset(value, 'v', sizeof value);
    begin();
    size_t at = block(bytes, GET);
    memcpy(bytes + at, "\x40\1x\x7f\xbd\x1d", 6); /* indexed: x, and a length of 127 + 0x3d + (0x1d << 7) */
    memcpy(bytes + at + 6, value, 3900);
    at += 6 + 127 + 0x3d + (0x1d << 7);
    memset(bytes + at, 0x80 | 62, sizeof bytes - at);
    size_t before = mallinfo2().uordblks;
    frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes, sizeof bytes);
    CHECK_EQ(say(), WF_OK);
    CHECK(mallinfo2().uordblks < before + 64 * 1024);
    hear();
    CHECK_EQ(reset, NGHTTP2_INTERNAL_ERROR);
    CHECK_EQ(told(), 0);
    headers(3, END_STREAM, GET);
    CHECK_EQ(say(), WF_OK);
    CHECK_EQ(told(), 1);
    end();
}

TEST(priorities_and_unknown_frames_leave_nothing_behind) {
    begin();
    size_t before = mallinfo2().uordblks;
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            uint8_t payload[5] = {0, 0, (uint8_t)(i >> 7), (uint8_t)(2 * i + 1), 16};
            frame(PRIORITY, 0, 100000 + 2 * i + 1, payload, sizeof payload);
            frame(UNKNOWN, 0xff, i, "anything", 8);
        }
        CHECK_EQ(say(), WF_OK);
        hear();
    }
    CHECK(mallinfo2().uordblks < before + 32 * 1024);
    CHECK_EQ(goaway, NONE);
    headers(1, END_STREAM, GET);
    CHECK_EQ(say(), WF_OK);
    CHECK_EQ(told(), 1);
    end();
}

TEST(pings_of_a_peer_that_reads_are_answered_without_end) {
    begin();
    acks = 0;
    for (int i = 0; i < 5000; i++) {
        frame(PING, 0, 0, "12345678", 8);
        CHECK_EQ(say(), WF_OK);
        hear();
    }
    CHECK_EQ(acks, 5000);
    CHECK_EQ(goaway, NONE);
    end();
}
