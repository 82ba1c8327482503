/*
 * faults.h - what goes wrong in a run, and how often. Each kind has a rate of its own per seed, and all end at one
 * moment.
 */
#ifndef WF_TESTS_SIM_FAULTS_H
#define WF_TESTS_SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum sim_fault {
    FAULT_SHORT_READ,
    FAULT_SHORT_WRITE,
    FAULT_READ_AGAIN,
    FAULT_WRITE_AGAIN,
    FAULT_INTERRUPTED,    /* EINTR, of every call that may have it */
    FAULT_FEW_EVENTS,     /* epoll_wait tells some of what is ready */
    FAULT_MEANWHILE,      /* a client acts between two calls of one turn */
    FAULT_RESET,          /* the network resets a connection, seen by recv as ECONNRESET */
    FAULT_PIPE,           /* the same, seen by send as EPIPE */
    FAULT_SEND_NOBUFS,    /* ENOBUFS or ENOMEM */
    FAULT_ACCEPT,         /* ENFILE, ENOBUFS, ENOMEM */
    FAULT_ABORTED,        /* a connection that died in the queue: ECONNABORTED */
    FAULT_CTL,            /* epoll_ctl cannot add: ENOMEM; io_uring takes some requests, or none: EAGAIN */
    FAULT_MULTI_ENDS,     /* a request that would stay ends with what it tells */
    FAULT_NO_BUFFERS,     /* a receive finds none: ENOBUFS */
    FAULT_NO_DESCRIPTORS, /* begins or ends a time without descriptors: EMFILE */
    FAULT_NO_MEMORY,      /* an allocation fails */
    FAULT_COUNT
} sim_fault;

void sim_faults_begin(void); /* rates and the end from the seed; nothing happens before sim_faults_arm */
void sim_faults_arm(void);
bool sim_faulty(void); /* they may still happen */
bool sim_happens(sim_fault fault);

/* A number that grows with each allocation that failed. */
uint32_t sim_memory_faults(void);

#endif
