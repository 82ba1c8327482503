/*
 * permessage-deflate (RFC 7692), the client's half, by zlib alone. Its compressor has a small window, to be cheap to
 * make; what it reads may refer as far back as anything may.
 */
#include "client.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct sim_zip {
    z_stream in, out;
};

enum { OUT_BITS = 10, OUT_MEMORY_LEVEL = 1, IN_BITS = 15 };

static const uint8_t tail[] = {0, 0, 0xff, 0xff};

void sim_zip_begin(sim_client *c) {
    c->zip = calloc(1, sizeof *c->zip);
    if (!c->zip || inflateInit2(&c->zip->in, -IN_BITS) != Z_OK ||
        deflateInit2(&c->zip->out, 1, Z_DEFLATED, -OUT_BITS, OUT_MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        sim_fail("simulator", "zlib has no memory");
}

void sim_zip_end(sim_client *c) {
    if (!c->zip)
        return;
    inflateEnd(&c->zip->in);
    deflateEnd(&c->zip->out);
    free(c->zip);
    c->zip = NULL;
}

size_t sim_zip_deflate(sim_client *c, const uint8_t *data, size_t len, uint8_t *out, size_t cap) {
    z_stream *z = &c->zip->out;
    if (len == 0) {
        out[0] = 0; /* zlib has nothing to flush: the empty block of RFC 7692 7.2.3.6 */
        return 1;
    }
    if (c->forgets)
        deflateReset(z);
    z->next_in = (uint8_t *)data; /* zlib only reads it */
    z->avail_in = (unsigned)len;
    z->next_out = out;
    z->avail_out = (unsigned)cap;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in > 0 || z->avail_out == 0)
        sim_fail("simulator", "zlib has no room for %zu bytes", len);
    size_t written = cap - z->avail_out;
    return written >= sizeof tail ? written - sizeof tail : 0;
}

static bool inflate_part(z_stream *z, const uint8_t *data, size_t len) {
    z->next_in = (uint8_t *)data;
    z->avail_in = (unsigned)len;
    int got = inflate(z, Z_SYNC_FLUSH);
    return (got == Z_OK || got == Z_BUF_ERROR) && z->avail_in == 0;
}

bool sim_zip_inflate(sim_client *c, const uint8_t *data, size_t len, uint8_t *out, size_t *out_len) {
    z_stream *z = &c->zip->in;
    z->next_out = out;
    z->avail_out = MESSAGE_MAX;
    bool good = inflate_part(z, data, len) && inflate_part(z, tail, sizeof tail);
    *out_len = MESSAGE_MAX - z->avail_out;
    return good;
}
