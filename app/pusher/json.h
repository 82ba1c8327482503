/*
 * json.h - JSON as peers send it: read by jansson, with limits. Duplicate keys are refused, and what nests deeper than
 * PUSH_JSON_DEPTH_MAX is refused before it is parsed.
 */
#ifndef APP_PUSHER_JSON_H
#define APP_PUSHER_JSON_H

#include <jansson.h>

#include <weft/weft.h>

enum { PUSH_JSON_DEPTH_MAX = 32 };

/* NULL: it is not JSON, or more than the limits allow. Numbers are for looking at, not for passing on: they become
 * doubles. So are strings with half of a surrogate pair in them, as JSON.stringify writes a text that was cut within an
 * emoji (RFC 8259 8.2): the half becomes U+FFFD. json_decref. */
json_t *push_json_parse(weft_text text);

/* A member that is a string, borrowed from `object`; data NULL when it is absent or no string. It may hold NULs. */
weft_text push_json_text(const json_t *object, const char *key);

/* The value of a member of the outermost object, as it stands in the text that was parsed; data NULL: absent. So what
 * is only passed on stays what it was, to the last digit. */
weft_text push_json_raw(weft_text text, const char *key);

/* An id: a string, or a number as it stands in the text. Written into `out`; false: neither, or it does not fit. */
bool push_json_id(weft_text text, const json_t *object, const char *key, char *out, size_t cap);

#endif
