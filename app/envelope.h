/*
 * envelope.h - a message with its offset as JSON, and as a server-sent event; and the text these are written into.
 *
 *     {"offset":7,"data":"hello"}    {"offset":8,"base64":"AAEC"}
 *     {"epoch":"5f0c8e7d6b5a4930","offset":6,"recovered":true}
 *     id: 5f0c8e7d6b5a4930:7\ndata: {"offset":7,"data":"hello"}\n\n
 */
#ifndef APP_ENVELOPE_H
#define APP_ENVELOPE_H

#include "app/history.h"

/* Zero is empty. Once memory was out it stays as it was, and `failed` says so. */
typedef struct app_text {
    char *data;
    size_t len, cap;
    bool failed;
} app_text;

void app_text_free(app_text *text);
void app_text_add(app_text *text, const void *data, size_t len);
void app_text_print(app_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A string of JSON, with its quotes, of valid UTF-8; and base64 (RFC 4648 4). */
void app_text_json(app_text *text, const void *data, size_t len);
void app_text_base64(app_text *text, const void *data, size_t len);

void app_envelope(app_text *text, const app_message *message);

/* What comes first, and again where messages are missing: those that follow come behind `place`. */
void app_envelope_place(app_text *text, const app_place *place, bool recovered);

/* A server-sent event with `json`, which has no line end; `id` NULL: the place stays; `name` NULL: "message". */
void app_event(app_text *text, const app_place *id, const char *name, const app_text *json);

#endif
