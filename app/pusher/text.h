/*
 * text.h - a growing piece of JSON text. What does not fit into memory marks the whole as failed, so that a text is put
 * together without asking after each piece and looked at once, at its end.
 */
#ifndef APP_PUSHER_TEXT_H
#define APP_PUSHER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

typedef struct push_text {
    char *data; /* NULL or NUL-terminated; push_text_free */
    size_t len, cap;
    bool failed; /* memory was out: what is there is a part */
} push_text;

void push_text_free(push_text *text);
void push_text_clear(push_text *text); /* empty again; the memory is kept */

void push_put(push_text *text, const char *data, size_t len);
void push_put_str(push_text *text, const char *str);
void push_put_text(push_text *text, weft_text piece);
void push_put_number(push_text *text, uint64_t number);

/* A JSON string with its quotes. The input is UTF-8. */
void push_put_quoted(push_text *text, weft_text piece);

/* Turns everything from `at` on into one JSON string: JSON within JSON. */
void push_quote_from(push_text *text, size_t at);

/* Of a NUL-terminated string, borrowed. */
weft_text push_str(const char *str);
bool push_text_equal(weft_text a, weft_text b);
bool push_text_begins(weft_text text, const char *prefix);

#endif
