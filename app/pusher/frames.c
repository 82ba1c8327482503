#include "app/pusher/frames.h"

#include <string.h>

enum { NUMBER_DIGITS_MAX = 3, RANDOM_CHARS = 8 };

static bool session_ok(weft_text session) {
    static const char random[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t digits = strspn(session.data, "0123456789");
    return digits > 0 && digits <= NUMBER_DIGITS_MAX && session.len == digits + 1 + RANDOM_CHARS &&
           session.data[digits] == '/' && strspn(session.data + digits + 1, random) == RANDOM_CHARS;
}

bool push_xhr_parse(const char *path, push_xhr *out) {
    static const char *const verbs[] = {
        [PUSH_XHR_STREAM] = "xhr_streaming", [PUSH_XHR_POLL] = "xhr", [PUSH_XHR_SEND] = "xhr_send"};
    const char *slash = strchr(path, '/'), *last = strrchr(path, '/');
    if (!slash || slash == path || slash == last)
        return false;
    weft_text session = {slash + 1, (size_t)(last - slash - 1)};
    for (unsigned v = 0; v < sizeof verbs / sizeof *verbs; v++) {
        if (strcmp(last + 1, verbs[v]) != 0 || !session_ok(session))
            continue;
        *out = (push_xhr) {{path, (size_t)(slash - path)}, session, (push_xhr_verb)v};
        return true;
    }
    return false;
}

void push_frame_message(push_text *out, weft_text text) {
    push_put_str(out, "a[");
    push_put_quoted(out, text);
    push_put_str(out, "]\n");
}

void push_frame_close(push_text *out, int code, const char *why) {
    push_put_str(out, "c[");
    push_put_number(out, (uint64_t)code);
    push_put_str(out, ",");
    push_put_quoted(out, push_str(why));
    push_put_str(out, "]\n");
}

/* Of UTF-8: each character is a unit, and those beyond the basic plane are two. */
static size_t units_of(const char *text, size_t len) {
    size_t units = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        units += ((c & 0xc0) != 0x80) + (c >= 0xf0);
    }
    return units;
}

size_t push_frames_fit(const char *frames, size_t len, size_t *units) {
    size_t at = 0;
    while (at < len && *units <= PUSH_STREAM_UNITS) {
        const char *end = memchr(frames + at, '\n', len - at);
        size_t frame = end ? (size_t)(end - frames) + 1 - at : len - at;
        *units += units_of(frames + at, frame);
        at += frame;
    }
    return at;
}
