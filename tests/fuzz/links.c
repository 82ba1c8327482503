/*
 * The loop's side: turns as a worker takes them, and what is always true of a link between two of them.
 */
#include "links.h"

#include "http/response.h"
#include "http/upgrade.h"

#include <stdio.h>
#include <stdlib.h>

enum { PULLS_MAX = 200000, TURNS_MAX = 20000, SLACK = 16 * 1024 };

/* ---- memory ---- */

/* What the peer can make the link hold: twice what it sent, an eighth and 4 KiB more of it for what is held and for a
 * message, and beside that a control frame. Compressed, a message may be as long as its limit, beside windows and a
 * decompressor. */
static size_t input_allowed(const world *w) {
    size_t allowed = 2 * w->wire.len * 9 / 8 + 2 * 4096 + 256 + WF_CONTROL_BYTES_MAX;
    if (w->deflates)
        allowed += (size_t)w->limits.ws.message_bytes_max * 9 / 8 + 4096 + 4 * 32768 + 96 * 1024;
    return allowed;
}

static size_t output_allowed(const world *w) {
    size_t message = WORLD_SEND_BYTES_MAX + WF_FRAME_HEAD_MAX;
    size_t answers = 64 * 1024 + WORLD_ANSWER_BYTES_MAX + 1024;
    return 2 * (size_t)w->limits.queue_bytes_max + 2 * message + WF_OUTQ_URGENT_MAX * 128 + answers;
}

static void check_memory(const world *w) {
    const wf_link *link = &w->link;
    size_t windows = wf_link_pmd_of(link) ? wf_link_pmd_of(link)->out.window.cap : 0;
    CHECK_EQ(link->counted,
             (link->held ? sizeof *link->held + link->held->len : 0) + wf_ws_memory(&link->ws) + windows);
    CHECK_EQ(w->env.input_bytes, link->counted);
    CHECK(link->counted <= input_allowed(w));
    CHECK(link->q.bytes <= output_allowed(w));
    CHECK(wf_link_memory(link) == link->counted + wf_outq_weight(&link->q));
    /* Nothing on the heap that nobody counts, but for a bounded rest: the request being read, the codecs, the pool. */
    const wf_outq_pool *pool = &w->env.pool;
    size_t request = w->http.limits.head_bytes_max + w->http.limits.body_bytes_max;
    size_t codecs = wf_codec_memory(&w->env.codec) + wf_codec_memory(&w->peer_codec) + w->peer_deflate.window.cap;
    size_t counted = link->counted + pool->bytes_used + pool->chunk_count * 4096 + pool->ref_count * 128 + codecs +
                     atomic_load(&w->blob_bytes) + 64 * link->q.seg_count;
    CHECK(test_mem_bytes() - w->memory_before <= counted + request * 9 / 8 + SLACK);
}

static void check_turn(world *w) {
    wf_outq_check(&w->link.q);
    if (w->accepted)
        wf_ws_check(&w->link.ws);
    check_memory(w);
    CHECK(w->ended == (w->link.stage == WF_LINK_DEAD));
    CHECK(w->loop.open == !w->ended);
    CHECK(w->link.in_flight == w->loop.sending || w->ended);
    /* Whoever waits is waited for: by a deadline, or by an application. */
    CHECK(w->ended || wf_timer_armed(&w->link.timer) || w->link.stage == WF_LINK_OPEN);
}

/* ---- the application ---- */

static void put_response(world *w, wf_http_response *response, bool accepts) {
    wf_buf bytes = WF_BUF_INIT;
    fuzz_bytes body = {0};
    int got = wf_http_response_write(&bytes, response);
    CHECK(got == WF_OK || got == WF_ENOMEM);
    if (got == WF_ENOMEM) {
        wf_link_abort(&w->link);
        return;
    }
    fuzz_put(&body, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    size_t from = body.len;
    if (response->body_bytes > 0) {
        uint8_t *filling = malloc(response->body_bytes);
        CHECK(filling != NULL);
        memset(filling, 'b', response->body_bytes);
        fuzz_put(&body, filling, response->body_bytes);
        free(filling);
    }
    CHECK_EQ(body.len, from + response->body_bytes);
    if (accepts)
        got = wf_link_accept(&w->link, body.data, body.len, &w->limits);
    else
        got = wf_link_reply(&w->link, body.data, body.len, response->close);
    CHECK(got == WF_OK || got == WF_ENOMEM);
    fuzz_free(&body);
}

/* Agrees to permessage-deflate where that is offered and wanted. */
static bool agree(world *w, const wf_http_request *request) {
    wf_str lines[64];
    size_t count = 0;
    for (size_t i = 0; i < request->header_count && count < 64; i++)
        if (wf_str_eq_nocase(request->headers[i].name, wf_str_of("Sec-WebSocket-Extensions")))
            lines[count++] = request->headers[i].value;
    return wf_pmd_answer(lines, count, &w->limits.pmd, &w->agreed);
}

static void accept_upgrade(world *w) {
    char text[WF_PMD_TEXT_MAX];
    wf_http_header_out headers[] = {{wf_str_of("Upgrade"), wf_str_of("websocket")},
                                    {wf_str_of("Connection"), wf_str_of("Upgrade")},
                                    {wf_str_of("Sec-WebSocket-Extensions"), {text, 0}}};
    bool deflates = agree(w, wf_http_reader_request(w->link.reader));
    if (deflates)
        headers[2].value.len = wf_pmd_answer_write(&w->agreed, text);
    put_response(w, &(wf_http_response) {.status = 101, .headers = headers, .header_count = deflates ? 3 : 2}, true);
    w->accepted = w->link.stage == WF_LINK_OPEN;
    if (!w->accepted || !deflates || wf_link_deflate(&w->link, &w->agreed) != WF_OK)
        return;
    w->deflates = true;
    wf_deflate_init(&w->peer_deflate, &w->peer_codec, w->agreed.client_max_window_bits,
                    !w->agreed.client_no_context_takeover, 0);
}

void world_answer(world *w, bool accepts, bool close) {
    if (w->link.stage != WF_LINK_WAITING)
        return;
    if (accepts && w->link.waits_upgrade) {
        accept_upgrade(w);
        return;
    }
    if (w->link.reader && wf_link_end_of(&w->link)->fault.status == 0)
        close |= !wf_http_reader_request(w->link.reader)->keep_alive;
    put_response(w,
                 &(wf_http_response) {.status = 200, .close = close, .has_length = true, .body_bytes = w->answer_bytes},
                 false);
}

static void on_request(world *w) {
    const wf_http_request *request = wf_http_reader_request(w->link.reader);
    CHECK(!w->accepted);
    fuzz_log(&w->log, 'R', w->link.waits_upgrade, request->target.data, request->target.len);
    if ((w->accepts && w->link.waits_upgrade) || w->answers)
        world_answer(w, w->accepts, !w->keeps_alive);
}

static void on_message(world *w, const wf_ws_event *message) {
    CHECK(w->accepted && !w->ended && w->link.stage == WF_LINK_OPEN && message->kind == WF_WS_MESSAGE);
    fuzz_log(&w->log, 'M', message->opcode, message->data, message->len);
    switch (w->reply) {
    case REPLY_ECHO: /* the promise of link.h: one answer never finds the queue full */
        CHECK(wf_link_send(&w->link, message->opcode, message->data, message->len) != WF_FULL);
        break;
    case REPLY_TWICE:
        for (int i = 0; i < 2; i++)
            w->pressed |= wf_link_send(&w->link, message->opcode, message->data, message->len) == WF_FULL;
        break;
    case REPLY_PUBLISH:
        world_publish(w, message->opcode, message->data, message->len, false);
        break;
    case REPLY_CLOSE:
        wf_link_close(&w->link, 4000, "enough");
        break;
    default:
        break;
    }
}

static wf_blob *frame_blob(world *w, wf_frame frame, const void *data) {
    uint8_t head[WF_FRAME_HEAD_MAX];
    size_t head_len = wf_frame_encode(head, &frame);
    wf_blob *blob = wf_blob_new(head_len + (size_t)frame.len, &w->blob_bytes);
    if (!blob)
        return NULL;
    memcpy(blob->data, head, head_len);
    if (frame.len > 0)
        memcpy(blob->data + head_len, data, (size_t)frame.len);
    return blob;
}

int world_publish(world *w, uint8_t opcode, const void *data, size_t len, bool as_is) {
    const uint8_t *deflated;
    size_t deflated_len;
    if (!w->accepted || w->ended)
        return WF_ECLOSED;
    wf_blob *blob = frame_blob(w, (wf_frame) {.fin = true, .opcode = opcode, .len = len}, data);
    if (!blob)
        return WF_ENOMEM;
    blob->as_is = as_is;
    if (w->deflates && !as_is && wf_deflate_message(&w->shared, data, len, &deflated, &deflated_len) == WF_OK)
        blob->alt =
            frame_blob(w, (wf_frame) {.fin = true, .rsv = WF_RSV1, .opcode = opcode, .len = deflated_len}, deflated);
    int got = wf_outq_publish(&w->link.q, blob);
    w->pressed |= wf_count_read(&w->env.pool.drops) > 0;
    wf_blob_unref(blob);
    return got;
}

/* ---- the loop ---- */

static void log_end(world *w) {
    const wf_link *link = &w->link;
    const char *rule = wf_link_end_of(link)->fault.rule ? wf_link_end_of(link)->fault.rule : "";
    fuzz_log(&w->log, 'E', wf_link_end_of(link)->sent_code, wf_link_end_of(link)->reason,
             wf_link_end_of(link)->reason ? strlen(wf_link_end_of(link)->reason) : 0);
    fuzz_log(&w->log, 'e', wf_link_end_of(link)->received_code * 2 + wf_link_end_of(link)->by_peer, rule, strlen(rule));
}

static void pump(world *w) {
    wf_link_event event;
    for (int pulls = 0; wf_link_next(&w->link, &event) == WF_OK; pulls++) {
        CHECK(pulls < PULLS_MAX && !w->ended);
        switch (event.kind) {
        case WF_LINK_REQUEST:
            on_request(w);
            break;
        case WF_LINK_BROKEN:
            CHECK(!w->accepted && wf_link_end_of(&w->link)->fault.rule &&
                  wf_link_end_of(&w->link)->fault.close_code >= 400);
            fuzz_log(&w->log, 'B', wf_link_end_of(&w->link)->fault.close_code, wf_link_end_of(&w->link)->fault.rule,
                     strlen(wf_link_end_of(&w->link)->fault.rule));
            world_answer(w, false, true);
            break;
        case WF_LINK_UNANSWERED:
            fuzz_log(&w->log, 'U', 0, NULL, 0);
            world_answer(w, false, true);
            break;
        case WF_LINK_MESSAGE:
            on_message(w, &event.message);
            break;
        case WF_LINK_PONG:
            fuzz_log(&w->log, 'O', 0, NULL, 0);
            break;
        case WF_LINK_CONTROL: /* as the wire brought it: tests of the session compare it */
            break;
        case WF_LINK_DRAINED:
            fuzz_log(&w->log, 'D', 0, NULL, 0);
            break;
        case WF_LINK_REPLIED:
            CHECK(!"a server is not answered");
            break;
        case WF_LINK_HTTP2:
        case WF_LINK_BYTES:
            CHECK(!"it is not offered");
            break;
        case WF_LINK_ENDED:
            w->ended = true;
            log_end(w);
            break;
        }
    }
}

/* Those that are ready now; what becomes ready meanwhile is for the next turn. */
static void flush(world *w) {
    for (size_t left = w->env.pool.ready_count; left > 0 && wf_outq_ready_take(&w->env.pool); left--) {
        wf_link_flush(&w->link);
        if (wf_link_runnable(&w->link))
            pump(w);
    }
}

/* One read, as large as the cuts make it; then what follows a read. */
static bool receive(world *w) {
    size_t left = w->wire.len - w->delivered;
    if (!w->loop.open || (w->loop.paused && left > 0))
        return false;
    if (left > 0) {
        size_t len = fuzz_cut(&w->cuts, left);
        uint8_t *piece = fuzz_exact(w->wire.data + w->delivered, len);
        w->delivered += len;
        wf_link_received(&w->link, piece, len);
        pump(w);
        free(piece);
        return true;
    }
    if (!w->peer_fin || w->fin_told)
        return false;
    w->fin_told = true;
    wf_link_input_over(&w->link);
    pump(w);
    return true;
}

static bool turn(world *w) {
    bool busy = false;
    wf_timer *timer;
    w->env.turn++;
    while (receive(w))
        busy = true;
    if (w->loop.open && w->loop.sending && w->loop.room > 0) {
        busy = true;
        w->loop.sending = false;
        wf_link_sent(&w->link, 0);
        pump(w);
    }
    wf_timers_advance(&w->env.timers, w->env.now_ms);
    while ((timer = wf_timers_next(&w->env.timers))) {
        CHECK(timer == &w->link.timer);
        busy = true;
        wf_link_timer_due(&w->link);
        pump(w);
    }
    if (wf_link_runnable(&w->link))
        pump(w);
    busy |= w->env.pool.ready_first != NULL;
    flush(w);
    return busy;
}

void world_settle(world *w) {
    int turns = 0;
    while (turn(w))
        CHECK(++turns < TURNS_MAX);
    check_turn(w);
}

void world_pass(world *w, uint64_t ms) {
    w->env.now_ms += ms;
    fake_now_ns += ms * 1000000;
    w->excused |= w->loop.sending; /* what is stuck may run out of time */
    world_settle(w);
}

void world_finish(world *w) {
    w->loop.room = SIZE_MAX / 2;
    w->loop.take_max = 0;
    world_settle(w);
    world_answer(w, w->accepts, true);
    world_settle(w);
    w->peer_fin = true;
    for (int i = 0; !w->ended; i++) {
        CHECK(i < 1000);
        int64_t wait = wf_timers_wait_ms(&w->env.timers);
        world_pass(w, wait > 0 ? (uint64_t)wait : 1);
    }
}

void world_init(world *w, fuzz_input *in, fuzz_cuts cuts) {
    static const uint64_t message_max[] = {65536, 200, 1 << 20, 5000};
    static const uint32_t queue_max[] = {1 << 20, 1, 400, 20000}, pings[] = {10, 1, WF_NEVER, 1000};
    uint8_t limits = fuzz_byte(in), times = fuzz_byte(in), deflates = fuzz_byte(in), application = fuzz_byte(in);
    memset(w, 0, sizeof *w);
    fake_now_ns = (uint64_t)WORLD_START_MS * 1000000;
    w->memory_before = test_mem_bytes();
    w->cuts = cuts;
    w->http = (wf_link_http) {.limits = {.head_bytes_max = 4096, .headers_max = 32, .body_bytes_max = 8192},
                              .handshake_timeout_ms = 10000,
                              .answer_timeout_ms = 20000,
                              .keep_alive_ms = 15000,
                              .send_timeout_ms = 30000};
    w->limits = (wf_link_limits) {
        .ws = {.message_bytes_max = message_max[limits & 3], .empty_fragments_max = limits & 64 ? 2 : 1024},
        .intervals = {times & 1 ? WF_NEVER : 25000, times & 2 ? WF_NEVER : 8000, times & 4 ? WF_NEVER : 30000,
                      times & 8 ? WF_NEVER : 30000},
        .queue_bytes_max = queue_max[limits >> 2 & 3],
        .slow_policy = (wf_slow_policy)(WF_SLOW_CLOSE + (limits >> 4) % 3),
        .close_timeout_ms = 5000,
        .ping_timeout_code = 1008,
        .pings_per_second = pings[times >> 4 & 3]};
    w->limits.pmd = (wf_pmd_config) {.on = deflates & 1,
                                     .server_takeover = deflates & 2,
                                     .client_takeover = deflates & 4,
                                     .server_bits = (uint8_t)(deflates & 8 ? 9 : 15),
                                     .client_bits = (uint8_t)(deflates & 16 ? 8 : 15),
                                     .bytes_min = deflates & 32 ? 100 : 0};
    w->accepts = application & 1 || !(application & 2);
    w->answers = application & 4;
    w->keeps_alive = application & 8;
    w->reply = (world_reply)((application >> 4) % REPLIES);
    w->loop.room = SIZE_MAX / 2;
    w->env = (wf_link_env) {.loop = &w->loop, .http = &w->http, .now_ms = WORLD_START_MS, .ping_secret = 0x5EC7E7};
    wf_codec_init(&w->env.codec);
    wf_codec_init(&w->peer_codec);
    wf_deflate_init(&w->shared, &w->env.codec, 15, false, 0);
    wf_timers_init(&w->env.timers, WORLD_START_MS);
    CHECK_EQ(wf_link_init(&w->link, &w->env, 0, NULL), WF_OK);
}

void world_deinit(world *w) {
    wf_timers_check(&w->env.timers);
    wf_link_deinit(&w->link);
    CHECK(!w->loop.open);
    CHECK_EQ(w->env.input_bytes, 0);
    CHECK_EQ(w->link.q.bytes, 0);
    CHECK_EQ(w->env.pool.bytes_used, 0);
    CHECK(w->env.pool.ready_first == NULL && w->env.pool.ready_count == 0);
    CHECK_EQ(w->env.timers.count, 0);
    CHECK_EQ(atomic_load(&w->blob_bytes), 0);
    if (w->deflates)
        wf_deflate_deinit(&w->peer_deflate);
    wf_deflate_deinit(&w->shared);
    wf_codec_deinit(&w->peer_codec);
    wf_codec_deinit(&w->env.codec);
    wf_outq_pool_deinit(&w->env.pool);
    CHECK_EQ(test_mem_bytes(), w->memory_before);
    fuzz_free(&w->loop.out);
    fuzz_free(&w->wire);
    fuzz_free(&w->log);
}
