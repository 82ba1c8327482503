#include "app/pusher/hooks_parts.h"

#include "app/pusher/apps.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LAST_MS = 2000 }; /* that is left when all ends */

/* ---- from the workers ---- */

static void look_at(push_hooks *hooks, uint64_t due_ms) {
    if (due_ms >= hooks->wakes_ms)
        return;
    hooks->wakes_ms = due_ms;
    if (!hooks->awake)
        push_poster_wake(hooks->poster);
}

static void put(push_target *t, weft_text event, uint64_t now_ms) {
    push_hooked *app = t->app;
    const push_outbox_rules *rules = &app->settings->webhooks.rules;
    if (push_outbox_add(&t->box, rules, event, now_ms))
        look_at(app->hooks, push_outbox_due(&t->box, rules));
    else if (push_outbox_add(&t->over, rules, event, now_ms))
        look_at(app->hooks, now_ms);
    else
        app->counts.lost++;
}

void push_hooked_tell(push_hooked *app, const push_happened *what, uint64_t now_ms) {
    push_text event = {0};
    for (push_target *t = app->targets; t; t = t->next) {
        if (!t->hook || !(t->hook->kinds & 1u << what->note))
            continue;
        if (!event.data)
            push_webhook_event(&event, what->note, what->channel, what->text);
        if (event.failed)
            app->counts.lost++;
        else
            put(t, (weft_text) {event.data, event.len}, now_ms);
    }
    push_text_free(&event);
}

void push_hooks_note(push_hooked *app, push_note note, weft_text channel, weft_text text) {
    push_happened what = {note, channel, text};
    uint64_t now_ms = push_now_ms();
    pthread_mutex_lock(&app->hooks->lock);
    if (push_pending_note(&app->pending, &what, now_ms + app->settings->webhooks.grace_ms))
        push_hooked_tell(app, &what, now_ms);
    else
        look_at(app->hooks, push_pending_due(&app->pending));
    pthread_mutex_unlock(&app->hooks->lock);
}

/* ---- settings ---- */

static push_target *find(push_hooked *app, const char *url) {
    push_target *t = app->targets;
    while (t && strcmp(t->url, url) != 0)
        t = t->next;
    return t;
}

static push_target *target_new(push_hooked *app, const char *url) {
    push_target *t = calloc(1, sizeof *t), **at = &app->targets;
    if (!t || !(t->url = strdup(url))) {
        free(t);
        return NULL;
    }
    t->app = app;
    while (*at)
        at = &(*at)->next;
    return *at = t;
}

void push_target_free(push_target *t) {
    push_outbox_free(&t->box);
    push_outbox_free(&t->over);
    free(t->url);
    free(t);
}

static bool set_targets(push_hooked *app, push_settings *settings) {
    bool ok = true;
    for (push_target *t = app->targets; t; t = t->next)
        t->hook = NULL;
    push_settings_unref(app->settings);
    app->settings = push_settings_ref(settings);
    for (size_t i = 0; i < settings->webhooks.count; i++) {
        const push_webhook *hook = &settings->webhooks.items[i];
        push_target *t = find(app, hook->url);
        if (!t)
            t = target_new(app, hook->url);
        if (t)
            t->hook = hook;
        ok = ok && t;
    }
    return ok;
}

bool push_hooks_set(push_hooks *hooks, push_hooked **app, push_settings *settings) {
    push_hooked *it = *app ? *app : calloc(1, sizeof *it);
    if (!it)
        return false;
    pthread_mutex_lock(&hooks->lock);
    if (!*app) {
        it->hooks = hooks;
        it->next = hooks->apps;
        hooks->apps = it;
    }
    bool ok = set_targets(it, settings);
    look_at(hooks, push_now_ms());
    pthread_mutex_unlock(&hooks->lock);
    *app = it;
    return ok;
}

/* ---- life ---- */

push_hooks *push_hooks_new(push_dead dead) {
    push_hooks *hooks = calloc(1, sizeof *hooks);
    push_poster *poster = hooks ? push_poster_new() : NULL;
    if (!poster) {
        push_dead_close(&dead);
        free(hooks);
        return NULL;
    }
    hooks->poster = poster;
    hooks->dead = dead;
    pthread_mutex_init(&hooks->lock, NULL);
    return hooks;
}

bool push_hooks_start(push_hooks *hooks) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&hooks->thread, NULL, push_hooks_run, hooks);
    hooks->runs = errno == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return hooks->runs;
}

void push_hooks_stop(push_hooks *hooks) {
    if (!hooks || !hooks->runs)
        return;
    pthread_mutex_lock(&hooks->lock);
    hooks->stops = true;
    hooks->stops_ms = push_now_ms() + LAST_MS;
    for (push_hooked *app = hooks->apps; app; app = app->next)
        for (push_target *t = app->targets; t; t = t->next)
            t->box.failures = 0; /* one more chance */
    pthread_mutex_unlock(&hooks->lock);
    push_poster_wake(hooks->poster);
    pthread_join(hooks->thread, NULL);
    hooks->runs = false;
    push_poster_free(hooks->poster);
    hooks->poster = NULL;
    push_hooks_bury_all(hooks);
}

void push_hooks_free(push_hooks *hooks) {
    if (!hooks)
        return;
    push_poster_free(hooks->poster);
    for (push_hooked *app; (app = hooks->apps); free(app)) {
        hooks->apps = app->next;
        for (push_target *t; (t = app->targets); push_target_free(t))
            app->targets = t->next;
        push_pending_free(&app->pending);
        push_settings_unref(app->settings);
    }
    push_text_free(&hooks->lines);
    push_dead_close(&hooks->dead);
    pthread_mutex_destroy(&hooks->lock);
    free(hooks);
}

/* ---- figures ---- */

push_hooks_counts push_hooks_count(const push_hooked *app) {
    pthread_mutex_lock(&app->hooks->lock);
    push_hooks_counts counts = app->counts;
    for (const push_target *t = app->targets; t; t = t->next)
        counts.queued += t->box.count + t->over.count;
    pthread_mutex_unlock(&app->hooks->lock);
    return counts;
}
