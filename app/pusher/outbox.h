/*
 * outbox.h - the events that one URL is still to be told, oldest first. Some of the first become the body of a post;
 * when it fails the same body is tried again, and what comes later waits, so the order is kept.
 *
 *     push_outbox_add(box, rules, text, now_ms);
 *     when now_ms >= push_outbox_due(box, rules): push_outbox_begin(box, rules); push_outbox_write(box, wall_ms), and
 *         post box->body
 *         it arrived: push_outbox_done(box)
 *         it did not: push_outbox_failed(box, rules, now_ms, random); and while push_outbox_expired(box, rules, now_ms)
 *             push_outbox_begin(...); push_outbox_write(...), put box->body aside, push_outbox_drop(box)
 *
 * It has no clock, no lock and no socket. But where others add to it under a lock, push_outbox_write does not need that:
 * making a body takes a while, and touches nothing that they do.
 */
#ifndef APP_PUSHER_OUTBOX_H
#define APP_PUSHER_OUTBOX_H

#include "app/pusher/text.h"

/* Each is a setting webhook_... of the same name. */
typedef struct push_outbox_rules {
    uint32_t batch_ms;       /* [50] that an event waits for others */
    uint32_t batch_events;   /* [10] in one post */
    uint32_t queue_events;   /* [10,000] that wait */
    uint32_t queue_bytes;    /* [16 MiB] of them */
    uint32_t retry_first_ms; /* [1,000] the first wait after a failure is up to this; they double, up to 60 s */
    uint32_t retry_max_ms;   /* [300,000] what is older than that when a post fails is given up */
} push_outbox_rules;

typedef struct push_letter push_letter;

typedef struct push_outbox {
    push_letter *first, *last;
    size_t count, bytes;
    size_t batch;      /* of the first: those that `body` is made of; 0: there is none */
    push_text body;    /* failed: memory was out, and it is made anew */
    uint32_t failures; /* in a row */
    uint64_t next_ms;  /* no attempt before */
    bool under_way;    /* the body is being posted */
} push_outbox;

void push_outbox_free(push_outbox *box);

/* An event, as JSON. False: there is no place for it, or no memory. */
bool push_outbox_add(push_outbox *box, const push_outbox_rules *rules, weft_text text, uint64_t now_ms);

/* When a post should begin; UINT64_MAX: not before something else happens. */
uint64_t push_outbox_due(const push_outbox *box, const push_outbox_rules *rules);

/* Chooses the events of the next body, unless there is one that has failed; and makes that, which says that it was made
 * at `wall_ms`. */
void push_outbox_begin(push_outbox *box, const push_outbox_rules *rules);
void push_outbox_write(push_outbox *box, uint64_t wall_ms);

/* The body arrived: its events are done with, and waits are short again. */
void push_outbox_done(push_outbox *box);

/* Its events are given up. */
void push_outbox_drop(push_outbox *box);

/* It did not arrive. `random` is any 64 bits, new each time. */
void push_outbox_failed(push_outbox *box, const push_outbox_rules *rules, uint64_t now_ms, uint64_t random);

/* The first event has been tried for as long as it may; asked after a failure. */
bool push_outbox_expired(const push_outbox *box, const push_outbox_rules *rules, uint64_t now_ms);

#endif
