/*
 * weft/tls.h - wss: certificates of a server, and whom a client trusts.
 *
 * TLS 1.2 with forward secrecy, and 1.3. Never renegotiated; no early data, which can be replayed. Files are PEM.
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_certificate {
    const char *chain_file; /* the certificate, then those between it and the root */
    const char *key_file;
    /* A DER response about it, to be stapled until the next one is due (RFC 6066 8); NULL: none. Who fetches it writes
     * the file anew, and reloads. */
    const char *ocsp_file;
} weft_certificate;

typedef struct weft_tls_server {
    size_t struct_size; /* WEFT_TLS_SERVER_INIT */
    /* Up to one without a chain_file. Which one a client gets is by the name it asks for (SNI); the first, when none
     * fits. */
    const weft_certificate *certificates;
    bool self_signed;           /* in place of certificates: one is made, for localhost. For trying things out */
    const char *client_ca_file; /* clients need a certificate of one of these; NULL: they need none */
    const char *keylog_file;    /* the secrets of each session are appended (SSLKEYLOGFILE); NULL: none */
    bool tls13_only;
    /* A handshake of TLS failed: with whom (as weft_conn_peer says it), and why, in words that live until this returns.
     * Called by each worker, so perhaps by several at a time. NULL: nobody asks. */
    void (*failed)(const char *peer, const char *why, void *user);
    void *user; /* yours */
} weft_tls_server;

#define WEFT_TLS_SERVER_INIT .struct_size = sizeof(weft_tls_server)

/* Zero verifies certificate and name against the system's authorities. */
typedef struct weft_tls_client {
    bool insecure;         /* take any certificate: for trying things out */
    const char *ca_file;   /* trust these in place of the system's */
    const char *cert_file; /* our own certificate, with its chain; NULL: none */
    const char *key_file;  /* its key; NULL: it is in cert_file */
    const char *keylog_file;
    /* Sessions kept, so that who dials a host and port again goes on with what was agreed on, in half of the time
     * [64; WEFT_NONE: none]. They are this client's alone. What its certificate check said holds for a day at most, and
     * no longer than the certificate. */
    uint32_t sessions_max;
} weft_tls_client;

#ifdef __cplusplus
}
#endif

#endif
