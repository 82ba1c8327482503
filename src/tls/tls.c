/*
 * OpenSSL reads from what was fed and writes into a growing block, by a BIO of our own: it never sees a socket.
 *
 * Between the calls nothing is left in `in`: OpenSSL keeps the beginning of a record itself, and gives that buffer back
 * with the record's end.
 */
#include "tls/tls.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tls/context_impl.h"
#include "tls/sessions.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What is sealed at a time, and again so much for what TLS itself has to say: each KeyUpdate may ask for another (RFC
 * 8446 4.6.3). */
enum { RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH, UNTAKEN_BYTES_MAX = 2 * WF_TLS_SEAL_BYTES };

/* Whom a client has connected to: what its sessions are known by. */
typedef struct origin {
    uint64_t verified_ms; /* when the certificate was looked at that this connection trusts in */
    char name[];          /* "host:port" */
} origin;

struct wf_tls {
    SSL *ssl;
    wf_tls_shared *shared;
    wf_tls_set *set;
    const uint8_t *in; /* borrowed, during a call */
    size_t in_len;
    wf_buf out;      /* sealed, to be sent */
    size_t out_sent; /* of it */
    origin *origin;  /* owned; NULL: no sessions are kept of it */
    const char *rule;
    bool done;  /* the handshake */
    bool ended; /* our close_notify is in `out`, or went */
};

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *out, int cap) {
    wf_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t len = tls->in_len < (size_t)cap ? tls->in_len : (size_t)cap;
    memcpy(out, tls->in, len);
    tls->in += len;
    tls->in_len -= len;
    return (int)len;
}

static int bio_write(BIO *bio, const char *data, int len) {
    wf_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!tls->out.data) {
        tls->out = tls->shared->spare;
        tls->shared->spare = (wf_buf)WF_BUF_INIT;
    }
    if (wf_buf_append(&tls->out, data, (size_t)len) < 0)
        return -1;
    tls->shared->bytes += (size_t)len;
    return len;
}

static long bio_ctrl(BIO *bio, int what, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft");
    if (!method)
        return;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
}

static BIO *new_bio(wf_tls *tls) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- life ---- */

static wf_tls *new_tls(wf_tls_context *context, wf_tls_shared *shared) {
    wf_tls *tls = wf_mem_zalloc(sizeof *tls);
    if (!tls)
        return NULL;
    tls->shared = shared;
    tls->set = wf_tls_set_take(context);
    tls->ssl = SSL_new(tls->set->hosts[0].ctx);
    BIO *bio = tls->ssl ? new_bio(tls) : NULL;
    if (!bio) {
        wf_tls_free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, bio, bio); /* owned by it now, once */
    return tls;
}

wf_tls *wf_tls_accept(wf_tls_context *context, wf_tls_shared *shared) {
    wf_tls *tls = new_tls(context, shared);
    if (tls)
        SSL_set_accept_state(tls->ssl);
    return tls;
}

/* An address is compared with the certificate's addresses, and not sent as a name (RFC 6066 3). A common name says
 * nothing (RFC 9110 4.3.4). */
static bool name_host(SSL *ssl, const char *host) {
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int wf_tls_note_session(SSL *ssl, SSL_SESSION *session) {
    wf_tls *tls = SSL_get_app_data(ssl);
    wf_tls_sessions_put(tls->set->sessions, tls->origin->name, tls->origin->verified_ms, session);
    return 1; /* it is ours */
}

/* Goes on with a session of the same origin, if there is one. */
static bool resume(wf_tls *tls, const char *host, unsigned port) {
    size_t cap = strlen(host) + sizeof ":65535";
    if (!tls->set->sessions)
        return true;
    tls->origin = wf_mem_alloc(sizeof *tls->origin + cap);
    if (!tls->origin)
        return false;
    snprintf(tls->origin->name, cap, "%s:%u", host, port);
    uint64_t now_ms = tls->origin->verified_ms = wf_clock_ms();
    SSL_set_app_data(tls->ssl, tls);
    SSL_SESSION *session =
        wf_tls_sessions_take(tls->set->sessions, tls->origin->name, now_ms, &tls->origin->verified_ms);
    if (session)
        SSL_set_session(tls->ssl, session);
    SSL_SESSION_free(session);
    return true;
}

/* RFC 7301 3.1: most wanted first. */
static bool offer(SSL *ssl, bool http2) {
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    const unsigned char *protocols = http2 ? both : both + 3;
    return SSL_set_alpn_protos(ssl, protocols, (unsigned)(both + sizeof both - 1 - protocols)) == 0;
}

wf_tls *wf_tls_connect(wf_tls_context *context, wf_tls_shared *shared, const char *host, unsigned port, bool http2) {
    wf_tls *tls = new_tls(context, shared);
    if (!tls)
        return NULL;
    SSL_set_connect_state(tls->ssl);
    if (!name_host(tls->ssl, host) || !offer(tls->ssl, http2) || !resume(tls, host, port) ||
        (SSL_do_handshake(tls->ssl), wf_tls_waiting(tls) == 0)) {
        wf_tls_free(tls);
        return NULL;
    }
    return tls;
}

/* All that was sealed has gone: the block is for the next one who needs it. */
static void let_go_out(wf_tls *tls) {
    tls->shared->bytes -= tls->out.len - tls->out_sent;
    tls->out.len = tls->out_sent = 0;
    if (tls->shared->spare.data || tls->out.cap > 2 * (size_t)WF_TLS_SEAL_BYTES)
        wf_buf_deinit(&tls->out);
    else if (tls->out.data)
        tls->shared->spare = tls->out;
    tls->out = (wf_buf)WF_BUF_INIT;
}

void wf_tls_free(wf_tls *tls) {
    if (!tls)
        return;
    if (tls->origin && tls->done && !tls->rule) /* else OpenSSL takes a broken connection for a broken session */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN);
    SSL_free(tls->ssl);
    wf_mem_free(tls->origin);
    let_go_out(tls);
    wf_tls_set_unref(tls->set);
    wf_mem_free(tls);
}

void wf_tls_shared_deinit(wf_tls_shared *shared) {
    wf_assert(shared->bytes == 0);
    wf_mem_free(shared->plain);
    wf_mem_free(shared->joined);
    wf_buf_deinit(&shared->spare);
    *shared = (wf_tls_shared) {0};
}

/* ---- over ---- */

static int over(wf_tls *tls, const char *rule) {
    if (!tls->rule)
        tls->rule = rule;
    ERR_clear_error();
    tls->ended = true;
    return WF_ERROR;
}

static int broken(wf_tls *tls) {
    long verify = wf_tls_verify_error(tls);
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return over(tls, verify ? X509_verify_cert_error_string(verify) : reason ? reason : "TLS failed");
}

const char *wf_tls_rule(const wf_tls *tls) {
    return tls->rule;
}

long wf_tls_verify_error(const wf_tls *tls) {
    bool verifies = !SSL_is_server(tls->ssl) && SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE;
    return verifies ? SSL_get_verify_result(tls->ssl) : X509_V_OK;
}

/* ---- in ---- */

/* Room for all that can come of `len` sealed bytes and what OpenSSL has kept of a record. */
static int reserve_plain(wf_tls_shared *shared, size_t len) {
    size_t cap = len + RECORD_BYTES + WF_TLS_SLACK;
    if (cap <= shared->plain_cap)
        return WF_OK;
    wf_mem_free(shared->plain);
    shared->plain = wf_mem_alloc(cap);
    shared->plain_cap = shared->plain ? cap : 0;
    return shared->plain ? WF_OK : WF_ENOMEM;
}

int wf_tls_open(wf_tls *tls, const uint8_t *data, size_t len, uint8_t **out_data, size_t *out_len) {
    *out_len = 0;
    if (tls->rule)
        return WF_ERROR;
    if (reserve_plain(tls->shared, len) < 0)
        return WF_ENOMEM;
    uint8_t *plain = *out_data = tls->shared->plain;
    size_t plain_len = 0;
    int got = WF_OK;
    ERR_clear_error();
    tls->in = data;
    tls->in_len = len;
    for (;;) {
        size_t read = 0;
        if (SSL_read_ex(tls->ssl, plain + plain_len, tls->shared->plain_cap - WF_TLS_SLACK - plain_len, &read) == 1) {
            plain_len += read;
            continue;
        }
        int error = SSL_get_error(tls->ssl, 0);
        if (error == SSL_ERROR_ZERO_RETURN)
            got = WF_ECLOSED;
        else if (error != SSL_ERROR_WANT_READ)
            got = broken(tls);
        break;
    }
    tls->done = tls->done || SSL_is_init_finished(tls->ssl);
    tls->in_len = 0;
    *out_len = plain_len;
    if (got == WF_OK && wf_tls_waiting(tls) > UNTAKEN_BYTES_MAX)
        got = over(tls, "the peer makes TLS answer and takes no answers");
    return got;
}

bool wf_tls_ready(const wf_tls *tls) {
    return tls->done && !tls->ended;
}

bool wf_tls_was_ready(const wf_tls *tls) {
    return tls->done;
}

bool wf_tls_http2(const wf_tls *tls) {
    const unsigned char *protocol;
    unsigned len;
    SSL_get0_alpn_selected(tls->ssl, &protocol, &len);
    return len == 2 && memcmp(protocol, "h2", 2) == 0;
}

/* ---- out ---- */

/* A place among the ranges. */
typedef struct cursor {
    const struct iovec *range, *end;
    size_t at;
} cursor;

/* One record's worth from the front: where it lies, or joined. */
static const uint8_t *next_record(cursor *c, uint8_t *joined, size_t *out_len) {
    size_t len = 0;
    while (c->range < c->end && len < RECORD_BYTES) {
        const uint8_t *from = (const uint8_t *)c->range->iov_base + c->at;
        size_t left = c->range->iov_len - c->at, n = left < RECORD_BYTES - len ? left : RECORD_BYTES - len;
        bool alone = len == 0 && (n == RECORD_BYTES || c->range + 1 == c->end);
        if (!alone)
            memcpy(joined + len, from, n);
        len += n;
        c->at += n;
        if (c->at == c->range->iov_len) {
            c->range++;
            c->at = 0;
        }
        if (alone) {
            *out_len = len;
            return from;
        }
    }
    *out_len = len;
    return joined;
}

int64_t wf_tls_seal(wf_tls *tls, const struct iovec *ranges, int count) {
    wf_tls_shared *shared = tls->shared;
    if (!shared->joined && !(shared->joined = wf_mem_alloc(RECORD_BYTES)))
        return WF_ENOMEM;
    if (!wf_tls_ready(tls))
        return WF_ERROR;
    cursor c = {ranges, ranges + count, 0};
    int64_t taken = 0;
    ERR_clear_error();
    while (c.range < c.end && taken < WF_TLS_SEAL_BYTES) {
        size_t len, written;
        const uint8_t *plain = next_record(&c, shared->joined, &len);
        if (len == 0)
            break;
        if (SSL_write_ex(tls->ssl, plain, len, &written) != 1) {
            broken(tls);
            return WF_ERROR;
        }
        wf_assert(written == len);
        taken += (int64_t)len;
    }
    return taken;
}

bool wf_tls_seal_end(wf_tls *tls) {
    if (!wf_tls_ready(tls))
        return false;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
    tls->ended = true;
    return true;
}

size_t wf_tls_waiting(const wf_tls *tls) {
    return tls->out.len - tls->out_sent;
}

bool wf_tls_sealed(const wf_tls *tls, struct iovec *out_range) {
    if (wf_tls_waiting(tls) == 0)
        return false;
    *out_range = (struct iovec) {tls->out.data + tls->out_sent, wf_tls_waiting(tls)};
    return true;
}

void wf_tls_sent(wf_tls *tls, size_t len) {
    wf_assert(len <= tls->out.len - tls->out_sent);
    tls->out_sent += len;
    tls->shared->bytes -= len;
    if (tls->out_sent == tls->out.len)
        let_go_out(tls);
}

/* ---- for those who ask ---- */

bool wf_tls_resumed(const wf_tls *tls) {
    return SSL_session_reused(tls->ssl);
}

const char *wf_tls_version(const wf_tls *tls) {
    return SSL_get_version(tls->ssl);
}
