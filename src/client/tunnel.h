/*
 * tunnel.h - what is said with a proxy until it has made a connection: CONNECT (RFC 9110 9.3.6) or SOCKS 5 (RFC 1928,
 * RFC 1929). Sans-I/O: its bytes in, ours out, and a verdict.
 *
 *     wf_tunnel_begin(&tunnel, &out);                   // send out
 *     for (;;) switch (wf_tunnel_feed(&tunnel, data, len, &used, &out)) {
 *         WF_WANT_INPUT   all of data is used; send out, feed more, or wf_tunnel_end when no more comes
 *         WF_OK           through: the rest of data is the target's
 *         WF_ERROR        wf_tunnel_fault says why; sys_errno is there when it may heal
 *         WF_ENOMEM
 *     }
 *
 * No byte behind the proxy's last word is taken, and the outcome is the same however the bytes are cut. `out` is empty
 * at each call: what follows an answer while ours to it has not been sent is refused.
 */
#ifndef WF_CLIENT_TUNNEL_H
#define WF_CLIENT_TUNNEL_H

#include "base/buf.h"
#include "client/proxy.h"
#include "http/reply.h"

enum { WF_SOCKS_REPLY_BYTES_MAX = 4 + 1 + 255 + 2 };

typedef struct wf_tunnel {
    const wf_proxy *proxy; /* borrowed, as target */
    const char *target;
    wf_http_reply_reader *reply; /* of CONNECT; owned */
    wf_fault fault;
    uint8_t step;
    uint16_t need; /* SOCKS: bytes of `in` until something can be told from them */
    uint16_t in_len;
    uint8_t in[WF_SOCKS_REPLY_BYTES_MAX];
} wf_tunnel;

/* `target` is "host:port", an IPv6 address in brackets. Nothing is owned yet. */
void wf_tunnel_init(wf_tunnel *tunnel, const wf_proxy *proxy, const char *target);
void wf_tunnel_deinit(wf_tunnel *tunnel);

/* Appends the first words. `limits` are over an HTTP proxy's answer. WF_OK or WF_ENOMEM. */
int wf_tunnel_begin(wf_tunnel *tunnel, const wf_http_limits *limits, wf_buf *out);

/* See the head of this file. *out_used is always set. */
int wf_tunnel_feed(wf_tunnel *tunnel, const uint8_t *data, size_t len, size_t *out_used, wf_buf *out);

/* No more comes: WF_ERROR or WF_ENOMEM. */
int wf_tunnel_end(wf_tunnel *tunnel);

const wf_fault *wf_tunnel_fault(const wf_tunnel *tunnel);

/* A whole answer other than 2xx, the caller's; NULL: none came. */
wf_http_reply_reader *wf_tunnel_take_reply(wf_tunnel *tunnel);

#endif
