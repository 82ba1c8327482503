/*
 * script.h - messages that the user gives: each is sent as it is, in turn, over and over.
 */
#ifndef CLI_BENCH_SCRIPT_H
#define CLI_BENCH_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bench_script_message {
    const char *data;
    size_t len;
} bench_script_message;

/* All zeros is an empty one. */
typedef struct bench_script {
    bench_script_message *messages;
    size_t count;
    char *text; /* of a file */
} bench_script;

/* One message, borrowed. false: out of memory. */
bool bench_script_of_text(bench_script *s, const char *text);

/* A message for each line of the file that is not empty; the line's end does not belong to it. NULL, or what is
 * wrong. */
const char *bench_script_of_file(bench_script *s, const char *path);

void bench_script_deinit(bench_script *s);

static inline const bench_script_message *bench_script_at(const bench_script *s, uint64_t number) {
    return &s->messages[number % s->count];
}

static inline bool bench_script_is(const bench_script *s, uint64_t number, const void *data, size_t len) {
    const bench_script_message *m = bench_script_at(s, number);
    return m->len == len && __builtin_memcmp(m->data, data, len) == 0;
}

#endif
