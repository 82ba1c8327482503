/*
 * Logs in shards, each with a lock, a share of the memory, a tree of keys (tsearch, which is balanced: keys come from
 * peers) and a list of its logs that nobody holds, the one looked at longest ago first.
 */
#include "app/history.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { SHARDS = 16, RING_MIN = 8, MESSAGE_COST = 48 }; /* what a message weighs beside its bytes */

typedef struct kept {
    uint64_t at_ms;
    weft_kind kind;
    size_t len;
    uint8_t data[];
} kept;

typedef struct shard {
    pthread_mutex_t lock;
    struct app_history *history;
    void *tree;
    app_past *first, *last;           /* all logs; within them those that nobody holds are in the order of their use */
    app_past *idle_first, *idle_last; /* those nobody holds */
    uint32_t count, idle_count;
    uint64_t messages, bytes, appended;
} shard;

struct app_past {
    shard *home;
    app_past *prev, *next;           /* of all */
    app_past *idle_prev, *idle_next; /* while nobody holds it */
    uint64_t used_ms;
    uint32_t holds;
    uint32_t cap, at, count; /* the ring: messages [at, at + count) */
    kept **ring;
    size_t bytes;
    app_place end;
    uint64_t outlived;
    void *user;
    char key[];
};

struct app_history {
    app_history_limits limits;
    shard shards[SHARDS];
};

static uint64_t system_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

app_history *app_history_new(const app_history_limits *limits) {
    app_history *history = calloc(1, sizeof *history);
    if (!history)
        return NULL;
    history->limits = *limits;
    if (!limits->now_ms)
        history->limits.now_ms = system_ms;
    for (int i = 0; i < SHARDS; i++) {
        history->shards[i].history = history;
        pthread_mutex_init(&history->shards[i].lock, NULL);
    }
    return history;
}

void app_history_limit(app_history *history, const app_history_limits *limits) {
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_lock(&history->shards[i].lock);
    app_history_limits before = history->limits;
    history->limits = *limits;
    history->limits.now_ms = before.now_ms;
    history->limits.load = before.load;
    history->limits.store = before.store;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_unlock(&history->shards[i].lock);
}

/* ---- messages ---- */

static size_t weight(const kept *message) {
    return message->len + MESSAGE_COST;
}

static void drop_first(app_past *log) {
    kept *message = log->ring[log->at];
    log->at = (log->at + 1) % log->cap;
    log->count--;
    log->bytes -= weight(message);
    log->home->bytes -= weight(message);
    log->home->messages--;
    free(message);
}

/* It is not short of memory that makes it go. */
static void outlive_first(app_past *log) {
    drop_first(log);
    log->outlived = log->end.offset - log->count;
}

static void drop_old(app_past *log) {
    const app_history_limits *limits = &log->home->history->limits;
    if (limits->age_ms == 0 || log->count == 0)
        return;
    uint64_t now_ms = limits->now_ms();
    while (log->count > 0 && now_ms > log->ring[log->at]->at_ms + limits->age_ms)
        outlive_first(log);
}

static void clear(app_past *log) {
    while (log->count > 0)
        drop_first(log);
}

static bool grow(app_past *log, uint32_t messages_max) {
    uint32_t cap = log->cap ? log->cap * 2 : RING_MIN;
    if (cap > messages_max)
        cap = messages_max;
    kept **ring = malloc(cap * sizeof *ring);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < log->count; i++)
        ring[i] = log->ring[(log->at + i) % log->cap];
    free(log->ring);
    log->ring = ring;
    log->cap = cap;
    log->at = 0;
    return true;
}

/* ---- logs ---- */

static int by_key(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The tree's items are pointers to keys, which are the logs' last members. */
typedef struct item {
    const char *key;
    app_past *log;
} item;

static void idle_remove(app_past *log) {
    shard *s = log->home;
    *(log->idle_prev ? &log->idle_prev->idle_next : &s->idle_first) = log->idle_next;
    *(log->idle_next ? &log->idle_next->idle_prev : &s->idle_last) = log->idle_prev;
    s->idle_count--;
}

static void idle_add(app_past *log) {
    shard *s = log->home;
    log->idle_next = NULL;
    log->idle_prev = s->idle_last;
    *(s->idle_last ? &s->idle_last->idle_next : &s->idle_first) = log;
    s->idle_last = log;
    s->idle_count++;
}

static void forget(app_past *log) {
    shard *s = log->home;
    idle_remove(log);
    item key = {log->key, NULL}, **node = tfind(&key, &s->tree, by_key), *own = *node;
    tdelete(&key, &s->tree, by_key);
    free(own);
    *(log->prev ? &log->prev->next : &s->first) = log->next;
    *(log->next ? &log->next->prev : &s->last) = log->prev;
    s->count--;
    clear(log);
    free(log->ring);
    free(log);
}

void app_history_free(app_history *history) {
    if (!history)
        return;
    for (int i = 0; i < SHARDS; i++) {
        shard *s = &history->shards[i];
        while (s->idle_first)
            forget(s->idle_first);
        pthread_mutex_destroy(&s->lock);
    }
    free(history);
}

/* Of the shard's memory, one log's worth at least. */
static uint64_t shard_bytes_max(const app_history *history) {
    uint64_t share = history->limits.total_bytes_max / SHARDS;
    return share > history->limits.bytes_max ? share : history->limits.bytes_max;
}

/* Forgets logs that nobody holds: those that were idle for too long, and until the shard is within its limits; but for
 * `newest`. */
static void trim(shard *s, const app_past *newest) {
    const app_history *history = s->history;
    uint64_t now_ms = history->limits.now_ms();
    while (s->idle_first && s->idle_first != newest &&
           (now_ms > s->idle_first->used_ms + history->limits.idle_ms || s->bytes > shard_bytes_max(history) ||
            s->idle_count > history->limits.logs_max / SHARDS + 1))
        forget(s->idle_first);
}

/* When all that are left are held: the oldest messages of those go that have more than their share, this one first.
 * So who comes late keeps something too. */
static void drop_excess(app_past *log) {
    shard *s = log->home;
    uint64_t bytes_max = shard_bytes_max(s->history), fair = bytes_max / s->count;
    for (app_past *from = log; s->bytes > bytes_max;) {
        if (from->bytes > fair)
            drop_first(from);
        else /* somebody has more, or all together would have no more than they may */
            from = from->next ? from->next : s->first;
    }
}

static app_past *begin(shard *s, const char *key) {
    size_t size = strlen(key) + 1;
    unsigned char random[APP_EPOCH_LEN / 2];
    app_past *log = calloc(1, sizeof *log + size);
    item *own = malloc(sizeof *own);
    if (!log || !own || getrandom(random, sizeof random, 0) != sizeof random) {
        free(log);
        free(own);
        return NULL;
    }
    memcpy(log->key, key, size);
    log->home = s;
    for (int i = 0; i < APP_EPOCH_LEN; i++)
        log->end.epoch[i] = "0123456789abcdef"[random[i / 2] >> 4 * (i & 1) & 15];
    *own = (item) {log->key, log};
    if (!tsearch(own, &s->tree, by_key)) {
        free(log);
        free(own);
        return NULL;
    }
    log->prev = s->last;
    *(s->last ? &s->last->next : &s->first) = log;
    s->last = log;
    s->count++;
    idle_add(log);
    const app_history_limits *limits = &s->history->limits;
    if (!limits->load || limits->load(limits->store, log))
        return log;
    forget(log);
    return NULL;
}

static void touch(app_past *log) {
    log->used_ms = log->home->history->limits.now_ms();
    if (log->holds > 0)
        return;
    idle_remove(log);
    idle_add(log);
}

/* Only spreads keys over locks. */
static unsigned shard_of(const char *key) {
    uint32_t hash = 2166136261u;
    for (; *key; key++)
        hash = (hash ^ (uint8_t)*key) * 16777619u;
    return (hash >> 16 ^ hash) % SHARDS;
}

app_past *app_history_lock(app_history *history, const char *key) {
    shard *s = &history->shards[shard_of(key)];
    item wanted = {key, NULL};
    pthread_mutex_lock(&s->lock);
    item **node = tfind(&wanted, &s->tree, by_key);
    app_past *log = node ? (*node)->log : begin(s, key);
    if (!log) {
        pthread_mutex_unlock(&s->lock);
        return NULL;
    }
    touch(log);
    trim(s, log);
    drop_old(log);
    return log;
}

void app_past_lock(app_past *log) {
    pthread_mutex_lock(&log->home->lock);
    drop_old(log);
}

void app_past_unlock(app_past *log) {
    pthread_mutex_unlock(&log->home->lock);
}

void app_history_each(app_history *history, void (*see)(void *context, app_past *log), void *context) {
    for (int i = 0; i < SHARDS; i++) {
        shard *s = &history->shards[i];
        pthread_mutex_lock(&s->lock);
        trim(s, NULL);
        for (app_past *log = s->first; log; log = log->next) {
            drop_old(log);
            see(context, log);
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void app_history_count(app_history *history, app_history_counts *out) {
    *out = (app_history_counts) {0};
    for (int i = 0; i < SHARDS; i++) {
        shard *s = &history->shards[i];
        pthread_mutex_lock(&s->lock);
        out->messages += s->messages;
        out->bytes += s->bytes;
        out->appended += s->appended;
        pthread_mutex_unlock(&s->lock);
    }
}

void app_past_hold(app_past *log) {
    if (log->holds++ == 0)
        idle_remove(log);
}

void app_past_let_go(app_past *log) {
    if (--log->holds > 0)
        return;
    log->user = NULL;
    idle_add(log);
    touch(log);
}

static bool fits(const app_past *log, size_t len) {
    const app_history_limits *limits = &log->home->history->limits;
    return limits->messages_max > 0 && len <= limits->bytes_max;
}

/* At the end, with the offset that is there already. False: memory is out. */
static bool keep(app_past *log, const app_message *message) {
    const app_history_limits *limits = &log->home->history->limits;
    kept *own = malloc(sizeof *own + message->len);
    if (!own)
        return false;
    own->at_ms = message->at_ms;
    own->kind = message->kind;
    own->len = message->len;
    if (message->len > 0)
        memcpy(own->data, message->data, message->len);
    while (log->count > 0 && (log->count >= limits->messages_max || log->bytes + weight(own) > limits->bytes_max))
        outlive_first(log);
    if (log->count == log->cap && !grow(log, limits->messages_max)) {
        free(own);
        return false;
    }
    log->ring[(log->at + log->count++) % log->cap] = own;
    log->bytes += weight(own);
    log->home->bytes += weight(own);
    log->home->messages++;
    log->end.offset++;
    trim(log->home, log);
    drop_excess(log);
    return true;
}

uint64_t app_past_append(app_past *log, weft_kind kind, const void *data, size_t len) {
    touch(log);
    app_message message = {.kind = kind, .data = data, .len = len, .at_ms = log->used_ms};
    if (!fits(log, len)) {
        clear(log); /* what is kept has no gap */
        log->end.offset++;
    } else if (!keep(log, &message)) {
        return 0;
    }
    log->home->appended++;
    return log->end.offset;
}

uint64_t app_past_append_stored(app_past *log, const app_message *message) {
    touch(log);
    log->home->appended++;
    bool fitting = fits(log, message->len);
    if (fitting && keep(log, message))
        return log->end.offset;
    clear(log);
    if (fitting && keep(log, message)) /* in the place of those before it */
        return log->end.offset;
    return ++log->end.offset;
}

void app_past_begin_at(app_past *log, const app_place *place) {
    clear(log);
    log->end = *place;
}

bool app_past_restore(app_past *log, const app_message *message) {
    bool keeps = fits(log, message->len);
    if (!keeps || message->offset != log->end.offset + 1) {
        clear(log); /* what is kept has no gap */
        log->end.offset = message->offset - keeps;
    }
    return !keeps || keep(log, message);
}

uint64_t app_past_outlived(const app_past *log) {
    return log->outlived;
}

const char *app_past_key(const app_past *log) {
    return log->key;
}

app_place app_past_end(const app_past *log) {
    return log->end;
}

uint64_t app_past_first(const app_past *log) {
    return log->end.offset - log->count + 1;
}

bool app_past_recovers(const app_past *log, const app_place *place) {
    return strcmp(place->epoch, log->end.epoch) == 0 && place->offset <= log->end.offset &&
           place->offset + 1 >= app_past_first(log);
}

bool app_past_at(const app_past *log, uint64_t offset, app_message *out_message) {
    uint64_t first = app_past_first(log);
    if (offset < first || offset > log->end.offset)
        return false;
    const kept *message = log->ring[(log->at + (offset - first)) % log->cap];
    *out_message = (app_message) {offset, message->kind, message->data, message->len, message->at_ms};
    return true;
}

uint64_t app_past_age_ms(const app_past *log, const app_message *message) {
    uint64_t now_ms = log->home->history->limits.now_ms();
    return now_ms > message->at_ms ? now_ms - message->at_ms : 0;
}

bool app_place_parse(const char *text, app_place *out_place) {
    if (strspn(text, "0123456789abcdef") != APP_EPOCH_LEN || text[APP_EPOCH_LEN] != ':')
        return false;
    const char *digits = text + APP_EPOCH_LEN + 1;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18 || digits[count] != '\0')
        return false;
    memcpy(out_place->epoch, text, APP_EPOCH_LEN);
    out_place->epoch[APP_EPOCH_LEN] = '\0';
    out_place->offset = strtoull(digits, NULL, 10);
    return true;
}

void **app_past_user(app_past *log) {
    return &log->user;
}
