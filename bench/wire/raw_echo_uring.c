/*
 * The floor on io_uring: what raw_echo.c does, with the fewest entries into the kernel. One ring with
 * SINGLE_ISSUER and DEFER_TASKRUN; a multishot accept; for each connection a multishot receive into buffers
 * that the kernel takes from a shared ring of them; one submit-and-wait per turn, in which all sends of the
 * last turn go out and all completions of the next come in.
 *
 * A received buffer is sent from where it lies, and goes back to the kernel when it has left. A connection
 * has one send on its way, so that bytes keep their order; buffers that come meanwhile wait in a list. When
 * all buffers wait for slow readers, nothing is read until one has left: memory is bounded, but a reader who
 * never reads can stop the rest, which is good enough for a floor and for nothing else.
 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

#define QUEUE_ENTRIES      4096
#define COMPLETION_ENTRIES 16384
#define BUFFERS            256 /* a power of two */
#define BUFFER_BYTES       (128UL * 1024)
#define NONE               (-1)

enum operation { ACCEPT, RECEIVE, SEND };

struct buffer {
    size_t at, end; /* what has not left yet */
    int next;       /* of the same connection */
};

struct conn {
    int first, last; /* buffers that wait; the first one is being sent */
    bool receiving, starved, closing;
    int next_starved;
};

struct echo {
    struct io_uring ring;
    struct io_uring_buf_ring *pool;
    unsigned char *memory;
    struct buffer buffers[BUFFERS];
    struct conn *conns; /* by descriptor */
    size_t descriptors_max;
    int listener;
    int starved; /* connections that wait for a buffer */
};

static struct io_uring_sqe *entry(struct echo *echo) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&echo->ring);
    if (sqe == NULL) {
        io_uring_submit(&echo->ring);
        sqe = io_uring_get_sqe(&echo->ring);
    }
    if (sqe == NULL)
        wire_fail("the submission queue stays full");
    return sqe;
}

/* Who a completion is for. */
static void tag(struct io_uring_sqe *sqe, enum operation operation, int fd) {
    sqe->user_data = (uint64_t)fd << 2 | operation;
}

static void accept_all(struct echo *echo) {
    struct io_uring_sqe *sqe = entry(echo);
    io_uring_prep_multishot_accept(sqe, echo->listener, NULL, NULL, SOCK_CLOEXEC);
    tag(sqe, ACCEPT, echo->listener);
}

static void receive(struct echo *echo, int fd) {
    struct io_uring_sqe *sqe = entry(echo);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    tag(sqe, RECEIVE, fd);
    echo->conns[fd].receiving = true;
}

static void send_first(struct echo *echo, int fd) {
    int index = echo->conns[fd].first;
    const struct buffer *buffer = &echo->buffers[index];
    struct io_uring_sqe *sqe = entry(echo);
    io_uring_prep_send(sqe, fd, echo->memory + (size_t)index * BUFFER_BYTES + buffer->at, buffer->end - buffer->at,
                       MSG_NOSIGNAL | MSG_WAITALL);
    tag(sqe, SEND, fd);
}

static void give_back(struct echo *echo, int index) {
    io_uring_buf_ring_add(echo->pool, echo->memory + (size_t)index * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)index,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(echo->pool, 1);
}

/* Frees a connection once the kernel has nothing more to say about it. */
static void close_when_quiet(struct echo *echo, int fd) {
    struct conn *conn = &echo->conns[fd];
    if (!conn->closing || conn->receiving || conn->starved || conn->first != NONE)
        return;
    close(fd);
}

static void end(struct echo *echo, int fd) {
    struct conn *conn = &echo->conns[fd];
    if (!conn->closing)
        shutdown(fd, SHUT_RDWR); /* the receive ends, and whatever is being sent */
    conn->closing = true;
    close_when_quiet(echo, fd);
}

static void on_accepted(struct echo *echo, const struct io_uring_cqe *cqe) {
    if (!(cqe->flags & IORING_CQE_F_MORE))
        accept_all(echo);
    if (cqe->res == -ECONNABORTED)
        return;
    if (cqe->res < 0)
        wire_fail("accept: %s", strerror(-cqe->res));
    if ((size_t)cqe->res >= echo->descriptors_max)
        wire_fail("descriptor %d is over the limit", cqe->res);
    echo->conns[cqe->res] = (struct conn) {.first = NONE, .last = NONE};
    receive(echo, cqe->res);
}

static void on_received(struct echo *echo, int fd, const struct io_uring_cqe *cqe) {
    struct conn *conn = &echo->conns[fd];
    conn->receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->res > 0) {
        int index = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        echo->buffers[index] = (struct buffer) {.end = (size_t)cqe->res, .next = NONE};
        if (conn->first != NONE) {
            echo->buffers[conn->last].next = index;
        } else {
            conn->first = index;
            send_first(echo, fd);
        }
        conn->last = index;
    }
    if (conn->receiving)
        return;
    if (cqe->res == -ENOBUFS && !conn->closing) {
        conn->starved = true;
        conn->next_starved = echo->starved;
        echo->starved = fd;
    } else if (cqe->res > 0 && !conn->closing) {
        receive(echo, fd);
    } else {
        end(echo, fd);
    }
}

static void on_sent(struct echo *echo, int fd, int sent) {
    struct conn *conn = &echo->conns[fd];
    struct buffer *buffer = &echo->buffers[conn->first];
    if (sent > 0)
        buffer->at += (size_t)sent;
    if (sent > 0 && buffer->at < buffer->end && !conn->closing) {
        send_first(echo, fd);
        return;
    }
    bool over = sent <= 0 || conn->closing;
    do {
        int index = conn->first;
        conn->first = echo->buffers[index].next;
        give_back(echo, index);
    } while (over && conn->first != NONE);
    if (over)
        end(echo, fd);
    else if (conn->first != NONE)
        send_first(echo, fd);
}

/* Buffers may have come back: those that found none try again. */
static void feed_starved(struct echo *echo) {
    int fd = echo->starved;
    echo->starved = NONE;
    while (fd != NONE) {
        struct conn *conn = &echo->conns[fd];
        int next = conn->next_starved;
        conn->starved = false;
        if (conn->closing)
            close_when_quiet(echo, fd);
        else
            receive(echo, fd);
        fd = next;
    }
}

static void make_ring(struct echo *echo) {
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = COMPLETION_ENTRIES};
    int error = io_uring_queue_init_params(QUEUE_ENTRIES, &echo->ring, &params);
    if (error != 0)
        wire_fail("no io_uring here: %s", strerror(-error));
    size_t pool_bytes = BUFFERS * sizeof(struct io_uring_buf);
    echo->pool = mmap(NULL, pool_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    echo->memory = mmap(NULL, BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (echo->pool == MAP_FAILED || echo->memory == MAP_FAILED)
        wire_fail("no memory for buffers");
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)echo->pool, .ring_entries = BUFFERS};
    error = io_uring_register_buf_ring(&echo->ring, &reg, 0);
    if (error != 0)
        wire_fail("this kernel takes no ring of buffers: %s", strerror(-error));
    io_uring_buf_ring_init(echo->pool);
    for (int i = 0; i < BUFFERS; i++)
        give_back(echo, i);
}

static void listen_on_loopback(struct echo *echo) {
    echo->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
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
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_RAW_ECHO, argc, argv, &options);
    if (options.broadcast)
        wire_fail("the floor of fan-out is raw_echo's alone");
    static struct echo echo;
    echo.starved = NONE;
    echo.descriptors_max = wire_descriptors_max();
    echo.conns = wire_zeroed(echo.descriptors_max, sizeof *echo.conns);
    make_ring(&echo);
    listen_on_loopback(&echo);
    accept_all(&echo);

    for (;;) { /* until a signal ends the process */
        int error = io_uring_submit_and_wait(&echo.ring, 1);
        if (error < 0 && error != -EINTR && error != -EBUSY)
            wire_fail("io_uring_enter: %s", strerror(-error));
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_for_each_cqe(&echo.ring, head, cqe) {
            int fd = (int)(cqe->user_data >> 2);
            count++;
            switch ((enum operation)(cqe->user_data & 3)) {
            case ACCEPT:
                on_accepted(&echo, cqe);
                break;
            case RECEIVE:
                on_received(&echo, fd, cqe);
                break;
            case SEND:
                on_sent(&echo, fd, cqe->res);
                break;
            }
        }
        io_uring_cq_advance(&echo.ring, count);
        feed_starved(&echo);
    }
}
