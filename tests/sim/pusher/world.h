/*
 * world.h - a run of the Pusher app: what it is in now, what its clients share, and what they know of it.
 *
 * Clients come, act and go while faults happen (BUSY). Then all are quiet for as long as the app may take to find out
 * who is dead and to tell webhooks (QUIET); all must agree then, and the inspector asks the HTTP API (INSPECTED). When
 * he is content and everybody has what is his, the server ends.
 */
#ifndef WF_TESTS_SIM_PUSHER_WORLD_H
#define WF_TESTS_SIM_PUSHER_WORLD_H

#include "client.h"
#include "truth.h"

#define WORLD_APP    "7"
#define WORLD_KEY    "278d425bdf160c739803"
#define WORLD_SECRET "7ad3773142a6692b25b8"

typedef enum world_phase { WORLD_BUSY, WORLD_QUIET, WORLD_INSPECTED, WORLD_ENDING } world_phase;

extern const sim_model world_chatter, world_backend, world_inspector, world_poller, world_streamer, world_sender;

world_phase world_now(void);
uint32_t world_busy_ms(void);         /* how long that is */
bool world_slow(void);                /* queues are small: who reads slowly may be closed */
uint32_t world_last_entry(int topic); /* before the drain: entries up to this one are told to all; 0: it is none */
void world_inspected(void);           /* the inspector is content */

/* chatter.c; a poller and a streamer are, too */
bool chatter_settled(int id);          /* it has all that is its */
void chatter_check(int id);            /* and what it knows is true */
int chatter_conn(int id);              /* its connection, in the tables; -1: none yet, or no more */
const char *chatter_socket_id(int id); /* "": not told yet */

/* c->ending of a client whose request was refused because of what had been done to its connection: it gives up. */
enum { WORLD_REFUSED = -1 };

/* backend.c: a signed request, written; params is "" or what comes behind body_md5 in the query, in order. */
void backend_ask(sim_client *c, const char *method, const char *rest, const char *params, const char *body);
size_t backend_read(sim_client *c, void (*answered)(sim_client *c, int status, const char *body, size_t len));
void world_sign(const char *text, char out_hex[65]);

/* collector.c: the hooks' thread, and who is told by webhooks. */
void collector_begin(void);
void collector_start(void); /* the thread has been started: waits until it sleeps */
void collector_act(void);   /* lets it work, when it is time */
uint64_t collector_next_ns(void);
void collector_check(void);   /* what was told is true */
void collector_let_run(void); /* once it is woken, time is the thread's own: all else has ended */
void collector_end(void);     /* the thread has ended: of nothing is told that it is there */

#endif
