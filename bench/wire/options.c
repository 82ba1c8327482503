/*
 * One table describes every option of every program of the wire bench: its bounds, its default, who takes it
 * and what it means. Parsing and the help text are both read from it, so neither can know an option that the
 * other does not.
 */
#include "wire.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEASURES (WIRE_LOAD | WIRE_CHURN | WIRE_FAN)
#define CLIENTS  (MEASURES | WIRE_HOLD | WIRE_MEMBERS | WIRE_AUDIENCE)
#define FIELD(f) offsetof(struct wire_options, f)

static const struct number {
    const char *name;
    unsigned programs;
    size_t field;
    unsigned long min, max, preset;
    const char *meaning;
} numbers[] = {
    {"--port", CLIENTS, FIELD(port), 1, 65535, 0, "port of the server on 127.0.0.1"},
    {"--connections", CLIENTS, FIELD(connections), 1, 1000000, 1, "connections open at the same time"},
    {"--inflight", WIRE_LOAD | WIRE_FAN, FIELD(inflight), 1, 4096, 1, "messages on their way per sender"},
    {"--burst", WIRE_FAN, FIELD(burst), 0, 1, 0, "1: publishes all of them at once, and again when all are done"},
    {"--rate", WIRE_LOAD, FIELD(rate), 0, 10000000, 0, "messages per second of all; 0: one for every answer"},
    {"--source", WIRE_MEMBERS, FIELD(source), 1, 252, 1, "connect from 127.0.0.(1 + this), and the next"},
    {"--broadcast", WIRE_RAW_ECHO, FIELD(broadcast), 0, 1, 0, "1: to all others instead of back"},
    {"--bytes", MEASURES | WIRE_HOLD | WIRE_AUDIENCE, FIELD(bytes), 1, 16777216, 20, "payload bytes of a message"},
    {"--warmup-ms", MEASURES, FIELD(warmup_ms), 0, 60000, 200, "load before the window, not counted"},
    {"--window-ms", MEASURES, FIELD(window_ms), 1, 3600000, 1000, "the measured window"},
    {"--timeout-ms", CLIENTS, FIELD(timeout_ms), 1, 600000, 5000, "longest wait for an answer"},
    {"--server-pid", MEASURES | WIRE_AUDIENCE, FIELD(server_pid), 1, 4194304, 0, "process whose CPU time is measured"},
    {"--core", CLIENTS | WIRE_RAW_ECHO, FIELD(core), 0, WIRE_ANY_CORE - 1, WIRE_ANY_CORE, "core to be pinned to"},
};

static const char *const vias[] = {"ws", "sse", "long-poll", "poll", "pusher"}; /* by enum wire_via */

#define NUMBERS_COUNT (sizeof numbers / sizeof numbers[0])

static _Noreturn void usage(enum wire_program program, const char *wrong) {
    fprintf(stderr, "%s: %s\noptions:\n", program_invocation_short_name, wrong);
    for (size_t i = 0; i < NUMBERS_COUNT; i++) {
        const struct number *n = &numbers[i];
        if (n->programs & program)
            fprintf(stderr, "  %-14s %s (%lu to %lu)\n", n->name, n->meaning, n->min, n->max);
    }
    if (program & CLIENTS)
        fputs("  --path         request target of the WebSocket (/echo)\n", stderr);
    if (program & MEASURES)
        fputs("  --mode         ws or raw (ws)\n", stderr);
    if (program & WIRE_AUDIENCE)
        fputs("  --via          ws, sse, long-poll, poll or pusher (ws)\n", stderr);
    exit(2);
}

static void read_number(enum wire_program program, const char *name, const char *text, struct wire_options *options) {
    for (size_t i = 0; i < NUMBERS_COUNT; i++) {
        const struct number *n = &numbers[i];
        if (!(n->programs & program) || strcmp(n->name, name) != 0)
            continue;
        char *end;
        errno = 0;
        unsigned long value = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < n->min || value > n->max)
            usage(program, "a value is not a number or out of bounds");
        memcpy((char *)options + n->field, &value, sizeof value);
        return;
    }
    usage(program, "an option is unknown");
}

static void pin(unsigned long core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) != 0)
        wire_fail("cannot be pinned to core %lu: %s", core, strerror(errno));
}

static const char *target(enum wire_program program, const char *value) {
    if (value[0] != '/' || strlen(value) > WIRE_REQUEST_MAX / 4)
        usage(program, "a request target starts with / and is short");
    return value;
}

static enum wire_via via(enum wire_program program, const char *value) {
    for (size_t i = 0; i < sizeof vias / sizeof vias[0]; i++)
        if (strcmp(vias[i], value) == 0)
            return (enum wire_via)i;
    usage(program, "--via is none of those");
}

void wire_options_read(enum wire_program program, int argc, char **argv, struct wire_options *out_options) {
    struct wire_options options = {.path = "/echo"};
    for (size_t i = 0; i < NUMBERS_COUNT; i++)
        memcpy((char *)&options + numbers[i].field, &numbers[i].preset, sizeof numbers[i].preset);

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            usage(program, "an option lacks its value");
        const char *name = argv[i], *value = argv[i + 1];
        if ((program & CLIENTS) && strcmp(name, "--path") == 0) {
            options.path = target(program, value);
        } else if ((program & MEASURES) && strcmp(name, "--mode") == 0) {
            options.raw = strcmp(value, "raw") == 0;
            if (!options.raw && strcmp(value, "ws") != 0)
                usage(program, "--mode is ws or raw");
        } else if ((program & WIRE_AUDIENCE) && strcmp(name, "--via") == 0) {
            options.via = via(program, value);
        } else {
            read_number(program, name, value, &options);
        }
    }
    if ((program & CLIENTS) && options.port == 0)
        usage(program, "--port is needed");
    if (options.core != WIRE_ANY_CORE)
        pin(options.core);
    *out_options = options;
}
