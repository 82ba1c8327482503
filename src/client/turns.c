/*
 * RFC 6455 4.1: of the connections to one host only one is being made at a time. Who finds another at it waits in the
 * client's row; when that one has opened or failed, the first who waits for the same host is next.
 */
#include "client/client_impl.h"

#include <string.h>

void wf_turns_init(wf_turns *turns) {
    turns->taken = turns->row = NULL;
    turns->row_end = &turns->row;
}

static void join(wf_dialling **at, wf_dialling *d) {
    d->turn_next = *at;
    d->turn_place = at;
    if (d->turn_next)
        d->turn_next->turn_place = &d->turn_next;
    *at = d;
}

static void leave(wf_turns *turns, wf_dialling *d) {
    *d->turn_place = d->turn_next;
    if (d->turn_next)
        d->turn_next->turn_place = d->turn_place;
    else if (turns->row_end == &d->turn_next)
        turns->row_end = d->turn_place;
    d->turn = WF_TURN_NONE;
}

static bool share_an_address(const wf_dialling *a, const wf_dialling *b) {
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            if (a->addresses[i].len == b->addresses[k].len &&
                memcmp(&a->addresses[i].storage, &b->addresses[k].storage, a->addresses[i].len) == 0)
                return true;
    return false;
}

/* Where a proxy looks the name up, the name is the host. */
static bool same_host(const wf_dialling *a, const wf_dialling *b) {
    if (a->via && b->via)
        return strcasecmp(a->via->target, b->via->target) == 0;
    return !a->via && !b->via && share_an_address(a, b);
}

static wf_dialling *first_of(wf_dialling *list, const wf_dialling *host) {
    while (list && !same_host(list, host))
        list = list->turn_next;
    return list;
}

static void take(wf_turns *turns, wf_dialling *d) {
    join(&turns->taken, d);
    d->turn = WF_TURN_TAKEN;
}

/* Who waits in the row has no deadline: of a shared connection, those who are to share it. */
static void expect(wf_call *call, bool waits) {
    if (call->is_trunk)
        wf_trunk_expect(call, waits);
    else
        wf_link_expect(&call->link, waits ? WF_NEVER : call->dialling->connect_timeout_ms);
}

bool wf_call_takes_turn(wf_call *call) {
    weft_client *client = wf_call_client(call);
    wf_turns *turns = &client->turns;
    wf_dialling *d = call->dialling;
    if (!client->config.in_turn || d->turn == WF_TURN_TAKEN)
        return true;
    if (!first_of(turns->taken, d)) {
        take(turns, d);
        return true;
    }
    join(turns->row_end, d);
    turns->row_end = &d->turn_next;
    d->turn = WF_TURN_AWAITED;
    expect(call, true);
    return false;
}

void wf_call_gives_turn(wf_call *call) {
    wf_turns *turns = &wf_call_client(call)->turns;
    wf_dialling *d = call->dialling;
    bool had = d->turn == WF_TURN_TAKEN;
    if (d->turn != WF_TURN_NONE)
        leave(turns, d);
    wf_dialling *next = had ? turns->row : NULL;
    while ((next = first_of(next, d))) {
        wf_dialling *after = next->turn_next;
        bool goes_on = next->call->link.stage == WF_LINK_CONNECTING; /* else it was given up in this turn */
        if (goes_on && !first_of(turns->taken, next)) { /* one of its other addresses may still be another's */
            leave(turns, next);
            take(turns, next);
            expect(next->call, false);
            wf_call_connect(next->call);
        }
        next = after;
    }
}
