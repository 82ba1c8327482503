/*
 * What every form of the report asks of a finished run, computed in one place.
 */
#include "cli/bench/report.h"

#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

const bench_fault_name bench_fault_names[BENCH_FAULTS] = {
    [BENCH_FAULT_CONNECT] = {"connect", "connects failed"},
    [BENCH_FAULT_HANDSHAKE] = {"handshake", "handshakes failed"},
    [BENCH_FAULT_CLOSED] = {"closed", "closed early"},
    [BENCH_FAULT_LOST] = {"lost", "lost"},
    [BENCH_FAULT_UNANSWERED] = {"unanswered", "unanswered"},
    [BENCH_FAULT_DUPLICATED] = {"duplicated", "duplicated"},
    [BENCH_FAULT_REORDERED] = {"reordered", "reordered"},
    [BENCH_FAULT_CORRUPT] = {"corrupt", "corrupt"},
    [BENCH_FAULT_WRONG_OPCODE] = {"wrong_opcode", "wrong opcode"},
    [BENCH_FAULT_STRAY] = {"stray", "not asked for"},
};

void bench_note(bench_notes *notes, const char *format, ...) {
    if (notes->count >= BENCH_NOTES) {
        notes->count++;
        return;
    }
    char *text = notes->text[notes->count];
    va_list args;
    va_start(args, format);
    vsnprintf(text, BENCH_NOTE_BYTES, format, args);
    va_end(args);
    for (size_t i = 0; i < notes->count; i++)
        if (strcmp(notes->text[i], text) == 0)
            return;
    notes->count++;
}

uint64_t bench_report_missing(const bench_report *r) {
    return r->faults[BENCH_FAULT_LOST] + r->faults[BENCH_FAULT_UNANSWERED];
}

uint64_t bench_report_faults(const bench_report *r) {
    uint64_t sum = 0;
    for (size_t i = 0; i < BENCH_FAULTS; i++)
        sum += r->faults[i];
    return sum;
}

double bench_report_rate(const bench_report *r) {
    return r->seconds > 0 ? (double)r->done / r->seconds : 0;
}

double bench_report_cpu_us(const bench_report *r) {
    return r->server.known && r->done > 0 ? r->server.cpu_s * 1e6 / (double)r->done : 0;
}

double bench_report_rss_each(const bench_report *r) {
    const bench_server_use *s = &r->server;
    if (!s->rss_before || s->rss_open <= s->rss_before || r->opened == 0)
        return 0;
    return (double)(s->rss_open - s->rss_before) / (double)r->opened;
}

const char *bench_report_unit(const bench_report *r) {
    static const char *const units[] = {
        [BENCH_ECHO] = "messages", [BENCH_STORM] = "handshakes", [BENCH_FANOUT] = "deliveries"};
    return units[r->setup.mode];
}

const char *bench_report_model(const bench_report *r) {
    return r->setup.open_model ? "open model: latency counts from when a message was due, stalls are in it"
                               : "closed model, throughput only: latency excludes queueing";
}

static void first_processor_name(char *out, size_t cap) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    snprintf(out, cap, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!value)
            continue;
        value[strcspn(value, "\n")] = '\0';
        snprintf(out, cap, "%s", value + 2);
        break;
    }
    if (file)
        fclose(file);
}

bench_machine bench_machine_read(void) {
    bench_machine m;
    struct utsname name;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    m.processors = processors > 0 ? (unsigned)processors : 1;
    first_processor_name(m.processor, sizeof m.processor);
    if (uname(&name) == 0)
        snprintf(m.kernel, sizeof m.kernel, "%.20s %.40s", name.sysname, name.release);
    else
        snprintf(m.kernel, sizeof m.kernel, "unknown kernel");
    return m;
}
