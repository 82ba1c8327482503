/*
 * Routes and callbacks. Each checks the order in which it is called: open before all, closed once and last.
 */
#include "app.h"

#include "client.h"
#include "oracles.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct app_conn {
    bool open, closed;
    uint32_t received;
} app_conn;

static app_conn conns[CLIENTS_MAX];
static weft_server *server;
static uint64_t end_ns;
static uint32_t spread_ms;
static bool ending;

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
    char text[16];
    int id = weft_request_param(request, "id", text, sizeof text) == WEFT_OK ? atoi(text) : -1;
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

/* What a client sent must come in as it was sent. */
static void check_message(int id, app_conn *a, weft_message message) {
    static uint8_t expected[MESSAGE_MAX];
    int opcode;
    size_t len = sim_message(id, a->received, &opcode, expected);
    if ((int)message.kind != opcode || message.len != len || memcmp(message.data, expected, len) != 0)
        sim_fail("messages", "from client %d came another message than %u", id, a->received);
    a->received++;
}

static void echo_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    int id = id_of(conn);
    check_message(id, conn_of(conn, "message"), message);
    sim_trace("message", id, message.kind, (int64_t)message.len);
    int got = weft_conn_send(conn, message.kind, message.data, message.len);
    if (got == WEFT_FULL)
        sim_fail("queue", "one answer per message found the queue of client %d full", id);
    if (got == WEFT_ENOMEM)
        weft_conn_close(conn, 1011, "out of memory");
}

bool sim_app_ending(void) {
    return ending;
}

uint64_t sim_app_next_ns(void) {
    return ending ? UINT64_MAX : end_ns;
}

void sim_app_act(void) {
    if (ending || sim.now_ns < end_ns)
        return;
    ending = true;
    bool stop = sim_below(10) == 0;
    sim_trace(stop ? "stop" : "drain", spread_ms, 0, 0);
    if (stop)
        weft_server_stop(server);
    else
        weft_server_drain(server, sim_below(2) ? 1001 : 1012, spread_ms);
    sim_oracle_ends_by(sim.now_ns + (uint64_t)(stop ? 0 : spread_ms + 5100) * SIM_MS);
}

weft_server *sim_app_begin(void) {
    memset(conns, 0, sizeof conns);
    ending = false;
    end_ns = (uint64_t)sim_between(10000, 60000) * SIM_MS;
    spread_ms = sim_below(2) ? 0 : sim_below(3000);
    server = weft_server_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64});
    const weft_route echo = {WEFT_ROUTE_INIT, .path = "/echo", .open = on_open, .message = echo_message,
                             .closed = on_closed};
    if (!server || weft_server_route(server, &echo) != WEFT_OK ||
        weft_server_listen(server, "127.0.0.1:9001") != WEFT_OK)
        sim_fail("simulator", "the server could not be made");
    return server;
}

void sim_app_check_end(void) {
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (conns[i].open && !conns[i].closed)
            sim_fail("callbacks", "client %d was never told closed", i);
}
