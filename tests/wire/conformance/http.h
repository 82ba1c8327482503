/*
 * http.h - what of HTTP the suite speaks itself: the request of an opening handshake, and the judgement of the answer.
 */
#ifndef WF_TESTS_CONFORMANCE_HTTP_H
#define WF_TESTS_CONFORMANCE_HTTP_H

#include "frames.h"

#define HTTP_KEY    "x3JJHMbDL1EzLkh9GBhXDw=="
#define HTTP_ACCEPT "HSmrc0sMlYUkAGmm5OPpG2HaGWk="

/* A valid request, and before its empty line these lines. */
void http_request(bytes *out, const suite *s, const char *lines);

/* "Sec-WebSocket-Extensions: ...\r\n" */
void http_offer(bytes *out, const pmd_offer *offer);

/* Reads a response at *at, with its body when it `has_body`. 1: it is there, *at behind it; 0: not all of it; -1:
 * broken. */
typedef struct http_response {
    int status;
    const char *head; /* with its empty line */
    size_t head_len;
} http_response;

int http_take(const bytes *in, size_t *at, bool has_body, http_response *out_response);

/* The value of a header, and how often it is there. Not NUL-terminated. */
int http_header(const http_response *response, const char *name, const char **out_value, size_t *out_len);

/* NULL, or what is wrong. Each line asks something of the head: "name: part" is there once and contains this, without
 * case; "!name" is not there; "?name: one|other" is not there, or there once and is one of these. */
const char *http_judge_lines(const http_response *response, const char *lines);

/* NULL, or what is wrong with the answer to an offer; *out_agreed.on: whether it was accepted. */
const char *http_judge_extensions(const http_response *response, const conf_case *c, agreement *out_agreed);

/* What is agreed on when the answer's parameters are these. */
agreement http_agree(const pmd_offer *offer, const pmd_offer *answer);

#endif
