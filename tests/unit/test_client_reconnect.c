/*
 * A client that dials again by itself: while it may heal, with waits that grow, until it is told to stop.
 */
#include "fixture.h"

#include <stdio.h>

static weft_client *here;
static char url[200];
static int opens, closes, failures, closes_wanted;
static int64_t last_retry_ms;
static int last_code;

static void on_open(weft_conn *conn, const weft_response *response, void *user) {
    (void)response, (void)user;
    opens++;
    weft_conn_send(conn, WEFT_TEXT, "here", 4);
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn, (void)user;
    closes++;
    last_retry_ms = info->retry_ms;
    last_code = info->code;
}

static void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    failures++;
    last_retry_ms = failure->retry_ms;
}

/* The server closes with what it is told: the first `closes_wanted` times with 4000, then with 1000. */
static void close_them(weft_conn *conn, weft_message message, void *user) {
    (void)message, (void)user;
    weft_conn_close(conn, closes_wanted-- > 0 ? 4000 : 1000, NULL);
}

static const weft_retry quick = {WEFT_RETRY_INIT, .first_ms = 5, .max_ms = 20};

static void begin(void) {
    opens = closes = failures = last_code = 0;
    last_retry_ms = 12345;
    here = weft_client_new(NULL);
    CHECK(here != NULL);
}

static void serve(void (*message)(weft_conn *conn, weft_message message, void *user)) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT});
    fixture_route("/", &(weft_route) {.message = message});
    fixture_run(NULL);
    snprintf(url, sizeof url, "ws://%s/", fixture.address);
    begin();
}

static weft_dial dial_of(const weft_retry *retry) {
    return (weft_dial) {WEFT_DIAL_INIT,  .url = url,          .retry = retry,     .user = &opens,
                        .open = on_open, .closed = on_closed, .failed = on_failed};
}

static void run(void) {
    uint64_t until_ms = client_now_ms() + CLIENT_PATIENCE_MS;
    while (last_retry_ms != -1 && client_now_ms() < until_ms)
        CHECK_EQ(weft_client_turn(here, 100), WEFT_OK);
    CHECK_EQ(weft_client_run(here), WEFT_OK); /* nothing is left: it returns at once */
    CHECK_EQ(weft_client_connections(here), 0);
}

TEST(what_the_server_ends_is_dialled_again_until_it_is_done) {
    char text[200];
    serve(close_them);
    closes_wanted = 5;
    weft_dial dial = dial_of(&quick);
    snprintf(text, sizeof text, "%s", url);
    dial.url = text;
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    memset(text, 'x', sizeof text - 1); /* strings are copied */
    run();
    CHECK(opens == 6 && closes == 6 && failures == 0 && last_code == 1000);
    weft_client_free(here);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_server_that_is_not_there_is_tried_as_often_as_allowed) {
    snprintf(url, sizeof url, "ws://127.0.0.1:1/");
    begin();
    weft_retry twice = quick;
    twice.attempts_max = 2;
    weft_dial dial = dial_of(&twice);
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    run();
    CHECK_EQ(failures, 3);
    weft_client_free(here);
}

TEST(a_refusal_that_does_not_heal_is_not_tried_again) {
    serve(close_them);
    strcat(url, "nowhere");
    weft_dial dial = dial_of(&quick);
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    run();
    CHECK_EQ(failures, 1);
    weft_client_free(here);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void leave(weft_conn *conn, const weft_response *response, void *user) {
    on_open(conn, response, user);
    weft_conn_close(conn, 4001, NULL);
}

static void cut(weft_conn *conn, const weft_response *response, void *user) {
    on_open(conn, response, user);
    weft_conn_abort(conn);
}

TEST(who_leaves_does_not_come_back) {
    for (int i = 0; i < 2; i++) {
        serve(NULL);
        weft_dial dial = dial_of(&quick);
        dial.open = i == 0 ? leave : cut;
        CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
        run();
        CHECK(opens == 1 && closes == 1 && failures == 0);
        weft_client_free(here);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
}

static void stop_it(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    on_failed(conn, failure, user);
    if (failures == 2)
        weft_client_retry_stop(here, user);
}

TEST(what_waits_can_be_stopped_from_within_and_from_without) {
    static const weft_retry slow = {WEFT_RETRY_INIT, .first_ms = 3600000, .max_ms = 3600000};
    int other;
    snprintf(url, sizeof url, "ws://127.0.0.1:1/");
    begin();
    weft_dial dial = dial_of(&quick);
    dial.failed = stop_it;
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_run(here), WEFT_OK);
    CHECK_EQ(failures, 2);

    dial = dial_of(&slow);
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK);
    while (failures < 3)
        CHECK_EQ(weft_client_turn(here, 100), WEFT_OK);
    CHECK(last_retry_ms >= 0);
    weft_client_retry_stop(here, &other); /* nobody's */
    int wait_ms = weft_client_timeout_ms(here);
    CHECK(wait_ms >= 0 && wait_ms <= 3600000);
    weft_client_retry_stop(here, &opens);
    CHECK_EQ(weft_client_timeout_ms(here), -1);
    CHECK_EQ(weft_client_run(here), WEFT_OK);

    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_OK); /* freed while it waits */
    while (failures < 4)
        CHECK_EQ(weft_client_turn(here, 100), WEFT_OK);
    weft_client_free(here);
}

TEST(a_policy_must_be_begun_as_one) {
    begin();
    snprintf(url, sizeof url, "ws://127.0.0.1:1/");
    weft_dial dial = dial_of(&(weft_retry) {.first_ms = 1});
    CHECK_EQ(weft_client_dial(here, &dial, NULL), WEFT_EINVAL);
    CHECK(strstr(weft_client_error(here), "WEFT_RETRY_INIT") != NULL);
    weft_client_free(here);
}
