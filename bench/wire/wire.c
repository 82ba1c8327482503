/*
 * The shared half of the wire bench's programs.
 *
 * The opening handshake always uses the sample key of RFC 6455 1.3, whose accept value is printed there too:
 * the bench checks the server's SHA-1 without having one. The server's CPU time comes from the process CPU
 * clock (clock_getcpuclockid), which counts nanoseconds the scheduler gave to any of its threads; the ticks
 * of /proc/PID/stat are a hundredth of a second, too coarse for a window of one.
 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

void wire_fail(const char *format, ...) {
    fflush(stdout);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void *wire_zeroed(size_t count, size_t each_bytes) {
    void *memory = calloc(count, each_bytes);
    if (memory == NULL)
        wire_fail("no memory for %zu times %zu bytes", count, each_bytes);
    return memory;
}

void *wire_bytes(size_t bytes) {
    void *memory = malloc(bytes);
    if (memory == NULL)
        wire_fail("no memory for %zu bytes", bytes);
    return memory;
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        wire_fail("a clock cannot be read (has the server ended?): %s", strerror(errno));
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t wire_now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

/* Sockets. */

size_t wire_descriptors_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        wire_fail("the descriptor limit cannot be read: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        wire_fail("the descriptor limit cannot be set to %lu: %s", (unsigned long)limit.rlim_max, strerror(errno));
    return (size_t)limit.rlim_cur;
}

static void set_timeouts(int fd, unsigned long timeout_ms) {
    struct timeval t = {.tv_sec = (time_t)(timeout_ms / 1000), .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) != 0)
        wire_fail("a socket refuses its timeouts: %s", strerror(errno));
}

int wire_connect(unsigned long port, unsigned source, unsigned long timeout_ms) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        wire_fail("no socket: %s", strerror(errno));
    set_timeouts(fd, timeout_ms);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    struct sockaddr_in address = {.sin_family = AF_INET};
    if (source > 0) {
        /* The port is chosen at connect, where a pair is free as long as the other end differs. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + source);
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
            wire_fail("no source address 127.0.0.%u: %s", 1 + source, strerror(errno));
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        wire_fail("no connection to 127.0.0.1:%lu: %s", port, errno == EINPROGRESS ? "timed out" : strerror(errno));
    return fd;
}

/* The client's half of a WebSocket. */

size_t wire_request(char out[WIRE_REQUEST_MAX], const struct wire_options *options) {
    int bytes = snprintf(out, WIRE_REQUEST_MAX,
                         "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%lu\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                         options->path, options->port);
    if (bytes < 0 || bytes >= WIRE_REQUEST_MAX)
        wire_fail("the request does not fit in %d bytes", WIRE_REQUEST_MAX);
    return (size_t)bytes;
}

bool wire_upgraded(const char *response, size_t bytes) {
    const char *end = memmem(response, bytes, "\r\n\r\n", 4);
    if (end == NULL) {
        if (bytes >= WIRE_RESPONSE_MAX)
            wire_fail("the handshake response is over %d bytes", WIRE_RESPONSE_MAX);
        return false;
    }
    size_t head_bytes = (size_t)(end - response) + 4;
    const char *line_end = memmem(response, head_bytes, "\r\n", 2);
    if (head_bytes < 13 || memcmp(response, "HTTP/1.1 101 ", 13) != 0)
        wire_fail("the handshake was refused: %.*s", (int)(line_end - response), response);
    static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    if (memmem(response, head_bytes, accept, sizeof accept - 1) == NULL)
        wire_fail("the handshake response has a wrong Sec-WebSocket-Accept");
    if (bytes > head_bytes)
        wire_fail("%zu bytes came after the handshake response before anything was asked", bytes - head_bytes);
    return true;
}

void wire_upgrade(int fd, const struct wire_options *options, char out_response[WIRE_RESPONSE_MAX + 1]) {
    char text[WIRE_RESPONSE_MAX];
    size_t request_bytes = wire_request(text, options);
    if (send(fd, text, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
        wire_fail("a handshake request cannot be sent: %s", strerror(errno));
    size_t bytes = 0;
    do {
        ssize_t n = recv(fd, text + bytes, sizeof text - bytes, 0);
        if (n == 0)
            wire_fail("closed by the server during the handshake");
        if (n < 0)
            wire_fail("no handshake response: %s", errno == EAGAIN ? "timed out" : strerror(errno));
        bytes += (size_t)n;
    } while (!wire_upgraded(text, bytes));
    if (out_response != NULL) {
        memcpy(out_response, text, bytes);
        out_response[bytes] = '\0';
    }
}

size_t wire_frame(unsigned char *out, const unsigned char *key, const unsigned char *payload, size_t bytes) {
    unsigned char masked = key != NULL ? 0x80 : 0;
    size_t at = 2, length_bytes = bytes < 126 ? 0 : bytes < 65536 ? 2 : 8;
    out[0] = 0x82;
    out[1] = masked | (unsigned char)(length_bytes == 0 ? bytes : length_bytes == 2 ? 126 : 127);
    for (size_t i = length_bytes; i > 0; i--)
        out[at++] = (unsigned char)(bytes >> (8 * (i - 1)));
    if (key != NULL) {
        memcpy(out + at, key, 4);
        at += 4;
    }
    for (size_t i = 0; i < bytes; i++)
        out[at + i] = key != NULL ? payload[i] ^ key[i % 4] : payload[i];
    return at + bytes;
}

void wire_pattern(unsigned char *out, size_t bytes, uint64_t seed) {
    uint64_t x = seed * 0x9E3779B97F4A7C15ULL + 0x2545F4914F6CDD1DULL;
    for (size_t i = 0; i < bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (unsigned char)(x >> 32);
    }
}

size_t wire_same_bytes(const unsigned char *a, const unsigned char *b, size_t bytes) {
    size_t same = 0;
    while (same < bytes && a[same] == b[same])
        same++;
    return same;
}

void wire_fail_byte(const char *where, size_t at, unsigned char expected, const unsigned char *got, size_t got_bytes) {
    if (at == 0 && got_bytes >= 4 && got[0] == 0x88 && got[1] >= 2 && got[1] <= 125)
        wire_fail("%s: the server sent Close %d instead of an answer", where, got[2] << 8 | got[3]);
    wire_fail("%s: byte %zu of the answer is 0x%02x, should be 0x%02x", where, at, got[0], expected);
}

/* The measured window. */

struct wire_edge wire_window_edge(const struct wire_window *window, uint64_t count) {
    return (struct wire_edge) {
        .now_ns = wire_now_ns(),
        .server_ns = window->has_server ? clock_ns(window->server_clock) : 0,
        .own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
        .count = count,
    };
}

void wire_window_open(struct wire_window *window, const struct wire_options *options) {
    *window = (struct wire_window) {
        .phase = WIRE_WARM,
        .phase_end_ns = wire_now_ns() + options->warmup_ms * NS_PER_MS,
        .window_ns = options->window_ms * NS_PER_MS,
        .timeout_ns = options->timeout_ms * NS_PER_MS,
        .has_server = options->server_pid != 0,
    };
    if (!window->has_server)
        return;
    int error = clock_getcpuclockid((pid_t)options->server_pid, &window->server_clock);
    if (error != 0)
        wire_fail("process %lu has no CPU clock: %s", options->server_pid, strerror(error));
}

enum wire_phase wire_window_phase(struct wire_window *window, uint64_t count) {
    uint64_t now_ns = wire_now_ns();
    if (now_ns < window->phase_end_ns)
        return window->phase;
    if (window->phase == WIRE_WARM) {
        window->phase = WIRE_MEASURE;
        window->phase_end_ns = now_ns + window->window_ns;
        window->begin = wire_window_edge(window, count);
    } else if (window->phase == WIRE_MEASURE) {
        window->phase = WIRE_DRAIN;
        window->phase_end_ns = now_ns + window->timeout_ns;
        window->end = wire_window_edge(window, count);
    } else {
        window->phase = WIRE_OVERDUE;
    }
    return window->phase;
}

int wire_window_wait_ms(const struct wire_window *window) {
    uint64_t now_ns = wire_now_ns();
    if (now_ns >= window->phase_end_ns)
        return 0;
    return (int)((window->phase_end_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

void wire_window_print(const struct wire_window *window, const char *noun) {
    const struct wire_edge *begin = &window->begin, *end = &window->end;
    double count = (double)(end->count - begin->count);
    double seconds = (double)(end->now_ns - begin->now_ns) / 1e9;
    double own_s = (double)(end->own_ns - begin->own_ns) / 1e9;
    double server_s = (double)(end->server_ns - begin->server_ns) / 1e9;
    if (count < 1)
        wire_fail("nothing was finished within the window of %.3f s", seconds);
    printf("%s=%.0f seconds=%.6f %s_per_s=%.1f load_cpu_s=%.6f", noun, count, seconds, noun, count / seconds, own_s);
    if (window->has_server) {
        if (server_s <= 0)
            wire_fail("the server consumed no CPU time: is --server-pid the right process?");
        printf(" server_cpu_s=%.6f %s_per_server_cpu_s=%.1f", server_s, noun, count / server_s);
    }
}
