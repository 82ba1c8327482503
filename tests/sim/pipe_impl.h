/*
 * pipe_impl.h - the inside of a pipe, for pipe.c (plain ones), pipe_tls.c and pipe_h2.c.
 */
#ifndef WF_TESTS_SIM_PIPE_IMPL_H
#define WF_TESTS_SIM_PIPE_IMPL_H

#include "pipe.h"

enum { WAY_OUT_BYTES = 65536, H2_WINDOW = 16384, H2_HEAD_BYTES = 2048, H2_GROUP_MAX = 4 };

struct sim_pipe {
    int who;
    bool used;
    sim_stream *stream; /* of HTTP/2, the connection's */
    sim_end ended;      /* for the client, before the stream has */
    bool wants_fin;     /* behind what is on its way */
    /* TLS */
    void *ssl;
    bool may_hold; /* OpenSSL has more than was asked for */
    /* HTTP/2 */
    struct sim_h2 *h2;
    int32_t id; /* of the stream; 0: none now */
    bool is_websocket, is_last;
    uint64_t body_left; /* of a request, to be written */
    size_t head_len, in_len, body_len, out_at, out_len;
    uint8_t head[H2_HEAD_BYTES], in[4 * H2_WINDOW], body[H2_WINDOW];
    uint8_t out[WAY_OUT_BYTES]; /* TLS: sealed, from out_at to out_len */
};

/* A pipe of this kind, whoever it is for. False: refused. */
bool sim_pipe_make(sim_pipe *p, const sim_pipe_kind *as, int who);

void sim_h2_begin(void);
void sim_tls_begin(void);

#endif
