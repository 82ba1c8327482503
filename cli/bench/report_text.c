/*
 * The report for people: what was run, how fast it was, what went wrong, and whether to believe it. The verdict
 * stands last, where the eye is when the run ends.
 */
#include "cli/bench/quantity.h"
#include "cli/bench/report.h"

#include <inttypes.h>
#include <weft/weft.h>

typedef struct page {
    FILE *out;
    bool color;
} page;

static const char *paint(const page *p, const char *code) {
    return p->color ? code : "";
}

#define BOLD  paint(p, "\x1b[1m")
#define DIM   paint(p, "\x1b[2m")
#define RED   paint(p, "\x1b[31m")
#define GREEN paint(p, "\x1b[32m")
#define PLAIN paint(p, "\x1b[0m")

/* Bytes of a server's answers and of the URL may be anything. */
static void safely(FILE *out, const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\x%02x", *c);
        else
            fputc(*c, out);
    }
}

static void label(const page *p, const char *name) {
    fprintf(p->out, "  %s%-14s%s ", BOLD, name, PLAIN);
}

static void setup(const page *p, const bench_report *r) {
    static const char *const modes[] = {
        [BENCH_ECHO] = "echo", [BENCH_STORM] = "handshake storm", [BENCH_FANOUT] = "fan-out"};
    const bench_setup *s = &r->setup;
    char a[BENCH_TEXT], b[BENCH_TEXT], c[BENCH_TEXT];
    fprintf(p->out, "%sweft bench%s  %s  ", BOLD, PLAIN, modes[s->mode]);
    safely(p->out, s->url);
    fputs("\n  ", p->out);
    if (s->mode == BENCH_FANOUT)
        fprintf(p->out, "%" PRIu32 " publishers, %" PRIu32 " subscribers", s->publishers, s->subscribers);
    else
        fprintf(p->out, "%s connection%s", bench_count_text(a, s->connections), s->connections == 1 ? "" : "s");
    if (s->open_model)
        fprintf(p->out, ", %s %s/s", bench_count_text(b, s->rate), s->mode == BENCH_STORM ? "handshakes" : "messages");
    else if (s->mode != BENCH_STORM)
        fprintf(p->out, ", %" PRIu32 " in flight %s", s->inflight, s->mode == BENCH_ECHO ? "on each" : "of each");
    if (s->mode != BENCH_STORM) {
        fprintf(p->out, ", %s of %s", s->is_binary ? "binary" : "text", bench_bytes_text(c, s->size_min));
        if (s->size_max != s->size_min)
            fprintf(p->out, " to %s", bench_bytes_text(c, s->size_max));
        fputs(s->deflate_agreed ? ", deflate" : s->deflate_offered ? ", deflate refused" : "", p->out);
    }
    fprintf(p->out, ", %" PRIu32 " thread%s\n  %s%s%s\n\n", s->threads, s->threads == 1 ? "" : "s", DIM,
            bench_report_model(r), PLAIN);
}

static void speed(const page *p, const bench_report *r) {
    char a[BENCH_TEXT], b[BENCH_TEXT], c[BENCH_TEXT], d[BENCH_TEXT];
    label(p, "rate");
    fprintf(p->out, "%s %s/s  (%s in %s%s)\n", bench_count_text(a, bench_report_rate(r)), bench_report_unit(r),
            bench_count_text(b, (double)r->done), bench_time_text(c, r->seconds * 1e9),
            r->interrupted ? ", interrupted" : "");
    double per_s = r->seconds > 0 ? 1 / r->seconds : 0;
    label(p, "wire");
    fprintf(p->out, "out %s/s, in %s/s  (%s and %s)\n", bench_bytes_text(a, (double)r->wire_out * per_s),
            bench_bytes_text(b, (double)r->wire_in * per_s), bench_bytes_text(c, (double)r->wire_out),
            bench_bytes_text(d, (double)r->wire_in));
    if (r->delayed > 0) {
        label(p, "held back");
        fprintf(p->out, "%s sends waited for the server to read\n", bench_count_text(a, (double)r->delayed));
    }
}

static void latency_head(const page *p) {
    static const char *const names[] = {"min", "p50", "p90", "p99", "p99.9", "p99.99", "max"};
    fprintf(p->out, "\n  %-14s", "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        fprintf(p->out, " %s%8s%s", DIM, names[i], PLAIN);
    fputc('\n', p->out);
}

static void latency_row(const page *p, const char *name, const bench_hist *h) {
    static const double points[] = {0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    if (h->count == 0)
        return;
    char text[BENCH_TEXT];
    label(p, name);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        fprintf(p->out, "%s%8s", i > 0 ? " " : "", bench_time_text(text, (double)bench_hist_at(h, points[i])));
    fputc('\n', p->out);
}

static void use(const page *p, const bench_report *r) {
    char a[BENCH_TEXT], b[BENCH_TEXT], c[BENCH_TEXT];
    fputc('\n', p->out);
    label(p, "client");
    double each = r->done > 0 ? r->client.cpu_s * 1e6 / (double)r->done : 0;
    fprintf(p->out, "busiest thread %.0f %% of a processor", r->client.busiest * 100);
    if (r->client.waited >= 0.005)
        fprintf(p->out, " (and %.0f %% waiting for one)", r->client.waited * 100);
    fprintf(p->out, ", %s of CPU each\n", bench_time_text(a, each * 1e3));
    if (!r->server.known)
        return;
    label(p, "server");
    double share = r->seconds > 0 ? r->server.cpu_s / r->seconds * 100 : 0;
    fprintf(p->out, "%.0f %% of a processor, %s of CPU each", share, bench_time_text(a, bench_report_cpu_us(r) * 1e3));
    if (r->server.rss_end > 0)
        fprintf(p->out, ", RSS %s", bench_bytes_text(b, (double)r->server.rss_end));
    if (bench_report_rss_each(r) > 0)
        fprintf(p->out, ", %s a connection", bench_bytes_text(c, bench_report_rss_each(r)));
    fputc('\n', p->out);
}

static void notes(const page *p, const bench_notes *n) {
    for (size_t i = 0; i < n->count && i < BENCH_NOTES; i++) {
        fputs("    ", p->out);
        safely(p->out, n->text[i]);
        fputc('\n', p->out);
    }
}

static void faults(const page *p, const bench_report *r) {
    uint64_t total = bench_report_faults(r);
    char text[BENCH_TEXT];
    label(p, "errors");
    if (total == 0)
        fputs("none", p->out);
    for (size_t i = 0, shown = 0; i < BENCH_FAULTS; i++) {
        if (r->faults[i] == 0)
            continue;
        fprintf(p->out, "%s%s%s %s%s", shown++ > 0 ? ", " : "", RED, bench_count_text(text, (double)r->faults[i]),
                bench_fault_names[i].text, PLAIN);
    }
    fputc('\n', p->out);
    notes(p, &r->examples);
    if (r->setup.mode == BENCH_FANOUT) {
        label(p, "complete");
        fprintf(p->out, "%s of ", bench_count_text(text, (double)r->complete));
        fprintf(p->out, "%s messages reached all %" PRIu32 " subscribers\n", bench_count_text(text, (double)r->sent),
                r->setup.subscribers);
    }
}

static void verdict(const page *p, const bench_report *r) {
    if (r->failed.count > 0) {
        fprintf(p->out, "\n%sFAILED%s\n", RED, PLAIN);
        notes(p, &r->failed);
    }
    if (r->invalid.count > 0) {
        fprintf(p->out, "\n%sINVALID%s: the client was the limit, so these figures are not the server's\n", RED, PLAIN);
        notes(p, &r->invalid);
    }
    if (r->failed.count == 0 && r->invalid.count == 0)
        fprintf(p->out, "\n%sok%s\n", GREEN, PLAIN);
}

void bench_write_text(const bench_report *r, FILE *out, bool color) {
    page shown = {out, color};
    const page *p = &shown;
    bench_machine machine = bench_machine_read();
    setup(p, r);
    speed(p, r);
    latency_head(p);
    latency_row(p, r->setup.mode == BENCH_STORM ? "handshake" : "latency", &r->latency);
    latency_row(p, "last receiver", &r->last);
    latency_row(p, "spread", &r->spread);
    latency_row(p, "send lag", &r->lag);
    if (r->setup.mode != BENCH_STORM)
        latency_row(p, "connect", &r->connect);
    use(p, r);
    faults(p, r);
    fprintf(out, "  %s%-14s weft %s, %s, %u processors, %s%s\n", DIM, "on", weft_version(), machine.processor,
            machine.processors, machine.kernel, PLAIN);
    verdict(p, r);
}
