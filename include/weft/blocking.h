/*
 * weft/blocking.h - one connection for a program that does one thing after the other: each call waits, and nothing
 * calls back.
 *
 *     weft_message answer;
 *     weft_blocking *ws = weft_blocking_new(NULL);
 *     if (weft_blocking_connect(ws, "ws://127.0.0.1:9001/echo", 5000) == WEFT_OK &&
 *         weft_blocking_send(ws, WEFT_TEXT, "hello", 5, 5000) == WEFT_OK &&
 *         weft_blocking_receive(ws, &answer, 5000) == WEFT_OK)
 *         puts((const char *)answer.data);
 *     else
 *         fprintf(stderr, "%s\n", weft_blocking_error(ws));
 *     weft_blocking_close(ws, WEFT_CLOSE_NORMAL, NULL, 5000);
 *     weft_blocking_free(ws);
 *
 * It is a client of <weft/client.h> with one connection, and all that is said there holds. Whatever has come is dealt
 * with inside these calls, any of them, and at no other time: the peer's pings are answered, its messages kept until
 * they are received. So a program that is busy elsewhere for longer than the peer waits for a pong may find itself cut
 * off. Messages are kept up to limits.queue_bytes_max [1 MiB] and one more; then nothing is read until some of them
 * are received.
 *
 * Timeouts are in milliseconds; 0 only looks, negative waits as long as it takes. One thread at a time.
 */
#ifndef WEFT_BLOCKING_H
#define WEFT_BLOCKING_H

#include <weft/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_blocking weft_blocking;

/* As weft_client_new. */
WEFT_API weft_blocking *weft_blocking_new(const weft_client_config *config);

/* Cuts a connection that is open. NULL is accepted. */
WEFT_API void weft_blocking_free(weft_blocking *ws);

/* Connects, and waits until the WebSocket is open. WEFT_OK; WEFT_TIMEOUT; WEFT_ECLOSED: it was refused, or there was
 * nobody; WEFT_EINVAL: a wrong URL, or the last connection is still open; WEFT_ENOMEM; WEFT_ESYS. After it has ended it
 * may be called again; what was not received by then is dropped. */
WEFT_API int weft_blocking_connect(weft_blocking *ws, const char *url, int timeout_ms);

/* The same with all that a dial can say. Its `open` and `failed` are called in here, for who wants to see the answer's
 * headers; its other callbacks must be NULL (WEFT_EINVAL). */
WEFT_API int weft_blocking_dial(weft_blocking *ws, const weft_dial *dial, int timeout_ms);

/* Sends one message, and waits until all of it has left. Text must be valid UTF-8.
 *   WEFT_OK
 *   WEFT_TIMEOUT  it is queued, and goes on leaving within later calls: do not send it again
 *   WEFT_FULL     too much is queued, and there came no room: it was not taken
 *   WEFT_ECLOSED  the connection has ended, it may be before the peer saw this message
 *   WEFT_EINVAL, WEFT_ENOMEM, WEFT_ESYS
 * A peer that reads nothing while we do not receive (one that echoes) takes no more once all queues between us are
 * full: receive in between. */
WEFT_API int weft_blocking_send(weft_blocking *ws, weft_kind kind, const void *data, size_t len, int timeout_ms);

/* The next message. *out_message is borrowed until the next receive or dial, and has a NUL behind it that does not
 * count. WEFT_OK; WEFT_TIMEOUT: none came, and all is as before; WEFT_ECLOSED: the connection has ended, and all that
 * came before was received; WEFT_ESYS. */
WEFT_API int weft_blocking_receive(weft_blocking *ws, weft_message *out_message, int timeout_ms);

/* Pings, and waits for the pong: how long it took (*out_rtt_ns, which may be NULL). WEFT_OK; WEFT_TIMEOUT; WEFT_FULL:
 * messages that are to be received are in its way; WEFT_ECLOSED; WEFT_ENOMEM; WEFT_ESYS. */
WEFT_API int weft_blocking_ping(weft_blocking *ws, uint64_t *out_rtt_ns, int timeout_ms);

/* The closing handshake: sends what is queued and a close frame, and waits until the peer has answered, at most for
 * limits.close_timeout_ms [5,000]. Messages that come meanwhile are passed over. Whatever it answers but WEFT_EINVAL
 * (of a code or reason as weft_conn_close refuses them), the connection has ended then.
 * WEFT_OK: cleanly; WEFT_TIMEOUT: not in time, it was cut; WEFT_ECLOSED: there was none, or it broke; WEFT_ESYS. */
WEFT_API int weft_blocking_close(weft_blocking *ws, int code, const char *reason, int timeout_ms);

/* Why the last call that was not answered WEFT_OK was not, in words. Never NULL; until the next call. */
WEFT_API const char *weft_blocking_error(const weft_blocking *ws);

/* How the connection ended; until the next dial. NULL: it has not, or never was open. */
WEFT_API const weft_close_info *weft_blocking_close_info(const weft_blocking *ws);

/* For weft_conn_peer and the like. NULL: it has ended, or never was open. */
WEFT_API weft_conn *weft_blocking_conn(const weft_blocking *ws);

#ifdef __cplusplus
}
#endif

#endif
