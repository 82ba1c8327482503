/*
 * Memory: an echo takes none, and a server survives every allocation failing in its turn.
 */
#include "fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static client c, other;

static int descriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return -1;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

TEST(ten_thousand_echoes_take_no_memory) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    for (int i = 0; i < 200; i++) {
        CHECK(client_text(&c, "warm up"));
        CHECK_STR(client_next(&c), "text warm up");
    }
    test_mem_fail_at(0);
    for (int i = 0; i < 10000; i++) {
        CHECK(client_text(&c, "hello"));
        CHECK_STR(client_next(&c), "text hello");
    }
    CHECK_EQ(test_mem_calls(), 0);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(an_idle_connection_owns_no_buffers) {
    enum { IDLE = 50 };
    static client idle[IDLE];
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK(client_text(&c, "x"));
    CHECK_STR(client_next(&c), "text x");
    size_t before = test_mem_bytes(), blocks = test_mem_live();
    for (int i = 0; i < IDLE; i++) {
        CHECK_EQ(client_open(&idle[i], fixture.address, "/", NULL), 101);
        CHECK(client_text(&idle[i], "x"));
        CHECK_STR(client_next(&idle[i]), "text x");
    }
    EVENTUALLY(test_mem_live() == blocks); /* the page that the first one is in has room for 63 more */
    CHECK_EQ(test_mem_bytes(), before);
    CHECK_EQ(fixture_stats().memory_bytes, 0);
    for (int i = 0; i < IDLE; i++)
        client_close(&idle[i]);
    EVENTUALLY(test_mem_live() == blocks);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- setting up and taking down ---- */

static void join(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    weft_conn_subscribe(conn, "t", 10);
}

/* What a program does from new to free; stops where something is refused. */
static bool whole_life(weft_server **server) {
    *server = weft_server_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 32, .workers = 2});
    if (!*server)
        return false;
    weft_route routes[] = {{WEFT_ROUTE_INIT, .path = "/", .open = join},
                           {WEFT_ROUTE_INIT, .path = "/a/*", .open = join},
                           {WEFT_ROUTE_INIT, .path = "/b", .open = join}};
    for (int i = 0; i < 3; i++)
        if (weft_server_route(*server, &routes[i]) != WEFT_OK)
            return false;
    if (weft_server_history(*server, "t", 10, 1000) != WEFT_OK || weft_server_history(*server, "", 1, 10) != WEFT_OK ||
        weft_server_listen(*server, "127.0.0.1:0") != WEFT_OK || weft_server_listen(*server, "127.0.0.1:0") != WEFT_OK)
        return false;
    bool published = weft_publish(*server, "t", WEFT_TEXT, "x", 1) == WEFT_OK;
    weft_server_drain(*server, 1001, 0);
    int ran = weft_server_run(*server);
    return published && ran == WEFT_OK;
}

TEST(every_allocation_of_a_whole_life_may_fail) {
    int fds = descriptors();
    bool whole = false;
    for (size_t n = 1; !whole && n < 1000; n++) {
        test_context("allocation %zu fails", n);
        weft_server *server = NULL;
        test_mem_fail_at(n);
        whole_life(&server);
        whole = test_mem_calls() < n; /* nothing failed any more */
        test_mem_fail_at(0);
        weft_server_free(server);
        CHECK_EQ(test_mem_live(), 0);
        CHECK_EQ(descriptors(), fds);
    }
    test_context("%s", "");
    CHECK(whole);
}

/* ---- one connection's life, beside another that goes on ---- */

static atomic_int opens, closes;

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    atomic_fetch_add(&opens, 1);
    join(conn, request, user);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    if (message.len > 0 && *message.data == '!') {
        weft_conn_publish(conn, "t", message.kind, message.data, message.len);
        weft_handle_send(weft_conn_server(conn), weft_conn_handle(conn), WEFT_TEXT, "handle", 6);
    }
    if (weft_conn_send(conn, message.kind, message.data, message.len) == WEFT_ENOMEM)
        weft_conn_close(conn, 1011, "out of memory");
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn;
    (void)info;
    (void)user;
    atomic_fetch_add(&closes, 1);
}

static atomic_int accepts;

static void accept_now(weft_request *request, void *user) {
    (void)user;
    if (weft_request_accept(request, NULL, NULL, 0) == WEFT_OK)
        atomic_fetch_add(&accepts, 1);
    else
        weft_request_reply(request, 503, NULL, NULL, 0);
}

static _Atomic(weft_request *) kept;

static void keep(weft_request *request, void *user) {
    (void)user;
    atomic_store(&kept, weft_request_ref(request));
}

/* Takes what the server makes of it, to the end; never waits long. */
static void one_life(const char *path) {
    static char big[9000];
    uint8_t ping[32];
    size_t len = client_encode(ping, 0x89, "ping", 4);
    if (!client_connect(&c, fixture.address, 0))
        return;
    bool sent = client_ask(&c, path, NULL, true);
    if (sent && strcmp(path, "/later") == 0) {
        weft_request *request = NULL;
        for (int i = 0; i < 100 && !(request = atomic_exchange(&kept, NULL)); i++)
            client_sleep_ms(1);
        if (request && weft_request_accept(request, NULL, NULL, 0) == WEFT_ENOMEM)
            weft_request_reply(request, 503, NULL, NULL, 0);
        weft_request_unref(request);
    }
    if (sent && client_answer(&c) == 101) {
        client_text(&c, "!published");
        client_next_within(&c, 20);
        client_next_within(&c, 5);
        client_frame(&c, 0x01, "frag", 4);
        client_send(&c, ping, 3); /* cut: the rest comes in the next segment */
        client_sleep_ms(2);
        client_send(&c, ping + 3, len - 3);
        client_frame(&c, 0x80, big, sizeof big);
        for (int i = 0; i < 3; i++)
            client_next_within(&c, 5);
        client_say_close(&c, 1000, "done");
    }
    client_shutdown(&c);
    client_ended(&c, 200);
    client_close(&c);
}

static void survive(const char *path) {
    bool whole = false;
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 32, .answer_timeout_ms = 300});
    CHECK_EQ(weft_server_history(fixture.server, "t", 3, 1000), WEFT_OK);
    fixture_route("/", &(weft_route) {.open = on_open, .message = on_message, .closed = on_closed});
    fixture_route("/now",
                  &(weft_route) {.upgrade = accept_now, .open = on_open, .message = on_message, .closed = on_closed});
    fixture_route("/later",
                  &(weft_route) {.upgrade = keep, .open = on_open, .message = on_message, .closed = on_closed});
    fixture_route("/witness", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    CHECK_EQ(client_open(&other, fixture.address, "/witness", NULL), 101);
    int fds = descriptors();
    size_t failed = 0;
    for (size_t n = 1; !whole && n < 200; n++) {
        test_context("%s, allocation %zu fails", path, n);
        atomic_store(&opens, 0);
        atomic_store(&closes, 0);
        atomic_store(&accepts, 0);
        test_mem_fail_at(n);
        one_life(path);
        whole = test_mem_calls() < n;
        failed += !whole;
        test_mem_fail_at(0);
        EVENTUALLY(fixture_stats().connections == 1);
        CHECK_EQ(opens, closes);
        if (strcmp(path, "/now") == 0)
            CHECK_EQ(accepts, opens); /* what the application gave the connection is always given back */
        CHECK(client_text(&other, "I am well"));
        CHECK_STR(client_next(&other), "text I am well");
        EVENTUALLY(descriptors() == fds);
    }
    test_context("%s", "");
    CHECK(whole && failed > 10);
    client_close(&other);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(every_allocation_of_one_connection_may_fail_and_the_others_go_on) {
    survive("/");
}

TEST(an_accept_that_was_ok_is_always_followed_by_open_and_closed) {
    survive("/now");
}

TEST(every_allocation_around_a_late_answer_may_fail_too) {
    survive("/later");
}

static weft_conn *victim;

static void choose(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    if (!victim)
        victim = conn;
}

static void close_victim(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    (void)message;
    static char chunk[3500];
    for (int i = 0; i < 20; i++) /* the pool of chunks is used up */
        weft_conn_send(conn, WEFT_BINARY, chunk, sizeof chunk);
    test_mem_fail_at(1); /* the chunk that the close frame needs */
    diary("close %d", weft_conn_close(victim, 1000, NULL));
    diary("again %d", weft_conn_close(victim, 1000, NULL));
    test_mem_fail_at(0);
}

TEST(a_close_frame_that_finds_no_memory_ends_the_connection_all_the_same) {
    victim = NULL;
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.open = choose, .message = close_victim, .closed = fixture_on_closed});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    EVENTUALLY(fixture_stats().websockets == 1);
    CHECK_EQ(client_open(&other, fixture.address, "/", NULL), 101);
    CHECK(client_text(&other, "now"));
    CHECK_STR(diary_next(), "close 0");
    CHECK_STR(diary_next(), "again -4");
    CHECK_STR(diary_next_within(500), "closed 1006 out of memory");
    client_close(&other);
    client_close(&c);
    CHECK_EQ(strncmp(diary_next(), "closed 1006", 11), 0);
    EVENTUALLY(fixture_stats().connections == 0);
    CHECK_EQ(fixture_end(), WEFT_OK);
}
