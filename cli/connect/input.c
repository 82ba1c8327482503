/*
 * Stdin to messages. What is read stays in one buffer until it has been queued: nothing is read while the queue is
 * full, so a slow peer slows the writer of our stdin and no memory grows.
 */
#include "cli/connect/connect.h"

#include "cli/connect/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 65536 };

static void stop_reading(connect_session *s, int exit_code, const char *why) {
    connect_complain(s, "%s", why);
    connect_fail(s, exit_code);
    s->input.ended = true;
    s->input.len = 0;
    connect_leave(s);
}

/* false: not now, or never. */
static bool send_one(connect_session *s, const void *data, size_t len) {
    bool binary = s->options->binary;
    if (!binary && !weft_utf8_valid(data, len)) {
        stop_reading(s, CLI_EXIT_USAGE, "the input is not UTF-8, as text must be: send it with --binary");
        return false;
    }
    if (s->fragmenting) {
        connect_complain(s, "not sent: a message is begun, and /frame op=cont ends it");
        return true;
    }
    int got = connect_send(s, binary ? WEFT_BINARY : WEFT_TEXT, data, len);
    s->is_blocked = got == WEFT_FULL;
    if (got == WEFT_OK) {
        s->sent++;
        s->heard_ns = 0;
    } else if (got != WEFT_FULL && got != WEFT_ECLOSED) {
        stop_reading(s, CLI_EXIT_ABNORMAL, weft_status_text(got));
    }
    return got == WEFT_OK;
}

/* A line as it was read; "//" stands for a slash where commands are possible. */
static bool take_line(connect_session *s, const char *line, size_t len) {
    if (connect_command(s, line, len))
        return true;
    size_t skip = s->is_typed && len > 1 && line[0] == '/' && line[1] == '/';
    return send_one(s, line + skip, len - skip);
}

void connect_input_send(connect_session *s) {
    connect_input *in = &s->input;
    const cli_list *texts = &s->options->texts;
    size_t at = 0;
    if (!s->is_open || s->is_over)
        return;
    for (; s->texts_sent < texts->count; s->texts_sent++)
        if (!send_one(s, texts->items[s->texts_sent], strlen(texts->items[s->texts_sent])))
            return;
    for (;;) {
        size_t from = at > in->seen ? at : in->seen;
        const char *end =
            in->len > from ? memmem(in->data + from, in->len - from, s->separator, s->separator_len) : NULL;
        if (!end || !take_line(s, in->data + at, (size_t)(end - in->data) - at))
            break;
        at = (size_t)(end - in->data) + s->separator_len;
    }
    if (in->ended && !s->is_blocked && in->len > at && take_line(s, in->data + at, in->len - at))
        at = in->len;
    if (at > in->len) /* it was given up meanwhile */
        at = in->len;
    if (at > 0)
        memmove(in->data, in->data + at, in->len - at);
    in->len -= at;
    in->seen = s->is_blocked || in->len < s->separator_len ? 0 : in->len - s->separator_len + 1;
}

/* Room for some more. False: that is too much. */
static bool make_room(connect_session *s, size_t more) {
    connect_input *in = &s->input;
    if (in->cap - in->len >= more)
        return true;
    size_t cap = in->cap < more ? 2 * more : 2 * in->cap;
    char *grown = in->len > s->options->message_max ? NULL : realloc(in->data, cap);
    if (!grown) {
        stop_reading(s, CLI_EXIT_USAGE, "a line of the input is longer than --message-max, or than memory");
        return false;
    }
    in->data = grown;
    in->cap = cap;
    return true;
}

void connect_input_line(const char *line, void *session) {
    connect_session *s = session;
    connect_input *in = &s->input;
    size_t len = line ? strlen(line) : 0;
    s->input.ended = !line;
    if (!line || !make_room(s, len + s->separator_len))
        return;
    memcpy(in->data + in->len, line, len);
    memcpy(in->data + in->len + len, s->separator, s->separator_len);
    in->len += len + s->separator_len;
}

void connect_input_read(connect_session *s) {
    connect_input *in = &s->input;
    if (s->is_edited) {
        line_read();
        return;
    }
    if (!make_room(s, CHUNK_BYTES))
        return;
    ssize_t got = read(STDIN_FILENO, in->data + in->len, CHUNK_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got < 0) {
        char why[128];
        snprintf(why, sizeof why, "cannot read the input: %s", strerror(errno));
        stop_reading(s, CLI_EXIT_USAGE, why);
        return;
    }
    in->len += (size_t)got;
    in->ended = got == 0;
}
