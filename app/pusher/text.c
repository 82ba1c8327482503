#include "app/pusher/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 };

void push_text_free(push_text *text) {
    free(text->data);
    *text = (push_text) {0};
}

void push_text_clear(push_text *text) {
    text->len = 0;
    text->failed = false;
}

/* Room for `more` bytes and a NUL. */
static bool reserve(push_text *text, size_t more) {
    if (text->failed)
        return false;
    if (more < text->cap - text->len) /* both 0: no */
        return true;
    size_t cap = text->cap ? text->cap : FIRST_BYTES;
    while (cap - text->len <= more) {
        if (cap > SIZE_MAX / 4) {
            text->failed = true;
            return false;
        }
        cap *= 2;
    }
    char *data = realloc(text->data, cap);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->cap = cap;
    return true;
}

void push_put(push_text *text, const char *data, size_t len) {
    if (!reserve(text, len))
        return;
    if (len > 0)
        memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void push_put_str(push_text *text, const char *str) {
    push_put(text, str, strlen(str));
}

void push_put_text(push_text *text, weft_text piece) {
    push_put(text, piece.data, piece.len);
}

void push_put_number(push_text *text, uint64_t number) {
    char digits[24];
    push_put(text, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number));
}

/* What a byte costs within a JSON string (RFC 8259 7): itself, a pair, or \u00XX. */
static size_t quoted_len(unsigned char c) {
    if (c == '"' || c == '\\')
        return 2;
    if (c >= 0x20)
        return 1;
    return c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t' ? 2 : 6;
}

/* Writes it so that it ends before `end`. */
static char *quote_back(char *end, unsigned char c) {
    static const char digits[] = "0123456789abcdef";
    switch (quoted_len(c)) {
    case 1:
        *--end = (char)c;
        break;
    case 2:
        *--end = c == '\b' ? 'b' : c == '\f' ? 'f' : c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : (char)c;
        *--end = '\\';
        break;
    default:
        *--end = digits[c & 15];
        *--end = digits[c >> 4];
        end -= 4;
        memcpy(end, "\\u00", 4);
    }
    return end;
}

/* In place, from the end: the quoted text is never shorter, so it does not reach what is still to be read. */
void push_quote_from(push_text *text, size_t at) {
    size_t len = 2;
    for (size_t i = at; i < text->len; i++)
        len += quoted_len((unsigned char)text->data[i]);
    if (text->failed || !reserve(text, len - (text->len - at)))
        return;
    char *end = text->data + at + len;
    const char *from = text->data + text->len;
    text->len = at + len;
    text->data[text->len] = '\0';
    *--end = '"';
    while (from > text->data + at)
        end = quote_back(end, (unsigned char)*--from);
    text->data[at] = '"';
}

void push_put_quoted(push_text *text, weft_text piece) {
    size_t at = text->len;
    push_put_text(text, piece);
    push_quote_from(text, at);
}

weft_text push_str(const char *str) {
    return (weft_text) {str, strlen(str)};
}

bool push_text_equal(weft_text a, weft_text b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool push_text_begins(weft_text text, const char *prefix) {
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}
