/*
 * What requests do. A send is done at once, as a socket that may not block does it; polls and receives stay. A
 * receive fills the buffers in order, piece by piece; a buffer that was given to the kernel is scribbled over at
 * once, so that who still reads it reads nonsense.
 *
 * What the kernel does for a request is no call of the server's, and does not count as work.
 */
#include "uring_impl.h"

#include "faults.h"
#include "sim.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
int __wrap_close(int fd);

enum { RECEIVES_MAX = 32 }; /* of one request, one after another */

static bool is_open(int fd) {
    return fd >= FD_BASE && fd < FD_BASE + FD_MAX && kernel.fds[fd - FD_BASE].kind != FD_FREE;
}

static const fd_entry *entry_of(const request *r) {
    return &kernel.fds[r->fd - FD_BASE];
}

/* ---- receiving ---- */

static struct io_uring_buf *buffer(uint16_t at) {
    return &uring.bufs->bufs[at & (uring.buf_entries - 1)];
}

void sim_look_at_buffers(void) {
    for (; uring.buf_seen != uring.bufs->tail; uring.buf_seen++) {
        const struct io_uring_buf *buf = buffer(uring.buf_seen);
        memset((void *)(uintptr_t)buf->addr, 0xdb, buf->len);
    }
}

static void end(request *r, int result, unsigned flags) {
    r->used = false;
    sim_complete(r->user_data, result, flags);
}

/* One receive of a request that stays. True: it may go on. */
static bool receive(request *r) {
    if (uring.buf_head == uring.bufs->tail || sim_happens(FAULT_NO_BUFFERS)) {
        const sim_stream *s = entry_of(r)->stream;
        if (s->in.len > 0 || sim_below(2)) { /* an end needs none, but the kernel looks for one first */
            end(r, -ENOBUFS, 0);
            return false;
        }
    }
    uint8_t none;
    struct io_uring_buf *buf = buffer(uring.buf_head);
    bool lacks = uring.buf_head == uring.bufs->tail;
    uint64_t calls = sim.calls;
    ssize_t got = __wrap_recv(r->fd, lacks ? &none : (void *)(uintptr_t)buf->addr, lacks ? 1 : buf->len, MSG_DONTWAIT);
    int why = errno;
    sim.calls = calls;
    if (got < 0 && (why == EAGAIN || why == EINTR))
        return false;
    if (got <= 0) {
        end(r, got < 0 ? -why : 0, 0);
        return false;
    }
    unsigned flags = IORING_CQE_F_BUFFER | (unsigned)buf->bid << IORING_CQE_BUFFER_SHIFT;
    buf->addr += (uint64_t)got;
    buf->len -= (uint32_t)got;
    if (buf->len > 0)
        flags |= IORING_CQE_F_BUF_MORE;
    else
        uring.buf_head++;
    bool last =
        sim_happens(FAULT_MULTI_ENDS) || uring.overflow_count > 0 || uring.cq_tail - uring.cq_head == uring.cq_entries;
    if (last) /* also when there is no room to tell of more */
        end(r, (int)got, flags);
    else
        sim_complete(r->user_data, (int)got, flags | IORING_CQE_F_MORE);
    return !last;
}

static bool receivable(const sim_stream *s) {
    return s->in.len > 0 || s->in_fin || s->error;
}

static void go_on_receiving(request *r) {
    for (int i = 0; i < RECEIVES_MAX && receivable(entry_of(r)->stream); i++)
        if (!receive(r))
            return;
}

/* ---- polling ---- */

static void poll_now(request *r) {
    uint32_t state = sim_fd_state(entry_of(r)) & (r->events | POLLERR | POLLHUP);
    r->seen = sim_fd_changes(entry_of(r));
    if (state == 0)
        return;
    bool last = !r->multi || sim_happens(FAULT_MULTI_ENDS) || uring.overflow_count > 0 ||
                uring.cq_tail - uring.cq_head == uring.cq_entries;
    if (last)
        end(r, (int)state, 0);
    else
        sim_complete(r->user_data, (int)state, IORING_CQE_F_MORE);
}

/* ---- requests ---- */

static void stay(const struct io_uring_sqe *sqe, bool receives) {
    unsigned at = 0;
    while (at < uring.active_high && uring.active[at].used)
        at++;
    if (at == ACTIVE_MAX)
        sim_fail("simulator", "more than %d requests stay", ACTIVE_MAX);
    if (at == uring.active_high)
        uring.active_high++;
    request *r = &uring.active[at];
    *r = (request) {.used = true,
                    .receives = receives,
                    .multi = receives || sqe->len & IORING_POLL_ADD_MULTI,
                    .fd = sqe->fd,
                    .events = sqe->poll32_events,
                    .user_data = sqe->user_data};
    if (!is_open(r->fd) || (receives && entry_of(r)->kind != FD_STREAM))
        sim_fail("descriptors", "a request on %d, which is not open, or no stream", r->fd);
    if (receives)
        go_on_receiving(r);
    else
        poll_now(r);
}

/* They end when they go on. How many there are. */
static int cancel(const struct io_uring_sqe *sqe) {
    bool by_fd = sqe->cancel_flags & IORING_ASYNC_CANCEL_FD, all = sqe->cancel_flags & IORING_ASYNC_CANCEL_ALL;
    int found = 0;
    for (unsigned i = 0; i < uring.active_high && (all || found == 0); i++) {
        request *r = &uring.active[i];
        if (r->used && (by_fd ? r->fd == sqe->fd : r->user_data == sqe->addr)) {
            r->cancelled = true;
            found++;
        }
    }
    return all ? found : found ? 0 : -ENOENT;
}

/* Who holds the file ends before it. A peer of ours sees its end only then. */
static int close_file(int fd) {
    for (unsigned i = 0; i < uring.active_high; i++) {
        request *r = &uring.active[i];
        if (!r->used || r->fd != fd)
            continue;
        const fd_entry *entry = entry_of(r);
        if (!r->cancelled && !(entry->stream && entry->stream->in_fin && entry->stream->out_fin))
            sim_fail("descriptors", "%d is closed while a request holds it", fd);
        end(r, -ECANCELED, 0);
    }
    return __wrap_close(fd) < 0 ? -errno : 0;
}

static int send_now(const struct io_uring_sqe *sqe) {
    ssize_t sent = __wrap_send(sqe->fd, (const void *)(uintptr_t)sqe->addr, sqe->len, (int)sqe->msg_flags);
    return sent < 0 ? -errno : (int)sent;
}

void sim_request(const struct io_uring_sqe *sqe) {
    int result = 0;
    uint64_t calls = sim.calls;
    sim_trace("requests", sqe->opcode, sqe->fd, (int64_t)sqe->user_data);
    switch (sqe->opcode) {
    case IORING_OP_NOP:
        break;
    case IORING_OP_POLL_ADD:
        stay(sqe, false);
        return;
    case IORING_OP_RECV:
        if (sqe->ioprio != IORING_RECV_MULTISHOT || sqe->flags != IOSQE_BUFFER_SELECT || sqe->buf_group != 0)
            sim_fail("calls", "a receive that is not simulated");
        stay(sqe, true);
        return;
    case IORING_OP_SEND:
        result = send_now(sqe);
        break;
    case IORING_OP_ASYNC_CANCEL:
        result = cancel(sqe);
        break;
    case IORING_OP_CLOSE:
        result = close_file(sqe->fd);
        break;
    default:
        sim_fail("calls", "request %d is not simulated", sqe->opcode);
    }
    sim.calls = calls;
    if (!(sqe->flags & IOSQE_CQE_SKIP_SUCCESS) || result < 0)
        sim_complete(sqe->user_data, result, 0);
}

static bool has_news(const request *r) {
    if (r->cancelled)
        return true;
    return r->receives ? receivable(entry_of(r)->stream) : sim_fd_changes(entry_of(r)) != r->seen;
}

bool sim_requests_go_on(void) {
    request *found[ACTIVE_MAX];
    uint32_t count = 0;
    bool held_back = false;
    for (unsigned i = 0; i < uring.active_high; i++)
        if (uring.active[i].used && has_news(&uring.active[i]))
            found[count++] = &uring.active[i];
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = sim_below(i);
        request *swapped = found[i - 1];
        found[i - 1] = found[other];
        found[other] = swapped;
    }
    for (uint32_t i = 0; i < count; i++) {
        request *r = found[i];
        if (sim_happens(FAULT_FEW_EVENTS))
            held_back = true;
        else if (r->cancelled)
            end(r, -ECANCELED, 0);
        else if (r->receives)
            go_on_receiving(r);
        else
            poll_now(r);
        held_back |= r->used && r->receives && receivable(entry_of(r)->stream);
    }
    return held_back;
}
