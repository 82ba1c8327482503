/*
 * The application answers a request when it is whole, and a WebSocket at once; what comes on that goes back. The judge
 * wants the events in their order and, of each stream, the bytes that the application gave.
 */
#include "h2s.h"

#include "base/status.h"
#include "http/h2_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum { WINDOW_BYTES = 65535 }; /* of all streams together */

void h2s_init(h2s_world *w, bool failing) {
    *w = (h2s_world) {.goaway = -1, .failing = failing};
    w->h2 =
        wf_h2_new(&(wf_h2_limits) {.head_bytes_max = H2S_HEAD_MAX, .streams_max = 20, .held_bytes = &w->held_bytes});
    CHECK(w->h2 || failing);
}

void h2s_deinit(h2s_world *w) {
    wf_h2_free(w->h2);
    CHECK_EQ(w->held_bytes, 0);
    for (int i = 0; i < H2S_MAX; i++) {
        fuzz_free(&w->all[i].in);
        fuzz_free(&w->all[i].text);
        fuzz_free(&w->seen[i].body);
    }
    fuzz_free(&w->wire);
    fuzz_free(&w->out);
    fuzz_free(&w->log);
}

void h2s_check(const h2s_world *w) {
    size_t bytes = 0, streams = 0, owned = 0;
    for (const wf_h2_stream *s = w->h2->streams; s; s = s->next) {
        bytes += s->in.len + s->out.len - s->out_at + s->our_head.len;
        streams += !s->gone;
        owned += s->opened && !s->closed;
        CHECK(s->out.len - s->out_at <= 2 * WF_H2_OUT_MAX);
        CHECK(s->in.len <= H2S_HEAD_MAX + 1024 + 64 * 1024 + 64); /* its head and its window */
    }
    CHECK_EQ(wf_h2_memory(w->h2), bytes);
    CHECK_EQ(w->held_bytes, bytes);
    CHECK_EQ(wf_h2_streams(w->h2), streams);
    CHECK_EQ(wf_h2_owned(w->h2), owned);
    CHECK(streams <= 20);
}

/* ---- the application ---- */

static void let_go(h2s *s, bool reset) {
    if (s->stream)
        wf_h2_stream_close(s->stream, reset);
    s->stream = NULL;
}

static void go_on(h2s *s) {
    while (s->stream && s->sent < s->text.len && !s->waits) {
        size_t len = s->text.len - s->sent;
        bool in_parts = s->number % 3 == 0 && s->sent < 40 && len > 10;
        struct iovec range = {s->text.data + s->sent, in_parts ? 10 : len};
        int64_t got = wf_h2_stream_send(s->stream, &range, 1);
        if (got < 0) {
            let_go(s, true);
            return;
        }
        s->waits = got == 0;
        s->sent += (size_t)got;
        if (in_parts && s->sent < 40) /* the rest another time */
            break;
    }
    if (s->stream && s->ends && !s->end_said && s->sent == s->text.len) {
        s->end_said = true;
        wf_h2_stream_end(s->stream);
    }
}

static void say(h2s *s, const char *head, const void *body, size_t len) {
    fuzz_put(&s->text, head, strlen(head));
    fuzz_put(&s->text, body, len);
    s->answered = true;
}

static size_t head_length(const fuzz_bytes *in) {
    const uint8_t *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - in->data) + 4 : 0;
}

static void on_received(h2s *s, const uint8_t *data, size_t len) {
    size_t head = head_length(&s->in), before = s->in.len;
    fuzz_put(&s->in, data, len);
    if (head == 0) {
        head = head_length(&s->in);
        CHECK(head > 0 && before == 0); /* a head comes whole */
        s->is_websocket = memmem(s->in.data, head, "\r\nUpgrade: websocket\r\n", 22) != NULL;
        if (s->is_websocket)
            say(s, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", s->in.data + head, s->in.len - head);
    } else if (s->is_websocket && !s->end_said) {
        fuzz_put(&s->text, data, len);
    }
}

/* The answer's length is that of the request; a path tells of its form. */
static void on_eof(h2s *s) {
    char head[128];
    s->eof = s->ends = true;
    if (s->is_websocket)
        return;
    size_t len = s->in.len * 50;
    uint8_t *body = malloc(len + 1);
    CHECK(body != NULL);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(i * 7 + (size_t)s->number);
    bool counted = s->in.len % 2;
    snprintf(head, sizeof head,
             counted ? "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n"
                     : "HTTP/1.1 200 OK\r\nX: %zu\r\n\r\n",
             len);
    s->ends = !counted;
    say(s, head, body, len);
    free(body);
}

static void open_stream(h2s_world *w, wf_h2_stream *stream) {
    if (w->count == H2S_MAX) {
        wf_h2_stream_close(stream, true);
        return;
    }
    h2s *s = &w->all[w->count];
    s->stream = stream;
    s->number = w->count++;
    wf_h2_stream_set_user(stream, s);
}

/* What comes of a body that is longer than it said it would be depends on the cuts: nghttp2 judges piece by piece. */
static bool is_told(const h2s *s, const wf_h2_event *event) {
    return event->kind != WF_H2_RECEIVED || s->in.len == 0 || !memmem(s->in.data, s->in.len, "content-length", 14);
}

void h2s_pull(h2s_world *w) {
    wf_h2_event event;
    while (wf_h2_next(w->h2, &event) == WF_OK) {
        h2s *s = wf_h2_stream_user(event.stream);
        CHECK((event.kind == WF_H2_OPENED) == (s == NULL));
        if (is_told(s, &event))
            fuzz_log(&w->log, (char)('a' + event.kind), s ? s->number : w->count, event.data, event.len);
        switch (event.kind) {
        case WF_H2_OPENED:
            open_stream(w, event.stream);
            break;
        case WF_H2_RECEIVED:
            CHECK(s->stream == event.stream && !s->eof && !s->paused && event.len > 0);
            on_received(s, event.data, event.len);
            memset(event.data, 0, event.len); /* it is ours to change */
            break;
        case WF_H2_EOF:
            CHECK(s->stream == event.stream && !s->eof);
            on_eof(s);
            break;
        case WF_H2_SENT:
            CHECK(s->stream == event.stream && s->waits);
            s->waits = false;
            break;
        case WF_H2_GONE:
            CHECK(s->stream == event.stream);
            s->stream = NULL; /* freed behind the next call */
            break;
        }
        if (s)
            go_on(s);
    }
}

void h2s_act(h2s_world *w, int which, uint8_t how) {
    h2s *s = &w->all[which];
    if (!s->stream)
        return;
    if (how % 6 == 0) {
        s->paused = true;
        wf_h2_stream_pause(s->stream);
    } else if (how % 6 <= 2) {
        s->paused = false;
        wf_h2_stream_resume(s->stream);
    } else if (how % 6 == 3 && s->is_websocket) {
        s->ends = true;
        go_on(s);
    } else if (how % 6 > 3) {
        let_go(s, how % 6 == 4);
    }
}

void h2s_finish(h2s_world *w) {
    size_t total = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < w->count; i++)
            go_on(&w->all[i]);
        h2s_hear(w);
        h2s_pull(w);
    }
    for (int i = 0; i < w->count; i++)
        total += w->all[i].text.len;
    for (int i = 0; i < w->count && total < WINDOW_BYTES; i++) {
        const h2s *s = &w->all[i];
        bool has_said_all = s->sent == s->text.len && (s->end_said || (s->answered && !s->is_websocket));
        if (s->stream && has_said_all && s->stream->id / 2 < H2S_MAX)
            CHECK(w->seen[s->stream->id / 2].ended);
    }
}

/* ---- the peer's ear ---- */

static uint32_t number_at(const uint8_t *at, int bytes) {
    uint32_t number = 0;
    for (int i = 0; i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

static void hear_of_stream(h2s_seen *seen, const uint8_t *frame, size_t len) {
    bool ends = frame[4] & NGHTTP2_FLAG_END_STREAM;
    switch (frame[3]) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        CHECK(!seen->ended && !seen->reset);
        CHECK(seen->headers == (frame[3] == NGHTTP2_DATA));
        seen->headers = true;
        seen->ended = ends;
        if (frame[3] == NGHTTP2_DATA)
            fuzz_put(&seen->body, frame + 9, len);
        break;
    case NGHTTP2_RST_STREAM:
        CHECK(!seen->reset && len == 4);
        seen->reset = true;
        break;
    default:
        CHECK(frame[3] == NGHTTP2_WINDOW_UPDATE && len == 4);
    }
}

void h2s_hear(h2s_world *w) {
    const uint8_t *data;
    for (size_t len; (len = wf_h2_output(w->h2, &data)) > 0;)
        fuzz_put(&w->out, data, len);
    while (w->out_at < w->out.len) {
        const uint8_t *frame = w->out.data + w->out_at;
        CHECK(w->out.len - w->out_at >= 9);
        size_t len = number_at(frame, 3);
        uint32_t id = number_at(frame + 5, 4);
        CHECK(len <= H2S_FRAME_MAX && w->out.len - w->out_at >= 9 + len);
        if (frame[3] == NGHTTP2_GOAWAY)
            w->goaway = (int)number_at(frame + 13, 4);
        else if (id == 0)
            CHECK(frame[3] == NGHTTP2_SETTINGS || frame[3] == NGHTTP2_PING || frame[3] == NGHTTP2_WINDOW_UPDATE);
        else if (id / 2 < H2S_MAX && id % 2)
            hear_of_stream(&w->seen[id / 2], frame, len);
        w->out_at += 9 + len;
    }
}
