/*
 * tls.h - TLS on one connection, without a socket: sealed bytes in, plain bytes out, and the other way round.
 *
 *      received ---feed---> [ wf_tls ] ---open---> plain
 *        to send <--sealed--[        ] <--seal---- plain
 *
 * Opening puts all that was fed into one buffer of the loop's (wf_tls_shared), so that what stands above sees one run
 * of bytes a read, as it does without TLS. Sealing joins small ranges into records of up to 16 KiB. What is sealed
 * and not yet sent is the connection's, in a block that goes from one connection to the next: an idle connection
 * holds no buffer, ours or OpenSSL's (SSL_MODE_RELEASE_BUFFERS).
 *
 * TLS 1.2 and 1.3, never renegotiated, no early data (RFC 8446 2.3: it can be replayed, and a handshake is no GET).
 */
#ifndef WF_TLS_TLS_H
#define WF_TLS_TLS_H

#include "base/buf.h"
#include "base/status.h"
#include "tls/context.h"

#include <stdbool.h>
#include <sys/uio.h>

typedef struct wf_tls wf_tls;

/* What the connections of one loop share. Zero is ready. */
typedef struct wf_tls_shared {
    uint8_t *plain; /* what was opened last; owned */
    size_t plain_cap;
    uint8_t *joined; /* small ranges on their way into one record; owned */
    wf_buf spare;    /* an empty block for what is sealed */
    size_t bytes;    /* sealed and not sent, of all connections */
} wf_tls_shared;

void wf_tls_shared_deinit(wf_tls_shared *shared);

/* A server's connection, or a client's to `host`, which is offered HTTP/2 before HTTP/1.1 or that alone: its hello is
 * there to be sent. The port is part of what sessions are known by. The context is needed no longer than this call.
 * NULL: no memory. `shared` must outlive it. */
wf_tls *wf_tls_accept(wf_tls_context *context, wf_tls_shared *shared);
wf_tls *wf_tls_connect(wf_tls_context *context, wf_tls_shared *shared, const char *host, unsigned port, bool http2);
void wf_tls_free(wf_tls *tls); /* NULL is accepted */

/* Takes what the socket gave and opens it. What comes of it is at *out_data until the next wf_tls_open on the same
 * shared, with WF_TLS_SLACK readable bytes behind. WF_OK: *out_len bytes, which may be none. WF_ECLOSED: these bytes,
 * and the peer's close_notify behind them. WF_ERROR: over (wf_tls_rule), an alert may be there to be sent. WF_ENOMEM:
 * over. */
enum { WF_TLS_SLACK = 64 };
int wf_tls_open(wf_tls *tls, const uint8_t *data, size_t len, uint8_t **out_data, size_t *out_len);

bool wf_tls_ready(const wf_tls *tls);     /* the handshake is done: plain bytes may be sealed */
bool wf_tls_was_ready(const wf_tls *tls); /* also when it is over since */

bool wf_tls_http2(const wf_tls *tls); /* that is what both want to speak */

/* Seals from the front of the ranges, at most so much that a send is worth its call. > 0: plain bytes taken. WF_ERROR
 * (not ready, or over), WF_ENOMEM. */
enum { WF_TLS_SEAL_BYTES = 128 * 1024 };
int64_t wf_tls_seal(wf_tls *tls, const struct iovec *ranges, int count);
bool wf_tls_seal_end(
    wf_tls *tls); /* close_notify (RFC 8446 6.1), once: true the first time, if there was a handshake */

/* What is to be sent: false when there is nothing. It stands until the next call on this connection. */
bool wf_tls_sealed(const wf_tls *tls, struct iovec *out_range);
void wf_tls_sent(wf_tls *tls, size_t len); /* the first so many bytes of it were */
size_t wf_tls_waiting(const wf_tls *tls);  /* bytes of it */

/* Why it is over: a static string. */
const char *wf_tls_rule(const wf_tls *tls);

/* Of a client: why the certificate was refused, X509_V_ERR_...; 0: it was not. */
long wf_tls_verify_error(const wf_tls *tls);

/* It went on with a session of an earlier connection. */
bool wf_tls_resumed(const wf_tls *tls);

/* What was agreed on: "TLSv1.3". */
const char *wf_tls_version(const wf_tls *tls);

#endif
