/*
 * The thread goes in turns: take what is due out of pending, begin the posts that are due, wait for libcurl, judge what
 * is over. It sleeps until the earliest of these, which is known to workers (`wakes_ms`), so they wake it only for
 * something earlier.
 *
 * It takes the lock to look and lets go of it to work: bodies, signatures and lines of the file are made without it, as
 * workers wait for it in the midst of an operation on an app. What is taken out of lists is taken by this thread alone,
 * and what others add stands behind that: so a walk goes on where it was. Settings it holds by a reference.
 */
#include "app/pusher/hooks_parts.h"

#include "app/log.h"
#include "app/pusher/apps.h"
#include "app/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Bytes of lines that are written at once; ends that are told in one turn; the longest sleep. */
enum { LINES_BYTES = 64 << 10, ENDS_PER_TURN = 50, SLEEP_MS_MAX = 60000 };

static const char ended[] = "the server has ended";

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const push_outbox_rules *rules_of(const push_hooked *app) {
    return &app->settings->webhooks.rules;
}

/* ---- the dead-letter file ---- */

/* Without the lock. */
static void write_lines(push_hooks *hooks) {
    if (hooks->lines.len == 0)
        return;
    const char *why = push_dead_write(&hooks->dead, (weft_text) {hooks->lines.data, hooks->lines.len});
    char events[32];
    snprintf(events, sizeof events, "%zu", hooks->lines_events);
    if (why)
        app_log(APP_ERROR, "webhooks are lost", "app", hooks->lines_name, "events", events, "error", why, NULL);
    else
        app_log(APP_ERROR, "webhooks went to the dead-letter file", "app", hooks->lines_name, "events", events, NULL);
    pthread_mutex_lock(&hooks->lock);
    if (why)
        hooks->lines_app->lost_told += hooks->lines_events;
    *(why ? &hooks->lines_app->counts.lost : &hooks->lines_app->counts.dead) += hooks->lines_events;
    pthread_mutex_unlock(&hooks->lock);
    hooks->lines_events = 0;
    push_text_free(&hooks->lines);
}

/* Makes a line of the box's next body; under the lock, and lets go of it meanwhile. False: there are lines enough for
 * once. */
static bool bury(push_hooks *hooks, push_target *t, push_outbox *box, const char *error, int status) {
    if (hooks->lines.len > 0 && (hooks->lines.len >= LINES_BYTES || hooks->lines_app != t->app))
        return false;
    size_t len = hooks->lines.len;
    uint64_t now = wall_ms();
    push_settings *settings = push_settings_ref(t->app->settings);
    push_outbox_begin(box, rules_of(t->app));
    pthread_mutex_unlock(&hooks->lock);
    push_outbox_write(box, now);
    push_dead_post post = {settings->id, t->url, error, status, {box->body.data, box->body.len}};
    hooks->lines_app = t->app;
    snprintf(hooks->lines_name, sizeof hooks->lines_name, "%s", settings->name);
    push_dead_line(&hooks->lines, &post, now);
    push_settings_unref(settings);
    pthread_mutex_lock(&hooks->lock);
    if (box->body.failed || hooks->lines.failed) {
        hooks->lines.len = len;
        t->app->counts.lost += box->batch;
    } else {
        hooks->lines_events += box->batch;
    }
    hooks->lines.failed = false;
    push_outbox_drop(box);
    return true;
}

/* ---- the thread ---- */

static void failed(push_target *t, const push_posted *how, uint64_t now_ms) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = now_ms;
    t->last = *how;
    t->app->counts.failed++;
    push_outbox_failed(&t->box, rules_of(t->app), now_ms, random);
    t->gives_up = push_outbox_expired(&t->box, rules_of(t->app), now_ms);
}

/* Under the lock, and lets go of it meanwhile. */
static void begin(push_hooks *hooks, push_target *t, uint64_t now_ms) {
    push_settings *s = push_settings_ref(t->app->settings);
    push_post post = {&s->webhooks, t->hook, s->keys[0].key, s->keys[0].secret, &t->box.body};
    push_outbox_begin(&t->box, rules_of(t->app));
    t->app->counts.retried += t->box.failures > 0;
    pthread_mutex_unlock(&hooks->lock);
    push_outbox_write(&t->box, wall_ms());
    bool begun = push_poster_begin(hooks->poster, &post, t);
    push_settings_unref(s);
    pthread_mutex_lock(&hooks->lock);
    if (!begun)
        failed(t, &(push_posted) {.error = "out of memory"}, now_ms);
}

/* Whether the first that waits is not to be posted any more. When all ends, one failure is enough. */
static bool is_dead(const push_hooks *hooks, const push_target *t, uint64_t now_ms) {
    if (!t->box.first || t->box.under_way)
        return false;
    return !t->hook || (hooks->stops && (now_ms >= hooks->stops_ms || t->box.failures > 0)) ||
           (t->gives_up && push_outbox_expired(&t->box, rules_of(t->app), now_ms));
}

/* False: there is more than fits into the lines. */
static bool bury_the_dead(push_hooks *hooks, push_target *t, uint64_t now_ms) {
    bool more = true;
    while (more && t->over.first)
        more = bury(hooks, t, &t->over, "too many wait for this URL", 0);
    const char *why = !t->hook ? "the URL is named no more" : t->last.error[0] ? t->last.error : ended;
    while (more && is_dead(hooks, t, now_ms))
        more = bury(hooks, t, &t->box, why, t->last.status);
    if (more)
        t->gives_up = false;
    return more;
}

/* When to look at it again. */
static uint64_t serve_target(push_hooks *hooks, push_target *t, uint64_t now_ms) {
    if (!bury_the_dead(hooks, t, now_ms))
        return now_ms;
    if (!t->hook)
        return UINT64_MAX;
    uint64_t due_ms = push_outbox_due(&t->box, rules_of(t->app));
    if (hooks->stops && due_ms < UINT64_MAX)
        due_ms = now_ms;
    if (due_ms > now_ms)
        return due_ms;
    begin(hooks, t, now_ms);
    return push_outbox_due(&t->box, rules_of(t->app));
}

/* So many ends may come due at once that they wait for the file, instead of being lost. */
static bool is_crowded(const push_hooked *app) {
    for (const push_target *t = app->targets; t; t = t->next)
        if (t->over.count > rules_of(app)->queue_events / 2)
            return true;
    return false;
}

static uint64_t serve_app(push_hooks *hooks, push_hooked *app, uint64_t now_ms) {
    uint64_t ends_ms = hooks->stops ? UINT64_MAX : now_ms;
    push_waiting *w;
    for (int n = 0; n < ENDS_PER_TURN && !is_crowded(app) && (w = push_pending_take(&app->pending, ends_ms)); n++) {
        push_hooked_tell(app, &w->what, now_ms);
        free(w);
    }
    uint64_t due_ms = hooks->stops && app->pending.first ? now_ms : push_pending_due(&app->pending);
    for (push_target **at = &app->targets; *at;) {
        push_target *t = *at;
        uint64_t mine_ms = serve_target(hooks, t, now_ms);
        due_ms = mine_ms < due_ms ? mine_ms : due_ms;
        if (t->hook || t->box.first || t->over.first) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        push_target_free(t);
    }
    return due_ms;
}

static bool all_told(const push_hooks *hooks) {
    for (const push_hooked *app = hooks->apps; app; app = app->next) {
        if (app->pending.first)
            return false;
        for (const push_target *t = app->targets; t; t = t->next)
            if (t->box.first || t->over.first)
                return false;
    }
    return true;
}

static void tell_lost(push_hooked *app) {
    char events[32];
    snprintf(events, sizeof events, "%llu", (unsigned long long)(app->counts.lost - app->lost_told));
    if (app->counts.lost > app->lost_told)
        app_log(APP_ERROR, "webhooks are lost: too many at once, or out of memory", "app", app->settings->name,
                "events", events, NULL);
    app->lost_told = app->counts.lost;
}

/* How long to sleep; negative: it has ended. */
static int turn(push_hooks *hooks) {
    pthread_mutex_lock(&hooks->lock);
    uint64_t now_ms = push_now_ms(), due_ms = now_ms + SLEEP_MS_MAX;
    hooks->awake = true;
    hooks->wakes_ms = due_ms;
    for (push_hooked *app = hooks->apps; app; app = app->next) {
        uint64_t mine_ms = serve_app(hooks, app, now_ms);
        due_ms = mine_ms < due_ms ? mine_ms : due_ms;
        tell_lost(app);
    }
    if (hooks->stops && hooks->stops_ms < due_ms)
        due_ms = hooks->stops_ms;
    if (hooks->wakes_ms < due_ms) /* something has come meanwhile */
        due_ms = hooks->wakes_ms;
    hooks->wakes_ms = due_ms;
    hooks->awake = false;
    bool over = hooks->stops && (now_ms >= hooks->stops_ms || all_told(hooks));
    pthread_mutex_unlock(&hooks->lock);
    write_lines(hooks);
    return over ? -1 : due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static void judge(push_hooks *hooks, const push_posted *got) {
    push_target *t = got->user;
    bool fails = got->error[0] != '\0';
    pthread_mutex_lock(&hooks->lock);
    bool failed_before = t->last.error[0] != '\0';
    if (fails) {
        failed(t, got, push_now_ms());
    } else {
        t->last = *got;
        t->app->counts.sent += t->box.batch;
        push_outbox_done(&t->box);
    }
    if (app_traced())
        app_trace(&(app_happening) {.what = fails ? "webhook_failed" : "webhook",
                                    .app = t->app->settings->id,
                                    .name = push_str(t->url),
                                    .data = fails ? push_str(got->error) : (weft_text) {NULL, 0}});
    pthread_mutex_unlock(&hooks->lock);
    if (fails && !failed_before)
        app_log(APP_ERROR, "a webhook fails, and is tried again", "url", t->url, "error", got->error, NULL);
    else if (!fails && failed_before)
        app_log(APP_INFO, "a webhook works again", "url", t->url, NULL);
}

void *push_hooks_run(void *user) {
    push_hooks *hooks = user;
    for (int sleep_ms; (sleep_ms = turn(hooks)) >= 0;) {
        push_poster_work(hooks->poster, sleep_ms);
        for (push_posted got; push_poster_next(hooks->poster, &got);)
            judge(hooks, &got);
    }
    return NULL;
}

/* What was under way may have arrived: told twice is better than never. */
void push_hooks_bury_all(push_hooks *hooks) {
    pthread_mutex_lock(&hooks->lock);
    for (push_hooked *app = hooks->apps; app; app = app->next) {
        for (push_target *t = app->targets; t; t = t->next) {
            for (push_outbox *box; (box = t->over.first ? &t->over : t->box.first ? &t->box : NULL);) {
                const char *why = box->under_way ? "the server has ended meanwhile: it may have arrived" : ended;
                if (bury(hooks, t, box, why, 0))
                    continue;
                pthread_mutex_unlock(&hooks->lock);
                write_lines(hooks);
                pthread_mutex_lock(&hooks->lock);
            }
        }
    }
    pthread_mutex_unlock(&hooks->lock);
    write_lines(hooks);
}
