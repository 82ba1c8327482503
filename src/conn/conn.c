/*
 * The application's view of an open WebSocket, in either role: thin, because the work is the link's.
 */
#include "conn/conn.h"

#include "net/address.h"

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

static wf_link *link_of(const weft_conn *conn) {
    return (wf_link *)conn;
}

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
        return kind == WEFT_PING || kind == WEFT_PONG ? wf_link_send_control(link_of(conn), opcode, data, len)
                                                      : WEFT_EINVAL;
    return plain ? wf_link_send_plain(link_of(conn), opcode, data, len)
                 : wf_link_send(link_of(conn), opcode, data, len);
}

int weft_conn_send_fragment(weft_conn *conn, weft_kind kind, const void *data, size_t len, bool fin) {
    uint8_t opcode;
    bool plain;
    return wf_kind_split(kind, &opcode, &plain) ? wf_link_send_fragment(link_of(conn), opcode, data, len, fin)
                                                : WEFT_EINVAL;
}

bool weft_conn_is_stream(const weft_conn *conn) {
    return link_of(conn)->is_stream;
}

bool weft_conn_deflates(const weft_conn *conn) {
    return link_of(conn)->deflates;
}

size_t weft_conn_buffered(const weft_conn *conn) {
    return link_of(conn)->q.bytes;
}

int weft_conn_close(weft_conn *conn, int code, const char *reason) {
    int got = wf_link_close(link_of(conn), code, reason);
    wf_outq_mark_ready(&link_of(conn)->q); /* without memory for the frame it is dead: this turn pulls its end */
    return got;
}

void weft_conn_abort(weft_conn *conn) {
    wf_link_abort(link_of(conn));
    wf_outq_mark_ready(&link_of(conn)->q); /* so that this turn pulls its end */
}

int weft_conn_ping(weft_conn *conn) {
    return link_of(conn)->is_stream ? WEFT_EINVAL : wf_link_ping(link_of(conn));
}

uint64_t weft_conn_rtt_ns(const weft_conn *conn) {
    return link_of(conn)->rtt_ns;
}

void *weft_conn_user(const weft_conn *conn) {
    return link_of(conn)->user;
}

void weft_conn_set_user(weft_conn *conn, void *user) {
    link_of(conn)->user = user;
}

const char *weft_conn_peer(const weft_conn *conn, char *out, size_t cap) {
    wf_address address = {.len = sizeof address.storage};
    int fd = wf_sock_descriptor(link_of(conn)->env->loop, &link_of(conn)->sock);
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&address.storage, &address.len) < 0)
        snprintf(out, cap, "gone");
    else if (address.storage.ss_family == AF_UNIX)
        snprintf(out, cap, "unix");
    else
        wf_address_format(&address, out, cap);
    return out;
}

void wf_conn_close_info(const weft_conn *conn, weft_close_info *out_info) {
    const wf_link_end *end = wf_link_end_of(link_of(conn));
    const wf_fault *fault = &end->fault;
    bool clean = end->sent_code && end->received_code && fault->status == 0;
    *out_info = (weft_close_info) {
        .code = end->by_peer || clean ? end->received_code : fault->close_code,
        .reason = end->reason ? end->reason : "",
        .clean = clean,
        .by_peer = end->by_peer,
        .rule = fault->rule,
        .sys_errno = fault->sys_errno,
        .retry_ms = -1,
    };
    if (out_info->code == 0)
        out_info->code = WEFT_CLOSE_ABNORMAL;
}
