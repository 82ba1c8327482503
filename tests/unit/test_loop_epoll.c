/*
 * How the loop over epoll does it: what it asks of epoll and how often, in which order a turn's events come, and what
 * it makes of epoll's refusals. Calls of epoll_ctl are counted by standing in for it.
 */
#include "net/backend.h"
#include "net_help.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

static atomic_int epoll_ctl_calls;

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    epoll_ctl_calls++;
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

static wf_loop *loop;
static wf_sock sock;
static int peer;
static wf_address address;

static void open_pair(void (*connect_pair)(int fds[2])) {
    int fds[2];
    loop = wf_loop_new_on(WF_LOOP_EPOLL, 0);
    CHECK(loop != NULL);
    connect_pair(fds);
    peer = fds[1];
    CHECK_EQ(wf_sock_adopt(loop, &sock, fds[0]), 0);
}

static void open_listener(void) {
    const char *why;
    loop = wf_loop_new_on(WF_LOOP_EPOLL, 0);
    CHECK_EQ(wf_address_parse("127.0.0.1:0", &address, &why), 0);
    CHECK_EQ(wf_listen_adopt(loop, &sock, wf_listen_open(&address, true, 4)), 0);
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(peer, (struct sockaddr *)&address.storage, address.len), 0);
}

static void close_pair(void) {
    test_call_fail_at(NULL, 0, 0);
    wf_sock_close(loop, &sock);
    close(peer);
    wf_loop_free(loop);
}

static void peer_writes(const char *text) {
    CHECK_EQ(send(peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
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

/* ---- what epoll refuses ---- */

TEST(a_loop_without_epoll_is_not_made) {
    static const char *const calls[] = {"epoll_create1", "epoll_ctl"};
    int fd = dup(0);
    close(fd);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        test_context("%s", calls[i]);
        test_call_fail_at(calls[i], 1, EMFILE);
        CHECK(wf_loop_new_on(WF_LOOP_EPOLL, 0) == NULL);
        CHECK_EQ(errno, EMFILE);
        int after = dup(0);
        close(after);
        CHECK_EQ(after, fd);
        CHECK_EQ(test_mem_live(), 0);
    }
    test_call_fail_at(NULL, 0, 0);
}

TEST(a_wait_that_fails_says_so_unless_a_signal_ended_it) {
    loop = wf_loop_new_on(WF_LOOP_EPOLL, 0);
    test_call_fail_at("epoll_wait", 1, EINTR);
    CHECK_EQ(wf_loop_wait(loop, 0), 0);
    test_call_fail_at("epoll_wait", 1, EBADF);
    CHECK_EQ(wf_loop_wait(loop, 0), WF_ESYS);
    CHECK_EQ(errno, EBADF);
    test_call_fail_at(NULL, 0, 0);
    wf_loop_free(loop);
}

TEST(what_cannot_be_watched_is_not_adopted) {
    loop = wf_loop_new_on(WF_LOOP_EPOLL, 0);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(wf_sock_adopt(loop, &sock, file), WF_ESYS);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(sock.fd, -1);
    CHECK_EQ(wf_listen_adopt(loop, &sock, file), WF_ESYS);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(sock.fd, -1);
    CHECK_EQ(loop->acceptor.count, 0);
    CHECK_EQ(close(file), 0); /* still ours */
    wf_loop_free(loop);
}

TEST(an_end_while_paused_is_told_after_a_look_that_failed) {
    static const int errors[] = {EAGAIN, EINTR};
    for (size_t i = 0; i < 2; i++) {
        open_pair(connect_tcp);
        wf_sock_pause(loop, &sock);
        CHECK_EQ(shutdown(peer, SHUT_WR), 0);
        test_call_fail_at("recv", 1, errors[i]);
        check_turn_without_event(); /* as if bytes stood before it */
        wf_sock_resume(loop, &sock);
        CHECK_EQ(next_event(loop).kind, WF_LOOP_EOF);
        close_pair();
    }
}

TEST(a_listener_that_cannot_be_watched_again_is_tried_after_a_rest) {
    open_listener();
    test_call_fail_at("accept4", 0, EMFILE);
    check_turn_without_event();
    test_call_fail_at("epoll_ctl", 1, ENOMEM);
    CHECK_EQ(wf_loop_wait(loop, -1), 0); /* the rest ends it */
    CHECK_EQ(wf_loop_wait(loop, 0), 0);
    CHECK(loop->acceptor.rest_until_ms > 0); /* and begins anew */
    check_accepted();
    wf_sock_pause(loop, &sock);
    test_call_fail_at("epoll_ctl", 1, ENOMEM);
    wf_sock_resume(loop, &sock);
    CHECK(loop->acceptor.rest_until_ms > 0);
    int another = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(another, (struct sockaddr *)&address.storage, address.len), 0);
    check_accepted();
    close(another);
    close_pair();
}

/* ---- what it asks ---- */

TEST(messages_cost_no_epoll_ctl) {
    open_pair(connect_tcp);
    epoll_ctl_calls = 0;
    char answer[4];
    for (int i = 0; i < 1000; i++) {
        peer_writes("ping");
        CHECK_EQ(next_event(loop).kind, WF_LOOP_RECEIVED);
        CHECK_EQ(send_text(loop, &sock, "pong"), 4);
        CHECK_EQ(recv(peer, answer, 4, MSG_WAITALL), 4);
        wf_sock_pause(loop, &sock); /* lifted before anything arrives */
        CHECK_EQ(wf_loop_wait(loop, 0), 0);
        wf_sock_resume(loop, &sock);
    }
    CHECK_EQ(epoll_ctl_calls, 0);
    close_pair();
}

TEST(a_paused_sock_that_must_wait_to_send_costs_one_epoll_ctl) {
    open_pair(connect_tcp);
    wf_sock_pause(loop, &sock);
    peer_writes("unread");
    check_silent(loop);
    epoll_ctl_calls = 0;
    send_until_later(loop, &sock);
    check_silent(loop);
    CHECK_EQ(epoll_ctl_calls, 1); /* for the output alone: the input is not watched again */
    CHECK(drain_peer(peer) > 0);
    CHECK_EQ(next_event(loop).kind, WF_LOOP_SENT);
    close_pair();
}

/* ---- a turn ---- */

TEST(one_read_per_sock_and_turn) {
    open_pair(connect_tcp);
    wf_loop_free(loop);
    loop = wf_loop_new_on(WF_LOOP_EPOLL, 2);
    CHECK_EQ(wf_sock_adopt(loop, &sock, sock.fd), 0);
    peer_writes("abcd");
    wf_loop_event event;
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    close_pair();
}

TEST(a_sock_closed_at_its_sent_gives_no_received) {
    open_pair(connect_unix);
    send_until_later(loop, &sock);
    drain_peer(peer);
    peer_writes("x");
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    wf_loop_event event;
    CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
    CHECK_EQ(event.kind, WF_LOOP_SENT);
    wf_sock_close(loop, &sock);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    close_pair();
}

TEST(sent_and_received_come_in_one_turn) {
    open_pair(connect_unix);
    send_until_later(loop, &sock);
    drain_peer(peer);
    peer_writes("x");
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    wf_loop_event event;
    CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
    CHECK_EQ(event.kind, WF_LOOP_SENT);
    send_until_later(loop, &sock); /* owed anew, not to be told in this turn */
    CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
    CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    close_pair();
}
