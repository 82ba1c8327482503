/*
 * Messages to stdout, byte for byte; on a terminal what could command it is escaped, and binary is a hexdump.
 */
#include "cli/connect/connect.h"

#include "cli/connect/line.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
    if (len > sizeof out->data - out->len)
        connect_print_flush(s);
    if (len > sizeof out->data) {
        write_all(s, data, len);
        return;
    }
    memcpy(out->data + out->len, data, len);
    out->len += len;
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
    if (len == 0)
        put(s, "(empty)\n", 8);
}

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* A JSON string, quotes included; `out` has room for six times as many and two. */
static size_t quote(const uint8_t *data, size_t len, char *out) {
    size_t used = 0;
    out[used++] = '"';
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '"' || data[i] == '\\')
            out[used++] = '\\';
        if (data[i] == 0xc2 && i + 1 < len && data[i + 1] < 0xa0) /* C1: commands to a terminal, too */
            used += (size_t)sprintf(out + used, "\\u%04x", data[++i]);
        else if (data[i] < 0x20 || data[i] == 0x7f)
            used += (size_t)sprintf(out + used, "\\u%04x", data[i]);
        else
            out[used++] = (char)data[i];
    }
    out[used++] = '"';
    return used;
}

static void put_json_message(connect_session *s, weft_message m) {
    bool text = m.kind == WEFT_TEXT;
    char *out = malloc(256 + 6 * m.len);
    if (!out) {
        connect_fail(s, CLI_EXIT_FAILED);
        s->is_over = true;
        return;
    }
    size_t used = (size_t)sprintf(
        out, "{\"ts_ns\":%lld,\"conn\":1,\"dir\":\"in\",\"op\":\"%s\",\"fin\":true,\"len\":%zu,\"%s\":", now_ns(),
        text ? "text" : "binary", m.len, text ? "payload" : "payload_hex");
    if (text) {
        used += quote(m.data, m.len, out + used);
    } else {
        out[used++] = '"';
        for (size_t i = 0; i < m.len; i++)
            used += (size_t)sprintf(out + used, "%02x", m.data[i]);
        out[used++] = '"';
    }
    used += (size_t)sprintf(out + used, "}\n");
    put(s, out, used);
    free(out);
}

void connect_print_message(connect_session *s, weft_message m) {
    if (s->options->json) {
        put_json_message(s, m);
    } else if (s->escapes && m.kind == WEFT_BINARY) {
        put_hexdump(s, m.data, m.len);
    } else if (s->escapes) {
        char *out = malloc(4 * m.len + 1);
        if (out)
            put(s, out, escape(m.data, m.len, out));
        free(out);
        put(s, "\n", 1);
    } else {
        put(s, (const char *)m.data, m.len);
        put(s, s->separator, s->separator_len);
    }
}

void connect_print_event(connect_session *s, const char *op, const char *extra) {
    char line[1200];
    bool out = strcmp(op, "sent") == 0;
    int used = snprintf(line, sizeof line, "{\"ts_ns\":%lld,\"conn\":1,\"dir\":\"%s\",\"op\":\"%s\"%s%s}\n", now_ns(),
                        out ? "out" : "in", out ? (s->options->binary ? "binary" : "text") : op, extra ? "," : "",
                        extra ? extra : "");
    put(s, line, (size_t)used < sizeof line ? (size_t)used : sizeof line - 1);
}

void connect_tell(const connect_session *s, const char *text, size_t len) {
    if (s->options->quiet)
        return;
    char *out = malloc(4 * len + 1);
    bool plain = s->options->raw || !isatty(STDERR_FILENO);
    line_hide();
    if (out)
        fprintf(stderr, "weft: %.*s\n", plain ? (int)len : (int)escape((const unsigned char *)text, len, out),
                plain ? text : out);
    free(out);
}
