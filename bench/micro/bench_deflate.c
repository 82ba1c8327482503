/*
 * What does permessage-deflate cost, and what does it give? Messages of four kinds through every mode of ours, beside
 * zlib level 1 with a state of its own for each connection, as most servers have it.
 *
 *     MB/s    plain bytes per second of CPU, compressing and inflating
 *     ratio   bytes on the wire / plain bytes, of all messages; those that go plain count as they are
 *     bytes   heap held between two messages by one connection that has said and heard all of them
 *
 * A round goes through everything once; figures are medians over the rounds.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "base/status.h"
#include "ws/deflate.h"
#include "ws/inflate.h"

enum { ROUNDS = 9, MESSAGES = 1000, MESSAGE_BYTES_MAX = 80 * 1024 };

/* deflateInit2 with 15 bits and memLevel 8: 268 KB; inflateInit2: 7 KB, and 32 KiB with its window (zlib's zconf.h). */
enum { ZLIB_STATES_BYTES = (1 << 17) + (1 << 17) + 6 * 1024 + 7 * 1024 + 32 * 1024 };

typedef struct corpus {
    const char *name;
    uint8_t *data[MESSAGES];
    size_t len[MESSAGES], count, bytes;
} corpus;

/* ---- material ---- */

static uint64_t random_next(void) {
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static unsigned below(unsigned n) {
    return (unsigned)(random_next() >> 20) % n;
}

/* A few words are said often, most seldom, as people do. */
static const char *word(void) {
    static const char *const words[] = {
        "the",    "to",    "and",    "you",      "is",     "that",   "it",       "of",    "we",     "in",     "for",
        "have",   "on",    "are",    "with",     "this",   "not",    "can",      "be",    "just",   "what",   "if",
        "time",   "think", "server", "message",  "should", "people", "tomorrow", "maybe", "really", "please", "because",
        "thanks", "today", "coffee", "question", "answer", "review", "friday",   "never", "always", "sounds", "good"};
    unsigned n = (unsigned)(sizeof words / sizeof *words), a = below(n), b = below(n);
    return words[a < b ? a : b];
}

static size_t put_chat(char *out) {
    size_t len = (size_t)sprintf(out,
                                 "{\"type\":\"message\",\"room\":\"lobby-%u\",\"user\":{\"id\":%u,\"name\":\"user%u\"},"
                                 "\"ts\":17000%08u,\"text\":\"",
                                 below(20), below(5000), below(300), below(100000000));
    for (unsigned n = 3 + below(25); n > 0; n--)
        len += (size_t)sprintf(out + len, "%s ", word());
    return len + (size_t)sprintf(out + len, "\"}");
}

static size_t put_game(char *out) {
    size_t len = (size_t)sprintf(out, "{\"tick\":%u,\"players\":[", below(1000000));
    for (unsigned n = 4 + below(16), i = n; i > 0; i--)
        len += (size_t)sprintf(out + len, "%s{\"id\":%u,\"x\":%u.%u,\"y\":%u.%u,\"hp\":%u,\"dir\":\"%s\"}",
                               i < n ? "," : "", below(64), below(1000), below(10), below(1000), below(10), below(100),
                               below(2) ? "left" : "right");
    return len + (size_t)sprintf(out + len, "]}");
}

static size_t put_stock(char *out) {
    size_t len = (size_t)sprintf(out, "{\"symbol\":\"%c%c%c\",\"ts\":17000%08u,\"bids\":[", 'A' + (int)below(4),
                                 'A' + (int)below(4), 'A' + (int)below(4), below(100000000));
    for (unsigned n = 3 + below(20), i = n, price = 10000 + below(500); i > 0; i--, price -= below(4))
        len +=
            (size_t)sprintf(out + len, "%s[%u.%02u,%u]", i < n ? "," : "", price / 100, price % 100, 100 * below(90));
    return len + (size_t)sprintf(out + len, "]}");
}

static size_t put_page(char *out) {
    size_t len = 0;
    while (len < 64 * 1024)
        len += put_chat(out + len);
    return len;
}

static void make_corpus(corpus *c, const char *name, size_t (*put)(char *out), size_t count) {
    static char text[MESSAGE_BYTES_MAX];
    *c = (corpus) {.name = name, .count = count};
    for (size_t i = 0; i < count; i++) {
        c->len[i] = put(text);
        c->data[i] = malloc(c->len[i]);
        memcpy(c->data[i], text, c->len[i]);
        c->bytes += c->len[i];
    }
}

/* ---- ways ---- */

typedef struct figures {
    double deflate_mb[ROUNDS], inflate_mb[ROUNDS];
    size_t wire_bytes, memory;
} figures;

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What was made of each message, to be read back; len 0: it went plain. */
static struct {
    uint8_t *data[MESSAGES];
    size_t len[MESSAGES];
} wire;

static void put_wire(size_t i, const uint8_t *data, size_t len) {
    free(wire.data[i]);
    wire.data[i] = malloc(len + 4);
    memcpy(wire.data[i], data, len);
    memcpy(wire.data[i] + len, "\0\0\xff\xff", 4);
    wire.len[i] = len;
}

static void zlib_round(const corpus *c, figures *f, int round) {
    static uint8_t room[2 * MESSAGE_BYTES_MAX];
    double spent = 0;
    for (int timed = 0; timed <= 1; timed++) {
        z_stream out = {0};
        deflateInit2(&out, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
        f->wire_bytes = 0;
        double started = cpu_ns();
        for (size_t i = 0; i < c->count; i++) {
            out.next_in = c->data[i];
            out.avail_in = (uInt)c->len[i];
            out.next_out = room;
            out.avail_out = sizeof room;
            deflate(&out, Z_SYNC_FLUSH);
            size_t len = sizeof room - out.avail_out - 4;
            if (!timed)
                put_wire(i, room, len);
            f->wire_bytes += len;
        }
        spent = cpu_ns() - started;
        deflateEnd(&out);
    }
    f->deflate_mb[round] = (double)c->bytes * 1e3 / spent;
    z_stream in = {0};
    inflateInit2(&in, -15);
    double started = cpu_ns();
    for (size_t i = 0; i < c->count; i++) {
        in.next_in = wire.data[i];
        in.avail_in = (uInt)wire.len[i] + 4;
        in.next_out = room;
        in.avail_out = sizeof room;
        inflate(&in, Z_SYNC_FLUSH);
        if (sizeof room - in.avail_out != c->len[i])
            abort();
    }
    f->inflate_mb[round] = (double)c->bytes * 1e3 / (cpu_ns() - started);
    inflateEnd(&in);
    f->memory = ZLIB_STATES_BYTES;
}

typedef struct way {
    const char *name;
    bool takeover_out, takeover_in;
    unsigned bits;
} way;

static const way ways[] = {
    {"no takeover", false, false, 15},      {"shared", false, true, 12},
    {"dedicated, 10 bits", true, true, 10}, {"dedicated, 12 bits", true, true, 12},
    {"dedicated, 15 bits", true, true, 15},
};

enum { WAYS = sizeof ways / sizeof *ways };

/* All messages through one compressor: the bytes on the wire; with `keep` they are kept for reading. */
static size_t deflate_all(const corpus *c, wf_deflate *out, bool keep) {
    size_t wire_bytes = 0;
    for (size_t i = 0; i < c->count; i++) {
        const uint8_t *made;
        size_t len;
        bool plain = wf_deflate_message(out, c->data[i], c->len[i], &made, &len) != WF_OK;
        if (keep)
            put_wire(i, made, plain ? 0 : len);
        wire_bytes += plain ? c->len[i] : len;
    }
    return wire_bytes;
}

static size_t inflate_all(const corpus *c, wf_inflate *in, wf_buf *room) {
    size_t inflated = 0;
    for (size_t i = 0; i < c->count; i++) {
        room->len = 0;
        if (wire.len[i] == 0)
            continue;
        if (wf_inflate_piece(in, wire.data[i], wire.len[i], true, room, MESSAGE_BYTES_MAX) != WF_OK ||
            room->len != c->len[i])
            abort();
        inflated += room->len;
    }
    return inflated;
}

static void our_round(const corpus *c, const way *w, const char *library, figures *f, int round) {
    wf_codec codec;
    wf_deflate out, client;
    wf_inflate in;
    wf_buf room = {0};
    wf_codec_init(&codec);
    if (library)
        wf_codec_use(&codec, library);
    wf_deflate_init(&client, &codec, w->bits, w->takeover_in, 1);
    wf_inflate_init(&in, &codec, w->takeover_in ? w->bits : 0);
    deflate_all(c, &client, true);
    double started = cpu_ns();
    size_t inflated = inflate_all(c, &in, &room);
    f->inflate_mb[round] = (double)inflated * 1e3 / (cpu_ns() - started);

    wf_deflate_init(&out, &codec, w->bits, w->takeover_out, 1);
    started = cpu_ns();
    f->wire_bytes = deflate_all(c, &out, false);
    f->deflate_mb[round] = (double)c->bytes * 1e3 / (cpu_ns() - started);
    f->memory = sizeof out + sizeof in + malloc_usable_size(out.window.data) + malloc_usable_size(in.window.data);
    wf_deflate_deinit(&client);
    wf_deflate_deinit(&out);
    wf_inflate_deinit(&in);
    wf_codec_deinit(&codec);
    wf_buf_deinit(&room);
}

/* ---- report ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *rounds) {
    qsort(rounds, ROUNDS, sizeof *rounds, by_value);
    return rounds[ROUNDS / 2];
}

/* Of each round, ours over zlib's. */
static double ratio_of(const double *ours, const double *zlibs) {
    double ratios[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ratios[i] = ours[i] / zlibs[i];
    return median(ratios);
}

static void report(const char *name, const corpus *c, figures *f, const figures *zlibs) {
    double faster = ratio_of(f->deflate_mb, zlibs->deflate_mb);
    printf("  %-26s %7.0f MB/s %5.2f x   ratio %.3f   inflate %5.0f MB/s %9zu bytes\n", name, median(f->deflate_mb),
           faster, (double)f->wire_bytes / (double)c->bytes, median(f->inflate_mb), f->memory);
}

static void run(const corpus *c) {
    static figures zlibs, ours[WAYS], fallback[WAYS];
    for (int round = 0; round < ROUNDS; round++) {
        zlib_round(c, &zlibs, round);
        for (size_t i = 0; i < WAYS; i++)
            our_round(c, &ways[i], NULL, &ours[i], round);
        for (size_t i = 0; i < WAYS; i++)
            our_round(c, &ways[i], "zlib", &fallback[i], round);
    }
    figures baseline = zlibs;
    printf("\n%s: %zu messages of %zu bytes on average\n", c->name, c->count, c->bytes / c->count);
    report("zlib 1, a state each", c, &zlibs, &baseline);
    for (size_t i = 0; i < WAYS; i++)
        report(ways[i].name, c, &ours[i], &baseline);
    char name[64];
    for (size_t i = 0; i < WAYS; i++) {
        snprintf(name, sizeof name, "%s (zlib)", ways[i].name);
        report(name, c, &fallback[i], &baseline);
    }
}

int main(void) {
    static corpus c;
    printf("permessage-deflate: MB/s of plain bytes a second of CPU, times zlib level 1 in the same round; bytes on "
           "the wire\n"
           "over plain bytes; bytes held by a connection between two messages. Compressor: %s.\n",
           wf_zip_compressors(0)->name);
    make_corpus(&c, "chat", put_chat, MESSAGES);
    run(&c);
    make_corpus(&c, "game", put_game, MESSAGES);
    run(&c);
    make_corpus(&c, "stock", put_stock, MESSAGES);
    run(&c);
    make_corpus(&c, "64 KiB", put_page, 20);
    run(&c);
    return 0;
}
