/*
 * The loop over io_uring against a model: connections to peers that write, read, break and leave at random, and an
 * owner that sends soon and at once, pauses, shuts down and closes at random. The model knows what each side must
 * have seen. Small rings, small buffers and a kernel that refuses to be entered make everything run over that can.
 */
#include "uring_help.h"

#include <fcntl.h>

enum { CONNS = 24, STEPS = 4000 };

typedef struct conn {
    wf_sock sock;
    int peer; /* -1: closed */
    bool tcp, paused, later, shut, eof, failed, open;
    bool peer_shut, peer_reset, peer_fin; /* what the peer did; that it read our FIN */
    size_t wrote, received;               /* by the peer; by us */
    size_t sent, read;                    /* by us; by the peer */
} conn;

static conn conns[CONNS];
static uint64_t state;
static bool refuses; /* the kernel, at times: then a sock may fail for want of a request */

static size_t below(size_t n) {
    return test_random(&state) % n;
}

static void conn_open(conn *c) {
    int fds[2];
    *c = (conn) {.tcp = below(2)};
    if (c->tcp)
        connect_tcp(fds);
    else
        connect_unix(fds);
    c->peer = fds[1];
    if (below(2)) {
        int small = 4096;
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
    c->open = wf_sock_adopt(loop, &c->sock, fds[0]) == 0;
    if (!c->open) {
        CHECK_EQ(errno, ENOMEM);
        close(fds[0]);
        close(fds[1]);
        c->peer = -1;
    }
}

static void conn_close(conn *c) {
    if (c->open)
        wf_sock_close(loop, &c->sock);
    if (c->peer >= 0)
        close(c->peer);
    c->open = false;
    c->peer = -1;
}

static void on_event(const wf_loop_event *event) {
    conn *c = (conn *)((char *)event->sock - offsetof(conn, sock));
    CHECK(c >= conns && c < conns + CONNS && c->open && !c->failed);
    switch (event->kind) {
    case WF_LOOP_RECEIVED:
        CHECK(!c->paused && !c->eof && event->len > 0);
        check_pattern(event->data, event->len, c->received);
        c->received += event->len;
        CHECK(c->received <= c->wrote);
        memset(event->data, 0xee, event->len);
        break;
    case WF_LOOP_EOF:
        CHECK(!c->eof && (c->peer_shut || c->peer_reset));
        CHECK(c->peer_reset || c->received == c->wrote);
        c->eof = true;
        break;
    case WF_LOOP_WAITS:
        CHECK(wf_loop_memory(loop) > 0);
        c->later = true;
        break;
    case WF_LOOP_SENT:
        CHECK(c->later);
        c->later = false;
        break;
    case WF_LOOP_FAILED:
        CHECK(c->peer_reset || (refuses && event->sys_errno == ENOMEM));
        c->failed = true;
        c->later = false;
        break;
    default:
        test_fail(__FILE__, __LINE__, "an event of kind %d", (int)event->kind);
    }
}

static void conn_send(conn *c) {
    if (c->later || c->shut || c->failed)
        return;
    size_t len = 1 + below(below(4) ? 300 : 9000);
    uint8_t data[9000];
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(c->sent + i);
    struct iovec range = {data, len};
    int64_t sent = below(4) ? wf_sock_send_soon(loop, &c->sock, &range, 1) : wf_sock_send(loop, &c->sock, &range, 1);
    if (sent == WF_SEND_LATER)
        c->later = true;
    else if (sent > 0)
        c->sent += (size_t)sent;
    else
        CHECK((errno == EPIPE || errno == ECONNRESET) && (c->peer_reset || refuses));
}

static void peer_act(conn *c) {
    if (c->peer < 0)
        return;
    switch (below(40)) {
    case 0:
        shutdown(c->peer, SHUT_WR);
        c->peer_shut = true;
        break;
    case 1:
        if (below(2) && c->tcp)
            reset_on_close(c->peer);
        c->peer_reset = true; /* what it has not read makes one of it */
        close(c->peer);
        c->peer = -1;
        break;
    case 2 ... 14:
        c->peer_fin |= peer_reads(c->peer, &c->read);
        CHECK(c->read <= c->sent);
        break;
    default:
        if (!c->peer_shut)
            c->wrote += peer_writes(c->peer, c->wrote, 1 + below(below(4) ? 200 : 20000));
    }
}

static void conn_act(conn *c) {
    if (!c->open) {
        conn_open(c);
        return;
    }
    switch (below(60)) {
    case 0:
        if (below(2))
            conn_close(c);
        break;
    case 1:
        if (!c->failed && !c->later) {
            wf_sock_shutdown(loop, &c->sock);
            c->shut = true;
        }
        break;
    case 2 ... 7:
        wf_sock_pause(loop, &c->sock);
        c->paused = true;
        break;
    case 8 ... 17:
        wf_sock_resume(loop, &c->sock);
        c->paused = false;
        break;
    case 18 ... 30:
        conn_send(c);
        break;
    default:
        peer_act(c);
    }
}

static void turn(bool may_stop) {
    wf_loop_event event;
    CHECK_EQ(wf_loop_wait(loop, 0), 0);
    while (wf_loop_next(loop, &event) == WF_OK) {
        on_event(&event);
        if (may_stop && below(8) == 0)
            conn_act(&conns[below(CONNS)]);
        if (may_stop && below(50) == 0)
            return; /* and pulls the rest later */
    }
}

/* Both sides have seen all that the other did. */
static bool complete(const conn *c) {
    if (!c->open)
        return true;
    if (c->peer_reset)
        return c->failed || c->eof;
    return (c->failed && refuses) || (!c->failed && !c->later && c->received == c->wrote && c->read == c->sent &&
                                      c->eof == c->peer_shut && c->peer_fin == c->shut);
}

/* Everything goes on until it is complete. */
static void settle(void) {
    for (int i = 0; i < CONNS; i++) {
        wf_sock_resume(loop, &conns[i].sock);
        conns[i].paused = false;
    }
    size_t moved = 0, before;
    for (int quiet = 0, left = CONNS; left > 0 && quiet < 2000;) {
        turn(false);
        before = moved;
        moved = 0;
        left = 0;
        for (int i = 0; i < CONNS; i++) {
            if (conns[i].peer >= 0)
                conns[i].peer_fin |= peer_reads(conns[i].peer, &conns[i].read);
            left += !complete(&conns[i]);
            moved += conns[i].read + conns[i].received;
        }
        quiet = moved == before ? quiet + 1 : 0;
        if (quiet > 10)
            usleep(1000);
    }
    for (int i = 0; i < CONNS; i++) {
        const conn *c = &conns[i];
        if (!complete(c))
            test_fail(
                __FILE__, __LINE__,
                "connection %d, %s%s%s%s: received %zu of %zu, sent %zu, of which were read %zu; eof %d, failed %d, "
                "later %d, fin %d",
                i, c->tcp ? "tcp" : "unix", c->peer_shut ? ", peer shut" : "", c->peer_reset ? ", peer gone" : "",
                c->shut ? ", shut" : "", c->received, c->wrote, c->sent, c->read, c->eof, c->failed, c->later,
                c->peer_fin);
    }
    for (int i = 0; i < CONNS; i++)
        if (conns[i].failed || conns[i].peer_reset)
            conn_close(&conns[i]); /* it may have kept something */
    CHECK_EQ(wf_loop_memory(loop), 0);
}

/* `refuse_every`: how often the kernel is not entered. */
static void run(size_t recv_bytes, unsigned requests, unsigned completions, size_t refuse_every) {
    test_uring_entries(requests, completions);
    refuses = refuse_every > 0;
    open_loop(recv_bytes);
    for (int i = 0; i < CONNS; i++)
        conns[i] = (conn) {.peer = -1};
    for (int step = 0; step < STEPS; step++) {
        conn_act(&conns[below(CONNS)]);
        if (refuse_every && below(refuse_every) == 0) {
            static const char *const calls[] = {"io_uring_submit", "io_uring_submit_and_get_events"};
            test_call_fail_at(calls[below(2)], 1 + below(3), -EAGAIN);
        }
        if (below(4) == 0)
            turn(true);
        if (step % 1000 == 999) {
            test_call_fail_at(NULL, 0, 0);
            settle();
        }
    }
    for (int i = 0; i < CONNS; i++)
        conn_close(&conns[i]);
    test_call_fail_at(NULL, 0, 0);
    wf_loop_flush(loop);
    close_loop();
}

TEST(random_deeds_are_as_the_model_has_them) {
    for (uint64_t seed = 1; seed <= 8; seed++) {
        state = seed;
        test_context("seed %llu", (unsigned long long)seed);
        run(0, 0, 0, 0);
    }
}

TEST(small_buffers_change_nothing) {
    static const size_t bytes[] = {1, 8, 100, 3000};
    for (size_t i = 0; i < 4; i++) {
        state = 100 + i;
        run(bytes[i], 0, 0, 0);
    }
}

TEST(small_rings_change_nothing) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        state = 200 + seed;
        run(seed % 2 ? 0 : 2000, 8, 16, 0);
    }
}

TEST(a_kernel_that_is_not_entered_at_times_changes_nothing) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        state = 300 + seed;
        run(seed % 2 ? 0 : 2000, seed > 2 ? 8 : 0, 16, 20);
    }
}
