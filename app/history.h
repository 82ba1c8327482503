/*
 * history.h - the last messages of each room or channel, by offset, so that who comes back gets exactly what it missed
 * or is told that it cannot be had.
 *
 *     key --> log: epoch "5f0c..", messages with offsets  first .. last
 *
 * Each message of a log has the next offset, from 1 on. The epoch is random and a log's own: who comes with another has
 * been away for longer than the log was remembered. A place is an epoch and an offset: all up to there is known.
 *
 * A log is looked at under its lock, which is also what orders it with the rest of the world: who appends and publishes
 * under it, and reads and subscribes under it, misses nothing and sees nothing twice (weft_conn_subscribe). Some logs
 * share a lock: never take a second one.
 *
 * Behind the logs there may be a store (store.h). It fills a log when that begins; whoever writes appends to the log
 * what the store has, and not before.
 */
#ifndef APP_HISTORY_H
#define APP_HISTORY_H

#include <weft/conn.h>

typedef struct app_history app_history;
typedef struct app_past app_past; /* a log */

typedef struct app_history_limits {
    uint32_t messages_max, bytes_max; /* per log; no messages: offsets are counted, and nothing is kept */
    uint64_t total_bytes_max;         /* of all logs; what nobody holds goes first */
    uint32_t logs_max;                /* that nobody holds */
    uint64_t age_ms;                  /* older messages are forgotten; 0: none are too old */
    uint64_t idle_ms;         /* a log nobody holds or has looked at for so long is forgotten, sooner or later */
    uint64_t (*now_ms)(void); /* NULL: the time of day */
    /* Fills a log that begins (app_past_restore); under its lock. False: it cannot be read. NULL: there is no store. */
    bool (*load)(void *store, app_past *log);
    void *store;
} app_history_limits;

typedef struct app_message {
    uint64_t offset;
    weft_kind kind;
    const uint8_t *data; /* lives as long as the lock is held */
    size_t len;
    uint64_t at_ms; /* when it came, as now_ms tells it */
} app_message;

enum { APP_EPOCH_LEN = 16 };

typedef struct app_place {
    char epoch[APP_EPOCH_LEN + 1];
    uint64_t offset;
} app_place;

app_history *app_history_new(const app_history_limits *limits); /* NULL when memory or randomness is out */
void app_history_free(app_history *history);                    /* NULL is accepted; nobody holds anything any more */

/* Other limits than those it was made with; its clock and its store stay. */
void app_history_limit(app_history *history, const app_history_limits *limits);

/* Finds a log or begins it, and locks it. NULL: memory is out, or the store cannot be read. */
app_past *app_history_lock(app_history *history, const char *key);
void app_past_lock(app_past *log); /* one that is held */
void app_past_unlock(app_past *log);

/* Looks at each log under its lock. */
void app_history_each(app_history *history, void (*see)(void *context, app_past *log), void *context);

typedef struct app_history_counts {
    uint64_t messages, bytes; /* that are kept */
    uint64_t appended;        /* since it was made */
} app_history_counts;

void app_history_count(app_history *history, app_history_counts *out);

/* All below: under the log's lock. */

/* While it is held it keeps its epoch and its offsets. Each hold is let go once; the pointer is then stale with the
 * unlock. */
void app_past_hold(app_past *log);
void app_past_let_go(app_past *log);

/* The message's offset. 0: memory is out, and nothing changed. */
uint64_t app_past_append(app_past *log, weft_kind kind, const void *data, size_t len);

/* The same for one that must get its offset: when memory is out nothing before it is kept, and with no room even then
 * it is not kept either. */
uint64_t app_past_append_stored(app_past *log, const app_message *message);

/* What the store has: a place, behind which nothing is known, and each message that follows. Those that pass the limits
 * are forgotten at once. False: memory is out. */
void app_past_begin_at(app_past *log, const app_place *place);
bool app_past_restore(app_past *log, const app_message *message);

/* All up to here is more than a log may keep, or too old. */
uint64_t app_past_outlived(const app_past *log);

const char *app_past_key(const app_past *log);
app_place app_past_end(const app_past *log); /* behind all messages */

/* What came after this place is there, all of it. */
bool app_past_recovers(const app_past *log, const app_place *place);

/* The first offset that is kept; last + 1 when none is. */
uint64_t app_past_first(const app_past *log);

/* False: it is not kept, or not there yet. */
bool app_past_at(const app_past *log, uint64_t offset, app_message *out_message);

uint64_t app_past_age_ms(const app_past *log, const app_message *message); /* how long ago it came */

/* "EPOCH:OFFSET", of our own form exactly. False: it is not one. */
bool app_place_parse(const char *text, app_place *out_place);

/* A pointer of yours. A log nobody holds has none. */
void **app_past_user(app_past *log);

#endif
