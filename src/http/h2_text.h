/*
 * h2_text.h - HTTP/2 heads as the HTTP/1.1 text that means the same, and such text back into header fields. Pure.
 *
 * So HTTP has one reader, one set of limits and refusals and one way to a route, whatever it came by: what a proxy
 * does (RFC 9113 8), within either end. The opening handshake of RFC 6455 is an extended CONNECT (RFC 8441), 101 is
 * 200, and the key, which HTTP/2 has no use for, is left out of what goes and is nobody's in what comes.
 */
#ifndef WF_HTTP_H2_TEXT_H
#define WF_HTTP_H2_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"

/* What comes, while its fields come. Zero is empty. */
typedef struct wf_h2_head {
    wf_buf method, path, authority, protocol, status; /* pseudo-headers; data NULL: it did not come */
    wf_buf fields;                                    /* lines for HTTP/1.1 */
    wf_buf cookie;                                    /* crumbs put together (RFC 9113 8.2.3) */
    size_t bytes_max;                                 /* of all; what does not fit is left out, and `over` is set */
    bool over, has_host, has_length;
} wf_h2_head;

/* One field, in the order they come. WF_OK, WF_ENOMEM. */
int wf_h2_head_add(wf_h2_head *head, wf_str name, wf_str value);
void wf_h2_head_deinit(wf_h2_head *head);

/* Appends the text of a request. `ends`: no body follows; else, without a length, it is to be chunked, and *out_chunked
 * says so. WF_OK; WF_ENOMEM; WF_EINVAL: it is answered with *out_status. */
int wf_h2_request_write(const wf_h2_head *head, bool ends, wf_buf *out, bool *out_chunked, int *out_status);

/* Appends the text of an answer to an extended CONNECT; a body behind it is as long as its length says, or as it is. An
 * interim one (RFC 9110 15.2) is passed over: nothing is appended. WF_OK, WF_ENOMEM. */
int wf_h2_answer_write(const wf_h2_head *head, wf_buf *out);
bool wf_h2_answer_is_interim(const wf_h2_head *head);

/* What goes, pseudo-headers first. Views into the text, which is changed: names are lower case. */
enum { WF_H2_FIELDS_MAX = 128 };
typedef struct wf_h2_fields {
    int status;          /* of an answer: 101 is 200 here; 100 to 199 else: to be passed over */
    bool websocket;      /* all that follows is the stream's, both ways */
    uint64_t body_bytes; /* UINT64_MAX: until the end */
    size_t count;
    wf_str names[WF_H2_FIELDS_MAX], values[WF_H2_FIELDS_MAX];
} wf_h2_fields;

/* `len` bytes of our own head, its empty line included. WF_OK; WF_EINVAL: it is not one; WF_ELIMIT: more than
 * WF_H2_FIELDS_MAX fields. A request is an opening handshake, and nothing else. */
int wf_h2_answer_read(char *text, size_t len, wf_h2_fields *out_fields);
int wf_h2_request_read(char *text, size_t len, const char *scheme, wf_h2_fields *out_fields);

#endif
