/*
 * weft/conn.h - one open WebSocket, of a server or of a client; or a stream, the body of a server's answer that goes on
 * (weft_request_stream), for which all is the same but what is said of it there.
 *
 * A weft_conn belongs to one loop: a server's worker, where it may be touched only from callbacks, or a client,
 * whose thread may also touch it between two turns. Every call here is legal inside every callback, closing this
 * connection included; none invokes a callback. The pointer is valid from `open` until `closed` returns (a client's
 * from the dial on). From any other thread, and to keep beyond a callback, use a server connection's weft_handle.
 *
 * Topics and handles are a server's: on a client's connection subscribe, unsubscribe and publish answer WEFT_EINVAL,
 * weft_conn_server NULL and weft_conn_handle 0.
 */
#ifndef WEFT_CONN_H
#define WEFT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_conn weft_conn;

/* The opcodes of RFC 6455 5.2. PLAIN, for sending only: the same, never compressed. PING and PONG are for
 * weft_conn_send and the `control` callbacks alone. */
typedef enum weft_kind {
    WEFT_TEXT = 1,
    WEFT_BINARY = 2,
    WEFT_PING = 9,
    WEFT_PONG = 10,
    WEFT_TEXT_PLAIN = 0x11,
    WEFT_BINARY_PLAIN = 0x12
} weft_kind;

/* A whole message. `data` is borrowed: it dies when the callback returns. It is often a pointer straight into
 * the receive buffer, and is never NUL-terminated. Text is valid UTF-8. */
typedef struct weft_message {
    weft_kind kind;
    const uint8_t *data;
    size_t len;
} weft_message;

/* True when the bytes are valid UTF-8 (RFC 3629), as text must be. Runs at memory speed. */
WEFT_API bool weft_utf8_valid(const void *data, size_t len);

/* Why a connection ended. Strings live until the callback returns. */
typedef struct weft_close_info {
    int code;           /* the peer's; ours when we failed the connection; 1005 none given, 1006 no close frame came */
    const char *reason; /* NUL-terminated UTF-8, "" when none; at most 123 bytes */
    bool clean;         /* both close frames went through */
    bool by_peer;       /* the peer began it */
    const char *rule;   /* the rule that was broken: "RFC6455/5.1: client frame is not masked"; NULL: none was */
    int sys_errno;      /* the socket error that ended it; ETIMEDOUT when the peer was silent for too long; or 0 */
    int64_t retry_ms;   /* of a client's: when it is dialled again by itself (weft_dial.retry); -1: it is not */
} weft_close_info;

/* Queues one message; `data` is copied. Text must be valid UTF-8: that is not checked again. With permessage-deflate
 * it is compressed where that makes it shorter. WEFT_OK, WEFT_FULL, WEFT_ECLOSED, WEFT_ENOMEM; WEFT_EINVAL while a
 * fragmented message is open; WEFT_ESYS in a client that finds no randomness to mask with (RFC 6455 5.3). Cost: one
 * copy, which masks, or the compressor's.
 *
 * A ping or pong with a payload of yours may be sent too, of at most 125 bytes (else WEFT_EINVAL) and of any bytes,
 * also within a fragmented message. It waits its turn in the queue and is not timed: the pong comes by `control`. */
WEFT_API int weft_conn_send(weft_conn *conn, weft_kind kind, const void *data, size_t len);

/* Sends a message in fragments (RFC 6455 5.4), never compressed: the first call gives the kind, the last has `fin`
 * set, `len` may be 0. What is published to this connection meanwhile waits until the message is finished. Answers as
 * weft_conn_send; after WEFT_FULL the same fragment may be tried again. */
WEFT_API int weft_conn_send_fragment(weft_conn *conn, weft_kind kind, const void *data, size_t len, bool fin);

/* Bytes queued and not yet taken by the kernel, frame headers included. */
WEFT_API size_t weft_conn_buffered(const weft_conn *conn);

/* Starts the closing handshake: what is queued is sent, then the close frame; `closed` follows once, last.
 * code: 1000-1003, 1007-1014, 3000-4999, or 0 for a close frame without a code. reason: NULL or at most 123
 * bytes of UTF-8. WEFT_EINVAL on others, WEFT_ECLOSED when already closing. */
WEFT_API int weft_conn_close(weft_conn *conn, int code, const char *reason);

/* Ends it now, with no close frame (TCP reset). `closed` follows with 1006. */
WEFT_API void weft_conn_abort(weft_conn *conn);

/* True: a stream, no WebSocket. */
WEFT_API bool weft_conn_is_stream(const weft_conn *conn);

/* Sends a ping, ahead of the queue, whose pong will call `pong` with the round-trip time. One at a time: WEFT_FULL
 * while one is out. A stream has none: WEFT_EINVAL. */
WEFT_API int weft_conn_ping(weft_conn *conn);

/* True when permessage-deflate was agreed on. */
WEFT_API bool weft_conn_deflates(const weft_conn *conn);

/* The last measured round trip (heartbeats measure too), nanoseconds; 0 before the first. */
WEFT_API uint64_t weft_conn_rtt_ns(const weft_conn *conn);

/* Joins a topic, at this place in its order: what is published from now on, by whatever thread, is queued here, and
 * nothing that was published before. So what is sent now (weft_conn_send) of a state that changes by publishing, both
 * under a lock of yours, has neither gap nor repeat. The last `replay` messages of its history (see
 * weft_server_history) come first, as many as half the queue budget holds. Topic names: 1 to 255 bytes of anything but
 * NUL. WEFT_OK (also when already subscribed: nothing is replayed then), WEFT_ELIMIT over topics_max, WEFT_EINVAL,
 * WEFT_ECLOSED, WEFT_ENOMEM. Cost: with several workers, mail to another and back. */
WEFT_API int weft_conn_subscribe(weft_conn *conn, const char *topic, size_t replay);
WEFT_API int weft_conn_unsubscribe(weft_conn *conn, const char *topic); /* not subscribed: WEFT_OK */

/* Publishes to everyone in the topic but this connection. Answers as weft_publish. */
WEFT_API int weft_conn_publish(weft_conn *conn, const char *topic, weft_kind kind, const void *data, size_t len);

/* A pointer of yours, kept as it is. */
WEFT_API void *weft_conn_user(const weft_conn *conn);
WEFT_API void weft_conn_set_user(weft_conn *conn, void *user);

WEFT_API weft_server *weft_conn_server(const weft_conn *conn);

/* "127.0.0.1:51234"; "unix" for a unix socket; "gone" in `closed`, when the socket is no more. */
WEFT_API const char *weft_conn_peer(const weft_conn *conn, char *out, size_t cap);

/* A connection seen from anywhere: never dangles, and fits no later connection (short of 2^31 of them in the
 * same slot). 0 is never a handle. */
typedef uint64_t weft_handle;

WEFT_API weft_handle weft_conn_handle(const weft_conn *conn);

/* From any thread. WEFT_OK: handed to the connection's loop, which drops it if the connection is closing by
 * then, and treats it like a published message if the queue is full (weft_slow_policy); WEFT_ESTALE: already
 * gone; WEFT_EINVAL for what weft_conn_send and weft_conn_close refuse; WEFT_ENOMEM. One allocation and at
 * most one wake-up. */
WEFT_API int weft_handle_send(weft_server *server, weft_handle handle, weft_kind kind, const void *data, size_t len);
WEFT_API int weft_handle_close(weft_server *server, weft_handle handle, int code, const char *reason);

#ifdef __cplusplus
}
#endif

#endif
