#include <stdio.h>
#include <weft/weft.h>

static void on_open(weft_conn *conn, const weft_response *response, void *user) {
    (void)response, (void)user;
    weft_conn_send(conn, WEFT_TEXT, "hello", 5);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    printf("%.*s\n", (int)message.len, (const char *)message.data);
    weft_conn_close(conn, WEFT_CLOSE_NORMAL, NULL);
}

static void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    fprintf(stderr, "%s\n", failure->text);
}

int main(void) {
    weft_client *client = weft_client_new(NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = "ws://127.0.0.1:9001/echo", .open = on_open, .message = on_message,
                      .failed = on_failed};
    weft_client_dial(client, &dial, NULL);
    int status = weft_client_run(client); // until no connection is left
    weft_client_free(client);
    return status;
}
