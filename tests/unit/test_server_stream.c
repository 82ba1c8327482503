/*
 * Answers that go on, at a server: from a request to `closed`, by topics and handles, in each version of HTTP.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static client c;
static _Atomic weft_handle last_handle;
static _Atomic(weft_request *) parked;

static void on_request(weft_request *request, void *user) {
    (void)user;
    weft_header headers[] = {{"Content-Type", "text/event-stream"}};
    weft_request_set_user(request, (void *)"mine");
    weft_text query = weft_request_query(request);
    if (query.len == 5 && memcmp(query.data, "wrong", 5) == 0) {
        weft_header te = {"transfer-encoding", "gzip"}, split = {"X", "a\r\nb"}, length = {"Content-Length", "1"};
        diary("wrong %d %d %d %d %d %d", weft_request_stream(request, 204, NULL, 0),
              weft_request_stream(request, 101, NULL, 0), weft_request_stream(request, 600, NULL, 0),
              weft_request_stream(request, 200, &te, 1), weft_request_stream(request, 200, &split, 1),
              weft_request_stream(request, 200, &length, 1));
    }
    if (query.len == 5 && memcmp(query.data, "later", 5) == 0) {
        atomic_store(&parked, weft_request_ref(request));
        return;
    }
    int got = weft_request_stream(request, 200, headers, 1);
    if (got != WEFT_OK || weft_request_stream(request, 200, headers, 1) != WEFT_ECLOSED)
        diary("stream %d", got);
}

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)user;
    atomic_store(&last_handle, weft_conn_handle(conn));
    diary("open %s %s %.*s", weft_conn_is_stream(conn) ? "stream" : "websocket", (char *)weft_conn_user(conn),
          (int)weft_request_method(request).len, weft_request_method(request).data);
    diary("subscribe %d ping %d", weft_conn_subscribe(conn, "t", 1), weft_conn_ping(conn));
    weft_conn_send(conn, WEFT_TEXT, "hello", 5);
}

static void on_lost(void *accepted, void *user) {
    (void)user;
    diary("lost %s", (char *)accepted);
}

static void begin(const weft_limits *limits, uint32_t workers) {
    fixture_new(
        &(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .workers = workers, .http2 = WEFT_HTTP2_CLEAR});
    CHECK_EQ(weft_server_history(fixture.server, "t", 5, 1000), WEFT_OK);
    fixture_route("/s", &(weft_route) {.request = on_request,
                                       .open = on_open,
                                       .message = fixture_on_message,
                                       .closed = fixture_on_closed,
                                       .lost = on_lost,
                                       .limits = limits ? *limits : (weft_limits) {0}});
    fixture_route("/page", &(weft_route) {.request = on_request});
    fixture_run(NULL);
}

static void end(void) {
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* What has come until it says `last`. */
static const char *reads_until(const char *last) {
    static char text[8192];
    size_t len = 0, last_len = strlen(last);
    uint64_t until = client_now_ms() + CLIENT_PATIENCE_MS;
    len = c.len - c.used;
    memcpy(text, c.in + c.used, len);
    c.used = c.len;
    while (client_now_ms() < until && (len < last_len || memcmp(text + len - last_len, last, last_len) != 0)) {
        ssize_t got = read(c.fd, text + len, sizeof text - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    text[len] = '\0';
    return text;
}

static int ask(const char *method, const char *path, int minor) {
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "%s %s HTTP/1.%d\r\nHost: a\r\n\r\n", method, path, minor));
    return client_answer(&c);
}

TEST(a_stream_is_a_conn) {
    for (uint32_t workers = 1; workers <= 2; workers++) {
        begin(NULL, workers);
        CHECK_EQ(ask("GET", "/s", 1), 200);
        CHECK_STR(client_header(&c, "Transfer-Encoding"), "chunked");
        CHECK_STR(client_header(&c, "Connection"), "close");
        CHECK_STR(client_header(&c, "Content-Type"), "text/event-stream");
        CHECK_STR(diary_next(), "open stream mine GET");
        CHECK_STR(diary_next(), "subscribe 0 ping -3");
        CHECK_STR(reads_until("lo\r\n"), "5\r\nhello\r\n");
        CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, "to all", 6), WEFT_OK);
        CHECK_STR(reads_until("all\r\n"), "6\r\nto all\r\n");
        CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT_PLAIN, "plain", 5), WEFT_OK);
        CHECK_STR(reads_until("plain\r\n"), "5\r\nplain\r\n");
        CHECK_EQ(weft_handle_send(fixture.server, last_handle, WEFT_BINARY, "to you", 6), WEFT_OK);
        CHECK_STR(reads_until("you\r\n"), "6\r\nto you\r\n");
        CHECK_EQ(fixture_stats().streams, 1);
        CHECK_EQ(fixture_stats().websockets, 0);
        CHECK_EQ(fixture_stats().requests, 1);
        CHECK_EQ(weft_handle_close(fixture.server, last_handle, 4000, "done"), WEFT_OK);
        CHECK_STR(reads_until("0\r\n\r\n"), "0\r\n\r\n");
        CHECK_STR(client_next(&c), "eof");
        client_close(&c);
        CHECK_STR(diary_next(), "closed 4000 clean");
        EVENTUALLY(fixture_stats().streams == 0 && fixture_stats().connections == 0);
        CHECK_EQ(weft_handle_send(fixture.server, last_handle, WEFT_TEXT, "x", 1), WEFT_ESTALE);
        end();
    }
}

TEST(the_past_comes_first) {
    begin(NULL, 1);
    CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, "before", 6), WEFT_OK);
    CHECK_EQ(ask("GET", "/s", 1), 200);
    CHECK_STR(reads_until("hello\r\n"), "6\r\nbefore\r\n5\r\nhello\r\n");
    end();
}

TEST(what_cannot_be_streamed_is_refused) {
    begin(NULL, 1);
    CHECK_EQ(ask("GET", "/s?wrong", 1), 200);
    CHECK_STR(diary_next(), "wrong -3 -3 -3 -3 -3 -3");
    end();
}

TEST(http_1_0_and_head) {
    begin(NULL, 1);
    CHECK_EQ(ask("GET", "/s", 0), 200);
    CHECK_STR(client_header(&c, "Transfer-Encoding"), "");
    CHECK_STR(diary_next(), "open stream mine GET");
    CHECK_STR(diary_next(), "subscribe 0 ping -3");
    CHECK_STR(reads_until("hello"), "hello");
    CHECK_EQ(weft_handle_close(fixture.server, last_handle, 1000, NULL), WEFT_OK);
    CHECK_STR(client_next(&c), "eof");
    client_close(&c);
    CHECK_STR(diary_next(), "closed 1000 clean");
    CHECK_EQ(ask("HEAD", "/s", 1), 200);
    CHECK_STR(client_header(&c, "Transfer-Encoding"), "");
    CHECK_STR(diary_next(), "open stream mine HEAD");
    CHECK_STR(diary_next(), "subscribe -4 ping -3");
    CHECK_STR(client_next(&c), "eof");
    client_close(&c);
    CHECK_STR(diary_next(), "closed 1000 clean");
    end();
}

TEST(a_stream_given_later_from_elsewhere) {
    begin(NULL, 1);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "GET /s?later HTTP/1.1\r\nHost: a\r\n\r\nGET /s HTTP/1.1\r\nHost: early\r\n\r\n"));
    EVENTUALLY(atomic_load(&parked));
    CHECK_EQ(weft_request_stream(parked, 200, NULL, 0), WEFT_OK);
    CHECK_EQ(weft_request_stream(parked, 200, NULL, 0), WEFT_ECLOSED);
    weft_request_unref(atomic_exchange(&parked, NULL));
    CHECK_EQ(client_answer(&c), 200);
    CHECK_STR(diary_next(), "open stream mine GET");
    CHECK_STR(diary_next(), "subscribe 0 ping -3");
    CHECK_STR(reads_until("hello\r\n"), "5\r\nhello\r\n");
    client_reset(&c);
    CHECK_EQ(strncmp(diary_next(), "closed 1006", 11), 0);
    end();
}

TEST(the_client_leaves) {
    begin(NULL, 1);
    CHECK_EQ(ask("GET", "/s", 1), 200);
    CHECK_STR(diary_next(), "open stream mine GET");
    CHECK_STR(diary_next(), "subscribe 0 ping -3");
    client_close(&c);
    CHECK_STR(diary_next(), "closed 1006 peer the client left");
    end();
}

TEST(a_drain_ends_it_whole) {
    begin(NULL, 2);
    CHECK_EQ(ask("GET", "/s", 1), 200);
    CHECK_STR(diary_next(), "open stream mine GET");
    CHECK_STR(diary_next(), "subscribe 0 ping -3");
    weft_server_drain(fixture.server, 1001, 50);
    CHECK_STR(reads_until("0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    CHECK_STR(diary_next(), "closed 1001 clean");
    client_close(&c);
    CHECK_EQ(fixture_wait(8000), WEFT_OK);
    end();
}

TEST(who_reads_too_slowly_is_cut) {
    static char text[4000];
    memset(text, 'x', sizeof text);
    begin(&(weft_limits) {.queue_bytes_max = 20000}, 1);
    CHECK(client_connect(&c, fixture.address, 4096));
    CHECK(client_print(&c, "GET /s HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQ(client_answer(&c), 200);
    CHECK_STR(diary_next(), "open stream mine GET");
    CHECK_STR(diary_next(), "subscribe 0 ping -3");
    for (int i = 0; i < 5000 && fixture_stats().streams == 1; i++)
        CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, text, sizeof text), WEFT_OK);
    CHECK_STR(diary_next(), "closed 1008 subscriber reads too slowly: queue_bytes_max");
    end();
}
