#include "ws/codec.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"

enum { ROOM_KEPT = 256 * 1024 };

void wf_codec_init(wf_codec *codec) {
    *codec = (wf_codec) {.compressor = wf_zip_compressors(0)};
    codec->small.library = codec->large.library = wf_zip_decompressors(0);
    for (size_t i = 1; wf_zip_decompressors(i); i++)
        codec->large.library = wf_zip_decompressors(i);
}

static void free_state(wf_inflating *inflating) {
    inflating->library->free(inflating->state);
    inflating->state = NULL;
}

void wf_codec_deinit(wf_codec *codec) {
    if (codec->compressor_state)
        codec->compressor->free(codec->compressor_state);
    codec->compressor_state = NULL;
    free_state(&codec->small);
    free_state(&codec->large);
    wf_buf_deinit(&codec->deflated);
    wf_buf_deinit(&codec->inflated);
}

int wf_codec_use(wf_codec *codec, const char *name) {
    wf_assert(!codec->compressor_state && !codec->small.state && !codec->large.state);
    const wf_compressor *compressor;
    const wf_decompressor *decompressor;
    for (size_t i = 0; (compressor = wf_zip_compressors(i)); i++)
        if (wf_str_eq(wf_str_of(compressor->name), wf_str_of(name)))
            codec->compressor = compressor;
    for (size_t i = 0; (decompressor = wf_zip_decompressors(i)); i++)
        if (wf_str_eq(wf_str_of(decompressor->name), wf_str_of(name)))
            codec->small.library = codec->large.library = decompressor;
    return wf_str_eq(wf_str_of(codec->compressor->name), wf_str_of(name)) ? WF_OK : WF_EINVAL;
}

size_t wf_codec_deflate(wf_codec *codec, const wf_zip_job *job) {
    if (!codec->compressor_state)
        codec->compressor_state = codec->compressor->new ();
    return codec->compressor_state ? codec->compressor->run(codec->compressor_state, job) : 0;
}

int wf_codec_borrow(wf_codec *codec, bool large, const uint8_t *history, size_t history_len, wf_inflating *out_lent) {
    wf_inflating *from = large ? &codec->large : &codec->small, lent = *from;
    if (!lent.state && !(lent.state = lent.library->new ()))
        return WF_ENOMEM;
    from->state = NULL;
    if (lent.library->begin(lent.state, history, history_len) < 0) {
        wf_codec_give_back(codec, &lent);
        return WF_ENOMEM;
    }
    *out_lent = lent;
    return WF_OK;
}

void wf_codec_give_back(wf_codec *codec, wf_inflating *lent) {
    wf_inflating *to = lent->library == codec->small.library ? &codec->small : &codec->large;
    if (to->state)
        lent->library->free(lent->state);
    else
        to->state = lent->state;
    lent->state = NULL;
}

void wf_codec_shrink(wf_buf *room) {
    if (room->cap > ROOM_KEPT)
        wf_buf_deinit(room);
    room->len = 0;
}

size_t wf_codec_memory(const wf_codec *codec) {
    return codec->deflated.cap + codec->inflated.cap + (codec->compressor_state ? codec->compressor->memory : 0) +
           (codec->small.state ? codec->small.library->memory : 0) +
           (codec->large.state ? codec->large.library->memory : 0);
}
