/*
 * Handshakes: N slots, each of which connects, upgrades, sends one message, checks the echo, closes, and
 * begins again. In raw mode there is no upgrade: what remains is what TCP costs. Both modes close the TCP
 * connection right after the echo, without a closing handshake, so that the upgrade is all they differ in.
 *
 * The sessions take their source address from 49 loopback addresses in turn: each address has its own range
 * of ports, and ports that rest in TIME_WAIT are not missed.
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
#define FRAME_BYTES (BYTES_MAX + WIRE_HEADER_MAX)

struct slot {
    int fd; /* -1: at rest */
    bool upgrading;
    size_t received_bytes; /* of the response, or of the answer */
    char received[WIRE_RESPONSE_MAX];
};

struct churn {
    const struct wire_options *options;
    char request[WIRE_REQUEST_MAX];
    unsigned char sent[FRAME_BYTES], answer[FRAME_BYTES];
    size_t request_bytes, sent_bytes, answer_bytes;
    struct slot *slots;
    int epoll;
    uint64_t begun, finished; /* sessions */
};

static void send_all(struct churn *churn, struct slot *slot, const void *bytes, size_t count) {
    ssize_t n = send(slot->fd, bytes, count, MSG_NOSIGNAL);
    if (n != (ssize_t)count)
        wire_fail("slot %zu: nothing can be sent: %s", (size_t)(slot - churn->slots),
                  n < 0 ? strerror(errno) : "the server does not read");
}

static void begin(struct churn *churn, struct slot *slot) {
    const struct wire_options *options = churn->options;
    unsigned source = 1 + (unsigned)(churn->begun % WIRE_SOURCES);
    slot->fd = wire_connect(options->port, source, options->timeout_ms);
    slot->upgrading = !options->raw;
    slot->received_bytes = 0;
    churn->begun++;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};
    if (epoll_ctl(churn->epoll, EPOLL_CTL_ADD, slot->fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
    if (slot->upgrading)
        send_all(churn, slot, churn->request, churn->request_bytes);
    else
        send_all(churn, slot, churn->sent, churn->sent_bytes);
}

static void check_answer(struct churn *churn, const struct slot *slot, size_t before) {
    const unsigned char *got = (const unsigned char *)slot->received;
    size_t bytes = slot->received_bytes < churn->answer_bytes ? slot->received_bytes : churn->answer_bytes;
    size_t same = before + wire_same_bytes(got + before, churn->answer + before, bytes - before);
    char where[80];
    snprintf(where, sizeof where, "slot %zu", (size_t)(slot - churn->slots));
    if (same < bytes)
        wire_fail_byte(where, same, churn->answer[same], got + same, bytes - same);
    if (slot->received_bytes > bytes)
        wire_fail("%s: %zu bytes came that nobody asked for", where, slot->received_bytes - bytes);
}

static void on_readable(struct churn *churn, struct slot *slot, bool stopping) {
    size_t before = slot->received_bytes;
    ssize_t n = recv(slot->fd, slot->received + before, sizeof slot->received - before, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        wire_fail("slot %zu: closed by the server, %s: %s", (size_t)(slot - churn->slots),
                  slot->upgrading ? "the handshake response was due" : "the answer was due",
                  n == 0 ? "end of stream" : strerror(errno));
    slot->received_bytes += (size_t)n;

    if (slot->upgrading) {
        if (!wire_upgraded(slot->received, slot->received_bytes))
            return;
        slot->upgrading = false;
        slot->received_bytes = 0;
        send_all(churn, slot, churn->sent, churn->sent_bytes);
        return;
    }
    check_answer(churn, slot, before);
    if (slot->received_bytes < churn->answer_bytes)
        return;
    close(slot->fd);
    slot->fd = -1;
    churn->finished++;
    if (!stopping)
        begin(churn, slot);
}

static void fail_lost(const struct churn *churn) {
    const struct slot *slot = churn->slots;
    while (slot->fd < 0)
        slot++;
    wire_fail("slot %zu: no %s within %lu ms, %zu bytes of it came (%lu sessions wait)", (size_t)(slot - churn->slots),
              slot->upgrading ? "handshake response" : "answer", churn->options->timeout_ms, slot->received_bytes,
              (unsigned long)(churn->begun - churn->finished));
}

static void run(struct churn *churn, struct wire_window *window) {
    wire_window_open(window, churn->options);
    for (size_t i = 0; i < churn->options->connections; i++)
        begin(churn, &churn->slots[i]);
    for (;;) {
        enum wire_phase phase = wire_window_phase(window, churn->finished);
        if (phase >= WIRE_DRAIN && churn->begun == churn->finished)
            return;
        if (phase == WIRE_OVERDUE)
            fail_lost(churn);
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(churn->epoll, events, EVENTS_MAX, wire_window_wait_ms(window));
        if (count < 0 && errno != EINTR)
            wire_fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++)
            on_readable(churn, events[i].data.ptr, phase >= WIRE_DRAIN);
    }
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_CHURN, argc, argv, &options);
    if (options.bytes > BYTES_MAX)
        wire_fail("a message here has at most %d bytes", BYTES_MAX);
    if (options.connections + 8 > wire_descriptors_max())
        wire_fail("%lu connections are over the descriptor limit", options.connections);

    struct churn churn = {.options = &options};
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char payload[BYTES_MAX];
    wire_pattern(payload, options.bytes, 1);
    churn.request_bytes = wire_request(churn.request, &options);
    churn.sent_bytes = wire_frame(churn.sent, key, payload, options.bytes);
    churn.answer_bytes = wire_frame(churn.answer, options.raw ? key : NULL, payload, options.bytes);
    churn.slots = wire_zeroed(options.connections, sizeof *churn.slots);
    churn.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (churn.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    struct wire_window window;
    run(&churn, &window);
    wire_window_print(&window, "sessions");
    putchar('\n');
    free(churn.slots);
    return 0;
}
