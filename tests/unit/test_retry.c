/*
 * When to come back: every end with its verdict, and the bounds of every wait over many random numbers.
 */
#include "client_help.h"

#include "http/date.h"

#include <time.h>
#include <weft/retry.h>

static const uint64_t randoms[] = {0, 1, 2, 499, 500, 501, 12345, UINT32_MAX, UINT64_MAX / 3, UINT64_MAX};
#define BYTES(text) text, sizeof(text) - 1

enum { RANDOMS = sizeof randoms / sizeof randoms[0] };

static const struct {
    const char *name;
    weft_retry policy;
    uint32_t attempt;
    weft_retry_end end;
    int64_t least_ms, most_ms; /* -1: never */
} waits[] = {
    {"first", {WEFT_RETRY_INIT}, 1, {0}, 0, 1000},
    {"second", {WEFT_RETRY_INIT}, 2, {0}, 1000, 2000},
    {"third", {WEFT_RETRY_INIT}, 3, {0}, 2000, 4000},
    {"tenth", {WEFT_RETRY_INIT}, 10, {0}, 30000, 60000},
    {"last", {WEFT_RETRY_INIT}, UINT32_MAX, {0}, 30000, 60000},
    {"own", {WEFT_RETRY_INIT, .first_ms = 10, .max_ms = 15}, 2, {0}, 7, 15},
    {"own_first_over_max", {WEFT_RETRY_INIT, .first_ms = 100, .max_ms = 15}, 1, {0}, 0, 15},
    {"largest", {WEFT_RETRY_INIT, .first_ms = UINT32_MAX, .max_ms = UINT32_MAX}, 9, {0}, INT32_MAX, UINT32_MAX},
    {"within_attempts", {WEFT_RETRY_INIT, .attempts_max = 3}, 3, {0}, 2000, 4000},
    {"over_attempts", {WEFT_RETRY_INIT, .attempts_max = 3}, 4, {0}, -1, -1},
    {"busy", {WEFT_RETRY_INIT}, 1, {.http_status = 503}, 0, 1000},
    {"asked", {WEFT_RETRY_INIT}, 1, {.http_status = 503, .asked_ms = 7000}, 7000, 7700},
    {"asked_less", {WEFT_RETRY_INIT}, 10, {.http_status = 429, .asked_ms = 10}, 30000, 60000},
    {"asked_much", {WEFT_RETRY_INIT}, 1, {.http_status = 503, .asked_ms = INT64_MAX}, 3600000, 3960000},
    {"asked_over_max", {WEFT_RETRY_INIT, .asked_max_ms = 100}, 1, {.http_status = 503, .asked_ms = 500}, 100, 1000},
    {"restart", {WEFT_RETRY_INIT}, 1, {.close_code = 1012}, 5000, 30000},
    {"overload", {WEFT_RETRY_INIT}, 1, {.close_code = 1013}, 5000, 30000},
    {"overload_again", {WEFT_RETRY_INIT}, 10, {.close_code = 1013}, 30000, 60000},
    {"for_good", {WEFT_RETRY_INIT}, 1, {.is_for_good = true}, -1, -1},
    {"refused", {WEFT_RETRY_INIT}, 1, {.http_status = 403, .asked_ms = 1000}, -1, -1},
};

TEST(waits_are_within_their_bounds) {
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        for (size_t k = 0; k < RANDOMS; k++) {
            int64_t ms = weft_retry_ms(&waits[i].policy, waits[i].attempt, &waits[i].end, randoms[k]);
            test_context("row %s, random %zu: %lld", waits[i].name, k, (long long)ms);
            CHECK(ms >= waits[i].least_ms && ms <= waits[i].most_ms);
        }
}

TEST(both_ends_of_a_wait_are_reached) {
    weft_retry policy = {WEFT_RETRY_INIT};
    weft_retry_end end = {0};
    CHECK_EQ(weft_retry_ms(&policy, 1, &end, 0), 0);
    CHECK_EQ(weft_retry_ms(&policy, 1, &end, 1000), 1000);
    CHECK_EQ(weft_retry_ms(&policy, 2, &end, 0), 2000);
    CHECK_EQ(weft_retry_ms(&policy, 2, &end, 1000), 1000);
}

static bool is_among(int value, const int *list) {
    for (; *list; list++)
        if (*list == value)
            return true;
    return false;
}

TEST(what_heals_and_what_does_not) {
    static const int good_statuses[] = {408, 425, 429, 500, 502, 503, 504, 507, 508, 511, 520, 599, 0};
    static const int bad_statuses[] = {200, 204, 301, 302, 307, 308, 400, 401, 403,
                                       404, 405, 407, 410, 426, 501, 505, 0};
    static const int bad_codes[] = {1000, 1002, 1003, 1007, 1008, 1009, 1010, 1015, 3000, 3003, 0};
    weft_retry policy = {WEFT_RETRY_INIT};
    for (int i = 100; i < 600; i++) {
        weft_retry_end end = {.http_status = i};
        bool again = weft_retry_ms(&policy, 1, &end, 5) != WEFT_RETRY_NEVER;
        test_context("status %d", i);
        CHECK(!is_among(i, good_statuses) || again);
        CHECK(!is_among(i, bad_statuses) || !again);
    }
    for (int i = 1000; i < 5000; i++) {
        weft_retry_end end = weft_retry_of_close(&(weft_close_info) {.code = i, .reason = ""});
        test_context("close code %d", i);
        CHECK_EQ(weft_retry_ms(&policy, 1, &end, 5) == WEFT_RETRY_NEVER, is_among(i, bad_codes));
    }
}

TEST(failures_without_an_answer) {
    static const struct {
        weft_dial_failure failure;
        bool again;
    } rows[] = {
        {{.phase = WEFT_DIAL_RESOLVE, .sys_errno = ENOENT}, true},
        {{.phase = WEFT_DIAL_CONNECT, .sys_errno = ECONNREFUSED}, true},
        {{.phase = WEFT_DIAL_CONNECT, .sys_errno = ETIMEDOUT, .rule = "connect_timeout: ..."}, true},
        {{.phase = WEFT_DIAL_CONNECT, .sys_errno = ECONNABORTED}, false},
        {{.phase = WEFT_DIAL_PROXY, .sys_errno = ECONNREFUSED, .rule = "RFC1928/6: ..."}, true},
        {{.phase = WEFT_DIAL_PROXY, .rule = "RFC1928/6: ..."}, false},
        {{.phase = WEFT_DIAL_TLS, .verify_error = 18}, false},
        {{.phase = WEFT_DIAL_TLS, .sys_errno = ECONNRESET}, true},
        {{.phase = WEFT_DIAL_HANDSHAKE, .rule = "RFC6455/4.1: ..."}, false},
    };
    weft_retry policy = {WEFT_RETRY_INIT};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        weft_retry_end end = weft_retry_of_failure(&rows[i].failure);
        test_context("row %zu", i);
        CHECK_EQ(weft_retry_ms(&policy, 1, &end, 5) != WEFT_RETRY_NEVER, rows[i].again);
    }
}

static weft_retry_end last_end;

static void take_end(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    last_end = weft_retry_of_failure(failure);
}

static int64_t asked_by(const char *retry_after) {
    raw_server s;
    char answer[200];
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 503 No\r\nRetry-After: %s\r\n\r\n", retry_after);
    raw_server_start(&s, (script) {answer, (size_t)len, ENDS_WITH_FIN, NULL, 0});
    weft_client *c = weft_client_new(NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = s.url, .failed = take_end};
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    run_out(c);
    weft_client_free(c);
    raw_server_end(&s);
    CHECK(last_end.http_status == 503 && !last_end.is_for_good && last_end.close_code == 0);
    return last_end.asked_ms;
}

TEST(what_a_server_asks_for_is_read) {
    char date[40];
    time_t soon = time(NULL) + 100;
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&soon, &tm));
    int64_t by_date_ms = asked_by(date);
    CHECK(by_date_ms > 50000 && by_date_ms <= 100000);
    CHECK_EQ(asked_by("7"), 7000);
    CHECK_EQ(asked_by(""), 0);
    CHECK_EQ(asked_by("-7"), 0);
    CHECK_EQ(asked_by("soon"), 0);
    CHECK_EQ(asked_by("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
    CHECK(asked_by("99999999999999999999999999") > 1000000000);
}

static const char *const no_dates[] = {
    "",
    "Sun, 06 Nov 1994 08:49:37 GM",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 32 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, -6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC",
};

static weft_retry_end end_of(script plays) {
    raw_server s;
    raw_server_start(&s, plays);
    weft_client *c = weft_client_new(NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = s.url, .failed = take_end};
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    run_out(c);
    weft_client_free(c);
    raw_server_end(&s);
    return last_end;
}

/* So does one behind a balancer that has nobody behind it. */
TEST(who_ends_without_an_answer_may_be_back_soon) {
    CHECK(!end_of((script) {BYTES(""), ENDS_WITH_FIN, NULL, 0}).is_for_good);
    CHECK(!end_of((script) {BYTES("HTTP/1.1 101 Swi"), ENDS_WITH_FIN, NULL, 0}).is_for_good);
    CHECK(end_of((script) {BYTES("220 mail.example.org ready\r\n\r\n"), ENDS_WITH_FIN, NULL, 0}).is_for_good);
}

TEST(dates_of_headers) {
    int64_t got = 0;
    CHECK(wf_http_date_parse(wf_str_of("Sun, 06 Nov 1994 08:49:37 GMT"), &got));
    CHECK_EQ(got, 784111777);                                /* RFC 9110 5.6.7's example */
    for (int64_t s = 0; s < 253402300800; s += 86399 * 97) { /* to the year 9999, as the C library has it */
        char text[40];
        time_t t = (time_t)s;
        struct tm tm;
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        test_context("%s", text);
        CHECK(wf_http_date_parse(wf_str_of(text), &got));
        CHECK_EQ(got, s);
    }
    for (size_t i = 0; i < sizeof no_dates / sizeof no_dates[0]; i++) {
        test_context("%s", no_dates[i]);
        got = 77;
        CHECK(!wf_http_date_parse(wf_str_of(no_dates[i]), &got) && got == 77);
    }
}
