/*
 * The thread goes in turns: take what is due out of pending, begin the posts that are due, wait for libcurl, judge what
 * is over. It sleeps until the earliest of these, which is known to workers (`wakes_ms`), so they wake it only for
 * something earlier.
 *
 *     push_hooks   lock over everything here; the poster and the file are the thread's alone
 *       push_hooked    an app: settings, pending, counters
 *         target         a URL: its outbox, and what found that full and waits for the file
 */
#include "app/pusher/hooks.h"

#include "app/log.h"
#include "app/pusher/apps.h"
#include "app/pusher/pending.h"
#include "app/pusher/poster.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* The last moment when all ends; bytes of lines that are written at once; ends that are told in one turn; the longest
 * sleep. */
enum { LAST_MS = 2000, LINES_BYTES = 64 << 10, ENDS_PER_TURN = 500, SLEEP_MS_MAX = 60000 };

static const char ended[] = "the server has ended";

typedef struct target {
    struct target *next;
    push_hooked *app;
    char *url;
    const push_webhook *hook; /* in the app's settings; NULL: they name it no more */
    push_outbox box, over;
    push_posted last; /* how the last attempt ended */
    bool gives_up;    /* what is too old by now */
} target;

struct push_hooked {
    push_hooked *next;
    push_hooks *hooks;
    push_settings *settings;
    push_pending pending;
    target *targets;
    uint64_t sent, failed, retried, dead, lost; /* events but for `failed` and `retried`, which are posts */
    uint64_t lost_told;
};

struct push_hooks {
    push_poster *poster;
    push_dead dead;
    push_text lines; /* for the file; the thread's */
    size_t lines_events;
    push_hooked *lines_app; /* whose they are */
    char lines_name[64];    /* the app's, as it may get others meanwhile */
    pthread_t thread;
    bool runs;

    pthread_mutex_t lock; /* over what follows, and the apps */
    push_hooked *apps;
    uint64_t wakes_ms; /* when the thread will look again by itself; 0: it is at it */
    bool stops;
    uint64_t stops_ms; /* when it gives up */
};

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const push_outbox_rules *rules_of(const push_hooked *app) {
    return &app->settings->webhooks.rules;
}

/* ---- from the workers ---- */

static void look_at(push_hooks *hooks, uint64_t due_ms) {
    if (due_ms >= hooks->wakes_ms)
        return;
    hooks->wakes_ms = due_ms;
    push_poster_wake(hooks->poster);
}

static void put(target *t, weft_text event, uint64_t now_ms) {
    push_hooked *app = t->app;
    const push_outbox_rules *rules = rules_of(app);
    if (push_outbox_add(&t->box, rules, event, now_ms))
        look_at(app->hooks, push_outbox_due(&t->box, rules));
    else if (push_outbox_add(&t->over, rules, event, now_ms))
        look_at(app->hooks, now_ms);
    else
        app->lost++;
}

static void tell(push_hooked *app, const push_happened *what, uint64_t now_ms) {
    push_text event = {0};
    for (target *t = app->targets; t; t = t->next) {
        if (!t->hook || !(t->hook->kinds & 1u << what->note))
            continue;
        if (!event.data)
            push_webhook_event(&event, what->note, what->channel, what->text);
        if (event.failed)
            app->lost++;
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
        tell(app, &what, now_ms);
    else
        look_at(app->hooks, push_pending_due(&app->pending));
    pthread_mutex_unlock(&app->hooks->lock);
}

/* ---- settings ---- */

static target *find(push_hooked *app, const char *url) {
    target *t = app->targets;
    while (t && strcmp(t->url, url) != 0)
        t = t->next;
    return t;
}

static target *target_new(push_hooked *app, const char *url) {
    target *t = calloc(1, sizeof *t), **at = &app->targets;
    if (!t || !(t->url = strdup(url))) {
        free(t);
        return NULL;
    }
    t->app = app;
    while (*at)
        at = &(*at)->next;
    return *at = t;
}

static void target_free(target *t) {
    push_outbox_free(&t->box);
    push_outbox_free(&t->over);
    free(t->url);
    free(t);
}

static bool set_targets(push_hooked *app, push_settings *settings) {
    bool ok = true;
    for (target *t = app->targets; t; t = t->next)
        t->hook = NULL;
    push_settings_unref(app->settings);
    app->settings = push_settings_ref(settings);
    for (size_t i = 0; i < settings->webhooks.count; i++) {
        const push_webhook *hook = &settings->webhooks.items[i];
        target *t = find(app, hook->url);
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
    *(why ? &hooks->lines_app->lost : &hooks->lines_app->dead) += hooks->lines_events;
    pthread_mutex_unlock(&hooks->lock);
    hooks->lines_events = 0;
    push_text_free(&hooks->lines);
}

/* Makes a line of the box's next body. False: there are lines enough for once. */
static bool bury(push_hooks *hooks, target *t, push_outbox *box, const char *error, int status) {
    if (hooks->lines.len > 0 && (hooks->lines.len >= LINES_BYTES || hooks->lines_app != t->app))
        return false;
    size_t len = hooks->lines.len;
    uint64_t now = wall_ms();
    push_outbox_begin(box, rules_of(t->app), now);
    push_dead_post post = {t->app->settings->id, t->url, error, status, {box->body.data, box->body.len}};
    hooks->lines_app = t->app;
    snprintf(hooks->lines_name, sizeof hooks->lines_name, "%s", t->app->settings->name);
    push_dead_line(&hooks->lines, &post, now);
    if (box->body.failed || hooks->lines.failed) {
        hooks->lines.len = len;
        t->app->lost += box->batch;
    } else {
        hooks->lines_events += box->batch;
    }
    hooks->lines.failed = false;
    push_outbox_drop(box);
    return true;
}

/* ---- the thread ---- */

static void failed(target *t, const push_posted *how, uint64_t now_ms) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = now_ms;
    t->last = *how;
    t->app->failed++;
    push_outbox_failed(&t->box, rules_of(t->app), now_ms, random);
    t->gives_up = push_outbox_expired(&t->box, rules_of(t->app), now_ms);
}

static void begin(push_hooks *hooks, target *t, uint64_t now_ms) {
    const push_settings *s = t->app->settings;
    push_outbox_begin(&t->box, rules_of(t->app), wall_ms());
    t->app->retried += t->box.failures > 0;
    push_post post = {&s->webhooks, t->hook, s->keys[0].key, s->keys[0].secret, &t->box.body};
    if (!push_poster_begin(hooks->poster, &post, t))
        failed(t, &(push_posted) {.error = "out of memory"}, now_ms);
}

/* Whether the first that waits is not to be posted any more. When all ends, one failure is enough. */
static bool is_dead(const push_hooks *hooks, const target *t, uint64_t now_ms) {
    if (!t->box.first || t->box.under_way)
        return false;
    return !t->hook || (hooks->stops && (now_ms >= hooks->stops_ms || t->box.failures > 0)) ||
           (t->gives_up && push_outbox_expired(&t->box, rules_of(t->app), now_ms));
}

/* False: there is more than fits into the lines. */
static bool bury_the_dead(push_hooks *hooks, target *t, uint64_t now_ms) {
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
static uint64_t serve_target(push_hooks *hooks, target *t, uint64_t now_ms) {
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
    for (const target *t = app->targets; t; t = t->next)
        if (t->over.count > rules_of(app)->queue_events / 2)
            return true;
    return false;
}

static uint64_t serve_app(push_hooks *hooks, push_hooked *app, uint64_t now_ms) {
    uint64_t ends_ms = hooks->stops ? UINT64_MAX : now_ms;
    push_waiting *w;
    for (int n = 0; n < ENDS_PER_TURN && !is_crowded(app) && (w = push_pending_take(&app->pending, ends_ms)); n++) {
        tell(app, &w->what, now_ms);
        free(w);
    }
    uint64_t due_ms = hooks->stops && app->pending.first ? now_ms : push_pending_due(&app->pending);
    for (target **at = &app->targets; *at;) {
        target *t = *at;
        uint64_t mine_ms = serve_target(hooks, t, now_ms);
        due_ms = mine_ms < due_ms ? mine_ms : due_ms;
        if (t->hook || t->box.first || t->over.first) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        target_free(t);
    }
    return due_ms;
}

static bool all_told(const push_hooks *hooks) {
    for (const push_hooked *app = hooks->apps; app; app = app->next) {
        if (app->pending.first)
            return false;
        for (const target *t = app->targets; t; t = t->next)
            if (t->box.first || t->over.first)
                return false;
    }
    return true;
}

static void tell_lost(push_hooked *app) {
    char events[32];
    snprintf(events, sizeof events, "%llu", (unsigned long long)(app->lost - app->lost_told));
    if (app->lost > app->lost_told)
        app_log(APP_ERROR, "webhooks are lost: too many at once, or out of memory", "app", app->settings->name,
                "events", events, NULL);
    app->lost_told = app->lost;
}

/* How long to sleep; negative: it has ended. */
static int turn(push_hooks *hooks) {
    pthread_mutex_lock(&hooks->lock);
    uint64_t now_ms = push_now_ms(), due_ms = now_ms + SLEEP_MS_MAX;
    hooks->wakes_ms = 0;
    for (push_hooked *app = hooks->apps; app; app = app->next) {
        uint64_t mine_ms = serve_app(hooks, app, now_ms);
        due_ms = mine_ms < due_ms ? mine_ms : due_ms;
        tell_lost(app);
    }
    if (hooks->stops && hooks->stops_ms < due_ms)
        due_ms = hooks->stops_ms;
    hooks->wakes_ms = due_ms;
    bool over = hooks->stops && (now_ms >= hooks->stops_ms || all_told(hooks));
    pthread_mutex_unlock(&hooks->lock);
    write_lines(hooks);
    return over ? -1 : due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static void judge(push_hooks *hooks, const push_posted *got) {
    target *t = got->user;
    bool fails = got->error[0] != '\0';
    pthread_mutex_lock(&hooks->lock);
    bool failed_before = t->last.error[0] != '\0';
    if (fails) {
        failed(t, got, push_now_ms());
    } else {
        t->last = *got;
        t->app->sent += t->box.batch;
        push_outbox_done(&t->box);
    }
    pthread_mutex_unlock(&hooks->lock);
    if (fails && !failed_before)
        app_log(APP_ERROR, "a webhook fails, and is tried again", "url", t->url, "error", got->error, NULL);
    else if (!fails && failed_before)
        app_log(APP_INFO, "a webhook works again", "url", t->url, NULL);
}

static void *run(void *user) {
    push_hooks *hooks = user;
    for (int sleep_ms; (sleep_ms = turn(hooks)) >= 0;) {
        push_poster_work(hooks->poster, sleep_ms);
        for (push_posted got; push_poster_next(hooks->poster, &got);)
            judge(hooks, &got);
    }
    return NULL;
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
    errno = pthread_create(&hooks->thread, NULL, run, hooks);
    hooks->runs = errno == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return hooks->runs;
}

/* The thread and the posts have ended. What was under way may have arrived: told twice is better than never. */
static void bury_all(push_hooks *hooks) {
    for (push_hooked *app = hooks->apps; app; app = app->next) {
        for (target *t = app->targets; t; t = t->next) {
            for (push_outbox *box; (box = t->over.first ? &t->over : t->box.first ? &t->box : NULL);) {
                const char *why = box->under_way ? "the server has ended meanwhile: it may have arrived" : ended;
                if (!bury(hooks, t, box, why, 0))
                    write_lines(hooks);
            }
        }
    }
    write_lines(hooks);
}

void push_hooks_stop(push_hooks *hooks) {
    if (!hooks || !hooks->runs)
        return;
    pthread_mutex_lock(&hooks->lock);
    hooks->stops = true;
    hooks->stops_ms = push_now_ms() + LAST_MS;
    for (push_hooked *app = hooks->apps; app; app = app->next)
        for (target *t = app->targets; t; t = t->next)
            t->box.failures = 0; /* one more chance */
    pthread_mutex_unlock(&hooks->lock);
    push_poster_wake(hooks->poster);
    pthread_join(hooks->thread, NULL);
    hooks->runs = false;
    push_poster_free(hooks->poster);
    hooks->poster = NULL;
    bury_all(hooks);
}

void push_hooks_free(push_hooks *hooks) {
    if (!hooks)
        return;
    push_poster_free(hooks->poster);
    for (push_hooked *app; (app = hooks->apps); free(app)) {
        hooks->apps = app->next;
        for (target *t; (t = app->targets); target_free(t))
            app->targets = t->next;
        push_pending_free(&app->pending);
        push_settings_unref(app->settings);
    }
    push_text_free(&hooks->lines);
    push_dead_close(&hooks->dead);
    pthread_mutex_destroy(&hooks->lock);
    free(hooks);
}

/* ---- metrics ---- */

static const struct metric {
    const char *name, *type, *help;
} metrics[] = {
    {"webhook_sent_total", "counter", "Events told by webhooks."},
    {"webhook_failed_total", "counter", "Posts of webhooks that failed."},
    {"webhook_retried_total", "counter", "Posts of webhooks that were made once more."},
    {"webhook_dead_total", "counter", "Events that went to the dead-letter file."},
    {"webhook_lost_total", "counter", "Events that could neither be told nor kept."},
    {"webhook_queued", "gauge", "Events that wait to be told."},
};

static uint64_t value_of(const push_hooked *app, size_t metric) {
    const uint64_t counters[] = {app->sent, app->failed, app->retried, app->dead, app->lost};
    uint64_t queued = 0;
    for (const target *t = app->targets; t; t = t->next)
        queued += t->box.count + t->over.count;
    return metric < sizeof counters / sizeof counters[0] ? counters[metric] : queued;
}

void push_hooks_metrics(push_hooks *hooks, push_text *out) {
    char line[256];
    pthread_mutex_lock(&hooks->lock);
    for (size_t i = 0; hooks->apps && i < sizeof metrics / sizeof metrics[0]; i++) {
        const struct metric *m = &metrics[i];
        snprintf(line, sizeof line, "# HELP weft_%s %s\n# TYPE weft_%s %s\n", m->name, m->help, m->name, m->type);
        push_put_str(out, line);
        for (const push_hooked *app = hooks->apps; app; app = app->next) {
            snprintf(line, sizeof line, "weft_%s{app=\"%s\"} %llu\n", m->name, app->settings->id,
                     (unsigned long long)value_of(app, i));
            push_put_str(out, line);
        }
    }
    pthread_mutex_unlock(&hooks->lock);
}
