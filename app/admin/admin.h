/*
 * admin.h - the console and the admin API, for who knows the secret. Without one there is neither.
 *
 *     GET /console                        the page (web/console.*)
 *     WebSocket /admin/stream             what it shows, live (stream.c)
 *     /admin/...                          the API, with "Authorization: Bearer SECRET" (api.c)
 */
#ifndef APP_ADMIN_ADMIN_H
#define APP_ADMIN_ADMIN_H

#include "app/app.h"

/* Behind app_pusher_add. False: it is told on stderr why not. */
bool app_admin_add(weft_server *server, const app_config *config);

/* stream.c */
int admin_stream_add(weft_server *server);

#endif
