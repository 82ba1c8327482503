/*
 * ring.h: prepared frames of one length, stored twice in a row, so that whatever is due lies in one piece: a
 * send is one call, and the check of what came back is one memcmp.
 *
 *     | f0 f1 f2 ... fT-1 | f0 f1 f2 ... fT-1 |
 *            ^-- M frames --^                      T >= M: from any start they end within the second copy
 */
#ifndef WIRE_RING_H
#define WIRE_RING_H

#include <stddef.h>

struct wire_ring {
    unsigned char *bytes; /* 2 * count * frame_bytes; the caller fills the first half and frees */
    size_t frame_bytes;
    size_t wrap; /* count * frame_bytes: positions are below it */
};

/* Takes memory for `count` frames; ends the process when that is too much. */
void wire_ring_reserve(struct wire_ring *ring, size_t count, size_t frame_bytes);

/* Makes the second half equal to the first. */
void wire_ring_double(struct wire_ring *ring);

#endif
