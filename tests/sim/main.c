/*
 * sim - runs seeds, each twice, and compares the hashes of their traces.
 *
 *     sim -n 2000           seeds 1 to 2000
 *     sim --seeds 5-90      these
 *     sim --seed 7 --trace  one, told line by line
 *
 *     sim --wire tls -n 9   clients speak TLS; h2, h2tls: HTTP/2
 *
 * Odd seeds run on io_uring and even ones on epoll, unless --backend NAME says on which all do.
 *
 * Ends with 1 when an oracle spoke, a seed did not repeat itself, or it all went slower than --ratio times real time
 * (1,000).
 */
#include "app.h"
#include "client.h"
#include "faults.h"
#include "kernel.h"
#include "oracles.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PACE_SEEDS = 100 }; /* fewer say nothing about the pace */

int __real_clock_gettime(clockid_t clock, struct timespec *out);

static double real_s(void) {
    struct timespec now;
    __real_clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const char *backend; /* NULL: both */
static int wire;

/* One run; answers the hash. */
static uint64_t run(uint64_t seed, bool tracing) {
    sim = (sim_run) {.seed = seed, .random = seed, .tracing = tracing, .wire = wire};
    sim.on_uring = WF_HAVE_URING && (backend ? strcmp(backend, "io_uring") == 0 : seed % 2);
    sim_kernel_begin();
    sim_pipes_begin();
    sim_faults_begin();
    sim_oracles_begin();
    sim_app_reset();
    sim_clients_begin();
    weft_server *server = sim_app_begin();
    sim_faults_arm();
    int got = weft_server_run(server);
    sim_trace("run ends", got, 0, 0);
    if (got != WEFT_OK && sim.deeds == 0) /* a fault may have met it at its start */
        sim_fail("simulator", "the server could not run: %d", got);
    sim_app_run_over();
    weft_server_free(server);
    sim_app_freed();
    sim_clients_end();
    sim_oracles_end();
    return sim.hash;
}

static bool parse_range(const char *text, uint64_t *out_first, uint64_t *out_last) {
    char *end;
    *out_first = *out_last = strtoull(text, &end, 10);
    if (*end == '-')
        *out_last = strtoull(end + 1, &end, 10);
    return *end == '\0' && *out_first <= *out_last;
}

int main(int argc, char **argv) {
    uint64_t first = 1, last = 100;
    double ratio_min = 1000;
    bool tracing = false, good = true;
    for (int i = 1; i < argc && good; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            tracing = true;
        else if (i + 1 < argc && strcmp(argv[i], "-n") == 0)
            first = 1, last = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--seeds") == 0))
            good = parse_range(argv[++i], &first, &last);
        else if (i + 1 < argc && strcmp(argv[i], "--ratio") == 0)
            ratio_min = strtod(argv[++i], NULL);
        else if (i + 1 < argc && strcmp(argv[i], "--backend") == 0)
            backend = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--wire") == 0)
            good = (wire = sim_wire_of(argv[++i])) >= 0;
        else
            good = false;
    }
    if (!good || (backend && strcmp(backend, "epoll") != 0 && strcmp(backend, "io_uring") != 0)) {
        fprintf(stderr,
                "%s -n COUNT | --seeds FIRST-LAST | --seed SEED [--trace] [--ratio TIMES] "
                "[--backend epoll|io_uring] [--wire plain|tls|h2|h2tls]\n",
                sim_app_name);
        return 2;
    }
    double began_s = real_s(), virtual_s = 0;
    uint64_t connections = 0, calls = 0, hashes = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        uint64_t hash = run(seed, tracing);
        if (run(seed, false) != hash)
            sim_fail("repeats", "the second run was another");
        virtual_s += 2 * (double)sim.now_ns / 1e9;
        connections += sim.connections;
        hashes ^= hash;
        calls += sim.calls;
    }
    double took_s = real_s() - began_s, ratio = virtual_s / took_s;
    printf("%llu seeds, each twice: %llu connections, %llu calls, %.0f virtual seconds in %.1f s, ratio %.0f, hash "
           "%016llx\n",
           (unsigned long long)(last - first + 1), (unsigned long long)connections, (unsigned long long)calls,
           virtual_s, took_s, ratio, (unsigned long long)hashes);
    if (ratio < ratio_min && last - first >= PACE_SEEDS) {
        fprintf(stderr, "slower than %.0f times real time\n", ratio_min);
        return 1;
    }
    return 0;
}
