/*
 * kernel_impl.h - the kernel's tables, shared by what changes them: kernel.c (streams, from the clients' side),
 * poll.c (epoll), uring.c (io_uring) and syscalls.c (what the server calls).
 */
#ifndef WF_TESTS_SIM_KERNEL_IMPL_H
#define WF_TESTS_SIM_KERNEL_IMPL_H

#include "kernel.h"

#include <sys/epoll.h>

enum { FD_BASE = 1000, FD_MAX = 128, STREAMS_MAX = 96, RING_MAX = 16384, BACKLOG_MAX = 32 };

typedef struct ring {
    uint8_t data[RING_MAX];
    uint32_t from, len, cap;
} ring;

struct sim_stream {
    bool used;
    int fd;  /* -1: waits to be accepted, or the server has closed it */
    int who; /* the client */
    ring in, out;
    bool server_closed, client_closed;
    bool in_fin, out_fin; /* no more will come in; go out */
    bool reset;           /* the server's end is dead */
    int error;            /* to be told once, by the next call */
    bool client_reset;    /* the client's end is dead */
    bool hard_close;      /* SO_LINGER of 0: close() resets */
    bool hurt;
    uint32_t memory_faults; /* that there had been before it */
};

typedef enum fd_kind { FD_FREE, FD_EPOLL, FD_URING, FD_EVENT, FD_NULL, FD_SOCKET, FD_LISTEN, FD_STREAM } fd_kind;

typedef struct fd_entry {
    fd_kind kind;
    sim_stream *stream;
    uint64_t count;   /* of an eventfd */
    uint64_t changes; /* what there was to see so far: an edge is a new one */
    bool nonblocking;
    /* In the epoll set. */
    bool watched;
    uint32_t interest;
    uint64_t seen; /* of changes, when it was last reported */
    epoll_data_t data;
} fd_entry;

typedef struct sim_kernel {
    fd_entry fds[FD_MAX];
    int open_count;
    int fds_high; /* entries ever used */
    int fds_max;  /* more cannot be opened: EMFILE */
    sim_stream streams[STREAMS_MAX];
    sim_stream *queue[BACKLOG_MAX];
    int queued, backlog;
    int listen_fd; /* -1: there is none */
    uint32_t ring_bytes;
    bool reset_loses; /* a reset takes what was not read with it */
} sim_kernel;

extern sim_kernel kernel;

/* The entry of a descriptor the server names; fails when it is none of ours, or closed, or of another kind (FD_FREE:
 * any). */
fd_entry *sim_fd(int fd, fd_kind kind, const char *call);

int sim_fd_open(fd_kind kind); /* the lowest free one; -1: EMFILE */
void sim_fd_close(int fd);     /* forgets it; no more than that */

uint32_t ring_put(ring *r, const uint8_t *data, size_t len);
uint32_t ring_get(ring *r, uint8_t *out, size_t cap, bool peek);

/* What poll would say of it, all of it. */
uint32_t sim_fd_state(const fd_entry *entry);

/* What there was to see so far, of an epoll descriptor in all that it watches. */
uint64_t sim_fd_changes(const fd_entry *entry);

/* A turn of the server's: counts it, and lets the oracles look. */
void sim_turn_begins(void);

/* Time passes until `look` answers a positive count, which is returned, or until a moment. */
int sim_wait(uint64_t until_ns, int (*look)(void *arg), void *arg);

/* Something to see for epoll. */
void sim_stream_changed(sim_stream *s);
void sim_stream_die(sim_stream *s, int error); /* a reset arrives at the server */
void sim_stream_free_if_over(sim_stream *s);
void sim_stream_reset_client(sim_stream *s);

#endif
