/*
 * response.h - the one serialiser of response heads. What it refuses never reaches the wire.
 */
#ifndef WF_HTTP_RESPONSE_H
#define WF_HTTP_RESPONSE_H

#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>

typedef struct wf_http_header_out {
    wf_str name;
    wf_str value;
} wf_http_header_out;

typedef struct wf_http_response {
    int status;                        /* 100–599 */
    const wf_http_header_out *headers; /* borrowed for the call; written in this order, behind the ones added here */
    size_t header_count;
    bool close;          /* adds "Connection: close" */
    bool has_length;     /* adds Content-Length; left out with 1xx, 204 and 304, which have no body */
    size_t body_bytes;   /* for Content-Length; the body itself is the caller's to send */
    int64_t date_unix_s; /* adds Date (RFC 9110 6.6.1): seconds since 1970 UTC, up to the year 9999; 0: none */
} wf_http_response;

/* Appends the head, empty line included. Nothing is appended on failure: WF_EINVAL  the status is out of range; a
 * name is no token (RFC 9110 5.6.2); a value holds a control byte other than HTAB
 *            (CR, LF and NUL above all); headers name Content-Length, or Date beside date_unix_s, or Transfer-Encoding
 *            beside has_length (a second say on the framing); a body with 1xx, 204 or 304; a date out of range
 * WF_ENOMEM
 * Cost: linear, one reservation. */
int wf_http_response_write(wf_buf *out, const wf_http_response *response);

const char *wf_http_status_text(int status); /* "Not Found"; "" when unknown */

#endif
