/*
 * One descriptor and one buffer. Everything that came and has not been used lies in [used, len); whoever
 * wants more waits with poll, so that nothing here blocks for ever.
 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum came { CAME_BYTES, CAME_EOF, CAME_RESET, CAME_NOTHING };

uint64_t client_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void client_sleep_ms(int ms) {
    nanosleep(&(struct timespec) {ms / 1000, ms % 1000 * 1000000L}, NULL);
}

bool client_connect(client *c, const char *address, int receive_bytes) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    memset(c, 0, sizeof *c);
    if (is_unix) {
        snprintf(un.sun_path, sizeof un.sun_path, "%s", address + 5);
    } else {
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* no other is ever a target */
        in.sin_port = htons((uint16_t)atoi(colon + 1));
    }
    c->fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd >= 0 && receive_bytes > 0)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    const struct sockaddr *to = is_unix ? (struct sockaddr *)&un : (struct sockaddr *)&in;
    if (c->fd >= 0 && connect(c->fd, to, is_unix ? sizeof un : sizeof in) == 0)
        return true;
    client_close(c);
    return false;
}

void client_close(client *c) {
    if (c->fd >= 0)
        close(c->fd);
    free(c->in);
    c->fd = -1;
    c->in = NULL;
    c->used = c->len = c->cap = 0;
}

void client_reset(client *c) {
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger) {.l_onoff = 1}, sizeof(struct linger));
    client_close(c);
}

void client_shutdown(client *c) {
    shutdown(c->fd, SHUT_WR);
}

bool client_send(client *c, const void *bytes, size_t len) {
    const uint8_t *at = bytes;
    uint64_t until = client_now_ms() + CLIENT_PATIENCE_MS;
    while (len > 0) {
        ssize_t sent = send(c->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            len -= (size_t)sent;
        } else if (sent < 0 && errno == EAGAIN && client_now_ms() < until) {
            poll(&(struct pollfd) {c->fd, POLLOUT, 0}, 1, 100);
        } else if (!(sent < 0 && errno == EINTR)) {
            return false;
        }
    }
    return true;
}

bool client_print(client *c, const char *format, ...) {
    char text[CLIENT_HEAD_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return len > 0 && (size_t)len < sizeof text && client_send(c, text, (size_t)len);
}

bool client_ask(client *c, const char *path, const char *headers, bool upgrade) {
    return client_print(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", path,
                        upgrade ? "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                : "",
                        headers ? headers : "");
}

/* ---- receiving ---- */

static enum came more(client *c, int timeout_ms) {
    if (c->used > 0) {
        memmove(c->in, c->in + c->used, c->len - c->used);
        c->len -= c->used;
        c->used = 0;
    }
    if (c->cap - c->len < 65536) {
        c->cap = c->cap * 2 + 65536;
        c->in = realloc(c->in, c->cap);
        if (!c->in)
            abort();
    }
    if (poll(&(struct pollfd) {c->fd, POLLIN, 0}, 1, timeout_ms) <= 0)
        return CAME_NOTHING;
    ssize_t got = recv(c->fd, c->in + c->len, c->cap - c->len, MSG_DONTWAIT);
    if (got == 0)
        return CAME_EOF;
    if (got < 0)
        return errno == ECONNRESET || errno == EPIPE ? CAME_RESET : CAME_NOTHING;
    c->len += (size_t)got;
    return CAME_BYTES;
}

const char *client_header(client *c, const char *name) {
    size_t len = strlen(name);
    for (const char *line = strstr(c->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            size_t value = strcspn(line + len + 2, "\r");
            snprintf(c->words, sizeof c->words, "%.*s", (int)value, line + len + 2);
            return c->words;
        }
    }
    return "";
}

int client_answer(client *c) {
    char *end;
    int status = 0;
    c->head[0] = c->body[0] = '\0';
    while (!(end = c->len > c->used ? memmem(c->in + c->used, c->len - c->used, "\r\n\r\n", 4) : NULL))
        if (more(c, CLIENT_PATIENCE_MS) != CAME_BYTES)
            return 0;
    size_t head = (size_t)((uint8_t *)end - (c->in + c->used)) + 4;
    snprintf(c->head, sizeof c->head, "%.*s", (int)head, (char *)c->in + c->used);
    c->used += head;
    sscanf(c->head, "HTTP/1.1 %d", &status);
    size_t body = (size_t)atoi(client_header(c, "Content-Length"));
    while (c->len - c->used < body)
        if (more(c, CLIENT_PATIENCE_MS) != CAME_BYTES)
            return 0;
    snprintf(c->body, sizeof c->body, "%.*s", (int)body, (char *)c->in + c->used);
    c->used += body;
    return status;
}

int client_open(client *c, const char *address, const char *path, const char *headers) {
    if (!client_connect(c, address, 0) || !client_ask(c, path, headers, true))
        return 0;
    return client_answer(c);
}

static const char *describe(client *c) {
    static const char *const names[16] = {[0] = "continuation", "text", "binary", [8] = "close", "ping", "pong"};
    uint8_t first = c->first;
    const char *name = names[first & 15] ? names[first & 15] : "unknown";
    const uint8_t *text = c->data;
    size_t len = c->data_len;
    int n = snprintf(c->words, sizeof c->words, "%s%s", name, first & 0x80 ? "" : "+");
    if ((first & 15) == 8 && len >= 2) {
        n += snprintf(c->words + n, sizeof c->words - (size_t)n, " %d", text[0] << 8 | text[1]);
        text += 2;
        len -= 2;
    } else if ((first & 15) == 9) {
        len = 0; /* a nonce */
    }
    if (len > CLIENT_WORDS_MAX)
        snprintf(c->words + n, sizeof c->words - (size_t)n, " of %zu bytes", len);
    else if (len > 0)
        snprintf(c->words + n, sizeof c->words - (size_t)n, " %.*s", (int)len, (const char *)text);
    return c->words;
}

/* True when a whole frame lies there; takes it out. */
static bool take_frame(client *c) {
    const uint8_t *at = c->in + c->used;
    size_t have = c->len - c->used, head = 2;
    if (have < 2)
        return false;
    uint64_t len = at[1] & 127;
    size_t extra = len == 127 ? 8 : len == 126 ? 2 : 0;
    if (have < head + extra)
        return false;
    if (extra > 0)
        len = 0;
    for (size_t i = 0; i < extra; i++)
        len = len << 8 | at[2 + i];
    head += extra;
    if (have - head < len)
        return false;
    c->first = at[0];
    c->data = at + head;
    c->data_len = (size_t)len;
    c->used += head + (size_t)len;
    return true;
}

const char *client_next_within(client *c, int timeout_ms) {
    uint64_t until = client_now_ms() + (uint64_t)timeout_ms;
    for (;;) {
        if (c->len > c->used && take_frame(c))
            return describe(c);
        uint64_t now = client_now_ms();
        switch (more(c, now < until ? (int)(until - now) : 0)) {
        case CAME_BYTES:
            break;
        case CAME_EOF:
            return "eof";
        case CAME_RESET:
            return "reset";
        case CAME_NOTHING:
            if (client_now_ms() >= until)
                return "timeout";
            break;
        }
    }
}

const char *client_next(client *c) {
    return client_next_within(c, CLIENT_PATIENCE_MS);
}

bool client_ended(client *c, int timeout_ms) {
    enum came came;
    do {
        c->used = c->len;
        came = more(c, timeout_ms);
    } while (came == CAME_BYTES);
    return came != CAME_NOTHING;
}

/* ---- sending frames ---- */

size_t client_encode(uint8_t *out, uint8_t first, const void *payload, size_t len) {
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    const uint8_t *from = payload;
    size_t extra = len > 65535 ? 8 : len > 125 ? 2 : 0, at = 2 + extra;
    out[0] = first;
    out[1] = (uint8_t)(0x80 | (extra == 8 ? 127 : extra == 2 ? 126 : len));
    for (size_t i = 0; i < extra; i++)
        out[2 + i] = (uint8_t)((uint64_t)len >> 8 * (extra - 1 - i));
    memcpy(out + at, key, 4);
    at += 4;
    for (size_t i = 0; i < len; i++)
        out[at + i] = from[i] ^ key[i & 3];
    return at + len;
}

bool client_frame(client *c, uint8_t first, const void *payload, size_t len) {
    uint8_t *bytes = malloc(len + 14);
    if (!bytes)
        abort();
    bool sent = client_send(c, bytes, client_encode(bytes, first, payload, len));
    free(bytes);
    return sent;
}

bool client_text(client *c, const char *text) {
    return client_frame(c, 0x81, text, strlen(text));
}

bool client_say_close(client *c, int code, const char *reason) {
    char payload[125] = {(char)(code >> 8), (char)code};
    int len = snprintf(payload + 2, sizeof payload - 2, "%s", reason ? reason : "");
    return client_frame(c, 0x88, payload, code ? 2 + (size_t)len : 0);
}
