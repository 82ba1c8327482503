/*
 * trace.h - what happens, for somebody who looks on. Nobody looks: one relaxed load.
 *
 *     if (app_traced())
 *         app_trace(&(app_happening) {.what = "subscribed", .app = "42", .channel = name, .who = socket_id});
 *
 * Each onlooker has a heap of lines that is bounded: what does not fit is counted, and whoever makes things happen
 * never waits for him.
 */
#ifndef APP_TRACE_H
#define APP_TRACE_H

#include "app/pusher/text.h"

#include <stdatomic.h>

/* Plain rooms, where an app's id would stand: no app can be called so. */
#define APP_ROOMS ":rooms"

typedef struct app_happening {
    const char *what;  /* one of ours: "connected", "client_event", ... */
    const char *app;   /* its id, or APP_ROOMS */
    const char *who;   /* a socket id or a peer; NULL: none */
    weft_text channel; /* data NULL: none */
    weft_text name;    /* of an event, or of a user; data NULL: none */
    weft_text data;    /* any bytes; long ones are cut */
} app_happening;

/* What an onlooker wants to see; "" is any. */
typedef struct app_trace_filter {
    char app[40], channel[208], who[72];
} app_trace_filter;

typedef struct app_onlooker {
    struct app_onlooker *next;
    app_trace_filter filter;
    push_text lines; /* objects of JSON, each with a comma behind it */
    uint32_t count;
    uint64_t missed;
    bool looks;
} app_onlooker;

extern atomic_uint app_onlookers;

static inline bool app_traced(void) {
    return atomic_load_explicit(&app_onlookers, memory_order_relaxed) > 0;
}

/* Any thread, any lock held but those of this file. */
void app_trace(const app_happening *h);

/* Begins, or goes on with another filter. The onlooker is the caller's until it has ended. */
void app_onlooker_begin(app_onlooker *o, const app_trace_filter *filter);
void app_onlooker_end(app_onlooker *o);

/* Moves what has come into *out_lines, which is the caller's to free, and how many were lost. False: nothing. */
bool app_onlooker_take(app_onlooker *o, push_text *out_lines, uint64_t *out_missed);

#endif
