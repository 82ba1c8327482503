/*
 * A process's clock says its processor time to the nanosecond, threads that have ended included; /proc counts in
 * hundredths of a second. Memory is in /proc.
 */
#include "cli/bench/use.h"

#include "cli/bench/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_process(pid_t pid, bench_use *use) {
    clockid_t clock;
    struct timespec spent;
    char path[64];
    unsigned long long pages = 0, of_files = 0;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &spent) != 0)
        return false;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    FILE *file = fopen(path, "r");
    int got = file ? fscanf(file, "%*s %llu %llu", &pages, &of_files) : 0;
    if (file)
        fclose(file);
    use->cpu_ns += (uint64_t)spent.tv_sec * BENCH_SECOND + (uint64_t)spent.tv_nsec;
    use->rss += pages * (uint64_t)sysconf(_SC_PAGESIZE);
    use->anon += (pages > of_files ? pages - of_files : 0) * (uint64_t)sysconf(_SC_PAGESIZE);
    return got == 2;
}

/* The number behind a name at the start of a line; an empty name is the start of the file. */
static bool read_number(const char *folder, const char *name, const char *key, uint64_t *out) {
    char path[512], line[128];
    unsigned long long value;
    bool found = false;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        size_t len = strlen(key);
        found = strncmp(line, key, len) == 0 && sscanf(line + len, "%llu", &value) == 1;
    }
    if (file)
        fclose(file);
    if (found)
        *out = value;
    return found;
}

bench_use bench_use_read(const bench_use_of *of) {
    bench_use use = {.known = of->cgroup || of->pid_count > 0};
    if (of->cgroup) {
        use.known = read_number(of->cgroup, "cpu.stat", "usage_usec ", &use.cpu_ns);
        use.cpu_ns *= 1000;
        read_number(of->cgroup, "memory.current", "", &use.rss);
        read_number(of->cgroup, "memory.stat", "anon ", &use.anon);
        return use;
    }
    for (size_t i = 0; i < of->pid_count && use.known; i++)
        use.known = read_process(of->pids[i], &use);
    return use;
}
