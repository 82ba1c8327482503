/*
 * guard.h - inside http only: the line guard, which knows one thing: a head is lines of printable bytes, each ended by
 * CRLF. It stands before llhttp and closes what that leaves open.
 */
#ifndef WF_HTTP_GUARD_H
#define WF_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: before the first byte. */
typedef struct wf_http_guard {
    bool cr;      /* the last byte was CR */
    bool ended;   /* the last byte ended an empty line that was not a leading one */
    size_t len;   /* bytes in this line so far */
    size_t lines; /* whole lines that were not empty */
} wf_http_guard;

/* Lets one byte through (NULL), or answers the rule it breaks: a static text. */
const char *wf_http_guard_byte(wf_http_guard *guard, uint8_t byte);

/* Lets through what is beyond doubt in front of data, up to `len`: how many bytes. The same as so many calls of
 * wf_http_guard_byte, only faster. It never passes an empty line, nor begins one behind more than `lines_max`. */
size_t wf_http_guard_run(wf_http_guard *guard, const uint8_t *data, size_t len, size_t lines_max);

/* How many bytes in front of data are no control bytes. */
size_t wf_http_plain_run(const void *data, size_t len);

#endif
