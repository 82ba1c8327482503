/*
 * Webhooks: the app's own thread, and in place of libcurl a network of ours. The thread runs only while the server's
 * waits for it, as outside.c has it: until it sleeps in push_poster_work, and again when the time it named has come or
 * somebody wakes it. A post takes a while, and may fail while faults happen, before or behind its arrival.
 *
 * Who is told keeps what he was told, and knows what may be told next: a beginning or an end, in turn.
 */
#include "faults.h"
#include "sim.h"
#include "world.h"

#include "app/pusher/poster.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { POSTS_MAX = 8, COLLECTORS = 2, ROUNDS_MAX = 1000 };

typedef struct post {
    void *user; /* NULL: free */
    const char *url;
    char *body;
    uint64_t done_ns;
    int status; /* 0: there is no answer */
} post;

typedef struct collector {
    char *last_body; /* that arrived */
    bool occupied[CHANNELS], member[CHANNELS][USERS];
    uint32_t ends[CHANNELS], member_ends[CHANNELS][USERS];
    uint32_t happened[3];
} collector;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool sleeps, may_run, woken, free_running;
static uint64_t wakes_ns;
static post posts[POSTS_MAX];
static collector collectors[COLLECTORS];

void collector_begin(void) {
    for (int i = 0; i < COLLECTORS; i++)
        free(collectors[i].last_body);
    memset(collectors, 0, sizeof collectors);
    memset(posts, 0, sizeof posts);
    sleeps = may_run = woken = free_running = false;
}

/* ---- who is told ---- */

/* Of a pair only the other half may come next. */
static void turn(bool *is, bool now, const char *body) {
    if (*is == now)
        sim_fail("webhooks", "told twice in a row: %.400s", body);
    *is = now;
}

static bool overdue(const truth_spell *s, uint32_t told) {
    uint32_t most =
        s->ends + s->unsure + (!s->is && s->ended_ns && sim.now_ns + SIM_MS >= s->ended_ns + truth_grace_ns);
    return free_running || told <= most;
}

static void hear_event(collector *to, const json_t *event, const char *body) {
    const char *name = json_string_value(json_object_get(event, "name"));
    const char *channel_name = json_string_value(json_object_get(event, "channel"));
    const char *id = json_string_value(json_object_get(event, "user_id"));
    int channel = channel_name ? truth_channel_of(channel_name) : -1, user = id ? truth_user_of(id) : -1;
    if (!name || channel < 0)
        sim_fail("webhooks", "it tells nothing: %.400s", body);
    bool ends = strcmp(name, "channel_vacated") == 0 || strcmp(name, "member_removed") == 0;
    if (strncmp(name, "channel_", 8) == 0) {
        turn(&to->occupied[channel], !ends, body);
        to->ends[channel] += ends;
        if (ends && !overdue(&truth_occupied[channel], to->ends[channel]))
            sim_fail("webhooks", "%s is told to be vacated too early", channel_name);
    } else if (strncmp(name, "member_", 7) == 0 && user >= 0) {
        turn(&to->member[channel][user], !ends, body);
        to->member_ends[channel][user] += ends;
        if (ends && !overdue(&truth_member[channel][user], to->member_ends[channel][user]))
            sim_fail("webhooks", "%s is told to have left %s too early", id, channel_name);
    } else {
        static const char *const others[3] = {"client_event", "cache_miss", "subscription_count"};
        for (int i = 0; i < 3; i++)
            to->happened[i] += strcmp(name, others[i]) == 0;
    }
}

/* The same body again is the same post: its answer was lost. */
static void arrive(const post *p) {
    collector *to = &collectors[strcmp(p->url, "http://hooks.example/members") == 0];
    if (to->last_body && strcmp(to->last_body, p->body) == 0)
        return;
    json_t *json = json_loads(p->body, JSON_REJECT_DUPLICATES, NULL);
    const json_t *events = json_object_get(json, "events");
    if (json_array_size(events) == 0)
        sim_fail("webhooks", "a post that tells nothing: %.400s", p->body);
    for (size_t i = 0; i < json_array_size(events); i++)
        hear_event(to, json_array_get(events, i), p->body);
    sim_trace("webhook", (int64_t)json_array_size(events), (int64_t)strlen(p->body), p->status);
    json_decref(json);
    free(to->last_body);
    to->last_body = strdup(p->body);
}

/* ---- in place of poster.c, on the hooks' thread ---- */

push_poster *__wrap_push_poster_new(void);
void __wrap_push_poster_free(push_poster *poster);
bool __wrap_push_poster_begin(push_poster *poster, const push_post *post, void *user);
void __wrap_push_poster_work(push_poster *poster, int wait_ms);
bool __wrap_push_poster_next(push_poster *poster, push_posted *out);
void __wrap_push_poster_wake(push_poster *poster);

push_poster *__wrap_push_poster_new(void) {
    return (push_poster *)posts;
}

void __wrap_push_poster_free(push_poster *poster) {
    (void)poster;
    for (int i = 0; i < POSTS_MAX; i++)
        free(posts[i].body);
    memset(posts, 0, sizeof posts);
}

static bool fails(void) {
    return sim_faulty() && sim_below(3) == 0;
}

bool __wrap_push_poster_begin(push_poster *poster, const push_post *post_of, void *user) {
    (void)poster;
    post *p = posts;
    while (p->user)
        if (++p == posts + POSTS_MAX)
            sim_fail("simulator", "too many posts at once");
    for (int i = 0; i < POSTS_MAX; i++)
        if (posts[i].user == user)
            sim_fail("webhooks", "two posts at once to %s", posts[i].url);
    if (strcmp(post_of->key, WORLD_KEY) != 0 || strcmp(post_of->secret, WORLD_SECRET) != 0)
        sim_fail("webhooks", "another key");
    *p = (post) {.user = user, .url = post_of->hook->url, .body = strdup(post_of->body->data)};
    p->done_ns = sim.now_ns + (uint64_t)sim_log_between(1, free_running ? 2 : 2000) * SIM_MS;
    p->status = !fails() ? 200 : sim_below(2) ? 503 : 0;
    if (p->status == 200 || sim_below(2))
        arrive(p);
    sim_trace("posts", p->status, 0, 0);
    return true;
}

static uint64_t first_done_ns(void) {
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < POSTS_MAX; i++)
        if (posts[i].user && posts[i].done_ns < first)
            first = posts[i].done_ns;
    return first;
}

void __wrap_push_poster_work(push_poster *poster, int wait_ms) {
    (void)poster;
    pthread_mutex_lock(&lock);
    uint64_t done_ns = first_done_ns();
    wakes_ns = sim.now_ns + (uint64_t)wait_ms * SIM_MS;
    wakes_ns = done_ns < wakes_ns ? done_ns : wakes_ns;
    if (free_running && !woken && wakes_ns > sim.now_ns)
        sim.now_ns = wakes_ns;
    sleeps = !free_running;
    pthread_cond_broadcast(&changed);
    while (sleeps && !may_run)
        pthread_cond_wait(&changed, &lock);
    sleeps = may_run = woken = false;
    pthread_mutex_unlock(&lock);
}

bool __wrap_push_poster_next(push_poster *poster, push_posted *out) {
    (void)poster;
    for (int i = 0; i < POSTS_MAX; i++) {
        post *p = &posts[i];
        if (!p->user || p->done_ns > sim.now_ns)
            continue;
        *out = (push_posted) {.user = p->user, .status = p->status};
        if (p->status != 200)
            strcpy(out->error, "it failed");
        free(p->body);
        *p = (post) {0};
        return true;
    }
    return false;
}

void __wrap_push_poster_wake(push_poster *poster) {
    (void)poster;
    pthread_mutex_lock(&lock);
    woken = true;
    may_run = free_running; /* whoever wakes it then only waits for its end */
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* ---- on the server's thread ---- */

static void wait_until_it_sleeps(void) {
    while (!sleeps || may_run)
        pthread_cond_wait(&changed, &lock);
}

void collector_start(void) {
    pthread_mutex_lock(&lock);
    wait_until_it_sleeps();
    pthread_mutex_unlock(&lock);
}

void collector_act(void) {
    pthread_mutex_lock(&lock);
    for (int round = 0; woken || wakes_ns <= sim.now_ns; round++) {
        if (round == ROUNDS_MAX)
            sim_fail("spin", "the hooks' thread goes round and round");
        may_run = true;
        pthread_cond_broadcast(&changed);
        wait_until_it_sleeps();
    }
    pthread_mutex_unlock(&lock);
}

uint64_t collector_next_ns(void) {
    return woken ? sim.now_ns : wakes_ns;
}

/* It has two seconds: the network is quick now, and what is under way, too. */
void collector_let_run(void) {
    pthread_mutex_lock(&lock);
    free_running = true;
    for (int i = 0; i < POSTS_MAX; i++)
        posts[i].done_ns = posts[i].user ? sim.now_ns + SIM_MS : 0;
    pthread_mutex_unlock(&lock);
}

static void check_spell(const char *what, const truth_spell *s, bool told, uint32_t ends) {
    uint32_t least = s->ends + (!s->is && s->ended_ns), most = least + s->unsure;
    if (told != s->is || ends < least || ends > most)
        sim_fail("webhooks", "%s was told to be%s there, %u times to end; it is%s, and has ended %u to %u times", what,
                 told ? "" : " not", ends, s->is ? "" : " not", least, most);
}

void collector_check(void) {
    for (int c = 0; c < CHANNELS; c++) {
        check_spell(truth_channel_name(c), &truth_occupied[c], collectors[0].occupied[c], collectors[0].ends[c]);
        for (int u = 0; u < USERS; u++)
            for (int i = 0; i < COLLECTORS; i++)
                check_spell(truth_user_name(u), &truth_member[c][u], collectors[i].member[c][u],
                            collectors[i].member_ends[c][u]);
    }
    for (int i = 0; i < 3; i++)
        if (collectors[0].happened[i] != truth_happened[i])
            sim_fail("webhooks", "of kind %d %u were told, not %u", i, collectors[0].happened[i], truth_happened[i]);
}

void collector_end(void) {
    for (int c = 0; c < CHANNELS; c++) {
        bool told = collectors[0].occupied[c];
        for (int u = 0; u < USERS; u++)
            for (int i = 0; i < COLLECTORS; i++)
                told |= collectors[i].member[c][u];
        if (told)
            sim_fail("webhooks", "of %s it was never told that all had gone", truth_channel_name(c));
    }
}
