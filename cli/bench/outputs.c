/*
 * Files are opened when the options are read, to fail before the run and not behind it, and written when it is over.
 */
#include "cli/bench/outputs.h"

#include "cli/shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *ending;
    bench_form form;
} endings[] = {{".txt", BENCH_TXT},  {".json", BENCH_JSON}, {".csv", BENCH_CSV}, {".hgrm", BENCH_HGRM},
               {".hdr", BENCH_HGRM}, {".html", BENCH_HTML}, {".htm", BENCH_HTML}};

static bool form_of(const char *path, bench_form *out) {
    const char *ending = strrchr(path, '.');
    for (size_t i = 0; ending && i < sizeof endings / sizeof endings[0]; i++) {
        if (strcmp(ending, endings[i].ending) == 0) {
            *out = endings[i].form;
            return true;
        }
    }
    return false;
}

const char *bench_outputs_init(bench_outputs *o, const char *const *paths, const bool flags[BENCH_FORMS], int color) {
    static char problem[320];
    bench_form asked = BENCH_TXT;
    size_t asked_count = 0;
    *o = (bench_outputs) {.is_colored = cli_colors(color, STDOUT_FILENO),
                          .is_colored_err = cli_colors(color, STDERR_FILENO)};
    for (size_t i = 0; i < BENCH_FORMS; i++) {
        asked_count += flags[i];
        asked = flags[i] ? (bench_form)i : asked;
    }
    if (asked_count > 1)
        return "one form can go to stdout: name files for the others, -o run.json -o run.html";
    bool is_taken = false; /* the form asked for goes into a file */
    for (size_t i = 0; paths[i] && o->count < BENCH_OUTPUTS_MAX; i++) {
        bench_output *file = &o->files[o->count++];
        file->path = paths[i];
        file->form = asked;
        if (!form_of(paths[i], &file->form) && asked_count == 0)
            return "-o goes by the file's ending: .json, .csv, .hgrm, .html or .txt";
        is_taken = is_taken || (asked_count == 1 && file->form == asked);
        FILE *probe = fopen(paths[i], "a");
        if (!probe) {
            snprintf(problem, sizeof problem, "cannot write %.200s: %s", paths[i], strerror(errno));
            return problem;
        }
        fclose(probe);
    }
    o->on_stdout = is_taken ? BENCH_TXT : asked;
    return NULL;
}

static void write_form(const bench_report *r, bench_form form, FILE *out, bool color) {
    if (form == BENCH_TXT)
        bench_write_text(r, out, color);
    else if (form == BENCH_JSON)
        bench_write_json(r, out);
    else if (form == BENCH_CSV)
        bench_write_csv(r, out);
    else if (form == BENCH_HGRM)
        bench_write_hgrm(r, out);
    else
        bench_write_html(r, out);
}

static bool told(const char *path) {
    fprintf(stderr, "weft: cannot write %s: %s\n", path, strerror(errno));
    return false;
}

bool bench_outputs_write(const bench_outputs *o, const bench_report *r) {
    bool ok = true;
    write_form(r, o->on_stdout, stdout, o->is_colored);
    if (fflush(stdout) != 0 && errno != EPIPE)
        ok = told("stdout");
    for (size_t i = 0; i < o->count; i++) {
        FILE *out = fopen(o->files[i].path, "w");
        if (!out) {
            ok = told(o->files[i].path);
            continue;
        }
        write_form(r, o->files[i].form, out, false);
        bool failed = ferror(out) != 0;
        if (fclose(out) != 0 || failed)
            ok = told(o->files[i].path);
    }
    return ok;
}

void bench_outputs_tell(const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '\n')
            fputc('\n', stderr);
        else if (*c < 0x20 || *c == 0x7f)
            fprintf(stderr, "\\x%02x", *c);
        else
            fputc(*c, stderr);
    }
    fputc('\n', stderr);
}
