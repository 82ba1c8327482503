/*
 * weft/request.h - an HTTP request: a page to answer, or an opening handshake to accept or refuse.
 *
 * A request must be answered once. Inside its callback that needs nothing more. To answer later, from any
 * thread, take a reference first (weft_request_ref) and drop it after the answer. The object stays readable
 * as long as a reference is held, also when the client has gone (weft_request_gone). A callback that returns
 * without an answer and without a reference taken is answered 500.
 */
#ifndef WEFT_REQUEST_H
#define WEFT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_request weft_request;

/* A run of bytes inside the request: borrowed, not NUL-terminated. data is NULL when the thing is absent. */
typedef struct weft_text {
    const char *data;
    size_t len;
} weft_text;

typedef struct weft_header {
    const char *name;
    const char *value;
} weft_header;

WEFT_API weft_text weft_request_method(const weft_request *request); /* "GET" */
WEFT_API weft_text weft_request_path(const weft_request *request);   /* "/rooms/a", as sent */
WEFT_API weft_text weft_request_query(const weft_request *request);  /* "last=5", as sent */
WEFT_API weft_text weft_request_body(const weft_request *request);
WEFT_API weft_text weft_request_header(const weft_request *request, const char *name); /* first of that name */
WEFT_API bool weft_request_is_upgrade(const weft_request *request);                    /* a valid WebSocket handshake */
WEFT_API const char *weft_request_peer(const weft_request *request);                   /* "127.0.0.1:51234" */
WEFT_API bool weft_request_secure(const weft_request *request);                        /* it came by TLS */
WEFT_API weft_server *weft_request_server(const weft_request *request);

/* Header `index` of the request, in order; false behind the last. */
WEFT_API bool weft_request_header_at(const weft_request *request, size_t index, weft_text *out_name,
                                     weft_text *out_value);

/* Percent-decodes the rest of the path behind a route's prefix ("/rooms/" of "/rooms/" + "*") into out.
 * WEFT_EINVAL: bad escape, NUL or encoded slash; WEFT_ELIMIT: does not fit. */
WEFT_API int weft_request_tail(const weft_request *request, char *out, size_t cap);

/* Percent-decodes a query parameter into out. WEFT_OK; WEFT_EINVAL when bad, WEFT_ELIMIT when it does not
 * fit, WEFT_ESTALE when there is no such parameter. */
WEFT_API int weft_request_param(const weft_request *request, const char *name, char *out, size_t cap);

/* True when the client offered this subprotocol. */
WEFT_API bool weft_request_offers(const weft_request *request, const char *subprotocol);

/* True when there is no Origin, it is the same host, or it is in the route's (else the server's) list.
 * Upgrades have been checked; a page that changes something should ask too. */
WEFT_API bool weft_request_origin_ok(const weft_request *request);

/* True when both strings are equal; takes the same time wherever they differ. For tokens. */
WEFT_API bool weft_text_equal_secret(weft_text given, const char *secret);

WEFT_API weft_request *weft_request_ref(weft_request *request);
WEFT_API void weft_request_unref(weft_request *request); /* NULL is accepted */

/* The client went away before it was answered; answers then do nothing and return WEFT_ECLOSED. Any thread. */
WEFT_API bool weft_request_gone(const weft_request *request);

/* The client has finished its direction (FIN) before it was answered. It may still read an answer, but who leaves
 * looks the same, and browsers do nothing else: who parks requests may take it as gone. Nothing is read while a request
 * waits, so a FIN behind other bytes is not seen; with TLS it stands behind an alert. Over HTTP/2 it is the FIN of the
 * connection; a client that resets its stream is gone. Any thread. */
WEFT_API bool weft_request_half_closed(const weft_request *request);

/* A pointer of yours; after an accept or a stream it is the connection's (weft_conn_user). */
WEFT_API void *weft_request_user(const weft_request *request);
WEFT_API void weft_request_set_user(weft_request *request, void *user);

/* Completes the handshake: 101, and `open` follows. Only after an accept outside of the callback may the client, or
 * the server, be gone before: then neither `open` nor `closed` comes, but the route's `lost`. subprotocol: NULL for
 * none, else one that the client offered. WEFT_EINVAL when it is not an upgrade, the subprotocol was not offered,
 * there are more than 32 headers or one cannot be sent (one of the handshake's own, a name that is no token, CR, LF
 * or NUL in a value; nothing is sent then). WEFT_ECLOSED: answered already, or the client has gone. */
WEFT_API int weft_request_accept(weft_request *request, const char *subprotocol, const weft_header *headers,
                                 size_t header_count);

/* Answers with a status (200-599) and a body, which is copied. content_type NULL: none. For an upgrade this
 * is the refusal. HEAD gets the same head and no body. Answers as weft_request_accept. */
WEFT_API int weft_request_reply(weft_request *request, int status, const char *content_type, const void *body,
                                size_t len);

/* The same with more headers. */
WEFT_API int weft_request_reply_with(weft_request *request, int status, const weft_header *headers, size_t header_count,
                                     weft_text body);

/* Answers with a head, and a body that goes on: the request's connection becomes a weft_conn of its route, a stream
 * (weft_conn_is_stream), as with weft_request_accept: `open` follows and at last `closed`, the user pointer is set, and
 * `lost` is called where an answer from another thread came too late. What is sent or published to it, text or
 * binary, is the next bytes of the body (server-sent events, lines of JSON); empty messages are nothing. Limits, slow
 * policy, topics, `drained` and the drain are those of a WebSocket.
 *
 * No messages come from it, and no pings go: who wants to know whether the client is still there sends something now
 * and then, and what is not acknowledged within send_timeout_ms ends it. A client that finishes its direction has
 * left: `closed` says 1006, by_peer.
 *
 * weft_conn_close ends the body, with a code that only `closed` hears (clean: all was sent). Ended in any other way
 * it is cut visibly. In HTTP/1 the connection closes behind it ("Connection: close" is added, and "Transfer-Encoding:
 * chunked" in HTTP/1.1), and what the client sends meanwhile is passed over. Of HEAD the answer is the head alone:
 * `open` and `closed` follow, and nothing can be sent.
 *
 * Status 200-599 but 204 and 304. Answers as weft_request_accept; WEFT_EINVAL for a WebSocket's handshake. */
WEFT_API int weft_request_stream(weft_request *request, int status, const weft_header *headers, size_t header_count);

#ifdef __cplusplus
}
#endif

#endif
