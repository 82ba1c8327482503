#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char context[256];

void test_context(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
}

void test_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "\n%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "%s%s\n", context[0] ? "\n    in " : "", context);
    va_end(args);
    abort();
}

uint64_t test_random(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* ---- reading choices ---- */

uint8_t fuzz_byte(fuzz_input *in) {
    if (in->len == 0)
        return 0;
    in->len--;
    return *in->data++;
}

uint64_t fuzz_number(fuzz_input *in, int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++)
        number = number << 8 | fuzz_byte(in);
    return number;
}

fuzz_input fuzz_take(fuzz_input *in, size_t len) {
    fuzz_input taken = {in->data, len < in->len ? len : in->len};
    in->data += taken.len;
    in->len -= taken.len;
    return taken;
}

/* ---- bytes ---- */

void fuzz_put(fuzz_bytes *bytes, const void *data, size_t len) {
    if (len == 0)
        return;
    if (bytes->len + len > bytes->cap) {
        bytes->cap = 2 * (bytes->len + len) + 256;
        bytes->data = realloc(bytes->data, bytes->cap);
        CHECK(bytes->data != NULL);
    }
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

void fuzz_free(fuzz_bytes *bytes) {
    free(bytes->data);
    *bytes = (fuzz_bytes) {0};
}

uint8_t *fuzz_exact(const void *data, size_t len) {
    uint8_t *block = malloc(len);
    CHECK(block != NULL);
    if (len > 0)
        memcpy(block, data, len);
    return block;
}

/* ---- logs ---- */

typedef struct log_head {
    uint32_t len;
    int16_t code;
    char kind;
} log_head;

void fuzz_log(fuzz_bytes *log, char kind, int code, const void *data, size_t len) {
    log_head head = {0};
    head.len = (uint32_t)len;
    head.code = (int16_t)code;
    head.kind = kind;
    fuzz_put(log, &head, sizeof head);
    fuzz_put(log, data, len);
}

static void print_log(const char *name, const fuzz_bytes *log) {
    log_head head;
    fprintf(stderr, "%s:\n", name);
    for (size_t at = 0; at + sizeof head <= log->len; at += head.len) {
        memcpy(&head, log->data + at, sizeof head);
        at += sizeof head;
        fprintf(stderr, "  %c %d, %u bytes: ", head.kind, head.code, head.len);
        for (size_t i = 0; i < head.len && i < 60 && at + i < log->len; i++) {
            uint8_t byte = log->data[at + i];
            fprintf(stderr, byte >= ' ' && byte < 0x7f ? "%c" : "<%02x>", byte);
        }
        fprintf(stderr, "\n");
    }
}

void fuzz_log_begins(const fuzz_bytes *log, const fuzz_bytes *whole, const char *what) {
    if (log->len <= whole->len && (log->len == 0 || memcmp(log->data, whole->data, log->len) == 0))
        return;
    print_log("expected", whole);
    print_log("got", log);
    test_fail(__FILE__, __LINE__, "%s: the logs differ", what);
}

void fuzz_log_equal(const fuzz_bytes *log, const fuzz_bytes *expected, const char *what) {
    fuzz_log_begins(log, expected, what);
    fuzz_log_begins(expected, log, what);
}

/* ---- cutting ---- */

fuzz_cuts fuzz_cuts_of(int kind, fuzz_input input) {
    uint64_t hash = 0xCBF29CE484222325u + (uint64_t)kind;
    for (size_t i = 0; i < input.len; i++)
        hash = (hash ^ input.data[i]) * 0x100000001B3u;
    return (fuzz_cuts) {kind, hash};
}

size_t fuzz_cut(fuzz_cuts *cuts, size_t left) {
    size_t len = left;
    uint64_t r;
    switch (cuts->kind) {
    case FUZZ_BYTEWISE:
        len = 1;
        break;
    case FUZZ_SMALL:
        len = 1 + test_random(&cuts->seed) % 9;
        break;
    case FUZZ_MIXED:
        r = test_random(&cuts->seed);
        len = r % 4 == 0 ? 1 : r % 4 == 1 ? 1 + (r >> 8) % 17 : 1 + (r >> 8) % (1 + left / 2 + 8);
        break;
    default:
        break;
    }
    return len < left ? len : left;
}

/* ---- UTF-8 ---- */

size_t fuzz_utf8_possible(const uint8_t *text, size_t len, bool *out_complete) {
    /* The well-formed sequences (Unicode, chapter 3.9): first byte, range of the second, length. */
    static const uint8_t rows[][5] = {
        {0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    size_t at = 0;
    *out_complete = false;
    while (at < len) {
        const uint8_t *row = NULL;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (text[at] >= rows[i][0] && text[at] <= rows[i][1])
                row = rows[i];
        if (!row)
            return at;
        size_t width = row[4];
        for (size_t i = 1; i < width; i++) {
            if (at + i == len)
                return len;
            uint8_t low = i == 1 ? row[2] : 0x80, high = i == 1 ? row[3] : 0xBF;
            if (text[at + i] < low || text[at + i] > high)
                return at + i;
        }
        at += width;
    }
    *out_complete = true;
    return len;
}
