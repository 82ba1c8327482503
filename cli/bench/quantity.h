/*
 * quantity.h - numbers with units, as users type and read them.
 */
#ifndef CLI_BENCH_QUANTITY_H
#define CLI_BENCH_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "1.5", "10k", "2M": k and M are 1,000 and 1,000,000. Not negative. */
bool bench_parse_count(const char *text, double *out);

/* "50ms", "1.5s", "200us", "10ns", "1m"; a unit is needed. Nanoseconds. */
bool bench_parse_time(const char *text, double *out_ns);

/* "1k", "2M", "100": k, M, G are powers of 1,024. */
bool bench_parse_bytes(const char *text, uint64_t *out);

/* "16" or "16..4096", units as above. */
bool bench_parse_span(const char *text, uint32_t *out_min, uint32_t *out_max);

/* These write into a buffer of BENCH_TEXT bytes and return it. */
enum { BENCH_TEXT = 32 };
const char *bench_time_text(char *out, double ns);     /* "1.23 ms", four places at most */
const char *bench_count_text(char *out, double value); /* "12,345", below 100 "12.3" unless whole */
const char *bench_bytes_text(char *out, double bytes); /* "1.21 MiB" */

#endif
