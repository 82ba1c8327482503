/*
 * What a request becomes: a page's callback, a WebSocket, or a refusal that says why. The order is the order
 * of the rules: is there such a path, is it a valid handshake (RFC 6455 4.2.1), is the origin welcome (10.2),
 * does the application want it.
 */
#include "server/server_impl.h"

#include "http/response.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char plain_text[] = "text/plain; charset=utf-8";
static const char retry_after_s[] = "5";

void wf_refused(wf_worker *w, int index) {
    wf_count_add(&w->refusals[index], 1);
}

/* Answers with a text of ours and up to three more headers. */
static void answer(weft_request *request, int status, const char *text, const weft_header *more, size_t count) {
    weft_header headers[4] = {{"Content-Type", plain_text}};
    for (size_t i = 0; i < count; i++)
        headers[1 + i] = more[i];
    weft_request_reply_with(request, status, headers, 1 + count, (weft_text) {text, strlen(text)});
}

void wf_request_simple(weft_request *request, int status, const char *text) {
    weft_header retry = {"Retry-After", retry_after_s};
    answer(request, status, text, &retry, status == 503);
}

static void refuse_upgrade(weft_conn *conn, wf_upgrade refused) {
    /* 426 names what it wants (RFC 9110 15.5.22), and Connection names that field (7.8). */
    static const weft_header upgrade[] = {
        {"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Version", "13"}};
    static const weft_header allow[] = {{"Allow", "GET"}};
    char text[256];
    const weft_config *config = &wf_conn_worker(conn)->server->config;
    wf_refused(wf_conn_worker(conn), refused.refusal);
    if (config->refused)
        config->refused(conn->request, refused.http_status, refused.text, config->refused_user);
    snprintf(text, sizeof text, "%s\n", refused.text);
    if (refused.http_status == 426)
        answer(conn->request, 426, text, upgrade, 3);
    else
        answer(conn->request, refused.http_status, text, allow, refused.http_status == 405);
}

static void accept_with_protocol(weft_conn *conn, const wf_route *route) {
    const wf_http_request *http = wf_request_http(conn->request);
    char protocol[128];
    wf_str picked = {NULL, 0};
    bool any = wf_upgrade_pick_protocol(http, route->is.subprotocols, wf_list_count(route->is.subprotocols), &picked) &&
               picked.len < sizeof protocol;
    if (any)
        snprintf(protocol, sizeof protocol, "%.*s", (int)picked.len, picked.data);
    weft_request_accept(conn->request, any ? protocol : NULL, NULL, 0);
}

/* Somebody must have answered, or have taken a reference to do it later. */
static void must_be_answered(weft_conn *conn) {
    weft_request *request = conn->request;
    if (!request || wf_request_answered(request) || wf_request_held(request))
        return;
    wf_request_simple(request, 500, "the application gave no answer\n");
    if (conn->request) /* not even that could be said */
        wf_link_die(&conn->link, 0, "out of memory");
}

static void on_upgrade(weft_conn *conn, const wf_route *route) {
    weft_request *request = conn->request;
    wf_upgrade check = wf_upgrade_check(wf_request_http(request));
    if (check.refusal == WF_REFUSAL_NONE && !weft_request_origin_ok(request))
        check = wf_upgrade_refused(WF_REFUSAL_ORIGIN);
    if (check.refusal != WF_REFUSAL_NONE) {
        refuse_upgrade(conn, check);
        return;
    }
    if (wf_conn_worker(conn)->drain_seen) {
        wf_refused(wf_conn_worker(conn), REFUSED_OVERLOAD);
        wf_request_simple(request, 503, "the server is going away\n");
        return;
    }
    wf_request_set_upgrade(request);
    if (route->is.upgrade)
        route->is.upgrade(request, route->is.user);
    else
        accept_with_protocol(conn, route);
}

void wf_on_request(weft_conn *conn) {
    wf_worker_half_done(conn);
    wf_http_reader *reader = wf_link_take_reader(&conn->link);
    weft_request *request = conn->request = wf_request_new(conn, reader);
    if (!request) {
        wf_http_reader_free(reader);
        wf_link_die(&conn->link, 0, "out of memory");
        return;
    }
    const wf_http_request *http = wf_request_http(request);
    const wf_route *route = wf_route_find(wf_conn_worker(conn)->server, http->path);
    wf_request_set_route(request, route);
    wf_request_hold(request); /* an answer lets go of it */
    if (!route)
        wf_request_simple(request, 404, "there is nothing here\n");
    else if (route->websocket && (!route->is.request || http->websocket))
        on_upgrade(conn, route);
    else
        route->is.request(request, route->is.user);
    weft_request_unref(request);
    must_be_answered(conn);
}

/* Not HTTP, over a limit, too slow, or unwelcome: there is no request object, only the fault. */
/* There is nobody to be answered: TLS itself has sent its alert. */
static bool was_tls(const weft_conn *conn) {
    const wf_tls *tls = wf_link_tls_of(&conn->link);
    const weft_server *server = wf_conn_worker(conn)->server;
    char peer[WF_ADDRESS_TEXT_BYTES];
    if (!tls || !wf_tls_rule(tls))
        return false;
    wf_refused(wf_conn_worker(conn), REFUSED_TLS);
    if (server->tls_failed)
        server->tls_failed(weft_conn_peer(conn, peer, sizeof peer), wf_tls_rule(tls), server->tls_user);
    return true;
}

void wf_on_broken(weft_conn *conn) {
    const wf_fault *fault = &wf_link_end_of(&conn->link)->fault;
    int status = fault->close_code;
    wf_worker_half_done(conn);
    if (was_tls(conn))
        return;
    wf_refused(wf_conn_worker(conn), status == 503                                     ? REFUSED_OVERLOAD
                                     : status == 408                                   ? REFUSED_TOO_SLOW
                                     : status == 413 || status == 414 || status == 431 ? REFUSED_TOO_LARGE
                                                                                       : REFUSED_BROKEN);
    wf_http_header_out headers[] = {{wf_str_of("Content-Type"), wf_str_of(plain_text)},
                                    {wf_str_of("Retry-After"), wf_str_of(retry_after_s)}};
    wf_buf bytes = WF_BUF_INIT;
    int got = wf_http_response_write(&bytes, &(wf_http_response) {.status = status,
                                                                  .headers = headers,
                                                                  .header_count = status == 503 ? 2 : 1,
                                                                  .close = true,
                                                                  .has_length = true,
                                                                  .body_bytes = strlen(fault->rule) + 1,
                                                                  .date_unix_s = time(NULL)});
    if (got == WF_OK)
        got = wf_buf_printf(&bytes, "%s\n", fault->rule);
    if (got == WF_OK)
        wf_link_reply(&conn->link, bytes.data, bytes.len, true);
    else
        wf_link_die(&conn->link, 0, "out of memory");
    wf_buf_deinit(&bytes);
}
