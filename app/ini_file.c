#include "app/ini_file.h"

#include <stdbool.h>
#include <string.h>

typedef struct source {
    FILE *file;
    int line;
    bool too_long; /* the last one that was read */
} source;

/* The end of the file, as far as inih knows, is before a line that is too long. */
static char *next_line(char *out, int cap, void *stream) {
    source *s = stream;
    if (s->too_long || !fgets(out, cap, s->file))
        return NULL;
    s->line++;
    if (strlen(out) + 1 < (size_t)cap || strchr(out, '\n'))
        return out;
    int next = getc(s->file);
    if (next == EOF)
        return out;
    s->too_long = true;
    return NULL;
}

int app_ini_parse(FILE *file, ini_handler on_line, void *context, const char **out_form) {
    source s = {.file = file};
    int got = ini_parse_stream(next_line, &s, on_line, context);
    if (ferror(file))
        return -1; /* a folder opens like a file and cannot be read */
    *out_form = "this is not \"name = value\"";
    if (got != 0 || !s.too_long)
        return got;
    *out_form = "the line is too long: up to 198 bytes are read";
    return s.line;
}
