/*
 * fake_net.h - the functions of net/loop.h and base/clock.h that a link calls, without a kernel: one socket, whose
 * output is a block of bytes with as much room as the harness gives it. Linked in place of src/net and
 * src/base/clock.c, and strict: what loop.h does not allow ends the process.
 */
#ifndef WF_TESTS_FUZZ_FAKE_NET_H
#define WF_TESTS_FUZZ_FAKE_NET_H

#include "fuzz.h"
#include "net/loop.h"

/* The loop and its only socket. */
struct wf_loop {
    fuzz_bytes out;  /* what the link has sent */
    size_t room;     /* bytes that the kernel takes until it says later */
    size_t take_max; /* of one send; 0: all there is room for */
    bool open, paused, shut;
    bool sending; /* a SENT is owed */
    bool broken;  /* the next send finds out */
};

/* What wf_clock_ns and wf_clock_ms tell; each asking takes a nanosecond. */
extern uint64_t fake_now_ns;

#endif
