/*
 * The load: N connections, each with M messages of S bytes on their way, and a new one for every answer.
 *
 * Both modes send the very same bytes: masked client frames, made once before the clock starts. T different
 * frames stand in a ring, and the answers expected for them in a second ring; as all frames have one length,
 * a connection's whole state is two positions (see ring.h).
 *
 * Every byte of every answer is checked, headers too: an answer is one unfragmented frame in the shortest
 * form. Neighbours in the ring differ, and each connection starts at its own place, so an answer that is
 * lost, doubled, out of order or sent to the wrong connection is a wrong byte; one lost at the end is missed
 * in the drain.
 *
 * With --rate the load does not wait for answers: message i leaves at its own time, i / rate after the first,
 * over connection i % N. How long an answer took counts from that time, whenever the message really left: a
 * server that stalls is charged for all that had to wait, not for the one message it stalled on.
 */
#include "latency.h"
#include "ring.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define RECEIVE_BYTES   (256 * 1024)
#define EVENTS_MAX      256
#define RING_BYTES_GOAL (64UL * 1024)

struct conn {
    int fd;
    bool waits_to_send; /* EPOLLOUT is watched */
    size_t send_at;     /* position in the sent ring */
    size_t send_left;   /* bytes due from there */
    size_t answer_at;   /* position in the answer ring */
    size_t answer_left; /* bytes expected from there */
    uint64_t answers;   /* whole ones */
};

struct load {
    const struct wire_options *options;
    struct wire_ring sent, answer;
    struct conn *conns;
    unsigned char *received;
    int epoll;
    bool stopping;
    uint64_t answers; /* whole ones, all connections */
    size_t busy;      /* connections with answers expected */

    /* With --rate only. */
    uint64_t paced;         /* messages whose time has come */
    uint64_t paced_from_ns; /* when the first one left */
    bool times;             /* answers are being timed */
    struct wire_latency latency;
};

static size_t ring_count(const struct wire_options *options) {
    size_t count = RING_BYTES_GOAL / options->bytes;
    if (count > 61)
        count = 61;
    if (count < options->inflight)
        count = options->inflight;
    return count < 2 ? 2 : count;
}

static void make_rings(struct load *load) {
    size_t count = ring_count(load->options), bytes = load->options->bytes;
    unsigned char *payload = wire_zeroed(bytes, 1), *frame = wire_bytes(bytes + WIRE_HEADER_MAX);
    static const unsigned char any_key[4];
    size_t sent_bytes = wire_frame(frame, any_key, payload, bytes);
    wire_ring_reserve(&load->sent, count, sent_bytes);
    wire_ring_reserve(&load->answer, count, load->options->raw ? sent_bytes : sent_bytes - sizeof any_key);

    for (size_t i = 0; i < count; i++) {
        unsigned char key[4];
        wire_pattern(key, sizeof key, i + 1);
        wire_pattern(payload, bytes, i + 1 + count);
        payload[0] = (unsigned char)i; /* neighbours differ even when they are one byte long */
        wire_frame(load->sent.bytes + i * load->sent.frame_bytes, key, payload, bytes);
        wire_frame(load->answer.bytes + i * load->answer.frame_bytes, load->options->raw ? key : NULL, payload, bytes);
    }
    wire_ring_double(&load->sent);
    wire_ring_double(&load->answer);
    free(payload);
    free(frame);
}

static void watch(struct load *load, int operation, struct conn *conn) {
    struct epoll_event event = {.events = EPOLLIN | (conn->waits_to_send ? EPOLLOUT : 0), .data.ptr = conn};
    if (epoll_ctl(load->epoll, operation, conn->fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
}

static void fail_closed(const struct load *load, const struct conn *conn, const char *how) {
    wire_fail("connection %zu: %s after %lu answers, %zu bytes of answers were due", (size_t)(conn - load->conns), how,
              (unsigned long)conn->answers, conn->answer_left);
}

static void send_due(struct load *load, struct conn *conn) {
    size_t due = conn->send_left < load->sent.wrap ? conn->send_left : load->sent.wrap;
    ssize_t n = send(conn->fd, load->sent.bytes + conn->send_at, due, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        fail_closed(load, conn, errno == EPIPE || errno == ECONNRESET ? "closed by the server" : strerror(errno));
    if (n > 0) {
        conn->send_at = (conn->send_at + (size_t)n) % load->sent.wrap;
        conn->send_left -= (size_t)n;
    }
    if (conn->waits_to_send != (conn->send_left > 0)) {
        conn->waits_to_send = !conn->waits_to_send;
        watch(load, EPOLL_CTL_MOD, conn);
    }
}

static void ask(struct load *load, struct conn *conn, size_t messages) {
    if (conn->answer_left == 0)
        load->busy++;
    conn->send_left += messages * load->sent.frame_bytes;
    conn->answer_left += messages * load->answer.frame_bytes;
    send_due(load, conn);
}

static uint64_t paced_at_ns(const struct load *load, uint64_t message) {
    return load->paced_from_ns + (uint64_t)((double)message * 1e9 / (double)load->options->rate);
}

static void ask_on_time(struct load *load) {
    uint64_t now_ns = wire_now_ns();
    for (; paced_at_ns(load, load->paced) <= now_ns; load->paced++)
        ask(load, &load->conns[load->paced % load->options->connections], 1);
}

/* Answers `first` and following of a connection, `count` of them. */
static void time_answers(struct load *load, const struct conn *conn, uint64_t first, size_t count) {
    uint64_t now_ns = wire_now_ns(), index = (uint64_t)(conn - load->conns);
    for (uint64_t i = first; i < first + count; i++)
        wire_latency_add(&load->latency, now_ns - paced_at_ns(load, i * load->options->connections + index));
}

static void fail_different(const struct load *load, const struct conn *conn, const unsigned char *expected,
                           size_t bytes) {
    size_t same = wire_same_bytes(load->received, expected, bytes), frame_bytes = load->answer.frame_bytes;
    size_t at = conn->answer_at % frame_bytes + same;
    char where[80];
    snprintf(where, sizeof where, "connection %zu, after %lu answers", (size_t)(conn - load->conns),
             (unsigned long)(conn->answers + at / frame_bytes));
    wire_fail_byte(where, at % frame_bytes, expected[same], load->received + same, bytes - same);
}

static void on_readable(struct load *load, struct conn *conn) {
    size_t most = RECEIVE_BYTES < load->answer.wrap ? RECEIVE_BYTES : load->answer.wrap;
    ssize_t n = recv(conn->fd, load->received, most, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        fail_closed(load, conn, errno == ECONNRESET ? "reset by the server" : strerror(errno));
    if (n == 0)
        fail_closed(load, conn, "closed by the server");

    size_t count = (size_t)n, due = count < conn->answer_left ? count : conn->answer_left;
    size_t frame_done = conn->answer_at % load->answer.frame_bytes;
    const unsigned char *expected = load->answer.bytes + conn->answer_at;
    if (memcmp(load->received, expected, due) != 0)
        fail_different(load, conn, expected, due);
    if (count > due)
        fail_closed(load, conn, "bytes came that nobody asked for");

    size_t finished = (frame_done + count) / load->answer.frame_bytes;
    conn->answer_at = (conn->answer_at + count) % load->answer.wrap;
    conn->answer_left -= count;
    if (load->times)
        time_answers(load, conn, conn->answers, finished);
    conn->answers += finished;
    load->answers += finished;
    if (conn->answer_left == 0)
        load->busy--;
    if (finished > 0 && !load->stopping && load->options->rate == 0)
        ask(load, conn, finished);
}

static void open_conns(struct load *load) {
    const struct wire_options *options = load->options;
    size_t frames = load->sent.wrap / load->sent.frame_bytes;
    load->conns = wire_zeroed(options->connections, sizeof *load->conns);
    for (size_t i = 0; i < options->connections; i++) {
        struct conn *conn = &load->conns[i];
        conn->fd = wire_connect(options->port, 0, options->timeout_ms);
        if (!options->raw)
            wire_upgrade(conn->fd, options, NULL);
        conn->send_at = i % frames * load->sent.frame_bytes;
        conn->answer_at = i % frames * load->answer.frame_bytes;
        watch(load, EPOLL_CTL_ADD, conn);
    }
}

static void fail_lost(const struct load *load) {
    const struct conn *conn = load->conns;
    while (conn->answer_left == 0)
        conn++;
    wire_fail("connection %zu: no answer within %lu ms: %lu came, %zu bytes are missing (%zu connections wait)",
              (size_t)(conn - load->conns), load->options->timeout_ms, (unsigned long)conn->answers, conn->answer_left,
              load->busy);
}

/* Sleeps until something is readable or writable, the phase ends, or the next message is due. */
static int wait_for_events(const struct load *load, const struct wire_window *window, struct epoll_event *events) {
    uint64_t wait_ns = (uint64_t)wire_window_wait_ms(window) * 1000000;
    if (load->options->rate > 0 && !load->stopping) {
        uint64_t now_ns = wire_now_ns(), due_ns = paced_at_ns(load, load->paced);
        uint64_t due_in_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        wait_ns = due_in_ns < wait_ns ? due_in_ns : wait_ns;
    }
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000), .tv_nsec = (long)(wait_ns % 1000000000)};
    int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &wait, NULL);
    if (count < 0 && errno != EINTR)
        wire_fail("epoll_pwait2: %s", strerror(errno));
    return count;
}

static void start(struct load *load) {
    if (load->options->rate > 0) {
        prctl(PR_SET_TIMERSLACK, 1000); /* ns; messages should leave on time */
        load->paced_from_ns = wire_now_ns();
        return;
    }
    for (size_t i = 0; i < load->options->connections; i++)
        ask(load, &load->conns[i], load->options->inflight);
}

static void run(struct load *load, struct wire_window *window) {
    start(load);
    wire_window_open(window, load->options);
    for (;;) {
        enum wire_phase phase = wire_window_phase(window, load->answers);
        load->stopping = phase >= WIRE_DRAIN;
        if (load->stopping && load->busy == 0)
            return;
        if (phase == WIRE_OVERDUE)
            fail_lost(load);
        load->times = load->options->rate > 0 && phase == WIRE_MEASURE;
        if (load->options->rate > 0 && !load->stopping)
            ask_on_time(load);
        struct epoll_event events[EVENTS_MAX];
        int count = wait_for_events(load, window, events);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_due(load, conn);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(load, conn);
        }
    }
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_LOAD, argc, argv, &options);
    if (options.connections + 8 > wire_descriptors_max())
        wire_fail("%lu connections are over the descriptor limit", options.connections);
    struct load load = {.options = &options};
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    load.received = wire_bytes(RECEIVE_BYTES);
    make_rings(&load);
    open_conns(&load);
    struct wire_window window;
    run(&load, &window);
    wire_window_print(&window, "messages");
    wire_latency_print(&load.latency, "");
    putchar('\n');
    free(load.received);
    free(load.sent.bytes);
    free(load.answer.bytes);
    free(load.conns);
    return 0;
}
