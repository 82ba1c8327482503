/*
 * tls_help.h - two ends of TLS and no socket between them: bytes are carried by hand.
 */
#ifndef WF_TESTS_TLS_HELP_H
#define WF_TESTS_TLS_HELP_H

#include "test.h"
#include "tls/context_impl.h"
#include "tls/tls.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char why[256];

/* A self-signed pair on disk: CERT (its own authority, too) and KEY. */
typedef struct pair {
    char folder[32], cert[48], key[48];
} pair;

static inline void write_files(const pair *p, EVP_PKEY *key, X509 *cert) {
    FILE *out = fopen(p->cert, "w");
    CHECK(out && PEM_write_X509(out, cert) == 1 && fclose(out) == 0);
    out = fopen(p->key, "w");
    CHECK(out && PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(out) == 0);
    EVP_PKEY_free(key);
    X509_free(cert);
}

static inline void write_pair(const pair *p) {
    EVP_PKEY *key;
    X509 *cert;
    CHECK_EQ(wf_tls_self_sign(&key, &cert), WF_OK);
    write_files(p, key, cert);
}

static inline pair make_pair(void) {
    pair p;
    strcpy(p.folder, "/tmp/weft-tls-XXXXXX");
    CHECK(mkdtemp(p.folder) != NULL);
    snprintf(p.cert, sizeof p.cert, "%s/cert.pem", p.folder);
    snprintf(p.key, sizeof p.key, "%s/key.pem", p.folder);
    write_pair(&p);
    return p;
}

static inline void remove_pair(const pair *p) {
    unlink(p->cert);
    unlink(p->key);
    rmdir(p->folder);
}

/* ---- the two ends ---- */

typedef struct ends {
    wf_tls_shared shared[2];
    wf_tls_context *context[2];
    wf_tls *tls[2]; /* server, client */
    uint8_t got[2][1 << 20];
    size_t got_len[2];
    int result[2]; /* of the last open */
} ends;

static ends e;

static inline void open_ends(wf_tls_context *server, wf_tls_context *client, const char *host) {
    CHECK(server && client);
    memset(&e, 0, sizeof e);
    e.context[0] = server;
    e.context[1] = client;
    e.tls[0] = wf_tls_accept(server, &e.shared[0]);
    e.tls[1] = wf_tls_connect(client, &e.shared[1], host, 443, false);
    CHECK(e.tls[0] && e.tls[1]);
}

static inline void close_ends(void) {
    for (int i = 0; i < 2; i++) {
        wf_tls_free(e.tls[i]);
        wf_tls_context_free(e.context[i]);
        wf_tls_shared_deinit(&e.shared[i]);
    }
}

static inline void open_default(void) {
    open_ends(wf_tls_server_context(&(wf_tls_server_options) {.self_signed = true}, why, sizeof why),
              wf_tls_client_context(&(wf_tls_client_options) {.insecure = true}, why, sizeof why), "localhost");
}

static inline void take(int to, const uint8_t *data, size_t len) {
    uint8_t *plain;
    size_t plain_len;
    e.result[to] = wf_tls_open(e.tls[to], data, len, &plain, &plain_len);
    CHECK(plain_len <= sizeof e.got[to] - e.got_len[to]);
    memcpy(e.got[to] + e.got_len[to], plain, plain_len);
    e.got_len[to] += plain_len;
}

/* Carries what one end has sealed to the other, in pieces of `step`; false: there was nothing. */
static inline bool carry(int from, size_t step) {
    struct iovec range;
    if (!wf_tls_sealed(e.tls[from], &range))
        return false;
    size_t len = range.iov_len < step ? range.iov_len : step;
    uint8_t piece[64 * 1024];
    if (len > sizeof piece)
        len = sizeof piece;
    memcpy(piece, range.iov_base, len);
    wf_tls_sent(e.tls[from], len);
    take(!from, piece, len);
    return true;
}

static inline void settle(size_t step) {
    for (int i = 0; i < 1 << 20; i++) {
        bool server = carry(0, step), client = carry(1, step);
        if (!server && !client)
            return;
    }
    CHECK(!"it never ends");
}

static inline void seal(int from, const void *data, size_t len) {
    struct iovec range = {(void *)data, len};
    while (range.iov_len > 0) {
        int64_t taken = wf_tls_seal(e.tls[from], &range, 1);
        CHECK(taken > 0);
        range.iov_base = (uint8_t *)range.iov_base + taken;
        range.iov_len -= (size_t)taken;
    }
}

#endif
