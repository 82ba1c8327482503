/*
 * webhook.h - where an app's webhooks go, as its section of the config file says it:
 *
 *     webhook = https://backend.example/pusher          up to 8; what follows is about the one before it
 *     webhook_events = channel_occupied, member_added   [all]
 *     webhook_header = Authorization: Bearer ...        up to 8 for each
 *     webhook_ca = /etc/weft/ca.pem                     of the app: who vouches for https, in place of the system's
 *     webhook_proxy = http://proxy:3128                 of the app; none is taken from the environment
 */
#ifndef APP_PUSHER_WEBHOOK_H
#define APP_PUSHER_WEBHOOK_H

#include "app/pusher/effects.h"
#include "app/pusher/outbox.h"

enum { PUSH_WEBHOOKS_MAX = 8, PUSH_WEBHOOK_HEADERS_MAX = 8 };

typedef struct push_webhook {
    char *url;
    uint32_t kinds;                              /* 1 << push_note of each */
    char *headers[PUSH_WEBHOOK_HEADERS_MAX + 1]; /* NULL-terminated */
} push_webhook;

typedef struct push_webhooks {
    push_webhook items[PUSH_WEBHOOKS_MAX];
    size_t count;
    char *ca, *proxy; /* the certificates themselves, and a URL; NULL: none */
    size_t ca_len;
    push_outbox_rules rules;
    uint32_t grace_ms;   /* [3,000] that an end waits to be taken back */
    uint32_t timeout_ms; /* [10,000] for a post and its answer */
} push_webhooks;

void push_webhooks_free(push_webhooks *hooks);

/* Whether it is one of the settings above. */
bool push_webhook_setting(const char *name);

/* NULL, or what is wrong with it. */
const char *push_webhook_set(push_webhooks *hooks, const char *name, const char *value);

/* "channel_occupied", and so on. */
const char *push_note_name(push_note note);

/* What has happened, as an event of a webhook. */
void push_webhook_event(push_text *out, push_note note, weft_text channel, weft_text text);

#endif
