/*
 * /healthz and /metrics in Prometheus' text format (version 0.0.4). Every figure is read from the counters at
 * the moment of the request: there is no second place where it could drift.
 */
#include "app/pusher/pusher.h"
#include "app/routes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { PAGE_BYTES = 16 * 1024 };

typedef struct page {
    char text[PAGE_BYTES];
    size_t len;
} page;

static void put(page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(page *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->text + p->len, sizeof p->text - p->len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof p->text - p->len)
        p->len += (size_t)n;
}

static void one(page *p, const char *name, const char *type, const char *help, uint64_t value) {
    put(p, "# HELP weft_%s %s\n# TYPE weft_%s %s\nweft_%s %" PRIu64 "\n", name, help, name, type, name, value);
}

static void put_store(page *p, app_store *store) {
    app_store_stats s;
    app_store_look(store, &s);
    one(p, "store_commits_total", "counter", "Transactions of the store.", s.commits);
    one(p, "store_messages_total", "counter", "Messages stored.", s.messages);
    one(p, "store_message_bytes_total", "counter", "Messages stored: their bytes.", s.bytes);
    one(p, "store_failed_total", "counter", "Messages that could not be stored.", s.failed);
    one(p, "store_refused_total", "counter", "Messages refused as too many waited for the store.", s.refused);
    one(p, "store_batch_max", "gauge", "Most messages in one transaction.", s.batch_max);
    one(p, "store_queued_bytes", "gauge", "What waits for the store.", s.queued_bytes);
    one(p, "store_file_bytes", "gauge", "The file of the store, without its free pages.", s.file_bytes);
    put(p,
        "# HELP weft_store_commit_seconds_total Time that the store's transactions took.\n"
        "# TYPE weft_store_commit_seconds_total counter\nweft_store_commit_seconds_total %.6f\n",
        (double)s.commit_ns / 1e9);
}

static void on_metrics(weft_request *request, void *user) {
    if (!app_want_get(request, "GET, HEAD"))
        return;
    weft_server *server = weft_request_server(request);
    weft_stats s;
    page p = {.len = 0};
    weft_server_stats(server, &s);
    one(&p, "connections", "gauge", "Open connections, HTTP and WebSocket.", s.connections);
    one(&p, "websockets", "gauge", "Open WebSockets.", s.websockets);
    one(&p, "streams", "gauge", "Open answers that go on, as of server-sent events.", s.streams);
    one(&p, "accepted_total", "counter", "Connections accepted.", s.accepted);
    one(&p, "handshakes_total", "counter", "Opening handshakes completed.", s.handshakes);
    one(&p, "http_requests_total", "counter", "Requests answered without an upgrade.", s.requests);
    one(&p, "received_bytes_total", "counter", "Bytes received on the wire.", s.bytes_in);
    one(&p, "sent_bytes_total", "counter", "Bytes sent on the wire.", s.bytes_out);
    one(&p, "messages_received_total", "counter", "Messages received.", s.messages_in);
    one(&p, "messages_sent_total", "counter", "Messages queued to connections.", s.messages_out);
    one(&p, "deflating", "gauge", "Open WebSockets with permessage-deflate.", s.deflating);
    one(&p, "deflate_in_bytes_total", "counter", "Messages compressed: their bytes.", s.deflate_in_bytes);
    one(&p, "deflate_out_bytes_total", "counter", "Messages compressed: the bytes made of them.", s.deflate_out_bytes);
    one(&p, "inflate_in_bytes_total", "counter", "Compressed messages received: bytes on the wire.",
        s.inflate_in_bytes);
    one(&p, "inflate_out_bytes_total", "counter", "Compressed messages received: their bytes.", s.inflate_out_bytes);
    one(&p, "published_total", "counter", "Messages published to topics.", s.published);
    one(&p, "delivered_total", "counter", "Deliveries made of published messages.", s.delivered);
    one(&p, "queue_drops_total", "counter", "Published messages that slow subscribers did not get.", s.queue_drops);
    one(&p, "shed_total", "counter", "Connections turned away or closed for a limit of the server.",
        s.shed_connections);
    one(&p, "buffered_bytes", "gauge", "Bytes of buffered input and output.", s.memory_bytes);
    put(&p,
        "# HELP weft_loop_lag_seconds Longest turn of an event loop in the last second.\n"
        "# TYPE weft_loop_lag_seconds gauge\nweft_loop_lag_seconds %.6f\n",
        (double)s.loop_lag_ns_max / 1e9);
    put(&p, "# HELP weft_closes_total WebSockets ended, by close code.\n# TYPE weft_closes_total counter\n");
    for (int i = 0; i < WEFT_CLOSE_SLOTS; i++)
        put(&p, "weft_closes_total{code=\"%s\"} %" PRIu64 "\n", weft_close_slot_name(i), s.closes[i]);
    put(&p, "# HELP weft_refusals_total Handshakes and requests turned away, by reason.\n"
            "# TYPE weft_refusals_total counter\n");
    uint64_t count;
    const char *reason;
    for (size_t i = 0; (reason = weft_server_refusals(server, i, &count)); i++)
        put(&p, "weft_refusals_total{reason=\"%s\"} %" PRIu64 "\n", reason, count);
    if (user)
        put_store(&p, user);
    push_text all = {0};
    push_put(&all, p.text, p.len);
    app_pusher_metrics(&all);
    if (all.failed)
        app_reply_text(request, 503, "out of memory\n");
    else
        app_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", all.data, all.len);
    push_text_free(&all);
}

static void on_health(weft_request *request, void *user) {
    (void)user;
    if (app_want_get(request, "GET, HEAD"))
        app_reply_text(request, 200, "ok\n");
}

int app_metrics_add(weft_server *server, app_store *store) {
    weft_route health = {WEFT_ROUTE_INIT, .path = "/healthz", .request = on_health};
    weft_route metrics = {WEFT_ROUTE_INIT, .path = "/metrics", .user = store, .request = on_metrics};
    int got = weft_server_route(server, &health);
    return got == WEFT_OK ? weft_server_route(server, &metrics) : got;
}
