/*
 * What the kernel is asked to do about a slot: a receive and polls that stay, their end, and a close behind that.
 */
#include "net/uring_loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct io_uring_sqe *request(wf_uring_loop *loop, wf_uring_slot *slot, wf_uring_op op) {
    struct io_uring_sqe *sqe = wf_uring_request(&loop->ring, op, wf_uring_index(loop, slot));
    if (!sqe && slot->sock)
        wf_uring_slot_fail(&loop->slots, slot, ENOMEM);
    return sqe;
}

void wf_uring_arm_recv(wf_uring_loop *loop, wf_uring_slot *slot) {
    struct io_uring_sqe *sqe = slot->armed & WF_ARMED_RECV ? NULL : request(loop, slot, WF_URING_RECV);
    if (!sqe)
        return;
    sqe->opcode = IORING_OP_RECV;
    sqe->fd = slot->sock->fd;
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
    slot->armed |= WF_ARMED_RECV;
}

/* `multi`: it stays, and speaks whenever something changes. */
static bool arm_poll(wf_uring_loop *loop, wf_uring_slot *slot, wf_uring_op op, unsigned events, bool multi) {
    struct io_uring_sqe *sqe = request(loop, slot, op);
    if (!sqe)
        return false;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = slot->sock->fd;
    sqe->poll32_events = events;
    sqe->len = multi ? IORING_POLL_ADD_MULTI : 0;
    return true;
}

void wf_uring_arm_out(wf_uring_loop *loop, wf_uring_slot *slot) {
    if (!(slot->armed & WF_ARMED_OUT) && arm_poll(loop, slot, WF_URING_OUT, POLLOUT, false))
        slot->armed |= WF_ARMED_OUT;
}

void wf_uring_arm_watch(wf_uring_loop *loop, wf_uring_slot *slot) {
    if (!(slot->armed & WF_ARMED_WATCH) && arm_poll(loop, slot, WF_URING_WATCH, POLLRDHUP, true))
        slot->armed |= WF_ARMED_WATCH;
}

/* A multishot poll of a descriptor of the loop's own. */
static bool arm_own(wf_uring_loop *loop, wf_uring_op op, int fd) {
    struct io_uring_sqe *sqe = wf_uring_request(&loop->ring, op, 0);
    if (!sqe)
        return false;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = fd;
    sqe->poll32_events = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
    return true;
}

void wf_uring_arm_owns(wf_uring_loop *loop) {
    if (!loop->wake_armed)
        loop->wake_armed = arm_own(loop, WF_URING_WAKE, loop->base.wake_fd);
    if (!loop->listen_armed && loop->listen_fd >= 0)
        loop->listen_armed = arm_own(loop, WF_URING_LISTEN, loop->listen_fd);
}

/* One receive of a slot, which answers ECANCELED. */
void wf_uring_cancel_recv(wf_uring_loop *loop, wf_uring_slot *slot) {
    struct io_uring_sqe *sqe = slot->armed & WF_ARMED_RECV ? request(loop, slot, WF_URING_IGNORE) : NULL;
    if (!sqe)
        return;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->addr = wf_uring_name(WF_URING_RECV, wf_uring_index(loop, slot));
}

/* By its name the kernel finds a request in a table, by the descriptor only in a walk through all that it has: with
 * 10,000 connections that takes more time than all else a connection costs. Most have a receive and nothing more. */
static void cancel_all(const wf_uring_loop *loop, const wf_uring_slot *slot, int fd, struct io_uring_sqe *sqe) {
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    if (slot->armed == WF_ARMED_RECV) {
        sqe->addr = wf_uring_name(WF_URING_RECV, wf_uring_index(loop, slot));
    } else {
        sqe->fd = fd;
        sqe->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
    }
}

/* The requests of a sock hold its file: they end before it is closed, in the same entry. When the kernel takes no
 * more, what it was not told is taken back, for the number will be another's; what it has ends with the connection. */
void wf_uring_close_soon(wf_uring_loop *loop, wf_uring_slot *slot, int fd) {
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
    wf_uring_forget(&loop->ring, wf_uring_index(loop, slot));
    if (slot->armed)
        shutdown(fd, SHUT_RDWR);
    close(fd);
}
