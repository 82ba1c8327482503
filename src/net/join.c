#include "net/join.h"

#include <string.h>

/* How many of the first ranges are to be copied. */
static int short_ones(const struct iovec *ranges, int count, size_t room) {
    int n = 0;
    while (n < count && ranges[n].iov_len <= WF_JOIN_SHORT && ranges[n].iov_len <= room)
        room -= ranges[n++].iov_len;
    return n;
}

int wf_join_ranges(wf_join *join, const struct iovec *ranges, int count) {
    size_t used = 0;
    int to = 0;
    for (int at = 0; at < count && to < WF_JOIN_RANGES; to++) {
        int end = at + short_ones(ranges + at, count - at, sizeof join->bytes - used);
        if (end < at + 2) {
            join->ranges[to] = ranges[at++];
            continue;
        }
        uint8_t *copy = join->bytes + used;
        for (; at < end; at++) {
            memcpy(join->bytes + used, ranges[at].iov_base, ranges[at].iov_len);
            used += ranges[at].iov_len;
        }
        join->ranges[to] = (struct iovec) {copy, (size_t)(join->bytes + used - copy)};
    }
    return to;
}
