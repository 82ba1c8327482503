/*
 * A metric is a name with perhaps the histogram in front ("lag_p99"). What kind of limit it takes follows from the
 * name, so that "p99>50" is refused rather than read as 50 ns.
 */
#include "cli/bench/rule.h"

#include "cli/bench/quantity.h"

#include <string.h>

const char *const bench_rule_metrics =
    "p50 to p99.999, min, mean, max (also lag_, connect_, last_, spread_ before them), rate, errors, missing, connect, "
    "handshake, closed, lost, unanswered, duplicated, reordered, corrupt, wrong_opcode, stray, cpu_us, client_cpu, "
    "rss, "
    "rss_each";

/* The histogram of "lag_p99" is lag, and the rest "p99"; without a prefix it is the latency. Where it is in the
 * report. */
static size_t hist_offset(const char *metric, const char **out_rest) {
    static const struct {
        const char *prefix;
        size_t offset;
    } prefixes[] = {{"lag_", offsetof(bench_report, lag)},
                    {"connect_", offsetof(bench_report, connect)},
                    {"last_", offsetof(bench_report, last)},
                    {"spread_", offsetof(bench_report, spread)}};
    *out_rest = metric;
    size_t offset = offsetof(bench_report, latency);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t len = strlen(prefixes[i].prefix);
        if (strncmp(metric, prefixes[i].prefix, len) == 0) {
            *out_rest = metric + len;
            offset = prefixes[i].offset;
        }
    }
    return offset;
}

static bool is_time(const char *rest, double *out_percent) {
    *out_percent = -1;
    if (strcmp(rest, "min") == 0 || strcmp(rest, "mean") == 0 || strcmp(rest, "max") == 0)
        return true;
    return rest[0] == 'p' && bench_parse_count(rest + 1, out_percent) && *out_percent <= 100 &&
           strspn(rest + 1, "0123456789.") == strlen(rest + 1);
}

static double time_value(const bench_hist *h, const char *rest) {
    double percent;
    is_time(rest, &percent);
    return percent >= 0               ? (double)bench_hist_at(h, percent / 100)
           : strcmp(rest, "min") == 0 ? (double)h->min
           : strcmp(rest, "max") == 0 ? (double)h->max
                                      : bench_hist_mean(h);
}

static int fault_of(const char *metric) {
    for (int i = 0; i < BENCH_FAULTS; i++)
        if (strcmp(metric, bench_fault_names[i].key) == 0)
            return i;
    return -1;
}

static bool kind_of(const char *metric, bench_metric_kind *out) {
    static const char *const counts[] = {"rate", "errors", "missing", "cpu_us", "client_cpu"};
    const char *rest;
    double percent;
    hist_offset(metric, &rest);
    *out = BENCH_METRIC_TIME;
    if (is_time(rest, &percent))
        return true;
    *out = BENCH_METRIC_BYTES;
    if (strcmp(metric, "rss") == 0 || strcmp(metric, "rss_each") == 0)
        return true;
    *out = BENCH_METRIC_COUNT;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (strcmp(metric, counts[i]) == 0)
            return true;
    return fault_of(metric) >= 0;
}

static bool parse_limit(const char *text, bench_metric_kind kind, double *out) {
    uint64_t bytes;
    if (kind == BENCH_METRIC_TIME)
        return bench_parse_time(text, out);
    if (kind == BENCH_METRIC_COUNT)
        return bench_parse_count(text, out);
    if (!bench_parse_bytes(text, &bytes))
        return false;
    *out = (double)bytes;
    return true;
}

const char *bench_rule_parse(const char *text, bench_rule *out) {
    static const char *const ops[] = {">=", "<=", ">", "<"};
    bench_rule rule = {.text = text};
    size_t len = strcspn(text, "<>=");
    if (len == 0 || len >= sizeof rule.metric || text[len] == '\0')
        return "is not METRIC>LIMIT or METRIC<LIMIT";
    memcpy(rule.metric, text, len);
    for (size_t i = 0; i < 4 && !rule.op; i++)
        if (strncmp(text + len, ops[i], strlen(ops[i])) == 0)
            rule.op = ops[i];
    if (!rule.op)
        return "compares by > >= < or <=";
    if (!kind_of(rule.metric, &rule.kind))
        return "names no metric";
    if (!parse_limit(text + len + strlen(rule.op), rule.kind, &rule.limit))
        return rule.kind == BENCH_METRIC_TIME    ? "needs a time with its unit, like 50ms"
               : rule.kind == BENCH_METRIC_BYTES ? "needs a size, like 2M"
                                                 : "needs a number, like 100 or 10k";
    *out = rule;
    return NULL;
}

static double value_of(const char *metric, const bench_report *r) {
    int fault = fault_of(metric);
    return fault >= 0                          ? (double)r->faults[fault]
           : strcmp(metric, "rate") == 0       ? bench_report_rate(r)
           : strcmp(metric, "errors") == 0     ? (double)bench_report_faults(r)
           : strcmp(metric, "missing") == 0    ? (double)bench_report_missing(r)
           : strcmp(metric, "cpu_us") == 0     ? bench_report_cpu_us(r)
           : strcmp(metric, "client_cpu") == 0 ? r->client.busiest * 100
           : strcmp(metric, "rss") == 0        ? (double)r->server.rss_end
                                               : bench_report_rss_each(r);
}

bool bench_rule_broken(const bench_rule *rule, const bench_report *r, double *out_value) {
    if (rule->kind == BENCH_METRIC_TIME) {
        const char *rest;
        const bench_hist *h = (const void *)((const char *)r + hist_offset(rule->metric, &rest));
        *out_value = time_value(h, rest);
        if (h->count == 0)
            return true;
    } else {
        *out_value = value_of(rule->metric, r);
    }
    bool equal = rule->op[1] == '=' && *out_value == rule->limit;
    return equal || (rule->op[0] == '>' ? *out_value > rule->limit : *out_value < rule->limit);
}

bool bench_rule_needs_server(const bench_rule *rule) {
    return strcmp(rule->metric, "cpu_us") == 0 || strncmp(rule->metric, "rss", 3) == 0;
}

bool bench_rule_covers(const bench_rule *rule, bench_fault fault) {
    bool is_missing = fault == BENCH_FAULT_LOST || fault == BENCH_FAULT_UNANSWERED;
    return strcmp(rule->metric, "errors") == 0 || strcmp(rule->metric, bench_fault_names[fault].key) == 0 ||
           (is_missing && strcmp(rule->metric, "missing") == 0);
}

bool bench_rule_is_of_faults(const bench_rule *rule) {
    for (bench_fault f = 0; f < BENCH_FAULTS; f++)
        if (bench_rule_covers(rule, f))
            return true;
    return false;
}

const char *bench_rule_value_text(const bench_rule *rule, double value, char *out) {
    return rule->kind == BENCH_METRIC_TIME    ? bench_time_text(out, value)
           : rule->kind == BENCH_METRIC_BYTES ? bench_bytes_text(out, value)
                                              : bench_count_text(out, value);
}
