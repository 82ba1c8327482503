/*
 * uring_impl.h - the one simulated ring: uring.c has its queues and what the server calls, uring_run.c what the
 * requests in it do.
 */
#ifndef WF_TESTS_SIM_URING_IMPL_H
#define WF_TESTS_SIM_URING_IMPL_H

#include "kernel_impl.h"

#include <liburing.h>

/* Newer than some headers. */
#ifndef IOU_PBUF_RING_INC
#define IOU_PBUF_RING_INC 2
#endif
#ifndef IORING_CQE_F_BUF_MORE
#define IORING_CQE_F_BUF_MORE (1U << 4)
#endif

enum { REQUESTS_MAX = 1024, COMPLETIONS_MAX = 1024, ACTIVE_MAX = 1024, OVERFLOW_MAX = 8192 };

/* A request that stays: a poll, or a receive. */
typedef struct request {
    bool used, receives, multi, cancelled;
    int fd;
    uint32_t events; /* of a poll */
    uint64_t seen;   /* of the descriptor's changes */
    uint64_t user_data;
} request;

typedef struct sim_ring {
    int fd; /* -1: there is none */
    bool enabled;
    unsigned sq_head, sq_tail, sq_entries, sq_mask, cq_head, cq_tail, cq_entries, cq_mask;
    struct io_uring_sqe sqes[REQUESTS_MAX];
    struct io_uring_cqe cqes[COMPLETIONS_MAX];
    struct io_uring_cqe overflow[OVERFLOW_MAX]; /* completions that found no room */
    unsigned overflow_count;
    request active[ACTIVE_MAX];
    unsigned active_high; /* entries ever used */
    struct io_uring_buf_ring *bufs;
    unsigned buf_entries;
    uint16_t buf_head, buf_seen; /* the one to be filled; up to where they are known to be ours */
} sim_ring;

extern sim_ring uring;

/* Posts a completion, or keeps it for later. False: it is kept. */
bool sim_complete(uint64_t user_data, int result, unsigned flags);

/* Takes those that were given. */
void sim_look_at_buffers(void);

/* Does one request, or begins it. */
void sim_request(const struct io_uring_sqe *sqe);

/* Lets the requests that stay go on, in an order of the seed's. True: one was held back, and is to be asked again. */
bool sim_requests_go_on(void);

#endif
