/*
 * link_help.h - a link on one end of a socket pair, driven as a worker drives it, with a clock moved by hand;
 * at the other end a peer that writes frames and tells in words what it read:
 *
 *     "T(Hello) O(x) C1000(bye) FIN"
 *
 * What the link yields is told in words too: "request message(Hello) ended ".
 */
#ifndef WF_TESTS_LINK_HELP_H
#define WF_TESTS_LINK_HELP_H

#include "base/bytes.h"
#include "link/link.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define UPGRADE "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
#define ACCEPT  "HTTP/1.1 101 Switching Protocols\r\n\r\n"

enum { TURNS = 60, START_MS = 1000000, WORDS = 1 << 16 };

typedef struct fixture {
    wf_link_env env;
    wf_link_http http;
    wf_link_limits limits;
    wf_link link;
    int peer;                      /* -1: closed */
    size_t live_before, live_idle; /* blocks of memory: before all, and with a link that has done nothing */
    bool accepts, answers, echoes; /* what is done about requests and messages */
    bool flushes_soon;             /* before what came is taken back, as a worker does */
    bool quiet;                    /* events are not told in words */
    void (*on_message)(struct fixture *f, const wf_ws_event *message);
    void (*on_open)(struct fixture *f);
    size_t answer_bytes; /* at least so long are answers */
    char yielded[WORDS]; /* events in words */
    uint8_t *read;       /* by the peer, not yet told */
    size_t read_len, read_cap;
    bool fin;
} fixture;

static inline void say(fixture *f, const char *kind, const void *data, size_t len) {
    size_t used = strlen(f->yielded);
    if (f->quiet)
        return;
    CHECK(used + 100 < sizeof f->yielded);
    if (!data)
        snprintf(f->yielded + used, 100, "%s ", kind);
    else if (len <= 20)
        snprintf(f->yielded + used, 100, "%s(%.*s) ", kind, (int)len, (const char *)data);
    else
        snprintf(f->yielded + used, 100, "%s(%zu bytes) ", kind, len);
}

/* "<target>", made longer by dots in front of the last character. */
static inline void answer(fixture *f, wf_str target, bool close) {
    size_t len = target.len + 2 > f->answer_bytes ? target.len + 2 : f->answer_bytes;
    char *bytes = malloc(len);
    CHECK(bytes != NULL);
    memset(bytes, '.', len);
    bytes[0] = '<';
    memcpy(bytes + 1, target.data, target.len);
    bytes[len - 1] = '>';
    CHECK_EQ(wf_link_reply(&f->link, bytes, len, close), WF_OK);
    free(bytes);
}

static inline void on_request(fixture *f) {
    wf_str target = wf_http_reader_request(f->link.reader)->target;
    say(f, "request", target.data, target.len);
    if (f->link.waits_upgrade && f->accepts) {
        if (wf_link_accept(&f->link, ACCEPT, strlen(ACCEPT), &f->limits) == WF_OK && f->on_open)
            f->on_open(f);
    } else if (f->answers) {
        answer(f, target, !wf_http_reader_request(f->link.reader)->keep_alive);
    }
}

/* Pulls all events, as wf_worker_pump does. */
static inline void pump(fixture *f) {
    wf_link_event event;
    char text[40];
    for (int pulls = 0; wf_link_next(&f->link, &event) == WF_OK; pulls++) {
        CHECK(pulls < 100000);
        switch (event.kind) {
        case WF_LINK_REQUEST:
            on_request(f);
            break;
        case WF_LINK_BROKEN:
            snprintf(text, sizeof text, "%d", wf_link_end_of(&f->link)->fault.close_code);
            say(f, "broken", text, strlen(text));
            wf_link_reply(&f->link, text, strlen(text), true);
            break;
        case WF_LINK_UNANSWERED:
            say(f, "unanswered", NULL, 0);
            wf_link_reply(&f->link, "503", 3, true);
            break;
        case WF_LINK_MESSAGE:
            if (f->on_message)
                f->on_message(f, &event.message);
            else if (!f->echoes)
                say(f, "message", event.message.data ? event.message.data : (const uint8_t *)"", event.message.len);
            if (f->echoes)
                CHECK_EQ(wf_link_send(&f->link, event.message.opcode, event.message.data, event.message.len), WF_OK);
            break;
        case WF_LINK_PONG:
            say(f, "pong", NULL, 0);
            break;
        case WF_LINK_CONTROL:
            break;
        case WF_LINK_DRAINED:
            say(f, "drained", NULL, 0);
            break;
        case WF_LINK_REPLIED:
            say(f, "replied", NULL, 0);
            break;
        case WF_LINK_HTTP2:
            say(f, "http2", NULL, 0);
            break;
        case WF_LINK_BYTES:
            say(f, "bytes", event.message.data, event.message.len);
            break;
        case WF_LINK_ENDED:
            say(f, "ended", NULL, 0);
            return;
        }
    }
}

/* Those that are ready now; what becomes ready meanwhile is for the next turn. */
static inline void flush(fixture *f) {
    for (size_t left = f->env.pool.ready_count; left > 0 && wf_outq_ready_take(&f->env.pool); left--) {
        wf_link_flush(&f->link);
        if (wf_link_runnable(&f->link))
            pump(f);
    }
}

/* One turn of a worker; tells whether anything happened. */
static inline bool turn(fixture *f) {
    wf_loop_event event;
    wf_timer *timer;
    bool busy = false;
    f->env.turn++;
    wf_loop_wait(f->env.loop, 0);
    while (wf_loop_next(f->env.loop, &event) == WF_OK) {
        busy = true;
        if (event.kind == WF_LOOP_RECEIVED) {
            /* exactly as long as what came, so that a sanitizer sees a read behind it */
            uint8_t *exact = malloc(event.len);
            CHECK(exact != NULL);
            memcpy(exact, event.data, event.len);
            wf_link_received_lent(&f->link, exact, event.len);
            pump(f);
            if (f->flushes_soon)
                wf_link_flush(&f->link);
            wf_link_settle(&f->link);
            free(exact);
            pump(f);
            continue;
        }
        if (event.kind == WF_LOOP_SENT)
            wf_link_sent(&f->link, event.len);
        else if (event.kind == WF_LOOP_WAITS)
            wf_link_waits(&f->link);
        else if (event.kind == WF_LOOP_EOF)
            wf_link_input_over(&f->link);
        else
            wf_link_failed(&f->link, event.sys_errno);
        pump(f);
    }
    wf_timers_advance(&f->env.timers, f->env.now_ms);
    while ((timer = wf_timers_next(&f->env.timers))) {
        busy = true;
        wf_link_timer_due(&f->link);
        pump(f);
    }
    flush(f);
    wf_outq_check(&f->link.q);
    if (wf_link_limits_of(&f->link))
        wf_ws_check(&f->link.ws);
    return busy || f->env.pool.ready_count > 0;
}

static inline void settle(fixture *f) {
    for (int i = 0, idle = 0; i < TURNS && idle < 2; i++)
        idle = turn(f) ? 0 : idle + 1;
}

static inline void pass(fixture *f, uint64_t ms) {
    settle(f);
    f->env.now_ms += ms;
    settle(f);
}

/* Everything the peer can read now, as bytes. */
static inline void peer_reads(fixture *f) {
    for (int i = 0; i < TURNS && f->peer >= 0 && !f->fin; i++) {
        if (f->read_cap - f->read_len < 65536)
            f->read = realloc(f->read, f->read_cap += 1 << 20);
        CHECK(f->read != NULL);
        ssize_t got = recv(f->peer, f->read + f->read_len, 65536, MSG_DONTWAIT);
        if (got < 0)
            return;
        f->fin = got == 0;
        f->read_len += (size_t)got;
        settle(f);
    }
}

/* What was read as text; forgets it. */
static inline const char *peer_text(fixture *f) {
    static char text[4096];
    settle(f);
    peer_reads(f);
    snprintf(text, sizeof text, "%.*s%s", (int)f->read_len, f->read ? (const char *)f->read : "", f->fin ? "FIN" : "");
    f->read_len = 0;
    return text;
}

/* What was read as frames. A server's are never masked and their lengths are the shortest. */
static inline const char *peer_frames(fixture *f) {
    static char words[WORDS];
    size_t at = 0, used = 0;
    settle(f);
    peer_reads(f);
    words[0] = '\0';
    while (f->read_len - at >= 2) {
        wf_frame frame;
        const uint8_t *head = f->read + at;
        size_t head_len = wf_frame_head_bytes(head);
        CHECK(f->read_len - at >= head_len);
        wf_frame_decode(head, &frame);
        CHECK(!frame.masked && frame.rsv == 0 && wf_frame_length_ok(head, &frame));
        CHECK(f->read_len - at - head_len >= frame.len);
        const uint8_t *data = head + head_len;
        size_t len = (size_t)frame.len;
        used += (size_t)snprintf(words + used, 200, "%s%c", frame.fin ? "" : "-", "cTB.....CPO....."[frame.opcode]);
        if (frame.opcode == WF_OP_CLOSE && len >= 2)
            used += (size_t)snprintf(words + used, 200, "%d(%.*s) ", wf_load_be16(data), (int)len - 2, data + 2);
        else if (len > 20 || frame.opcode == WF_OP_PING)
            used += (size_t)snprintf(words + used, 200, "(%zu bytes) ", len);
        else
            used += (size_t)snprintf(words + used, 200, "(%.*s) ", (int)len, data);
        CHECK(used + 400 < sizeof words);
        at += head_len + len;
    }
    CHECK_EQ(at, f->read_len);
    f->read_len = 0;
    if (f->fin)
        snprintf(words + used, 10, "FIN");
    return words;
}

static inline void peer_writes(fixture *f, const void *bytes, size_t len) {
    CHECK_EQ(send(f->peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL), (ssize_t)len);
}

/* Puts a masked frame behind what `out` holds. */
static inline void put_frame(wf_buf *out, uint8_t first, const void *data, size_t len) {
    uint8_t head[WF_FRAME_HEAD_MAX];
    wf_frame frame = {.fin = first >> 7,
                      .rsv = first >> 4 & 7,
                      .opcode = first & 15,
                      .masked = true,
                      .key = {0x11, 0x22, 0x33, 0x44},
                      .len = len};
    CHECK_EQ(wf_buf_append(out, head, wf_frame_encode(head, &frame)), WF_OK);
    CHECK_EQ(wf_buf_reserve(out, len + 1), WF_OK);
    wf_mask(out->data + out->len, data, len, frame.key, 0);
    out->len += len;
}

static inline void peer_sends(fixture *f, uint8_t first, const char *text, size_t len) {
    wf_buf bytes = WF_BUF_INIT;
    put_frame(&bytes, first, text, len);
    peer_writes(f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
}

static inline void peer_sends_text(fixture *f, const char *text) {
    peer_sends(f, 0x81, text, strlen(text));
}

static inline void peer_closes(fixture *f) {
    close(f->peer);
    f->peer = -1;
}

static inline void fixture_init_on(fixture *f, wf_loop_kind backend) {
    int fds[2];
    memset(f, 0, sizeof *f);
    f->live_before = test_mem_live();
    f->accepts = f->answers = true;
    f->http = (wf_link_http) {.limits = {.head_bytes_max = 8192, .headers_max = 64, .body_bytes_max = 65536},
                              .handshake_timeout_ms = 10000,
                              .answer_timeout_ms = 20000,
                              .keep_alive_ms = 15000,
                              .send_timeout_ms = 30000};
    f->limits = (wf_link_limits) {.ws = {.message_bytes_max = 1 << 20, .empty_fragments_max = 1024},
                                  .intervals = {25000, 8000, 30000, 30000},
                                  .queue_bytes_max = 1 << 20,
                                  .slow_policy = WF_SLOW_CLOSE,
                                  .close_timeout_ms = 5000,
                                  .ping_timeout_code = 1008,
                                  .pings_per_second = 10};
    f->env.loop = wf_loop_new_on(backend, 0);
    f->env.http = &f->http;
    f->env.now_ms = START_MS;
    CHECK(f->env.loop != NULL);
    wf_timers_init(&f->env.timers, START_MS);
    wf_codec_init(&f->env.codec);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    f->peer = fds[1];
    CHECK_EQ(wf_link_init(&f->link, &f->env, fds[0], NULL), WF_OK);
    f->live_idle = test_mem_live();
}

static inline void fixture_init(fixture *f) {
    fixture_init_on(f, WF_LOOP_AUTO);
}

static inline void fixture_deinit(fixture *f) {
    wf_link_deinit(&f->link);
    CHECK(f->env.pool.ready_first == NULL && f->env.pool.ready_count == 0);
    CHECK_EQ(f->env.input_bytes, 0);
    CHECK_EQ(f->env.timers.count, 0);
    wf_outq_pool_deinit(&f->env.pool);
    wf_codec_deinit(&f->env.codec);
    wf_loop_free(f->env.loop);
    if (f->peer >= 0)
        close(f->peer);
    free(f->read);
    CHECK_EQ(test_mem_live(), f->live_before);
}

/* As far as the open WebSocket. */
static inline void fixture_open_on(fixture *f, wf_loop_kind backend) {
    fixture_init_on(f, backend);
    peer_writes(f, UPGRADE, strlen(UPGRADE));
    CHECK_STR(peer_text(f), ACCEPT);
    CHECK_STR(f->yielded, "request(/chat) ");
    f->yielded[0] = '\0';
}

static inline void fixture_open(fixture *f) {
    fixture_open_on(f, WF_LOOP_AUTO);
}

/* What was yielded since last asked. */
static inline const char *yielded(fixture *f) {
    static char words[WORDS];
    settle(f);
    memcpy(words, f->yielded, strlen(f->yielded) + 1);
    f->yielded[0] = '\0';
    return words;
}

/* Publishes a frame to it, as a topic does. */
static inline int publish(fixture *f, const char *frame, size_t len) {
    wf_blob *blob = wf_blob_new(len, NULL);
    CHECK(blob != NULL);
    memcpy(blob->data, frame, len);
    int got = wf_outq_publish(&f->link.q, blob);
    wf_blob_unref(blob);
    return got;
}

/* Reads one piece of what waits, as a slow peer does. Its bytes. */
static inline size_t peer_sips(fixture *f) {
    static uint8_t cup[200000];
    ssize_t got = recv(f->peer, cup, sizeof cup, MSG_DONTWAIT);
    CHECK(got > 0);
    settle(f);
    return (size_t)got;
}

/* The peer reads the answer to its handshake; what comes behind it stays for peer_frames. */
static inline void peer_reads_accept(fixture *f) {
    settle(f);
    peer_reads(f);
    CHECK(f->read_len >= strlen(ACCEPT));
    CHECK_BYTES(f->read, strlen(ACCEPT), ACCEPT, strlen(ACCEPT));
    f->read_len -= strlen(ACCEPT);
    memmove(f->read, f->read + strlen(ACCEPT), f->read_len);
}

#endif
