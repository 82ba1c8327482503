/*
 * h2_text.h - an HTTP/2 request as the HTTP/1.1 text that means the same, and the answer back into header fields. Pure.
 *
 * So HTTP has one reader, one set of limits and refusals and one way to a route, whatever it came by: what a proxy in
 * front of a server does (RFC 9113 8), within it. An extended CONNECT (RFC 8441) becomes the upgrade of RFC 6455 with
 * a key that is nobody's, and 101 becomes 200.
 */
#ifndef WF_HTTP_H2_TEXT_H
#define WF_HTTP_H2_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"

/* A request while its fields come. Zero is empty. */
typedef struct wf_h2_head {
    wf_buf method, path, authority, protocol; /* pseudo-headers; data NULL: it did not come */
    wf_buf fields;                            /* lines for HTTP/1.1 */
    wf_buf cookie;                            /* crumbs put together (RFC 9113 8.2.3) */
    size_t bytes_max;                         /* of all; what does not fit is left out, and `over` is set */
    bool over, has_host, has_length;
} wf_h2_head;

/* One field, in the order they come. WF_OK, WF_ENOMEM. */
int wf_h2_head_add(wf_h2_head *head, wf_str name, wf_str value);

/* Appends the text. `ends`: no body follows; else, without a length, it is to be chunked, and *out_chunked says so.
 * WF_OK; WF_ENOMEM; WF_EINVAL: it is answered with *out_status. */
int wf_h2_head_write(const wf_h2_head *head, bool ends, wf_buf *out, bool *out_chunked, int *out_status);
void wf_h2_head_deinit(wf_h2_head *head);

/* What an answer becomes. Views into the text, which is changed: names are lower case. */
enum { WF_H2_FIELDS_MAX = 64 }; /* an application gives 32 at most */
typedef struct wf_h2_answer {
    int status;          /* 101 is 200 here; 100 to 199 else: to be passed over */
    bool websocket;      /* it was 101: all that follows is the stream's */
    uint64_t body_bytes; /* UINT64_MAX: until the end */
    size_t count;
    wf_str names[WF_H2_FIELDS_MAX], values[WF_H2_FIELDS_MAX];
} wf_h2_answer;

/* `len` bytes of our own answer's head, its empty line included. WF_OK; WF_EINVAL: it is not one. */
int wf_h2_answer_read(char *text, size_t len, wf_h2_answer *out_answer);

#endif
