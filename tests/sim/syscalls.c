/*
 * What the server calls. The linker sends every call of these names here (--wrap); one on a descriptor that is not of
 * this kernel ends the run.
 */
#include "kernel_impl.h"

#include "client.h"
#include "faults.h"
#include "pipe_tls.h"
#include "sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Made for the linker; nobody else calls them. */
int __wrap_socket(int family, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_listen(int fd, int backlog);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_eventfd(unsigned initial, int flags);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_shutdown(int fd, int how);
int __wrap_close(int fd);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_unlink(const char *path);
int __real_open(const char *path, int flags, ...);
int __real_close(int fd);

static int certificate_fd = -1; /* of the real kernel, while it is read */

static int answer(const char *call, int fd, int64_t more, int result) {
    int saved = errno;
    sim.calls++;
    sim_trace(call, fd, more, result < 0 ? -saved : result);
    errno = saved;
    return result;
}

static int refuse(const char *call, int fd, int64_t more, int why) {
    errno = why;
    return answer(call, fd, more, -1);
}

/* ---- making and breaking ---- */

int __wrap_socket(int family, int type, int protocol) {
    (void)protocol;
    if (family != AF_INET || (type & SOCK_STREAM) == 0)
        sim_fail("descriptors", "socket of family %d", family);
    int fd = sim_fd_open(FD_SOCKET);
    if (fd >= 0)
        kernel.fds[fd - FD_BASE].nonblocking = type & SOCK_NONBLOCK;
    return answer("socket", fd, 0, fd);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len) {
    (void)address;
    sim_fd(fd, FD_SOCKET, "bind");
    return answer("bind", fd, len, 0);
}

int __wrap_listen(int fd, int backlog) {
    sim_fd(fd, FD_SOCKET, "listen")->kind = FD_LISTEN;
    kernel.listen_fd = fd;
    kernel.backlog = backlog < BACKLOG_MAX ? backlog : BACKLOG_MAX;
    return answer("listen", fd, backlog, 0);
}

static void tell_address(struct sockaddr *address, socklen_t *len, int port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(address, &in, sizeof in);
    *len = sizeof in;
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len) {
    sim_fd(fd, FD_FREE, "getsockname");
    tell_address(address, len, 9001);
    return answer("getsockname", fd, 0, 0);
}

int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len) {
    const sim_stream *s = sim_fd(fd, FD_STREAM, "getpeername")->stream;
    if (s->reset)
        return refuse("getpeername", fd, 0, ENOTCONN);
    tell_address(address, len, 40000 + s->who);
    return answer("getpeername", fd, 0, 0);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    fd_entry *entry = sim_fd(fd, FD_FREE, "setsockopt");
    if (entry->kind == FD_STREAM && level == SOL_SOCKET && name == SO_LINGER && len == sizeof(struct linger)) {
        const struct linger *linger = value;
        entry->stream->hard_close = linger->l_onoff && linger->l_linger == 0;
    }
    return answer("setsockopt", fd, name, 0);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
    sim_stream *s = sim_fd(fd, FD_STREAM, "getsockopt")->stream;
    if (level != SOL_SOCKET || name != SO_ERROR || *len != sizeof(int))
        sim_fail("descriptors", "getsockopt %d %d", level, name);
    memcpy(value, &s->error, sizeof s->error);
    int told = s->error;
    s->error = 0;
    return answer("getsockopt", fd, told, 0);
}

int __wrap_fcntl(int fd, int command, ...) {
    fd_entry *entry = sim_fd(fd, FD_FREE, "fcntl");
    if (command == F_GETFL)
        return answer("fcntl", fd, command, O_RDWR | (entry->nonblocking ? O_NONBLOCK : 0));
    if (command != F_SETFL)
        sim_fail("descriptors", "fcntl %d", command);
    entry->nonblocking = true;
    return answer("fcntl", fd, command, 0);
}

int __wrap_open(const char *path, int flags, ...) {
    if (strcmp(path, sim_tls_file()) == 0)
        return certificate_fd = __real_open(path, flags);
    if (strcmp(path, "/dev/null") != 0)
        sim_fail("descriptors", "open of %s", path);
    int fd = sim_fd_open(FD_NULL);
    return answer("open", fd, 0, fd);
}

int __wrap_eventfd(unsigned initial, int flags) {
    (void)flags;
    int fd = sim_fd_open(FD_EVENT);
    if (fd >= 0)
        kernel.fds[fd - FD_BASE].count = initial;
    return answer("eventfd", fd, initial, fd);
}

ssize_t __wrap_write(int fd, const void *data, size_t len) {
    fd_entry *entry = sim_fd(fd, FD_EVENT, "write");
    uint64_t added;
    if (len != sizeof added)
        sim_fail("descriptors", "write of %zu bytes", len);
    memcpy(&added, data, sizeof added);
    entry->count += added;
    entry->changes++;
    return answer("write", fd, (int64_t)added, sizeof added);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len) {
    (void)address;
    (void)len;
    sim_fail("descriptors", "connect on %d", fd);
}

int __wrap_unlink(const char *path) {
    sim_fail("descriptors", "unlink of %s", path);
}

int __wrap_shutdown(int fd, int how) {
    sim_stream *s = sim_fd(fd, FD_STREAM, "shutdown")->stream;
    if (how == SHUT_RD)
        sim_fail("descriptors", "shutdown %d", how);
    if (s->reset)
        return refuse("shutdown", fd, how, ENOTCONN);
    s->out_fin = true;
    s->in_fin |= how == SHUT_RDWR;
    sim_stream_changed(s);
    sim_client_stir_all(s->who);
    return answer("shutdown", fd, how, 0);
}

static void close_stream(sim_stream *s) {
    bool reset = s->hard_close || s->in.len > 0;
    s->fd = -1;
    s->out_fin = true;
    if (reset && !s->reset)
        sim_stream_reset_client(s);
    s->server_closed = true;
    sim_client_stir_all(s->who);
    sim_stream_free_if_over(s);
}

/* Who waits to be accepted is reset. */
static void close_listener(void) {
    kernel.listen_fd = -1;
    for (int i = 0; i < kernel.queued; i++) {
        kernel.queue[i]->hurt = true;
        kernel.queue[i]->hard_close = true;
        close_stream(kernel.queue[i]);
    }
    kernel.queued = 0;
}

int __wrap_close(int fd) {
    if (fd == certificate_fd && fd >= 0) {
        certificate_fd = -1;
        return __real_close(fd);
    }
    fd_entry *entry = sim_fd(fd, FD_FREE, "close");
    sim_stream *s = entry->kind == FD_STREAM ? entry->stream : NULL;
    bool listener = entry->kind == FD_LISTEN;
    sim_fd_close(fd);
    if (s)
        close_stream(s);
    if (listener)
        close_listener();
    if (sim_happens(FAULT_INTERRUPTED)) /* Linux has closed it nevertheless */
        return refuse("close", fd, 0, EINTR);
    return answer("close", fd, 0, 0);
}

/* ---- accepting, and bytes ---- */

/* Whoever waits may be turned away now. */
static void hurt_queue(void) {
    for (int i = 0; i < kernel.queued; i++)
        kernel.queue[i]->hurt = true;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
    static const int shortages[] = {ENFILE, ENOBUFS, ENOMEM};
    (void)address;
    (void)len;
    if (!sim_fd(fd, FD_LISTEN, "accept4")->nonblocking)
        sim_fail("blocking", "accept4 on a listening socket that blocks");
    if (sim_happens(FAULT_MEANWHILE))
        sim_clients_meanwhile();
    if (sim_happens(FAULT_INTERRUPTED))
        return refuse("accept4", fd, 0, EINTR);
    if (sim_happens(FAULT_ACCEPT)) {
        hurt_queue();
        return refuse("accept4", fd, 0, shortages[sim_below(3)]);
    }
    int got = sim_fd_open(FD_STREAM); /* first the descriptor, then the queue: as Linux does */
    if (got < 0) {
        hurt_queue();
        return refuse("accept4", fd, 0, EMFILE);
    }
    if (kernel.queued == 0) {
        sim_fd_close(got);
        return refuse("accept4", fd, 0, EAGAIN);
    }
    sim_stream *s = kernel.queue[0];
    memmove(kernel.queue, kernel.queue + 1, (size_t)--kernel.queued * sizeof *kernel.queue);
    if (sim_happens(FAULT_ABORTED)) {
        sim_fd_close(got);
        s->hurt = s->hard_close = true;
        close_stream(s);
        return refuse("accept4", fd, 0, ECONNABORTED);
    }
    s->fd = got;
    kernel.fds[got - FD_BASE].stream = s;
    kernel.fds[got - FD_BASE].nonblocking = flags & SOCK_NONBLOCK;
    sim.deeds++;
    return answer("accept4", fd, s->who, got);
}

/* Tells the error that waits, if any; else what a dead or closed end says. */
static int take_error(sim_stream *s, int otherwise) {
    int error = s->error ? s->error : otherwise;
    s->error = 0;
    return error;
}

static void break_stream(sim_stream *s, int error) {
    s->hurt = true;
    sim_stream_die(s, error);
    sim_client_stir_all(s->who);
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags) {
    fd_entry *entry = sim_fd(fd, FD_STREAM, "recv");
    sim_stream *s = entry->stream;
    bool peek = flags & MSG_PEEK;
    if (!entry->nonblocking || !(flags & MSG_DONTWAIT))
        sim_fail("blocking", "recv may block");
    if (sim_happens(FAULT_MEANWHILE))
        sim_clients_meanwhile();
    if (sim_happens(FAULT_INTERRUPTED))
        return refuse("recv", fd, 0, EINTR);
    if (sim_happens(FAULT_READ_AGAIN))
        return refuse("recv", fd, 0, EAGAIN);
    if (sim_happens(FAULT_RESET))
        break_stream(s, ECONNRESET);
    if (s->in.len == 0 && s->error)
        return refuse("recv", fd, 0, take_error(s, 0));
    if (s->in.len == 0)
        return s->in_fin ? answer("recv", fd, 0, 0) : refuse("recv", fd, 0, EAGAIN);
    if (len > s->in.len)
        len = s->in.len;
    if (sim_happens(FAULT_SHORT_READ))
        len = 1 + sim_below((uint32_t)len);
    int got = (int)ring_get(&s->in, data, len, peek);
    sim.bytes += peek ? 0 : (uint64_t)got;
    if (!peek)
        sim_client_stir_all(s->who);
    return answer("recv", fd, peek, got);
}

/* How much may be sent: positive, or the answer is given already. */
static ssize_t sendable(const char *call, int fd, sim_stream *s, size_t len, int flags) {
    if (!kernel.fds[fd - FD_BASE].nonblocking || !(flags & MSG_DONTWAIT))
        sim_fail("blocking", "%s may block", call);
    if (!(flags & MSG_NOSIGNAL))
        sim_fail("signals", "%s may raise SIGPIPE", call);
    if (len == 0)
        sim_fail("calls", "%s of nothing", call);
    if (sim_happens(FAULT_MEANWHILE))
        sim_clients_meanwhile();
    if (sim_happens(FAULT_INTERRUPTED))
        return refuse(call, fd, 0, EINTR);
    if (sim_happens(FAULT_PIPE))
        break_stream(s, EPIPE);
    if (s->error || s->out_fin)
        return refuse(call, fd, 0, take_error(s, EPIPE));
    if (sim_happens(FAULT_SEND_NOBUFS)) {
        s->hurt = true;
        return refuse(call, fd, 0, sim_below(2) ? ENOBUFS : ENOMEM);
    }
    if (s->client_closed) { /* nobody is there: what is sent comes back as a reset */
        sim_stream_die(s, EPIPE);
        return answer(call, fd, (int64_t)len, (int)(len < 1024 ? len : 1024));
    }
    size_t room = s->out.cap - s->out.len;
    if (room == 0 || sim_happens(FAULT_WRITE_AGAIN))
        return refuse(call, fd, 0, EAGAIN);
    if (len > room)
        len = room;
    if (sim_happens(FAULT_SHORT_WRITE))
        len = 1 + sim_below((uint32_t)len);
    return (ssize_t)len;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    sim_stream *s = sim_fd(fd, FD_STREAM, "sendmsg")->stream;
    size_t total = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        total += message->msg_iov[i].iov_len;
    bool gone = s->client_closed;
    ssize_t left = sendable("send", fd, s, total, flags);
    if (left < 0 || gone)
        return left;
    int sent = (int)left;
    for (size_t i = 0; left > 0; i++) {
        const struct iovec *range = &message->msg_iov[i];
        size_t part = range->iov_len < (size_t)left ? range->iov_len : (size_t)left;
        ring_put(&s->out, range->iov_base, part);
        left -= (ssize_t)part;
    }
    sim.bytes += (uint64_t)sent;
    sim_client_stir_all(s->who);
    return answer("send", fd, (int64_t)total, sent);
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags) {
    struct iovec range = {(void *)data, len};
    return __wrap_sendmsg(fd, &(struct msghdr) {.msg_iov = &range, .msg_iovlen = 1}, flags);
}
