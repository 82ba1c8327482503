/*
 * Topics on one worker: joining, the past, who reads too slowly, and handles from outside.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static client a, b;
static _Atomic weft_handle last_handle;

/* Orders: "+topic" joins, "-topic" leaves, "!topic text" publishes to the others, "*topic text" to all,
 * "rTopic" joins with a replay of 3; everything is written to the diary. */
static void obey(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    char order[300], topic[260] = "", text[64] = "";
    snprintf(order, sizeof order, "%.*s", (int)message.len, (const char *)message.data);
    sscanf(order + 1, "%259s %60[^\n]", topic, text);
    int got = 99;
    if (order[0] == '+')
        got = weft_conn_subscribe(conn, topic, 0);
    else if (order[0] == 'r')
        got = weft_conn_subscribe(conn, topic, 3);
    else if (order[0] == '-')
        got = weft_conn_unsubscribe(conn, topic);
    else if (order[0] == '!')
        got = weft_conn_publish(conn, topic, WEFT_TEXT, text, strlen(text));
    else if (order[0] == '*')
        got = weft_publish(weft_conn_server(conn), topic, WEFT_TEXT, text, strlen(text));
    diary("%.20s %d", order, got);
}

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    atomic_store(&last_handle, weft_conn_handle(conn));
    diary("open");
}

static void begin(const weft_limits *limits) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64});
    CHECK_EQ(weft_server_history(fixture.server, "past/", 5, 1000), WEFT_OK);
    CHECK_EQ(weft_server_history(fixture.server, NULL, 5, 1000), WEFT_EINVAL);
    fixture_route("/", &(weft_route) {.open = on_open,
                                      .message = obey,
                                      .closed = fixture_on_closed,
                                      .limits = limits ? *limits : (weft_limits) {0}});
}

static void order(client *who, const char *what, int expected) {
    char line[64];
    CHECK(client_text(who, what));
    snprintf(line, sizeof line, "%.20s %d", what, expected);
    CHECK_STR(diary_next(), line);
}

static void join(client *who) {
    CHECK_EQ(client_open(who, fixture.address, "/", NULL), 101);
    CHECK_STR(diary_next(), "open");
}

static void end(void) {
    client_close(&a);
    client_close(&b);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_topic_reaches_whoever_is_in_it) {
    begin(NULL);
    fixture_run(NULL);
    join(&a);
    join(&b);
    order(&a, "+t", 0);
    order(&a, "+t", 0); /* twice is once */
    order(&b, "+t", 0);
    order(&a, "!t others", 0);
    CHECK_STR(client_next(&b), "text others");
    order(&a, "*t all", 0);
    CHECK_STR(client_next(&a), "text all");
    CHECK_STR(client_next(&b), "text all");
    order(&b, "-t", 0);
    order(&b, "-t", 0);
    order(&b, "-never", 0);
    order(&b, "!t still", 0); /* who is not in it may publish too */
    CHECK_STR(client_next(&a), "text still");
    CHECK_STR(client_next_within(&b, 20), "timeout");
    order(&a, "*nobody x", 0);
    weft_stats stats = fixture_stats();
    CHECK_EQ(stats.published, 4);
    CHECK_EQ(stats.delivered, 4);
    end();
}

TEST(one_may_be_left_out_from_outside) {
    begin(NULL);
    fixture_run(NULL);
    join(&a);
    weft_handle of_a = atomic_load(&last_handle);
    join(&b);
    order(&a, "+t", 0);
    order(&b, "+t", 0);
    CHECK_EQ(weft_publish_except(fixture.server, "t", WEFT_TEXT, "b", 1, of_a), WEFT_OK);
    CHECK_EQ(weft_publish_except(fixture.server, "t", WEFT_TEXT, "all", 3, 0), WEFT_OK);
    CHECK_STR(client_next(&b), "text b");
    CHECK_STR(client_next(&b), "text all");
    CHECK_STR(client_next(&a), "text all");
    end();
}

TEST(names_are_1_to_255_bytes_and_their_number_is_limited) {
    char long_name[260] = "+";
    begin(&(weft_limits) {.topics_max = 2});
    fixture_run(NULL);
    join(&a);
    memset(long_name + 1, 'n', 255);
    order(&a, long_name, 0);
    memset(long_name + 1, 'm', 256);
    order(&a, long_name, WEFT_EINVAL);
    order(&a, "+second", 0);
    order(&a, "+third", WEFT_ELIMIT);
    order(&a, "+second", 0);
    order(&a, "-second", 0);
    order(&a, "+third", 0);
    CHECK_EQ(weft_publish(fixture.server, "", WEFT_TEXT, "x", 1), WEFT_EINVAL);
    CHECK_EQ(weft_publish(fixture.server, long_name + 1, WEFT_TEXT, "x", 1), WEFT_EINVAL);
    CHECK_EQ(weft_publish(fixture.server, "t", (weft_kind)3, "x", 1), WEFT_EINVAL);
    end();
}

TEST(the_past_comes_first_with_no_gap_and_no_repeat) {
    begin(NULL);
    char text[16];
    for (int i = 0; i < 9; i++) { /* before run: kept until there is somebody to do it */
        snprintf(text, sizeof text, "m%d", i);
        CHECK_EQ(weft_publish(fixture.server, i % 3 ? "past/x" : "nopast/x", WEFT_TEXT, text, 2), WEFT_OK);
    }
    fixture_run(NULL);
    join(&a);
    order(&a, "rpast/x", 0); /* m1 m2 m4 m5 m7 m8: the last 3 */
    order(&a, "rpast/x", 0);
    order(&a, "rnopast/x", 0);
    CHECK_EQ(weft_publish(fixture.server, "past/x", WEFT_BINARY, "m9", 2), WEFT_OK);
    CHECK_STR(client_next(&a), "text m5");
    CHECK_STR(client_next(&a), "text m7");
    CHECK_STR(client_next(&a), "text m8");
    CHECK_STR(client_next(&a), "binary m9");
    CHECK_STR(client_next_within(&a, 20), "timeout");
    end();
}

TEST(topics_are_listed_with_their_numbers) {
    begin(NULL);
    fixture_run(NULL);
    join(&a);
    join(&b);
    order(&a, "+list/b", 0);
    order(&b, "+list/b", 0);
    order(&b, "+list/a", 0);
    order(&b, "+other", 0);
    order(&b, "*list/b x", 0);
    order(&b, "*past/c x", 0);
    size_t count = 99;
    weft_topic_info *topics = weft_server_topics(fixture.server, "list/", &count);
    CHECK_EQ(count, 2);
    CHECK_STR(topics[0].name, "list/a");
    CHECK_STR(topics[1].name, "list/b");
    CHECK_EQ(topics[1].subscribers, 2);
    CHECK_EQ(topics[1].messages, 1);
    weft_topics_free(topics);
    topics = weft_server_topics(fixture.server, "", &count);
    CHECK_EQ(count, 4); /* past/c has nobody in it, but a past */
    weft_topics_free(topics);
    CHECK(weft_server_topics(fixture.server, "none", &count) == NULL);
    CHECK_EQ(count, 0);
    weft_topics_free(NULL);
    client_close(&b);
    CHECK_EQ(strncmp(diary_next(), "closed 1006", 11), 0);
    topics = weft_server_topics(fixture.server, "list/", &count);
    CHECK_EQ(count, 1);
    CHECK_EQ(topics[0].subscribers, 1);
    weft_topics_free(topics);
    end();
}

/* ---- slow readers ---- */

enum { QUEUE_BYTES = 200000, PIECE_BYTES = 20000, PIECES = 400 }; /* 8 MB: more than any socket buffers here */

/* Publishes numbered pieces to somebody who does not read. */
static void flood(void) {
    static char piece[PIECE_BYTES];
    memset(piece, '.', sizeof piece);
    for (int i = 0; i < PIECES; i++) {
        snprintf(piece, 8, "%06d", i);
        CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, piece, sizeof piece), WEFT_OK);
        client_sleep_ms(i % 16 ? 0 : 1);
    }
    EVENTUALLY(fixture_stats().published == PIECES);
}

/* Reads what is there; the numbers must rise. Returns how many came, and the last one. */
static int read_pieces(client *who, int *out_last, bool *out_gap_inside) {
    int count = 0, last = -1;
    *out_gap_inside = false;
    while (strncmp(client_next_within(who, 200), "text of 20000", 13) == 0) {
        int number = atoi((const char *)who->data);
        CHECK(number > last);
        if (number != last + 1)
            *out_gap_inside = true;
        last = number;
        count++;
    }
    *out_last = last;
    return count;
}

static void slow_reader(weft_slow_policy policy) {
    begin(&(weft_limits) {.queue_bytes_max = QUEUE_BYTES, .slow_policy = policy});
    fixture_run(NULL);
    CHECK(client_connect(&a, fixture.address, 4096)); /* a small window */
    CHECK(client_ask(&a, "/", NULL, true));
    CHECK_EQ(client_answer(&a), 101);
    CHECK_STR(diary_next(), "open");
    order(&a, "+t", 0);
    flood();
}

TEST(a_slow_reader_is_closed_with_1008) {
    slow_reader(WEFT_SLOW_DEFAULT);
    int last;
    bool gap;
    int count = read_pieces(&a, &last, &gap);
    CHECK(count > 0 && count < PIECES && !gap);
    CHECK_STR(a.words, "close 1008 subscriber reads too slowly: queue_bytes_max");
    CHECK_STR(diary_next(), "closed 1008 subscriber reads too slowly: queue_bytes_max");
    CHECK(fixture_stats().queue_drops > 0);
    end();
}

TEST(the_newest_are_dropped_and_counted) {
    slow_reader(WEFT_SLOW_DROP_NEWEST);
    uint64_t before = fixture_stats().queue_drops;
    CHECK_EQ(weft_handle_send(fixture.server, atomic_load(&last_handle), WEFT_TEXT, "x", 1), WEFT_OK);
    EVENTUALLY(fixture_stats().queue_drops == before + 1); /* what comes by handle fares no better */
    int last;
    bool gap;
    int count = read_pieces(&a, &last, &gap);
    CHECK(count > 0 && count < PIECES);
    CHECK_EQ(fixture_stats().queue_drops, PIECES - count + 1);
    CHECK_EQ(fixture_stats().delivered, count);
    CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, "again", 5), WEFT_OK);
    CHECK_STR(client_next(&a), "text again");
    end();
}

TEST(the_oldest_are_dropped_and_counted) {
    slow_reader(WEFT_SLOW_DROP_OLDEST);
    int last;
    bool gap;
    int count = read_pieces(&a, &last, &gap);
    CHECK(count > 0 && count < PIECES && gap);
    CHECK_EQ(last, PIECES - 1); /* the newest is always there */
    CHECK_EQ(fixture_stats().queue_drops, PIECES - count);
    end();
}

/* ---- handles ---- */

TEST(a_handle_reaches_its_connection_and_no_other) {
    begin(NULL);
    fixture_run(NULL);
    join(&a);
    weft_handle old = atomic_load(&last_handle);
    CHECK(old != 0);
    CHECK_EQ(weft_handle_send(fixture.server, old, WEFT_TEXT, "from outside", 12), WEFT_OK);
    CHECK_STR(client_next(&a), "text from outside");
    CHECK_EQ(weft_handle_send(fixture.server, old, (weft_kind)7, "x", 1), WEFT_EINVAL);
    CHECK_EQ(weft_handle_close(fixture.server, old, 1004, NULL), WEFT_EINVAL);
    CHECK_EQ(weft_handle_close(fixture.server, old, 1000, "\xff"), WEFT_EINVAL);
    CHECK_EQ(weft_handle_close(fixture.server, old, 4000, "from outside"), WEFT_OK);
    CHECK_STR(client_next(&a), "close 4000 from outside");
    weft_handle_send(fixture.server, old, WEFT_TEXT, "late", 4); /* it is closing: dropped */
    CHECK(client_say_close(&a, 4000, NULL));
    CHECK_STR(client_next(&a), "eof");
    CHECK_STR(diary_next(), "closed 4000 clean");
    EVENTUALLY(fixture_stats().connections == 0);
    CHECK_EQ(weft_handle_send(fixture.server, old, WEFT_TEXT, "x", 1), WEFT_ESTALE);
    CHECK_EQ(weft_handle_close(fixture.server, old, 1000, NULL), WEFT_ESTALE);
    client_close(&a);
    for (int i = 0; i < 3; i++) { /* the slot lives again, the handle does not */
        join(&a);
        CHECK(atomic_load(&last_handle) != old);
        CHECK_EQ(weft_handle_send(fixture.server, old, WEFT_TEXT, "x", 1), WEFT_ESTALE);
        CHECK_STR(client_next_within(&a, 10), "timeout");
        client_close(&a);
        diary_next();
        EVENTUALLY(fixture_stats().connections == 0);
    }
    CHECK_EQ(weft_handle_send(fixture.server, 0, WEFT_TEXT, "x", 1), WEFT_ESTALE);
    CHECK_EQ(weft_handle_send(fixture.server, UINT64_MAX, WEFT_TEXT, "x", 1), WEFT_ESTALE);
    CHECK_EQ(weft_handle_close(fixture.server, 12345, 1000, NULL), WEFT_ESTALE);
    end();
}

TEST(nothing_is_published_to_a_server_that_has_stopped) {
    begin(NULL);
    fixture_run(NULL);
    weft_server_stop(fixture.server);
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, "x", 1), WEFT_ECLOSED);
    end();
}

/* ---- much at once ---- */

enum { BURST = 50000 };

static void join_t(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    weft_conn_subscribe(conn, "t", 0);
}

static void burst(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    (void)message;
    int failed = 0;
    for (int i = 0; i < BURST; i++) {
        char byte = (char)('a' + i % 23);
        failed += weft_publish(weft_conn_server(conn), "t", WEFT_BINARY, &byte, 1) != WEFT_OK;
    }
    diary("failed %d", failed);
}

/* Within one callback far more is published than a queue may hold: a reader that keeps up has all of it, in order. */
TEST(a_burst_in_one_callback_reaches_a_prompt_reader_whole) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .workers = 1});
    fixture_route("/", &(weft_route) {.open = join_t, .message = burst, .closed = fixture_on_closed});
    fixture_run(NULL);
    CHECK_EQ(client_open(&a, fixture.address, "/", NULL), 101);
    CHECK_EQ(client_open(&b, fixture.address, "/", NULL), 101);
    CHECK(client_text(&b, "go"));
    for (int i = 0; i < BURST; i++) {
        client *readers[] = {&a, &b};
        for (int r = 0; r < 2; r++) {
            const char expected[] = {'b', 'i', 'n', 'a', 'r', 'y', ' ', (char)('a' + i % 23), 0};
            test_context("reader %d, message %d", r, i);
            CHECK_STR(client_next(readers[r]), expected);
        }
    }
    test_context("%s", "");
    CHECK_STR(client_next_within(&a, 20), "timeout");
    CHECK_STR(diary_next(), "failed 0");
    CHECK_STR(diary_next_within(5), "nothing"); /* nobody was closed */
    CHECK_EQ(fixture_stats().queue_drops, 0);
    CHECK_EQ(fixture_stats().published, BURST);
    CHECK_EQ(fixture_stats().delivered, 2 * BURST);
    end();
}
