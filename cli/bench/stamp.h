/*
 * stamp.h - the message that can tell what became of it: a stamp, then filler that is known from the stamp.
 *
 *     long    32 characters:  run 32 bits | connection 32 | number 32 | intended time 64 | check 32    then filler
 *     short   16 characters:  run  8 bits | connection 16 | number 16 | intended time 32 | check 24    then filler
 *
 * The fields are bytes in this order, little-endian, written in base64url, so that a stamped message is good text and
 * good binary. Times are nanoseconds since the start of the run, in units of 64 in the short form (it wraps after 275
 * s). The check is a CRC-32C (its lower 24 bits in the short form) over the fields before it and the length of the
 * message. The filler is a stretch of one long known text, at a place that the connection and the number decide: it
 * is compared byte for byte.
 */
#ifndef CLI_BENCH_STAMP_H
#define CLI_BENCH_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_STAMP_SHORT = 16, BENCH_STAMP_LONG = 32, BENCH_SIZE_MAX = 16 << 20 };

typedef struct bench_stamp {
    uint32_t run, connection, number; /* as much of them as travels */
    uint64_t intended_ns;
} bench_stamp;

typedef struct bench_stamper {
    uint32_t run;
    bool is_short;
    unsigned number_bits; /* of a number that travel */
    char *filler;
    size_t filler_bytes;
} bench_stamper;

/* For messages of size_min to size_max bytes, at least BENCH_STAMP_SHORT. false: out of memory. */
bool bench_stamper_init(bench_stamper *s, uint32_t run, size_t size_min, size_t size_max);
void bench_stamper_deinit(bench_stamper *s);

/* Writes a message of `len` bytes. */
void bench_stamp_write(const bench_stamper *s, const bench_stamp *stamp, char *out, size_t len);

typedef enum bench_stamp_verdict {
    BENCH_STAMP_GOOD,
    BENCH_STAMP_FOREIGN, /* whole, and of another run */
    BENCH_STAMP_CORRUPT
} bench_stamp_verdict;

/* Reads a message, not later than 275 s after it was meant to be sent. */
bench_stamp_verdict bench_stamp_read(const bench_stamper *s, const void *data, size_t len, uint64_t now_ns,
                                     bench_stamp *out);

/* CRC-32C (Castagnoli) of more bytes, from `crc`, at first 0. */
uint32_t bench_crc32c(uint32_t crc, const void *data, size_t len);

#endif
