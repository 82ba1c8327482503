/*
 * pipe.h - what a client's bytes go by: a stream of the kernel's as it is, TLS on it, or a stream of HTTP/2, of which
 * some clients share a connection. What goes in and comes out is HTTP/1.1 and WebSocket in all of them.
 */
#ifndef WF_TESTS_SIM_PIPE_H
#define WF_TESTS_SIM_PIPE_H

#include "kernel.h"

typedef struct sim_pipe sim_pipe;

/* One way a pipe may be made; pipe.c calls these through it. */
typedef struct sim_pipe_kind {
    bool (*open)(sim_pipe *p); /* false: refused */
    void (*pump)(sim_pipe *p); /* what waits in the pipe moves on, as far as there is room */
    size_t (*write)(sim_pipe *p, const uint8_t *data, size_t len);
    size_t (*read)(sim_pipe *p, uint8_t *out, size_t cap);
    size_t (*readable)(const sim_pipe *p);
    sim_end (*end)(const sim_pipe *p);
    void (*fin)(sim_pipe *p);
    void (*reset)(sim_pipe *p);
    void (*let_go)(sim_pipe *p);
} sim_pipe_kind;

extern const sim_pipe_kind sim_pipe_plain, sim_pipe_tls, sim_pipe_h2;

void sim_pipes_begin(void);

sim_pipe *sim_pipe_open(int who); /* NULL: refused */
void sim_pipe_pump(sim_pipe *p);
size_t sim_pipe_write(sim_pipe *p, const uint8_t *data, size_t len); /* bytes that were taken */
size_t sim_pipe_read(sim_pipe *p, uint8_t *out, size_t cap);
size_t sim_pipe_readable(const sim_pipe *p); /* 0: there is nothing to read now */
sim_end sim_pipe_end(const sim_pipe *p);     /* behind what is readable */
void sim_pipe_fin(sim_pipe *p);
void sim_pipe_reset(sim_pipe *p);
void sim_pipe_let_go(sim_pipe *p);
bool sim_pipe_hurt(const sim_pipe *p);     /* as of a stream (kernel.h) */
bool sim_pipe_given_up(const sim_pipe *p); /* the same */

/* Bytes that go at a time, at most: of the kernel's rings, and of windows. */
uint32_t sim_pipe_step(void);

/* Bytes that the server may take for read, and lie in the pipe still. */
uint32_t sim_pipe_held(void);

/* Bytes that go both ways before the first of a client's does. */
uint32_t sim_pipe_greeting(void);

/* Do these two clients share a connection? */
bool sim_pipe_shared(int a, int b);

#endif
