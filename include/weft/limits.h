/*
 * weft/limits.h - what a connection may take, and how its messages are compressed: for servers and clients alike.
 */
#ifndef WEFT_LIMITS_H
#define WEFT_LIMITS_H

#include <stdint.h>

/* Wherever a zero means the default, this means "no limit", "never" or "none". */
#define WEFT_NONE UINT32_MAX

/* What a subscriber that reads too slowly costs itself, when a published message, or one sent by handle, does
 * not fit its queue. Always counted. Control frames and weft_conn_send are not concerned. */
typedef enum weft_slow_policy {
    WEFT_SLOW_DEFAULT,
    WEFT_SLOW_CLOSE,       /* close 1008: nothing is lost in silence. The default. */
    WEFT_SLOW_DROP_NEWEST, /* the new message is not queued */
    WEFT_SLOW_DROP_OLDEST  /* published messages that wait longest make room */
} weft_slow_policy;

/* Per route or dial; zero inherits the server's or the client's, whose zero is the value in brackets. */
typedef struct weft_limits {
    uint32_t message_bytes_max; /* [1 MiB] a longer message is refused with 1009 before memory is taken */
    uint32_t queue_bytes_max;   /* [1 MiB] unsent bytes per connection; a message alone in the queue may be longer */
    weft_slow_policy slow_policy;
    uint32_t ping_interval_ms;    /* [25,000] silence after which we ping. WEFT_NONE: never */
    uint32_t ping_timeout_ms;     /* [8,000] for the pong */
    uint32_t ping_timeout_code;   /* [1008] that the connection is closed with then; what may not travel is 1008 */
    uint32_t message_timeout_ms;  /* [30,000] for the next byte of a started message */
    uint32_t send_timeout_ms;     /* [30,000] without progress of our output */
    uint32_t close_timeout_ms;    /* [5,000] for the whole closing handshake */
    uint32_t pings_per_second;    /* [10] of the peer's pings, burst 32; above, reading pauses */
    uint32_t empty_fragments_max; /* [1,024] zero-length fragments in one message; above: 1008 */
    uint32_t topics_max;          /* [128] subscriptions per connection */
} weft_limits;

/*
 * permessage-deflate (RFC 7692): what a server agrees to with clients that offer it, or what a client offers. The mode
 * says what is kept of a connection between two messages, for the next to refer to:
 *
 *   OFF          messages are not compressed
 *   NO_TAKEOVER  nothing, in either direction
 *   SHARED       nothing of what we send, and a published message is compressed once for all; of what the peer
 *                sends up to 2^client_window_bits bytes
 *   DEDICATED    2^window_bits bytes of what we send too: small messages become much smaller, each subscriber's are
 *                compressed by themselves (from 4 KiB on once for all: there context saves little)
 *
 * Do not compress a secret together with what a peer may choose, or send it with weft_kind ..._PLAIN: the length tells.
 */
typedef enum weft_deflate_mode {
    WEFT_DEFLATE_DEFAULT,
    WEFT_DEFLATE_OFF,
    WEFT_DEFLATE_NO_TAKEOVER,
    WEFT_DEFLATE_SHARED,
    WEFT_DEFLATE_DEDICATED
} weft_deflate_mode;

/* Per route or dial; with the mode DEFAULT all of it is the server's or the client's, whose values are in brackets. */
typedef struct weft_deflate {
    weft_deflate_mode mode;      /* [OFF] */
    uint32_t window_bits;        /* [12] 8 to 15: how far back our compressor refers. 12 is 4 KiB. */
    uint32_t client_window_bits; /* [12] 8 to 15: asked of clients that let us choose (browsers do); others have 15.
                                  * In a client: asked of the server [15] */
    uint32_t message_bytes_min;  /* [128, DEDICATED 32] shorter messages are sent plain. WEFT_NONE: all are */
} weft_deflate;

/* HTTP/2 carries many requests and WebSockets (RFC 8441) on one connection; callbacks do not see it. */
typedef enum weft_http2 {
    WEFT_HTTP2_DEFAULT, /* a server's: ON; a client's: OFF */
    WEFT_HTTP2_OFF,
    WEFT_HTTP2_CLEAR, /* ON, and without TLS too, between those who know beforehand */
    WEFT_HTTP2_ON     /* where the TLS handshake agrees on it */
} weft_http2;

/* How the kernel is asked. AUTO: io_uring where it is built in, the kernel has enough of it (Linux 6.12) and lets us
 * use it, else epoll; the environment variable WEFT_BACKEND ("epoll", "io_uring") decides before. */
typedef enum weft_backend { WEFT_BACKEND_AUTO, WEFT_BACKEND_EPOLL, WEFT_BACKEND_IO_URING } weft_backend;

#endif
