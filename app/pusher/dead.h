/*
 * dead.h - the file of webhooks that could not be delivered: each post is a line of JSON,
 *
 *     {"time":"2026-11-28T18:53:54.123Z","app":"42","url":"https://...","status":500,"error":"...","body":"{...}"}
 *
 * where `body` is what was to be posted, to the byte. The file is opened once and appended to; it may be emptied
 * (truncated) by others at any time, but not deleted.
 */
#ifndef APP_PUSHER_DEAD_H
#define APP_PUSHER_DEAD_H

#include "app/pusher/text.h"

typedef struct push_dead {
    int fd; /* -1: there is no file */
    uint64_t bytes_max;
} push_dead;

typedef struct push_dead_post {
    const char *app, *url, *error;
    int status; /* of the answer; 0: there was none */
    weft_text body;
} push_dead_post;

/* NULL, or why it cannot be. */
const char *push_dead_open(push_dead *dead, const char *path, uint64_t bytes_max);
void push_dead_close(push_dead *dead);

/* Appends a line to `lines`. */
void push_dead_line(push_text *lines, const push_dead_post *post, uint64_t wall_ms);

/* Writes the lines, all or none of them, and makes them stay (fsync). NULL, or why it cannot be. */
const char *push_dead_write(const push_dead *dead, weft_text lines);

#endif
