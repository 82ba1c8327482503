/*
 * Taking connections, and what to do when there is nothing to take them with.
 *
 * Out of descriptors, accept fails while the connection stays in the queue: a level-triggered loop would
 * spin, and the peer would hang. So each loop keeps one spare descriptor open on /dev/null. In need it is
 * closed, the oldest connection is accepted in its place and closed at once (the peer knows), the spare is
 * opened again, and accepting rests for a while. Linux takes the descriptor before it looks at the queue, so
 * EMFILE also comes when nobody is waiting: then there is no one to turn away and no reason to rest.
 *
 * TCP_NODELAY is set on the listening socket, once: Linux hands it down to each connection.
 */
#include "net/backend.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REST_MS = 100,
    RETRIES_MAX = 64, /* connections that died in the queue, per call */
};

static int spare_open(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int wf_acceptor_init(wf_acceptor *acceptor) {
    acceptor->spare_fd = spare_open();
    return acceptor->spare_fd < 0 ? WF_ESYS : 0;
}

void wf_acceptor_deinit(wf_acceptor *acceptor) {
    if (acceptor->spare_fd >= 0)
        close(acceptor->spare_fd);
    wf_mem_free(acceptor->listeners);
}

int wf_acceptor_add(wf_acceptor *acceptor, wf_sock *sock) {
    if (acceptor->count == acceptor->cap) {
        size_t cap = acceptor->cap ? acceptor->cap * 2 : 4;
        wf_sock **grown = wf_mem_resize(acceptor->listeners, cap * sizeof *grown);
        if (!grown) {
            errno = ENOMEM;
            return WF_ESYS;
        }
        acceptor->listeners = grown;
        acceptor->cap = cap;
    }
    acceptor->listeners[acceptor->count++] = sock;
    return 0;
}

void wf_acceptor_remove(wf_acceptor *acceptor, const wf_sock *sock) {
    for (size_t i = 0; i < acceptor->count; i++) {
        if (acceptor->listeners[i] == sock) {
            acceptor->listeners[i] = acceptor->listeners[--acceptor->count];
            return;
        }
    }
}

void wf_acceptor_prepare(int listen_fd) {
    int flags = fcntl(listen_fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK);
    int on = 1;
    setsockopt(listen_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a unix socket refuses: it needs none */
}

void wf_acceptor_rest(wf_acceptor *acceptor) {
    acceptor->rest_until_ms = wf_clock_ms() + REST_MS;
}

/* Turns one connection away and begins the rest. */
static wf_accept_result turn_away(wf_acceptor *acceptor, int listen_fd) {
    if (acceptor->spare_fd >= 0) {
        close(acceptor->spare_fd);
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        int why = errno;
        if (fd >= 0)
            close(fd);
        /* Another thread may have been faster: then it is tried again after the rest. */
        acceptor->spare_fd = spare_open();
        if (fd < 0 && why == EAGAIN)
            return WF_ACCEPT_NONE;
    }
    wf_acceptor_rest(acceptor);
    return WF_ACCEPT_REST;
}

wf_accept_result wf_acceptor_take(wf_acceptor *acceptor, int listen_fd, int *out_fd) {
    for (int tries = 0; tries < RETRIES_MAX; tries++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            *out_fd = fd;
            return WF_ACCEPT_TAKEN;
        }
        switch (errno) {
        case EAGAIN:
            return WF_ACCEPT_NONE;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return turn_away(acceptor, listen_fd);
        case EBADF:
        case EINVAL:
        case ENOTSOCK:
        case EOPNOTSUPP:
            return WF_ACCEPT_FAILED;
        default: /* EINTR, or the error of a connection that died while it waited: the next one, then */
            break;
        }
    }
    return WF_ACCEPT_AGAIN;
}

bool wf_acceptor_rested(wf_acceptor *acceptor, int64_t *timeout_ms) {
    if (acceptor->rest_until_ms == 0)
        return false;
    uint64_t now_ms = wf_clock_ms();
    if (now_ms < acceptor->rest_until_ms) {
        int64_t rest_ms = (int64_t)(acceptor->rest_until_ms - now_ms);
        if (*timeout_ms < 0 || *timeout_ms > rest_ms)
            *timeout_ms = rest_ms;
        return false;
    }
    acceptor->rest_until_ms = 0;
    if (acceptor->spare_fd < 0)
        acceptor->spare_fd = spare_open();
    return true;
}
