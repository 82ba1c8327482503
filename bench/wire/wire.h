/*
 * wire.h: what the programs of the wire bench share: options, sockets, the client's half of a WebSocket, and
 * the measured window. Nothing of libweft is used here, so that the bench measures it from outside.
 *
 * Every function that meets an error it cannot work around prints one line "PROGRAM: what went wrong" to
 * stderr and ends the process with status 1 (2 for a wrong command line): a bench that goes on after a fault
 * measures nothing. Only loopback is ever spoken to.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Options, one set for all programs. */

enum wire_program {
    WIRE_RAW_ECHO = 1,
    WIRE_LOAD = 2,
    WIRE_CHURN = 4,
    WIRE_HOLD = 8,
    WIRE_FAN = 16,
    WIRE_MEMBERS = 32,
    WIRE_AUDIENCE = 64,
};

/* How messages come to those who listen. */
enum wire_via {
    WIRE_VIA_WS,        /* a WebSocket */
    WIRE_VIA_SSE,       /* server-sent events */
    WIRE_VIA_LONG_POLL, /* requests that are answered when there is something */
    WIRE_VIA_POLL,      /* a request a second */
    WIRE_VIA_PUSHER,    /* a WebSocket that subscribes to a channel of the Pusher protocol */
};

struct wire_options {
    unsigned long port;        /* of the server on 127.0.0.1 */
    const char *path;          /* request target of the WebSocket */
    bool raw;                  /* true: no handshake, and every byte sent comes back */
    unsigned long connections; /* count, open at the same time */
    unsigned long inflight;    /* messages on their way per connection */
    unsigned long burst;       /* 1: so many at once, and again when all are done; 0: a new one for every one done */
    unsigned long bytes;       /* payload bytes of a message */
    unsigned long rate;        /* messages per second, all connections; 0: a new one for every answer */
    unsigned long source;      /* the first of the addresses that connections come from: see wire_connect */
    unsigned long broadcast;   /* 1: raw_echo sends what comes to all connections but the one it came from */
    unsigned long warmup_ms;   /* before the window; not counted */
    unsigned long window_ms;   /* measured */
    unsigned long timeout_ms;  /* longest wait for an answer */
    unsigned long server_pid;  /* 0: its CPU time is not measured */
    enum wire_via via;         /* audience only */
    unsigned long core;        /* to be pinned to; WIRE_ANY_CORE: not pinned */
};

#define WIRE_ANY_CORE 1023UL

/*
 * Fills `out_options` from `--name value` pairs, and pins the process when --core asks for it. Only the
 * options that `program` takes are accepted; each has a default but --port. Ends the process with 2 and the
 * list of options when the command line is wrong.
 */
void wire_options_read(enum wire_program program, int argc, char **argv, struct wire_options *out_options);

/* Prints "PROGRAM: " and the formatted text to stderr, and ends the process with status 1. */
void wire_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* As calloc, malloc: never NULL. The caller frees. */
void *wire_zeroed(size_t count, size_t each_bytes);
void *wire_bytes(size_t bytes);

/* The monotonic clock, nanoseconds. */
uint64_t wire_now_ns(void);

/* Sockets. */

/* Lifts the soft limit of descriptors to the hard one; returns it. */
size_t wire_descriptors_max(void);

/*
 * Connects to 127.0.0.1:`port` and returns the descriptor, which the caller owns. `source` 0 leaves the
 * source address to the kernel; 1 to 253 bind to 127.0.0.(1 + source), each with its own range of ports. The
 * socket blocks, for at most `timeout_ms` per call, and has TCP_NODELAY set.
 */
int wire_connect(unsigned long port, unsigned source, unsigned long timeout_ms);

#define WIRE_SOURCES 49U

/* The client's half of a WebSocket. */

#define WIRE_REQUEST_MAX  512
#define WIRE_RESPONSE_MAX 2048
#define WIRE_HEADER_MAX   14

/* Writes the opening handshake request (RFC 6455 4.1) with the RFC's sample key to `out`; returns its bytes. */
size_t wire_request(char out[WIRE_REQUEST_MAX], const struct wire_options *options);

/*
 * Reads a response of `bytes` bytes so far. Returns false when its end has not come yet. Ends the process
 * when the response is not a 101 with the accept value that belongs to the sample key (RFC 6455 1.3), when it
 * is longer than WIRE_RESPONSE_MAX, or when bytes follow it: the server has nothing to say before the client
 * speaks.
 */
bool wire_upgraded(const char *response, size_t bytes);

/* A whole opening handshake on a blocking socket. `out_response`, if not NULL, gets the head as a string. */
void wire_upgrade(int fd, const struct wire_options *options, char out_response[WIRE_RESPONSE_MAX + 1]);

/*
 * Writes one unfragmented binary frame with `bytes` of `payload` to `out` (room for WIRE_HEADER_MAX more) and
 * returns its bytes. `key` of 4 bytes masks it as a client must; NULL leaves it as a server sends it. The two
 * differ by 4 bytes.
 */
size_t wire_frame(unsigned char *out, const unsigned char *key, const unsigned char *payload, size_t bytes);

/* Fills `out` with bytes that depend on `seed` alone and look random. */
void wire_pattern(unsigned char *out, size_t bytes, uint64_t seed);

/* How many leading bytes of `a` and `b` are the same, at most `bytes`. */
size_t wire_same_bytes(const unsigned char *a, const unsigned char *b, size_t bytes);

/*
 * Ends the process: byte `at` of an answer should have been `expected`, and `got` of `got_bytes` came. Names
 * the close code when that is a Close frame in place of an answer. `where` says on which connection.
 */
void wire_fail_byte(const char *where, size_t at, unsigned char expected, const unsigned char *got, size_t got_bytes)
    __attribute__((noreturn));

/*
 * The measured window: warm-up, window, drain. A program calls wire_window_phase once per turn with the count
 * of what it has finished so far; the window notes clocks and counts at its two edges.
 */

enum wire_phase {
    WIRE_WARM,
    WIRE_MEASURE,
    WIRE_DRAIN,   /* start nothing new, wait for what is on its way */
    WIRE_OVERDUE, /* the drain lasted longer than the timeout: something was lost */
};

struct wire_edge {
    uint64_t now_ns;
    uint64_t server_ns; /* CPU time of the server's process, all threads, user and system */
    uint64_t own_ns;    /* CPU time of this process */
    uint64_t count;
};

struct wire_window {
    enum wire_phase phase;
    uint64_t phase_end_ns;
    uint64_t window_ns;
    uint64_t timeout_ns;
    bool has_server;
    clockid_t server_clock;
    struct wire_edge begin, end;
};

/* What the clocks say now. A program that ends its window by itself, not by time, fills begin and end with it. */
struct wire_edge wire_window_edge(const struct wire_window *window, uint64_t count);

void wire_window_open(struct wire_window *window, const struct wire_options *options);
enum wire_phase wire_window_phase(struct wire_window *window, uint64_t count);

/* Milliseconds until the phase ends, rounded up: the longest time to sleep. */
int wire_window_wait_ms(const struct wire_window *window);

/*
 * Prints key=value to stdout, without a newline: `noun`, seconds, `noun`_per_s, load_cpu_s, and with --server-pid
 * server_cpu_s and `noun`_per_server_cpu_s.
 */
void wire_window_print(const struct wire_window *window, const char *noun);

#endif
