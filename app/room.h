/*
 * room.h - a room: one log of messages, and whoever is in it by whatever transport. rooms.c has the WebSockets,
 * rooms_http.c the rest.
 *
 *                             /--> topic "rooms/NAME"  raw messages         WebSocket
 *     publish --> log, offset ---> topic "json/NAME"   envelopes            WebSocket with ?recover
 *                             \--> topic "sse/NAME"    server-sent events   GET, text/event-stream
 *                              \-> parked requests     JSON                 GET ?poll
 *
 *     come, go ---> list ---> topics "here-json/NAME" and "here-sse/NAME"   to those who ask who is here
 *                        \--> parked requests
 *
 * All of it under the log's lock, as is joining: each sees the messages in one order, and where it joined is a place
 * in it.
 */
#ifndef APP_ROOM_H
#define APP_ROOM_H

#include "app/app.h"
#include "app/envelope.h"
#include "app/here.h"
#include "app/history.h"
#include "app/room_auth.h"
#include "app/store.h"

#define ROOM_PREFIX "rooms/"

enum { ROOM_NAME_MAX = 200 - (sizeof ROOM_PREFIX - 1) };

typedef enum room_form { ROOM_RAW, ROOM_ENVELOPES, ROOM_EVENTS, ROOM_FORMS } room_form;

typedef struct room room;

/* What a connection in a room carries; its user pointer. */
typedef struct room_member {
    room_form form;
    bool echo;       /* RAW: it gets its own messages too; the others always do */
    bool acks;       /* it is told how many of its messages are in the room: {"ack":N} */
    bool returns;    /* it gave its place */
    bool told;       /* where it stands */
    bool joined;     /* it has all that is kept, and the rest comes by itself */
    bool publishes;  /* its token lets it */
    bool hears;      /* who is here; never RAW */
    uint32_t last;   /* of the past, when it has no place that can be recovered */
    uint64_t said;   /* messages */
    app_place place; /* not RAW: all up to here was sent */
    room *room;      /* once it has entered */
    char *who;       /* its name; NULL: it has none */
    here_seat seat;  /* once it has entered with one */
    room_bearer *bearer;
    char peer[64]; /* for the log; empty when nothing is logged */
    char name[ROOM_NAME_MAX + 1];
} room_member;

/* What a request wants to read. */
typedef struct room_reading {
    app_place place; /* behind which; without `returns` the last so many */
    bool returns;
    uint32_t last, limit; /* messages; limit 0: as many as fit */
    uint64_t ends_ms;     /* when the reader's token does; 0: never */
    const char *who;      /* its name; NULL: it has none */
    bool hears;           /* who is here, when that is not of this version: */
    uint64_t version;
} room_reading;

typedef struct room_info {
    const char *name;
    uint32_t members;
    uint64_t messages;
    bool kept; /* it has a past */
} room_info;

/* Of a connection in a room, on its own thread; NULL: it is none. */
const room_member *room_member_on(const weft_conn *conn);

/* Before the server runs. False: memory is out. The config must outlive it, and the store, which may be NULL. */
bool room_setup(weft_server *server, const app_config *config, app_store *store);

bool room_name_ok(const char *name);

/* To everyone, and answers the request: with a store when the message is stored. */
void room_publish(const char *name, weft_message message, weft_request *request);

/* What a member says, to all but those it does not echo to. WEFT_OK; WEFT_ENOMEM, WEFT_ECLOSED; with a store also
 * WEFT_FULL, WEFT_ELIMIT (longer than it may keep), and when it cannot be stored in the end the member is closed. */
int room_say(weft_conn *conn, room_member *member, weft_message message);

/* In `open`; `drained`, until it has joined; and `closed`. A connection that cannot go on is closed. */
void room_enter(weft_conn *conn, room_member *member);
void room_go_on(weft_conn *conn, room_member *member);
void room_leave(room_member *member);

/* Writes what there is behind the place, as {"next":"EPOCH:OFFSET","recovered":true,"messages":[..]}. True: something.
 * Not recovered: there is a gap, and it is read as by one without a place. */
bool room_read(const char *name, const room_reading *reading, app_text *out_json);

/* The same, and with nothing there the request is kept until there is: true. Then it is answered from wherever the
 * next message comes, or after the time, or with 401 when its token has ended. False: out_json is the answer; when that
 * is `failed`, there are too many already. */
bool room_read_or_park(const char *name, const room_reading *reading, weft_request *request, app_text *out_json);

/* What CORS needs: two headers for an origin that is welcome, else none. They live as long as `origin`. */
enum { ROOM_ORIGIN_BYTES = 256 };
size_t room_cors(const weft_request *request, char origin[ROOM_ORIGIN_BYTES], weft_header *out);

/* Answers with JSON, or with text that says what is wrong; readable to an origin that is welcome. */
void room_refuse(weft_request *request, int status, const char *text);
void room_reply(weft_request *request, int status, const char *content_type, weft_text body);

typedef struct room_counts {
    uint64_t rooms; /* with somebody in them */
    uint64_t members[ROOM_FORMS];
    uint64_t parked; /* requests that wait */
    app_history_counts past;
} room_counts;

void room_count(room_counts *out);

/* Each room that has members or a past. */
void room_each(void (*see)(void *context, const room_info *info), void *context);

#endif
