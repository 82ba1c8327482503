/*
 * h2.h - an HTTP/2 connection (RFC 9113, by nghttp2), of a server or of a client: bytes in and out, streams by pull.
 * Sans-I/O, no callbacks.
 *
 *      received ---feed---> [ wf_h2 ] <--send, end, close-- stream
 *       to send <--output---[       ] ---next: OPENED, RECEIVED, EOF, SENT, GONE--> stream
 *
 * A stream carries what a TCP connection with HTTP/1.1 would (h2_text.h): a request as text, the answer as text, and
 * after a 101 whatever comes. So it keeps the contract of a sock (net/loop.h), and who stands above cannot tell them
 * apart. A server is told of streams; a client opens them, each for one opening handshake.
 *
 * A stream that is not read from fills its own window and stops none of the others: the connection's window opens again
 * with the bytes that came, the stream's with those that were taken.
 */
#ifndef WF_HTTP_H2_H
#define WF_HTTP_H2_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct wf_h2 wf_h2;
typedef struct wf_h2_stream wf_h2_stream;

typedef struct wf_h2_limits {
    size_t head_bytes_max;
    uint32_t streams_max; /* at a time; more are refused (REFUSED_STREAM) */
    size_t *held_bytes;   /* counts what the streams of all connections hold; NULL: nobody does */
    const char *scheme;   /* we are the client, and this is its requests' scheme; NULL: we are the server. Static */
} wf_h2_limits;

typedef enum wf_h2_event_kind {
    WF_H2_OPENED,   /* a server's: a new stream: give it a user, or close it */
    WF_H2_RECEIVED, /* data, len > 0: to be changed in place until the next call on this connection */
    WF_H2_EOF,      /* the peer sends no more on it. Once, and no RECEIVED follows */
    WF_H2_SENT,     /* after a send that was answered 0: try again */
    WF_H2_GONE /* it was reset, or all of it is over: once, and the last. The stream is freed behind the next call */
} wf_h2_event_kind;

typedef struct wf_h2_event {
    wf_h2_event_kind kind;
    wf_h2_stream *stream;
    uint8_t *data;
    size_t len;
    uint32_t error; /* of GONE (RFC 9113 7); of a client REFUSED_STREAM also when the request never left, or stands
                     * above a GOAWAY: it may be made again */
} wf_h2_event;

enum { WF_H2_REFUSED_STREAM = 7, WF_H2_HTTP_1_1_REQUIRED = 13, WF_H2_HEAD_OVER = 0x10000 /* its head is, by us */ };
const char *wf_h2_error_text(uint32_t error); /* a rule: "RFC9113/7: the stream was reset: CANCEL". Static */

/* Bytes behind `data` of RECEIVED that may be read. */
enum { WF_H2_SLACK = 64 };

wf_h2 *wf_h2_new(const wf_h2_limits *limits); /* NULL: no memory. What it begins with is there to be sent. */
void wf_h2_free(wf_h2 *h2);                   /* with its streams, untold */

/* WF_OK; WF_ERROR: the peer broke a rule (RFC 9113 5.4.1), a GOAWAY is there to be sent and nothing more is read;
 * WF_ENOMEM: over. */
int wf_h2_feed(wf_h2 *h2, const uint8_t *data, size_t len);

/* WF_OK: an event. WF_WANT_INPUT: there is none now. Streams that are closed by their owner give none. */
int wf_h2_next(wf_h2 *h2, wf_h2_event *out_event);

/* The next run of bytes to be sent, valid until the next call on this connection: its length, 0: none now. */
size_t wf_h2_output(wf_h2 *h2, const uint8_t **out_data);

/* One after the other those that are opened and not closed by their owner, from NULL to NULL. */
wf_h2_stream *wf_h2_next_stream(const wf_h2 *h2, const wf_h2_stream *before);

void wf_h2_input_over(wf_h2 *h2);      /* the peer sends no more: nor does it on any stream. May be called again */
void wf_h2_go_away(wf_h2 *h2);         /* no new streams; those that are there go on */
void wf_h2_cut(wf_h2 *h2);             /* the connection broke: all streams are gone */
bool wf_h2_over(const wf_h2 *h2);      /* nothing will come of it any more: send what there is and close */
size_t wf_h2_streams(const wf_h2 *h2); /* that are open */
size_t wf_h2_owned(const wf_h2 *h2);   /* that were told and are not closed by their owner */
size_t wf_h2_memory(const wf_h2 *h2);  /* bytes held for streams */

/* A client's. What the peer allows is known when its SETTINGS have come; it never takes it back (RFC 8441 3). */
bool wf_h2_settled(const wf_h2 *h2);
bool wf_h2_websockets(const wf_h2 *h2);          /* extended CONNECT is allowed */
size_t wf_h2_room(const wf_h2 *h2);              /* streams that may be opened now */
bool wf_h2_left(const wf_h2 *h2);                /* the peer has sent GOAWAY */
wf_h2_stream *wf_h2_open(wf_h2 *h2, void *user); /* NULL: no memory */

/* Of one stream, until it is GONE or closed. */
void wf_h2_stream_set_user(wf_h2_stream *stream, void *user);
void *wf_h2_stream_user(const wf_h2_stream *stream);

/* Bytes taken, of the ranges together; 0: SENT will follow; WF_ENOMEM; WF_ELIMIT: a head is too long. */
int64_t wf_h2_stream_send(wf_h2_stream *stream, const struct iovec *ranges, int count);
size_t wf_h2_stream_waiting(const wf_h2_stream *stream);   /* bytes taken that wait for the peer to make room */
void wf_h2_stream_end(wf_h2_stream *stream);               /* behind what was sent: END_STREAM */
void wf_h2_stream_close(wf_h2_stream *stream, bool reset); /* what was sent still goes, unless it is reset */
void wf_h2_stream_pause(wf_h2_stream *stream);
void wf_h2_stream_resume(wf_h2_stream *stream);

#endif
