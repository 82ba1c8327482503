/*
 * conn.h - what server and client share above a link: the weft_conn_* calls that are alike in both roles, and the
 * defaults of limits and compression.
 *
 * A weft_conn is whatever its server or client keeps of a connection; it begins with its wf_link, and this room looks
 * at nothing else.
 */
#ifndef WF_CONN_CONN_H
#define WF_CONN_CONN_H

#include "link/link.h"

#include <weft/conn.h>
#include <weft/limits.h>

/* False: no kind at all. */
bool wf_kind_split(weft_kind kind, uint8_t *out_opcode, bool *out_plain);

/* A message as its callback takes it. Its first half is written in one piece: passed on the stack, the struct is
 * copied by 16 bytes, and such a copy of what two stores have just written waits until both are in the cache (22
 * cycles on a Zen 3). */
static inline weft_message wf_message_of(const wf_ws_event *event) {
    typedef uint64_t half __attribute__((vector_size(16)));
    weft_message message = {(weft_kind)event->opcode, event->data, event->len};
    if (sizeof message == 24) { /* of a 64-bit machine, and a little-endian one as all are here (base/bytes.c) */
        half first = {event->opcode, (uintptr_t)event->data};
        memcpy(&message, &first, sizeof first);
    }
    return message;
}

/* How a WebSocket ended, for its `closed`. Borrows from the link. */
void wf_conn_close_info(const weft_conn *conn, weft_close_info *out_info);

/* Where `value` is zero it becomes `standard`. */
void wf_fill(uint32_t *value, uint32_t standard);

/* Fills in what is zero; `standard` NULL: with the documented defaults. */
void wf_limits_fill(weft_limits *limits, const weft_limits *standard);

/* The same for compression, `peer_window_bits` being the default of what the other side is asked for. WF_EINVAL: a
 * value out of range. */
int wf_deflate_fill(weft_deflate *deflate, const weft_deflate *standard, uint32_t peer_window_bits);

/* Of filled-in limits; all but .pmd, which is the role's. */
wf_link_limits wf_limits_of_link(const weft_limits *limits);

#endif
