/*
 * backend.h - what a loop is made of, for the files of this room alone.
 *
 * A backend is a struct that begins with a wf_loop, and one table of functions. loop.c makes and frees the
 * shared part and hands everything else through; accept.c holds what every backend does about listening
 * socks.
 */
#ifndef WF_NET_BACKEND_H
#define WF_NET_BACKEND_H

#include "base/usual.h"
#include "net/loop.h"
#include "net/port.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* The functions mean what their namesakes in loop.h say. Socks given to them are open; `open` finds the
 * shared part ready and everything behind it zero. */
struct wf_loop_backend {
    const char *name;
    size_t size;                /* of the whole loop struct */
    int (*open)(wf_loop *loop); /* 0, or WF_ESYS with errno set and nothing left open */
    void (*shut)(wf_loop *loop);
    int (*fd)(wf_loop *loop);
    int (*wait)(wf_loop *loop, int64_t timeout_ms);
    int (*next)(wf_loop *loop, wf_loop_event *out_event);
    int (*adopt)(wf_loop *loop, wf_sock *sock); /* fd and kind are set, the rest is zero */
    void (*pause)(wf_loop *loop, wf_sock *sock);
    void (*resume)(wf_loop *loop, wf_sock *sock);
    int64_t (*send)(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count);
    int64_t (*send_soon)(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count);
    void (*shutdown)(wf_loop *loop, wf_sock *sock);
    void (*flush)(wf_loop *loop);
    void (*close)(wf_loop *loop, wf_sock *sock); /* forgets the sock and closes its descriptor */
};

extern const struct wf_loop_backend wf_loop_epoll, wf_loop_uring;

/* One system call. Bytes taken, or WF_ESYS with errno set, which is not EINTR. One range is the usual case, and send
 * costs the kernel less than sendmsg. */
int64_t wf_send_many(int fd, const struct iovec *ranges, int count);
static inline int64_t wf_send_ranges(int fd, const struct iovec *ranges, int count) {
    if (!wf_usual(count == 1))
        return wf_send_many(fd, ranges, count);
    ssize_t sent;
    do {
        sent = send(fd, ranges->iov_base, ranges->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (!wf_usual(sent >= 0) && errno == EINTR);
    return wf_usual(sent >= 0) ? sent : WF_ESYS;
}

/* The listening socks of a loop, and how it gets through a lack of descriptors (accept.c). */
typedef struct wf_acceptor {
    wf_sock **listeners; /* owned array, borrowed socks */
    size_t count, cap;
    int spare_fd;           /* /dev/null, given up to take and close one connection; -1: not there now */
    uint64_t rest_until_ms; /* wf_clock_ms; 0: not resting */
} wf_acceptor;

struct wf_loop {
    const struct wf_loop_backend *backend;

    /* Loop only. */
    size_t recv_bytes; /* of receive buffers */
    wf_acceptor acceptor;
    wf_port **ports;              /* owned array; NULL: a free place */
    uint32_t port_cap, port_free; /* no place before port_free is free */
    size_t held_bytes;            /* kept for socks: received while paused, taken and not yet sent */

    /* Any thread. */
    int wake_fd;       /* an eventfd; constant while the loop lives */
    atomic_bool woken; /* a wake is under way: written to wake_fd, not yet seen by the loop */
};

/* To be called before the WF_LOOP_WOKEN is given out: from here on a wake is a new one. */
static inline void wf_loop_wake_seen(wf_loop *loop) {
    atomic_exchange_explicit(&loop->woken, false, memory_order_acq_rel);
}

int wf_acceptor_init(wf_acceptor *acceptor);
void wf_acceptor_deinit(wf_acceptor *acceptor);

/* 0, or WF_ESYS with errno ENOMEM. */
int wf_acceptor_add(wf_acceptor *acceptor, wf_sock *sock);
void wf_acceptor_remove(wf_acceptor *acceptor, const wf_sock *sock);

/* Makes a listening descriptor non-blocking, and TCP_NODELAY what its connections inherit. */
void wf_acceptor_prepare(int listen_fd);

typedef enum wf_accept_result {
    WF_ACCEPT_TAKEN, /* *out_fd is a new connection */
    WF_ACCEPT_NONE,  /* nobody is waiting */
    WF_ACCEPT_AGAIN, /* only ones that died: there may be more, to be looked at in the next turn */
    WF_ACCEPT_REST,  /* no descriptors or no memory: rest_until_ms is set, stop listening until then */
    WF_ACCEPT_FAILED /* the listening socket is broken; errno says how */
} wf_accept_result;

wf_accept_result wf_acceptor_take(wf_acceptor *acceptor, int listen_fd, int *out_fd);

/* Begins a rest, or begins it anew. */
void wf_acceptor_rest(wf_acceptor *acceptor);

/* Before a wait. True: the rest is over, and forgotten. While it lasts, the wait is cut to its end. */
bool wf_acceptor_rested(wf_acceptor *acceptor, int64_t *timeout_ms);

#endif
