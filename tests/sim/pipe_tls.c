/*
 * TLS by the client's half of OpenSSL, between two buffers in memory. OpenSSL's random bytes, of both halves, are the
 * seed's; what still differs between two runs of it is the time, in tickets, and is not traced.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_METHOD: a provider would be a hundred lines */
#include "pipe_tls.h"
#include "pipe_impl.h"

#include "client.h"
#include "sim.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { YEAR_S = 31536000 };

static SSL_CTX *context;

static _Noreturn void broken(const char *what) {
    sim_fail("simulator", "%s: %s", what, ERR_error_string(ERR_get_error(), NULL));
}

static void make_certificate(int fd) {
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *certificate = X509_new();
    FILE *file = fdopen(fd, "w");
    if (!key || !certificate || !file)
        broken("a certificate could not be made");
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    ASN1_TIME_set(X509_getm_notBefore(certificate), 0);
    ASN1_TIME_set(X509_getm_notAfter(certificate), 100L * YEAR_S);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const uint8_t *)"sim", -1, -1,
                               0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    if (!X509_sign(certificate, key, NULL) || !PEM_write_X509(file, certificate) ||
        !PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) || fflush(file) != 0)
        broken("a certificate could not be written");
    X509_free(certificate); /* the file stays open: it has a name as long as it is */
    EVP_PKEY_free(key);
}

const char *sim_tls_file(void) {
    static char name[64];
    if (name[0])
        return name;
    int fd = memfd_create("certificate", 0);
    if (fd < 0)
        broken("there is no memory for a certificate");
    make_certificate(fd);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return name;
}

static uint64_t random_state;

static int random_bytes(unsigned char *out, int len) {
    uint64_t kept = sim.random;
    sim.random = random_state;
    for (int i = 0; i < len; i++)
        out[i] = (unsigned char)sim_random();
    random_state = sim.random;
    sim.random = kept;
    return 1;
}

static int has_random(void) {
    return 1;
}

void sim_tls_begin(void) {
    static const RAND_METHOD method = {.bytes = random_bytes, .pseudorand = random_bytes, .status = has_random};
    if (!sim_is_secure())
        return;
    RAND_set_rand_method(&method);
    sim_tls_file(); /* what is made once does not take from the seed's */
    if (!context && !(context = SSL_CTX_new(TLS_client_method())))
        broken("there is no TLS");
    random_state = ~sim.seed;
}

static bool tls_open(sim_pipe *p) {
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (!ssl || !in || !out)
        broken("there is no memory for TLS");
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    if (sim_is_h2() && SSL_set_alpn_protos(ssl, (const uint8_t *)"\2h2", 3) != 0)
        broken("there is no ALPN");
    if (sim.seed % 3 == 0)
        SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    p->stream = sim_connect(p->who);
    p->ssl = ssl;
    if (!p->stream)
        SSL_free(ssl);
    return p->stream != NULL;
}

/* What OpenSSL has sealed goes to the kernel. True: all of it has. */
static bool flush(sim_pipe *p) {
    BIO *out = SSL_get_wbio(p->ssl);
    for (;;) {
        size_t put = sim_stream_write(p->stream, p->out + p->out_at, p->out_len - p->out_at);
        sim.deeds += put > 0;
        p->out_at += put;
        if (p->out_at < p->out_len)
            return false;
        int got = BIO_read(out, p->out, sizeof p->out);
        p->out_at = p->out_len = 0;
        if (got <= 0)
            return true;
        p->out_len = (size_t)got;
    }
}

/* More of what the kernel has, for OpenSSL. */
static bool fill(sim_pipe *p, size_t cap) {
    uint8_t bytes[4096];
    size_t len = sim_stream_read(p->stream, bytes, cap < sizeof bytes ? cap : sizeof bytes);
    sim.deeds += len > 0;
    if (len > 0 && BIO_write(SSL_get_rbio(p->ssl), bytes, (int)len) != (int)len)
        broken("there is no memory for TLS");
    return len > 0;
}

/* Only what was done to the connection may break it. */
static void judge(sim_pipe *p, int result) {
    int error = SSL_get_error(p->ssl, result);
    bool goes_on = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_ZERO_RETURN;
    if (goes_on || p->ended != SIM_END_NONE)
        return;
    p->ended = SIM_END_RESET;
    if (!sim_stream_hurt(p->stream) && !sim_client_excused(sim_client_of(p->who)))
        sim_fail("tls", "client %d: %s", p->who, ERR_error_string(ERR_peek_error(), NULL));
    ERR_clear_error();
}

static void tls_pump(sim_pipe *p) {
    ERR_clear_error();
    while (!SSL_is_init_finished(p->ssl)) {
        int got = SSL_do_handshake(p->ssl);
        flush(p);
        if (got == 1 || p->ended != SIM_END_NONE)
            break;
        judge(p, got);
        if (!fill(p, 4096))
            break;
    }
    if (flush(p) && p->wants_fin)
        sim_stream_fin(p->stream);
}

static size_t tls_write(sim_pipe *p, const uint8_t *data, size_t len) {
    tls_pump(p);
    if (!SSL_is_init_finished(p->ssl) || p->wants_fin || p->out_len > 0 || p->ended != SIM_END_NONE ||
        sim_stream_given_up(p->stream))
        return 0;
    int got = SSL_write(p->ssl, data, (int)(len < 16384 ? len : 16384));
    if (got <= 0)
        judge(p, got);
    flush(p);
    return got > 0 ? (size_t)got : 0;
}

static size_t tls_read(sim_pipe *p, uint8_t *out, size_t cap) {
    size_t len = 0;
    tls_pump(p);
    while (len < cap && SSL_is_init_finished(p->ssl) && p->ended == SIM_END_NONE) {
        int got = SSL_read(p->ssl, out + len, (int)(cap - len));
        if (got > 0)
            len += (size_t)got;
        else
            judge(p, got);
        if (got <= 0 && !fill(p, cap))
            break;
    }
    flush(p);
    p->may_hold = len == cap;
    return len;
}

static size_t tls_readable(const sim_pipe *p) {
    size_t held = p->may_hold ? (size_t)SSL_pending(p->ssl) + BIO_pending(SSL_get_rbio(p->ssl)) : 0;
    return held + (p->ended == SIM_END_NONE ? sim_stream_readable(p->stream) : 0);
}

/* Who is well is told that nothing was cut off (RFC 8446 6.1). */
static void judge_end(const sim_pipe *p) {
    if (p->ended == SIM_END_NONE && sim_stream_end(p->stream) == SIM_END_FIN && SSL_is_init_finished(p->ssl) &&
        !(SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN) && !sim_client_excused(sim_client_of(p->who)))
        sim_fail("tls", "client %d saw FIN without close_notify", p->who);
}

static sim_end tls_end(const sim_pipe *p) {
    judge_end(p);
    return p->ended != SIM_END_NONE ? p->ended : sim_stream_end(p->stream);
}

static void tls_fin(sim_pipe *p) {
    if (p->wants_fin)
        return;
    p->wants_fin = true;
    if (SSL_is_init_finished(p->ssl))
        SSL_shutdown(p->ssl);
    tls_pump(p);
}

static void tls_reset(sim_pipe *p) {
    sim_stream_reset(p->stream);
}

static void tls_let_go(sim_pipe *p) {
    SSL_free(p->ssl);
    ERR_clear_error();
    sim_stream_let_go(p->stream);
    p->ssl = NULL;
}

const sim_pipe_kind sim_pipe_tls = {tls_open, tls_pump, tls_write, tls_read,  tls_readable,
                                    tls_end,  tls_fin,  tls_reset, tls_let_go};
