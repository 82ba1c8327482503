/*
 * What there is to tell of each app, for /metrics. In that format all figures of one name stand together, whatever the
 * app: so each app is looked at once, under its lock and for O(1), and then the page is written row by row.
 */
#include "app/pusher/apps.h"

#include "app/figures.h"

#include <stdio.h>
#include <stdlib.h>

/* Those of one name stand behind one another. The label is what tells them apart. */
#define ROWS(ROW)                                                                                                      \
    ROW(WEBSOCKETS, "app_connections", "Clients of an app.", "transport", "websocket")                                 \
    ROW(STREAMS, "app_connections", NULL, "transport", "xhr_streaming")                                                \
    ROW(POLLS, "app_connections", NULL, "transport", "xhr_polling")                                                    \
    ROW(CHANNELS, "app_channels", "Channels with somebody in them.", NULL, NULL)                                       \
    ROW(SUBSCRIPTIONS, "app_subscriptions", "Subscriptions: clients, once for each channel.", NULL, NULL)              \
    ROW(MEMBERS, "app_members", "Members of presence channels: users, once for each channel.", NULL, NULL)             \
    ROW(USERS, "app_users", "Users who have signed in.", NULL, NULL)                                                   \
    ROW(CACHED, "app_cached_events", "Last events that are kept for cache channels.", NULL, NULL)                      \
    ROW(HISTORY_MESSAGES, "app_history_messages", "Events that are kept in memory as the history of channels.", NULL,  \
        NULL)                                                                                                          \
    ROW(HISTORY_BYTES, "app_history_bytes", "Memory that the history of channels takes.", NULL, NULL)                  \
    ROW(CLIENT_EVENTS, "app_client_events_total", "Events of clients that were passed on.", NULL, NULL)                \
    ROW(PUBLISHED, "app_published_total", "Events that servers published, once for each channel.", NULL, NULL)         \
    ROW(DELIVERIES, "app_deliveries_total", "Subscriptions that events of clients and servers went to.", NULL, NULL)   \
    ROW(ANSWERED_2XX, "app_api_answers_total", "Answers of the HTTP API.", "status", "2xx")                            \
    ROW(ANSWERED_4XX, "app_api_answers_total", NULL, "status", "4xx")                                                  \
    ROW(ANSWERED_5XX, "app_api_answers_total", NULL, "status", "5xx")                                                  \
    ROW(DENIED_AUTH, "app_denied_total", "Subscriptions that were refused, by type.", "type", "AuthError")             \
    ROW(DENIED_CHANNEL, "app_denied_total", NULL, "type", "InvalidChannel")                                            \
    ROW(DENIED_LIMIT, "app_denied_total", NULL, "type", "LimitReached")                                                \
    ROW(SENT, "webhook_sent_total", "Events told by webhooks.", NULL, NULL)                                            \
    ROW(FAILED, "webhook_failed_total", "Posts of webhooks that failed.", NULL, NULL)                                  \
    ROW(RETRIED, "webhook_retried_total", "Posts of webhooks that were made once more.", NULL, NULL)                   \
    ROW(DEAD, "webhook_dead_total", "Events that went to the dead-letter file.", NULL, NULL)                           \
    ROW(LOST, "webhook_lost_total", "Events that could neither be told nor kept.", NULL, NULL)                         \
    ROW(QUEUED, "webhook_queued", "Events that wait to be told.", NULL, NULL)

#define AS_NUMBER(id, name, help, label, value) id,
#define AS_ROW(id, name, help, label, value)    [id] = {name, help, label, value},

enum { ROWS(AS_NUMBER) FIGURES };

static const struct row {
    const char *name, *help; /* NULL: as before */
    const char *label, *value;
} rows[FIGURES] = {ROWS(AS_ROW)};

/* An app, as it was for a moment. */
typedef struct seen {
    char id[PUSH_APP_ID_MAX + 1];
    app_text info; /* labels */
    uint64_t figures[FIGURES], codes[PUSH_CODES];
} seen;

typedef struct look {
    seen *apps;
    size_t count, cap;
    bool failed;
} look;

static uint64_t counted(const atomic_ullong *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- looking ---- */

/* Under the app's lock. */
static void see_state(seen *s, const push_app *app) {
    const push_state *state = &app->state;
    app_label(&s->info, "app", app->id);
    app_label(&s->info, "name", app->settings->name);
    s->figures[STREAMS] = app->sessions.streaming;
    s->figures[POLLS] = app->sessions.there - app->sessions.streaming;
    s->figures[WEBSOCKETS] = state->conns.count - app->sessions.there;
    s->figures[CHANNELS] = state->occupied;
    s->figures[SUBSCRIPTIONS] = state->subs.count;
    s->figures[MEMBERS] = state->members.count;
    s->figures[USERS] = state->users.count;
    s->figures[CACHED] = state->cached_count;
    s->figures[CLIENT_EVENTS] = state->traffic.client_events;
    s->figures[PUBLISHED] = state->traffic.published;
    s->figures[DELIVERIES] = state->traffic.deliveries;
}

static void see_history(seen *s, app_history *history) {
    app_history_counts kept;
    app_history_count(history, &kept);
    s->figures[HISTORY_MESSAGES] = kept.messages;
    s->figures[HISTORY_BYTES] = kept.bytes;
}

static void see_hooks(seen *s, const push_hooked *hooked) {
    push_hooks_counts told = push_hooks_count(hooked);
    s->figures[SENT] = told.sent;
    s->figures[FAILED] = told.failed;
    s->figures[RETRIED] = told.retried;
    s->figures[DEAD] = told.dead;
    s->figures[LOST] = told.lost;
    s->figures[QUEUED] = told.queued;
}

static void see_counts(seen *s, const push_counts *counts) {
    for (int i = 0; i < PUSH_STATUS_CLASSES; i++)
        s->figures[ANSWERED_2XX + i] = counted(&counts->api[i]);
    for (int i = 0; i < PUSH_DENIALS; i++)
        s->figures[DENIED_AUTH + i] = counted(&counts->denied[i]);
    for (int i = 0; i < PUSH_CODES; i++)
        s->codes[i] = counted(&counts->codes[i]);
}

static void see_app(void *context, push_app *app) {
    look *l = context;
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        seen *apps = realloc(l->apps, cap * sizeof *apps);
        if (!apps) {
            l->failed = true;
            return;
        }
        l->apps = apps;
        l->cap = cap;
    }
    seen *s = &l->apps[l->count++];
    *s = (seen) {0};
    snprintf(s->id, sizeof s->id, "%s", app->id);
    push_app_enter(app);
    see_state(s, app);
    app_history *history = app->state.history;
    const push_hooked *hooked = app->hooked;
    push_app_leave(app, NULL);
    see_counts(s, &app->counts);
    if (history) /* it and the hooks stay as long as the app does */
        see_history(s, history);
    if (hooked)
        see_hooks(s, hooked);
}

/* ---- telling ---- */

static void put(app_text *page, const char *name, const seen *s, const char *label, const char *value,
                uint64_t figure) {
    app_text labels = {0};
    app_label(&labels, "app", s->id);
    if (label)
        app_label(&labels, label, value);
    if (labels.failed)
        page->failed = true;
    else
        app_figure_value(page, name, labels.data, figure);
    app_text_free(&labels);
}

static void put_codes(app_text *page, const look *l) {
    char code[16];
    app_figure(page, "app_refused_total", "Clients that were refused, closed or told of an error, by its code.");
    for (int i = 0; i < PUSH_CODES; i++) {
        snprintf(code, sizeof code, "%d", push_codes[i]);
        for (const seen *s = l->apps; s < l->apps + l->count; s++)
            put(page, "app_refused_total", s, "code", code, s->codes[i]);
    }
}

static void put_nobodys(app_text *page, const push_counts *counts) {
    char labels[32];
    app_figure(page, "app_unknown_total", "Clients who named no app that there is, by the code they got.");
    for (int i = 0; i < PUSH_CODES; i++) {
        snprintf(labels, sizeof labels, "code=\"%d\"", push_codes[i]);
        if (push_codes[i] == 4001 || (push_codes[i] > 4004 && push_codes[i] < 4009))
            app_figure_value(page, "app_unknown_total", labels, counted(&counts->codes[i]));
    }
}

void push_apps_figures(push_apps *apps, app_text *page) {
    look l = {0};
    push_apps_each(apps, see_app, &l);
    app_figure(page, "app_info", "The apps that are served; always 1.");
    for (seen *s = l.apps; s < l.apps + l.count; s++) {
        l.failed |= s->info.failed;
        app_figure_value(page, "app_info", s->info.failed ? "" : s->info.data, 1);
        app_text_free(&s->info);
    }
    for (size_t i = 0; i < FIGURES; i++) {
        if (rows[i].help)
            app_figure(page, rows[i].name, rows[i].help);
        for (const seen *s = l.apps; s < l.apps + l.count; s++)
            put(page, rows[i].name, s, rows[i].label, rows[i].value, s->figures[i]);
    }
    put_codes(page, &l);
    put_nobodys(page, &apps->counts);
    page->failed |= l.failed;
    free(l.apps);
}
