/*
 * cut.h: what a server sends, cut into pieces: an HTTP response, a chunk, a frame. A server of the bench answers
 * simply; what is not simple ends the process with an error.
 */
#ifndef WIRE_CUT_H
#define WIRE_CUT_H

#include <stddef.h>

/* Points into what was cut. */
struct wire_piece {
    const char *body;
    size_t body_bytes;
    unsigned char first; /* of a frame: its first byte */
};

/*
 * Each looks at the first `bytes` of `input` and returns how many of them the first piece takes, framing
 * included; 0 when it is not whole yet.
 */

/* A head that begins with `status`; its body is empty. */
size_t wire_cut_head(const char *input, size_t bytes, const char *status, struct wire_piece *out_piece);

/* A response of status 200 with a Content-Length. */
size_t wire_cut_response(const char *input, size_t bytes, struct wire_piece *out_piece);

/* A chunk (RFC 9112 7.1), which may not be the last one. */
size_t wire_cut_chunk(const char *input, size_t bytes, struct wire_piece *out_piece);

/* An unmasked frame of less than 64 KiB (RFC 6455 5.2). */
size_t wire_cut_frame(const char *input, size_t bytes, struct wire_piece *out_piece);

#endif
