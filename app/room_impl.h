/*
 * room_impl.h - what room.c and room_poll.c share. All of a room stands under its log's lock.
 */
#ifndef APP_ROOM_IMPL_H
#define APP_ROOM_IMPL_H

#include "app/room.h"

typedef struct room_parked room_parked;

struct room {
    app_past *log;
    uint32_t refs; /* members and parked requests */
    uint32_t members;
    uint32_t readers[ROOM_FORMS]; /* that have subscribed */
    room_parked *parked;
    uint32_t parked_count;
};

/* room.c */
app_history *room_history(void); /* of all rooms; NULL before the setup */
weft_server *room_server(void);
room *room_of(app_past *log);   /* NULL: nobody is there */
room *room_take(app_past *log); /* one more reference; NULL: memory is out */
void room_give_back(room *r);

/* room_poll.c */
bool room_poll_setup(void);

/* Where a reading begins: behind *out_place is all that is to be read. True: it goes on from where it was. */
bool room_begin_reading(const app_past *log, const room_reading *reading, app_place *out_place);

/* Answers all that are parked with this message, the log's last. */
void room_unpark(room *r, const app_text *envelope);

/* Comments come on topics "beat/N", each every so often; this is an N, dealt out in turn. */
unsigned room_next_beat(void);

#endif
