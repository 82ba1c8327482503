/*
 * counts.h - what is counted of an app beside its state: how often its clients were refused what they wanted, and how
 * its API answered. From any thread; nothing here is on the way of an event.
 */
#ifndef APP_PUSHER_COUNTS_H
#define APP_PUSHER_COUNTS_H

#include <stdatomic.h>

/* A subscription_error has one of these types. */
typedef enum push_denial { PUSH_AUTH_ERROR, PUSH_INVALID_CHANNEL, PUSH_LIMIT_REACHED, PUSH_DENIALS } push_denial;

const char *push_denial_name(push_denial denial);

enum { PUSH_CODES = 14, PUSH_STATUS_CLASSES = 3 };

/* The codes that clients are told. */
extern const int push_codes[PUSH_CODES];

typedef struct push_counts {
    atomic_ullong codes[PUSH_CODES]; /* as in push_codes: clients that were refused, closed or told of an error */
    atomic_ullong denied[PUSH_DENIALS];
    atomic_ullong api[PUSH_STATUS_CLASSES]; /* answers of the API: 2xx, 4xx, 5xx */
} push_counts;

void push_count_code(push_counts *counts, int code); /* others than these are passed over */
void push_count_denied(push_counts *counts, push_denial denial);
void push_count_answer(push_counts *counts, int status);

#endif
