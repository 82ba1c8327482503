/*
 * outputs.h - where the report goes, and in which forms.
 */
#ifndef CLI_BENCH_OUTPUTS_H
#define CLI_BENCH_OUTPUTS_H

#include "cli/bench/report.h"

typedef enum bench_form { BENCH_TXT, BENCH_JSON, BENCH_CSV, BENCH_HGRM, BENCH_HTML, BENCH_FORMS } bench_form;

enum { BENCH_OUTPUTS_MAX = 64 };

typedef struct bench_output {
    const char *path;
    bench_form form;
} bench_output;

typedef struct bench_outputs {
    bench_output files[BENCH_OUTPUTS_MAX];
    size_t count;
    bench_form on_stdout;
    bool is_colored, is_colored_err; /* stdout, stderr */
} bench_outputs;

/* `paths` ends in NULL; flags[form] is true for a form asked for by name. color: 0 auto, 1 always, 2 never. Files
 * that do not exist are made, so that one that cannot be is known before the run. NULL, or what is wrong; valid until
 * the next call. */
const char *bench_outputs_init(bench_outputs *o, const char *const *paths, const bool flags[BENCH_FORMS], int color);

/* false: something could not be written; told on stderr. */
bool bench_outputs_write(const bench_outputs *o, const bench_report *r);

/* Text of a server on stderr, line by line, with what a terminal might obey made visible. */
void bench_outputs_tell(const char *text);

#endif
