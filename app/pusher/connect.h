/*
 * connect.h - who may come, whatever carries what he says.
 */
#ifndef APP_PUSHER_CONNECT_H
#define APP_PUSHER_CONNECT_H

#include "app/pusher/apps.h"

enum { PUSH_GREETING_BYTES = 192 };

typedef struct push_refusal {
    int code; /* by it pusher-js knows whether to come again */
    const char *text;
} push_refusal;

extern const push_refusal push_over_capacity;

/* The app, by its key, if the request says what it has to. NULL, or what is wrong. */
const push_refusal *push_wanted(push_apps *apps, weft_text key, const weft_request *request, push_app **out);

/* Where it is counted that somebody was refused; the app NULL: he named none. */
push_counts *push_counts_of(push_apps *apps, push_app *app);

/* A new connection of the app, which the caller has entered. */
const push_refusal *push_let_in(push_app *app, const weft_request *request, weft_handle handle, push_conn **out);

/* The first that it is told. */
void push_greeting(const push_conn *who, char out[PUSH_GREETING_BYTES]);

#endif
