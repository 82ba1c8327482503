/*
 * Everything here is the plain way: byte by byte, and allocating. A judge must be easy to believe.
 */
#include "frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- frames ---- */

void frame_put(bytes *out, unsigned first, const void *payload, size_t len, bool masked, uint32_t key) {
    size_t width = len < 126 ? 0 : len < 65536 ? 2 : 8;
    unsigned mask_bit = masked ? 0x80 : 0;
    bytes_put_byte(out, first);
    bytes_put_byte(out, mask_bit | (width == 0 ? (unsigned)len : width == 2 ? 126 : 127));
    for (size_t i = 0; i < width; i++)
        bytes_put_byte(out, (unsigned)((uint64_t)len >> 8 * (width - 1 - i)) & 0xff);
    uint8_t k[4] = {(uint8_t)(key >> 24), (uint8_t)(key >> 16), (uint8_t)(key >> 8), (uint8_t)key};
    if (masked)
        bytes_put(out, k, 4);
    size_t at = out->len;
    bytes_put(out, payload, len);
    for (size_t i = 0; masked && i < len; i++)
        out->data[at + i] ^= k[i & 3];
}

int frame_take(bytes *in, size_t *at, bool masked, frame *out_frame, const char **out_why) {
    const uint8_t *head = in->data + *at;
    size_t have = in->len - *at;
    if (have < 2)
        return 0;
    unsigned short_len = head[1] & 0x7f;
    size_t width = short_len < 126 ? 0 : short_len == 126 ? 2 : 8, head_len = 2 + width + (masked ? 4 : 0);
    if ((head[1] >> 7) != masked) {
        *out_why = masked ? "a client's frame is not masked" : "a server's frame is masked";
        return -1;
    }
    if (have < head_len)
        return 0;
    uint64_t len = width == 0 ? short_len : 0;
    for (size_t i = 0; i < width; i++)
        len = len << 8 | head[2 + i];
    if ((width == 2 && len < 126) || (width == 8 && len < 65536) || len >> 63) {
        *out_why = "a length is not in its shortest form";
        return -1;
    }
    if ((head[0] & 8) && (width > 0 || !(head[0] & FIN) || (head[0] & 0x70))) {
        *out_why = "a control frame is long, fragmented or has reserved bits";
        return -1;
    }
    if (have - head_len < len)
        return 0;
    uint8_t *payload = in->data + *at + head_len;
    for (size_t i = 0; masked && i < len; i++)
        payload[i] ^= payload[(ptrdiff_t)(i & 3) - 4];
    *out_frame = (frame) {head[0], payload, (size_t)len};
    *at += head_len + (size_t)len;
    return 1;
}

/* ---- UTF-8 ---- */

bool utf8_ok(const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len;) {
        uint32_t lead = data[i++], left = lead < 0x80       ? 0
                                          : lead >> 5 == 6  ? 1
                                          : lead >> 4 == 14 ? 2
                                          : lead >> 3 == 30 ? 3
                                                            : 9;
        static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};
        if (left == 9 || len - i < left)
            return false;
        uint32_t point = left == 0 ? lead : lead & (0x3fu >> left), least = lowest[left];
        for (; left > 0; left--) {
            if (data[i] >> 6 != 2)
                return false;
            point = point << 6 | (data[i++] & 0x3f);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
    }
    return true;
}

/* ---- deflate ---- */

static void must(int got, const char *what) {
    if (got == Z_OK)
        return;
    fprintf(stderr, "zlib: %s: %d\n", what, got);
    exit(2);
}

/* zlib cannot promise a window of 256 bytes: then only the byte before is referred to. */
static void begin_deflate(z_stream *z, int bits) {
    *z = (z_stream) {0};
    must(deflateInit2(z, 6, Z_DEFLATED, -(bits < 9 ? 9 : bits), 8, bits < 9 ? Z_RLE : Z_DEFAULT_STRATEGY),
         "deflateInit2");
}

static void run_deflate(z_stream *z, const void *data, size_t len, int flush, bytes *out) {
    uint8_t room[16384];
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)len;
    do {
        z->next_out = room;
        z->avail_out = sizeof room;
        deflate(z, flush);
        bytes_put(out, room, sizeof room - z->avail_out);
    } while (z->avail_out == 0);
}

void zip_free(zip *z) {
    if (z->has_deflate)
        deflateEnd(&z->deflate);
    if (z->has_inflate)
        inflateEnd(&z->inflate);
    z->has_deflate = z->has_inflate = false;
}

void zip_deflate(zip *z, const uint8_t *data, size_t len, bytes *out) {
    if (len == 0) {
        bytes_put_byte(out, 0); /* RFC 7692 7.2.3.6 */
        return;
    }
    if (!z->has_deflate)
        begin_deflate(&z->deflate, z->agreed.sends_bits);
    else if (!z->agreed.sends_takeover)
        must(deflateReset(&z->deflate), "deflateReset");
    z->has_deflate = true;
    run_deflate(&z->deflate, data, len, Z_SYNC_FLUSH, out);
    out->len -= 4;
}

/* zlib lets a reference reach as far back as there is output of the same call; so that it sees the promised window
 * and no more, a shorter one is filled a byte at a time. */
static const char *run_inflate(zip *z, const uint8_t *data, size_t len, bytes *out) {
    uint8_t room[16384];
    z_stream *s = &z->inflate;
    s->next_in = (Bytef *)(uintptr_t)data;
    s->avail_in = (uInt)len;
    do {
        s->next_out = room;
        s->avail_out = z->agreed.reads_bits < 15 ? 1 : sizeof room;
        uInt room_len = s->avail_out;
        int got = inflate(s, Z_NO_FLUSH);
        bytes_put(out, room, room_len - s->avail_out);
        if (got == Z_STREAM_END)
            must(inflateResetKeep(s),
                 "inflateResetKeep"); /* the last block of a stream ends nothing, RFC 7692 7.2.3.4 */
        else if (got != Z_OK && got != Z_BUF_ERROR)
            return s->msg ? s->msg : "not deflate";
    } while (s->avail_out == 0 || s->avail_in > 0);
    return NULL;
}

const char *zip_inflate(zip *z, const uint8_t *data, size_t len, bytes *out) {
    if (!z->has_inflate)
        must(inflateInit2(&z->inflate, -z->agreed.reads_bits), "inflateInit2");
    else if (!z->agreed.reads_takeover)
        must(inflateReset(&z->inflate), "inflateReset");
    z->has_inflate = true;
    const char *wrong = run_inflate(z, data, len, out);
    if (!wrong)
        wrong = run_inflate(z, (const uint8_t *)"\x00\x00\xff\xff", 4, out);
    if (!wrong && z->inflate.data_type != 128) /* between two blocks, and at a whole byte */
        wrong = "the message does not end with a block";
    return wrong;
}

void deflate_raw(bytes *out, const void *data, size_t len, int bits, int flush) {
    z_stream z;
    begin_deflate(&z, bits);
    run_deflate(&z, data, len, flush, out);
    deflateEnd(&z);
}

/* Blocks that are not compressed (RFC 1951 3.2.4), each of at most 65,535 bytes. */
void deflate_stored(bytes *out, const void *data, size_t len, bool final) {
    const uint8_t *at = data;
    do {
        size_t part = len < 65535 ? len : 65535;
        len -= part;
        bytes_put_byte(out, final && len == 0);
        bytes_put_byte(out, part & 0xff);
        bytes_put_byte(out, part >> 8);
        bytes_put_byte(out, ~part & 0xff);
        bytes_put_byte(out, ~part >> 8 & 0xff);
        bytes_put(out, at, part);
        at += part;
    } while (len > 0);
}
