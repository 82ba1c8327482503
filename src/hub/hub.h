/*
 * hub.h - topics: who is subscribed, fan-out, and the last messages of each.
 *
 *      hub -- map --> topic "rooms/a" -- subs[] --> sub --> a queue
 *                                    -- history: ring of blobs
 *      subscriber -- subs[] --> sub                (all its topics)
 *
 * One hub per loop, changed on that loop only. The table of topics and the counters in them may be read from
 * other threads under the hub's lock, which the loop itself takes only to add or remove a topic: publishing
 * takes no lock.
 *
 * Invariants (wf_hub_check): 1. topic->subs[i]->index == i. 2. a topic without subscribers and without history does
 * not exist. 3. a topic stands in the vacant list exactly when it has no subscribers, in the order of time. 4.
 * history_bytes is the sum over all topics. 5. a sub has a join number exactly while its queue is nobody's. 6. a sub is
 * at its place in its subscriber's array.
 */
#ifndef WF_HUB_HUB_H
#define WF_HUB_HUB_H

#include "base/map.h"
#include "hub/outq.h"

#include <pthread.h>

enum { WF_TOPIC_NAME_MAX = 255 };

typedef struct wf_topic wf_topic;
typedef struct wf_subscriber wf_subscriber;

typedef struct wf_sub {
    wf_topic *topic;
    wf_subscriber *who;
    wf_outq *q;     /* the subscriber's; of one that has not joined yet, the hub's `nobody` */
    uint32_t index; /* in topic->subs */
    uint32_t place; /* in the subscriber's */
    uint32_t join;  /* its number; 0: it has joined */
} wf_sub;

/* Embedded in a connection. Begins as zero but for count_max. */
struct wf_subscriber {
    union {
        wf_sub *one;   /* with one topic or none, as most have */
        wf_sub **many; /* else an array, of the power of two that holds them at least */
    } subs;
    uint32_t count, count_max;
};

/* How much of the past the topics of one name prefix keep. */
typedef struct wf_history_rule {
    const char *prefix;
    uint32_t messages_max;
    uint32_t bytes_max;
} wf_history_rule;

typedef struct wf_hub_config {
    uint8_t hash_key[16];     /* random */
    size_t history_bytes_max; /* over all topics; above it vacant topics are forgotten, the longest vacant
                                 first */
    uint32_t vacant_max;      /* topics kept for their history alone */
    uint32_t vacant_ms;       /* and how long */
} wf_hub_config;

typedef struct wf_hub {
    /* loop only */
    wf_hub_config config;
    const wf_history_rule *rules; /* the first whose prefix fits counts */
    size_t rule_count;
    uint64_t now_ms; /* set by the loop */
    wf_outq nobody;  /* takes nothing */
    uint32_t joins;
    size_t history_bytes;
    wf_topic *vacant_first, *vacant_last; /* longest vacant first */
    uint32_t vacant_count;
    /* any thread, under lock */
    pthread_mutex_t lock;
    wf_map topics;
} wf_hub;

void wf_hub_init(wf_hub *hub, const wf_hub_config *config);
void wf_hub_deinit(wf_hub *hub); /* every subscriber has left */

/* Borrowed. Before the first topic. */
void wf_hub_set_rules(wf_hub *hub, const wf_history_rule *rules, size_t count);

/* Subscribes to `name`, and queues nothing of it before wf_hub_join with *out_join; 0: it is subscribed already. WF_OK;
 * WF_EINVAL for a bad name; WF_ELIMIT when it has `who->count_max` topics; WF_ENOMEM. Cost: its topics or the topic's
 * subscribers, whichever are fewer. */
int wf_hub_subscribe(wf_hub *hub, wf_subscriber *who, wf_str name, uint32_t *out_join);

/* From now on messages go to `q`, the same for all topics of a subscriber; with `replay`, that many of the last ones
 * first, as many as half the queue's budget holds. Unsubscribed meanwhile: nothing happens. O(its topics). */
void wf_hub_join(wf_hub *hub, wf_subscriber *who, uint32_t join, wf_outq *q, size_t replay);

void wf_hub_unsubscribe(wf_hub *hub, wf_subscriber *who, wf_str name);
void wf_hub_leave_all(wf_hub *hub, wf_subscriber *who);

/* Queues the blob to every subscriber but the one with the queue `except` (may be NULL) and adds it to the
 * history. Returns the deliveries. Out of memory for one subscriber is for it as if its queue were full. */
size_t wf_hub_publish(wf_hub *hub, wf_str name, wf_blob *blob, const wf_outq *except);

/* Forgets topics vacant for longer than vacant_ms. Call now and then. */
void wf_hub_sweep(wf_hub *hub);

/* Any thread; may be over a moment later. */
bool wf_hub_has_subscribers(wf_hub *hub, wf_str name);

/* Any thread: calls `see` for each topic, the table locked. */
typedef void wf_hub_see(void *context, wf_str name, uint32_t subscribers, uint64_t messages);
void wf_hub_look(wf_hub *hub, wf_hub_see *see, void *context);

void wf_hub_check(wf_hub *hub);

#endif
