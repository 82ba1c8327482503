/*
 * client_help.h - a client, what its callbacks saw in words, and a raw server that plays a script on a thread of its
 * own.
 */
#ifndef WF_TESTS_CLIENT_HELP_H
#define WF_TESTS_CLIENT_HELP_H

#include "test.h"

#include "base/clock.h"
#include "http/upgrade.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/weft.h>

enum { PATIENCE_MS = 5000, SEEN_BYTES = 4096 };

/* ---- what the callbacks saw ---- */

static char seen[SEEN_BYTES];

__attribute__((format(printf, 1, 2))) static inline void see(const char *format, ...) {
    size_t used = strlen(seen);
    va_list args;
    va_start(args, format);
    vsnprintf(seen + used, sizeof seen - used, format, args);
    va_end(args);
}

static inline void on_open(weft_conn *conn, const weft_response *response, void *user) {
    (void)conn, (void)user;
    see("open %d; ", weft_response_status(response));
}

static inline void on_message(weft_conn *conn, weft_message message, void *user) {
    (void)conn, (void)user;
    if (message.len > 40)
        see("message of %zu; ", message.len);
    else
        see("%s %.*s; ", message.kind == WEFT_TEXT ? "text" : "binary", (int)message.len, (const char *)message.data);
}

static inline void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn, (void)user;
    see("closed %d %s%s%s%s%s", info->code, info->reason, info->clean ? " clean" : "", info->by_peer ? " peer" : "",
        info->rule ? " " : "", info->rule ? info->rule : "");
}

static inline void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    static const char *const came_to[] = {[WEFT_DIAL_RESOLVE] = "find", [WEFT_DIAL_CONNECT] = "connect"};
    see("failed to %s", failure->phase <= WEFT_DIAL_CONNECT ? came_to[failure->phase] : "open");
    if (failure->response) {
        weft_text body = weft_response_body(failure->response);
        see(" %d (%.*s)", weft_response_status(failure->response), (int)body.len, body.data);
    }
    if (failure->sys_errno)
        see(" %s", strerrorname_np(failure->sys_errno));
    if (failure->rule)
        see(" %s", failure->rule);
}

/* A dial that sees everything. */
static inline weft_dial dial_to(const char *url) {
    return (weft_dial) {WEFT_DIAL_INIT,        .url = url,          .open = on_open,
                        .message = on_message, .closed = on_closed, .failed = on_failed};
}

/* Turns until no connection is left. */
static inline void run_out(weft_client *client) {
    uint64_t until_ms = wf_clock_ms() + PATIENCE_MS;
    while (weft_client_connections(client) > 0 && wf_clock_ms() < until_ms)
        CHECK_EQ(weft_client_turn(client, 50), WEFT_OK);
    CHECK_EQ(weft_client_connections(client), 0);
}

/* ---- a server with a script ---- */

/* What is said after the request has come. "{A}" becomes the value of Sec-WebSocket-Accept. */
typedef struct script {
    const char *says;
    size_t len;
    enum { ENDS_WITH_FIN, ENDS_WITH_RESET, ENDS_WITH_CLIENT, ENDS_BEFORE, ENDS_LATE } ends;
    const char *then; /* said after the first frame of the client; NULL: nothing */
    size_t then_len;
} script;

typedef struct raw_server {
    int listen_fd;
    char url[64];
    script script;
    pthread_t thread;
    uint8_t heard[SEEN_BYTES]; /* behind the request */
    size_t heard_len;
    bool heard_fin;
} raw_server;

static inline size_t hear_request(int fd, char *request, size_t cap) {
    size_t len = 0;
    while (len + 1 < cap) {
        ssize_t got = recv(fd, request + len, 1, 0);
        if (got <= 0)
            break;
        len++;
        if (len >= 4 && memcmp(request + len - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    request[len] = '\0';
    return len;
}

static inline void speak(int fd, const char *text, size_t len, const char *request) {
    char accept[WF_UPGRADE_ACCEPT_BYTES + 1] = "?";
    const char *key = strstr(request, "Sec-WebSocket-Key: "), *mark = memmem(text, len, "{A}", 3);
    size_t before = mark ? (size_t)(mark - text) : len;
    if (key)
        wf_upgrade_accept_key(NULL, (wf_str) {key + 19, WF_UPGRADE_KEY_BYTES}, accept);
    send(fd, text, before, MSG_NOSIGNAL);
    if (mark) {
        send(fd, accept, strlen(accept), MSG_NOSIGNAL);
        send(fd, mark + 3, len - before - 3, MSG_NOSIGNAL);
    }
}

static inline void hear(raw_server *s, int fd) {
    ssize_t got = recv(fd, s->heard + s->heard_len, sizeof s->heard - s->heard_len, 0);
    s->heard_fin |= got == 0;
    if (got > 0)
        s->heard_len += (size_t)got;
}

static inline void *raw_server_run(void *arg) {
    raw_server *s = arg;
    char request[2048];
    int fd = accept(s->listen_fd, NULL, NULL);
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (s->script.ends != ENDS_BEFORE) {
        hear_request(fd, request, sizeof request);
        speak(fd, s->script.says, s->script.len, request);
    }
    if (s->script.then) {
        hear(s, fd);
        speak(fd, s->script.then, s->script.then_len, request);
    }
    for (int i = 0; s->script.ends == ENDS_WITH_CLIENT && !s->heard_fin && i < 100; i++)
        hear(s, fd);
    if (s->script.ends == ENDS_LATE) { /* behind the client's close frame, if the client lets it */
        hear(s, fd);
        usleep(50000);
        s->heard_fin |= recv(fd, request, 1, MSG_DONTWAIT) == 0;
    }
    if (s->script.ends == ENDS_WITH_RESET)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger) {.l_onoff = 1}, sizeof(struct linger));
    if (s->script.ends == ENDS_WITH_FIN) {
        shutdown(fd, SHUT_WR);
        while (!s->heard_fin && s->heard_len < sizeof s->heard && recv(fd, request, 1, MSG_PEEK) >= 0)
            hear(s, fd);
    }
    close(fd);
    return NULL;
}

/* On 127.0.0.1, any port. */
static inline void raw_server_listen(raw_server *s) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    *s = (raw_server) {.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK_EQ(bind(s->listen_fd, (struct sockaddr *)&in, len), 0);
    CHECK_EQ(listen(s->listen_fd, 16), 0);
    CHECK_EQ(getsockname(s->listen_fd, (struct sockaddr *)&in, &len), 0);
    snprintf(s->url, sizeof s->url, "ws://127.0.0.1:%d/", ntohs(in.sin_port));
}

static inline void raw_server_start(raw_server *s, script plays) {
    raw_server_listen(s);
    s->script = plays;
    CHECK_EQ(pthread_create(&s->thread, NULL, raw_server_run, s), 0);
}

static inline void raw_server_end(raw_server *s) {
    pthread_join(s->thread, NULL);
    close(s->listen_fd);
}

#endif
