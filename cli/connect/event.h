/*
 * event.h - what happened, as a line of JSON. One shape for all of it: what is not known is null.
 */
#ifndef CLI_CONNECT_EVENT_H
#define CLI_CONNECT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVENT_UNKNOWN = -1 };

typedef struct connect_event {
    bool is_out;
    uint32_t conn;  /* 1 is the first, and each that --reconnect makes one more */
    const char *op; /* "text", "binary", "continuation", "ping", "pong", "close"; "open", "failed" */
    int fin, rsv;   /* or EVENT_UNKNOWN, as the next two */
    int64_t wire_len, len;
    uint64_t rtt_ns;  /* 0: none */
    const void *data; /* `len` bytes; NULL: there are none to show */
    bool is_binary;   /* shown in hex; so is what is no UTF-8 */
    const char *more; /* members of this op alone: "\"code\":1000" */
} connect_event;

/* A whole frame or message with this payload, of which nothing else is known yet. */
connect_event connect_event_of(const char *op, const void *data, size_t len);

/* A line, to be freed; *out_len without a NUL. NULL: no memory. */
char *connect_event_line(const connect_event *e, size_t *out_len);

#endif
