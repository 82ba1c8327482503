/*
 * The generator is splitmix64: one addition and a mix, good enough for choices and equal everywhere.
 */
#include "sim.h"

#include "app.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sim_run sim;

uint64_t sim_random(void) {
    uint64_t z = sim.random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint32_t sim_below(uint32_t n) {
    return (uint32_t)((sim_random() >> 32) * n >> 32);
}

bool sim_chance(uint32_t per_million) {
    return per_million > 0 && sim_below(1000000) < per_million;
}

uint32_t sim_between(uint32_t least, uint32_t most) {
    return least + sim_below(most - least + 1);
}

uint32_t sim_log_between(uint32_t least, uint32_t most) {
    uint32_t octaves = 0;
    while (least << (octaves + 1) <= most && octaves < 31)
        octaves++;
    uint32_t from = least << sim_below(octaves + 1), to = from * 2 - 1;
    return sim_between(from, to > most ? most : to);
}

static void mix(uint64_t value) {
    sim.hash = (sim.hash ^ value) * 0x100000001B3u;
    sim.hash ^= sim.hash >> 29;
}

void sim_trace(const char *what, int64_t a, int64_t b, int64_t c) {
    for (const char *at = what; *at; at++)
        mix((uint8_t)*at);
    mix(sim.now_ns);
    mix((uint64_t)a);
    mix((uint64_t)b);
    mix((uint64_t)c);
    if (sim.tracing)
        printf("%12.6f  %-14s %lld %lld %lld\n", (double)sim.now_ns / 1e9, what, (long long)a, (long long)b,
               (long long)c);
}

static const char *const wires[SIM_WIRES] = {"plain", "tls", "h2", "h2tls"};

int sim_wire_of(const char *name) {
    for (int i = 0; i < SIM_WIRES; i++)
        if (strcmp(name, wires[i]) == 0)
            return i;
    return -1;
}

void sim_fail(const char *oracle, const char *format, ...) {
    va_list args;
    fflush(stdout);
    fprintf(stderr, "seed %llu: oracle %s, at %.6f s: ", (unsigned long long)sim.seed, oracle,
            (double)sim.now_ns / 1e9);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nsee it with: %s --seed %llu --trace --backend %s --wire %s\n", sim_app_name,
            (unsigned long long)sim.seed, sim.on_uring ? "io_uring" : "epoll", wires[sim.wire]);
    exit(1);
}
