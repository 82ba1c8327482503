/*
 * Many members of a room in one process, as lean as can be: a descriptor and a byte for each. bench/million
 * starts some fifty of these and tells them what to do, a line of stdin each:
 *
 *      (at first)     opens all connections, then prints "open N"
 *      pings          counts anew which connections have been pinged
 *      expect TEXT    prints "ready"; from now on TEXT must come, once to each connection
 *      report         prints what there is to say: see report()
 *      end            prints "ready"; from now on the server may close, with 1001
 *
 * When the last connection has ended it prints "closed N", those where both close frames went through and the
 * server ended the connection first (RFC 6455 7.1.1), and exits. Anything else that comes, a message that
 * was not expected or comes twice, a close too early, or the end of stdin, ends it with an error: who counts
 * a million must not shrug at one.
 *
 * Connections are opened one after the other, from two addresses in turn: with more than half of an address'
 * ports taken connect() searches long. Pings are answered meanwhile.
 */
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX  256
#define INPUT_MAX   4096
#define CONTROL_MAX 125
#define COMMAND_MAX 256
#define GOING_AWAY  1001

enum { PINGED = 1, TOLD = 2, ANSWERED = 4 }; /* what a connection has seen; ANSWERED: a close frame */

static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};

struct members {
    const struct wire_options *options;
    int *fds;
    unsigned char *seen;
    int epoll;
    bool ending;
    char line[COMMAND_MAX], text[COMMAND_MAX];
    size_t line_bytes, text_bytes;
    size_t open, pinged, told, clean;
    uint64_t pings, first_ns, last_ns; /* first_ns, last_ns: when TEXT came */
};

static void watch(const struct members *m, int fd, uint64_t index) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = index};
    if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
}

static void answer(const struct members *m, size_t index, unsigned char first, const unsigned char *frame) {
    unsigned char out[WIRE_HEADER_MAX + CONTROL_MAX];
    size_t bytes = wire_frame(out, key, frame + 2, frame[1]);
    out[0] = first;
    if (send(m->fds[index], out, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        wire_fail("connection %zu: frame 0x%02x cannot be sent: %s", index, first, strerror(errno));
}

static void on_ping(struct members *m, size_t index, const unsigned char *frame) {
    answer(m, index, 0x8a, frame);
    m->pings++;
    m->pinged += !(m->seen[index] & PINGED);
    m->seen[index] |= PINGED;
}

static void on_text(struct members *m, size_t index, const unsigned char *frame) {
    if (frame[1] != m->text_bytes || memcmp(frame + 2, m->text, m->text_bytes) != 0)
        wire_fail("connection %zu: a message came that was not expected", index);
    if (m->seen[index] & TOLD)
        wire_fail("connection %zu: the message came twice", index);
    m->seen[index] |= TOLD;
    m->last_ns = wire_now_ns();
    if (m->told++ == 0)
        m->first_ns = m->last_ns;
}

static void on_close(struct members *m, size_t index, const unsigned char *frame) {
    int code = frame[1] >= 2 ? frame[2] << 8 | frame[3] : 1005;
    if (!m->ending || code != GOING_AWAY)
        wire_fail("connection %zu: the server sent Close %d %.*s", index, code, code == 1005 ? 0 : frame[1] - 2,
                  (const char *)frame + 4);
    answer(m, index, 0x88, frame);
    m->seen[index] |= ANSWERED;
}

static void on_frame(struct members *m, size_t index, const unsigned char *frame) {
    if (m->seen[index] & ANSWERED)
        wire_fail("connection %zu: a frame came after the Close", index);
    if (frame[0] == 0x89)
        on_ping(m, index, frame);
    else if (frame[0] == 0x81)
        on_text(m, index, frame);
    else if (frame[0] == 0x88)
        on_close(m, index, frame);
    else
        wire_fail("connection %zu: a frame begins with 0x%02x", index, frame[0]);
}

/* Frames are short and sent whole: one that comes in pieces is not worth a buffer for each connection. */
static void on_readable(struct members *m, size_t index) {
    unsigned char input[INPUT_MAX];
    ssize_t n = recv(m->fds[index], input, sizeof input, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 && !(m->seen[index] & ANSWERED))
        wire_fail("connection %zu: ended with no Close: %s", index, n == 0 ? "end of file" : strerror(errno));
    if (n <= 0) {
        m->clean += n == 0;
        m->open--;
        close(m->fds[index]);
        m->fds[index] = -1;
        return;
    }
    for (ssize_t at = 0; at < n; at += 2 + input[at + 1]) {
        if (n - at < 2 || input[at + 1] > CONTROL_MAX || n - at < 2 + input[at + 1])
            wire_fail("connection %zu: a frame is too long or in pieces", index);
        on_frame(m, index, input + at);
    }
}

/* pinged, told: connections since "pings" and "expect"; pings: of all; then when TEXT came first and last. */
static void report(const struct members *m) {
    printf("report %zu %zu %zu %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", m->open, m->pinged, m->told, m->pings,
           m->first_ns, m->last_ns);
}

static void begin(struct members *m, unsigned char bit, size_t *count) {
    for (size_t i = 0; i < m->options->connections; i++)
        m->seen[i] &= (unsigned char)~bit;
    *count = 0;
}

static void obey(struct members *m, const char *line) {
    static const char expect[] = "expect ";
    if (strcmp(line, "pings") == 0) {
        begin(m, PINGED, &m->pinged);
    } else if (strcmp(line, "report") == 0) {
        report(m);
    } else if (strncmp(line, expect, sizeof expect - 1) == 0) {
        begin(m, TOLD, &m->told);
        m->text_bytes = strlen(line + sizeof expect - 1);
        memcpy(m->text, line + sizeof expect - 1, m->text_bytes + 1);
        puts("ready");
    } else if (strcmp(line, "end") == 0) {
        m->ending = true;
        puts("ready");
    } else {
        wire_fail("\"%s\" is no command", line);
    }
    fflush(stdout);
}

static void on_stdin(struct members *m) {
    ssize_t n = read(STDIN_FILENO, m->line + m->line_bytes, sizeof m->line - m->line_bytes);
    if (n <= 0)
        wire_fail("stdin ended before the connections");
    m->line_bytes += (size_t)n;
    char *end;
    while ((end = memchr(m->line, '\n', m->line_bytes)) != NULL) {
        *end = '\0';
        obey(m, m->line);
        m->line_bytes -= (size_t)(end + 1 - m->line);
        memmove(m->line, end + 1, m->line_bytes);
    }
    if (m->line_bytes == sizeof m->line)
        wire_fail("a command is too long");
}

static void turn(struct members *m, int wait_ms) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(m->epoll, events, EVENTS_MAX, wait_ms);
    if (count < 0 && errno != EINTR)
        wire_fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == m->options->connections)
            on_stdin(m);
        else
            on_readable(m, events[i].data.u64);
    }
}

static void open_all(struct members *m) {
    const struct wire_options *options = m->options;
    for (size_t i = 0; i < options->connections; i++) {
        m->fds[i] = wire_connect(options->port, (unsigned)options->source + (i & 1), options->timeout_ms);
        wire_upgrade(m->fds[i], options, NULL);
        watch(m, m->fds[i], i);
        m->open++;
        if (i % 16 == 0)
            turn(m, 0);
    }
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_MEMBERS, argc, argv, &options);
    if (options.connections + 8 > wire_descriptors_max())
        wire_fail("%lu connections are over the descriptor limit", options.connections);
    struct members m = {.options = &options, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (m.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    m.fds = wire_zeroed(options.connections, sizeof *m.fds);
    m.seen = wire_zeroed(options.connections, sizeof *m.seen);
    watch(&m, STDIN_FILENO, options.connections);
    open_all(&m);
    printf("open %zu\n", m.open);
    fflush(stdout);
    while (m.open > 0)
        turn(&m, -1);
    printf("closed %zu\n", m.clean);
    free(m.fds);
    free(m.seen);
    return 0;
}
