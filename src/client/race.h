/*
 * race.h - several addresses, and the first that connects (RFC 8305 5): an attempt begins when the last one has failed,
 * or has been under way for a while, and all go on until one has won. No TLS and no byte before that.
 */
#ifndef WF_CLIENT_RACE_H
#define WF_CLIENT_RACE_H

#include "net/address.h"
#include "net/loop.h"

#include <stdbool.h>

enum { WF_RACE_DELAY_MS = 250 }; /* RFC 8305 5: the connection attempt delay */

typedef struct wf_race wf_race;

/* An attempt is what the loop's events of kind WF_SOCK_CONNECT lead to. */
typedef struct wf_attempt {
    wf_sock sock; /* first */
    wf_race *race;
} wf_attempt;

struct wf_race {
    void *owner; /* carried, not looked at */
    wf_loop *loop;
    const wf_address *addresses; /* borrowed, as local, until the end */
    const wf_address *local;     /* NULL: any */
    size_t count;
    size_t begun;       /* attempts */
    size_t under_way;   /* of them */
    uint64_t next_ms;   /* when another begins at the latest; UINT64_MAX: there is none */
    size_t failed_last; /* the address whose attempt failed last */
    int sys_errno;      /* how */
    wf_attempt attempts[];
};

/* NULL when memory is out. Nothing has begun: step it. */
wf_race *wf_race_new(wf_loop *loop, const wf_address *addresses, size_t count, const wf_address *local);
void wf_race_free(wf_race *race); /* closes what is under way. NULL is accepted */

/* Begins what is due. WF_OK; or WF_ERROR: nothing is under way any more, and failed_last and sys_errno say how. */
int wf_race_step(wf_race *race, uint64_t now_ms);

/* An event of an attempt. WF_OK: it has won, and *out_fd is the caller's, *out_at its address; the others are closed.
 * WF_WANT_INPUT: it goes on. WF_ERROR: as above. */
int wf_race_event(wf_race *race, const wf_loop_event *event, uint64_t now_ms, int *out_fd, size_t *out_at);

/* The families take turns, in the order of their first; each keeps its own order (RFC 8305 4). */
void wf_addresses_interleave(wf_address *addresses, size_t count);

#endif
