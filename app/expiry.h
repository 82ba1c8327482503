/*
 * expiry.h - connections that end at a time of their own: a wheel of short lists, one for each moment, around which
 * time goes. To add, to remove and to find who is due costs the same for ten as for a million.
 */
#ifndef APP_EXPIRY_H
#define APP_EXPIRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

enum { APP_EXPIRY_SLOTS = 4096, APP_EXPIRY_MS = 125 /* of a slot */ };

/* Stands in what it is about. Zero: it waits for nothing. */
typedef struct app_expiry_item {
    struct app_expiry_item *next, **at; /* at NULL: it is in no list */
    uint64_t due;                       /* the moment */
    weft_handle who;
} app_expiry_item;

/* Invariant: an item that is due at moment d stands in slot max(d, the moment when it was added) modulo the number of
 * slots, and that moment is not yet over. */
typedef struct app_expiry {
    pthread_mutex_t lock;
    uint64_t moment; /* the first that is not yet over */
    app_expiry_item *slots[APP_EXPIRY_SLOTS];
} app_expiry;

/* Times are milliseconds of one clock that never goes back. */
void app_expiry_init(app_expiry *expiry, uint64_t now_ms);

/* From any thread. An item is removed before its memory goes; one that is in no list may be removed as well. */
void app_expiry_add(app_expiry *expiry, app_expiry_item *item, weft_handle who, uint64_t due_ms);
void app_expiry_remove(app_expiry *expiry, app_expiry_item *item);

/* Tells of up to `max` that are due, under the lock, and takes them out; the rest comes with the next call, and so does
 * one that could not be ended now (false). Returns how many. */
size_t app_expiry_turn(app_expiry *expiry, uint64_t now_ms, size_t max, bool (*end)(void *context, weft_handle who),
                       void *context);

#endif
