/*
 * HTTP/2 of a server, from the preface on: frames made from the input, and bytes as they are; an application that
 * echoes (h2s.h).
 *
 * An input: a byte that tells which allocation fails in one more run, then a list of things that happen: frames of
 * every type, raw bytes, the peer reads, the application pauses, closes and ends, the connection goes away or breaks.
 *
 * Oracles: events in their order, EOF once, GONE last; memory as counted, bounded by windows, none at the end; of each
 * stream what went out is what the application gave, framed as it should be; the same whatever the cuts.
 */
#include "h2s.h"

#include "base/status.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

enum { HAPPENINGS_MAX = 300, RESETS_MAX = 90 /* nghttp2 counts more by the clock */ };

#define GET       ":method GET\n:scheme http\n:authority a\n:path /\n"
#define POST      ":method POST\n:scheme http\n:authority a\n:path /\n"
#define WEBSOCKET ":method CONNECT\n:protocol websocket\n:scheme http\n:authority a\n:path /chat\n"

/* "name value" lines, each shorter than 127. */
static const char *const heads[] = {
    WEBSOCKET,
    GET,
    POST,
    POST "content-length 10\n",
    WEBSOCKET "sec-websocket-version 13\norigin http://a\n",
    ":method HEAD\n:scheme http\n:authority a\n:path /x?y\ncookie a=b\ncookie c=d\nte trailers\n",
    "trailer x\n",
    ":method CONNECT\n:authority a:80\n",
    WEBSOCKET "content-length 3\n",
    ":method CONNECT\n:protocol other\n:scheme http\n:authority a\n:path /\n",
    GET "connection close\n",
    ":method GET\n:path /\n",
    GET "Upper x\n",
    GET "host b\nx \n",
};
enum { HEADS = sizeof heads / sizeof *heads };

typedef struct player {
    h2s_world w;
    fuzz_input in;
    fuzz_cuts cuts;
    bool pulls; /* behind every piece, not every happening */
    uint32_t last_id;
    int resets;
    bool odd; /* the peer may have changed his windows */
    bool over;
} player;

static void put_number(fuzz_bytes *to, uint32_t number, int bytes) {
    for (int i = bytes - 1; i >= 0; i--)
        fuzz_put(to, &(uint8_t) {(uint8_t)(number >> 8 * i)}, 1);
}

static void put_frame(player *p, int type, int flags, uint32_t id, const void *payload, size_t len) {
    put_number(&p->w.wire, (uint32_t)len, 3);
    put_number(&p->w.wire, (uint32_t)type, 1);
    put_number(&p->w.wire, (uint32_t)flags, 1);
    put_number(&p->w.wire, id, 4);
    fuzz_put(&p->w.wire, payload, len);
}

/* A new one, one that there is, or any. */
static uint32_t pick_id(player *p, bool opens) {
    uint8_t how = fuzz_byte(&p->in);
    if (how >= 250)
        return how - 250;
    if (opens && how < 200)
        return p->last_id += 2;
    return p->last_id - 2u * (how % 8) > p->last_id ? 1 : p->last_id - 2u * (how % 8);
}

static size_t make_block(uint8_t *out, const char *fields, uint8_t form) {
    size_t at = 0;
    for (const char *line = fields; *line; line = strchr(line, '\n') + 1) {
        size_t name_len = strcspn(line + 1, " ") + 1, value_len = strcspn(line + name_len + 1, "\n");
        out[at++] = form;
        out[at++] = (uint8_t)name_len;
        memcpy(out + at, line, name_len);
        at += name_len;
        out[at++] = (uint8_t)value_len;
        memcpy(out + at, line + name_len + 1, value_len);
        at += value_len;
    }
    return at;
}

static void peer_sends_headers(player *p) {
    uint8_t block[1024], which = fuzz_byte(&p->in), flags = fuzz_byte(&p->in);
    size_t len = make_block(block, heads[which % HEADS], which & 64 ? 0x40 : 0);
    uint32_t id = pick_id(p, which % HEADS != 6);
    flags = (flags & NGHTTP2_FLAG_END_STREAM) | (flags < 240 ? NGHTTP2_FLAG_END_HEADERS : 0);
    if (which & 128) { /* in two parts */
        size_t first = fuzz_byte(&p->in) % (len + 1);
        put_frame(p, NGHTTP2_HEADERS, flags & NGHTTP2_FLAG_END_STREAM, id, block, first);
        put_frame(p, NGHTTP2_CONTINUATION, flags & NGHTTP2_FLAG_END_HEADERS, id, block + first, len - first);
    } else {
        put_frame(p, NGHTTP2_HEADERS, flags, id, block, len);
    }
}

static void peer_sends_data(player *p) {
    static uint8_t bytes[5000];
    uint8_t flags = fuzz_byte(&p->in), size = fuzz_byte(&p->in);
    size_t len = size < 128 ? size % 20 : size < 250 ? size : sizeof bytes;
    uint32_t id = pick_id(p, false);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(p->w.wire.len + i);
    if (flags & NGHTTP2_FLAG_PADDED && len > 0)
        bytes[0] = size % 16;
    for (int i = flags >= 248 && len < 256 ? 200 : 1; i > 0; i--)
        put_frame(p, NGHTTP2_DATA, flags & (NGHTTP2_FLAG_PADDED | (i == 1 ? NGHTTP2_FLAG_END_STREAM : 0)), id, bytes,
                  len);
}

static void peer_sends_settings(player *p) {
    static const uint32_t values[] = {0, 1, 100, 65535, 0x7fffffff, 0x80000000, 16384, 4096};
    uint8_t which = fuzz_byte(&p->in);
    fuzz_bytes payload = {0};
    p->odd |= which % 16 == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE;
    put_number(&payload, which % 16, 2);
    put_number(&payload, values[which >> 4 & 7], 4);
    put_frame(p, NGHTTP2_SETTINGS, which >= 248, 0, payload.data, which >= 248 ? 0 : payload.len);
    fuzz_free(&payload);
}

static void peer_sends_number(player *p, int type) {
    static const uint32_t numbers[] = {0, 1, 100, 65535, 1 << 20, 0x7fffffff};
    uint8_t which = fuzz_byte(&p->in), payload[4];
    if (type == NGHTTP2_RST_STREAM && ++p->resets > RESETS_MAX)
        return;
    uint32_t number = type == NGHTTP2_RST_STREAM ? which % 14 : numbers[which % 6],
             id = which >= 192 && type == NGHTTP2_WINDOW_UPDATE ? 0 : pick_id(p, false);
    for (int i = 0; i < 4; i++)
        payload[i] = (uint8_t)(number >> 8 * (3 - i));
    put_frame(p, type, 0, id, payload, 4);
}

static void peer_sends_any(player *p) {
    uint8_t type = fuzz_byte(&p->in), flags = fuzz_byte(&p->in);
    fuzz_input payload = fuzz_take(&p->in, type >> 4);
    if (type % 12 == NGHTTP2_RST_STREAM)
        return;
    p->odd = true;
    put_frame(p, type % 12, flags, pick_id(p, false), payload.data, payload.len);
}

static void connection_changes(player *p, uint8_t how) {
    if (how >= 240) {
        wf_h2_cut(p->w.h2);
        p->over = true;
    } else if (how >= 200) {
        wf_h2_input_over(p->w.h2);
        p->over = true; /* for what comes */
    } else if (how >= 180) {
        wf_h2_go_away(p->w.h2);
    }
}

/* True: the peer reads. */
static bool happen(player *p) {
    uint8_t what = fuzz_byte(&p->in);
    fuzz_input raw;
    switch (what % 16) {
    case 0:
        p->odd = true;
        raw = fuzz_take(&p->in, fuzz_byte(&p->in) & 63);
        if (memchr(raw.data ? raw.data : (const uint8_t *)"", NGHTTP2_RST_STREAM, raw.len) == NULL)
            fuzz_put(&p->w.wire, raw.data, raw.len);
        break;
    case 1:
    case 2:
    case 3:
        peer_sends_headers(p);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        peer_sends_data(p);
        break;
    case 8:
        peer_sends_settings(p);
        break;
    case 9:
    case 10:
        peer_sends_number(p, NGHTTP2_WINDOW_UPDATE);
        break;
    case 11:
        peer_sends_number(p, NGHTTP2_RST_STREAM);
        break;
    case 12:
        peer_sends_any(p);
        break;
    case 13:
    case 14:
        if (p->w.count > 0)
            h2s_act(&p->w, fuzz_byte(&p->in) % p->w.count, what >> 4);
        break;
    default:
        connection_changes(p, what);
        break;
    }
    return what < 224;
}

/* What went out on each stream is what its application gave, and all of it where it ended well. Streams are told in the
 * order of their ids, but not all are. */
static void judge_bodies(const h2s_world *w) {
    int told = 0;
    for (int i = 0; i < H2S_MAX; i++) {
        const h2s_seen *seen = &w->seen[i];
        if (seen->body.len == 0)
            continue;
        for (bool found = false; !found; told++) {
            CHECK(told < w->count);
            const fuzz_bytes *text = &w->all[told].text;
            const uint8_t *head = text->len ? memmem(text->data, text->len, "\r\n\r\n", 4) : NULL;
            if (head && memcmp(text->data, "HTTP/1.1 100", 12) == 0)
                head = memmem(head + 4, text->len - (size_t)(head + 4 - text->data), "\r\n\r\n", 4);
            if (!head)
                continue;
            size_t len = text->len - (size_t)(head + 4 - text->data);
            found = seen->body.len <= len && memcmp(head + 4, seen->body.data, seen->body.len) == 0 &&
                    (!seen->ended || seen->body.len == len);
        }
    }
}

static void feed(player *p, size_t from) {
    for (size_t len; !p->over && (len = fuzz_cut(&p->cuts, p->w.wire.len - from)) > 0; from += len) {
        uint8_t *piece = fuzz_exact(p->w.wire.data + from, len);
        int got = wf_h2_feed(p->w.h2, piece, len);
        free(piece);
        CHECK(got == WF_OK || got == WF_ERROR || (got == WF_ENOMEM && p->w.failing));
        p->over = got != WF_OK;
        if (p->pulls)
            h2s_pull(&p->w);
        h2s_check(&p->w);
    }
}

static void run(fuzz_input in, fuzz_cuts cuts, bool pulls, bool failing, fuzz_bytes *out_log) {
    player p = {.in = in, .cuts = cuts, .pulls = pulls, .last_id = (uint32_t)-1};
    size_t before = test_mem_bytes();
    h2s_init(&p.w, failing);
    if (p.w.h2) {
        fuzz_put(&p.w.wire, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
        put_frame(&p, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
        feed(&p, 0);
        for (int i = 0; p.in.len > 0 && i < HAPPENINGS_MAX; i++) {
            size_t from = p.w.wire.len;
            bool reads = happen(&p);
            feed(&p, from);
            h2s_pull(&p.w);
            h2s_check(&p.w);
            if (reads)
                h2s_hear(&p.w);
            h2s_pull(&p.w);
            h2s_check(&p.w);
        }
        h2s_hear(&p.w);
        if (!p.odd && !p.over && !failing && p.w.goaway < 0)
            h2s_finish(&p.w);
        wf_h2_cut(p.w.h2);
        h2s_pull(&p.w);
        for (int i = 0; i < p.w.count; i++)
            CHECK(p.w.all[i].stream == NULL || p.w.all[i].paused); /* all were told */
        if (!failing)
            judge_bodies(&p.w);
        fuzz_log(&p.w.log, 'G', p.w.goaway, NULL, 0);
        fuzz_put(out_log, p.w.log.data, p.w.log.len);
    }
    test_mem_fail_at(0);
    h2s_deinit(&p.w);
    CHECK_EQ(test_mem_bytes(), before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[FUZZ_CUTS] = {"whole", "byte by byte", "in small pieces", "in mixed pieces"};
    fuzz_input all = {data, size};
    uint8_t nth = fuzz_byte(&all);
    fuzz_bytes whole = {0}, other = {0};
    run(all, fuzz_cuts_of(FUZZ_WHOLE, all), false, false, &whole);
    for (int kind = FUZZ_BYTEWISE; kind < FUZZ_CUTS; kind++) {
        if (kind == FUZZ_SMALL || (kind == FUZZ_BYTEWISE && size > 200))
            continue;
        other.len = 0;
        run(all, fuzz_cuts_of(kind, all), false, false, &other);
        fuzz_log_equal(&other, &whole, names[kind]);
    }
    other.len = 0;
    test_mem_fail_at(nth);
    run(all, fuzz_cuts_of(FUZZ_MIXED, all), true, nth > 0, &other);
    fuzz_free(&whole);
    fuzz_free(&other);
    return 0;
}
