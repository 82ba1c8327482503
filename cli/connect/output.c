/*
 * Messages to stdout, byte for byte; on a terminal what could command it is escaped, and binary is a hexdump.
 */
#include "cli/connect/connect.h"

#include "cli/connect/line.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_all(connect_session *s, const char *data, size_t len) {
    while (len > 0 && !s->output.failed) {
        ssize_t got = write(STDOUT_FILENO, data, len);
        if (got >= 0) {
            data += got;
            len -= (size_t)got;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd) {STDOUT_FILENO, POLLOUT, 0}, 1, 1000);
        } else if (errno != EINTR) {
            if (errno != EPIPE) { /* `weft connect ... | head` is no failure */
                fprintf(stderr, "weft: cannot write: %s\n", strerror(errno));
                connect_fail(s, CLI_EXIT_FAILED);
            }
            s->output.failed = s->is_over = true;
        }
        if (connect_signal != 0 && len > 0) /* perhaps nobody reads, and we are asked to leave */
            s->output.failed = true;
    }
}

void connect_print_flush(connect_session *s) {
    if (s->output.len == 0)
        return;
    line_hide();
    write_all(s, s->output.data, s->output.len);
    s->output.len = 0;
}

static void put(connect_session *s, const char *data, size_t len) {
    connect_output *out = &s->output;
    if (len == 0)
        return;
    if (len > sizeof out->data - out->len)
        connect_print_flush(s);
    if (len > sizeof out->data) {
        write_all(s, data, len);
        return;
    }
    memcpy(out->data + out->len, data, len);
    out->len += len;
}

static void put_text(connect_session *s, const char *text) {
    put(s, text, strlen(text));
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c != 0x7f;
}

/* Bytes of the sequence at `p` that a terminal may see: whole UTF-8 and no C1 control. 0: none. */
static size_t shown(const unsigned char *p, size_t len) {
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n > len || !weft_utf8_valid(p, n) || (n == 1 && !is_plain(p[0])) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0))
        return 0;
    /* Marks that turn the direction of writing hide what a line says. */
    if (n == 3 && p[0] == 0xe2 &&
        ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)))
        return 0;
    return n;
}

/* `out` has room for four times as many. Returns how many it became. */
static size_t escape(const unsigned char *data, size_t len, char *out) {
    size_t used = 0;
    for (size_t i = 0; i < len;) {
        size_t n = shown(data + i, len - i);
        if (n > 0 || data[i] == '\n' || data[i] == '\t') {
            n = n > 0 ? n : 1;
            memcpy(out + used, data + i, n);
            used += n;
        } else {
            static const char digits[] = "0123456789abcdef";
            n = 1;
            memcpy(out + used, (char[]) {'\\', 'x', digits[data[i] >> 4], digits[data[i] & 15]}, 4);
            used += 4;
        }
        i += n;
    }
    return used;
}

static void put_hexdump(connect_session *s, const uint8_t *data, size_t len) {
    char line[96];
    if (s->is_edited || len == 0)
        put(s, line, (size_t)snprintf(line, sizeof line, "binary, %zu bytes\n", len));
    for (size_t at = 0; at < len; at += 16) {
        int used = snprintf(line, sizeof line, "%08zx ", at);
        for (size_t i = at; i < at + 16; i++)
            used += i < len ? snprintf(line + used, sizeof line - (size_t)used, " %02x", data[i])
                            : snprintf(line + used, sizeof line - (size_t)used, "   ");
        used += snprintf(line + used, sizeof line - (size_t)used, "  |");
        for (size_t i = at; i < at + 16 && i < len; i++)
            line[used++] = data[i] >= 0x20 && data[i] < 0x7f ? (char)data[i] : '.';
        line[used++] = '|';
        line[used++] = '\n';
        put(s, line, (size_t)used);
    }
}

/* Lines of a message stand under each other, so that none can pass for one of ours. */
static void put_escaped(connect_session *s, const uint8_t *data, size_t len) {
    char *out = malloc(4 * len + 1);
    const char *line = out, *end = out ? out + escape(data, len, out) : NULL, *next;
    while (s->is_edited && line < end && (next = memchr(line, '\n', (size_t)(end - line)))) {
        put(s, line, (size_t)(next + 1 - line));
        put_text(s, "  ");
        line = next + 1;
    }
    put(s, line, (size_t)(end - line));
    put_text(s, "\n");
    free(out);
}

void connect_print_message(connect_session *s, weft_message m) {
    if (s->options->json) {
        connect_event e = connect_event_of(m.kind == WEFT_TEXT ? "text" : "binary", m.data, m.len);
        connect_print_event(s, &e);
        return;
    }
    if (!s->escapes) {
        put(s, (const char *)m.data, m.len);
        put(s, s->separator, s->separator_len);
        return;
    }
    if (s->is_edited) /* what is typed has a ">" */
        put_text(s, s->colors_out ? "\x1b[36m<\x1b[0m " : "< ");
    if (m.kind == WEFT_BINARY)
        put_hexdump(s, m.data, m.len);
    else
        put_escaped(s, m.data, m.len);
}

void connect_print_event(connect_session *s, connect_event *e) {
    if (!s->options->json)
        return;
    size_t len;
    e->conn = s->dialled > 0 ? s->dialled : 1;
    char *line = connect_event_line(e, &len);
    if (line) {
        put(s, line, len);
    } else {
        connect_fail(s, CLI_EXIT_FAILED);
        s->is_over = true;
    }
    free(line);
}

/* Color is a number of SGR, for "weft:" alone. */
__attribute__((format(printf, 3, 0))) static void tell(const connect_session *s, const char *color, const char *format,
                                                       va_list args) {
    char *text = NULL;
    int len = s->options->quiet ? -1 : vasprintf(&text, format, args);
    char *out = len >= 0 ? malloc(4 * (size_t)len + 1) : NULL;
    bool plain = s->options->raw || !isatty(STDERR_FILENO);
    if (out) {
        line_hide();
        fprintf(stderr, s->colors_err ? "\x1b[%smweft:\x1b[0m " : "weft: ", color);
        fprintf(stderr, "%.*s\n", plain ? len : (int)escape((const unsigned char *)text, (size_t)len, out),
                plain ? text : out);
    }
    free(out);
    if (len >= 0)
        free(text);
}

void connect_note(const connect_session *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    tell(s, "2", format, args);
    va_end(args);
}

void connect_complain(const connect_session *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    tell(s, "31", format, args);
    va_end(args);
}
