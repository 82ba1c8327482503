/*
 * Handing over the history costs a compressor as much per byte as compressing. So no more of it is given than a few
 * times the message: the nearest part is where the references are, and the work stays in proportion to what is sent.
 */
#include "ws/deflate.h"

#include "base/status.h"

enum { HISTORY_FACTOR = 4, HISTORY_BYTES_MIN = 1024 };

/* A message of SAMPLED_BYTES_MIN is first judged by SAMPLE_BYTES from its middle: pictures and archives are not worth
 * the time. It is not tried when less than 1 part in SAMPLE_GAIN could be saved. */
enum { SAMPLED_BYTES_MIN = 16 * 1024, SAMPLE_BYTES = 4096, SAMPLE_GAIN = 32 };

void wf_deflate_init(wf_deflate *deflate, wf_codec *codec, unsigned window_bits, bool takeover, uint32_t bytes_min) {
    *deflate = (wf_deflate) {.codec = codec, .window_bits = (uint8_t)window_bits, .bytes_min = bytes_min};
    wf_window_init(&deflate->window, takeover ? window_bits : 0);
}

void wf_deflate_deinit(wf_deflate *deflate) {
    wf_window_deinit(&deflate->window);
}

static void give_history(const wf_window *window, wf_zip_job *job) {
    size_t most = job->len < WF_WINDOW_BYTES_MAX / HISTORY_FACTOR ? job->len * HISTORY_FACTOR : WF_WINDOW_BYTES_MAX;
    if (most < HISTORY_BYTES_MIN)
        most = HISTORY_BYTES_MIN;
    if (window->len == 0)
        return;
    job->history_len = window->len < most ? window->len : most;
    job->history = wf_window_bytes(window) + (window->len - job->history_len);
}

static bool is_dense(wf_codec *codec, const uint8_t *data, size_t len) {
    uint8_t out[SAMPLE_BYTES - SAMPLE_BYTES / SAMPLE_GAIN];
    wf_zip_job job = {
        .window_bits = 15, .data = data + len / 2, .len = SAMPLE_BYTES, .out = out, .out_cap = sizeof out};
    return len >= SAMPLED_BYTES_MIN && wf_codec_deflate(codec, &job) == 0;
}

void wf_deflate_note(wf_deflate *deflate, const uint8_t *data, size_t len) {
    if (wf_window_append(&deflate->window, data, len) < 0)
        wf_window_deinit(&deflate->window); /* we may forget; only the peer may not */
}

int wf_deflate_message(wf_deflate *deflate, const uint8_t *data, size_t len, const uint8_t **out_data,
                       size_t *out_len) {
    wf_codec *codec = deflate->codec;
    if (len == 0 || len < deflate->bytes_min || len > UINT32_MAX)
        return WF_FULL;
    wf_zip_job job = {.window_bits = deflate->window_bits, .data = data, .len = (uint32_t)len};
    if (job.window_bits < codec->compressor->window_bits_min) {
        /* The library knows no window so short, but a message that fits into it cannot reach out of it. */
        if (len > (size_t)1 << job.window_bits)
            return WF_FULL;
        job.window_bits = codec->compressor->window_bits_min;
    } else {
        give_history(&deflate->window, &job);
    }
    codec->deflated.len = 0;
    if (is_dense(codec, data, len) || wf_buf_reserve(&codec->deflated, len) < 0)
        return WF_FULL;
    job.out = codec->deflated.data;
    job.out_cap = job.len; /* the four bytes left off make a full one shorter than the message */
    size_t used = wf_codec_deflate(codec, &job);
    if (used == 0)
        return WF_FULL;
    wf_deflate_note(deflate, data, len);
    wf_count_add(&codec->deflate_in_bytes, len);
    wf_count_add(&codec->deflate_out_bytes, used);
    *out_data = codec->deflated.data;
    *out_len = used;
    return WF_OK;
}
