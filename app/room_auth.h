/*
 * room_auth.h - who may what in rooms: everybody; with --token, who knows it; with --jwt-keys, whom a JSON Web Token
 * lets (jwt.h, room_rights.h); with both, either opens. A request shows its token once, and what comes of it is a pass.
 */
#ifndef APP_ROOM_AUTH_H
#define APP_ROOM_AUTH_H

#include "app/app.h"
#include "app/expiry.h"
#include "app/jwt.h"
#include "app/room_rights.h"

/* Close codes of a WebSocket, after the HTTP statuses that mean the same. */
enum { ROOM_CLOSE_EXPIRED = 4401, ROOM_CLOSE_FORBIDDEN = 4403 };

/* ---- the server's part ---- */

/* Reads the keys. False: `why`, and the server should not start. The config must outlive it. */
bool room_auth_open(const app_config *config, char *why, size_t cap);
void room_auth_free(void);

/* Before the server runs. Its first worker ends what expires. */
bool room_auth_setup(weft_server *server);

/* Reads the keys again, soon; a signal handler may ask for it. Who is here stays, and keys that cannot be read change
 * nothing. */
void room_auth_reload(void);

/* Does it if somebody has asked: a thread that may read files calls this when there is one, else the first worker. */
void room_auth_reload_asked(void);
void room_auth_reload_by_thread(void); /* before the server runs: there is such a thread */

/* ---- one request ---- */

typedef struct room_pass {
    bool all;         /* everything in every room */
    jwt token;        /* else what it says; zero when all */
    uint64_t ends_ms; /* by room_auth_now_ms, when it is good no more; 0: never */
} room_pass;

/* False: it was answered with 401. */
bool room_pass_of(weft_request *request, room_pass *out);
void room_pass_free(room_pass *pass);

bool room_pass_may(const room_pass *pass, room_right right, const char *name);

/* False: it was answered with 403. */
bool room_pass_need(weft_request *request, const room_pass *pass, room_right right, const char *name);

/* Who it is, as the token's `sub` has it; NULL: nobody says. Lives as long as the pass. */
const char *room_pass_subject(const room_pass *pass);

/* ---- what a connection keeps of it ---- */

typedef struct room_bearer room_bearer;

/* False: memory is out. *out is NULL for a pass that has neither a name nor an end, and all below take that. */
bool room_bearer_new(const room_pass *pass, room_bearer **out);
void room_bearer_free(room_bearer *bearer);

/* The connection is open; from now on it is closed with ROOM_CLOSE_EXPIRED when its time is over. */
void room_bearer_opened(room_bearer *bearer, weft_handle who);

/* As room_pass_subject; lives as long as the bearer. */
const char *room_bearer_subject(const room_bearer *bearer);

/* ---- who waits for an answer ---- */

/* Milliseconds of a clock that never goes back. */
uint64_t room_auth_now_ms(void);

/* Answers one that has waited for longer than its token lives, with 401. */
void room_auth_expired(weft_request *request);

#endif
