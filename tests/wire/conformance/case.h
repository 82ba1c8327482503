/*
 * case.h - a conformance case: what is sent to a WebSocket endpoint, what must come back, and the clause that says so.
 *
 * Cases are made by code, one after the other, and handed to whoever runs them as soon as they are whole: with a few
 * thousand of them, some of 16 MB, there are never more in memory than are at work.
 *
 *     conf_case *c = case_begin(suite, "control", "RFC6455/5.5.2", LEVEL_MUST, "ping of %d bytes", len);
 *     case_frame(c, 0x89, payload, len);
 *     case_expect_pong(c, payload, len);
 *     case_end(suite, c);                          // adds a closing handshake where the case has none
 *
 * The same code serves both roles: frames are masked when suite->masks says so, that is when the endpoint is a server.
 */
#ifndef WF_TESTS_CONFORMANCE_CASE_H
#define WF_TESTS_CONFORMANCE_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes on the heap; the program ends when there is no memory. Zero is empty. */
typedef struct bytes {
    uint8_t *data;
    size_t len, cap;
} bytes;

void bytes_put(bytes *b, const void *data, size_t len);
void bytes_put_byte(bytes *b, unsigned value);
void bytes_print(bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bytes_free(bytes *b);

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80, RSV1 = 0x40 };

/* MUST: the RFC leaves no choice. SHOULD: it recommends. STRICT: it allows more, and the best engines do this. */
typedef enum case_level { LEVEL_MUST, LEVEL_SHOULD, LEVEL_STRICT } case_level;

typedef enum step_kind {
    STEP_SEND,           /* bytes as they stand */
    STEP_SEND_MESSAGE,   /* a message, compressed as was agreed on */
    STEP_EXPECT_PONG,    /* it may overtake messages, RFC 6455 5.5 */
    STEP_EXPECT_MESSAGE, /* this message, in whatever fragments, compressed or not */
    STEP_EXPECT_CLOSE,   /* a close frame */
    STEP_EXPECT_END,     /* the end of the stream, and no byte before it */
    STEP_EXPECT_SILENCE, /* nothing, for a while */
    STEP_EXPECT_HTTP     /* the head of a response, and its body */
} step_kind;

typedef struct step {
    step_kind kind;
    uint8_t first; /* of a frame: its first byte; of a message: its opcode */
    int code;      /* of a close: its code, 1005: none, -1: any; of HTTP: the status, 4: any 4xx */
    unsigned ms;
    size_t fragment; /* payload bytes in a frame of a message sent, as compressed; 0: one frame */
    bool compress;
    bytes data; /* payload; of HTTP: lines of what the head must hold, see http.h */
} step;

/* An offer of permessage-deflate in the form of RFC 7692 7.1. */
typedef struct pmd_offer {
    bool server_no_takeover, client_no_takeover;
    int server_bits; /* 0: not named */
    int client_bits; /* 0: not named, -1: named without a value */
} pmd_offer;

typedef enum offer_outcome { OFFER_NONE, OFFER_MAY_BE_MET, OFFER_MUST_BE_DECLINED } offer_outcome;

typedef struct conf_case {
    char name[120];
    const char *category, *clause;
    case_level level;
    unsigned reads_late_ms; /* once the connection is open nothing is read for so long */
    size_t chop;            /* bytes sent at once; 0: all */
    offer_outcome outcome;
    pmd_offer offer;
    bool needs_http; /* is about the opening handshake */
    /* It has a violation right behind what is good: the answers to that may be dropped for the close frame (7.1.7). */
    bool answers_may_be_lost;
    bool pongs_may_be_left_out; /* but for the last (5.5.3) */
    bool no_body;               /* the answers have none, whatever their Content-Length says (HEAD) */
    bool ends;                  /* has its own end */
    step *steps;
    size_t step_count, step_cap;
    size_t weight; /* payload bytes held */
    uint32_t key;  /* the last masking key */
    bool masks;
} conf_case;

typedef struct suite {
    bool masks;          /* the endpoint is a server */
    bool has_http;       /* the opening handshake is spoken */
    const char *host;    /* value of the Host header, with has_http */
    const char *path;    /* of the echo service */
    uint64_t limit;      /* the endpoint's limit on a message, bytes */
    const char *filter;  /* only cases whose "category: name" contains it; NULL: all */
    const char *without; /* none of those that contain it; NULL: leaves none out */
    void *runner;
    void (*take)(void *runner, conf_case *c); /* owns the case from now on */
} suite;

conf_case *case_begin(suite *s, const char *category, const char *clause, case_level level, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
void case_end(suite *s, conf_case *c);
void case_free(conf_case *c);
const char *level_name(case_level level);

/* Extends the opening handshake by an offer. First of all steps. */
void case_offer(suite *s, conf_case *c, const pmd_offer *offer);
/* The same with any text: it is no offer that may be accepted (RFC 7692 7.1). */
void case_bad_offer(suite *s, conf_case *c, const char *lines);
/* The case speaks HTTP itself. First of all steps. */
void case_speaks_http(conf_case *c);

void case_send(conf_case *c, const void *data, size_t len);
void case_frame(conf_case *c, unsigned first, const void *payload, size_t len);
void case_frame_misused(conf_case *c, unsigned first, const void *payload, size_t len); /* masked the wrong way round */
void case_frame_keyed(conf_case *c, unsigned first, const void *payload, size_t len, uint32_t key);
void case_close(conf_case *c, int code, const void *reason, size_t len); /* code 1005: an empty frame */
void case_message(conf_case *c, unsigned opcode, const void *payload, size_t len, size_t fragment);
void case_compressed(conf_case *c, unsigned opcode, const void *payload, size_t len, size_t fragment);

void case_expect_pong(conf_case *c, const void *payload, size_t len);
void case_expect_message(conf_case *c, unsigned opcode, const void *payload, size_t len);
/* The message, or if it is over the endpoint's limit its refusal, and then false: nothing may be added. */
bool case_expect_echo(suite *s, conf_case *c, unsigned opcode, const void *payload, size_t len);
void case_expect_close(conf_case *c, int code); /* and the end of the stream */
void case_expect_end(conf_case *c);
void case_expect_silence(conf_case *c, unsigned ms);
void case_expect_http(conf_case *c, int status, const char *lines);

/* One file each. */
void cases_framing(suite *s);
void cases_control(suite *s);
void cases_fragments(suite *s);
void cases_utf8(suite *s);
void cases_close(suite *s);
void cases_limits(suite *s);
void cases_deflate(suite *s);
void cases_handshake(suite *s);
void cases_slow(suite *s);

/* All of them. */
void suite_run(suite *s);

#endif
