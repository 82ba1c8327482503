/*
 * One JSON document, its schema named in the first member. Everything is always there; what does not apply is null or
 * 0, so a reader needs no cases.
 */
#include "cli/bench/report.h"

#include <inttypes.h>
#include <math.h>
#include <weft/weft.h>

static void string(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void strings(FILE *out, const char *key, const bench_notes *notes) {
    fprintf(out, "\"%s\":[", key);
    for (size_t i = 0; i < notes->count && i < BENCH_NOTES; i++) {
        fputs(i > 0 ? "," : "", out);
        string(out, notes->text[i]);
    }
    fputs("]", out);
}

static void number(FILE *out, double value) {
    fprintf(out, "%.6g", isfinite(value) ? value : 0);
}

static void latency(FILE *out, const char *key, const bench_hist *h) {
    static const struct {
        const char *key;
        double q;
    } points[] = {{"p50", 0.5},  {"p75", 0.75},    {"p90", 0.9},      {"p95", 0.95},
                  {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};
    fprintf(out, ",\n\"%s\":{\"count\":%" PRIu64 ",\"min\":%" PRIu64 ",\"mean\":%.0f,\"deviation\":%.0f", key, h->count,
            h->min, bench_hist_mean(h), bench_hist_deviation(h));
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        fprintf(out, ",\"%s\":%" PRIu64, points[i].key, bench_hist_at(h, points[i].q));
    fprintf(out, ",\"max\":%" PRIu64 ",\"curve\":[", h->max);
    bench_curve c;
    bench_curve_start(&c, h);
    for (bool first = true; bench_curve_next(&c); first = false)
        fprintf(out, "%s[%.10g,%" PRIu64 ",%" PRIu64 "]", first ? "" : ",", c.q, c.value, c.below);
    fputs("]}", out);
}

static void run(FILE *out, const bench_report *r) {
    static const char *const modes[] = {[BENCH_ECHO] = "echo", [BENCH_STORM] = "storm", [BENCH_FANOUT] = "fanout"};
    const bench_setup *s = &r->setup;
    fputs(",\n\"run\":{\"url\":", out);
    string(out, s->url);
    fprintf(out, ",\"mode\":\"%s\",\"model\":\"%s\",\"rate\":%.10g,\"inflight\":%" PRIu32, modes[s->mode],
            s->open_model ? "open" : "closed", s->rate, s->inflight);
    fprintf(out, ",\"connections\":%" PRIu32 ",\"publishers\":%" PRIu32 ",\"subscribers\":%" PRIu32, s->connections,
            s->publishers, s->subscribers);
    fprintf(out, ",\"threads\":%" PRIu32 ",\"size_min\":%" PRIu32 ",\"size_max\":%" PRIu32, s->threads, s->size_min,
            s->size_max);
    fprintf(out, ",\"opcode\":\"%s\",\"payload\":\"%s\"", s->is_binary ? "binary" : "text", s->payload);
    fprintf(out, ",\"deflate_offered\":%s,\"deflate_agreed\":%s", s->deflate_offered ? "true" : "false",
            s->deflate_agreed ? "true" : "false");
    fputs(",\"extensions\":", out);
    string(out, s->extensions);
    fprintf(out, ",\"warmup_s\":%.6g,\"asked_s\":%.6g,\"asked_count\":%" PRIu64 "}", s->warmup_s, s->asked_s,
            s->asked_count);
}

static void totals(FILE *out, const bench_report *r) {
    fprintf(out, ",\n\"totals\":{\"unit\":\"%s\",\"seconds\":%.6f,\"interrupted\":%s", bench_report_unit(r), r->seconds,
            r->interrupted ? "true" : "false");
    fprintf(out, ",\"sent\":%" PRIu64 ",\"expected\":%" PRIu64 ",\"done\":%" PRIu64 ",\"rate\":", r->sent, r->expected,
            r->done);
    number(out, bench_report_rate(r));
    fprintf(out, ",\"opened\":%" PRIu64 ",\"delayed\":%" PRIu64 ",\"complete\":%" PRIu64, r->opened, r->delayed,
            r->complete);
    fprintf(out,
            ",\"payload_out\":%" PRIu64 ",\"payload_in\":%" PRIu64 ",\"wire_out\":%" PRIu64 ",\"wire_in\":%" PRIu64 "}",
            r->payload_out, r->payload_in, r->wire_out, r->wire_in);
    fputs(",\n\"errors\":{", out);
    for (size_t i = 0; i < BENCH_FAULTS; i++)
        fprintf(out, "\"%s\":%" PRIu64 ",", bench_fault_names[i].key, r->faults[i]);
    fprintf(out, "\"missing\":%" PRIu64 ",\"total\":%" PRIu64 ",", bench_report_missing(r), bench_report_faults(r));
    strings(out, "examples", &r->examples);
    fputs("}", out);
}

static void usage(FILE *out, const bench_report *r) {
    fputs(",\n\"client\":{\"cpu_s\":", out);
    number(out, r->client.cpu_s);
    fputs(",\"busiest_thread\":", out);
    number(out, r->client.busiest);
    fputs(",\"waited\":", out);
    number(out, r->client.waited);
    fputs(",\"cpu_us\":", out);
    number(out, r->done > 0 ? r->client.cpu_s * 1e6 / (double)r->done : 0);
    if (r->server.known) {
        fputs("},\n\"server\":{\"cpu_s\":", out);
        number(out, r->server.cpu_s);
        fputs(",\"cpu_us\":", out);
        number(out, bench_report_cpu_us(r));
        fprintf(out, ",\"rss_before\":%" PRIu64 ",\"rss_open\":%" PRIu64 ",\"rss_end\":%" PRIu64 ",\"rss_each\":%.0f",
                r->server.rss_before, r->server.rss_open, r->server.rss_end, bench_report_rss_each(r));
        fprintf(out, ",\"anon_before\":%" PRIu64 ",\"anon_open\":%" PRIu64 ",\"anon_end\":%" PRIu64 "}",
                r->server.anon_before, r->server.anon_open, r->server.anon_end);
    } else {
        fputs("},\n\"server\":null", out);
    }
}

static void samples(FILE *out, const bench_report *r) {
    fputs(",\n\"samples\":{\"columns\":[\"at_s\",\"seconds\",\"done\",\"errors\",\"p50\",\"p90\",\"p99\",\"max\","
          "\"server_cpu_s\"],\n\"rows\":[",
          out);
    for (size_t i = 0; i < r->sample_count; i++) {
        const bench_sample *s = &r->samples[i];
        fprintf(out, "%s\n[%.3f,%.6f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.6f]",
                i > 0 ? "," : "", s->at_s, s->seconds, s->done, s->faults, s->p50_ns, s->p90_ns, s->p99_ns, s->max_ns,
                s->server_cpu_s);
    }
    fputs("]}", out);
}

void bench_write_json(const bench_report *r, FILE *out) {
    bench_machine machine = bench_machine_read();
    fprintf(out, "{\"schema\":\"weft-bench-1\",\"weft\":\"%s\",\"started\":\"%s\"", weft_version(), r->started);
    fprintf(out, ",\n\"machine\":{\"processor\":");
    string(out, machine.processor);
    fprintf(out, ",\"processors\":%u,\"kernel\":", machine.processors);
    string(out, machine.kernel);
    fprintf(out, "},\n\"verdict\":{\"exit\":%d,\"valid\":%s,", r->exit_code, r->invalid.count == 0 ? "true" : "false");
    strings(out, "invalid", &r->invalid);
    fputs(",", out);
    strings(out, "failed", &r->failed);
    fputs("}", out);
    run(out, r);
    totals(out, r);
    latency(out, "latency_ns", &r->latency);
    latency(out, "send_lag_ns", &r->lag);
    latency(out, "connect_ns", &r->connect);
    latency(out, "last_receiver_ns", &r->last);
    latency(out, "spread_ns", &r->spread);
    usage(out, r);
    samples(out, r);
    fputs("}\n", out);
}
