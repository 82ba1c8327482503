/*
 * log.h - one line per event on stderr, as text or JSON. Whatever a peer sent is escaped: no line can be
 * forged and no terminal driven.
 */
#ifndef APP_LOG_H
#define APP_LOG_H

#include <stdbool.h>
#include <stddef.h>

typedef enum app_level { APP_ERROR = -1, APP_INFO = 0, APP_DEBUG = 1 } app_level;

void app_log_setup(bool json, int verbosity);
bool app_log_wants(app_level level);

/* `event` is ours: a few plain words, "connection closed". Then pairs of (const char *name, const char
 * *value), NULL at the end; values may be a peer's. At most 2 KiB; a pair that does not fit is left out. Any
 * thread: a line is one write. */
void app_log(app_level level, const char *event, ...) __attribute__((sentinel));

/* Escapes what is not printable ASCII, quotes and backslashes, for text and JSON strings alike: UTF-8 by code
 * point, anything else byte by byte. Always NUL-terminated; what does not fit is left out. Returns the
 * length. */
size_t app_escape(char *out, size_t cap, const char *in, size_t len);

#endif
