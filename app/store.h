/*
 * store.h - the messages of logs in a file (SQLite), so that they outlive the process.
 *
 *     caller, any thread            the store's thread                               the file
 *     app_store_add(writes) ------> a batch: all that has come meanwhile
 *                                   one transaction ------------------------------->  on the disk
 *                                   done(write) for each, in order: append to the log, publish, answer
 *
 * What `done` is told is stored is on the disk (synchronous=FULL): a kill of the process or a loss of power does not
 * take it back. And as only `done` appends and publishes, nobody has seen an offset that the file does not know: after
 * any end the logs go on where everybody left them, with their epochs.
 *
 * What a log has outlived is deleted with the next batch; whole logs go, the one written longest ago first, when they
 * are older than age_ms or the file is larger than bytes_max.
 */
#ifndef APP_STORE_H
#define APP_STORE_H

#include "app/history.h"

typedef struct app_store app_store;

typedef struct app_store_config {
    const char *path;
    uint64_t bytes_max; /* of the file, but for its log of one batch */
    uint64_t age_ms;    /* 0: no log is too old */
} app_store_config;

/* The logs of one history in the store: its limits' `load` is app_shelf_load, and `store` a shelf. */
typedef struct app_shelf {
    app_store *store;
    char prefix[64]; /* of their keys in the file */
} app_shelf;

bool app_shelf_load(void *shelf, app_past *log);

typedef struct app_write {
    struct app_write *next;
    bool goes_on; /* the list it was added with; the store's own */
    const app_shelf *shelf;
    app_past *log; /* held by who adds it; let go of by `done` */
    app_message message;
    /* On the store's thread, without a lock; the write is its own again. NULL: it is stored, and to be appended with
     * app_past_append_stored. Else why it is not. */
    void (*done)(struct app_write *write, const char *why_not);
} app_write;

typedef struct app_store_stats {
    uint64_t commits, messages, bytes; /* stored */
    uint64_t failed, refused;          /* messages that could not be stored, and that came when the queue was full */
    uint64_t commit_ns;                /* all transactions took together */
    uint64_t batch_max;
    uint64_t queued_bytes, file_bytes;
} app_store_stats;

/* NULL: `out_why` says why. One process at a time has a file. */
app_store *app_store_open(const app_store_config *config, char *out_why, size_t cap);
void app_store_free(app_store *store); /* NULL is accepted */

bool app_store_start(app_store *store); /* its thread. False: errno */
void app_store_stop(app_store *store);  /* when it has written what was added. Not started, or NULL: nothing happens */

/* Adds a list of at most APP_WRITES_MAX; its messages come after those that were added before, and in one transaction.
 * False: the queue is full, or the list is too long, and none was added. */
enum { APP_WRITES_MAX = 1024 };
bool app_store_add(app_store *store, app_write *writes);

void app_store_look(app_store *store, app_store_stats *out_stats);

#endif
