/*
 * Messages point into the text they came from; nothing is copied.
 */
#include "cli/bench/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 64 << 20 };

bool bench_script_of_text(bench_script *s, const char *text) {
    bench_script_message *only = malloc(sizeof *only);
    if (!only)
        return false;
    *only = (bench_script_message) {text, strlen(text)};
    *s = (bench_script) {.messages = only, .count = 1};
    return true;
}

static bool add(bench_script *s, size_t *cap, const char *data, size_t len) {
    if (s->count == *cap) {
        size_t more = *cap ? *cap * 2 : 64;
        bench_script_message *grown = realloc(s->messages, more * sizeof *grown);
        if (!grown)
            return false;
        s->messages = grown;
        *cap = more;
    }
    s->messages[s->count++] = (bench_script_message) {data, len};
    return true;
}

static const char *split(bench_script *s, size_t len) {
    size_t cap = 0;
    for (size_t at = 0; at < len;) {
        const char *line = s->text + at, *end = memchr(line, '\n', len - at);
        size_t bytes = end ? (size_t)(end - line) : len - at;
        at += bytes + 1;
        if (bytes > 0 && line[bytes - 1] == '\r')
            bytes--;
        if (bytes > 0 && !add(s, &cap, line, bytes))
            return "does not fit into memory";
    }
    return s->count > 0 ? NULL : "holds no message: there is one on each line";
}

const char *bench_script_of_file(bench_script *s, const char *path) {
    FILE *file = fopen(path, "r");
    bench_script made = {.text = file ? malloc(FILE_BYTES_MAX + 1) : NULL};
    size_t len = made.text ? fread(made.text, 1, FILE_BYTES_MAX + 1, file) : 0;
    const char *problem = !file || !made.text || ferror(file) ? strerror(errno)
                          : len > FILE_BYTES_MAX              ? "is larger than 64 MiB"
                                                              : split(&made, len);
    if (file)
        fclose(file);
    if (problem)
        bench_script_deinit(&made);
    else
        *s = made;
    return problem;
}

void bench_script_deinit(bench_script *s) {
    free(s->messages);
    free(s->text);
    *s = (bench_script) {0};
}
