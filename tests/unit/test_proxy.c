/*
 * A row is the URL of a proxy and what it says, in words: "kind host|port|user|password", or why it is none.
 */
#include "client/proxy.h"
#include "test.h"

#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>

#define NO_PROXY  "a proxy is http://host:port, socks5h://host:port or socks5://host:port"
#define HOST_PORT "RFC3986/3.2: what follows the proxy's scheme is not host[:port]"
#define ESCAPE    "the proxy's user and password have a wrong escape (%XX), or are too long"
#define LENGTH    "RFC1929/2: user and password of a proxy have 1 to 255 bytes"

#define X64  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X255 X64 X64 X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    const char *name, *text, *expected;
} rows[] = {
    {"http", "http://proxy.test:3128", "http proxy.test|3128"},
    {"http_standard_port", "http://proxy.test", "http proxy.test|80"},
    {"slash_at_the_end", "http://proxy.test:3128/", "http proxy.test|3128"},
    {"any_case", "HTTP://Proxy.Test", "http Proxy.Test|80"},
    {"socks5h", "socks5h://proxy.test", "socks5h proxy.test|1080"},
    {"socks5", "socks5://127.0.0.1:9050", "socks5 127.0.0.1|9050"},
    {"ipv6", "socks5h://[::1]:9050", "socks5h [::1]|9050"},
    {"user_and_password", "http://me:secret@proxy.test", "http proxy.test|80|me|secret"},
    {"user_alone", "http://me@proxy.test", "http proxy.test|80|me|"},
    {"password_alone", "http://:secret@proxy.test", "http proxy.test|80||secret"},
    {"colons_in_the_password", "http://me:a:b@proxy.test", "http proxy.test|80|me|a:b"},
    {"decoded", "socks5://m%65%3a:%2F%40%25%ff@proxy.test", "socks5 proxy.test|1080|me:|/@%\xff"},
    {"at_in_the_password", "http://me:a@b@proxy.test", "http proxy.test|80|me|a@b"},
    {"longest_socks", "socks5://" X255 ":" X255 "@a", "socks5 a|1080|" X255 "|" X255},
    {"long_password_for_http", "http://me:" X255 X255 "@a", "http a|80|me|" X255 X255},

    {"empty", "", NO_PROXY},
    {"no_scheme", "proxy.test:3128", NO_PROXY},
    {"https", "https://proxy.test", NO_PROXY},
    {"socks4", "socks4://proxy.test", NO_PROXY},
    {"one_slash", "http:/proxy.test", NO_PROXY},
    {"no_host", "http://", HOST_PORT},
    {"slash_alone", "http:///", HOST_PORT},
    {"user_without_host", "http://me:secret@", HOST_PORT},
    {"path", "http://proxy.test/a", HOST_PORT},
    {"query", "http://proxy.test?a", HOST_PORT},
    {"port_0", "http://proxy.test:0", HOST_PORT},
    {"port_over", "http://proxy.test:65536", HOST_PORT},
    {"line_end_in_host", "http://proxy.test\r\nX: y", HOST_PORT},
    {"long_host", "http://" X255, "the proxy's host is over 253 bytes"},
    {"half_an_escape", "http://me:%4@proxy.test", ESCAPE},
    {"no_hex", "http://m%zz:a@proxy.test", ESCAPE},
    {"nul", "http://me:a%00b@proxy.test", ESCAPE},
    {"user_of_256", "socks5://x" X255 ":a@proxy.test", ESCAPE},
    {"password_over_1023", "http://me:" X255 X255 X255 X255 X64 "@proxy.test", ESCAPE},
    {"colon_in_a_basic_user", "http://m%3ae:a@proxy.test", "RFC7617/2: the proxy's user has a colon in it"},
    {"control_in_a_basic_user", "http://m%0ae:a@proxy.test", "RFC7617/2: the proxy's user has a control byte in it"},
    {"line_end_in_a_basic_password", "http://me:a%0d%0aX@proxy.test",
     "RFC7617/2: the proxy's password has a control byte in it"},
    {"socks_without_password", "socks5h://me@proxy.test", LENGTH},
    {"socks_without_user", "socks5h://:secret@proxy.test", LENGTH},
    {"socks_password_of_256", "socks5h://me:x" X255 "@proxy.test", LENGTH},
};

static void describe(wf_str text, char *out, size_t cap) {
    static const char *const kinds[] = {"http", "socks5h", "socks5"};
    wf_proxy proxy;
    const char *why = NULL;
    int used = 0;
    if (wf_proxy_parse(text, &proxy, &why) < 0)
        used = snprintf(out, cap, "%s", why);
    else if (proxy.authenticates)
        used =
            snprintf(out, cap, "%s %s|%u|%s|%s", kinds[proxy.kind], proxy.host, proxy.port, proxy.user, proxy.password);
    else
        used = snprintf(out, cap, "%s %s|%u", kinds[proxy.kind], proxy.host, proxy.port);
    CHECK(used >= 0 && (size_t)used < cap);
}

TEST(proxies_are_read_or_refused) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[2048];
        size_t len = strlen(rows[i].text);
        char *exact = malloc(len + 1); /* so that a sanitizer sees a byte too many */
        memcpy(exact, rows[i].text, len);
        test_context("row %s", rows[i].name);
        describe((wf_str) {exact, len}, got, sizeof got);
        free(exact);
        CHECK_STR(got, rows[i].expected);
    }
}

TEST(nothing_is_set_by_what_is_no_proxy) {
    wf_proxy proxy = {.port = 7};
    const char *why = NULL;
    CHECK_EQ(wf_proxy_parse(wf_str_of("http://me:%@a"), &proxy, &why), WF_EINVAL);
    CHECK(proxy.port == 7 && proxy.user[0] == '\0' && proxy.host[0] == '\0');
}
