/*
 * A handshake row is a request text and the refusal it meets. It goes through the reader first, whole, under
 * every split in two, byte by byte and with every allocation failing, so that both are tested as they will
 * stand together.
 */
#include "http/request.h"
#include "http/upgrade.h"
#include "test.h"

#define KEY                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION               "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE               "Upgrade: websocket\r\n"
#define CONN                  "Connection: Upgrade\r\n"
#define HOST                  "Host: example.org\r\n"
#define GET                   "GET /chat HTTP/1.1\r\n"
#define REST                  KEY VERSION "\r\n"
#define WITH_KEY(key)         GET HOST UPGRADE CONN "Sec-WebSocket-Key:" key "\r\n" VERSION "\r\n"
#define WITH_VERSION(headers) GET HOST UPGRADE CONN KEY headers "\r\n"

static const wf_http_limits limits = {.head_bytes_max = 8192, .headers_max = 64, .body_bytes_max = 1024};

typedef struct row {
    const char *name;
    const char *input;
    wf_refusal refusal;
    int http_status;
} row;

static const row rows[] = {
    {"good", GET HOST UPGRADE CONN REST, WF_REFUSAL_NONE, 101},
    {"names_in_any_case", GET "hOST: example.org\r\nUPGRADE: WebSocket\r\nconnection: UPGRADE\r\n" REST,
     WF_REFUSAL_NONE, 101},
    {"tokens_in_lists", GET HOST "Upgrade: h2c, websocket\r\nConnection: keep-alive, Upgrade\r\n" REST, WF_REFUSAL_NONE,
     101},
    {"tokens_over_lines", GET HOST "Upgrade: h2c\r\n" UPGRADE "Connection: keep-alive\r\n" CONN REST, WF_REFUSAL_NONE,
     101},
    {"draft_headers_are_ignored",
     GET HOST UPGRADE CONN "Sec-WebSocket-Location: ws://x/\r\nSec-WebSocket-Draft: 7\r\n" REST, WF_REFUSAL_NONE, 101},
    {"unknown_extensions_are_no_reason_to_refuse",
     GET HOST UPGRADE CONN "Sec-WebSocket-Extensions: x-a; b=1, x-c\r\nSec-WebSocket-Extensions: x-d\r\n" REST,
     WF_REFUSAL_NONE, 101},
    {"broken_extensions_are_no_reason_to_refuse",
     GET HOST UPGRADE CONN "Sec-WebSocket-Extensions: ;;=, x y; \"\r\nSec-WebSocket-Extensions:\r\n" REST,
     WF_REFUSAL_NONE, 101},
    {"length_zero_is_no_body", GET HOST UPGRADE CONN "Content-Length: 0\r\n" REST, WF_REFUSAL_NONE, 101},

    {"post", "POST /chat HTTP/1.1\r\n" HOST UPGRADE CONN REST, WF_REFUSAL_METHOD, 405},
    {"head", "HEAD /chat HTTP/1.1\r\n" HOST UPGRADE CONN REST, WF_REFUSAL_METHOD, 405},
    {"http10", "GET /chat HTTP/1.0\r\n" HOST UPGRADE CONN REST, WF_REFUSAL_HTTP_VERSION, 400},
    {"host_empty", GET "Host:\r\n" UPGRADE CONN REST, WF_REFUSAL_HOST, 400},
    {"a_page_visit", GET HOST "\r\n", WF_REFUSAL_UPGRADE, 426},
    {"upgrade_missing", GET HOST CONN REST, WF_REFUSAL_UPGRADE, 426},
    {"upgrade_to_h2c", GET HOST "Upgrade: h2c\r\n" CONN REST, WF_REFUSAL_UPGRADE, 400},
    {"upgrade_empty", GET HOST "Upgrade:\r\n" CONN REST, WF_REFUSAL_UPGRADE, 400},
    {"upgrade_over_ascii", GET HOST "Upgrade: web\xc3\xa9socket\r\n" CONN REST, WF_REFUSAL_UPGRADE, 400},
    {"upgrade_nearly", GET HOST "Upgrade: websockets\r\n" CONN REST, WF_REFUSAL_UPGRADE, 400},
    {"connection_missing", GET HOST UPGRADE REST, WF_REFUSAL_CONNECTION, 400},
    {"connection_other", GET HOST UPGRADE "Connection: keep-alive\r\n" REST, WF_REFUSAL_CONNECTION, 400},
    {"connection_empty", GET HOST UPGRADE "Connection: \r\n" REST, WF_REFUSAL_CONNECTION, 400},
    {"connection_commas", GET HOST UPGRADE "Connection: ,,,\r\n" REST, WF_REFUSAL_CONNECTION, 400},

    {"key_low_bits_set", WITH_KEY("dGhlIHNhbXBsZSBub25jZR=="), WF_REFUSAL_NONE, 101},
    {"key_missing", GET HOST UPGRADE CONN VERSION "\r\n", WF_REFUSAL_KEY, 400},
    {"key_twice", GET HOST UPGRADE CONN KEY REST, WF_REFUSAL_KEY, 400},
    {"key_empty", WITH_KEY(""), WF_REFUSAL_KEY, 400},
    {"key_of_15_bytes", WITH_KEY("dGhlIHNhbXBsZSBub25j"), WF_REFUSAL_KEY, 400},
    {"key_of_17_bytes", WITH_KEY("dGhlIHNhbXBsZSBub25jZZU="), WF_REFUSAL_KEY, 400},
    {"key_of_18_bytes", WITH_KEY("dGhlIHNhbXBsZSBub25jZZU1"), WF_REFUSAL_KEY, 400},
    {"key_unpadded", WITH_KEY("dGhlIHNhbXBsZSBub25jZQ"), WF_REFUSAL_KEY, 400},
    {"key_padded_early", WITH_KEY("dGhlIHNhbXBsZSBub25j=Q=="), WF_REFUSAL_KEY, 400},
    {"key_with_space", WITH_KEY("dGhlIHNhbXBs ZSBub25jZ=="), WF_REFUSAL_KEY, 400},
    {"key_over_ascii", WITH_KEY("dGhlIHNhbXBsZSBub25j\xc3\xa9=="), WF_REFUSAL_KEY, 400},
    {"key_url_alphabet", WITH_KEY("dGhlIHNhbXBsZSBub25-_Q=="), WF_REFUSAL_KEY, 400},
    {"key_longer", WITH_KEY("dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ=="), WF_REFUSAL_KEY, 400},

    {"version_missing", WITH_VERSION(""), WF_REFUSAL_WS_VERSION, 426},
    {"version_8", WITH_VERSION("Sec-WebSocket-Version: 8\r\n"), WF_REFUSAL_WS_VERSION, 426},
    {"version_013", WITH_VERSION("Sec-WebSocket-Version: 013\r\n"), WF_REFUSAL_WS_VERSION, 426},
    {"version_list", WITH_VERSION("Sec-WebSocket-Version: 13, 8\r\n"), WF_REFUSAL_WS_VERSION, 426},
    {"version_twice", WITH_VERSION(VERSION VERSION), WF_REFUSAL_WS_VERSION, 426},
    {"version_empty", WITH_VERSION("Sec-WebSocket-Version:\r\n"), WF_REFUSAL_WS_VERSION, 426},

    {"body_by_length", GET HOST UPGRADE CONN "Content-Length: 2\r\n" REST "hi", WF_REFUSAL_BODY, 400},
    {"body_by_chunks", GET HOST UPGRADE CONN "Transfer-Encoding: chunked\r\n" REST "2\r\nhi\r\n0\r\n\r\n",
     WF_REFUSAL_BODY, 400},
    {"body_chunked_and_empty", GET HOST UPGRADE CONN "Transfer-Encoding: chunked\r\n" REST "0\r\n\r\n", WF_REFUSAL_BODY,
     400},
    {"the_first_broken_rule_counts", "POST / HTTP/1.0\r\n\r\n", WF_REFUSAL_METHOD, 405},
};

static int feed_split(wf_http_reader *reader, const char *text, size_t first, size_t step) {
    size_t len = strlen(text), at = 0, piece = first, used;
    int status = WF_WANT_INPUT;
    while (status == WF_WANT_INPUT && at < len) {
        size_t left = len - at;
        status = wf_http_reader_feed(reader, (const uint8_t *)text + at, piece < left ? piece : left, &used);
        at += used;
        piece = step;
    }
    if (status == WF_OK)
        CHECK_EQ(at, len);
    return status;
}

/* What each refusal says to a person, with its clause. */
static const struct {
    const char *name, *text;
    int http_status;
} refusals[WF_REFUSAL_COUNT] = {
    [WF_REFUSAL_NONE] = {"none", "RFC6455/4.2.2: the handshake is accepted", 101},
    [WF_REFUSAL_METHOD] = {"method", "RFC6455/4.2.1: the method of a WebSocket handshake is GET", 405},
    [WF_REFUSAL_HTTP_VERSION] = {"http_version", "RFC6455/4.2.1: a WebSocket handshake needs HTTP/1.1", 400},
    [WF_REFUSAL_HOST] = {"host", "RFC6455/4.2.1: not exactly one valid Host header", 400},
    [WF_REFUSAL_UPGRADE] = {"upgrade", "RFC6455/4.2.1: the Upgrade header does not list websocket", 400},
    [WF_REFUSAL_CONNECTION] = {"connection", "RFC6455/4.2.1: the Connection header does not list Upgrade", 400},
    [WF_REFUSAL_KEY] = {"key", "RFC6455/4.2.1: not exactly one Sec-WebSocket-Key of 16 bytes in base64", 400},
    [WF_REFUSAL_WS_VERSION] = {"ws_version", "RFC6455/4.4: Sec-WebSocket-Version is not 13", 426},
    [WF_REFUSAL_BODY] = {"body", "RFC6455/4.1: a WebSocket handshake has no body", 400},
    [WF_REFUSAL_ORIGIN] = {"origin", "RFC6455/10.2: this Origin is not allowed here", 403},
};

static const char no_upgrade[] = "RFC9110/15.5.22: only WebSocket is spoken here, and there is no Upgrade header";

static void check_row(const row *r, const wf_http_request *request) {
    wf_upgrade upgrade = wf_upgrade_check(request);
    bool page = r->refusal == WF_REFUSAL_UPGRADE && r->http_status == 426;
    CHECK_STR(wf_refusal_name(upgrade.refusal), refusals[r->refusal].name);
    CHECK_EQ(upgrade.http_status, r->http_status);
    CHECK_STR(upgrade.text, page ? no_upgrade : refusals[r->refusal].text);
}

static void replay(const row *r, size_t first, size_t step) {
    test_context("row %s, first piece %zu, then %zu", r->name, first, step);
    wf_http_reader *reader = wf_http_reader_new(&limits);
    CHECK_EQ(feed_split(reader, r->input, first, step), WF_OK);
    check_row(r, wf_http_reader_request(reader));
    wf_http_reader_free(reader);
}

#define EACH_ROW(r) for (const row *r = rows; r < rows + sizeof rows / sizeof rows[0]; r++)

TEST(upgrade_rows_whole_split_and_byte_by_byte) {
    EACH_ROW(r) {
        replay(r, SIZE_MAX, 1);
        replay(r, 1, 1);
        for (size_t at = 1; at < strlen(r->input); at++)
            replay(r, at, SIZE_MAX);
    }
}

TEST(upgrade_rows_with_every_allocation_failing) {
    size_t before = test_mem_live();
    EACH_ROW(r)
    for (size_t n = 1, calls = n; calls >= n; n++) {
        test_context("row %s, allocation %zu fails", r->name, n);
        test_mem_fail_at(n);
        wf_http_reader *reader = wf_http_reader_new(&limits);
        int status = reader ? feed_split(reader, r->input, SIZE_MAX, SIZE_MAX) : WF_ENOMEM;
        if (status == WF_OK)
            check_row(r, wf_http_reader_request(reader));
        else
            CHECK_EQ(status, WF_ENOMEM);
        wf_http_reader_free(reader);
        CHECK_EQ(test_mem_live(), before);
        calls = test_mem_calls();
    }
}

/* What no reader lets through, but another source of requests might. */
TEST(upgrade_check_judges_host_by_itself) {
    wf_http_header headers[] = {{wf_str_of("Host"), wf_str_of("a")}, {wf_str_of("Host"), wf_str_of("a")}};
    wf_http_request request = {.method = wf_str_of("GET"), .version_minor = 1, .headers = headers};
    for (size_t count = 0; count <= 2; count++) {
        request.header_count = count;
        wf_http_request_index(&request);
        CHECK_EQ(wf_upgrade_check(&request).refusal, count == 1 ? WF_REFUSAL_UPGRADE : WF_REFUSAL_HOST);
    }
    headers[0].value = wf_str_of("a b");
    request.header_count = 1;
    wf_http_request_index(&request);
    CHECK_EQ(wf_upgrade_check(&request).refusal, WF_REFUSAL_HOST);
}

TEST(upgrade_check_refuses_a_nul_in_the_key) {
    wf_http_header headers[] = {
        {wf_str_of("Host"), wf_str_of("a")},
        {wf_str_of("Upgrade"), wf_str_of("websocket")},
        {wf_str_of("Connection"), wf_str_of("Upgrade")},
        {wf_str_of("Sec-WebSocket-Key"), {"dGhlIHNhbXBsZSBub25jZ\0==", 24}},
    };
    wf_http_request request = {.method = wf_str_of("GET"), .version_minor = 1, .headers = headers, .header_count = 4};
    wf_http_request_index(&request);
    CHECK_EQ(wf_upgrade_check(&request).refusal, WF_REFUSAL_KEY);
}

TEST(refusals_have_names_and_texts) {
    for (int i = 0; i < WF_REFUSAL_COUNT; i++) {
        wf_upgrade refused = wf_upgrade_refused((wf_refusal)i);
        CHECK_EQ(refused.refusal, i);
        CHECK_EQ(refused.http_status, refusals[i].http_status);
        CHECK_STR(refused.text, refusals[i].text);
        CHECK_STR(wf_refusal_name((wf_refusal)i), refusals[i].name);
        for (int k = 0; k < i; k++)
            CHECK(strcmp(wf_refusal_name((wf_refusal)k), wf_refusal_name((wf_refusal)i)) != 0);
    }
}

/* --- origin --- */

static const char *const LISTED[] = {"https://app.example.com", "http://dev.example.com:8080",
                                     "chrome-extension://abcdef", "http://[2001:db8::1]:80"};
static const char *const ALL[] = {"*"};
static const char *const SANDBOX[] = {"*", "null"};

typedef struct origin_row {
    const char *host, *origin; /* NULL: no such header */
    bool ok, ok_listed, ok_all;
} origin_row;

static const origin_row origins[] = {
    {"example.org", NULL, true, true, true},
    {NULL, NULL, true, true, true},
    {"example.org", "https://example.org", true, true, true},
    {"example.org", "http://example.org", true, true, true},
    {"EXAMPLE.org", "HTTPS://Example.ORG", true, true, true},
    {"example.org", "ws://example.org", true, true, true},
    {"example.org:443", "wss://example.org", true, true, true},
    {"example.org", "ws://example.org:443", false, false, true},
    {"exa mple.org", "http://example.org", false, false, true},
    {"example.org", "http:", false, false, false},
    {"example.org", "ht tp://example.org", false, false, false},
    {"example.org:443", "https://example.org", true, true, true},
    {"example.org", "https://example.org:443", true, true, true},
    {"example.org", "http://example.org:80", true, true, true},
    {"example.org:8080", "http://example.org:8080", true, true, true},
    {"[::1]:8080", "http://[::1]:8080", true, true, true},
    {"[::1]", "http://[::1]", true, true, true},
    {"127.0.0.1:9001", "http://127.0.0.1:9001", true, true, true},
    {"example.org:80", "https://example.org", false, false, true},
    {"example.org:8080", "http://example.org", false, false, true},
    {"example.org", "http://example.org:8080", false, false, true},
    {"example.org", "https://evil.example", false, false, true},
    {"example.org", "https://example.org.evil.example", false, false, true},
    {"example.org", "https://sub.example.org", false, false, true},
    {"example.org", "https://example.or", false, false, true},
    {"[::1]", "http://[::2]", false, false, true},
    {"example.org", "foo://example.org", false, false, true},
    {NULL, "https://example.org", false, false, true},
    {"example.org", "https://app.example.com", false, true, true},
    {"example.org", "https://APP.example.com:443", false, true, true},
    {"example.org", "http://app.example.com", false, false, true},
    {"example.org", "http://app.example.com:443", false, false, true},
    {"example.org", "https://app.example.com:444", false, false, true},
    {"example.org", "http://dev.example.com:8080", false, true, true},
    {"example.org", "http://dev.example.com", false, false, true},
    {"example.org", "chrome-extension://abcdef", false, true, true},
    {"example.org", "http://[2001:db8::1]", false, true, true},
    {"example.org", "null", false, false, false},
    {"null", "null", false, false, false},
    {"example.org", "", false, false, false},
    {"example.org", "example.org", false, false, false},
    {"example.org", "//example.org", false, false, false},
    {"example.org", "://example.org", false, false, false},
    {"example.org", "https://", false, false, false},
    {"example.org", "https:example.org", false, false, false},
    {"example.org", "https://example.org/", false, false, false},
    {"example.org", "https://example.org/path", false, false, false},
    {"example.org", "https://user@example.org", false, false, false},
    {"example.org", "https://example.org https://example.org", false, false, false},
    {"example.org", "https://example.org, https://example.org", false, false, false},
    {"example.org", "https://example.org:443:443", false, false, false},
    {"example.org", "https://example.org:99999", false, false, false},
    {"example.org", "https://ex\xc3\xa4mple.org", false, false, false},
    {"example.org", "*", false, false, false},
};

static bool origin_ok(const origin_row *r, const char *const *allowed, size_t count) {
    wf_http_header headers[2];
    wf_http_request request = {.headers = headers};
    if (r->host)
        headers[request.header_count++] = (wf_http_header) {wf_str_of("Host"), wf_str_of(r->host)};
    if (r->origin)
        headers[request.header_count++] = (wf_http_header) {wf_str_of("origin"), wf_str_of(r->origin)};
    wf_http_request_index(&request);
    return wf_upgrade_origin_ok(&request, allowed, count);
}

TEST(origin_rows) {
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        const origin_row *r = &origins[i];
        test_context("host %s, origin %s", r->host ? r->host : "(none)", r->origin ? r->origin : "(none)");
        CHECK_EQ(origin_ok(r, NULL, 0), r->ok);
        CHECK_EQ(origin_ok(r, LISTED, sizeof LISTED / sizeof LISTED[0]), r->ok_listed);
        CHECK_EQ(origin_ok(r, ALL, 1), r->ok_all);
    }
}

TEST(origin_null_passes_only_where_null_is_listed) {
    CHECK(origin_ok(&(origin_row) {.host = "a", .origin = "null"}, SANDBOX, 2));
    CHECK(!origin_ok(&(origin_row) {.host = "a", .origin = "NULL"}, SANDBOX, 2));
}

TEST(origin_entry_that_is_none_lists_nothing) {
    static const char *const entries[] = {"example.org", "https://", ""};
    CHECK(!origin_ok(&(origin_row) {.host = "a", .origin = "https://example.org"}, entries, 3));
}

TEST(origin_twice_is_foreign) {
    wf_str host = wf_str_of("a"), origin = wf_str_of("http://a");
    wf_http_header headers[] = {
        {wf_str_of("Host"), host}, {wf_str_of("Origin"), origin}, {wf_str_of("Origin"), origin}};
    wf_http_request request = {.headers = headers, .header_count = 2};
    wf_http_request_index(&request);
    CHECK(wf_upgrade_origin_ok(&request, NULL, 0));
    request.header_count = 3;
    wf_http_request_index(&request);
    CHECK(!wf_upgrade_origin_ok(&request, NULL, 0));
    CHECK(!wf_upgrade_origin_ok(&request, ALL, 1));
    headers[2] = (wf_http_header) {wf_str_of("Host"), host};
    wf_http_request_index(&request);
    CHECK(!wf_upgrade_origin_ok(&request, NULL, 0)); /* two Hosts: same as neither */
}

/* --- key and subprotocols --- */

TEST(accept_key_known_answers) {
    wf_key_digest *kept = wf_key_digest_new();
    wf_key_digest *digests[] = {NULL, kept, kept, NULL};
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        char out[WF_UPGRADE_ACCEPT_BYTES + 1];
        CHECK_EQ(wf_upgrade_accept_key(digests[i], wf_str_of("sN9cRrP/n9NdMgdcy2VJFQ=="), out), WF_OK);
        CHECK_STR(out, "fFBooB7FAkLlXgRSz0BT3v4hq5s=");
        CHECK_EQ(wf_upgrade_accept_key(digests[i], wf_str_of("dGhlIHNhbXBsZSBub25jZQ=="), out), WF_OK);
        CHECK_STR(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        CHECK_EQ(wf_upgrade_accept_key(digests[i], wf_str_of("dGhlIHNhbXBsZSBub25jZQ="), out), WF_EINVAL);
        CHECK_EQ(wf_upgrade_accept_key(digests[i], (wf_str) {NULL, 0}, out), WF_EINVAL);
        CHECK_STR(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
    wf_key_digest_free(kept);
    wf_key_digest_free(NULL);
}

/* It fails, or says that it did not and has written nothing. The next key is none the worse for it. */
TEST(accept_key_without_a_digest) {
    wf_key_digest *kept = wf_key_digest_new();
    for (int answer = 0; answer <= 1; answer++) {
        for (int own = 0; own <= 1; own++) {
            wf_key_digest *digest = own ? NULL : kept;
            char out[WF_UPGRADE_ACCEPT_BYTES + 1] = "untouched";
            test_call_fail_at("EVP_DigestFinal_ex", 1, answer);
            CHECK_EQ(wf_upgrade_accept_key(digest, wf_str_of("sN9cRrP/n9NdMgdcy2VJFQ=="), out), WF_ESYS);
            CHECK_STR(out, "untouched");
            CHECK_EQ(wf_upgrade_accept_key(digest, wf_str_of("sN9cRrP/n9NdMgdcy2VJFQ=="), out), WF_OK);
            CHECK_STR(out, "fFBooB7FAkLlXgRSz0BT3v4hq5s=");
        }
    }
    wf_key_digest_free(kept);
}

static wf_str pick(const wf_http_request *request, const char *first, const char *second) {
    const char *const supported[] = {first, second};
    wf_str picked = wf_str_of("-");
    wf_upgrade_pick_protocol(request, supported, 2, &picked);
    return picked;
}

TEST(subprotocol_follows_the_clients_order) {
    wf_http_header headers[] = {
        {wf_str_of("Sec-WebSocket-Protocol"), wf_str_of("chat.v2, , \"a, b\", x y, \xc3\xa9, chat.v1, chat.v2")},
        {wf_str_of("Other"), wf_str_of("mqtt")},
        {wf_str_of("sec-websocket-protocol"), wf_str_of("soap")}};
    wf_http_request request = {.headers = headers, .header_count = 3};
    wf_http_request_index(&request);
    CHECK(wf_str_eq(pick(&request, "chat.v1", "chat.v2"), wf_str_of("chat.v2")));
    CHECK(pick(&request, "chat.v1", "chat.v2").data == headers[0].value.data);
    CHECK(wf_str_eq(pick(&request, "soap", "chat.v1"), wf_str_of("chat.v1")));
    CHECK(wf_str_eq(pick(&request, "soap", "mqtt"), wf_str_of("soap")));
    CHECK(wf_str_eq(pick(&request, "mqtt", "Chat.v1"), wf_str_of("-")));
    CHECK(wf_str_eq(pick(&request, "x y", "\"a, b\""), wf_str_of("-")));
    CHECK(wf_str_eq(pick(&request, "\xc3\xa9", ""), wf_str_of("-")));
    wf_str none;
    CHECK(!wf_upgrade_pick_protocol(&request, NULL, 0, &none));

    CHECK(wf_upgrade_offers_protocol(&request, wf_str_of("chat.v1")));
    CHECK(wf_upgrade_offers_protocol(&request, wf_str_of("soap")));
    CHECK(!wf_upgrade_offers_protocol(&request, wf_str_of("SOAP")));
    CHECK(!wf_upgrade_offers_protocol(&request, wf_str_of("mqtt")));
    CHECK(!wf_upgrade_offers_protocol(&request, wf_str_of("x y")));
    CHECK(!wf_upgrade_offers_protocol(&request, wf_str_of("")));
    request.header_count = 0;
    wf_http_request_index(&request);
    CHECK(!wf_upgrade_offers_protocol(&request, wf_str_of("soap")));
}
