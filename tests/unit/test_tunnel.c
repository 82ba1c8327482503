/*
 * A tunnel row is a proxy, what it says, and what comes of it in words: what we said and the verdict. Each is replayed
 * whole, cut in two everywhere, byte by byte, and with every allocation failing.
 */
#include "client/tunnel.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES(text) text, sizeof(text) - 1

#define HTTP_SAID "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n"
#define GREETING  "\x05\x01\x00"
#define BOTH      "\x05\x02\x00\x02"
#define ASKS_A_TEST                                                                                                    \
    "\x05\x01\x00\x03\x06"                                                                                             \
    "a.test\x00\x50"
#define PASSWORD     "\x01\x02me\x06secret"
#define NO_METHOD    "\x05\x00"
#define THROUGH_IPV4 "\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34"
#define NO_TUNNEL    "RFC9110/9.3.6: the proxy made no tunnel"

typedef struct row {
    const char *name, *proxy, *target;
    const char *says; /* the proxy, from the first to the last byte */
    size_t says_len;
    size_t asked_at; /* SOCKS: where it waits for us to speak again, at most twice; 0: nowhere */
    size_t asked_again_at;
    const char *said; /* all of ours */
    size_t said_len;
    const char *rule; /* NULL: through */
    size_t rest;      /* bytes that are the target's, or not of interest */
    int status;       /* of an answer that can be read; 0: none */
    int sys_errno;
} row;

static const row rows[] = {
    /* CONNECT */
    {"connect", "http://p", "a.test:80", BYTES("HTTP/1.1 200 OK\r\n\r\n"), 0, 0, BYTES(HTTP_SAID), NULL, 0, 0, 0},
    {"any_2xx", "http://p", "a.test:80", BYTES("HTTP/1.1 299 Go\r\n\r\n"), 0, 0, BYTES(HTTP_SAID), NULL, 0, 0, 0},
    {"http_1_0", "http://p", "a.test:80", BYTES("HTTP/1.0 200 Connection established\r\nVia: p\r\n\r\n"), 0, 0,
     BYTES(HTTP_SAID), NULL, 0, 0, 0},
    {"bytes_behind_the_head", "http://p", "a.test:80", BYTES("HTTP/1.1 200 OK\r\n\r\nearly"), 0, 0, BYTES(HTTP_SAID),
     NULL, 5, 0, 0},
    {"a_2xx_has_no_body", "http://p", "a.test:80",
     BYTES("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nearly"), 0, 0, BYTES(HTTP_SAID),
     NULL, 5, 0, 0},
    {"interim_answers", "http://p", "a.test:80", BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), 0, 0,
     BYTES(HTTP_SAID), NULL, 0, 0, 0},
    {"basic", "http://me:secret@p", "[::1]:8443", BYTES("HTTP/1.1 200 OK\r\n\r\n"), 0, 0,
     BYTES("CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"), NULL,
     0, 0, 0},
    {"407", "http://p", "a.test:80",
     BYTES("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 2\r\n\r\nno"), 0, 0,
     BYTES(HTTP_SAID), NO_TUNNEL, 0, 407, 0},
    {"403", "http://p", "a.test:80", BYTES("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), 0, 0, BYTES(HTTP_SAID),
     NO_TUNNEL, 0, 403, 0},
    {"502_until_the_end", "http://p", "a.test:80", BYTES("HTTP/1.0 502 No\r\n\r\nwhy"), 0, 0, BYTES(HTTP_SAID),
     NO_TUNNEL, 0, 502, 0},
    {"101_is_no_tunnel", "http://p", "a.test:80", BYTES("HTTP/1.1 101 Switching\r\n\r\n"), 0, 0, BYTES(HTTP_SAID),
     NO_TUNNEL, 0, 101, 0},
    {"302_is_not_followed", "http://p", "a.test:80",
     BYTES("HTTP/1.1 302 There\r\nLocation: http://b.test/\r\nContent-Length: 0\r\n\r\n"), 0, 0, BYTES(HTTP_SAID),
     NO_TUNNEL, 0, 302, 0},
    {"garbage", "http://p", "a.test:80", BYTES("SSH-2.0-OpenSSH\r\n\r\n"), 0, 0, BYTES(HTTP_SAID),
     "RFC9112/4: the answer does not begin with an HTTP/1.x status line", 19, 0, 0},
    {"too_long", "http://p", "a.test:80",
     BYTES("HTTP/1.1 200 OK\r\nA: 0123456789012345678901234567890123456789"
           "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n\r"
           "\n"),
     0, 0, BYTES(HTTP_SAID), "head_bytes_max: the head of the answer is over the limit", 36, 0, 0},
    {"ends_at_once", "http://p", "a.test:80", BYTES(""), 0, 0, BYTES(HTTP_SAID),
     "RFC6455/4.1: the connection ended without an answer", 0, 0, ECONNRESET},
    {"ends_in_the_head", "http://p", "a.test:80", BYTES("HTTP/1.1 200 OK\r\n"), 0, 0, BYTES(HTTP_SAID),
     "RFC6455/4.1: the connection ended within the answer's head", 0, 0, ECONNRESET},

    /* SOCKS 5 */
    {"socks", "socks5h://p", "a.test:80", BYTES(NO_METHOD THROUGH_IPV4), 2, 0, BYTES(GREETING ASKS_A_TEST), NULL, 0, 0,
     0},
    {"reply_with_ipv6", "socks5h://p", "a.test:80",
     BYTES(NO_METHOD "\x05\x00\x00\x04\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x12\x34"), 2, 0,
     BYTES(GREETING ASKS_A_TEST), NULL, 0, 0, 0},
    {"reply_with_a_name", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x00\x00\x03\x04name\x12\x34"), 2, 0,
     BYTES(GREETING ASKS_A_TEST), NULL, 0, 0, 0},
    {"reply_with_an_empty_name", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x00\x00\x03\x00\x12\x34x"), 2, 0,
     BYTES(GREETING ASKS_A_TEST), NULL, 1, 0, 0},
    {"bytes_behind_the_reply", "socks5h://p", "a.test:80", BYTES(NO_METHOD THROUGH_IPV4 "early"), 2, 0,
     BYTES(GREETING ASKS_A_TEST), NULL, 5, 0, 0},
    {"an_ipv4_address", "socks5h://p", "192.0.2.1:443", BYTES(NO_METHOD THROUGH_IPV4), 2, 0,
     BYTES(GREETING "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"), NULL, 0, 0, 0},
    {"an_ipv6_address", "socks5://p", "[2001:db8::1]:65535", BYTES(NO_METHOD THROUGH_IPV4), 2, 0,
     BYTES(GREETING "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff"), NULL, 0, 0, 0},
    {"password_not_asked_for", "socks5h://me:secret@p", "a.test:80", BYTES(NO_METHOD THROUGH_IPV4), 2, 0,
     BYTES(BOTH ASKS_A_TEST), NULL, 0, 0, 0},
    {"password", "socks5h://me:secret@p", "a.test:80", BYTES("\x05\x02\x01\x00" THROUGH_IPV4), 2, 4,
     BYTES(BOTH PASSWORD ASKS_A_TEST), NULL, 0, 0, 0},
    {"password_refused", "socks5h://me:secret@p", "a.test:80", BYTES("\x05\x02\x01\x01"), 2, 0, BYTES(BOTH PASSWORD),
     "RFC1929/2: the proxy refused user and password", 0, 0, 0},
    {"password_answered_by_another_version", "socks5h://me:secret@p", "a.test:80", BYTES("\x05\x02\x05\x00"), 2, 0,
     BYTES(BOTH PASSWORD), "RFC1929/2: the proxy's answer to the password is of no known version", 0, 0, 0},
    {"password_wanted", "socks5h://p", "a.test:80", BYTES("\x05\xff"), 0, 0, BYTES(GREETING),
     "RFC1928/3: the proxy wants to be authenticated to", 0, 0, 0},
    {"method_refused", "socks5h://me:secret@p", "a.test:80", BYTES("\x05\xff"), 0, 0, BYTES(BOTH),
     "RFC1928/3: the proxy takes neither a password nor none", 0, 0, 0},
    {"method_not_offered", "socks5h://p", "a.test:80", BYTES("\x05\x02"), 0, 0, BYTES(GREETING),
     "RFC1928/3: the proxy chose a way to authenticate that was not offered", 0, 0, 0},
    {"gssapi", "socks5h://me:secret@p", "a.test:80", BYTES("\x05\x01"), 0, 0, BYTES(BOTH),
     "RFC1928/3: the proxy chose a way to authenticate that was not offered", 0, 0, 0},
    {"socks_4", "socks5h://p", "a.test:80", BYTES("\x00\x5b"), 0, 0, BYTES(GREETING),
     "RFC1928/3: the proxy does not speak SOCKS 5", 0, 0, 0},
    {"http_where_socks_should_be", "socks5h://p", "a.test:80", BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), 0, 0,
     BYTES(GREETING), "RFC1928/3: the proxy does not speak SOCKS 5", 26, 0, 0},
    {"reply_1", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x01"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the proxy failed (1)", 0, 0, EREMOTEIO},
    {"reply_2", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x02\x00\x01\0\0\0\0\0\0"), 2, 0,
     BYTES(GREETING ASKS_A_TEST), "RFC1928/6: not allowed by the proxy's rules (2)", 8, 0, 0},
    {"reply_3", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x03"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the network cannot be reached from the proxy (3)", 0, 0, ENETUNREACH},
    {"reply_4", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x04"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the host cannot be reached from the proxy (4)", 0, 0, EHOSTUNREACH},
    {"reply_5", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x05"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the host refused the proxy's connection (5)", 0, 0, ECONNREFUSED},
    {"reply_6", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x06"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the time to live was over on the way from the proxy (6)", 0, 0, EHOSTUNREACH},
    {"reply_7", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x07"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the proxy does not know how to connect (7)", 0, 0, 0},
    {"reply_8", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x08"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the proxy does not take this kind of address (8)", 0, 0, 0},
    {"reply_9", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x09"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the proxy refused with a code that is not assigned", 0, 0, 0},
    {"reply_255", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\xff"), 2, 0, BYTES(GREETING ASKS_A_TEST),
     "RFC1928/6: the proxy refused with a code that is not assigned", 0, 0, 0},
    {"reply_of_another_version", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x04\x00"), 2, 0,
     BYTES(GREETING ASKS_A_TEST), "RFC1928/6: the proxy's reply is not one of SOCKS 5", 0, 0, 0},
    {"reply_with_no_known_type", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x00\x00\x02\x00"), 2, 0,
     BYTES(GREETING ASKS_A_TEST), "RFC1928/6: the proxy's reply has an address of no known type", 0, 0, 0},
    {"socks_ends_at_once", "socks5h://p", "a.test:80", BYTES(""), 0, 0, BYTES(GREETING),
     "RFC1928/6: the proxy ended the connection", 0, 0, ECONNRESET},
    {"socks_ends_in_the_reply", "socks5h://p", "a.test:80", BYTES(NO_METHOD "\x05\x00\x00\x01\x7f\x00\x00\x01\x12"), 2,
     0, BYTES(GREETING ASKS_A_TEST), "RFC1928/6: the proxy ended the connection", 0, 0, ECONNRESET},
};

static const wf_http_limits limits = {128, 8, 64};

enum { SAID_BYTES = 1024 };

typedef struct run {
    wf_proxy proxy;
    wf_tunnel tunnel;
    wf_buf out;
    uint8_t said[SAID_BYTES];
    size_t said_len;
    size_t fed; /* bytes that were used */
    int got;
} run;

static void send_out(run *r) {
    CHECK(r->out.len <= sizeof r->said - r->said_len);
    if (r->out.len > 0)
        memcpy(r->said + r->said_len, r->out.data, r->out.len);
    r->said_len += r->out.len;
    r->out.len = 0;
}

static void begin(run *r, const row *line) {
    const char *why;
    *r = (run) {.out = WF_BUF_INIT};
    CHECK_EQ(wf_proxy_parse(wf_str_of(line->proxy), &r->proxy, &why), WF_OK);
    wf_tunnel_init(&r->tunnel, &r->proxy, line->target);
    r->got = wf_tunnel_begin(&r->tunnel, &limits, &r->out);
    if (r->got == WF_OK)
        r->got = WF_WANT_INPUT;
    send_out(r);
}

static void end(run *r) {
    wf_tunnel_deinit(&r->tunnel);
    wf_buf_deinit(&r->out);
}

/* Feeds up to `to`, from an exact copy, so that a sanitizer sees a byte too many. */
static void feed(run *r, const row *line, size_t to) {
    if (r->got != WF_WANT_INPUT || to <= r->fed)
        return;
    size_t len = to - r->fed, used;
    uint8_t *exact = malloc(len);
    memcpy(exact, line->says + r->fed, len);
    r->got = wf_tunnel_feed(&r->tunnel, exact, len, &used, &r->out);
    free(exact);
    if (r->got == WF_WANT_INPUT)
        CHECK_EQ(used, len);
    r->fed += used;
    send_out(r);
}

/* The proxy waits for us where it must. */
static void feed_to(run *r, const row *line, size_t to) {
    if (to > line->asked_at)
        feed(r, line, line->asked_at);
    if (to > line->asked_again_at)
        feed(r, line, line->asked_again_at);
    feed(r, line, to);
}

static void check_end(run *r, const row *line) {
    if (r->got == WF_WANT_INPUT)
        r->got = wf_tunnel_end(&r->tunnel);
    CHECK_EQ(r->got, line->rule ? WF_ERROR : WF_OK);
    CHECK_BYTES(r->said, r->said_len, line->said, line->said_len);
    CHECK_EQ(line->says_len - r->fed, line->rest);
    wf_http_reply_reader *reply = wf_tunnel_take_reply(&r->tunnel);
    CHECK_EQ(reply ? wf_http_reply_of(reply)->status : 0, line->status);
    wf_http_reply_reader_free(reply);
    if (!line->rule)
        return;
    CHECK_STR(wf_tunnel_fault(&r->tunnel)->rule, line->rule);
    CHECK_EQ(wf_tunnel_fault(&r->tunnel)->sys_errno, line->sys_errno);
    size_t used = 7;
    CHECK_EQ(wf_tunnel_feed(&r->tunnel, (const uint8_t *)"x", 1, &used, &r->out), WF_ERROR); /* it stays so */
    CHECK_EQ(used, 0);
    CHECK_EQ(wf_tunnel_end(&r->tunnel), WF_ERROR);
    CHECK_STR(wf_tunnel_fault(&r->tunnel)->rule, line->rule);
}

TEST(rows_under_every_split) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const row *line = &rows[i];
        for (size_t cut = 0; cut <= line->says_len; cut++) {
            run r;
            test_context("row %s, cut at %zu", line->name, cut);
            begin(&r, line);
            feed_to(&r, line, cut);
            feed_to(&r, line, line->says_len);
            check_end(&r, line);
            end(&r);
        }
        run r;
        test_context("row %s, byte by byte", line->name);
        begin(&r, line);
        for (size_t to = 1; to <= line->says_len; to++)
            feed_to(&r, line, to);
        check_end(&r, line);
        end(&r);
        CHECK_EQ(test_mem_live(), 0);
    }
}

TEST(rows_with_every_allocation_failing) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool reached = true;
        for (size_t n = 1; reached; n++) {
            run r;
            test_context("row %s, allocation %zu", rows[i].name, n);
            test_mem_fail_at(n);
            begin(&r, &rows[i]);
            for (size_t to = 1; to <= rows[i].says_len; to++)
                feed_to(&r, &rows[i], to);
            reached = test_mem_calls() >= n;
            test_mem_fail_at(0);
            if (reached) {
                CHECK_EQ(r.got, WF_ENOMEM);
                CHECK_EQ(wf_tunnel_fault(&r.tunnel)->sys_errno, ENOMEM);
                CHECK_EQ(wf_tunnel_end(&r.tunnel), WF_ENOMEM);
                CHECK(wf_tunnel_take_reply(&r.tunnel) == NULL);
            } else {
                check_end(&r, &rows[i]);
            }
            end(&r);
            CHECK_EQ(test_mem_live(), 0);
        }
    }
}

/* A row with bytes changed, lost and doubled. */
static size_t spoil(uint8_t *out, const row *line, uint64_t *random) {
    size_t len = 0;
    for (size_t i = 0; i < line->says_len; i++) {
        uint64_t dice = test_random(random) % 40;
        if (dice != 0)
            out[len++] = (uint8_t)(dice == 1 ? test_random(random) : (uint64_t)(uint8_t)line->says[i]);
        if (dice == 2)
            out[len++] = (uint8_t)line->says[i];
    }
    return len;
}

/* As long as possible, or at random; of SOCKS never so much that it had not waited for us. */
static void feed_in_pieces(run *r, const row *line, uint64_t *random) {
    while (r->got == WF_WANT_INPUT && r->fed < line->says_len) {
        size_t left = line->says_len - r->fed, needed = (size_t)(r->tunnel.need - r->tunnel.in_len);
        left = needed > 0 && needed < left ? needed : left;
        feed(r, line, r->fed + (random ? 1 + test_random(random) % left : left));
    }
    if (r->got == WF_WANT_INPUT)
        r->got = wf_tunnel_end(&r->tunnel);
}

TEST(what_is_spoilt_comes_to_the_same_however_it_is_cut) {
    uint64_t random = 88172645463325252;
    size_t through = 0, refused = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t says[512];
        row line = rows[test_random(&random) % (sizeof rows / sizeof rows[0])];
        line.says_len = spoil(says, &line, &random);
        line.says = (const char *)says;
        run whole, cut;
        test_context("round %d, row %s", i, line.name);
        begin(&whole, &line);
        begin(&cut, &line);
        feed_in_pieces(&whole, &line, NULL);
        feed_in_pieces(&cut, &line, &random);
        CHECK_EQ(whole.got, cut.got);
        CHECK(whole.got != WF_OK || whole.fed == cut.fed);
        CHECK_BYTES(whole.said, whole.said_len, cut.said, cut.said_len);
        CHECK(wf_tunnel_fault(&whole.tunnel)->rule == wf_tunnel_fault(&cut.tunnel)->rule);
        through += cut.got == WF_OK;
        refused += cut.got == WF_ERROR;
        end(&whole);
        end(&cut);
    }
    test_context("%zu through, %zu refused", through, refused);
    CHECK(through > 1000 && refused > 1000 && through + refused == 20000);
}

/* Else what is meant for the proxy could come to lie behind the connection to the target. */
TEST(a_proxy_that_does_not_wait_is_refused) {
    static const row early = {.proxy = "socks5h://p", .target = "a.test:80"};
    run r;
    size_t used;
    begin(&r, &early);
    CHECK_EQ(wf_tunnel_feed(&r.tunnel, (const uint8_t *)NO_METHOD THROUGH_IPV4, 12, &used, &r.out), WF_ERROR);
    CHECK_STR(wf_tunnel_fault(&r.tunnel)->rule, "RFC1928/3: the proxy spoke before it was asked");
    end(&r);
}
