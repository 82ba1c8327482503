/*
 * nghttp2 calls back from within feed and output; what it tells becomes marks on streams and a list of those with news,
 * which next works off. Nobody above is called, and nothing is submitted that a callback may not submit.
 *
 *      DATA --> stream.in --RECEIVED-->            --send--> stream.our_head --(is whole)----> HEADERS
 *                                                       `--> stream.out ---read callback-----> DATA
 *
 * A stream is freed when both have let go of it: nghttp2 (`gone`) and its owner (`closed`, or told that it is gone).
 */
#include "http/h2_impl.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    STREAM_WINDOW = 64 * 1024,       /* bytes a peer may send on a stream before they are taken */
    CONNECTION_WINDOW = 1024 * 1024, /* and on all, before they came */
    FIELDS_DROPPED_MAX = 1000,       /* of a head that is over its limit: then the stream is reset */
    CHUNK_SIZE_DIGITS = 8,
    CHUNK_END_BYTES = 2,
    RESETS_BURST = 100,
    RESETS_PER_SECOND = 20,
    ACKS_MAX = 100,        /* answers to SETTINGS and PING that wait to be sent */
    CONTINUATIONS_MAX = 8, /* of a head (CVE-2024-28182) */
    EMPTIES_MAX = 1024,    /* DATA frames of nothing, one after the other */
    MISDEEDS_MAX = 100     /* errors that end a stream, not made up for by streams that went well */
};

/* ---- streams ---- */

void wf_h2_list(wf_h2_stream *s) {
    if (s->listed)
        return;
    s->listed = true;
    s->news_next = NULL;
    *(s->h2->news_last ? &s->h2->news_last->news_next : &s->h2->news_first) = s;
    s->h2->news_last = s;
}

/* RFC 9113 8.1: the answer is whole, and the request need not be. */
void wf_h2_want_no_more(wf_h2_stream *s) {
    if (!s->in_over)
        nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id,
                                  wf_h2_is_client(s->h2) ? NGHTTP2_CANCEL : NGHTTP2_NO_ERROR);
}

static wf_h2_stream *new_stream(wf_h2 *h2, int32_t id) {
    wf_h2_stream *s = wf_mem_zalloc(sizeof *s);
    if (!s)
        return NULL;
    s->h2 = h2;
    s->id = id;
    s->head.bytes_max = h2->limits.head_bytes_max;
    s->body_left = UINT64_MAX;
    s->next = h2->streams;
    if (h2->streams)
        h2->streams->prev = s;
    h2->streams = s;
    h2->count++;
    return s;
}

static void free_stream(wf_h2_stream *s) {
    wf_h2 *h2 = s->h2;
    *(s->prev ? &s->prev->next : &h2->streams) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    wf_h2_count(h2, s->out_at - s->out.len - s->in.len - s->our_head.len);
    h2->owned -= s->opened && !s->closed;
    wf_h2_head_deinit(&s->head);
    wf_buf_deinit(&s->in);
    wf_buf_deinit(&s->our_head);
    wf_buf_deinit(&s->out);
    wf_mem_free(s);
}

static int put_in(wf_h2_stream *s, const void *data, size_t len) {
    if (wf_buf_reserve(&s->in, len + CHUNK_END_BYTES + WF_H2_SLACK) < 0 || wf_buf_append(&s->in, data, len) < 0)
        return WF_ENOMEM;
    wf_h2_count(s->h2, len);
    return WF_OK;
}

/* All that comes until it is given out is one chunk, so that a peer who sends byte by byte costs no more than that. Its
 * size is filled in when it is known. */
static int begin_chunk(wf_h2_stream *s) {
    if (!s->chunked || s->in_chunk)
        return WF_OK;
    s->in_chunk = true;
    s->chunk_at = s->in.len;
    return put_in(s, "00000000\r\n", CHUNK_SIZE_DIGITS + 2);
}

static void end_chunk(wf_h2_stream *s) {
    if (!s->in_chunk)
        return;
    char size[CHUNK_SIZE_DIGITS + 1];
    snprintf(size, sizeof size, "%08x", (unsigned)(s->in.len - s->chunk_at - CHUNK_SIZE_DIGITS - 2));
    memcpy(s->in.data + s->chunk_at, size, CHUNK_SIZE_DIGITS);
    memcpy(s->in.data + s->in.len, "\r\n", CHUNK_END_BYTES); /* put_in has left room for it */
    s->in.len += CHUNK_END_BYTES;
    wf_h2_count(s->h2, CHUNK_END_BYTES);
    s->in_chunk = false;
}

/* An answer of ours to what is no request that anybody above could read. */
static void refuse(wf_h2_stream *s, int status) {
    char text[16];
    int len = snprintf(text, sizeof text, "%d", status);
    nghttp2_nv field = {(uint8_t *)":status", (uint8_t *)text, 7, (size_t)len, NGHTTP2_NV_FLAG_NONE};
    nghttp2_submit_response(s->h2->session, s->id, &field, 1, NULL);
    s->closed = s->head_given = true;
}

static int take_request(wf_h2_stream *s) {
    int status, got = wf_h2_request_write(&s->head, s->in_over, &s->in, &s->chunked, &status);
    s->is_head_request = s->head.method.len == 4 && memcmp(s->head.method.data, "HEAD", 4) == 0;
    if (got == WF_EINVAL)
        refuse(s, status);
    return got == WF_ENOMEM ? got : WF_OK;
}

/* What was left out of it may have been what matters. */
static int take_answer(wf_h2_stream *s) {
    if (!s->head.over)
        return wf_h2_answer_write(&s->head, &s->in);
    s->error = WF_H2_HEAD_OVER;
    nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_ENHANCE_YOUR_CALM);
    return WF_OK;
}

/* A head is whole. */
static int begin(wf_h2_stream *s) {
    size_t before = s->in.len;
    bool client = wf_h2_is_client(s->h2);
    s->head_over = !client || !wf_h2_answer_is_interim(&s->head);
    int got = client ? take_answer(s) : take_request(s);
    wf_h2_count(s->h2, s->in.len - before);
    wf_h2_head_deinit(&s->head);
    s->head = (wf_h2_head) {.bytes_max = s->h2->limits.head_bytes_max};
    if (got == WF_OK && !s->closed)
        wf_h2_list(s);
    return got;
}

/* ---- what nghttp2 tells ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    wf_h2 *h2 = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    wf_h2_stream *s = new_stream(h2, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    (void)flags, (void)user;
    wf_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s || s->head_over) /* trailers are dropped */
        return 0;
    int got =
        wf_h2_head_add(&s->head, (wf_str) {(const char *)name, name_len}, (wf_str) {(const char *)value, value_len});
    if (got < 0 || (s->head.over && ++s->fields_dropped > FIELDS_DROPPED_MAX))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user) {
    wf_h2 *h2 = user;
    (void)flags;
    wf_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    nghttp2_session_consume_connection(session, len);
    if (!s || s->closed) {
        nghttp2_session_consume_stream(session, id, len);
        return 0;
    }
    if (begin_chunk(s) < 0 || put_in(s, data, len) < 0) {
        h2->broken = true;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    s->unused += len;
    wf_h2_list(s);
    return 0;
}

/* Nothing in them moves anything on. */
static bool is_empty(const nghttp2_frame *frame) {
    return frame->hd.type == NGHTTP2_DATA && frame->hd.length == frame->data.padlen &&
           !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

/* The peer makes us work without end and to no end. */
static void calm(wf_h2 *h2) {
    nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* nghttp2's own limit counts the reads that a frame's head of 9 bytes comes in; it is for streams that were refused. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user) {
    wf_h2 *h2 = user;
    (void)session;
    h2->continuations = head->type == NGHTTP2_CONTINUATION ? h2->continuations + 1 : 0;
    if (h2->continuations <= CONTINUATIONS_MAX)
        return 0;
    calm(h2);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    wf_h2 *h2 = user;
    h2->empties = is_empty(frame) ? h2->empties + 1 : 0;
    if (h2->empties > EMPTIES_MAX)
        calm(h2);
    h2->settled |= frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK);
    h2->left |= frame->hd.type == NGHTTP2_GOAWAY;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    wf_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s)
        return 0;
    s->in_over = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS && !s->head_over && begin(s) < 0) {
        h2->broken = true;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (!s->in_over || s->closed)
        return 0;
    end_chunk(s);
    if (s->chunked && put_in(s, "0\r\n\r\n", 5) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    wf_h2_list(s);
    return 0;
}

/* Resets of ours that the peer has provoked cost it little and us a request (CVE-2025-8671). */
static void on_reset_sent(wf_h2 *h2, uint32_t error) {
    bool is_ours = error == NGHTTP2_NO_ERROR || error == NGHTTP2_CANCEL || error == NGHTTP2_REFUSED_STREAM;
    if (!is_ours && ++h2->misdeeds > MISDEEDS_MAX)
        calm(h2);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        on_reset_sent(user, frame->rst_stream.error_code);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    wf_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s)
        return 0;
    s->head_sent = true;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    s->end_sent = true;
    if (s->closed)
        wf_h2_want_no_more(s);
    return 0;
}

void wf_h2_let_go(wf_h2_stream *s, uint32_t error) {
    if (s->id > 0)
        nghttp2_session_set_stream_user_data(s->h2->session, s->id, NULL);
    s->gone = true;
    if (s->error == 0)
        s->error = wf_h2_is_client(s->h2) && !s->head_sent ? WF_H2_REFUSED_STREAM : error;
    s->h2->count--;
    wf_h2_list(s);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    wf_h2 *h2 = user;
    if (error == NGHTTP2_NO_ERROR && h2->misdeeds > 0)
        h2->misdeeds--;
    wf_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s)
        wf_h2_let_go(s, error);
    return 0;
}

/* ---- the connection ---- */

static nghttp2_option *new_options(void) {
    nghttp2_option *o;
    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(o, RESETS_BURST, RESETS_PER_SECOND);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_continuations(o, 9 * CONTINUATIONS_MAX);
    nghttp2_option_set_max_send_header_block_length(o, 2 * WF_H2_HEAD_MAX);
    return o;
}

static int new_session(wf_h2 *h2) {
    nghttp2_session_callbacks *c;
    nghttp2_option *o = new_options();
    if (!o || nghttp2_session_callbacks_new(&c) != 0) {
        nghttp2_option_del(o);
        return WF_ENOMEM;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    int got = wf_h2_is_client(h2) ? nghttp2_session_client_new2(&h2->session, c, h2, o)
                                  : nghttp2_session_server_new2(&h2->session, c, h2, o);
    nghttp2_session_callbacks_del(c);
    nghttp2_option_del(o);
    return got == 0 ? WF_OK : WF_ENOMEM;
}

static int begin_with_settings(wf_h2 *h2) {
    bool client = wf_h2_is_client(h2);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)h2->limits.head_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}, /* RFC 9218 2.1: nobody has us keep trees */
        {client ? NGHTTP2_SETTINGS_ENABLE_PUSH : NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
         client ? 0 : h2->limits.streams_max},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* RFC 8441 3 */
    };
    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, client ? 4 : 5);
}

wf_h2 *wf_h2_new(const wf_h2_limits *limits) {
    wf_h2 *h2 = wf_mem_zalloc(sizeof *h2);
    if (!h2)
        return NULL;
    h2->limits = *limits;
    if (new_session(h2) < 0 || begin_with_settings(h2) != 0 ||
        nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0) {
        wf_h2_free(h2);
        return NULL;
    }
    return h2;
}

void wf_h2_free(wf_h2 *h2) {
    if (!h2)
        return;
    nghttp2_session_del(h2->session);
    while (h2->streams)
        free_stream(h2->streams);
    wf_mem_free(h2->given);
    wf_mem_free(h2);
}

static void settle(wf_h2 *h2) {
    wf_mem_free(h2->given);
    h2->given = NULL;
}

/* Whatever it was, all streams are over. */
static void all_gone(wf_h2 *h2) {
    h2->broken = true;
    for (wf_h2_stream *s = h2->streams; s; s = s->next)
        if (!s->gone)
            wf_h2_let_go(s, NGHTTP2_INTERNAL_ERROR);
}

int wf_h2_feed(wf_h2 *h2, const uint8_t *data, size_t len) {
    settle(h2);
    if (h2->broken)
        return WF_ERROR;
    ssize_t got = nghttp2_session_mem_recv(h2->session, data, len);
    if (got >= 0)
        return WF_OK;
    bool is_memory = h2->broken || got == NGHTTP2_ERR_NOMEM;
    if (got == NGHTTP2_ERR_FLOODED || got == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        calm(h2);
    else if (!is_memory)
        nghttp2_session_terminate_session(h2->session, NGHTTP2_PROTOCOL_ERROR);
    all_gone(h2);
    return is_memory ? WF_ENOMEM : WF_ERROR;
}

/* All that the peer sent is here, and its owner has not read it yet: as with a socket, that goes first. */
static bool is_unread(const wf_h2_stream *s) {
    return s->in_over && s->in.len > 0 && !s->h2->broken;
}

/* One of its news. False: it has none left. */
static bool tell(wf_h2_stream *s, wf_h2_event *out_event) {
    wf_h2 *h2 = s->h2;
    *out_event = (wf_h2_event) {.stream = s, .error = s->error};
    if (s->closed || s->gone_told || (s->gone && !s->opened)) {
        return false;
    } else if (!s->opened) {
        s->opened = true;
        h2->owned++;
        out_event->kind = WF_H2_OPENED;
    } else if (s->in.len > 0 && !s->paused) {
        end_chunk(s);
        out_event->kind = WF_H2_RECEIVED;
        out_event->data = h2->given = s->in.data;
        out_event->len = s->in.len;
        wf_h2_count(h2, -s->in.len);
        s->in = (wf_buf)WF_BUF_INIT;
        if (!s->gone)
            nghttp2_session_consume_stream(h2->session, s->id, s->unused);
        s->unused = 0;
    } else if (s->in_over && s->in.len == 0 && !s->eof_told) {
        s->eof_told = true;
        out_event->kind = WF_H2_EOF;
    } else if (s->gone && !is_unread(s)) {
        s->gone_told = true;
        out_event->kind = WF_H2_GONE;
    } else if (s->wants_room && s->out.len - s->out_at < WF_H2_OUT_MAX / 2) {
        s->wants_room = false;
        out_event->kind = WF_H2_SENT;
    } else {
        return false;
    }
    return true;
}

int wf_h2_next(wf_h2 *h2, wf_h2_event *out_event) {
    settle(h2);
    for (wf_h2_stream *s; (s = h2->news_first) != NULL;) {
        if (tell(s, out_event))
            return WF_OK; /* it stays listed: there may be more */
        h2->news_first = s->news_next;
        if (!h2->news_first)
            h2->news_last = NULL;
        s->listed = false;
        if (s->gone && (s->closed || s->gone_told || !s->opened))
            free_stream(s);
    }
    return WF_WANT_INPUT;
}

size_t wf_h2_output(wf_h2 *h2, const uint8_t **out_data) {
    settle(h2);
    ssize_t len = nghttp2_session_mem_send(h2->session, out_data);
    if (len >= 0)
        return (size_t)len;
    all_gone(h2);
    return 0;
}

void wf_h2_go_away(wf_h2 *h2) {
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
}

void wf_h2_input_over(wf_h2 *h2) {
    for (wf_h2_stream *s = h2->streams; s; s = s->next) {
        if (s->in_over || s->gone || !(s->opened || s->listed)) /* of the last a head has only begun */
            continue;
        s->in_over = true;
        wf_h2_list(s);
    }
}

wf_h2_stream *wf_h2_next_stream(const wf_h2 *h2, const wf_h2_stream *before) {
    wf_h2_stream *s = before ? before->next : h2->streams;
    while (s && (!s->opened || s->closed))
        s = s->next;
    return s;
}

void wf_h2_cut(wf_h2 *h2) {
    all_gone(h2);
}

bool wf_h2_over(const wf_h2 *h2) {
    return h2->broken || (!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session));
}

size_t wf_h2_streams(const wf_h2 *h2) {
    return h2->count;
}

size_t wf_h2_owned(const wf_h2 *h2) {
    return h2->owned;
}

size_t wf_h2_memory(const wf_h2 *h2) {
    return h2->bytes;
}

/* ---- a client's ---- */

bool wf_h2_settled(const wf_h2 *h2) {
    return h2->settled;
}

bool wf_h2_websockets(const wf_h2 *h2) {
    return nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool wf_h2_left(const wf_h2 *h2) {
    return h2->left;
}

size_t wf_h2_room(const wf_h2 *h2) {
    if (!h2->settled || h2->broken || h2->left || !nghttp2_session_check_request_allowed(h2->session))
        return 0;
    size_t most = nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    most = most < h2->limits.streams_max ? most : h2->limits.streams_max;
    return h2->count < most ? most - h2->count : 0;
}

wf_h2_stream *wf_h2_open(wf_h2 *h2, void *user) {
    wf_h2_stream *s = new_stream(h2, 0);
    if (!s)
        return NULL;
    s->user = user;
    s->opened = true;
    h2->owned++;
    return s;
}

const char *wf_h2_error_text(uint32_t error) {
    static const char *const texts[] = {
        "RFC9113/7: the stream was reset: NO_ERROR",
        "RFC9113/7: the stream was reset: PROTOCOL_ERROR",
        "RFC9113/7: the stream was reset: INTERNAL_ERROR",
        "RFC9113/7: the stream was reset: FLOW_CONTROL_ERROR",
        "RFC9113/7: the stream was reset: SETTINGS_TIMEOUT",
        "RFC9113/7: the stream was reset: STREAM_CLOSED",
        "RFC9113/7: the stream was reset: FRAME_SIZE_ERROR",
        "RFC9113/7: the stream was reset: REFUSED_STREAM",
        "RFC9113/7: the stream was reset: CANCEL",
        "RFC9113/7: the stream was reset: COMPRESSION_ERROR",
        "RFC9113/7: the stream was reset: CONNECT_ERROR",
        "RFC9113/7: the stream was reset: ENHANCE_YOUR_CALM",
        "RFC9113/7: the stream was reset: INADEQUATE_SECURITY",
        "RFC9113/7: the stream was reset: HTTP_1_1_REQUIRED",
    };
    if (error == WF_H2_HEAD_OVER)
        return "head_bytes_max: the head of the answer is over the limit";
    return error < sizeof texts / sizeof texts[0] ? texts[error] : "RFC9113/7: the stream was reset, by no known error";
}
