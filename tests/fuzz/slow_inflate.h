/*
 * slow_inflate.h - RFC 1951 and RFC 7692 7.2.2 once more, bit by bit: a message for which all bytes lie in one block.
 */
#ifndef WF_TESTS_FUZZ_SLOW_INFLATE_H
#define WF_TESTS_FUZZ_SLOW_INFLATE_H

#include "fuzz.h"

typedef struct slow_inflate {
    bool corrupt;
    bool
        grey; /* corrupt in a way that libraries may see at another place, or let pass: a set of codes that is not complete */
    size_t far; /* the furthest distance */
} slow_inflate;

/* Appends the message, or what of it comes before the corrupt place, to *out, which holds the history: its last
 * `history` bytes may be referred to. The four bytes that a sender leaves off are put behind `data` unless it ends
 * between two blocks. */
slow_inflate slow_inflate_message(const uint8_t *data, size_t len, size_t history, fuzz_bytes *out);

#endif
