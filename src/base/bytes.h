/*
 * bytes.h - borrowed runs of bytes, and the few things done with ASCII.
 */
#ifndef WF_BASE_BYTES_H
#define WF_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed view: not owned, not NUL-terminated. data may be NULL only when len is 0. */
typedef struct wf_str {
    const char *data;
    size_t len;
} wf_str;

static inline wf_str wf_str_of(const char *text) {
    return (wf_str) {text, text ? strlen(text) : 0};
}

static inline bool wf_str_eq(wf_str a, wf_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool wf_bytes_eq_nocase(const char *a, const char *b, size_t len);

/* Equal but for ASCII case. Bytes over 127 compare as they are. What differs in length or first letter is told apart
 * without a call: that is nearly all that a look-up meets. */
static inline bool wf_str_eq_nocase(wf_str a, wf_str b) {
    const int case_bit = 'a' - 'A';
    return a.len == b.len &&
           (a.len == 0 || (((a.data[0] ^ b.data[0]) & ~case_bit) == 0 && wf_bytes_eq_nocase(a.data, b.data, a.len)));
}

/* Without spaces and tabs at both ends (RFC 9110 OWS). */
wf_str wf_str_trim(wf_str s);

/* Takes the next element of a comma-separated list (RFC 9110 5.6.1), trimmed; commas inside quoted strings do
 * not part elements, empty elements are passed over. False at the end. *rest is moved on. */
bool wf_str_next_element(wf_str *rest, wf_str *out_element);

/* Eight bytes as they lie, the first lowest (our targets are little endian: base/bytes.c asserts it). */
static inline uint64_t wf_load_le64(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* Writes a number in decimal, without a NUL. Returns its length. */
enum { WF_DECIMAL_MAX = 20 };
size_t wf_decimal(char out[WF_DECIMAL_MAX], uint64_t number);

static inline uint16_t wf_load_be16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint64_t wf_load_be64(const uint8_t *p) {
    return __builtin_bswap64(wf_load_le64(p));
}

static inline void wf_store_be16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void wf_store_be64(uint8_t *p, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

#endif
