/*
 * The interval samples as CSV, and the latency curve as the text that the plotters of HdrHistogram read (.hgrm).
 */
#include "cli/bench/report.h"

#include <inttypes.h>

void bench_write_csv(const bench_report *r, FILE *out) {
    fputs("at_s,seconds,done,rate,errors,p50_ms,p90_ms,p99_ms,max_ms,server_cpu_s\n", out);
    for (size_t i = 0; i < r->sample_count; i++) {
        const bench_sample *s = &r->samples[i];
        double rate = s->seconds > 0 ? (double)s->done / s->seconds : 0;
        fprintf(out, "%.3f,%.6f,%" PRIu64 ",%.1f,%" PRIu64 ",%.6f,%.6f,%.6f,%.6f,%.6f\n", s->at_s, s->seconds, s->done,
                rate, s->faults, (double)s->p50_ns / 1e6, (double)s->p90_ns / 1e6, (double)s->p99_ns / 1e6,
                (double)s->max_ns / 1e6, s->server_cpu_s);
    }
}

/* Values are milliseconds. */
void bench_write_hgrm(const bench_report *r, FILE *out) {
    const bench_hist *h = &r->latency;
    fputs("       Value     Percentile TotalCount 1/(1-Percentile)\n\n", out);
    bench_curve c;
    bench_curve_start(&c, h);
    while (bench_curve_next(&c)) {
        fprintf(out, "%12.6f %2.12f %10" PRIu64, (double)c.value / 1e6, c.q, c.below);
        if (c.q < 1)
            fprintf(out, " %14.2f", 1 / (1 - c.q));
        fputc('\n', out);
    }
    fprintf(out, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n", bench_hist_mean(h) / 1e6,
            bench_hist_deviation(h) / 1e6);
    fprintf(out, "#[Max     = %12.6f, Total count    = %12" PRIu64 "]\n", (double)h->max / 1e6, h->count);
    fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", BENCH_HIST_TOP - BENCH_HIST_BITS + 2,
            2 * BENCH_HIST_HALF);
}
