/*
 * A whole connection, from accept to the last byte, in a world without a kernel (links.h).
 *
 * An input: four bytes that choose limits, times, compression and what the application does; a byte that tells which
 * allocation fails in one more run; then a list of things that happen: bytes, requests and frames from the peer, its
 * end, room for output, time, sends, publishes, closes.
 *
 * Oracles: exactly one ENDED, last; nothing delivered before the handshake; memory as accounted and bounded by what
 * was received and the limits, none at the end; what was sent is a sequence of responses, then of frames, with a
 * close frame at the end where one is owed; events and output the same however the input is cut, but where something
 * was refused or failed: then it counts what the kernel had taken by that time.
 */
#include "links.h"

#include "base/status.h"
#include "frames.h"

#include <errno.h>
#include <stdlib.h>

#define UPGRADE "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static const char *const requests[] = {
    UPGRADE "\r\n",
    UPGRADE "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
    "GET /page HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    "GET /old HTTP/1.0\r\n\r\n",
    "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n",
};
enum { REQUESTS = sizeof requests / sizeof *requests, HAPPENINGS_MAX = 300, BYTEWISE_MAX = 2000 };

static void peer_sends_request(world *w, fuzz_input *in) {
    const char *request = requests[fuzz_byte(in) % REQUESTS];
    fuzz_put(&w->wire, request, strlen(request));
}

static void peer_sends_raw(world *w, fuzz_input *in) {
    fuzz_input raw = fuzz_take(in, fuzz_byte(in) & 127);
    fuzz_put(&w->wire, raw.data, raw.len);
}

static void peer_sends_frames(world *w, fuzz_input *in) {
    for (int count = 1 + fuzz_byte(in) % 4; count > 0 && w->wire.len < FUZZ_WIRE_BYTES_MAX; count--)
        fuzz_put_frame(&w->wire, WF_WS_SERVER, in);
}

/* Text that repeats itself, as the application sends it and a peer compresses it. */
static uint8_t *make_text(fuzz_input *in, size_t *out_len) {
    size_t len = (size_t)fuzz_number(in, 2);
    uint8_t step = fuzz_byte(in);
    len = step & 1 ? len : len & 511;
    uint8_t *text = malloc(len + 1);
    CHECK(text != NULL);
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)('a' + (i * step ^ i >> 3) % 26);
    *out_len = len;
    return text;
}

/* A whole compressed message from the peer, when there is an agreement on it. */
static void peer_sends_compressed(world *w, fuzz_input *in) {
    const uint8_t *deflated;
    size_t len, deflated_len;
    uint8_t *text = make_text(in, &len), head[WF_FRAME_HEAD_MAX];
    if (w->deflates && w->wire.len < FUZZ_WIRE_BYTES_MAX &&
        wf_deflate_message(&w->peer_deflate, text, len, &deflated, &deflated_len) == WF_OK) {
        wf_frame frame = {.fin = true, .rsv = WF_RSV1, .opcode = WF_OP_TEXT, .masked = true, .len = deflated_len};
        fuzz_put(&w->wire, head, wf_frame_encode(head, &frame)); /* the key of zeros */
        fuzz_put(&w->wire, deflated, deflated_len);
    }
    free(text);
}

/* The peer answers the last ping it has read. */
static void peer_sends_pong(world *w) {
    const fuzz_bytes *out = &w->loop.out;
    for (size_t i = out->len; i-- > 0;) {
        if (out->data[i] != (0x80 | WF_OP_PING) || out->len - i < 10 || out->data[i + 1] != 8)
            continue;
        static const uint8_t head[] = {0x80 | WF_OP_PONG, 0x80 | 8, 0, 0, 0, 0};
        fuzz_put(&w->wire, head, sizeof head);
        fuzz_put(&w->wire, out->data + i + 2, 8);
        return;
    }
}

static void kernel_changes(world *w, fuzz_input *in) {
    uint8_t how = fuzz_byte(in);
    w->loop.take_max = how & 1 ? 1 + (how >> 4) * 7u : 0;
    switch (how >> 1 & 3) {
    case 0:
        w->loop.room = 0;
        break;
    case 1:
        w->loop.room = fuzz_byte(in);
        break;
    case 2:
        w->loop.room = (size_t)fuzz_number(in, 2);
        break;
    default:
        w->loop.room = SIZE_MAX / 2;
    }
}

static void connection_breaks(world *w, fuzz_input *in) {
    w->excused = true;
    if (fuzz_byte(in) & 1) {
        w->loop.broken = true;
    } else if (w->loop.open) {
        wf_link_failed(&w->link, ECONNRESET);
    }
}

static void time_passes(world *w, fuzz_input *in) {
    static const uint32_t times[] = {1, 10, 99, 1000, 2000, 5000, 8000, 10000, 15000, 25000, 30000, 3600000};
    uint64_t left = times[fuzz_byte(in) % (sizeof times / sizeof *times)];
    while (left > 0) { /* a loop is never later than its timers */
        int64_t wait = wf_timers_wait_ms(&w->env.timers);
        uint64_t step = wait > 0 && (uint64_t)wait < left ? (uint64_t)wait : wait == 0 ? 1 : left;
        world_pass(w, step);
        left -= step;
    }
}

static void application_sends(world *w, fuzz_input *in) {
    uint8_t how = fuzz_byte(in), opcode = how & 1 ? WF_OP_TEXT : WF_OP_BINARY;
    size_t len;
    uint8_t *text = make_text(in, &len);
    int got;
    switch (how >> 1 & 7) {
    case 0:
    case 1:
        got = wf_link_send(&w->link, opcode, text, len);
        break;
    case 2:
        got = wf_link_send_plain(&w->link, opcode, text, len);
        break;
    case 3:
        got = wf_link_send_fragment(&w->link, opcode, text, len, false);
        break;
    case 4:
        got = wf_link_send_fragment(&w->link, opcode, text, len, true);
        break;
    default:
        got = world_publish(w, opcode, text, len, how & 128);
        break;
    }
    CHECK(w->link.stage == WF_LINK_OPEN || got == WF_ECLOSED || got == WF_EINVAL || got == WF_ENOMEM);
    free(text);
}

static void application_ends(world *w, fuzz_input *in) {
    static const int codes[] = {1000, 1001, 1008, 4999, 0, 1005, 999, 1006};
    uint8_t how = fuzz_byte(in);
    switch (how & 7) {
    case 0:
        wf_link_fail(&w->link, 1011, "the application failed");
        w->excused |= !w->accepted;
        break;
    case 1:
        wf_link_abort(&w->link);
        w->excused = true;
        break;
    case 2:
        wf_link_ping(&w->link);
        break;
    case 3:
        if (w->link.stage == WF_LINK_HTTP && !w->link.served) /* as a server sheds */
            wf_link_refuse(&w->link, 503, "too many");
        break;
    default:
        wf_link_close(&w->link, codes[how >> 3 & 7], how & 64 ? "bye" : NULL);
        break;
    }
}

static void happen(world *w, fuzz_input *in) {
    uint8_t what = fuzz_byte(in);
    switch (what % 16) {
    case 0:
        peer_sends_raw(w, in);
        break;
    case 1:
        peer_sends_request(w, in);
        break;
    case 2:
    case 3:
    case 4:
        peer_sends_frames(w, in);
        break;
    case 5:
        peer_sends_compressed(w, in);
        break;
    case 6:
        peer_sends_pong(w);
        break;
    case 7:
        w->peer_fin |= what >= 128;
        break;
    case 8:
        kernel_changes(w, in);
        break;
    case 9:
        if (what >= 192)
            connection_breaks(w, in);
        break;
    case 10:
    case 11:
        time_passes(w, in);
        return;
    case 12:
    case 13:
        application_sends(w, in);
        break;
    case 14:
        application_ends(w, in);
        break;
    default:
        w->answer_bytes = (what & 16) ? fuzz_number(in, 2) : 3;
        world_answer(w, what & 32, what & 64);
        break;
    }
    if (what < 224 || what % 16 > 5) /* else more comes in the same turn */
        world_settle(w);
}

typedef struct outcome {
    fuzz_bytes events, output; /* logs */
    size_t sent;               /* by the peer */
    bool pressed;
    bool failed; /* then what was queued behind the kernel's back is dropped: how much that is, depends on the cuts */
} outcome;

/* `failing`: memory may be out. */
static void run(fuzz_input in, fuzz_cuts cuts, bool failing, outcome *out) {
    world w;
    world_init(&w, &in, cuts);
    fuzz_byte(&in);
    w.excused = failing;
    for (int i = 0; in.len > 0 && i < HAPPENINGS_MAX; i++)
        happen(&w, &in);
    world_finish(&w);
    test_mem_fail_at(0);
    *out = (outcome) {.sent = w.wire.len, .pressed = w.pressed, .failed = wf_link_end_of(&w.link)->fault.status != 0};
    links_judge(&w, &out->output);
    fuzz_put(&out->events, w.log.data, w.log.len);
    world_deinit(&w);
}

static void outcome_deinit(outcome *out) {
    fuzz_free(&out->events);
    fuzz_free(&out->output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[FUZZ_CUTS] = {"whole", "byte by byte", "in small pieces", "in mixed pieces"};
    fuzz_input all = {data, size};
    outcome whole, other;
    uint8_t nth = size > 4 ? data[4] : 0;
    test_mem_fail_at(0);
    run(all, fuzz_cuts_of(FUZZ_WHOLE, all), false, &whole);
    for (int kind = FUZZ_BYTEWISE; kind < FUZZ_CUTS; kind++) {
        if (kind == FUZZ_SMALL || (kind == FUZZ_BYTEWISE && whole.sent > BYTEWISE_MAX))
            continue;
        run(all, fuzz_cuts_of(kind, all), false, &other);
        if (!whole.pressed && !other.pressed)
            fuzz_log_equal(&other.events, &whole.events, names[kind]);
        if (!whole.pressed && !other.pressed && !whole.failed)
            fuzz_log_equal(&other.output, &whole.output, names[kind]);
        outcome_deinit(&other);
    }
    outcome_deinit(&whole);
    if (nth > 0) {
        test_mem_fail_at(nth);
        run(all, fuzz_cuts_of(FUZZ_MIXED, all), true, &other);
        outcome_deinit(&other);
    }
    return 0;
}
