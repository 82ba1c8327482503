/*
 * Who is let in. Every connection gets a slot and, until its first request is whole, a place in the list of
 * unfinished handshakes, oldest first. Over a limit somebody is turned away with 503 and a hint when to come
 * again: the newcomer when the server is full or short of memory, the oldest unfinished handshake when there
 * are too many of those.
 */
#include "server/server_impl.h"

#include "base/big.h"
#include "base/mem.h"
#include "http/h2.h"

#include <unistd.h>

enum { MEMORY_STEP = 1 << 20 };

static void half_add(wf_worker *w, weft_conn *conn) {
    conn->half_open = true;
    conn->half.prev = w->half_last;
    *(w->half_last ? &w->half_last->half.next : &w->half_first) = conn;
    w->half_last = conn;
    w->half_count++;
}

void wf_worker_half_done(weft_conn *conn) {
    wf_worker *w = wf_conn_worker(conn);
    if (!conn->half_open)
        return;
    conn->half_open = false;
    *(conn->half.prev ? &conn->half.prev->half.next : &w->half_first) = conn->half.next;
    *(conn->half.next ? &conn->half.next->half.prev : &w->half_last) = conn->half.prev;
    conn->half.prev = conn->half.next = NULL;
    conn->request = NULL;
    w->half_count--;
}

static uint64_t memory_total(const weft_server *server) {
    uint64_t total = atomic_load_explicit(&server->blob_bytes, memory_order_relaxed);
    for (unsigned i = 0; i < server->worker_count; i++)
        total += wf_count_read(&server->workers[i].memory_bytes);
    return total;
}

static bool short_of_memory(const weft_server *server, unsigned percent) {
    return memory_total(server) > server->config.memory_bytes_max / 100 * percent;
}

static void shed(weft_conn *conn, const char *why) {
    wf_worker_half_done(conn);
    wf_count_add(&wf_conn_worker(conn)->shed, 1);
    wf_link_refuse(&conn->link, 503, why);
    wf_conn_pump(conn);
}

/* Within the handshake of TLS nothing can be told: there it just ends, for who waits in it would hold a connection
 * until its deadline. */
static void shed_oldest(wf_worker *w) {
    static const char why[] = "too many unfinished handshakes";
    weft_conn *conn = w->half_first;
    const wf_tls *tls = wf_link_tls_of(&conn->link);
    if (!tls || wf_tls_ready(tls)) {
        shed(conn, why);
        return;
    }
    wf_count_add(&w->shed, 1);
    wf_link_die(&conn->link, 0, why);
    wf_conn_pump(conn);
}

/* It was given a slot and got no sock. */
static void give_back(wf_worker *w, weft_conn *conn) {
    wf_slots_end(&w->slots, conn);
    wf_slots_free(&w->slots, conn);
}

/* NULL: there is no room or no memory for it, and `fd` is still the caller's. */
static weft_conn *new_conn(wf_worker *w, bool secure, int fd) {
    weft_conn *conn = wf_slots_add(&w->slots);
    wf_tls *tls = conn && secure ? wf_tls_accept(w->server->tls, &w->env.tls) : NULL;
    if (conn && (tls || !secure) && wf_link_init(&conn->link, &w->env, fd, tls) == WF_OK) {
        conn->secure = secure;
        return conn;
    }
    wf_tls_free(tls);
    if (conn)
        give_back(w, conn);
    return NULL;
}

static void admit(wf_worker *w, weft_conn *conn) {
    weft_server *server = w->server;
    half_add(w, conn);
    wf_count_add(&w->connections, 1);
    unsigned before = atomic_fetch_add_explicit(&server->connection_count, 1, memory_order_relaxed);
    if (before >= server->config.connections_max)
        shed(conn, "too many connections");
    else if (short_of_memory(server, 75))
        shed(conn, "short of memory");
    else if (w->half_count > (server->config.half_open_max - 1) / server->worker_count + 1)
        shed_oldest(w);
}

void wf_worker_accept(wf_worker *w, const wf_sock *listener, int fd) {
    wf_count_add(&w->accepted, 1);
    weft_conn *conn = new_conn(w, w->server->listeners[listener - w->listeners].secure, fd);
    if (!conn) {
        close(fd);
        wf_count_add(&w->shed, 1);
        return;
    }
    admit(w, conn);
}

bool wf_worker_accept_port(wf_worker *w, wf_port *port) {
    weft_conn *conn = wf_slots_add(&w->slots);
    if (conn && wf_link_init_on_port(&conn->link, &w->env, port) == WF_OK) {
        conn->secure = ((const weft_conn *)port->below)->secure; /* a sock leads to its connection */
        admit(w, conn);
        return true;
    }
    if (conn)
        give_back(w, conn);
    return false;
}

static size_t memory_of(const weft_conn *conn) {
    return wf_link_memory(&conn->link) + (conn->is_http2 ? wf_h2_memory(conn->http2) : 0);
}

/* Above 90 % the largest goes: the one that is the cause, most likely. */
static void close_largest(wf_worker *w) {
    weft_conn *largest = NULL;
    for (uint32_t i = 0; i < w->slots.high; i++) {
        weft_conn *conn = wf_slots_at(&w->slots, i);
        if (conn && conn->link.stage <= WF_LINK_STREAM && (!largest || memory_of(conn) > memory_of(largest)))
            largest = conn;
    }
    if (largest && memory_of(largest) > 0) {
        wf_count_add(&w->shed, 1);
        wf_link_fail(&largest->link, WEFT_CLOSE_TRY_LATER, "memory_bytes_max: the largest connection is closed");
        wf_outq_mark_ready(&largest->link.q);
    }
}

void wf_worker_check_memory(wf_worker *w) {
    size_t own = w->env.pool.bytes_used + w->env.input_bytes + wf_codec_memory(&w->env.codec) +
                 wf_loop_memory(w->loop) + wf_big_kept() + w->env.tls.bytes;
    wf_count_set(&w->memory_bytes, own);
    size_t now = own + atomic_load_explicit(&w->server->blob_bytes, memory_order_relaxed);
    if (now > w->memory_checked + MEMORY_STEP && short_of_memory(w->server, 90))
        close_largest(w);
    if (now > w->memory_checked + MEMORY_STEP || now + MEMORY_STEP < w->memory_checked)
        w->memory_checked = now;
}
