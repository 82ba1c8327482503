/*
 * date.h - reading the date of a header (RFC 9110 5.6.7). Pure.
 */
#ifndef WF_HTTP_DATE_H
#define WF_HTTP_DATE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT", the one form that may be sent today, to seconds since 1970 UTC. False: it is no date
 * of that form; the day's name is not held against it. */
bool wf_http_date_parse(wf_str text, int64_t *out_unix_s);

#endif
