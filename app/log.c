#include "app/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

enum { LINE_MAX_BYTES = 2048 };

static bool as_json;
static int loudness;

void app_log_setup(bool json, int verbosity) {
    as_json = json;
    loudness = verbosity;
}

bool app_log_wants(app_level level) {
    return (int)level <= loudness;
}

/* The next character: its code point and bytes when the text is UTF-8, else the byte as it is. */
static unsigned next_char(const char *in, size_t len, bool utf8, size_t *out_used) {
    unsigned c = (unsigned char)in[0];
    *out_used = 1;
    if (!utf8 || c < 0x80)
        return c;
    size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    c &= 0x3fu >> more;
    for (size_t i = 1; i <= more && i < len; i++)
        c = c << 6 | ((unsigned char)in[i] & 0x3f);
    *out_used = 1 + more;
    return c;
}

size_t app_escape(char *out, size_t cap, const char *in, size_t len) {
    bool utf8 = weft_utf8_valid(in, len);
    size_t used = 0, step;
    for (size_t i = 0; i < len; i += step) {
        char piece[16];
        unsigned c = next_char(in + i, len - i, utf8, &step);
        int n;
        if (c == '"' || c == '\\')
            n = snprintf(piece, sizeof piece, "\\%c", (int)c);
        else if (c >= 0x20 && c < 0x7f)
            n = snprintf(piece, sizeof piece, "%c", (int)c);
        else if (c < 0x10000)
            n = snprintf(piece, sizeof piece, "\\u%04x", c);
        else
            n = snprintf(piece, sizeof piece, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
        if (used + (size_t)n >= cap)
            break;
        memcpy(out + used, piece, (size_t)n);
        used += (size_t)n;
    }
    if (cap > 0)
        out[used] = '\0';
    return used;
}

/* A line under construction. What does not fit is left out whole, so that a cut line is still a line of its
 * form. */
typedef struct log_line {
    char text[LINE_MAX_BYTES];
    size_t len;
} log_line;

static void put(log_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(log_line *line, const char *format, ...) {
    size_t room = sizeof line->text - 4 - line->len; /* the end of the line always fits */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->text + line->len, room, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < room)
        line->len += (size_t)n;
}

static void put_pair(log_line *line, const char *name, const char *value) {
    char escaped[1024];
    if (!as_json && value[0] == '\0')
        return; /* a reader sees as well that there is none */
    app_escape(escaped, sizeof escaped, value, strlen(value));
    bool quotes = escaped[0] == '\0' || strpbrk(escaped, " =\"") != NULL;
    if (as_json)
        put(line, ",\"%s\":\"%s\"", name, escaped);
    else
        put(line, quotes ? " %s=\"%s\"" : " %s=%s", name, escaped);
}

void app_log(app_level level, const char *event, ...) {
    static const char *const levels[] = {"error", "info", "debug"};
    if (!app_log_wants(level))
        return;
    log_line line = {.len = 0};
    char stamp[64];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + n, sizeof stamp - n, ".%03ldZ", now.tv_nsec / 1000000);
    if (as_json)
        put(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", stamp, levels[level + 1], event);
    else
        put(&line, "%s %s", stamp, event);
    va_list args;
    va_start(args, event);
    const char *name;
    while ((name = va_arg(args, const char *)))
        put_pair(&line, name, va_arg(args, const char *));
    va_end(args);
    if (as_json)
        line.text[line.len++] = '}';
    line.text[line.len++] = '\n';
    if (write(STDERR_FILENO, line.text, line.len) < 0)
        return; /* nobody reads our log; serving goes on */
}
