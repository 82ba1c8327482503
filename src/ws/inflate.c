/*
 * Two libraries. zlib takes every message, in pieces of any size, with a state of 40 KiB at most. Where ISA-L is
 * there, a message that is whole and not tiny goes to it first: it is twice as fast once it runs, but keeps no
 * history over the end of a stream, forgives what zlib does not, and is slow over blocks without content. In all
 * these it declines, and zlib begins anew: the message and the window are still as they were.
 *
 * Work is counted, because little input can make much of it: bytes in and out, and the window that is handed over
 * with each message. Who pulls decides when it is enough for now.
 */
#include "ws/inflate.h"

#include "base/status.h"

enum { ROOM_BYTES_MIN = 1024, MESSAGE_WORK = 64, WINDOW_WORK = 64 /* bytes copied for one inflated */ };

/* What the sender left off (RFC 7692 7.2.1). */
static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};

void wf_inflate_init(wf_inflate *inflate, wf_codec *codec, unsigned window_bits) {
    *inflate = (wf_inflate) {.codec = codec};
    wf_window_init(&inflate->window, window_bits);
}

void wf_inflate_abandon(wf_inflate *inflate) {
    if (inflate->lent)
        wf_codec_give_back(inflate->codec, inflate->lent);
    inflate->lent = NULL;
}

void wf_inflate_deinit(wf_inflate *inflate) {
    wf_inflate_abandon(inflate);
    wf_window_deinit(&inflate->window);
}

/* Room for more in *out: as much again as there is, but no further than one byte over the limit. */
static int make_room(wf_buf *out, uint64_t bytes_max) {
    uint64_t more = out->len > ROOM_BYTES_MIN ? out->len : ROOM_BYTES_MIN, left = bytes_max + 1 - out->len;
    return wf_buf_reserve(out, more < left ? (size_t)more : (size_t)left);
}

typedef struct task {
    const wf_decompressor *library;
    void *state;
    wf_buf *out;
    uint64_t bytes_max;
} task;

static int run(wf_inflate *inflate, const task *t, const uint8_t *data, size_t len) {
    wf_zip_io io = {.in = data, .in_len = len};
    wf_buf *out = t->out;
    inflate->work += (uint32_t)len;
    for (;;) {
        if (out->len == out->cap && make_room(out, t->bytes_max) < 0)
            return WF_ENOMEM;
        uint64_t left = t->bytes_max + 1 - out->len;
        size_t room = out->cap - out->len < left ? out->cap - out->len : (size_t)left;
        io.out = out->data + out->len;
        io.out_len = room;
        int got = t->library->run(t->state, &io);
        out->len += room - io.out_len;
        inflate->work += (uint32_t)(room - io.out_len);
        if (got == WF_ZIP_DECLINED)
            return got;
        /* Before what is corrupt: a library may have read ahead, and a cut before that place would have shown this. */
        if (out->len > t->bytes_max)
            return WF_FULL;
        if (got != WF_OK)
            return got;
        if (io.out_len > 0)
            return io.in_len > 0 ? WF_ERROR : WF_OK; /* stuck with bytes left over, or done */
    }
}

/* The end of a message. Between blocks already: it ended in a block marked as the last, with no empty one behind it. */
static int finish(wf_inflate *inflate, const task *t) {
    if (t->library->between_blocks(t->state))
        return WF_OK;
    int got = run(inflate, t, tail, sizeof tail);
    if (got == WF_OK && !t->library->between_blocks(t->state))
        got = WF_ERROR;
    return got;
}

static int begin(wf_inflate *inflate, const task *t) {
    const wf_window *window = &inflate->window;
    inflate->work += MESSAGE_WORK + window->len / WINDOW_WORK;
    return t->library->begin(t->state, wf_window_bytes(window), window->len);
}

/* By the faster library, or WF_ZIP_DECLINED with *out as it was. */
static int inflate_whole(wf_inflate *inflate, const uint8_t *data, size_t len, wf_buf *out, uint64_t bytes_max) {
    wf_codec *codec = inflate->codec;
    if (!codec->whole || len < codec->whole_bytes_min)
        return WF_ZIP_DECLINED;
    if (!codec->whole_state && !(codec->whole_state = codec->whole->new ()))
        return WF_ENOMEM;
    task t = {codec->whole, codec->whole_state, out, bytes_max};
    size_t before = out->len;
    int got = begin(inflate, &t);
    if (got == WF_OK)
        got = run(inflate, &t, data, len);
    if (got == WF_OK)
        got = finish(inflate, &t);
    if (got == WF_ERROR)
        got = WF_ZIP_DECLINED;
    if (got == WF_ZIP_DECLINED)
        out->len = before;
    return got;
}

static int inflate_piece(wf_inflate *inflate, const uint8_t *data, size_t len, bool last, wf_buf *out,
                         uint64_t bytes_max) {
    bool fresh = !inflate->lent;
    if (fresh && !(inflate->lent = wf_codec_borrow(inflate->codec)))
        return WF_ENOMEM;
    task t = {inflate->codec->decompressor, inflate->lent, out, bytes_max};
    int got = fresh ? begin(inflate, &t) : WF_OK;
    if (got == WF_OK)
        got = run(inflate, &t, data, len);
    return got == WF_OK && last ? finish(inflate, &t) : got;
}

int wf_inflate_piece(wf_inflate *inflate, const uint8_t *data, size_t len, bool last, wf_buf *out, uint64_t bytes_max) {
    if (len == 0 && !inflate->lent)
        return WF_OK; /* nothing yet; or, at the end, a message of nothing at all */
    int got = last && !inflate->lent ? inflate_whole(inflate, data, len, out, bytes_max) : WF_ZIP_DECLINED;
    if (got == WF_ZIP_DECLINED)
        got = inflate_piece(inflate, data, len, last, out, bytes_max);
    if (last || got != WF_OK)
        wf_inflate_abandon(inflate);
    return got == WF_OK && last ? wf_window_append(&inflate->window, out->data, out->len) : got;
}

size_t wf_inflate_memory(const wf_inflate *inflate) {
    return inflate->window.cap + (inflate->lent ? inflate->codec->decompressor->memory : 0);
}
