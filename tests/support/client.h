/*
 * client.h - a WebSocket client that does as it is told: blocking, raw, and free to break every rule.
 *
 *     client c;
 *     CHECK_EQ(client_open(&c, address, "/echo", NULL), 101);
 *     client_text(&c, "hello");
 *     CHECK_STR(client_next(&c), "text hello");
 *     client_close(&c);
 *
 * What comes is told in words, so that a check reads like a sentence: "text hello", "binary of 70000 bytes",
 * "text+ be" (a fragment, more follows), "continuation gin", "ping", "pong abc", "close 1000 bye", "close"
 * (without a code), "eof", "reset", "timeout".
 */
#ifndef WF_TESTS_CLIENT_H
#define WF_TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENT_PATIENCE_MS = 10000, CLIENT_WORDS_MAX = 120, CLIENT_HEAD_MAX = 4096 };

typedef struct client {
    int fd;
    uint8_t *in; /* what came and is not used yet: [used, len) */
    size_t used, len, cap;
    const uint8_t *data; /* payload of the last frame, until the next call */
    size_t data_len;
    uint8_t first;              /* of that frame: FIN, RSV and opcode */
    char head[CLIENT_HEAD_MAX]; /* of the last HTTP answer */
    char body[CLIENT_HEAD_MAX];
    char words[CLIENT_WORDS_MAX + 64];
} client;

/* "127.0.0.1:9001" or "unix:/path". False: nobody accepts there. `receive_bytes` 0: the kernel's own
 * SO_RCVBUF. */
bool client_connect(client *c, const char *address, int receive_bytes);
void client_close(client *c);    /* FIN; may be called twice */
void client_reset(client *c);    /* RST */
void client_shutdown(client *c); /* FIN in our direction only */

/* False when the peer is gone. */
bool client_send(client *c, const void *bytes, size_t len);
bool client_print(client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sends GET with Host and these header lines ("Name: value\r\n", NULL: none), and with `upgrade` those of a
 * handshake. */
bool client_ask(client *c, const char *path, const char *headers, bool upgrade);

/* Reads one HTTP answer into head and body and returns its status; 0: none came. */
int client_answer(client *c);

/* The value of a header of the last answer, "" when it is not there; until the next call. */
const char *client_header(client *c, const char *name);

/* Connects, asks for an upgrade and reads the answer: its status, 0 when there was none. */
int client_open(client *c, const char *address, const char *path, const char *headers);

/* Encodes a masked frame; `first` is FIN, RSV and opcode. Returns its length; out has room for len + 14. */
size_t client_encode(uint8_t *out, uint8_t first, const void *payload, size_t len);

bool client_frame(client *c, uint8_t first, const void *payload, size_t len);
bool client_text(client *c, const char *text);
bool client_say_close(client *c, int code, const char *reason); /* code 0: without one */

/* The next frame or end, in words. */
const char *client_next(client *c);
const char *client_next_within(client *c, int timeout_ms);

/* Reads until the connection has ended or nothing has come for the time: true when it has ended. */
bool client_ended(client *c, int timeout_ms);

/* Milliseconds of a clock that only goes forward. */
uint64_t client_now_ms(void);
void client_sleep_ms(int ms);

#endif
