/*
 * routes.h - what the files of this folder add to a server, at a path that they do not copy; 0 or a negative
 * weft_status.
 */
#ifndef APP_PUSHER_ROUTES_H
#define APP_PUSHER_ROUTES_H

#include "app/pusher/apps.h"

/* connect.c: clients come and go. */
int push_clients_add(weft_server *server, push_apps *apps, const char *path);

/* Enters the app of the client behind a connection, which may be a session's stream; on its own thread. NULL: it is
 * none's, or of one that is not let in or has left. */
push_app *push_client_enter(const weft_conn *conn, const push_conn **out_who);

/* api.c: servers ask. */
int push_api_add(weft_server *server, push_apps *apps, const char *path);

#endif
