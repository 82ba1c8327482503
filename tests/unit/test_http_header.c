/*
 * Look-ups over a request, and the small grammars behind them.
 */
#include "base/status.h"
#include "http/guard.h"
#include "http/request.h"
#include "test.h"

#define IN(text)                                                                                                       \
    { text, sizeof(text) - 1 }

static wf_http_request with_headers(wf_http_header *headers, size_t count) {
    return (wf_http_request) {.headers = headers, .header_count = count};
}

TEST(header_find_and_tokens) {
    wf_http_header headers[] = {
        {IN("Connection"), IN("keep-alive, , Upgrade")}, {IN("X"), IN("")}, {IN("connection"), IN("\"a, close\", b")}};
    wf_http_request request = with_headers(headers, 3);
    size_t count;
    const wf_str *value = wf_http_header_find(&request, "CONNECTION", &count);
    CHECK_EQ(count, 2);
    CHECK(value == &headers[0].value);
    CHECK(wf_http_header_find(&request, "x", NULL) == &headers[1].value);
    CHECK(wf_http_header_find(&request, "Y", &count) == NULL);
    CHECK_EQ(count, 0);
    CHECK(wf_http_header_has_token(&request, "Connection", "upgrade"));
    CHECK(wf_http_header_has_token(&request, "Connection", "B"));
    CHECK(!wf_http_header_has_token(&request, "Connection", "close")); /* inside a quoted string */
    CHECK(!wf_http_header_has_token(&request, "Connection", "keep"));
    CHECK(!wf_http_header_has_token(&request, "X", "upgrade"));
}

TEST(host_split) {
    static const struct {
        const char *in, *host; /* NULL: refused */
        unsigned port;
    } cases[] = {
        {"a", "a", 0},          {"a.b-c.example:80", "a.b-c.example", 80},
        {"a:", "a", 0},         {"a:65535", "a", 65535},
        {"a:00080", "a", 80},   {"127.0.0.1:1", "127.0.0.1", 1},
        {"[::1]", "[::1]", 0},  {"[fe80::1]:443", "[fe80::1]", 443},
        {"a%41", "a%41", 0},    {"", NULL, 0},
        {":80", NULL, 0},       {"a:0", NULL, 0},
        {"a:65536", NULL, 0},   {"a:000080", NULL, 0},
        {"a:8 0", NULL, 0},     {"a:+80", NULL, 0},
        {"a:1:2", NULL, 0},     {"u@a", NULL, 0},
        {"a/b", NULL, 0},       {"a b", NULL, 0},
        {"\xc3\xa9", NULL, 0},  {"a%4", NULL, 0},
        {"a%zz", NULL, 0},      {"[::1", NULL, 0},
        {"[]", NULL, 0},        {"[", NULL, 0},
        {"::1", NULL, 0},       {"[::1]80", NULL, 0},
        {"[::g]", NULL, 0},     {"[fe80::1%eth0]", NULL, 0},
        {"[1.2.3.4]", NULL, 0}, {"[1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7:8]", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_context("%s", cases[i].in);
        wf_str host = wf_str_of("untouched");
        unsigned port = 7;
        bool ok = wf_http_host_split(wf_str_of(cases[i].in), &host, &port);
        CHECK_EQ(ok, cases[i].host != NULL);
        CHECK(wf_str_eq(host, wf_str_of(ok ? cases[i].host : "untouched")));
        CHECK_EQ(port, ok ? cases[i].port : 7);
    }
}

TEST(a_host_with_a_nul_is_refused) {
    wf_str host;
    unsigned port;
    CHECK(!wf_http_host_split((wf_str)IN("[::1\0]"), &host, &port));
    CHECK(!wf_http_host_split((wf_str)IN("a\0b"), &host, &port));
}

TEST(percent_decode) {
    static const struct {
        wf_str in;
        const char *out;
        int status;
    } cases[] = {
        {IN(""), "", WF_OK},
        {IN("a+b"), "a+b", WF_OK},
        {IN("%41%7e%C3%a9"), "A~\xc3\xa9", WF_OK},
        {IN("/a%20b"), "/a b", WF_OK},
        {IN("a%2Fb"), NULL, WF_ERROR},
        {IN("a%2fb"), NULL, WF_ERROR},
        {IN("%00"), NULL, WF_ERROR},
        {IN("a\0b"), NULL, WF_ERROR},
        {IN("%"), NULL, WF_ERROR},
        {IN("%4"), NULL, WF_ERROR},
        {IN("%4g"), NULL, WF_ERROR},
        {IN("%%41"), NULL, WF_ERROR},
        {IN("12345678"), NULL, WF_FULL},
        {IN("%41234567"), "A234567", WF_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[8] = "keep";
        test_context("case %zu: %.*s", i, (int)cases[i].in.len, cases[i].in.data);
        CHECK_EQ(wf_http_percent_decode(cases[i].in, out, sizeof out), cases[i].status);
        CHECK_STR(out, cases[i].out ? cases[i].out : "keep");
    }
}

TEST(query_find) {
    wf_str query = wf_str_of("a=1&&ab=2&c&a=3&=x&d=e=f"), value = wf_str_of("untouched");
    CHECK(wf_http_query_find(query, "a", &value) && wf_str_eq(value, wf_str_of("1")));
    CHECK(wf_http_query_find(query, "ab", &value) && wf_str_eq(value, wf_str_of("2")));
    CHECK(wf_http_query_find(query, "c", &value) && value.len == 0);
    CHECK(wf_http_query_find(query, "d", &value) && wf_str_eq(value, wf_str_of("e=f")));
    CHECK(wf_http_query_find(wf_str_of("ab=1&a=2"), "a", &value) && wf_str_eq(value, wf_str_of("2")));
    value = wf_str_of("untouched");
    CHECK(!wf_http_query_find(query, "b", &value));
    CHECK(!wf_http_query_find(query, "abc", &value));
    CHECK(!wf_http_query_find((wf_str) {NULL, 0}, "a", &value));
    CHECK(wf_str_eq(value, wf_str_of("untouched")));
}

TEST(a_plain_run_ends_at_the_first_control_byte) {
    static const uint8_t controls[] = {0, 1, '\t', '\n', '\r', 0x1f, 0x7f}, plain[] = {' ', '~', 0x80, 0x9f, 0xff};
    uint8_t text[40];
    for (size_t len = 0; len <= sizeof text; len++)
        for (size_t i = 0; i < sizeof controls; i++) {
            for (size_t at = 0; at < len; at++)
                text[at] = plain[(at + i) % sizeof plain];
            CHECK_EQ(wf_http_plain_run(text, len), len);
            for (size_t at = len; at-- > 0;) {
                text[at] = controls[i];
                CHECK_EQ(wf_http_plain_run(text, len), at);
            }
        }
}

TEST(token) {
    CHECK(wf_http_is_token(wf_str_of("a-Z.09!#$%&'*+^_`|~")));
    CHECK(!wf_http_is_token(wf_str_of("")));
    static const char separators[] = "\"(),/:;<=>?@[\\]{} \t\x7f\x80";
    for (size_t i = 0; i < sizeof separators; i++) /* the NUL included */
        CHECK(!wf_http_is_token((wf_str) {separators + i, 1}));
    for (size_t at = 0; at < 10; at++) {
        char text[] = "abcdefghij";
        text[at] = ':';
        CHECK(!wf_http_is_token((wf_str) {text, 10}));
        CHECK(wf_http_is_token((wf_str) {text, at}) == (at > 0));
    }
}
