/*
 * protocol.h - what a client says, and what it is answered.
 */
#ifndef APP_PUSHER_PROTOCOL_H
#define APP_PUSHER_PROTOCOL_H

#include "app/pusher/apps.h"

void push_on_message(const push_peer *peer, push_conn *who, weft_message message);

/* pusher:error; code 0: none, it is only said. */
void push_put_error(push_text *out, int code, const char *text);
void push_say_error(const push_peer *peer, int code, const char *text);

#endif
