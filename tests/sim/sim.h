/*
 * sim.h - one run of the simulator: its seed, its time and its trace, for all files of this directory.
 *
 * The library runs unchanged on a kernel that is not there: the linker turns its system calls into ours (--wrap). All
 * that is decided, by the kernel and by the clients, comes from one generator, so that a seed is a run.
 */
#ifndef WF_TESTS_SIM_H
#define WF_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_PLAIN, SIM_TLS, SIM_H2, SIM_H2_IN_TLS, SIM_WIRES };

typedef struct sim_run {
    uint64_t seed;
    uint64_t random; /* state of the generator */
    uint64_t now_ns; /* virtual, since the run began */
    uint64_t hash;   /* of the trace so far */
    bool tracing;    /* print the trace as well */
    bool on_uring;   /* the server's loop is the one over io_uring */
    int wire;        /* what clients speak */
    uint64_t calls;  /* system calls of the server */
    uint64_t bytes;  /* that they moved */
    uint64_t deeds;  /* what clients and faults did: all that may give the server work */
    uint64_t connections;
} sim_run;

extern sim_run sim;

enum { SIM_MS = 1000000 };

static inline bool sim_is_secure(void) {
    return sim.wire == SIM_TLS || sim.wire == SIM_H2_IN_TLS;
}

static inline bool sim_is_h2(void) {
    return sim.wire == SIM_H2 || sim.wire == SIM_H2_IN_TLS;
}

static inline uint64_t sim_now_ms(void) {
    return sim.now_ns / SIM_MS;
}

uint64_t sim_random(void);
uint32_t sim_below(uint32_t n); /* 0 to n - 1; n > 0 */
bool sim_chance(uint32_t per_million);
uint32_t sim_between(uint32_t least, uint32_t most);
uint32_t sim_log_between(uint32_t least, uint32_t most); /* every magnitude equally often; least > 0 */

/* One line of the trace: what happened, and up to three numbers. */
void sim_trace(const char *what, int64_t a, int64_t b, int64_t c);

/* By its name: "plain", "tls".. -1: none is called so. */
int sim_wire_of(const char *name);

/* An oracle speaks: prints the seed and the trace's end, and ends the process. */
_Noreturn void sim_fail(const char *oracle, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
