/*
 * trace.h - an app's life as onlookers see it (app/trace.h).
 */
#ifndef APP_PUSHER_TRACE_H
#define APP_PUSHER_TRACE_H

#include "app/pusher/apps.h"
#include "app/trace.h"

/* An app's lock may be held or not. `channel`, `name` and `data` may have no data; `who` may be NULL. */
void push_trace(const push_app *app, const char *what, const push_conn *who, weft_text channel, weft_text data);
void push_trace_event(const push_app *app, const char *what, const push_conn *who, const push_event *event);

/* Within push_app_leave. */
void push_trace_note(const push_app *app, push_note note, const char *channel, weft_text text);

#endif
