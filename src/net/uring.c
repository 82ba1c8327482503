/*
 * Requests are laid down all through a turn and submitted by the one system call that waits for the next.
 *
 * Sends: MSG_DONTWAIT makes the kernel answer a send while it is submitted, so after an entry none is out and the arena
 * is empty. An entry therefore waits for one completion more than there are sends in it.
 *
 * Receives: the buffers lie behind one another and are consumed in order, each piece by piece (IOU_PBUF_RING_INC), so
 * that small messages lie densely and a few warm pages carry all traffic:
 *
 *      bufs   |msg|msg|message|..........free..........|  next buffer           |
 *             ^0              ^filled                   ^buf_bytes
 *
 * A buffer goes back when the kernel has said that it is full and its last piece has been used.
 */
#include "net/uring.h"

#include "base/mem.h"
#include "base/status.h"
#include "net/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Newer than some headers. */
#ifndef IOU_PBUF_RING_INC
#define IOU_PBUF_RING_INC 2
#endif
#ifndef IORING_CQE_F_BUF_MORE
#define IORING_CQE_F_BUF_MORE (1U << 4)
#endif

enum { REQUESTS = 1024, COMPLETIONS = 8192, ARENA_BYTES = 512 * 1024, BUF_GROUP = 0 };

static size_t area_bytes(const wf_uring *u) {
    return (size_t)u->buf_bytes * WF_URING_BUFS + WF_RECV_SLACK;
}

static void add_buf(wf_uring *u, uint16_t buf) {
    io_uring_buf_ring_add(u->buf_ring, u->bufs + (size_t)buf * u->buf_bytes, u->buf_bytes, buf, WF_URING_BUFS - 1, 0);
    io_uring_buf_ring_advance(u->buf_ring, 1);
}

static int open_bufs(wf_uring *u) {
    size_t ring_bytes = WF_URING_BUFS * sizeof(struct io_uring_buf);
    u->buf_ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (u->buf_ring == MAP_FAILED) {
        u->buf_ring = NULL;
        return WF_ESYS;
    }
    u->bufs = wf_mem_zalloc(area_bytes(u));
    u->arena = wf_mem_alloc(ARENA_BYTES);
    if (!u->bufs || !u->arena) {
        errno = ENOMEM;
        return WF_ESYS;
    }
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)u->buf_ring,
                                   .ring_entries = WF_URING_BUFS,
                                   .bgid = BUF_GROUP,
                                   .pad = IOU_PBUF_RING_INC}; /* `flags` in newer headers */
    int status = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (status < 0) {
        errno = -status;
        return WF_ESYS;
    }
    io_uring_buf_ring_init(u->buf_ring);
    for (uint16_t buf = 0; buf < WF_URING_BUFS; buf++)
        add_buf(u, buf);
    return 0;
}

int wf_uring_open(wf_uring *u, size_t recv_bytes) {
    *u = (wf_uring) {.ring.ring_fd = -1, .event_fd = -1};
    u->buf_bytes = (uint32_t)((recv_bytes + WF_URING_BUFS - 1) / WF_URING_BUFS);
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = COMPLETIONS,
    };
    int status = io_uring_queue_init_params(REQUESTS, &u->ring, &params);
    if (status < 0) {
        u->ring.ring_fd = -1;
        errno = -status;
        return WF_ESYS;
    }
    if (open_bufs(u) < 0) {
        int saved = errno;
        wf_uring_shut(u);
        errno = saved;
        return WF_ESYS;
    }
    return 0;
}

/* What the kernel was not told: the descriptors are still ours. */
static void close_unsubmitted(wf_uring *u) {
    const struct io_uring_sq *sq = &u->ring.sq;
    for (unsigned at = io_uring_smp_load_acquire(sq->khead); at != sq->sqe_tail; at++) {
        const struct io_uring_sqe *sqe = &sq->sqes[at & *sq->kring_mask];
        if (sqe->opcode == IORING_OP_CLOSE)
            close(sqe->fd);
    }
}

int wf_uring_event_fd(wf_uring *u) {
    if (u->event_fd >= 0)
        return u->event_fd;
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); /* something may be complete already */
    if (fd >= 0 && io_uring_register_eventfd(&u->ring, fd) == 0)
        return u->event_fd = fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void wf_uring_event_seen(wf_uring *u) {
    uint64_t count;
    if (u->event_fd >= 0 && read(u->event_fd, &count, sizeof count) < 0)
        return; /* it was not readable */
}

void wf_uring_event_tell(wf_uring *u) {
    uint64_t one = 1;
    if (u->event_fd >= 0 && write(u->event_fd, &one, sizeof one) < 0)
        return; /* it is readable already */
}

void wf_uring_shut(wf_uring *u) {
    if (u->ring.ring_fd >= 0) {
        if (u->enabled)
            wf_uring_submit_and_end(u);
        close_unsubmitted(u);
        io_uring_queue_exit(&u->ring);
    }
    u->ring.ring_fd = -1;
    if (u->event_fd >= 0)
        close(u->event_fd);
    if (u->buf_ring)
        munmap(u->buf_ring, WF_URING_BUFS * sizeof(struct io_uring_buf));
    wf_mem_free(u->bufs);
    wf_mem_free(u->arena);
}

/* The ring is the calling thread's from here on. */
static int enable(wf_uring *u) {
    if (u->enabled)
        return 0;
    int status = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (status < 0) {
        errno = -status;
        return WF_ESYS;
    }
    io_uring_register_ring_fd(&u->ring); /* spares a lookup per entry; without it all works too */
    u->enabled = true;
    return 0;
}

/* What an entry answered: that nothing came in time, or that there is much to read first, is no error. */
static int entered(int status) {
    if (status >= 0 || status == -ETIME || status == -EINTR || status == -EBUSY || status == -EAGAIN)
        return 0;
    errno = -status;
    return WF_ESYS;
}

int wf_uring_submit(wf_uring *u) {
    if (enable(u) < 0)
        return WF_ESYS;
    return entered(io_uring_submit(&u->ring));
}

int wf_uring_submit_and_end(wf_uring *u) {
    if (enable(u) < 0)
        return WF_ESYS;
    return entered(io_uring_submit_and_get_events(&u->ring));
}

int wf_uring_enter(wf_uring *u, int64_t timeout_ms) {
    if (enable(u) < 0)
        return WF_ESYS;
    /* Of what was submitted in the last turn, completions may stand here: sends that were looked at, sends that were
     * not, which count among those that the wait expects, and others, for which nobody waits. */
    u->turn_end = u->settled;
    const struct io_uring_cqe *unseen;
    while ((unseen = wf_uring_next(u)) && wf_uring_op_of(unseen) == WF_URING_SEND)
        wf_uring_seen(u);
    if (unseen)
        timeout_ms = 0;
    int status;
    if (timeout_ms == 0) {
        status = io_uring_submit_and_get_events(&u->ring);
    } else {
        struct __kernel_timespec time = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};
        struct io_uring_cqe *first;
        status =
            io_uring_submit_and_wait_timeout(&u->ring, &first, u->sends_out + 1, timeout_ms < 0 ? NULL : &time, NULL);
    }
    u->turn_end = io_uring_smp_load_acquire(u->ring.cq.ktail);
    return entered(status);
}

static struct io_uring_cqe *completion(wf_uring *u, unsigned at) {
    return &u->ring.cq.cqes[at & *u->ring.cq.kring_mask];
}

const struct io_uring_cqe *wf_uring_settled(wf_uring *u) {
    unsigned tail = io_uring_smp_load_acquire(u->ring.cq.ktail);
    while (u->settled != tail) {
        const struct io_uring_cqe *cqe = completion(u, u->settled++);
        if (wf_uring_op_of(cqe) == WF_URING_SEND) {
            if (--u->sends_out == 0) /* those that are laid down count */
                u->arena_used = 0;
            return cqe;
        }
    }
    return NULL;
}

const struct io_uring_cqe *wf_uring_next(wf_uring *u) {
    unsigned head = *u->ring.cq.khead;
    return head == u->turn_end ? NULL : completion(u, head);
}

void wf_uring_seen(wf_uring *u) {
    io_uring_cq_advance(&u->ring, 1);
}

/* Where a receive's bytes lie: buffers are filled in turn. */
static uint8_t *place(const wf_uring *u) {
    return u->bufs + (size_t)(u->full % WF_URING_BUFS) * u->buf_bytes + u->filled;
}

static void fill(wf_uring *u, const struct io_uring_cqe *cqe) {
    u->filled += (uint32_t)cqe->res;
    if (cqe->flags & IORING_CQE_F_BUF_MORE)
        return;
    u->filled = 0;
    u->full++;
}

size_t wf_uring_take(wf_uring *u, uint8_t **out_bytes, struct io_uring_cqe *out_cqe) {
    const struct io_uring_cqe *cqe = wf_uring_next(u);
    uint64_t user_data = cqe->user_data;
    uint8_t *end = *out_bytes = place(u);
    size_t len = 0;
    do {
        len += (size_t)cqe->res;
        end += cqe->res;
        fill(u, cqe);
        *out_cqe = *cqe;
        wf_uring_seen(u);
        cqe = wf_uring_next(u);
    } while (cqe && cqe->user_data == user_data && cqe->res > 0 && place(u) == end);
    return len;
}

void wf_uring_give_back(wf_uring *u) {
    while (u->given_back != u->full)
        add_buf(u, (uint16_t)(u->given_back++ % WF_URING_BUFS));
}

struct io_uring_sqe *wf_uring_request(wf_uring *u, wf_uring_op op, uint32_t slot) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) {
        if (wf_uring_submit(u) < 0 || !(sqe = io_uring_get_sqe(&u->ring)))
            return NULL;
    }
    memset(sqe, 0, sizeof *sqe);
    sqe->user_data = wf_uring_name(op, slot);
    u->sends_out += op == WF_URING_SEND;
    return sqe;
}

void wf_uring_forget(wf_uring *u, uint32_t slot) {
    const struct io_uring_sq *sq = &u->ring.sq;
    for (unsigned at = *sq->khead; at != sq->sqe_tail; at++) {
        struct io_uring_sqe *sqe = &sq->sqes[at & *sq->kring_mask];
        uint64_t user_data = sqe->user_data;
        wf_uring_op op = (wf_uring_op)(user_data & 0xff);
        if ((uint32_t)(user_data >> 8) == slot && op != WF_URING_IGNORE && op != WF_URING_WAKE) {
            memset(sqe, 0, sizeof *sqe); /* IORING_OP_NOP */
            sqe->user_data = user_data;
        }
    }
}

/* MSG_WAITALL has the kernel try for all of it before it answers with a part. */
void wf_uring_fill_send(wf_uring *u, struct io_uring_sqe *sqe, const uint8_t *from, size_t len) {
    sqe->opcode = IORING_OP_SEND;
    sqe->addr = (uintptr_t)from;
    sqe->len = (uint32_t)len;
    sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
    sqe->user_data |= (uint64_t)(from - u->arena) << 40;
}

const uint8_t *wf_uring_sent_from(const wf_uring *u, const struct io_uring_cqe *cqe) {
    return u->arena + (cqe->user_data >> 40);
}

uint8_t *wf_uring_arena(wf_uring *u, size_t len) {
    if (len > ARENA_BYTES - u->arena_used)
        return NULL;
    uint8_t *room = u->arena + u->arena_used;
    u->arena_used += len;
    return room;
}
