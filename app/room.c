/*
 * Joining is the delicate part. Who returns may have missed more than fits its queue, so it is sent as much as fits,
 * goes on when that has left (`drained`), and subscribes under the lock under which it saw that it has everything. When
 * the log forgets faster than it reads, it is told of the gap and goes on from there.
 *
 * A room is there while somebody is in it; its log is then held.
 */
#include "app/room_impl.h"

#include "app/routes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOGS_MAX = 10000, IDLE_MS = 600000, TOTAL_BYTES_MAX = 64 << 20 };

static struct {
    weft_server *server;
    app_history *history;
    atomic_uint there, members[ROOM_FORMS];
} rooms;

bool room_setup(weft_server *server, const app_config *config, app_store *store) {
    rooms.server = server;
    app_shelf *shelf = room_say_setup(config, store);
    rooms.history = app_history_new(&(app_history_limits) {.messages_max = config->history_messages,
                                                           .bytes_max = config->history_bytes,
                                                           .total_bytes_max = TOTAL_BYTES_MAX,
                                                           .logs_max = LOGS_MAX,
                                                           .age_ms = config->history_age_ms,
                                                           .idle_ms = IDLE_MS,
                                                           .load = store ? app_shelf_load : NULL,
                                                           .store = shelf});
    return rooms.history && room_poll_setup() && room_here_setup();
}

bool room_name_ok(const char *name) {
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;");
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0; /* browsers resolve them out of a path */
    return len > 0 && len <= ROOM_NAME_MAX && name[len] == '\0' && !dots;
}

static const char *topic_of(room_topic_name out, const char *prefix, const char *name) {
    size_t len = strlen(prefix);
    memcpy(out, prefix, len);
    memcpy(out + len, name, strlen(name) + 1);
    return out;
}

const char *room_topic(room_topic_name out, room_form form, const char *name) {
    static const char *const prefixes[ROOM_FORMS] = {ROOM_PREFIX, "json/", "sse/"};
    return topic_of(out, prefixes[form], name);
}

const char *room_here_topic(room_topic_name out, room_form form, const char *name) {
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

uint64_t room_time_ms(void) {
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
        r->here.version = room_time_ms(); /* more than any before it had */
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
    room_topic_name name;
    app_text json = {0}, event = {0};
    here_write(&m->room->here, &json);
    if (m->form == ROOM_EVENTS)
        app_event(&event, NULL, "here", &json);
    int got = send_text(conn, m->form == ROOM_EVENTS ? &event : &json);
    app_text_free(&json);
    return got == WEFT_OK ? weft_conn_subscribe(conn, room_here_topic(name, m->form, app_past_key(m->room->log)), 0)
                          : got;
}

/* Sends what it misses, as much as there is room for, and with all of it sent subscribes it. */
static int catch_up(weft_conn *conn, room_member *m) {
    room_topic_name name;
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
        got = weft_conn_subscribe(conn, room_topic(name, m->form, app_past_key(log)), 0);
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
