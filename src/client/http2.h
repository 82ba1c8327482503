/*
 * http2.h - HTTP/2 in a client: calls to one origin share a connection, each on a stream of its own.
 *
 *      weft_client -- origins: a list -- trunks -- lanes -- calls
 *
 * A trunk is the connection: dialled as a call is, but nobody's. A lane is a call's place on it: first it waits there,
 * until the connection stands and the server's SETTINGS have come, then it has a stream, and the call's link is on a
 * port in place of a socket (net/port.h). A call has its own deadlines from the beginning, a trunk has none until it is
 * idle.
 */
#ifndef WF_CLIENT_HTTP2_H
#define WF_CLIENT_HTTP2_H

#include "client/client_impl.h"
#include "http/h2.h"

/* Where calls may share: scheme, host, port, addresses, proxy. */
typedef struct wf_origin {
    struct wf_origin *next;
    wf_trunk *trunks;   /* that take calls */
    size_t trunk_count; /* all that are there */
    size_t streams_max; /* as its last SETTINGS said */
    bool http1;         /* it has no WebSockets over HTTP/2 */
    size_t key_len;
    uint8_t key[];
} wf_origin;

struct wf_lane {
    wf_port port; /* first */
    wf_call *call;
    wf_trunk *trunk;
    wf_lane *prev, *next;  /* of its list */
    wf_h2_stream *stream;  /* NULL: it waits for one, or its port is closed */
    struct wf_lanes *list; /* the one it is on */
};

typedef struct wf_lanes {
    wf_lane *first, *last;
    size_t count;
} wf_lanes;

struct wf_trunk {
    wf_call call; /* first; its prev and next are of the client's trunks */
    wf_h2 *h2;    /* NULL: it is not known yet that this is HTTP/2 */
    wf_origin *origin;
    wf_trunk *next;           /* of the origin's */
    wf_lanes waiting, riding; /* for a stream; on one */
    bool listed;              /* among the origin's: calls may come */
    bool leaves;              /* GOAWAY is sent */
    bool awaited;             /* the handshake deadlines of those that wait run */
};

/* NULL: no memory. It is connecting, and its origin's. */
wf_trunk *wf_trunk_new(weft_client *client, wf_origin *origin, const wf_dialling *dialling);

bool wf_trunk_takes(const wf_trunk *trunk); /* another call */
void wf_trunk_unlist(wf_trunk *trunk);      /* it takes no more */

/* There is something for it to send, or to see. */
static inline void wf_trunk_stir(wf_trunk *trunk) {
    wf_outq_mark_ready(&trunk->call.link.q);
}

/* lane.c: the call's from here on, and on the trunk */
void wf_trunk_join(wf_trunk *trunk, wf_call *call, wf_lane *lane);
void wf_lane_seat(wf_lane *lane); /* it waits, and there is room */

#endif
