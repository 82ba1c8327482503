/*
 * /healthz and /metrics in Prometheus' text format (docs/METRICS.md lists all of it). Every figure is read from the
 * counters at the moment of the request: there is no second place where it could drift.
 */
#include "app/figures.h"
#include "app/pusher/pusher.h"
#include "app/room.h"
#include "app/routes.h"

#include <stdio.h>

static void put_server(app_text *page, const weft_stats *s) {
    const struct {
        const char *name, *help;
        uint64_t value;
    } figures[] = {
        {"connections", "Open connections, HTTP and WebSocket.", s->connections},
        {"websockets", "Open WebSockets.", s->websockets},
        {"streams", "Open answers that go on, as of server-sent events.", s->streams},
        {"accepted_total", "Connections accepted.", s->accepted},
        {"handshakes_total", "Opening handshakes completed.", s->handshakes},
        {"http_requests_total", "Requests answered without an upgrade.", s->requests},
        {"received_bytes_total", "Bytes received on the wire.", s->bytes_in},
        {"sent_bytes_total", "Bytes sent on the wire.", s->bytes_out},
        {"messages_received_total", "Messages received.", s->messages_in},
        {"messages_sent_total", "Messages queued to connections.", s->messages_out},
        {"deflating", "Open WebSockets with permessage-deflate.", s->deflating},
        {"deflate_in_bytes_total", "Messages compressed: their bytes.", s->deflate_in_bytes},
        {"deflate_out_bytes_total", "Messages compressed: the bytes made of them.", s->deflate_out_bytes},
        {"inflate_in_bytes_total", "Compressed messages received: bytes on the wire.", s->inflate_in_bytes},
        {"inflate_out_bytes_total", "Compressed messages received: their bytes.", s->inflate_out_bytes},
        {"published_total", "Messages published to topics.", s->published},
        {"delivered_total", "Deliveries made of published messages.", s->delivered},
        {"queue_drops_total", "Published messages that slow subscribers did not get.", s->queue_drops},
        {"shed_total", "Connections turned away or closed for a limit of the server.", s->shed_connections},
        {"buffered_bytes", "Bytes of buffered input and output.", s->memory_bytes},
    };
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        app_figure_one(page, figures[i].name, figures[i].help, figures[i].value);
    app_figure_seconds(page, "loop_lag_seconds", "Longest turn of an event loop in the last second.",
                       s->loop_lag_ns_max);
}

/* Names and reasons are short texts of ours that need no escaping. */
static void put_ends(app_text *page, const weft_server *server, const weft_stats *s) {
    char labels[128];
    uint64_t count;
    const char *reason;
    app_figure(page, "closes_total", "WebSockets ended, by close code.");
    for (int i = 0; i < WEFT_CLOSE_SLOTS; i++) {
        snprintf(labels, sizeof labels, "code=\"%s\"", weft_close_slot_name(i));
        app_figure_value(page, "closes_total", labels, s->closes[i]);
    }
    app_figure(page, "refusals_total", "Handshakes and requests turned away, by reason.");
    for (size_t i = 0; (reason = weft_server_refusals(server, i, &count)); i++) {
        snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
        app_figure_value(page, "refusals_total", labels, count);
    }
}

static void put_rooms(app_text *page) {
    static const char *const forms[ROOM_FORMS] = {[ROOM_RAW] = "transport=\"websocket\"",
                                                  [ROOM_ENVELOPES] = "transport=\"websocket_recover\"",
                                                  [ROOM_EVENTS] = "transport=\"sse\""};
    room_counts rooms;
    room_count(&rooms);
    app_figure_one(page, "rooms", "Rooms with somebody in them.", rooms.rooms);
    app_figure(page, "room_members", "Members of rooms; of those who poll, those that wait.");
    for (int i = 0; i < ROOM_FORMS; i++)
        app_figure_value(page, "room_members", forms[i], rooms.members[i]);
    app_figure_value(page, "room_members", "transport=\"poll\"", rooms.parked);
    app_figure_one(page, "room_messages_total", "Messages to rooms.", rooms.past.appended);
    app_figure_one(page, "room_history_messages", "Messages that are kept in memory as the history of rooms.",
                   rooms.past.messages);
    app_figure_one(page, "room_history_bytes", "Memory that the history of rooms takes.", rooms.past.bytes);
}

static void put_store(app_text *page, app_store *store) {
    app_store_stats s;
    app_store_look(store, &s);
    app_figure_one(page, "store_commits_total", "Transactions of the store.", s.commits);
    app_figure_one(page, "store_messages_total", "Messages stored.", s.messages);
    app_figure_one(page, "store_message_bytes_total", "Messages stored: their bytes.", s.bytes);
    app_figure_one(page, "store_failed_total", "Messages that could not be stored.", s.failed);
    app_figure_one(page, "store_refused_total", "Messages refused as too many waited for the store.", s.refused);
    app_figure_one(page, "store_batch_max", "Most messages in one transaction.", s.batch_max);
    app_figure_one(page, "store_queued_bytes", "What waits for the store.", s.queued_bytes);
    app_figure_one(page, "store_file_bytes", "The file of the store, without its free pages.", s.file_bytes);
    app_figure_seconds(page, "store_commit_seconds_total", "Time that the store's transactions took.", s.commit_ns);
}

static void on_metrics(weft_request *request, void *store) {
    if (!app_want_get(request, "GET, HEAD"))
        return;
    weft_server *server = weft_request_server(request);
    weft_stats s;
    app_text page = {0};
    weft_server_stats(server, &s);
    put_server(&page, &s);
    put_ends(&page, server, &s);
    put_rooms(&page);
    if (store)
        put_store(&page, store);
    app_pusher_figures(&page);
    if (page.failed)
        app_reply_text(request, 503, "out of memory\n");
    else
        app_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", page.data, page.len);
    app_text_free(&page);
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
