/*
 * listeners.h - which sessions listen to which topics. (WebSockets are in topics of the server.) A topic is there while
 * somebody listens to it.
 */
#ifndef APP_PUSHER_LISTENERS_H
#define APP_PUSHER_LISTENERS_H

#include "app/pusher/table.h"

typedef struct push_session push_session;
typedef struct push_topic push_topic;

typedef struct push_listener {
    struct push_listener *prev, *next; /* of the topic */
    struct push_listener *own_next;    /* of the session */
    push_topic *topic;
    push_session *session;
} push_listener;

struct push_topic {
    push_link link; /* of a table by name */
    push_listener *first;
    char name[];
};

/* `own` is the session's list. True, also when it listens already; false: memory is out. */
bool push_listen(push_table *topics, push_listener **own, push_session *session, const char *topic);
void push_unlisten(push_table *topics, push_listener **own, const char *topic);
void push_unlisten_all(push_table *topics, push_listener **own);

/* The first of those who listen; NULL: nobody does. */
push_listener *push_listeners(const push_table *topics, const char *topic);

#endif
