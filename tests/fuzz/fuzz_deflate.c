/*
 * Round trips through permessage-deflate: what any library compresses is read by the slow reader and by every
 * library, in any cut, and refers no further back than was promised.
 *
 * An input: window bits (4 bits), takeover (1 bit); the shortest message to compress; which allocation fails in one
 * more run; then messages: a byte that tells how (0-127: as many bytes of the input; else a text made of the next
 * bytes, repeated; 224 and up: perhaps a long one).
 */
#include "slow_inflate.h"
#include "zips.h"

#include "base/status.h"
#include "ws/deflate.h"

#include <stdlib.h>

enum { MESSAGES_MAX = 12 };

typedef struct job {
    fuzz_input all;
    unsigned window_bits;
    bool takeover;
    uint32_t bytes_min;
    fuzz_bytes messages[MESSAGES_MAX];
    size_t count;
} job;

/* Pieces of the next bytes, near and far, with a number in between so that not all is the same. */
static void put_repeated(fuzz_bytes *out, fuzz_input *in, bool long_one) {
    size_t len = (size_t)fuzz_number(in, 2);
    len = long_one ? len : len & 1023;
    fuzz_input text = fuzz_take(in, fuzz_byte(in) & 63);
    uint64_t seed = len + text.len;
    while (out->len < len) {
        uint64_t r = test_random(&seed);
        uint8_t number[2] = {(uint8_t)r, (uint8_t)(r >> 8)};
        size_t from = text.len ? (r >> 16) % text.len : 0, most = text.len - from;
        fuzz_put(out, text.data + from, most);
        fuzz_put(out, number, 1 + (r >> 32 & 1));
    }
}

static void read_input(job *j, fuzz_input in) {
    j->all = in;
    uint8_t choices = fuzz_byte(&in);
    j->bytes_min = fuzz_byte(&in);
    fuzz_byte(&in);
    j->window_bits = 8 + (choices & 7);
    j->takeover = choices & 8;
    while (in.len > 0 && j->count < MESSAGES_MAX) {
        fuzz_bytes *message = &j->messages[j->count++];
        uint8_t how = fuzz_byte(&in);
        if (how < 128) {
            fuzz_input bytes = fuzz_take(&in, how);
            fuzz_put(message, bytes.data, bytes.len);
        } else {
            put_repeated(message, &in, how >= 224);
        }
    }
}

/* One connection: a compressor, and who reads it. */
typedef struct line {
    wf_codec codec, peer_codec;
    wf_deflate deflate;
    wf_inflate inflate;
    fuzz_bytes said; /* compressed messages, plain */
} line;

/* What the slow reader makes of it. */
static void check_slowly(line *l, const job *j, const fuzz_bytes *message, fuzz_input wire) {
    size_t before = l->said.len, window = j->takeover ? (size_t)1 << j->window_bits : 0;
    slow_inflate got = slow_inflate_message(wire.data, wire.len, before < window ? before : window, &l->said);
    CHECK(!got.corrupt && !got.grey && got.far <= (size_t)1 << j->window_bits);
    CHECK_BYTES(l->said.data + before, l->said.len - before, message->data, message->len);
}

static void check_peer(line *l, const fuzz_bytes *message, fuzz_input wire, fuzz_cuts *cuts) {
    fuzz_bytes log = {0}, owed = {0};
    fuzz_log(&owed, 'M', 0, message->data, message->len);
    zips_inflate(&l->inflate, &wire, cuts, message->len, &log);
    fuzz_log_equal(&log, &owed, "round trip");
    fuzz_free(&log);
    fuzz_free(&owed);
}

static void run(const job *j, const char *from, const char *to, fuzz_cuts cuts, bool failing) {
    line l = {0};
    size_t memory_before = test_mem_bytes();
    zips_codec_init(&l.codec, from);
    zips_codec_init(&l.peer_codec, to);
    wf_deflate_init(&l.deflate, &l.codec, j->window_bits, j->takeover, j->bytes_min);
    wf_inflate_init(&l.inflate, &l.peer_codec, j->takeover ? j->window_bits : 0);
    for (size_t i = 0; i < j->count; i++) {
        const fuzz_bytes *message = &j->messages[i];
        fuzz_input wire;
        uint8_t *exact = fuzz_exact(message->data, message->len);
        int got = wf_deflate_message(&l.deflate, exact, message->len, &wire.data, &wire.len);
        free(exact);
        CHECK(got == WF_OK || got == WF_FULL);
        if (got == WF_OK) {
            CHECK(message->len >= j->bytes_min && wire.len > 0 && wire.len < message->len);
            if (!failing && cuts.kind == FUZZ_WHOLE)
                check_slowly(&l, j, message, wire);
            if (!failing)
                check_peer(&l, message, wire, &cuts);
        }
        wf_window_check(&l.deflate.window);
        CHECK(l.deflate.window.len <= (j->takeover ? 1u << j->window_bits : 0));
        CHECK(test_mem_bytes() - memory_before <= wf_codec_memory(&l.codec) + wf_codec_memory(&l.peer_codec) +
                                                      wf_inflate_memory(&l.inflate) + l.deflate.window.cap);
    }
    wf_deflate_deinit(&l.deflate);
    wf_inflate_deinit(&l.inflate);
    wf_codec_deinit(&l.codec);
    wf_codec_deinit(&l.peer_codec);
    CHECK_EQ(test_mem_bytes(), memory_before);
    fuzz_free(&l.said);
}

typedef struct pair {
    const job *j;
    const char *from;
    int kind; /* of cut */
} pair;

static void run_to(const char *library, void *user) {
    pair *p = user;
    p->kind = p->kind == FUZZ_SMALL ? FUZZ_MIXED : FUZZ_SMALL;
    run(p->j, p->from, library, fuzz_cuts_of(library ? p->kind : FUZZ_WHOLE, p->j->all), false);
}

static void run_from(const char *library, void *user) {
    pair p = {user, library, FUZZ_SMALL};
    if (library)
        zips_each_library(run_to, &p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    job j = {0};
    test_mem_fail_at(0);
    read_input(&j, (fuzz_input) {data, size});
    zips_each_library(run_from, &j);
    if (size > 2 && data[2] > 0) {
        test_mem_fail_at(data[2]);
        run(&j, NULL, NULL, fuzz_cuts_of(FUZZ_WHOLE, j.all), true);
        test_mem_fail_at(0);
    }
    for (size_t i = 0; i < j.count; i++)
        fuzz_free(&j.messages[i]);
    return 0;
}
