/*
 * replay.h: the memory that bench/user.py and the preloaded replay.c share, a file named by BENCH_REPLAY in the
 * environment. Every number is 64 bits in the machine's order, so that Python's `struct` can write it.
 *
 * Behind the struct lie two rings: what the connections say, `batches` times `batch_bytes`, and what has to be
 * answered, `batches` times `answer_bytes`. A batch is what one recv may return at most, `batch_messages` frames.
 */
#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

#include <stdint.h>

#define REPLAY_ENVIRONMENT "BENCH_REPLAY"

enum replay_state {
    REPLAY_OFF,       /* every call goes to the kernel */
    REPLAY_REQUESTED, /* the next epoll_wait that watches `connections` or more of them begins */
    REPLAY_RUNNING,
    REPLAY_DONE,   /* the figures are there; every call goes to the kernel again */
    REPLAY_FAILED, /* `why` says it, and the process has ended */
};

struct replay {
    uint64_t state; /* enum replay_state; what else is here belongs to who may change it next */

    /* Asked for. */
    uint64_t connections;
    uint64_t batches, batch_bytes, answer_bytes, batch_messages;
    uint64_t total; /* batches to be delivered, over all connections */
    uint64_t check; /* 1: compare every byte that is sent; 0: count them */

    /* Answered. */
    uint64_t cpu_ns;   /* of the thread that called epoll_wait, from its begin to its end */
    uint64_t turns;    /* calls of epoll_wait */
    uint64_t receives; /* calls that returned bytes */
    uint64_t sends;
    uint64_t
        faults; /* page faults of that thread: memory that is taken from the kernel anew, and its time is in cpu_ns */

    char why[256];
};

#endif
