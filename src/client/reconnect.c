/*
 * Dialling again by itself. What was dialled is kept whole beside its call; when that ends and may heal (retry.c), it
 * waits on a wheel of its own, from before the callback that tells of the end, so that it can be stopped from there.
 */
#include "client/client_impl.h"

#include "base/clock.h"
#include "base/mem.h"

enum { NO_MEMORY_MS = 1000 };

struct wf_reconnect {
    wf_timer timer;              /* first; armed while it waits */
    wf_reconnect *next, **place; /* of those that wait */
    wf_again *again;
    weft_retry policy;
    uint32_t attempts; /* that came to nothing, in a row */
};

int wf_reconnect_new(const weft_dial *dial, wf_reconnect **out_reconnect, const char **out_why) {
    if (dial->retry->struct_size != sizeof *dial->retry) {
        *out_why = "retry: struct_size is not set: begin with WEFT_RETRY_INIT";
        return WF_EINVAL;
    }
    wf_reconnect *r = wf_mem_zalloc(sizeof *r);
    if (!r || !(r->again = wf_again_new(dial))) {
        wf_mem_free(r);
        return WF_ENOMEM;
    }
    r->policy = *dial->retry;
    *out_reconnect = r;
    return WF_OK;
}

void wf_reconnect_free(wf_reconnect *r) {
    if (r)
        wf_mem_free(r->again);
    wf_mem_free(r);
}

void wf_reconnect_opened(wf_call *call) {
    if (call->reconnect)
        call->reconnect->attempts = 0;
}

static void wait(weft_client *client, wf_reconnect *r, int64_t wait_ms) {
    r->next = client->reconnects;
    r->place = &client->reconnects;
    if (r->next)
        r->next->place = &r->next;
    client->reconnects = r;
    wf_timers_add(&client->reconnect_timers, &r->timer, client->env.now_ms + (uint64_t)wait_ms);
}

static void unlist(weft_client *client, wf_reconnect *r) {
    *r->place = r->next;
    if (r->next)
        r->next->place = r->place;
    wf_timers_cancel(&client->reconnect_timers, &r->timer);
}

int64_t wf_reconnect_after(wf_call *call, const weft_retry_end *end) {
    weft_client *client = wf_call_client(call);
    wf_reconnect *r = call->reconnect;
    uint64_t random = 0;
    if (!r)
        return WEFT_RETRY_NEVER;
    call->reconnect = NULL;
    wf_mask_random(&client->keys, (uint8_t *)&random, sizeof random); /* without it the shortest wait: no harm */
    int64_t wait_ms = weft_retry_ms(&r->policy, ++r->attempts, end, random);
    if (wait_ms == WEFT_RETRY_NEVER)
        wf_reconnect_free(r);
    else
        wait(client, r, wait_ms);
    return wait_ms;
}

void wf_reconnects_run(weft_client *client) {
    wf_timer *timer;
    wf_timers_advance(&client->reconnect_timers, client->env.now_ms);
    while ((timer = wf_timers_next(&client->reconnect_timers))) {
        wf_reconnect *r = (wf_reconnect *)timer;
        unlist(client, r);
        if (wf_client_dial(client, &r->again->dial, r, NULL) != WF_OK)
            wait(client, r, NO_MEMORY_MS);
    }
}

void wf_reconnects_free(weft_client *client) {
    while (client->reconnects) {
        wf_reconnect *r = client->reconnects;
        unlist(client, r);
        wf_reconnect_free(r);
    }
}

void weft_client_retry_stop(weft_client *client, const void *user) {
    for (wf_reconnect *r = client->reconnects, *next; r; r = next) {
        next = r->next;
        if (r->again->dial.user != user)
            continue;
        unlist(client, r);
        wf_reconnect_free(r);
    }
}
