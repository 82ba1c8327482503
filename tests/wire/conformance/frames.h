/*
 * frames.h - the suite's own WebSocket: frames (RFC 6455 5.2), UTF-8 (RFC 3629) and deflate (RFC 7692 7.2), written
 * for the suite and without a line of the library it judges.
 */
#ifndef WF_TESTS_CONFORMANCE_FRAMES_H
#define WF_TESTS_CONFORMANCE_FRAMES_H

#include "case.h"

#include <zlib.h>

/* Appends a frame: its head in the shortest form, the key when masked, the payload. */
void frame_put(bytes *out, unsigned first, const void *payload, size_t len, bool masked, uint32_t key);

typedef struct frame {
    uint8_t first;
    uint8_t *payload; /* unmasked, in the buffer */
    size_t len;
} frame;

/* Reads a frame at *at. 1: it is there, and *at behind it; 0: not all of it; -1: broken, *out_why says how. */
int frame_take(bytes *in, size_t *at, bool masked, frame *out_frame, const char **out_why);

bool utf8_ok(const uint8_t *data, size_t len);

/* What was agreed on, from where the suite stands. */
typedef struct agreement {
    bool on;
    bool sends_takeover, reads_takeover;
    int sends_bits, reads_bits; /* 8..15 */
} agreement;

/* Both halves of one connection. */
typedef struct zip {
    agreement agreed;
    bool has_deflate, has_inflate;
    z_stream deflate, inflate;
} zip;

void zip_free(zip *z);

/* Appends the message's compressed form, without the 00 00 ff ff (RFC 7692 7.2.1). */
void zip_deflate(zip *z, const uint8_t *data, size_t len, bytes *out);

/* Appends what a message says. NULL, or what is wrong with it. */
const char *zip_inflate(zip *z, const uint8_t *data, size_t len, bytes *out);

/* Raw deflate of its own, for messages put together by hand: flush is zlib's, bits 9..15. */
void deflate_raw(bytes *out, const void *data, size_t len, int bits, int flush);
void deflate_stored(bytes *out, const void *data, size_t len, bool final);

#endif
