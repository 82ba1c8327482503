/*
 * Descriptors and streams. A descriptor is the lowest free number, as POSIX has it: so one that is closed in the
 * middle of a batch of events is the next one accepted, while the batch may still name it.
 */
#include "kernel_impl.h"

#include "client.h"
#include "faults.h"
#include "sim.h"

#include <errno.h>
#include <string.h>

sim_kernel kernel;

void sim_kernel_begin(void) {
    memset(kernel.fds, 0, sizeof kernel.fds);
    for (int i = 0; i < STREAMS_MAX; i++)
        kernel.streams[i].used = false;
    kernel.open_count = kernel.fds_high = kernel.queued = 0;
    kernel.fds_max = FD_MAX;
    kernel.listen_fd = -1;
    kernel.ring_bytes = sim_log_between(64, RING_MAX);
    kernel.reset_loses = sim_below(2);
}

int sim_kernel_descriptors(void) {
    return kernel.open_count;
}

uint32_t sim_ring_bytes(void) {
    return kernel.ring_bytes;
}

fd_entry *sim_fd(int fd, fd_kind kind, const char *call) {
    if (fd < FD_BASE || fd >= FD_BASE + FD_MAX || kernel.fds[fd - FD_BASE].kind == FD_FREE)
        sim_fail("descriptors", "%s on %d, which is not open", call, fd);
    fd_entry *entry = &kernel.fds[fd - FD_BASE];
    if (kind != FD_FREE && entry->kind != kind)
        sim_fail("descriptors", "%s on %d, which is of kind %d", call, fd, (int)entry->kind);
    return entry;
}

int sim_fd_open(fd_kind kind) {
    for (int i = 0; i < kernel.fds_max && i < FD_MAX; i++) {
        if (kernel.fds[i].kind == FD_FREE) {
            kernel.fds[i] = (fd_entry) {.kind = kind};
            kernel.open_count++;
            kernel.fds_high = i >= kernel.fds_high ? i + 1 : kernel.fds_high;
            return FD_BASE + i;
        }
    }
    errno = EMFILE;
    return -1;
}

void sim_fd_close(int fd) {
    kernel.fds[fd - FD_BASE] = (fd_entry) {.kind = FD_FREE};
    kernel.open_count--;
}

uint32_t ring_put(ring *r, const uint8_t *data, size_t len) {
    uint32_t count = len < r->cap - r->len ? (uint32_t)len : r->cap - r->len;
    uint32_t at = (r->from + r->len) % r->cap, first = count < r->cap - at ? count : r->cap - at;
    memcpy(r->data + at, data, first);
    memcpy(r->data, data + first, count - first);
    r->len += count;
    return count;
}

uint32_t ring_get(ring *r, uint8_t *out, size_t cap, bool peek) {
    uint32_t count = cap < r->len ? (uint32_t)cap : r->len;
    uint32_t first = count < r->cap - r->from ? count : r->cap - r->from;
    memcpy(out, r->data + r->from, first);
    memcpy(out + first, r->data, count - first);
    if (!peek) {
        r->from = (r->from + count) % r->cap;
        r->len -= count;
    }
    return count;
}

static void ring_begin(ring *r) {
    r->from = r->len = 0;
    r->cap = kernel.ring_bytes;
}

bool sim_listening(void) {
    return kernel.listen_fd >= 0;
}

sim_stream *sim_connect(int who) {
    if (kernel.listen_fd < 0 || kernel.queued == kernel.backlog)
        return NULL;
    for (int i = 0; i < STREAMS_MAX; i++) {
        sim_stream *s = &kernel.streams[i];
        if (s->used)
            continue;
        s->used = true;
        s->fd = -1;
        s->who = who;
        s->server_closed = s->client_closed = s->in_fin = s->out_fin = false;
        s->reset = s->client_reset = s->hard_close = s->hurt = false;
        s->error = 0;
        s->memory_faults = sim_memory_faults();
        ring_begin(&s->in);
        ring_begin(&s->out);
        kernel.queue[kernel.queued++] = s;
        kernel.fds[kernel.listen_fd - FD_BASE].changes++;
        sim.connections++;
        return s;
    }
    return NULL;
}

void sim_stream_changed(sim_stream *s) {
    if (s->fd >= 0)
        kernel.fds[s->fd - FD_BASE].changes++;
}

void sim_stream_free_if_over(sim_stream *s) {
    if (s->server_closed && s->client_closed)
        s->used = false;
}

void sim_stream_die(sim_stream *s, int error) {
    if (s->reset || s->server_closed)
        return;
    s->reset = true;
    s->error = error;
    s->in_fin = s->out_fin = true;
    if (kernel.reset_loses)
        s->in.len = 0;
    sim_stream_changed(s);
}

/* What the client has not read yet may be lost with it: that is why a server lingers. */
void sim_stream_reset_client(sim_stream *s) {
    if (s->client_closed || s->client_reset)
        return;
    s->client_reset = true;
    if (kernel.reset_loses)
        s->out.len = s->out.len ? sim_below(s->out.len) : 0;
    sim_client_stir_all(s->who);
}

/* ---- the client's side ---- */

size_t sim_stream_write(sim_stream *s, const uint8_t *data, size_t len) {
    if (s->client_reset || s->reset || s->in_fin || len == 0)
        return 0;
    if (s->server_closed) {
        sim_stream_reset_client(s);
        return 0;
    }
    size_t count = ring_put(&s->in, data, len);
    if (count > 0)
        sim_stream_changed(s);
    return count;
}

size_t sim_stream_read(sim_stream *s, uint8_t *out, size_t cap) {
    bool was_full = s->out.cap - s->out.len <= s->out.cap / 3;
    size_t count = ring_get(&s->out, out, cap, false);
    if (count > 0 && was_full)
        sim_stream_changed(s);
    return count;
}

size_t sim_stream_readable(const sim_stream *s) {
    return s->out.len;
}

sim_end sim_stream_end(const sim_stream *s) {
    return s->client_reset || s->reset ? SIM_END_RESET : s->out_fin ? SIM_END_FIN : SIM_END_NONE;
}

void sim_stream_fin(sim_stream *s) {
    if (s->in_fin)
        return;
    s->in_fin = true;
    sim_stream_changed(s);
}

void sim_stream_reset(sim_stream *s) {
    sim_stream_die(s, s->in_fin ? EPIPE : ECONNRESET);
}

void sim_stream_let_go(sim_stream *s) {
    bool unread = s->out.len > 0;
    s->client_closed = true;
    if (unread && !s->client_reset)
        sim_stream_reset(s);
    sim_stream_fin(s);
    sim_stream_free_if_over(s);
}

bool sim_stream_hurt(const sim_stream *s) {
    return s->hurt || s->memory_faults != sim_memory_faults();
}

bool sim_stream_given_up(const sim_stream *s) {
    return s->server_closed || s->reset || s->client_reset;
}
