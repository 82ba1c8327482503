/*
 * The load with permessage-deflate (RFC 7692): N connections, M messages of JSON on their way on each, and a
 * new one for every answer.
 *
 * What is sent is compressed before the clock starts, although with context takeover a frame depends on all
 * that went before it. T messages go round; they are longer together than the largest window, so from the
 * second time round on a message finds the same bytes in the window every time, and its frame is always the
 * same. The first time round is different: the window is still filling.
 *
 *     | first time round | second | second again |     a position past the second copy goes back by one round
 *
 * What comes back is inflated, every connection with a context of its own, and compared with the message. It
 * may come in fragments, but it must be compressed, or the figures of two servers would not be of one thing.
 * The bytes of the answers are counted: less work for more bytes is a bargain that the table has to show.
 *
 * In raw mode the same frames come back whole, and are compared as they are.
 */
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <zlib.h>

#define RECEIVE_BYTES (256 * 1024)
#define EVENTS_MAX    256
#define WINDOW_BYTES  32768
#define BYTES_MIN     64
#define BYTES_MAX     65536
#define HEADER_MAX    10

struct terms {
    bool server_takeover, client_takeover;
    int client_window_bits;
};

struct conn {
    int fd;
    bool waits_to_send;
    size_t send_at, send_left; /* in the prepared frames */
    size_t raw_at;             /* raw mode: the answers in the same frames */
    uint64_t asked, answers;
    z_stream inflater;
    unsigned char header[HEADER_MAX];
    size_t header_bytes;
    uint64_t payload_left; /* of the frame that is being read; its header is complete */
    bool in_payload, in_message, final;
    size_t inflated_bytes; /* of the message that is being read */
};

struct load {
    const struct wire_options *options;
    struct terms terms;
    size_t count;         /* of messages in one round */
    unsigned char *texts; /* count * bytes */
    unsigned char *frames;
    size_t *starts; /* 3 * count + 1 positions in frames */
    unsigned char *inflated, *received;
    struct conn *conns;
    int epoll;
    bool stopping;
    uint64_t answers, answer_bytes;
    size_t busy;
};

/* A chat message as JSON of exactly `bytes`; which one depends on `seed` alone. */
static void make_text(unsigned char *out, size_t bytes, uint64_t seed) {
    static const char *const words[] = {
        "the",    "to",     "and",     "you",   "that",   "it",    "of",    "we",       "in",     "for",
        "have",   "on",     "are",     "with",  "this",   "not",   "can",   "be",       "just",   "what",
        "time",   "think",  "server",  "today", "people", "maybe", "thank", "because",  "really", "please",
        "coffee", "answer", "message", "week",  "friday", "build", "break", "question", "review", "tomorrow"};
    unsigned char dice[4096];
    wire_pattern(dice, sizeof dice, seed);
    char head[160];
    int at = snprintf(head, sizeof head,
                      "{\"room\":\"lobby-%u\",\"user\":{\"id\":%u,\"name\":\"user%u\"},\"ts\":17000%u%u,\"text\":\"",
                      dice[0] % 20u, dice[1] * 19u, dice[2] % 200u, 1000u + dice[3] * 7u, 1000u + dice[4] * 29u);
    size_t head_bytes = (size_t)at < bytes - 2 ? (size_t)at : bytes - 2, used = head_bytes;
    memcpy(out, head, head_bytes);
    for (size_t i = 5; used < bytes - 2; i++) {
        /* The smaller of two throws: a few words are said often. */
        unsigned a = dice[2 * i % sizeof dice] % 40u, b = dice[(2 * i + 1) % sizeof dice] % 40u;
        char word[16];
        size_t word_bytes = (size_t)snprintf(word, sizeof word, "%s ", words[a < b ? a : b]);
        if (word_bytes > bytes - 2 - used)
            word_bytes = bytes - 2 - used;
        memcpy(out + used, word, word_bytes);
        used += word_bytes;
    }
    memcpy(out + bytes - 2, "\"}", 2);
}

/* What the response agreed to; the offer leaves the server its choice. */
static struct terms read_terms(const char *response) {
    const char *line = strcasestr(response, "\r\nsec-websocket-extensions:");
    if (line == NULL)
        wire_fail("the server does not take the offer of permessage-deflate");
    char agreed[WIRE_RESPONSE_MAX];
    snprintf(agreed, sizeof agreed, "%.*s", (int)strcspn(line + 2, "\r"), line + 2);
    if (strcasestr(agreed, "permessage-deflate") == NULL)
        wire_fail("the server takes another extension than permessage-deflate");
    struct terms terms = {.client_window_bits = 15,
                          .server_takeover = strcasestr(agreed, "server_no_context_takeover") == NULL,
                          .client_takeover = strcasestr(agreed, "client_no_context_takeover") == NULL};
    const char *bits = strcasestr(agreed, "client_max_window_bits=");
    if (bits != NULL)
        terms.client_window_bits = atoi(bits + strlen("client_max_window_bits=") + (strchr(bits, '"') != NULL));
    if (terms.client_window_bits < 9 || terms.client_window_bits > 15)
        wire_fail("this load has no window of 2^%d bytes", terms.client_window_bits);
    return terms;
}

/* One message as a compressed, masked frame; returns its bytes. */
static size_t make_frame(struct load *load, z_stream *deflater, size_t index, unsigned char *out) {
    size_t bytes = load->options->bytes, room = bytes + 1024;
    unsigned char *packed = wire_bytes(room), key[4];
    deflater->next_in = load->texts + index * bytes;
    deflater->avail_in = (uInt)bytes;
    deflater->next_out = packed;
    deflater->avail_out = (uInt)room;
    if (deflate(deflater, Z_SYNC_FLUSH) != Z_OK || deflater->avail_in > 0 || deflater->avail_out == 0)
        wire_fail("a message cannot be compressed");
    if (!load->terms.client_takeover)
        deflateReset(deflater);
    wire_pattern(key, sizeof key, index + 1);
    size_t frame_bytes = wire_frame(out, key, packed, room - deflater->avail_out - 4); /* RFC 7692 7.2.1 */
    out[0] = 0xc1;
    free(packed);
    return frame_bytes;
}

static void make_frames(struct load *load) {
    size_t bytes = load->options->bytes;
    load->count = 2 * WINDOW_BYTES / bytes + 1;
    if (load->count < load->options->inflight + 1)
        load->count = load->options->inflight + 1;
    load->texts = wire_bytes(load->count * bytes);
    for (size_t i = 0; i < load->count; i++)
        make_text(load->texts + i * bytes, bytes, i + 1);
    z_stream deflater = {0};
    if (deflateInit2(&deflater, 6, Z_DEFLATED, -load->terms.client_window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        wire_fail("no memory for zlib");
    load->frames = wire_bytes(3 * load->count * (bytes + 1024 + WIRE_HEADER_MAX));
    load->starts = wire_zeroed(3 * load->count + 1, sizeof *load->starts);
    for (size_t i = 0; i < 2 * load->count; i++)
        load->starts[i + 1] =
            load->starts[i] + make_frame(load, &deflater, i % load->count, load->frames + load->starts[i]);
    deflateEnd(&deflater);
    size_t second = load->starts[load->count], round_bytes = load->starts[2 * load->count] - second;
    memcpy(load->frames + second + round_bytes, load->frames + second, round_bytes);
    for (size_t i = 0; i < load->count; i++)
        load->starts[2 * load->count + i + 1] = load->starts[load->count + i + 1] + round_bytes;
}

/* Where a position continues: one round back when it is past the second one. */
static size_t position(const struct load *load, size_t at) {
    size_t third = load->starts[2 * load->count];
    return at < third ? at : at - (third - load->starts[load->count]);
}

static void watch(struct load *load, int operation, struct conn *conn) {
    struct epoll_event event = {.events = EPOLLIN | (conn->waits_to_send ? EPOLLOUT : 0), .data.ptr = conn};
    if (epoll_ctl(load->epoll, operation, conn->fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
}

static void fail(const struct load *load, const struct conn *conn, const char *what) {
    wire_fail("connection %zu, after %lu answers: %s", (size_t)(conn - load->conns), (unsigned long)conn->answers,
              what);
}

static void send_due(struct load *load, struct conn *conn) {
    ssize_t n = send(conn->fd, load->frames + conn->send_at, conn->send_left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        fail(load, conn, errno == EPIPE || errno == ECONNRESET ? "closed by the server" : strerror(errno));
    if (n > 0) {
        conn->send_at = position(load, conn->send_at + (size_t)n);
        conn->send_left -= (size_t)n;
    }
    if (conn->waits_to_send != (conn->send_left > 0)) {
        conn->waits_to_send = !conn->waits_to_send;
        watch(load, EPOLL_CTL_MOD, conn);
    }
}

static void ask(struct load *load, struct conn *conn, size_t messages) {
    if (conn->asked == conn->answers)
        load->busy++;
    for (; messages > 0; messages--, conn->asked++) {
        size_t index = (size_t)conn->asked;
        if (index >= load->count)
            index = load->count + index % load->count;
        conn->send_left += load->starts[index + 1] - load->starts[index];
    }
    send_due(load, conn);
}

static void finish_message(struct load *load, struct conn *conn) {
    conn->answers++;
    load->answers++;
    if (conn->answers == conn->asked)
        load->busy--;
    if (!load->stopping)
        ask(load, conn, 1);
}

static void inflate_some(struct load *load, struct conn *conn, unsigned char *bytes, size_t count) {
    const unsigned char *text = load->texts + conn->answers % load->count * load->options->bytes;
    conn->inflater.next_in = bytes;
    conn->inflater.avail_in = (uInt)count;
    do {
        conn->inflater.next_out = load->inflated;
        conn->inflater.avail_out = (uInt)load->options->bytes + 1;
        int result = inflate(&conn->inflater, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR)
            fail(load, conn, "the answer cannot be inflated");
        size_t got = load->options->bytes + 1 - conn->inflater.avail_out;
        if (got > load->options->bytes - conn->inflated_bytes)
            fail(load, conn, "the answer is longer than the message");
        if (memcmp(load->inflated, text + conn->inflated_bytes, got) != 0)
            fail(load, conn, "the answer differs from the message");
        conn->inflated_bytes += got;
    } while (conn->inflater.avail_in > 0);
}

static void finish_frame(struct load *load, struct conn *conn) {
    conn->in_payload = false;
    conn->header_bytes = 0;
    if (!conn->final)
        return;
    unsigned char tail[] = {0x00, 0x00, 0xff, 0xff}; /* RFC 7692 7.2.2 */
    inflate_some(load, conn, tail, sizeof tail);
    if (conn->inflated_bytes != load->options->bytes)
        fail(load, conn, "the answer is shorter than the message");
    conn->in_message = false;
    conn->inflated_bytes = 0;
    if (!load->terms.server_takeover)
        inflateReset(&conn->inflater);
    finish_message(load, conn);
}

/* Takes a byte of a header; true when it is complete. */
static bool header_byte(struct load *load, struct conn *conn, unsigned char byte) {
    const unsigned char *header = conn->header;
    conn->header[conn->header_bytes++] = byte;
    if (conn->header_bytes == 1 && (byte & 0x7f) != (conn->in_message ? 0x00 : 0x41))
        fail(load, conn,
             byte == 0x81 ? "the answer is not compressed" : "a frame came that is no part of a compressed text");
    if (conn->header_bytes < 2)
        return false;
    if (header[1] > 127)
        fail(load, conn, "the answer is masked");
    size_t length_bytes = header[1] < 126 ? 0 : header[1] == 126 ? 2 : 8;
    if (conn->header_bytes < 2 + length_bytes)
        return false;
    conn->payload_left = length_bytes == 0 ? header[1] : 0;
    for (size_t i = 0; i < length_bytes; i++)
        conn->payload_left = conn->payload_left << 8 | header[2 + i];
    conn->final = header[0] & 0x80;
    conn->in_message = conn->in_payload = true;
    return true;
}

static void on_frames(struct load *load, struct conn *conn, unsigned char *bytes, size_t count) {
    while (count > 0) {
        if (conn->answers == conn->asked)
            fail(load, conn, "bytes came that nobody asked for");
        if (!conn->in_payload) {
            bool complete = header_byte(load, conn, *bytes++);
            count--;
            if (!complete)
                continue;
        }
        size_t here = count < conn->payload_left ? count : (size_t)conn->payload_left;
        if (here > 0)
            inflate_some(load, conn, bytes, here);
        bytes += here;
        count -= here;
        conn->payload_left -= here;
        if (conn->payload_left == 0)
            finish_frame(load, conn);
    }
}

/* The frames themselves come back. */
static void on_raw(struct load *load, struct conn *conn, const unsigned char *bytes, size_t count) {
    while (count > 0) {
        size_t index = (size_t)conn->answers;
        if (index >= load->count)
            index = load->count + index % load->count;
        if (conn->answers == conn->asked)
            fail(load, conn, "bytes came that nobody asked for");
        size_t left = load->starts[index + 1] - conn->raw_at, here = count < left ? count : left;
        if (memcmp(bytes, load->frames + conn->raw_at, here) != 0)
            fail(load, conn, "the answer differs from the message");
        conn->raw_at += here;
        bytes += here;
        count -= here;
        if (here < left)
            return;
        conn->raw_at = position(load, conn->raw_at);
        finish_message(load, conn);
    }
}

static void on_readable(struct load *load, struct conn *conn) {
    ssize_t n = recv(conn->fd, load->received, RECEIVE_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        fail(load, conn, n == 0 ? "closed by the server" : strerror(errno));
    load->answer_bytes += (uint64_t)n;
    if (load->options->raw)
        on_raw(load, conn, load->received, (size_t)n);
    else
        on_frames(load, conn, load->received, (size_t)n);
}

/* All connections agree to the same, as the frames are prepared once. */
static void open_conns(struct load *load) {
    const struct wire_options *options = load->options;
    load->terms = (struct terms) {options->takeover, options->takeover, 15};
    load->conns = wire_zeroed(options->connections, sizeof *load->conns);
    for (size_t i = 0; i < options->connections; i++) {
        struct conn *conn = &load->conns[i];
        conn->fd = wire_connect(options->port, 0, options->timeout_ms);
        if (!options->raw) {
            char response[WIRE_RESPONSE_MAX + 1];
            wire_upgrade(conn->fd, options, response);
            struct terms terms = read_terms(response);
            if (i > 0 && (terms.client_takeover != load->terms.client_takeover ||
                          terms.client_window_bits != load->terms.client_window_bits ||
                          terms.server_takeover != load->terms.server_takeover))
                wire_fail("the server agrees to one thing here and another there");
            load->terms = terms;
            if (inflateInit2(&conn->inflater, -15) != Z_OK)
                wire_fail("no memory for zlib");
        }
        watch(load, EPOLL_CTL_ADD, conn);
    }
}

static void fail_lost(const struct load *load) {
    const struct conn *conn = load->conns;
    while (conn->answers == conn->asked)
        conn++;
    wire_fail("connection %zu: no answer within %lu ms: %lu came (%zu connections wait)", (size_t)(conn - load->conns),
              load->options->timeout_ms, (unsigned long)conn->answers, load->busy);
}

static void run(struct load *load, struct wire_window *window) {
    for (size_t i = 0; i < load->options->connections; i++)
        ask(load, &load->conns[i], load->options->inflight);
    wire_window_open(window, load->options);
    for (;;) {
        enum wire_phase phase = wire_window_phase(window, load->answers);
        load->stopping = phase >= WIRE_DRAIN;
        if (load->stopping && load->busy == 0)
            return;
        if (phase == WIRE_OVERDUE)
            fail_lost(load);
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(load->epoll, events, EVENTS_MAX, wire_window_wait_ms(window));
        if (count < 0 && errno != EINTR)
            wire_fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_due(load, conn);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(load, conn);
        }
    }
}

static void release(struct load *load) {
    for (size_t i = 0; i < load->options->connections; i++)
        inflateEnd(&load->conns[i].inflater);
    free(load->conns);
    free(load->texts);
    free(load->frames);
    free(load->starts);
    free(load->inflated);
    free(load->received);
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_PMD, argc, argv, &options);
    if (options.connections + 8 > wire_descriptors_max())
        wire_fail("%lu connections are over the descriptor limit", options.connections);
    if (options.bytes < BYTES_MIN || options.bytes > BYTES_MAX)
        wire_fail("a message here has %d to %d bytes", BYTES_MIN, BYTES_MAX);
    options.offer = options.takeover ? "permessage-deflate; client_max_window_bits"
                                     : "permessage-deflate; client_no_context_takeover; server_no_context_takeover; "
                                       "client_max_window_bits";
    struct load load = {.options = &options, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (load.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    load.received = wire_bytes(RECEIVE_BYTES);
    load.inflated = wire_bytes(options.bytes + 1);
    open_conns(&load);
    make_frames(&load);
    struct wire_window window;
    run(&load, &window);
    wire_window_print(&window, "messages");
    printf(" answer_bytes=%.1f server_takeover=%d client_takeover=%d client_window_bits=%d\n",
           (double)load.answer_bytes / (double)load.answers, load.terms.server_takeover, load.terms.client_takeover,
           load.terms.client_window_bits);
    release(&load);
    return 0;
}
