/*
 * protocol.h - what a client says, and what it is answered.
 */
#ifndef APP_PUSHER_PROTOCOL_H
#define APP_PUSHER_PROTOCOL_H

#include "app/pusher/apps.h"

void push_on_message(weft_conn *conn, push_conn *who, weft_message message);

/* pusher:error; code 0: none, it is only said. */
void push_say_error(weft_conn *conn, int code, const char *text);

#endif
