/*
 * What is said of a run: quantities, rules, the verdict on two runs, and the forms of the report.
 */
#include "cli/bench/diff.h"
#include "cli/bench/quantity.h"
#include "cli/bench/report.h"
#include "cli/bench/rule.h"
#include "cli/bench/stats.h"
#include "test.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- quantities ---- */

TEST(times_need_a_unit) {
    double ns;
    CHECK(bench_parse_time("50ms", &ns) && ns == 50e6);
    CHECK(bench_parse_time("1.5s", &ns) && ns == 1.5e9);
    CHECK(bench_parse_time(".5us", &ns) && ns == 500);
    CHECK(bench_parse_time("7ns", &ns) && ns == 7);
    CHECK(bench_parse_time("2m", &ns) && ns == 120e9);
    static const char *const wrong[] = {"50",   "",      "ms",  "-1ms", "1.2.3ms", "1 ms",
                                        "1msx", "0x1ms", ".ms", "nans", "1e3s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        test_context("%s", wrong[i]);
        CHECK(!bench_parse_time(wrong[i], &ns));
    }
}

TEST(spans_of_sizes) {
    uint32_t low, high;
    CHECK(bench_parse_span("16..4096", &low, &high) && low == 16 && high == 4096);
    CHECK(bench_parse_span("1k", &low, &high) && low == 1024 && high == 1024);
    CHECK(bench_parse_span("16..1M", &low, &high) && high == 1 << 20);
    static const char *const wrong[] = {"", "..", "5..", "..5", "9..8", "1...2", "a..b", "8G", "1..2..3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        test_context("%s", wrong[i]);
        CHECK(!bench_parse_span(wrong[i], &low, &high));
    }
}

TEST(quantities_read_well) {
    char out[BENCH_TEXT];
    CHECK_STR(bench_time_text(out, 0), "0 ns");
    CHECK_STR(bench_time_text(out, 1234), "1.23 us");
    CHECK_STR(bench_time_text(out, 51234567), "51.2 ms");
    CHECK_STR(bench_time_text(out, 999600000), "1.00 s");
    CHECK_STR(bench_count_text(out, 1234567), "1,234,567");
    CHECK_STR(bench_count_text(out, 999), "999");
    CHECK_STR(bench_count_text(out, 12.34), "12.3");
    CHECK_STR(bench_count_text(out, 0), "0");
    CHECK_STR(bench_bytes_text(out, 1536), "1.50 KiB");
    CHECK_STR(bench_bytes_text(out, 512), "512 B");
}

/* ---- rules ---- */

static bench_report report; /* large: not on the stack */

static void make_report(double scale, uint64_t seed) {
    static bench_sample samples[40];
    memset(&report, 0, sizeof report);
    report.setup = (bench_setup) {.url = "ws://127.0.0.1:9001/<echo>\"",
                                  .open_model = true,
                                  .rate = 1000,
                                  .connections = 10,
                                  .threads = 1,
                                  .size_min = 64,
                                  .size_max = 64,
                                  .payload = "stamped"};
    strcpy(report.started, "2026-01-31T12:00:00Z");
    report.seconds = 4;
    report.samples = samples;
    report.sample_count = 40;
    for (size_t i = 0; i < 40; i++) {
        double wobble = 1 + (double)(test_random(&seed) % 1000) / 20000; /* up to 5 % */
        samples[i] = (bench_sample) {.at_s = (double)(i + 1) / 10,
                                     .seconds = 0.1,
                                     .done = (uint64_t)(1000 / scale * wobble),
                                     .p50_ns = (uint64_t)(100000 * scale * wobble),
                                     .p90_ns = (uint64_t)(150000 * scale * wobble),
                                     .p99_ns = (uint64_t)(300000 * scale * wobble),
                                     .max_ns = (uint64_t)(900000 * scale * wobble),
                                     .server_cpu_s = 0.01 * wobble};
        report.done += samples[i].done;
    }
    report.sent = report.expected = report.done;
    for (uint64_t i = 1; i <= 1000; i++)
        bench_hist_record(&report.latency, (uint64_t)((double)i * 1000 * scale));
    report.opened = 10;
    report.server = (bench_server_use) {true, 0.4, .rss_before = 1 << 20, .rss_open = 2 << 20, .rss_end = 3 << 20};
    report.client = (bench_client_use) {.cpu_s = 0.2, .busiest = 0.05};
}

static const struct {
    const char *text;
    bool broken;
} rules[] = {
    {"p99>989us", true},       {"p99>1ms", false},      {"p50<501us", true},       {"p50<499us", false},
    {"p99.9>=999us", true},    {"max>=1ms", true},      {"max>1ms", false},        {"min<=1us", true},
    {"mean>500us", true},      {"rate<9k", false},      {"rate<20k", true},        {"errors>0", false},
    {"errors>=0", true},       {"missing>0", false},    {"cpu_us>5", true},        {"cpu_us>12", false},
    {"client_cpu>4.9", true},  {"client_cpu>5", false}, {"rss>2M", true},          {"rss_each>104857", true},
    {"rss_each>1M", false},    {"duplicated>0", false}, {"wrong_opcode>=0", true}, {"lag_p99>1s", true},
    {"connect_max<1ns", true},
};

TEST(a_rule_is_broken_when_its_condition_is_true) {
    make_report(1, 1);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        test_context("%s", rules[i].text);
        bench_rule rule;
        double value;
        CHECK(bench_rule_parse(rules[i].text, &rule) == NULL);
        CHECK_EQ(bench_rule_broken(&rule, &report, &value), rules[i].broken);
    }
}

TEST(what_is_no_rule) {
    static const char *const wrong[] = {"",         "p99",        "p99>",     "p99>50",   "p101>1ms",
                                        "p>1ms",    "rate>1ms",   "x>1",      ">1ms",     "p99=1ms",
                                        "p99==1ms", "lag_rate>1", "rss>1ms",  "errors>x", "p-1>1s",
                                        "pnan>1ms", "p99>1ms ",   "p99 >1ms", "lag_>1ms"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bench_rule rule;
        test_context("%s", wrong[i]);
        CHECK(bench_rule_parse(wrong[i], &rule) != NULL);
    }
}

TEST(a_rule_says_what_it_is_about) {
    bench_rule rule;
    CHECK(!bench_rule_parse("errors>5", &rule) && bench_rule_covers(&rule, BENCH_FAULT_CORRUPT));
    CHECK(!bench_rule_parse("missing>5", &rule) && bench_rule_covers(&rule, BENCH_FAULT_LOST));
    CHECK(bench_rule_covers(&rule, BENCH_FAULT_UNANSWERED) && !bench_rule_covers(&rule, BENCH_FAULT_CORRUPT));
    CHECK(!bench_rule_parse("corrupt>5", &rule) && bench_rule_covers(&rule, BENCH_FAULT_CORRUPT));
    CHECK(!bench_rule_covers(&rule, BENCH_FAULT_LOST) && !bench_rule_needs_server(&rule));
    CHECK(!bench_rule_parse("rss_each>5k", &rule) && bench_rule_needs_server(&rule));
}

/* ---- statistics ---- */

TEST(quartiles) {
    double values[] = {5, 1, 4, 2, 3};
    bench_quartiles q = bench_quartiles_of(values, 5);
    CHECK(q.low == 2 && q.median == 3 && q.high == 4);
    double four[] = {1, 2, 3, 4};
    q = bench_quartiles_of(four, 4);
    CHECK(q.low == 1.75 && q.median == 2.5 && q.high == 3.25);
    CHECK(bench_quartiles_of(NULL, 0).median == 0);
}

/* 5 and 5 without overlap: U = 0, mean 12.5, deviation sqrt(25 * 11 / 12). */
TEST(rank_distance) {
    static const double a[] = {1, 2, 3, 4, 5}, b[] = {6, 7, 8, 9, 10}, same[] = {3, 3, 3, 3, 3};
    CHECK(fabs(bench_rank_distance(a, 5, b, 5) - 2.6112) < 0.0001);
    CHECK(fabs(bench_rank_distance(b, 5, a, 5) - 2.6112) < 0.0001);
    CHECK(bench_rank_distance(a, 5, a, 5) == 0);
    CHECK(bench_rank_distance(same, 5, same, 5) == 0);
    CHECK(bench_rank_distance(a, 4, b, 5) == 0);
}

/* Noise is called a change in one of a hundred at most, and a step of 10 % over noise of 5 % always. */
TEST(noise_is_no_change_and_a_step_is_one) {
    uint64_t state = 5;
    int alarms = 0, missed = 0;
    for (int round = 0; round < 500; round++) {
        double a[40], b[40], c[40];
        for (int i = 0; i < 40; i++) {
            a[i] = 1000 + (double)(test_random(&state) % 100);
            b[i] = 1000 + (double)(test_random(&state) % 100);
            c[i] = 1100 + (double)(test_random(&state) % 100);
        }
        alarms += bench_change_between(a, 40, b, 40, 0) != BENCH_CHANGE_NONE;
        missed += bench_change_between(a, 40, c, 40, 0.05) != BENCH_CHANGE_UP;
        missed += bench_change_between(c, 40, b, 40, 0.05) != BENCH_CHANGE_DOWN;
    }
    CHECK(alarms <= 5);
    CHECK_EQ(missed, 0);
    double wide[200],
        shifted[200]; /* the ranks tell them apart; that each median is an everyday value of the other, too */
    for (int i = 0; i < 200; i++) {
        wide[i] = 1000 + 10 * i;
        shifted[i] = 1000 + 10 * i + 400;
    }
    CHECK(bench_rank_distance(wide, 200, shifted, 200) > 5);
    CHECK_EQ(bench_change_between(wide, 200, shifted, 200, 0.05), BENCH_CHANGE_NONE);
    double few[] = {1, 2, 3};
    CHECK_EQ(bench_change_between(few, 3, few, 3, 0), BENCH_CHANGE_UNKNOWN);
}

/* ---- forms ---- */

static char *written(void (*write)(const bench_report *, FILE *)) {
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    write(&report, out);
    fclose(out);
    return text;
}

TEST(json_reads_back) {
    make_report(1, 1);
    bench_note(&report.examples, "a \"quoted\" \\ thing\nof two lines");
    char *text = written(bench_write_json);
    bench_json *root = bench_json_read(text);
    CHECK(root != NULL);
    CHECK_STR(bench_json_string(root, "schema", ""), "weft-bench-1");
    CHECK_STR(bench_json_string(root, "run.url", ""), report.setup.url);
    CHECK_EQ(bench_json_number(root, "totals.done", -1), report.done);
    CHECK_EQ(bench_json_number(root, "latency_ns.p50", -1), bench_hist_at(&report.latency, 0.5));
    CHECK_EQ(bench_json_number(root, "errors.missing", -1), 0);
    CHECK_EQ(bench_json_at(root, "samples.rows")->count, 40);
    CHECK_EQ(bench_json_at(root, "samples.columns")->count, bench_json_at(root, "samples.rows")->child->count);
    CHECK_EQ(bench_json_at(root, "verdict.valid")->kind, BENCH_JSON_TRUE);
    CHECK(bench_json_at(root, "no.such") == NULL);
    bench_json_free(root);
    free(text);
}

TEST(what_is_no_json) {
    static const char *const wrong[] = {"",     "{",     "[1,]",    "{\"a\"}",   "{\"a\":}", "[1 2]",
                                        "nul",  "\"a",   "\"\\x\"", "\"\\u12\"", "1x",       "--1",
                                        "[1]]", "{a:1}", "\"\n\"",  "inf",       "0x10",     "\"\\"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *text = strdup(wrong[i]);
        test_context("%s", text);
        CHECK(bench_json_read(text) == NULL);
        free(text);
    }
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    CHECK(bench_json_read(deep) == NULL);
}

TEST(csv_has_a_line_for_each_interval) {
    make_report(1, 1);
    char *text = written(bench_write_csv);
    size_t lines = 0, commas = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
        commas += *c == ',';
    }
    CHECK_EQ(lines, 41);
    CHECK_EQ(commas, 41 * 9);
    free(text);
}

TEST(hgrm_has_the_columns_that_plotters_read) {
    make_report(1, 1);
    char *text = written(bench_write_hgrm);
    double value, share, inverse, last = 0;
    unsigned long long total;
    size_t rows = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (sscanf(line, "%lf %lf %llu %lf", &value, &share, &total, &inverse) < 3)
            continue;
        CHECK(value >= last);
        last = value;
        rows++;
    }
    CHECK(rows > 40);
    CHECK(share == 1 && value == 1.0 && total == 1000); /* 1 ms */
    free(text);
}

TEST(html_lets_nothing_out_of_its_quotes) {
    make_report(1, 1);
    bench_note(&report.examples, "<script>alert(1)</script>");
    char *text = written(bench_write_html);
    CHECK(strstr(text, "<script") == NULL);
    CHECK(strstr(text, "/<echo>") == NULL && strstr(text, "/&#60;echo&#62;&#34;") != NULL);
    CHECK(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
    CHECK(strstr(text, "http://") == NULL && strstr(text, "https://") == NULL);
    free(text);
}

/* ---- two runs ---- */

static bench_diff_verdict compared(double scale, char *out, size_t cap) {
    make_report(1, 1);
    char *a_text = written(bench_write_json), *b_text, *text;
    size_t len;
    make_report(scale, 2);
    b_text = written(bench_write_json);
    bench_json *a = bench_json_read(a_text), *b = bench_json_read(b_text);
    FILE *file = open_memstream(&text, &len);
    bench_diff_verdict verdict = bench_diff_write(a, b, 0.05, file);
    fclose(file);
    snprintf(out, cap, "%s", text);
    bench_json_free(a);
    bench_json_free(b);
    free(a_text);
    free(b_text);
    free(text);
    return verdict;
}

TEST(two_runs_are_compared_by_what_noise_does_not_explain) {
    char text[8192];
    CHECK_EQ(compared(1, text, sizeof text), BENCH_DIFF_SAME);
    CHECK(strstr(text, "within noise") && !strstr(text, "WORSE") && !strstr(text, "better"));
    CHECK_EQ(compared(1.5, text, sizeof text), BENCH_DIFF_WORSE);
    CHECK(strstr(text, "WORSE"));
    CHECK_EQ(compared(0.5, text, sizeof text), BENCH_DIFF_BETTER);
    CHECK(strstr(text, "better") && !strstr(text, "WORSE"));
}
