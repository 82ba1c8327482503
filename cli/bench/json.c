/*
 * A descent that reads in place: strings are unescaped where they stand, which only makes them shorter. Depth is
 * bounded, so recursion is.
 */
#include "cli/bench/json.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

typedef struct reader {
    char *at;
    unsigned depth;
} reader;

static void skip(reader *r) {
    r->at += strspn(r->at, " \t\r\n");
}

static bool take(reader *r, char c) {
    skip(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

/* The character behind a backslash; 0 when it is none. */
static char unescaped(reader *r) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *r->at++;
    if (c == 'u') {
        unsigned code = 0;
        for (int i = 0; i < 4; i++, r->at++) {
            if (!isxdigit((unsigned char)*r->at))
                return 0;
            code = code * 16 + (unsigned)(isdigit((unsigned char)*r->at) ? *r->at - '0' : (*r->at | 32) - 'a' + 10);
        }
        return code >= 0x20 && code < 0x7f ? (char)code : '?';
    }
    const char *found = c ? strchr(from, c) : NULL;
    return found ? to[found - from] : 0;
}

/* Behind the opening quote. Unescapes in place, which only makes it shorter. */
static char *read_string(reader *r) {
    char *start = r->at, *out = r->at;
    while (*r->at != '"') {
        char c = *r->at++;
        if ((unsigned char)c < 0x20)
            return NULL;
        if (c == '\\' && (c = unescaped(r)) == 0)
            return NULL;
        *out++ = c;
    }
    r->at++;
    *out = '\0';
    return start;
}

static bench_json *read_value(reader *r);

/* Members or elements until the closing bracket. */
static bool read_children(reader *r, bench_json *parent, char closing) {
    bench_json **last = &parent->child;
    if (take(r, closing))
        return true;
    do {
        const char *name = NULL;
        if (closing == '}' && (!take(r, '"') || !(name = read_string(r)) || !take(r, ':')))
            return false;
        bench_json *child = read_value(r);
        if (!child)
            return false;
        child->name = name;
        *last = child;
        last = &child->next;
        parent->count++;
    } while (take(r, ','));
    return take(r, closing);
}

static bool read_number(reader *r, double *out) {
    char *end;
    if (*r->at != '-' && !isdigit((unsigned char)*r->at))
        return false;
    *out = strtod(r->at, &end);
    bool ok = end > r->at && strspn(r->at, "0123456789+-.eE") >= (size_t)(end - r->at);
    r->at = end;
    return ok;
}

static bool read_word(reader *r, bench_json *v) {
    static const char *const words[] = {"null", "false", "true"};
    for (unsigned i = 0; i < 3; i++) {
        size_t len = strlen(words[i]);
        if (strncmp(r->at, words[i], len) == 0) {
            r->at += len;
            v->kind = (bench_json_kind)(BENCH_JSON_NULL + i);
            return true;
        }
    }
    v->kind = BENCH_JSON_NUMBER;
    return read_number(r, &v->number);
}

static bench_json *read_value(reader *r) {
    bench_json *v = r->depth < DEPTH_MAX ? calloc(1, sizeof *v) : NULL;
    if (!v)
        return NULL;
    bool ok;
    r->depth++;
    if (take(r, '{')) {
        v->kind = BENCH_JSON_OBJECT;
        ok = read_children(r, v, '}');
    } else if (take(r, '[')) {
        v->kind = BENCH_JSON_ARRAY;
        ok = read_children(r, v, ']');
    } else if (take(r, '"')) {
        v->kind = BENCH_JSON_STRING;
        ok = (v->string = read_string(r)) != NULL;
    } else {
        ok = read_word(r, v);
    }
    r->depth--;
    if (ok)
        return v;
    bench_json_free(v);
    return NULL;
}

bench_json *bench_json_read(char *text) {
    reader r = {.at = text};
    bench_json *root = read_value(&r);
    if (root) {
        skip(&r);
        if (*r.at == '\0')
            return root;
    }
    bench_json_free(root);
    return NULL;
}

/* Depth is bounded by the reader; siblings are a loop. */
void bench_json_free(bench_json *root) {
    while (root) {
        bench_json *next = root->next;
        bench_json_free(root->child);
        free(root);
        root = next;
    }
}

const bench_json *bench_json_at(const bench_json *root, const char *path) {
    while (root && *path) {
        size_t len = strcspn(path, ".");
        const bench_json *child = root->child;
        while (child && (!child->name || strlen(child->name) != len || strncmp(child->name, path, len) != 0))
            child = child->next;
        root = child;
        path += len + (path[len] == '.');
    }
    return root;
}

double bench_json_number(const bench_json *root, const char *path, double otherwise) {
    const bench_json *v = bench_json_at(root, path);
    return v && v->kind == BENCH_JSON_NUMBER ? v->number : otherwise;
}

const char *bench_json_string(const bench_json *root, const char *path, const char *otherwise) {
    const bench_json *v = bench_json_at(root, path);
    return v && v->kind == BENCH_JSON_STRING ? v->string : otherwise;
}
