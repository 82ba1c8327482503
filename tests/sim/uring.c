/*
 * io_uring: liburing's calls, on queues that lie in our memory, so that the functions that are inline there work on
 * them. The queues are of a size drawn per run, smaller than what was asked for: then they run over. Entering may be
 * refused, or take only some of the requests, and tell only some of what is complete.
 */
#include "uring_impl.h"

#include "faults.h"
#include "sim.h"

#include <errno.h>
#include <string.h>

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *u, struct io_uring_params *params);
void __wrap_io_uring_queue_exit(struct io_uring *u);
int __wrap_io_uring_register(unsigned fd, unsigned what, const void *arg, unsigned count);
int __wrap_io_uring_register_buf_ring(struct io_uring *u, struct io_uring_buf_reg *reg, unsigned flags);
int __wrap_io_uring_register_ring_fd(struct io_uring *u);
int __wrap_io_uring_submit(struct io_uring *u);
int __wrap_io_uring_submit_and_get_events(struct io_uring *u);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *u, struct io_uring_cqe **first, unsigned count,
                                            struct __kernel_timespec *time, sigset_t *signals);

sim_ring uring;

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *u, struct io_uring_params *params) {
    int fd = sim_fd_open(FD_URING);
    sim_trace("io_uring", fd, entries, params->flags);
    if (fd < 0)
        return -EMFILE;
    unsigned octave = sim_below(6);
    memset(&uring, 0, sizeof uring);
    uring.fd = fd;
    uring.sq_entries = octave == 5 ? REQUESTS_MAX : 4U << (octave * 2); /* 4 to 1,024 */
    uring.cq_entries = uring.sq_entries * (sim_below(2) ? 2 : 4);
    if (uring.cq_entries > COMPLETIONS_MAX)
        uring.cq_entries = COMPLETIONS_MAX;
    uring.sq_mask = uring.sq_entries - 1;
    uring.cq_mask = uring.cq_entries - 1;
    memset(u, 0, sizeof *u);
    u->ring_fd = u->enter_ring_fd = fd;
    u->sq = (struct io_uring_sq) {.khead = &uring.sq_head,
                                  .ktail = &uring.sq_tail,
                                  .kring_mask = &uring.sq_mask,
                                  .kring_entries = &uring.sq_entries,
                                  .sqes = uring.sqes,
                                  .ring_mask = uring.sq_mask,
                                  .ring_entries = uring.sq_entries};
    u->cq = (struct io_uring_cq) {.khead = &uring.cq_head,
                                  .ktail = &uring.cq_tail,
                                  .kring_mask = &uring.cq_mask,
                                  .kring_entries = &uring.cq_entries,
                                  .cqes = uring.cqes,
                                  .ring_mask = uring.cq_mask,
                                  .ring_entries = uring.cq_entries};
    return 0;
}

void __wrap_io_uring_queue_exit(struct io_uring *u) {
    sim_fd(u->ring_fd, FD_URING, "io_uring_queue_exit");
    sim_fd_close(u->ring_fd);
    sim_trace("io_uring ends", u->ring_fd, 0, 0);
    uring.fd = -1;
}

int __wrap_io_uring_register(unsigned fd, unsigned what, const void *arg, unsigned count) {
    (void)arg;
    (void)count;
    sim_fd((int)fd, FD_URING, "io_uring_register");
    if (what != IORING_REGISTER_ENABLE_RINGS || uring.enabled)
        sim_fail("calls", "io_uring_register of %u", what);
    uring.enabled = true;
    return 0;
}

int __wrap_io_uring_register_buf_ring(struct io_uring *u, struct io_uring_buf_reg *reg, unsigned flags) {
    sim_fd(u->ring_fd, FD_URING, "io_uring_register_buf_ring");
    if (flags || reg->pad != IOU_PBUF_RING_INC || reg->bgid != 0)
        sim_fail("calls", "buffers of group %d, flags %d", reg->bgid, reg->pad);
    uring.bufs = (struct io_uring_buf_ring *)(uintptr_t)reg->ring_addr;
    uring.buf_entries = reg->ring_entries;
    return 0;
}

int __wrap_io_uring_register_ring_fd(struct io_uring *u) {
    (void)u;
    return 1;
}

/* ---- completions ---- */

bool sim_complete(uint64_t user_data, int result, unsigned flags) {
    struct io_uring_cqe cqe = {.user_data = user_data, .res = result, .flags = flags};
    sim_trace("completes", (int64_t)user_data, result, flags);
    if (uring.overflow_count == 0 && uring.cq_tail - uring.cq_head < uring.cq_entries) {
        uring.cqes[uring.cq_tail++ & uring.cq_mask] = cqe;
        return true;
    }
    if (uring.overflow_count == OVERFLOW_MAX)
        sim_fail("simulator", "too many completions");
    uring.overflow[uring.overflow_count++] = cqe;
    return false;
}

static void flush_overflow(void) {
    unsigned moved = 0;
    for (; moved < uring.overflow_count && uring.cq_tail - uring.cq_head < uring.cq_entries; moved++)
        uring.cqes[uring.cq_tail++ & uring.cq_mask] = uring.overflow[moved];
    uring.overflow_count -= moved;
    memmove(uring.overflow, uring.overflow + moved, uring.overflow_count * sizeof *uring.overflow);
}

/* ---- entering ---- */

/* Requests are done in order; those that find the kernel short of memory stay where they are. How many were done, or
 * why none: -EAGAIN. */
static int submit(struct io_uring *u) {
    sim_fd(u->ring_fd, FD_URING, "io_uring_enter");
    if (!uring.enabled)
        sim_fail("calls", "a ring was entered that is not enabled");
    uring.sq_tail = u->sq.sqe_head = u->sq.sqe_tail;
    sim_look_at_buffers();
    unsigned count = uring.sq_tail - uring.sq_head, most = count;
    if (count > 0 && sim_happens(FAULT_CTL)) {
        most = sim_below(2) ? 0 : sim_below(count);
        for (int i = 0; i < STREAMS_MAX; i++) /* there may be no room for what is asked next */
            kernel.streams[i].hurt |= kernel.streams[i].fd >= 0;
    }
    for (unsigned i = 0; i < most; i++)
        sim_request(&uring.sqes[uring.sq_head++ & uring.sq_mask]);
    sim_trace("submits", count, most, 0);
    return count > 0 && most == 0 ? -EAGAIN : (int)most;
}

int __wrap_io_uring_submit(struct io_uring *u) {
    sim.calls++;
    return submit(u);
}

/* One look at what there is. A positive count: so many are complete. */
static int look(void *wanted) {
    bool again;
    int tries = 0;
    do {
        flush_overflow();
        again = sim_requests_go_on();
        if (uring.cq_tail - uring.cq_head >= *(unsigned *)wanted)
            return (int)(uring.cq_tail - uring.cq_head);
    } while (again && tries++ < 1000);
    return 0;
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *u) {
    unsigned none = 0;
    sim_turn_begins();
    int status = submit(u);
    if (status < 0)
        return status;
    sim_wait(0, look, &none);
    return status;
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *u, struct io_uring_cqe **first, unsigned count,
                                            struct __kernel_timespec *time, sigset_t *signals) {
    (void)first;
    (void)signals;
    unsigned waiting = u->sq.sqe_tail - uring.sq_head;
    sim_turn_begins();
    int status = submit(u);
    if (status < 0 || (unsigned)status < waiting) /* no wait, then */
        return status;
    if (sim_happens(FAULT_INTERRUPTED))
        return status > 0 ? status : -EINTR;
    uint64_t until = UINT64_MAX;
    if (time)
        until = sim.now_ns + (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
    int got = sim_wait(until, look, &count);
    sim_trace("io_uring waits", count, got, 0);
    return got == 0 ? -ETIME : status;
}
