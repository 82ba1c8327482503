/*
 * A request owns the reader that holds its bytes, so it stays readable when its connection has gone on or
 * gone away. An answer is written out in full on the thread that gives it, then applied on the request's
 * loop: at once when that is here, by mail otherwise. Whoever answers first, the application or a timeout,
 * wins by one atomic exchange.
 */
#include "server/server_impl.h"

#include "base/mem.h"
#include "http/response.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* What an application may add to an answer, and what we do. */
enum { HEADERS_GIVEN_MAX = 32, HEADERS_OUT_MAX = HEADERS_GIVEN_MAX + 8, EXTENSION_LINES_MAX = 16 };

struct weft_request {
    atomic_uint refs;
    atomic_bool answered, gone, half_closed;
    bool secure;
    bool upgrade; /* a valid handshake for a route that speaks WebSocket */
    bool on_port; /* it came by a stream of HTTP/2 */
    bool overdue; /* loop only: we answer, for the application did not */
    wf_worker *worker;
    weft_handle handle;
    const wf_route *route;
    wf_http_reader *reader;
    void *user;
    char peer[64];
};

typedef enum answer_kind { ANSWER_REPLY, ANSWER_ACCEPT, ANSWER_STREAM } answer_kind;

struct wf_answer {
    weft_request *request; /* a reference */
    answer_kind kind;
    wf_link_body body; /* STREAM */
    bool close;        /* REPLY */
    bool deflates;     /* the accept agrees to permessage-deflate, with `pmd` */
    wf_pmd_params pmd;
    wf_buf bytes;
};

weft_request *wf_request_new(weft_conn *conn, wf_http_reader *reader) {
    weft_request *request = wf_mem_zalloc(sizeof *request);
    if (!request)
        return NULL;
    atomic_init(&request->refs, 1);
    request->worker = wf_conn_worker(conn);
    request->handle = wf_handle_of(conn);
    request->on_port = conn->link.sock.kind == WF_SOCK_PORT;
    atomic_init(&request->half_closed, conn->link.input_over && !request->on_port);
    request->reader = reader;
    request->secure = conn->secure;
    return request;
}

weft_request *wf_request_hold(weft_request *request) {
    atomic_fetch_add_explicit(&request->refs, 1, memory_order_relaxed);
    return request;
}

/* The kernel is asked when somebody wants to know, and at the latest when the request may outlive its connection or
 * leave its thread: with the application's first reference. */
static void learn_peer(weft_request *request) {
    const weft_conn *conn = wf_handle_conn(request->worker, request->handle);
    if (request->peer[0] == '\0' && conn)
        weft_conn_peer(conn, request->peer, sizeof request->peer);
    else if (request->peer[0] == '\0')
        strcpy(request->peer, "gone");
}

weft_request *weft_request_ref(weft_request *request) {
    learn_peer(request);
    return wf_request_hold(request);
}

void weft_request_unref(weft_request *request) {
    if (!request || atomic_fetch_sub_explicit(&request->refs, 1, memory_order_acq_rel) != 1)
        return;
    wf_http_reader_free(request->reader);
    wf_mem_free(request);
}

const wf_http_request *wf_request_http(const weft_request *request) {
    return wf_http_reader_request(request->reader);
}

void wf_request_set_route(weft_request *request, const wf_route *route) {
    request->route = route;
}

void wf_request_set_upgrade(weft_request *request) {
    request->upgrade = true;
}

void wf_request_set_overdue(weft_request *request) {
    request->overdue = true;
}

void wf_request_half_close(weft_request *request) {
    atomic_store(&request->half_closed, true);
}

void wf_request_left(weft_request *request) {
    atomic_store(&request->gone, true);
}

bool wf_request_answered(const weft_request *request) {
    return atomic_load(&request->answered);
}

bool wf_request_held(const weft_request *request) {
    return atomic_load(&request->refs) > 1;
}

/* ---- reading ---- */

static weft_text text_of(wf_str s) {
    return (weft_text) {s.data, s.len};
}

weft_text weft_request_method(const weft_request *request) {
    return text_of(wf_request_http(request)->method);
}

weft_text weft_request_path(const weft_request *request) {
    return text_of(wf_request_http(request)->path);
}

weft_text weft_request_query(const weft_request *request) {
    return text_of(wf_request_http(request)->query);
}

weft_text weft_request_body(const weft_request *request) {
    return text_of(wf_request_http(request)->body);
}

weft_text weft_request_header(const weft_request *request, const char *name) {
    const wf_str *value = wf_http_header_find(wf_request_http(request), name, NULL);
    return value ? text_of(*value) : (weft_text) {NULL, 0};
}

bool weft_request_header_at(const weft_request *request, size_t index, weft_text *out_name, weft_text *out_value) {
    const wf_http_request *http = wf_request_http(request);
    if (index >= http->header_count)
        return false;
    *out_name = text_of(http->headers[index].name);
    *out_value = text_of(http->headers[index].value);
    return true;
}

bool weft_request_is_upgrade(const weft_request *request) {
    return request->upgrade;
}

weft_server *weft_request_server(const weft_request *request) {
    return request->worker->server;
}

bool weft_request_secure(const weft_request *request) {
    return request->secure;
}

const char *weft_request_peer(const weft_request *request) {
    learn_peer((weft_request *)request); /* what it is does not change by being known */
    return request->peer;
}

static int decoded(wf_str encoded, char *out, size_t cap) {
    int got = wf_http_percent_decode(encoded, out, cap);
    return got == WF_FULL ? WEFT_ELIMIT : got < 0 ? WEFT_EINVAL : WEFT_OK;
}

int weft_request_tail(const weft_request *request, char *out, size_t cap) {
    wf_str path = wf_request_http(request)->path;
    size_t skip = request->route ? request->route->path_len : 0;
    return decoded((wf_str) {path.data + skip, path.len - skip}, out, cap);
}

int weft_request_param(const weft_request *request, const char *name, char *out, size_t cap) {
    wf_str value;
    if (!wf_http_query_find(wf_request_http(request)->query, name, &value))
        return WEFT_ESTALE;
    return decoded(value, out, cap);
}

bool weft_request_offers(const weft_request *request, const char *subprotocol) {
    return wf_upgrade_offers_protocol(wf_request_http(request), wf_str_of(subprotocol));
}

bool weft_text_equal_secret(weft_text given, const char *secret) {
    size_t len = strlen(secret);
    volatile unsigned char differs = given.len != len;
    for (size_t i = 0; i < given.len; i++)
        differs |= (unsigned char)given.data[i] ^ (unsigned char)(len > 0 ? secret[i % len] : 0);
    return !differs;
}

bool weft_request_origin_ok(const weft_request *request) {
    const char *const *origins = request->route && request->route->is.origins ? request->route->is.origins
                                                                              : request->worker->server->config.origins;
    return wf_upgrade_origin_ok(wf_request_http(request), origins, wf_list_count(origins));
}

bool weft_request_gone(const weft_request *request) {
    return atomic_load(&request->gone);
}

bool weft_request_half_closed(const weft_request *request) {
    return atomic_load(&request->half_closed);
}

void *weft_request_user(const weft_request *request) {
    return request->user;
}

void weft_request_set_user(weft_request *request, void *user) {
    request->user = user;
}

/* ---- answering ---- */

static int become_conn(weft_conn *conn, const wf_answer *a) {
    wf_worker *w = wf_conn_worker(conn);
    const wf_link_limits *limits = &a->request->route->limits;
    wf_str head = {(const char *)a->bytes.data, a->bytes.len};
    conn->link.user = a->request->user;
    int got = a->kind == ANSWER_ACCEPT ? wf_link_accept(&conn->link, head.data, head.len, limits)
                                       : wf_link_stream(&conn->link, &head, limits, a->body);
    if (got == WF_OK && a->deflates)
        got = wf_link_deflate(&conn->link, &a->pmd);
    if (got != WF_OK)
        return got;
    conn->open_due = true; /* and conn->request stays until `open` has seen it */
    wf_count_add(a->kind == ANSWER_ACCEPT ? &w->handshakes : &w->requests, 1);
    return WF_OK;
}

/* On the request's loop. Not WF_OK: it came to nothing. */
static int apply(const wf_answer *a) {
    weft_request *request = a->request;
    wf_worker *w = request->worker;
    weft_conn *conn = wf_handle_conn(w, request->handle);
    if (!conn || conn->opened || conn->request != request)
        return WEFT_ECLOSED;
    int got;
    if (a->kind != ANSWER_REPLY) {
        got = become_conn(conn, a);
    } else {
        conn->request = NULL;
        if (request->overdue)
            wf_refused(w, REFUSED_OVERLOAD);
        else if (request->upgrade)
            wf_refused(w, REFUSED_APPLICATION);
        got = wf_link_reply(&conn->link, a->bytes.data, a->bytes.len, a->close);
        wf_count_add(&w->requests, got == WF_OK);
        weft_request_unref(request);
    }
    /* Its events are pulled when the queue is flushed, at the end of this turn. */
    wf_outq_mark_ready(&conn->link.q);
    return got;
}

static void release(wf_answer *a) {
    wf_buf_deinit(&a->bytes);
    weft_request_unref(a->request);
}

void wf_request_apply_late(wf_answer *a) {
    const wf_route *route = a->request->route;
    if (apply(a) != WF_OK && a->kind != ANSWER_REPLY && route->is.lost)
        route->is.lost(a->request->user, route->is.user);
    release(a);
    wf_mem_free(a);
}

/* Sends answer.bytes to the request's loop. */
static int mail(weft_request *request, wf_answer answer) {
    wf_answer *a = wf_mem_alloc(sizeof *a);
    wf_mail *m = a ? wf_mail_new(MAIL_ANSWER, request->handle, NULL, NULL, 0) : NULL;
    int got = !m ? WEFT_ENOMEM : atomic_exchange(&request->answered, true) ? WEFT_ECLOSED : WEFT_OK;
    if (got != WEFT_OK) {
        wf_mem_free(a);
        wf_mail_free(m);
        release(&answer);
        return got;
    }
    *a = answer;
    m->answer = a;
    wf_worker_post(request->worker, m);
    return WEFT_OK;
}

/* Takes answer.bytes over. */
static int give(weft_request *request, wf_answer answer) {
    answer.request = wf_request_hold(request);
    if (!weft_request_gone(request) && wf_worker_current() != request->worker)
        return mail(request, answer);
    bool late = weft_request_gone(request) || atomic_exchange(&request->answered, true);
    int got = late ? WEFT_ECLOSED : apply(&answer);
    release(&answer);
    return got;
}

/* Our own headers first, then the application's. False when there are too many. */
static bool gather_headers(wf_http_header_out *out, size_t *count, const weft_header *headers, size_t header_count) {
    if (header_count > HEADERS_GIVEN_MAX)
        return false;
    for (size_t i = 0; i < header_count; i++)
        out[(*count)++] = (wf_http_header_out) {wf_str_of(headers[i].name), wf_str_of(headers[i].value)};
    return true;
}

static void add_header(wf_http_header_out *out, size_t *count, const char *name, wf_str value) {
    out[(*count)++] = (wf_http_header_out) {wf_str_of(name), value};
}

static void add_server_name(const weft_request *request, wf_http_header_out *out, size_t *count) {
    const char *name = request->worker->server->config.server_name;
    if (name)
        add_header(out, count, "Server", wf_str_of(name));
}

/* What the 101 says is ours to say. */
static bool is_handshakes_own(const char *name) {
    wf_str n = wf_str_of(name), prefix = wf_str_of("Sec-WebSocket-");
    return wf_str_eq_nocase(n, wf_str_of("Upgrade")) || wf_str_eq_nocase(n, wf_str_of("Connection")) ||
           (n.len >= prefix.len && wf_str_eq_nocase((wf_str) {n.data, prefix.len}, prefix));
}

/* permessage-deflate, when the client offers what the route agrees to (RFC 7692 5). */
static bool agree_on_deflate(const weft_request *request, wf_pmd_params *out_params) {
    const wf_http_request *http = wf_request_http(request);
    wf_str lines[EXTENSION_LINES_MAX];
    size_t count = 0;
    size_t left = http->known[WF_HTTP_WS_EXTENSIONS].count;
    for (size_t i = 0; count < left && count < EXTENSION_LINES_MAX; i++)
        if (wf_str_eq_nocase(http->headers[i].name, wf_str_of("Sec-WebSocket-Extensions")))
            lines[count++] = http->headers[i].value;
    return wf_pmd_answer(lines, count, &request->route->limits.pmd, out_params);
}

int weft_request_accept(weft_request *request, const char *subprotocol, const weft_header *headers,
                        size_t header_count) {
    for (size_t i = 0; i < header_count; i++)
        if (is_handshakes_own(headers[i].name))
            return WEFT_EINVAL;
    if (!request->upgrade || (subprotocol && !weft_request_offers(request, subprotocol)))
        return WEFT_EINVAL;
    const wf_str *key = wf_request_http(request)->known[WF_HTTP_WS_KEY].value;
    char accept[WF_UPGRADE_ACCEPT_BYTES + 1];
    wf_worker *here = wf_worker_current();
    if (!key || wf_upgrade_accept_key(here ? here->key_digest : NULL, *key, accept) < 0)
        return WEFT_ESYS;
    wf_http_header_out out[HEADERS_OUT_MAX];
    size_t count = 0;
    add_header(out, &count, "Upgrade", wf_str_of("websocket"));
    add_header(out, &count, "Connection", wf_str_of("Upgrade"));
    add_header(out, &count, "Sec-WebSocket-Accept", wf_str_of(accept));
    if (subprotocol)
        add_header(out, &count, "Sec-WebSocket-Protocol", wf_str_of(subprotocol));
    wf_answer answer = {.kind = ANSWER_ACCEPT};
    char extension[WF_PMD_TEXT_MAX];
    answer.deflates = agree_on_deflate(request, &answer.pmd);
    if (answer.deflates)
        add_header(out, &count, "Sec-WebSocket-Extensions",
                   (wf_str) {extension, wf_pmd_answer_write(&answer.pmd, extension)});
    add_server_name(request, out, &count);
    if (!gather_headers(out, &count, headers, header_count))
        return WEFT_EINVAL;
    wf_http_response head = {.status = 101, .headers = out, .header_count = count};
    int got = wf_http_response_write(&answer.bytes, &head);
    return got < 0 ? got : give(request, answer);
}

int weft_request_reply_with(weft_request *request, int status, const weft_header *headers, size_t header_count,
                            weft_text body) {
    if (status < 200 || status > 599)
        return WEFT_EINVAL;
    if (weft_request_gone(request))
        return WEFT_ECLOSED;
    const wf_http_request *http = wf_request_http(request);
    bool bodiless = status == 204 || status == 304;
    bool close = !http->keep_alive || atomic_load_explicit(&request->worker->server->drain, memory_order_relaxed);
    wf_http_header_out out[HEADERS_OUT_MAX];
    size_t count = 0;
    add_server_name(request, out, &count);
    if (!gather_headers(out, &count, headers, header_count))
        return WEFT_EINVAL;
    wf_answer answer = {.close = close};
    int got = wf_http_response_write(&answer.bytes, &(wf_http_response) {.status = status,
                                                                         .headers = out,
                                                                         .header_count = count,
                                                                         .close = close,
                                                                         .has_length = !bodiless,
                                                                         .body_bytes = bodiless ? 0 : body.len,
                                                                         .date_unix_s = time(NULL)});
    if (got == WF_OK && !bodiless && !wf_str_eq(http->method, wf_str_of("HEAD")))
        got = wf_buf_append(&answer.bytes, body.data, body.len);
    if (got < 0) {
        wf_buf_deinit(&answer.bytes);
        return got;
    }
    return give(request, answer);
}

int weft_request_reply(weft_request *request, int status, const char *content_type, const void *body, size_t len) {
    weft_header header = {"Content-Type", content_type};
    return weft_request_reply_with(request, status, &header, content_type != NULL, (weft_text) {body, len});
}

/* RFC 9112 7: chunks are for who understands them; of HTTP/2 they are no part (RFC 9113 8.2.2). */
static wf_link_body stream_body(const weft_request *request) {
    const wf_http_request *http = wf_request_http(request);
    if (wf_str_eq(http->method, wf_str_of("HEAD")))
        return WF_LINK_BODY_NONE;
    return request->on_port || http->version_minor == 0 ? WF_LINK_BODY_AS_IS : WF_LINK_BODY_CHUNKED;
}

int weft_request_stream(weft_request *request, int status, const weft_header *headers, size_t header_count) {
    if (status < 200 || status > 599 || status == 204 || status == 304 || request->upgrade)
        return WEFT_EINVAL;
    if (weft_request_gone(request))
        return WEFT_ECLOSED;
    wf_http_header_out out[HEADERS_OUT_MAX];
    size_t count = 0;
    for (size_t i = 0; i < header_count; i++) /* the framing is ours */
        if (wf_str_eq_nocase(wf_str_of(headers[i].name), wf_str_of("Transfer-Encoding")))
            return WEFT_EINVAL;
    wf_answer answer = {.kind = ANSWER_STREAM, .body = stream_body(request)};
    add_server_name(request, out, &count);
    if (answer.body == WF_LINK_BODY_CHUNKED)
        add_header(out, &count, "Transfer-Encoding", wf_str_of("chunked"));
    if (!gather_headers(out, &count, headers, header_count))
        return WEFT_EINVAL;
    int got = wf_http_response_write(
        &answer.bytes,
        &(wf_http_response) {
            .status = status, .headers = out, .header_count = count, .close = true, .date_unix_s = time(NULL)});
    return got < 0 ? got : give(request, answer);
}
