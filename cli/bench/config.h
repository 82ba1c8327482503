/*
 * config.h - what a run is asked to do, when all options are read and understood.
 */
#ifndef CLI_BENCH_CONFIG_H
#define CLI_BENCH_CONFIG_H

#include "cli/bench/report.h"
#include "cli/bench/rule.h"
#include "cli/bench/script.h"

#include <sys/types.h>
#include <weft/tls.h>

enum { BENCH_RULES_MAX = 64, BENCH_PIDS_MAX = 64, BENCH_LOCALS_MAX = 256 };

typedef struct bench_config {
    const char *url;
    char address[256]; /* what the URL's host is called by numbers */
    const char *proxy; /* NULL: none */
    weft_tls_client tls;
    const char *origin;
    const char *const *headers;      /* NULL-terminated */
    const char *const *subprotocols; /* NULL-terminated */
    bool deflate, no_takeover, http2;
    bench_mode mode;
    uint32_t connections, threads, publishers, subscribers;
    double rate; /* 0: closed model */
    uint32_t inflight;
    uint32_t skip; /* messages with which the server greets each connection */
    uint32_t size_min, size_max;
    bool is_binary;
    bench_script script; /* empty: stamped messages */
    bool is_script_a_file;
    uint64_t duration_ns, warmup_ns, grace_ns, interval_ns; /* duration 0: until the count is reached */
    uint64_t settle_ns;                                     /* of rest before the first message and after the last */
    uint64_t count;                                         /* 0: until the duration is over */
    double connect_rate;                                    /* 0: as fast as it goes */
    uint32_t connect_timeout_ms;
    char locals[BENCH_LOCALS_MAX][48]; /* addresses to connect from, in turn */
    size_t local_count;
    pid_t pids[BENCH_PIDS_MAX];
    size_t pid_count;
    const char *cgroup;
    bench_rule rules[BENCH_RULES_MAX];
    size_t rule_count;
    int quiet; /* no live view */
} bench_config;

#endif
