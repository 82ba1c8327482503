/*
 * here.h - who is in a room, by name. Ten connections of one name are one, and who comes back soon was never away.
 *
 *     {"here":["ann","bob"],"more":0,"version":6}                 whoever asks is told this first
 *     {"came":["cleo"],"went":["bob"],"more":0,"version":7}       and then each of these
 *
 * What a list says of itself is what was told so far, so both together are never wrong. `more` counts those that have
 * no place in it; versions follow each other, which shows what a slow reader did not get. No lock and no clock of its own.
 */
#ifndef APP_HERE_H
#define APP_HERE_H

#include "app/envelope.h"

enum {
    HERE_NAMES_MAX = 500,
    HERE_NAME_BYTES = 160, /* 40 characters of any kind */
    HERE_GRACE_MS = 3000,  /* a page that is loaded again is back by then */
};

typedef struct here_name here_name;

/* Zero: nobody is here. A version to begin with may be given. */
typedef struct here_list {
    here_name **names; /* sorted */
    size_t count, cap;
    uint32_t more, more_told; /* connections */
    uint64_t version;         /* of what was told */
} here_list;

/* What a connection has of it. Zero: nothing. */
typedef struct here_seat {
    bool taken;
    here_name *name; /* NULL: one of `more` */
} here_seat;

/* UTF-8 without control characters, 1 to HERE_NAME_BYTES. */
bool here_name_ok(const char *name);

/* With no room for another name, no memory, or one that is not ok, it is one of `more`. */
here_seat here_come(here_list *list, const char *name);

/* The seat is then zero. */
void here_go(here_list *list, here_seat *seat, uint64_t now_ms);

/* What changed, by now, since the last time. False: nothing did, or memory is out, and the next time tells of it. */
bool here_tell(here_list *list, uint64_t now_ms, app_text *out_json);

/* Nothing is left to tell until somebody comes or goes. */
bool here_told_all(const here_list *list);

void here_write(const here_list *list, app_text *out_json);

void here_free(here_list *list); /* seats are void */

#endif
