/*
 * weft connect: a loop over stdin and one connection.
 */
#include "cli/commands.h"
#include "cli/shared.h"

#include "cli/connect/connect.h"
#include "cli/connect/line.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

enum { MS = 1000000, SILENCE_MS = 500, ANSWER_MS = 3000, EXPECTED_MS = 10000, FAREWELL_MS = 1000 };
enum { REDIRECTS_MAX = 10 };

volatile sig_atomic_t connect_signal;

uint64_t connect_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static volatile sig_atomic_t suspended, resized;

static void on_signal(int number) {
    if (connect_signal != 0) {
        line_restore_terminal();
        _exit(CLI_EXIT_SIGNAL + number);
    }
    connect_signal = number;
}

static void on_terminal_signal(int number) {
    *(number == SIGTSTP ? &suspended : &resized) = 1;
}

void connect_fail(connect_session *s, int exit_code) {
    if (s->exit_code == 0)
        s->exit_code = exit_code;
}

void connect_leave(connect_session *s) {
    s->is_leaving = true;
    if (!s->is_open)
        s->is_over = true;
    else
        connect_close(s, (int)s->options->close_code, s->options->close_reason);
}

/* ---- what the client says ---- */

static void on_open(weft_conn *conn, const weft_response *response, void *user) {
    connect_session *s = user;
    s->is_open = true;
    s->is_blocked = false;
    s->texts_sent = 0;
    s->attempts = 0;
    s->heard_ns = 0;
    s->dialled++;
    s->fragmenting = 0;
    s->ping_ns = 0;
    weft_text chosen = weft_response_header(response, "Sec-WebSocket-Protocol");
    int len = (int)(chosen.len < 200 ? chosen.len : 200);
    bool deflates = weft_conn_deflates(conn);
    if (s->options->verbose || s->is_edited)
        connect_note(s, "open%s%s%.*s%s", deflates ? ", compressed" : "", len ? ", subprotocol " : "", len, chosen.data,
                     s->is_edited && !s->options->verbose ? "; Ctrl-D ends, /help" : "");
    char more[300]; /* a subprotocol is a token: nothing in it needs escaping */
    snprintf(more, sizeof more, "\"compressed\":%s,\"subprotocol\":%s%.*s%s", deflates ? "true" : "false",
             len ? "\"" : "null", len, chosen.data, len ? "\"" : "");
    connect_event e = {.op = "open",
                       .fin = EVENT_UNKNOWN,
                       .rsv = EVENT_UNKNOWN,
                       .wire_len = EVENT_UNKNOWN,
                       .len = EVENT_UNKNOWN,
                       .more = more};
    connect_print_event(s, &e);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    connect_session *s = user;
    (void)conn;
    if (s->is_over || s->options->only_send || (s->options->one && s->received > 0))
        return;
    s->received++;
    connect_print_message(s, message);
    s->heard_ns = connect_now_ns();
    if (s->options->one)
        connect_leave(s);
}

static void on_drained(weft_conn *conn, void *user) {
    (void)conn;
    ((connect_session *)user)->is_blocked = false;
}

/* The peer's close frame, or that there was none. */
static void print_close(connect_session *s, const weft_close_info *info) {
    char more[80];
    size_t len = strlen(info->reason);
    bool came = info->by_peer || info->clean;
    snprintf(more, sizeof more, "\"code\":%d,\"clean\":%s,\"by_peer\":%s", info->code, info->clean ? "true" : "false",
             info->by_peer ? "true" : "false");
    connect_event e = connect_event_of("close", info->reason, len);
    e.more = more;
    e.fin = came ? true : EVENT_UNKNOWN;
    e.rsv = came ? 0 : EVENT_UNKNOWN;
    e.wire_len = !came ? EVENT_UNKNOWN : info->code == WEFT_CLOSE_NO_STATUS ? 2 : (int64_t)(4 + len);
    connect_print_event(s, &e);
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    connect_session *s = user;
    (void)conn;
    int code = cli_exit_of_close(info);
    if (code != 0 || s->options->verbose || s->is_edited)
        (code != 0 ? connect_complain : connect_note)(s, "closed with %d%s%s%s%s%s%s", info->code,
                                                      info->reason[0] ? ": " : "", info->reason, info->rule ? ", " : "",
                                                      info->rule ? info->rule : "", info->sys_errno ? ", " : "",
                                                      info->sys_errno ? strerror(info->sys_errno) : "");
    print_close(s, info);
    s->is_open = false;
    weft_retry_end end = weft_retry_of_close(info);
    if (connect_retry(s, &end))
        return;
    if (s->input.len > 0 && info->by_peer)
        connect_complain(s, "the peer closed before all of the input was sent");
    connect_fail(s, code);
    s->is_over = true;
}

static void tell_refusal(const connect_session *s, const weft_response *response) {
    weft_text name, value, body = weft_response_body(response);
    connect_complain(s, "HTTP %d", weft_response_status(response));
    for (size_t i = 0; weft_response_header_at(response, i, &name, &value); i++)
        connect_complain(s, "  %.*s: %.*s", (int)name.len, name.data, (int)value.len, value.data);
    if (body.len > 0)
        connect_complain(s, "%.*s", (int)body.len, body.data);
}

/* What helps most often; NULL: nothing comes to mind. Errors 18 to 21 of X509_verify_cert_error_string(3) are about who
 * vouches for the certificate. */
static const char *advice(const connect_session *s, const weft_dial_failure *failure, int code) {
    bool secure = strncasecmp(s->options->urls.items[0], "wss:", 4) == 0;
    if (failure->verify_error >= 18 && failure->verify_error <= 21)
        return "-k takes any certificate, --cacert FILE one of an authority of your own";
    if (code == CLI_EXIT_TLS && secure && failure->phase == WEFT_DIAL_TLS)
        return "is there TLS? if not: ws://";
    if (code == CLI_EXIT_ABNORMAL && !secure && !failure->response)
        return "is there TLS? then: wss://";
    return NULL;
}

static void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    connect_session *s = user;
    (void)conn;
    int code = cli_exit_of_dial(failure);
    const char *help = advice(s, failure, code);
    connect_complain(s, "%s%s%s%s", failure->text, help ? " (" : "", help ? help : "", help ? ")" : "");
    if (code == CLI_EXIT_HTTP)
        tell_refusal(s, failure->response);
    char more[32];
    connect_event e = connect_event_of("failed", failure->text, strlen(failure->text));
    snprintf(more, sizeof more, "\"exit\":%d", code);
    e.more = more;
    e.fin = EVENT_UNKNOWN;
    connect_print_event(s, &e);
    weft_retry_end end = weft_retry_of_failure(failure);
    if (connect_retry(s, &end))
        return;
    connect_fail(s, code);
    s->is_over = true;
}

int connect_dial(connect_session *s) {
    const connect_options *o = s->options;
    weft_dial dial = {WEFT_DIAL_INIT,
                      .url = o->urls.items[0],
                      .proxy = o->proxy ? o->proxy : connect_proxy_of_environment(o->urls.items[0]),
                      .user = s,
                      .origin = o->origin,
                      .subprotocols = o->subprotocols.items,
                      .headers = o->headers.items,
                      .user_password = o->auth,
                      .redirects_max = o->follow ? REDIRECTS_MAX : 0,
                      .deflate = {.mode = o->no_compress ? WEFT_DEFLATE_OFF : WEFT_DEFLATE_DEDICATED},
                      .open = on_open,
                      .message = on_message,
                      .drained = on_drained,
                      .pong = connect_on_pong,
                      .control = connect_on_control,
                      .closed = on_closed,
                      .failed = on_failed};
    int got = weft_client_dial(s->client, &dial, &s->conn);
    if (got == WEFT_OK)
        return 0;
    bool has_scheme = strstr(o->urls.items[0], "://") || strncmp(o->urls.items[0], "ws", 2) == 0;
    if (got == WEFT_EINVAL && !has_scheme)
        return cli_usage(&cli_connect, "%.200s is no URL; did you mean ws://%.200s?", o->urls.items[0],
                         o->urls.items[0]);
    return cli_usage(&cli_connect, "%.200s: %s", o->urls.items[0],
                     got == WEFT_EINVAL ? weft_client_error(s->client) : weft_status_text(got));
}

/* ---- the loop ---- */

/* When the end of the input is the end of the conversation: on the monotonic clock, UINT64_MAX never. */
static uint64_t leave_at(connect_session *s, uint64_t now) {
    const connect_options *o = s->options;
    if (!s->is_open || !s->input.ended || s->input.len > 0 || s->texts_sent < o->texts.count || o->no_close ||
        o->only_receive || weft_conn_buffered(s->conn) > 0) {
        s->settled_ns = 0;
        return UINT64_MAX;
    }
    if (s->settled_ns == 0)
        s->settled_ns = now;
    if (o->exit_on_eof || o->only_send)
        return now;
    if (o->wait_ms > 0)
        return o->wait_ms == UINT32_MAX ? UINT64_MAX : s->settled_ns + (uint64_t)o->wait_ms * MS;
    if (o->expects && s->received < o->expect)
        return s->settled_ns + (uint64_t)EXPECTED_MS * MS;
    if (s->heard_ns == 0)
        return s->settled_ns + (uint64_t)(o->expects ? SILENCE_MS : ANSWER_MS) * MS;
    return (s->heard_ns > s->settled_ns ? s->heard_ns : s->settled_ns) + (uint64_t)SILENCE_MS * MS;
}

static int sooner(int a, uint64_t at, uint64_t now) {
    if (at == UINT64_MAX)
        return a;
    uint64_t left = at > now ? (at - now) / MS + 1 : 0;
    return a < 0 || left < (uint64_t)a ? (int)(left > 60000 ? 60000 : left) : a;
}

static void wait_for_something(connect_session *s, uint64_t deadline, const sigset_t *unblocked) {
    bool reads = s->is_open && !s->is_blocked && !s->input.ended && s->texts_sent == s->options->texts.count;
    struct pollfd fds[2] = {{weft_client_fd(s->client), POLLIN, 0}, {reads ? STDIN_FILENO : -1, POLLIN, 0}};
    int ms = sooner(weft_client_timeout_ms(s->client), deadline, connect_now_ns());
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    int ready = ppoll(fds, 2, ms < 0 ? NULL : &time, unblocked);
    if (ready > 0 && fds[1].revents)
        connect_input_read(s);
}

/* What the terminal asked for while we were at something else. */
static void heed_terminal(void) {
    if (suspended) {
        suspended = 0;
        line_suspend();
    }
    if (resized) {
        resized = 0;
        line_resized();
    }
    line_show();
}

static void run(connect_session *s, const sigset_t *blocked, const sigset_t *unblocked) {
    uint64_t farewell = UINT64_MAX;
    bool left = false;
    while (!s->is_over) {
        /* Signals come in while we wait, and while output waits for its reader. */
        sigprocmask(SIG_SETMASK, unblocked, NULL);
        if (weft_client_turn(s->client, 0) != WEFT_OK) {
            fprintf(stderr, "weft: cannot wait: %s\n", strerror(errno));
            connect_fail(s, CLI_EXIT_ABNORMAL);
            return;
        }
        connect_print_flush(s);
        sigprocmask(SIG_BLOCK, blocked, NULL);
        heed_terminal();
        if (connect_signal != 0 && farewell == UINT64_MAX) {
            farewell = connect_now_ns() + (uint64_t)FAREWELL_MS * MS;
            s->input.ended = left = true;
            s->input.len = 0;
            connect_leave(s);
        }
        if (s->retry_ns > 0 && connect_now_ns() >= s->retry_ns) {
            s->retry_ns = 0;
            int code = connect_dial(s);
            connect_fail(s, code);
            s->is_over = s->is_over || code != 0;
        }
        connect_input_send(s);
        uint64_t now = connect_now_ns(), at = leave_at(s, now);
        if (at <= now && !left) {
            left = true;
            connect_leave(s);
        }
        if (now >= farewell || s->is_over)
            break;
        at = left ? farewell : s->retry_ns > 0 ? s->retry_ns : at;
        wait_for_something(s, at, unblocked);
    }
}

static int finish(const connect_session *s) {
    const connect_options *o = s->options;
    if (connect_signal != 0)
        return CLI_EXIT_SIGNAL + connect_signal;
    if (s->exit_code == 0 && o->expects && s->received != o->expect) {
        connect_complain(s, "%llu messages came, not %u", (unsigned long long)s->received, o->expect);
        return CLI_EXIT_FAILED;
    }
    return s->exit_code;
}

int cli_run_connect(int argc, char **argv) {
    static connect_options o;
    int code = connect_settings_read(argc, argv, &o);
    if (code != 0)
        return code < 0 ? 0 : code;
    static connect_session s;
    s = (connect_session) {.options = &o, .separator = o.nul ? "" : o.separator ? o.separator : "\n"};
    s.separator_len = o.nul ? 1 : strlen(s.separator);
    s.input.ended = o.only_receive;
    s.is_typed = isatty(STDIN_FILENO);
    s.escapes = !o.raw && isatty(STDOUT_FILENO);
    s.colors_out = cli_colors(o.color, STDOUT_FILENO);
    s.colors_err = cli_colors(o.color, STDERR_FILENO);
    weft_client_config config = {WEFT_CLIENT_CONFIG_INIT,
                                 .connect_timeout_ms = o.connect_timeout_ms,
                                 .handshake_timeout_ms = o.connect_timeout_ms,
                                 .tls = o.tls,
                                 .http2 = o.http2 ? WEFT_HTTP2_CLEAR : WEFT_HTTP2_OFF,
                                 .limits = {.message_bytes_max = o.message_max,
                                            .ping_interval_ms = o.ping_interval_ms,
                                            .ping_timeout_ms = o.ping_timeout_ms,
                                            .message_timeout_ms = WEFT_NONE, /* our own reader may be the slow one */
                                            .send_timeout_ms = WEFT_NONE}};
    s.client = weft_client_new(&config);
    if (!s.client) {
        fprintf(stderr, "weft: cannot make a client: %s\n", strerror(errno));
        return CLI_EXIT_CONNECT;
    }
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a write that waits is cut */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    s.is_edited = s.is_typed && !o.nul && !o.separator && line_begin(connect_input_line, &s);
    if (s.is_edited) {
        sigaction(SIGTSTP, &(struct sigaction) {.sa_handler = on_terminal_signal}, NULL);
        sigaction(SIGWINCH, &(struct sigaction) {.sa_handler = on_terminal_signal}, NULL);
    }
    sigset_t blocked, unblocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGTSTP);
    sigaddset(&blocked, SIGWINCH);
    sigprocmask(SIG_BLOCK, &blocked, &unblocked);
    sigdelset(&unblocked, SIGINT);
    sigdelset(&unblocked, SIGTERM);
    sigdelset(&unblocked, SIGTSTP);
    sigdelset(&unblocked, SIGWINCH);
    code = connect_dial(&s);
    if (code == 0) {
        run(&s, &blocked, &unblocked);
        code = finish(&s);
    }
    line_end();
    weft_client_free(s.client);
    free(s.input.data);
    return code;
}
