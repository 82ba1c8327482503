#include "app/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

size_t app_escape(char *out, size_t cap, const char *in, size_t len) {
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)in[i];
        char piece[8];
        int n;
        if (c == '"' || c == '\\')
            n = snprintf(piece, sizeof piece, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            n = snprintf(piece, sizeof piece, "\\u%04x", c);
        else
            n = snprintf(piece, sizeof piece, "%c", c);
        if (used + (size_t)n >= cap)
            break;
        memcpy(out + used, piece, (size_t)n);
        used += (size_t)n;
    }
    if (cap > 0)
        out[used] = '\0';
    return used;
}

static size_t put(char *line, size_t at, const char *text) {
    size_t len = strlen(text), room = LINE_MAX_BYTES - 4 - at; /* the end of the line always fits */
    if (len > room)
        len = room;
    memcpy(line + at, text, len);
    return at + len;
}

static size_t put_pair(char *line, size_t at, const char *name, const char *value) {
    char escaped[1024];
    app_escape(escaped, sizeof escaped, value, strlen(value));
    bool quotes = as_json || escaped[0] == '\0' || strpbrk(escaped, " =\"") != NULL;
    at = put(line, at, as_json ? ",\"" : " ");
    at = put(line, at, name);
    at = put(line, at, as_json ? "\":" : "=");
    at = put(line, at, quotes ? "\"" : "");
    at = put(line, at, escaped);
    return put(line, at, quotes ? "\"" : "");
}

void app_log(app_level level, const char *event, ...) {
    if (!app_log_wants(level))
        return;
    char line[LINE_MAX_BYTES], stamp[64];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t at = 0, n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + n, sizeof stamp - n, ".%03ldZ", now.tv_nsec / 1000000);
    static const char *const levels[] = {"error", "info", "debug"};
    if (as_json) {
        at = put(line, at, "{\"time\":\"");
        at = put(line, at, stamp);
        at = put(line, at, "\",\"level\":\"");
        at = put(line, at, levels[level + 1]);
        at = put(line, at, "\",\"event\":\"");
        at = put(line, at, event);
        at = put(line, at, "\"");
    } else {
        at = put(line, at, stamp);
        at = put(line, at, " ");
        at = put(line, at, event);
    }
    va_list args;
    va_start(args, event);
    const char *name;
    while ((name = va_arg(args, const char *)))
        at = put_pair(line, at, name, va_arg(args, const char *));
    va_end(args);
    if (as_json)
        line[at++] = '}';
    line[at++] = '\n';
    if (write(STDERR_FILENO, line, at) < 0)
        return; /* nobody reads our log; serving goes on */
}
