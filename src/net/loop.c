/*
 * The loop's face: picks a backend, makes what all backends share (the wake descriptor, the acceptor), and hands every
 * call on through the backend's table.
 *
 * Wakes are merged by one flag. Who finds it down raises it and writes to the eventfd; who finds it up knows
 * that the loop has yet to look, and leaves. The loop takes it down before it gives out WF_LOOP_WOKEN, so
 * whatever a thread made visible before its wake is seen by who handles that event, and a wake after it
 * writes anew. The counter is never read: backends watch the eventfd for edges, and it would take 2^64 wakes
 * to fill it.
 */
#include "net/backend.h"

#include "base/assert.h"
#include "base/mem.h"
#include "net/listen.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECV_BYTES_DEFAULT = 512 * 1024, RECV_BYTES_MAX = 1 << 30 };

_Static_assert(sizeof(wf_sock) <= 16, "a sock is embedded in every connection");

/* Gives back the shared part, as far as it was made; errno stays. */
static void release(wf_loop *loop) {
    int saved = errno;
    wf_acceptor_deinit(&loop->acceptor);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    wf_mem_free(loop->ports);
    wf_mem_free(loop);
    errno = saved;
}

static wf_loop *open_on(const struct wf_loop_backend *backend, size_t recv_bytes) {
    wf_loop *loop = wf_mem_zalloc(backend->size);
    if (!loop) {
        errno = ENOMEM;
        return NULL;
    }
    loop->backend = backend;
    loop->recv_bytes = recv_bytes;
    loop->acceptor.spare_fd = -1;
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0 || wf_acceptor_init(&loop->acceptor) < 0 || backend->open(loop) < 0) {
        release(loop);
        return NULL;
    }
    return loop;
}

/* WF_LOOP_AUTO when the environment says nothing, or nothing we know. */
static wf_loop_kind from_environment(void) {
    const char *name = secure_getenv("WEFT_BACKEND");
    if (name && strcmp(name, wf_loop_epoll.name) == 0)
        return WF_LOOP_EPOLL;
    return name && strcmp(name, "io_uring") == 0 ? WF_LOOP_URING : WF_LOOP_AUTO;
}

wf_loop *wf_loop_new_on(wf_loop_kind kind, size_t recv_bytes) {
    if (recv_bytes == 0)
        recv_bytes = RECV_BYTES_DEFAULT;
    if (recv_bytes > RECV_BYTES_MAX) {
        errno = EINVAL;
        return NULL;
    }
    if (kind == WF_LOOP_AUTO)
        kind = from_environment();
    wf_loop *loop = NULL;
    errno = ENOSYS;
#if WF_HAVE_URING
    if (kind != WF_LOOP_EPOLL)
        loop = open_on(&wf_loop_uring, recv_bytes);
#endif
    if (kind == WF_LOOP_EPOLL || (!loop && kind == WF_LOOP_AUTO))
        loop = open_on(&wf_loop_epoll, recv_bytes);
    return loop;
}

wf_loop *wf_loop_new(size_t recv_bytes) {
    return wf_loop_new_on(WF_LOOP_AUTO, recv_bytes);
}

void wf_loop_free(wf_loop *loop) {
    if (!loop)
        return;
    loop->backend->shut(loop);
    release(loop);
}

const char *wf_loop_backend_name(const wf_loop *loop) {
    return loop->backend->name;
}

int wf_loop_fd(wf_loop *loop) {
    return loop->backend->fd(loop);
}

int wf_loop_wait(wf_loop *loop, int64_t timeout_ms) {
    return loop->backend->wait(loop, timeout_ms);
}

int wf_loop_next(wf_loop *loop, wf_loop_event *out_event) {
    return loop->backend->next(loop, out_event);
}

void wf_loop_wake(wf_loop *loop) {
    if (atomic_exchange_explicit(&loop->woken, true, memory_order_acq_rel))
        return;
    int saved = errno; /* a signal handler leaves it as it was */
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    wf_assert(written == sizeof one);
    errno = saved;
}

static int adopt(wf_loop *loop, wf_sock *sock, int fd, wf_sock_kind kind) {
    *sock = (wf_sock) {.fd = fd, .kind = (uint8_t)kind};
    if (fd < 0) {
        errno = EBADF;
        return WF_ESYS;
    }
    int status = loop->backend->adopt(loop, sock);
    if (status < 0)
        sock->fd = -1;
    return status;
}

int wf_sock_adopt(wf_loop *loop, wf_sock *sock, int fd) {
    return adopt(loop, sock, fd, WF_SOCK_STREAM);
}

int wf_sock_adopt_connecting(wf_loop *loop, wf_sock *sock, int fd) {
    return adopt(loop, sock, fd, WF_SOCK_CONNECT);
}

int wf_listen_adopt(wf_loop *loop, wf_sock *sock, int fd) {
    int status = wf_acceptor_add(&loop->acceptor, sock);
    if (status < 0)
        return status;
    wf_acceptor_prepare(fd);
    status = adopt(loop, sock, fd, WF_SOCK_LISTEN);
    if (status < 0)
        wf_acceptor_remove(&loop->acceptor, sock);
    return status;
}

/* ---- ports ---- */

/* PORT_FD: it is open, and no descriptor has this number. */
enum { PORTS_STEP = 64, PORT_FD = INT_MAX };

int wf_port_adopt(wf_loop *loop, wf_sock *sock, wf_port *port) {
    while (loop->port_free < loop->port_cap && loop->ports[loop->port_free])
        loop->port_free++;
    if (loop->port_free == loop->port_cap) {
        uint32_t cap = loop->port_cap < PORTS_STEP ? PORTS_STEP : 2 * loop->port_cap;
        wf_port **ports = wf_mem_resize(loop->ports, cap * sizeof *ports);
        if (!ports)
            return WF_ENOMEM;
        memset(ports + loop->port_cap, 0, (cap - loop->port_cap) * sizeof *ports);
        loop->ports = ports;
        loop->port_cap = cap;
    }
    *sock = (wf_sock) {.fd = PORT_FD, .slot = loop->port_free, .kind = WF_SOCK_PORT};
    loop->ports[sock->slot] = port;
    port->sock = sock;
    return WF_OK;
}

static inline wf_port *port_of(const wf_loop *loop, const wf_sock *sock) {
    return sock->kind == WF_SOCK_PORT && sock->fd >= 0 ? loop->ports[sock->slot] : NULL;
}

int wf_sock_descriptor(const wf_loop *loop, const wf_sock *sock) {
    const wf_port *port = port_of(loop, sock);
    return port ? port->below->fd : sock->fd;
}

static void close_port(wf_loop *loop, wf_sock *sock, bool abort) {
    wf_port *port = port_of(loop, sock);
    loop->ports[sock->slot] = NULL;
    if (sock->slot < loop->port_free)
        loop->port_free = sock->slot;
    sock->fd = -1;
    port->calls->close(port, abort);
}

/* ---- socks ---- */

void wf_sock_pause(wf_loop *loop, wf_sock *sock) {
    wf_port *port = port_of(loop, sock);
    if (sock->fd >= 0 && port)
        port->calls->pause(port);
    else if (sock->fd >= 0)
        loop->backend->pause(loop, sock);
}

void wf_sock_resume(wf_loop *loop, wf_sock *sock) {
    wf_port *port = port_of(loop, sock);
    if (sock->fd >= 0 && port)
        port->calls->resume(port);
    else if (sock->fd >= 0)
        loop->backend->resume(loop, sock);
}

int64_t wf_sock_send(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count) {
    wf_assert(sock->fd >= 0 && count > 0);
    wf_port *port = port_of(loop, sock);
    return port ? port->calls->send(port, ranges, count) : loop->backend->send(loop, sock, ranges, count);
}

int64_t wf_sock_send_soon(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count) {
    wf_assert(sock->fd >= 0 && count > 0);
    wf_port *port = port_of(loop, sock);
    return port ? port->calls->send(port, ranges, count) : loop->backend->send_soon(loop, sock, ranges, count);
}

int64_t wf_send_many(int fd, const struct iovec *ranges, int count) {
    struct msghdr message = {
        .msg_iov = (struct iovec *)ranges, /* only read, but the type is shared with recvmsg */
        .msg_iovlen = count > IOV_MAX ? IOV_MAX : (size_t)count,
    };
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? WF_ESYS : sent;
}

void wf_sock_shutdown(wf_loop *loop, wf_sock *sock) {
    wf_port *port = port_of(loop, sock);
    if (sock->fd >= 0 && port)
        port->calls->shutdown(port);
    else if (sock->fd >= 0)
        loop->backend->shutdown(loop, sock);
}

size_t wf_loop_memory(const wf_loop *loop) {
    return loop->held_bytes;
}

void wf_loop_flush(wf_loop *loop) {
    loop->backend->flush(loop);
}

void wf_sock_patience(const wf_loop *loop, const wf_sock *sock, uint32_t ms) {
    int fd = wf_sock_descriptor(loop, sock);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms); /* a unix socket refuses: it needs none */
}

void wf_sock_close(wf_loop *loop, wf_sock *sock) {
    if (sock->fd < 0)
        return;
    if (sock->kind == WF_SOCK_PORT) {
        close_port(loop, sock, false);
        return;
    }
    if (sock->kind == WF_SOCK_LISTEN)
        wf_acceptor_remove(&loop->acceptor, sock);
    loop->backend->close(loop, sock);
    sock->fd = -1;
}

void wf_sock_abort(wf_loop *loop, wf_sock *sock) {
    if (sock->fd >= 0 && sock->kind == WF_SOCK_PORT)
        close_port(loop, sock, true);
    else if (sock->fd >= 0)
        setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &(struct linger) {.l_onoff = 1}, sizeof(struct linger));
    wf_sock_close(loop, sock);
}
