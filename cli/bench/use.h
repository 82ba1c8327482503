/*
 * use.h - what other processes use: processor time and memory.
 */
#ifndef CLI_BENCH_USE_H
#define CLI_BENCH_USE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct bench_use_of {
    const pid_t *pids; /* all of them together */
    size_t pid_count;
    const char *cgroup; /* a folder like /sys/fs/cgroup/web; NULL: the processes */
} bench_use_of;

typedef struct bench_use {
    bool known;      /* false: a process has gone, or may not be read */
    uint64_t cpu_ns; /* since it began */
    uint64_t rss;    /* bytes in memory; of a cgroup what it is charged for */
    uint64_t anon;   /* of them, those that are no file's */
} bench_use;

bench_use bench_use_read(const bench_use_of *of);

#endif
