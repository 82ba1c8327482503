/*
 * The end of a server: drained gently over a while, or stopped at once.
 */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { MANY = 20 };
static client c, many[MANY];

static _Atomic(weft_request *) kept;

static void keep(weft_request *request, void *user) {
    (void)user;
    atomic_store(&kept, weft_request_ref(request));
    diary("kept");
}

static void count_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn;
    (void)user;
    diary("closed %d%s", info->code, info->clean ? " clean" : "");
}

static void begin(uint32_t workers) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 256, .workers = workers});
    fixture_route("/", &(weft_route) {.message = fixture_on_message, .closed = count_closed});
    fixture_route("/later", &(weft_route) {.upgrade = keep, .request = keep});
    fixture_run(NULL);
}

static void join_topic(weft_conn *conn, const weft_request *request, void *user) {
    (void)request, (void)user;
    if (weft_conn_subscribe(conn, "t", 0) != WEFT_OK)
        diary("subscribe failed");
}

static uint32_t subscribers(void) {
    size_t count;
    weft_topic_info *topics = weft_server_topics(fixture.server, "t", &count);
    uint32_t found = count > 0 ? topics[0].subscribers : 0;
    weft_topics_free(topics);
    return found;
}

TEST(what_was_published_before_a_drain_comes_before_the_close) {
    enum { ROUNDS = 40, READERS = 12 };
    for (int round = 0; round < ROUNDS; round++) {
        test_context("round %d", round);
        fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .workers = 4});
        fixture_route("/", &(weft_route) {.open = join_topic});
        fixture_run(NULL);
        for (int i = 0; i < READERS; i++)
            CHECK_EQ(client_open(&many[i], fixture.address, "/", NULL), 101);
        EVENTUALLY(subscribers() == READERS);
        CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, "last words", 10), WEFT_OK);
        weft_server_drain(fixture.server, 1001, 0);
        for (int i = 0; i < READERS; i++) {
            CHECK_STR(client_next(&many[i]), "text last words");
            CHECK_STR(client_next(&many[i]), "close 1001 server is going away");
            client_close(&many[i]);
        }
        CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
    test_context("%s", "");
}

TEST(a_drain_closes_everyone_spread_over_the_time) {
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        test_context("%u workers", workers);
        begin(workers);
        for (int i = 0; i < MANY; i++)
            CHECK_EQ(client_open(&many[i], fixture.address, "/", NULL), 101);
        EVENTUALLY(fixture_stats().websockets == MANY);
        uint64_t since = client_now_ms(), first = 0, last = 0;
        weft_server_drain(fixture.server, 1001, 600);
        bool done[MANY] = {false};
        for (int left = MANY; left > 0 && client_now_ms() - since < 5000;) {
            for (int i = 0; i < MANY; i++) {
                if (done[i] || strcmp(client_next_within(&many[i], 0), "timeout") == 0)
                    continue;
                CHECK_STR(many[i].words, "close 1001 server is going away");
                last = client_now_ms() - since;
                first = left == MANY ? last : first;
                if (left == MANY / 2)
                    CHECK(last > 150 && last < 500);
                CHECK(client_say_close(&many[i], 1001, NULL));
                CHECK_STR(client_next(&many[i]), "eof");
                done[i] = true;
                left--;
            }
            client_sleep_ms(2);
        }
        CHECK(first < 150 && last > 400 && last < 1500);
        CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
        CHECK(!client_connect(&c, fixture.address, 0)); /* nobody listens any more */
        for (int i = 0; i < MANY; i++) {
            CHECK_STR(diary_next(), "closed 1001 clean");
            client_close(&many[i]);
        }
        CHECK_EQ(fixture_stats().closes[1], MANY);
        CHECK_EQ(fixture_stats().connections, 0);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
    test_context("%s", "");
}

enum { TOPICS = 16 };

static void join_all(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    char topic[8];
    for (int i = 0; i < TOPICS; i++) {
        snprintf(topic, sizeof topic, "t%d", i);
        weft_conn_subscribe(conn, topic, 0);
    }
    diary("%lx", (unsigned long)pthread_self());
}

TEST(messages_reach_the_last_connection_although_other_workers_have_none_left) {
    char first[32], topic[8];
    int here[MANY], count = 0;
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 256, .workers = 2});
    fixture_route("/", &(weft_route) {.open = join_all});
    fixture_run(NULL);
    for (int i = 0; i < MANY; i++) { /* those of the first one's worker stay */
        CHECK_EQ(client_open(&many[i], fixture.address, "/", NULL), 101);
        const char *worker = diary_next();
        if (i == 0)
            snprintf(first, sizeof first, "%s", worker);
        if (strcmp(worker, first) == 0)
            here[count++] = i;
        else
            client_close(&many[i]);
    }
    CHECK(count > 2 && count < MANY);
    EVENTUALLY(fixture_stats().connections == (unsigned)count);
    weft_server_drain(fixture.server, 1001, 1000);
    client_sleep_ms(100);
    client *last = &many[here[count - 1]];
    for (int i = 0; i < TOPICS; i++) { /* some of them have their home on the other worker */
        snprintf(topic, sizeof topic, "t%d", i);
        CHECK_EQ(weft_publish(fixture.server, topic, WEFT_TEXT, topic, strlen(topic)), WEFT_OK);
    }
    for (int i = 0; i < TOPICS; i++)
        CHECK_EQ(strncmp(client_next(last), "text t", 6), 0);
    CHECK_STR(client_next(last), "close 1001 server is going away");
    for (int i = 0; i < count; i++)
        client_close(&many[here[i]]);
    CHECK_EQ(fixture_wait(2000), WEFT_OK);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(newcomers_are_refused_as_soon_as_a_drain_begins) {
    begin(1);
    CHECK_EQ(client_open(&many[0], fixture.address, "/", NULL), 101);
    CHECK(client_connect(&many[1], fixture.address, 0)); /* in, but without a word yet */
    CHECK(client_print(&many[1], "GET / HTTP/1.1\r\nHost: h\r\n"));
    CHECK(client_connect(&many[2], fixture.address, 0));
    EVENTUALLY(fixture_stats().connections == 3);
    client_sleep_ms(20);
    weft_server_drain(fixture.server, 1012, 300);
    client_sleep_ms(50);
    CHECK(!client_connect(&c, fixture.address, 0));
    CHECK(client_print(&many[1], "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    CHECK_EQ(client_answer(&many[1]), 503);
    CHECK_STR(client_header(&many[1], "Retry-After"), "5");
    CHECK_STR(client_next(&many[0]), "close 1012 server restarts");
    CHECK(client_say_close(&many[0], 1012, NULL));
    CHECK(client_ended(&many[2], CLIENT_PATIENCE_MS)); /* idle HTTP just ends */
    client_close(&many[1]);
    CHECK_EQ(fixture_wait(2000), WEFT_OK);
    client_close(&many[0]);
    client_close(&many[2]);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_request_that_waits_gets_its_answer_during_a_drain) {
    begin(1);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/later", NULL, false));
    CHECK_STR(diary_next(), "kept");
    weft_server_drain(fixture.server, 1001, 10);
    client_sleep_ms(100);
    CHECK_EQ(weft_request_reply(kept, 200, "text/plain", "in time", 7), WEFT_OK);
    weft_request_unref(kept);
    CHECK_EQ(client_answer(&c), 200);
    CHECK_STR(c.body, "in time");
    CHECK_STR(client_header(&c, "Connection"), "close");
    CHECK_STR(client_next(&c), "eof");
    client_close(&c);
    CHECK_EQ(fixture_wait(2000), WEFT_OK);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_handshake_accepted_late_during_a_drain_is_closed_too) {
    begin(1);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/later", NULL, true));
    CHECK_STR(diary_next(), "kept");
    weft_server_drain(fixture.server, 1001, 10);
    client_sleep_ms(100);
    CHECK_EQ(weft_request_accept(kept, NULL, NULL, 0), WEFT_OK);
    weft_request_unref(kept);
    CHECK_EQ(client_answer(&c), 101);
    CHECK_STR(client_next(&c), "close 1001 server is going away");
    CHECK(client_say_close(&c, 1001, NULL));
    CHECK_EQ(fixture_wait(2000), WEFT_OK);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(who_does_not_answer_the_close_is_cut_and_the_server_ends) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .limits = {.close_timeout_ms = 100}});
    fixture_route("/", &(weft_route) {.closed = count_closed});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    EVENTUALLY(fixture_stats().websockets == 1);
    uint64_t since = client_now_ms();
    weft_server_drain(fixture.server, 1001, 0);
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    CHECK(client_now_ms() - since < 2000);
    CHECK_STR(diary_next(), "closed 1006");
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(an_empty_server_drains_at_once_and_so_does_one_that_never_ran) {
    begin(2);
    uint64_t since = client_now_ms();
    weft_server_drain(fixture.server, 1001, 5000);
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    CHECK(client_now_ms() - since < 1000);
    CHECK_EQ(fixture_end(), WEFT_OK);
    fixture_new(NULL);
    weft_server_drain(fixture.server, 1001, 5000);
    fixture_run(NULL);
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_stop_cuts_everyone_at_once) {
    begin(3);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(client_open(&many[i], fixture.address, "/", NULL), 101);
    EVENTUALLY(fixture_stats().websockets == MANY);
    uint64_t since = client_now_ms();
    weft_server_stop(fixture.server);
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    CHECK(client_now_ms() - since < 1000);
    for (int i = 0; i < MANY; i++) {
        CHECK_STR(diary_next(), "closed 1006");
        CHECK(client_ended(&many[i], CLIENT_PATIENCE_MS));
        client_close(&many[i]);
    }
    CHECK_STR(diary_next_within(0), "nothing");
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void stop_here(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    if (message.len == 4)
        weft_server_stop(weft_conn_server(conn));
    else
        weft_server_drain(weft_conn_server(conn), 1001, 0);
    diary("send %d", weft_conn_send(conn, WEFT_TEXT, "x", 1));
}

TEST(a_callback_may_end_its_server) {
    for (int stop = 0; stop < 2; stop++) {
        fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .workers = 2});
        fixture_route("/", &(weft_route) {.message = stop_here});
        fixture_run(NULL);
        CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
        CHECK(client_text(&c, stop ? "stop" : "drain"));
        CHECK_STR(diary_next(), "send 0");
        if (!stop) {
            CHECK_STR(client_next(&c), "text x");
            CHECK_STR(client_next(&c), "close 1001 server is going away");
            CHECK(client_say_close(&c, 1001, NULL));
        }
        CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
        client_close(&c);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
}

static void on_signal(int number) {
    (void)number;
    weft_server_drain(fixture.server, 1001, 0);
}

TEST(a_signal_handler_may_drain) {
    begin(2);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    signal(SIGUSR1, on_signal);
    kill(getpid(), SIGUSR1);
    CHECK_STR(client_next(&c), "close 1001 server is going away");
    CHECK(client_say_close(&c, 1001, NULL));
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    signal(SIGUSR1, SIG_DFL);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}
