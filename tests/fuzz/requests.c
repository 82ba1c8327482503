/*
 * The second reading knows nothing but lines: it is what a proxy in front of us might believe the bytes to be. Where
 * the two differ, requests could be smuggled.
 */
#include "requests.h"

#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>

static void log_str(fuzz_bytes *log, char kind, wf_str s) {
    fuzz_log(log, kind, 0, s.data, s.len);
}

static void log_parts(fuzz_bytes *log, const wf_http_request *request) {
    int flags =
        request->version_minor | request->keep_alive << 1 | request->upgrade << 2 | request->expects_continue << 3;
    log_str(log, 'm', request->method);
    log_str(log, 't', request->target);
    log_str(log, 'p', request->path);
    log_str(log, 'q', request->query);
    fuzz_log(log, 'f', flags, NULL, 0);
    for (size_t i = 0; i < request->header_count; i++) {
        log_str(log, 'n', request->headers[i].name);
        log_str(log, 'v', request->headers[i].value);
    }
}

void fuzz_log_request(fuzz_bytes *log, const wf_http_request *request, size_t end) {
    log_parts(log, request);
    log_str(log, 'b', request->body);
    fuzz_log(log, 'e', (int)end, NULL, 0);
}

/* ---- the second reading ---- */

typedef struct reading {
    const uint8_t *at;
    size_t left;
} reading;

/* The next line, without its end. */
static wf_str take_line(reading *r) {
    size_t len = 0;
    while (len + 1 < r->left && !(r->at[len] == '\r' && r->at[len + 1] == '\n'))
        len++;
    CHECK(len + 1 < r->left);
    wf_str line = {(const char *)r->at, len};
    r->at += len + 2;
    r->left -= len + 2;
    return line;
}

static bool is_name(wf_str name, const char *wanted) {
    return wf_str_eq_nocase(name, wf_str_of(wanted));
}

static void check_str(wf_str got, wf_str expected) {
    CHECK_BYTES(got.data, got.len, expected.data, expected.len);
}

static void check_request_line(const wf_http_request *request, wf_str line) {
    char text[64];
    size_t method = request->method.len, target = request->target.len;
    snprintf(text, sizeof text, " HTTP/1.%d", request->version_minor);
    CHECK_EQ(line.len, method + 1 + target + strlen(text));
    check_str(request->method, (wf_str) {line.data, method});
    CHECK(line.data[method] == ' ');
    check_str(request->target, (wf_str) {line.data + method + 1, target});
    check_str((wf_str) {line.data + method + 1 + target, strlen(text)}, wf_str_of(text));
    CHECK(!memchr(request->target.data, ' ', target) && !memchr(request->target.data, '#', target));
    CHECK(request->path.len > 0 && (request->path.data[0] == '/' || wf_str_eq(request->path, wf_str_of("*"))));
    CHECK(!memchr(request->path.data, '?', request->path.len));
}

/* What the headers say of the body. */
typedef struct framing {
    size_t lengths, codings, hosts;
    uint64_t length;
} framing;

static void check_header(const wf_http_header *header, wf_str line, framing *out) {
    const char *colon = memchr(line.data, ':', line.len);
    CHECK(colon != NULL);
    size_t name_len = (size_t)(colon - line.data);
    check_str(header->name, (wf_str) {line.data, name_len});
    check_str(header->value, wf_str_trim((wf_str) {colon + 1, line.len - name_len - 1}));
    CHECK(wf_http_is_token(header->name));
    for (size_t i = 0; i < header->value.len; i++) {
        unsigned char byte = (unsigned char)header->value.data[i];
        CHECK((byte >= ' ' && byte != 0x7f) || byte == '\t');
    }
    out->hosts += is_name(header->name, "host");
    if (is_name(header->name, "transfer-encoding")) {
        out->codings++;
        CHECK(wf_str_eq_nocase(header->value, wf_str_of("chunked")));
    }
    if (is_name(header->name, "content-length")) {
        out->lengths++;
        CHECK(header->value.len > 0);
        for (size_t i = 0; i < header->value.len; i++) {
            unsigned digit = (unsigned char)header->value.data[i] - '0';
            CHECK(digit < 10 && out->length <= (UINT64_MAX - digit) / 10);
            out->length = out->length * 10 + digit;
        }
    }
}

static void read_chunks(reading *r, fuzz_bytes *body) {
    for (;;) {
        wf_str line = take_line(r);
        uint64_t len = 0;
        size_t digits = 0;
        for (; digits < line.len && line.data[digits] != ';' && line.data[digits] != ' ' && line.data[digits] != '\t';
             digits++) {
            const char *hex = "0123456789abcdef0123456789ABCDEF", *digit = strchr(hex, line.data[digits]);
            CHECK(line.data[digits] != '\0' && digit != NULL && digits < 16);
            len = len << 4 | (uint64_t)((digit - hex) & 15);
        }
        CHECK(digits > 0);
        if (len == 0)
            break;
        CHECK(len + 2 <= r->left);
        fuzz_put(body, r->at, (size_t)len);
        CHECK(r->at[len] == '\r' && r->at[len + 1] == '\n');
        r->at += len + 2;
        r->left -= (size_t)len + 2;
    }
    while (take_line(r).len > 0)
        ;
}

static void check_reread(const wf_http_request *request);

void fuzz_check_request(const wf_http_request *request, const wf_http_limits *limits, const uint8_t *wire, size_t len) {
    reading r = {wire, len};
    framing f = {0};
    fuzz_bytes body = {0};
    wf_str line;
    while ((line = take_line(&r)).len == 0)
        ;
    check_request_line(request, line);
    for (size_t i = 0; i < request->header_count; i++)
        check_header(&request->headers[i], take_line(&r), &f);
    CHECK_EQ(take_line(&r).len, 0);
    CHECK(len - r.left <= limits->head_bytes_max && request->header_count <= limits->headers_max);
    CHECK(f.hosts == 1 || (f.hosts == 0 && request->version_minor == 0));
    CHECK(f.lengths + f.codings <= 1);
    if (f.codings > 0) {
        read_chunks(&r, &body);
    } else {
        CHECK(f.length <= r.left);
        fuzz_put(&body, r.at, (size_t)f.length);
        r.left -= (size_t)f.length;
    }
    CHECK_EQ(r.left, 0);
    CHECK_BYTES(request->body.data, request->body.len, body.data, body.len);
    CHECK(body.len <= limits->body_bytes_max);
    fuzz_free(&body);
    check_reread(request);
}

/* ---- written anew ---- */

static void put_str(fuzz_bytes *out, wf_str s) {
    fuzz_put(out, s.data, s.len);
}

static void put_text(fuzz_bytes *out, const char *text) {
    fuzz_put(out, text, strlen(text));
}

/* Feeds it whole. Returns the HTTP status of the fault, 0 when it is read. */
static int reread(const wf_http_limits *limits, const fuzz_bytes *wire, fuzz_bytes *log) {
    wf_http_reader *reader = wf_http_reader_new(limits);
    size_t used = 0;
    CHECK(reader != NULL);
    int got = wf_http_reader_feed(reader, wire->data, wire->len, &used);
    CHECK(got == WF_ERROR || (got == WF_OK && used == wire->len));
    int status = wf_http_reader_fault(reader)->close_code;
    if (got == WF_OK)
        fuzz_log_request(log, wf_http_reader_request(reader), 0);
    wf_http_reader_free(reader);
    return status;
}

/* The plainest form. Returns the bytes of its head. */
static size_t write_request(const wf_http_request *request, fuzz_bytes *wire) {
    char text[64];
    bool chunked = wf_http_header_find(request, "Transfer-Encoding", NULL) != NULL;
    put_str(wire, request->method);
    put_text(wire, " ");
    put_str(wire, request->target);
    snprintf(text, sizeof text, " HTTP/1.%d\r\n", request->version_minor);
    put_text(wire, text);
    for (size_t i = 0; i < request->header_count; i++) {
        put_str(wire, request->headers[i].name);
        put_text(wire, ":");
        put_str(wire, request->headers[i].value);
        put_text(wire, "\r\n");
    }
    put_text(wire, "\r\n");
    size_t head_len = wire->len;
    if (chunked && request->body.len > 0) {
        snprintf(text, sizeof text, "%zx\r\n", request->body.len);
        put_text(wire, text);
    }
    put_str(wire, request->body);
    if (chunked)
        put_text(wire, request->body.len > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
    return head_len;
}

/* It is read under limits that just fit, and refused when one of them is one less. */
static void check_reread(const wf_http_request *request) {
    fuzz_bytes wire = {0}, log = {0}, expected = {0};
    size_t head = write_request(request, &wire), headers = request->header_count, body = request->body.len;
    CHECK_EQ(reread(&(wf_http_limits) {head, headers, body}, &wire, &log), 0);
    fuzz_log_request(&expected, request, 0);
    fuzz_log_equal(&log, &expected, "written anew");
    CHECK_EQ(reread(&(wf_http_limits) {head - 1, headers, body}, &wire, &log), 431);
    if (headers > 0)
        CHECK_EQ(reread(&(wf_http_limits) {head, headers - 1, body}, &wire, &log), 431);
    if (body > 0)
        CHECK_EQ(reread(&(wf_http_limits) {head, headers, body - 1}, &wire, &log), 413);
    fuzz_free(&wire);
    fuzz_free(&log);
    fuzz_free(&expected);
}
