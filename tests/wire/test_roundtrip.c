/*
 * What one side writes the other reads: random messages in random fragments with control frames between them,
 * encoded by wf_frame_encode and wf_mask as either role, cut into random pieces, decoded by a session of the
 * other role. The events that come out are the ones that went in, in their order.
 */
#include "base/clock.h"
#include "base/status.h"
#include "test.h"
#include "ws/close.h"
#include "ws/session.h"

#include <stdlib.h>

enum { STREAM_BYTES = 1 << 20, EVENTS_MAX = 1 << 15, MESSAGE_BYTES = 3000 };

/* An event that must come: its payload lies in `payloads`. */
typedef struct sent {
    uint8_t kind, opcode;
    int close_code;
    size_t at, len;
} sent;

typedef struct stream {
    uint8_t *wire, *payloads;
    size_t wire_len, payloads_len, count;
    sent events[EVENTS_MAX];
    bool masked;
} stream;

static void write_frame(stream *s, uint64_t *seed, wf_frame frame, const uint8_t *payload) {
    uint64_t key = test_random(seed);
    frame.masked = s->masked;
    memcpy(frame.key, &key, 4);
    s->wire_len += wf_frame_encode(s->wire + s->wire_len, &frame);
    if (frame.masked)
        wf_mask(s->wire + s->wire_len, payload, (size_t)frame.len, frame.key, 0);
    else if (frame.len > 0)
        memcpy(s->wire + s->wire_len, payload, (size_t)frame.len);
    s->wire_len += (size_t)frame.len;
}

/* Random payload; as text, letters and characters of two to four bytes, cut anywhere between them. */
static size_t random_payload(uint64_t *seed, uint8_t *out, size_t len, bool text) {
    static const char *const letters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x7f", "\xed\x9f\xbf"};
    size_t used = 0;
    while (used + 8 <= len) {
        uint64_t r = test_random(seed);
        if (text) {
            const char *letter = letters[r % 6];
            memcpy(out + used, letter, strlen(letter));
            used += strlen(letter);
        } else {
            memcpy(out + used, &r, 8);
            used += 8;
        }
    }
    return used;
}

static void write_control(stream *s, uint64_t *seed) {
    bool ping = test_random(seed) & 1;
    size_t len = random_payload(seed, s->payloads + s->payloads_len, test_random(seed) % 126, false);
    uint8_t opcode = ping ? WF_OP_PING : WF_OP_PONG;
    s->events[s->count++] =
        (sent) {.kind = ping ? WF_WS_PING : WF_WS_PONG, .opcode = opcode, .at = s->payloads_len, .len = len};
    write_frame(s, seed, (wf_frame) {.fin = true, .opcode = opcode, .len = len}, s->payloads + s->payloads_len);
    s->payloads_len += len;
}

static void write_message(stream *s, uint64_t *seed, size_t most) {
    bool text = test_random(seed) & 1;
    size_t at = s->payloads_len;
    size_t len = random_payload(seed, s->payloads + at, test_random(seed) % (1 + test_random(seed) % most), text);
    s->payloads_len += len;
    uint8_t opcode = text ? WF_OP_TEXT : WF_OP_BINARY;
    size_t done = 0;
    for (bool first = true, fin = false; !fin; first = false) {
        size_t piece = test_random(seed) % 3 ? len - done : test_random(seed) % (len - done + 1);
        fin = done + piece == len && test_random(seed) % 4;
        write_frame(s, seed, (wf_frame) {.fin = fin, .opcode = first ? opcode : WF_OP_CONTINUATION, .len = piece},
                    s->payloads + at + done);
        done += piece;
        if (!fin && test_random(seed) % 4 == 0)
            write_control(s, seed);
    }
    s->events[s->count++] = (sent) {.kind = WF_WS_MESSAGE, .opcode = opcode, .at = at, .len = len};
}

static void write_close(stream *s, uint64_t *seed) {
    static const char reason[] = "enough";
    uint8_t payload[WF_CONTROL_BYTES_MAX];
    size_t len = wf_close_encode(payload, 1001, reason, sizeof reason - 1);
    memcpy(s->payloads + s->payloads_len, reason, sizeof reason - 1);
    s->events[s->count++] = (sent) {.kind = WF_WS_CLOSE,
                                    .opcode = WF_OP_CLOSE,
                                    .close_code = 1001,
                                    .at = s->payloads_len,
                                    .len = sizeof reason - 1};
    s->payloads_len += sizeof reason - 1;
    write_frame(s, seed, (wf_frame) {.fin = true, .opcode = WF_OP_CLOSE, .len = len}, payload);
}

static void check_event(const stream *s, size_t index, const wf_ws_event *event) {
    CHECK(index < s->count);
    const sent *want = &s->events[index];
    CHECK_EQ(event->kind, want->kind);
    CHECK_EQ(event->opcode, want->opcode);
    CHECK_EQ(event->close_code, want->close_code);
    CHECK_BYTES(event->data, event->len, s->payloads + want->at, want->len);
}

static void read_stream(const stream *s, uint64_t *seed, size_t piece_max) {
    wf_ws_limits limits = {.message_bytes_max = MESSAGE_BYTES, .empty_fragments_max = 1000};
    wf_ws ws;
    size_t seen = 0;
    wf_ws_init(&ws, s->masked ? WF_WS_SERVER : WF_WS_CLIENT, &limits);
    for (size_t at = 0; at < s->wire_len;) {
        size_t piece = 1 + test_random(seed) % piece_max;
        if (piece > s->wire_len - at)
            piece = s->wire_len - at;
        uint8_t *block = malloc(piece);
        CHECK(block != NULL);
        memcpy(block, s->wire + at, piece);
        at += piece;
        wf_ws_feed(&ws, block, piece);
        wf_ws_event event;
        int got;
        while ((got = wf_ws_next(&ws, &event)) == WF_OK)
            check_event(s, seen++, &event);
        CHECK_EQ(got, WF_WANT_INPUT);
        free(block);
    }
    CHECK_EQ(seen, s->count);
    wf_ws_deinit(&ws);
}

static stream *stream_new(bool masked) {
    stream *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->wire = malloc(STREAM_BYTES);
    s->payloads = malloc(STREAM_BYTES);
    CHECK(s->wire && s->payloads);
    s->masked = masked;
    return s;
}

static void stream_free(stream *s) {
    free(s->wire);
    free(s->payloads);
    free(s);
}

TEST(what_is_written_is_what_is_read) {
    static const size_t piece_max[] = {1, 3, 20, 700, 16384, STREAM_BYTES};
    uint64_t seed = 11;
    for (int round = 0; round < 60; round++) {
        test_context("round %d", round);
        stream *s = stream_new(round & 1);
        while (s->wire_len + 20 * MESSAGE_BYTES < STREAM_BYTES / 8 && s->count < EVENTS_MAX / 2)
            write_message(s, &seed, MESSAGE_BYTES);
        write_close(s, &seed);
        read_stream(s, &seed, piece_max[(size_t)round / 2 % (sizeof piece_max / sizeof *piece_max)]);
        stream_free(s);
    }
    CHECK_EQ(test_mem_live(), 0);
}

TEST(two_hundred_thousand_events_are_quick) {
    uint64_t seed = 12, started_ms = wf_clock_ms();
    size_t events = 0;
    for (int round = 0; events < 200000; round++) {
        stream *s = stream_new(round & 1);
        while (s->wire_len + 20000 < STREAM_BYTES && s->count + 64 < EVENTS_MAX)
            write_message(s, &seed, 60);
        read_stream(s, &seed, 4096);
        events += s->count;
        stream_free(s);
    }
    CHECK(wf_clock_ms() - started_ms < 20000);
    CHECK_EQ(test_mem_live(), 0);
}
