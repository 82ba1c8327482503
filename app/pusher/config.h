/*
 * config.h - what an app is, as a file says it:
 *
 *     [app shop]
 *     id = 42
 *     key = 278d425bdf160c739803
 *     secret = 7ad3773142a6692b25b8
 *     key = ...                  another pair that is valid too, while clients change over
 *     secret = ...
 *     client_events = true
 *
 * Settings never change: a reload makes new ones, and the old live as long as somebody holds them.
 */
#ifndef APP_PUSHER_CONFIG_H
#define APP_PUSHER_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <weft/weft.h>

#include "app/pusher/webhook.h"

enum { PUSH_KEYS_MAX = 8 };

typedef struct push_key {
    char *key, *secret; /* secret NULL: the file has not given it yet */
} push_key;

/* Each is a setting of the same name. */
typedef struct push_limits {
    uint32_t connections;          /* [100,000] of the app */
    uint32_t channels;             /* [100] that a connection may be in */
    uint32_t app_channels;         /* [200,000] with somebody in them */
    uint32_t members;              /* [100] of a presence channel */
    uint32_t member_bytes;         /* [1 KiB] of what is told of a member of a presence channel */
    uint32_t event_bytes;          /* [10 KiB] of an event's data */
    uint32_t event_channels;       /* [100] that one event may name */
    uint32_t batch_events;         /* [10] */
    uint32_t client_events_second; /* [10] per connection */
    uint32_t subscriptions_second; /* [10] per connection; at once twice `channels`, and at least 100 */
    uint32_t watchlist;            /* [100] users that a user may watch */
    uint32_t cached_channels;      /* [10,000] whose last event is kept */
    uint32_t history_messages;     /* [100] kept of a channel that `history` names */
    uint32_t history_bytes;        /* [1 MiB] the same */
    uint32_t history_seconds;      /* [0: as long as there is room] */
} push_limits;

typedef struct push_settings {
    atomic_uint refs;
    char *name, *id;
    push_key keys[PUSH_KEYS_MAX];
    size_t key_count; /* at least one, each with its secret */
    bool enabled;     /* [true] */
    bool require_tls;
    bool client_events;
    bool subscription_count;
    bool by_api; /* it came at run time: no file names it */
    push_webhooks webhooks;
    char *history; /* what the names of channels begin with whose events are kept, with spaces between; NULL: none */
    push_limits limits;
    struct push_settings *next; /* of a list that was read */
} push_settings;

/* Reads the [app NAME] sections of a file, and passes over the others. The list is in the order of the file, and NULL
 * when there are none. False: `out_why` says what is wrong, with the line. */
bool push_settings_read(const char *path, push_settings **out_list, char *out_why, size_t cap);

/* A line of a section. */
typedef struct push_line {
    const char *name, *value;
} push_line;

/* What a section with these lines says. NULL: `out_why` says what is wrong. */
push_settings *push_settings_make(const char *name, const push_line *lines, size_t count, char *out_why, size_t cap);

/* False: two of the list have an id or a key in common, and out_why says which. */
bool push_settings_differ(push_settings *list, char *out_why, size_t cap);

/* One for trying things out, with a random key and secret. NULL: memory or randomness is out. */
push_settings *push_settings_random(void);

/* Writes a section as a file has it: an app made up as above, and every other setting commented out, with its standard
 * value and what it is. */
bool push_settings_print(FILE *out);

push_settings *push_settings_ref(push_settings *settings);
void push_settings_unref(push_settings *settings); /* NULL is accepted */
void push_settings_unref_all(push_settings *list);

/* The secret of one of its keys; NULL: it is none of them. */
const char *push_settings_secret(const push_settings *settings, weft_text key);

#endif
