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
    wf_sock *below; /* that its bytes go by in the end; it outlives the port, open or closed */
    wf_sock *sock;  /* whose bytes it carries */
};

/* Opens `sock` on a port. WF_OK, or WF_ENOMEM. */
int wf_port_adopt(wf_loop *loop, wf_sock *sock, wf_port *port);

/* The descriptor that a sock's bytes go by, its own or that below; -1: it is closed. */
int wf_sock_descriptor(const wf_loop *loop, const wf_sock *sock);

#endif
