/*
 * rooms_http.h - rooms for whoever has no WebSocket: POST to say something; server-sent events, long polling and the
 * history to hear.
 */
#ifndef APP_ROOMS_HTTP_H
#define APP_ROOMS_HTTP_H

#include "app/room.h"

/* What this request wants to be in its room, by its path, parameters and token; room_member_free. NULL: it was
 * answered. */
room_member *room_member_of(weft_request *request, const app_config *config);
void room_member_free(room_member *member);

/* Every plain request to /rooms/NAME and /rooms/NAME/history. */
void room_on_request(weft_request *request, void *config);

void room_upgrade_required(weft_request *request, const char *text);

#endif
