/*
 * guard.h - who may: whoever knows the secret. Each address may be wrong five times, and then five times a second.
 */
#ifndef APP_ADMIN_GUARD_H
#define APP_ADMIN_GUARD_H

#include <stdbool.h>

#include <weft/weft.h>

enum { ADMIN_SECRET_MIN = 16, ADMIN_SECRET_MAX = 256 };

typedef enum admin_verdict { ADMIN_MAY, ADMIN_WRONG, ADMIN_TOO_OFTEN } admin_verdict;

/* `text` as it is, or the first line of `file`; one of them. NULL, or what is wrong with it. */
const char *admin_guard_setup(const char *text, const char *file);

/* It is logged when somebody is wrong. Any thread. */
admin_verdict admin_guard(weft_text secret, const char *peer);

#endif
