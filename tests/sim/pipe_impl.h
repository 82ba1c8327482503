/*
 * pipe_impl.h - the inside of a pipe, for pipe.c (plain ones), pipe_tls.c and pipe_h2.c.
 */
#ifndef WF_TESTS_SIM_PIPE_IMPL_H
#define WF_TESTS_SIM_PIPE_IMPL_H

#include "pipe.h"

enum { WAY_OUT_BYTES = 65536, H2_WINDOW = 16384, H2_HEAD_BYTES = 2048, H2_GROUP_MAX = 4 };

/* Bytes on their way to the kernel. */
typedef struct sim_way_out {
    uint8_t data[WAY_OUT_BYTES];
    size_t at, len;
} sim_way_out;

struct sim_pipe {
    int who;
    bool used;
    sim_stream *stream; /* of HTTP/2, the connection's */
    bool wants_fin;     /* behind what is on its way */
    sim_way_out out;
    /* TLS */
    void *ssl;
    bool may_hold; /* OpenSSL has more than was asked for */
    /* HTTP/2 */
    struct sim_h2 *h2;
    int32_t id; /* of the stream; 0: none now */
    uint8_t head[H2_HEAD_BYTES], in[4 * H2_WINDOW], body[H2_WINDOW];
    size_t head_len, in_len, body_len;
    uint64_t body_left; /* of a request, to be written */
    bool is_websocket, is_last;
    sim_end ended;
};

/* Sends what is on its way; true: nothing is any more. */
bool sim_way_out_flush(sim_way_out *way, sim_stream *s);

void sim_h2_begin(void);

#endif
