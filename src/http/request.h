/*
 * request.h - reading HTTP/1.1 requests: bytes in, one whole request at a time out. Sans-I/O, no callbacks.
 *
 *     reader = wf_http_reader_new(&limits);
 *     for (;;) switch (wf_http_reader_feed(reader, data, len, &used)) {
 *         WF_WANT_INPUT   all of data is used; feed more when it comes
 *         WF_OK           wf_http_reader_request is whole, head and body; `used` bytes of data belonged to it.
 *                         The rest is the next request, for a new reader, or, after an accepted upgrade, the
 *                         first frames.
 *         WF_ERROR        fault.close_code is the HTTP status to answer with (400, 405, 413, 414, 417, 431, 501,
 *                         505), fault.rule says why in words a person can read. Nothing more can be read.
 *         WF_ENOMEM       fault.close_code is 503: answer and close. Nothing more can be read.
 *     }
 *
 * The head is parsed by llhttp (strict) as it arrives; cost is linear in the bytes whatever their chunking,
 * and the outcome, down to the rule named, is the same for every chunking. Memory is one buffer, at most
 * head_bytes_max + body_bytes_max + an eighth + 4 KiB, taken as bytes arrive, and one array of as many
 * headers as came.
 *
 * Refused beyond what llhttp refuses: bare CR, bare LF, NUL and other control bytes in the head, folded
 * header lines, HTTP/1.1 without exactly one well-formed Host and HTTP/1.0 with two, a target with a fragment
 * or bytes that are not visible ASCII, a target of absolute form whose authority is not the Host, any
 * Transfer-Encoding but one single "chunked", any Expect but 100-continue, and CONNECT (405). Trailers of a
 * chunked body are checked and dropped.
 */
#ifndef WF_HTTP_REQUEST_H
#define WF_HTTP_REQUEST_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"

#include <stdbool.h>

typedef struct wf_http_limits {
    size_t head_bytes_max; /* request line, headers and trailers together, empty lines included; over: 414 in
                              the request line, 431 behind it */
    size_t headers_max;    /* count; over: 431 */
    size_t body_bytes_max; /* over: 413, before memory is taken when a length says so */
} wf_http_limits;

typedef struct wf_http_header {
    wf_str name;  /* a token, as sent; compare without case */
    wf_str value; /* trimmed; no control byte but HTAB can be inside; may be empty, may hold bytes over 127 */
} wf_http_header;

/* Headers that HTTP itself or the opening handshake has rules about. */
typedef enum wf_http_name {
    WF_HTTP_HOST,
    WF_HTTP_CONNECTION,
    WF_HTTP_UPGRADE,
    WF_HTTP_EXPECT,
    WF_HTTP_TRANSFER_ENCODING,
    WF_HTTP_ORIGIN,
    WF_HTTP_WS_KEY,
    WF_HTTP_WS_VERSION,
    WF_HTTP_WS_PROTOCOL,
    WF_HTTP_WS_EXTENSIONS,
    WF_HTTP_NAMES
} wf_http_name;

/* Where those of one name stand. */
typedef struct wf_http_known {
    const wf_str *value; /* of the first; NULL: there is none */
    size_t count;
} wf_http_known;

/* A whole request. Every wf_str but the "/" path of a bare "http://host" points into the reader's buffer and
 * lives as long as it. */
typedef struct wf_http_request {
    wf_str method;         /* "GET" */
    wf_str target;         /* as sent: "/rooms/a?last=5", "http://host/rooms/a", or "*" with OPTIONS */
    wf_str path;           /* of the target, before '?', still percent-encoded; begins with '/', or is "*" */
    wf_str query;          /* behind '?', empty when there is none */
    int version_minor;     /* of HTTP/1.x: 0 or 1 */
    bool keep_alive;       /* RFC 9112 9.3 */
    bool upgrade;          /* Connection lists Upgrade */
    bool websocket;        /* Upgrade lists websocket: if it is accepted, what follows is not HTTP */
    bool expects_continue; /* Expect: 100-continue, in HTTP/1.1 */
    wf_http_header *headers;
    size_t header_count;
    wf_http_known known[WF_HTTP_NAMES];
    wf_str body; /* decoded when it was chunked */
} wf_http_request;

typedef struct wf_http_reader wf_http_reader; /* heap object: it lives only while a connection speaks HTTP */

/* NULL when memory is out. Limits are copied. */
wf_http_reader *wf_http_reader_new(const wf_http_limits *limits);
void wf_http_reader_free(wf_http_reader *reader);

/* See the head of this file. *out_used is always set. Never takes a byte behind the end of the request it
 * completes. After WF_OK the next call must be wf_http_reader_free; after a fault every call answers the same fault. */
int wf_http_reader_feed(wf_http_reader *reader, const uint8_t *data, size_t len, size_t *out_used);

/* The whole request, after WF_OK. Valid as long as the reader. */
const wf_http_request *wf_http_reader_request(const wf_http_reader *reader);
const wf_fault *wf_http_reader_fault(const wf_http_reader *reader);

/* True once, when the head asked for "100 Continue" and no body has come yet: the caller sends it. */
bool wf_http_reader_wants_continue(wf_http_reader *reader);

/* True before the first byte of a request (empty lines do not count): closing now loses nothing. */
bool wf_http_reader_idle(const wf_http_reader *reader);

/* Bytes of the head that have come, as far as they are kept. */
wf_str wf_http_reader_head(const wf_http_reader *reader);

/* Fills in what follows from the headers and version_minor: known, keep_alive, upgrade, websocket, expects_continue.
 * The reader does it; who makes a request by hand calls it. One pass. */
void wf_http_request_index(wf_http_request *request);

/* The first header of this name, or NULL. `count` of them when out_count is not NULL. O(headers). */
const wf_str *wf_http_headers_find(const wf_http_header *headers, size_t header_count, wf_str name, size_t *out_count);

/* True when any header line of this name lists the token, without case (RFC 9110 5.6.1). */
bool wf_http_headers_have_token(const wf_http_header *headers, size_t header_count, wf_str name, wf_str token);

/* The same over a request. Inline, so that the length of a literal name is known. */
static inline const wf_str *wf_http_header_find(const wf_http_request *request, const char *name, size_t *out_count) {
    return wf_http_headers_find(request->headers, request->header_count, wf_str_of(name), out_count);
}

static inline bool wf_http_header_has_token(const wf_http_request *request, const char *name, const char *token) {
    return wf_http_headers_have_token(request->headers, request->header_count, wf_str_of(name), wf_str_of(token));
}

/* True for a token (RFC 9110 5.6.2): not empty, no separators. */
bool wf_http_is_token(wf_str s);

/* True when all of it is base64 (RFC 4648 4), without padding. */
bool wf_http_is_base64(wf_str s);

/* True when it can be sent as the value of a header: no control byte but HTAB. */
bool wf_http_is_value(wf_str s);

/* Splits "host[:port]" (RFC 3986 3.2.2, 3.2.3). An IPv6 literal keeps its brackets. *out_port is 0 when none
 * is given. False when malformed, or when the host is empty or the port not in 1-65535; nothing is set then.
 */
bool wf_http_host_split(wf_str authority, wf_str *out_host, unsigned *out_port);

/* The byte that begins at in.data[*at], decoded when it is %XX; moves *at on. -1: a bad escape. */
int wf_http_percent_byte(wf_str in, size_t *at);

/* Decodes %XX into out (cap bytes, NUL-terminated). Refuses a bad escape, NUL, and an encoded slash:
 * WF_ERROR. WF_FULL when cap is too small. '+' stays '+'. out is untouched unless 0 is answered. */
int wf_http_percent_decode(wf_str in, char *out, size_t cap);

/* The value of a query parameter, the first of this name, still encoded; empty when it has no '='. False when
 * it is not there. The name is compared as it stands, undecoded. */
bool wf_http_query_find(wf_str query, const char *name, wf_str *out_value);

#endif
