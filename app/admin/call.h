/*
 * call.h - one request of the admin API on its way to its answer.
 */
#ifndef APP_ADMIN_CALL_H
#define APP_ADMIN_CALL_H

#include "app/pusher/apps.h"

enum { ADMIN_PATH_BYTES = 800, ADMIN_PARTS = 5 };

typedef struct admin_call {
    weft_request *request;
    push_apps *apps;
    char path[ADMIN_PATH_BYTES];
    const char *parts[ADMIN_PARTS]; /* of the path behind /admin/; "" where there are no more */
    push_app *app;                  /* of parts[1], when that is an app's */
    push_text out;
} admin_call;

/* Each answers once: with `out`; with {"error":why}; with {}, and a line in the log. */
void admin_answer(admin_call *c, int status);
void admin_refuse(admin_call *c, int status, const char *why);
void admin_done(admin_call *c, const char *what, const char *with);
void admin_wrong_method(admin_call *c, const char *allow); /* "GET, POST" */

bool admin_is(const admin_call *c, const char *method);

/* api_apps.c: /admin/apps and what is behind it. */
void admin_apps(admin_call *c);

/* api.c: of an app. */
void admin_channels(admin_call *c);
void admin_publish(admin_call *c);
void admin_send_away(admin_call *c);

#endif
