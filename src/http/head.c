/*
 * A finished head is lines, and lines are easy to cut:
 *
 *     POST /api?x=1 HTTP/1.1 CRLF     method SP target SP version
 *     Host: example.org CRLF          name ":" value
 *     CRLF
 *
 * So nothing is remembered while the head arrives. When its last byte is there, one pass cuts it into views,
 * and a second pass, when a body has moved the buffer, cuts it again. llhttp has by then refused what is no
 * HTTP at all; the rules here refuse what it lets pass and what only makes sense over the head as a whole.
 * They judge the very views the application will see, so that no second reading of the same bytes can differ
 * from the first.
 */
#include "http/head.h"

#define BAD_REQUEST 400

bool wf_http_head_line(wf_str *rest, wf_str *out_line) {
    const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - rest->data);
    *out_line = (wf_str) {rest->data, len > 0 ? len - 1 : 0};
    *rest = (wf_str) {end + 1, rest->len - len - 1};
    return true;
}

/* Takes what stands before the first `mark`, and the mark. Without a mark, all of it. */
static wf_str take_until(wf_str *rest, char mark) {
    const char *end = rest->len > 0 ? memchr(rest->data, mark, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    wf_str part = {rest->data, len};
    size_t used = end ? len + 1 : len;
    *rest = (wf_str) {rest->data + used, rest->len - used};
    return part;
}

/* Path and query of the target in its three forms (RFC 9112 3.2), and the authority of the absolute one. */
static void cut_target(wf_http_request *request, wf_str *out_authority) {
    wf_str rest = request->target;
    *out_authority = (wf_str) {NULL, 0};
    const char *colon = rest.len > 0 && rest.data[0] != '/' ? memchr(rest.data, ':', rest.len) : NULL;
    if (colon && rest.len - (size_t)(colon - rest.data) >= 3 && memcmp(colon, "://", 3) == 0) {
        size_t scheme = (size_t)(colon - rest.data) + 3, end = scheme;
        while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?')
            end++;
        *out_authority = (wf_str) {rest.data + scheme, end - scheme};
        rest = (wf_str) {rest.data + end, rest.len - end};
    }
    request->path = take_until(&rest, '?');
    request->query = rest;
    if (out_authority->data && request->path.len == 0)
        request->path = wf_str_of("/");
}

void wf_http_head_fields(wf_str *rest, wf_http_header *headers, size_t count) {
    wf_str line;
    for (size_t i = 0; i < count && wf_http_head_line(rest, &line); i++) {
        headers[i].name = take_until(&line, ':');
        headers[i].value = wf_str_trim(line);
    }
}

void wf_http_head_cut(wf_str bytes, wf_http_request *request, wf_http_head *out_head) {
    wf_str line = {NULL, 0};
    while (wf_http_head_line(&bytes, &line) && line.len == 0)
        ;
    request->method = take_until(&line, ' ');
    request->target = take_until(&line, ' ');
    out_head->version = line;
    cut_target(request, &out_head->authority);

    wf_http_head_fields(&bytes, request->headers, request->header_count);
    request->version_minor = wf_str_eq(out_head->version, wf_str_of("HTTP/1.1"));
    wf_http_request_index(request);
}

static int refuse(wf_fault *fault, int http_status, const char *rule) {
    return wf_fault_set(fault, WF_ERROR, http_status, rule);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int check_version(wf_str version, wf_fault *fault) {
    if (version.len == 0)
        return refuse(fault, BAD_REQUEST, "RFC9112/3: the request line does not end in an HTTP version");
    if (version.len != 8 || memcmp(version.data, "HTTP/", 5) != 0 || !is_digit(version.data[5]) ||
        version.data[6] != '.' || !is_digit(version.data[7]))
        return refuse(fault, BAD_REQUEST, "RFC9112/3: the request line is not method, target and version");
    if (version.data[5] != '1' || version.data[7] > '1')
        return refuse(fault, 505, "RFC9110/15.6.6: only HTTP/1.0 and HTTP/1.1 are spoken here");
    return WF_OK;
}

static int check_target(const wf_http_request *request, wf_fault *fault) {
    wf_str target = request->target;
    for (size_t i = 0; i < target.len; i++)
        if (target.data[i] < '!' || target.data[i] > '~' || target.data[i] == '#')
            return refuse(fault, BAD_REQUEST, "RFC9112/3.2: a byte in the target that may not stand there");
    if (wf_str_eq(request->method, wf_str_of("CONNECT")))
        return refuse(fault, 405, "RFC9110/9.3.6: CONNECT: this server is no tunnel");
    if (wf_str_eq(request->path, wf_str_of("*"))) {
        if (!wf_str_eq(request->method, wf_str_of("OPTIONS")) || target.len != 1)
            return refuse(fault, BAD_REQUEST, "RFC9112/3.2.4: the target * goes with OPTIONS alone");
        return WF_OK;
    }
    if (request->path.len == 0 || request->path.data[0] != '/')
        return refuse(fault, BAD_REQUEST, "RFC9112/3.2: the target is neither a path nor an absolute URI");
    return WF_OK;
}

/* RFC 9112 3.2: one Host in HTTP/1.1, none or one before, and it is well-formed. An empty one is well-formed:
 * it stands for "no authority". A target that names an authority must name the same, or two readers could
 * route it apart. */
static int check_host(const wf_http_request *request, wf_str authority, wf_fault *fault) {
    const wf_str *host = request->known[WF_HTTP_HOST].value;
    size_t count = request->known[WF_HTTP_HOST].count;
    if (count > 1)
        return refuse(fault, BAD_REQUEST, "RFC9112/3.2: more than one Host header");
    if (count == 0 && request->version_minor > 0)
        return refuse(fault, BAD_REQUEST, "RFC9112/3.2: no Host header");
    wf_str name;
    unsigned port;
    if (host && host->len > 0 && !wf_http_host_split(*host, &name, &port))
        return refuse(fault, BAD_REQUEST, "RFC9112/3.2: the Host header is not host[:port]");
    if (authority.data && !wf_http_host_split(authority, &name, &port))
        return refuse(fault, BAD_REQUEST, "RFC9112/3.2.2: the target's authority is not host[:port]");
    if (authority.data && host && !wf_str_eq_nocase(authority, *host))
        return refuse(fault, BAD_REQUEST, "RFC9112/3.2.2: Host differs from the target's authority");
    return WF_OK;
}

/* RFC 9112 6.1. Content-Length, its duplicates and its company are llhttp's to judge. */
static int check_coding(const wf_http_request *request, wf_fault *fault) {
    const wf_str *coding = request->known[WF_HTTP_TRANSFER_ENCODING].value;
    size_t count = request->known[WF_HTTP_TRANSFER_ENCODING].count;
    if (count > 0 && request->version_minor == 0)
        return refuse(fault, BAD_REQUEST, "RFC9112/6.1: Transfer-Encoding in HTTP/1.0");
    if (count > 1 || (coding && !wf_str_eq_nocase(*coding, wf_str_of("chunked"))))
        return refuse(fault, 501, "RFC9112/6.1: a Transfer-Encoding other than one single chunked");
    return WF_OK;
}

int wf_http_head_check(const wf_http_request *request, const wf_http_head *head, wf_fault *fault) {
    if (check_version(head->version, fault) < 0 || check_target(request, fault) < 0)
        return WF_ERROR;
    for (size_t i = 0; i < request->header_count; i++)
        if (!wf_http_is_token(request->headers[i].name))
            return refuse(fault, BAD_REQUEST, "RFC9112/5: a header line is not name:value");
    if (check_host(request, head->authority, fault) < 0 || check_coding(request, fault) < 0)
        return WF_ERROR;
    const wf_http_known *expect = &request->known[WF_HTTP_EXPECT];
    if (request->expects_continue &&
        (expect->count > 1 || !wf_str_eq_nocase(*expect->value, wf_str_of("100-continue"))))
        return refuse(fault, 417, "RFC9110/10.1.1: an Expect other than 100-continue");
    return WF_OK;
}
