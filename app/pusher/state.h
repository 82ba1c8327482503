/*
 * state.h - everything an app knows while it runs: who is connected, in which channels, as which member or user, and
 * the last events of cache channels. It knows no socket, no clock and no lock: operations come in, effects come out
 * (effects.h), and a test can drive it. Whoever calls holds the app's lock.
 *
 *     channels   by name            a channel lives while somebody is in it, or its last event is kept
 *     subs       by (conn, channel) and in the conn's list
 *     members    by (channel, id)   and in the presence channel's list, in the order of their coming
 *     users      by id              those who have signed in, each with its connections
 *     conns      by socket id
 *
 * All of these are O(1). Invariants, which push_state_holds looks at:
 *   1. a channel counts its subs, and without any has a kept event
 *   2. a member counts its subs, and has one at least
 *   3. a user has one connection at least
 */
#ifndef APP_PUSHER_STATE_H
#define APP_PUSHER_STATE_H

#include "app/history.h"
#include "app/pusher/config.h"
#include "app/pusher/effects.h"
#include "app/pusher/names.h"
#include "app/pusher/table.h"

enum { PUSH_SOCKET_ID_BYTES = 40, PUSH_CACHE_MS = 30 * 60 * 1000 };

typedef struct push_state push_state;
typedef struct push_channel push_channel;

/* One user in a presence channel, on one connection or many. */
typedef struct push_member {
    push_link link;
    push_channel *channel;
    struct push_member *prev, *next;
    uint32_t subs;
    uint32_t id_len, info_len;
    char bytes[]; /* the id, then its user_info as JSON (len 0: none was given) */
} push_member;

/* A connection in a channel. */
typedef struct push_sub {
    push_link link;
    push_conn *conn;
    push_channel *channel;
    push_member *member; /* NULL: no presence channel */
    struct push_sub *prev, *next;
} push_sub;

/* The last event of a cache channel. */
typedef struct push_cached {
    struct push_cached *prev, *next; /* the oldest first */
    push_channel *channel;
    uint64_t until_ms;
    size_t data_at, data_len; /* in the text: the value of "data", as JSON */
    size_t len;
    char text[];
} push_cached;

struct push_channel {
    push_link link;
    push_kind kind;
    uint32_t subs, member_count;
    uint32_t told_count; /* the last subscription_count that was told */
    bool tell_due;       /* it is among those whose count is to be told later */
    uint64_t told_ms;
    push_member *members, *last_member;
    push_cached *cached;
    push_channel *tell_next;
    uint16_t name_len;
    char name[];
};

/* A user who has signed in. */
typedef struct push_user {
    push_link link;
    push_conn *conns;
    uint32_t id_len;
    char id[];
} push_user;

/* What may be done so often in a second, and how often at once. */
typedef struct push_bucket {
    uint64_t at_ms;
    uint32_t left; /* as of then, in thousandths */
} push_bucket;

struct push_conn {
    push_link link;
    push_state *state;
    weft_handle handle;           /* 0: it has none */
    struct push_session *session; /* by HTTP; NULL: it is a WebSocket. The state only keeps it */
    push_sub *subs;
    uint32_t sub_count;
    push_bucket events, joins;
    push_user *user; /* NULL: not signed in */
    push_conn *user_prev, *user_next;
    char *user_info; /* as JSON; NULL: none */
    char socket_id[PUSH_SOCKET_ID_BYTES];
};

/* What has gone by, of both kinds of events. */
typedef struct push_traffic {
    uint64_t client_events;
    uint64_t published;  /* by servers; for each channel one */
    uint64_t deliveries; /* how many subscriptions these went to */
} push_traffic;

struct push_state {
    const push_settings *settings;
    app_history *history; /* of channels that are kept, by name; NULL: there is none */
    push_table channels, subs, members, users, conns;
    size_t occupied; /* channels with somebody in them */
    push_cached *cached_first, *cached_last;
    size_t cached_count;
    push_channel *tell_first;
    push_traffic traffic;
};

typedef enum push_verdict {
    PUSH_DONE,
    PUSH_NO_MEMORY,         /* nothing has changed */
    PUSH_AGAIN,             /* in that channel, or signed in, already */
    PUSH_TOO_MANY_CHANNELS, /* of the connection */
    PUSH_APP_FULL,          /* too many channels of the app */
    PUSH_TOO_MANY_MEMBERS,
    PUSH_NOT_IN,          /* the sender is not in the channel */
    PUSH_NOT_FOR_CLIENTS, /* no client event in this kind of channel */
    PUSH_SWITCHED_OFF,
    PUSH_TOO_FAST
} push_verdict;

void push_state_init(push_state *state, const push_settings *settings);
void push_state_deinit(push_state *state);      /* nobody is connected any more */
bool push_state_holds(const push_state *state); /* its invariants: for tests */

/* ---- state.c: connections ---- */

/* NULL: memory is out. The socket id is new. */
push_conn *push_connect(push_state *state, const char *socket_id, weft_handle handle);
void push_disconnect(push_conn *conn, push_effects *e, uint64_t now_ms);

/* False: too often. `most` may be taken at once. */
bool push_bucket_take(push_bucket *bucket, uint64_t per_second, uint64_t most, uint64_t now_ms);

push_conn *push_conn_find(const push_state *state, weft_text socket_id);
push_channel *push_channel_find(const push_state *state, weft_text name);
push_sub *push_sub_find(const push_conn *conn, const push_channel *channel);
push_user *push_user_find(const push_state *state, weft_text id);
weft_text push_channel_name(const push_channel *channel);
weft_text push_member_id(const push_member *member);
weft_text push_member_info(const push_member *member);

/* The channel, made when there is none yet; NULL: memory is out. Drop gives up one that nobody needs. */
push_channel *push_channel_need(push_state *state, weft_text name);
void push_channel_drop(push_state *state, push_channel *channel);

/* ---- channels.c ---- */

typedef struct push_want {
    weft_text channel;            /* a good name; whether he may is settled */
    weft_text user_id, user_info; /* of a presence channel; the latter is JSON, or empty */
    bool returns;                 /* and knows all up to `place` */
    app_place place;
    size_t bytes_max; /* of what he missed, when less is to be sent at once than else; 0: no */
} push_want;

push_verdict push_subscribe(push_conn *conn, const push_want *want, push_effects *e, uint64_t now_ms);
void push_unsubscribe(push_conn *conn, weft_text channel, push_effects *e, uint64_t now_ms);
void push_leave(push_sub *sub, push_effects *e, uint64_t now_ms); /* without a PUSH_LEAVE */

/* ---- events.c ---- */

typedef struct push_event {
    weft_text channel; /* a good name */
    weft_text name;    /* as JSON */
    weft_text data;    /* as JSON; of what comes by HTTP a string */
    app_past *log;     /* with `stored`: the store has it, to be appended here; NULL: it is as the channel says */
    const app_message *stored;
} push_event;

/* What a server publishes. `except` is a connection or NULL. */
push_verdict push_trigger(push_state *state, const push_event *event, const push_conn *except, push_effects *e,
                          uint64_t now_ms);
push_verdict push_client_event(push_conn *conn, const push_event *event, push_effects *e, uint64_t now_ms);

/* What a newcomer to a cache channel is told: the last event, unless he has been `told` it; from its log (NULL: none)
 * where it is not kept otherwise, as after a restart. */
void push_cache_tell(const push_channel *channel, const app_past *log, bool told, push_effects *e);
void push_cache_forget(push_state *state, push_channel *channel);

/* Now and then: what is kept too long goes, and counts that had to wait are told. */
void push_tick(push_state *state, push_effects *e, uint64_t now_ms);

/* ---- past.c: what is kept of channels, as an app's `history` says ----
 *
 * What is kept is the event but for its end, to which the offset is added whenever it is sent. */

bool push_keeps(const push_settings *settings, weft_text channel);

/* The channel's log, locked. NULL: it is not kept (*out_failed false), or cannot be read. */
app_past *push_past_lock(const push_state *state, weft_text channel, bool *out_failed);

void push_put_kept(push_text *out, const app_message *message); /* an event, whole */

/* The last event, if it is no older than a cache channel's may be; and its data, as JSON. */
bool push_past_last(const app_past *log, app_message *out);
weft_text push_kept_data(const app_message *message, weft_text channel);

/* For a newcomer: says where the log stands, and if he returns whether he can have what he missed; and tells him that,
 * one by one. `log` is locked, or NULL. */
bool push_past_say(push_text *out, const push_want *want, const app_past *log, bool failed); /* true: it is recovered */
void push_past_send(push_effects *e, const push_want *want, const app_past *log);

/* ---- users.c ---- */

typedef struct push_signin {
    weft_text id, info; /* the latter as JSON, or empty */
    const weft_text *watchlist;
    size_t watch_count;
    weft_text user_data; /* as the client sent it */
} push_signin;

push_verdict push_sign_in(push_conn *conn, const push_signin *who, push_effects *e);
void push_sign_out(push_conn *conn, push_effects *e); /* he has gone */
void push_terminate(push_state *state, weft_text user_id, push_effects *e);

#endif
