#include <stdio.h>
#include <weft/weft.h>

static void echo(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    weft_conn_send(conn, message.kind, message.data, message.len);
}

int main(void) {
    weft_server *server = weft_server_new(NULL);
    weft_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/echo", .message = echo});
    if (weft_server_listen(server, "127.0.0.1:9001") != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_server_error(server));
        return 1;
    }
    return weft_server_run(server);
}
