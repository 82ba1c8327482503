/*
 * HTTP/2 by the client's half of nghttp2. The text of a client's request becomes HEADERS, and the answer's fields
 * become text; a client that asks for several pages has one stream after the other. Some clients share a connection.
 */
#include "pipe_impl.h"

#include "client.h"
#include "sim.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sim_h2 {
    bool used;
    sim_pipe below; /* plain or TLS */
    nghttp2_session *session;
    int group, users;
    const uint8_t *out; /* nghttp2's, on its way */
    size_t out_len;
} sim_h2;

static sim_h2 conns[CLIENTS_MAX];
static int group_size;
static uint32_t window;

void sim_h2_begin(void) {
    for (int i = 0; i < CLIENTS_MAX; i++)
        conns[i].used = false;
    group_size = sim_is_h2() ? (int)sim_between(1, H2_GROUP_MAX) : 1;
    window = sim_is_h2() ? sim_log_between(64, H2_WINDOW) : UINT32_MAX;
}

bool sim_pipe_shared(int a, int b) {
    return sim_is_h2() && a / group_size == b / group_size;
}

uint32_t sim_pipe_step(void) {
    return sim_ring_bytes() < window ? sim_ring_bytes() : window;
}

static sim_pipe *pipe_of(nghttp2_session *session, int32_t id) {
    return nghttp2_session_get_stream_user_data(session, id);
}

static void give(sim_pipe *p, const void *data, size_t len) {
    if (len > sizeof p->in - p->in_len)
        sim_fail("h2", "client %d was sent more than its window", p->who);
    memcpy(p->in + p->in_len, data, len);
    p->in_len += len;
    sim_client_stir(p->who);
}

/* ---- what comes ---- */

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                    const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    (void)flags, (void)user, (void)name_len;
    sim_pipe *p = pipe_of(session, frame->hd.stream_id);
    char line[512];
    if (!p)
        return 0;
    if (strcmp((const char *)name, ":status") != 0)
        snprintf(line, sizeof line, "%s: %.*s\r\n",
                 strcmp((const char *)name, "content-length") == 0 ? "Content-Length" : (const char *)name,
                 (int)value_len, (const char *)value);
    else if (p->is_websocket && strcmp((const char *)value, "200") == 0)
        snprintf(line, sizeof line, "HTTP/1.1 101 S\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    else
        snprintf(line, sizeof line, "HTTP/1.1 %s S\r\n", (const char *)value);
    give(p, line, strlen(line));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user) {
    (void)flags, (void)user;
    sim_pipe *p = pipe_of(session, id);
    nghttp2_session_consume_connection(session, len);
    if (p)
        give(p, data, len);
    else
        nghttp2_session_consume_stream(session, id, len);
    return 0;
}

static void end_pipe(sim_pipe *p, sim_end end) {
    if (p->ended == SIM_END_NONE)
        p->ended = end;
    sim_client_stir(p->who);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)user;
    sim_pipe *p = frame->hd.stream_id ? pipe_of(session, frame->hd.stream_id) : NULL;
    if (!p)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        give(p, "\r\n", 2);
    if (p->is_websocket && frame->hd.flags & NGHTTP2_FLAG_END_STREAM && frame->hd.type <= NGHTTP2_HEADERS)
        end_pipe(p, SIM_END_FIN);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user) {
    (void)user;
    sim_pipe *p = pipe_of(session, id);
    if (!p)
        return 0;
    p->id = 0;
    if (p->is_websocket || error != NGHTTP2_NO_ERROR || p->is_last || p->wants_fin)
        end_pipe(p, error == NGHTTP2_NO_ERROR ? SIM_END_FIN : SIM_END_RESET);
    sim_client_stir(p->who);
    return 0;
}

/* ---- the connection ---- */

static void connection_over(const sim_h2 *h, sim_end end);

static const sim_pipe_kind *below(void) {
    return sim_is_secure() ? &sim_pipe_tls : &sim_pipe_plain;
}

/* True: nothing is on its way any more. */
static bool flush(sim_h2 *h) {
    size_t put = h->out_len > 0 ? below()->write(&h->below, h->out, h->out_len) : 0;
    sim.deeds += put > 0;
    h->out += put;
    h->out_len -= put;
    return h->out_len == 0;
}

static void pump(sim_h2 *h) {
    uint8_t bytes[4096];
    below()->pump(&h->below);
    for (size_t len; (len = below()->read(&h->below, bytes, sizeof bytes)) > 0;) {
        ssize_t got = nghttp2_session_mem_recv(h->session, bytes, len);
        sim.deeds++;
        if (got != (ssize_t)len)
            sim_fail("h2", "what the server sends is not HTTP/2: %s", nghttp2_strerror((int)got));
    }
    while (flush(h)) {
        ssize_t len = nghttp2_session_mem_send(h->session, &h->out); /* it stays until the next call */
        if (len <= 0)
            break;
        h->out_len = (size_t)len;
    }
    if (below()->readable(&h->below) == 0 && below()->end(&h->below) != SIM_END_NONE)
        connection_over(h, below()->end(&h->below));
}

static sim_pipe *members[CLIENTS_MAX];

static void connection_over(const sim_h2 *h, sim_end end) {
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (members[i] && members[i]->h2 == h && members[i]->ended == SIM_END_NONE)
            end_pipe(members[i], members[i]->id ? SIM_END_RESET : end);
}

static bool begin(sim_h2 *h, int who) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
                                               {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    if (!sim_pipe_make(&h->below, below(), who))
        return false;
    h->group = who / group_size;
    h->users = 0;
    h->out_len = 0;
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    h->used = nghttp2_session_client_new2(&h->session, callbacks, h, options) == 0;
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(options);
    if (!h->used || nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, 2) != 0)
        sim_fail("simulator", "there is no memory for HTTP/2");
    return true;
}

/* Its end is not judged here: those who are on it may not have read what comes before it. */
static bool takes_more(const sim_h2 *h) {
    return h->used && h->below.ended == SIM_END_NONE && sim_stream_end(h->below.stream) == SIM_END_NONE &&
           nghttp2_session_check_request_allowed(h->session);
}

static sim_h2 *find(int who) {
    sim_h2 *unused = NULL;
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (takes_more(&conns[i]) && conns[i].group == who / group_size)
            return &conns[i];
        unused = conns[i].used ? unused : &conns[i];
    }
    return begin(unused, who) ? unused : NULL;
}

static bool h2_open(sim_pipe *p) {
    sim_h2 *h = find(p->who);
    if (!h)
        return false;
    p->h2 = h;
    p->stream = h->below.stream;
    members[p->who] = p;
    h->users++;
    return true;
}

/* ---- what goes ---- */

static ssize_t on_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                       nghttp2_data_source *source, void *user) {
    (void)source, (void)user;
    sim_pipe *p = pipe_of(session, id);
    if (!p)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t len = p->body_len < cap ? p->body_len : cap;
    memcpy(buf, p->body, len);
    p->body_len -= len;
    memmove(p->body, p->body + len, p->body_len);
    bool ends = p->body_len == 0 && (p->is_websocket ? p->wants_fin : p->body_left == 0);
    if (ends)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (len > 0)
        sim_client_stir(p->who); /* there is room again */
    return len > 0 || ends ? (ssize_t)len : NGHTTP2_ERR_DEFERRED;
}

#define FIELD(name, value)                                                                                             \
    { (uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE }

static void submit(sim_pipe *p) {
    char method[16], path[512], length[32];
    p->head[p->head_len] = '\0';
    const char *text = (const char *)p->head, *counted = strstr(text, "Content-Length: ");
    if (sscanf(text, "%15s %511s", method, path) != 2)
        sim_fail("simulator", "client %d asks for nothing", p->who);
    p->is_websocket = strstr(text, "Upgrade: websocket") != NULL;
    p->is_last = strstr(text, "Connection: close") != NULL;
    p->body_left = p->is_websocket ? UINT64_MAX : counted ? strtoull(counted + 16, NULL, 10) : 0;
    snprintf(length, sizeof length, "%llu", (unsigned long long)p->body_left);
    nghttp2_nv fields[8] = {FIELD(":method", p->is_websocket ? "CONNECT" : method), FIELD(":scheme", "http"),
                            FIELD(":authority", "sim"), FIELD(":path", path)};
    size_t count = 4;
    if (p->is_websocket) {
        fields[count++] = (nghttp2_nv)FIELD(":protocol", "websocket");
        fields[count++] = (nghttp2_nv)FIELD("sec-websocket-version", "13");
        if (strstr(text, "permessage-deflate"))
            fields[count++] = (nghttp2_nv)FIELD("sec-websocket-extensions", "permessage-deflate");
    } else if (counted && sim_below(2)) { /* else its end tells */
        fields[count++] = (nghttp2_nv)FIELD("content-length", length);
    }
    nghttp2_data_provider body = {.read_callback = on_body};
    p->id = nghttp2_submit_request(p->h2->session, NULL, fields, count, p->body_left ? &body : NULL, p);
    p->head_len = 0;
    if (p->id < 0) {
        p->id = 0;
        end_pipe(p, SIM_END_RESET);
    }
}

static size_t write_head(sim_pipe *p, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (p->head_len + 1 == sizeof p->head)
            sim_fail("simulator", "client %d has a long head", p->who);
        p->head[p->head_len++] = data[i];
        if (p->head_len >= 4 && memcmp(p->head + p->head_len - 4, "\r\n\r\n", 4) == 0) {
            submit(p);
            return i + 1;
        }
    }
    return len;
}

static void h2_pump(sim_pipe *p) {
    pump(p->h2);
}

static size_t h2_write(sim_pipe *p, const uint8_t *data, size_t len) {
    pump(p->h2);
    if (p->ended != SIM_END_NONE || sim_stream_given_up(p->stream))
        return 0;
    size_t taken;
    if (p->id == 0) {
        taken = write_head(p, data, len);
    } else {
        size_t room = sizeof p->body - p->body_len;
        taken = len < room ? len : room;
        taken = taken < p->body_left ? taken : (size_t)p->body_left;
        memcpy(p->body + p->body_len, data, taken);
        p->body_len += taken;
        if (!p->is_websocket)
            p->body_left -= taken;
        if (taken > 0)
            nghttp2_session_resume_data(p->h2->session, p->id);
    }
    pump(p->h2);
    return taken;
}

static size_t h2_read(sim_pipe *p, uint8_t *out, size_t cap) {
    pump(p->h2);
    size_t len = p->in_len < cap ? p->in_len : cap;
    memcpy(out, p->in, len);
    p->in_len -= len;
    memmove(p->in, p->in + len, p->in_len);
    if (len > 0 && p->id)
        nghttp2_session_consume_stream(p->h2->session, p->id, len);
    pump(p->h2);
    return len;
}

static size_t h2_readable(const sim_pipe *p) {
    return p->in_len;
}

static sim_end h2_end(const sim_pipe *p) {
    return p->ended;
}

static void h2_fin(sim_pipe *p) {
    if (p->wants_fin)
        return;
    p->wants_fin = true;
    if (p->id)
        nghttp2_session_resume_data(p->h2->session, p->id);
    else
        end_pipe(p, SIM_END_FIN);
    pump(p->h2);
}

static void forget(sim_pipe *p) {
    if (!p->id)
        return;
    nghttp2_session_set_stream_user_data(p->h2->session, p->id, NULL);
    nghttp2_submit_rst_stream(p->h2->session, NGHTTP2_FLAG_NONE, p->id, NGHTTP2_CANCEL);
    p->id = 0;
    pump(p->h2);
}

static void h2_reset(sim_pipe *p) {
    if (p->h2->users == 1 && sim_below(2))
        sim_stream_reset(p->stream);
    else
        forget(p);
}

static void h2_let_go(sim_pipe *p) {
    sim_h2 *h = p->h2;
    forget(p);
    members[p->who] = NULL;
    p->h2 = NULL;
    if (--h->users > 0)
        return;
    nghttp2_session_del(h->session);
    below()->let_go(&h->below);
    h->used = false;
}

const sim_pipe_kind sim_pipe_h2 = {h2_open, h2_pump, h2_write, h2_read,  h2_readable,
                                   h2_end,  h2_fin,  h2_reset, h2_let_go};
