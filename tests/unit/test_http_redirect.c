/*
 * Where a Location leads to. Most rows are RFC 3986 5.4's, whose base is "/b/c/d;p?q".
 */
#include "base/status.h"
#include "http/redirect.h"
#include "test.h"

static const struct {
    const char *base, *location, *expected;
} rows[] = {
    {"ws://a/b/c/d;p?q", "g", "ws://a/b/c/g"},
    {"ws://a/b/c/d;p?q", "./g", "ws://a/b/c/g"},
    {"ws://a/b/c/d;p?q", "g/", "ws://a/b/c/g/"},
    {"ws://a/b/c/d;p?q", "/g", "ws://a/g"},
    {"ws://a/b/c/d;p?q", "//g", "ws://g"},
    {"ws://a/b/c/d;p?q", "?y", "ws://a/b/c/d;p?y"},
    {"ws://a/b/c/d;p?q", "g?y", "ws://a/b/c/g?y"},
    {"ws://a/b/c/d;p?q", "#s", "ws://a/b/c/d;p?q"},
    {"ws://a/b/c/d;p?q", "g?y#s", "ws://a/b/c/g?y"},
    {"ws://a/b/c/d;p?q", ";x", "ws://a/b/c/;x"},
    {"ws://a/b/c/d;p?q", "", "ws://a/b/c/d;p?q"},
    {"ws://a/b/c/d;p?q", ".", "ws://a/b/c/"},
    {"ws://a/b/c/d;p?q", "./", "ws://a/b/c/"},
    {"ws://a/b/c/d;p?q", "..", "ws://a/b/"},
    {"ws://a/b/c/d;p?q", "../g", "ws://a/b/g"},
    {"ws://a/b/c/d;p?q", "../..", "ws://a/"},
    {"ws://a/b/c/d;p?q", "../../g", "ws://a/g"},
    {"ws://a/b/c/d;p?q", "../../../../g", "ws://a/g"},
    {"ws://a/b/c/d;p?q", "/./g", "ws://a/g"},
    {"ws://a/b/c/d;p?q", "/../g", "ws://a/g"},
    {"ws://a/b/c/d;p?q", "g.", "ws://a/b/c/g."},
    {"ws://a/b/c/d;p?q", "..g", "ws://a/b/c/..g"},
    {"ws://a/b/c/d;p?q", "./g/.", "ws://a/b/c/g/"},
    {"ws://a/b/c/d;p?q", "g/../h", "ws://a/b/c/h"},
    {"ws://a/b/c/d;p?q", "g?y/../x", "ws://a/b/c/g?y/../x"},
    {"ws://a/b/c/d;p?q", "wss://b/x", "wss://b/x"},
    {"ws://a/b/c/d;p?q", "javascript:x", "javascript:x"},
    {"ws://a", "g", "ws://a/g"},
    {"ws://a", "?y", "ws://a/?y"},
    {"ws://a?q", "", "ws://a/?q"},
    {"wss://a:9/x", "/g", "wss://a:9/g"},
    {"https://[::1]:9/x", "//b:1/g", "wss://b:1/g"},
};

static wf_url parsed(const char *text) {
    wf_url url;
    const char *why = NULL;
    CHECK_EQ(wf_url_parse(wf_str_of(text), &url, &why), WF_OK);
    return url;
}

TEST(locations_are_resolved) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wf_url base = parsed(rows[i].base);
        wf_buf out = WF_BUF_INIT;
        test_context("row %zu: %s", i, rows[i].location);
        CHECK_EQ(wf_redirect_resolve(&out, &base, wf_str_of(rows[i].location)), WF_OK);
        CHECK_BYTES(out.data, out.len, rows[i].expected, strlen(rows[i].expected));
        wf_buf_deinit(&out);
    }
}

static bool may_go(const char *from, const char *to) {
    wf_url a = parsed(from), b = parsed(to);
    return wf_redirect_ok(&a, &b);
}

static bool stays(const char *from, const char *to) {
    wf_url a = parsed(from), b = parsed(to);
    return wf_redirect_stays(&a, &b);
}

TEST(where_it_may_go) {
    CHECK(may_go("ws://a", "ws://b") && may_go("ws://a", "wss://b") && may_go("wss://a", "https://b"));
    CHECK(!may_go("wss://a", "ws://a") && !may_go("https://a", "http://a"));
    CHECK(!may_go("ws://a", "ws+unix:/b") && !may_go("ws+unix:/b", "ws://a"));
    CHECK(stays("ws://a/x", "http://A:80/y"));
    CHECK(!stays("ws://a", "ws://b") && !stays("ws://a", "ws://a:81") && !stays("ws://a:1", "wss://a:1"));
    for (int status = 100; status < 600; status++)
        CHECK_EQ(wf_redirect_is(status),
                 status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}
