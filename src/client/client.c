/*
 * One turn of a client:
 *
 *      flush what was queued between turns -> wait -> socket events -> timers -> flush -> free what ended
 *
 * An answer to what a socket brought is flushed right after it, from a warm chunk; all else at the end of the turn.
 * Whatever happens to a call ends in wf_call_pump (call.c).
 */
#include "client/client_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>

enum { BACKLOG_RETRY_MS = 5, TRUNK_IDLE_MS = 15000 };

static int resolve_config(weft_client_config *config, const weft_client_config *given) {
    *config = given ? *given : (weft_client_config) {WEFT_CLIENT_CONFIG_INIT};
    if (config->struct_size != sizeof *config || wf_deflate_fill(&config->deflate, NULL, WF_WINDOW_BITS_MAX) < 0)
        return WF_EINVAL;
    wf_fill(&config->connect_timeout_ms, 10000);
    wf_fill(&config->handshake_timeout_ms, 10000);
    wf_fill(&config->head_bytes_max, 16 * 1024);
    wf_fill(&config->headers_max, 100);
    wf_fill(&config->tls.sessions_max, 64);
    wf_limits_fill(&config->limits, NULL);
    return WF_OK;
}

weft_client *weft_client_new(const weft_client_config *config) {
    weft_client_config resolved;
    if (resolve_config(&resolved, config) < 0) {
        errno = EINVAL;
        return NULL;
    }
    weft_client *client = wf_mem_zalloc(sizeof *client);
    if (!client) {
        errno = ENOMEM;
        return NULL;
    }
    client->config = resolved;
    client->http = (wf_link_http) {.limits = {resolved.head_bytes_max, resolved.headers_max, WF_BODY_BYTES_MAX},
                                   .send_timeout_ms = resolved.limits.send_timeout_ms,
                                   .keep_alive_ms = TRUNK_IDLE_MS};
    client->env.http = &client->http;
    wf_turns_init(&client->turns);
    client->env.keys = &client->keys;
    client->env.now_ms = wf_clock_ms();
    wf_timers_init(&client->env.timers, client->env.now_ms);
    wf_timers_init(&client->reconnect_timers, client->env.now_ms);
    wf_codec_init(&client->env.codec);
    uint64_t *secret = &client->env.ping_secret;
    if (wf_mask_random(&client->keys, (uint8_t *)secret, sizeof *secret) == WF_OK)
        client->loop = client->env.loop = wf_loop_new_on((wf_loop_kind)client->config.backend, 0);
    if (!client->loop) {
        wf_mem_free(client);
        return NULL;
    }
    return client;
}

static void free_call(wf_call *call) {
    wf_link_deinit(&call->link);
    wf_lane_free(call);
    wf_reconnect_free(call->reconnect);
    if (call->is_trunk)
        wf_trunk_deinit(call);
    wf_dialling_free(call->dialling);
    wf_mem_free(call);
}

static void free_list(wf_call **list) {
    while (*list) {
        wf_call *call = *list;
        *list = call->next;
        free_call(call);
    }
}

void weft_client_free(weft_client *client) {
    if (!client)
        return;
    wf_lookups_close(client->lookups);
    free_list(&client->calls);
    free_list(&client->ended);
    free_list(&client->trunks);
    wf_reconnects_free(client);
    wf_origins_free(client);
    wf_loop_flush(client->loop);
    wf_outq_pool_deinit(&client->env.pool);
    wf_codec_deinit(&client->env.codec);
    wf_tls_shared_deinit(&client->env.tls);
    wf_tls_context_free(client->tls);
    wf_loop_free(client->loop);
    wf_mem_free(client);
}

static void flush_one(wf_call *call) {
    bool more = call->is_trunk && wf_trunk_pump(call);
    wf_link_flush(&call->link);
    if (wf_link_runnable(&call->link) || (call->is_trunk && call->link.stage == WF_LINK_REPLY))
        wf_call_pump(call);
    if (more && !call->link.in_flight) /* the kernel took all that there was room for */
        wf_outq_mark_ready(&call->link.q);
}

static void flush_ready(weft_client *client) {
    for (size_t left = client->env.pool.ready_count; left > 0; left--) {
        wf_outq *q = wf_outq_ready_take(&client->env.pool);
        if (!q)
            break;
        flush_one((wf_call *)((char *)q - offsetof(wf_call, link.q)));
    }
}

/* One system call per connection. What is queued meanwhile is for the next turn, so that a busy few cannot keep the
 * others waiting; but what calls have given to a shared connection leaves in this one. */
static void flush(weft_client *client) {
    flush_ready(client);
    if (client->trunk_count > 0)
        flush_ready(client);
}

static void take_lookups(weft_client *client) {
    wf_lookup *lookup;
    while (client->lookups && (lookup = wf_lookups_take(client->lookups))) {
        wf_asker *asker;
        while ((asker = wf_lookup_next_asker(lookup))) {
            wf_call *call = asker->owner;
            if (call->link.stage == WF_LINK_CONNECTING)
                wf_call_found(call, lookup);
        }
        wf_mem_free(lookup);
    }
}

static void on_loop_event(weft_client *client, const wf_loop_event *event) {
    if (event->kind == WF_LOOP_WOKEN) {
        take_lookups(client);
        return;
    }
    if (event->sock->kind == WF_SOCK_CONNECT) {
        wf_call_raced(((wf_attempt *)event->sock)->race->owner, event);
        return;
    }
    wf_call *call = (wf_call *)event->sock;
    switch (event->kind) {
    case WF_LOOP_RECEIVED:
        wf_link_received(&call->link, event->data, event->len);
        break;
    case WF_LOOP_SENT:
        wf_link_sent(&call->link, event->len);
        break;
    case WF_LOOP_WAITS:
        wf_link_waits(&call->link);
        break;
    case WF_LOOP_EOF:
        wf_link_input_over(&call->link);
        break;
    default:
        wf_link_failed(&call->link, event->sys_errno);
        break;
    }
    wf_call_pump(call);
    if (call->link.q.written && !call->link.in_flight)
        flush_one(call);
}

static void run_timers(weft_client *client) {
    wf_timers_advance(&client->env.timers, client->env.now_ms);
    wf_timer *timer;
    while ((timer = wf_timers_next(&client->env.timers))) {
        wf_call *call = (wf_call *)((char *)timer - offsetof(wf_call, link.timer));
        wf_link_timer_due(&call->link);
        wf_call_pump(call);
    }
}

/* A race that goes on, or a full backlog. */
static void retry_waiting(weft_client *client) {
    wf_call *list = client->waiting;
    client->waiting = NULL;
    while (list) {
        wf_call *call = list;
        list = call->waiting_next;
        call->waiting = false;
        if (call->link.stage == WF_LINK_CONNECTING)
            wf_call_connect(call);
    }
}

static int64_t until_retry_ms(const weft_client *client) {
    uint64_t now_ms = wf_clock_ms(), first_ms = UINT64_MAX;
    for (const wf_call *call = client->waiting; call; call = call->waiting_next) {
        const wf_race *race = call->dialling->race;
        uint64_t due_ms = race ? race->next_ms : now_ms + BACKLOG_RETRY_MS;
        first_ms = due_ms < first_ms ? due_ms : first_ms;
    }
    return first_ms == UINT64_MAX ? -1 : first_ms > now_ms ? (int64_t)(first_ms - now_ms) : 0;
}

/* The wheel stands at the last turn. */
static int64_t until_timer_ms(const wf_timers *timers) {
    int64_t wait_ms = wf_timers_wait_ms(timers), passed = wait_ms > 0 ? (int64_t)(wf_clock_ms() - timers->now_ms) : 0;
    return wait_ms > passed ? wait_ms - passed : wait_ms > 0 ? 0 : wait_ms;
}

static int64_t sooner(int64_t a_ms, int64_t b_ms) {
    return a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms;
}

/* How long nothing is due; -1: for ever. */
static int64_t idle_ms(const weft_client *client) {
    if (client->env.pool.ready_count > 0)
        return 0;
    int64_t wait_ms = sooner(until_timer_ms(&client->env.timers), until_timer_ms(&client->reconnect_timers));
    return client->waiting ? sooner(wait_ms, until_retry_ms(client)) : wait_ms;
}

int weft_client_turn(weft_client *client, int timeout_ms) {
    client->pumped = false;
    flush(client);
    int64_t wait_ms = timeout_ms == 0 || client->pumped ? 0 : idle_ms(client);
    if (timeout_ms >= 0 && (wait_ms < 0 || wait_ms > timeout_ms))
        wait_ms = timeout_ms;
    if (wf_loop_wait(client->loop, wait_ms) < 0)
        return WEFT_ESYS;
    client->env.now_ms = wf_clock_ms();
    client->env.turn++;
    wf_loop_event event;
    while (wf_loop_next(client->loop, &event) == WF_OK)
        on_loop_event(client, &event);
    run_timers(client);
    retry_waiting(client);
    wf_reconnects_run(client);
    if (client->call_count == 0 && client->trunk_count > 0)
        wf_origins_rest(client);
    flush(client);
    wf_loop_flush(client->loop); /* the program may not turn again for long */
    wf_codec_rest(&client->env.codec);
    free_list(&client->ended);
    return WEFT_OK;
}

int weft_client_run(weft_client *client) {
    int got = WEFT_OK;
    while (got == WEFT_OK && (client->call_count + client->trunk_count > 0 || client->reconnects)) {
        got = weft_client_turn(client, -1);
        if (atomic_exchange_explicit(&client->stop, false, memory_order_relaxed))
            break;
    }
    return got;
}

void weft_client_stop(weft_client *client) {
    atomic_store_explicit(&client->stop, true, memory_order_relaxed);
    wf_loop_wake(client->loop);
}

void weft_client_wake(weft_client *client) {
    wf_loop_wake(client->loop);
}

size_t weft_client_connections(const weft_client *client) {
    return client->call_count;
}

const char *weft_client_error(const weft_client *client) {
    return client->error;
}

int weft_client_fd(weft_client *client) {
    wf_loop_flush(client->loop);
    return wf_loop_fd(client->loop);
}

int weft_client_timeout_ms(const weft_client *client) {
    int64_t wait_ms = idle_ms(client);
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

weft_client *weft_conn_client(const weft_conn *conn) {
    const wf_call *call = (const wf_call *)conn;
    return wf_link_is_client(&call->link) ? wf_call_client(call) : NULL;
}

void weft_client_bytes(const weft_client *client, uint64_t *out_in, uint64_t *out_out) {
    *out_in = wf_count_read(&client->env.bytes_in);
    *out_out = wf_count_read(&client->env.bytes_out);
}
