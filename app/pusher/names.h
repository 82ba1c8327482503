/*
 * names.h - what the name of a channel says about it, and which names there may be.
 */
#ifndef APP_PUSHER_NAMES_H
#define APP_PUSHER_NAMES_H

#include <stdbool.h>

#include <weft/weft.h>

enum { PUSH_CHANNEL_NAME_MAX = 200, PUSH_EVENT_NAME_MAX = 200, PUSH_USER_ID_MAX = 128, PUSH_APP_ID_MAX = 32 };

typedef enum push_access {
    PUSH_PUBLIC,
    PUSH_PRIVATE,
    PUSH_ENCRYPTED, /* private, and we cannot read it */
    PUSH_PRESENCE,
    PUSH_USER /* #server-to-user-ID: of one signed-in user */
} push_access;

typedef struct push_kind {
    push_access access;
    bool cache; /* keeps the last event */
} push_kind;

/* By the prefix of the name, whatever follows it. */
push_kind push_kind_of(weft_text channel);

/* 1 to PUSH_CHANNEL_NAME_MAX of A-Z a-z 0-9 _ - = @ , . ; or PUSH_USER with an id. */
bool push_channel_name_ok(weft_text channel);
weft_text push_channel_user(weft_text channel); /* of a PUSH_USER channel: the id */

/* 1 to PUSH_EVENT_NAME_MAX bytes without control characters. */
bool push_event_name_ok(weft_text event);
bool push_event_of_client(weft_text event); /* "client-..." */

bool push_user_id_ok(weft_text id);   /* 1 to PUSH_USER_ID_MAX bytes */
bool push_socket_id_ok(weft_text id); /* digits, a dot, digits; at most 40 */

#endif
