/*
 * rule.h - what a run must not do: "p99>50ms", "errors>0", "rate<10k", ...
 */
#ifndef CLI_BENCH_RULE_H
#define CLI_BENCH_RULE_H

#include "cli/bench/report.h"

typedef enum bench_metric_kind { BENCH_METRIC_TIME, BENCH_METRIC_COUNT, BENCH_METRIC_BYTES } bench_metric_kind;

typedef struct bench_rule {
    const char *text; /* as it was given; borrowed */
    char metric[24];
    const char *op; /* ">", ">=", "<", "<=" */
    double limit;   /* nanoseconds, bytes or plain */
    bench_metric_kind kind;
} bench_rule;

/* NULL, or what is wrong with the text. */
const char *bench_rule_parse(const char *text, bench_rule *out);

/* The metrics there are, for a message. */
extern const char *const bench_rule_metrics;

/* True when the rule's condition came true, so the run failed. *out_value is what was measured. A latency of nothing
 * at all breaks every rule about latency: a server that answered nothing was not fast. */
bool bench_rule_broken(const bench_rule *rule, const bench_report *r, double *out_value);

/* True when the metric needs to know the server's process. */
bool bench_rule_needs_server(const bench_rule *rule);

/* True when the rule speaks about this fault, so that it says how much of it is bearable. */
bool bench_rule_covers(const bench_rule *rule, bench_fault fault);

/* True when it is about what went wrong with messages or connections, which no slow client explains. */
bool bench_rule_is_of_faults(const bench_rule *rule);

/* "51.2 ms", by the metric's kind. */
const char *bench_rule_value_text(const bench_rule *rule, double value, char *out);

#endif
