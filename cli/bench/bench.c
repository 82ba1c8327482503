/*
 * weft bench: the run from its first line to its exit code, and the comparison of two.
 */
#include "cli/commands.h"
#include "cli/exits.h"

#include "cli/bench/clock.h"
#include "cli/bench/dial.h"
#include "cli/bench/diff.h"
#include "cli/bench/fan.h"
#include "cli/bench/judge.h"
#include "cli/bench/monitor.h"
#include "cli/bench/quantity.h"
#include "cli/bench/settings.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weft/weft.h>

/* A proxy looks the name up itself, but for one of socks5://, where the client does it. */
static int resolve(bench_config *c) {
    const char *why = "";
    if (c->proxy && strncasecmp(c->proxy, "socks5:", 7) != 0)
        return 0;
    int got = weft_resolve(c->url, c->address, sizeof c->address, &why);
    if (got == WEFT_OK)
        return 0;
    if (got == WEFT_EINVAL)
        return cli_usage(&cli_bench, "%.200s: %s", c->url, why);
    fprintf(stderr, "weft: %.200s: %s\n", c->url, why);
    return CLI_EXIT_DNS;
}

static int make_room_for_descriptors(const bench_config *c) {
    enum { OWN = 64 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    uint64_t needed = (uint64_t)c->connections + OWN + 4 * c->threads;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= needed)
        return 0;
    return cli_usage(&cli_bench, "%u connections need %llu descriptors and %llu are allowed (ulimit -Hn)",
                     c->connections, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
}

static void describe(const bench_config *c, bench_report *r) {
    r->setup = (bench_setup) {.url = c->url,
                              .mode = c->mode,
                              .open_model = c->rate > 0,
                              .rate = c->rate,
                              .connections = c->connections,
                              .threads = c->threads,
                              .inflight = c->inflight,
                              .publishers = c->publishers,
                              .subscribers = c->subscribers,
                              .size_min = c->size_min,
                              .size_max = c->size_max,
                              .is_binary = c->is_binary,
                              .payload = c->script.count == 0  ? "stamped"
                                         : c->is_script_a_file ? "file"
                                                               : "text",
                              .deflate_offered = c->deflate,
                              .warmup_s = (double)c->warmup_ns / 1e9,
                              .asked_s = (double)c->duration_ns / 1e9,
                              .asked_count = c->count};
    time_t now = time(NULL);
    struct tm utc;
    strftime(r->started, sizeof r->started, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

/* What a subscriber should have had and had not; known only when nobody sends any more. */
static void settle_fanout(const bench_run *run, bench_report *r) {
    const bench_config *c = run->config;
    for (uint32_t n = 0; n < c->threads; n++) {
        const bench_worker *w = &run->workers[n];
        for (uint32_t i = w->sender_count; i < w->peer_count; i++) {
            const bench_peer *p = &w->peers[i];
            for (uint32_t from = 0; p->takes_part && from < c->publishers; from++) {
                const bench_ledger *l = &p->ledgers[from];
                uint64_t sent = run->workers[from % c->threads].peers[from / c->threads].sent;
                r->expected += sent;
                r->faults[BENCH_FAULT_LOST] += l->next - l->count;
                r->faults[BENCH_FAULT_UNANSWERED] += sent > l->next ? sent - l->next : 0;
            }
        }
    }
}

static const bench_failure *first_failure(const bench_run *run) {
    for (uint32_t n = 0; n < run->config->threads; n++)
        if (run->workers[n].failure.exit_code != 0)
            return &run->workers[n].failure;
    return NULL;
}

static bool prepare(bench_run *run, bench_fan *fan) {
    static const bench_traffic *const traffics[] = {
        [BENCH_ECHO] = &bench_echo, [BENCH_STORM] = &bench_storm, [BENCH_FANOUT] = &bench_fanout};
    const bench_config *c = run->config;
    uint32_t id = 0;
    if (getrandom(&id, sizeof id, 0) != sizeof id)
        return false;
    run->traffic = traffics[c->mode];
    atomic_store(&run->start_ns, BENCH_NEVER);
    if (c->mode == BENCH_FANOUT) {
        if (!bench_fan_init(fan, c->publishers))
            return false;
        atomic_store(&fan->publishing, c->threads);
        run->fan = fan;
    }
    run->workers = calloc(c->threads, sizeof *run->workers);
    if (!run->workers ||
        !bench_stamper_init(&run->stamper, id, c->script.count ? BENCH_STAMP_LONG : c->size_min, c->size_max))
        return false;
    for (uint32_t n = 0; n < c->threads; n++)
        if (!bench_worker_init(&run->workers[n], run, n))
            return false;
    return true;
}

static void finish(bench_run *run, bench_report *r) {
    const bench_failure *failure = first_failure(run);
    if (run->fan)
        settle_fanout(run, r);
    else
        r->expected = r->sent;
    for (uint32_t n = 0; n < run->config->threads; n++) {
        const bench_worker *w = &run->workers[n];
        r->setup.deflate_agreed = r->setup.deflate_agreed || w->deflates;
        if (!r->setup.extensions[0])
            memcpy(r->setup.extensions, w->extensions, sizeof w->extensions);
    }
    bench_judge(r, run->config, failure ? failure->exit_code : 0);
    if (failure && failure->refusal)
        bench_outputs_tell(failure->refusal);
    for (uint32_t n = 0; n < run->config->threads; n++)
        bench_worker_deinit(&run->workers[n]);
    free(run->workers);
    bench_stamper_deinit(&run->stamper);
    if (run->fan)
        bench_fan_deinit(run->fan);
}

static int run_bench(const bench_config *c, bench_outputs *outputs) {
    bench_run run = {.config = c};
    bench_fan fan = {0};
    bench_report *r = calloc(1, sizeof *r);
    bench_monitor *m = calloc(1, sizeof *m);
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves early does not cost the files */
    bench_clock_epoch = bench_clock_read(CLOCK_MONOTONIC) - BENCH_SECOND;
    if (!r || !m || !prepare(&run, &fan)) {
        fprintf(stderr, "weft: cannot start: %s\n", strerror(errno ? errno : ENOMEM));
        return CLI_EXIT_FAILED;
    }
    describe(c, r);
    m->run = &run;
    m->report = r;
    m->live.is_on = !c->quiet && isatty(STDERR_FILENO);
    m->live.is_colored = outputs->is_colored_err;
    int left = bench_monitor_run(m);
    if (left != 0)
        _exit(left);
    finish(&run, r);
    int code = r->exit_code;
    if (!bench_outputs_write(outputs, r))
        code = CLI_EXIT_FAILED;
    free(r->samples);
    free(r);
    free(m);
    return code;
}

/* ---- diff ---- */

typedef struct diff_options {
    cli_list files;
    const char *least;
} diff_options;

static const cli_option diff_option_table[] = {
    {"least", 0, CLI_TEXT, offsetof(diff_options, least), "PERCENT", "smaller changes do not count", .standard = "5"},
};

static const cli_command diff_command = {
    .name = "bench diff",
    .summary = "compare two reports of weft bench --json",
    .examples = "  weft bench diff before.json after.json\n",
    .options = diff_option_table,
    .option_count = 1,
    .operand = "FILE",
    .operands = offsetof(diff_options, files),
    .notes =
        "A change counts when the intervals of the two runs show it beyond their own scatter. Exit: 0 nothing got\n"
        "  worse, 1 something did, 2 usage.\n",
};

static int run_diff(int argc, char **argv) {
    diff_options o = {0};
    double percent;
    int got = cli_parse(&diff_command, argc, argv, &o);
    if (got != 0)
        return got > 0 ? CLI_EXIT_OK : CLI_EXIT_USAGE;
    if (o.files.count != 2 || !bench_parse_count(o.least, &percent))
        return cli_usage(&diff_command,
                         o.files.count != 2 ? "bench diff takes two files" : "--least takes a number of percent");
    char *texts[2] = {NULL, NULL};
    bench_json *a = bench_diff_load(o.files.items[0], &texts[0]);
    bench_json *b = a ? bench_diff_load(o.files.items[1], &texts[1]) : NULL;
    int code = CLI_EXIT_USAGE;
    if (a && b)
        code = bench_diff_write(a, b, percent / 100, stdout) == BENCH_DIFF_WORSE ? CLI_EXIT_FAILED : CLI_EXIT_OK;
    bench_json_free(a);
    bench_json_free(b);
    free(texts[0]);
    free(texts[1]);
    return code;
}

int cli_run_bench(int argc, char **argv) {
    bench_config c = {0};
    bench_outputs outputs;
    if (argc > 0 && strcmp(argv[0], "diff") == 0)
        return run_diff(argc - 1, argv + 1);
    int code = bench_settings_read(argc, argv, &c, &outputs);
    if (code != 0)
        return code > 0 ? code : CLI_EXIT_OK;
    code = make_room_for_descriptors(&c);
    code = code ? code : resolve(&c);
    code = code ? code : run_bench(&c, &outputs);
    bench_script_deinit(&c.script);
    return code;
}
