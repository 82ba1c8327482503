/*
 * Who is in a room: connections that have a name take a seat in its list (here.h). Changes are told at most every
 * 250 ms, so that thousands who come at once are one line to each. The first worker does it; rooms that have something
 * to tell, or soon will, are in a queue and are held for it.
 */
#include "app/room_impl.h"

#include <pthread.h>

enum { TICK_MS = 250 };

/* Its lock is taken under a log's, never the other way round. */
static struct {
    pthread_mutex_t lock;
    room *first;
} due = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void queue(room *r) {
    pthread_mutex_lock(&due.lock);
    r->next_due = due.first;
    due.first = r;
    pthread_mutex_unlock(&due.lock);
}

static room *take_queue(void) {
    pthread_mutex_lock(&due.lock);
    room *first = due.first;
    due.first = NULL;
    pthread_mutex_unlock(&due.lock);
    return first;
}

static void changed(room *r) {
    if (r->is_due)
        return;
    r->is_due = true;
    r->refs++;
    queue(r);
}

static void done(room *r) {
    r->is_due = false;
    room_give_back(r);
}

void room_sit(room *r, const char *who, here_seat *seat) {
    if (!who)
        return;
    *seat = here_come(&r->here, who);
    changed(r);
}

void room_rise(room *r, here_seat *seat) {
    if (!seat->taken)
        return;
    here_go(&r->here, seat, room_auth_now_ms());
    changed(r);
}

static void tell(room *r) {
    app_text json = {0}, event = {0};
    if (here_tell(&r->here, room_auth_now_ms(), &json)) {
        app_event(&event, NULL, "here", &json);
        if (r->hearers[ROOM_ENVELOPES] > 0)
            room_publish_here(r, ROOM_ENVELOPES, &json);
        if (r->hearers[ROOM_EVENTS] > 0 && !event.failed)
            room_publish_here(r, ROOM_EVENTS, &event);
        room_unpark_hearers(r);
    }
    app_text_free(&json);
    app_text_free(&event);
}

static void tick(weft_server *server, void *unused) {
    (void)server;
    (void)unused;
    for (room *r = take_queue(), *next; r; r = next) {
        app_past *log = r->log;
        next = r->next_due;
        app_past_lock(log);
        tell(r);
        if (here_told_all(&r->here))
            done(r);
        else
            queue(r);
        app_past_unlock(log);
    }
}

bool room_here_setup(void) {
    return weft_server_every(room_server(), TICK_MS, tick, NULL) == WEFT_OK;
}

void room_here_stop(void) {
    for (room *r = take_queue(), *next; r; r = next) {
        app_past *log = r->log;
        next = r->next_due;
        app_past_lock(log);
        done(r);
        app_past_unlock(log);
    }
}
