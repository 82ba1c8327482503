/*
 * effects.h - what is to be done because the state of an app has changed: texts to send, topics to join and leave, and
 * what others may want to know of it (webhooks, a console). The state writes it down, in order; whoever changed the
 * state carries it out before he lets go of the lock.
 *
 *     size_t topic = push_effect_topic(e, "42", "", name), at = push_effect_begin(e);
 *     push_put_str(&e->text, "{...}");
 *     push_effect_publish(e, topic, at, NULL);
 */
#ifndef APP_PUSHER_EFFECTS_H
#define APP_PUSHER_EFFECTS_H

#include "app/pusher/text.h"

typedef struct push_conn push_conn;

typedef enum push_effect_kind {
    PUSH_JOIN,    /* the connection that acts gets the text, if there is one, and joins the topic */
    PUSH_LEAVE,   /* the connection that acts leaves the topic */
    PUSH_SEND,    /* the connection that acts gets the text */
    PUSH_PUBLISH, /* all in the topic but `who` get the text */
    PUSH_CLOSE,   /* `who` is closed with `code` */
    PUSH_NOTE     /* `code` says what has happened to the channel in `topic`; see push_note for the text */
} push_effect_kind;

typedef enum push_note {
    PUSH_OCCUPIED,
    PUSH_VACATED,
    PUSH_MEMBER_ADDED, /* the text is the user's id */
    PUSH_MEMBER_REMOVED,
    PUSH_CLIENT_EVENT, /* an object: event, channel, data (a string), socket_id, and user_id of a member */
    PUSH_CACHE_MISS,
    PUSH_COUNT /* the number of subscriptions, when clients are told */
} push_note;

typedef struct push_effect {
    push_effect_kind kind;
    int code;
    const push_conn *who;
    size_t topic, at, len; /* in the text; the topic is NUL-terminated there. len 0: no text */
} push_effect;

typedef struct push_effects {
    push_effect *items; /* push_effects_free */
    size_t count, cap;
    push_text text;
    bool notes;  /* somebody wants them: set by the owner, kept by a clear */
    bool failed; /* memory was out: something is missing */
} push_effects;

void push_effects_free(push_effects *e);
void push_effects_clear(push_effects *e);
bool push_effects_ok(const push_effects *e); /* all of it is there */

/* A text or a topic begins here, at the end of what there is. */
size_t push_effect_begin(push_effects *e);

/* A topic of an app: its id, a space, a mark ("" for a channel's) and the name. Where it begins in the text. */
size_t push_effect_topic(push_effects *e, const char *app, const char *mark, weft_text name);

/* Each takes the text from `at` to the end. A text that did not fit into memory is left out whole: failed. */
void push_effect_join(push_effects *e, size_t topic, size_t at);
void push_effect_leave(push_effects *e, size_t topic);
void push_effect_send(push_effects *e, size_t at);
void push_effect_publish(push_effects *e, size_t topic, size_t at, const push_conn *except);
void push_effect_close(push_effects *e, const push_conn *who, int code);
void push_effect_note(push_effects *e, push_note note, weft_text channel, weft_text text);

#endif
