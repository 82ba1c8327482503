/*
 * opening.h - the client's side of the opening handshake (RFC 6455 4.1): writing the request, judging the answer. Pure.
 */
#ifndef WF_HTTP_OPENING_H
#define WF_HTTP_OPENING_H

#include "http/credentials.h"
#include "http/reply.h"
#include "http/upgrade.h"
#include "http/url.h"

enum { WF_OPENING_NONCE_BYTES = 16 };

/* Borrowed for the call. */
typedef struct wf_opening {
    const wf_url *url;
    const uint8_t *nonce;            /* WF_OPENING_NONCE_BYTES, random for each connection */
    const char *origin;              /* NULL: none is sent, as by what is not a browser */
    const char *const *subprotocols; /* NULL-terminated; NULL: none */
    wf_str extensions;               /* value of Sec-WebSocket-Extensions; empty: none */
    wf_credentials credentials;
    const char *const *headers; /* NULL-terminated, "Name: value"; NULL: none */
} wf_opening;

/* Appends the request. WF_OK with the key that was sent in out_key (24 characters and a NUL); WF_EINVAL with a static
 * text in *out_why: the origin, a subprotocol or a header cannot be sent so, or the header is the handshake's own;
 * WF_ENOMEM. Nothing is appended then. */
int wf_opening_write(wf_buf *out, const wf_opening *opening, char out_key[WF_UPGRADE_KEY_BYTES + 1],
                     const char **out_why);

/* The rules over an answer to it, but for the extensions; `key` NULL: it came over HTTP/2, where there is none (RFC
 * 8441 5). WF_OK: it is a WebSocket; WF_ERROR with the rule in *fault. */
int wf_opening_judge(const wf_http_reply *reply, const char *key, const char *const *subprotocols, wf_fault *fault);

#endif
