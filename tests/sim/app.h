/*
 * app.h - the application on the server, and who ends it. app.c is the one of `sim`, for what the library does:
 *
 *      /echo      sends back what comes
 *      /dismiss   the same, until it has enough
 *      /rooms/N   hands on to the others in the room; in room 0 only another thread publishes
 *      /page      answers a request with its message
 *      /later     the same, or an accepted handshake that goes on as /echo, but in a later turn
 */
#ifndef WF_TESTS_SIM_APP_H
#define WF_TESTS_SIM_APP_H

#include <weft/weft.h>

/* These are any application's. */
extern const char sim_app_name[];              /* of the program */
const struct sim_model *sim_app_model(int id); /* what this client is */
void sim_app_reset(void);                      /* another run: before its clients are made */
weft_server *sim_app_begin(void);              /* made, with routes, listening */
void sim_app_act(void);                        /* what is due: late answers, other threads, the end */
uint64_t sim_app_next_ns(void);                /* when something will be */
bool sim_app_ending(void);
void sim_app_run_over(void); /* the server has run: every connection was told its end */
void sim_app_freed(void);    /* it is gone: every accepted handshake came to something */

/* setup.c: for sim_app_begin. On the wire and the backend of the run; the rest of the config is the application's. */
weft_server *sim_server_new(weft_config config);
void sim_server_listen(weft_server *server);
void sim_server_route(weft_server *server, const weft_route *route);

/* What follows is that of app.c. */
extern const struct sim_model sim_dismissed, sim_echo, sim_late, sim_listener, sim_member, sim_pages, sim_vanisher,
    sim_violator;

/* What was published in a room, in the order in which it was. */
enum { ROOMS = 3, ROOM_OF_OTHERS = 0, ROOM_WITH_PAST = 2, PAST_MAX = 8, OTHERS = -1, LOG_MAX = 2048 };

typedef struct sim_log_entry {
    int client;
    uint32_t n;
    uint32_t len;
} sim_log_entry;

typedef struct sim_log {
    sim_log_entry entries[LOG_MAX];
    uint32_t count;
    uint32_t settled; /* so many had been when the server last began to wait: they have been delivered */
    bool small;       /* queues are: a member may be called slow */
    bool drops;       /* or, when memory is short as well, loses messages instead */
} sim_log;

const sim_log *sim_app_log(int room);

/* Where the server ended a client of /dismiss: it has answered so many messages before, and did it with a reset. */
enum { DISMISS_CODE = 4000 };
uint32_t sim_app_dismissed(int id);
bool sim_app_aborted(int id);

/* The first number a member gets is one of these. */
void sim_app_joined(int id, uint32_t *out_least, uint32_t *out_most);

/* later.c */
void sim_later_begin(void);
void sim_later_ask(weft_request *request, void *user); /* route callback */
void sim_later_lost(void *accepted, void *user);       /* another */
void sim_later_inside(void);                           /* from a callback on the loop */
void sim_later_act(void);
uint64_t sim_later_next_ns(void);
void sim_later_run_over(void);
void sim_later_freed(const bool *opened);
int sim_later_text(const weft_request *request, const char *name);

/* outside.c: runs the job on another thread and waits for it. */
void sim_outside(void (*job)(void *arg), void *arg);

#endif
