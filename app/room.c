/*
 * Joining is the delicate part. Who returns may have missed more than fits its queue, so it is sent as much as fits,
 * goes on when that has left (`drained`), and subscribes under the lock under which it saw that it has everything. When
 * the log forgets faster than it reads, it is told of the gap and goes on from there.
 *
 * A room is there while somebody is in it; its log is then held. One thread beats: it keeps streams alive, ends what was
 * parked for long, and lets the history forget.
 */
#include "app/room.h"

#include "app/log.h"
#include "app/routes.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PARKED_MAX = 10000, /* of all rooms */
    PARKED_IN_ROOM = 1000,
    PARKED_S = 25, /* under the server's answer_timeout_ms of 30 */
    BEATS = 16,    /* each stream hears one of so many: a comment every 16 s */
    READ_BYTES = 256 * 1024,
    LOGS_MAX = 10000,
    IDLE_MS = 600000,
    TOTAL_BYTES_MAX = 64 << 20
};

typedef struct parked {
    struct parked *next;
    weft_request *request; /* a reference */
    uint64_t until_s;
} parked;

struct room {
    app_past *log;
    uint32_t refs; /* members and parked requests */
    uint32_t members;
    uint32_t readers[ROOM_FORMS]; /* that have subscribed */
    parked *parked;
    uint32_t parked_count;
};

static struct {
    weft_server *server;
    const app_config *config;
    app_history *history;
    atomic_uint parked_count, beat;
    pthread_t thread;
    pthread_mutex_t starting; /* the thread */
    atomic_bool runs;
    atomic_bool stops, drains;
    sem_t wake;
} rooms = {.starting = PTHREAD_MUTEX_INITIALIZER};

static uint64_t now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

bool room_setup(weft_server *server, const app_config *config) {
    rooms.server = server;
    rooms.config = config;
    rooms.history = app_history_new(&(app_history_limits) {.messages_max = config->history_messages,
                                                           .bytes_max = config->history_bytes,
                                                           .total_bytes_max = TOTAL_BYTES_MAX,
                                                           .logs_max = LOGS_MAX,
                                                           .idle_ms = IDLE_MS});
    return rooms.history && sem_init(&rooms.wake, 0, 0) == 0;
}

bool room_name_ok(const char *name) {
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;");
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0; /* browsers resolve them out of a path */
    return len > 0 && len <= ROOM_NAME_MAX && name[len] == '\0' && !dots;
}

typedef char topic_name[sizeof ROOM_PREFIX + ROOM_NAME_MAX];

static const char *topic(topic_name out, room_form form, const char *name) {
    static const char *const prefixes[ROOM_FORMS] = {ROOM_PREFIX, "json/", "sse/"};
    size_t len = strlen(prefixes[form]);
    memcpy(out, prefixes[form], len);
    memcpy(out + len, name, strlen(name) + 1);
    return out;
}

/* ---- a room, under its log's lock ---- */

static room *room_of(app_past *log) {
    return *app_past_user(log);
}

/* One more reference. NULL: memory is out. */
static room *take(app_past *log) {
    room *r = room_of(log);
    if (!r) {
        if (!(r = calloc(1, sizeof *r)))
            return NULL;
        r->log = log;
        *app_past_user(log) = r;
        app_past_hold(log);
    }
    r->refs++;
    return r;
}

static void give_back(room *r) {
    if (--r->refs > 0)
        return;
    app_past_let_go(r->log);
    free(r);
}

/* ---- answers ---- */

void room_reply(weft_request *request, int status, const char *content_type, weft_text body) {
    char origin[256];
    weft_text from = weft_request_header(request, "Origin");
    weft_header headers[4];
    size_t count = 0;
    if (content_type)
        headers[count++] = (weft_header) {"Content-Type", content_type};
    headers[count++] = (weft_header) {"Cache-Control", "no-store"};
    if (from.len > 0 && from.len < sizeof origin && weft_request_origin_ok(request)) {
        snprintf(origin, sizeof origin, "%.*s", (int)from.len, from.data);
        headers[count++] = (weft_header) {"Access-Control-Allow-Origin", origin};
        headers[count++] = (weft_header) {"Vary", "Origin"};
    }
    app_log_request(request, status);
    weft_request_reply_with(request, status, headers, count, body);
}

/* Where the answer's messages begin: behind `place` there is all. */
static bool begin_reading(const app_past *log, const room_reading *reading, app_place *out_place) {
    bool recovered = reading->returns && app_past_recovers(log, &reading->place);
    if (recovered) {
        *out_place = reading->place;
        return true;
    }
    *out_place = app_past_end(log);
    uint64_t kept = out_place->offset + 1 - app_past_first(log);
    out_place->offset -= reading->last < kept ? reading->last : kept;
    return false;
}

static bool read_log(const app_past *log, const room_reading *reading, app_text *out_json) {
    app_place place;
    app_text messages = {0};
    app_message message;
    bool recovered = begin_reading(log, reading, &place);
    uint64_t begin = place.offset;
    while (app_past_at(log, place.offset + 1, &message) && messages.len < READ_BYTES &&
           (reading->limit == 0 || place.offset - begin < reading->limit)) {
        if (place.offset++ > begin)
            app_text_add(&messages, ",", 1);
        app_envelope(&messages, &message);
    }
    app_text_print(out_json, "{\"next\":\"%s:%llu\",\"recovered\":%s,\"messages\":[", place.epoch,
                   (unsigned long long)place.offset, recovered ? "true" : "false");
    app_text_add(out_json, messages.data, messages.len);
    app_text_add(out_json, "]}\n", 3);
    out_json->failed |= messages.failed;
    app_text_free(&messages);
    return !recovered || place.offset > begin;
}

bool room_read(const char *name, const room_reading *reading, app_text *out_json) {
    app_past *log = app_history_lock(rooms.history, name);
    if (!log) {
        out_json->failed = true;
        return false;
    }
    bool any = read_log(log, reading, out_json);
    app_past_unlock(log);
    return any;
}

static bool park(app_past *log, weft_request *request) {
    room *r = room_of(log);
    if ((r && r->parked_count >= PARKED_IN_ROOM) || atomic_load(&rooms.parked_count) >= PARKED_MAX)
        return false;
    parked *p = malloc(sizeof *p);
    if (!p || !(r = take(log))) {
        free(p);
        return false;
    }
    *p = (parked) {.next = r->parked, .request = weft_request_ref(request), .until_s = now_s() + PARKED_S};
    r->parked = p;
    r->parked_count++;
    atomic_fetch_add(&rooms.parked_count, 1);
    return true;
}

/* Answers those that are due by now (0: all); they are at the log's end but for `envelope` (NULL: nothing came). */
static void unpark(room *r, uint64_t due_s, const app_text *envelope) {
    app_place end = app_past_end(r->log);
    app_text json = {0};
    app_text_print(&json, "{\"next\":\"%s:%llu\",\"recovered\":true,\"messages\":[", end.epoch,
                   (unsigned long long)end.offset);
    if (envelope)
        app_text_add(&json, envelope->data, envelope->len);
    app_text_add(&json, "]}\n", 3);
    r->refs++;
    for (parked **at = &r->parked, *p; (p = *at);) {
        if (due_s && p->until_s > due_s && !weft_request_gone(p->request)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        if (json.failed)
            app_reply_text(p->request, 503, "out of memory\n");
        else
            room_reply(p->request, 200, "application/json", (weft_text) {json.data, json.len});
        weft_request_unref(p->request);
        free(p);
        r->parked_count--;
        atomic_fetch_sub(&rooms.parked_count, 1);
        give_back(r);
    }
    app_text_free(&json);
    give_back(r);
}

/* ---- the beat ---- */

static void unpark_due(void *context, app_past *log) {
    room *r = room_of(log);
    if (r && r->parked)
        unpark(r, *(const uint64_t *)context, NULL);
}

static void beat(uint64_t second) {
    char name[32];
    snprintf(name, sizeof name, "beat/%u", (unsigned)(second % BEATS));
    weft_publish(rooms.server, name, WEFT_TEXT, ":\n\n", 3);
    uint64_t due_s = atomic_load(&rooms.drains) ? 0 : second;
    if (atomic_load(&rooms.parked_count) > 0)
        app_history_each(rooms.history, unpark_due, &due_s);
}

static void *run(void *unused) {
    (void)unused;
    for (uint64_t last = now_s(); !atomic_load(&rooms.stops);) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        sem_timedwait(&rooms.wake, &until);
        uint64_t second = now_s();
        if (atomic_load(&rooms.drains))
            last = second - 1;
        for (; last < second; last++)
            beat(last + 1);
    }
    return NULL;
}

/* From when somebody needs it: alone in its process, a thread makes each system call cheaper. False: there is none. */
static bool beats(void) {
    if (atomic_load(&rooms.runs))
        return true;
    sigset_t all, before;
    sigfillset(&all);
    pthread_mutex_lock(&rooms.starting);
    if (!atomic_load(&rooms.runs)) {
        pthread_sigmask(SIG_SETMASK, &all, &before);
        atomic_store(&rooms.runs, pthread_create(&rooms.thread, NULL, run, NULL) == 0);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_mutex_unlock(&rooms.starting);
    return atomic_load(&rooms.runs);
}

bool room_read_or_park(const char *name, const room_reading *reading, weft_request *request, app_text *out_json) {
    app_past *log = app_history_lock(rooms.history, name);
    if (!log) {
        out_json->failed = true;
        return false;
    }
    bool waits = false;
    if (!read_log(log, reading, out_json) && !atomic_load(&rooms.drains)) {
        waits = beats() && park(log, request);
        out_json->failed |= !waits;
    }
    app_past_unlock(log);
    return waits;
}

/* ---- publishing ---- */

static int publish_form(room_form form, const char *name, const char *text, size_t len) {
    topic_name to;
    return weft_publish(rooms.server, topic(to, form, name), WEFT_TEXT, text, len);
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
        unpark(r, 0, &envelope);
    app_text_free(&envelope);
    app_text_free(&event);
}

/* Under the lock, which is let go of. */
static int publish(app_past *log, weft_conn *except, weft_message message) {
    topic_name raw;
    topic(raw, ROOM_RAW, app_past_key(log));
    uint64_t offset = app_past_append(log, message.kind, message.data, message.len);
    int got = offset == 0 ? WEFT_ENOMEM
              : except    ? weft_conn_publish(except, raw, message.kind, message.data, message.len)
                          : weft_publish(rooms.server, raw, message.kind, message.data, message.len);
    if (offset > 0 && room_of(log))
        publish_offset(room_of(log), &(app_message) {offset, message.kind, message.data, message.len});
    app_past_unlock(log);
    return got;
}

int room_publish(const char *name, weft_message message) {
    app_past *log = app_history_lock(rooms.history, name);
    return log ? publish(log, NULL, message) : WEFT_ENOMEM;
}

int room_say(weft_conn *conn, const room_member *m, weft_message message) {
    if (!m->room)
        return WEFT_ECLOSED;
    app_past_lock(m->room->log);
    return publish(m->room->log, m->form == ROOM_RAW && !m->echo ? conn : NULL, message);
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
    app_envelope_place(&json, &m->place, recovered);
    if (m->form == ROOM_ENVELOPES)
        return send_text(conn, &json);
    app_event(&event, &m->place, m->returns && !recovered ? "gap" : "joined", &json);
    app_text_free(&json);
    return send_text(conn, &event);
}

static int send_message(weft_conn *conn, const room_member *m, const app_message *message) {
    app_text json = {0}, event = {0};
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
    bool recovered = begin_reading(m->room->log, &(room_reading) {m->place, m->returns, m->last, 0}, &m->place);
    int got = tell_place(conn, m, recovered);
    m->told = got == WEFT_OK;
    return got;
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
    if (got == WEFT_OK)
        got = weft_conn_subscribe(conn, topic(name, m->form, app_past_key(log)), 0);
    m->joined = got == WEFT_OK;
    m->room->readers[m->form] += m->joined;
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
    snprintf(name, sizeof name, "beat/%u", atomic_fetch_add(&rooms.beat, 1) % BEATS);
    return beats() && weft_conn_send(conn, WEFT_TEXT, hello, sizeof hello - 1) == WEFT_OK &&
           weft_conn_subscribe(conn, name, 0) == WEFT_OK;
}

void room_enter(weft_conn *conn, room_member *m) {
    topic_name name;
    app_past *log = app_history_lock(rooms.history, m->name);
    m->room = log ? take(log) : NULL;
    if (m->room)
        m->room->members++;
    if (log)
        app_past_unlock(log);
    bool in = m->room != NULL && (m->form != ROOM_EVENTS || hear_beats(conn));
    if (in && m->form == ROOM_RAW)
        in = weft_conn_subscribe(conn, topic(name, ROOM_RAW, m->name), m->last) == WEFT_OK;
    else if (in)
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
    r->readers[m->form] -= m->joined;
    give_back(r);
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

void app_rooms_drain(void) {
    atomic_store(&rooms.drains, true);
    sem_post(&rooms.wake);
}

void app_rooms_stop(void) {
    if (!rooms.history)
        return;
    atomic_store(&rooms.stops, true);
    sem_post(&rooms.wake);
    if (atomic_load(&rooms.runs))
        pthread_join(rooms.thread, NULL);
    uint64_t all = 0;
    app_history_each(rooms.history, unpark_due, &all);
}

void app_rooms_free(void) {
    app_history_free(rooms.history);
    rooms.history = NULL;
}
