/*
 * The rules over a head, by themselves. A reader stands before them with a guard and llhttp, which refuse most of these
 * bytes first; what another version of it lets through is still refused here.
 */
#include "http/guard.h"
#include "http/head.h"
#include "test.h"

#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n"

#define BAD_TARGET "RFC9112/3.2: a byte in the target that may not stand there"
#define BAD_LINE   "RFC9112/3: the request line is not method, target and version"
#define NO_VERSION "RFC9112/3: the request line does not end in an HTTP version"
#define VERSION    "RFC9110/15.6.6: only HTTP/1.0 and HTTP/1.1 are spoken here"
#define BAD_CODING "RFC9112/6.1: a Transfer-Encoding other than one single chunked"
#define BAD_HEADER "RFC9112/5: a header line is not name:value"

enum { HEADERS_MAX = 4 };

static const struct {
    const char *name, *bytes;
    size_t header_count;
    int http_status; /* 0: good */
    const char *rule;
} rows[] = {
    {"good", GET HOST "\r\n", 1, 0, NULL},
    {"empty_lines_first", "\r\n\r\n" GET HOST "\r\n", 1, 0, NULL},
    {"nothing", "", 0, 400, NO_VERSION},
    {"no_line_end", "GET / HTTP/1.1", 0, 400, NO_VERSION},
    {"a_bare_lf", "\n", 0, 400, NO_VERSION},
    {"fewer_headers_than_counted", GET HOST, 2, 400, BAD_HEADER},
    {"version_missing", "GET /\r\n" HOST "\r\n", 1, 400, NO_VERSION},
    {"version_too_long", "GET / HTTP/1.10\r\n" HOST "\r\n", 1, 400, BAD_LINE},
    {"version_of_another_protocol", "GET / RTSP/1.1\r\n" HOST "\r\n", 1, 400, BAD_LINE},
    {"version_with_a_letter", "GET / HTTP/x.1\r\n" HOST "\r\n", 1, 400, BAD_LINE},
    {"version_with_a_sign", "GET / HTTP/+.1\r\n" HOST "\r\n", 1, 400, BAD_LINE},
    {"version_with_a_comma", "GET / HTTP/1,1\r\n" HOST "\r\n", 1, 400, BAD_LINE},
    {"version_with_a_second_letter", "GET / HTTP/1.x\r\n" HOST "\r\n", 1, 400, BAD_LINE},
    {"version_2", "GET / HTTP/2.0\r\n" HOST "\r\n", 1, 505, VERSION},
    {"version_1_2", "GET / HTTP/1.2\r\n" HOST "\r\n", 1, 505, VERSION},
    {"target_missing", "GET  HTTP/1.1\r\n" HOST "\r\n", 1, 400,
     "RFC9112/3.2: the target is neither a path nor an absolute URI"},
    {"target_with_a_tab", "GET /\t HTTP/1.1\r\n" HOST "\r\n", 1, 400, BAD_TARGET},
    {"target_with_del", "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", 1, 400, BAD_TARGET},
    {"target_with_fragment", "GET /#a HTTP/1.1\r\n" HOST "\r\n", 1, 400, BAD_TARGET},
    {"two_codings", GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 3, 501, BAD_CODING},
    {"another_coding", GET HOST "Transfer-Encoding: gzip\r\n\r\n", 2, 501, BAD_CODING},
};

TEST(each_head_is_judged_by_itself) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_context("%s", rows[i].name);
        wf_http_header headers[HEADERS_MAX] = {0};
        wf_http_request request = {.headers = headers, .header_count = rows[i].header_count};
        wf_http_head head;
        wf_fault fault = {0};
        wf_http_head_cut(wf_str_of(rows[i].bytes), &request, &head);
        CHECK_EQ(wf_http_head_check(&request, &head, &fault), rows[i].rule ? WF_ERROR : WF_OK);
        CHECK_EQ(fault.close_code, rows[i].http_status);
        if (rows[i].rule)
            CHECK_STR(fault.rule, rows[i].rule);
    }
}

/* Texts out of few bytes, so that line ends of every kind come often. */
TEST(guard_passes_in_runs_what_it_passes_byte_by_byte) {
    static const char bytes[] = "aaaaaaaabbbb\r\n\r\n\r\r\n\t :\x7f\x80\xff\x1f";
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        uint8_t text[40];
        size_t run = 0, lines_max = (size_t)round % 4;
        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 1664525 + 1013904223;
            text[i] = (uint8_t)(random >> 31 ? 'a' : bytes[(random >> 16) % sizeof bytes]);
        }
        wf_http_guard whole = {0}, slow = {0};
        while (run < sizeof text && !whole.ended) {
            size_t passed = wf_http_guard_run(&whole, text + run, sizeof text - run, lines_max);
            for (size_t i = 0; i < passed; i++) {
                CHECK(slow.len > 0 || slow.cr || slow.lines <= lines_max);
                CHECK(!wf_http_guard_byte(&slow, text[run + i]) && !slow.ended);
            }
            CHECK(whole.len == slow.len && whole.lines == slow.lines && whole.cr == slow.cr);
            run += passed;
            if (run == sizeof text)
                break;
            const char *rule = wf_http_guard_byte(&whole, text[run]);
            CHECK(rule == wf_http_guard_byte(&slow, text[run++]));
            if (rule)
                break;
        }
    }
}
