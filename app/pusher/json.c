#include "app/pusher/json.h"

#include "app/pusher/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Brackets outside of strings. Whether they match is the parser's business. */
static bool is_shallow(weft_text text) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (quoted) {
            if (c == '\\')
                i++;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > PUSH_JSON_DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* The unit of \uXXXX; 0: it is another escape, or none. */
static unsigned unit_at(const char *at, const char *end) {
    unsigned unit = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return 0;
    for (int i = 2; i < 6; i++) {
        char c = at[i];
        if (!isxdigit((unsigned char)c))
            return 0;
        unit = unit << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return unit;
}

/* True: there were some. */
static bool mend_halves(char *at, const char *end) {
    bool any = false;
    while (at < end) {
        unsigned unit = unit_at(at, end) & 0xfc00, next = unit == 0xd800 ? unit_at(at + 6, end) & 0xfc00 : 0;
        if (unit == 0xd800 && next == 0xdc00) {
            at += 12;
        } else if (unit == 0xd800 || unit == 0xdc00) {
            memcpy(at + 2, "fffd", 4);
            at += 6;
            any = true;
        } else {
            at += *at == '\\' ? 2 : 1;
        }
    }
    return any;
}

static json_t *load(const char *data, size_t len) {
    json_error_t error;
    return json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL,
                      &error);
}

/* jansson refuses halves of surrogate pairs. */
static json_t *load_mended(weft_text text) {
    json_t *json = NULL;
    char *copy = memchr(text.data, '\\', text.len) ? malloc(text.len) : NULL;
    if (copy) {
        memcpy(copy, text.data, text.len);
        if (mend_halves(copy, copy + text.len))
            json = load(copy, text.len);
    }
    free(copy);
    return json;
}

json_t *push_json_parse(weft_text text) {
    if (text.len == 0 || !is_shallow(text))
        return NULL;
    json_t *json = load(text.data, text.len);
    return json ? json : load_mended(text);
}

weft_text push_json_text(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return (weft_text) {NULL, 0};
    return (weft_text) {json_string_value(value), json_string_length(value)};
}

/* ---- the text itself, which has been found to be JSON ---- */

static const char *skip_space(const char *at, const char *end) {
    while (at < end && strchr(" \t\r\n", *at))
        at++;
    return at;
}

static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : end;
}

static const char *skip_value(const char *at, const char *end) {
    int depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (depth == 0 && strchr(",}] \t\r\n", *at)) {
            return at;
        } else {
            depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
            at++;
        }
        if (depth == 0 && (at[-1] == '"' || at[-1] == '}' || at[-1] == ']'))
            return at;
    }
    return end;
}

/* A key with its quotes; it may be written with escapes. */
static bool is_key(weft_text quoted, const char *key) {
    if (!memchr(quoted.data, '\\', quoted.len))
        return push_text_equal((weft_text) {quoted.data + 1, quoted.len - 2}, push_str(key));
    json_t *json = push_json_parse(quoted);
    bool is = json && push_text_equal((weft_text) {json_string_value(json), json_string_length(json)}, push_str(key));
    json_decref(json);
    return is;
}

weft_text push_json_raw(weft_text text, const char *key) {
    const char *end = text.data + text.len, *at = skip_space(text.data, end);
    if (at == end || *at != '{')
        return (weft_text) {NULL, 0};
    at = skip_space(at + 1, end);
    while (at < end && *at == '"') {
        weft_text name = {at, 0};
        at = skip_string(at, end);
        name.len = (size_t)(at - name.data);
        at = skip_space(at, end);                      /* before the colon */
        at = skip_space(at < end ? at + 1 : end, end); /* and behind it */
        const char *value = at;
        at = skip_value(at, end);
        if (is_key(name, key))
            return (weft_text) {value, (size_t)(at - value)};
        at = skip_space(at, end);
        at = skip_space(at < end ? at + 1 : end, end); /* behind the comma */
    }
    return (weft_text) {NULL, 0};
}

bool push_json_id(weft_text text, const json_t *object, const char *key, char *out, size_t cap) {
    const json_t *value = json_object_get(object, key);
    weft_text id = json_is_number(value) ? push_json_raw(text, key) : push_json_text(object, key);
    if (!id.data || id.len >= cap || memchr(id.data, '\0', id.len))
        return false;
    memcpy(out, id.data, id.len);
    out[id.len] = '\0';
    return true;
}
