/*
 * Holds N idle WebSocket connections, so that somebody else can look at what the server needs for them.
 *
 * The connections are opened one after the other, in turn from 49 loopback addresses, as one address alone
 * has too few ports for many. Each one completes its opening handshake and has one message echoed: a
 * connection that never spoke would hide the buffers a server keeps once it did. Then "held N" is printed,
 * and until a line or the end of stdin comes, nothing is sent but the Pongs that Pings ask for
 * (RFC 6455 5.5.2). A connection that is closed meanwhile, or brings anything else, is an error: the number
 * would be of fewer than N.
 */
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX  256
#define BYTES_MAX   1024
#define CONTROL_MAX 125

static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};

struct hold {
    const struct wire_options *options;
    int *fds;
    int epoll;
    unsigned char sent[BYTES_MAX + WIRE_HEADER_MAX], answer[BYTES_MAX + WIRE_HEADER_MAX];
    size_t sent_bytes, answer_bytes;
};

static void echo_once(const struct hold *hold, size_t index) {
    int fd = hold->fds[index];
    if (send(fd, hold->sent, hold->sent_bytes, MSG_NOSIGNAL) != (ssize_t)hold->sent_bytes)
        wire_fail("connection %zu: nothing can be sent: %s", index, strerror(errno));
    unsigned char got[BYTES_MAX + WIRE_HEADER_MAX];
    ssize_t n = recv(fd, got, hold->answer_bytes, MSG_WAITALL);
    if (n < 0)
        wire_fail("connection %zu: no answer: %s", index, errno == EAGAIN ? "timed out" : strerror(errno));
    size_t same = wire_same_bytes(got, hold->answer, (size_t)n);
    char where[40];
    snprintf(where, sizeof where, "connection %zu", index);
    if (same < (size_t)n)
        wire_fail_byte(where, same, hold->answer[same], got + same, (size_t)n - same);
    if (same < hold->answer_bytes)
        wire_fail("%s: %zu of %zu bytes of the answer came", where, same, hold->answer_bytes);
}

static void watch(const struct hold *hold, int fd, uint64_t index) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = index};
    if (epoll_ctl(hold->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
}

static void open_all(struct hold *hold) {
    const struct wire_options *options = hold->options;
    for (size_t i = 0; i < options->connections; i++) {
        unsigned source = 1 + (unsigned)(i % WIRE_SOURCES);
        hold->fds[i] = wire_connect(options->port, source, options->timeout_ms);
        wire_upgrade(hold->fds[i], options, NULL);
        echo_once(hold, i);
        watch(hold, hold->fds[i], i);
    }
}

/* Answers the Ping that made the connection readable. */
static void on_readable(const struct hold *hold, size_t index) {
    unsigned char ping[2 + CONTROL_MAX], pong[WIRE_HEADER_MAX + CONTROL_MAX];
    ssize_t n = recv(hold->fds[index], ping, sizeof ping, MSG_DONTWAIT);
    if (n <= 0)
        wire_fail("connection %zu: closed by the server while held", index);
    if (n >= 4 && ping[0] == 0x88 && ping[1] >= 2)
        wire_fail("connection %zu: the server sent Close %d while held", index, ping[2] << 8 | ping[3]);
    if (n < 2 || ping[0] != 0x89 || n != 2 + ping[1])
        wire_fail("connection %zu: %zd bytes came while held that are no Ping", index, n);
    size_t bytes = wire_frame(pong, key, ping + 2, ping[1]);
    pong[0] = 0x8a;
    if (send(hold->fds[index], pong, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        wire_fail("connection %zu: a Pong cannot be sent: %s", index, strerror(errno));
}

/* Returns when a line or the end comes from stdin. */
static void hold_on(const struct hold *hold) {
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(hold->epoll, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            wire_fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == hold->options->connections)
                return;
            on_readable(hold, events[i].data.u64);
        }
    }
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_HOLD, argc, argv, &options);
    if (options.bytes > BYTES_MAX)
        wire_fail("a message here has at most %d bytes", BYTES_MAX);
    if (options.connections + 8 > wire_descriptors_max())
        wire_fail("%lu connections are over the descriptor limit", options.connections);

    struct hold hold = {.options = &options};
    unsigned char payload[BYTES_MAX];
    wire_pattern(payload, options.bytes, 1);
    hold.sent_bytes = wire_frame(hold.sent, key, payload, options.bytes);
    hold.answer_bytes = wire_frame(hold.answer, NULL, payload, options.bytes);
    hold.fds = wire_zeroed(options.connections, sizeof *hold.fds);
    hold.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (hold.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    open_all(&hold);
    watch(&hold, STDIN_FILENO, options.connections);
    printf("held %lu\n", options.connections);
    fflush(stdout);
    hold_on(&hold);
    for (size_t i = 0; i < options.connections; i++)
        close(hold.fds[i]);
    free(hold.fds);
    return 0;
}
