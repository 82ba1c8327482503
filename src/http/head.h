/*
 * head.h - inside http only: from the bytes of a finished request head to its parts, and the rules over them.
 */
#ifndef WF_HTTP_HEAD_H
#define WF_HTTP_HEAD_H

#include "http/request.h"

/* Takes the next line of *rest, without its CRLF. False at the end of the bytes. */
bool wf_http_head_line(wf_str *rest, wf_str *out_line);

/* Cuts lines into headers, as many as there is room for; what is missing comes out empty. Nothing is judged. */
void wf_http_head_fields(wf_str *rest, wf_http_header *headers, size_t count);

/* What only the checks need to see of a head. */
typedef struct wf_http_head {
    wf_str version;   /* third part of the request line: "HTTP/1.1" */
    wf_str authority; /* of a target of absolute form; data is NULL when the target has another form */
} wf_http_head;

/* Cuts the head into request (all but body) and *out_head. The bytes are whole lines, each ended by CRLF,
 * empty lines first or none, and an empty line last; request->headers has room for request->header_count of
 * them, which is the number of lines behind the request line. Nothing is judged here: a part that is missing
 * comes out empty. Cost: one pass. May be repeated when the bytes have moved. */
void wf_http_head_cut(wf_str bytes, wf_http_request *request, wf_http_head *out_head);

/* The rules over a cut head. 0, or WF_ERROR with HTTP status and rule in *fault. */
int wf_http_head_check(const wf_http_request *request, const wf_http_head *head, wf_fault *fault);

#endif
