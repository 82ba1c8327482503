/*
 * api.h - the HTTP API, for servers: what its files share. A call is one request on its way to its answer.
 */
#ifndef APP_PUSHER_API_H
#define APP_PUSHER_API_H

#include "app/pusher/apps.h"
#include "app/pusher/json.h"

typedef struct push_call {
    weft_request *request;
    push_app *app;
    push_counts *counts; /* of answers; NULL: it is none of the API's */
    const push_settings *settings;
    const char *rest; /* what stands behind /apps/ID/, decoded */
    push_text out;    /* the answer that is being put together */
    bool answered;
    app_write *writes, *last_write; /* events that wait for the store: push_answer adds them */
} push_call;

/* Each answers once; the text says what is wrong, and why. */
void push_refuse(push_call *call, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void push_answer(push_call *call); /* `out`, as JSON; 503 when memory was out. What is to be stored is stored before */

/* api_auth.c: whether it is signed by one of the app's keys, lately. False: answered. */
bool push_authorized(push_call *call);

/* What a caller may ask about a channel: "info=user_count,cache". Words that nobody knows are passed over. */
typedef enum push_info { PUSH_USER_COUNT = 1, PUSH_SUBSCRIPTION_COUNT = 2, PUSH_CACHE = 4 } push_info;
unsigned push_info_of(weft_text words);

/* {"user_count":1,...} of a channel, which may be NULL: nobody is in it. What does not fit its kind is left out. */
void push_put_info(push_text *out, weft_text name, const push_channel *channel, unsigned info);

/* api_events.c */
void push_api_events(push_call *call);
void push_api_batch(push_call *call);

/* api_stored.c: whether what is published in this channel goes to a store first, and then its log, held (NULL: it
 * cannot be read). Under the app's lock, as is what becomes of it else: settings may change at any time. */
bool push_stores(const push_app *app, weft_text channel, app_past **out_log);

/* Adds an event to the call's writes, but for the connection with that socket id; takes the hold of the log over.
 * False: answered. Gives the writes up; or adds them to the store, which answers the call with `out`. */
bool push_store_event(push_call *call, const push_event *event, weft_text except, app_past *log);
void push_drop_writes(push_call *call);
void push_answer_stored(push_call *call);

/* api_channels.c */
void push_api_channels(push_call *call);
void push_api_channel(push_call *call, weft_text name);
void push_api_users(push_call *call, weft_text name);
void push_api_history(push_call *call, weft_text name);
void push_api_terminate(push_call *call, weft_text user_id);

#endif
