/*
 * listen.h - listening sockets: IPv4, IPv6, unix.
 */
#ifndef WF_NET_LISTEN_H
#define WF_NET_LISTEN_H

#include "net/address.h"
#include "net/loop.h"

/* Opens, binds and listens, non-blocking and close-on-exec. `alone` true refuses (EADDRINUSE) a TCP address that
 * anyone listens on, also through SO_REUSEPORT; false joins those who listen there, as the further sockets of one
 * server do, and servers that share a port. *address is updated with the port the system chose.
 *
 * A unix socket is opened once (`alone` makes no difference) and shared (dup) by the caller. Its file is
 * replaced when nobody answers on it; a live one is EADDRINUSE, anything that is not a socket EEXIST and left
 * alone, a name that does not fit ENAMETOOLONG. Who listens removes the file in the end.
 *
 * Returns the descriptor, or -1 with errno set. */
int wf_listen_open(wf_address *address, bool alone, int backlog);

/* Puts a listening descriptor under the loop: WF_LOOP_ACCEPTED events follow, at most 64 a turn, each
 * non-blocking and close-on-exec, TCP_NODELAY set on TCP (by inheritance: on a listening socket that was not
 * opened here, connections that were complete before this call lack it). Out of descriptors (EMFILE, ENFILE)
 * or kernel memory: one connection is accepted and closed with a spare descriptor so that the peer knows,
 * then accepting rests for 100 ms; CPU stays low. Allocates (this call only). 0, or WF_ESYS with errno set
 * (the descriptor stays the caller's). */
int wf_listen_adopt(wf_loop *loop, wf_sock *sock, int fd);

#endif
