/*
 * routes.h - what the files of this room add to a server. Each adds its routes; 0 or a negative weft_status.
 */
#ifndef APP_ROUTES_H
#define APP_ROUTES_H

#include "app/app.h"
#include "app/store.h"

/* rooms.c: /rooms, /rooms/NAME, /echo. The config and the store (NULL: none) must outlive the server. */
int app_rooms_add(weft_server *server, const app_config *config, app_store *store);

/* room_poll.c, room.c: who waits is answered at once (signal-safe); nobody waits any more, before the server is
 * freed; and behind that. */
void app_rooms_drain(void);
void app_rooms_stop(void);
void app_rooms_free(void);

/* pages.c: the files of web/; those of the console where there is one. */
int app_pages_add(weft_server *server, const app_config *config);

static inline bool app_has_console(const app_config *config) {
    return config->admin_secret || config->admin_secret_file;
}

/* metrics.c: /healthz, /metrics; those of the store when there is one. */
int app_metrics_add(weft_server *server, app_store *store);

/* Logs one answered request, when such lines are wanted; and one thing more about it (name NULL: nothing). */
void app_log_request(const weft_request *request, int status);
void app_log_request_with(const weft_request *request, int status, const char *name, const char *value);

/* As weft_request_reply_with; when memory is out for that, 503 without a body is tried: an answer that is given later
 * is one that somebody waits for. */
void app_reply_with(weft_request *request, int status, const weft_header *headers, size_t header_count, weft_text body);

/* Replies and logs. A text answer ends in a newline of its own. */
void app_reply(weft_request *request, int status, const char *content_type, const void *body, size_t len);
void app_reply_text(weft_request *request, int status, const char *text);

/* GET or HEAD; else answers 405 with what is allowed and returns false. */
bool app_want_get(weft_request *request, const char *allow);

#endif
