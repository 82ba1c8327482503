/*
 * talker - our client, for servers nobody here wrote: sends messages of many sizes, checks that they come back,
 * closes, and tells in lines what happened.
 *
 *     [CACERT=FILE] [HTTP2=yes] talker URL [off | no-takeover | shared | dedicated [SUBPROTOCOL...]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static const size_t sizes[] = {0, 1, 125, 126, 1000, 65535, 65536, 200000};
enum { SIZES = sizeof sizes / sizeof sizes[0], ROUNDS = 3, MESSAGES = SIZES * ROUNDS };

static size_t answered;
static bool quiet_server;

static size_t fill(char *data, size_t index) {
    size_t len = sizes[index % SIZES];
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(' ' + (i * i + index + i / 90) % 90);
    return len;
}

static void say_next(weft_conn *conn) {
    static char data[1 << 20];
    size_t len = fill(data, answered);
    int got = weft_conn_send(conn, answered % 2 ? WEFT_BINARY : WEFT_TEXT, data, len);
    if (got != WEFT_OK)
        printf("send: %s\n", weft_status_text(got));
}

static void on_open(weft_conn *conn, const weft_response *response, void *user) {
    weft_text protocol = weft_response_header(response, "Sec-WebSocket-Protocol");
    (void)user;
    printf("open %s %.*s\n", weft_conn_deflates(conn) ? "deflate" : "plain", (int)protocol.len, protocol.data);
    weft_conn_ping(conn);
}

static void on_pong(weft_conn *conn, uint64_t rtt_ns, void *user) {
    (void)user;
    printf("pong %s\n", rtt_ns > 0 ? "measured" : "unmeasured");
    if (!quiet_server)
        say_next(conn);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    static char expected[1 << 20];
    (void)user;
    size_t len = fill(expected, answered);
    if (message.len != len || (len > 0 && memcmp(message.data, expected, len) != 0) ||
        message.kind != (answered % 2 ? WEFT_BINARY : WEFT_TEXT)) {
        printf("message %zu came back wrong\n", answered);
        weft_conn_abort(conn);
    } else if (++answered < MESSAGES) {
        say_next(conn);
    } else {
        printf("all came back\n");
        weft_conn_close(conn, 4321, "thank you");
    }
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn, (void)user;
    printf("closed %d '%s'%s%s %s\n", info->code, info->reason, info->clean ? " clean" : "",
           info->by_peer ? " by peer" : "", info->rule ? info->rule : "");
}

static void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    const char *behind = strstr(failure->text, " answered"); /* the port differs each time */
    printf("failed%s%s\n", behind ? "" : " ", behind ? behind : failure->text);
}

static weft_deflate_mode mode_of(const char *name) {
    static const char *const names[] = {"off", "no-takeover", "shared", "dedicated"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return (weft_deflate_mode)(WEFT_DEFLATE_OFF + i);
    return WEFT_DEFLATE_DEFAULT;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    quiet_server = strstr(argv[1], "/quiet") != NULL;
    weft_client *client =
        weft_client_new(&(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .tls = {.ca_file = getenv("CACERT")},
                                               .http2 = getenv("HTTP2") ? WEFT_HTTP2_CLEAR : WEFT_HTTP2_OFF});
    weft_dial dial = {WEFT_DIAL_INIT,
                      .url = argv[1],
                      .subprotocols = argc > 3 ? (const char *const *)argv + 3 : NULL,
                      .user_password = getenv("USER_PASSWORD"),
                      .bearer_token = getenv("BEARER_TOKEN"),
                      .redirects_max = getenv("REDIRECTS") ? (uint32_t)atoi(getenv("REDIRECTS")) : 0,
                      .deflate = {.mode = argc > 2 ? mode_of(argv[2]) : WEFT_DEFLATE_OFF},
                      .open = on_open,
                      .message = on_message,
                      .pong = on_pong,
                      .closed = on_closed,
                      .failed = on_failed};
    if (weft_client_dial(client, &dial, NULL) != WEFT_OK) {
        printf("%s\n", weft_client_error(client));
        return 2;
    }
    int status = weft_client_run(client);
    weft_client_free(client);
    return status;
}
