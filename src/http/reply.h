/*
 * reply.h - reading the answer to an opening handshake: HTTP/1.1 bytes in, one response out. Sans-I/O, no callbacks.
 *
 *     reader = wf_http_reply_reader_new(&limits);
 *     for (;;) switch (wf_http_reply_feed(reader, data, len, &used)) {
 *         WF_WANT_INPUT   all of data is used; feed more, or wf_http_reply_end when no more comes
 *         WF_OK           wf_http_reply_of is whole. `used` bytes of data belonged to it: behind a 101 the rest is
 *                         frames, behind anything else it is of no interest.
 *         WF_ERROR        the fault's rule says why. Nothing more can be read.
 *         WF_ENOMEM       nothing more can be read.
 *     }
 *
 * The head is judged as strictly as a request's: lines end in CRLF, no control bytes, no folding, every header is
 * name:value, and the limits hold over all of it. Interim answers (100, 103, ...) before the answer are passed over.
 * The body of a refusal is for a person to read: of it as much is kept as body_bytes_max allows, and when its framing
 * is broken, or it is cut short, then as much as came. The outcome is the same however the bytes are cut.
 */
#ifndef WF_HTTP_REPLY_H
#define WF_HTTP_REPLY_H

#include "http/request.h"

/* Views into the reader. */
typedef struct wf_http_reply {
    int status;        /* 101, or 200 to 999 */
    int version_minor; /* of HTTP/1.x */
    wf_http_header *headers;
    size_t header_count;
    wf_str body; /* chunks put together */
} wf_http_reply;

typedef struct wf_http_reply_reader wf_http_reply_reader;

/* NULL when memory is out. Limits are copied; interim answers count towards head_bytes_max. */
wf_http_reply_reader *wf_http_reply_reader_new(const wf_http_limits *limits);
void wf_http_reply_reader_free(wf_http_reply_reader *reader);

/* Before it is fed: the answer is one to CONNECT, and with a 2xx it ends behind the head, for what follows is the
 * tunnel's, whatever the head says about a body (RFC 9110 9.3.6). */
void wf_http_reply_of_connect(wf_http_reply_reader *reader);

/* See the head of this file. *out_used is always set. Not to be called after WF_OK. */
int wf_http_reply_feed(wf_http_reply_reader *reader, const uint8_t *data, size_t len, size_t *out_used);

/* Only of the body more is awaited. */
bool wf_http_reply_has_head(const wf_http_reply_reader *reader);

/* No more comes. WF_OK: the body ends here; WF_ERROR: there is no whole head. */
int wf_http_reply_end(wf_http_reply_reader *reader);

/* WF_OK was answered. */
bool wf_http_reply_is_whole(const wf_http_reply_reader *reader);

/* Whole, after WF_OK. */
const wf_http_reply *wf_http_reply_of(const wf_http_reply_reader *reader);
const wf_fault *wf_http_reply_fault(const wf_http_reply_reader *reader);

#endif
