/*
 * frames.h - what goes over HTTP where a WebSocket does not get through: paths and frames. A frame is a line:
 *
 *     o{}                 the session is open
 *     a["text"]           a message
 *     h                   nothing, but somebody is there
 *     c[4001,"why"]       it is closed
 */
#ifndef APP_PUSHER_FRAMES_H
#define APP_PUSHER_FRAMES_H

#include "app/pusher/text.h"

enum {
    PUSH_SESSION_ID_MAX = 12,
    /* A client leaves an answer that is longer than so many UTF-16 units, once it has read all of it, and asks anew. */
    PUSH_STREAM_UNITS = 256 * 1024
};

typedef enum push_xhr_verb { PUSH_XHR_STREAM, PUSH_XHR_POLL, PUSH_XHR_SEND } push_xhr_verb;

/* KEY/NUMBER/RANDOM/VERB; borrowed from the path. */
typedef struct push_xhr {
    weft_text key, session; /* "NUMBER/RANDOM" */
    push_xhr_verb verb;
} push_xhr;

/* False: it is no such path. */
bool push_xhr_parse(const char *path, push_xhr *out);

void push_frame_message(push_text *out, weft_text text);
void push_frame_close(push_text *out, int code, const char *why);

/* How many bytes of these frames still go into an answer that has `*units` already: whole frames until it is over the
 * limit. The units grow by what they have. */
size_t push_frames_fit(const char *frames, size_t len, size_t *units);

#endif
