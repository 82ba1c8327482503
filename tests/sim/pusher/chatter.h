/*
 * chatter.h - the client of Pusher Channels: what chatter.c, which says, and chatter_hears.c, which hears, share.
 */
#ifndef WF_TESTS_SIM_PUSHER_CHATTER_H
#define WF_TESTS_SIM_PUSHER_CHATTER_H

#include "world.h"

#include <jansson.h>

enum { CHATTER_ASKED_MAX = 32 };

typedef enum asked_kind { ASKED_PONG, ASKED_SUBSCRIBE, ASKED_BAD_SUBSCRIBE, ASKED_SIGNIN } asked_kind;
typedef enum fate { STAYS, CLOSES, RESETS, FALLS_SILENT, LEAVES, FATES } fate;

typedef struct asked {
    asked_kind kind;
    int channel;
    bool returns, lost; /* to a channel with a history; from a place that is none */
    uint32_t offset;
} asked;

typedef struct chatter {
    char socket_id[NAME_MAX_BYTES];
    int conn; /* in the tables; -1: not yet told */
    asked asked[CHATTER_ASKED_MAX];
    uint32_t asked_from, asked_to;
    uint32_t left_at[CHANNELS]; /* so much had been asked when it last asked to leave */
    uint32_t wants;             /* bits: channels in which it is when all is answered */
    int stay[TOPICS];           /* -1: none yet */
    uint32_t cursor[TOPICS];
    uint32_t replay[CHANNELS], replay_to[CHANNELS]; /* offsets it is told again, at first; the same: none any more */
    uint32_t cache_due;                             /* bits: the next of this channel is its last event */
    uint32_t members[CHANNELS], count[CHANNELS];
    bool signs_in, watch_due;
    uint32_t watches, online;
    uint32_t rejected;
    uint32_t acts_left;
    json_t *outbox; /* texts that wait for a request; NULL: it has a WebSocket */
    bool waits, sends;
    fate fate;
} chatter;

chatter *chatter_of(const sim_client *c);
void chatter_begin(sim_client *c);
void chatter_act(sim_client *c);
void chatter_go(sim_client *c);             /* in the way that is its own */
uint64_t chatter_owed(const sim_client *c); /* answers, and entries of logs */
void chatter_hears(sim_client *c, int opcode, const uint8_t *bytes, size_t len);

/* poller.c: without WebSocket. A session is called by the client that receives in it. */
void chatter_requests(sim_client *c, int session, const char *verb, const char *body);
void chatter_hears_frames(sim_client *c, const char *at, size_t len);
bool chatter_terminated(const sim_client *c); /* the API has ended its user's connections */

void chatter_finish(const sim_client *c, int topic); /* the stay in which it is has been told whole */

#endif
