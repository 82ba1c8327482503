/* glib URL - a client in GLib's main loop, beside its other work: says "tick" three times, prints what comes back. */
#include <glib.h>
#include <stdio.h>
#include <weft/weft.h>

static GMainLoop *loop;
static weft_client *client;
static weft_conn *conn;
static gpointer readable; /* the client's descriptor among what GLib watches */

static gboolean before_waiting(GSource *source, int *wait_ms) {
    (void)source;
    *wait_ms = weft_client_timeout_ms(client);
    return *wait_ms == 0;
}

static gboolean after_waiting(GSource *source) {
    return g_source_query_unix_fd(source, readable) != 0 || weft_client_timeout_ms(client) == 0;
}

static gboolean turn(GSource *source, GSourceFunc unused, gpointer user) {
    (void)source, (void)unused, (void)user;
    weft_client_turn(client, 0);
    if (weft_client_connections(client) == 0)
        g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer user) {
    static int ticks;
    (void)user;
    if (weft_client_connections(client) == 0)
        return G_SOURCE_REMOVE;
    if (++ticks <= 3)
        weft_conn_send(conn, WEFT_TEXT, "tick", 4);
    else
        weft_conn_close(conn, WEFT_CLOSE_NORMAL, NULL);
    return ticks <= 3;
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
    static GSourceFuncs calls = {.prepare = before_waiting, .check = after_waiting, .dispatch = turn};
    client = weft_client_new(NULL);
    weft_dial dial = {WEFT_DIAL_INIT, .url = argv[1], .message = on_message, .failed = on_failed};
    if (argc < 2 || !client || weft_client_dial(client, &dial, &conn) != WEFT_OK)
        return 1;
    loop = g_main_loop_new(NULL, FALSE);
    GSource *source = g_source_new(&calls, sizeof *source);
    readable = g_source_add_unix_fd(source, weft_client_fd(client), G_IO_IN);
    g_source_attach(source, NULL);
    g_timeout_add(50, on_tick, NULL);
    g_main_loop_run(loop);
    g_source_destroy(source);
    g_source_unref(source);
    g_main_loop_unref(loop);
    weft_client_free(client);
    return 0;
}
