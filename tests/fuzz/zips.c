#include "zips.h"

#include "base/status.h"

#include <stdlib.h>

bool zips_inflate(wf_inflate *inflate, const fuzz_input *message, fuzz_cuts *cuts, uint64_t bytes_max,
                  fuzz_bytes *log) {
    wf_buf out = WF_BUF_INIT;
    size_t at = 0, pieces = 0;
    int got = WF_OK;
    /* The end comes with the last bytes, or alone behind them. */
    bool alone = message->len == 0 || test_random(&cuts->seed) % 4 == 0;
    for (size_t len; got == WF_OK && (len = fuzz_cut(cuts, message->len - at)) > 0; at += len, pieces++) {
        uint8_t *piece = fuzz_exact(message->data + at, len);
        got = wf_inflate_piece(inflate, piece, len, !alone && at + len == message->len, &out, bytes_max);
        free(piece);
        CHECK(out.len <= bytes_max + 1);
        CHECK(out.cap <= (bytes_max + 1) * 9 / 8 + 4096);
        wf_window_check(&inflate->window);
    }
    if (got == WF_OK && alone) {
        uint8_t *nothing = fuzz_exact(NULL, 0);
        got = wf_inflate_piece(inflate, nothing, 0, true, &out, bytes_max);
        free(nothing);
    }
    CHECK(inflate->lent == NULL); /* over, this way or that: given back */
    CHECK(got == WF_OK || got == WF_ERROR || got == WF_ENOMEM || (got == WF_FULL && out.len == bytes_max + 1));
    if (got == WF_OK)
        fuzz_log(log, 'M', 0, out.data, out.len);
    else
        fuzz_log(log, '!', got, NULL, 0);
    wf_buf_deinit(&out);
    return got == WF_OK;
}

void zips_codec_init(wf_codec *codec, const char *library) {
    wf_codec_init(codec);
    if (library)
        CHECK_EQ(wf_codec_use(codec, library), WF_OK);
}

void zips_each_library(void (*run)(const char *library, void *user), void *user) {
    const wf_decompressor *d;
    run(NULL, user);
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++)
        run(d->name, user);
}
