/*
 * truth.h - what is true of the Pusher app: who is where, and what each channel was told, in the order in which it
 * happened. The order is the server's, learned where operations enter its state (the linker sends those calls to
 * truth.c); what comes of them is worked out here, from a few tables, and shares no code with the app.
 *
 * A topic is a channel, or a user whom others watch. What is told in it is a log of entries; a stay is one connection's
 * time in a topic: it must be told the entries from `from` to `to`, but for those that leave it out.
 */
#ifndef WF_TESTS_SIM_PUSHER_TRUTH_H
#define WF_TESTS_SIM_PUSHER_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHANNELS = 9,
    USERS = 6,
    TOPICS = CHANNELS + USERS,
    CONNS_MAX = 64,
    STAYS_MAX = 8192,
    EVENTS_MAX = 8192,
    ENTRIES_MAX = 8192,
    NAME_MAX_BYTES = 40
};

typedef enum truth_kind {
    TRUTH_EVENT,
    TRUTH_ADDED,
    TRUTH_REMOVED,
    TRUTH_COUNT,
    TRUTH_ONLINE,
    TRUTH_OFFLINE
} truth_kind;

typedef struct truth_entry {
    truth_kind kind;
    uint32_t number; /* of the event; of the user; the count */
    uint32_t offset; /* of an event in a channel that keeps its own; else 0 */
} truth_entry;

typedef struct truth_topic {
    truth_entry entries[ENTRIES_MAX];
    uint32_t count;
    uint32_t subs;
    truth_entry cached;            /* the event; number 0: none */
    truth_entry kept[ENTRIES_MAX]; /* a channel's history: by offset, from 1 on */
    uint32_t kept_count;
    uint32_t place; /* an offset at which somebody was */
    char epoch[24]; /* as the first was told; "": nobody was yet */
} truth_topic;

typedef struct truth_stay {
    int conn, topic, user; /* user -1: none */
    uint32_t from, to;     /* to UINT32_MAX: it is there */
    uint32_t members;      /* that there were, with its own: bits of users */
    truth_entry cached;
    uint32_t offset; /* of the last event that was kept then */
    bool holed;      /* memory was out when something was told: it may be missing */
    int next;        /* the same connection's, in the same topic; -1: none yet */
} truth_stay;

typedef struct truth_conn {
    const void *who; /* NULL: it has gone */
    char socket_id[NAME_MAX_BYTES];
    int user;                                  /* signed in as; -1: not */
    uint32_t watches, online;                  /* bits: whom it watches, and who of them was there when it began to */
    int first_stay[TOPICS], last_stay[TOPICS]; /* -1: none */
    uint32_t rejected;                         /* client events */
    bool terminated;
} truth_conn;

/* An event, as its sender means it. */
typedef struct truth_event {
    int by;                      /* the client */
    bool of_client;              /* a client event: its sender does not get it */
    int user;                    /* and who he was in a presence channel; -1: it is none */
    char except[NAME_MAX_BYTES]; /* a socket id; "": nobody is left out */
    uint32_t meant, went;        /* bits of channels */
} truth_event;

extern truth_topic truth_topics[TOPICS];
extern truth_stay truth_stays[STAYS_MAX];
extern truth_conn truth_conns[CONNS_MAX];
extern truth_event truth_events[EVENTS_MAX];
extern int truth_conn_count, truth_stay_count;
extern uint32_t truth_event_count; /* and one: 0 is none */
extern uint32_t truth_happened[3]; /* client events, cache misses and counts, as webhooks are to tell */

/* What the app's settings are in this run. */
typedef struct truth_rules {
    bool counts;
    uint32_t channels_max, members_max, events_second;
    uint32_t keeps, kept_max; /* bits: channels that are named to have a history; of so many events */
} truth_rules;
extern truth_rules truth_rules_now;

/* What is or is not: an app's channel, or a member in it. Ends wait for the grace before webhooks tell them. */
typedef struct truth_spell {
    bool is;
    uint64_t ended_ns;     /* 0: never */
    uint32_t ends, unsure; /* that lasted, and that may have lasted, and are over */
} truth_spell;
extern truth_spell truth_occupied[CHANNELS], truth_member[CHANNELS][USERS];
extern uint64_t truth_grace_ns;

void truth_begin(void);

const char *truth_channel_name(int channel);
const char *truth_user_name(int user);
int truth_channel_of(const char *name); /* -1: none */
int truth_user_of(const char *name);
bool truth_is_presence(int channel);
bool truth_is_cache(int channel);
bool truth_is_public(int channel);
bool truth_takes_client_events(int channel);
bool truth_keeps(int channel);

int truth_conn_of(const char *socket_id); /* -1: none */
uint32_t truth_members(int channel);      /* bits of users */
int truth_members_count(uint32_t members);
bool truth_in(int conn, int topic);
bool truth_has_member(int channel, int user);
bool truth_online(int user);

/* The next event's number; what it says is a matter of the number alone. */
uint32_t truth_event_new(int by);
size_t truth_event_text(uint32_t number, char out[8192]); /* UTF-8, NUL-terminated */

/* Is this connection to be told? */
bool truth_is_for(const truth_entry *entry, int conn);

/* All that must hold between the tables and the app's own, when nothing happens. */
void truth_check(void);

#endif
