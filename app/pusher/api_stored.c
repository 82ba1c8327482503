/*
 * Events of channels whose history is in a store: they gather while a request is looked at, are stored together, and
 * are published and acknowledged when they are.
 */
#include "app/pusher/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The answer of a request. On the store's thread alone, once that has it. */
struct push_answer_later {
    weft_request *request; /* a reference */
    push_counts *counts;
    push_text out;
    size_t waits; /* for so many events */
    char why_not[256];
};

typedef struct stored_event {
    app_write write; /* its data is `text` */
    struct push_answer_later *later;
    push_app *app;
    char except[PUSH_SOCKET_ID_BYTES + 1]; /* the socket id of a connection; empty: none */
    push_event event;                      /* in the text */
    push_text text;
} stored_event;

static void let_go(app_past *log) {
    app_past_lock(log);
    app_past_let_go(log);
    app_past_unlock(log);
}

static void forget(stored_event *s) {
    let_go(s->write.log);
    push_text_free(&s->text);
    free(s);
}

static void answer(struct push_answer_later *later) {
    push_call call = {.request = later->request, .counts = later->counts, .out = later->out};
    if (later->why_not[0])
        push_refuse(&call, 503, "The event was not published: %s", later->why_not);
    else
        push_answer(&call);
    push_text_free(&later->out);
    weft_request_unref(later->request);
    free(later);
}

static void on_stored(app_write *write, const char *why_not) {
    stored_event *s = (stored_event *)write;
    struct push_answer_later *later = s->later;
    if (!why_not) {
        s->event.log = write->log;
        s->event.stored = &write->message;
        push_effects *e = push_app_enter(s->app);
        const push_conn *except = s->except[0] ? push_conn_find(&s->app->state, push_str(s->except)) : NULL;
        push_trigger(&s->app->state, &s->event, except, e, push_now_ms());
        push_app_leave(s->app, NULL);
    } else {
        snprintf(later->why_not, sizeof later->why_not, "%s", why_not);
    }
    forget(s);
    if (--later->waits == 0)
        answer(later);
}

/* The event but for its end, as past.c keeps it; and where its parts are. */
static bool write_text(stored_event *s, const push_event *event) {
    static const char names[] = "{\"event\":", channels[] = ",\"channel\":\"", datas[] = "\",\"data\":";
    push_text *t = &s->text;
    push_put_str(t, names);
    size_t name = t->len;
    push_put_text(t, event->name);
    push_put_str(t, channels);
    size_t channel = t->len;
    push_put_text(t, event->channel); /* needs no escaping: push_channel_name_ok */
    push_put_str(t, datas);
    size_t data = t->len;
    push_put_text(t, event->data);
    if (t->failed)
        return false;
    s->event = (push_event) {.name = {t->data + name, event->name.len},
                             .channel = {t->data + channel, event->channel.len},
                             .data = {t->data + data, event->data.len}};
    return true;
}

static uint64_t day_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool push_stores(const push_app *app, weft_text channel, app_past **out_log) {
    bool failed;
    if (!app->apps->store || !push_keeps(app->settings, channel))
        return false;
    *out_log = push_past_lock(&app->state, channel, &failed);
    if (*out_log) {
        app_past_hold(*out_log);
        app_past_unlock(*out_log);
    }
    return true;
}

bool push_store_event(push_call *call, const push_event *event, weft_text except, app_past *log) {
    stored_event *s = calloc(1, sizeof *s);
    bool ok = s && write_text(s, event);
    if (ok && log) {
        s->app = call->app;
        snprintf(s->except, sizeof s->except, "%.*s", (int)except.len, except.data ? except.data : "");
        s->write = (app_write) {.shelf = &call->app->shelf, .log = log, .done = on_stored};
        s->write.message = (app_message) {
            .kind = WEFT_TEXT, .data = (const uint8_t *)s->text.data, .len = s->text.len, .at_ms = day_ms()};
        *(call->writes ? &call->last_write->next : &call->writes) = &s->write;
        call->last_write = &s->write;
        if (s->text.len <= call->settings->limits.history_bytes)
            return true;
        push_refuse(call, 413, "This event is longer than the history of its channel may be");
        return false;
    }
    push_refuse(call, 503, ok ? "The history of the channel cannot be read" : "out of memory");
    if (log)
        let_go(log);
    if (s)
        push_text_free(&s->text);
    free(s);
    return false;
}

void push_drop_writes(push_call *call) {
    while (call->writes) {
        stored_event *s = (stored_event *)call->writes;
        call->writes = s->write.next;
        forget(s);
    }
}

void push_answer_stored(push_call *call) {
    struct push_answer_later *later = call->out.failed ? NULL : calloc(1, sizeof *later);
    if (!later) {
        push_refuse(call, 503, "out of memory");
        return;
    }
    for (app_write *w = call->writes; w; w = w->next) {
        ((stored_event *)w)->later = later;
        later->waits++;
    }
    later->request = weft_request_ref(call->request);
    later->counts = call->counts;
    later->out = call->out;
    if (app_store_add(call->app->apps->store, call->writes)) {
        call->writes = NULL; /* and all that belongs to it is the store's */
        call->out = (push_text) {0};
        call->answered = true;
        return;
    }
    weft_request_unref(later->request);
    free(later);
    push_refuse(call, 503, "More is waiting for the store than may");
}
