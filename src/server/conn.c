/*
 * The application's view of an open WebSocket: thin, because the work is the link's and the hub's.
 */
#include "server/server_impl.h"

#include "ws/close.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert((int)WEFT_FULL == WF_FULL && (int)WEFT_ENOMEM == WF_ENOMEM && (int)WEFT_EINVAL == WF_EINVAL &&
                   (int)WEFT_ECLOSED == WF_ECLOSED && (int)WEFT_ESTALE == WF_ESTALE && (int)WEFT_ELIMIT == WF_ELIMIT &&
                   (int)WEFT_ESYS == WF_ESYS,
               "public and internal results are the same numbers");
_Static_assert((int)WEFT_SLOW_CLOSE == WF_SLOW_CLOSE && (int)WEFT_SLOW_DROP_NEWEST == WF_SLOW_DROP_NEWEST &&
                   (int)WEFT_SLOW_DROP_OLDEST == WF_SLOW_DROP_OLDEST,
               "public and internal policies are the same numbers");

bool weft_utf8_valid(const void *data, size_t len) {
    wf_utf8 utf8 = {0};
    return wf_utf8_feed(&utf8, data, len) == WF_OK && wf_utf8_complete(&utf8);
}

bool wf_kind_split(weft_kind kind, uint8_t *out_opcode, bool *out_plain) {
    *out_plain = kind == WEFT_TEXT_PLAIN || kind == WEFT_BINARY_PLAIN;
    *out_opcode = (uint8_t)(kind & 0x0f);
    return kind == WEFT_TEXT || kind == WEFT_BINARY || *out_plain;
}

int weft_conn_send(weft_conn *conn, weft_kind kind, const void *data, size_t len) {
    uint8_t opcode;
    bool plain;
    if (!wf_kind_split(kind, &opcode, &plain))
        return WEFT_EINVAL;
    return plain ? wf_link_send_plain(&conn->link, opcode, data, len) : wf_link_send(&conn->link, opcode, data, len);
}

int weft_conn_send_fragment(weft_conn *conn, weft_kind kind, const void *data, size_t len, bool fin) {
    uint8_t opcode;
    bool plain;
    return wf_kind_split(kind, &opcode, &plain) ? wf_link_send_fragment(&conn->link, opcode, data, len, fin)
                                                : WEFT_EINVAL;
}

bool weft_conn_deflates(const weft_conn *conn) {
    return conn->deflates;
}

size_t weft_conn_buffered(const weft_conn *conn) {
    return conn->link.q.bytes;
}

int weft_conn_close(weft_conn *conn, int code, const char *reason) {
    int got = wf_link_close(&conn->link, code, reason);
    wf_outq_mark_ready(&conn->link.q); /* without memory for the frame it is dead: this turn pulls its end */
    return got;
}

void weft_conn_abort(weft_conn *conn) {
    wf_link_abort(&conn->link);
    wf_outq_mark_ready(&conn->link.q); /* so that this turn pulls its end */
}

int weft_conn_ping(weft_conn *conn) {
    return wf_link_ping(&conn->link);
}

uint64_t weft_conn_rtt_ns(const weft_conn *conn) {
    return conn->link.rtt_ns;
}

int weft_conn_subscribe(weft_conn *conn, const char *topic, size_t replay) {
    if (conn->link.stage != WF_LINK_OPEN)
        return WEFT_ECLOSED;
    return wf_hub_subscribe(&wf_conn_worker(conn)->hub, &conn->subscriber, wf_str_of(topic), conn->route->topics_max,
                            replay);
}

int weft_conn_unsubscribe(weft_conn *conn, const char *topic) {
    wf_hub_unsubscribe(&wf_conn_worker(conn)->hub, &conn->subscriber, wf_str_of(topic));
    return WEFT_OK;
}

void *weft_conn_user(const weft_conn *conn) {
    return conn->user;
}

void weft_conn_set_user(weft_conn *conn, void *user) {
    conn->user = user;
}

weft_server *weft_conn_server(const weft_conn *conn) {
    return wf_conn_worker(conn)->server;
}

const char *weft_conn_peer(const weft_conn *conn, char *out, size_t cap) {
    wf_address address = {.len = sizeof address.storage};
    if (conn->link.sock.fd < 0 ||
        getpeername(conn->link.sock.fd, (struct sockaddr *)&address.storage, &address.len) < 0)
        snprintf(out, cap, "gone");
    else if (address.storage.ss_family == AF_UNIX)
        snprintf(out, cap, "unix");
    else
        wf_address_format(&address, out, cap);
    return out;
}

weft_handle weft_conn_handle(const weft_conn *conn) {
    return wf_handle_of(conn);
}

static int post(weft_server *server, weft_handle handle, wf_mail *m) {
    if (!m)
        return WEFT_ENOMEM;
    wf_worker *w = wf_handle_worker(server, handle), *here = wf_worker_current();
    if (here && here->server == server)
        wf_outbox_add(&here->outboxes[w->index], m);
    else
        wf_mailbox_post(&w->mail, w->loop, m);
    return WEFT_OK;
}

int weft_handle_send(weft_server *server, weft_handle handle, weft_kind kind, const void *data, size_t len) {
    wf_worker *w = wf_handle_worker(server, handle);
    uint8_t opcode;
    bool plain;
    if (!wf_kind_split(kind, &opcode, &plain))
        return WEFT_EINVAL;
    if (!w || !wf_handle_alive(w, handle))
        return WEFT_ESTALE;
    wf_blob *blob = wf_publish_encode(server, opcode, plain, data, len);
    return blob ? post(server, handle, wf_mail_new(MAIL_SEND, handle, blob, NULL, 0)) : WEFT_ENOMEM;
}

int weft_handle_close(weft_server *server, weft_handle handle, int code, const char *reason) {
    wf_worker *w = wf_handle_worker(server, handle);
    size_t len = reason ? strlen(reason) : 0;
    if (!wf_close_ok(code, reason, len)) /* wf_link_close would refuse it on the other thread, where nobody hears it */
        return WEFT_EINVAL;
    if (!w || !wf_handle_alive(w, handle))
        return WEFT_ESTALE;
    wf_mail *m = wf_mail_new(MAIL_CLOSE, handle, NULL, reason, len);
    if (m)
        m->code = code;
    return post(server, handle, m);
}
