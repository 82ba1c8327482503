/*
 * A row is a response and the bytes it must become, or NULL where it must be refused with nothing written.
 */
#include "base/status.h"
#include "http/response.h"
#include "test.h"

#define S(text)                                                                                                        \
    { text, sizeof(text) - 1 }
#define NONE                                                                                                           \
    {                                                                                                                  \
        { S(""), S("") }                                                                                               \
    } /* never looked at: header_count is 0 */

typedef struct row {
    const char *name;
    wf_http_response response; /* its headers are filled in below */
    wf_http_header_out headers[2];
    const char *bytes;
} row;

static const row rows[] = {
    {"bare", {.status = 404}, NONE, "HTTP/1.1 404 Not Found\r\n\r\n"},
    {"unknown_status", {.status = 299}, NONE, "HTTP/1.1 299 \r\n\r\n"},
    {"everything",
     {.status = 200, .header_count = 2, .close = true, .has_length = true, .body_bytes = 12, .date_unix_s = 784111777},
     {{S("Content-Type"), S("text/plain")}, {S("X-Empty"), S("")}},
     "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\nContent-Length: 12\r\n"
     "Content-Type: text/plain\r\nX-Empty: \r\n\r\n"},
    {"switching_protocols",
     {.status = 101, .header_count = 2, .has_length = true},
     {{S("Upgrade"), S("websocket")}, {S("Connection"), S("Upgrade")}},
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    {"continue", {.status = 100}, NONE, "HTTP/1.1 100 Continue\r\n\r\n"},
    {"length_zero", {.status = 200, .has_length = true}, NONE, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    {"no_length_with_204", {.status = 204, .has_length = true}, NONE, "HTTP/1.1 204 No Content\r\n\r\n"},
    {"no_length_with_304", {.status = 304, .has_length = true}, NONE, "HTTP/1.1 304 Not Modified\r\n\r\n"},
    {"length_as_large_as_can_be",
     {.status = 200, .has_length = true, .body_bytes = SIZE_MAX},
     NONE,
     "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"},
    {"last_second_of_9999",
     {.status = 200, .date_unix_s = 253402300799},
     NONE,
     "HTTP/1.1 200 OK\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT\r\n\r\n"},
    {"leap_day",
     {.status = 200, .date_unix_s = 1709208000},
     NONE,
     "HTTP/1.1 200 OK\r\nDate: Thu, 29 Feb 2024 12:00:00 GMT\r\n\r\n"},
    {"value_with_tab_and_high_bytes",
     {.status = 200, .header_count = 1},
     {{S("X"), S("a\tb\xc3\xa9")}},
     "HTTP/1.1 200 OK\r\nX: a\tb\xc3\xa9\r\n\r\n"},
    {"chunked_without_length",
     {.status = 200, .header_count = 1},
     {{S("Transfer-Encoding"), S("chunked")}},
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},

    {"status_99", {.status = 99}, NONE, NULL},
    {"status_600", {.status = 600}, NONE, NULL},
    {"status_negative", {.status = -200}, NONE, NULL},
    {"body_with_204", {.status = 204, .has_length = true, .body_bytes = 1}, NONE, NULL},
    {"body_with_101", {.status = 101, .body_bytes = 1}, NONE, NULL},
    {"date_before_1970", {.status = 200, .date_unix_s = -1}, NONE, NULL},
    {"date_of_year_10000", {.status = 200, .date_unix_s = 253402300800}, NONE, NULL},
    {"name_empty", {.status = 200, .header_count = 1}, {{S(""), S("a")}}, NULL},
    {"name_with_colon", {.status = 200, .header_count = 1}, {{S("a:"), S("b")}}, NULL},
    {"name_with_space", {.status = 200, .header_count = 1}, {{S("a b"), S("c")}}, NULL},
    {"name_with_crlf", {.status = 200, .header_count = 1}, {{S("a\r\nb"), S("c")}}, NULL},
    {"name_with_nul", {.status = 200, .header_count = 1}, {{S("a\0"), S("c")}}, NULL},
    {"name_over_ascii", {.status = 200, .header_count = 1}, {{S("\xc3\xa9"), S("c")}}, NULL},
    {"value_with_crlf", {.status = 200, .header_count = 1}, {{S("a"), S("b\r\nSet-Cookie: c")}}, NULL},
    {"value_with_cr", {.status = 200, .header_count = 1}, {{S("a"), S("b\r")}}, NULL},
    {"value_with_lf", {.status = 200, .header_count = 1}, {{S("a"), S("\nb")}}, NULL},
    {"value_with_nul", {.status = 200, .header_count = 1}, {{S("a"), S("b\0c")}}, NULL},
    {"value_with_escape", {.status = 200, .header_count = 1}, {{S("a"), S("\x1b[2J")}}, NULL},
    {"value_with_del", {.status = 200, .header_count = 1}, {{S("a"), S("\x7f")}}, NULL},
    {"second_header_is_judged_too", {.status = 200, .header_count = 2}, {{S("a"), S("b")}, {S("c"), S("\n")}}, NULL},
    {"own_content_length", {.status = 200, .header_count = 1}, {{S("content-length"), S("5")}}, NULL},
    {"two_framings",
     {.status = 200, .header_count = 1, .has_length = true},
     {{S("transfer-encoding"), S("chunked")}},
     NULL},
    {"two_dates", {.status = 200, .header_count = 1, .date_unix_s = 1}, {{S("date"), S("today")}}, NULL},
};

#define EACH_ROW(r) for (const row *r = rows; r < rows + sizeof rows / sizeof rows[0]; r++)

static int write_row(wf_buf *out, const row *r) {
    wf_http_response response = r->response;
    response.headers = r->headers;
    return wf_http_response_write(out, &response);
}

TEST(response_rows) {
    EACH_ROW(r) {
        wf_buf out = WF_BUF_INIT;
        test_context("row %s", r->name);
        CHECK_EQ(wf_buf_append_str(&out, "before"), WF_OK);
        CHECK_EQ(write_row(&out, r), r->bytes ? WF_OK : WF_EINVAL);
        CHECK_BYTES(out.data, (size_t)6, "before", (size_t)6);
        CHECK_BYTES(out.data + 6, out.len - 6, r->bytes ? r->bytes : "", r->bytes ? strlen(r->bytes) : 0);
        wf_buf_check(&out);
        wf_buf_deinit(&out);
    }
}

TEST(response_rows_with_every_allocation_failing) {
    size_t before = test_mem_live();
    EACH_ROW(r)
    for (size_t n = 1, calls = n; calls >= n; n++) {
        wf_buf out = WF_BUF_INIT;
        test_context("row %s, allocation %zu fails", r->name, n);
        test_mem_fail_at(n);
        int status = write_row(&out, r);
        calls = test_mem_calls();
        if (calls >= n) {
            CHECK_EQ(status, WF_ENOMEM);
            CHECK_EQ(out.len, 0);
        } else {
            CHECK_EQ(status, r->bytes ? WF_OK : WF_EINVAL);
        }
        wf_buf_deinit(&out);
        CHECK_EQ(test_mem_live(), before);
    }
}

TEST(response_takes_one_reservation) {
    static char value[10000];
    memset(value, 'x', sizeof value);
    wf_http_header_out headers[] = {{S("A"), {value, sizeof value}}, {S("B"), {value, sizeof value}}};
    wf_http_response response = {.status = 431,
                                 .headers = headers,
                                 .header_count = 2,
                                 .close = true,
                                 .has_length = true,
                                 .body_bytes = SIZE_MAX,
                                 .date_unix_s = 253402300799};
    wf_buf out = WF_BUF_INIT;
    test_mem_fail_at(0);
    CHECK_EQ(wf_http_response_write(&out, &response), WF_OK);
    CHECK_EQ(test_mem_calls(), 1);
    wf_buf_deinit(&out);
}

TEST(status_texts) {
    CHECK_STR(wf_http_status_text(101), "Switching Protocols");
    CHECK_STR(wf_http_status_text(426), "Upgrade Required");
    CHECK_STR(wf_http_status_text(431), "Request Header Fields Too Large");
    CHECK_STR(wf_http_status_text(599), "");
}
