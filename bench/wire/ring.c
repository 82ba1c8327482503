#include "ring.h"

#include "wire.h"

#include <string.h>

#define RING_BYTES_MAX (512UL * 1024 * 1024)

void wire_ring_reserve(struct wire_ring *ring, size_t count, size_t frame_bytes) {
    ring->frame_bytes = frame_bytes;
    ring->wrap = count * frame_bytes;
    if (2 * ring->wrap > RING_BYTES_MAX)
        wire_fail("%zu frames of %zu bytes need more than %lu bytes of memory", 2 * count, frame_bytes, RING_BYTES_MAX);
    ring->bytes = wire_bytes(2 * ring->wrap);
}

void wire_ring_double(struct wire_ring *ring) {
    memcpy(ring->bytes + ring->wrap, ring->bytes, ring->wrap);
}
