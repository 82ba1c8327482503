/*
 * deadlines.h - what a connection waits for, and until when. Pure: the clock is a parameter.
 *
 * Times are milliseconds of the loop's clock, their low halves: each is looked at within 24 days, from where the
 * other half is known. A connection has one timer; it is armed for the earliest of these and asks again when it
 * fires, so that ordinary traffic only writes a time down and never touches the timer.
 */
#ifndef WF_LINK_DEADLINES_H
#define WF_LINK_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

enum { WF_NEVER = UINT32_MAX }; /* an interval that never ends */

/* Intervals, WF_NEVER switches one off. */
typedef struct wf_intervals {
    uint32_t ping_interval_ms, ping_timeout_ms, message_timeout_ms, send_timeout_ms;
} wf_intervals;

/* A time to be kept; never 0, which is "none". */
static inline uint32_t wf_time_kept(uint64_t ms) {
    return (uint32_t)ms != 0 ? (uint32_t)ms : 1;
}

typedef struct wf_deadlines {
    uint32_t until_ms;   /* while it is open: reading rests until then (too many pings). Before and after: handshake,
                            answer, close must be over by then; bytes do not move it. 0: none */
    uint32_t input_ms;   /* bytes last came */
    uint32_t message_ms; /* a message last made progress */
    uint32_t output_ms;  /* the kernel last took bytes, or the queue last began to fill */
    uint32_t ping_ms;    /* our ping went out, at the latest; 0: none is out */
    /* Token bucket for the peer's pings: wf_deadlines_ping_take. */
    uint32_t refilled_ms;
    uint16_t ping_tokens; /* thousandths */
    bool open : 1;        /* heartbeats run */
    bool in_message : 1;  /* a message is begun and not finished */
    bool sending : 1;     /* the kernel takes no more for now */
    bool resting : 1;     /* nothing is read for now: the peer's silence is our own doing and does not count */
} wf_deadlines;

typedef enum wf_due {
    WF_DUE_NOTHING,
    WF_DUE_STAGE,
    WF_DUE_PING,    /* silence: ping the peer */
    WF_DUE_PONG,    /* no answer: the peer is dead */
    WF_DUE_MESSAGE, /* a message does not go on */
    WF_DUE_SEND,    /* our output does not go on */
    WF_DUE_GATE     /* read again */
} wf_due;

/* The earliest that is ahead or past, and when. A pong is awaited from when its ping can have left: while our
 * output is stuck, from its last progress. */
wf_due wf_deadlines_next(const wf_deadlines *d, const wf_intervals *intervals, uint64_t now_ms, uint64_t *out_at_ms);

enum { WF_PING_BURST = 32 };

/* A burst is free. */
void wf_deadlines_ping_init(wf_deadlines *d, uint64_t now_ms);

/* The peer has pinged. 0: go on. Otherwise that was the last one for now: milliseconds until there may be another. */
uint32_t wf_deadlines_ping_take(wf_deadlines *d, uint32_t per_second, uint64_t now_ms);

#endif
