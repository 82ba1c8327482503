/*
 * Events: first what the completions of this turn tell, then what is due (uring_slots.h): what a completion could not
 * tell at once, what was kept during a pause, and listening socks, which give one connection at a time.
 */
#include "net/uring_loop.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum step { NOTHING, GIVEN };

static enum step give_failed(wf_uring_slot *slot, int sys_errno, wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    if (sock->flags & WF_SOCK_FAILED_TOLD)
        return NOTHING;
    sock->flags |= WF_SOCK_FAILED_TOLD;
    sock->flags &= (uint8_t)~WF_SOCK_SENDING;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_FAILED, .sock = sock, .sys_errno = sys_errno};
    return GIVEN;
}

static enum step give_eof(wf_uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    slot->sock->flags |= WF_SOCK_EOF_TOLD;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_EOF, .sock = slot->sock};
    wf_uring_slot_due(&loop->slots, slot); /* to be watched, if its owner does not close it now, as most do */
    return GIVEN;
}

static enum step give_sent(wf_uring_slot *slot, wf_loop_event *out_event) {
    slot->sock->flags &= (uint8_t)~WF_SOCK_SENDING;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_SENT, .sock = slot->sock};
    return GIVEN;
}

static enum step give_waits(wf_uring_slot *slot, wf_loop_event *out_event) {
    slot->sock->flags |= WF_SOCK_SENDING;
    *out_event = (wf_loop_event) {.kind = WF_LOOP_WAITS, .sock = slot->sock};
    return GIVEN;
}

/* Bytes: to the owner at once, or kept, behind what is kept. `cqe` becomes the last of those that brought them. */
static enum step recv_bytes(wf_uring_loop *loop, wf_uring_slot *slot, struct io_uring_cqe *cqe,
                            wf_loop_event *out_event) {
    uint8_t *data;
    size_t len = wf_uring_take(&loop->ring, &data, cqe);
    loop->fed = wf_uring_index(loop, slot);
    wf_sock *sock = slot->sock;
    if (sock && !(sock->flags & (WF_SOCK_PAUSED | WF_SOCK_FAILED_TOLD)) && !wf_uring_has_in(slot)) {
        *out_event = (wf_loop_event) {.kind = WF_LOOP_RECEIVED, .sock = sock, .data = data, .len = len};
        loop->given = true;
        return GIVEN;
    }
    if (sock && !(sock->flags & WF_SOCK_FAILED_TOLD) && wf_uring_slot_keep(&loop->slots, slot, true, data, len))
        wf_uring_cancel_recv(loop, slot);
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
static enum step paused_eof(wf_uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    uint8_t byte;
    if (slot->sock->flags & WF_SOCK_EOF_TOLD || wf_uring_has_in(slot) ||
        recv(slot->sock->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
        return NOTHING;
    return give_eof(loop, slot, out_event);
}

/* A paused stream whose receive is over. While there was one, it was to tell of the peer's loss: a watch that was armed
 * before may have spoken in vain. */
static enum step watch_paused(wf_uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    if (!(slot->armed & WF_ARMED_WATCH)) {
        wf_uring_arm_watch(loop, slot);
        return NOTHING;
    }
    int sys_errno = socket_error(slot->sock->fd);
    return sys_errno ? give_failed(slot, sys_errno, out_event) : paused_eof(loop, slot, out_event);
}

/* It is armed again when the buffers of this turn are free. Receives are served in the order in which they are armed,
 * so that who was just served goes behind those who wait with it. */
static void out_of_buffers(wf_uring_loop *loop, wf_uring_slot *slot) {
    if (loop->fed == wf_uring_index(loop, slot))
        loop->sated = loop->fed;
    wf_uring_slot_due(&loop->slots, slot);
}

static enum step on_recv(wf_uring_loop *loop, wf_uring_slot *slot, struct io_uring_cqe *cqe, wf_loop_event *out_event) {
    enum step step = NOTHING;
    if (cqe->res > 0)
        step = recv_bytes(loop, slot, cqe, out_event);
    else
        wf_uring_seen(&loop->ring);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        slot->armed &= (uint8_t)~WF_ARMED_RECV;
    wf_sock *sock = slot->sock;
    if (!sock || sock->flags & (WF_SOCK_EOF_TOLD | WF_SOCK_FAILED_TOLD))
        return step;
    if (cqe->res == 0 && !wf_uring_has_in(slot))
        return give_eof(loop, slot, out_event);
    if (cqe->res == 0)
        slot->flags |= WF_SLOT_EOF_DUE;
    if (cqe->res == -ENOBUFS)
        out_of_buffers(loop, slot);
    else if (cqe->res < 0 && cqe->res != -ECANCELED && cqe->res != -EINTR && cqe->res != -EAGAIN)
        return give_failed(slot, -cqe->res, out_event);
    else if (!(sock->flags & WF_SOCK_PAUSED) && !wf_uring_has_in(slot))
        wf_uring_arm_recv(loop, slot); /* it was resumed while the cancelling was under way */
    else if (sock->flags & WF_SOCK_PAUSED && !(slot->armed & WF_ARMED_RECV))
        return watch_paused(loop, slot, out_event);
    return step;
}

static enum step on_out(wf_uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    slot->armed &= (uint8_t)~WF_ARMED_OUT;
    if (!sock || sock->flags & WF_SOCK_FAILED_TOLD)
        return NOTHING;
    int sys_errno = sock->kind == WF_SOCK_CONNECT ? socket_error(sock->fd) : 0;
    if (sys_errno)
        return give_failed(slot, sys_errno, out_event);
    size_t kept = wf_uring_has_out(slot) ? slot->spill->out.len : 0;
    if (kept > 0 && !wf_uring_send_kept(loop, slot))
        return slot->spill->out.len < kept ? give_waits(slot, out_event) : NOTHING;
    return sock->flags & WF_SOCK_SENDING || sock->kind == WF_SOCK_CONNECT ? give_sent(slot, out_event) : NOTHING;
}

/* What is to be told of a stream that is not read: that it broke, or that it ended with nothing unread. */
static enum step on_watch(wf_uring_loop *loop, wf_uring_slot *slot, const struct io_uring_cqe *cqe,
                          wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        slot->armed &= (uint8_t)~WF_ARMED_WATCH;
    if (!sock || sock->flags & WF_SOCK_FAILED_TOLD || slot->armed & WF_ARMED_RECV)
        return NOTHING; /* the receive will tell */
    if (cqe->res > 0 && cqe->res & POLLERR) {
        int sys_errno = socket_error(sock->fd);
        return give_failed(slot, sys_errno ? sys_errno : ECONNRESET, out_event);
    }
    if (!(sock->flags & WF_SOCK_PAUSED))
        return NOTHING;
    enum step step = paused_eof(loop, slot, out_event);
    if (step == NOTHING && !(slot->armed & WF_ARMED_WATCH) && cqe->res >= 0)
        wf_uring_arm_watch(loop, slot);
    return step;
}

/* Somebody wants to connect, or may have wanted to while accepting rested. There are one or two listeners, mostly:
 * which of them it was is not asked. */
void wf_uring_listeners_due(wf_uring_loop *loop) {
    for (size_t i = 0; i < loop->base.acceptor.count; i++)
        wf_uring_slot_due(&loop->slots, wf_uring_slot_at(loop, loop->base.acceptor.listeners[i]));
}

/* The list of due slots holds listening socks too: each gives one connection at a time. */
static enum step accept_one(wf_uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    wf_sock *sock = slot->sock;
    if (sock->flags & (WF_SOCK_PAUSED | WF_SOCK_FAILED_TOLD) || loop->base.acceptor.rest_until_ms != 0)
        return NOTHING;
    int fd;
    switch (wf_acceptor_take(&loop->base.acceptor, sock->fd, &fd)) {
    case WF_ACCEPT_TAKEN:
        wf_uring_slot_due(&loop->slots, slot); /* another may be waiting */
        *out_event = (wf_loop_event) {.kind = WF_LOOP_ACCEPTED, .sock = sock, .fd = fd};
        return GIVEN;
    case WF_ACCEPT_NONE: /* the poll will tell again */
        return NOTHING;
    case WF_ACCEPT_AGAIN:
        wf_uring_slot_due(&loop->slots, slot);
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
static enum step give_kept(wf_uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
    wf_buf *in = &slot->spill->in;
    loop->base.held_bytes -= in->cap;
    loop->kept = *in;
    *in = (wf_buf)WF_BUF_INIT;
    if (slot->spill->out.len == 0)
        wf_uring_spill_free(&loop->slots, slot);
    *out_event =
        (wf_loop_event) {.kind = WF_LOOP_RECEIVED, .sock = slot->sock, .data = loop->kept.data, .len = loop->kept.len};
    if (slot->flags & WF_SLOT_EOF_DUE)
        wf_uring_slot_due(&loop->slots, slot);
    else
        wf_uring_arm_recv(loop, slot);
    return GIVEN;
}

static enum step on_due(wf_uring_loop *loop, wf_uring_slot *slot, wf_loop_event *out_event) {
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
    if (sock->flags & WF_SOCK_FAILED_TOLD)
        return NOTHING;
    if (slot->flags & WF_SLOT_WAITS_DUE) {
        slot->flags &= (uint8_t)~WF_SLOT_WAITS_DUE;
        wf_uring_slot_due(&loop->slots, slot); /* perhaps of more */
        return wf_uring_has_out(slot) ? give_waits(slot, out_event) : NOTHING;
    }
    if (sock->flags & WF_SOCK_EOF_TOLD) {
        wf_uring_arm_watch(loop, slot);
        return NOTHING;
    }
    if (sock->flags & WF_SOCK_PAUSED)
        return slot->armed & WF_ARMED_RECV ? NOTHING : watch_paused(loop, slot, out_event);
    if (wf_uring_has_in(slot))
        return give_kept(loop, slot, out_event);
    if (slot->flags & WF_SLOT_EOF_DUE)
        return give_eof(loop, slot, out_event);
    if (loop->sated == sock->slot) {
        loop->sated = WF_NO_SLOT;
        wf_uring_slot_due(&loop->slots, slot);
        return NOTHING;
    }
    wf_uring_arm_recv(loop, slot);
    return NOTHING;
}

static enum step on_woken(wf_uring_loop *loop, const struct io_uring_cqe *cqe, wf_loop_event *out_event) {
    if (!(cqe->flags & IORING_CQE_F_MORE))
        loop->wake_armed = false;
    wf_loop_wake_seen(&loop->base);
    *out_event = (wf_loop_event) {.kind = WF_LOOP_WOKEN};
    return GIVEN;
}

/* The completion at hand, which is seen afterwards. */
static enum step on_completion(wf_uring_loop *loop, struct io_uring_cqe cqe, wf_loop_event *out_event) {
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
            wf_uring_listeners_due(loop);
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
void wf_uring_take_back(wf_uring_loop *loop) {
    if (loop->given)
        wf_uring_give_back(&loop->ring);
    loop->given = false;
    if (loop->kept.data)
        wf_buf_deinit(&loop->kept);
}

int wf_uring_loop_next(wf_loop *base, wf_loop_event *out_event) {
    wf_uring_loop *loop = wf_uring_of(base);
    wf_uring_take_back(loop);
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
