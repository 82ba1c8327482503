/*
 * dial.h - connecting sockets: IPv4, IPv6, unix.
 */
#ifndef WF_NET_DIAL_H
#define WF_NET_DIAL_H

#include "net/address.h"

/* Opens a socket, non-blocking and close-on-exec, and starts to connect it; TCP_NODELAY is set on TCP. `local` NULL:
 * from whatever address the system picks; its port should be 0, and is then chosen such that one address serves as
 * many connections as there are different destinations for each port.  Returns the descriptor, connected or
 * connecting (wf_sock_adopt takes it either way), or -1 with errno set: what the kernel knows at once (ECONNREFUSED,
 * ENETUNREACH, EMFILE, ...); EAFNOSUPPORT: `local` is of another family. EAGAIN: a unix socket's backlog is full:
 * later. */
int wf_dial_open(const wf_address *address, const wf_address *local);

#endif
