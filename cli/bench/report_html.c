/*
 * The report as one page that needs nothing else: no network, no script. Colours follow what the reader's system
 * prefers.
 */
#include "cli/bench/chart.h"
#include "cli/bench/quantity.h"
#include "cli/bench/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <weft/weft.h>

static const char head[] =
    "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>\n"
    "<meta name='viewport' content='width=device-width,initial-scale=1'>\n"
    "<meta name='color-scheme' content='light dark'>\n<title>weft bench</title>\n<style>\n"
    ":root{--paper:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#637083;--edge:#dfe4ea;--l0:#0b63ce;--l1:#c2410c;"
    "--l2:#8a94a3;--good:#15803d;--bad:#c81e1e}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#10151c;--card:#18202a;--ink:#e6ebf2;--soft:#93a1b3;"
    "--edge:#2a3543;--l0:#5aa9ff;--l1:#ff9f5a;--l2:#7f8da0;--good:#4ade80;--bad:#ff7b72}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}main{max-width:1080px;margin:0 auto;padding:28px 20px 48px}\n"
    "h1{font-size:22px;margin:0;overflow-wrap:anywhere}p{margin:4px 0}.soft{color:var(--soft)}\n"
    ".badge{display:inline-block;padding:2px 12px;border-radius:99px;color:var(--card);font-weight:600;"
    "margin-left:8px;font-size:14px;vertical-align:2px}.good{background:var(--good)}.bad{background:var(--bad)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}\n"
    ".tile,.card{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:14px 16px}\n"
    ".tile b{display:block;font-size:23px;font-weight:650;font-variant-numeric:tabular-nums}\n"
    ".card{margin:14px 0;overflow-x:auto}.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));"
    "gap:0 14px}\n"
    "@media(max-width:960px){.two{grid-template-columns:1fr}}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:5px 10px;border-bottom:1px solid var(--edge);white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:500}tr:last-child td{border:0}\n"
    ".wrap td:first-child{white-space:nowrap}"
    ".wrap td+td{white-space:normal;text-align:left;overflow-wrap:anywhere}\n"
    "svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}"
    "svg .title{fill:var(--ink);font-size:14px;font-weight:600}.mid{text-anchor:middle}.end{text-anchor:end}\n"
    ".grid{stroke:var(--edge);stroke-width:1}.line{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".line.l0{stroke:var(--l0)}.line.l1{stroke:var(--l1)}.line.l2{stroke:var(--l2);stroke-width:1.5}\n"
    "circle{fill:transparent}circle:hover{fill:var(--ink);fill-opacity:.35}\n"
    "</style></head><body><main>\n";

static void escaped(FILE *out, const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '<' || *c == '>' || *c == '&' || *c == '\'' || *c == '"' || *c < 0x20)
            fprintf(out, "&#%d;", *c < 0x20 ? '?' : *c);
        else
            fputc(*c, out);
    }
}

static void title(FILE *out, const bench_report *r) {
    bool failed = r->failed.count > 0, invalid = r->invalid.count > 0;
    fputs("<h1>", out);
    escaped(out, r->setup.url);
    fprintf(out, " <span class='badge %s'>%s</span></h1>\n", failed || invalid ? "bad" : "good",
            failed    ? "FAILED"
            : invalid ? "INVALID"
                      : "ok");
    fprintf(out, "<p class='soft'>%s%s</p>\n", bench_report_model(r), r->interrupted ? "; interrupted" : "");
    for (size_t i = 0; i < r->failed.count && i < BENCH_NOTES; i++) {
        fputs("<p>", out);
        escaped(out, r->failed.text[i]);
        fputs("</p>\n", out);
    }
    for (size_t i = 0; i < r->invalid.count && i < BENCH_NOTES; i++) {
        fputs("<p>The client was the limit: ", out);
        escaped(out, r->invalid.text[i]);
        fputs("</p>\n", out);
    }
}

static void tile(FILE *out, const char *name, const char *value) {
    fprintf(out, "<div class='tile'><span class='soft'>%s</span><b>%s</b></div>\n", name, value);
}

static void tiles(FILE *out, const bench_report *r) {
    char text[BENCH_TEXT], name[BENCH_TEXT];
    fputs("<div class='tiles'>\n", out);
    snprintf(name, sizeof name, "%s/s", bench_report_unit(r));
    tile(out, name, bench_count_text(text, bench_report_rate(r)));
    tile(out, "p50", bench_time_text(text, (double)bench_hist_at(&r->latency, 0.5)));
    tile(out, "p99", bench_time_text(text, (double)bench_hist_at(&r->latency, 0.99)));
    tile(out, "max", bench_time_text(text, (double)r->latency.max));
    tile(out, "errors", bench_count_text(text, (double)bench_report_faults(r)));
    if (r->server.known)
        tile(out, "server CPU each", bench_time_text(text, bench_report_cpu_us(r) * 1e3));
    fputs("</div>\n", out);
}

/* Room for the coordinates of one chart. */
enum { CURVE_MAX = 512 };

static void curve(FILE *out, const bench_report *r) {
    double x[CURVE_MAX], y[CURVE_MAX];
    size_t count = 0;
    bench_curve c;
    bench_curve_start(&c, &r->latency);
    while (bench_curve_next(&c) && count < CURVE_MAX) {
        double last = count > 0 ? x[count - 1] + 0.05 : 0;
        x[count] = c.q < 1 ? -log10(1 - c.q) : fmax(last, log10((double)(r->latency.count ? r->latency.count : 1)));
        y[count++] = (double)c.value;
    }
    bench_chart chart = {.title = "Latency by percentile",
                         .width = 1040,
                         .height = 300,
                         .x = BENCH_AXIS_PERCENTILE,
                         .y = BENCH_AXIS_LATENCY,
                         .lines = {{"latency", x, y, count}},
                         .line_count = 1,
                         .steps = true};
    fputs("<div class='card'>", out);
    bench_chart_write(&chart, out);
    fputs("</div>\n", out);
}

static void over_time(FILE *out, const bench_report *r) {
    size_t n = r->sample_count;
    double *all = calloc(5 * (n + 1), sizeof *all);
    if (!all)
        return;
    double *at = all, *rate = at + n, *p50 = rate + n, *p99 = p50 + n, *max = p99 + n;
    for (size_t i = 0; i < n; i++) {
        const bench_sample *s = &r->samples[i];
        at[i] = s->at_s;
        rate[i] = s->seconds > 0 ? (double)s->done / s->seconds : 0;
        p50[i] = s->done > 0 ? (double)s->p50_ns : NAN;
        p99[i] = s->done > 0 ? (double)s->p99_ns : NAN;
        max[i] = s->done > 0 ? (double)s->max_ns : NAN;
    }
    char name[64];
    snprintf(name, sizeof name, "%s per second over time", bench_report_unit(r));
    name[0] = (char)(name[0] - 'a' + 'A');
    bench_chart speed = {.title = name,
                         .width = 520,
                         .height = 250,
                         .x = BENCH_AXIS_SECONDS,
                         .y = BENCH_AXIS_COUNT,
                         .lines = {{"per second", at, rate, n}},
                         .line_count = 1};
    bench_chart latency = {.title = "Latency over time",
                           .width = 520,
                           .height = 250,
                           .x = BENCH_AXIS_SECONDS,
                           .y = BENCH_AXIS_LATENCY,
                           .lines = {{"p50", at, p50, n}, {"p99", at, p99, n}, {"max", at, max, n}},
                           .line_count = 3};
    fputs("<div class='two'><div class='card'>", out);
    bench_chart_write(&latency, out);
    fputs("</div><div class='card'>", out);
    bench_chart_write(&speed, out);
    fputs("</div></div>\n", out);
    free(all);
}

static void latency_row(FILE *out, const char *name, const bench_hist *h) {
    static const double points[] = {0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    char text[BENCH_TEXT];
    if (h->count == 0)
        return;
    fprintf(out, "<tr><td>%s</td>", name);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        fprintf(out, "<td>%s</td>", bench_time_text(text, (double)bench_hist_at(h, points[i])));
    fputs("</tr>\n", out);
}

static void latencies(FILE *out, const bench_report *r) {
    fputs("<div class='card'><table><tr><th></th><th>min</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th>"
          "<th>p99.99</th><th>max</th></tr>\n",
          out);
    latency_row(out, r->setup.mode == BENCH_STORM ? "handshake" : "latency", &r->latency);
    latency_row(out, "last receiver", &r->last);
    latency_row(out, "spread between receivers", &r->spread);
    latency_row(out, "send lag of the client", &r->lag);
    if (r->setup.mode != BENCH_STORM)
        latency_row(out, "connect and handshake", &r->connect);
    fputs("</table></div>\n", out);
}

static void fault_rows(FILE *out, const bench_report *r) {
    char text[BENCH_TEXT];
    for (size_t i = 0; i < BENCH_FAULTS; i++)
        if (r->faults[i] > 0)
            fprintf(out, "<tr><td>%s</td><td>%s</td></tr>\n", bench_fault_names[i].text,
                    bench_count_text(text, (double)r->faults[i]));
    for (size_t i = 0; i < r->examples.count && i < BENCH_NOTES; i++) {
        fputs("<tr><td>for example</td><td>", out);
        escaped(out, r->examples.text[i]);
        fputs("</td></tr>\n", out);
    }
}

static void details(FILE *out, const bench_report *r) {
    const bench_setup *s = &r->setup;
    bench_machine machine = bench_machine_read();
    char a[BENCH_TEXT], b[BENCH_TEXT];
    fputs("<div class='card'><table class='wrap'>\n", out);
    fault_rows(out, r);
    fprintf(out, "<tr><td>connections</td><td>%s on %" PRIu32 " thread%s</td></tr>\n",
            bench_count_text(a, s->connections), s->threads, s->threads == 1 ? "" : "s");
    if (s->mode == BENCH_FANOUT)
        fprintf(out,
                "<tr><td>fan-out</td><td>%" PRIu32 " publishers, %" PRIu32 " subscribers; %s messages reached all"
                "</td></tr>\n",
                s->publishers, s->subscribers, bench_count_text(a, (double)r->complete));
    if (s->open_model)
        fprintf(out, "<tr><td>asked rate</td><td>%s/s</td></tr>\n", bench_count_text(a, s->rate));
    else
        fprintf(out, "<tr><td>in flight</td><td>%" PRIu32 " %s</td></tr>\n", s->inflight,
                s->mode == BENCH_FANOUT ? "of each publisher" : "on each connection");
    if (s->mode != BENCH_STORM) {
        bool is_span = s->size_max > s->size_min;
        fprintf(out, "<tr><td>messages</td><td>%s, %s%s%s, %s</td></tr>\n", s->payload,
                bench_bytes_text(a, s->size_min), is_span ? " to " : "",
                is_span ? bench_bytes_text(b, s->size_max) : "", s->is_binary ? "binary" : "text");
        fprintf(out, "<tr><td>on the wire</td><td>%s out", bench_bytes_text(a, (double)r->wire_out));
        fprintf(out, ", %s in</td></tr>\n", bench_bytes_text(a, (double)r->wire_in));
    }
    fprintf(out, "<tr><td>measured</td><td>%s done in %.1f s</td></tr>\n", bench_count_text(a, (double)r->done),
            r->seconds);
    fprintf(out, "<tr><td>client</td><td>busiest thread %.0f %% of a processor</td></tr>\n", r->client.busiest * 100);
    if (r->server.known)
        fprintf(out, "<tr><td>server</td><td>%s of CPU each, RSS %s</td></tr>\n",
                bench_time_text(a, bench_report_cpu_us(r) * 1e3), bench_bytes_text(b, (double)r->server.rss_end));
    fprintf(out, "<tr><td>machine</td><td>%s, %u processors, %s</td></tr>\n", machine.processor, machine.processors,
            machine.kernel);
    fputs("</table></div>\n", out);
}

void bench_write_html(const bench_report *r, FILE *out) {
    fputs(head, out);
    title(out, r);
    tiles(out, r);
    curve(out, r);
    over_time(out, r);
    latencies(out, r);
    details(out, r);
    fprintf(out, "<p class='soft'>weft %s, %s</p>\n</main></body></html>\n", weft_version(), r->started);
}
