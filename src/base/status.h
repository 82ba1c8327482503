/*
 * status.h - results and faults.
 *
 * A function answers 0 (done), a positive value (normal: the caller branches) or a negative one (over).
 * Why something ended travels in a wf_fault, whose strings are static: nothing is formatted or freed.
 */
#ifndef WF_BASE_STATUS_H
#define WF_BASE_STATUS_H

#include <stdint.h>

enum {
    WF_OK = 0,
    WF_WANT_INPUT = 1, /* everything fed so far is used up */
    WF_FULL = 2,       /* over a budget; nothing was taken */

    WF_ERROR = -1,   /* over; the fault says why */
    WF_ENOMEM = -2,  /* an allocation failed; the object is unchanged */
    WF_EINVAL = -3,  /* the caller's mistake */
    WF_ECLOSED = -4, /* closing or closed: nothing more can be sent */
    WF_ESTALE = -5,  /* a handle whose object is gone */
    WF_ELIMIT = -6,  /* a configured limit is reached */
    WF_ESYS = -7     /* a system call failed; errno is kept in the fault */
};

/* Why something ended. `rule` is a static string: the rule broken, "RFC6455/5.5: control frame over 125
 * bytes". `close_code` is the WebSocket close code (RFC 6455 7.4) that goes on the wire, or for HTTP the
 * status code. */
typedef struct wf_fault {
    int16_t status;      /* 0 while nothing is wrong */
    uint16_t close_code; /* RFC 6455 7.4.1; 0: none */
    int sys_errno;       /* 0: none */
    const char *rule;
} wf_fault;

/* The first fault sticks: a second call changes nothing. Returns the status that is kept. */
static inline int wf_fault_set(wf_fault *fault, int status, int close_code, const char *rule) {
    if (fault->status == 0) {
        fault->status = (int16_t)status;
        fault->close_code = (uint16_t)close_code;
        fault->rule = rule;
    }
    return fault->status;
}

#endif
