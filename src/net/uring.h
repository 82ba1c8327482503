/*
 * uring.h - the ring between us and the kernel, for loop_uring.c alone: requests go in, completions come out, received
 * bytes lie in buffers that both sides know, small sends in an arena that is empty again after each entry.
 *
 *      request --> [ submission queue ] --enter--> kernel --> [ completion queue ] --> wf_uring_next
 *
 * The ring is made disabled, and enabled by the first thread that enters it: only that thread may enter from then on.
 * Requests may be laid down before, by whoever makes the loop.
 */
#ifndef WF_NET_URING_H
#define WF_NET_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a completion is about: the low byte of its user_data. The slot it belongs to stands in the 32 bits above, and
 * above that a send's place in the arena. */
typedef enum wf_uring_op {
    WF_URING_IGNORE,
    WF_URING_WAKE,   /* the eventfd, multishot poll */
    WF_URING_LISTEN, /* the epoll descriptor that listening sockets are in, multishot poll */
    WF_URING_RECV,   /* multishot receive */
    WF_URING_SEND,   /* from the arena */
    WF_URING_OUT,    /* poll: there is room to send */
    WF_URING_WATCH   /* multishot poll, for the loss of a peer we do not read from */
} wf_uring_op;

enum { WF_URING_BUFS = 8, WF_URING_SEND_MAX = 8192 };

typedef struct wf_uring {
    struct io_uring ring;
    bool enabled;
    int event_fd; /* -1: nobody watches us */

    /* Received bytes. The kernel fills the buffers in turn, each piece by piece: `filled` is what it has said of
     * them. */
    struct io_uring_buf_ring *buf_ring;
    uint8_t *bufs;
    uint32_t buf_bytes;
    unsigned full, given_back; /* buffers that the kernel has filled, and of these that it got back: counts */
    uint32_t filled;           /* bytes of the one that is being filled */

    /* What is to be sent, until the next entry. */
    uint8_t *arena;
    size_t arena_used;
    unsigned sends_out; /* send requests laid down and not yet completed */
    unsigned settled;   /* completion queue position up to which sends have been looked at */
    unsigned turn_end;  /* and up to which this turn goes */
} wf_uring;

/* `recv_bytes`: of all receive buffers together. 0, or WF_ESYS with errno set: the kernel has no io_uring, or not
 * enough of it, or we may not use it. */
int wf_uring_open(wf_uring *u, size_t recv_bytes);
void wf_uring_shut(wf_uring *u); /* descriptors that were to be closed are */

/* A descriptor that becomes readable with each completion, from the first call on. Polling the ring's own would not do:
 * completions come about when we enter, and nothing wakes who waits elsewhere. -1: there is none to be had. */
int wf_uring_event_fd(wf_uring *u);
void wf_uring_event_seen(wf_uring *u); /* it is not readable any more */
void wf_uring_event_tell(wf_uring *u); /* it is readable */

/* A request to be filled in, zeroed but for its user_data; NULL: the kernel takes no more now. */
struct io_uring_sqe *wf_uring_request(wf_uring *u, wf_uring_op op, uint32_t slot);

/* Takes back what was laid down of a slot's polls, receives and sends and not submitted: they complete with nothing. */
void wf_uring_forget(wf_uring *u, uint32_t slot);

/* Submits what was laid down without waiting. Sends are done when it returns. 0, or WF_ESYS with errno set. */
int wf_uring_submit(wf_uring *u);

/* The same, and lets what was cancelled end, so that nothing holds a descriptor any more that was closed. */
int wf_uring_submit_and_end(wf_uring *u);

/* Submits, and waits until something but sends is complete. timeout_ms as wf_loop_wait. 0, or WF_ESYS. */
int wf_uring_enter(wf_uring *u, int64_t timeout_ms);

/* The next send that is complete and was not yet looked at; NULL: none. */
const struct io_uring_cqe *wf_uring_settled(wf_uring *u);

/* The next completion of this turn, sends too (they have been looked at); NULL: none. Valid until wf_uring_seen. */
const struct io_uring_cqe *wf_uring_next(wf_uring *u);
void wf_uring_seen(wf_uring *u);

/* The bytes of the receive that wf_uring_next answered with, and of those behind it that go on where it ends (same
 * slot, same place: a message that is longer than a buffer's rest comes so). All of them are seen. The bytes are the
 * caller's until wf_uring_give_back. `out_cqe` is the last of them. */
size_t wf_uring_take(wf_uring *u, uint8_t **out_bytes, struct io_uring_cqe *out_cqe);
void wf_uring_give_back(wf_uring *u);

/* Makes a request a send of `len` bytes of the arena; the descriptor is to be set. */
void wf_uring_fill_send(wf_uring *u, struct io_uring_sqe *sqe, const uint8_t *from, size_t len);

/* Where the bytes of a send stand that is complete; valid until the next request. */
const uint8_t *wf_uring_sent_from(const wf_uring *u, const struct io_uring_cqe *cqe);

/* Room for a send of at most WF_URING_SEND_MAX bytes; NULL: submit first. */
uint8_t *wf_uring_arena(wf_uring *u, size_t len);

/* The user_data of a request, by which it can be cancelled. */
static inline uint64_t wf_uring_name(wf_uring_op op, uint32_t slot) {
    return (uint64_t)slot << 8 | op;
}

static inline wf_uring_op wf_uring_op_of(const struct io_uring_cqe *cqe) {
    return (wf_uring_op)(cqe->user_data & 0xff);
}

static inline uint32_t wf_uring_slot_of(const struct io_uring_cqe *cqe) {
    return (uint32_t)(cqe->user_data >> 8);
}

#endif
