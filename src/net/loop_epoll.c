/*
 * The loop over epoll, level-triggered: one epoll_wait per turn, one recv per sock that is ready.
 *
 * What epoll watches for a sock (`interest`) is allowed to lag behind what its owner wants. It is widened at
 * once, for else an event would be missed, and narrowed only when an event arrives that nobody wants. A pause
 * that is lifted before the peer says more, a send that ends and begins again, an EOF answered by closing:
 * none of these costs an epoll_ctl. The price is one idle turn per sock before it falls silent.
 *
 * EPOLLHUP and EPOLLERR cannot be left out of an interest. A sock that has them and waits for its owner is
 * muted: edge triggered, it speaks again only when something changes.
 *
 * A turn's events lie in `ready`, handed out one by one from `at`. Closing a sock blanks its entry there (a
 * sock has at most one), so that nothing comes out of memory that may be another connection by then:
 *
 *       ready   |..done..|..done..| at | sock | NULL | sock |        NULL: closed in this turn
 *
 * A paused or finished sock (quiet_event) is told the loss of its peer but reads nothing. Whether a FIN is
 * already the next thing in the stream, or still stands behind unread bytes, is seen by peeking at one byte.
 */
#include "net/backend.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/usual.h"
#include "net/join.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READY_MAX = 512,
    ACCEPT_MAX = 64, /* connections per listening sock and turn */
};

/* wf_sock.flags of a stream; a listening sock knows PAUSED and FAILED_TOLD. */
enum {
    PAUSED = 1,      /* its owner wants no input */
    SENDING = 2,     /* a WF_LOOP_SENT is owed */
    EOF_TOLD = 4,    /* input is over */
    FAILED_TOLD = 8, /* everything is */
};

/* wf_sock.interest is what epoll was told: EPOLLIN, EPOLLRDHUP and EPOLLOUT, or MUTED alone. */
enum { MUTED = 0x8000, INPUT = EPOLLIN | EPOLLRDHUP };

_Static_assert((INPUT | EPOLLOUT) < MUTED, "an interest fits in 16 bits");

struct epoll_loop {
    wf_loop base;
    uint8_t *recv_data; /* recv_bytes, and WF_RECV_SLACK behind them */
    int epoll_fd;
    int count, at; /* entries of ready; the one to be looked at next */
    struct epoll_event ready[READY_MAX];
    int taken;      /* connections that the entry at `at` has given */
    bool sent_told; /* the entry at `at` has given its WF_LOOP_SENT */
    wf_join join;   /* of a send */
};

/* What a look at an entry came to. */
enum step {
    NOTHING,    /* no event; done with the entry */
    GIVEN,      /* an event; done with the entry */
    GIVEN_MORE, /* an event; the entry may have another */
};

static struct epoll_loop *epoll_of(wf_loop *loop) {
    return (struct epoll_loop *)loop;
}

/* For a stream, which is always registered: a change needs no memory and cannot fail. */
static void set_interest(struct epoll_loop *loop, wf_sock *sock, unsigned interest) {
    if (sock->interest == interest)
        return;
    struct epoll_event change = {.events = interest == MUTED ? EPOLLET : interest, .data.ptr = sock};
    int status = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, sock->fd, &change);
    wf_assert(status == 0);
    sock->interest = (uint16_t)interest;
}

/* Listening socks may share one socket across loops (dup): of those that sleep, the kernel wakes one
 * (EPOLLEXCLUSIVE). Such an interest cannot be changed, only put in and taken out. */
static int listen_in(struct epoll_loop *loop, wf_sock *sock) {
    if (sock->interest)
        return 0;
    struct epoll_event added = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = sock};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, sock->fd, &added) < 0)
        return WF_ESYS;
    sock->interest = EPOLLIN;
    return 0;
}

static void listen_out(struct epoll_loop *loop, wf_sock *sock) {
    if (sock->interest)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, sock->fd, NULL);
    sock->interest = 0;
}

static int open_epoll(wf_loop *base) {
    struct epoll_loop *loop = epoll_of(base);
    loop->recv_data = wf_mem_zalloc(base->recv_bytes + WF_RECV_SLACK);
    if (!loop->recv_data) {
        errno = ENOMEM;
        return WF_ESYS;
    }
    struct epoll_event added = {.events = EPOLLIN | EPOLLET, .data.ptr = loop};
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd >= 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, base->wake_fd, &added) == 0)
        return 0;
    int saved = errno;
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    wf_mem_free(loop->recv_data);
    errno = saved;
    return WF_ESYS;
}

static void shut_epoll(wf_loop *base) {
    close(epoll_of(base)->epoll_fd);
    wf_mem_free(epoll_of(base)->recv_data);
}

static int fd_epoll(wf_loop *base) {
    return ((const struct epoll_loop *)base)->epoll_fd;
}

/* The rest is over: listens again, or rests again when there is no memory for it. */
static void end_rest(struct epoll_loop *loop) {
    wf_acceptor *acceptor = &loop->base.acceptor;
    for (size_t i = 0; i < acceptor->count; i++) {
        wf_sock *sock = acceptor->listeners[i];
        if (!(sock->flags & (PAUSED | FAILED_TOLD)) && listen_in(loop, sock) < 0)
            wf_acceptor_rest(acceptor);
    }
}

static int wait_epoll(wf_loop *base, int64_t timeout_ms) {
    struct epoll_loop *loop = epoll_of(base);
    if (loop->at < loop->count)
        return 0;
    if (wf_acceptor_rested(&base->acceptor, &timeout_ms))
        end_rest(loop);
    int timeout = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    loop->at = loop->count = 0;
    int count = epoll_wait(loop->epoll_fd, loop->ready, READY_MAX, timeout);
    if (count < 0)
        return errno == EINTR ? 0 : WF_ESYS;
    loop->count = count;
    return 0;
}

static enum step give_failed(wf_sock *sock, int sys_errno, wf_loop_event *out_event) {
    sock->flags |= FAILED_TOLD;
    sock->flags &= (uint8_t)~SENDING;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_FAILED, .sock = sock, .sys_errno = sys_errno};
    return GIVEN;
}

static enum step give_eof(wf_sock *sock, wf_loop_event *out_event) {
    sock->flags |= EOF_TOLD;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_EOF, .sock = sock};
    return GIVEN;
}

static enum step listen_event(struct epoll_loop *loop, wf_sock *sock, wf_loop_event *out_event) {
    if (sock->flags & (PAUSED | FAILED_TOLD) || loop->taken == ACCEPT_MAX)
        return NOTHING;
    int fd;
    switch (wf_acceptor_take(&loop->base.acceptor, sock->fd, &fd)) {
    case WF_ACCEPT_TAKEN:
        loop->taken++;
        *out_event = (wf_loop_event) {.kind = WF_LOOP_ACCEPTED, .sock = sock, .fd = fd};
        return GIVEN_MORE;
    case WF_ACCEPT_NONE:
    case WF_ACCEPT_AGAIN: /* epoll will tell again */
        return NOTHING;
    case WF_ACCEPT_REST:
        listen_out(loop, sock);
        return NOTHING;
    case WF_ACCEPT_FAILED:
        break;
    }
    int sys_errno = errno;
    listen_out(loop, sock);
    return give_failed(sock, sys_errno, out_event);
}

/* An event for a stream that reads nothing now, or got nothing by it: tells what its owner has to know, and makes it
 * silent. */
static enum step quiet_event(struct epoll_loop *loop, wf_sock *sock, uint32_t events, wf_loop_event *out_event) {
    bool over = events & (EPOLLHUP | EPOLLERR);
    if (sock->flags & FAILED_TOLD || (sock->interest == MUTED && !(events & EPOLLERR))) {
        set_interest(loop, sock, MUTED);
        return NOTHING;
    }
    if (events & EPOLLERR) {
        int sys_errno = 0;
        socklen_t len = sizeof sys_errno;
        getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len);
        if (sys_errno)
            return give_failed(sock, sys_errno, out_event);
    }
    if (!(sock->flags & EOF_TOLD) && events & (EPOLLHUP | EPOLLRDHUP)) {
        char byte;
        ssize_t peeked = recv(sock->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (peeked == 0)
            return give_eof(sock, out_event);
        if (peeked < 0)
            return errno == EAGAIN || errno == EINTR ? NOTHING : give_failed(sock, errno, out_event);
    }
    /* Its owner reads, and recv only had nothing this time (EINTR, a kernel short of memory): silenced now, it would
     * never hear of the bytes and the FIN that are there. */
    if (!(sock->flags & (PAUSED | EOF_TOLD)))
        return NOTHING;
    /* Here input is over, or bytes wait for the resume: before that, no FIN behind them is news. */
    set_interest(loop, sock, over ? MUTED : sock->flags & SENDING ? EPOLLOUT : 0);
    return NOTHING;
}

static __attribute__((noinline)) enum step not_received(struct epoll_loop *loop, wf_sock *sock, uint32_t events,
                                                        ssize_t got, wf_loop_event *out_event) {
    if (got == 0)
        return give_eof(sock, out_event);
    if (errno != EAGAIN && errno != EINTR)
        return give_failed(sock, errno, out_event);
    return events & (EPOLLHUP | EPOLLERR) ? quiet_event(loop, sock, events, out_event) : NOTHING;
}

static inline enum step receive(struct epoll_loop *loop, wf_sock *sock, uint32_t events, wf_loop_event *out_event) {
    ssize_t got = recv(sock->fd, loop->recv_data, loop->base.recv_bytes, MSG_DONTWAIT);
    if (!wf_usual(got > 0))
        return not_received(loop, sock, events, got, out_event);
    /* Member by member: the others need no clearing, and this is each message's way. */
    out_event->kind = WF_LOOP_RECEIVED;
    out_event->sock = sock;
    out_event->data = loop->recv_data;
    out_event->len = (size_t)got;
    return GIVEN;
}

static enum step connect_event(struct epoll_loop *loop, wf_sock *sock, wf_loop_event *out_event) {
    int sys_errno = 0;
    socklen_t len = sizeof sys_errno;
    if (sock->interest == MUTED)
        return NOTHING;
    set_interest(loop, sock, MUTED);
    getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len);
    if (sys_errno)
        return give_failed(sock, sys_errno, out_event);
    *out_event = (wf_loop_event) {.kind = WF_LOOP_SENT, .sock = sock};
    return GIVEN;
}

static enum step stream_event(struct epoll_loop *loop, wf_sock *sock, uint32_t events, wf_loop_event *out_event) {
    bool writable = events & (EPOLLOUT | EPOLLHUP) && !(events & EPOLLERR);
    if (writable && sock->flags & SENDING && !loop->sent_told) {
        loop->sent_told = true;
        sock->flags &= (uint8_t)~SENDING;
        *out_event = (wf_loop_event) {.kind = WF_LOOP_SENT, .sock = sock};
        return events == EPOLLOUT ? GIVEN : GIVEN_MORE;
    }
    if (events == EPOLLOUT) {
        set_interest(loop, sock, sock->interest & ~(unsigned)EPOLLOUT);
        return NOTHING;
    }
    if (sock->flags & (PAUSED | EOF_TOLD | FAILED_TOLD))
        return quiet_event(loop, sock, events, out_event);
    return receive(loop, sock, events, out_event);
}

static __attribute__((noinline)) enum step any_event(struct epoll_loop *loop, const struct epoll_event *ready,
                                                     wf_loop_event *out_event) {
    wf_sock *sock = ready->data.ptr;
    if (ready->data.ptr == loop) {
        wf_loop_wake_seen(&loop->base);
        *out_event = (wf_loop_event) {.kind = WF_LOOP_WOKEN};
        return GIVEN;
    }
    if (!sock)
        return NOTHING;
    if (sock->kind == WF_SOCK_CONNECT)
        return connect_event(loop, sock, out_event);
    return sock->kind == WF_SOCK_LISTEN ? listen_event(loop, sock, out_event)
                                        : stream_event(loop, sock, ready->events, out_event);
}

/* Input, and nothing else, for a stream whose owner reads. */
static inline bool is_input(const struct epoll_loop *loop, const struct epoll_event *ready) {
    const wf_sock *sock = ready->data.ptr;
    return ready->events == EPOLLIN && sock && ready->data.ptr != loop && sock->kind == WF_SOCK_STREAM &&
           !(sock->flags & (PAUSED | EOF_TOLD | FAILED_TOLD));
}

static int next_epoll(wf_loop *base, wf_loop_event *out_event) {
    struct epoll_loop *loop = epoll_of(base);
    while (wf_usual(loop->at < loop->count)) {
        const struct epoll_event *ready = &loop->ready[loop->at];
        enum step step = wf_usual(is_input(loop, ready)) ? receive(loop, ready->data.ptr, EPOLLIN, out_event)
                                                         : any_event(loop, ready, out_event);
        if (wf_usual(step != GIVEN_MORE)) {
            loop->at++;
            loop->taken = 0;
            loop->sent_told = false;
        }
        if (wf_usual(step != NOTHING))
            return WF_OK;
    }
    return WF_WANT_INPUT;
}

static int adopt_epoll(wf_loop *base, wf_sock *sock) {
    struct epoll_loop *loop = epoll_of(base);
    if (sock->kind == WF_SOCK_LISTEN)
        return listen_in(loop, sock);
    unsigned interest = sock->kind == WF_SOCK_CONNECT ? EPOLLOUT : INPUT;
    struct epoll_event added = {.events = interest, .data.ptr = sock};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, sock->fd, &added) < 0)
        return WF_ESYS;
    sock->interest = (uint16_t)interest;
    return 0;
}

static void pause_epoll(wf_loop *base, wf_sock *sock) {
    sock->flags |= PAUSED;
    if (sock->kind == WF_SOCK_LISTEN)
        listen_out(epoll_of(base), sock);
}

static void resume_epoll(wf_loop *base, wf_sock *sock) {
    sock->flags &= (uint8_t)~PAUSED;
    if (sock->flags & (EOF_TOLD | FAILED_TOLD))
        return;
    if (sock->kind == WF_SOCK_STREAM)
        set_interest(epoll_of(base), sock, INPUT | (sock->interest & EPOLLOUT));
    else if (base->acceptor.rest_until_ms == 0 && listen_in(epoll_of(base), sock) < 0)
        wf_acceptor_rest(&base->acceptor);
}

static int64_t send_epoll(wf_loop *base, wf_sock *sock, const struct iovec *ranges, int count) {
    struct epoll_loop *loop = epoll_of(base);
    wf_assert(!(sock->flags & SENDING));
    if (sock->flags & FAILED_TOLD) {
        errno = EPIPE;
        return WF_ESYS;
    }
    if (wf_join_pays(ranges, count)) {
        count = wf_join_ranges(&loop->join, ranges, count);
        ranges = loop->join.ranges;
    }
    int64_t sent = wf_send_ranges(sock->fd, ranges, count);
    wf_assert(sent != 0); /* nothing was given */
    if (sent > 0)
        return sent;
    if (errno != EAGAIN)
        return WF_ESYS;
    sock->flags |= SENDING;
    set_interest(loop, sock, (sock->interest & INPUT) | EPOLLOUT);
    return WF_SEND_LATER;
}

static void shutdown_epoll(wf_loop *base, wf_sock *sock) {
    (void)base;
    shutdown(sock->fd, SHUT_WR);
}

static void flush_epoll(wf_loop *base) {
    (void)base; /* nothing waits */
}

static void close_epoll(wf_loop *base, wf_sock *sock) {
    struct epoll_loop *loop = epoll_of(base);
    for (int i = loop->at; i < loop->count; i++) {
        if (loop->ready[i].data.ptr == sock) {
            loop->ready[i].data.ptr = NULL;
            break;
        }
    }
    /* Closing alone does not end the watch while a copy of the descriptor lives (dup, or a fork before its
     * exec). */
    if (sock->interest || sock->kind != WF_SOCK_LISTEN)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, sock->fd, NULL);
    close(sock->fd);
}

const struct wf_loop_backend wf_loop_epoll = {
    .name = "epoll",
    .size = sizeof(struct epoll_loop),
    .open = open_epoll,
    .shut = shut_epoll,
    .fd = fd_epoll,
    .wait = wait_epoll,
    .next = next_epoll,
    .adopt = adopt_epoll,
    .pause = pause_epoll,
    .resume = resume_epoll,
    .send = send_epoll,
    .send_soon = send_epoll,
    .shutdown = shutdown_epoll,
    .flush = flush_epoll,
    .close = close_epoll,
};
