/*
 * fuzz.h - what the fuzz harnesses share. A harness is one function over one input, in fuzz_NAME.c: libFuzzer calls it
 * with inputs it makes up (build-fuzz/tests/fuzz_NAME), replay.c with the files of the corpus (every other build).
 *
 * CHECK and its relatives (test.h) end the process here, so that the input is kept. What a harness does may depend on
 * its input alone: no clock, no address, no state from the input before.
 *
 *     fuzz_input in = {data, size};
 *     size_t limit = fuzz_byte(&in) & 1 ? 16 : 1024;      // choices stand in front, the bytes themselves behind
 *     for (int round = 0; round < FUZZ_CUTS; round++) {   // whole, byte by byte, in random pieces
 *         fuzz_cuts cuts = fuzz_cuts_of(round, in);
 *         for (size_t len; (len = fuzz_cut(&cuts, left)) > 0; left -= len) ...
 *     }
 */
#ifndef WF_TESTS_FUZZ_H
#define WF_TESTS_FUZZ_H

#include "test.h"

#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- reading choices ---- */

typedef struct fuzz_input {
    const uint8_t *data;
    size_t len;
} fuzz_input;

/* The next byte, 0 at the end; the next bytes as a number, big endian. */
uint8_t fuzz_byte(fuzz_input *in);
uint64_t fuzz_number(fuzz_input *in, int bytes);

/* The next bytes, as many as there are up to `len`. */
fuzz_input fuzz_take(fuzz_input *in, size_t len);

/* ---- bytes on the plain heap, which the library's accounting does not see ---- */

typedef struct fuzz_bytes {
    uint8_t *data;
    size_t len, cap;
} fuzz_bytes;

void fuzz_put(fuzz_bytes *bytes, const void *data, size_t len);
void fuzz_free(fuzz_bytes *bytes);

/* A block of exactly this size, so that a sanitizer sees a read behind it. free() it. */
uint8_t *fuzz_exact(const void *data, size_t len);

/* ---- logs: what came out, to be compared with what came out another way ---- */

void fuzz_log(fuzz_bytes *log, char kind, int code, const void *data, size_t len);
void fuzz_log_equal(const fuzz_bytes *log, const fuzz_bytes *expected, const char *what);

/* `log` is a beginning of `whole`. */
void fuzz_log_begins(const fuzz_bytes *log, const fuzz_bytes *whole, const char *what);

/* ---- cutting ---- */

enum { FUZZ_WHOLE, FUZZ_BYTEWISE, FUZZ_SMALL, FUZZ_MIXED, FUZZ_CUTS };

typedef struct fuzz_cuts {
    int kind;
    uint64_t seed; /* from the input, so that a finding can be repeated */
} fuzz_cuts;

fuzz_cuts fuzz_cuts_of(int kind, fuzz_input input);

/* Length of the next piece when `left` bytes are left: 0 when none is. */
size_t fuzz_cut(fuzz_cuts *cuts, size_t left);

/* ---- UTF-8, slowly ---- */

/* How many bytes could be the beginning of a text: `len` when all could. *out_complete: they end at a character's
 * end. */
size_t fuzz_utf8_possible(const uint8_t *text, size_t len, bool *out_complete);

#endif
