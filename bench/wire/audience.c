/*
 * Those who listen, all by the same way (--via), and what that costs. Somebody else publishes; a message is
 *
 *      {"n":17,"at":123456789,"text":"rrrr"}
 *
 * of --bytes bytes: its number from 1 on, the monotonic clock's nanoseconds just before it was sent, and a letter
 * that belongs to the number. Each client must get every number once and in order, wrapped in whatever the server
 * wraps it in; anything else ends the program. It is told what to do by lines of stdin:
 *
 *      (at first)   opens all connections, then prints "open N"
 *      begin        begins to count; prints "begun"
 *      end          prints what was counted since, as key=value: see report()
 *      finish N     when all have the messages up to N, prints "finished N" and exits
 *
 * Bytes are what went through the sockets, and segments what TCP made of it (TCP_INFO), acknowledgements included.
 * A client that polls asks at its own moment of each second, so that they are spread over it.
 */
#include "cut.h"
#include "latency.h"
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX   256
#define INPUT_MAX    8192
#define PLACE_MAX    40
#define MESSAGES_MAX 100000
#define COMMAND_MAX  64
#define CONTROL_MAX  125
#define NS_PER_S     1000000000ULL
#define NS_PER_MS    1000000ULL

enum stage { OPENING, JOINING, JOINED };

struct client {
    int fd;
    enum stage stage;
    bool asked; /* a request is not answered yet */
    uint64_t got;
    char place[PLACE_MAX]; /* where to go on, as the server says */
    size_t input_bytes;
    char input[INPUT_MAX];
};

struct segments {
    uint64_t in, out;
};

struct audience {
    const struct wire_options *options;
    struct client *clients;
    int epoll;
    size_t *lacking;                  /* per message: clients without it */
    uint64_t now_ns, begun_ns, asked; /* asked: requests since begun_ns, the moment when polling began */
    uint64_t finish;                  /* 0: not told yet */
    uint64_t finish_ns;
    char line[COMMAND_MAX];
    size_t line_bytes, finished;

    struct wire_window window;
    struct segments segments;
    uint64_t messages, requests, in_bytes, out_bytes; /* since begin */
    struct wire_latency each, last;                   /* until a client has a message, until the last one has it */
};

static size_t name(const struct audience *a, const struct client *client) {
    return (size_t)(client - a->clients);
}

static void put(struct audience *a, const struct client *client, const void *bytes, size_t count) {
    ssize_t n = send(client->fd, bytes, count, MSG_NOSIGNAL);
    if (n != (ssize_t)count)
        wire_fail("client %zu: cannot send: %s", name(a, client), n < 0 ? strerror(errno) : "the server does not read");
    a->out_bytes += count;
}

static void put_frame(struct audience *a, const struct client *client, unsigned char first, const char *body,
                      size_t bytes) {
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char out[WIRE_HEADER_MAX + CONTROL_MAX];
    if (bytes > CONTROL_MAX)
        wire_fail("client %zu: a control frame has %zu bytes", name(a, client), bytes);
    size_t count = wire_frame(out, key, (const unsigned char *)body, bytes);
    out[0] = first;
    put(a, client, out, count);
}

/* A request as a page's script makes it in a browser, without cookies. */
static void ask(struct audience *a, struct client *client, const char *query, const char *accept) {
    char text[1024];
    int bytes = snprintf(
        text, sizeof text,
        "GET %s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%lu\r\nConnection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
        "Safari/537.36\r\nsec-ch-ua: \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n"
        "Accept: %s\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
        "Referer: http://127.0.0.1:%lu/\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n",
        a->options->path, query, client->place, a->options->port, accept, a->options->port);
    if (bytes < 0 || bytes >= (int)sizeof text)
        wire_fail("a request does not fit into %zu bytes", sizeof text);
    put(a, client, text, (size_t)bytes);
    client->asked = true;
    a->requests++;
}

/* Cuts the next message, which begins at `text`, out of it; returns what follows. */
static const char *take_message(struct audience *a, struct client *client, const char *text) {
    uint64_t number = 0, at_ns = 0;
    int head_bytes = 0;
    sscanf(text, "{\"n\":%" SCNu64 ",\"at\":%" SCNu64 ",\"text\":\"%n", &number, &at_ns, &head_bytes);
    const char *end = strstr(text, "\"}");
    char letter[2] = {(char)('a' + number % 26), '\0'};
    if (head_bytes == 0 || end != text + a->options->bytes - 2 ||
        text + head_bytes + strspn(text + head_bytes, letter) != end || at_ns > a->now_ns || number > MESSAGES_MAX)
        wire_fail("client %zu: this is no message: %.*s", name(a, client), (int)strcspn(text, "\n"), text);
    if (number <= client->got)
        wire_fail("client %zu: message %" PRIu64 " came twice", name(a, client), number);
    if (number != client->got + 1)
        wire_fail("client %zu: message %" PRIu64 " came after %" PRIu64, name(a, client), number, client->got);
    client->got = number;
    a->messages++;
    wire_latency_add(&a->each, a->now_ns - at_ns);
    if (--a->lacking[number] == 0)
        wire_latency_add(&a->last, a->now_ns - at_ns);
    a->finished += number == a->finish;
    return end + 2;
}

/* Takes all messages of a body, in which they may be strings within JSON; returns how many. */
static size_t take_messages(struct audience *a, struct client *client, const struct wire_piece *piece) {
    char text[INPUT_MAX + 1];
    size_t bytes = 0, count = 0;
    for (size_t i = 0; i < piece->body_bytes; i++)
        if (piece->body[i] != '\\')
            text[bytes++] = piece->body[i];
    text[bytes] = '\0';
    const char *next = text;
    while ((next = strstr(next, "{\"n\":")) != NULL) {
        next = take_message(a, client, next);
        count++;
    }
    return count;
}

static bool says(const struct wire_piece *piece, const char *text) {
    return memmem(piece->body, piece->body_bytes, text, strlen(text)) != NULL;
}

static _Noreturn void fail_piece(const struct audience *a, const struct client *client,
                                 const struct wire_piece *piece) {
    wire_fail("client %zu: this was not expected: %.*s", name(a, client), (int)piece->body_bytes, piece->body);
}

static void on_frame(struct audience *a, struct client *client, const struct wire_piece *piece) {
    static const char subscribe[] = "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"bench\"}}";
    bool pusher = a->options->via == WIRE_VIA_PUSHER;
    if (piece->first == 0x89) {
        put_frame(a, client, 0x8a, piece->body, piece->body_bytes);
    } else if (piece->first == 0x88 && piece->body_bytes >= 2) {
        const unsigned char *code = (const unsigned char *)piece->body;
        wire_fail("client %zu: the server sent Close %d %.*s", name(a, client), code[0] << 8 | code[1],
                  (int)piece->body_bytes - 2, piece->body + 2);
    } else if (piece->first != 0x81) {
        wire_fail("client %zu: a frame begins with 0x%02x", name(a, client), piece->first);
    } else if (pusher && client->stage == JOINING && says(piece, "\"pusher:connection_established\"")) {
        put_frame(a, client, 0x81, subscribe, sizeof subscribe - 1);
    } else if (pusher && client->stage == JOINING && says(piece, "\"pusher_internal:subscription_succeeded\"")) {
        client->stage = JOINED;
    } else if (!pusher && client->got == 0 && says(piece, "\"epoch\"")) {
        return; /* where the envelopes begin */
    } else if (take_messages(a, client, piece) != 1) {
        fail_piece(a, client, piece);
    }
}

static void on_events(struct audience *a, struct client *client, const struct wire_piece *piece) {
    if (piece->body_bytes < 2 || memcmp(piece->body + piece->body_bytes - 2, "\n\n", 2) != 0)
        wire_fail("client %zu: a chunk ends within an event", name(a, client));
    if (says(piece, "event: joined\n"))
        client->stage = JOINED;
    else if (take_messages(a, client, piece) == 0 && piece->body[0] != ':' && client->stage == JOINED)
        fail_piece(a, client, piece);
}

static void on_answer(struct audience *a, struct client *client, const struct wire_piece *piece) {
    static const char word[] = "{\"next\":\"";
    const char *place = piece->body + sizeof word - 1;
    const char *end = piece->body_bytes < sizeof word ? NULL : memchr(place, '"', piece->body_bytes - sizeof word + 1);
    if (end == NULL || memcmp(piece->body, word, sizeof word - 1) != 0 || end - place >= PLACE_MAX ||
        (client->stage == JOINED && !says(piece, "\"recovered\":true")))
        fail_piece(a, client, piece);
    memcpy(client->place, place, (size_t)(end - place));
    client->place[end - place] = '\0';
    client->stage = JOINED;
    client->asked = false;
    take_messages(a, client, piece);
    if (a->options->via == WIRE_VIA_LONG_POLL)
        ask(a, client, "?poll=", "*/*");
}

/* Cuts the next piece and acts on it; returns its bytes, 0 when it is not whole. */
static size_t next_piece(struct audience *a, struct client *client, const char *input, size_t bytes) {
    struct wire_piece piece;
    size_t taken;
    bool stream = a->options->via == WIRE_VIA_SSE;
    if (a->options->via == WIRE_VIA_LONG_POLL || a->options->via == WIRE_VIA_POLL) {
        taken = wire_cut_response(input, bytes, &piece);
        if (taken > 0)
            on_answer(a, client, &piece);
    } else if (client->stage == OPENING) {
        taken = wire_cut_head(input, bytes, stream ? "HTTP/1.1 200 " : "HTTP/1.1 101 ", &piece);
        if (taken > 0)
            client->stage = a->options->via == WIRE_VIA_WS ? JOINED : JOINING;
    } else {
        taken = stream ? wire_cut_chunk(input, bytes, &piece) : wire_cut_frame(input, bytes, &piece);
        if (taken > 0 && stream)
            on_events(a, client, &piece);
        else if (taken > 0)
            on_frame(a, client, &piece);
    }
    return taken;
}

static void on_readable(struct audience *a, struct client *client, int flags) {
    ssize_t n = recv(client->fd, client->input + client->input_bytes, INPUT_MAX - client->input_bytes, flags);
    if (n < 0 && flags == MSG_DONTWAIT && errno == EAGAIN)
        return;
    if (n <= 0)
        wire_fail("client %zu: the connection ended: %s", name(a, client), n == 0 ? "end of file" : strerror(errno));
    a->now_ns = wire_now_ns();
    a->in_bytes += (size_t)n;
    client->input_bytes += (size_t)n;
    size_t at = 0, taken;
    while ((taken = next_piece(a, client, client->input + at, client->input_bytes - at)) > 0)
        at += taken;
    client->input_bytes -= at;
    memmove(client->input, client->input + at, client->input_bytes);
    if (client->input_bytes == INPUT_MAX)
        wire_fail("client %zu: a piece has over %d bytes", name(a, client), INPUT_MAX);
}

static void watch(const struct audience *a, int fd, uint64_t index) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = index};
    if (epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        wire_fail("epoll_ctl: %s", strerror(errno));
}

static void open_client(struct audience *a, size_t index) {
    struct client *client = &a->clients[index];
    const struct wire_options *options = a->options;
    client->fd = wire_connect(options->port, 1 + (unsigned)(index % WIRE_SOURCES), options->timeout_ms);
    if (options->via == WIRE_VIA_WS || options->via == WIRE_VIA_PUSHER) {
        char request[WIRE_REQUEST_MAX];
        put(a, client, request, wire_request(request, options));
    } else if (options->via == WIRE_VIA_SSE) {
        ask(a, client, "", "text/event-stream");
    } else {
        ask(a, client, "?poll=", "*/*");
    }
    while (client->stage != JOINED)
        on_readable(a, client, 0);
    watch(a, client->fd, index);
}

/* Asks for those whose moment has come and whose last answer is there; returns the nanoseconds until the next. */
static uint64_t poll_all(struct audience *a) {
    uint64_t count = a->options->connections, due = (wire_now_ns() - a->begun_ns) * count / NS_PER_S;
    for (; a->asked <= due; a->asked++) {
        struct client *client = &a->clients[a->asked % count];
        if (!client->asked)
            ask(a, client, "/history?since=", "*/*");
    }
    return NS_PER_S / count;
}

static struct segments count_segments(const struct audience *a) {
    struct segments sum = {0};
    for (size_t i = 0; i < a->options->connections; i++) {
        struct tcp_info info;
        socklen_t bytes = sizeof info;
        if (getsockopt(a->clients[i].fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0 ||
            bytes < offsetof(struct tcp_info, tcpi_segs_in) + sizeof info.tcpi_segs_in)
            wire_fail("the kernel does not tell segments (TCP_INFO)");
        sum.in += info.tcpi_segs_in;
        sum.out += info.tcpi_segs_out;
    }
    return sum;
}

static void begin(struct audience *a) {
    a->messages = a->requests = a->in_bytes = a->out_bytes = 0;
    a->each = a->last = (struct wire_latency) {0};
    a->segments = count_segments(a);
    a->window.begin = wire_window_edge(&a->window, 0);
    puts("begun");
}

static void report(struct audience *a) {
    a->window.end = wire_window_edge(&a->window, a->messages);
    struct segments now = count_segments(a);
    wire_window_print(&a->window, "deliveries");
    printf(" requests=%" PRIu64 " in_bytes=%" PRIu64 " out_bytes=%" PRIu64, a->requests, a->in_bytes, a->out_bytes);
    printf(" in_segments=%" PRIu64 " out_segments=%" PRIu64, now.in - a->segments.in, now.out - a->segments.out);
    wire_latency_print(&a->each, "");
    wire_latency_print(&a->last, "last_");
    putchar('\n');
}

static void obey(struct audience *a, const char *line) {
    if (strcmp(line, "begin") == 0) {
        begin(a);
    } else if (strcmp(line, "end") == 0) {
        report(a);
    } else if (sscanf(line, "finish %" SCNu64, &a->finish) == 1) {
        a->finish_ns = wire_now_ns();
        for (size_t i = 0; i < a->options->connections; i++)
            a->finished += a->clients[i].got >= a->finish;
    } else {
        wire_fail("\"%s\" is no command", line);
    }
    fflush(stdout);
}

static void on_stdin(struct audience *a) {
    ssize_t n = read(STDIN_FILENO, a->line + a->line_bytes, sizeof a->line - a->line_bytes);
    if (n <= 0)
        wire_fail("stdin ended before the messages");
    a->line_bytes += (size_t)n;
    char *end;
    while ((end = memchr(a->line, '\n', a->line_bytes)) != NULL) {
        *end = '\0';
        obey(a, a->line);
        a->line_bytes -= (size_t)(end + 1 - a->line);
        memmove(a->line, end + 1, a->line_bytes);
    }
    if (a->line_bytes == sizeof a->line)
        wire_fail("a command is too long");
}

static void turn(struct audience *a, int wait_ms) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(a->epoll, events, EVENTS_MAX, wait_ms);
    if (count < 0 && errno != EINTR)
        wire_fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == a->options->connections)
            on_stdin(a);
        else
            on_readable(a, &a->clients[events[i].data.u64], MSG_DONTWAIT);
    }
}

/* Whoever waits for the others is pinged meanwhile. */
static void open_all(struct audience *a) {
    for (size_t i = 0; i < a->options->connections; i++) {
        open_client(a, i);
        if (i % 16 == 0)
            turn(a, 0);
    }
}

static void listen_on(struct audience *a) {
    while (a->finish == 0 || a->finished < a->options->connections) {
        if (a->finish > 0 && wire_now_ns() - a->finish_ns > a->options->timeout_ms * NS_PER_MS)
            wire_fail("message %" PRIu64 " did not come to %zu of %lu clients within %lu ms", a->finish,
                      a->options->connections - a->finished, a->options->connections, a->options->timeout_ms);
        uint64_t wait_ns = a->options->via == WIRE_VIA_POLL ? poll_all(a) : 100 * NS_PER_MS;
        turn(a, wait_ns < NS_PER_MS ? 1 : (int)(wait_ns / NS_PER_MS));
    }
    printf("finished %" PRIu64 "\n", a->finish);
}

int main(int argc, char **argv) {
    struct wire_options options;
    wire_options_read(WIRE_AUDIENCE, argc, argv, &options);
    if (options.connections + 8 > wire_descriptors_max())
        wire_fail("%lu connections are over the descriptor limit", options.connections);
    struct audience a = {.options = &options, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (a.epoll < 0)
        wire_fail("no epoll: %s", strerror(errno));
    a.clients = wire_zeroed(options.connections, sizeof *a.clients);
    a.lacking = wire_zeroed(MESSAGES_MAX + 1, sizeof *a.lacking);
    for (size_t i = 0; i <= MESSAGES_MAX; i++)
        a.lacking[i] = options.connections;
    wire_window_open(&a.window, &options);
    open_all(&a);
    watch(&a, STDIN_FILENO, options.connections);
    a.begun_ns = wire_now_ns();
    printf("open %lu\n", options.connections);
    fflush(stdout);
    listen_on(&a);
    free(a.clients);
    free(a.lacking);
    return 0;
}
