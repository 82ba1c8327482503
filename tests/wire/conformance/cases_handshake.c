/*
 * The opening handshake (RFC 6455 4), rule by rule: a valid request with one thing changed, and the answer's status
 * and headers.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One thing changed: the header that is left out, and the lines that are there instead. In lines "~" is the host. */
typedef struct row {
    const char *name, *clause;
    const char *without, *lines;
    int status;
    const char *expected;
} row;

static const char accepted[] = "Upgrade: websocket\nConnection: upgrade\nSec-WebSocket-Accept: " HTTP_ACCEPT
                               "\n!Sec-WebSocket-Extensions\n!Sec-WebSocket-Location\n!Sec-WebSocket-Origin";
static const char speak_13[] = "Sec-WebSocket-Version: 13\nUpgrade: websocket\n!Sec-WebSocket-Accept";
static const char nothing[] = "!Sec-WebSocket-Accept";

static const row rows[] = {
    {"as it should be", "RFC6455/4.2.1", "", "", 101, accepted},
    /* Host */
    {"no Host", "RFC9112/3.2", "Host", "", 400, nothing},
    {"two Hosts", "RFC9112/3.2", "", "Host: other\r\n", 400, nothing},
    {"the same Host twice", "RFC9112/3.2", "", "Host: ~\r\n", 400, nothing},
    {"a Host with a space", "RFC9112/3.2", "Host", "Host: a b\r\n", 400, nothing},
    {"a Host with a path", "RFC9112/3.2", "Host", "Host: a/b\r\n", 400, nothing},
    {"a Host with user information", "RFC9112/3.2", "Host", "Host: user@localhost\r\n", 400, nothing},
    {"a Host with a bad port", "RFC9112/3.2", "Host", "Host: a:99999\r\n", 400, nothing},
    {"an empty Host", "RFC6455/4.2.1", "Host", "Host:\r\n", 400, nothing},
    {"a Host without a port", "RFC6455/4.2.1", "Host", "Host: example.org\r\n", 101, accepted},
    {"an IPv6 Host", "RFC6455/4.2.1", "Host", "Host: [::1]:80\r\n", 101, accepted},
    /* Upgrade */
    {"no Upgrade", "RFC9110/15.5.22", "Upgrade", "", 426, "Upgrade: websocket"},
    {"Upgrade: WebSocket", "RFC6455/4.2.1", "Upgrade", "Upgrade: WebSocket\r\n", 101, accepted},
    {"Upgrade: WEBSOCKET", "RFC6455/4.2.1", "Upgrade", "Upgrade: WEBSOCKET\r\n", 101, accepted},
    {"Upgrade: h2c, websocket", "RFC6455/4.2.1", "Upgrade", "Upgrade: h2c, websocket\r\n", 101, accepted},
    {"Upgrade in two lines", "RFC6455/4.2.1", "Upgrade", "Upgrade: h2c\r\nUpgrade: websocket\r\n", 101, accepted},
    {"Upgrade: web socket", "RFC6455/4.2.1", "Upgrade", "Upgrade: web socket\r\n", 4, nothing},
    {"Upgrade: websockets", "RFC6455/4.2.1", "Upgrade", "Upgrade: websockets\r\n", 4, nothing},
    {"Upgrade: xwebsocket", "RFC6455/4.2.1", "Upgrade", "Upgrade: xwebsocket\r\n", 4, nothing},
    {"Upgrade: h2c", "RFC6455/4.2.1", "Upgrade", "Upgrade: h2c\r\n", 4, nothing},
    {"an empty Upgrade", "RFC6455/4.2.1", "Upgrade", "Upgrade:\r\n", 4, nothing},
    /* Connection */
    {"no Connection", "RFC6455/4.2.1", "Connection", "", 400, nothing},
    {"Connection: upgrade", "RFC6455/4.2.1", "Connection", "Connection: upgrade\r\n", 101, accepted},
    {"Connection: keep-alive, Upgrade", "RFC6455/4.2.1", "Connection", "Connection: keep-alive, Upgrade\r\n", 101,
     accepted},
    {"Connection: Upgrade,keep-alive", "RFC6455/4.2.1", "Connection", "Connection: Upgrade,keep-alive\r\n", 101,
     accepted},
    {"Connection in two lines", "RFC6455/4.2.1", "", "Connection: keep-alive\r\n", 101, accepted},
    {"Connection with empty elements", "RFC9110/5.6.1", "Connection", "Connection: , ,upgrade,\r\n", 101, accepted},
    {"Connection: keep-alive", "RFC6455/4.2.1", "Connection", "Connection: keep-alive\r\n", 400, nothing},
    {"Connection: close", "RFC6455/4.2.1", "Connection", "Connection: close\r\n", 400, nothing},
    {"Connection: Upgraded", "RFC6455/4.2.1", "Connection", "Connection: Upgraded\r\n", 400, nothing},
    {"an empty Connection", "RFC6455/4.2.1", "Connection", "Connection:\r\n", 400, nothing},
    /* Sec-WebSocket-Key */
    {"no key", "RFC6455/4.2.1", "Sec-WebSocket-Key", "", 400, nothing},
    {"an empty key", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key:\r\n", 400, nothing},
    {"a key of 15 bytes", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n", 400,
     nothing},
    {"a key of 17 bytes", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n", 400,
     nothing},
    {"a key of 18 bytes", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n", 400,
     nothing},
    {"a key of 32 bytes", "RFC6455/4.2.1", "Sec-WebSocket-Key",
     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n", 400, nothing},
    {"a key without padding", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA\r\n",
     400, nothing},
    {"a key in the alphabet for URLs", "RFC6455/4.2.1", "Sec-WebSocket-Key",
     "Sec-WebSocket-Key: --__--__--__--__--__--==\r\n", 400, nothing},
    {"a key with a space", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAA AAAAAAAAAAA==\r\n", 400,
     nothing},
    {"a key with a star", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAA*AAAAAAAAAAA==\r\n", 400,
     nothing},
    {"a key that is no base64", "RFC6455/4.2.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: hello\r\n", 400, nothing},
    {"two keys", "RFC6455/4.2.1", "", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400, nothing},
    {"the same key twice", "RFC6455/11.3.1", "", "Sec-WebSocket-Key: " HTTP_KEY "\r\n", 400, nothing},
    {"key zero", "RFC6455/4.2.2", "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 101,
     "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI="},
    {"the key of the RFC's example", "RFC6455/1.3", "Sec-WebSocket-Key",
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 101, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
    {"a key with a slash", "RFC6455/4.2.2", "Sec-WebSocket-Key", "Sec-WebSocket-Key: sN9cRrP/n9NdMgdcy2VJFQ==\r\n", 101,
     "Sec-WebSocket-Accept: fFBooB7FAkLlXgRSz0BT3v4hq5s="},
    {"white space around the key", "RFC9110/5.5", "Sec-WebSocket-Key", "Sec-WebSocket-Key: \t " HTTP_KEY " \t\r\n", 101,
     accepted},
    /* Sec-WebSocket-Version */
    {"no version", "RFC6455/4.2.1", "Sec-WebSocket-Version", "", 426, speak_13},
    {"version 0", "RFC6455/4.4", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 0\r\n", 426, speak_13},
    {"version 7", "RFC6455/4.4", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 7\r\n", 426, speak_13},
    {"version 8", "RFC6455/4.4", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n", 426, speak_13},
    {"version 12", "RFC6455/4.4", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 12\r\n", 426, speak_13},
    {"version 14", "RFC6455/4.4", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 14\r\n", 426, speak_13},
    {"version 255", "RFC6455/4.4", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 255\r\n", 426, speak_13},
    {"version 013", "RFC6455/4.3", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 013\r\n", 426, speak_13},
    {"version 13.0", "RFC6455/4.3", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 13.0\r\n", 426, speak_13},
    {"version thirteen", "RFC6455/4.3", "Sec-WebSocket-Version", "Sec-WebSocket-Version: thirteen\r\n", 426, speak_13},
    {"versions 13, 8 in a list", "RFC6455/11.3.5", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8\r\n", 426,
     speak_13},
    {"two versions", "RFC6455/11.3.5", "", "Sec-WebSocket-Version: 8\r\n", 426, speak_13},
    {"an empty version", "RFC6455/4.2.1", "Sec-WebSocket-Version", "Sec-WebSocket-Version:\r\n", 426, speak_13},
    /* Subprotocols: none, or one of those offered. */
    {"one subprotocol", "RFC6455/4.2.2", "", "Sec-WebSocket-Protocol: chat\r\n", 101, "?Sec-WebSocket-Protocol: chat"},
    {"three subprotocols", "RFC6455/4.2.2", "", "Sec-WebSocket-Protocol: chat, superchat, v2.json\r\n", 101,
     "?Sec-WebSocket-Protocol: chat|superchat|v2.json"},
    {"subprotocols in two lines", "RFC6455/11.3.4", "",
     "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: soap\r\n", 101, "?Sec-WebSocket-Protocol: chat|soap"},
    {"no subprotocol", "RFC6455/4.2.2", "", "", 101, "!Sec-WebSocket-Protocol"},
    /* Origin */
    {"no Origin", "RFC6455/4.2.1", "", "", 101, accepted},
    {"the Origin of the same host", "RFC6455/10.2", "", "Origin: http://~\r\n", 101, accepted},
    {"a foreign Origin", "RFC6455/10.2", "", "Origin: http://evil.example\r\n", 403, nothing},
    {"a foreign Origin on the same port", "RFC6455/10.2", "", "Origin: http://a.~\r\n", 403, nothing},
    {"the same host as a prefix", "RFC6455/10.2", "", "Origin: http://~.evil.example\r\n", 403, nothing},
    {"the same host on another port", "RFC6455/10.2", "Host", "Host: localhost:80\r\nOrigin: http://localhost:81\r\n",
     403, nothing},
    {"Origin: null", "RFC6455/10.2", "", "Origin: null\r\n", 403, nothing},
    {"an Origin that is none", "RFC6455/10.2", "", "Origin: what\r\n", 403, nothing},
    {"an empty Origin", "RFC6455/10.2", "", "Origin:\r\n", 403, nothing},
    {"two Origins", "RFC6455/10.2", "", "Origin: http://~\r\nOrigin: http://evil.example\r\n", 403, nothing},
    /* What is none of the server's business */
    {"draft headers", "RFC6455/4.2.1", "",
     "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nSec-WebSocket-Location: "
     "ws://~/\r\n",
     101, accepted},
    {"cookies, authorization, an agent", "RFC6455/4.2.1", "",
     "Cookie: a=b; c=d\r\nAuthorization: Basic Zm9vOmJhcg==\r\nUser-Agent: suite/1\r\n", 101, accepted},
    {"Accept and Date of a client", "RFC6455/4.2.1", "", "Sec-WebSocket-Accept: " HTTP_ACCEPT "\r\n", 101, accepted},
    {"Content-Length: 0", "RFC6455/4.1", "", "Content-Length: 0\r\n", 101, accepted},
    {"a header of 4,000 bytes", "RFC6455/4.2.1", "", "X-Long: $\r\n", 101, accepted},
};

/* 4.2.1 asks for "an appropriate HTTP error code (such as 400)" and 10.2 leaves origins to the server; a Host is RFC
 * 9112's. */
static case_level level_of(const char *clause, int status) {
    return status == 101 || strcmp(clause, "RFC9112/3.2") == 0 ? LEVEL_MUST
           : status == 403                                     ? LEVEL_STRICT
                                                               : LEVEL_SHOULD;
}

/* The request line and headers; `without` is left out of them. */
static void put_request(bytes *out, const suite *s, const char *line, const row *r) {
    const char *const headers[][2] = {{"Host", s->host},
                                      {"Connection", "Upgrade"},
                                      {"Upgrade", "websocket"},
                                      {"Sec-WebSocket-Key", HTTP_KEY},
                                      {"Sec-WebSocket-Version", "13"}};
    bytes_print(out, "%s\r\n", line);
    for (size_t i = 0; i < 5; i++)
        if (strcmp(headers[i][0], r->without) != 0)
            bytes_print(out, "%s: %s\r\n", headers[i][0], headers[i][1]);
    for (const char *at = r->lines; *at; at++) {
        if (*at == '~')
            bytes_print(out, "%s", s->host);
        else if (*at == '$')
            for (int i = 0; i < 4000; i++)
                bytes_put_byte(out, 'x');
        else
            bytes_put_byte(out, (unsigned char)*at);
    }
    bytes_print(out, "\r\n");
}

/* After a 101 the connection works; after anything else it is left alone. */
static void expect_answer(suite *s, conf_case *c, int status, const char *expected) {
    case_expect_http(c, status, expected);
    if (status == 101) {
        case_frame(c, FIN | TEXT, "open", 4);
        case_expect_message(c, TEXT, "open", 4);
    } else {
        c->ends = true;
    }
    case_end(s, c);
}

static void one_thing_changed(suite *s) {
    char line[256];
    snprintf(line, sizeof line, "GET %s HTTP/1.1", s->path);
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (size_t chop = 0; chop < 2; chop++) {
            conf_case *c = case_begin(s, "handshake", rows[n].clause, level_of(rows[n].clause, rows[n].status), "%s%s",
                                      rows[n].name, chop ? ", byte by byte" : "");
            bytes request = {0};
            put_request(&request, s, line, &rows[n]);
            case_speaks_http(c);
            c->chop = chop;
            case_send(c, request.data, request.len);
            bytes_free(&request);
            expect_answer(s, c, rows[n].status, rows[n].expected);
        }
}

static void request_lines(suite *s) {
    static const row unchanged = {.without = "", .lines = ""};
    static const struct {
        const char *name, *format, *clause; /* in the format % is the path */
        int status;
    } lines[] = {
        {"POST", "POST % HTTP/1.1", "RFC6455/4.2.1", 405},
        {"HEAD", "HEAD % HTTP/1.1", "RFC6455/4.2.1", 405},
        {"OPTIONS", "OPTIONS % HTTP/1.1", "RFC6455/4.2.1", 405},
        {"PUT", "PUT % HTTP/1.1", "RFC6455/4.2.1", 405},
        {"DELETE", "DELETE % HTTP/1.1", "RFC6455/4.2.1", 405},
        {"get in small letters", "get % HTTP/1.1", "RFC9110/9.1", 4},
        {"HTTP/1.0", "GET % HTTP/1.0", "RFC6455/4.2.1", 400},
        {"HTTP/0.9", "GET %", "RFC6455/4.2.1", 400},
        {"HTTP/2.0", "GET % HTTP/2.0", "RFC9110/15.6.6", 505},
        {"no HTTP", "GET % FTP/1.1", "RFC9112/3", 400},
        {"a query", "GET %?a=b&c=d HTTP/1.1", "RFC6455/4.2.1", 101},
        {"an absolute form", "GET http://~% HTTP/1.1", "RFC9112/3.2.2", 101},
        {"an absolute form that differs from Host", "GET http://another.example% HTTP/1.1", "RFC9112/3.2.2", 4},
        {"two spaces", "GET  % HTTP/1.1", "RFC9112/3", 400},
        {"a fragment", "GET %#here HTTP/1.1", "RFC6455/3", 4},
    };
    for (size_t n = 0; n < sizeof lines / sizeof *lines; n++) {
        conf_case *c = case_begin(s, "handshake", lines[n].clause, level_of(lines[n].clause, lines[n].status),
                                  "request line: %s", lines[n].name);
        bytes line = {0}, request = {0};
        for (const char *at = lines[n].format; *at; at++)
            bytes_print(&line, "%.*s", *at == '~' || *at == '%' ? 200 : 1,
                        *at == '~'   ? s->host
                        : *at == '%' ? s->path
                                     : at);
        bytes_put_byte(&line, 0);
        put_request(&request, s, (const char *)line.data, &unchanged);
        case_speaks_http(c);
        c->no_body = strcmp(lines[n].name, "HEAD") == 0;
        case_send(c, request.data, request.len);
        bytes_free(&line);
        bytes_free(&request);
        expect_answer(s, c, lines[n].status, lines[n].status == 101 ? accepted : nothing);
    }
}

/* Not even HTTP, and too much of it: answered, never by a bare end. */
static void broken(suite *s) {
    static const struct {
        const char *name, *text;
        int status;
    } texts[] = {
        {"a TLS hello", "\x16\x03\x01\x02\x01\x01\x03\x03\x7f\x11\x22\x33\r\n\r\n", 400},
        {"a frame", "\x81\x85\x01\x02\x03\x04iijjn\r\n\r\n", 400},
        {"bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", 400},
        {"a header without a colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400},
        {"a header name with a space", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"an obsolete fold", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400},
        {"length and chunks",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
        {"a length that is none", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
    };
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
        conf_case *c = case_begin(s, "handshake", "RFC9112/2.2", LEVEL_MUST, "not HTTP: %s", texts[n].name);
        case_speaks_http(c);
        case_send(c, texts[n].text, strlen(texts[n].text));
        expect_answer(s, c, texts[n].status, nothing);
    }
    for (int kind = 0; kind < 2; kind++) {
        conf_case *c =
            case_begin(s, "handshake", "RFC6585/5", LEVEL_STRICT, kind ? "a header of 100 KB" : "2,000 headers");
        bytes request = {0};
        bytes_print(&request, "GET %s HTTP/1.1\r\nHost: %s\r\n%s", s->path, s->host, kind ? "X: " : "");
        for (int i = 0; i < (kind ? 100000 : 2000); i++)
            bytes_print(&request, kind ? "x" : "X-%d: y\r\n", i);
        bytes_print(&request, "%s\r\n", kind ? "\r\n" : "");
        case_speaks_http(c);
        case_send(c, request.data, request.len);
        bytes_free(&request);
        expect_answer(s, c, 431, nothing);
    }
}

/* Bytes behind the request in the same write are the first frames, or with a refusal the next request. */
static void behind(suite *s) {
    static const row unchanged = {.without = "", .lines = ""},
                     old = {.without = "Sec-WebSocket-Version", .lines = "Sec-WebSocket-Version: 8\r\n"};
    char line[256];
    snprintf(line, sizeof line, "GET %s HTTP/1.1", s->path);
    for (size_t chop = 0; chop <= 64; chop += 16) {
        conf_case *c =
            case_begin(s, "handshake", "RFC6455/4.2.2", LEVEL_MUST, "frames behind the request, chops of %zu", chop);
        bytes request = {0};
        put_request(&request, s, line, &unchanged);
        case_speaks_http(c);
        c->chop = chop;
        case_send(c, request.data, request.len);
        case_frame(c, FIN | TEXT, "first", 5);
        case_frame(c, FIN | PING, "ping", 4);
        case_frame(c, BINARY, "se", 2);
        case_frame(c, FIN, "cond", 4);
        bytes_free(&request);
        case_expect_http(c, 101, accepted);
        case_expect_message(c, TEXT, "first", 5);
        case_expect_pong(c, "ping", 4);
        case_expect_message(c, BINARY, "second", 6);
        case_end(s, c);
    }
    conf_case *c = case_begin(s, "handshake", "RFC6455/5.1", LEVEL_MUST, "an unmasked frame behind the request");
    bytes request = {0};
    put_request(&request, s, line, &unchanged);
    case_speaks_http(c);
    case_send(c, request.data, request.len);
    case_frame_misused(c, FIN | TEXT, "first", 5);
    case_expect_http(c, 101, accepted);
    case_expect_close(c, 1002);
    case_end(s, c);
    c = case_begin(s, "handshake", "RFC6455/4.4", LEVEL_STRICT, "a refusal, and the right version behind it");
    request.len = 0;
    put_request(&request, s, line, &old);
    put_request(&request, s, line, &unchanged);
    case_speaks_http(c);
    case_send(c, request.data, request.len);
    case_expect_http(c, 426, speak_13);
    expect_answer(s, c, 101, accepted);
    c = case_begin(s, "handshake", "RFC6455/4.2.2", LEVEL_MUST, "frames behind a refused request are no frames");
    request.len = 0;
    put_request(&request, s, line, &old);
    case_speaks_http(c);
    case_send(c, request.data, request.len);
    case_frame(c, FIN | TEXT, "smuggled", 8);
    case_send(c, "\r\n\r\n", 4);
    case_expect_http(c, 426, speak_13);
    case_expect_http(c, 400, nothing);
    case_expect_end(c);
    case_end(s, c);
    bytes_free(&request);
}

void cases_handshake(suite *s) {
    if (!s->has_http)
        return;
    one_thing_changed(s);
    request_lines(s);
    broken(s);
    behind(s);
}
