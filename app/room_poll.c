/*
 * Rooms by request: what there is behind a place, and requests that are parked until there is something. The first
 * worker beats: it keeps streams alive with a comment now and then, and answers what was parked for long.
 */
#include "app/log.h"
#include "app/room_impl.h"
#include "app/routes.h"

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
    TICK_MS = 250,
    READ_BYTES = 256 * 1024
};

struct room_parked {
    room_parked *next;
    weft_request *request; /* a reference */
    uint64_t until_s;
    uint64_t ends_ms; /* of its token; 0: never */
    here_seat seat;
    bool hears;
};

static struct {
    atomic_uint parked_count, dealt;
    uint64_t last_s; /* the first worker's */
    atomic_bool drains;
} beats;

static uint64_t now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

size_t room_cors(const weft_request *request, char origin[ROOM_ORIGIN_BYTES], weft_header *out) {
    weft_text from = weft_request_header(request, "Origin");
    if (from.len == 0 || from.len >= ROOM_ORIGIN_BYTES || !weft_request_origin_ok(request))
        return 0;
    memcpy(origin, from.data, from.len);
    origin[from.len] = '\0';
    out[0] = (weft_header) {"Access-Control-Allow-Origin", origin};
    out[1] = (weft_header) {"Vary", "Origin"};
    return 2;
}

void room_reply(weft_request *request, int status, const char *content_type, weft_text body) {
    char origin[ROOM_ORIGIN_BYTES];
    weft_header headers[4];
    size_t count = 0;
    if (content_type)
        headers[count++] = (weft_header) {"Content-Type", content_type};
    headers[count++] = (weft_header) {"Cache-Control", "no-store"};
    count += room_cors(request, origin, headers + count);
    app_log_request(request, status);
    app_reply_with(request, status, headers, count, body);
}

void room_refuse(weft_request *request, int status, const char *text) {
    room_reply(request, status, "text/plain; charset=utf-8", (weft_text) {text, strlen(text)});
}

bool room_begin_reading(const app_past *log, const room_reading *reading, app_place *out_place) {
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

static uint64_t version_of(app_past *log) {
    const room *r = room_of(log);
    return r ? r->here.version : 0;
}

/* Of an answer, with who is here when that is to be told. */
static void add_end(app_text *json, const room *r, bool tells) {
    static const here_list nobody;
    app_text_add(json, "]", 1);
    if (tells) {
        app_text_print(json, ",\"presence\":");
        here_write(r ? &r->here : &nobody, json);
    }
    app_text_add(json, "}\n", 2);
}

static bool read_log(app_past *log, const room_reading *reading, app_text *out_json) {
    app_place place;
    app_text messages = {0};
    app_message message;
    bool recovered = room_begin_reading(log, reading, &place);
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
    out_json->failed |= messages.failed;
    app_text_free(&messages);
    bool tells = reading->hears && (!recovered || reading->version != version_of(log));
    add_end(out_json, room_of(log), tells);
    return !recovered || place.offset > begin || tells;
}

bool room_read(const char *name, const room_reading *reading, app_text *out_json) {
    app_past *log = app_history_lock(room_history(), name);
    if (!log) {
        out_json->failed = true;
        return false;
    }
    bool any = read_log(log, reading, out_json);
    app_past_unlock(log);
    return any;
}

/* The second from which it has waited long enough. */
static uint64_t patience_s(uint64_t ends_ms) {
    uint64_t until_s = now_s() + PARKED_S, ends_s = (ends_ms + 999) / 1000;
    return ends_ms > 0 && ends_s < until_s ? ends_s : until_s;
}

static bool park(app_past *log, weft_request *request, const room_reading *reading) {
    room *r = room_of(log);
    if ((r && r->parked_count >= PARKED_IN_ROOM) || atomic_load(&beats.parked_count) >= PARKED_MAX)
        return false;
    room_parked *p = malloc(sizeof *p);
    if (!p || !(r = room_take(log))) {
        free(p);
        return false;
    }
    *p = (room_parked) {.next = r->parked,
                        .request = weft_request_ref(request),
                        .until_s = patience_s(reading->ends_ms),
                        .ends_ms = reading->ends_ms,
                        .hears = reading->hears};
    room_sit(r, reading->who, &p->seat);
    r->parked = p;
    r->parked_count++;
    atomic_fetch_add(&beats.parked_count, 1);
    return true;
}

/* Most clients leave by a FIN; one that only has no more to say gets its answer now. */
static bool was_left(const weft_request *request) {
    return weft_request_gone(request) || weft_request_half_closed(request);
}

static void answer(const room_parked *p, const app_text *json) {
    if (p->ends_ms > 0 && p->ends_ms <= room_auth_now_ms())
        room_auth_expired(p->request);
    else if (json->failed)
        room_refuse(p->request, 503, "out of memory\n");
    else
        room_reply(p->request, 200, "application/json", (weft_text) {json->data, json->len});
}

/* All that are parked are at the log's end but for `envelope` (NULL: nothing came). */
static void begin_answer(const room *r, const app_text *envelope, app_text *out_json) {
    app_place end = app_past_end(r->log);
    app_text_print(out_json, "{\"next\":\"%s:%llu\",\"recovered\":true,\"messages\":[", end.epoch,
                   (unsigned long long)end.offset);
    if (envelope)
        app_text_add(out_json, envelope->data, envelope->len);
    out_json->failed |= envelope && envelope->failed;
}

/* The room may then be gone. */
static void unpark_one(room *r, room_parked **at, const app_text *json) {
    room_parked *p = *at;
    *at = p->next;
    answer(p, json);
    weft_request_unref(p->request);
    room_rise(r, &p->seat);
    free(p);
    r->parked_count--;
    atomic_fetch_sub(&beats.parked_count, 1);
    room_give_back(r);
}

/* Answers those that are due by now; 0: all. */
static void unpark(room *r, uint64_t due_s, const app_text *envelope) {
    app_text json = {0};
    begin_answer(r, envelope, &json);
    add_end(&json, r, false);
    r->refs++;
    for (room_parked **at = &r->parked; *at;) {
        if (due_s && (*at)->until_s > due_s && !was_left((*at)->request))
            at = &(*at)->next;
        else
            unpark_one(r, at, &json);
    }
    app_text_free(&json);
    room_give_back(r);
}

void room_unpark_hearers(room *r) {
    app_text json = {0};
    begin_answer(r, NULL, &json);
    add_end(&json, r, true);
    r->refs++;
    for (room_parked **at = &r->parked; *at;) {
        if ((*at)->hears)
            unpark_one(r, at, &json);
        else
            at = &(*at)->next;
    }
    app_text_free(&json);
    room_give_back(r);
}

void room_unpark(room *r, const app_text *envelope) {
    unpark(r, 0, envelope);
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
    weft_publish(room_server(), name, WEFT_TEXT, ":\n\n", 3);
}

/* When a drain begins it comes at once. */
static void tick(weft_server *server, void *unused) {
    (void)server;
    (void)unused;
    bool drains = atomic_load(&beats.drains);
    uint64_t second = now_s(), due_s = drains ? 0 : second;
    if (second == beats.last_s && !drains)
        return;
    if (second > beats.last_s + BEATS) /* it stood still: one for each is enough */
        beats.last_s = second - BEATS;
    while (beats.last_s < second)
        beat(++beats.last_s);
    if (atomic_load(&beats.parked_count) > 0)
        app_history_each(room_history(), unpark_due, &due_s);
}

bool room_poll_setup(void) {
    beats.last_s = now_s();
    return weft_server_every(room_server(), TICK_MS, tick, NULL) == WEFT_OK;
}

/* Answered at once, it is here for as long as the grace. */
static void show_up(app_past *log, const char *who) {
    here_seat seat = {0};
    room *r = room_take(log);
    if (!r)
        return;
    room_sit(r, who, &seat);
    room_rise(r, &seat);
    room_give_back(r);
}

bool room_read_or_park(const char *name, const room_reading *reading, weft_request *request, app_text *out_json) {
    app_past *log = app_history_lock(room_history(), name);
    if (!log) {
        out_json->failed = true;
        return false;
    }
    bool waits = false;
    if (!read_log(log, reading, out_json) && !atomic_load(&beats.drains)) {
        waits = park(log, request, reading);
        out_json->failed |= !waits;
    } else if (reading->who) {
        show_up(log, reading->who);
    }
    app_past_unlock(log);
    return waits;
}

unsigned room_next_beat(void) {
    return atomic_fetch_add(&beats.dealt, 1) % BEATS;
}

uint32_t room_parked_count(void) {
    return atomic_load(&beats.parked_count);
}

void app_rooms_drain(void) {
    atomic_store(&beats.drains, true);
}

void app_rooms_stop(void) {
    if (!room_history())
        return;
    uint64_t all = 0;
    app_history_each(room_history(), unpark_due, &all);
    room_here_stop();
}
