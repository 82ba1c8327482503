#include "ws/codec.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"

enum { ROOM_KEPT = 256 * 1024, WHOLE_BYTES_MIN = 256 };

void wf_codec_init(wf_codec *codec) {
    *codec = (wf_codec) {.compressor = wf_zip_compressors(0), .whole_bytes_min = WHOLE_BYTES_MIN};
    const wf_decompressor *d;
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++)
        *(d->whole_only ? &codec->whole : &codec->decompressor) = d;
}

void wf_codec_deinit(wf_codec *codec) {
    codec->compressor->free(codec->compressor_state);
    codec->decompressor->free(codec->decompressor_state);
    if (codec->whole)
        codec->whole->free(codec->whole_state);
    codec->compressor_state = codec->decompressor_state = codec->whole_state = NULL;
    wf_buf_deinit(&codec->deflated);
    wf_buf_deinit(&codec->inflated);
}

int wf_codec_use(wf_codec *codec, const char *name) {
    wf_assert(!codec->compressor_state && !codec->decompressor_state && !codec->whole_state);
    const wf_compressor *c;
    for (size_t i = 0; (c = wf_zip_compressors(i)) && !wf_str_eq(wf_str_of(c->name), wf_str_of(name));)
        i++;
    if (!c)
        return WF_EINVAL;
    codec->compressor = c;
    codec->whole_bytes_min = 0;
    if (codec->whole && !wf_str_eq(wf_str_of(codec->whole->name), wf_str_of(name)))
        codec->whole = NULL;
    return WF_OK;
}

size_t wf_codec_deflate(wf_codec *codec, const wf_zip_job *job) {
    if (!codec->compressor_state)
        codec->compressor_state = codec->compressor->new ();
    return codec->compressor_state ? codec->compressor->run(codec->compressor_state, job) : 0;
}

void *wf_codec_borrow(wf_codec *codec) {
    void *state = codec->decompressor_state;
    codec->decompressor_state = NULL;
    return state ? state : codec->decompressor->new ();
}

void wf_codec_give_back(wf_codec *codec, void *state) {
    if (codec->decompressor_state)
        codec->decompressor->free(state);
    else
        codec->decompressor_state = state;
}

void wf_codec_rest(wf_codec *codec) {
    if (codec->deflated.cap > ROOM_KEPT)
        wf_buf_deinit(&codec->deflated);
    if (codec->inflated.cap > ROOM_KEPT)
        wf_buf_deinit(&codec->inflated);
}

size_t wf_codec_memory(const wf_codec *codec) {
    return codec->deflated.cap + codec->inflated.cap +
           (codec->compressor_state ? codec->compressor->memory(codec->compressor_state) : 0) +
           (codec->decompressor_state ? codec->decompressor->memory : 0) +
           (codec->whole_state ? codec->whole->memory : 0);
}
