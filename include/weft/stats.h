/*
 * weft/stats.h - what a server has done, as counters that only grow and gauges that are counted, not
 * estimated.
 */
#ifndef WEFT_STATS_H
#define WEFT_STATS_H

#include <weft/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Closes are counted by code: 1000..1015 each, then all of 3000-3999, all of 4000-4999. */
enum { WEFT_CLOSE_SLOTS = 18 };

typedef struct weft_stats {
    uint64_t accepted;            /* TCP or unix connections */
    uint64_t connections;         /* open descriptors of those, now */
    uint64_t websockets;          /* open WebSockets, now */
    uint64_t streams;             /* open streams (weft_request_stream), now */
    uint64_t handshakes;          /* upgrades answered 101 */
    uint64_t requests;            /* plain HTTP requests answered */
    uint64_t bytes_in, bytes_out; /* on the wire */
    uint64_t messages_in, messages_out;
    uint64_t deflating; /* of the WebSockets, those with permessage-deflate */
    uint64_t deflate_in_bytes,
        deflate_out_bytes; /* messages compressed, once for all or for one: their length, and what it became */
    uint64_t inflate_in_bytes, inflate_out_bytes; /* messages received compressed: what came, and their length */
    uint64_t published;                           /* messages */
    uint64_t delivered;                           /* queue entries made of them */
    uint64_t queue_drops;                         /* published messages a slow subscriber did not get */
    uint64_t shed_connections;                    /* refused for connections_max, half_open_max or memory_bytes_max */
    uint64_t memory_bytes;                        /* buffered input and output, and the states of compression, now */
    uint64_t loop_lag_ns_max;                     /* the longest turn of a loop in the last full second */
    uint64_t closes[WEFT_CLOSE_SLOTS];            /* WebSockets ended, by weft_close_slot */
} weft_stats;

/* Fills *out_stats (struct of this version). Any thread; reads without stopping anyone. */
WEFT_API void weft_server_stats(const weft_server *server, weft_stats *out_stats);

WEFT_API int weft_close_slot(int code);              /* -1: none */
WEFT_API const char *weft_close_slot_name(int slot); /* "1000", "3xxx" */

/* Refused handshakes and broken requests by reason, index 0 up; NULL name behind the last. */
WEFT_API const char *weft_server_refusals(const weft_server *server, size_t index, uint64_t *out_count);

#ifdef __cplusplus
}
#endif

#endif
