/*
 * Routes and callbacks. Each checks the order in which it is called: open before all, closed once and last.
 */
#include "app.h"

#include "client.h"
#include "oracles.h"
#include "sim.h"

#include <stdio.h>
#include <string.h>

typedef struct app_conn {
    bool open, closed;
    uint32_t received;
    uint32_t joined_least, joined_most;
    int room;
    uint32_t dismiss_at; /* answers after which it is ended; 0: not */
    int dismiss_how;
    bool aborted;
} app_conn;

const char sim_app_name[] = "sim";

const sim_model *sim_app_model(int id) {
    /* As often as they stand here. */
    static const sim_model *const models[] = {
        &sim_echo,     &sim_echo,     &sim_echo,     &sim_dismissed, &sim_dismissed, &sim_late,
        &sim_member,   &sim_member,   &sim_member,   &sim_member,    &sim_pages,     &sim_pages,
        &sim_listener, &sim_vanisher, &sim_vanisher, &sim_violator,  &sim_violator,
    };
    (void)id;
    return models[sim_below(sizeof models / sizeof *models)];
}

static app_conn conns[CLIENTS_MAX];
static sim_log logs[ROOMS];
static const char *const room_names[ROOMS] = {"room 0", "room 1", "room 2"};
static weft_server *server;
static uint64_t end_ns, publish_ns;
static uint32_t spread_ms, publish_ms_max, published;
static bool ending;

const sim_log *sim_app_log(int room) {
    return &logs[room];
}

void sim_app_joined(int id, uint32_t *out_least, uint32_t *out_most) {
    *out_least = conns[id].joined_least;
    *out_most = conns[id].joined_most;
}

static int id_of(const weft_conn *conn) {
    return (int)(intptr_t)weft_conn_user(conn) - 1;
}

static app_conn *conn_of(const weft_conn *conn, const char *callback) {
    int id = id_of(conn);
    if (!sim_client_of(id))
        sim_fail("callbacks", "%s for a connection that was not opened", callback);
    if (!conns[id].open || conns[id].closed)
        sim_fail("callbacks", "%s for client %d, which is not open", callback, id);
    return &conns[id];
}

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)user;
    int id = sim_later_text(request, "id");
    if (!sim_client_of(id))
        sim_fail("callbacks", "open for nobody's handshake");
    if (conns[id].open)
        sim_fail("callbacks", "open twice for client %d", id);
    conns[id] = (app_conn) {.open = true};
    weft_conn_set_user(conn, (void *)(intptr_t)(id + 1));
    sim_trace("open", id, 0, 0);
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)user;
    int id = id_of(conn);
    conn_of(conn, "closed")->closed = true;
    sim_trace("closed", id, info->code, info->clean);
    sim_client *c = sim_client_of(id);
    if (c->model->closed && !sim_client_excused(c))
        c->model->closed(c, info);
}

/* What a client sent must come in as it was sent. Answers its number. */
static uint32_t check_message(int id, app_conn *a, weft_message message) {
    static uint8_t expected[MESSAGE_MAX];
    int opcode;
    size_t len = sim_message(id, a->received, &opcode, expected);
    sim_trace("message", id, message.kind, (int64_t)message.len);
    sim.bytes += 1 + message.len; /* through a stream they go without a call */
    if ((int)message.kind != opcode || message.len != len || memcmp(message.data, expected, len) != 0)
        sim_fail("messages", "from client %d came another message than %u", id, a->received);
    sim_later_inside();
    return a->received++;
}

static void echo_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    int id = id_of(conn);
    check_message(id, conn_of(conn, "message"), message);
    int got = weft_conn_send(conn, message.kind, message.data, message.len);
    if (got == WEFT_FULL)
        sim_fail("queue", "one answer per message found the queue of client %d full", id);
    if (got == WEFT_ENOMEM)
        weft_conn_close(conn, 1011, "out of memory");
}

enum { BY_CLOSE, BY_HANDLE, BY_OTHER_THREAD, BY_ABORT, WAYS };

uint32_t sim_app_dismissed(int id) {
    return conns[id].dismiss_at;
}

bool sim_app_aborted(int id) {
    return conns[id].aborted;
}

static void dismiss_open(weft_conn *conn, const weft_request *request, void *user) {
    on_open(conn, request, user);
    app_conn *a = &conns[id_of(conn)];
    a->dismiss_at = sim_between(1, 20);
    a->dismiss_how = (int)sim_below(WAYS);
}

static void close_by_handle(void *arg) {
    const weft_handle *handle = arg;
    int got = weft_handle_close(server, *handle, DISMISS_CODE, "enough");
    sim_trace("closes", got, 0, 0);
}

static void dismiss_message(weft_conn *conn, weft_message message, void *user) {
    app_conn *a = conn_of(conn, "message");
    if (a->received < a->dismiss_at || a->dismiss_how != BY_ABORT)
        echo_message(conn, message, user);
    if (a->received != a->dismiss_at)
        return;
    weft_handle handle = weft_conn_handle(conn);
    int got = WEFT_OK;
    if (a->dismiss_how == BY_CLOSE)
        got = weft_conn_close(conn, DISMISS_CODE, "enough");
    else if (a->dismiss_how == BY_HANDLE)
        close_by_handle(&handle);
    else if (a->dismiss_how == BY_OTHER_THREAD)
        sim_outside(close_by_handle, &handle);
    else
        weft_conn_abort(conn);
    a->aborted = a->dismiss_how == BY_ABORT;
    if (got != WEFT_OK && got != WEFT_ECLOSED)
        sim_fail("calls", "a close is answered %d", got);
}

static void log_add(sim_log *log, int client, uint32_t n, size_t len) {
    if (log->count == LOG_MAX)
        sim_fail("simulator", "a room's log is full");
    log->entries[log->count++] = (sim_log_entry) {client, n, (uint32_t)len};
}

static void room_open(weft_conn *conn, const weft_request *request, void *user) {
    char tail[8];
    on_open(conn, request, user);
    if (weft_request_tail(request, tail, sizeof tail) != WEFT_OK)
        sim_fail("simulator", "a room without a name");
    app_conn *a = &conns[id_of(conn)];
    a->room = tail[0] - '0';
    a->joined_most = logs[a->room].count;
    a->joined_least = a->room == ROOM_OF_OTHERS ? logs[a->room].settled : a->joined_most;
    uint32_t replay = a->room == ROOM_WITH_PAST ? sim_below(PAST_MAX + 1) : 0;
    a->joined_least -= replay < a->joined_least ? replay : a->joined_least;
    if (weft_conn_subscribe(conn, room_names[a->room], replay) == WEFT_ENOMEM)
        weft_conn_close(conn, 1011, "out of memory");
}

static void room_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    int id = id_of(conn);
    app_conn *a = conn_of(conn, "message");
    uint32_t n = check_message(id, a, message);
    int got = weft_conn_publish(conn, room_names[a->room], message.kind, message.data, message.len);
    if (got == WEFT_OK)
        log_add(&logs[a->room], id, n, message.len);
    else if (got != WEFT_ENOMEM)
        sim_fail("calls", "a publish is answered %d", got);
}

static void page_request(weft_request *request, void *user) {
    static uint8_t expected[MESSAGE_MAX];
    (void)user;
    int id = sim_later_text(request, "id"), n = sim_later_text(request, "n"), opcode;
    size_t len = sim_message(id, (uint32_t)n, &opcode, expected);
    weft_text body = weft_request_body(request);
    sim_trace("request", id, n, (int64_t)body.len);
    if (body.len > 0 && (body.len != len || memcmp(body.data, expected, len) != 0))
        sim_fail("answers", "the body of request %d of client %d is another", n, id);
    sim_later_inside();
    weft_request_reply(request, 200, NULL, expected, len);
}

/* Sends as much as there is room for. With all of it the body ends; a drain may have ended it before. */
static void stream_on(weft_conn *conn, void *user) {
    static uint8_t bytes[MESSAGE_MAX];
    (void)user;
    app_conn *a = conn_of(conn, "drained");
    int id = id_of(conn), opcode, got = WEFT_OK;
    while (got == WEFT_OK && a->received < a->dismiss_at) {
        size_t len = sim_message(id, a->received, &opcode, bytes);
        got = weft_conn_send(conn, (weft_kind)opcode, bytes, len);
        a->received += got == WEFT_OK;
        sim.bytes += got == WEFT_OK ? 1 + len : 0; /* through a stream of HTTP/2 they go without a call */
    }
    sim_trace("streams", id, a->received, got);
    if (got == WEFT_OK)
        weft_conn_close(conn, 1000, NULL);
    else if (got == WEFT_ENOMEM)
        weft_conn_abort(conn);
}

static void stream_open(weft_conn *conn, const weft_request *request, void *user) {
    on_open(conn, request, user);
    conns[id_of(conn)].dismiss_at = (uint32_t)sim_later_text(request, "n");
    stream_on(conn, user);
}

static void stream_request(weft_request *request, void *user) {
    (void)user;
    weft_request_stream(request, 200, NULL, 0);
}

/* ---- the other thread, and the end ---- */

static void publish_outside(void *unused) {
    static uint8_t bytes[MESSAGE_MAX];
    (void)unused;
    int opcode;
    size_t len = sim_message(OTHERS, published, &opcode, bytes);
    int got = weft_publish(server, room_names[ROOM_OF_OTHERS], (weft_kind)opcode, bytes, len);
    sim_trace("publishes", published, (int64_t)len, got);
    if (got == WEFT_OK)
        log_add(&logs[ROOM_OF_OTHERS], OTHERS, published, len);
    published++;
}

bool sim_app_ending(void) {
    return ending;
}

uint64_t sim_app_next_ns(void) {
    uint64_t next = sim_later_next_ns();
    if (!ending && end_ns < next)
        next = end_ns;
    return !ending && publish_ns < next ? publish_ns : next;
}

static void end_server(void) {
    ending = true;
    bool stop = sim_below(10) == 0;
    sim_trace(stop ? "stop" : "drain", spread_ms, 0, 0);
    if (stop)
        weft_server_stop(server);
    else
        weft_server_drain(server, sim_below(2) ? 1001 : 1012, spread_ms);
    sim_oracle_ends_by(sim.now_ns + (uint64_t)(stop ? 0 : spread_ms + 5100) * SIM_MS);
}

void sim_app_act(void) {
    for (int i = 0; i < ROOMS; i++)
        logs[i].settled = logs[i].count;
    sim_later_act();
    if (!ending && sim.now_ns >= publish_ns && published < LOG_MAX) {
        sim_outside(publish_outside, NULL);
        publish_ns = sim.now_ns + (uint64_t)sim_between(1, publish_ms_max) * SIM_MS;
    }
    if (!ending && sim.now_ns >= end_ns)
        end_server();
}

static void make_routes(void) {
    weft_limits echo = {.queue_bytes_max = sim_below(2) ? 0 : sim_log_between(1, 65536)};
    weft_limits rooms = {.queue_bytes_max = sim_below(2) ? WEFT_NONE : sim_log_between(1024, 65536),
                         .slow_policy = (weft_slow_policy)sim_between(WEFT_SLOW_CLOSE, WEFT_SLOW_DROP_OLDEST)};
    for (int i = 0; i < ROOMS; i++) {
        logs[i].count = logs[i].settled = 0;
        logs[i].small = rooms.queue_bytes_max != WEFT_NONE;
        logs[i].drops = rooms.slow_policy != WEFT_SLOW_CLOSE;
    }
    sim_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/echo", .limits = echo, .open = on_open,
                                            .message = echo_message, .closed = on_closed});
    sim_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/dismiss", .limits = echo, .open = dismiss_open,
                                            .message = dismiss_message, .closed = on_closed});
    if (weft_server_history(server, room_names[ROOM_WITH_PAST], PAST_MAX, WEFT_NONE) != WEFT_OK)
        sim_fail("simulator", "a history could not be made");
    sim_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/rooms/*", .limits = rooms, .open = room_open,
                                            .message = room_message, .closed = on_closed});
    sim_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/page", .request = page_request});
    sim_server_route(server,
                     &(weft_route) {WEFT_ROUTE_INIT, .path = "/stream", .limits = echo, .request = stream_request,
                                    .open = stream_open, .drained = stream_on, .closed = on_closed});
    sim_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/later", .limits = echo, .request = sim_later_ask,
                                            .upgrade = sim_later_ask, .open = on_open, .message = echo_message,
                                            .lost = sim_later_lost, .closed = on_closed});
}

void sim_app_reset(void) {
    memset(conns, 0, sizeof conns);
    ending = false;
    published = 0;
}

weft_server *sim_app_begin(void) {
    end_ns = (uint64_t)(sim_below(8) ? sim_between(10000, 60000) : sim_between(60000, 300000)) * SIM_MS;
    spread_ms = sim_below(2) ? 0 : sim_below(3000);
    publish_ms_max = sim_log_between(500, 20000);
    publish_ns = 0;
    weft_config config = {WEFT_CONFIG_INIT,
                          .connections_max = 64,
                          .memory_bytes_max = WEFT_NONE,
                          .answer_timeout_ms = sim_log_between(2000, 30000),
                          .keep_alive_ms = sim_log_between(5000, 15000),
                          .limits = {.ping_interval_ms = sim_log_between(1000, 25000)}};
    if (sim_below(2))
        config.deflate =
            (weft_deflate) {.mode = (weft_deflate_mode)sim_between(WEFT_DEFLATE_OFF, WEFT_DEFLATE_DEDICATED),
                            .window_bits = sim_between(8, 15),
                            .client_window_bits = sim_between(8, 15)};
    server = sim_server_new(config);
    sim_server_listen(server);
    make_routes();
    sim_later_begin();
    return server;
}

void sim_app_run_over(void) {
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (conns[i].open && !conns[i].closed)
            sim_fail("callbacks", "client %d was never told closed", i);
    sim_later_run_over();
}

void sim_app_freed(void) {
    bool opened[CLIENTS_MAX];
    for (int i = 0; i < CLIENTS_MAX; i++)
        opened[i] = conns[i].open;
    sim_later_freed(opened);
}
