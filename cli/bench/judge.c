/*
 * Three questions: was the client the limit, did a connection or a message go wrong, did a rule break? What went
 * wrong is real whatever the client was, so it comes before INVALID; a latency is not, so its rule comes behind.
 */
#include "cli/bench/judge.h"

#include "cli/exits.h"

#include "cli/bench/quantity.h"

static const double busiest_allowed = 0.85, lag_allowed = 0.1, busy_machine = 0.01;

/* A thread that waits for a processor is as late as one that has too much to do. */
static void check_client(bench_report *r) {
    unsigned processors = bench_machine_read().processors;
    double wanted = r->client.busiest + r->client.waited;
    bool is_shared = r->client.waited > busy_machine; /* others use the processors */
    char a[BENCH_TEXT], b[BENCH_TEXT];
    if (wanted > busiest_allowed)
        bench_note(&r->invalid,
                   "a client thread was on a processor or waiting for one for %.0f %% of its time (over 85 %%): %s",
                   wanted * 100,
                   is_shared                       ? "others use the processors: use a quieter machine"
                   : r->setup.threads < processors ? "give more --threads, or ask for less (--rate, --inflight)"
                                                   : "ask for less (--rate, --inflight), or use another machine");
    uint64_t lag = bench_hist_at(&r->lag, 0.99), half = bench_hist_at(&r->latency, 0.5);
    if (r->setup.open_model && r->lag.count > 0 && (double)lag > lag_allowed * (double)half)
        bench_note(&r->invalid, "the client sent late: send lag p99 %s is over 10 %% of latency p50 %s; %s",
                   bench_time_text(a, (double)lag), bench_time_text(b, (double)half),
                   is_shared ? "others use the processors: use a quieter machine"
                             : "ask for less (--rate), or give more --threads");
}

/* A rule of the user on a fault stands in place of ours, which is: none. */
static bool is_covered(const bench_config *c, bench_fault fault) {
    for (size_t i = 0; i < c->rule_count; i++)
        if (bench_rule_covers(&c->rules[i], fault))
            return true;
    return false;
}

/* True when there was such a fault that no rule bears. */
static bool is_broken(const bench_report *r, const bench_config *c, bench_fault fault) {
    return r->faults[fault] > 0 && !is_covered(c, fault);
}

void bench_judge(bench_report *r, const bench_config *c, int failure_code) {
    bool spoilt = false, cut = false, broken = false;
    char text[BENCH_TEXT];
    check_client(r);
    for (bench_fault f = 0; f < BENCH_FAULTS; f++) {
        if (!is_broken(r, c, f))
            continue;
        bool is_cut = f <= BENCH_FAULT_CLOSED;
        cut = cut || is_cut;
        spoilt = spoilt || !is_cut;
        bench_note(&r->failed, "%s %s", bench_count_text(text, (double)r->faults[f]), bench_fault_names[f].text);
    }
    for (size_t i = 0; i < c->rule_count; i++) {
        double value;
        if (!bench_rule_broken(&c->rules[i], r, &value))
            continue;
        broken = true;
        spoilt = spoilt || bench_rule_is_of_faults(&c->rules[i]);
        bench_note(&r->failed, "%s: it was %s", c->rules[i].text, bench_rule_value_text(&c->rules[i], value, text));
    }
    if (r->done == 0 && r->failed.count == 0 && !r->interrupted)
        bench_note(&r->failed, "nothing was measured"), spoilt = true;
    r->exit_code = cut && failure_code    ? failure_code
                   : cut || spoilt        ? CLI_EXIT_FAILED
                   : r->invalid.count > 0 ? CLI_EXIT_INVALID
                   : broken               ? CLI_EXIT_FAILED
                                          : CLI_EXIT_OK;
}
