/*
 * link.h - one connection, from accept or dial to the last byte: it joins the socket, HTTP, the WebSocket session and
 * the queue, keeps the deadlines, and yields events by pull. No callbacks; nothing here knows routes or
 * applications.
 *
 *            received                         next
 *      loop ---------> link [ HTTP | OPEN ] ---------> server
 *           <--------- queue <------------------------
 *             flush              send, reply, accept
 *
 *   server
 *      HTTP ---HTTP/2---> RAW ---> LINGER
 *      HTTP ---request---> WAITING ---accept---> OPEN ---close---> CLOSING ---> LINGER ---> DEAD
 *        ^-----reply---------' |                   '---- fault, error, deadline ------------^
 *                              '---stream---> STREAM ---close---> STREAM_END ---> LINGER
 *   client
 *      CONNECTING ---connected---> REPLY ---answer---> WAITING ---open---> OPEN, and on as above
 *                                    '-----HTTP/2-----> RAW
 *
 * HTTP     reads a request.
 * RAW      HTTP/2: bytes for whoever makes streams of them, and from him.
 * WAITING  the request is the server's to answer; nothing is read.
 * CONNECTING  a client's request waits for the connection; behind the connection to a proxy, for its answer.
 * REPLY    the request is sent, its answer is read. WAITING is then the client's, to judge it.
 * OPEN     a WebSocket.
 * STREAM   the body of an answer that goes on: what is sent becomes its bytes. What the peer sends is passed over.
 * STREAM_END  the body's end is queued.
 * CLOSING  our close frame is queued; the peer's may still come.
 * LINGER   all is said; what the peer still sends is passed over. Behind a FIN of ours, so that no reset eats our last
 *          words; in a client, when both close frames are through, until the server ends it (RFC 6455 7.1.1).
 * DEAD     the socket is closed.
 *
 * Reading rests while a request waits for its answer, while the queue is at its budget, while the peer has sent too
 * many pings, while its owner has paused it, and until the next turn when much was inflated in this one. What had been
 * read by then is kept in `held`. So an application that answers each message with at most one of its own never finds
 * the queue full.
 */
#ifndef WF_LINK_LINK_H
#define WF_LINK_LINK_H

#include "base/counter.h"
#include "base/timer.h"
#include "base/usual.h"
#include "http/reply.h"
#include "http/request.h"
#include "hub/outq.h"
#include "link/deadlines.h"
#include "link/keys.h"
#include "net/port.h"
#include "tls/tls.h"
#include "ws/deflate.h"
#include "ws/extension.h"
#include "ws/session.h"

/* Per route or dial. */
typedef struct wf_link_limits {
    wf_ws_limits ws;
    wf_pmd_config pmd;
    wf_intervals intervals;
    uint32_t queue_bytes_max;
    wf_slow_policy slow_policy;
    uint32_t close_timeout_ms;
    int ping_timeout_code;
    uint32_t pings_per_second;
    uint32_t handshake_timeout_ms; /* a client's, from connected to a whole answer */
} wf_link_limits;

/* Per server, before a route is known. Of a client only the limits, send_timeout_ms and keep_alive_ms. */
typedef struct wf_link_http {
    wf_http_limits limits;
    uint32_t handshake_timeout_ms, answer_timeout_ms, keep_alive_ms, send_timeout_ms;
    bool h2c; /* HTTP/2 without TLS is understood (RFC 9113 3.3) */
} wf_link_http;

/* What the links of one loop share. Counters may be read from any thread. */
typedef struct wf_link_env {
    wf_loop *loop;
    wf_timers timers;
    uint64_t now_ms; /* of this turn */
    uint32_t turn;   /* its number: only changes count */
    wf_outq_pool pool;
    wf_codec codec;
    wf_tls_shared tls;
    const wf_link_http *http;
    wf_mask_keys *keys;        /* a client's; NULL in a server */
    uint64_t ping_secret;      /* random: turns the time of a ping into its payload */
    atomic_size_t *blob_bytes; /* counts what is shared; NULL: nobody does */
    struct wf_link *lender;    /* whose input is the loop's buffer now, and may be lent to its queue; NULL: nobody's */
    const uint8_t *lent_data;  /* that input */
    size_t input_bytes;        /* held for links: cut messages, resting input, HTTP/2 */
    wf_counter bytes_in, bytes_out, messages_in, messages_out;
} wf_link_env;

typedef enum wf_link_stage {
    WF_LINK_HTTP,
    WF_LINK_RAW,
    WF_LINK_WAITING,
    WF_LINK_CONNECTING,
    WF_LINK_REPLY,
    WF_LINK_OPEN,
    WF_LINK_STREAM,
    WF_LINK_CLOSING,
    WF_LINK_STREAM_END,
    WF_LINK_LINGER,
    WF_LINK_DEAD
} wf_link_stage;

typedef enum wf_link_event_kind {
    WF_LINK_REQUEST,    /* whole; take the reader (wf_link_take_reader), then answer */
    WF_LINK_BROKEN,     /* not HTTP, over a limit or too slow: answer the close_code of the fault, closing; or no TLS */
    WF_LINK_UNANSWERED, /* the request waited too long: answer 503 */
    WF_LINK_REPLIED,    /* a client's: the answer is whole; take it (wf_link_take_reply), then open or die */
    WF_LINK_HTTP2,      /* the peer speaks HTTP/2: it is RAW. message.data, .len: its first bytes, as far as they are
                           not among the BYTES that follow */
    WF_LINK_BYTES,      /* RAW, and from a proxy: message.data, .len; from a proxy 0: it has said all */
    WF_LINK_MESSAGE,    /* message */
    WF_LINK_PONG,       /* our ping was answered; link->rtt_ns is new */
    WF_LINK_CONTROL,    /* message: a ping, which has been answered, or a pong that answers none of ours */
    WF_LINK_DRAINED,    /* the queue is empty after a send was refused */
    WF_LINK_ENDED       /* once, last; wf_link_end_of says how */
} wf_link_event_kind;

typedef struct wf_link_event {
    wf_link_event_kind kind;
    wf_ws_event message;
} wf_link_event;

/* How a connection ends. */
typedef struct wf_link_end {
    wf_fault fault;                    /* why, if not by a plain close */
    uint16_t sent_code, received_code; /* 0: no close frame; 1005: one without a code */
    bool by_peer;                      /* the peer's close frame came before ours went */
    char *reason;                      /* the peer's, NUL-terminated, owned; NULL: none */
} wf_link_end;

/* What few connections have, and all in the end. */
typedef struct wf_link_aside {
    wf_link_end end;
    wf_tls *tls; /* owned; NULL: the socket carries plain bytes */
} wf_link_aside;

/* What a connection may have inflated in one turn before the others come: as much as it could send plain. */
enum { WF_LINK_WORK_PER_TURN = 256 * 1024 };

/* A published frame from this length on is compressed once for all, for connections with a context of their own too:
 * context would save little of it, and compressing it for each would be much work for whoever makes us do it. */
enum { WF_LINK_SHARED_BYTES = 4096 };

/* permessage-deflate on one connection, both directions. */
typedef struct wf_link_pmd {
    wf_inflate in;
    wf_deflate out;
    uint32_t turn, work_seen; /* when it was last pulled, and in.work at the beginning of that turn */
} wf_link_pmd;

/* Input that was not used when reading came to rest. */
typedef struct wf_held {
    size_t len;
    uint8_t data[];
} wf_held;

/* Some 220 bytes, and nothing else while it is idle. What is needed only now and then is a block of its own, taken
 * when it is needed and given back after it:
 *
 *      wf_link [sock|timer|deadlines|stage|... ]
 *        q     --> segments, while something is queued          --> aside: control frames, and what is held
 *        ws    --> part: a frame or message that is begun --> its bytes, when it is cut
 *        held  --> input, while reading rests
 *        reader--> a request that is being read                  ws.inflate --> permessage-deflate, when agreed on
 *        aside --> why and how, once it ends; and TLS */
typedef struct wf_link {
    wf_sock sock;
    uint32_t message_seen; /* bytes of a begun message when last looked, low half: only changes count */
    wf_link_env *env;
    void *user; /* the application's: carried, not looked at */
    wf_timer timer;
    wf_outq q;
    wf_ws ws;       /* from OPEN on; before, only its role, input and limits are used */
    wf_held *held;  /* owned; NULL: none. Input that came while reading rests; the session reads from it then */
    size_t counted; /* of env->input_bytes */
    wf_deadlines deadlines;
    uint8_t stage;
    /* Bits, so that one look tells that none of them is set. */
    bool input_over : 1;    /* the peer sent FIN */
    bool close_after : 1;   /* HTTP: close when all is sent */
    bool connected : 1;     /* a client's: the first bytes have begun to leave */
    bool tunnels : 1;       /* a client's: they are for a proxy, and so is what comes */
    bool waits_upgrade : 1; /* the request that waits for its answer is a handshake */
    bool served : 1;        /* HTTP: not the first request */
    bool in_flight : 1;     /* the loop has our bytes and will tell */
    bool want_drained : 1;  /* a send was refused */
    bool deflates : 1;      /* permessage-deflate was agreed on; stays when it is gone */
    bool end_lost : 1;      /* there was no memory to say how it ended */
    bool secure : 1;        /* aside->tls is there */
    bool paused : 1;        /* its owner wants no messages for now */
    bool is_stream : 1;     /* it became a STREAM; stays */
    bool chunked : 1;       /* its bytes go in chunks (RFC 9112 7.1); else the end of the connection ends them */
    bool due_broken : 1, due_unanswered : 1, due_ended : 1; /* events to come */
    union {
        wf_http_reader *reader;      /* before OPEN, a server's: while a request is being read */
        wf_http_reply_reader *reply; /* before OPEN, a client's: while the answer is */
        uint64_t ping_ns;            /* from OPEN on: when our last ping went */
    };
    uint64_t rtt_ns;      /* what the last pong told */
    wf_link_aside *aside; /* owned; NULL: no TLS, and nothing has ended it */
} wf_link;

/* Adopts a connected descriptor and starts the handshake deadline. `tls` NULL: it carries plain bytes. 0; or WF_ESYS or
 * WF_ENOMEM: descriptor and tls stay the caller's then and there is nothing to free. */
int wf_link_init(wf_link *link, wf_link_env *env, int fd, wf_tls *tls);

/* The same on a port. */
int wf_link_init_on_port(wf_link *link, wf_link_env *env, wf_port *port);

/* A client's, CONNECTING and without a socket yet: starts the connect deadline (WF_NEVER: none). `limits` must
 * outlive it. */
void wf_link_dial(wf_link *link, wf_link_env *env, const wf_link_limits *limits, uint32_t connect_timeout_ms);

/* Its connect deadline is so far from now (WF_NEVER: there is none). */
void wf_link_expect(wf_link *link, uint32_t timeout_ms);

/* Gives it a descriptor that is connecting or connected, and queues the request; with `tls` its hello goes first, and
 * the request may be empty.
 * WF_OK; WF_ESYS with errno, or WF_ENOMEM: descriptor and tls stay the caller's and it may be tried again. */
int wf_link_connect(wf_link *link, int fd, wf_tls *tls, wf_str request);

/* The same on a port, whose sock below is connected: REPLY. WF_OK, or WF_ENOMEM. */
int wf_link_connect_port(wf_link *link, wf_port *port, wf_str request);

/* CONNECTING becomes REPLY, with its deadline: whoever will carry its request is connected. */
void wf_link_connected(wf_link *link);

/* Right after wf_link_connect: what it was given is for a proxy. CONNECTING goes on, and until wf_link_through what
 * comes is BYTES and wf_link_send_raw answers. */
void wf_link_tunnel(wf_link *link);

/* The proxy has made the connection: as wf_link_connect, on the same socket. WF_OK, or WF_ENOMEM. */
int wf_link_through(wf_link *link, wf_tls *tls, wf_str request);

void wf_link_deinit(wf_link *link); /* closes what is open, at once */

/* TLS: what was received is opened, *data and *len say where it is. False: there is nothing to be read. */
bool wf_link_unseal(wf_link *link, uint8_t **data, size_t *len);

/* All that was queued is the kernel's; with TLS, what was sealed too. */
static inline bool wf_link_all_sent(const wf_link *link) {
    return link->q.bytes == 0 && !link->in_flight;
}

/* Bytes to be read, as they came. */
static inline void wf_link_feed(wf_link *link, uint8_t *data, size_t len) {
    if (link->stage >= WF_LINK_LINGER || (link->secure && !wf_link_unseal(link, &data, &len)))
        return;
    wf_assert(!link->held);
    wf_ws_feed(&link->ws, data, len);
}

/* What comes when all is said: of interest is a server's close_notify alone. */
void wf_link_pass_over(wf_link *link, const uint8_t *data, size_t len);

/* From the loop. After each call, and after flush, pull events until there is none. */
static inline void wf_link_received(wf_link *link, uint8_t *data, size_t len) {
    if (link->sock.kind != WF_SOCK_PORT) /* else they are counted where they come by */
        wf_count_add(&link->env->bytes_in, len);
    link->deadlines.input_ms = (uint32_t)link->env->now_ms;
    if (link->stage >= WF_LINK_LINGER)
        wf_link_pass_over(link, data, len);
    else
        wf_link_feed(link, data, len);
}

void wf_link_sent(wf_link *link, size_t len);
void wf_link_waits(wf_link *link); /* WF_LOOP_WAITS: what counts as sent has not left yet, but goes on */

/* As received, with a promise: wf_link_settle is called before the loop takes `data` back. A long message that is
 * answered with itself is then sent from there, and copied only when the kernel does not take it by that time. */
static inline void wf_link_received_lent(wf_link *link, uint8_t *data, size_t len) {
    link->env->lender = link;
    link->env->lent_data = data;
    wf_link_received(link, data, len);
}

void wf_link_settle_queue(wf_link *link);
static inline void wf_link_settle(wf_link *link) {
    link->env->lender = NULL;
    if (link->q.lent)
        wf_link_settle_queue(link);
}

void wf_link_input_over(wf_link *link);
void wf_link_failed(wf_link *link, int sys_errno);

/* The rule of a connection that broke: its sys_errno says how. */
extern const char wf_link_broke[];
void wf_link_timer_due(wf_link *link);
void wf_link_flush(wf_link *link);

/* Something may have become of it besides new input: pull. */
static inline bool wf_link_runnable(const wf_link *link) {
    return link->deadlines.resting || link->want_drained || link->due_ended || link->due_broken || link->due_unanswered;
}

/* Owned; NULL: messages are not compressed. */
static inline wf_link_pmd *wf_link_pmd_of(const wf_link *link) {
    return (wf_link_pmd *)link->ws.inflate; /* its first member */
}

/* An open WebSocket with nothing due and no reason to rest. */
static inline bool wf_link_as_usual(const wf_link *link) {
    return link->stage == WF_LINK_OPEN && !wf_link_runnable(link) && !link->deadlines.in_message && !link->input_over &&
           !link->deadlines.until_ms && !wf_link_pmd_of(link) && !wf_outq_full(&link->q);
}

/* The parts of wf_link_next: of a WebSocket where nothing is unusual, and of everything. */
int wf_link_next_ws(wf_link *link, wf_link_event *out_event);
int wf_link_next_event(wf_link *link, wf_link_event *out_event);

/* WF_OK: an event; its payload lives until the next call. WF_WANT_INPUT: none now. */
static inline int wf_link_next(wf_link *link, wf_link_event *out_event) {
    if (wf_usual(wf_link_as_usual(link))) {
        if (link->ws.in_len == 0 && wf_ws_at_rest(&link->ws))
            return WF_WANT_INPUT;
        if (wf_usual(wf_link_next_ws(link, out_event) == WF_OK))
            return WF_OK;
    }
    return wf_link_next_event(link, out_event);
}

/* HTTP side. The reader taken is the caller's, with the request in it. */
wf_http_reader *wf_link_take_reader(wf_link *link);

/* The server's mind about a connection that has not sent its request: it becomes BROKEN with this status. */
void wf_link_refuse(wf_link *link, int http_status, const char *rule);

/* Queues an answer, head and body in one. Then reads the next request, or with `close` sends it and ends.
 * WF_ECLOSED: nothing waits for an answer. WF_ENOMEM: the connection ends. */
int wf_link_reply(wf_link *link, const void *bytes, size_t len, bool close);

/* Queues the 101 and becomes a WebSocket. `limits` must outlive the link. Same answers. */
int wf_link_accept(wf_link *link, const void *bytes, size_t len, const wf_link_limits *limits);

/* How the bytes of a body that goes on are laid out, or that there are none: the answer to HEAD. */
typedef enum wf_link_body { WF_LINK_BODY_AS_IS, WF_LINK_BODY_CHUNKED, WF_LINK_BODY_NONE } wf_link_body;

/* Queues the head of an answer and becomes a STREAM; without a body it is at its end already. What is sent and
 * published from then on are the body's bytes. `limits` must outlive the link. Same answers. */
int wf_link_stream(wf_link *link, const wf_str *head, const wf_link_limits *limits, wf_link_body body);

/* RAW, and to a proxy: queues bytes; and what is queued is the last. Reading rests while much is queued: room is what
 * is left until then. */
int wf_link_send_raw(wf_link *link, const void *bytes, size_t len);
void wf_link_raw_begin(wf_link *link); /* a client's in REPLY: what comes is HTTP/2. No deadline runs */
size_t wf_link_raw_room(const wf_link *link);
bool wf_link_raw_input_over(const wf_link *link); /* the peer sends no more, and all it sent was pulled */
void wf_link_raw_idle(wf_link *link, bool idle);  /* it ends after keep_alive_ms of that */
void wf_link_raw_end(wf_link *link);

/* Client side. The reader taken is the caller's, with the answer in it. */
wf_http_reply_reader *wf_link_take_reply(wf_link *link);

/* The answer was as it should be: it becomes a WebSocket. */
void wf_link_open(wf_link *link);

/* Right after an accept or open whose 101 agreed to permessage-deflate with these parameters. WF_OK, or WF_ENOMEM: it
 * ends. */
int wf_link_deflate(wf_link *link, const wf_pmd_params *params);

/* WebSocket side; of a STREAM the payloads are the body's bytes. WF_OK, WF_FULL, WF_ECLOSED, WF_ENOMEM, WF_EINVAL
 * (out of order); a client's also WF_ESYS (wf_mask_key). A message is compressed when that was agreed on and it pays;
 * one that is sent plain or in fragments never is. */
int wf_link_send(wf_link *link, uint8_t opcode, const void *data, size_t len);
int wf_link_send_plain(wf_link *link, uint8_t opcode, const void *data, size_t len);
int wf_link_send_fragment(wf_link *link, uint8_t opcode, const void *data, size_t len, bool fin);
int wf_link_send_control(wf_link *link, uint8_t opcode, const void *data, size_t len); /* a ping or pong, in order */
int wf_link_ping(wf_link *link);
int wf_link_close(wf_link *link, int code, const char *reason);

/* While it is OPEN nothing is read, from the next pull on: no control frames either. Resumed, it is pulled by the next
 * turn. */
void wf_link_pause(wf_link *link, bool pause);

/* Fails the connection: what is not begun is dropped, a close frame with `code` and the rule goes out, then
 * FIN. In HTTP: just ends; a body is cut with a reset, so that nobody takes it for whole. */
void wf_link_fail(wf_link *link, int code, const char *rule);
void wf_link_abort(wf_link *link); /* now, with a reset */

/* Closes the socket now; ENDED will be pulled. The first fault sticks. */
void wf_link_die(wf_link *link, int sys_errno, const char *rule);

/* How it ends, as far as that is known; of one that goes on all is zero. Lives as long as the link. */
const wf_link_end *wf_link_end_of(const wf_link *link);

/* NULL in a server before it is accepted. */
static inline const wf_link_limits *wf_link_limits_of(const wf_link *link) {
    return (const wf_link_limits *)link->ws.limits; /* its first member */
}

/* What is sent and published goes out. */
static inline bool wf_link_is_open(const wf_link *link) {
    return link->stage == WF_LINK_OPEN || link->stage == WF_LINK_STREAM;
}

/* We have dialled, from the first moment on. */
static inline bool wf_link_is_client(const wf_link *link) {
    return link->ws.role == WF_WS_CLIENT;
}

/* Owned; NULL: the socket carries plain bytes. */
static inline wf_tls *wf_link_tls_of(const wf_link *link) {
    return link->secure ? link->aside->tls : NULL;
}

/* Bytes held in and out. */
static inline size_t wf_link_memory(const wf_link *link) {
    return link->counted + wf_outq_weight(&link->q) + (link->secure ? wf_tls_waiting(link->aside->tls) : 0);
}

#endif
