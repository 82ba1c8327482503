/*
 * Every kernel against a byte loop and a slow UTF-8 judge, and so against one another: masking alone, validation alone,
 * both in one pass, apart and in place, whole and in every cut in two, or in random pieces. Texts stand at the end of
 * blocks of their exact size.
 *
 * An input: offset (2 bits) and alignment (5 bits), four bytes of key, the text.
 */
#include "base/status.h"
#include "fuzz.h"
#include "ws/unmask.h"

#include <stdlib.h>

typedef struct job {
    const wf_unmask_kernel *kernel;
    const uint8_t *text, *wire; /* plain and masked */
    size_t len, align, offset;
    const uint8_t *key;
    size_t possible; /* bytes that may begin a text */
    bool complete;
    wf_utf8 end; /* the first kernel's state behind them all */
} job;

/* A block with `align` bytes before the text, which ends with the block. */
static uint8_t *aligned(const uint8_t *bytes, size_t len, size_t align) {
    uint8_t *block = malloc(align + len);
    CHECK(block != NULL);
    if (len > 0)
        memcpy(block + align, bytes, len);
    return block;
}

/* A kernel's answer about text[from, to): `before` it all was possible. */
static void check_answer(const job *j, size_t to, int got, const wf_utf8 *utf8) {
    CHECK_EQ(got, to > j->possible ? WF_ERROR : WF_OK);
    if (got == WF_OK && to == j->len) {
        CHECK_EQ(wf_utf8_complete(utf8), j->complete);
        CHECK_EQ(utf8->state, j->end.state);
    }
}

enum { MASK, UTF8, MASK_UTF8, WAYS };

/* One piece in one way. False: refused, as it had to be. */
static bool run_piece(const job *j, int way, bool in_place, size_t from, size_t to, wf_utf8 *utf8) {
    size_t len = to - from;
    uint8_t *src = aligned((way == UTF8 ? j->text : j->wire) + from, len, j->align);
    uint8_t *dst = in_place ? src : aligned(src + j->align, len, (j->align * 5 + 3) % 32);
    uint8_t *out = dst + (in_place ? j->align : (j->align * 5 + 3) % 32), *in = src + j->align;
    int got = WF_OK;
    if (way == MASK)
        j->kernel->mask(out, in, len, j->key, j->offset + from);
    else if (way == UTF8)
        got = j->kernel->utf8(utf8, in, len);
    else
        got = j->kernel->mask_utf8(out, in, len, j->key, j->offset + from, utf8);
    if (way != MASK)
        check_answer(j, to, got, utf8);
    if (way != UTF8 && got == WF_OK)
        CHECK_BYTES(out, len, j->text + from, len);
    if (!in_place)
        free(dst);
    free(src);
    return got == WF_OK;
}

/* The text in two pieces, cut at `cut`. */
static void run_split(const job *j, int way, bool in_place, size_t cut) {
    wf_utf8 utf8 = {0};
    if (run_piece(j, way, in_place, 0, cut, &utf8))
        run_piece(j, way, in_place, cut, j->len, &utf8);
}

static void run_cuts(const job *j, int way, bool in_place, fuzz_cuts cuts) {
    wf_utf8 utf8 = {0};
    size_t at = 0;
    for (size_t len; (len = fuzz_cut(&cuts, j->len - at)) > 0; at += len)
        if (!run_piece(j, way, in_place, at, at + len, &utf8))
            break;
}

static void run_kernel(const job *j, fuzz_input all) {
    enum { EVERY_CUT_BYTES = 48 };
    for (int i = 0; i < 2 * WAYS; i++) {
        int way = i / 2;
        bool in_place = i % 2;
        run_split(j, way, in_place, 0);
        run_split(j, way, in_place, j->possible);
        if (j->len <= EVERY_CUT_BYTES && !in_place)
            for (size_t cut = 1; cut < j->len; cut++)
                run_split(j, way, in_place, cut);
        run_cuts(j, way, in_place, fuzz_cuts_of(FUZZ_SMALL, all));
        run_cuts(j, way, in_place, fuzz_cuts_of(FUZZ_MIXED, all));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input all = {data, size}, in = all;
    uint8_t choices = fuzz_byte(&in), key[4];
    for (int i = 0; i < 4; i++)
        key[i] = fuzz_byte(&in);
    job j = {.text = in.data, .len = in.len, .offset = choices & 3, .align = choices >> 2 & 31, .key = key};
    uint8_t *wire = fuzz_exact(in.data, in.len);
    for (size_t i = 0; i < in.len; i++)
        wire[i] ^= key[(j.offset + i) % 4];
    j.wire = wire;
    j.possible = fuzz_utf8_possible(j.text, j.len, &j.complete);
    j.kernel = wf_unmask_kernels(0);
    if (j.possible == j.len)
        CHECK_EQ(j.kernel->utf8(&j.end, j.text, j.len), WF_OK);
    for (size_t i = 0; (j.kernel = wf_unmask_kernels(i)); i++)
        run_kernel(&j, all);
    free(wire);
    return 0;
}
