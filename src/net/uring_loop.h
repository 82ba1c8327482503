/*
 * uring_loop.h - what the files of the loop over io_uring share:
 *
 *      loop_uring.c     waits, takes socks and lets them go
 *      uring_events.c   completions and what is due become events
 *      uring_sends.c    bytes to the kernel, soon or now, and what it does not take
 *      uring_requests.c what the kernel is asked to do about a slot
 */
#ifndef WF_NET_URING_LOOP_H
#define WF_NET_URING_LOOP_H

#include "net/backend.h"
#include "net/uring.h"
#include "net/uring_slots.h"

/* wf_sock.flags, as with epoll. */
enum {
    WF_SOCK_PAUSED = 1,
    WF_SOCK_SENDING = 2, /* a WF_LOOP_SENT is owed */
    WF_SOCK_EOF_TOLD = 4,
    WF_SOCK_FAILED_TOLD = 8,
};

/* slot.armed: requests that the kernel has. */
enum { WF_ARMED_RECV = 1, WF_ARMED_OUT = 2, WF_ARMED_WATCH = 4 };

typedef struct wf_uring_loop {
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
} wf_uring_loop;

static inline wf_uring_loop *wf_uring_of(wf_loop *loop) {
    return (wf_uring_loop *)loop;
}

static inline wf_uring_slot *wf_uring_slot_at(wf_uring_loop *loop, const wf_sock *sock) {
    return &loop->slots.list[sock->slot];
}

static inline uint32_t wf_uring_index(const wf_uring_loop *loop, const wf_uring_slot *slot) {
    return (uint32_t)(slot - loop->slots.list);
}

/* ---- uring_requests.c: each is laid down for the next entry. When the kernel takes no more, the sock fails. ---- */

void wf_uring_arm_recv(wf_uring_loop *loop, wf_uring_slot *slot);
void wf_uring_arm_out(wf_uring_loop *loop, wf_uring_slot *slot);   /* once there is room to send */
void wf_uring_arm_watch(wf_uring_loop *loop, wf_uring_slot *slot); /* for the loss of the peer */
void wf_uring_arm_owns(wf_uring_loop *loop);                       /* the polls of the loop's own descriptors */
void wf_uring_cancel_recv(wf_uring_loop *loop, wf_uring_slot *slot);
void wf_uring_close_soon(wf_uring_loop *loop, wf_uring_slot *slot, int fd);

/* ---- uring_sends.c ---- */

int64_t wf_uring_loop_send(wf_loop *base, wf_sock *sock, const struct iovec *ranges, int count);
int64_t wf_uring_loop_send_soon(wf_loop *base, wf_sock *sock, const struct iovec *ranges, int count);
void wf_uring_loop_shutdown(wf_loop *base, wf_sock *sock);

void wf_uring_look_at_sends(wf_uring_loop *loop); /* after an entry */
void wf_uring_settle(wf_uring_loop *loop);        /* enters, so that the sends that were laid down are done */

/* What is kept goes by a call of its own. True: all of it went. */
bool wf_uring_send_kept(wf_uring_loop *loop, wf_uring_slot *slot);

/* ---- uring_events.c ---- */

int wf_uring_loop_next(wf_loop *base, wf_loop_event *out_event);
void wf_uring_take_back(wf_uring_loop *loop);     /* the bytes of the last event */
void wf_uring_listeners_due(wf_uring_loop *loop); /* somebody may want to connect */

#endif
