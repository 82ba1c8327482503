/*
 * net_help.h - what the tests of the net room share: connected pairs, the next event, and a measure of
 * idleness.
 */
#ifndef WF_TESTS_NET_HELP_H
#define WF_TESTS_NET_HELP_H

#include "base/clock.h"
#include "net/listen.h"
#include "net/loop.h"
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NO_EVENT = -1, PATIENCE_MS = 3000, SILENCE_MS = 60 };

static inline uint64_t cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* The next event within `ms`, of this turn or a later one; its kind is NO_EVENT when none came. */
static inline wf_loop_event event_within(wf_loop *loop, int64_t ms) {
    wf_loop_event event;
    uint64_t until_ms = wf_clock_ms() + (uint64_t)ms;
    for (;;) {
        if (wf_loop_next(loop, &event) == WF_OK)
            return event;
        uint64_t now_ms = wf_clock_ms();
        if (now_ms > until_ms)
            return (wf_loop_event) {.kind = (wf_loop_event_kind)NO_EVENT};
        CHECK_EQ(wf_loop_wait(loop, (int64_t)(until_ms - now_ms) + 1), 0);
    }
}

static inline wf_loop_event next_event(wf_loop *loop) {
    return event_within(loop, PATIENCE_MS);
}

/* Waits a while in which no event may come, and which may cost next to nothing. */
static inline void check_silent(wf_loop *loop) {
    uint64_t cpu_before_us = cpu_us(), until_ms = wf_clock_ms() + SILENCE_MS, now_ms;
    int turns = 0;
    wf_loop_event event;
    while ((now_ms = wf_clock_ms()) < until_ms && turns < 1000) {
        CHECK_EQ(wf_loop_wait(loop, (int64_t)(until_ms - now_ms)), 0);
        turns++;
        if (wf_loop_next(loop, &event) == WF_OK)
            test_fail(__FILE__, __LINE__, "an event of kind %d, len %zu, errno %d", (int)event.kind, event.len,
                      event.sys_errno);
    }
    CHECK(turns < 20);
    CHECK(cpu_us() - cpu_before_us < 30000);
}

/* fds[0] is ours, non-blocking; fds[1] is the peer's, blocking. */
static inline void connect_tcp(int fds[2]) {
    wf_address address;
    const char *why;
    CHECK_EQ(wf_address_parse("127.0.0.1:0", &address, &why), 0);
    int listener = wf_listen_open(&address, true, 4);
    CHECK(listener >= 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fds[1], (struct sockaddr *)&address.storage, address.len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(fds[0] >= 0);
    close(listener);
}

static inline void connect_unix(int fds[2]) {
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* The next close sends RST instead of FIN (TCP). */
static inline void reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
}

static inline int64_t send_text(wf_loop *loop, wf_sock *sock, const char *text) {
    struct iovec range = {.iov_base = (void *)text, .iov_len = strlen(text)};
    return wf_sock_send(loop, sock, &range, 1);
}

/* Sends until the socket takes no more. */
static inline void send_until_later(wf_loop *loop, wf_sock *sock) {
    static char block[65536];
    struct iovec range = {.iov_base = block, .iov_len = sizeof block};
    for (int i = 0; i < 10000; i++) {
        int64_t sent = wf_sock_send(loop, sock, &range, 1);
        CHECK(sent >= 0);
        if (sent == WF_SEND_LATER)
            return;
    }
    test_fail(__FILE__, __LINE__, "the socket never filled");
}

/* Reads away what the peer holds, until nothing came for 20 ms. */
static inline size_t drain_peer(int fd) {
    static char block[65536];
    struct timeval patience = {.tv_usec = 20000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    size_t total = 0;
    ssize_t got;
    while ((got = recv(fd, block, sizeof block, 0)) > 0)
        total += (size_t)got;
    return total;
}

#endif
