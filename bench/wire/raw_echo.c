/*
 * The floor: the least a server on epoll can do for an echo. One thread, one receive buffer for all
 * connections, and per readable connection one recv and one send; no frames, no unmasking, no state. Whatever
 * a WebSocket server costs more than this is its own. It returns every byte it gets, so an echoed client
 * frame comes back with its 4 bytes of masking key, which a WebSocket answer does not carry.
 *
 * With --broadcast 1 it is the floor of fan-out: what comes goes to all other connections, one send each.
 *
 * When the peer's window is full, the rest of a send is kept in memory of the connection, and the connection
 * is not read until that rest has left: an echo holds at most one receive buffer's worth for a connection. A
 * broadcast holds what its readers leave behind.
 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES (256 * 1024)
#define EVENTS_MAX    256
#define ACCEPTS_MAX   64

struct rest {
    unsigned char *bytes; /* NULL: nothing waits */
    size_t at, end;
};

struct echo {
    int epoll;
    int listener;
    size_t descriptors_max;
    struct rest *rests; /* by descriptor */
    bool broadcasts;
    int *members; /* all connections, in no order; only kept to broadcast */
    size_t members_count;
    unsigned char *received;
};

static void watch(struct echo *echo, int operation, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(echo->epoll, operation, fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
}

static void drop(struct echo *echo, int fd) {
    free(echo->rests[fd].bytes);
    echo->rests[fd] = (struct rest) {0};
    for (size_t i = 0; echo->broadcasts && i < echo->members_count; i++)
        if (echo->members[i] == fd)
            echo->members[i] = echo->members[--echo->members_count];
    close(fd);
}

static void accept_some(struct echo *echo) {
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(echo->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
            return;
        if (fd < 0)
            wire_fail("accept: %s", strerror(errno));
        if ((size_t)fd >= echo->descriptors_max)
            wire_fail("descriptor %d is over the limit", fd);
        watch(echo, EPOLL_CTL_ADD, fd, EPOLLIN);
        if (echo->broadcasts)
            echo->members[echo->members_count++] = fd;
    }
}

/* Returns the bytes that left, or -1 when the connection is over. */
static ssize_t send_some(int fd, const unsigned char *bytes, size_t count) {
    ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return n;
}

static void keep(struct rest *rest, const unsigned char *bytes, size_t count) {
    rest->bytes = realloc(rest->bytes, rest->end + count);
    if (rest->bytes == NULL)
        wire_fail("no memory for %zu bytes that a peer does not read", rest->end + count);
    memcpy(rest->bytes + rest->end, bytes, count);
    rest->end += count;
}

/* Sends `count` received bytes, behind what waits already. False: the connection is over. */
static bool send_or_keep(struct echo *echo, int fd, size_t count) {
    struct rest *rest = &echo->rests[fd];
    bool waited = rest->bytes != NULL;
    ssize_t sent = waited ? 0 : send_some(fd, echo->received, count);
    if (sent < 0)
        return false;
    if ((size_t)sent < count)
        keep(rest, echo->received + sent, count - (size_t)sent);
    if (!waited && rest->bytes != NULL)
        watch(echo, EPOLL_CTL_MOD, fd, EPOLLOUT);
    return true;
}

static void broadcast(struct echo *echo, int from, size_t count) {
    for (size_t i = echo->members_count; i > 0; i--) {
        int to = echo->members[i - 1];
        if (to != from && !send_or_keep(echo, to, count))
            shutdown(to, SHUT_RDWR); /* its own event drops it */
    }
}

static void on_readable(struct echo *echo, int fd) {
    ssize_t received = recv(fd, echo->received, RECEIVE_BYTES, 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (received <= 0) {
        drop(echo, fd);
        return;
    }
    if (echo->broadcasts)
        broadcast(echo, fd, (size_t)received);
    else if (!send_or_keep(echo, fd, (size_t)received))
        drop(echo, fd);
}

static void on_writable(struct echo *echo, int fd) {
    struct rest *rest = &echo->rests[fd];
    ssize_t sent = send_some(fd, rest->bytes + rest->at, rest->end - rest->at);
    if (sent < 0) {
        drop(echo, fd);
        return;
    }
    rest->at += (size_t)sent;
    if (rest->at == rest->end) {
        free(rest->bytes);
        *rest = (struct rest) {0};
        watch(echo, EPOLL_CTL_MOD, fd, EPOLLIN);
    }
}

static void listen_on_loopback(struct echo *echo) {
    echo->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (echo->listener < 0)
        wire_fail("no socket: %s", strerror(errno));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    int on = 1; /* accepted sockets inherit it */
    if (setsockopt(echo->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(echo->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(echo->listener, 4096) != 0 ||
        getsockname(echo->listener, (struct sockaddr *)&address, &address_bytes) != 0)
        wire_fail("cannot listen on loopback: %s", strerror(errno));
    watch(echo, EPOLL_CTL_ADD, echo->listener, EPOLLIN);
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_RAW_ECHO, argc, argv, &options);
    struct echo echo = {.descriptors_max = wire_descriptors_max()};
    echo.rests = wire_zeroed(echo.descriptors_max, sizeof *echo.rests);
    echo.received = wire_bytes(RECEIVE_BYTES);
    echo.broadcasts = options.broadcast;
    if (echo.broadcasts)
        echo.members = wire_zeroed(echo.descriptors_max, sizeof *echo.members);
    echo.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (echo.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    listen_on_loopback(&echo);

    for (;;) { /* until a signal ends the process */
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(echo.epoll, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            wire_fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == echo.listener)
                accept_some(&echo);
            else if (echo.rests[fd].bytes != NULL)
                on_writable(&echo, fd);
            else
                on_readable(&echo, fd);
        }
    }
}
