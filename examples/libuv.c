/* libuv URL - a client in a loop of libuv's, beside its other work: says "tick" three times, prints what comes back. */
#include <stdio.h>
#include <uv.h>
#include <weft/weft.h>

static weft_client *client;
static weft_conn *conn;
static uv_poll_t readable;     /* there is something to do */
static uv_timer_t due, ticker; /* it is time to do something; our own work */
static uv_prepare_t before_waiting;

static void turn(uv_timer_t *timer) {
    (void)timer;
    weft_client_turn(client, 0);
    if (weft_client_connections(client) == 0)
        uv_stop(uv_default_loop());
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)poll, (void)status, (void)events;
    turn(NULL);
}

/* Whatever was done since the last wait, a send from anywhere too, is asked for here. */
static void on_before_waiting(uv_prepare_t *prepare) {
    (void)prepare;
    int wait_ms = weft_client_timeout_ms(client);
    if (wait_ms >= 0)
        uv_timer_start(&due, turn, (uint64_t)wait_ms, 0);
}

static void on_tick(uv_timer_t *timer) {
    (void)timer;
    static int ticks;
    if (weft_client_connections(client) == 0)
        return;
    if (++ticks <= 3)
        weft_conn_send(conn, WEFT_TEXT, "tick", 4);
    else
        weft_conn_close(conn, WEFT_CLOSE_NORMAL, NULL);
}

static void on_message(weft_conn *from, weft_message message, void *user) {
    (void)from, (void)user;
    printf("%.*s\n", (int)message.len, (const char *)message.data);
}

static void on_failed(weft_conn *failed, const weft_dial_failure *failure, void *user) {
    (void)failed, (void)user;
    fprintf(stderr, "%s\n", failure->text);
}

int main(int argc, char **argv) {
    uv_loop_t *loop = uv_default_loop();
    client = weft_client_new(NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = argv[1], .message = on_message, .failed = on_failed};
    if (argc < 2 || !client || weft_client_dial(client, &dial, &conn) != WEFT_OK)
        return 1;
    uv_poll_init(loop, &readable, weft_client_fd(client));
    uv_poll_start(&readable, UV_READABLE, on_readable);
    uv_timer_init(loop, &due);
    uv_prepare_init(loop, &before_waiting);
    uv_prepare_start(&before_waiting, on_before_waiting);
    uv_timer_init(loop, &ticker);
    uv_timer_start(&ticker, on_tick, 50, 50);
    uv_run(loop, UV_RUN_DEFAULT);
    weft_client_free(client);
    return 0;
}
