/*
 * What the kernel refuses: nothing is left open, errno says why, and what can be tried again is.
 */
#include "net/backend.h"
#include "net_help.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static wf_loop *loop;
static wf_sock sock;
static int peer;
static wf_address address;

static int lowest_free(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

static wf_address address_of(const char *text) {
    wf_address parsed;
    const char *why;
    CHECK_EQ(wf_address_parse(text, &parsed, &why), 0);
    return parsed;
}

static void open_pair(void) {
    int fds[2];
    loop = wf_loop_new(0);
    connect_tcp(fds);
    peer = fds[1];
    CHECK_EQ(wf_sock_adopt(loop, &sock, fds[0]), 0);
}

static void open_listener(void) {
    loop = wf_loop_new(0);
    address = address_of("127.0.0.1:0");
    CHECK_EQ(wf_listen_adopt(loop, &sock, wf_listen_open(&address, true, 4)), 0);
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void connect_peer(void) {
    CHECK_EQ(connect(peer, (struct sockaddr *)&address.storage, address.len), 0);
}

static void close_all(void) {
    test_call_fail_at(NULL, 0, 0);
    wf_sock_close(loop, &sock);
    close(peer);
    wf_loop_free(loop);
}

/* The kernel has something to tell, and it comes to nothing. */
static void check_turn_without_event(void) {
    wf_loop_event event;
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
}

static void check_accepted(void) {
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
    close(event.fd);
}

/* ---- the loop ---- */

static void on_alarm(int number) {
    (void)number;
    wf_loop_wake(loop);
}

TEST(a_loop_that_gets_no_descriptor_is_not_made) {
    static const char *const calls[] = {"eventfd", "open"};
    int fd = lowest_free();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        test_context("%s", calls[i]);
        test_call_fail_at(calls[i], 1, EMFILE);
        CHECK(wf_loop_new(0) == NULL);
        CHECK_EQ(errno, EMFILE);
        CHECK_EQ(lowest_free(), fd);
        CHECK_EQ(test_mem_live(), 0);
    }
    test_call_fail_at(NULL, 0, 0);
    CHECK(wf_loop_new(SIZE_MAX) == NULL);
    CHECK_EQ(errno, EINVAL);
}

TEST(the_longest_waits_wait_and_end_with_a_wake) {
    static const int64_t for_ever[] = {-1, INT64_MAX, (int64_t)INT_MAX + 1};
    loop = wf_loop_new(0);
    for (size_t i = 0; i < 3; i++) {
        test_context("%lld ms", (long long)for_ever[i]);
        wf_loop_wake(loop);
        CHECK_EQ(wf_loop_wait(loop, for_ever[i]), 0);
        CHECK_EQ(next_event(loop).kind, WF_LOOP_WOKEN);
        struct itimerval timer = {.it_value.tv_usec = 30000};
        struct sigaction action = {.sa_handler = on_alarm}, before;
        sigaction(SIGALRM, &action, &before);
        setitimer(ITIMER_REAL, &timer, NULL);
        uint64_t begin_ms = wf_clock_ms();
        CHECK_EQ(wf_loop_wait(loop, for_ever[i]), 0);
        CHECK_EQ(next_event(loop).kind, WF_LOOP_WOKEN);
        CHECK(wf_clock_ms() - begin_ms >= 25);
        sigaction(SIGALRM, &before, NULL);
    }
    wf_loop_free(loop);
}

TEST(a_closed_sock_may_be_paused_resumed_and_shut_down) {
    open_pair();
    wf_sock_close(loop, &sock);
    wf_sock_pause(loop, &sock);
    wf_sock_resume(loop, &sock);
    wf_sock_shutdown(loop, &sock);
    CHECK_EQ(sock.fd, -1);
    close_all();
}

TEST(what_is_no_descriptor_is_not_adopted) {
    loop = wf_loop_new(0);
    CHECK_EQ(wf_listen_adopt(loop, &sock, -1), WF_ESYS);
    CHECK_EQ(errno, EBADF);
    CHECK_EQ(loop->acceptor.count, 0);
    CHECK_EQ(wf_sock_adopt(loop, &sock, -1), WF_ESYS);
    CHECK_EQ(errno, EBADF);
    wf_loop_free(loop);
}

/* ---- streams ---- */

TEST(a_read_that_brings_nothing_is_tried_again) {
    static const int errors[] = {EAGAIN, EINTR};
    for (size_t i = 0; i < 2; i++) {
        open_pair();
        CHECK_EQ(send(peer, "hello", 5, 0), 5);
        test_call_fail_at("recv", 1, errors[i]);
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        CHECK_BYTES(event.data, event.len, "hello", 5);
        close_all();
    }
}

TEST(a_reset_is_told_although_the_read_brings_nothing) {
    open_pair();
    reset_on_close(peer);
    close(peer);
    test_call_fail_at("recv", 1, EAGAIN);
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_FAILED);
    CHECK_EQ(event.sys_errno, ECONNRESET);
    peer = -1;
    close_all();
}

/* The error of a paused sock is asked for; when there is no answer, a look at the next byte tells. */
TEST(a_reset_while_paused_is_told_although_its_error_is_not) {
    open_pair();
    wf_sock_pause(loop, &sock);
    reset_on_close(peer);
    close(peer);
    test_call_fail_at("getsockopt", 1, ENOBUFS);
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_FAILED);
    CHECK_EQ(event.sys_errno, ECONNRESET);
    peer = -1;
    close_all();
}

TEST(a_send_goes_on_after_a_signal) {
    open_pair();
    test_call_fail_at("send", 1, EINTR);
    CHECK_EQ(send_text(loop, &sock, "hello"), 5);
    test_call_fail_at("send", 1, ENOBUFS);
    CHECK_EQ(send_text(loop, &sock, "hello"), WF_ESYS);
    CHECK_EQ(errno, ENOBUFS);
    close_all();
}

/* ---- accepting ---- */

TEST(an_accept_that_lacks_something_rests) {
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        test_context("errno %d", errors[i]);
        char byte;
        open_listener();
        connect_peer();
        test_call_fail_at("accept4", 1, errors[i]);
        check_turn_without_event();
        CHECK(loop->acceptor.rest_until_ms > 0);
        CHECK_EQ(recv(peer, &byte, 1, 0), 0); /* turned away by the spare descriptor */
        close_all();
    }
}

TEST(an_accept_that_even_the_spare_does_not_help_rests) {
    open_listener();
    connect_peer();
    test_call_fail_at("accept4", 0, EMFILE);
    check_turn_without_event();
    CHECK(loop->acceptor.rest_until_ms > 0);
    CHECK(loop->acceptor.spare_fd >= 0);
    test_call_fail_at(NULL, 0, 0);
    check_accepted();
    close_all();
}

TEST(an_accept_on_what_does_not_listen_fails) {
    static const int errors[] = {EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        open_listener();
        connect_peer();
        test_call_fail_at("accept4", 1, errors[i]);
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_FAILED);
        CHECK_EQ(event.sys_errno, errors[i]);
        close_all();
    }
}

TEST(a_connection_that_died_while_it_waited_is_passed_over) {
    static const int errors[] = {ECONNABORTED, EINTR, EPROTO, EPERM};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        open_listener();
        connect_peer();
        test_call_fail_at("accept4", 1, errors[i]);
        CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
        wf_loop_event event;
        CHECK_EQ(wf_loop_next(loop, &event), WF_OK); /* in the same turn */
        CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
        close(event.fd);
        close_all();
    }
}

TEST(many_that_died_cost_one_turn_no_more_than_64_tries) {
    open_listener();
    connect_peer();
    test_call_fail_at("accept4", 0, ECONNABORTED);
    check_turn_without_event();
    CHECK_EQ(loop->acceptor.rest_until_ms, 0);
    test_call_fail_at(NULL, 0, 0);
    check_accepted();
    close_all();
}

/* ---- listening ---- */

TEST(a_tcp_address_that_is_refused_leaves_nothing_open) {
    static const struct {
        const char *address, *call;
        size_t nth;
    } rows[] = {
        {"127.0.0.1:0", "socket", 1},      {"127.0.0.1:0", "setsockopt", 1}, {"127.0.0.1:0", "setsockopt", 2},
        {"127.0.0.1:0", "setsockopt", 3},  {"127.0.0.1:0", "bind", 1},       {"127.0.0.1:0", "listen", 1},
        {"127.0.0.1:0", "getsockname", 1}, {"[::]:0", "setsockopt", 3},      {"[::]:0", "setsockopt", 4},
    };
    int fd = lowest_free();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_context("%s, %s %zu", rows[i].address, rows[i].call, rows[i].nth);
        wf_address where = address_of(rows[i].address);
        test_call_fail_at(rows[i].call, rows[i].nth, ENOBUFS);
        CHECK_EQ(wf_listen_open(&where, true, 4), -1);
        CHECK_EQ(errno, ENOBUFS);
        test_call_fail_at(NULL, 0, 0);
        CHECK_EQ(lowest_free(), fd);
    }
    wf_address chosen = address_of("127.0.0.1:0");
    close(wf_listen_open(&chosen, true, 4));
    for (size_t nth = 1; nth <= 2; nth++) { /* a port that is named is tried first by a socket that is thrown away */
        test_call_fail_at("socket", nth, EMFILE);
        CHECK_EQ(wf_listen_open(&chosen, true, 4), -1);
        CHECK_EQ(errno, EMFILE);
        CHECK_EQ(lowest_free(), fd);
    }
}

/* The second bind of a stale path is the one that counts. */
TEST(a_unix_path_that_is_refused_leaves_nothing_open) {
    static const struct {
        const char *call;
        size_t nth;
        int error, told;
    } rows[] = {
        {"socket", 1, EMFILE, EMFILE},          {"socket", 2, EMFILE, EMFILE},  {"bind", 1, EACCES, EACCES},
        {"bind", 2, EADDRINUSE, EADDRINUSE},    {"connect", 1, EACCES, EACCES}, {"connect", 1, EAGAIN, EADDRINUSE},
        {"connect", 1, EPROTOTYPE, EADDRINUSE}, {"unlink", 1, EACCES, EACCES},  {"unlink", 1, ENOENT, EADDRINUSE},
        {"listen", 1, ENOBUFS, ENOBUFS},
    };
    char dir[] = "/tmp/weft-faults-XXXXXX", text[64];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(text, sizeof text, "unix:%s/s", dir);
    wf_address where = address_of(text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_context("%s %zu, errno %d", rows[i].call, rows[i].nth, rows[i].error);
        int stale = wf_listen_open(&where, true, 4);
        CHECK(stale >= 0);
        close(stale);
        int fd = lowest_free();
        test_call_fail_at(rows[i].call, rows[i].nth, rows[i].error);
        CHECK_EQ(wf_listen_open(&where, true, 4), -1);
        CHECK_EQ(errno, rows[i].told);
        test_call_fail_at(NULL, 0, 0);
        CHECK_EQ(lowest_free(), fd);
    }
    CHECK_EQ(unlink(text + strlen("unix:")), 0);
    test_call_fail_at("bind", 1, EADDRINUSE); /* a path that is gone when it is looked at is free */
    int fd = wf_listen_open(&where, true, 4);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(unlink(text + strlen("unix:")), 0);
    CHECK_EQ(rmdir(dir), 0);
}

TEST(without_ipv6_a_port_alone_means_all_of_ipv4) {
    static const struct {
        int error;
        const char *text;
    } rows[] = {{EAFNOSUPPORT, "0.0.0.0:80"}, {EMFILE, "[::]:80"}};
    for (size_t i = 0; i < 2; i++) {
        char text[WF_ADDRESS_TEXT_BYTES];
        test_call_fail_at("socket", 1, rows[i].error);
        address = address_of(":80");
        wf_address_format(&address, text, sizeof text);
        CHECK_STR(text, rows[i].text);
    }
}
