/*
 * The line is made of parts, the most wanted first; those that do not fit into the terminal's width are left out, the
 * bar takes what is left. It never wraps, so it can be written over.
 */
#include "cli/bench/live.h"

#include "cli/bench/clock.h"
#include "cli/bench/quantity.h"
#include "cli/bench/worker.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DRAW_EVERY_MS = 100, RENEW_EVERY_MS = 400, LINE_MAX = 512, BAR_MAX = 30, BAR_MIN = 8 };

void bench_live_add(bench_live *l, const bench_interval *i) {
    if (!l->is_on)
        return;
    l->done += i->done;
    for (size_t k = 0; k < BENCH_FAULTS; k++)
        l->fault_total += i->faults[k];
    bench_hist_merge(&l->latency, &i->latency);
}

static size_t terminal_width(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Rate and percentiles are of the last half second or so: of less they would only flicker. */
static void renew(bench_live *l, uint64_t now) {
    if (l->span_ns == 0)
        l->span_ns = now;
    uint64_t span = now - l->span_ns;
    if (span < RENEW_EVERY_MS * BENCH_MS || (l->latency.count == 0 && span < BENCH_SECOND))
        return;
    l->rate = (double)l->done / ((double)span / 1e9);
    l->p50_ns = bench_hist_at(&l->latency, 0.5);
    l->p99_ns = bench_hist_at(&l->latency, 0.99);
    bench_hist_clear(&l->latency);
    l->done = 0;
    l->span_ns = now;
}

/* How much of the run is over, 0 to 1. */
static double progress(const bench_run *run, uint64_t now) {
    const bench_config *c = run->config;
    uint64_t start = atomic_load(&run->start_ns), opened = 0, sent = 0;
    for (uint32_t n = 0; n < c->threads; n++) {
        opened += atomic_load_explicit(&run->workers[n].opened, memory_order_relaxed);
        opened += atomic_load_explicit(&run->workers[n].failed, memory_order_relaxed);
        sent += atomic_load_explicit(&run->workers[n].shown_sent, memory_order_relaxed);
    }
    if (start == BENCH_NEVER)
        return c->connections > 0 ? (double)opened / c->connections : 0;
    double by_time = 0, by_count = 0;
    if (c->duration_ns > 0 && now > start)
        by_time = (double)(now - start) / (double)(c->duration_ns + c->warmup_ns);
    if (c->count > 0)
        by_count = (double)sent / (double)c->count;
    double most = by_time > by_count ? by_time : by_count;
    return most < 1 ? most : 1;
}

static const char *phase_name(const bench_run *run, uint64_t now) {
    uint64_t start = atomic_load(&run->start_ns);
    unsigned phase = BENCH_OVER;
    for (uint32_t n = 0; n < run->config->threads; n++) {
        unsigned at = atomic_load_explicit(&run->workers[n].shown_phase, memory_order_relaxed);
        phase = at < phase ? at : phase;
    }
    return phase <= BENCH_READY                   ? "connecting"
           : phase == BENCH_DRAIN                 ? "draining"
           : phase == BENCH_REST                  ? "resting"
           : phase >= BENCH_CLOSE                 ? "closing"
           : now < start + run->config->warmup_ns ? "warming up"
                                                  : "measuring";
}

/* Appends a part when it fits. */
static void part(char *line, size_t width, const char *text) {
    size_t used = strlen(line), len = strlen(text);
    if (used + len + 2 > width || used + len + 3 > LINE_MAX)
        return;
    memcpy(line + used, "  ", 2);
    memcpy(line + used + 2, text, len + 1);
}

static void bar(char *line, size_t width, double share) {
    char text[BAR_MAX * 4 + 16];
    size_t used = strlen(line), room = width > used + 10 ? width - used - 10 : 0, at = 0;
    room = room > BAR_MAX ? BAR_MAX : room;
    if (room < BAR_MIN)
        return;
    for (size_t i = 0; i < room; i++)
        text[at++] = (double)i < share * (double)room ? '=' : '.';
    snprintf(text + at, sizeof text - at, " %3.0f %%", share * 100);
    part(line, width, text);
}

void bench_live_draw(bench_live *l, const bench_run *run, uint64_t now) {
    char line[LINE_MAX] = "", text[128], a[BENCH_TEXT];
    if (!l->is_on || now - l->drawn_ns < DRAW_EVERY_MS * BENCH_MS)
        return;
    l->drawn_ns = now;
    renew(l, now);
    size_t width = terminal_width();
    width = width < LINE_MAX - 4 ? width - 1 : LINE_MAX - 4;
    part(line, width, phase_name(run, now));
    snprintf(text, sizeof text, "%s/s", bench_count_text(a, l->rate < 100 ? l->rate : (double)(uint64_t)l->rate));
    part(line, width, text);
    snprintf(text, sizeof text, "p50 %s", bench_time_text(a, (double)l->p50_ns));
    part(line, width, text);
    snprintf(text, sizeof text, "p99 %s", bench_time_text(a, (double)l->p99_ns));
    part(line, width, text);
    snprintf(text, sizeof text, "errors %s", bench_count_text(a, (double)l->fault_total));
    size_t before = strlen(line);
    part(line, width, text);
    bool has_errors = l->fault_total > 0 && strlen(line) > before;
    size_t after = strlen(line);
    bar(line, width, progress(run, now));
    if (has_errors && l->is_colored)
        fprintf(stderr, "\r\x1b[K%.*s\x1b[31m%.*s\x1b[0m%s", (int)before, line, (int)(after - before), line + before,
                line + after);
    else
        fprintf(stderr, "\r\x1b[K%s", line);
    fflush(stderr);
}

void bench_live_end(bench_live *l) {
    if (l->is_on)
        fputs("\r\x1b[K", stderr);
    l->is_on = false;
}
