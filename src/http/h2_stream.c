/*
 * A stream from its owner's side: text of HTTP/1.1 goes in, HEADERS and DATA come of it.
 */
#include "http/h2_impl.h"

#include "base/mem.h"

#include <string.h>

enum { HEAD_STEP = 4096 };

void wf_h2_stream_set_user(wf_h2_stream *s, void *user) {
    s->user = user;
}

void *wf_h2_stream_user(const wf_h2_stream *s) {
    return s->user;
}

/* Called by nghttp2 when there is room in the windows. */
static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                        nghttp2_data_source *source, void *user) {
    (void)source;
    wf_h2 *h2 = user;
    wf_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t len = s->out.len - s->out_at < cap ? s->out.len - s->out_at : cap;
    if (len > 0)
        memcpy(buf, s->out.data + s->out_at, len);
    s->out_at += len;
    wf_h2_count(h2, -len);
    if (s->out_at == s->out.len) {
        s->out.len = s->out_at = 0;
        if (s->ends)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        else if (len == 0)
            s->deferred = true;
    }
    if (s->wants_room)
        wf_h2_list(s);
    return s->deferred ? NGHTTP2_ERR_DEFERRED : (ssize_t)len;
}

static void go_on(wf_h2_stream *s) {
    if (!s->deferred || s->gone)
        return;
    s->deferred = false;
    nghttp2_session_resume_data(s->h2->session, s->id);
}

static int put_out(wf_h2_stream *s, const uint8_t *data, size_t len) {
    if (s->ends)
        return WF_OK; /* behind the length it gave itself */
    if (len > s->body_left)
        len = (size_t)s->body_left;
    if (wf_buf_append(&s->out, data, len) < 0)
        return WF_ENOMEM;
    wf_h2_count(s->h2, len);
    if (s->body_left != UINT64_MAX)
        s->body_left -= len;
    s->ends = s->body_left == 0;
    go_on(s);
    return WF_OK;
}

static int submit(wf_h2_stream *s, const wf_h2_fields *fields) {
    nghttp2_nv list[WF_H2_FIELDS_MAX];
    nghttp2_session *session = s->h2->session;
    for (size_t i = 0; i < fields->count; i++)
        list[i] = (nghttp2_nv) {(uint8_t *)fields->names[i].data, (uint8_t *)fields->values[i].data,
                                fields->names[i].len, fields->values[i].len, NGHTTP2_NV_FLAG_NONE};
    s->body_left = fields->websocket ? UINT64_MAX : fields->body_bytes;
    s->ends = s->is_head_request || fields->status == 204 || fields->status == 304 || s->body_left == 0;
    nghttp2_data_provider body = {.read_callback = read_out};
    if (!wf_h2_is_client(s->h2))
        return nghttp2_submit_response(session, s->id, list, fields->count, s->ends ? NULL : &body);
    s->id = nghttp2_submit_request(session, NULL, list, fields->count, &body, s);
    return s->id < 0 ? s->id : 0;
}

/* The first head in what has come. */
static int give_head(wf_h2_stream *s, size_t len) {
    wf_h2_fields fields;
    char *text = (char *)s->our_head.data;
    int got = wf_h2_is_client(s->h2) ? wf_h2_request_read(text, len, s->h2->limits.scheme, &fields)
                                     : wf_h2_answer_read(text, len, &fields);
    if (got < 0)
        return got;
    s->head_given = wf_h2_is_client(s->h2) || fields.status >= 200;
    return s->head_given && submit(s, &fields) != 0 ? WF_ENOMEM : WF_OK;
}

/* Our head, as far as it has come, and what comes behind it. */
static int put_head(wf_h2_stream *s, const uint8_t *data, size_t len) {
    size_t seen = s->our_head.len < 3 ? 0 : s->our_head.len - 3;
    if (s->our_head.len + len > WF_H2_HEAD_MAX)
        return WF_ELIMIT;
    if (wf_buf_append(&s->our_head, data, len) < 0)
        return WF_ENOMEM;
    wf_h2_count(s->h2, len);
    uint8_t *end;
    while (!s->head_given && (end = memmem(s->our_head.data + seen, s->our_head.len - seen, "\r\n\r\n", 4)) != NULL) {
        size_t head_len = (size_t)(end + 4 - s->our_head.data);
        int got = give_head(s, head_len);
        if (got < 0)
            return got;
        wf_buf_consume(&s->our_head, head_len);
        wf_h2_count(s->h2, -head_len);
        seen = 0;
    }
    if (!s->head_given)
        return WF_OK;
    int got = put_out(s, s->our_head.data, s->our_head.len);
    wf_h2_count(s->h2, -s->our_head.len);
    wf_buf_deinit(&s->our_head);
    return got;
}

/* The head is taken in steps until it is whole, however long the application made it. */
size_t wf_h2_stream_waiting(const wf_h2_stream *s) {
    return s->out.len - s->out_at;
}

static size_t room_of(const wf_h2_stream *s) {
    size_t waiting = wf_h2_stream_waiting(s);
    return !s->head_given ? HEAD_STEP : waiting < WF_H2_OUT_MAX ? WF_H2_OUT_MAX - waiting : 0;
}

/* Behind a reset it goes nowhere, as what a broken socket was given. */
int64_t wf_h2_stream_send(wf_h2_stream *s, const struct iovec *ranges, int count) {
    int64_t taken = 0;
    for (int i = 0; i < count; i++) {
        const uint8_t *at = ranges[i].iov_base;
        size_t left = ranges[i].iov_len;
        for (size_t room; left > 0 && (room = room_of(s)) > 0;) {
            size_t len = left < room ? left : room;
            int got = s->gone ? WF_OK : s->head_given ? put_out(s, at, len) : put_head(s, at, len);
            if (got < 0)
                return got;
            at += len;
            left -= len;
            taken += (int64_t)len;
        }
        if (left > 0)
            break;
    }
    s->wants_room = taken == 0;
    return taken;
}

void wf_h2_stream_end(wf_h2_stream *s) {
    s->ends = true;
    go_on(s);
}

void wf_h2_stream_close(wf_h2_stream *s, bool reset) {
    s->h2->owned -= s->opened && !s->closed;
    s->closed = true;
    s->user = NULL;
    wf_h2_count(s->h2, -s->in.len);
    wf_buf_deinit(&s->in);
    if (s->id <= 0 && !s->gone) /* nothing was asked yet */
        wf_h2_let_go(s, NGHTTP2_NO_ERROR);
    if (s->gone) {
        wf_h2_list(s);
        return;
    }
    if (reset || !s->head_given)
        nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
    else if (s->end_sent)
        wf_h2_want_no_more(s);
    else
        wf_h2_stream_end(s);
    nghttp2_session_consume_stream(s->h2->session, s->id, s->unused);
    s->unused = 0;
}

void wf_h2_stream_pause(wf_h2_stream *s) {
    s->paused = true;
}

void wf_h2_stream_resume(wf_h2_stream *s) {
    s->paused = false;
    wf_h2_list(s);
}
