/*
 * The loop with real sockets: streams, their ends, pauses, and what may not happen after a close. Every state
 * in which a sock waits for its owner is checked to be silent and to cost next to nothing (check_silent).
 *
 * What is said here holds for every backend; which one runs is WEFT_BACKEND's choice. How events of one turn are
 * ordered, and how bytes are cut, is a backend's own: see test_loop_epoll.c and test_loop_uring.c.
 */
#include "net/backend.h"
#include "net/port.h"
#include "net_help.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>

static wf_loop *loop;
static wf_sock sock;
static int peer;

static void open_pair(void (*connect_pair)(int fds[2])) {
    int fds[2];
    loop = wf_loop_new(0);
    CHECK(loop != NULL);
    connect_pair(fds);
    peer = fds[1];
    CHECK_EQ(wf_sock_adopt(loop, &sock, fds[0]), 0);
}

static void close_pair(void) {
    wf_sock_close(loop, &sock);
    CHECK_EQ(sock.fd, -1);
    wf_sock_close(loop, &sock);
    if (peer >= 0)
        close(peer);
    wf_loop_free(loop);
}

static void peer_writes(const char *text) {
    CHECK_EQ(send(peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void check_received(const char *text) {
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
    CHECK(event.sock == &sock);
    CHECK_BYTES(event.data, event.len, text, strlen(text));
}

TEST(a_loop_that_gets_no_memory_is_not_made) {
    static const struct {
        wf_loop_kind kind;
        const char *name;
    } rows[] = {{WF_LOOP_EPOLL, "epoll"}, {WF_LOOP_URING, "io_uring"}};
    size_t live = test_mem_live();
    int lowest_free = dup(0);
    close(lowest_free);
    for (size_t i = 0; i < 2; i++) {
        test_context("%s", rows[i].name);
        test_mem_fail_at(0);
        wf_loop *made = wf_loop_new_on(rows[i].kind, 1000);
        if (!made && rows[i].kind == WF_LOOP_URING)
            continue; /* not here */
        CHECK(made != NULL);
        size_t calls = test_mem_calls();
        CHECK(calls >= 2);
        CHECK_STR(wf_loop_backend_name(made), rows[i].name);
        wf_loop_free(made);
        for (size_t n = 1; n <= calls; n++) {
            test_mem_fail_at(n);
            errno = 0;
            CHECK(wf_loop_new_on(rows[i].kind, 0) == NULL);
            CHECK_EQ(errno, ENOMEM);
            CHECK_EQ(test_mem_live(), live);
        }
        test_mem_fail_at(0);
        int after = dup(0);
        close(after);
        CHECK_EQ(after, lowest_free); /* no descriptor stayed open */
    }
    wf_loop_free(NULL);
    CHECK_EQ(test_mem_live(), live);
}

TEST(a_wait_keeps_its_time) {
    loop = wf_loop_new(0);
    uint64_t begin_ms = wf_clock_ms();
    CHECK_EQ(wf_loop_wait(loop, 0), 0);
    CHECK(wf_clock_ms() - begin_ms < 500);
    /* A ring that another loop has just given back may interrupt a wait. */
    int waits = 0;
    while (wf_clock_ms() - begin_ms < 50 && ++waits < 10)
        CHECK_EQ(wf_loop_wait(loop, 50), 0);
    CHECK(wf_clock_ms() - begin_ms >= 50 && wf_clock_ms() - begin_ms < 3000);
    wf_loop_event event;
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    wf_loop_free(loop);
}

static void on_alarm(int number) {
    (void)number;
}

TEST(a_signal_ends_the_wait_early_and_well) {
    loop = wf_loop_new(0);
    struct sigaction action = {.sa_handler = on_alarm}, before;
    sigaction(SIGALRM, &action, &before);
    struct itimerval timer = {.it_value.tv_usec = 20000};
    setitimer(ITIMER_REAL, &timer, NULL);
    uint64_t begin_ms = wf_clock_ms();
    CHECK_EQ(wf_loop_wait(loop, 5000), 0);
    CHECK(wf_clock_ms() - begin_ms < 4000);
    sigaction(SIGALRM, &before, NULL);
    wf_loop_free(loop);
}

/* As a program does that has a loop of its own: it sleeps in a poll of its own, and turns ours when it is told to. */
TEST(a_watched_loop_tells_of_what_comes) {
    open_pair(connect_tcp);
    for (int i = 0; i < 50; i++) {
        struct pollfd watched = {.fd = wf_loop_fd(loop), .events = POLLIN};
        wf_loop_flush(loop);
        CHECK_EQ(write(peer, "x", 1), 1);
        wf_loop_event event = {.kind = (wf_loop_event_kind)NO_EVENT};
        for (int polls = 0; (int)event.kind == NO_EVENT && polls < 5; polls++) {
            CHECK_EQ(poll(&watched, 1, PATIENCE_MS), 1);
            CHECK_EQ(wf_loop_wait(loop, 0), 0);
            while (wf_loop_next(loop, &event) == WF_OK)
                CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        }
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
    }
    close_pair();
}

TEST(a_watched_loop_tells_of_what_waited_for_a_resume) {
    open_pair(connect_tcp);
    struct pollfd watched = {.fd = wf_loop_fd(loop), .events = POLLIN};
    wf_loop_event event;
    wf_sock_pause(loop, &sock);
    peer_writes("kept");
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(wf_loop_wait(loop, 10), 0);
        CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    }
    wf_sock_resume(loop, &sock);
    wf_loop_flush(loop);
    CHECK_EQ(poll(&watched, 1, PATIENCE_MS), 1);
    check_received("kept");
    close_pair();
}

TEST(messages_cost_no_memory) {
    open_pair(connect_tcp);
    test_mem_fail_at(0);
    char answer[4];
    for (int i = 0; i < 1000; i++) {
        peer_writes("ping");
        check_received("ping");
        CHECK_EQ(send_text(loop, &sock, "pong"), 4);
        CHECK_EQ(recv(peer, answer, 4, MSG_WAITALL), 4);
        wf_sock_pause(loop, &sock); /* lifted before anything arrives */
        CHECK_EQ(wf_loop_wait(loop, 0), 0);
        wf_sock_resume(loop, &sock);
    }
    CHECK_EQ(test_mem_calls(), 0);
    close_pair();
}

TEST(the_receive_buffer_bounds_a_read_and_has_slack) {
    open_pair(connect_tcp);
    wf_loop_free(loop);
    loop = wf_loop_new(8);
    CHECK_EQ(wf_sock_adopt(loop, &sock, sock.fd), 0);
    peer_writes("0123456789");
    wf_loop_event event = next_event(loop);
    CHECK_BYTES(event.data, event.len, "01234567", 8);
    unsigned sum = 0;
    for (size_t i = 0; i < WF_RECV_SLACK; i++) {
        sum += event.data[event.len + i];
        event.data[i % event.len] = 0xff; /* the bytes are ours to change */
    }
    CHECK_EQ(sum, 0);
    check_received("89");
    close_pair();
}

/* However much it is: it cannot fill more than the buffers of one turn. */
TEST(a_busy_peer_does_not_starve_the_others) {
    open_pair(connect_tcp);
    static char flood[1 << 20];
    wf_sock other;
    int fds[2];
    connect_unix(fds);
    CHECK_EQ(wf_sock_adopt(loop, &other, fds[0]), 0);
    CHECK_EQ(wf_loop_wait(loop, 0), 0);
    CHECK(send(peer, flood, sizeof flood, MSG_DONTWAIT) > 0);
    CHECK_EQ(send(fds[1], "x", 1, 0), 1);
    bool heard = false;
    for (int turns = 0; !heard && turns < 2; turns++) {
        CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
        wf_loop_event event;
        for (int events = 0; !heard && wf_loop_next(loop, &event) == WF_OK; events++) {
            CHECK(events < 64);
            heard = event.sock == &other;
            if (!heard)
                send(peer, flood, sizeof flood, MSG_DONTWAIT);
        }
    }
    CHECK(heard);
    wf_sock_close(loop, &other);
    close(fds[1]);
    close_pair();
}

TEST(events_that_were_not_pulled_are_kept) {
    open_pair(connect_tcp);
    wf_loop_wake(loop);
    peer_writes("x");
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    uint64_t begin_ms = wf_clock_ms();
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    CHECK(wf_clock_ms() - begin_ms < PATIENCE_MS / 2);
    bool woken = false;
    for (int i = 0; i < 2; i++)
        woken |= next_event(loop).kind == WF_LOOP_WOKEN;
    CHECK(woken);
    close_pair();
}

/* ---- sending ---- */

enum { ECHO_BYTES = 10 * 1024 * 1024, ECHO_BLOCK = 100000 };

/* One end of the echo: what it has yet to send lies at `data`. */
struct echo_end {
    wf_sock sock;
    uint8_t *data;
    size_t len, at;
    bool later;
    unsigned laters, parts; /* answers of wf_sock_send: later; fewer bytes than given */
};

static uint8_t pattern(size_t i) {
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

/* Sends what there is, in two ranges, until it is gone or has to wait. */
static void echo_flush(struct echo_end *end) {
    while (!end->later && end->at < end->len) {
        size_t rest = end->len - end->at, head = rest > 10 ? 10 : rest;
        struct iovec ranges[2] = {{end->data + end->at, head}, {end->data + end->at + head, rest - head}};
        int64_t sent = wf_sock_send(loop, &end->sock, ranges, 2);
        CHECK(sent >= 0);
        end->at += (size_t)sent;
        end->later = sent == WF_SEND_LATER;
        end->laters += end->later;
        end->parts += sent > 0 && (size_t)sent < rest;
    }
}

TEST(ten_megabytes_come_back_through_partial_sends) {
    loop = wf_loop_new(ECHO_BLOCK);
    int fds[2], small = 4096, window = 65536;
    connect_tcp(fds);
    struct echo_end client = {.data = malloc(ECHO_BYTES), .len = ECHO_BYTES}, server = {.data = malloc(ECHO_BLOCK)};
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    CHECK_EQ(wf_sock_adopt(loop, &client.sock, fds[0]), 0);
    CHECK_EQ(wf_sock_adopt(loop, &server.sock, fds[1]), 0);
    for (size_t i = 0; i < ECHO_BYTES; i++)
        client.data[i] = pattern(i);
    size_t back = 0;
    echo_flush(&client);
    while (back < ECHO_BYTES) {
        wf_loop_event event = next_event(loop);
        struct echo_end *end = event.sock == &client.sock ? &client : &server;
        if (event.kind == WF_LOOP_SENT) {
            CHECK(end->later);
            end->later = false;
            end->at += event.len;
            echo_flush(end);
        } else if (end == &server) {
            CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
            CHECK_EQ(server.at, server.len); /* paused until then */
            memcpy(server.data, event.data, event.len);
            server.at = 0;
            server.len = event.len;
            echo_flush(&server);
        } else {
            CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
            for (size_t i = 0; i < event.len; i++)
                if (event.data[i] != pattern(back + i))
                    test_fail(__FILE__, __LINE__, "byte %zu differs", back + i);
            back += event.len;
        }
        if (server.at < server.len)
            wf_sock_pause(loop, &server.sock);
        else
            wf_sock_resume(loop, &server.sock);
        if (server.later || client.at == client.len)
            wf_sock_resume(loop, &client.sock);
        else
            wf_sock_pause(loop, &client.sock); /* so that the server finds its way blocked */
    }
    CHECK_EQ(back, ECHO_BYTES);
    CHECK(client.laters > 10 && client.parts > 10);
    CHECK(server.laters > 10 && server.parts > 10);
    wf_sock_close(loop, &client.sock);
    wf_sock_close(loop, &server.sock);
    free(client.data);
    free(server.data);
    wf_loop_free(loop);
}

TEST(a_full_socket_says_later_and_then_sent) {
    void (*kinds[])(int[2]) = {connect_tcp, connect_unix};
    for (int i = 0; i < 2; i++) {
        open_pair(kinds[i]);
        send_until_later(loop, &sock);
        check_silent(loop);
        CHECK(drain_peer(peer) > 0);
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_SENT);
        CHECK_EQ(event.len, 0);
        check_silent(loop); /* writable, but nothing is owed */
        peer_writes("still reading");
        check_received("still reading");
        send_until_later(loop, &sock);
        CHECK(drain_peer(peer) > 0);
        CHECK_EQ(next_event(loop).kind, WF_LOOP_SENT);
        close_pair();
    }
}

TEST(a_paused_sock_is_still_told_that_it_may_send) {
    open_pair(connect_tcp);
    wf_sock_pause(loop, &sock);
    peer_writes("unread");
    check_silent(loop);
    send_until_later(loop, &sock);
    check_silent(loop);
    CHECK(drain_peer(peer) > 0);
    CHECK_EQ(next_event(loop).kind, WF_LOOP_SENT);
    check_silent(loop);
    wf_sock_resume(loop, &sock);
    check_received("unread");
    close_pair();
}

TEST(a_resume_forgets_no_pending_send) {
    for (int silence = 0; silence < 2; silence++) {
        open_pair(connect_tcp);
        wf_sock_pause(loop, &sock);
        peer_writes("unread");
        send_until_later(loop, &sock);
        if (silence)
            check_silent(loop);
        wf_sock_resume(loop, &sock);
        check_received("unread");
        check_silent(loop);
        CHECK(drain_peer(peer) > 0);
        CHECK_EQ(next_event(loop).kind, WF_LOOP_SENT);
        close_pair();
    }
}

/* More than one call takes, short ones and long ones. */
TEST(many_ranges_leave_in_order) {
    enum { COUNT = 1500 };
    static struct iovec ranges[COUNT];
    static uint8_t bytes[COUNT * 4 + COUNT / 30 * 600], came[sizeof bytes];
    size_t cut = 0, total, got = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 11);
    for (int i = 0; i < COUNT; i++) {
        ranges[i] = (struct iovec) {bytes + cut, i % 30 == 0 ? 600 : (size_t)(1 + i % 4)};
        cut += ranges[i].iov_len;
    }
    total = cut;
    open_pair(connect_tcp);
    for (int at = 0; at < COUNT;) {
        int64_t taken = wf_sock_send(loop, &sock, ranges + at, COUNT - at);
        CHECK(taken > 0);
        for (; taken > 0 && (size_t)taken >= ranges[at].iov_len; at++)
            taken -= (int64_t)ranges[at].iov_len;
        if (taken > 0)
            ranges[at] = (struct iovec) {(uint8_t *)ranges[at].iov_base + taken, ranges[at].iov_len - (size_t)taken};
        for (ssize_t n; (n = recv(peer, came + got, sizeof came - got, MSG_DONTWAIT)) > 0;)
            got += (size_t)n;
    }
    for (ssize_t n; got < total && (n = recv(peer, came + got, sizeof came - got, 0)) > 0;)
        got += (size_t)n;
    CHECK_EQ(got, total);
    CHECK_EQ(memcmp(came, bytes, total), 0);
    close_pair();
}

TEST(a_pending_send_ends_when_the_peer_goes) {
    void (*kinds[])(int[2]) = {connect_tcp, connect_unix};
    for (int i = 0; i < 2; i++) {
        open_pair(kinds[i]);
        send_until_later(loop, &sock);
        close(peer); /* with unread bytes: a reset */
        peer = -1;
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_FAILED);
        CHECK_EQ(event.sys_errno, ECONNRESET);
        check_silent(loop);
        close_pair();
    }
}

TEST(a_pending_send_ends_when_the_peer_stops_reading) {
    open_pair(connect_unix);
    send_until_later(loop, &sock);
    CHECK_EQ(shutdown(peer, SHUT_RDWR), 0); /* what fills the socket stays there: it never gets writable */
    unsigned told = 0;
    for (int i = 0; i < 2; i++) {
        wf_loop_event event = next_event(loop);
        told |= 1U << event.kind;
        if (event.kind == WF_LOOP_SENT) {
            CHECK_EQ(send_text(loop, &sock, "x"), WF_ESYS);
            CHECK_EQ(errno, EPIPE);
        }
    }
    CHECK_EQ(told, 1U << WF_LOOP_SENT | 1U << WF_LOOP_EOF);
    check_silent(loop);
    close_pair();
}

TEST(what_is_no_socket_fails_and_is_not_sent_to) {
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    loop = wf_loop_new(0);
    CHECK_EQ(wf_sock_adopt(loop, &sock, fds[0]), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_FAILED);
    CHECK_EQ(event.sys_errno, ENOTSOCK);
    CHECK_EQ(send_text(loop, &sock, "x"), WF_ESYS);
    CHECK_EQ(errno, EPIPE);
    check_silent(loop);
    peer = fds[1];
    close_pair();
}

TEST(what_is_no_stream_is_refused_or_fails) {
    loop = wf_loop_new(0);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int listens = 0; listens < 2; listens++) {
        errno = 0;
        int status = listens ? wf_listen_adopt(loop, &sock, file) : wf_sock_adopt(loop, &sock, file);
        if (status == WF_ESYS) {
            CHECK_EQ(errno, EPERM);
            CHECK_EQ(sock.fd, -1);
            CHECK_EQ(loop->acceptor.count, 0);
            continue; /* still ours */
        }
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_FAILED);
        CHECK_EQ(event.sys_errno, ENOTSOCK);
        check_silent(loop);
        wf_sock_close(loop, &sock);
        wf_loop_flush(loop);
        file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    CHECK_EQ(close(file), 0);
    wf_loop_free(loop);
}

static int connecting(const wf_address *address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (const struct sockaddr *)&address->storage, address->len) < 0 && errno == EINPROGRESS);
    return fd;
}

TEST(a_sock_adopted_while_it_connects_sends_when_it_is_connected) {
    wf_address address;
    const char *why;
    CHECK_EQ(wf_address_parse("127.0.0.1:0", &address, &why), 0);
    int listener = wf_listen_open(&address, true, 0);
    loop = wf_loop_new(0);
    int before = connecting(&address); /* fills the queue: the next one is asked to wait */
    CHECK_EQ(wf_sock_adopt(loop, &sock, connecting(&address)), 0);
    CHECK_EQ(send_text(loop, &sock, "x"), WF_SEND_LATER);
    check_silent(loop);
    close(accept(listener, NULL, NULL));
    wf_loop_event event = next_event(loop); /* once the SYN is repeated, after a second */
    CHECK_EQ(event.kind, WF_LOOP_SENT);
    CHECK_EQ(send_text(loop, &sock, "x"), 1);
    close(before);
    close(listener);
    wf_sock_close(loop, &sock);
    wf_loop_free(loop);
}

TEST(a_sock_adopted_while_it_connects_fails_when_it_is_refused) {
    wf_address address;
    const char *why;
    CHECK_EQ(wf_address_parse("127.0.0.1:0", &address, &why), 0);
    close(wf_listen_open(&address, true, 0));
    loop = wf_loop_new(0);
    CHECK_EQ(wf_sock_adopt(loop, &sock, connecting(&address)), 0);
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_FAILED);
    CHECK_EQ(event.sys_errno, ECONNREFUSED);
    check_silent(loop);
    wf_sock_close(loop, &sock);
    wf_loop_free(loop);
}

/* ---- closing in a turn ---- */

TEST(a_closed_sock_gives_no_event_of_this_turn) {
    enum { SOCKS = 40 };
    wf_sock socks[SOCKS];
    int peers[SOCKS];
    loop = wf_loop_new(0);
    for (int i = 0; i < SOCKS; i++) {
        int fds[2];
        connect_unix(fds);
        peers[i] = fds[1];
        CHECK_EQ(wf_sock_adopt(loop, &socks[i], fds[0]), 0);
        CHECK_EQ(send(peers[i], "x", 1, 0), 1);
    }
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    wf_loop_event event;
    CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
    /* All but the first and the last; the memory of each becomes a fresh, silent connection at once. */
    ptrdiff_t first = event.sock - socks;
    for (int i = 0; i < SOCKS - 1; i++) {
        if (i == first)
            continue;
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
        int fds[2];
        connect_unix(fds);
        peers[i] = fds[1];
        CHECK_EQ(wf_sock_adopt(loop, &socks[i], fds[0]), 0);
    }
    CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
    CHECK(event.sock == &socks[first == SOCKS - 1 ? 0 : SOCKS - 1]);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    check_silent(loop);
    for (int i = 0; i < SOCKS; i++) {
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
    }
    wf_loop_free(loop);
}

TEST(a_sock_closed_at_one_event_gives_no_other_of_this_turn) {
    open_pair(connect_unix);
    send_until_later(loop, &sock);
    check_silent(loop);
    drain_peer(peer);
    peer_writes("x");
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    wf_loop_event event;
    CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
    CHECK(event.kind == WF_LOOP_SENT || event.kind == WF_LOOP_RECEIVED);
    wf_sock_close(loop, &sock);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    close_pair();
}

TEST(sent_and_received_are_both_told) {
    open_pair(connect_unix);
    send_until_later(loop, &sock);
    check_silent(loop);
    drain_peer(peer);
    peer_writes("x");
    unsigned told = 0;
    for (int i = 0; i < 2; i++) {
        wf_loop_event event = next_event(loop);
        told |= 1U << event.kind;
        if (event.kind == WF_LOOP_SENT)
            send_until_later(loop, &sock); /* owed anew, not to be told again while the peer does not read */
    }
    CHECK_EQ(told, 1U << WF_LOOP_SENT | 1U << WF_LOOP_RECEIVED);
    check_silent(loop);
    close_pair();
}

TEST(a_closed_sock_is_silent_although_a_copy_of_its_descriptor_lives) {
    open_pair(connect_unix);
    int copy = dup(sock.fd);
    wf_sock_close(loop, &sock);
    peer_writes("to nobody");
    check_silent(loop);
    close(copy);
    close_pair();
}

/* ---- waking ---- */

TEST(wakes_before_the_wait_are_one_event) {
    loop = wf_loop_new(0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            wf_loop_wake(loop);
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_WOKEN);
        CHECK(event.sock == NULL);
        check_silent(loop);
        uint64_t written;
        CHECK_EQ(read(loop->wake_fd, &written, sizeof written), sizeof written);
        CHECK_EQ(written, 1); /* one system call for all of them */
    }
    wf_loop_free(loop);
}

enum { WAKE_THREADS = 3, WAKES_EACH = 20000 };

static atomic_int work_given, wakes_done;

static void *wake_often(void *arg) {
    for (int i = 0; i < WAKES_EACH; i++) {
        atomic_fetch_add_explicit(&work_given, 1, memory_order_relaxed);
        wf_loop_wake(arg);
        atomic_fetch_add_explicit(&wakes_done, 1, memory_order_relaxed);
    }
    return NULL;
}

TEST(no_wake_from_another_thread_is_lost) {
    loop = wf_loop_new(0);
    work_given = wakes_done = 0;
    pthread_t threads[WAKE_THREADS];
    for (int i = 0; i < WAKE_THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, wake_often, loop), 0);
    int seen = 0, events = 0;
    while (seen < WAKE_THREADS * WAKES_EACH) {
        wf_loop_event event = next_event(loop);
        if (event.kind == (wf_loop_event_kind)NO_EVENT) { /* none is lost while the threads have not had their turn */
            CHECK(atomic_load_explicit(&wakes_done, memory_order_relaxed) <= seen);
            continue;
        }
        CHECK_EQ(event.kind, WF_LOOP_WOKEN);
        seen = atomic_load_explicit(&work_given, memory_order_relaxed);
        events++;
    }
    for (int i = 0; i < WAKE_THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(events <= WAKE_THREADS * WAKES_EACH);
    wf_loop_free(loop);
}

/* ---- ports ---- */

static bool port_closed;

static void close_test_port(wf_port *port, bool abort) {
    (void)port, (void)abort;
    port_closed = true;
}

/* A number that the kernel has given to somebody else meanwhile would be another peer's. */
TEST(a_sock_on_a_port_has_the_descriptor_of_the_one_below_while_that_is_open) {
    static const wf_port_calls calls = {.close = close_test_port};
    int pair[2];
    wf_sock below, above;
    wf_port port = {.calls = &calls, .below = &below};
    loop = wf_loop_new(0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    CHECK_EQ(wf_sock_adopt(loop, &below, pair[0]), 0);
    CHECK_EQ(wf_port_adopt(loop, &above, &port), WF_OK);
    CHECK(port.sock == &above && above.fd >= 0);
    CHECK_EQ(wf_sock_descriptor(loop, &below), pair[0]);
    CHECK_EQ(wf_sock_descriptor(loop, &above), pair[0]);
    wf_sock_close(loop, &below);
    CHECK_EQ(wf_sock_descriptor(loop, &above), -1);
    CHECK(above.fd >= 0 && !port_closed);
    wf_sock_close(loop, &above);
    CHECK(above.fd < 0 && port_closed);
    CHECK_EQ(wf_sock_descriptor(loop, &above), -1);
    close(pair[1]);
    wf_loop_free(loop);
}
