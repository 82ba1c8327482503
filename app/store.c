/*
 * One thread writes. While a transaction is under way the next batch gathers behind it: the slower the disk, the larger
 * the batches, and nobody has to choose a delay.
 *
 * Offsets are counted here, from the end of the log in memory: only what `done` appends moves that, so the two agree
 * whenever a batch begins. A batch that fails leaves both as they were.
 */
#include "app/store.h"

#include "app/log.h"
#include "app/store_file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BATCH_MAX = 1024, /* and the rest of a list */
    SLOTS = 2 * (BATCH_MAX + APP_WRITES_MAX),
    QUEUE_BYTES_MAX = 32 << 20,
    WRITE_COST = 256,
    PRUNE_S = 60
};

/* A log that the batch writes to. */
typedef struct entry {
    app_past *log; /* NULL: a free slot */
    const app_shelf *shelf;
    app_place end;
    uint64_t outlived;
    int64_t id; /* 0: not asked for yet */
} entry;

struct app_store {
    app_store_config config;
    store_file *file;
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stops;
    app_write *first, *last;
    app_store_stats stats;
    /* the thread's own */
    entry entries[SLOTS];
    bool fails; /* it has been told */
};

app_store *app_store_open(const app_store_config *config, char *out_why, size_t cap) {
    app_store *store = calloc(1, sizeof *store);
    if (!store) {
        snprintf(out_why, cap, "%s: out of memory", config->path);
        return NULL;
    }
    store->config = *config;
    store->file = store_file_open(config->path, out_why, cap);
    if (!store->file) {
        free(store);
        return NULL;
    }
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->wake, NULL);
    return store;
}

void app_store_free(app_store *store) {
    if (!store)
        return;
    store_file_close(store->file);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static bool name_of(const app_shelf *shelf, const app_past *log, char out[STORE_NAME_MAX]) {
    int len = snprintf(out, STORE_NAME_MAX, "%s%s", shelf->prefix, app_past_key(log));
    return len > 0 && len < STORE_NAME_MAX;
}

bool app_shelf_load(void *context, app_past *log) {
    const app_shelf *shelf = context;
    char name[STORE_NAME_MAX];
    return name_of(shelf, log, name) && store_file_load(shelf->store->file, name, log);
}

/* ---- a batch ---- */

static entry *entry_of(app_store *store, const app_write *write) {
    size_t at = ((uintptr_t)write->log >> 4) * 2654435761u % SLOTS;
    while (store->entries[at].log && store->entries[at].log != write->log)
        at = (at + 1) % SLOTS;
    entry *e = &store->entries[at];
    if (!e->log) {
        app_past_lock(write->log);
        *e = (entry) {.log = write->log,
                      .shelf = write->shelf,
                      .end = app_past_end(write->log),
                      .outlived = app_past_outlived(write->log)};
        app_past_unlock(write->log);
    }
    return e;
}

static bool put_log(app_store *store, entry *e) {
    char name[STORE_NAME_MAX];
    return name_of(e->shelf, e->log, name) && store_file_log(store->file, name, &e->end, e->outlived, &e->id);
}

static bool write_batch(app_store *store, app_write *batch) {
    memset(store->entries, 0, sizeof store->entries);
    for (app_write *w = batch; w; w = w->next)
        w->message.offset = ++entry_of(store, w)->end.offset;
    if (!store_file_begin(store->file))
        return false;
    for (app_write *w = batch; w; w = w->next) {
        entry *e = entry_of(store, w);
        if (e->id == 0 && !put_log(store, e))
            return false;
        if (!store_file_message(store->file, e->id, &w->message))
            return false;
    }
    return store_file_commit(store->file);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void tell_failing(app_store *store, bool fails) {
    if (fails && !store->fails)
        app_log(APP_ERROR, "the store fails: what is published to it is refused", "file", store->config.path, "error",
                store_file_error(store->file), NULL);
    else if (!fails && store->fails)
        app_log(APP_INFO, "the store works again", "file", store->config.path, NULL);
    store->fails = fails;
}

static void count_batch(app_store *store, const app_write *batch, uint64_t ns, bool stored) {
    uint64_t messages = 0, bytes = 0;
    for (const app_write *w = batch; w; w = w->next) {
        messages++;
        bytes += w->message.len;
    }
    pthread_mutex_lock(&store->lock);
    app_store_stats *s = &store->stats;
    s->queued_bytes -= bytes + messages * WRITE_COST;
    if (stored) {
        s->commits++;
        s->messages += messages;
        s->bytes += bytes;
        s->commit_ns += ns;
        s->batch_max = messages > s->batch_max ? messages : s->batch_max;
    } else {
        s->failed += messages;
    }
    pthread_mutex_unlock(&store->lock);
}

static void store_batch(app_store *store, app_write *batch) {
    uint64_t begin = clock_ns(CLOCK_MONOTONIC);
    bool stored = write_batch(store, batch);
    if (!stored)
        store_file_rollback(store->file);
    tell_failing(store, !stored);
    count_batch(store, batch, clock_ns(CLOCK_MONOTONIC) - begin, stored);
    char why[256];
    snprintf(why, sizeof why, "the store fails: %s", store_file_error(store->file));
    for (app_write *w = batch, *next; w; w = next) {
        next = w->next;
        w->done(w, stored ? NULL : why);
    }
}

static void prune(app_store *store) {
    uint64_t now_ms = clock_ns(CLOCK_REALTIME) / 1000000, age_ms = store->config.age_ms;
    bool more = true, ok = true;
    for (int rounds = 0; rounds < 64 && ok && more; rounds++)
        ok = store_file_prune(store->file, age_ms > 0 && age_ms < now_ms ? now_ms - age_ms : 0, store->config.bytes_max,
                              &more);
    if (!ok)
        store_file_rollback(store->file);
    pthread_mutex_lock(&store->lock);
    store->stats.file_bytes = store_file_bytes(store->file);
    pthread_mutex_unlock(&store->lock);
}

/* ---- the thread ---- */

/* Waits for what is to be written, a minute at most. NULL: nothing. */
static app_write *next_batch(app_store *store) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PRUNE_S;
    pthread_mutex_lock(&store->lock);
    while (!store->first && !store->stops && pthread_cond_timedwait(&store->wake, &store->lock, &until) != ETIMEDOUT)
        ;
    app_write *batch = store->first, *last = batch;
    for (int count = 1; last && last->next && (count < BATCH_MAX || last->goes_on); count++)
        last = last->next;
    if (last) {
        store->first = last->next;
        last->next = NULL;
    }
    pthread_mutex_unlock(&store->lock);
    return batch;
}

static void *run(void *context) {
    app_store *store = context;
    for (;;) {
        app_write *batch = next_batch(store);
        if (batch)
            store_batch(store, batch);
        pthread_mutex_lock(&store->lock);
        bool ends = store->stops && !store->first;
        pthread_mutex_unlock(&store->lock);
        if (ends)
            return NULL;
        prune(store);
    }
}

bool app_store_start(app_store *store) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&store->thread, NULL, run, store);
    store->runs = errno == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return store->runs;
}

void app_store_stop(app_store *store) {
    if (!store || !store->runs)
        return;
    pthread_mutex_lock(&store->lock);
    store->stops = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
    store->runs = false;
}

bool app_store_add(app_store *store, app_write *writes) {
    uint64_t bytes = 0, count = 0;
    app_write *last = writes;
    for (app_write *w = writes; w; w = w->next) {
        bytes += w->message.len + WRITE_COST;
        w->goes_on = w->next != NULL;
        count++;
        last = w;
    }
    pthread_mutex_lock(&store->lock);
    bool fits = store->stats.queued_bytes < QUEUE_BYTES_MAX && count <= APP_WRITES_MAX && !store->stops;
    if (fits) {
        store->stats.queued_bytes += bytes;
        *(store->first ? &store->last->next : &store->first) = writes;
        store->last = last;
        pthread_cond_signal(&store->wake);
    } else {
        store->stats.refused += count;
    }
    pthread_mutex_unlock(&store->lock);
    return fits;
}

void app_store_look(app_store *store, app_store_stats *out_stats) {
    pthread_mutex_lock(&store->lock);
    *out_stats = store->stats;
    pthread_mutex_unlock(&store->lock);
}
