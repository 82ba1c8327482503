/* room [ADDRESS] - whoever connects hears what the others say, the last ten messages first, and the time every second.
 * Two threads; SIGTERM and SIGINT end it in order, with a close frame for everybody. */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <weft/weft.h>

static weft_server *server;

static void on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)request, (void)user;
    weft_conn_subscribe(conn, "room", 10);
    weft_conn_subscribe(conn, "clock", 0);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    weft_conn_publish(conn, "room", message.kind, message.data, message.len); // to all but the one who said it
}

static void tell_time(weft_server *it, void *user) {
    (void)user;
    char text[32];
    int len = snprintf(text, sizeof text, "%lld", (long long)time(NULL));
    weft_publish(it, "clock", WEFT_TEXT, text, (size_t)len); // any thread may
}

static void on_signal(int number) {
    (void)number;
    weft_server_drain(server, WEFT_CLOSE_GOING_AWAY, 0);
}

int main(int argc, char **argv) {
    server = weft_server_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = 2});
    if (!server)
        return 1;
    weft_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/", .open = on_open, .message = on_message});
    weft_server_history(server, "room", 10, 64 * 1024);
    weft_server_every(server, 1000, tell_time, NULL);
    if (weft_server_listen(server, argc > 1 ? argv[1] : "127.0.0.1:9001") != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_server_error(server));
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    int status = weft_server_run(server);
    weft_server_free(server);
    return status;
}
