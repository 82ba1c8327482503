/*
 * epoll and time. Time passes only here (sim_wait): up to the next thing a client does, or the timeout. What is ready
 * is told in an order of the seed's, and not always all of it.
 *
 * A turn that comes with nothing new, no time passed and nothing moved since the one before, is idle; a few of them
 * in a row are a spin.
 */
#include "kernel_impl.h"

#include "app.h"
#include "client.h"
#include "faults.h"
#include "oracles.h"
#include "sim.h"

#include <errno.h>

int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_ms);

int __wrap_epoll_create1(int flags) {
    (void)flags;
    int fd = sim_fd_open(FD_EPOLL);
    sim_trace("epoll_create1", fd, 0, 0);
    return fd;
}

static int refuse(int op, int fd, int why) {
    sim.calls++;
    sim_trace("epoll_ctl", fd, op, -why);
    errno = why;
    return -1;
}

int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event) {
    sim_fd(epoll_fd, FD_EPOLL, "epoll_ctl");
    fd_entry *entry = sim_fd(fd, FD_FREE, "epoll_ctl");
    if (op == EPOLL_CTL_ADD ? entry->watched : !entry->watched)
        return refuse(op, fd, op == EPOLL_CTL_ADD ? EEXIST : ENOENT);
    if (op == EPOLL_CTL_MOD && (entry->interest | event->events) & EPOLLEXCLUSIVE)
        return refuse(op, fd, EINVAL);
    if (op == EPOLL_CTL_ADD && sim_happens(FAULT_CTL)) {
        if (entry->stream)
            entry->stream->hurt = true;
        return refuse(op, fd, ENOMEM);
    }
    entry->watched = op != EPOLL_CTL_DEL;
    if (entry->watched) {
        entry->interest = event->events;
        entry->data = event->data;
        entry->seen = UINT64_MAX; /* whatever is there now is news */
    }
    sim.calls++;
    sim_trace("epoll_ctl", fd, op, entry->watched ? (int64_t)(entry->interest & 0x7fffffff) : 0);
    return 0;
}

static uint32_t stream_state(const sim_stream *s) {
    uint32_t state = 0;
    if (s->in.len > 0 || s->in_fin)
        state |= EPOLLIN;
    if (s->in_fin)
        state |= EPOLLRDHUP;
    if (s->reset || (s->in_fin && s->out_fin))
        state |= EPOLLHUP;
    if (s->error)
        state |= EPOLLERR;
    if (s->out_fin || s->out.cap - s->out.len > s->out.cap / 3)
        state |= EPOLLOUT;
    return state;
}

/* Level-triggered, whatever is in it: io_uring watches one with listening sockets. */
static uint32_t epoll_state(void) {
    for (int i = 0; i < kernel.fds_high; i++)
        if (kernel.fds[i].watched && sim_fd_state(&kernel.fds[i]) & kernel.fds[i].interest)
            return EPOLLIN;
    return 0;
}

uint64_t sim_fd_changes(const fd_entry *entry) {
    uint64_t changes = entry->changes;
    for (int i = 0; entry->kind == FD_EPOLL && i < kernel.fds_high; i++)
        changes += kernel.fds[i].watched ? kernel.fds[i].changes : 0;
    return changes;
}

uint32_t sim_fd_state(const fd_entry *entry) {
    return entry->kind == FD_STREAM   ? stream_state(entry->stream)
           : entry->kind == FD_LISTEN ? (kernel.queued > 0 ? EPOLLIN : 0)
           : entry->kind == FD_EPOLL  ? epoll_state()
           : entry->kind == FD_EVENT  ? (entry->count > 0 ? EPOLLIN : 0) | EPOLLOUT
                                      : 0;
}

static uint32_t ready(const fd_entry *entry) {
    uint32_t state = sim_fd_state(entry);
    state &= entry->interest | EPOLLERR | EPOLLHUP;
    return entry->interest & EPOLLET && entry->seen == entry->changes ? 0 : state;
}

static int collect(struct epoll_event *events, int max) {
    fd_entry *found[FD_MAX];
    uint32_t count = 0;
    for (int i = 0; i < kernel.fds_high; i++)
        if (kernel.fds[i].watched && ready(&kernel.fds[i]))
            found[count++] = &kernel.fds[i];
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = sim_below(i);
        fd_entry *swapped = found[i - 1];
        found[i - 1] = found[other];
        found[other] = swapped;
    }
    if (count > (uint32_t)max)
        count = (uint32_t)max;
    if (count > 1 && sim_happens(FAULT_FEW_EVENTS))
        count = 1 + sim_below(count);
    for (uint32_t i = 0; i < count; i++) {
        events[i] = (struct epoll_event) {.events = ready(found[i]), .data = found[i]->data};
        found[i]->seen = found[i]->changes;
        sim_trace("ready", FD_BASE + (found[i] - kernel.fds), events[i].events, 0);
    }
    return (int)count;
}

/* A time without descriptors begins, or ends. */
static void vary_descriptors(void) {
    if (!sim_faulty())
        kernel.fds_max = FD_MAX;
    else if (sim_happens(FAULT_NO_DESCRIPTORS))
        kernel.fds_max = kernel.fds_max < FD_MAX ? FD_MAX : kernel.open_count + (int)sim_below(3);
}

void sim_turn_begins(void) {
    sim.calls++;
    sim_oracle_turn();
    vary_descriptors();
}

int sim_wait(uint64_t until, int (*look)(void *arg), void *arg) {
    for (;;) {
        sim_app_act();
        sim_clients_act();
        int count = look(arg);
        if (count > 0 || sim.now_ns >= until)
            return count;
        uint64_t next = sim_clients_next_ns();
        if (next > sim_app_next_ns())
            next = sim_app_next_ns();
        if (next > until)
            next = until;
        if (next == UINT64_MAX)
            sim_fail("progress", "the server waits for ever, and nobody will do anything");
        sim.now_ns = next;
    }
}

struct room {
    struct epoll_event *events;
    int max;
};

static int look(void *arg) {
    const struct room *room = arg;
    return collect(room->events, room->max);
}

int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_ms) {
    struct room room = {events, max};
    sim_fd(epoll_fd, FD_EPOLL, "epoll_wait");
    sim_turn_begins();
    if (sim_happens(FAULT_INTERRUPTED)) {
        sim_trace("epoll_wait", timeout_ms, -EINTR, 0);
        errno = EINTR;
        return -1;
    }
    int count = sim_wait(timeout_ms < 0 ? UINT64_MAX : sim.now_ns + (uint64_t)timeout_ms * SIM_MS, look, &room);
    sim_trace("epoll_wait", timeout_ms, count, 0);
    return count;
}
