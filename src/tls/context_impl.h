/*
 * context_impl.h - the inside of a context, for the files of this room alone.
 */
#ifndef WF_TLS_CONTEXT_IMPL_H
#define WF_TLS_CONTEXT_IMPL_H

#include "tls/context.h"

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <time.h>

/* One certificate and all that goes with it. */
typedef struct wf_tls_host {
    SSL_CTX *ctx;
    uint8_t *ocsp; /* owned; NULL: none */
    size_t ocsp_len;
    time_t ocsp_until; /* it is stapled no longer; 0: for ever */
} wf_tls_host;

/* What was loaded together. Held by its context while it is the newest, and by each connection that began with it. */
typedef struct wf_tls_set {
    atomic_uint refs;
    struct wf_tls_tickets *tickets;   /* a reference; NULL in a client */
    struct wf_tls_sessions *sessions; /* a client's; NULL: none are kept */
    const char *keylog_file;          /* NULL: none */
    bool http2;
    size_t count;
    wf_tls_host hosts[];
} wf_tls_set;

wf_tls_set *wf_tls_set_take(wf_tls_context *context); /* the newest, a reference */
void wf_tls_set_unref(wf_tls_set *set);               /* NULL is accepted */

/* ocsp.c: reads what is stapled to a host whose certificate is loaded. NULL; or how it is no good, to be said behind
 * its name. */
const char *wf_tls_load_ocsp(wf_tls_host *host, const char *file);

/* As SSL_CTX_set_tlsext_status_cb wants it; `arg` is the host. */
int wf_tls_staple(SSL *ssl, void *arg);

/* tls.c: a client's connection was given a session to go on with. As SSL_CTX_sess_set_new_cb wants it. */
int wf_tls_note_session(SSL *ssl, SSL_SESSION *session);

/* self_signed.c: a key and a certificate of its own, for localhost and this machine's name. 0, or WF_ERROR. */
int wf_tls_self_sign(EVP_PKEY **out_key, X509 **out_certificate);

#endif
