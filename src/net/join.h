/*
 * join.h - many short ranges of one system call become few: neighbours are copied behind one another, since the kernel
 * pays more for a range than for some hundred bytes.
 *
 *      [66][66][66][4000][70]   ->   [198: a copy][4000][70]
 */
#ifndef WF_NET_JOIN_H
#define WF_NET_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Ranges of up to SHORT bytes are copied when they stand side by side, BYTES of them at most. */
enum { WF_JOIN_SHORT = 512, WF_JOIN_BYTES = 16 * 1024, WF_JOIN_RANGES = 64 };

/* The outcome, and room for the copies. One per loop. */
typedef struct wf_join {
    struct iovec ranges[WF_JOIN_RANGES];
    uint8_t bytes[WF_JOIN_BYTES];
} wf_join;

/* A frame's head and its long payload are left alone. */
static inline bool wf_join_pays(const struct iovec *ranges, int count) {
    return count > 2 || (count == 2 && ranges[1].iov_len <= WF_JOIN_SHORT);
}

/* Lays out in join->ranges the bytes of `count` ranges, or as many of the first as there is room for; they live until
 * the next call, and no longer than what was given. Returns the number of ranges there. */
int wf_join_ranges(wf_join *join, const struct iovec *ranges, int count);

#endif
