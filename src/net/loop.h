/*
 * loop.h - the event loop: sockets in, events out, by pull. One loop belongs to one thread.
 *
 *     wf_loop_wait(loop, timeout_ms);                   // one system call
 *     while (wf_loop_next(loop, &event) == WF_OK) ...   // handle each
 *
 * The contract fits readiness (epoll) and completion (io_uring) alike:
 *   - Received bytes arrive in a buffer that belongs to the loop; they are the caller's to change in place until the
 *     next wf_loop_next or wf_loop_wait on this loop. WF_RECV_SLACK bytes behind them may be read (their content is
 *     nothing).
 *   - wf_sock_send either takes bytes now (positive), or answers WF_SEND_LATER: nothing was taken, no second send may
 *     be started, and an event WF_LOOP_SENT follows when to try again. WF_LOOP_FAILED and wf_sock_close end the wait
 *     as well.
 *   - A closed socket gives no event any more, not even one that was already collected in this turn.
 *   - The events of one turn come in any order, but for those of one direction of one sock: RECEIVED before its EOF.
 *
 * A message costs the system calls it needs, or less: with epoll one to receive, one to send, and its share of the
 * wait; with io_uring only its share. Waiting, next, receive and send allocate nothing as long as peers are read and
 * read themselves: io_uring keeps what comes before a pause is known to the kernel, and what was sent soon and not
 * taken (wf_loop_memory).
 *
 * A backend is one table of functions (struct wf_loop_backend in backend.h); loop.c chooses: epoll or io_uring.
 */
#ifndef WF_NET_LOOP_H
#define WF_NET_LOOP_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct wf_loop wf_loop;

enum { WF_RECV_SLACK = 64 };

typedef enum wf_sock_kind { WF_SOCK_STREAM, WF_SOCK_LISTEN, WF_SOCK_PORT, WF_SOCK_CONNECT } wf_sock_kind;

/* Embedded in what owns it, and not moved in memory while open. Written by the loop only. 12 bytes. */
typedef struct wf_sock {
    int fd;        /* -1: closed */
    uint32_t slot; /* backend's own */
    uint8_t kind;
    uint8_t flags;     /* backend's own */
    uint16_t interest; /* backend's own */
} wf_sock;

#define WF_SOCK_INIT                                                                                                   \
    { .fd = -1 }

typedef enum wf_loop_event_kind {
    WF_LOOP_ACCEPTED, /* a new connection on a listening sock: `fd` is the caller's to adopt or close */
    WF_LOOP_RECEIVED, /* data, len > 0 */
    WF_LOOP_EOF,      /* the peer sent FIN; we may still send. Once, and no RECEIVED follows */
    WF_LOOP_SENT,     /* len bytes of the pending send were taken; 0: try again */
    WF_LOOP_WAITS,    /* the kernel takes what was sent soon only in part: told then, and whenever it took more of it.
                         As after a WF_SEND_LATER no send may be started before the WF_LOOP_SENT that follows */
    WF_LOOP_FAILED,   /* `sys_errno`; once, and the last event: the sock is of no more use than to close it */
    WF_LOOP_WOKEN     /* another thread called wf_loop_wake; sock is NULL */
} wf_loop_event_kind;

/* Only the members named at the event's kind mean something; `sock` always does. */
typedef struct wf_loop_event {
    wf_loop_event_kind kind;
    wf_sock *sock;
    uint8_t *data;
    size_t len;
    int fd;
    int sys_errno;
} wf_loop_event;

typedef enum wf_loop_kind { WF_LOOP_AUTO, WF_LOOP_EPOLL, WF_LOOP_URING } wf_loop_kind;

/* `recv_bytes`: size of the loop's receive buffers together (0: 512 KiB). AUTO is what the environment variable
 * WEFT_BACKEND names ("epoll", "io_uring"), else io_uring where the kernel has enough of it (6.12) and we may use it,
 * else epoll. On failure NULL and errno is set. */
wf_loop *wf_loop_new_on(wf_loop_kind kind, size_t recv_bytes);
wf_loop *wf_loop_new(size_t recv_bytes); /* AUTO */
void wf_loop_free(wf_loop *loop);        /* closes no sock: their owners do, before */
const char *wf_loop_backend_name(const wf_loop *loop);

/* A descriptor that is readable when a wait would find something. The loop's own: only to be watched, and behind a
 * wf_loop_flush, which leaves nothing to the wait. -1, with errno: there are no descriptors left. */
int wf_loop_fd(wf_loop *loop);

/* Waits for events. timeout_ms < 0: for ever; 0: only looks. May end early with none: EINTR, or an inner
 * deadline. Events of the last turn that were not pulled are kept, and the call returns at once. Returns 0,
 * or WF_ESYS with errno set. */
int wf_loop_wait(wf_loop *loop, int64_t timeout_ms);

/* The next event of this turn: WF_OK, or WF_WANT_INPUT when there is none left. A turn ends: of one sock it gives out
 * what the kernel had for it when the wait ended, and no more than the receive buffers hold (epoll: one RECEIVED), so
 * that one busy peer cannot starve the others. */
int wf_loop_next(wf_loop *loop, wf_loop_event *out_event);

/* Bytes of memory held for socks: what came while they were paused, what was taken from them and not yet by the
 * kernel. */
size_t wf_loop_memory(const wf_loop *loop);

/* Does what else the next wait would: hands the kernel what was sent soon and what was closed. For a thread that will
 * not wait again. */
void wf_loop_flush(wf_loop *loop);

/* The only call that may come from another thread (and from a signal handler). Wakes are merged: what was
 * made visible before a wake is visible after the WF_LOOP_WOKEN that answers it. Costs a system call only
 * when none is under way. */
void wf_loop_wake(wf_loop *loop);

/* Puts a non-blocking stream descriptor under the loop; reading starts at once. The descriptor is the sock's
 * from here on. It may still be connecting: a send then answers WF_SEND_LATER, WF_LOOP_SENT comes with the
 * connection and WF_LOOP_FAILED with its failure. 0, or WF_ESYS (errno set; the descriptor stays the
 * caller's). What is no stream at all is refused here (epoll, mostly), or told in WF_LOOP_FAILED (io_uring). */
int wf_sock_adopt(wf_loop *loop, wf_sock *sock, int fd);

/* One that is connecting, and nothing more: WF_LOOP_SENT says that it is connected, WF_LOOP_FAILED that it is not to
 * be. Nothing is read from it, so that a copy of its descriptor (dup) may be adopted behind its close. Same
 * answers. */
int wf_sock_adopt_connecting(wf_loop *loop, wf_sock *sock, int fd);

/* Stops and restarts RECEIVED, or ACCEPTED on a listening sock. While a stream is paused, a peer that went
 * away is still told, once:
 *   - broken (reset, timed out): WF_LOOP_FAILED at once; bytes that were not yet read are lost with it.
 *   - finished (FIN, or both directions closed) and nothing unread: WF_LOOP_EOF at once.
 *   - finished behind unread bytes: nothing until the resume, then those bytes and WF_LOOP_EOF.
 * Costs no system call as long as nothing arrives. What arrives before the kernel knows of the pause is kept, and given
 * with the resume. */
void wf_sock_pause(wf_loop *loop, wf_sock *sock);
void wf_sock_resume(wf_loop *loop, wf_sock *sock);

/* Of TCP: what the peer has not acknowledged after so long ends the connection (WF_LOOP_FAILED, ETIMEDOUT), so that a
 * peer that vanished is found by sending, however little. Of a port: what is below it, with all that goes there. */
void wf_sock_patience(const wf_loop *loop, const wf_sock *sock, uint32_t ms);

enum { WF_SEND_LATER = 0 };

/* Starts a send of `count` ranges (together at least one byte; of very many, the first ones). >
 * 0: bytes taken now, perhaps fewer than given. WF_SEND_LATER: a WF_LOOP_SENT follows. WF_ESYS: over, errno
 * set (EPIPE, ECONNRESET, ...); never raises SIGPIPE. */
int64_t wf_sock_send(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count);

/* The same for bytes that may go together with others of this turn, at the latest with the next wf_loop_wait: what is
 * taken is the loop's to deliver, in order, and lost only when the sock is closed before that, or fails. That the
 * kernel does not take it yet is told (WF_LOOP_WAITS). */
int64_t wf_sock_send_soon(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count);

void wf_sock_shutdown(wf_loop *loop, wf_sock *sock); /* FIN: nothing more is sent */
void wf_sock_close(wf_loop *loop, wf_sock *sock);    /* closed already: nothing happens */
void wf_sock_abort(wf_loop *loop, wf_sock *sock);    /* the same, and the peer sees a reset */

#endif
