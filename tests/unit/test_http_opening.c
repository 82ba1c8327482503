/*
 * The client's side of the opening handshake. An answer row is what a server sends and what comes of it, read whole,
 * under every split in two, byte by byte and with every allocation failing.
 */
#include "http/opening.h"
#include "test.h"

#include <stdio.h>

#define KEY     "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONN    "Connection: Upgrade\r\n"
#define S101    "HTTP/1.1 101 Switching Protocols\r\n"
#define GOOD    S101 UPGRADE CONN ACCEPT

#define NO_STATUS   "RFC9112/4: the answer does not begin with an HTTP/1.x status line"
#define NO_ANSWER   "RFC6455/4.1: the connection ended without an answer"
#define CUT_HEAD    "RFC6455/4.1: the connection ended within the answer's head"
#define NOT_101     "RFC6455/4.1: the status is not 101"
#define HTTP10      "RFC9110/7.8: an upgrade in HTTP/1.0"
#define BAD_UPGRADE "RFC6455/4.1: the answer's Upgrade header is not websocket"
#define BAD_CONN    "RFC6455/4.1: the answer's Connection header does not list Upgrade"
#define BAD_ACCEPT  "RFC6455/4.1: Sec-WebSocket-Accept is not what follows from our key"
#define BAD_PROTO   "RFC6455/4.1: the server chose a subprotocol that was not offered"

static const wf_http_limits limits = {.head_bytes_max = 400, .headers_max = 5, .body_bytes_max = 10};
static const uint8_t nonce[WF_OPENING_NONCE_BYTES] = {'t', 'h', 'e', ' ', 's', 'a', 'm', 'p',
                                                      'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e'};
static const char *const offered[] = {"chat", "super", NULL};

/* ---- the answer ---- */

typedef struct row {
    const char *name, *input;
    const char *expected; /* "open", the rule, or "STATUS body" and NOT_101 is meant */
} row;

static const row rows[] = {
    {"good", GOOD "\r\n", "open"},
    {"names_in_any_case", S101 "UPGRADE: WebSocket\r\nconnection: x, UPGRADE\r\n" ACCEPT "\r\n", "open"},
    {"no_reason", "HTTP/1.1 101\r\n" UPGRADE CONN ACCEPT "\r\n", "open"},
    {"subprotocol", GOOD "Sec-WebSocket-Protocol: super\r\n\r\n", "open"},
    {"interim_answers_are_passed_over",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" GOOD "\r\n", "open"},

    {"upgrade_missing", S101 CONN ACCEPT "\r\n", BAD_UPGRADE},
    {"upgrade_other", S101 "Upgrade: h2c\r\n" CONN ACCEPT "\r\n", BAD_UPGRADE},
    {"upgrade_list", S101 "Upgrade: h2c, websocket\r\n" CONN ACCEPT "\r\n", BAD_UPGRADE},
    {"upgrade_twice", GOOD UPGRADE "\r\n", BAD_UPGRADE},
    {"connection_missing", S101 UPGRADE ACCEPT "\r\n", BAD_CONN},
    {"connection_other", S101 UPGRADE "Connection: close\r\n" ACCEPT "\r\n", BAD_CONN},
    {"accept_missing", S101 UPGRADE CONN "\r\n", BAD_ACCEPT},
    {"accept_wrong", S101 UPGRADE CONN "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", BAD_ACCEPT},
    {"accept_in_another_case", S101 UPGRADE CONN "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n\r\n",
     BAD_ACCEPT},
    {"accept_longer", S101 UPGRADE CONN "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=a\r\n\r\n", BAD_ACCEPT},
    {"accept_twice", GOOD ACCEPT "\r\n", BAD_ACCEPT},
    {"subprotocol_not_offered", GOOD "Sec-WebSocket-Protocol: other\r\n\r\n", BAD_PROTO},
    {"subprotocol_in_another_case", GOOD "Sec-WebSocket-Protocol: Chat\r\n\r\n", BAD_PROTO},
    {"subprotocols_both", GOOD "Sec-WebSocket-Protocol: chat, super\r\n\r\n", BAD_PROTO},
    {"subprotocol_twice", GOOD "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n\r\n", BAD_PROTO},
    {"http10", "HTTP/1.0 101 Switching Protocols\r\n" UPGRADE CONN ACCEPT "\r\n", HTTP10},

    {"page", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello"},
    {"no_body", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403 "},
    {"status_204", "HTTP/1.1 204 No Content\r\n\r\n", "204 "},
    {"redirect", "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 1\r\n\r\nx", "302 x"},
    {"chunks_are_put_together",
     "HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n", "401 hello"},
    {"body_until_the_end", "HTTP/1.0 500 Oh\r\n\r\nsorry", "500 sorry"},
    {"body_cut_short", "HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nsorry", "500 sorry"},
    {"body_over_the_limit", "HTTP/1.1 500 Oh\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz",
     "500 abcdefghij"},
    {"body_without_end_over_the_limit", "HTTP/1.1 500 Oh\r\n\r\nabcdefghijklmnopqrstuvwxyz", "500 abcdefghij"},
    {"chunk_broken", "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\nzz\r\n", "500 he"},
    {"length_and_chunks", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "500 "},
    {"length_twice", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "500 "},

    {"nothing", "", NO_ANSWER},
    {"cut_in_head", S101 "Upgr", CUT_HEAD},
    {"cut_before_the_empty_line", GOOD, CUT_HEAD},
    {"garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n", NO_STATUS},
    {"garbage_without_end", "SSH-2.0-Ope", NO_STATUS},
    {"garbage_of_control_bytes", "\x15\x03\x01", NO_STATUS},
    {"lines_end_in_lf", "HTTP/1.1 101 Switching Protocols\n", "RFC9112/2.2: a LF without CR"},
    {"http_2_0", "HTTP/2.0 101 x\r\n\r\n", NO_STATUS},
    {"http_1_2", "HTTP/1.2 101 x\r\n\r\n", NO_STATUS},
    {"status_of_two_digits", "HTTP/1.1 99 x\r\n\r\n", NO_STATUS},
    {"status_of_four_digits", "HTTP/1.1 1010 x\r\n\r\n", NO_STATUS},
    {"status_below_100", "HTTP/1.1 099 x\r\n\r\n", NO_STATUS},
    {"empty_line_first", "\r\n" GOOD "\r\n", NO_STATUS},
    {"a_request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", NO_STATUS},
    {"folded", S101 "Upgrade:\r\n websocket\r\n" CONN ACCEPT "\r\n",
     "RFC9112/5.2: a line that begins with white space (line folding)"},
    {"control_byte", S101 "X: a\x01\r\n\r\n", "RFC9110/5.5: a control byte"},
    {"name_with_space", S101 "Upgrade : websocket\r\n" CONN ACCEPT "\r\n",
     "RFC9112/5: a header line is not name:value"},
    {"no_colon", S101 "Upgrade\r\n\r\n", "RFC9112/5: a header line is not name:value"},
    {"too_many_headers", GOOD "A: b\r\nB: c\r\nC: d\r\n\r\n", "headers_max: the answer has too many headers"},
    {"head_too_long",
     GOOD
     "X: ........................................................................................................"
     "................................................................................................................"
     "........................................................................................\r\n\r\n",
     "head_bytes_max: the head of the answer is over the limit"},
    {"interim_answers_without_end",
     "HTTP/1.1 100 Continue........................................................................\r\n\r\n"
     "HTTP/1.1 100 Continue........................................................................\r\n\r\n"
     "HTTP/1.1 100 Continue........................................................................\r\n\r\n"
     "HTTP/1.1 100 Continue........................................................................\r\n\r\n"
     "HTTP/1.1 100 Continue........................................................................\r\n\r\n",
     "head_bytes_max: the head of the answer is over the limit"},
};

/* Feeds `len` bytes in pieces: the first of `first`, all others of `others`. What comes of it in words. */
static int read_answer(const char *input, size_t len, size_t first, size_t others, char out[200]) {
    wf_http_reply_reader *reader = wf_http_reply_reader_new(&limits);
    if (!reader)
        return WF_ENOMEM;
    int got = WF_WANT_INPUT;
    for (size_t at = 0, step = first; at < len && got == WF_WANT_INPUT; at += step, step = others) {
        size_t used;
        if (step > len - at)
            step = len - at;
        got = wf_http_reply_feed(reader, (const uint8_t *)input + at, step, &used);
        CHECK(used <= step && (got != WF_WANT_INPUT || used == step));
    }
    if (got == WF_WANT_INPUT)
        got = wf_http_reply_end(reader);
    if (got == WF_OK) {
        const wf_http_reply *reply = wf_http_reply_of(reader);
        wf_fault fault = {0};
        if (wf_opening_judge(reply, KEY, offered, &fault) == WF_OK)
            snprintf(out, 200, "open");
        else if (reply->status != 101 && strcmp(fault.rule, NOT_101) == 0)
            snprintf(out, 200, "%d %.*s", reply->status, (int)reply->body.len, reply->body.data);
        else
            snprintf(out, 200, "%s", fault.rule);
    } else {
        snprintf(out, 200, "%s", wf_http_reply_fault(reader)->rule);
    }
    wf_http_reply_reader_free(reader);
    return got;
}

TEST(answers_are_judged_however_they_are_cut) {
    char got[200];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].input);
        for (size_t split = 0; split <= len; split++) {
            test_context("row %s, split at %zu", rows[i].name, split);
            read_answer(rows[i].input, len, split ? split : 1, split ? len : 1, got);
            CHECK_STR(got, rows[i].expected);
        }
    }
    CHECK_EQ(test_mem_live(), 0);
}

TEST(answers_survive_every_failed_allocation) {
    char whole[200], got[200];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].input), n = 1;
        test_mem_fail_at(0);
        read_answer(rows[i].input, len, 1, 1, whole);
        for (;; n++) {
            test_context("row %s, allocation %zu fails", rows[i].name, n);
            test_mem_fail_at(n);
            int status = read_answer(rows[i].input, len, 1, 1, got);
            CHECK(n < 100);
            if (test_mem_calls() < n)
                break;
            CHECK(status == WF_ENOMEM || strcmp(got, whole) == 0);
        }
        CHECK_EQ(test_mem_live(), 0);
        CHECK_STR(got, whole);
    }
    test_mem_fail_at(0);
}

TEST(bytes_behind_a_101_are_not_taken) {
    static const char answer[] = GOOD "\r\n\x81\x02hi";
    wf_http_reply_reader *reader = wf_http_reply_reader_new(&limits);
    size_t used;
    CHECK(reader != NULL);
    CHECK_EQ(wf_http_reply_feed(reader, (const uint8_t *)answer, sizeof answer - 1, &used), WF_OK);
    CHECK_EQ(used, sizeof answer - 1 - 4);
    CHECK_EQ(wf_http_reply_of(reader)->header_count, 3);
    wf_http_reply_reader_free(reader);
    wf_http_reply_reader_free(NULL);
}

TEST(no_subprotocol_is_chosen_when_none_is_offered) {
    wf_http_header headers[] = {{wf_str_of("Upgrade"), wf_str_of("websocket")},
                                {wf_str_of("Connection"), wf_str_of("Upgrade")},
                                {wf_str_of("Sec-WebSocket-Accept"), wf_str_of("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")},
                                {wf_str_of("Sec-WebSocket-Protocol"), wf_str_of("chat")}};
    wf_http_reply reply = {.status = 101, .version_minor = 1, .headers = headers, .header_count = 4};
    wf_fault fault = {0};
    CHECK_EQ(wf_opening_judge(&reply, KEY, NULL, &fault), WF_ERROR);
    CHECK_STR(fault.rule, BAD_PROTO);
    test_call_fail_at("EVP_DigestFinal_ex", 0, 0); /* without a digest nothing is believed */
    fault = (wf_fault) {0};
    CHECK_EQ(wf_opening_judge(&reply, KEY, offered, &fault), WF_ERROR);
    test_call_fail_at(NULL, 0, 0);
    CHECK_STR(fault.rule, BAD_ACCEPT);
}

/* ---- the request ---- */

static int write_to(wf_buf *out, const char *url_text, wf_opening opening, const char **why) {
    wf_url url;
    char key[WF_UPGRADE_KEY_BYTES + 1] = "";
    CHECK_EQ(wf_url_parse(wf_str_of(url_text), &url, why), WF_OK);
    opening.url = &url;
    opening.nonce = nonce;
    int got = wf_opening_write(out, &opening, key, why);
    CHECK_STR(key, got == WF_OK ? KEY : "");
    return got;
}

#define FIXED "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n"

static void check_request(const char *url, wf_opening opening, const char *expected) {
    wf_buf out = WF_BUF_INIT;
    const char *why = NULL;
    CHECK_EQ(write_to(&out, url, opening, &why), WF_OK);
    CHECK_BYTES(out.data, out.len, expected, strlen(expected));
    wf_buf_deinit(&out);
}

TEST(requests_are_written) {
    static const char *const headers[] = {"Authorization: Basic abc", "X-Empty:", "X-Space:   a b  ", NULL};
    check_request("ws://example.org", (wf_opening) {0}, "GET / HTTP/1.1\r\nHost: example.org\r\n" FIXED "\r\n");
    check_request("ws://example.org:80?a", (wf_opening) {0}, "GET /?a HTTP/1.1\r\nHost: example.org\r\n" FIXED "\r\n");
    check_request("ws://[::1]:90/a?b#c", (wf_opening) {0}, "GET /a?b HTTP/1.1\r\nHost: [::1]:90\r\n" FIXED "\r\n");
    check_request("ws+unix:/a:/b", (wf_opening) {0}, "GET /b HTTP/1.1\r\nHost: localhost\r\n" FIXED "\r\n");
    check_request("ws://a/",
                  (wf_opening) {.origin = "https://b",
                                .subprotocols = offered,
                                .extensions = wf_str_of("permessage-deflate"),
                                .headers = headers},
                  "GET / HTTP/1.1\r\nHost: a\r\n" FIXED "Origin: https://b\r\nSec-WebSocket-Protocol: chat, super\r\n"
                  "Sec-WebSocket-Extensions: permessage-deflate\r\nAuthorization: Basic abc\r\nX-Empty: \r\n"
                  "X-Space: a b\r\n\r\n");
}

static const struct {
    const char *user_password, *bearer_token, *expected; /* the header, or why not */
} credentials[] = {
    {NULL, NULL, ""},
    {"Aladdin:open sesame", NULL, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"}, /* RFC 7617 2 */
    {"test:123\xc2\xa3", NULL, "Authorization: Basic dGVzdDoxMjPCow==\r\n"},                /* RFC 7617 2.1 */
    {":", NULL, "Authorization: Basic Og==\r\n"},
    {"a:b:c", NULL, "Authorization: Basic YTpiOmM=\r\n"},
    {"0123456789012345678901234567890123456789012345:7x", NULL,
     "Authorization: Basic MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTo3eA==\r\n"},
    {"user", NULL, "user and password are not \"user:password\""},
    {"user:pass\r\nHost: b", NULL, "RFC7617/2: user or password has a control byte in it"},
    {"user:\x7f", NULL, "RFC7617/2: user or password has a control byte in it"},
    {NULL, "mF_9.B5f-4.1JqM", "Authorization: Bearer mF_9.B5f-4.1JqM\r\n"}, /* RFC 6750 2.1 */
    {NULL, "a~+/==", "Authorization: Bearer a~+/==\r\n"},
    {NULL, "", "RFC6750/2.1: the token has a byte that none may have"},
    {NULL, "==", "RFC6750/2.1: the token has a byte that none may have"},
    {NULL, "a=b", "RFC6750/2.1: the token has a byte that none may have"},
    {NULL, "a b", "RFC6750/2.1: the token has a byte that none may have"},
    {NULL, "a\r\nHost: b", "RFC6750/2.1: the token has a byte that none may have"},
    {"a:b", "c", "a password and a token: only one can be sent"},
};

TEST(credentials_are_sent_or_refused) {
    for (size_t i = 0; i < sizeof credentials / sizeof credentials[0]; i++) {
        char expected[400];
        const char *why = NULL;
        wf_opening opening = {.credentials = {credentials[i].user_password, credentials[i].bearer_token}};
        test_context("row %zu", i);
        if (credentials[i].expected[0] == '\0' || strncmp(credentials[i].expected, "Auth", 4) == 0) {
            snprintf(expected, sizeof expected, "GET / HTTP/1.1\r\nHost: a\r\n" FIXED "%s\r\n",
                     credentials[i].expected);
            check_request("ws://a/", opening, expected);
            continue;
        }
        wf_buf out = WF_BUF_INIT;
        CHECK_EQ(write_to(&out, "ws://a/", opening, &why), WF_EINVAL);
        CHECK_STR(why, credentials[i].expected);
        CHECK_EQ(out.len, 0);
        wf_buf_deinit(&out);
    }
    static const char *const twice[] = {"authorization: Basic abc", NULL};
    wf_buf out = WF_BUF_INIT;
    const char *why = NULL;
    wf_opening opening = {.credentials.bearer_token = "a", .headers = twice};
    CHECK_EQ(write_to(&out, "ws://a/", opening, &why), WF_EINVAL);
    CHECK_STR(why, "a header is one that the handshake sets itself");
    wf_buf_deinit(&out);
}

TEST(requests_of_ours_are_what_our_server_takes) {
    wf_buf out = WF_BUF_INIT;
    const char *why;
    size_t used;
    CHECK_EQ(write_to(&out, "ws://a/b", (wf_opening) {.subprotocols = offered}, &why), WF_OK);
    wf_http_limits large = {8192, 64, 0};
    wf_http_reader *reader = wf_http_reader_new(&large);
    CHECK(reader != NULL);
    CHECK_EQ(wf_http_reader_feed(reader, out.data, out.len, &used), WF_OK);
    CHECK_EQ(used, out.len);
    CHECK_EQ(wf_upgrade_check(wf_http_reader_request(reader)).refusal, WF_REFUSAL_NONE);
    wf_http_reader_free(reader);
    wf_buf_deinit(&out);
}

typedef struct bad_row {
    const char *name, *header, *subprotocol, *origin, *why;
} bad_row;

#define NOT_A_HEADER "a header is not \"Name: value\""
#define OURS         "a header is one that the handshake sets itself"
#define CONTROL      "a header's value has a control byte in it"

static const bad_row bad_rows[] = {
    {"no_colon", "Authorization", NULL, NULL, NOT_A_HEADER},
    {"no_name", ": a", NULL, NULL, NOT_A_HEADER},
    {"name_with_space", "A b: c", NULL, NULL, NOT_A_HEADER},
    {"line_end_in_name", "A\r\nB: c", NULL, NULL, NOT_A_HEADER},
    {"line_end_in_value", "A: b\r\nHost: c", NULL, NULL, CONTROL},
    {"lf_in_value", "A: b\nHost: c", NULL, NULL, CONTROL},
    {"host", "host: a", NULL, NULL, OURS},
    {"upgrade", "Upgrade: a", NULL, NULL, OURS},
    {"connection", "Connection: close", NULL, NULL, OURS},
    {"length", "Content-Length: 3", NULL, NULL, OURS},
    {"coding", "Transfer-Encoding: chunked", NULL, NULL, OURS},
    {"key", "sec-websocket-key: a", NULL, NULL, OURS},
    {"any_of_that_prefix", "Sec-WebSocket-Foo: a", NULL, NULL, OURS},
    {"origin_twice", "Origin: https://a", NULL, "https://b", OURS},
    {"origin_with_line_end", NULL, NULL, "https://b\r\nA: b", "the origin is empty or has a control byte in it"},
    {"origin_empty", NULL, NULL, "", "the origin is empty or has a control byte in it"},
    {"subprotocol_no_token", NULL, "a b", NULL, "RFC6455/4.1: a subprotocol is not a token"},
    {"subprotocol_empty", NULL, "", NULL, "RFC6455/4.1: a subprotocol is not a token"},
    {"subprotocol_list", NULL, "a,b", NULL, "RFC6455/4.1: a subprotocol is not a token"},
    {"subprotocol_twice", NULL, "first", NULL, "RFC6455/4.1: a subprotocol is offered twice"},
};

TEST(what_may_not_be_sent_is_refused) {
    for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++) {
        const bad_row *r = &bad_rows[i];
        const char *const headers[] = {"A: b", r->header, NULL}, *const list[] = {"first", r->subprotocol, NULL};
        wf_buf out = WF_BUF_INIT;
        const char *why = NULL;
        test_context("row %s", r->name);
        wf_opening opening = {.origin = r->origin, .headers = headers, .subprotocols = list};
        CHECK_EQ(write_to(&out, "ws://a/", opening, &why), WF_EINVAL);
        CHECK_STR(why, r->why);
        CHECK_EQ(out.len, 0);
        wf_buf_deinit(&out);
    }
}

TEST(a_request_without_memory_is_not_written) {
    static const char *const headers[] = {"A: b", NULL};
    const char *why;
    int got = WF_ENOMEM;
    for (size_t n = 1; got == WF_ENOMEM; n++) {
        wf_buf out = WF_BUF_INIT;
        test_context("allocation %zu fails", n);
        test_mem_fail_at(n);
        got = write_to(
            &out, "ws://a/b",
            (wf_opening) {
                .origin = "a", .subprotocols = offered, .credentials.user_password = "a:b", .headers = headers},
            &why);
        CHECK(n < 50 && (got == WF_OK || (got == WF_ENOMEM && out.len == 0)));
        CHECK(got == WF_ENOMEM || n > 1);
        wf_buf_deinit(&out);
    }
    test_mem_fail_at(0);
    CHECK_EQ(got, WF_OK);
}
