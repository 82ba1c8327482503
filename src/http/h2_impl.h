/*
 * h2_impl.h - the inside of an HTTP/2 connection, for h2.c (the connection, what comes) and h2_stream.c (what goes).
 */
#ifndef WF_HTTP_H2_IMPL_H
#define WF_HTTP_H2_IMPL_H

#include "http/h2.h"
#include "http/h2_text.h"

#include <nghttp2/nghttp2.h>

enum {
    WF_H2_OUT_MAX = 64 * 1024,        /* bytes of a stream that wait to be sent */
    WF_H2_HEAD_MAX = 16 * 1024 * 1024 /* of a head of ours */
};

struct wf_h2 {
    nghttp2_session *session;
    wf_h2_limits limits;
    wf_h2_stream *streams; /* all */
    wf_h2_stream *news_first, *news_last;
    uint8_t *given; /* what was given out last; owned */
    size_t count, owned, bytes;
    uint32_t continuations, empties,
        misdeeds; /* two kinds of frames, in a row; errors of its streams, less what went well since */
    bool broken, settled, left;
};

struct wf_h2_stream {
    wf_h2 *h2;
    wf_h2_stream *prev, *next, *news_next;
    void *user;
    int32_t id;
    wf_h2_head head; /* while it comes */
    wf_buf in;       /* to be given out */
    size_t chunk_at; /* of it, where a chunk's size line stands; while in_chunk */
    size_t unused;   /* DATA bytes that came and were not given out: they fill the window */
    wf_buf our_head; /* text, while it comes from the owner */
    wf_buf out;
    size_t out_at;      /* of it, handed to nghttp2 */
    uint64_t body_left; /* of ours */
    uint32_t fields_dropped, error;
    bool listed, opened, is_head_request, chunked, in_chunk, in_over, eof_told, paused, wants_room;
    bool head_over;  /* the peer's head has been read */
    bool head_given; /* our head has been handed on */
    bool head_sent;  /* and left */
    bool deferred;   /* nghttp2 waits for more of `out` */
    bool end_sent;   /* END_STREAM */
    bool ends;       /* nothing follows what is in `out` */
    bool gone, gone_told, closed;
};

/* Bytes that streams hold: more, or fewer (a negative number as it is in size_t). */
static inline void wf_h2_count(wf_h2 *h2, size_t by) {
    h2->bytes += by;
    if (h2->limits.held_bytes)
        *h2->limits.held_bytes += by;
}

/* It has news: wf_h2_next looks at it. */
void wf_h2_list(wf_h2_stream *s);

/* nghttp2 has let go of it, or shall. */
void wf_h2_let_go(wf_h2_stream *s, uint32_t error);

/* All of ours has gone, and its owner with it. */
void wf_h2_want_no_more(wf_h2_stream *s);

static inline bool wf_h2_is_client(const wf_h2 *h2) {
    return h2->limits.scheme != NULL;
}

#endif
