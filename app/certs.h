/*
 * certs.h - keeps a running server's certificates as new as their files: on SIGHUP, and when a file has changed.
 */
#ifndef APP_CERTS_H
#define APP_CERTS_H

#include "app/app.h"

#include <stdbool.h>

/* Starts watching, on a thread of its own, which takes no signals. False: it could not, and errno says why. */
bool app_certs_watch(weft_server *server, const app_config *config);
void app_certs_stop(void); /* no watch was started: nothing happens */

/* From a signal handler; no watch was started: nothing happens. */
void app_certs_reload(void);

#endif
