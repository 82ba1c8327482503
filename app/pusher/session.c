/*
 * A session ends when its client does not ask any more. pusher-js never says so: a stream or a poll that breaks is the
 * end of the session to it as well, so it is to us, at once. Between two polls it has some time.
 *
 * A client leaves a stream once it has had PUSH_STREAM_UNITS, and what is on its way then is lost. So the server stops
 * behind that length, counts as the client does, and keeps the rest for the next.
 */
#include "app/pusher/session.h"

#include "app/pusher/apps.h"
#include "app/pusher/trace.h"
#include "app/routes.h"

#include <stdlib.h>
#include <string.h>

enum {
    BEAT_MS = 25000, /* under the server's answer_timeout_ms of 30 s, and what proxies allow */
    ASKS_AGAIN_MS = 30000,
    SILENT_MS = 2 * BEAT_MS + 30000, /* of a stream: each beat is answered */
    INBOX_BYTES_MAX = 1 << 20,       /* over that it takes nothing more */
    INBOXES_BYTES_MAX = 64 << 20,    /* of an app; over that no inbox may have more than */
    INBOX_BYTES_FAIR = 16 << 10,
    CROWDED_ASKS_AGAIN_MS = 2000, /* more than who still is there takes between two polls */
    IDLE_MIN = 64,                /* that there may always be, beside a tenth of the app's connections */
};

const weft_header push_xhr_headers[PUSH_XHR_HEADERS] = {
    {"Content-Type", "text/plain; charset=utf-8"},
    {"X-Content-Type-Options", "nosniff"}, /* else a browser waits for more before it shows anything */
    {"Cache-Control", "no-store"},
    {"X-Accel-Buffering", "no"}, /* else nginx keeps it to itself */
    {"Access-Control-Allow-Origin", "*"}};

int push_xhr_reply(weft_request *request, weft_text frames) {
    app_log_request(request, 200);
    return weft_request_reply_with(request, 200, push_xhr_headers, PUSH_XHR_HEADERS, frames);
}

static push_sessions *all(const push_session *s) {
    return &s->app->sessions;
}

/* ---- the inbox ---- */

static void due(push_session *s) {
    if (s->due)
        return;
    s->due = true;
    s->due_next = all(s)->due;
    all(s)->due = s;
}

/* An idle session owns no buffer. */
static void took(push_session *s, size_t len) {
    push_text *inbox = &s->inbox;
    all(s)->inbox_bytes -= len;
    inbox->len -= len;
    if (inbox->len > 0)
        memmove(inbox->data, inbox->data + len, inbox->len);
    else
        push_text_free(inbox);
}

static void put(push_session *s, const char *frame, size_t len) {
    size_t before = s->inbox.len;
    push_put(&s->inbox, frame, len);
    all(s)->inbox_bytes += s->inbox.len - before;
    if (s->inbox.failed) { /* it would miss something */
        took(s, s->inbox.len);
        s->over = true;
    }
    due(s);
}

static void end_with(push_session *s, int code, const char *why) {
    push_text frame = {0};
    push_frame_close(&frame, code, why);
    if (frame.failed)
        s->over = true;
    else
        put(s, frame.data, frame.len);
    push_text_free(&frame);
    s->closing = true;
    if (!s->poll && !s->stream)
        s->until_ms = push_now_ms() + ASKS_AGAIN_MS;
}

static void put_frame(push_session *s, const push_text *frame) {
    if (s->closing || s->over)
        return;
    if (frame->failed) {
        s->over = true;
    } else if (s->inbox.len >= (all(s)->inbox_bytes < INBOXES_BYTES_MAX ? INBOX_BYTES_MAX : INBOX_BYTES_FAIR)) {
        took(s, s->inbox.len);
        push_count_code(&s->app->counts, 4100);
        end_with(s, 4100, "it is not read fast enough");
    } else {
        put(s, frame->data, frame->len);
    }
}

void push_session_say(push_session *s, const char *text, size_t len) {
    push_text frame = {0};
    push_frame_message(&frame, (weft_text) {text, len});
    put_frame(s, &frame);
    push_text_free(&frame);
}

void push_session_close(push_session *s, int code, const char *why) {
    if (!s->closing && !s->over)
        end_with(s, code, why);
}

void push_session_join(push_session *s, const char *topic) {
    if (!push_listen(&all(s)->topics, &s->listens, s, topic))
        push_session_close(s, 4100, "out of memory");
}

void push_session_leave(push_session *s, const char *topic) {
    push_unlisten(&all(s)->topics, &s->listens, topic);
}

void push_sessions_publish(push_sessions *sessions, const char *topic, weft_text text, const push_conn *except) {
    push_text frame = {0};
    push_listener *first = push_listeners(&sessions->topics, topic);
    if (first)
        push_frame_message(&frame, text);
    for (push_listener *l = first; l; l = l->next)
        if (!except || l->session->who != except)
            put_frame(l->session, &frame);
    push_text_free(&frame);
}

/* ---- to the client ---- */

static bool had_its_length(const push_session *s) {
    return s->units > PUSH_STREAM_UNITS;
}

/* A parked poll is left by a FIN, if not by more. */
static bool poll_was_left(const push_session *s) {
    return s->poll && (weft_request_gone(s->poll) || weft_request_half_closed(s->poll));
}

static void let_go_of_poll(push_session *s) {
    weft_request_unref(s->poll);
    s->poll = NULL;
    s->until_ms = push_now_ms() + ASKS_AGAIN_MS;
}

/* Without memory it stays as it is, until the next tick. */
static void answer_poll(push_session *s) {
    int got = push_xhr_reply(s->poll, (weft_text) {s->inbox.data, s->inbox.len});
    if (got == WEFT_ENOMEM)
        return;
    if (got == WEFT_OK)
        took(s, s->inbox.len);
    else
        s->over = true;
    let_go_of_poll(s);
}

static void stream(push_session *s) {
    weft_server *server = all(s)->server;
    size_t units = s->units, len = push_frames_fit(s->inbox.data, s->inbox.len, &units);
    if (len == 0 || weft_handle_send(server, s->stream, WEFT_TEXT, s->inbox.data, len) != WEFT_OK)
        return; /* it has gone, which we are told of; or memory was out */
    s->units = units;
    took(s, len);
    if (had_its_length(s))
        s->until_ms = push_now_ms() + ASKS_AGAIN_MS;
    if (s->closing && s->inbox.len == 0) {
        weft_handle_close(server, s->stream, WEFT_CLOSE_NORMAL, NULL);
        s->stream = 0;
    }
}

void push_sessions_flush(push_sessions *sessions) {
    for (push_session *s; (s = sessions->due);) {
        sessions->due = s->due_next;
        s->due = false;
        if (s->inbox.len == 0)
            continue;
        if (s->poll)
            answer_poll(s);
        else if (s->stream)
            stream(s);
    }
}

bool push_session_asks(push_session *s) {
    if (poll_was_left(s))
        let_go_of_poll(s);
    if (s->stream && had_its_length(s)) {
        weft_handle_close(all(s)->server, s->stream, WEFT_CLOSE_NORMAL, NULL);
        s->stream = 0;
    }
    return !s->poll && !s->stream && !s->opening;
}

static void receives_by(push_session *s, bool stream) {
    if (s->who && s->streams != stream)
        all(s)->streaming += stream ? 1 : (size_t)-1;
    s->streams = stream;
}

void push_session_poll(push_session *s, weft_request *request) {
    receives_by(s, false);
    s->poll = weft_request_ref(request);
    s->beat_ms = push_now_ms();
    due(s);
}

void push_session_open(push_session *s, weft_handle handle) {
    receives_by(s, true);
    s->opening = false;
    s->stream = handle;
    s->units = 0;
    s->beat_ms = s->heard_ms = push_now_ms();
    due(s);
}

void push_session_closed(push_session *s, weft_handle handle) {
    if (s->stream != handle)
        return;
    s->stream = 0;
    if (had_its_length(s))
        s->until_ms = push_now_ms() + ASKS_AGAIN_MS;
    else
        s->over = true;
}

/* ---- life and death ---- */

push_session *push_session_find(push_sessions *sessions, weft_text id) {
    for (push_link *l = push_table_first(&sessions->by_id, push_hash(id.data, id.len)); l; l = push_table_next(l)) {
        push_session *s = (push_session *)l;
        bool ended = s->over || (s->closing && s->inbox.len == 0);
        if (ended || !push_text_equal(push_str(s->id), id))
            continue;
        s->refs++;
        return s;
    }
    return NULL;
}

static size_t idle_max(const push_app *app) {
    return IDLE_MIN + app->settings->limits.connections / 10;
}

bool push_session_has_place(const push_app *app) {
    return app->sessions.idle < idle_max(app);
}

push_session *push_session_new(push_app *app, weft_text id, push_conn *who) {
    push_session *s = push_table_reserve(&app->sessions.by_id) ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    pthread_mutex_init(&s->turn, NULL);
    s->app = app;
    s->who = who;
    who->session = s;
    s->refs = 2; /* the table's, and the caller's */
    s->until_ms = push_now_ms() + ASKS_AGAIN_MS;
    memcpy(s->id, id.data, id.len < PUSH_SESSION_ID_MAX ? id.len : PUSH_SESSION_ID_MAX);
    push_table_add(&app->sessions.by_id, &s->link, push_hash(id.data, id.len));
    app->sessions.idle++;
    app->sessions.there++;
    put(s, "o{}\n", 4);
    return s;
}

void push_session_unref(push_session *s) {
    if (--s->refs > 0)
        return;
    pthread_mutex_destroy(&s->turn);
    free(s);
}

/* Nobody looks at a message of it now: it leaves its channels. */
static void depart(push_session *s, push_effects *e, uint64_t now_ms) {
    push_unlisten_all(&all(s)->topics, &s->listens);
    push_trace(s->app, "disconnected", s->who, (weft_text) {0}, push_str("without WebSocket"));
    push_disconnect(s->who, e, now_ms);
    receives_by(s, false);
    all(s)->there--;
    s->who = NULL;
}

static void remove_session(push_session *s) {
    took(s, s->inbox.len);
    if (s->poll) { /* memory was out, and it waits for what is lost */
        push_xhr_reply(s->poll, push_str("c[1011,\"out of memory\"]\n"));
        let_go_of_poll(s);
    }
    push_table_remove(&all(s)->by_id, &s->link);
    push_session_unref(s);
}

/* Signs of life, given and missed. */
static void beat(push_session *s, uint64_t now_ms) {
    if ((s->poll || (s->stream && !had_its_length(s))) && now_ms >= s->beat_ms + BEAT_MS && !s->closing) {
        put(s, "h\n", 2);
        s->beat_ms = now_ms;
    }
    if (s->stream && !had_its_length(s) && now_ms >= s->heard_ms + SILENT_MS && !s->closing) {
        push_count_code(&s->app->counts, 4201);
        push_session_close(s, 4201, "nothing was heard for too long");
    }
    if (poll_was_left(s)) {
        let_go_of_poll(s);
        s->over = true;
    }
    bool waits = s->poll || s->opening || (s->stream && !had_its_length(s));
    uint64_t less_ms = all(s)->crowded ? ASKS_AGAIN_MS - CROWDED_ASKS_AGAIN_MS : 0;
    if (!waits && now_ms + less_ms >= s->until_ms)
        s->over = true;
    all(s)->idle += !waits;
}

/* False: it has ended, and is not there any more. */
static bool goes_on(push_session *s, push_effects *e, uint64_t now_ms) {
    beat(s, now_ms);
    if ((s->over || s->closing) && s->who && pthread_mutex_trylock(&s->turn) == 0) {
        depart(s, e, now_ms);
        pthread_mutex_unlock(&s->turn);
    }
    if (s->inbox.len > 0 && !s->over && (s->poll || s->stream))
        due(s);
    bool told = s->closing && s->inbox.len == 0;
    if (s->who || s->due || !(s->over || told))
        return true;
    if (s->stream)
        weft_handle_close(all(s)->server, s->stream, WEFT_CLOSE_NORMAL, NULL);
    s->stream = 0;
    remove_session(s);
    return false;
}

void push_sessions_tick(push_sessions *sessions, push_effects *e, uint64_t now_ms, bool drains) {
    push_link *first = push_table_walk(&sessions->by_id, NULL);
    sessions->crowded = first && sessions->idle > idle_max(((push_session *)first)->app) / 2;
    sessions->idle = 0;
    for (push_link *l = first, *next; l; l = next) {
        push_session *s = (push_session *)l;
        next = push_table_walk(&sessions->by_id, l);
        if (goes_on(s, e, now_ms) && drains && !s->stream)
            push_session_close(s, WEFT_CLOSE_GOING_AWAY, "the server goes away");
    }
}

void push_sessions_stop(push_sessions *sessions, push_effects *e) {
    push_session *s;
    while ((s = (push_session *)push_table_walk(&sessions->by_id, NULL))) {
        if (s->who)
            depart(s, e, 0);
        remove_session(s);
    }
    sessions->due = NULL;
}

void push_sessions_free(push_sessions *sessions) {
    push_table_free(&sessions->by_id);
    push_table_free(&sessions->topics);
}
