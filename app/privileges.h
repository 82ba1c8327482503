/*
 * privileges.h - from root to somebody who may do nothing.
 */
#ifndef APP_PRIVILEGES_H
#define APP_PRIVILEGES_H

#include "app/app.h"

#include <stdbool.h>

/* Root is for binding low ports and reading keys; serving is done as somebody else. When it is not root: nothing is
 * given up, and `user` must be NULL. With `reads_keys` the calling thread can go on reading what root can, until it
 * says app_read_no_more; threads that it starts inherit that, and keep it. False: it is logged why. */
bool app_drop_privileges(const app_config *config, bool reads_keys);

/* Of the calling thread, and of those that it will start. */
void app_read_no_more(void);

#endif
