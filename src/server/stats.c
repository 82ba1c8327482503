/*
 * Each worker counts for itself; a reader adds up. Gauges are the same counters going up and down, so they
 * cannot drift from what they count.
 */
#include "server/server_impl.h"

#include <string.h>

const char *weft_version(void) {
    return WEFT_VERSION;
}

const char *weft_status_text(int status) {
    switch (status) {
    case WEFT_OK:
        return "ok";
    case WEFT_FULL:
        return "queue full";
    case WEFT_TIMEOUT:
        return "not in time";
    case WEFT_ENOMEM:
        return "out of memory";
    case WEFT_EINVAL:
        return "invalid argument";
    case WEFT_ECLOSED:
        return "closed";
    case WEFT_ESTALE:
        return "the connection is gone";
    case WEFT_ELIMIT:
        return "limit reached";
    case WEFT_ESYS:
        return "system error";
    default:
        return "unknown status";
    }
}

static const char *const close_names[WEFT_CLOSE_SLOTS] = {
    "1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008",
    "1009", "1010", "1011", "1012", "1013", "1014", "1015", "3xxx", "4xxx",
};

int weft_close_slot(int code) {
    if (code >= 1000 && code <= 1015)
        return code - 1000;
    if (code >= 3000 && code <= 4999)
        return code < 4000 ? 16 : 17;
    return -1;
}

const char *weft_close_slot_name(int slot) {
    return slot >= 0 && slot < WEFT_CLOSE_SLOTS ? close_names[slot] : "";
}

const char *weft_server_refusals(const weft_server *server, size_t index, uint64_t *out_count) {
    static const char *const own[] = {"broken", "too_large", "too_slow", "overload", "application", "tls"};
    size_t reason = index + 1; /* 0 is "none" */
    if (reason >= REFUSED_COUNT)
        return NULL;
    *out_count = 0;
    for (unsigned i = 0; i < server->worker_count; i++)
        *out_count += wf_count_read(&server->workers[i].refusals[reason]);
    return reason < WF_REFUSAL_COUNT ? wf_refusal_name((wf_refusal)reason) : own[reason - WF_REFUSAL_COUNT];
}

void weft_server_stats(const weft_server *server, weft_stats *out_stats) {
    weft_stats s = {.memory_bytes = atomic_load_explicit(&server->blob_bytes, memory_order_relaxed),
                    .deflating = atomic_load_explicit(&server->deflating, memory_order_relaxed)};
    for (unsigned i = 0; i < server->worker_count; i++) {
        const wf_worker *w = &server->workers[i];
        s.accepted += wf_count_read(&w->accepted);
        s.connections += wf_count_read(&w->connections);
        s.websockets += wf_count_read(&w->websockets);
        s.streams += wf_count_read(&w->streams);
        s.handshakes += wf_count_read(&w->handshakes);
        s.requests += wf_count_read(&w->requests);
        s.bytes_in += wf_count_read(&w->env.bytes_in);
        s.bytes_out += wf_count_read(&w->env.bytes_out);
        s.messages_in += wf_count_read(&w->env.messages_in);
        s.messages_out += wf_count_read(&w->env.messages_out);
        s.deflate_in_bytes += wf_count_read(&w->env.codec.deflate_in_bytes);
        s.deflate_out_bytes += wf_count_read(&w->env.codec.deflate_out_bytes);
        s.inflate_in_bytes += wf_count_read(&w->env.codec.inflate_in_bytes);
        s.inflate_out_bytes += wf_count_read(&w->env.codec.inflate_out_bytes);
        s.published += wf_count_read(&w->published);
        s.delivered += wf_count_read(&w->delivered);
        s.queue_drops += wf_count_read(&w->env.pool.drops);
        s.shed_connections += wf_count_read(&w->shed);
        s.memory_bytes += wf_count_read(&w->memory_bytes);
        uint64_t lag = wf_count_read(&w->lag_ns);
        if (lag > s.loop_lag_ns_max)
            s.loop_lag_ns_max = lag;
        for (int code = 0; code < WEFT_CLOSE_SLOTS; code++)
            s.closes[code] += wf_count_read(&w->closes[code]);
    }
    *out_stats = s;
}
