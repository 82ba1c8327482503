/*
 * The rules of the opening handshake over an arbitrary parsed head: names and values in blocks of their exact size,
 * so that one that is read as a C string, or past its end, is seen.
 *
 * An input: a byte whose bits choose method, version, body and what is allowed; then lines, parted by LF. A line's
 * first byte chooses the header's name, or the path or query, the rest is the value.
 *
 * Oracles: a slow reading of each rule, written from the RFCs over copied text.
 */
#include "base/status.h"
#include "handshakes.h"
#include "http/upgrade.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[] = {"Host",
                                    "Origin",
                                    "Upgrade",
                                    "Connection",
                                    "Sec-WebSocket-Key",
                                    "Sec-WebSocket-Version",
                                    "Sec-WebSocket-Protocol",
                                    "Transfer-Encoding",
                                    "X"};
enum { NAMES = sizeof names / sizeof *names, LINES_MAX = 40 };

static const char *const protocols[] = {"chat", "v2.weft", "Chat"};
static const char *const origins[] = {"https://example.org", "http://a:81", "null", "*", "nonsense", "http://[::1]"};

typedef struct fuzz_head {
    wf_http_request request;
    wf_http_header headers[LINES_MAX];
} fuzz_head;

/* One line: control bytes become dots and the ends are trimmed, as in a head that was read. */
static void add_line(fuzz_head *head, fuzz_input line) {
    uint8_t which = fuzz_byte(&line);
    uint8_t *text = fuzz_exact(line.data, line.len);
    for (size_t i = 0; i < line.len; i++)
        if ((text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            text[i] = '.';
    wf_str value = wf_str_trim((wf_str) {(const char *)text, line.len});
    wf_str own = {(const char *)fuzz_exact(value.data, value.len), value.len};
    free(text);
    if (which % 16 == 15 || head->request.header_count == LINES_MAX) {
        wf_str *part = which & 16 ? &head->request.path : &head->request.query;
        free((void *)part->data);
        *part = own;
        return;
    }
    const char *name = names[which % 16 % NAMES];
    char *own_name = (char *)fuzz_exact(name, strlen(name));
    for (size_t i = 0; which & 32 && i < strlen(name); i++)
        own_name[i] = (char)(i % 2 ? toupper(name[i]) : tolower(name[i]));
    head->headers[head->request.header_count++] = (wf_http_header) {{own_name, strlen(name)}, own};
}

static void make_head(fuzz_head *head, uint8_t choices, fuzz_input in) {
    *head = (fuzz_head) {0};
    head->request.method = wf_str_of(choices & 3 ? "GET" : "POST");
    head->request.version_minor = (choices & 12) != 0;
    head->request.body = wf_str_of(choices >> 4 & 3 ? "" : "body");
    head->request.headers = head->headers;
    head->request.path = head->request.query = (wf_str) {0};
    while (in.len > 0) {
        const uint8_t *end = memchr(in.data, '\n', in.len);
        add_line(head, fuzz_take(&in, end ? (size_t)(end - in.data) : in.len));
        fuzz_byte(&in);
    }
    wf_http_request_index(&head->request);
}

static void free_head(fuzz_head *head) {
    for (size_t i = 0; i < head->request.header_count; i++) {
        free((void *)head->headers[i].name.data);
        free((void *)head->headers[i].value.data);
    }
    free((void *)head->request.path.data);
    free((void *)head->request.query.data);
}

/* ---- the rules, one after the other ---- */

static void check_refusal(const wf_http_request *request) {
    wf_upgrade got = wf_upgrade_check(request), owed = wf_upgrade_refused(slow_refusal(request));
    CHECK_STR(wf_refusal_name(got.refusal), wf_refusal_name(owed.refusal));
    bool bare = got.refusal == WF_REFUSAL_UPGRADE && slow_count(request, "upgrade") == 0;
    CHECK_EQ(got.http_status, bare ? 426 : owed.http_status);
    CHECK(got.text && strncmp(got.text, "RFC", 3) == 0);
    CHECK((got.http_status == 101) == (got.refusal == WF_REFUSAL_NONE));
}

static void check_origin(const wf_http_request *request, unsigned mask) {
    const char *allowed[sizeof origins / sizeof *origins];
    size_t count = 0;
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++)
        if (mask >> i & 1)
            allowed[count++] = origins[i];
    bool got = wf_upgrade_origin_ok(request, count ? allowed : NULL, count);
    CHECK_EQ(got, slow_origin_ok(request, allowed, count));
    CHECK(got || slow_count(request, "origin") > 0);
}

static void check_protocol(const wf_http_request *request) {
    wf_str picked = {NULL, 0}, owed;
    enum { COUNT = sizeof protocols / sizeof *protocols };
    bool got = wf_upgrade_pick_protocol(request, protocols, COUNT, &picked);
    CHECK_EQ(got, slow_pick_protocol(request, protocols, COUNT, &owed));
    CHECK(!got || (wf_str_eq(picked, owed) && picked.data == owed.data));
    for (size_t i = 0; i < COUNT; i++) {
        wf_str unused;
        bool offered = wf_upgrade_offers_protocol(request, wf_str_of(protocols[i]));
        CHECK_EQ(offered, slow_pick_protocol(request, &protocols[i], 1, &unused));
    }
}

static void check_host(wf_str value) {
    wf_str host = {"untouched", 9}, owed_host;
    unsigned port = 99999, owed_port;
    bool got = wf_http_host_split(value, &host, &port);
    CHECK_EQ(got, slow_host_split(value, &owed_host, &owed_port));
    if (!got)
        CHECK(port == 99999 && host.len == 9);
    else
        CHECK(port == owed_port && host.data == value.data && host.len == owed_host.len);
}

static void check_key(wf_str key) {
    char out[WF_UPGRADE_ACCEPT_BYTES + 1] = "untouched", again[WF_UPGRADE_ACCEPT_BYTES + 1];
    int got = wf_upgrade_accept_key(NULL, key, out);
    CHECK_EQ(got, key.len == WF_UPGRADE_KEY_BYTES ? WF_OK : WF_EINVAL);
    if (got != WF_OK) {
        CHECK_STR(out, "untouched");
        return;
    }
    CHECK(strlen(out) == WF_UPGRADE_ACCEPT_BYTES && out[WF_UPGRADE_ACCEPT_BYTES - 1] == '=');
    CHECK_EQ(wf_upgrade_accept_key(NULL, key, again), WF_OK);
    CHECK_STR(out, again);
}

/* The decoded path in blocks of every size that matters: too small by one, just right. */
static void check_decoding(wf_str in) {
    fuzz_bytes owed = {0};
    int status = slow_percent_decode(in, &owed);
    for (size_t cap = owed.len; cap <= owed.len + 1; cap++) {
        char *out = malloc(cap);
        CHECK(out != NULL);
        memset(out, '?', cap);
        int got = wf_http_percent_decode(in, out, cap);
        CHECK_EQ(got, status != WF_OK ? status : cap == owed.len ? WF_FULL : WF_OK);
        for (size_t i = 0; got != WF_OK && i < cap; i++)
            CHECK(out[i] == '?');
        if (got == WF_OK)
            CHECK(memcmp(out, owed.len ? owed.data : (const uint8_t *)"", owed.len) == 0 && out[owed.len] == '\0');
        free(out);
    }
    fuzz_free(&owed);
}

static void check_query(wf_str query) {
    static const char *const params[] = {"a", "last", "", "a=b", "%61"};
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        wf_str got = {"untouched", 9}, owed = {NULL, 0};
        bool found = wf_http_query_find(query, params[i], &got);
        CHECK_EQ(found, slow_query_find(query, params[i], &owed));
        CHECK(found ? wf_str_eq(got, owed) : got.len == 9);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    fuzz_head head;
    uint8_t choices = fuzz_byte(&in), mask = fuzz_byte(&in);
    make_head(&head, choices, in);
    const wf_http_request *request = &head.request;
    check_refusal(request);
    check_origin(request, mask);
    check_origin(request, 0);
    check_protocol(request);
    for (size_t i = 0; i < request->header_count; i++) {
        wf_str value = request->headers[i].value;
        check_host(value);
        check_key(value);
        CHECK_EQ(wf_http_header_has_token(request, names[i % NAMES], "upgrade"),
                 slow_has_token(request, names[i % NAMES], "upgrade"));
    }
    check_decoding(request->path);
    check_query(request->query);
    free_head(&head);
    return 0;
}
