/*
 * A small send is copied into the ring's arena and leaves with the next entry; if the kernel then takes only a part,
 * the rest waits in the slot's spill, its owner is told (WF_LOOP_WAITS), and a send is answered WF_SEND_LATER until
 * it has gone. A large send, or one that may not wait, is a system call of its own, as with epoll: nothing is copied
 * then.
 */
#include "net/uring_loop.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void shut_if_due(wf_uring_slot *slot) {
    if (slot->flags & WF_SLOT_SHUT_DUE)
        shutdown(slot->sock->fd, SHUT_WR);
    slot->flags &= (uint8_t)~WF_SLOT_SHUT_DUE;
}

/* The kernel's answer to a send from the arena: what it did not take is kept, and goes when there is room. */
static void send_done(wf_uring_loop *loop, const struct io_uring_cqe *cqe) {
    wf_uring_slot *slot = &loop->slots.list[wf_uring_slot_of(cqe)];
    size_t sent = cqe->res > 0 ? (size_t)cqe->res : 0;
    slot->flags &= (uint8_t)~WF_SLOT_QUEUED;
    if (!slot->sock) {
        wf_uring_slot_release(&loop->slots, slot);
    } else if (cqe->res < 0 && cqe->res != -EAGAIN && cqe->res != -EINTR) {
        wf_uring_slot_fail(&loop->slots, slot, -cqe->res);
    } else if (sent < slot->send_len) {
        if (wf_uring_slot_keep(&loop->slots, slot, false, wf_uring_sent_from(&loop->ring, cqe) + sent,
                               slot->send_len - sent)) {
            slot->flags |= WF_SLOT_WAITS_DUE;
            wf_uring_slot_due(&loop->slots, slot);
            wf_uring_arm_out(loop, slot);
        }
    } else {
        shut_if_due(slot);
    }
}

void wf_uring_look_at_sends(wf_uring_loop *loop) {
    const struct io_uring_cqe *cqe;
    while ((cqe = wf_uring_settled(&loop->ring)))
        send_done(loop, cqe);
}

/* Hands the kernel what was laid down, so that the sends among it are done. */
void wf_uring_settle(wf_uring_loop *loop) {
    wf_uring_submit(&loop->ring);
    wf_uring_look_at_sends(loop);
}

/* What is kept goes by a call of its own. True: all of it went. */
bool wf_uring_send_kept(wf_uring_loop *loop, wf_uring_slot *slot) {
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
        wf_uring_arm_out(loop, slot);
        return false;
    }
    if (slot->spill->in.len == 0)
        wf_uring_spill_free(&loop->slots, slot);
    shut_if_due(slot);
    return true;
}

static int64_t send_later(wf_uring_loop *loop, wf_uring_slot *slot) {
    slot->sock->flags |= WF_SOCK_SENDING;
    wf_uring_arm_out(loop, slot);
    return WF_SEND_LATER;
}

int64_t wf_uring_loop_send(wf_loop *base, wf_sock *sock, const struct iovec *ranges, int count) {
    wf_uring_loop *loop = wf_uring_of(base);
    wf_assert(!(sock->flags & WF_SOCK_SENDING));
    if (wf_uring_slot_at(loop, sock)->flags & WF_SLOT_QUEUED)
        wf_uring_settle(loop);
    wf_uring_slot *slot = wf_uring_slot_at(loop, sock);
    if (sock->flags & WF_SOCK_FAILED_TOLD || slot->flags & WF_SLOT_FAIL_DUE) {
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

int64_t wf_uring_loop_send_soon(wf_loop *base, wf_sock *sock, const struct iovec *ranges, int count) {
    wf_uring_loop *loop = wf_uring_of(base);
    size_t len = 0;
    for (int i = 0; i < count && len <= WF_URING_SEND_MAX; i++)
        len += ranges[i].iov_len;
    wf_uring_slot *slot = wf_uring_slot_at(loop, sock);
    if (len > WF_URING_SEND_MAX || slot->flags & (WF_SLOT_QUEUED | WF_SLOT_FAIL_DUE) || slot->spill ||
        sock->flags & WF_SOCK_FAILED_TOLD)
        return wf_uring_loop_send(base, sock, ranges, count);
    uint8_t *room = wf_uring_arena(&loop->ring, len);
    if (!room) {
        wf_uring_settle(loop);
        room = wf_uring_arena(&loop->ring, len);
        slot = wf_uring_slot_at(loop, sock);
    }
    struct io_uring_sqe *sqe = room ? wf_uring_request(&loop->ring, WF_URING_SEND, sock->slot) : NULL;
    if (!sqe)
        return wf_uring_loop_send(base, sock, ranges, count);
    wf_uring_fill_send(&loop->ring, sqe, room, len);
    sqe->fd = sock->fd;
    for (int i = 0; i < count; room += ranges[i++].iov_len)
        memcpy(room, ranges[i].iov_base, ranges[i].iov_len);
    slot->flags |= WF_SLOT_QUEUED;
    slot->send_len = (uint16_t)len;
    return (int64_t)len;
}

void wf_uring_loop_shutdown(wf_loop *base, wf_sock *sock) {
    wf_uring_loop *loop = wf_uring_of(base);
    if (wf_uring_slot_at(loop, sock)->flags & WF_SLOT_QUEUED)
        wf_uring_settle(loop);
    wf_uring_slot *slot = wf_uring_slot_at(loop, sock);
    slot->flags |= WF_SLOT_SHUT_DUE;
    if (!wf_uring_has_out(slot) && !(slot->flags & WF_SLOT_QUEUED))
        shut_if_due(slot);
}
