/*
 * Fan-out: N members and one who publishes. M messages are on their way; one counts as done when all members
 * have it, and then the next is published. Every delivery is checked, every byte of it, as in load.c: each
 * member must get each message once and in order.
 *
 * The publisher gets nothing of its own.
 *
 * In raw mode the publisher sends the frames as a server would send them, so that the members of a raw
 * broadcast get the very same bytes.
 */
#include "latency.h"
#include "ring.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX    256
#define RECEIVE_BYTES (64 * 1024)
#define SETTLE_US     300000 /* a server may add a member after it has answered the handshake */

struct member {
    int fd;
    size_t at;      /* position in the ring of deliveries */
    uint64_t whole; /* messages it has */
};

struct fan {
    const struct wire_options *options;
    struct wire_ring sent, delivered;
    size_t frames;
    struct member *members;
    int publisher, epoll;
    unsigned char *received;
    uint64_t published, done, deliveries;
    size_t *missing;        /* per message on its way, by its number modulo frames: members without it */
    uint64_t *published_ns; /* the same: when it left */
    bool times;
    struct wire_latency latency; /* until the last member has it */
};

static void make_rings(struct fan *fan) {
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t bytes = fan->options->bytes;
    bool raw = fan->options->raw;
    fan->frames = fan->options->inflight < 31 ? 61 : 2 * fan->options->inflight;
    unsigned char *payload = wire_bytes(bytes), *frame = wire_bytes(bytes + WIRE_HEADER_MAX);
    size_t delivered_bytes = wire_frame(frame, NULL, payload, bytes);
    wire_ring_reserve(&fan->delivered, fan->frames, delivered_bytes);
    wire_ring_reserve(&fan->sent, fan->frames, raw ? delivered_bytes : delivered_bytes + sizeof key);
    for (size_t i = 0; i < fan->frames; i++) {
        wire_pattern(payload, bytes, i + 1);
        for (size_t at = 0; at < bytes; at++)
            payload[at] = (unsigned char)(' ' + payload[at] % 95);
        payload[0] = (unsigned char)(' ' + i % 95);
        unsigned char *sent = fan->sent.bytes + i * fan->sent.frame_bytes;
        unsigned char *delivered = fan->delivered.bytes + i * delivered_bytes;
        wire_frame(sent, raw ? NULL : key, payload, bytes);
        wire_frame(delivered, NULL, payload, bytes);
        sent[0] = delivered[0] = 0x81; /* text: what rooms are made for */
    }
    wire_ring_double(&fan->sent);
    wire_ring_double(&fan->delivered);
    free(payload);
    free(frame);
}

static int join(struct fan *fan, const char *path, unsigned source, uint64_t index) {
    struct wire_options options = *fan->options;
    options.path = path;
    int fd = wire_connect(options.port, source, options.timeout_ms);
    if (!options.raw)
        wire_upgrade(fd, &options, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = index};
    if (epoll_ctl(fan->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
    return fd;
}

static void publish(struct fan *fan) {
    const struct wire_options *options = fan->options;
    if (options->burst && fan->published > fan->done)
        return;
    while (fan->published - fan->done < options->inflight) {
        size_t slot = (size_t)(fan->published % fan->frames);
        fan->missing[slot] = options->connections;
        fan->published_ns[slot] = wire_now_ns();
        fan->published++;
        bool more = options->burst && fan->published - fan->done < options->inflight;
        ssize_t n = send(fan->publisher, fan->sent.bytes + slot * fan->sent.frame_bytes, fan->sent.frame_bytes,
                         MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (n != (ssize_t)fan->sent.frame_bytes)
            wire_fail("message %lu cannot be published: %s", (unsigned long)(fan->published - 1),
                      n < 0 && errno != EAGAIN ? strerror(errno) : "the server does not read");
    }
}

static void count_deliveries(struct fan *fan, struct member *member, size_t count) {
    fan->deliveries += count;
    for (uint64_t end = member->whole + count; member->whole < end; member->whole++) {
        size_t slot = (size_t)(member->whole % fan->frames);
        if (--fan->missing[slot] > 0)
            continue;
        fan->done++;
        if (fan->times)
            wire_latency_add(&fan->latency, wire_now_ns() - fan->published_ns[slot]);
    }
}

/* Names a member that has `more` messages than were counted. */
static const char *who(const struct fan *fan, const struct member *member, size_t more) {
    static char text[80];
    snprintf(text, sizeof text, "member %zu, after %lu messages", (size_t)(member - fan->members),
             (unsigned long)(member->whole + more));
    return text;
}

static void on_member(struct fan *fan, struct member *member) {
    size_t most = RECEIVE_BYTES < fan->delivered.wrap ? RECEIVE_BYTES : fan->delivered.wrap;
    ssize_t n = recv(member->fd, fan->received, most, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        wire_fail("%s: closed by the server: %s", who(fan, member, 0), n == 0 ? "end of stream" : strerror(errno));

    size_t frame_bytes = fan->delivered.frame_bytes, count = (size_t)n, begun = member->at % frame_bytes;
    size_t due = (size_t)(fan->published - member->whole) * frame_bytes - begun;
    size_t looked_at = count < due ? count : due;
    size_t same = wire_same_bytes(fan->received, fan->delivered.bytes + member->at, looked_at);
    if (same < looked_at)
        wire_fail_byte(who(fan, member, (begun + same) / frame_bytes), (begun + same) % frame_bytes,
                       fan->delivered.bytes[member->at + same], fan->received + same, looked_at - same);
    if (count > due)
        wire_fail("%s: %zu bytes came that nobody published", who(fan, member, 0), count - due);
    member->at = (member->at + count) % fan->delivered.wrap;
    count_deliveries(fan, member, (begun + count) / frame_bytes);
}

static void on_publisher(struct fan *fan) {
    ssize_t n = recv(fan->publisher, fan->received, RECEIVE_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        wire_fail("the publisher's connection was closed by the server");
    wire_fail("%zd bytes came to the publisher, who should get nothing", n);
}

static void fail_lost(const struct fan *fan) {
    const struct member *member = fan->members;
    size_t waiting = 0;
    for (size_t i = fan->options->connections; i > 0; i--) {
        if (fan->members[i - 1].whole == fan->published)
            continue;
        waiting++;
        member = &fan->members[i - 1];
    }
    wire_fail("member %zu: message %lu did not come within %lu ms (%zu members wait)", (size_t)(member - fan->members),
              (unsigned long)member->whole, fan->options->timeout_ms, waiting);
}

static void run(struct fan *fan, struct wire_window *window) {
    const struct wire_options *options = fan->options;
    wire_window_open(window, options);
    for (;;) {
        enum wire_phase phase = wire_window_phase(window, fan->deliveries);
        fan->times = phase == WIRE_MEASURE;
        if (phase < WIRE_DRAIN)
            publish(fan);
        else if (fan->done == fan->published)
            return;
        if (phase == WIRE_OVERDUE)
            fail_lost(fan);
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(fan->epoll, events, EVENTS_MAX, wire_window_wait_ms(window));
        if (count < 0 && errno != EINTR)
            wire_fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == options->connections)
                on_publisher(fan);
            else
                on_member(fan, &fan->members[events[i].data.u64]);
        }
    }
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_FAN, argc, argv, &options);
    if (options.connections + 8 > wire_descriptors_max())
        wire_fail("%lu connections are over the descriptor limit", options.connections);
    struct fan fan = {.options = &options, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (fan.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    make_rings(&fan);
    fan.received = wire_bytes(RECEIVE_BYTES);
    fan.missing = wire_zeroed(fan.frames, sizeof *fan.missing);
    fan.published_ns = wire_zeroed(fan.frames, sizeof *fan.published_ns);
    fan.members = wire_zeroed(options.connections, sizeof *fan.members);
    for (size_t i = 0; i < options.connections; i++)
        fan.members[i].fd = join(&fan, options.path, 1 + (unsigned)(i % WIRE_SOURCES), i);
    fan.publisher = join(&fan, options.path, 0, options.connections);
    usleep(SETTLE_US);

    struct wire_window window;
    run(&fan, &window);
    wire_window_print(&window, "deliveries");
    wire_latency_print(&fan.latency, "");
    putchar('\n');
    free(fan.received);
    free(fan.missing);
    free(fan.published_ns);
    free(fan.members);
    free(fan.sent.bytes);
    free(fan.delivered.bytes);
    return 0;
}
