/*
 * sessions.h - what a client keeps of its TLS sessions to go on with (RFC 8446 2.2, RFC 5077): the next connection to
 * the same origin needs no certificate and no signature.
 *
 * Nothing is believed that was not verified: a session is of the origin whose certificate was looked at, under the
 * settings of the one context it belongs to. It is not gone on with when that was over a day ago, however often it was
 * renewed since (RFC 8446 4.6.1), nor when the certificate has run out. A ticket of TLS 1.3 is used once (RFC 8446
 * C.4).
 *
 * Newest first, at most so many; any thread.
 */
#ifndef WF_TLS_SESSIONS_H
#define WF_TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <stdint.h>

enum { WF_SESSION_VERIFIED_MS_MAX = 24 * 3600 * 1000 };

typedef struct wf_tls_sessions wf_tls_sessions;

wf_tls_sessions *wf_tls_sessions_new(size_t count_max); /* at least one. NULL: no memory */
void wf_tls_sessions_free(wf_tls_sessions *sessions);   /* NULL is accepted */

/* Takes the caller's reference. `origin` is "host:port". Without memory it is not kept. */
void wf_tls_sessions_put(wf_tls_sessions *sessions, const char *origin, uint64_t verified_ms, SSL_SESSION *session);

/* A reference, the caller's to give back; *out_verified_ms is what was put. NULL: none is good any more. */
SSL_SESSION *wf_tls_sessions_take(wf_tls_sessions *sessions, const char *origin, uint64_t now_ms,
                                  uint64_t *out_verified_ms);

#endif
