/*
 * Which connection a call gets. What was learned of an origin is kept while it has connections, and of the newest
 * ORIGINS_MAX behind that: to learn it anew costs one connection.
 */
#include "client/http2.h"

#include "base/mem.h"

#include <errno.h>

enum { ORIGINS_MAX = 1000 };

static int add_address(wf_buf *key, const wf_address *address) {
    char text[WF_ADDRESS_TEXT_BYTES];
    wf_address_format(address, text, sizeof text);
    return wf_buf_printf(key, " %s", text);
}

/* All that makes one connection as good as another. */
static int write_key(wf_buf *key, const wf_dialling *d) {
    int got = wf_buf_printf(key, "%d %s%s %u", d->secure, d->host ? d->host : "", d->rooted ? "." : "", d->port);
    for (size_t i = 0; i < d->count && got == WF_OK; i++)
        got = add_address(key, &d->addresses[i]);
    if (d->from_local && got == WF_OK)
        got = wf_buf_append_str(key, " from") < 0 ? WF_ENOMEM : add_address(key, &d->local);
    if (d->via && got == WF_OK) {
        const wf_proxy *p = &d->via->proxy;
        got = wf_buf_printf(key, " via %d %s %u to %s as %zu %s %s", p->kind, p->host, p->port, d->via->target,
                            strlen(p->user), p->user, p->password);
    }
    return got;
}

/* The newest stands first. */
static void forget_one(weft_client *client) {
    wf_origin **last = NULL;
    for (wf_origin **at = &client->origins; *at; at = &(*at)->next)
        if ((*at)->trunk_count == 0)
            last = at;
    if (!last)
        return;
    wf_origin *origin = *last;
    *last = origin->next;
    wf_mem_free(origin);
    client->origin_count--;
}

static wf_origin *origin_of(weft_client *client, const wf_dialling *d) {
    wf_buf key = WF_BUF_INIT;
    wf_origin *origin = NULL;
    if (write_key(&key, d) == WF_OK) {
        for (origin = client->origins; origin; origin = origin->next)
            if (origin->key_len == key.len && memcmp(origin->key, key.data, key.len) == 0)
                break;
        if (!origin && (origin = wf_mem_zalloc(sizeof *origin + key.len)) != NULL) {
            if (client->origin_count >= ORIGINS_MAX)
                forget_one(client);
            client->origin_count++;
            origin->streams_max = SIZE_MAX;
            origin->key_len = key.len;
            memcpy(origin->key, key.data, key.len);
            origin->next = client->origins;
            client->origins = origin;
        }
    }
    wf_buf_deinit(&key);
    return origin;
}

static wf_trunk *trunk_of(wf_origin *origin) {
    for (wf_trunk *trunk = origin->trunks; trunk; trunk = trunk->next)
        if (wf_trunk_takes(trunk))
            return trunk;
    return NULL;
}

static void share(wf_call *call, wf_origin *origin) {
    wf_lane *lane = wf_mem_zalloc(sizeof *lane);
    wf_trunk *trunk = lane ? trunk_of(origin) : NULL;
    if (lane && !trunk)
        trunk = wf_trunk_new(wf_call_client(call), origin, call->dialling);
    if (trunk) {
        wf_trunk_join(trunk, call, lane);
        return;
    }
    wf_mem_free(lane);
    wf_call_die_soon(call, ENOMEM);
}

void wf_call_begin(wf_call *call) {
    weft_client *client = wf_call_client(call);
    weft_http2 http2 = client->config.http2;
    bool wanted = http2 == WEFT_HTTP2_CLEAR || (http2 == WEFT_HTTP2_ON && call->dialling->secure);
    wf_origin *origin = wanted ? origin_of(client, call->dialling) : NULL;
    if (wanted && !origin)
        wf_call_die_soon(call, ENOMEM);
    else if (!wanted || origin->http1)
        wf_call_connect(call);
    else
        share(call, origin);
}

void wf_origins_rest(weft_client *client) {
    for (wf_origin *origin = client->origins; origin; origin = origin->next)
        for (wf_trunk *trunk = origin->trunks; trunk; trunk = trunk->next)
            wf_outq_mark_ready(&trunk->call.link.q);
}

void wf_origins_free(weft_client *client) {
    for (wf_origin *origin; (origin = client->origins) != NULL; wf_mem_free(origin))
        client->origins = origin->next;
}
