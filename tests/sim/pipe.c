/*
 * Which kind of pipe a run has, and the plain one.
 */
#include "pipe_impl.h"

#include "client.h"
#include "sim.h"

#include <string.h>

static sim_pipe pipes[CLIENTS_MAX];

static const sim_pipe_kind *kind(void) {
    return sim_is_h2() ? &sim_pipe_h2 : sim_is_secure() ? &sim_pipe_tls : &sim_pipe_plain;
}

void sim_pipes_begin(void) {
    for (int i = 0; i < CLIENTS_MAX; i++)
        pipes[i].used = false;
    sim_h2_begin();
    sim_tls_begin();
}

sim_pipe *sim_pipe_open(int who) {
    sim_pipe *p = &pipes[who];
    return sim_pipe_make(p, kind(), who) ? p : NULL;
}

bool sim_pipe_make(sim_pipe *p, const sim_pipe_kind *as, int who) {
    memset(p, 0, offsetof(sim_pipe, head)); /* and not all the bytes it may hold */
    p->who = who;
    p->used = as->open(p);
    return p->used;
}

void sim_pipe_pump(sim_pipe *p) {
    kind()->pump(p);
}

size_t sim_pipe_write(sim_pipe *p, const uint8_t *data, size_t len) {
    return len > 0 ? kind()->write(p, data, len) : 0;
}

size_t sim_pipe_read(sim_pipe *p, uint8_t *out, size_t cap) {
    return cap > 0 ? kind()->read(p, out, cap) : 0;
}

size_t sim_pipe_readable(const sim_pipe *p) {
    return kind()->readable(p);
}

sim_end sim_pipe_end(const sim_pipe *p) {
    return kind()->end(p);
}

void sim_pipe_fin(sim_pipe *p) {
    kind()->fin(p);
}

void sim_pipe_reset(sim_pipe *p) {
    kind()->reset(p);
}

void sim_pipe_let_go(sim_pipe *p) {
    kind()->let_go(p);
    p->used = false;
}

bool sim_pipe_hurt(const sim_pipe *p) {
    return sim_stream_hurt(p->stream);
}

bool sim_pipe_given_up(const sim_pipe *p) {
    return p->ended != SIM_END_NONE || sim_stream_given_up(p->stream);
}

/* A record that is not whole cannot be read. What the server has written to a stream of HTTP/2 may still be there. */
uint32_t sim_pipe_held(void) {
    enum { TLS_RECORD = 16384 + 300, H2_STREAM = 65536 + H2_WINDOW };
    return (sim_is_secure() ? TLS_RECORD : 0) + (sim_is_h2() ? H2_STREAM : 0);
}

uint32_t sim_pipe_greeting(void) {
    return (sim_is_secure() ? 3000 : 0) + (sim_is_h2() ? 1000 : 0);
}

/* ---- plain ---- */

static bool plain_open(sim_pipe *p) {
    p->stream = sim_connect(p->who);
    return p->stream != NULL;
}

static void plain_pump(sim_pipe *p) {
    (void)p;
}

static size_t plain_write(sim_pipe *p, const uint8_t *data, size_t len) {
    return sim_stream_write(p->stream, data, len);
}

static size_t plain_read(sim_pipe *p, uint8_t *out, size_t cap) {
    return sim_stream_read(p->stream, out, cap);
}

static size_t plain_readable(const sim_pipe *p) {
    return sim_stream_readable(p->stream);
}

static sim_end plain_end(const sim_pipe *p) {
    return sim_stream_end(p->stream);
}

static void plain_fin(sim_pipe *p) {
    sim_stream_fin(p->stream);
}

static void plain_reset(sim_pipe *p) {
    sim_stream_reset(p->stream);
}

static void plain_let_go(sim_pipe *p) {
    sim_stream_let_go(p->stream);
    p->stream = NULL;
}

const sim_pipe_kind sim_pipe_plain = {plain_open, plain_pump, plain_write, plain_read,  plain_readable,
                                      plain_end,  plain_fin,  plain_reset, plain_let_go};
