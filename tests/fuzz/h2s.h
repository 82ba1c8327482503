/*
 * h2s.h - one HTTP/2 connection without a link: its peer, who sends frames, and the application behind its streams,
 * which echoes.
 *
 *      peer: wire ---[cut]---> wf_h2 ---events---> application
 *            frames <--------- wf_h2 <--answers---
 */
#ifndef WF_TESTS_FUZZ_H2S_H
#define WF_TESTS_FUZZ_H2S_H

#include "fuzz.h"
#include "http/h2.h"

enum { H2S_MAX = 200, H2S_HEAD_MAX = 4096, H2S_FRAME_MAX = 16384 };

/* A stream as the application has it; its number is that of its opening. */
typedef struct h2s {
    wf_h2_stream *stream; /* NULL: gone, or closed by us */
    int number;
    fuzz_bytes in;
    fuzz_bytes text; /* what it answers, of which `sent` bytes were taken */
    size_t sent;
    bool is_websocket, answered, paused, eof, ends, end_said, waits;
} h2s;

/* What the peer has seen of a stream. */
typedef struct h2s_seen {
    bool headers, ended, reset;
    fuzz_bytes body;
} h2s_seen;

typedef struct h2s_world {
    wf_h2 *h2;
    size_t held_bytes;
    h2s all[H2S_MAX];
    int count;
    h2s_seen seen[H2S_MAX]; /* by id: 1, 3, 5.. */
    fuzz_bytes wire, out;   /* all that came and went; `out` is judged up to out_at */
    size_t out_at;
    fuzz_bytes log; /* of events */
    int goaway;     /* -1: none */
    bool failing;   /* memory may be out */
} h2s_world;

void h2s_init(h2s_world *w, bool failing); /* h2 NULL: no memory */
void h2s_deinit(h2s_world *w);

/* The application hears all that there is to hear. */
void h2s_pull(h2s_world *w);

/* The peer reads all there is, and judges it. */
void h2s_hear(h2s_world *w);

/* The application says what it has, and the peer reads it: where no window is in the way, nobody waits. Only for a peer
 * who has not changed his windows, and a connection that goes on. */
void h2s_finish(h2s_world *w);

/* What the application may do to one of its streams. */
void h2s_act(h2s_world *w, int which, uint8_t how);

/* Between two happenings. */
void h2s_check(const h2s_world *w);

#endif
