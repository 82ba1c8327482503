/*
 * The loop over io_uring: one system call per turn. It submits all that was sent and asked for in the last turn, and
 * brings what has been received since.
 *
 * A stream is read by one multishot receive that stays with the kernel. A small send is copied into the ring's arena
 * and leaves with the next entry; if the kernel then takes only a part, the rest waits in the slot's spill, and the
 * owner's next send is answered WF_SEND_LATER until it has gone. A large send, or one that may not wait, is a system
 * call of its own, as with epoll: nothing is copied then.
 *
 * A slot (net/uring_slots.h) is what the kernel's answers lead to. It outlives its sock: a closed sock's requests are
 * cancelled, and the slot is free again when the last of them has answered.
 *
 * A paused stream goes on receiving until something comes: that is kept in its spill, the receive is cancelled, and a
 * poll watches for the loss of the peer. What is kept is given out again after the resume, through the list of due
 * slots, which also carries what a completion could not tell at once.
 *
 * The ring holds the files of what it was asked to watch, for some milliseconds even beyond the death of its process. So it
 * watches no listening socket, for the address would be taken as long, but an epoll descriptor that they are in.
 */
#include "net/backend.h"
#include "net/uring.h"
#include "net/uring_slots.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_MAX = 64 };

/* wf_sock.flags, as with epoll. */
enum {
    PAUSED = 1,
    SENDING = 2, /* a WF_LOOP_SENT is owed */
    EOF_TOLD = 4,
    FAILED_TOLD = 8,
};

/* slot.armed: requests that the kernel has. */
enum { RECV = 1, OUT = 2, WATCH = 4 };

struct uring_loop {
    wf_loop base;
    wf_uring ring;
    wf_uring_slots slots;
    uint32_t due_left; /* how many of them may still be looked at in this turn */
    uint32_t fed;      /* the last slot that was received for in this turn */
    uint32_t sated;    /* it took what the buffers held: the others are armed before it; or WF_NO_SLOT */
    bool given;        /* the last event gave out bytes of the ring's */
    wf_buf kept;       /* or these */
    int listen_fd;     /* epoll, with the listening sockets in it; -1: there was none yet */
    bool wake_armed, listen_armed;
};

static struct uring_loop *uring_of(wf_loop *loop) {
    return (struct uring_loop *)loop;
}

static int fd_uring(wf_loop *base) {
    return wf_uring_event_fd(&uring_of(base)->ring);
}

static wf_uring_slot *slot_of(struct uring_loop *loop, const wf_sock *sock) {
    return &loop->slots.list[sock->slot];
}

static uint32_t index_of(const struct uring_loop *loop, const wf_uring_slot *slot) {
    return (uint32_t)(slot - loop->slots.list);
}

static void slot_due(struct uring_loop *loop, wf_uring_slot *slot) {
    wf_uring_slot_due(&loop->slots, slot);
}

/* Keeps bytes; without memory the sock fails. */
static bool keep(struct uring_loop *loop, wf_uring_slot *slot, bool in, const uint8_t *data, size_t len) {
    return wf_uring_slot_keep(&loop->slots, slot, in, data, len);
}

/* ---- requests ---- */

static struct io_uring_sqe *request(struct uring_loop *loop, wf_uring_slot *slot, wf_uring_op op) {
    struct io_uring_sqe *sqe = wf_uring_request(&loop->ring, op, index_of(loop, slot));
    if (!sqe && slot->sock)
        wf_uring_slot_fail(&loop->slots, slot, ENOMEM);
    return sqe;
}

static void arm_recv(struct uring_loop *loop, wf_uring_slot *slot) {
    struct io_uring_sqe *sqe = slot->armed & RECV ? NULL : request(loop, slot, WF_URING_RECV);
    if (!sqe)
        return;
    sqe->opcode = IORING_OP_RECV;
    sqe->fd = slot->sock->fd;
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
    slot->armed |= RECV;
}

/* `multi`: it stays, and speaks whenever something changes. */
static bool arm_poll(struct uring_loop *loop, wf_uring_slot *slot, wf_uring_op op, unsigned events, bool multi) {
    struct io_uring_sqe *sqe = request(loop, slot, op);
    if (!sqe)
        return false;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = slot->sock->fd;
    sqe->poll32_events = events;
    sqe->len = multi ? IORING_POLL_ADD_MULTI : 0;
    return true;
}

static void arm_out(struct uring_loop *loop, wf_uring_slot *slot) {
    if (!(slot->armed & OUT) && arm_poll(loop, slot, WF_URING_OUT, POLLOUT, false))
        slot->armed |= OUT;
}

static void arm_watch(struct uring_loop *loop, wf_uring_slot *slot) {
    if (!(slot->armed & WATCH) && arm_poll(loop, slot, WF_URING_WATCH, POLLRDHUP, true))
        slot->armed |= WATCH;
}

/* A multishot poll of a descriptor of the loop's own. */
static bool arm_own(struct uring_loop *loop, wf_uring_op op, int fd) {
    struct io_uring_sqe *sqe = wf_uring_request(&loop->ring, op, 0);
    if (!sqe)
        return false;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = fd;
    sqe->poll32_events = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
    return true;
}

static void arm_owns(struct uring_loop *loop) {
    if (!loop->wake_armed)
        loop->wake_armed = arm_own(loop, WF_URING_WAKE, loop->base.wake_fd);
    if (!loop->listen_armed && loop->listen_fd >= 0)
        loop->listen_armed = arm_own(loop, WF_URING_LISTEN, loop->listen_fd);
}

/* One receive of a slot, which answers ECANCELED. */
static void cancel_recv(struct uring_loop *loop, wf_uring_slot *slot) {
    struct io_uring_sqe *sqe = slot->armed & RECV ? request(loop, slot, WF_URING_IGNORE) : NULL;
    if (!sqe)
        return;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->addr = wf_uring_name(WF_URING_RECV, index_of(loop, slot));
}

/* ---- sending ---- */

static void shut_if_due(wf_uring_slot *slot) {
    if (slot->flags & WF_SLOT_SHUT_DUE)
        shutdown(slot->sock->fd, SHUT_WR);
    slot->flags &= (uint8_t)~WF_SLOT_SHUT_DUE;
}

/* The kernel's answer to a send from the arena: what it did not take is kept, and goes when there is room. */
static void send_done(struct uring_loop *loop, const struct io_uring_cqe *cqe) {
    wf_uring_slot *slot = &loop->slots.list[wf_uring_slot_of(cqe)];
    size_t sent = cqe->res > 0 ? (size_t)cqe->res : 0;
    slot->flags &= (uint8_t)~WF_SLOT_QUEUED;
    if (!slot->sock) {
        wf_uring_slot_release(&loop->slots, slot);
    } else if (cqe->res < 0 && cqe->res != -EAGAIN && cqe->res != -EINTR) {
        wf_uring_slot_fail(&loop->slots, slot, -cqe->res);
    } else if (sent < slot->send_len) {
        if (keep(loop, slot, false, wf_uring_sent_from(&loop->ring, cqe) + sent, slot->send_len - sent)) {
            slot->flags |= WF_SLOT_WAITS_DUE;
            slot_due(loop, slot);
            arm_out(loop, slot);
        }
    } else {
        shut_if_due(slot);
    }
}

static void look_at_sends(struct uring_loop *loop) {
    const struct io_uring_cqe *cqe;
    while ((cqe = wf_uring_settled(&loop->ring)))
        send_done(loop, cqe);
}

/* Hands the kernel what was laid down, so that the sends among it are done. */
static void settle(struct uring_loop *loop) {
    wf_uring_submit(&loop->ring);
    look_at_sends(loop);
}

/* What is kept goes by a call of its own. True: all of it went. */
static bool send_spilled(struct uring_loop *loop, wf_uring_slot *slot) {
    wf_buf *out = &slot->spill->out;
    struct iovec range = {out->data, out->len};
    ssize_t sent = wf_send_ranges(slot->sock->fd, &range, 1);
    if (sent < 0 && errno != EAGAIN) {
        wf_uring_slot_fail(&loop->slots, slot, errno);
        return false;
    }
    if (sent > 0)
        wf_buf_consume(out, (size_t)sent);
    if (out->len > 0) {
        arm_out(loop, slot);
        return false;
    }
    if (slot->spill->in.len == 0)
        wf_uring_spill_free(&loop->slots, slot);
    shut_if_due(slot);
    return true;
}

static int64_t send_later(struct uring_loop *loop, wf_uring_slot *slot) {
    slot->sock->flags |= SENDING;
    arm_out(loop, slot);
    return WF_SEND_LATER;
}

static int64_t send_uring(wf_loop *base, wf_sock *sock, const struct iovec *ranges, int count) {
    struct uring_loop *loop = uring_of(base);
    wf_assert(!(sock->flags & SENDING));
    if (slot_of(loop, sock)->flags & WF_SLOT_QUEUED)
        settle(loop);
    wf_uring_slot *slot = slot_of(loop, sock);
    if (sock->flags & FAILED_TOLD || slot->flags & WF_SLOT_FAIL_DUE) {
        errno = EPIPE;
        return WF_ESYS;
    }
    if (wf_uring_has_out(slot) || slot->flags & WF_SLOT_QUEUED) /* the kernel may owe us the answer of the last one */
        return send_later(loop, slot);
    ssize_t sent = wf_send_ranges(sock->fd, ranges, count);
    wf_assert(sent != 0); /* nothing was given */
    if (sent > 0)
        return sent;
    return errno == EAGAIN ? send_later(loop, slot) : WF_ESYS;
}

static int64_t send_soon_uring(wf_loop *base, wf_sock *sock, const struct iovec *ranges, int count) {
    struct uring_loop *loop = uring_of(base);
    size_t len = 0;
    for (int i = 0; i < count && len <= WF_URING_SEND_MAX; i++)
        len += ranges[i].iov_len;
    wf_uring_slot *slot = slot_of(loop, sock);
    if (len > WF_URING_SEND_MAX || slot->flags & (WF_SLOT_QUEUED | WF_SLOT_FAIL_DUE) || slot->spill ||
        sock->flags & FAILED_TOLD)
        return send_uring(base, sock, ranges, count);
    uint8_t *room = wf_uring_arena(&loop->ring, len);
    if (!room) {
        settle(loop);
        room = wf_uring_arena(&loop->ring, len);
        slot = slot_of(loop, sock);
    }
    struct io_uring_sqe *sqe = room ? wf_uring_request(&loop->ring, WF_URING_SEND, sock->slot) : NULL;
    if (!sqe)
        return send_uring(base, sock, ranges, count);
    wf_uring_fill_send(&loop->ring, sqe, room, len);
    sqe->fd = sock->fd;
    for (int i = 0; i < count; room += ranges[i++].iov_len)
        memcpy(room, ranges[i].iov_base, ranges[i].iov_len);
    slot->flags |= WF_SLOT_QUEUED;
    slot->send_len = (uint16_t)len;
    return (int64_t)len;
}

static void shutdown_uring(wf_loop *base, wf_sock *sock) {
    struct uring_loop *loop = uring_of(base);
    if (slot_of(loop, sock)->flags & WF_SLOT_QUEUED)
        settle(loop);
    wf_uring_slot *slot = slot_of(loop, sock);
    slot->flags |= WF_SLOT_SHUT_DUE;
    if (!wf_uring_has_out(slot) && !(slot->flags & WF_SLOT_QUEUED))
        shut_if_due(slot);
}

/* ---- events ---- */

enum step { NOTHING, GIVEN };

static enum step give_failed(wf_uring_slot *slot, int sys_errno, wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    if (sock->flags & FAILED_TOLD)
        return NOTHING;
    sock->flags |= FAILED_TOLD;
    sock->flags &= (uint8_t)~SENDING;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_FAILED, .sock = sock, .sys_errno = sys_errno};
    return GIVEN;
}

static enum step give_eof(struct uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    slot->sock->flags |= EOF_TOLD;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_EOF, .sock = slot->sock};
    slot_due(loop, slot); /* to be watched, if its owner does not close it now, as most do */
    return GIVEN;
}

static enum step give_sent(wf_uring_slot *slot, wf_loop_event *out_event) {
    slot->sock->flags &= (uint8_t)~SENDING;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_SENT, .sock = slot->sock};
    return GIVEN;
}

static enum step give_waits(wf_uring_slot *slot, wf_loop_event *out_event) {
    slot->sock->flags |= SENDING;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_WAITS, .sock = slot->sock};
    return GIVEN;
}

/* Bytes: to the owner at once, or kept, behind what is kept. `cqe` becomes the last of those that brought them. */
static enum step recv_bytes(struct uring_loop *loop, wf_uring_slot *slot, struct io_uring_cqe *cqe,
                            wf_loop_event *out_event) {
    uint8_t *data;
    size_t len = wf_uring_take(&loop->ring, &data, cqe);
    loop->fed = index_of(loop, slot);
    wf_sock *sock = slot->sock;
    if (sock && !(sock->flags & (PAUSED | FAILED_TOLD)) && !wf_uring_has_in(slot)) {
        *out_event = (wf_loop_event) {.kind = WF_LOOP_RECEIVED, .sock = sock, .data = data, .len = len};
        loop->given = true;
        return GIVEN;
    }
    if (sock && !(sock->flags & FAILED_TOLD) && keep(loop, slot, true, data, len))
        cancel_recv(loop, slot);
    wf_uring_give_back(&loop->ring);
    return NOTHING;
}

static int socket_error(int fd) {
    int sys_errno = 0;
    socklen_t len = sizeof sys_errno;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len);
    return sys_errno;
}

/* A paused stream that ended, with nothing unread. */
static enum step paused_eof(struct uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    uint8_t byte;
    if (slot->sock->flags & EOF_TOLD || wf_uring_has_in(slot) ||
        recv(slot->sock->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
        return NOTHING;
    return give_eof(loop, slot, out_event);
}

/* A paused stream whose receive is over. While there was one, it was to tell of the peer's loss: a watch that was armed
 * before may have spoken in vain. */
static enum step watch_paused(struct uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    if (!(slot->armed & WATCH)) {
        arm_watch(loop, slot);
        return NOTHING;
    }
    int sys_errno = socket_error(slot->sock->fd);
    return sys_errno ? give_failed(slot, sys_errno, out_event) : paused_eof(loop, slot, out_event);
}

/* It is armed again when the buffers of this turn are free. Receives are served in the order in which they are armed, so
 * that who was just served goes behind those who wait with it. */
static void out_of_buffers(struct uring_loop *loop, wf_uring_slot *slot) {
    if (loop->fed == index_of(loop, slot))
        loop->sated = loop->fed;
    slot_due(loop, slot);
}

static enum step on_recv(struct uring_loop *loop, wf_uring_slot *slot, struct io_uring_cqe *cqe,
                         wf_loop_event *out_event) {
    enum step step = NOTHING;
    if (cqe->res > 0)
        step = recv_bytes(loop, slot, cqe, out_event);
    else
        wf_uring_seen(&loop->ring);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        slot->armed &= (uint8_t)~RECV;
    wf_sock *sock = slot->sock;
    if (!sock || sock->flags & (EOF_TOLD | FAILED_TOLD))
        return step;
    if (cqe->res == 0 && !wf_uring_has_in(slot))
        return give_eof(loop, slot, out_event);
    if (cqe->res == 0)
        slot->flags |= WF_SLOT_EOF_DUE;
    if (cqe->res == -ENOBUFS)
        out_of_buffers(loop, slot);
    else if (cqe->res < 0 && cqe->res != -ECANCELED && cqe->res != -EINTR && cqe->res != -EAGAIN)
        return give_failed(slot, -cqe->res, out_event);
    else if (!(sock->flags & PAUSED) && !wf_uring_has_in(slot))
        arm_recv(loop, slot); /* it was resumed while the cancelling was under way */
    else if (sock->flags & PAUSED && !(slot->armed & RECV))
        return watch_paused(loop, slot, out_event);
    return step;
}

static enum step on_out(struct uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    slot->armed &= (uint8_t)~OUT;
    if (!sock || sock->flags & FAILED_TOLD)
        return NOTHING;
    int sys_errno = sock->kind == WF_SOCK_CONNECT ? socket_error(sock->fd) : 0;
    if (sys_errno)
        return give_failed(slot, sys_errno, out_event);
    size_t kept = wf_uring_has_out(slot) ? slot->spill->out.len : 0;
    if (kept > 0 && !send_spilled(loop, slot))
        return slot->spill->out.len < kept ? give_waits(slot, out_event) : NOTHING;
    return sock->flags & SENDING || sock->kind == WF_SOCK_CONNECT ? give_sent(slot, out_event) : NOTHING;
}

/* What is to be told of a stream that is not read: that it broke, or that it ended with nothing unread. */
static enum step on_watch(struct uring_loop *loop, wf_uring_slot *slot, const struct io_uring_cqe *cqe,
                          wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        slot->armed &= (uint8_t)~WATCH;
    if (!sock || sock->flags & FAILED_TOLD || slot->armed & RECV)
        return NOTHING; /* the receive will tell */
    if (cqe->res > 0 && cqe->res & POLLERR) {
        int sys_errno = socket_error(sock->fd);
        return give_failed(slot, sys_errno ? sys_errno : ECONNRESET, out_event);
    }
    if (!(sock->flags & PAUSED))
        return NOTHING;
    enum step step = paused_eof(loop, slot, out_event);
    if (step == NOTHING && !(slot->armed & WATCH) && cqe->res >= 0)
        arm_watch(loop, slot);
    return step;
}

/* Somebody wants to connect, or may have wanted to while accepting rested. There are one or two listeners, mostly: which of
 * them it was is not asked. */
static void listeners_due(struct uring_loop *loop) {
    for (size_t i = 0; i < loop->base.acceptor.count; i++)
        slot_due(loop, slot_of(loop, loop->base.acceptor.listeners[i]));
}

/* The list of due slots holds listening socks too: each gives one connection at a time. */
static enum step accept_one(struct uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    if (sock->flags & (PAUSED | FAILED_TOLD) || loop->base.acceptor.rest_until_ms != 0)
        return NOTHING;
    int fd;
    switch (wf_acceptor_take(&loop->base.acceptor, sock->fd, &fd)) {
    case WF_ACCEPT_TAKEN:
        slot_due(loop, slot); /* another may be waiting */
        *out_event = (wf_loop_event) {.kind = WF_LOOP_ACCEPTED, .sock = sock, .fd = fd};
        return GIVEN;
    case WF_ACCEPT_NONE: /* the poll will tell again */
        return NOTHING;
    case WF_ACCEPT_AGAIN:
        slot_due(loop, slot);
        loop->due_left = 0; /* and the others wait with it */
        return NOTHING;
    case WF_ACCEPT_REST:
        return NOTHING;
    case WF_ACCEPT_FAILED:
        break;
    }
    return give_failed(slot, errno, out_event);
}

/* Kept bytes go to the owner in one piece, from the buffer they were kept in. */
static enum step give_kept(struct uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    wf_buf *in = &slot->spill->in;
    loop->base.held_bytes -= in->cap;
    loop->kept = *in;
    *in = (wf_buf)WF_BUF_INIT;
    if (slot->spill->out.len == 0)
        wf_uring_spill_free(&loop->slots, slot);
    *out_event =
        (wf_loop_event) {.kind = WF_LOOP_RECEIVED, .sock = slot->sock, .data = loop->kept.data, .len = loop->kept.len};
    if (slot->flags & WF_SLOT_EOF_DUE)
        slot_due(loop, slot);
    else
        arm_recv(loop, slot);
    return GIVEN;
}

static enum step on_due(struct uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    if (!sock) {
        wf_uring_slot_release(&loop->slots, slot);
        return NOTHING;
    }
    if (sock->kind == WF_SOCK_LISTEN)
        return accept_one(loop, slot, out_event);
    if (slot->flags & WF_SLOT_FAIL_DUE) {
        slot->flags &= (uint8_t)~WF_SLOT_FAIL_DUE;
        return give_failed(slot, slot->spill ? slot->spill->sys_errno : ENOMEM, out_event);
    }
    if (sock->flags & FAILED_TOLD)
        return NOTHING;
    if (slot->flags & WF_SLOT_WAITS_DUE) {
        slot->flags &= (uint8_t)~WF_SLOT_WAITS_DUE;
        slot_due(loop, slot); /* perhaps of more */
        return wf_uring_has_out(slot) ? give_waits(slot, out_event) : NOTHING;
    }
    if (sock->flags & EOF_TOLD) {
        arm_watch(loop, slot);
        return NOTHING;
    }
    if (sock->flags & PAUSED)
        return slot->armed & RECV ? NOTHING : watch_paused(loop, slot, out_event);
    if (wf_uring_has_in(slot))
        return give_kept(loop, slot, out_event);
    if (slot->flags & WF_SLOT_EOF_DUE)
        return give_eof(loop, slot, out_event);
    if (loop->sated == sock->slot) {
        loop->sated = WF_NO_SLOT;
        slot_due(loop, slot);
        return NOTHING;
    }
    arm_recv(loop, slot);
    return NOTHING;
}

static enum step on_woken(struct uring_loop *loop, const struct io_uring_cqe *cqe, wf_loop_event *out_event) {
    if (!(cqe->flags & IORING_CQE_F_MORE))
        loop->wake_armed = false;
    wf_loop_wake_seen(&loop->base);
    *out_event = (wf_loop_event) {.kind = WF_LOOP_WOKEN};
    return GIVEN;
}

/* The completion at hand, which is seen afterwards. */
static enum step on_completion(struct uring_loop *loop, struct io_uring_cqe cqe, wf_loop_event *out_event) {
    wf_uring_slot *slot = &loop->slots.list[wf_uring_slot_of(&cqe)];
    enum step step = NOTHING;
    if (wf_uring_op_of(&cqe) == WF_URING_RECV) {
        step = on_recv(loop, slot, &cqe, out_event);
    } else {
        wf_uring_seen(&loop->ring);
        switch (wf_uring_op_of(&cqe)) {
        case WF_URING_OUT:
            step = on_out(loop, slot, out_event);
            break;
        case WF_URING_WATCH:
            step = on_watch(loop, slot, &cqe, out_event);
            break;
        case WF_URING_LISTEN:
            loop->listen_armed = cqe.flags & IORING_CQE_F_MORE;
            listeners_due(loop);
            return NOTHING;
        case WF_URING_WAKE:
            return on_woken(loop, &cqe, out_event);
        default:
            return NOTHING;
        }
    }
    if (!slot->sock)
        wf_uring_slot_release(&loop->slots, slot);
    return step;
}

/* The bytes of the last event are the loop's again. */
static void take_back(struct uring_loop *loop) {
    if (loop->given)
        wf_uring_give_back(&loop->ring);
    loop->given = false;
    if (loop->kept.data)
        wf_buf_deinit(&loop->kept);
}

static int next_uring(wf_loop *base, wf_loop_event *out_event) {
    struct uring_loop *loop = uring_of(base);
    take_back(loop);
    const struct io_uring_cqe *cqe;
    while ((cqe = wf_uring_next(&loop->ring)))
        if (on_completion(loop, *cqe, out_event) == GIVEN)
            return WF_OK;
    for (wf_uring_slot *slot; loop->due_left > 0 && (slot = wf_uring_slot_take_due(&loop->slots));) {
        loop->due_left--;
        if (on_due(loop, slot, out_event) == GIVEN)
            return WF_OK;
    }
    return WF_WANT_INPUT;
}

static int wait_uring(wf_loop *base, int64_t timeout_ms) {
    struct uring_loop *loop = uring_of(base);
    take_back(loop);
    if (wf_uring_next(&loop->ring))
        return 0;
    if (wf_acceptor_rested(&base->acceptor, &timeout_ms))
        listeners_due(loop);
    arm_owns(loop);
    wf_uring_event_seen(&loop->ring);
    int status = wf_uring_enter(&loop->ring, loop->slots.due_count > 0 ? 0 : timeout_ms);
    look_at_sends(loop);
    loop->fed = WF_NO_SLOT;
    loop->due_left = loop->slots.due_count + ACCEPT_MAX;
    return status;
}

/* ---- socks ---- */

static int listen_in(struct uring_loop *loop, const wf_sock *sock) {
    struct epoll_event added = {.events = EPOLLIN};
    if (loop->listen_fd < 0)
        loop->listen_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->listen_fd < 0 || epoll_ctl(loop->listen_fd, EPOLL_CTL_ADD, sock->fd, &added) < 0)
        return WF_ESYS;
    return 0;
}

static int arm_first(struct uring_loop *loop, wf_uring_slot *slot) {
    if (slot->sock->kind == WF_SOCK_CONNECT)
        arm_out(loop, slot);
    else
        arm_recv(loop, slot);
    errno = ENOMEM;
    return slot->armed ? 0 : WF_ESYS;
}

static int adopt_uring(wf_loop *base, wf_sock *sock) {
    struct uring_loop *loop = uring_of(base);
    if (wf_uring_slot_new(&loop->slots, sock) < 0)
        return WF_ESYS;
    wf_uring_slot *slot = slot_of(loop, sock);
    int status = sock->kind == WF_SOCK_LISTEN ? listen_in(loop, sock) : arm_first(loop, slot);
    if (status < 0) {
        slot->sock = NULL;
        wf_uring_spill_free(&loop->slots, slot);
        wf_uring_slot_release(&loop->slots, slot);
    }
    return status;
}

static void pause_uring(wf_loop *base, wf_sock *sock) {
    (void)base; /* what comes all the same is kept */
    sock->flags |= PAUSED;
}

static void resume_uring(wf_loop *base, wf_sock *sock) {
    struct uring_loop *loop = uring_of(base);
    wf_uring_slot *slot = slot_of(loop, sock);
    sock->flags &= (uint8_t)~PAUSED;
    if (sock->flags & (EOF_TOLD | FAILED_TOLD))
        return;
    if (sock->kind == WF_SOCK_LISTEN || wf_uring_has_in(slot) || slot->flags & WF_SLOT_EOF_DUE)
        slot_due(loop, slot);
    else
        arm_recv(loop, slot);
}

/* By its name the kernel finds a request in a table, by the descriptor only in a walk through all that it has: with
 * 10,000 connections that takes more time than all else a connection costs. Most have a receive and nothing more. */
static void cancel_all(const struct uring_loop *loop, const wf_uring_slot *slot, int fd, struct io_uring_sqe *sqe) {
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    if (slot->armed == RECV) {
        sqe->addr = wf_uring_name(WF_URING_RECV, index_of(loop, slot));
    } else {
        sqe->fd = fd;
        sqe->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
    }
}

/* The requests of a sock hold its file: they end before it is closed, in the same entry. When the kernel takes no more, what
 * it was not told is taken back, for the number will be another's; what it has ends with the connection. */
static void close_soon(struct uring_loop *loop, wf_uring_slot *slot, int fd) {
    struct io_uring_sqe *cancel = slot->armed ? request(loop, slot, WF_URING_IGNORE) : NULL;
    if (cancel)
        cancel_all(loop, slot, fd, cancel);
    struct io_uring_sqe *sqe = cancel || !slot->armed ? request(loop, slot, WF_URING_IGNORE) : NULL;
    if (sqe) {
        sqe->opcode = IORING_OP_CLOSE;
        sqe->fd = fd;
        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
        return;
    }
    if (cancel)
        memset(cancel, 0, sizeof *cancel); /* nothing was submitted, or there were room */
    wf_uring_forget(&loop->ring, index_of(loop, slot));
    if (slot->armed)
        shutdown(fd, SHUT_RDWR);
    close(fd);
}

static void flush_uring(wf_loop *base) {
    struct uring_loop *loop = uring_of(base);
    if (!loop->ring.enabled)
        return;
    arm_owns(loop);
    if (io_uring_sq_ready(&loop->ring.ring) == 0)
        return;
    wf_uring_submit_and_end(&loop->ring);
    look_at_sends(loop);
}

static void close_uring(wf_loop *base, wf_sock *sock) {
    struct uring_loop *loop = uring_of(base);
    wf_uring_slot *slot = slot_of(loop, sock);
    if (!loop->ring.enabled && slot->flags & WF_SLOT_QUEUED)
        settle(loop);
    slot->sock = NULL;
    wf_uring_spill_free(&loop->slots, slot);
    if (sock->kind == WF_SOCK_LISTEN) {
        epoll_ctl(loop->listen_fd, EPOLL_CTL_DEL, sock->fd,
                  NULL); /* closing alone does not, while a copy lives (dup) */
        close(sock->fd);
    } else if (loop->ring.enabled) {
        close_soon(loop, slot, sock->fd);
    } else { /* the kernel has heard of nothing yet, and will not: the number may be another's by then */
        wf_uring_forget(&loop->ring, sock->slot);
        close(sock->fd);
    }
    wf_uring_slot_release(&loop->slots, slot);
}

static int open_uring(wf_loop *base) {
    struct uring_loop *loop = uring_of(base);
    loop->fed = loop->sated = WF_NO_SLOT;
    loop->listen_fd = -1;
    wf_uring_slots_init(&loop->slots, &base->held_bytes);
    return wf_uring_open(&loop->ring, base->recv_bytes);
}

static void shut_uring(wf_loop *base) {
    struct uring_loop *loop = uring_of(base);
    wf_uring_shut(&loop->ring);
    if (loop->listen_fd >= 0)
        close(loop->listen_fd);
    wf_buf_deinit(&loop->kept);
    wf_uring_slots_deinit(&loop->slots);
}

const struct wf_loop_backend wf_loop_uring = {
    .name = "io_uring",
    .size = sizeof(struct uring_loop),
    .open = open_uring,
    .shut = shut_uring,
    .fd = fd_uring,
    .wait = wait_uring,
    .next = next_uring,
    .adopt = adopt_uring,
    .pause = pause_uring,
    .resume = resume_uring,
    .send = send_uring,
    .send_soon = send_soon_uring,
    .shutdown = shutdown_uring,
    .flush = flush_uring,
    .close = close_uring,
};
