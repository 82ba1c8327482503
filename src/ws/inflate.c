/*
 * Which library: zlib's state is small and quick to set up, ISA-L's is 87 KiB and faster once it runs. So ISA-L is for a message
 * that is whole and not tiny, or of which much came at once; a peer that opens a message and lets it lie costs the smaller one.
 */
#include "ws/inflate.h"

#include "base/status.h"

enum { LARGE_WHOLE_BYTES = 256, LARGE_PIECE_BYTES = 8192, ROOM_BYTES_MIN = 1024 };

/* What the sender left off (RFC 7692 7.2.1). */
static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};

void wf_inflate_init(wf_inflate *inflate, wf_codec *codec, unsigned window_bits) {
    *inflate = (wf_inflate) {.codec = codec};
    wf_window_init(&inflate->window, window_bits);
}

void wf_inflate_abandon(wf_inflate *inflate) {
    if (inflate->lent.state)
        wf_codec_give_back(inflate->codec, &inflate->lent);
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

static int run(wf_inflate *inflate, const uint8_t *data, size_t len, wf_buf *out, uint64_t bytes_max) {
    wf_zip_io io = {.in = data, .in_len = len};
    for (;;) {
        if (out->len == out->cap && make_room(out, bytes_max) < 0)
            return WF_ENOMEM;
        uint64_t left = bytes_max + 1 - out->len;
        size_t room = out->cap - out->len < left ? out->cap - out->len : (size_t)left;
        io.out = out->data + out->len;
        io.out_len = room;
        int got = inflate->lent.library->run(inflate->lent.state, &io);
        out->len += room - io.out_len;
        if (got != WF_OK)
            return got;
        if (out->len > bytes_max)
            return WF_FULL;
        if (io.out_len > 0)
            return io.in_len > 0 ? WF_ERROR : WF_OK; /* stuck with bytes left over, or done */
    }
}

static int finish(wf_inflate *inflate, wf_buf *out, uint64_t bytes_max) {
    const wf_inflating *lent = &inflate->lent;
    /* Between blocks already: the message ended in a block marked as the last, with no empty one behind it. */
    if (!lent->library->between_blocks(lent->state)) {
        int got = run(inflate, tail, sizeof tail, out, bytes_max);
        if (got != WF_OK)
            return got;
        if (!lent->library->between_blocks(lent->state))
            return WF_ERROR;
    }
    wf_inflate_abandon(inflate);
    return wf_window_append(&inflate->window, out->data, out->len);
}

int wf_inflate_piece(wf_inflate *inflate, const uint8_t *data, size_t len, bool last, wf_buf *out, uint64_t bytes_max) {
    int got = WF_OK;
    if (len == 0 && !inflate->lent.state)
        return WF_OK; /* nothing yet; or, at the end, a message of nothing at all */
    if (!inflate->lent.state)
        got = wf_codec_borrow(inflate->codec, len >= (last ? LARGE_WHOLE_BYTES : LARGE_PIECE_BYTES),
                              wf_window_bytes(&inflate->window), inflate->window.len, &inflate->lent);
    if (got == WF_OK && len > 0)
        got = run(inflate, data, len, out, bytes_max);
    if (got == WF_OK && last)
        got = finish(inflate, out, bytes_max);
    if (got != WF_OK)
        wf_inflate_abandon(inflate);
    return got;
}

size_t wf_inflate_memory(const wf_inflate *inflate) {
    return inflate->window.cap + (inflate->lent.state ? inflate->lent.library->memory : 0);
}
