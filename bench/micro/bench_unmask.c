/*
 * How fast is unmasking? Every kernel this processor runs, in place, over texts of four scripts and four
 * sizes, beside memcpy; then what short messages and a stream cut into odd chunks cost.
 *
 * All figures are medians over rounds, and a round goes through everything once, so that a slow moment of the
 * machine falls on all alike. The key is 0, which costs what any key costs and leaves a text that can be
 * checked again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ws/unmask.h"

enum {
    ROUNDS = 9,
    SCRIPTS = 4,
    SIZES = 4,
    KERNELS_MAX = 3,
    TEXT_BYTES = 1 << 20,
    ROUND_NS = 1500000, /* about what one figure takes in one round */
    L1_BYTES = 16384,
    MESSAGES = 4096,
    MESSAGE_BYTES_MAX = 125,
    CHUNK_BYTES = 37
};

static const size_t sizes[SIZES] = {256, 1024, 16384, TEXT_BYTES};
static const char *const script_names[SCRIPTS] = {"ASCII", "Latin", "CJK", "emoji"};
static const uint8_t key_zero[4];

static uint8_t *texts[SCRIPTS], *copy;

/* Messages lie one after another; those of `mixed` are of any script, and whole. */
typedef struct batch {
    uint8_t *data;
    size_t starts[MESSAGES + 1];
} batch;

static batch ascii, mixed;

typedef struct figure {
    double rounds[ROUNDS];
} figure;

static struct {
    figure copy[SIZES];
    figure mask[KERNELS_MAX][SIZES], check[KERNELS_MAX][SIZES][SCRIPTS];
    figure message[KERNELS_MAX][3], chunks[KERNELS_MAX][SCRIPTS];
} figures;

static uint64_t random_next(void) {
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(figure *f) {
    qsort(f->rounds, ROUNDS, sizeof f->rounds[0], by_value);
    return f->rounds[ROUNDS / 2];
}

/* ---- material ---- */

static size_t put_scalar(uint8_t *p, uint32_t c) {
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (len == 1) {
        p[0] = (uint8_t)c;
        return 1;
    }
    for (size_t i = len; i-- > 1; c >>= 6)
        p[i] = (uint8_t)(0x80 | (c & 0x3F));
    p[0] = (uint8_t)(0xF0 << (4 - len) | c);
    return len;
}

static uint32_t letter(int script) {
    uint32_t r = (uint32_t)(random_next() >> 20);
    switch (script) {
    case 0:
        return 0x20 + r % 0x5F;
    case 1: /* one letter in three carries an accent */
        return r % 3 ? 0x61 + r / 3 % 26 : 0xC0 + r / 3 % 0x40;
    case 2:
        return 0x4E00 + r % 0x5000;
    default:
        return 0x1F300 + r % 0x2FF;
    }
}

/* Exactly `len` bytes of whole characters; ASCII fills what is too short for one more. */
static void put_text(uint8_t *p, size_t len, int script) {
    for (size_t at = 0; at < len;)
        at += put_scalar(p + at, letter(len - at >= 4 ? script : 0));
}

static void make_material(void) {
    copy = malloc(TEXT_BYTES);
    for (int s = 0; s < SCRIPTS; s++) {
        texts[s] = malloc(TEXT_BYTES);
        put_text(texts[s], TEXT_BYTES, s);
    }
    ascii.data = malloc(MESSAGES * MESSAGE_BYTES_MAX);
    mixed.data = malloc(MESSAGES * MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < MESSAGES; i++) {
        size_t start = ascii.starts[i], len = 1 + random_next() % MESSAGE_BYTES_MAX;
        put_text(ascii.data + start, len, 0);
        put_text(mixed.data + start, len, (int)(random_next() % SCRIPTS));
        ascii.starts[i + 1] = mixed.starts[i + 1] = start + len;
    }
}

/* ---- measuring ---- */

typedef enum { COPY, MASK, CHECK } work;

static void must(int result) {
    if (result != 0) {
        fprintf(stderr, "bench_unmask: right text was refused\n");
        exit(1);
    }
}

/* GB/s of one kind of work over texts of `bytes`, in place. Short ones lie side by side in a first-level
 * cache: to read back at once what was just written would measure the store buffer. They need not begin at a
 * character. */
static double speed(const wf_unmask_kernel *k, work what, int script, size_t bytes) {
    size_t window = bytes > L1_BYTES ? bytes : L1_BYTES;
    uint64_t done = 0;
    double start = now_ns(), end;
    do {
        for (size_t at = 0; at + bytes <= window; at += bytes, done += bytes) {
            uint8_t *text = texts[script] + at;
            wf_utf8 utf8 = {0};
            if (what == COPY)
                memcpy(copy + at, text, bytes);
            else if (what == MASK)
                k->mask(text, text, bytes, key_zero, 0);
            else
                (void)k->mask_utf8(text, text, bytes, key_zero, 0, &utf8);
            __asm__ volatile("" ::: "memory");
        }
        end = now_ns();
    } while (end - start < ROUND_NS);
    return (double)done / (end - start);
}

/* ns for one message of 1..125 bytes. */
static double message_ns(const wf_unmask_kernel *k, const batch *b, bool check) {
    double start = now_ns(), end;
    size_t done = 0;
    do {
        for (size_t i = 0; i < MESSAGES; i++) {
            uint8_t *p = b->data + b->starts[i];
            size_t len = b->starts[i + 1] - b->starts[i];
            wf_utf8 utf8 = {0};
            if (check)
                must(k->mask_utf8(p, p, len, key_zero, 0, &utf8));
            else
                k->mask(p, p, len, key_zero, 0);
        }
        done += MESSAGES;
        end = now_ns();
    } while (end - start < ROUND_NS);
    return (end - start) / (double)done;
}

/* GB/s of a text that comes in chunks of 37 bytes. */
static double chunk_speed(const wf_unmask_kernel *k, int script) {
    uint8_t *text = texts[script];
    double start = now_ns(), end;
    uint64_t done = 0;
    do {
        wf_utf8 utf8 = {0};
        for (size_t at = 0; at + CHUNK_BYTES <= 16384; at += CHUNK_BYTES, done += CHUNK_BYTES)
            must(k->mask_utf8(text + at, text + at, CHUNK_BYTES, key_zero, at, &utf8));
        end = now_ns();
    } while (end - start < ROUND_NS);
    return (double)done / (end - start);
}

static void measure(int round) {
    const wf_unmask_kernel *k;
    for (int size = 0; size < SIZES; size++) {
        figures.copy[size].rounds[round] = speed(NULL, COPY, 0, sizes[size]);
        for (size_t i = 0; (k = wf_unmask_kernels(i)) != NULL; i++) {
            figures.mask[i][size].rounds[round] = speed(k, MASK, 0, sizes[size]);
            for (int s = 0; s < SCRIPTS; s++)
                figures.check[i][size][s].rounds[round] = speed(k, CHECK, s, sizes[size]);
        }
    }
    for (size_t i = 0; (k = wf_unmask_kernels(i)) != NULL; i++) {
        figures.message[i][0].rounds[round] = message_ns(k, &ascii, false);
        figures.message[i][1].rounds[round] = message_ns(k, &ascii, true);
        figures.message[i][2].rounds[round] = message_ns(k, &mixed, true);
        for (int s = 0; s < SCRIPTS; s++)
            figures.chunks[i][s].rounds[round] = chunk_speed(k, s);
    }
}

/* ---- telling ---- */

static void tell(void) {
    const wf_unmask_kernel *k;
    printf("GB/s in place; medians of %d rounds\n\n", ROUNDS);
    printf("%-10s %8s %8s %8s |  mask_utf8:", "kernel", "bytes", "memcpy", "mask");
    for (int s = 0; s < SCRIPTS; s++)
        printf(" %8s", script_names[s]);
    printf("\n");
    for (int size = 0; size < SIZES; size++) {
        double copied = median(&figures.copy[size]);
        for (size_t i = 0; (k = wf_unmask_kernels(i)) != NULL; i++) {
            printf("%-10s %8zu %8.1f %8.1f | %11s", k->name, sizes[size], copied, median(&figures.mask[i][size]), "");
            for (int s = 0; s < SCRIPTS; s++)
                printf(" %8.1f", median(&figures.check[i][size][s]));
            printf("\n");
        }
    }
    printf("\nns a message of 1..%d bytes, and GB/s of a stream in chunks of %d bytes\n\n", MESSAGE_BYTES_MAX,
           CHUNK_BYTES);
    printf("%-10s %8s %10s %10s |     chunks:", "kernel", "mask", "ASCII+utf8", "mixed+utf8");
    for (int s = 0; s < SCRIPTS; s++)
        printf(" %8s", script_names[s]);
    printf("\n");
    for (size_t i = 0; (k = wf_unmask_kernels(i)) != NULL; i++) {
        printf("%-10s %8.1f %10.1f %10.1f | %11s", k->name, median(&figures.message[i][0]),
               median(&figures.message[i][1]), median(&figures.message[i][2]), "");
        for (int s = 0; s < SCRIPTS; s++)
            printf(" %8.2f", median(&figures.chunks[i][s]));
        printf("\n");
    }
}

int main(void) {
    make_material();
    for (int round = 0; round < ROUNDS; round++)
        measure(round);
    tell();
    for (int s = 0; s < SCRIPTS; s++)
        free(texts[s]);
    free(copy);
    free(ascii.data);
    free(mixed.data);
    return 0;
}
