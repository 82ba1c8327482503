/*
 * context.h - what TLS connections are made from: certificates, keys, whom to trust.
 *
 * A context may be used from several threads at a time. A server's can be loaded anew under running connections
 * (wf_tls_reload): those that are open keep what they have.
 */
#ifndef WF_TLS_CONTEXT_H
#define WF_TLS_CONTEXT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wf_tls_context wf_tls_context;

/* Files in PEM. */
typedef struct wf_tls_certificate {
    const char *chain_file; /* the certificate, then those between it and the root */
    const char *key_file;
    const char *ocsp_file; /* a DER response to staple (RFC 6066 8); NULL: none */
} wf_tls_certificate;

/* Strings are not copied: keep them as long as the context, which reads the files again when it is reloaded. */
typedef struct wf_tls_server_options {
    const wf_tls_certificate *certificates; /* the first is for whoever names none of them */
    size_t count;
    bool self_signed;           /* in place of certificates: one is made, for localhost */
    const char *client_ca_file; /* clients must have a certificate from one of these; NULL: they need none */
    const char *keylog_file;    /* secrets of each session are appended, for debuggers; NULL: none */
    bool tls13_only;            /* not TLS 1.2 */
    bool http2;                 /* is offered by ALPN (RFC 7301), before http/1.1 */
} wf_tls_server_options;

typedef struct wf_tls_client_options {
    bool insecure;         /* take any certificate */
    const char *ca_file;   /* in place of the system's; NULL: those */
    const char *cert_file; /* our own, with its chain; NULL: none */
    const char *key_file;
    const char *keylog_file;
    size_t sessions_max; /* kept, for the next connections to the same origins; 0: none */
} wf_tls_client_options;

/* NULL, and `why` says it in words, with the file it is about. */
wf_tls_context *wf_tls_server_context(const wf_tls_server_options *options, char *why, size_t why_cap);
wf_tls_context *wf_tls_client_context(const wf_tls_client_options *options, char *why, size_t why_cap);
void wf_tls_context_free(wf_tls_context *context); /* NULL is accepted. Connections may outlive it. */

/* Reads the files again. WF_OK: new connections get what is there now. WF_ERROR, and `why` is filled: all stays as it
 * was. Any thread. */
int wf_tls_reload(wf_tls_context *context, char *why, size_t why_cap);

/* SHA-256 of a server's first certificate, "AB:CD:...", NUL-terminated: what a client shows that looks at it. */
enum { WF_TLS_FINGERPRINT_BYTES = 96 };
void wf_tls_fingerprint(wf_tls_context *context, char out[WF_TLS_FINGERPRINT_BYTES]);

#endif
