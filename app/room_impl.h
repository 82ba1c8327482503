/*
 * room_impl.h - what room.c, room_say.c, room_poll.c and room_here.c share. All of a room stands under its log's lock.
 */
#ifndef APP_ROOM_IMPL_H
#define APP_ROOM_IMPL_H

#include "app/here.h"
#include "app/room.h"

typedef struct room_parked room_parked;

struct room {
    app_past *log;
    uint32_t refs; /* members, parked requests, and the queue below */
    uint32_t members;
    uint32_t readers[ROOM_FORMS]; /* that have subscribed */
    room_parked *parked;
    uint32_t parked_count;

    here_list here;
    uint32_t hearers[ROOM_FORMS]; /* that are told of it; of parked requests each knows */
    bool is_due;                  /* it is in room_here.c's queue */
    room *next_due;
};

/* room.c */
app_history *room_history(void); /* of all rooms; NULL before the setup */
weft_server *room_server(void);
room *room_of(app_past *log);   /* NULL: nobody is there */
room *room_take(app_past *log); /* one more reference; NULL: memory is out */
void room_give_back(room *r);
uint64_t room_time_ms(void); /* of the day */

typedef char room_topic_name[sizeof "here-json/" + ROOM_NAME_MAX];
const char *room_topic(room_topic_name out, room_form form, const char *name);
const char *room_here_topic(room_topic_name out, room_form form, const char *name);

/* room_say.c: where the store has rooms. The config must outlive it. */
app_shelf *room_say_setup(const app_config *config, app_store *store);
void room_publish_here(room *r, room_form form, const app_text *text);

/* room_poll.c */
bool room_poll_setup(void);

/* Where a reading begins: behind *out_place is all that is to be read. True: it goes on from where it was. */
bool room_begin_reading(const app_past *log, const room_reading *reading, app_place *out_place);

uint32_t room_parked_count(void); /* of all rooms */

/* Answers all that are parked with this message, the log's last. */
void room_unpark(room *r, const app_text *envelope);

/* Answers those that are to be told who is here. */
void room_unpark_hearers(room *r);

/* Comments come on topics "beat/N", each every so often; this is an N, dealt out in turn. */
unsigned room_next_beat(void);

/* room_here.c: a connection of this name comes (NULL: it has none), and goes. */
void room_sit(room *r, const char *who, here_seat *seat);
void room_rise(room *r, here_seat *seat);

bool room_here_setup(void);
void room_here_stop(void);

#endif
