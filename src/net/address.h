/*
 * address.h - where to listen or connect to: IPv4, IPv6, unix.
 *
 * Forms: "127.0.0.1:9001", "[::1]:9001", ":9001", "*:9001" and "9001" (all addresses, IPv6 dual-stack where
 * there is IPv6), "localhost:9001" (127.0.0.1), "unix:/run/weft.sock", "unix:@abstract". Port 0: the system
 * picks one.
 */
#ifndef WF_NET_ADDRESS_H
#define WF_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

typedef struct wf_address {
    struct sockaddr_storage storage;
    socklen_t len;
} wf_address;

/* Enough for the text of any address, its NUL included. */
enum { WF_ADDRESS_TEXT_BYTES = 128 };

/* 0, or WF_EINVAL with a static text in *out_why ("port is not a number from 0 to 65535"). Host names are
 * resolved only for "localhost": nothing here blocks. */
int wf_address_parse(const char *text, wf_address *out_address, const char **out_why);

/* "127.0.0.1:9001", "[::1]:9001", "unix:/path", "unix:@name"; "unix:" for a peer without a name; "?" for a
 * family that is none of these. Bytes of a unix name that do not print become '?'. Always NUL-terminated
 * within cap (cap > 0). */
void wf_address_format(const wf_address *address, char *out, size_t cap);

#endif
