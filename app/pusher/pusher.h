/*
 * pusher.h - the server of the Pusher Channels protocol 7, as `weft serve` has it: clients at /app/KEY, its HTTP API at
 * /apps/ID/....
 */
#ifndef APP_PUSHER_PUSHER_H
#define APP_PUSHER_PUSHER_H

#include "app/app.h"
#include "app/envelope.h"
#include "app/store.h"

#include <stdbool.h>

struct push_apps;

/* Reads the apps of the config file, or makes one for trying things out; adds the routes. The store (NULL: none) keeps
 * the history of their channels. False: it is told on stderr why not. Once in a process. */
bool app_pusher_add(weft_server *server, const app_config *config, app_store *store);

/* Says how to reach the app that was made up, when one was: in the log, or on a terminal as something to paste. */
void app_pusher_announce(weft_server *server, const app_config *config);

/* Starts its thread: it reads the file again when told to, and calls `also`. False: errno says why. */
bool app_pusher_start(void (*also)(void));
void app_pusher_reload(void); /* from a signal handler */
void app_pusher_drain(void);  /* who waits is answered soon; signal-safe */

/* Nobody waits any more, and the thread, if it was started, has ended. */
void app_pusher_stop(void);

/* Once added. */
struct push_apps *app_pusher_apps(void);

/* Starts the thread of the webhooks, which needs no right to read anything. False: errno says why. */
bool app_pusher_start_hooks(void);

/* After the server has been freed. Webhooks that are left are tried once more, which takes two seconds at most. */
void app_pusher_free(void);

/* Figures of each app (figures.h). */
void app_pusher_figures(app_text *page);

#endif
