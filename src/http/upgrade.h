/*
 * upgrade.h - the rules of the opening handshake (RFC 6455 4), as pure functions over a request.
 */
#ifndef WF_HTTP_UPGRADE_H
#define WF_HTTP_UPGRADE_H

#include "http/request.h"

/* Why a handshake was refused: an index for counters, stable, with a short name for metrics. */
typedef enum wf_refusal {
    WF_REFUSAL_NONE,
    WF_REFUSAL_METHOD,       /* not GET: 405 */
    WF_REFUSAL_HTTP_VERSION, /* below HTTP/1.1: 400 */
    WF_REFUSAL_HOST,         /* not exactly one valid Host, or an empty one: 400 */
    WF_REFUSAL_UPGRADE,      /* no "websocket" in Upgrade: 426 when the header is missing altogether, else 400 */
    WF_REFUSAL_CONNECTION,   /* no "Upgrade" in Connection: 400 */
    WF_REFUSAL_KEY,          /* not exactly one Sec-WebSocket-Key, base64 of exactly 16 bytes: 400 */
    WF_REFUSAL_WS_VERSION,   /* not exactly one Sec-WebSocket-Version of 13: 426 with Sec-WebSocket-Version: 13 */
    WF_REFUSAL_BODY,         /* a request body: 400 */
    WF_REFUSAL_ORIGIN,       /* 403 */
    WF_REFUSAL_COUNT
} wf_refusal;

const char *wf_refusal_name(wf_refusal refusal); /* "origin" */

typedef struct wf_upgrade {
    wf_refusal refusal;
    int http_status;  /* to answer with; 101 when nothing is refused */
    const char *text; /* why, in words a person can read, with the RFC section. Static. */
} wf_upgrade;

/* Checks everything but the Origin, in the order of the enum. */
wf_upgrade wf_upgrade_check(const wf_http_request *request);

/* The status and text of one refusal: for WF_REFUSAL_ORIGIN, which the caller decides. */
wf_upgrade wf_upgrade_refused(wf_refusal refusal);

/* Origin (RFC 6455 10.2): absent passes; the same host and port as Host passes, whatever of http and https it
 * names; listed passes. An entry is scheme://host[:port], compared without case and with default ports made
 * explicit; "*" lists every well-formed origin; "null" (a sandboxed page, a file) passes only where the entry
 * "null" is listed, "*" does not list it. Malformed and repeated origins are foreign. `allowed` may be NULL.
 * Cost: linear in the list. */
bool wf_upgrade_origin_ok(const wf_http_request *request, const char *const *allowed, size_t allowed_count);

enum { WF_UPGRADE_KEY_BYTES = 24, WF_UPGRADE_ACCEPT_BYTES = 28 };

/* What libcrypto needs to make accept keys, for a thread that makes many: to make it anew each time would double the
 * work. NULL: out of memory. */
typedef struct wf_key_digest wf_key_digest;
wf_key_digest *wf_key_digest_new(void);
void wf_key_digest_free(wf_key_digest *digest);

/* base64(SHA-1(key ++ GUID)) into out: 28 characters and a NUL (RFC 6455 4.2.2). `digest` may be NULL: then one is made
 * for this key. 0; WF_EINVAL when the key is not 24 characters long; WF_ESYS if the digest fails. out is untouched on
 * failure. */
int wf_upgrade_accept_key(wf_key_digest *digest, wf_str key, char out[WF_UPGRADE_ACCEPT_BYTES + 1]);

/* The first of the client's offered subprotocols (its order is its preference) that is among `supported`;
 * false: none. *out_protocol points into the request. A malformed or repeated offer is not an error: that
 * element is passed over. */
bool wf_upgrade_pick_protocol(const wf_http_request *request, const char *const *supported, size_t count,
                              wf_str *out_protocol);

/* True when the client offered exactly this subprotocol (case matters, RFC 6455 4.1). */
bool wf_upgrade_offers_protocol(const wf_http_request *request, wf_str protocol);

#endif
