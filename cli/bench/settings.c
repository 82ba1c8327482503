/*
 * What can be asked of weft bench, and what it means together.
 */
#include "cli/bench/settings.h"

#include "cli/commands.h"
#include "cli/exits.h"
#include "cli/shared.h"

#include "cli/bench/clock.h"
#include "cli/bench/dial.h"
#include "cli/bench/fan.h"
#include "cli/bench/quantity.h"
#include "cli/bench/stamp.h"
#include "cli/bench/use.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft/weft.h>

typedef struct bench_options {
    cli_list urls;
    uint32_t connections, duration_ms, count, inflight, skip, warmup_ms, settle_ms, grace_ms, interval_ms,
        connect_timeout_ms, publishers, subscribers, threads;
    weft_tls_client tls;
    const char *proxy, *rate, *size, *message, *messages, *connect_rate, *origin, *local, *cgroup;
    bool is_binary, storm, resume, deflate, no_takeover, json, csv, hdr, html, quiet, http2;
    cli_list headers, subprotocols, rules, outputs, pids;
    int color;
} bench_options;

#define AT(member) offsetof(bench_options, member)

static const cli_option options[] = {
    {"connections", 'c', CLI_NUMBER, AT(connections), "N", "WebSockets, all open at once", .standard = "10", .min = 1,
     .max = 1000000},
    {"duration", 'd', CLI_DURATION, AT(duration_ms), "TIME", "how long to measure, also -z [10s, with -n no end]",
     .min = 1, .also = 'z'},
    {"count", 'n', CLI_NUMBER, AT(count), "N", "stop after so many messages, all together", .min = 1},
    {"rate", 'r', CLI_TEXT, AT(rate), "N",
     "messages a second, all together, also -R; 0 is as fast as answers come [1k]", .also = 'R'},
    {"inflight", 'i', CLI_NUMBER, AT(inflight), "N",
     "with --rate 0: unanswered messages on each connection, or of each --pub [1]", .min = 1, .max = 65536},
    {"size", 0, CLI_TEXT, AT(size), "BYTES", "of a message, or a span: 16..4096", .standard = "64"},
    {"message", 'm', CLI_TEXT, AT(message), "TEXT", "send this in place of stamped messages", .standard = NULL},
    {"messages", 0, CLI_TEXT, AT(messages), "FILE", "send the lines of a file, in turn", .rare = true},
    {"binary", 'b', CLI_FLAG, AT(is_binary), NULL, "send binary messages", .standard = NULL},
    {"storm", 0, CLI_FLAG, AT(storm), NULL, "connect, upgrade and close over and over: handshakes a second",
     .standard = NULL},
    {"pub", 0, CLI_NUMBER, AT(publishers), "N", "fan-out: N publish, and each --sub gets all of it", .min = 1,
     .max = 100000},
    {"sub", 0, CLI_NUMBER, AT(subscribers), "N", "fan-out: N subscribers", .min = 1, .max = 1000000},
    {"warmup", 0, CLI_DURATION, AT(warmup_ms), "TIME", "run before measuring", .standard = "1s"},
    {"fail-if", 0, CLI_LIST, AT(rules), "RULE", "exit 1 if so, repeatable: 'p99>50ms', 'rate<10k', 'errors>0'",
     .standard = NULL},
    {"output", 'o', CLI_LIST, AT(outputs), "FILE", "write the report there too: .json, .csv, .hgrm, .html or .txt",
     .standard = NULL},
    {"json", 0, CLI_FLAG, AT(json), NULL, "report as JSON on stdout, or to -o FILE", .standard = NULL},
    {"csv", 0, CLI_FLAG, AT(csv), NULL, "a line for each interval", .rare = true},
    {"hdr", 0, CLI_FLAG, AT(hdr), NULL, "percentiles for HdrHistogram's plotters", .rare = true},
    {"html", 0, CLI_FLAG, AT(html), NULL, "a page with charts, in one file", .rare = true},
    {"server-pid", 0, CLI_LIST, AT(pids), "PID", "measure the server's CPU and memory too, repeatable",
     .standard = NULL},
    {"server-cgroup", 0, CLI_TEXT, AT(cgroup), "DIR", "the same of a cgroup: /sys/fs/cgroup/...", .rare = true},
    {"connect-rate", 0, CLI_TEXT, AT(connect_rate), "N", "connections to open a second; 0 is as fast as it goes",
     .standard = "0", .rare = true},
    {"connect-timeout", 0, CLI_DURATION, AT(connect_timeout_ms), "TIME", "to connect, and again for the handshake",
     .standard = "10s", .min = 1, .rare = true},
    {"skip", 0, CLI_NUMBER, AT(skip), "N", "the first N messages on each connection are a greeting", .rare = true},
    {"settle", 0, CLI_DURATION, AT(settle_ms), "TIME",
     "rest before the first message and after the last, then read memory", .standard = "0", .rare = true},
    {"grace", 0, CLI_DURATION, AT(grace_ms), "TIME", "wait so long for what is unanswered at the end", .standard = "5s",
     .rare = true},
    {"interval", 0, CLI_DURATION, AT(interval_ms), "TIME", "between samples [a 60th of the duration, 100ms to 10s]",
     .min = 10, .rare = true},
    {"local-addr", 0, CLI_TEXT, AT(local), "IP[-N]", "connect from these addresses in turn: 127.0.0.2-50",
     .rare = true},
    {"threads", 't', CLI_NUMBER, AT(threads), "N", "client threads; 0 is one for each two processors", .standard = "0",
     .max = 256},
    {"deflate", 0, CLI_FLAG, AT(deflate), NULL, "offer permessage-deflate", .rare = true},
    {"no-takeover", 0, CLI_FLAG, AT(no_takeover), NULL, "offer it without context from message to message",
     .rare = true},
    {"header", 'H', CLI_LIST, AT(headers), "LINE", "'Name: value' in each handshake, repeatable", .rare = true},
    {"origin", 0, CLI_TEXT, AT(origin), "ORIGIN", "the Origin header", .rare = true},
    {"subprotocol", 's', CLI_LIST, AT(subprotocols), "NAME", "ask for it, repeatable", .rare = true},
    {"proxy", 'x', CLI_TEXT, AT(proxy), "URL", "go through http://, socks5h:// or socks5://[user:password@]host[:port]",
     .rare = true},
    {"http2", 0, CLI_FLAG, AT(http2), NULL, "HTTP/2: share connections; of ws:// the server must speak it",
     .rare = true},
    CLI_TLS_OPTIONS(AT(tls)),
    {"tls-resume", 0, CLI_FLAG, AT(resume), NULL, "wss: go on with sessions of connections before, as clients do",
     .rare = true},
    CLI_COLOR_OPTION(AT(color)),
    {"quiet", 'q', CLI_FLAG, AT(quiet), NULL, "no live view", .rare = true},
};

const cli_command cli_bench = {
    .name = "bench",
    .summary = "load and latency of any WebSocket server that echoes, or sends to rooms",
    .examples = "  weft bench ws://127.0.0.1:9001/echo -c 100 -r 5k       latency at 5,000 messages a second\n"
                "  weft bench ws://127.0.0.1:9001/echo --rate 0 -i 16     how much it can do\n"
                "  weft bench ws://127.0.0.1:9001/rooms/a --pub 1 --sub 500 -r 20   fan-out\n"
                "  weft bench ws://127.0.0.1:9001/echo --storm            handshakes a second\n"
                "  weft bench URL -r 1k --fail-if 'p99>50ms' -o run.json -o run.html   in CI\n"
                "  weft bench diff before.json after.json                 is it faster?\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operand = "URL",
    .operands = AT(urls),
    .notes =
        "Models:\n"
        "  open (--rate N)    messages are due at fixed times and latency counts from then, so a stall of the\n"
        "                     server or of the client is in the figures (no coordinated omission)\n"
        "  closed (--rate 0)  each answer sends the next message: throughput. Its latency hides queueing.\n"
        "Messages carry run, connection, number, intended time and a check: lost, doubled, reordered and\n"
        "  changed ones and a wrong opcode are counted, and each fails the run unless a --fail-if on the same\n"
        "  metric says how many are bearable. With -m or --messages it is order and bytes that are compared.\n"
        "INVALID (exit 70): a client thread was busy or waiting for a processor for over 85 % of the time,\n"
        "  or send lag p99 is over 10 % of latency p50. The figures are then the client's, not the server's.\n"
        "Metrics of --fail-if: p50 to p99.999, min, mean, max, with lag_, connect_, last_ or spread_ before them;\n"
        "  rate, errors, missing, each kind of error, cpu_us (of the server, each), client_cpu (percent), rss, "
        "rss_each\n"
        "Ctrl-C: the first ends the run and prints the report, the second leaves.\n"
        "Exit 1 is a message that was lost or spoilt, a rule that was broken, and in diff something that got worse;\n"
        "  the first connection that failed gives its own number.\n",
    .leaves_as_client = true,
};

/* ---- what the options mean ---- */

static const char *read_rate(const bench_options *o, bench_config *c) {
    static const double standards[] = {[BENCH_ECHO] = 1000, [BENCH_STORM] = 0, [BENCH_FANOUT] = 10};
    c->rate = o->rate || o->inflight == 0 ? standards[c->mode] : 0;
    if (o->rate && !bench_parse_count(o->rate, &c->rate))
        return "--rate takes a number, like 500 or 10k";
    if (c->rate > 1e8)
        return "--rate is out of range";
    if (o->inflight > 0 && c->rate > 0)
        return "--inflight belongs to the closed model: --rate 0";
    if (o->inflight > 0 && c->mode == BENCH_STORM)
        return "--storm has no messages: -c says how many handshakes are under way";
    c->skip = o->skip;
    c->inflight = o->inflight > 0 ? o->inflight : 1;
    if (c->mode == BENCH_FANOUT && (uint64_t)c->inflight * c->publishers > BENCH_FAN_INFLIGHT_MAX)
        return "--pub times --inflight is 32,768 at most";
    if (!bench_parse_count(o->connect_rate, &c->connect_rate))
        return "--connect-rate takes a number, like 500 or 10k";
    return NULL;
}

static const char *read_mode(const bench_options *o, bench_config *c) {
    bool fans = o->publishers > 0 || o->subscribers > 0;
    c->mode = o->storm ? BENCH_STORM : fans ? BENCH_FANOUT : BENCH_ECHO;
    c->connections = o->connections;
    if (!fans)
        return NULL;
    if (o->storm)
        return "--storm and fan-out are different runs";
    if (o->publishers == 0 || o->subscribers == 0)
        return "fan-out takes both --pub and --sub";
    c->publishers = o->publishers;
    c->subscribers = o->subscribers;
    c->connections = o->publishers + o->subscribers;
    return NULL;
}

static const char *read_messages(const bench_options *o, bench_config *c) {
    c->is_binary = o->is_binary;
    if ((o->message || o->messages) && c->mode != BENCH_ECHO)
        return "-m and --messages are for echo only";
    if (o->message && o->messages)
        return "-m and --messages are one too many";
    if (!bench_parse_span(o->size, &c->size_min, &c->size_max))
        return "--size takes bytes, or a span like 16..4096";
    if (o->message && !bench_script_of_text(&c->script, o->message))
        return "out of memory";
    if (c->script.count == 0 && !o->messages) {
        if (c->size_min < BENCH_STAMP_SHORT || c->size_max > BENCH_SIZE_MAX)
            return "--size is 16 bytes to 16M";
        if (c->size_min < BENCH_STAMP_LONG && c->connections > UINT16_MAX)
            return "--size under 32 bytes is for 65,535 connections at most";
    }
    return NULL;
}

static const char *check_script(bench_config *c) {
    c->size_min = UINT32_MAX;
    c->size_max = 0;
    for (size_t i = 0; i < c->script.count; i++) {
        const bench_script_message *m = &c->script.messages[i];
        if (!c->is_binary && !weft_utf8_valid(m->data, m->len))
            return "a message is not UTF-8, as text must be: send it with --binary";
        if (m->len > BENCH_SIZE_MAX)
            return "a message is longer than 16M";
        c->size_min = m->len < c->size_min ? (uint32_t)m->len : c->size_min;
        c->size_max = m->len > c->size_max ? (uint32_t)m->len : c->size_max;
    }
    return NULL;
}

static const char *read_times(const bench_options *o, bench_config *c) {
    uint64_t duration = o->duration_ms > 0 ? o->duration_ms : o->count > 0 ? 0 : 10000;
    c->duration_ns = duration * BENCH_MS;
    c->count = o->count;
    c->warmup_ns = o->warmup_ms * BENCH_MS;
    c->settle_ns = o->settle_ms * BENCH_MS;
    c->grace_ns = o->grace_ms * BENCH_MS;
    c->connect_timeout_ms = o->connect_timeout_ms;
    uint64_t interval = duration > 0 ? duration / 60 : 1000;
    interval = interval < 100 ? 100 : interval > 10000 ? 10000 : interval;
    c->interval_ns = (o->interval_ms > 0 ? o->interval_ms : interval) * BENCH_MS;
    return NULL;
}

/* "127.0.0.2", "127.0.0.2-50" (the last number up to 50) or "::1". */
static const char *read_locals(const char *text, bench_config *c) {
    static const char wrong[] = "--local-addr takes an address, or a span of them like 127.0.0.2-50";
    char first[48];
    const char *dash = text ? strchr(text, '-') : NULL;
    unsigned char bytes[16];
    if (!text)
        return NULL;
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    if (len >= sizeof first)
        return wrong;
    memcpy(first, text, len);
    first[len] = '\0';
    if (inet_pton(AF_INET6, first, bytes) == 1 && !dash) {
        strcpy(c->locals[c->local_count++], first);
        return NULL;
    }
    if (inet_pton(AF_INET, first, bytes) != 1)
        return wrong;
    double last = bytes[3];
    if (dash && (!bench_parse_count(dash + 1, &last) || last < bytes[3] || last > 255))
        return wrong;
    for (unsigned i = bytes[3]; i <= (unsigned)last; i++)
        snprintf(c->locals[c->local_count++], sizeof c->locals[0], "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], i);
    return NULL;
}

static const char *read_server(const bench_options *o, bench_config *c) {
    c->cgroup = o->cgroup;
    for (size_t i = 0; i < o->pids.count; i++) {
        double pid;
        if (!bench_parse_count(o->pids.items[i], &pid) || pid < 1 || pid > 1 << 30)
            return "--server-pid takes the number of a process";
        c->pids[c->pid_count++] = (pid_t)pid;
    }
    if (c->cgroup && c->pid_count > 0)
        return "--server-pid and --server-cgroup are one too many";
    bench_use_of of = {c->pids, c->pid_count, c->cgroup};
    if ((c->cgroup || c->pid_count > 0) && !bench_use_read(&of).known)
        return c->cgroup ? "--server-cgroup is no cgroup with a cpu.stat" : "--server-pid names no process we can read";
    return NULL;
}

/* 0, or the exit code; it is told then. */
static int read_rules(const bench_options *o, bench_config *c) {
    for (size_t i = 0; i < o->rules.count; i++) {
        bench_rule *rule = &c->rules[c->rule_count++];
        const char *problem = bench_rule_parse(o->rules.items[i], rule);
        if (problem)
            return cli_usage(&cli_bench, "--fail-if '%.60s' %s; metrics are %s", o->rules.items[i], problem,
                             bench_rule_metrics);
        if (bench_rule_needs_server(rule) && !c->cgroup && c->pid_count == 0)
            return cli_usage(&cli_bench, "--fail-if '%.60s' needs --server-pid", rule->text);
    }
    return 0;
}

static int read_options(const bench_options *o, bench_config *c) {
    if (o->urls.count != 1)
        return cli_usage(&cli_bench, o->urls.count == 0 ? "bench needs the URL of a server" : "bench takes one URL");
    c->url = o->urls.items[0];
    c->tls = o->tls;
    c->proxy = o->proxy;
    cli_tls_environment(&c->tls);
    c->tls.sessions_max = o->resume ? o->connections : WEFT_NONE; /* else a storm were one handshake */
    c->http2 = o->http2;
    c->origin = o->origin;
    c->headers = o->headers.items;
    c->subprotocols = o->subprotocols.items;
    c->deflate = o->deflate || o->no_takeover;
    c->no_takeover = o->no_takeover;
    c->quiet = o->quiet;
    const char *problem = read_mode(o, c);
    problem = problem ? problem : read_rate(o, c);
    problem = problem ? problem : read_messages(o, c);
    problem = problem ? problem : read_times(o, c);
    problem = problem ? problem : read_locals(o->local, c);
    problem = problem ? problem : read_server(o, c);
    if (problem)
        return cli_usage(&cli_bench, "%s", problem);
    if (o->messages) {
        problem = bench_script_of_file(&c->script, o->messages);
        c->is_script_a_file = true;
        if (problem)
            return cli_usage(&cli_bench, "--messages %s: %s", o->messages, problem);
    }
    if (c->script.count > 0 && (problem = check_script(c)) != NULL)
        return cli_usage(&cli_bench, "%s", problem);
    uint32_t most = c->mode == BENCH_FANOUT ? c->publishers : c->connections;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    c->threads = o->threads > 0 ? o->threads : processors > 3 ? (uint32_t)processors / 2 : 1;
    c->threads = c->mode != BENCH_FANOUT && c->threads > most ? most : c->threads;
    return read_rules(o, c);
}

int bench_settings_read(int argc, char **argv, bench_config *c, bench_outputs *outputs) {
    static bench_options o; /* the config points into it */
    int got = cli_parse(&cli_bench, argc, argv, &o);
    if (got != 0)
        return got > 0 ? -1 : CLI_EXIT_USAGE;
    int code = read_options(&o, c);
    if (code != 0)
        return code;
    const bool flags[] = {false, o.json, o.csv, o.hdr, o.html};
    const char *problem = bench_outputs_init(outputs, o.outputs.items, flags, o.color);
    return problem ? cli_usage(&cli_bench, "%s", problem) : 0;
}
