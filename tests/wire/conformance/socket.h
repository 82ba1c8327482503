/*
 * socket.h - runs cases against an address, many at once.
 */
#ifndef WF_TESTS_CONFORMANCE_SOCKET_H
#define WF_TESTS_CONFORMANCE_SOCKET_H

#include "judge.h"

#include <sys/socket.h>

enum { JOBS_MAX = 64 };

typedef struct job job;

typedef struct socket_runner {
    struct sockaddr_storage address;
    socklen_t address_len;
    size_t jobs_max;      /* connections at once, 1..JOBS_MAX */
    unsigned patience_ms; /* for each thing that must come */
    void (*report)(void *context, const judge *j);
    void *context;
    job *jobs[JOBS_MAX];
    size_t job_count, weight;
} socket_runner;

/* suite.take: waits until there is room for one more, and begins it. Owns the case. */
void socket_take(void *runner, conf_case *c);

/* Waits for all. */
void socket_finish(socket_runner *r);

#endif
