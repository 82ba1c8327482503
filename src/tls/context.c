/*
 * A server's context is a lock around the set that was loaded last. A reload makes a whole new set first, and only then
 * puts it in the old one's place: a broken file changes nothing, and a connection never sees half of two.
 */
#include "tls/context_impl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tls/sessions.h"
#include "tls/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct wf_tls_context {
    pthread_mutex_t lock;
    wf_tls_set *set;
    wf_tls_server_options server;
    wf_tls_client_options client;
    bool is_client;
    wf_tls_tickets *tickets;
    EVP_PKEY *own_key; /* self-signed: made once, so that a reload keeps the fingerprint */
    X509 *own_certificate;
};

/* ---- saying why ---- */

typedef struct why {
    char *text;
    size_t cap;
} why;

static int fail(const why *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(const why *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(w->text, w->cap, format, args);
    va_end(args);
    ERR_clear_error();
    return WF_ERROR;
}

static const char *reason(void) {
    unsigned long error = ERR_peek_last_error();
    const char *text = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
    return text ? text : "unknown error";
}

/* OpenSSL would name the function that failed to open it. */
static int readable(const char *file, const char *what, const why *w) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(w, "cannot read the %s %s: %s", what, file, strerror(errno));
    close(fd);
    return WF_OK;
}

/* ---- callbacks of OpenSSL ---- */

static wf_tls_set *set_of(SSL *ssl) {
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* The one name in a hello (RFC 6066 3): length of the list, type 0, length, name. False: there is none. */
static bool hello_name(SSL *ssl, const char **out_name, size_t *out_len) {
    const unsigned char *ext;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) != 1 || len < 6 || ext[2] != 0)
        return false;
    *out_name = (const char *)ext + 5;
    *out_len = (size_t)ext[3] << 8 | ext[4];
    return *out_len > 0 && *out_len <= len - 5; /* OpenSSL would take 0 for "up to the NUL" */
}

/* An exact or wildcard name of a certificate; else it stays the first, and its name tells the client. Chosen from the
 * raw hello: later a session may have been resumed already, under another host's context. */
static int on_client_hello(SSL *ssl, int *alert, void *unused) {
    (void)alert, (void)unused;
    const char *name;
    size_t len;
    wf_tls_set *set = set_of(ssl);
    for (size_t i = 0; hello_name(ssl, &name, &len) && i < set->count; i++) {
        X509 *certificate = SSL_CTX_get0_certificate(set->hosts[i].ctx);
        if (X509_check_host(certificate, name, len, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1) {
            SSL_set_SSL_CTX(ssl, set->hosts[i].ctx);
            break;
        }
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned int in_len, void *unused) {
    (void)unused;
    static const unsigned char both[] = "\x02h2\x08http/1.1", *http1 = both + 3;
    const unsigned char *ours = set_of(ssl)->http2 ? both : http1;
    unsigned ours_len = (unsigned)(both + sizeof both - 1 - ours);
    if (SSL_select_next_proto((unsigned char **)out, out_len, ours, ours_len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    return SSL_TLSEXT_ERR_OK;
}

/* A client of TLS 1.3 uses a ticket once, so it gets another each time (2); but one that showed a certificate must show
 * it again some day. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int seals) {
    wf_tls_tickets *tickets = set_of(ssl)->tickets;
    if (seals)
        return wf_tls_tickets_seal(tickets, wf_clock_ms(), name, iv, cipher, mac);
    int got = wf_tls_tickets_open(tickets, wf_clock_ms(), name, iv, cipher, mac);
    bool once = SSL_version(ssl) >= TLS1_3_VERSION && SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE;
    return got == 1 && once ? 2 : got;
}

/* Opened for each line: where somebody looks at secrets, sessions are few. */
static void on_secret(const SSL *ssl, const char *line) {
    const wf_tls_set *set = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int fd = open(set->keylog_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        dprintf(fd, "%s\n", line);
    if (fd >= 0)
        close(fd);
}

/* ---- sets ---- */

static wf_tls_set *new_set(wf_tls_context *context, size_t count) {
    wf_tls_set *set = wf_mem_zalloc(sizeof *set + count * sizeof set->hosts[0]);
    if (!set)
        return NULL;
    atomic_init(&set->refs, 1);
    set->count = count;
    set->keylog_file = context->is_client ? context->client.keylog_file : context->server.keylog_file;
    set->http2 = !context->is_client && context->server.http2;
    if (context->is_client) {
        size_t max = context->client.sessions_max;
        if (max > 0 && !(set->sessions = wf_tls_sessions_new(max))) {
            wf_mem_free(set);
            return NULL;
        }
        return set;
    }
    /* Sessions outlive a reload, but not the authorities that let their clients in. */
    set->tickets = context->server.client_ca_file ? wf_tls_tickets_new() : wf_tls_tickets_ref(context->tickets);
    if (!set->tickets) {
        wf_mem_free(set);
        return NULL;
    }
    return set;
}

void wf_tls_set_unref(wf_tls_set *set) {
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < set->count; i++) {
        SSL_CTX_free(set->hosts[i].ctx);
        wf_mem_free(set->hosts[i].ocsp);
    }
    wf_tls_tickets_unref(set->tickets);
    wf_tls_sessions_free(set->sessions);
    wf_mem_free(set);
}

wf_tls_set *wf_tls_set_take(wf_tls_context *context) {
    pthread_mutex_lock(&context->lock);
    wf_tls_set *set = context->set;
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&context->lock);
    return set;
}

/* What both roles want. */
static SSL_CTX *new_ctx(wf_tls_set *set, const SSL_METHOD *method) {
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    SSL_CTX_set_app_data(ctx, set);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (set->keylog_file)
        SSL_CTX_set_keylog_callback(ctx, on_secret);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) { /* of 1.2: forward secret, authenticated */
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* ---- a server's ---- */

static int load_ocsp(wf_tls_host *host, const char *file, const why *w) {
    if (readable(file, "OCSP response", w) < 0)
        return WF_ERROR;
    const char *problem = wf_tls_load_ocsp(host, file);
    return problem ? fail(w, "the OCSP response %s %s", file, problem) : WF_OK;
}

static int load_pair(SSL_CTX *ctx, const char *chain, const char *key, const why *w) {
    if (readable(chain, "certificate", w) < 0 || readable(key, "key", w) < 0)
        return WF_ERROR;
    if (SSL_CTX_use_certificate_chain_file(ctx, chain) != 1)
        return fail(w, "the certificate %s is no good: %s", chain, reason());
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return fail(w, "the key %s is no good, or not the certificate's: %s", key, reason());
    return WF_OK;
}

static int use_own(wf_tls_context *context, SSL_CTX *ctx, const why *w) {
    if (!context->own_key && wf_tls_self_sign(&context->own_key, &context->own_certificate) < 0)
        return fail(w, "cannot make a certificate: %s", reason());
    if (SSL_CTX_use_certificate(ctx, context->own_certificate) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, context->own_key) != 1)
        return fail(w, "cannot use the certificate made: %s", reason());
    return WF_OK;
}

/* Required means required (RFC 8446 4.4.2.4). */
static int demand_certificates(SSL_CTX *ctx, const char *ca_file, const why *w) {
    if (readable(ca_file, "client CA", w) < 0)
        return WF_ERROR;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);
    if (!names || SSL_CTX_load_verify_file(ctx, ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail(w, "the client CA %s is no good: %s", ca_file, reason());
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return WF_OK;
}

static int fill_host(wf_tls_context *context, wf_tls_set *set, size_t index, const why *w) {
    const wf_tls_server_options *o = &context->server;
    wf_tls_host *host = &set->hosts[index];
    SSL_CTX *ctx = host->ctx = new_ctx(set, TLS_server_method());
    if (!ctx)
        return fail(w, "cannot set up TLS: %s", reason());
    if (o->tls13_only)
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_num_tickets(ctx, 1);
    /* A session of one host is none of another's. */
    if (SSL_CTX_set_session_id_context(ctx, (const unsigned char *)&index, sizeof index) != 1)
        return fail(w, "cannot set up TLS: %s", reason());
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_tlsext_status_cb(ctx, wf_tls_staple);
    SSL_CTX_set_tlsext_status_arg(ctx, host);
    if (o->client_ca_file && demand_certificates(ctx, o->client_ca_file, w) < 0)
        return WF_ERROR;
    if (o->self_signed)
        return use_own(context, ctx, w);
    const wf_tls_certificate *c = &o->certificates[index];
    if (load_pair(ctx, c->chain_file, c->key_file, w) < 0)
        return WF_ERROR;
    return c->ocsp_file ? load_ocsp(host, c->ocsp_file, w) : WF_OK;
}

/* ---- a client's ---- */

static int fill_client(wf_tls_context *context, wf_tls_set *set, const why *w) {
    const wf_tls_client_options *o = &context->client;
    SSL_CTX *ctx = set->hosts[0].ctx = new_ctx(set, TLS_client_method());
    if (!ctx)
        return fail(w, "cannot set up TLS: %s", reason());
    if (o->ca_file && (readable(o->ca_file, "CA", w) < 0 || SSL_CTX_load_verify_file(ctx, o->ca_file) != 1))
        return w->text[0] ? WF_ERROR : fail(w, "the CA %s is no good: %s", o->ca_file, reason());
    if (!o->ca_file && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return fail(w, "cannot find the system's certificates: %s", reason());
    SSL_CTX_set_verify(ctx, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (set->sessions) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, wf_tls_note_session);
    }
    return o->cert_file ? load_pair(ctx, o->cert_file, o->key_file ? o->key_file : o->cert_file, w) : WF_OK;
}

/* ---- contexts ---- */

int wf_tls_reload(wf_tls_context *context, char *text, size_t cap) {
    why w = {text, cap};
    text[0] = '\0';
    size_t count = context->is_client || context->server.self_signed ? 1 : context->server.count;
    wf_tls_set *set = new_set(context, count);
    if (!set)
        return fail(&w, "out of memory");
    int got = context->is_client ? fill_client(context, set, &w) : WF_OK;
    for (size_t i = 0; i < count && got == WF_OK && !context->is_client; i++)
        got = fill_host(context, set, i, &w);
    if (got < 0) {
        wf_tls_set_unref(set);
        return got;
    }
    pthread_mutex_lock(&context->lock);
    wf_tls_set *before = context->set;
    context->set = set;
    pthread_mutex_unlock(&context->lock);
    wf_tls_set_unref(before);
    return WF_OK;
}

static wf_tls_context *new_context(const wf_tls_server_options *server, const wf_tls_client_options *client, char *text,
                                   size_t cap) {
    wf_tls_context *context = wf_mem_zalloc(sizeof *context);
    if (!context) {
        fail(&(why) {text, cap}, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&context->lock, NULL);
    context->is_client = client != NULL;
    if (client)
        context->client = *client;
    else
        context->server = *server;
    if (server && !(context->tickets = wf_tls_tickets_new()))
        fail(&(why) {text, cap}, "out of memory");
    else if (wf_tls_reload(context, text, cap) == WF_OK)
        return context;
    wf_tls_context_free(context);
    return NULL;
}

wf_tls_context *wf_tls_server_context(const wf_tls_server_options *options, char *text, size_t cap) {
    return new_context(options, NULL, text, cap);
}

wf_tls_context *wf_tls_client_context(const wf_tls_client_options *options, char *text, size_t cap) {
    return new_context(NULL, options, text, cap);
}

void wf_tls_context_free(wf_tls_context *context) {
    if (!context)
        return;
    wf_tls_set_unref(context->set);
    wf_tls_tickets_unref(context->tickets);
    EVP_PKEY_free(context->own_key);
    X509_free(context->own_certificate);
    pthread_mutex_destroy(&context->lock);
    wf_mem_free(context);
}

void wf_tls_fingerprint(wf_tls_context *context, char out[WF_TLS_FINGERPRINT_BYTES]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    wf_tls_set *set = wf_tls_set_take(context);
    if (X509_digest(SSL_CTX_get0_certificate(set->hosts[0].ctx), EVP_sha256(), digest, &len) != 1)
        len = 0;
    wf_tls_set_unref(set);
    out[0] = '\0';
    for (unsigned i = 0; i < len && i * 3 + 3 < WF_TLS_FINGERPRINT_BYTES + 1; i++)
        snprintf(out + (size_t)i * 3, 4, i + 1 < len ? "%02X:" : "%02X", digest[i]);
}
