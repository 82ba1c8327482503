/*
 * json.h - reads a JSON document (RFC 8259) into a tree.
 */
#ifndef CLI_BENCH_JSON_H
#define CLI_BENCH_JSON_H

#include <stddef.h>

typedef enum bench_json_kind {
    BENCH_JSON_NULL,
    BENCH_JSON_FALSE,
    BENCH_JSON_TRUE,
    BENCH_JSON_NUMBER,
    BENCH_JSON_STRING,
    BENCH_JSON_ARRAY,
    BENCH_JSON_OBJECT
} bench_json_kind;

/* A value, and behind it its siblings. */
typedef struct bench_json {
    bench_json_kind kind;
    const char *name;   /* of a member, NULL otherwise */
    const char *string; /* escapes above ASCII become '?' */
    double number;
    size_t count; /* of children */
    struct bench_json *child, *next;
} bench_json;

/* Reads `text`, NUL-terminated, which is changed and which the tree points into: it has to live as long. NULL when it
 * is not JSON, is nested deeper than 32, or memory is out. */
bench_json *bench_json_read(char *text);
void bench_json_free(bench_json *root); /* NULL is accepted */

/* The member "totals.rate" of an object; NULL when there is none. */
const bench_json *bench_json_at(const bench_json *root, const char *path);
double bench_json_number(const bench_json *root, const char *path, double otherwise);
const char *bench_json_string(const bench_json *root, const char *path, const char *otherwise);

#endif
