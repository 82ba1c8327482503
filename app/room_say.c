/*
 * What is said in a room: appended to its log, which gives it its offset, and told to all who are there, under the log's
 * lock. With a store it is written first (store.h).
 */
#include "app/room_impl.h"
#include "app/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    app_shelf shelf;            /* its store NULL: there is none */
    uint32_t message_bytes_max; /* of a message in the store */
} stored;

app_shelf *room_say_setup(const app_config *config, app_store *store) {
    stored.shelf = (app_shelf) {store, ROOM_PREFIX};
    stored.message_bytes_max = config->history_bytes;
    return &stored.shelf;
}

static int publish_form(room_form form, const char *name, const char *text, size_t len) {
    room_topic_name to;
    return weft_publish(room_server(), room_topic(to, form, name), WEFT_TEXT, text, len);
}

void room_publish_here(room *r, room_form form, const app_text *text) {
    room_topic_name to;
    weft_publish(room_server(), room_here_topic(to, form, app_past_key(r->log)), WEFT_TEXT, text->data, text->len);
}

/* To those who get it with its offset. What cannot be said to them now they see as a gap in the offsets. */
static void publish_offset(room *r, const app_message *message) {
    if (r->readers[ROOM_ENVELOPES] + r->readers[ROOM_EVENTS] == 0 && !r->parked)
        return;
    app_text envelope = {0}, event = {0};
    app_place place = app_past_end(r->log);
    const char *name = app_past_key(r->log);
    app_envelope(&envelope, message);
    if (r->readers[ROOM_ENVELOPES] > 0 && !envelope.failed)
        publish_form(ROOM_ENVELOPES, name, envelope.data, envelope.len);
    if (r->readers[ROOM_EVENTS] > 0) {
        app_event(&event, &place, NULL, &envelope);
        if (!event.failed)
            publish_form(ROOM_EVENTS, name, event.data, event.len);
    }
    if (r->parked)
        room_unpark(r, &envelope);
    app_text_free(&envelope);
    app_text_free(&event);
}

/* To all who are in it, but for one that is known by connection or handle; under the lock. */
static int deliver(app_past *log, weft_conn *except, weft_handle except_handle, const app_message *m) {
    room_topic_name raw;
    room_topic(raw, ROOM_RAW, app_past_key(log));
    int got = WEFT_ENOMEM;
    for (int i = 0; i < 2 && got == WEFT_ENOMEM; i++) /* who gets it raw sees no gap: a second try is due to them */
        got = except ? weft_conn_publish(except, raw, m->kind, m->data, m->len)
                     : weft_publish_except(room_server(), raw, m->kind, m->data, m->len, except_handle);
    if (room_of(log))
        publish_offset(room_of(log), m);
    return got;
}

static int publish_now(app_past *log, weft_conn *except, weft_message message) {
    uint64_t offset = app_past_append(log, message.kind, message.data, message.len);
    if (offset == 0)
        return WEFT_ENOMEM;
    return deliver(log, except, 0, &(app_message) {offset, message.kind, message.data, message.len, 0});
}

/* One that is lost to a slow reader is made good by the next. */
static void acknowledge(weft_handle to, uint64_t said) {
    char text[40];
    int len = snprintf(text, sizeof text, "{\"ack\":%llu}", (unsigned long long)said);
    weft_handle_send(room_server(), to, WEFT_TEXT, text, (size_t)len);
}

/* ---- publishing by the store ---- */

/* A message on its way. */
typedef struct writing {
    app_write write;
    weft_request *request; /* a reference, to be answered; NULL: a member said it */
    weft_handle from;      /* that member */
    bool echoes;           /* it gets its own */
    uint64_t acks;         /* so many; 0: nobody asks */
    uint8_t data[];
} writing;

static void answer(weft_request *request, int got, const char *why_not) {
    char text[320];
    if (got == WEFT_OK) {
        room_reply(request, 204, NULL, (weft_text) {NULL, 0});
        return;
    }
    snprintf(text, sizeof text, "the message was not passed on: %s\n", why_not ? why_not : weft_status_text(got));
    room_reply(request, got == WEFT_ELIMIT ? 413 : 503, "text/plain; charset=utf-8", (weft_text) {text, strlen(text)});
}

static void on_stored(app_write *write, const char *why_not) {
    writing *w = (writing *)write;
    app_past *log = write->log;
    app_past_lock(log);
    if (!why_not) {
        app_past_append_stored(log, &write->message);
        deliver(log, NULL, w->echoes ? 0 : w->from, &write->message);
    }
    app_past_let_go(log);
    app_past_unlock(log);
    if (w->acks > 0 && !why_not)
        acknowledge(w->from, w->acks);
    if (w->request)
        answer(w->request, why_not ? WEFT_ESYS : WEFT_OK, why_not);
    else if (why_not)
        weft_handle_close(room_server(), w->from, WEFT_CLOSE_TRY_LATER, "a message could not be stored");
    weft_request_unref(w->request);
    free(w);
}

/* Under the lock. The time is that of the message's coming. */
static int publish_stored(app_past *log, weft_request *request, writing like, weft_message message) {
    if (message.len > stored.message_bytes_max)
        return WEFT_ELIMIT;
    writing *w = malloc(sizeof *w + message.len);
    if (!w)
        return WEFT_ENOMEM;
    *w = like;
    if (message.len > 0)
        memcpy(w->data, message.data, message.len);
    w->write = (app_write) {.shelf = &stored.shelf, .log = log, .done = on_stored};
    w->write.message =
        (app_message) {.kind = message.kind, .data = w->data, .len = message.len, .at_ms = room_time_ms()};
    w->request = request ? weft_request_ref(request) : NULL;
    app_past_hold(log);
    if (app_store_add(stored.shelf.store, &w->write))
        return WEFT_OK;
    app_past_let_go(log);
    weft_request_unref(w->request);
    free(w);
    return WEFT_FULL;
}

static void trace(const char *name, const char *who, weft_message message) {
    if (app_traced())
        app_trace(&(app_happening) {.what = "message",
                                    .app = APP_ROOMS,
                                    .who = who,
                                    .channel = {name, strlen(name)},
                                    .data = {(const char *)message.data, message.len}});
}

void room_publish(const char *name, weft_message message, weft_request *request) {
    static const char *const full = "more is waiting for the store than may";
    static const char *const long_one = "it is longer than the store may keep of a room (--history-max)";
    app_past *log = app_history_lock(room_history(), name);
    if (!log) {
        answer(request, WEFT_ENOMEM, "out of memory, or the store cannot be read");
        return;
    }
    trace(name, NULL, message);
    int got =
        stored.shelf.store ? publish_stored(log, request, (writing) {0}, message) : publish_now(log, NULL, message);
    app_past_unlock(log);
    if (!stored.shelf.store || got != WEFT_OK)
        answer(request, got, got == WEFT_FULL ? full : got == WEFT_ELIMIT ? long_one : NULL);
}

int room_say(weft_conn *conn, room_member *m, weft_message message) {
    if (!m->room)
        return WEFT_ECLOSED;
    app_past *log = m->room->log;
    weft_handle from = weft_conn_handle(conn);
    bool echoes = m->form != ROOM_RAW || m->echo;
    uint64_t acks = ++m->said * m->acks;
    app_past_lock(log);
    trace(m->name, m->peer, message);
    int got = stored.shelf.store
                  ? publish_stored(log, NULL, (writing) {.from = from, .echoes = echoes, .acks = acks}, message)
                  : publish_now(log, echoes ? NULL : conn, message);
    app_past_unlock(log);
    if (got == WEFT_OK && !stored.shelf.store && acks > 0)
        acknowledge(from, acks);
    return got;
}
