/*
 * The loop over io_uring: one system call per turn. It submits all that was sent and asked for in the last turn, and
 * brings what has been received since.
 *
 * A stream is read by one multishot receive that stays with the kernel. Small sends leave with the next entry
 * (uring_sends.c).
 *
 * A slot (net/uring_slots.h) is what the kernel's answers lead to. It outlives its sock: a closed sock's requests are
 * cancelled, and the slot is free again when the last of them has answered.
 *
 * A paused stream goes on receiving until something comes: that is kept in its spill, the receive is cancelled, and a
 * poll watches for the loss of the peer. What is kept is given out again after the resume, through the list of due
 * slots, which also carries what a completion could not tell at once.
 *
 * The ring holds the files of what it was asked to watch, for some milliseconds even beyond the death of its process.
 * So it watches no listening socket, for the address would be taken as long, but an epoll descriptor that they are in.
 */
#include "net/uring_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ACCEPT_MAX = 64 };

static int fd_uring(wf_loop *base) {
    return wf_uring_event_fd(&wf_uring_of(base)->ring);
}

static int wait_uring(wf_loop *base, int64_t timeout_ms) {
    wf_uring_loop *loop = wf_uring_of(base);
    wf_uring_take_back(loop);
    if (wf_uring_next(&loop->ring))
        return 0;
    if (wf_acceptor_rested(&base->acceptor, &timeout_ms))
        wf_uring_listeners_due(loop);
    wf_uring_arm_owns(loop);
    wf_uring_event_seen(&loop->ring);
    int status = wf_uring_enter(&loop->ring, loop->slots.due_count > 0 ? 0 : timeout_ms);
    wf_uring_look_at_sends(loop);
    loop->fed = WF_NO_SLOT;
    loop->due_left = loop->slots.due_count + ACCEPT_MAX;
    return status;
}

/* ---- socks ---- */

static int listen_in(wf_uring_loop *loop, const wf_sock *sock) {
    struct epoll_event added = {.events = EPOLLIN};
    if (loop->listen_fd < 0)
        loop->listen_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->listen_fd < 0 || epoll_ctl(loop->listen_fd, EPOLL_CTL_ADD, sock->fd, &added) < 0)
        return WF_ESYS;
    return 0;
}

static int arm_first(wf_uring_loop *loop, wf_uring_slot *slot) {
    if (slot->sock->kind == WF_SOCK_CONNECT)
        wf_uring_arm_out(loop, slot);
    else
        wf_uring_arm_recv(loop, slot);
    errno = ENOMEM;
    return slot->armed ? 0 : WF_ESYS;
}

static int adopt_uring(wf_loop *base, wf_sock *sock) {
    wf_uring_loop *loop = wf_uring_of(base);
    if (wf_uring_slot_new(&loop->slots, sock) < 0)
        return WF_ESYS;
    wf_uring_slot *slot = wf_uring_slot_at(loop, sock);
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
    sock->flags |= WF_SOCK_PAUSED;
}

static void resume_uring(wf_loop *base, wf_sock *sock) {
    wf_uring_loop *loop = wf_uring_of(base);
    wf_uring_slot *slot = wf_uring_slot_at(loop, sock);
    sock->flags &= (uint8_t)~WF_SOCK_PAUSED;
    if (sock->flags & (WF_SOCK_EOF_TOLD | WF_SOCK_FAILED_TOLD))
        return;
    if (sock->kind == WF_SOCK_LISTEN || wf_uring_has_in(slot) || slot->flags & WF_SLOT_EOF_DUE)
        wf_uring_slot_due(&loop->slots, slot);
    else
        wf_uring_arm_recv(loop, slot);
}

static void flush_uring(wf_loop *base) {
    wf_uring_loop *loop = wf_uring_of(base);
    if (!loop->ring.enabled)
        return;
    wf_uring_arm_owns(loop);
    if (io_uring_sq_ready(&loop->ring.ring) > 0) {
        wf_uring_submit_and_end(&loop->ring);
        wf_uring_look_at_sends(loop);
    }
    if (loop->slots.due_count > 0) /* which no completion will tell of */
        wf_uring_event_tell(&loop->ring);
}

static void close_uring(wf_loop *base, wf_sock *sock) {
    wf_uring_loop *loop = wf_uring_of(base);
    wf_uring_slot *slot = wf_uring_slot_at(loop, sock);
    if (!loop->ring.enabled && slot->flags & WF_SLOT_QUEUED)
        wf_uring_settle(loop);
    slot->sock = NULL;
    wf_uring_spill_free(&loop->slots, slot);
    if (sock->kind == WF_SOCK_LISTEN) {
        /* Closing alone does not, while a copy of the descriptor lives. */
        epoll_ctl(loop->listen_fd, EPOLL_CTL_DEL, sock->fd, NULL);
        close(sock->fd);
    } else if (loop->ring.enabled) {
        wf_uring_close_soon(loop, slot, sock->fd);
    } else { /* the kernel has heard of nothing yet, and will not: the number may be another's by then */
        wf_uring_forget(&loop->ring, sock->slot);
        close(sock->fd);
    }
    wf_uring_slot_release(&loop->slots, slot);
}

static int open_uring(wf_loop *base) {
    wf_uring_loop *loop = wf_uring_of(base);
    loop->fed = loop->sated = WF_NO_SLOT;
    loop->listen_fd = -1;
    wf_uring_slots_init(&loop->slots, &base->held_bytes);
    return wf_uring_open(&loop->ring, base->recv_bytes);
}

static void shut_uring(wf_loop *base) {
    wf_uring_loop *loop = wf_uring_of(base);
    wf_uring_shut(&loop->ring);
    if (loop->listen_fd >= 0)
        close(loop->listen_fd);
    wf_buf_deinit(&loop->kept);
    wf_uring_slots_deinit(&loop->slots);
}

const struct wf_loop_backend wf_loop_uring = {
    .name = "io_uring",
    .size = sizeof(wf_uring_loop),
    .open = open_uring,
    .shut = shut_uring,
    .fd = fd_uring,
    .wait = wait_uring,
    .next = wf_uring_loop_next,
    .adopt = adopt_uring,
    .pause = pause_uring,
    .resume = resume_uring,
    .send = wf_uring_loop_send,
    .send_soon = wf_uring_loop_send_soon,
    .shutdown = wf_uring_loop_shutdown,
    .flush = flush_uring,
    .close = close_uring,
};
