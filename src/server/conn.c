/*
 * What only a server's connection can do: topics and handles. On a client's these answer that there are none.
 */
#include "server/server_impl.h"

#include "ws/close.h"

#include <string.h>

/* A place in the topic's order is taken at its home. When that is here and all its mail has been read, it is now. */
static int subscribe(weft_conn *conn, wf_str topic, uint32_t replay) {
    wf_worker *w = wf_conn_worker(conn), *home = wf_publish_home_of(w->server, topic);
    uint32_t join = 0;
    wf_mail *m = wf_mail_new(MAIL_JOIN, wf_handle_of(conn), NULL, NULL, 0);
    int got = m ? wf_hub_subscribe(&w->hub, &conn->subscriber, topic, &join) : WF_ENOMEM;
    if (join == 0) {
        wf_mail_free(m);
        return got;
    }
    m->join = join;
    m->replay = replay;
    if (home == w && wf_worker_mail_read(w))
        wf_publish_join(w, m);
    else
        wf_worker_mail(w, home->index, m);
    return WF_OK;
}

int weft_conn_subscribe(weft_conn *conn, const char *topic, size_t replay) {
    if (wf_link_is_client(&conn->link))
        return WEFT_EINVAL;
    if (!wf_link_is_open(&conn->link))
        return WEFT_ECLOSED;
    return subscribe(conn, wf_str_of(topic), replay < UINT32_MAX ? (uint32_t)replay : UINT32_MAX);
}

int weft_conn_unsubscribe(weft_conn *conn, const char *topic) {
    if (wf_link_is_client(&conn->link))
        return WEFT_EINVAL;
    wf_hub_unsubscribe(&wf_conn_worker(conn)->hub, &conn->subscriber, wf_str_of(topic));
    return WEFT_OK;
}

weft_server *weft_conn_server(const weft_conn *conn) {
    return wf_link_is_client(&conn->link) ? NULL : wf_conn_worker(conn)->server;
}

const weft_route *weft_conn_route(const weft_conn *conn) {
    return wf_link_is_client(&conn->link) ? NULL : &wf_conn_route(conn)->is;
}

weft_handle weft_conn_handle(const weft_conn *conn) {
    return wf_link_is_client(&conn->link) ? 0 : wf_handle_of(conn);
}

static int post(weft_server *server, weft_handle handle, wf_mail *m) {
    if (!m)
        return WEFT_ENOMEM;
    wf_worker_post(wf_handle_worker(server, handle), m);
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
