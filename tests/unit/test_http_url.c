/*
 * A URL row is a text and what it is cut into, in words: "host|port|authority|target", "unix:path|target", or the rule.
 */
#include "http/url.h"
#include "test.h"

#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct row {
    const char *name, *text, *expected;
} row;

#define NOT_WS     "RFC6455/3: this is not a ws:// URL"
#define SLASHES    "RFC6455/3: two slashes do not follow the scheme"
#define NO_HOST    "RFC6455/3: the host is missing"
#define HOST_PORT  "RFC3986/3.2: what stands before the path is not host[:port]"
#define PERCENT    "RFC3986/2.1: a % that two hex digits do not follow"
#define ENCODE     "RFC3986/3.3: a byte in path or query that has to be percent-encoded"
#define USER       "user and password have no place in a WebSocket URL: send an Authorization header"
#define SOCKET     "the path of the unix socket is missing"
#define SOCKET_AT  "what follows the unix socket is not a path: write ws+unix:/path/of/socket:/path"
#define NO_NETWORK "a unix socket has no host: write ws+unix:/path/of/socket:/path"

static const row rows[] = {
    {"plain", "ws://example.org/chat", "example.org|80|example.org|/chat"},
    {"port", "ws://example.org:9001/chat", "example.org|9001|example.org:9001|/chat"},
    {"standard_port_is_not_sent", "ws://example.org:80/", "example.org|80|example.org|/"},
    {"no_path", "ws://example.org", "example.org|80|example.org|"},
    {"query", "ws://example.org/a?b=c&d=%20", "example.org|80|example.org|/a?b=c&d=%20"},
    {"query_without_path", "ws://example.org?b", "example.org|80|example.org|?b"},
    {"fragment_is_dropped", "ws://example.org/a?b#c?d", "example.org|80|example.org|/a?b"},
    {"fragment_behind_host", "ws://example.org#c", "example.org|80|example.org|"},
    {"at_in_path", "ws://example.org/@a", "example.org|80|example.org|/@a"},
    {"ipv6", "ws://[::1]:9001/", "[::1]|9001|[::1]:9001|/"},
    {"ipv6_without_port", "ws://[::1]", "[::1]|80|[::1]|"},
    {"any_case", "WS://Example.org/", "Example.org|80|Example.org|/"},
    {"http", "http://example.org/", "example.org|80|example.org|/"},
    {"wss", "wss://example.org/", "tls example.org|443|example.org|/"},
    {"https_with_http_port", "https://example.org:80/", "tls example.org|80|example.org:80|/"},
    {"unix", "ws+unix:/run/weft.sock:/chat?a=b", "unix:/run/weft.sock|/chat?a=b"},
    {"unix_with_slashes", "ws+unix:///run/weft.sock:/chat", "unix:/run/weft.sock|/chat"},
    {"unix_without_path", "ws+unix:/run/weft.sock", "unix:/run/weft.sock|"},
    {"unix_query_alone", "ws+unix:/run/weft.sock:?a", "unix:/run/weft.sock|?a"},
    {"unix_abstract", "ws+unix:@weft", "unix:@weft|"},

    {"empty", "", NOT_WS},
    {"no_scheme", "example.org/chat", NOT_WS},
    {"host_and_port_alone", "example.org:9001", NOT_WS},
    {"ftp", "ftp://example.org/", NOT_WS},
    {"scheme_alone", "ws", NOT_WS},
    {"one_slash", "ws:/example.org", SLASHES},
    {"no_host", "ws:///chat", NO_HOST},
    {"no_host_but_port", "ws://:80/", HOST_PORT},
    {"userinfo", "ws://me:secret@example.org/", USER},
    {"user", "ws://me@example.org/", USER},
    {"port_0", "ws://example.org:0/", HOST_PORT},
    {"port_over", "ws://example.org:65536/", HOST_PORT},
    {"port_in_letters", "ws://example.org:http/", HOST_PORT},
    {"two_ports", "ws://example.org:80:80/", HOST_PORT},
    {"ipv6_unbracketed", "ws://::1/", HOST_PORT},
    {"ipv6_broken", "ws://[::1/", HOST_PORT},
    {"ipv6_zone", "ws://[fe80::1%25eth0]/", HOST_PORT},
    {"space_in_host", "ws://exa mple.org/", HOST_PORT},
    {"utf8_in_host", "ws://ex\xc3\xa4mple.org/", HOST_PORT},
    {"control_in_host", "ws://exa\rmple.org/", HOST_PORT},
    {"space_in_path", "ws://example.org/a b", ENCODE},
    {"line_end_in_path", "ws://example.org/a\r\nX: y", ENCODE},
    {"utf8_in_path", "ws://example.org/\xc3\xa9", ENCODE},
    {"quotes_in_query", "ws://example.org/?a={\"b\"}", ENCODE},
    {"percent_at_end", "ws://example.org/a%2", PERCENT},
    {"percent_without_digits", "ws://example.org/%zz", PERCENT},
    {"unix_nothing", "ws+unix:", SOCKET},
    {"unix_no_path", "ws+unix::/chat", SOCKET},
    {"unix_with_host", "ws+unix://host/run/weft.sock", NO_NETWORK},
    {"unix_bad_target", "ws+unix:/run/weft.sock:chat", SOCKET_AT},
    {"unix_space", "ws+unix:/run/we ft.sock", "a space or control byte in the path of the unix socket"},
};

static void describe(wf_str text, char *out, size_t cap) {
    wf_url url;
    const char *why = NULL;
    if (wf_url_parse(text, &url, &why) < 0)
        snprintf(out, cap, "%s", why);
    else if (url.socket.data)
        snprintf(out, cap, "unix:%.*s|%.*s", (int)url.socket.len, url.socket.data, (int)url.target.len,
                 url.target.data);
    else
        snprintf(out, cap, "%s%.*s|%u|%.*s|%.*s", url.tls ? "tls " : "", (int)url.host.len, url.host.data, url.port,
                 (int)url.authority.len, url.authority.data, (int)url.target.len, url.target.data);
}

TEST(url_is_cut_or_refused) {
    char got[400];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %s", rows[i].name);
        /* exactly as long as it is, so that a sanitizer sees a read behind it */
        size_t len = strlen(rows[i].text);
        char *exact = malloc(len ? len : 1);
        CHECK(exact != NULL);
        memcpy(exact, rows[i].text, len);
        describe((wf_str) {exact, len}, got, sizeof got);
        free(exact);
        CHECK_STR(got, rows[i].expected);
    }
}

TEST(url_with_a_nul_is_refused) {
    static const char path[] = "ws://example.org/a\0b", host[] = "ws://exa\0mple.org/", socket[] = "ws+unix:/a\0b";
    char got[400];
    describe((wf_str) {path, sizeof path - 1}, got, sizeof got);
    CHECK_STR(got, ENCODE);
    describe((wf_str) {host, sizeof host - 1}, got, sizeof got);
    CHECK_STR(got, HOST_PORT);
    describe((wf_str) {socket, sizeof socket - 1}, got, sizeof got);
    CHECK_STR(got, "a space or control byte in the path of the unix socket");
}
