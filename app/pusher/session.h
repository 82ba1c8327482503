/*
 * session.h - clients without a WebSocket: each a session that receives by answers to its requests, one after the
 * other, and sends by requests of their own (fallback.c). To the state it is a connection like any other.
 *
 * What it is to receive is put into its inbox, as frames, and leaves when the app's lock is let go of: into the stream
 * that is open, as the answer to the poll that waits, or with the next of these. So it has the order in which things
 * were said, whoever said them. All of this is under the app's lock, but for `turn`.
 */
#ifndef APP_PUSHER_SESSION_H
#define APP_PUSHER_SESSION_H

#include "app/pusher/frames.h"
#include "app/pusher/listeners.h"
#include "app/pusher/state.h"

#include <pthread.h>

struct push_session {
    push_link link; /* by id */
    struct push_app *app;
    push_conn *who;       /* NULL: it has left */
    pthread_mutex_t turn; /* whose message is looked at; taken before the app's lock. Only with it does it leave */
    uint32_t refs;
    push_text inbox;
    weft_request *poll; /* a reference: it waits for an answer */
    weft_handle stream; /* 0: there is none */
    size_t units;       /* that this stream has got */
    bool opening;       /* a stream is about to be there */
    bool closing;       /* it is told so; nothing is said to it any more */
    bool over;          /* it does not ask any more */
    bool due;           /* it may have something to deliver */
    bool streams;       /* that is how it received last; else it polls */
    uint64_t beat_ms;   /* the last sign of life that it got */
    uint64_t heard_ms;  /* and gave */
    uint64_t until_ms;  /* by then it asks again, when nothing of it waits */
    push_session *due_next;
    push_listener *listens;
    char id[PUSH_SESSION_ID_MAX + 1];
};

typedef struct push_sessions {
    weft_server *server;
    push_table by_id, topics;
    push_session *due;
    size_t inbox_bytes;      /* of all of them */
    size_t there, streaming; /* those that have not left, and among them those that stream */
    size_t idle;             /* that have no request open, as of the last tick, and all that have come since */
    bool crowded;            /* those have less time to open one */
} push_sessions;

/* Whether one more may begin: a session costs one request and no connection, so of an app's connections only a part may
 * be sessions that have none open. */
bool push_session_has_place(const struct push_app *app);

/* A reference; NULL: there is none, or it has ended. */
push_session *push_session_find(push_sessions *sessions, weft_text id);

/* `who` is its connection from now on. A reference; NULL: memory is out. */
push_session *push_session_new(struct push_app *app, weft_text id, push_conn *who);
void push_session_unref(push_session *s);

/* Whether it may receive by a new request. One at a time: a second client that came by the id gets nothing. But a
 * stream that has had its length may be left for another. */
bool push_session_asks(push_session *s);
void push_session_poll(push_session *s, weft_request *request); /* it asks by this one */
void push_session_open(push_session *s, weft_handle stream);
void push_session_closed(push_session *s, weft_handle stream);

void push_session_say(push_session *s, const char *text, size_t len);
void push_session_close(push_session *s, int code, const char *why);
void push_session_join(push_session *s, const char *topic);
void push_session_leave(push_session *s, const char *topic);

/* To all who listen but one. */
void push_sessions_publish(push_sessions *sessions, const char *topic, weft_text text, const push_conn *except);

/* Delivers what can be. */
void push_sessions_flush(push_sessions *sessions);

/* Now and then: signs of life, and the end of those who gave none. `drains`: the end of all who poll. */
void push_sessions_tick(push_sessions *sessions, push_effects *e, uint64_t now_ms, bool drains);

/* All of them end, and hold no request. The server is not running any more. */
void push_sessions_stop(push_sessions *sessions, push_effects *e);
void push_sessions_free(push_sessions *sessions);

/* An answer of frames, whole; and its head, which pages of any origin may read. Answers as weft_request_reply. */
enum { PUSH_XHR_HEADERS = 5 };
extern const weft_header push_xhr_headers[PUSH_XHR_HEADERS];
int push_xhr_reply(weft_request *request, weft_text frames);

#endif
