/*
 * What carries the verdict is a value per interval of each run: how far those scatter is what noise is. Figures that
 * exist only once per run (p99.99, a maximum) are shown and never judged.
 */
#include "cli/bench/diff.h"

#include "cli/bench/quantity.h"
#include "cli/bench/stats.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 64 << 20, COLUMN_AT = 0, COLUMN_SECONDS, COLUMN_DONE };
enum { COLUMN_P50 = 4, COLUMN_P90, COLUMN_P99, COLUMN_SERVER_CPU = 8, COLUMNS };

typedef enum meaning { MORE_IS_BETTER, LESS_IS_BETTER, NOT_JUDGED } meaning;
typedef enum look { FORM_COUNT, FORM_TIME, FORM_BYTES, FORM_MICROSECONDS } look;

typedef struct figure {
    const char *name, *path;
    look form;
    meaning meaning;
    int column; /* of the samples; -1: none */
} figure;

static const figure figures[] = {
    {"rate", "totals.rate", FORM_COUNT, MORE_IS_BETTER, COLUMN_DONE},
    {"latency p50", "latency_ns.p50", FORM_TIME, LESS_IS_BETTER, COLUMN_P50},
    {"latency p90", "latency_ns.p90", FORM_TIME, LESS_IS_BETTER, COLUMN_P90},
    {"latency p99", "latency_ns.p99", FORM_TIME, LESS_IS_BETTER, COLUMN_P99},
    {"latency max", "latency_ns.max", FORM_TIME, NOT_JUDGED, -1},
    {"connect p99", "connect_ns.p99", FORM_TIME, NOT_JUDGED, -1},
    {"last receiver p99", "last_receiver_ns.p99", FORM_TIME, NOT_JUDGED, -1},
    {"client CPU each", "client.cpu_us", FORM_MICROSECONDS, NOT_JUDGED, -1},
    {"server CPU each", "server.cpu_us", FORM_MICROSECONDS, LESS_IS_BETTER, COLUMN_SERVER_CPU},
    {"server RSS each", "server.rss_each", FORM_BYTES, NOT_JUDGED, -1},
    {"errors", "errors.total", FORM_COUNT, NOT_JUDGED, -1},
};

/* One value per interval, those in which nothing was done left out where they say nothing. *out_values is to be
 * freed. */
static size_t column(const bench_json *report, int index, double **out_values) {
    const bench_json *rows = bench_json_at(report, "samples.rows");
    double *values = calloc(rows ? rows->count + 1 : 1, sizeof *values);
    size_t count = 0;
    for (const bench_json *row = rows && values ? rows->child : NULL; row; row = row->next) {
        double cells[COLUMNS] = {0};
        int at = 0;
        for (const bench_json *cell = row->child; cell && at < COLUMNS; cell = cell->next)
            cells[at++] = cell->number;
        if (at < COLUMNS || cells[COLUMN_SECONDS] <= 0 || (index != COLUMN_DONE && cells[COLUMN_DONE] <= 0))
            continue;
        values[count++] = index == COLUMN_DONE         ? cells[COLUMN_DONE] / cells[COLUMN_SECONDS]
                          : index == COLUMN_SERVER_CPU ? cells[index] / cells[COLUMN_DONE]
                                                       : cells[index];
    }
    *out_values = values;
    return count;
}

static const char *shown(look form, double value, char *out) {
    return form == FORM_TIME           ? bench_time_text(out, value)
           : form == FORM_MICROSECONDS ? bench_time_text(out, value * 1e3)
           : form == FORM_BYTES        ? bench_bytes_text(out, value)
                                       : bench_count_text(out, value);
}

/* Half of the quartiles' distance, of the worse run: what values scatter by. */
static double scatter(double *a, size_t a_count, double *b, size_t b_count) {
    bench_quartiles x = bench_quartiles_of(a, a_count), y = bench_quartiles_of(b, b_count);
    double of_x = x.median > 0 ? (x.high - x.low) / 2 / x.median : 0;
    double of_y = y.median > 0 ? (y.high - y.low) / 2 / y.median : 0;
    return fmax(of_x, of_y);
}

static bench_diff_verdict judge(const figure *f, bench_change change, const char **out_word) {
    *out_word = change == BENCH_CHANGE_UNKNOWN ? "too short to tell" : "within noise";
    if (change == BENCH_CHANGE_NONE || change == BENCH_CHANGE_UNKNOWN)
        return BENCH_DIFF_SAME;
    bool better = (change == BENCH_CHANGE_UP) == (f->meaning == MORE_IS_BETTER);
    *out_word = better ? "better" : "WORSE";
    return better ? BENCH_DIFF_BETTER : BENCH_DIFF_WORSE;
}

static bench_diff_verdict write_row(const figure *f, const bench_json *a, const bench_json *b, double least,
                                    FILE *out) {
    double of_a = bench_json_number(a, f->path, 0), of_b = bench_json_number(b, f->path, 0);
    char x[BENCH_TEXT], y[BENCH_TEXT], ratio[BENCH_TEXT] = "-", noise[BENCH_TEXT] = "";
    const char *word = "";
    bench_diff_verdict verdict = BENCH_DIFF_SAME;
    if (of_a == 0 && of_b == 0)
        return verdict;
    if (of_a > 0)
        snprintf(ratio, sizeof ratio, "%.3f", of_b / of_a);
    if (f->column >= 0) {
        double *left, *right;
        size_t left_count = column(a, f->column, &left), right_count = column(b, f->column, &right);
        if (left && right) {
            verdict = judge(f, bench_change_between(left, left_count, right, right_count, least), &word);
            double percent = 100 * scatter(left, left_count, right, right_count);
            snprintf(noise, sizeof noise, percent < 100 ? "+-%.1f %%" : "over 100 %%", percent);
        }
        free(left);
        free(right);
    }
    fprintf(out, "  %-18s %12s %12s %9s  %-10s %s\n", f->name, shown(f->form, of_a, x), shown(f->form, of_b, y), ratio,
            noise, word);
    return verdict;
}

/* Comparing runs that were not alike is allowed, and said. */
static void write_differences(const bench_json *a, const bench_json *b, FILE *out) {
    static const char *const texts[] = {"run.mode", "run.model", "run.opcode", "run.payload", "machine.processor"};
    static const char *const numbers[] = {"run.rate",       "run.inflight",    "run.connections",
                                          "run.publishers", "run.subscribers", "run.threads",
                                          "run.size_min",   "run.size_max",    "machine.processors"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *x = bench_json_string(a, texts[i], ""), *y = bench_json_string(b, texts[i], "");
        if (strcmp(x, y) != 0)
            fprintf(out, "  not alike: %s was %s and is %s\n", texts[i], x, y);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        double x = bench_json_number(a, numbers[i], 0), y = bench_json_number(b, numbers[i], 0);
        if (x != y)
            fprintf(out, "  not alike: %s was %g and is %g\n", numbers[i], x, y);
    }
    const bench_json *both[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        const bench_json *valid = bench_json_at(both[i], "verdict.valid");
        if (!valid || valid->kind != BENCH_JSON_TRUE)
            fprintf(out, "  the %s run is INVALID: the client was its limit\n", i == 0 ? "first" : "second");
    }
}

bench_diff_verdict bench_diff_write(const bench_json *a, const bench_json *b, double least, FILE *out) {
    bench_diff_verdict all = BENCH_DIFF_SAME;
    fprintf(out, "  %-18s %12s %12s %9s  %-10s %s\n", "", "a", "b", "b / a", "noise", "verdict");
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        bench_diff_verdict one = write_row(&figures[i], a, b, least, out);
        if (one == BENCH_DIFF_WORSE || (one == BENCH_DIFF_BETTER && all == BENCH_DIFF_SAME))
            all = one;
    }
    write_differences(a, b, out);
    return all;
}

bench_json *bench_diff_load(const char *path, char **out_text) {
    FILE *file = fopen(path, "r");
    char *text = file ? malloc(FILE_BYTES_MAX + 1) : NULL;
    size_t len = text ? fread(text, 1, FILE_BYTES_MAX, file) : 0;
    bool failed = !file || !text || ferror(file);
    int error = errno;
    if (file)
        fclose(file);
    if (failed) {
        fprintf(stderr, "weft: cannot read %s: %s\n", path, strerror(error));
        free(text);
        return NULL;
    }
    text[len] = '\0';
    bench_json *report = bench_json_read(text);
    if (!report || strcmp(bench_json_string(report, "schema", ""), "weft-bench-1") != 0) {
        fprintf(stderr, "weft: %s is no report of weft bench --json\n", path);
        bench_json_free(report);
        free(text);
        return NULL;
    }
    *out_text = text;
    return report;
}
