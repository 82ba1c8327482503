/*
 * What the client says of a connection becomes counters, a few examples in words, and the exit code of the first
 * failure.
 */
#include "cli/bench/dial.h"

#include "cli/exits.h"

#include "cli/bench/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSAL_BYTES_MAX = 8192 };

static void remember(bench_worker *w, int exit_code, const char *text) {
    if (w->failure.exit_code != 0)
        return;
    w->failure.exit_code = exit_code;
    snprintf(w->failure.text, sizeof w->failure.text, "%s", text);
}

/* Status, headers and body of an answer that was not 101. */
static char *refusal_of(const weft_response *response) {
    char *text = malloc(REFUSAL_BYTES_MAX + 1);
    if (!text)
        return NULL;
    int at = snprintf(text, REFUSAL_BYTES_MAX, "HTTP %d\n", weft_response_status(response));
    weft_text name, value, body = weft_response_body(response);
    for (size_t i = 0; weft_response_header_at(response, i, &name, &value); i++) {
        int room = REFUSAL_BYTES_MAX - at;
        int used =
            snprintf(text + at, (size_t)room, "%.*s: %.*s\n", (int)name.len, name.data, (int)value.len, value.data);
        if (used >= room)
            break;
        at += used;
    }
    snprintf(text + at, (size_t)(REFUSAL_BYTES_MAX - at), "\n%.*s", (int)body.len, body.data ? body.data : "");
    return text;
}

static void on_open(weft_conn *conn, const weft_response *response, void *user) {
    bench_peer *p = user;
    weft_text extensions = weft_response_header(response, "Sec-WebSocket-Extensions");
    p->conn = conn;
    if (extensions.len > 0 && !p->worker->extensions[0])
        snprintf(p->worker->extensions, sizeof p->worker->extensions, "%.*s", (int)extensions.len, extensions.data);
    p->worker->deflates = p->worker->deflates || weft_conn_deflates(conn);
    bench_worker_opened(p, bench_now());
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)conn;
    bench_worker_message(user, message);
}

static void on_drained(weft_conn *conn, void *user) {
    bench_peer *p = user;
    (void)conn;
    p->is_blocked = false;
    if (p->worker->run->traffic->drained)
        p->worker->run->traffic->drained(p, bench_now());
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    bench_peer *p = user;
    bench_worker *w = p->worker;
    (void)conn;
    bool is_early =
        w->run->traffic->keeps_connections ? w->phase < BENCH_CLOSE : !info->clean && w->phase < BENCH_CLOSE;
    if (is_early) {
        char text[BENCH_NOTE_BYTES];
        snprintf(text, sizeof text, "connection %u was closed with %d%s%.150s%s%.80s", p->id, info->code,
                 info->reason[0] ? ": " : "", info->reason, info->rule ? ", " : "", info->rule ? info->rule : "");
        bench_worker_fault(w, BENCH_FAULT_CLOSED, 1);
        bench_note(&w->examples, "%s", text);
        int code = cli_exit_of_close(info);
        remember(w, code ? code : CLI_EXIT_CLOSED_1XXX, text);
    }
    bench_worker_ended(p);
}

static void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    bench_peer *p = user;
    bench_worker *w = p->worker;
    (void)conn;
    int code = cli_exit_of_dial(failure);
    bench_worker_fault(w, failure->phase <= WEFT_DIAL_PROXY ? BENCH_FAULT_CONNECT : BENCH_FAULT_HANDSHAKE, 1);
    bench_note(&w->examples, "%.300s", failure->text);
    if (code == CLI_EXIT_HTTP && !w->failure.refusal)
        w->failure.refusal = refusal_of(failure->response);
    remember(w, code, failure->text);
    bench_worker_ended(p);
}

void bench_worker_dial(bench_peer *p, uint64_t intended_ns) {
    bench_worker *w = p->worker;
    const bench_config *c = w->config;
    weft_dial dial = {WEFT_DIAL_INIT,
                      .url = c->url,
                      .address = c->address[0] ? c->address : NULL,
                      .proxy = c->proxy,
                      .local_address = c->local_count > 0 ? c->locals[p->id % c->local_count] : NULL,
                      .user = p,
                      .origin = c->origin,
                      .subprotocols = c->subprotocols,
                      .headers = c->headers,
                      .deflate = {.mode = c->no_takeover ? WEFT_DEFLATE_NO_TAKEOVER
                                          : c->deflate   ? WEFT_DEFLATE_DEDICATED
                                                         : WEFT_DEFLATE_OFF},
                      .open = on_open,
                      .message = on_message,
                      .drained = on_drained,
                      .closed = on_closed,
                      .failed = on_failed};
    p->dialled_ns = intended_ns;
    p->state = BENCH_DIALLING;
    w->dialling++;
    int got = weft_client_dial(w->client, &dial, &p->conn);
    if (got == WEFT_OK)
        return;
    const char *why = got == WEFT_EINVAL ? weft_client_error(w->client) : weft_status_text(got);
    bench_worker_fault(w, BENCH_FAULT_CONNECT, 1);
    bench_note(&w->examples, "cannot dial: %.200s", why);
    remember(w, got == WEFT_EINVAL ? CLI_EXIT_USAGE : CLI_EXIT_CONNECT, why);
    bench_worker_ended(p);
}
