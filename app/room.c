/*
 * Joining is the delicate part. Who returns may have missed more than fits its queue, so it is sent as much as fits,
 * goes on when that has left (`drained`), and subscribes under the lock under which it saw that it has everything. When
 * the log forgets faster than it reads, it is told of the gap and goes on from there.
 *
 * With a store a message is first written, and appended and published when it is there (store.h).
 *
 * A room is there while somebody is in it; its log is then held.
 */
#include "app/room_impl.h"

#include "app/routes.h"
#include "app/store.h"
#include "app/trace.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOGS_MAX = 10000, IDLE_MS = 600000, TOTAL_BYTES_MAX = 64 << 20 };

static struct {
    weft_server *server;
    app_history *history;
    app_shelf shelf;            /* its store NULL: there is none */
    uint32_t message_bytes_max; /* of a message in the store */
    atomic_uint there, members[ROOM_FORMS];
} rooms;

bool room_setup(weft_server *server, const app_config *config, app_store *store) {
    rooms.server = server;
    rooms.shelf = (app_shelf) {store, ROOM_PREFIX};
    rooms.message_bytes_max = config->history_bytes;
    rooms.history = app_history_new(&(app_history_limits) {.messages_max = config->history_messages,
                                                           .bytes_max = config->history_bytes,
                                                           .total_bytes_max = TOTAL_BYTES_MAX,
                                                           .logs_max = LOGS_MAX,
                                                           .age_ms = config->history_age_ms,
                                                           .idle_ms = IDLE_MS,
                                                           .load = store ? app_shelf_load : NULL,
                                                           .store = &rooms.shelf});
    return rooms.history && room_poll_setup() && room_here_setup();
}

bool room_name_ok(const char *name) {
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;");
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0; /* browsers resolve them out of a path */
    return len > 0 && len <= ROOM_NAME_MAX && name[len] == '\0' && !dots;
}

typedef char topic_name[sizeof "here-json/" + ROOM_NAME_MAX];

static const char *topic_of(topic_name out, const char *prefix, const char *name) {
    size_t len = strlen(prefix);
    memcpy(out, prefix, len);
    memcpy(out + len, name, strlen(name) + 1);
    return out;
}

static const char *topic(topic_name out, room_form form, const char *name) {
    static const char *const prefixes[ROOM_FORMS] = {ROOM_PREFIX, "json/", "sse/"};
    return topic_of(out, prefixes[form], name);
}

static const char *here_topic(topic_name out, room_form form, const char *name) {
    return topic_of(out, form == ROOM_EVENTS ? "here-sse/" : "here-json/", name);
}

/* ---- a room, under its log's lock ---- */

app_history *room_history(void) {
    return rooms.history;
}

weft_server *room_server(void) {
    return rooms.server;
}

room *room_of(app_past *log) {
    return *app_past_user(log);
}

static uint64_t time_of_day_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

room *room_take(app_past *log) {
    room *r = room_of(log);
    if (!r) {
        if (!(r = calloc(1, sizeof *r)))
            return NULL;
        r->log = log;
        r->here.version = time_of_day_ms(); /* more than any before it had */
        *app_past_user(log) = r;
        atomic_fetch_add(&rooms.there, 1);
        app_past_hold(log);
    }
    r->refs++;
    return r;
}

void room_give_back(room *r) {
    if (--r->refs > 0)
        return;
    atomic_fetch_sub(&rooms.there, 1);
    *app_past_user(r->log) = NULL; /* the store may hold the log for longer */
    app_past_let_go(r->log);
    here_free(&r->here);
    free(r);
}

/* ---- publishing ---- */

static int publish_form(room_form form, const char *name, const char *text, size_t len) {
    topic_name to;
    return weft_publish(rooms.server, topic(to, form, name), WEFT_TEXT, text, len);
}

void room_publish_here(room *r, room_form form, const app_text *text) {
    topic_name to;
    weft_publish(rooms.server, here_topic(to, form, app_past_key(r->log)), WEFT_TEXT, text->data, text->len);
}

/* To those who get it with its offset. What cannot be said to them now they see as a gap in the offsets. */
static void publish_offset(room *r, const app_message *message) {
    if (r->readers[ROOM_ENVELOPES] + r->readers[ROOM_EVENTS] == 0 && !r->parked)
        return;
    app_text envelope = {0}, event = {0};
    app_place place = app_past_end(r->log);
    const char *name = app_past_key(r->log);
    app_envelope(&envelope, message);
    app_event(&event, &place, NULL, &envelope);
    if (r->readers[ROOM_ENVELOPES] > 0 && !envelope.failed)
        publish_form(ROOM_ENVELOPES, name, envelope.data, envelope.len);
    if (r->readers[ROOM_EVENTS] > 0 && !event.failed)
        publish_form(ROOM_EVENTS, name, event.data, event.len);
    if (r->parked)
        room_unpark(r, &envelope);
    app_text_free(&envelope);
    app_text_free(&event);
}

/* To all who are in it, but for one that is known by connection or handle; under the lock. */
static int deliver(app_past *log, weft_conn *except, weft_handle except_handle, const app_message *m) {
    topic_name raw;
    topic(raw, ROOM_RAW, app_past_key(log));
    int got = WEFT_ENOMEM;
    for (int i = 0; i < 2 && got == WEFT_ENOMEM; i++) /* who gets it raw sees no gap: a second try is due to them */
        got = except ? weft_conn_publish(except, raw, m->kind, m->data, m->len)
                     : weft_publish_except(rooms.server, raw, m->kind, m->data, m->len, except_handle);
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
    weft_handle_send(rooms.server, to, WEFT_TEXT, text, (size_t)len);
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
        weft_handle_close(rooms.server, w->from, WEFT_CLOSE_TRY_LATER, "a message could not be stored");
    weft_request_unref(w->request);
    free(w);
}

/* Under the lock. The time is that of the message's coming. */
static int publish_stored(app_past *log, weft_request *request, writing like, weft_message message) {
    if (message.len > rooms.message_bytes_max)
        return WEFT_ELIMIT;
    writing *w = malloc(sizeof *w + message.len);
    if (!w)
        return WEFT_ENOMEM;
    *w = like;
    if (message.len > 0)
        memcpy(w->data, message.data, message.len);
    w->write = (app_write) {.shelf = &rooms.shelf, .log = log, .done = on_stored};
    w->write.message =
        (app_message) {.kind = message.kind, .data = w->data, .len = message.len, .at_ms = time_of_day_ms()};
    w->request = request ? weft_request_ref(request) : NULL;
    app_past_hold(log);
    if (app_store_add(rooms.shelf.store, &w->write))
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
    app_past *log = app_history_lock(rooms.history, name);
    if (!log) {
        answer(request, WEFT_ENOMEM, "out of memory, or the store cannot be read");
        return;
    }
    trace(name, NULL, message);
    int got =
        rooms.shelf.store ? publish_stored(log, request, (writing) {0}, message) : publish_now(log, NULL, message);
    app_past_unlock(log);
    if (!rooms.shelf.store || got != WEFT_OK)
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
    int got = rooms.shelf.store
                  ? publish_stored(log, NULL, (writing) {.from = from, .echoes = echoes, .acks = acks}, message)
                  : publish_now(log, echoes ? NULL : conn, message);
    app_past_unlock(log);
    if (got == WEFT_OK && !rooms.shelf.store && acks > 0)
        acknowledge(from, acks);
    return got;
}

/* ---- members ---- */

static int send_text(weft_conn *conn, app_text *text) {
    int got = text->failed ? WEFT_ENOMEM : weft_conn_send(conn, WEFT_TEXT, text->data, text->len);
    app_text_free(text);
    return got;
}

/* Where it stands: at first, and again behind a gap. */
static int tell_place(weft_conn *conn, const room_member *m, bool recovered) {
    app_text json = {0}, event = {0};
    if (m->form == ROOM_RAW)
        return WEFT_OK; /* it knows of no places */
    app_envelope_place(&json, &m->place, recovered);
    if (m->form == ROOM_ENVELOPES)
        return send_text(conn, &json);
    app_event(&event, &m->place, m->returns && !recovered ? "gap" : "joined", &json);
    app_text_free(&json);
    return send_text(conn, &event);
}

static int send_message(weft_conn *conn, const room_member *m, const app_message *message) {
    app_text json = {0}, event = {0};
    if (m->form == ROOM_RAW)
        return weft_conn_send(conn, message->kind, message->data, message->len);
    app_envelope(&json, message);
    if (m->form == ROOM_ENVELOPES)
        return send_text(conn, &json);
    app_place id = m->place;
    id.offset = message->offset;
    app_event(&event, &id, NULL, &json);
    app_text_free(&json);
    return send_text(conn, &event);
}

/* The first word to it: where it begins. */
static int begin(weft_conn *conn, room_member *m) {
    bool recovered = room_begin_reading(
        m->room->log, &(room_reading) {.place = m->place, .returns = m->returns, .last = m->last}, &m->place);
    int got = tell_place(conn, m, recovered);
    m->told = got == WEFT_OK;
    return got;
}

/* Who is here, and from now on who comes and goes. */
static int hear(weft_conn *conn, const room_member *m) {
    topic_name name;
    app_text json = {0}, event = {0};
    here_write(&m->room->here, &json);
    if (m->form == ROOM_EVENTS)
        app_event(&event, NULL, "here", &json);
    int got = send_text(conn, m->form == ROOM_EVENTS ? &event : &json);
    app_text_free(&json);
    return got == WEFT_OK ? weft_conn_subscribe(conn, here_topic(name, m->form, app_past_key(m->room->log)), 0) : got;
}

/* Sends what it misses, as much as there is room for, and with all of it sent subscribes it. */
static int catch_up(weft_conn *conn, room_member *m) {
    topic_name name;
    app_past *log = m->room->log;
    int got = m->told ? WEFT_OK : begin(conn, m);
    while (got == WEFT_OK && m->place.offset < app_past_end(log).offset) {
        app_message message;
        if (!app_past_at(log, m->place.offset + 1, &message)) { /* forgotten meanwhile */
            app_place before = m->place;
            m->place.offset = app_past_first(log) - 1;
            m->returns = true;
            got = tell_place(conn, m, false);
            m->place = got == WEFT_OK ? m->place : before;
            continue;
        }
        got = send_message(conn, m, &message);
        m->place.offset += got == WEFT_OK;
    }
    if (got == WEFT_OK && m->hears)
        got = hear(conn, m);
    if (got == WEFT_OK)
        got = weft_conn_subscribe(conn, topic(name, m->form, app_past_key(log)), 0);
    m->joined = got == WEFT_OK;
    m->room->readers[m->form] += m->joined;
    m->room->hearers[m->form] += m->joined && m->hears;
    return got;
}

static void cannot(weft_conn *conn) {
    weft_conn_close(conn, WEFT_CLOSE_INTERNAL, "the room cannot be joined");
}

void room_go_on(weft_conn *conn, room_member *m) {
    if (!m->room || m->joined)
        return;
    app_past_lock(m->room->log);
    int got = catch_up(conn, m);
    app_past_unlock(m->room->log);
    if (got != WEFT_OK && got != WEFT_FULL)
        cannot(conn);
}

/* Comments keep a stream alive, and find out that nobody is there. */
static bool hear_beats(weft_conn *conn) {
    static const char hello[] = "retry: 2000\n\n";
    char name[32];
    snprintf(name, sizeof name, "beat/%u", room_next_beat());
    return weft_conn_send(conn, WEFT_TEXT, hello, sizeof hello - 1) == WEFT_OK &&
           weft_conn_subscribe(conn, name, 0) == WEFT_OK;
}

void room_enter(weft_conn *conn, room_member *m) {
    app_past *log = app_history_lock(rooms.history, m->name);
    m->room = log ? room_take(log) : NULL;
    if (m->room) {
        m->room->members++;
        room_sit(m->room, m->who, &m->seat);
        atomic_fetch_add(&rooms.members[m->form], 1);
    }
    if (log)
        app_past_unlock(log);
    bool in = m->room != NULL && (m->form != ROOM_EVENTS || hear_beats(conn));
    if (in)
        room_go_on(conn, m);
    if (!in)
        cannot(conn);
}

void room_leave(room_member *m) {
    room *r = m->room;
    if (!r)
        return;
    app_past *log = r->log;
    app_past_lock(log);
    r->members--;
    atomic_fetch_sub(&rooms.members[m->form], 1);
    r->readers[m->form] -= m->joined;
    r->hearers[m->form] -= m->joined && m->hears;
    room_rise(r, &m->seat);
    room_give_back(r);
    app_past_unlock(log);
}

/* ---- all rooms ---- */

typedef struct look {
    void (*see)(void *context, const room_info *info);
    void *context;
} look;

static void see_log(void *context, app_past *log) {
    const look *l = context;
    const room *r = room_of(log);
    app_place end = app_past_end(log);
    room_info info = {app_past_key(log), r ? r->members + r->parked_count : 0, end.offset,
                      app_past_first(log) <= end.offset};
    if (info.members > 0 || info.kept)
        l->see(l->context, &info);
}

void room_each(void (*see)(void *context, const room_info *info), void *context) {
    app_history_each(rooms.history, see_log, &(look) {see, context});
}

void room_count(room_counts *out) {
    *out = (room_counts) {.rooms = atomic_load(&rooms.there), .parked = room_parked_count()};
    for (int i = 0; i < ROOM_FORMS; i++)
        out->members[i] = atomic_load(&rooms.members[i]);
    app_history_count(rooms.history, &out->past);
}

void app_rooms_free(void) {
    app_history_free(rooms.history);
    rooms.history = NULL;
}
