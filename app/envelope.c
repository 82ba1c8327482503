#include "app/envelope.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void app_text_free(app_text *text) {
    free(text->data);
    *text = (app_text) {0};
}

/* Room for `len` more bytes and a NUL; NULL: there is no memory. */
static char *reserve(app_text *text, size_t len) {
    if (text->failed || len >= SIZE_MAX / 4 - text->len) {
        text->failed = true;
        return NULL;
    }
    if (text->cap - text->len <= len) {
        size_t cap = (text->len + len + 1) * 3 / 2 + 64;
        char *data = realloc(text->data, cap);
        if (!data) {
            text->failed = true;
            return NULL;
        }
        text->data = data;
        text->cap = cap;
    }
    return text->data + text->len;
}

void app_text_add(app_text *text, const void *data, size_t len) {
    char *room = reserve(text, len);
    if (!room)
        return;
    if (len > 0)
        memcpy(room, data, len);
    room[len] = '\0';
    text->len += len;
}

void app_text_print(app_text *text, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line)
        text->failed = true; /* these are short forms of ours */
    else
        app_text_add(text, line, (size_t)len);
}

static bool is_plain(unsigned char byte) {
    return byte >= ' ' && byte != '"' && byte != '\\';
}

static void add_escaped(app_text *text, unsigned char byte) {
    static const char letters[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (const char *letter = letters; *letter; letter += 2)
        if ((unsigned char)*letter == byte) {
            app_text_add(text, (char[]) {'\\', letter[1]}, 2);
            return;
        }
    app_text_print(text, "\\u%04x", byte);
}

void app_text_json(app_text *text, const void *data, size_t len) {
    const unsigned char *bytes = data;
    app_text_add(text, "\"", 1);
    for (size_t i = 0, run; i < len; i += run) {
        for (run = 0; i + run < len && is_plain(bytes[i + run]);)
            run++;
        if (run > 0) {
            app_text_add(text, bytes + i, run);
        } else {
            add_escaped(text, bytes[i]);
            run = 1;
        }
    }
    app_text_add(text, "\"", 1);
}

void app_text_base64(app_text *text, const void *data, size_t len) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = data;
    char *room = reserve(text, len / 3 * 4 + 4);
    if (!room)
        return;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned three = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? (unsigned)bytes[i + 2] : 0);
        for (int digit = 0; digit < 4; digit++)
            *room++ = (size_t)digit > left ? '=' : digits[three >> (18 - 6 * digit) & 63];
    }
    *room = '\0';
    text->len = (size_t)(room - text->data);
}

void app_envelope(app_text *text, const app_message *message) {
    app_text_print(text, "{\"offset\":%llu,", (unsigned long long)message->offset);
    if (message->kind == WEFT_TEXT) {
        app_text_add(text, "\"data\":", 7);
        app_text_json(text, message->data, message->len);
        app_text_add(text, "}", 1);
        return;
    }
    app_text_add(text, "\"base64\":\"", 10);
    app_text_base64(text, message->data, message->len);
    app_text_add(text, "\"}", 2);
}

void app_envelope_place(app_text *text, const app_place *place, bool recovered) {
    app_text_print(text, "{\"epoch\":\"%s\",\"offset\":%llu,\"recovered\":%s}", place->epoch,
                   (unsigned long long)place->offset, recovered ? "true" : "false");
}

void app_event(app_text *text, const app_place *id, const char *name, const app_text *json) {
    if (id)
        app_text_print(text, "id: %s:%llu\n", id->epoch, (unsigned long long)id->offset);
    if (name)
        app_text_print(text, "event: %s\n", name);
    app_text_add(text, "data: ", 6);
    app_text_add(text, json->data, json->len);
    app_text_add(text, "\n\n", 2);
    text->failed |= json->failed;
}
