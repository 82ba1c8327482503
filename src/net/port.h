/*
 * port.h - a sock without a descriptor: whoever opens the port carries its bytes, an HTTP/2 stream for one, and tells
 * what happens to it in events of his own making. The sock is used as any other (loop.h), and its contract is the
 * port's to keep.
 */
#ifndef WF_NET_PORT_H
#define WF_NET_PORT_H

#include "net/loop.h"

typedef struct wf_port wf_port;

/* As their namesakes wf_sock_... in loop.h. */
typedef struct wf_port_calls {
    void (*pause)(wf_port *port);
    void (*resume)(wf_port *port);
    int64_t (*send)(wf_port *port, const struct iovec *ranges, int count);
    void (*shutdown)(wf_port *port);
    void (*close)(wf_port *port, bool abort); /* the last call */
} wf_port_calls;

struct wf_port {
    const wf_port_calls *calls;
    wf_sock *sock; /* whose bytes it carries */
};

/* Opens `sock` on a port. `below` is the descriptor its bytes go by in the end, shown as the sock's, not owned.
 * WF_OK, or WF_ENOMEM. */
int wf_port_adopt(wf_loop *loop, wf_sock *sock, wf_port *port, int below);

#endif
