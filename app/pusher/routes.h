/*
 * routes.h - what the files of this folder add to a server, at a path that they do not copy; 0 or a negative
 * weft_status.
 */
#ifndef APP_PUSHER_ROUTES_H
#define APP_PUSHER_ROUTES_H

#include "app/pusher/apps.h"

/* connect.c: clients come and go. */
int push_clients_add(weft_server *server, push_apps *apps, const char *path);

/* The client behind a connection, on its own thread. NULL: it is none, or not let in. */
const push_conn *push_client_of(const weft_conn *conn);

/* api.c: servers ask. */
int push_api_add(weft_server *server, push_apps *apps, const char *path);

#endif
