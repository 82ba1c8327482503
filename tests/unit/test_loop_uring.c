/*
 * What the loop over io_uring is when there is none, and how it sends: what the kernel takes in part is kept, and
 * queues run over. What every backend promises is in test_loop.c; receiving and closing in test_loop_uring_recv.c.
 */
#include "uring_help.h"

#include <stdlib.h>

/* ---- no io_uring, or not enough of it ---- */

TEST(without_io_uring_auto_is_epoll_and_io_uring_is_nothing) {
    static const struct {
        const char *call;
        int error;
    } rows[] = {{"io_uring_queue_init_params", ENOSYS},
                {"io_uring_queue_init_params", EPERM},
                {"io_uring_queue_init_params", EINVAL},
                {"io_uring_register_buf_ring", EINVAL}};
    unsetenv("WEFT_BACKEND");
    int before = descriptors();
    size_t live = test_mem_live();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_context("%s, errno %d", rows[i].call, rows[i].error);
        test_call_fail_at(rows[i].call, 0, -rows[i].error);
        errno = 0;
        CHECK(wf_loop_new_on(WF_LOOP_URING, 0) == NULL);
        CHECK_EQ(errno, rows[i].error);
        setenv("WEFT_BACKEND", "io_uring", 1);
        CHECK(wf_loop_new(0) == NULL); /* who names it wants it */
        CHECK_EQ(errno, rows[i].error);
        unsetenv("WEFT_BACKEND");
        CHECK_EQ(descriptors(), before);
        CHECK_EQ(test_mem_live(), live);
        wf_loop *made = wf_loop_new(0);
        CHECK_STR(made ? wf_loop_backend_name(made) : NULL, "epoll");
        wf_loop_free(made);
        test_call_fail_at(NULL, 0, 0);
    }
    wf_loop *made = wf_loop_new(0);
    CHECK_STR(made ? wf_loop_backend_name(made) : NULL, "io_uring");
    wf_loop_free(made);
    CHECK_EQ(descriptors(), before);
}

TEST(a_ring_that_cannot_be_enabled_is_told_by_the_wait) {
    open_pair(connect_unix);
    test_call_fail_at("io_uring_register", 1, -EBADFD);
    CHECK_EQ(wf_loop_wait(loop, 0), WF_ESYS);
    CHECK_EQ(errno, EBADFD);
    test_call_fail_at(NULL, 0, 0);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(next_event(loop).kind, WF_LOOP_RECEIVED);
    close_pair();
}

TEST(a_wait_that_fails_says_so_unless_it_may_be_repeated) {
    static const int harmless[] = {EINTR, EAGAIN, EBUSY, ETIME};
    open_pair(connect_unix);
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        test_call_fail_at("io_uring_submit_and_wait_timeout", 1, -harmless[i]);
        CHECK_EQ(wf_loop_wait(loop, 10), 0);
        test_call_fail_at("io_uring_submit_and_get_events", 1, -harmless[i]);
        CHECK_EQ(wf_loop_wait(loop, 0), 0);
    }
    test_call_fail_at("io_uring_submit_and_wait_timeout", 1, -EBADR);
    CHECK_EQ(wf_loop_wait(loop, 10), WF_ESYS);
    CHECK_EQ(errno, EBADR);
    test_call_fail_at(NULL, 0, 0);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(next_event(loop).kind, WF_LOOP_RECEIVED);
    close_pair();
}

TEST(a_listener_that_cannot_be_watched_stays_its_owners) {
    static const char *const calls[] = {"epoll_create1", "epoll_ctl"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        wf_address address;
        const char *why;
        test_context("%s", calls[i]);
        open_loop(0);
        CHECK_EQ(wf_address_parse("127.0.0.1:0", &address, &why), 0);
        int fd = wf_listen_open(&address, true, 4);
        test_call_fail_at(calls[i], 1, ENOMEM);
        CHECK_EQ(wf_listen_adopt(loop, &sock, fd), WF_ESYS);
        CHECK_EQ(errno, ENOMEM);
        CHECK_EQ(sock.fd, -1);
        test_call_fail_at(NULL, 0, 0);
        CHECK_EQ(wf_listen_adopt(loop, &sock, fd), 0);
        peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_EQ(connect(peer, (struct sockaddr *)&address.storage, address.len), 0);
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
        close(event.fd);
        close_pair();
    }
}

/* ---- sending soon ---- */

static void make_small(void) {
    int small = 1; /* the least there is */
    setsockopt(sock.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

/* Sends until it has to wait; something may be kept then. How far the stream has come. */
static size_t fill_soon(size_t taken, size_t each) {
    for (int i = 0; i < 100000; i++) {
        int64_t sent = send_soon(&sock, taken, each);
        CHECK(sent >= 0);
        taken += (size_t)sent;
        if (sent == WF_SEND_LATER || turn_waits())
            return taken;
    }
    test_fail(__FILE__, __LINE__, "the socket never filled");
}

TEST(what_the_kernel_takes_in_part_is_kept_and_goes_in_order) {
    static const size_t each[] = {1, 700, 3000, 8192};
    for (int tcp = 0; tcp < 2; tcp++) {
        for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
            test_context("%s, %zu bytes each", tcp ? "tcp" : "unix", each[i]);
            open_pair(tcp ? connect_tcp : connect_unix);
            make_small();
            size_t taken = fill_soon(0, each[i]), got = 0;
            for (int rounds = 0; rounds < 4; rounds++) {
                wf_loop_event event = {.kind = (wf_loop_event_kind)NO_EVENT};
                for (int tries = 0; event.kind != WF_LOOP_SENT && tries < 1000; tries++) {
                    peer_reads(peer, &got);
                    event = event_within(loop, 5);
                }
                CHECK_EQ(event.kind, WF_LOOP_SENT);
                CHECK_EQ(wf_loop_memory(loop), 0);
                taken = fill_soon(taken, each[i]);
            }
            wf_sock_shutdown(loop, &sock);
            bool fin = false;
            for (int tries = 0; !fin && tries < 2000; tries++) {
                fin = peer_reads(peer, &got);
                event_within(loop, 2);
            }
            CHECK(fin); /* behind all of it */
            CHECK_EQ(got, taken);
            close_pair();
        }
    }
}

/* Who waits for the kernel knows it, and when it goes on; and what was told has an end. */
TEST(what_is_kept_is_told_and_that_it_goes_on) {
    size_t goes_on = 0;
    for (int tcp = 0; tcp < 2; tcp++) {
        open_pair(tcp ? connect_tcp : connect_unix);
        make_small();
        size_t taken = 0, got = 0;
        while (wf_loop_memory(loop) == 0) {
            size_t len = taken ? 8000 : 2000; /* then more is kept than the kernel takes at once later */
            CHECK_EQ(send_soon(&sock, taken, len), len);
            taken += len;
            CHECK_EQ(turn_waits(), wf_loop_memory(loop) > 0);
        }
        check_silent(loop);
        wf_loop_event event;
        do {
            uint8_t block[1000];
            ssize_t some = recv(peer, block, sizeof block, MSG_DONTWAIT);
            if (some > 0) {
                check_pattern(block, (size_t)some, got);
                got += (size_t)some;
            }
            event = event_within(loop, 2);
            goes_on += event.kind == WF_LOOP_WAITS;
        } while (event.kind == WF_LOOP_WAITS || (int)event.kind == NO_EVENT);
        CHECK_EQ(event.kind, WF_LOOP_SENT);
        CHECK_EQ(wf_loop_memory(loop), 0);
        CHECK_EQ(send_soon(&sock, taken, 1), 1);
        close_pair();
    }
    CHECK(goes_on > 0);
}

TEST(a_fin_goes_behind_what_is_queued_and_what_is_kept) {
    for (int kept = 0; kept < 2; kept++) {
        open_pair(connect_unix);
        size_t taken = 0, got = 0;
        if (kept) {
            while (wf_loop_memory(loop) == 0) {
                int64_t sent = send_soon(&sock, taken, 8000);
                CHECK(sent > 0);
                taken += (size_t)sent;
                turn_waits();
            }
        } else {
            taken = (size_t)send_soon(&sock, 0, 5000);
        }
        wf_sock_shutdown(loop, &sock);
        bool fin = false;
        for (int tries = 0; !fin && tries < 1000; tries++) {
            fin = peer_reads(peer, &got);
            event_within(loop, 2);
        }
        CHECK(fin);
        CHECK_EQ(got, taken);
        close_pair();
    }
}

TEST(soon_and_now_keep_their_order) {
    open_pair(connect_unix);
    size_t taken = 0, got = 0;
    for (int i = 0; i < 500; i++) {
        for (int j = 0; j < 1 + i % 4; j++) {
            uint8_t byte = pattern(taken);
            struct iovec range = {&byte, 1};
            CHECK_EQ((i + j) % 3 ? wf_sock_send_soon(loop, &sock, &range, 1) : wf_sock_send(loop, &sock, &range, 1), 1);
            taken++;
        }
        CHECK(send_soon(&sock, taken, 50) == 50);
        taken += 50;
        if (i % 2)
            turn_without_event();
        peer_reads(peer, &got);
    }
    turn_without_event();
    peer_reads(peer, &got);
    CHECK_EQ(got, taken);
    close_pair();
}

TEST(what_was_sent_soon_arrives_although_the_sock_is_closed) {
    for (int waited = 0; waited < 2; waited++) {
        open_pair(connect_tcp);
        if (waited)
            turn_without_event();
        CHECK_EQ(send_soon(&sock, 0, 3000), 3000);
        wf_sock_close(loop, &sock);
        wf_loop_flush(loop);
        size_t got = 0;
        for (int tries = 0; !peer_reads(peer, &got) && tries < 1000; tries++)
            usleep(1000);
        CHECK_EQ(got, 3000);
        close_pair();
    }
}

TEST(a_send_soon_to_a_peer_that_is_gone_fails_it) {
    open_pair(connect_tcp);
    turn_without_event();
    reset_on_close(peer);
    close(peer);
    peer = -1;
    CHECK(send_soon(&sock, 0, 10) == 10 || errno == EPIPE || errno == ECONNRESET);
    wf_loop_event event = next_event(loop);
    if (event.kind == WF_LOOP_EOF) /* the send took the error: for the receive it is an end */
        event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_FAILED);
    CHECK(event.sys_errno == EPIPE || event.sys_errno == ECONNRESET);
    check_silent(loop);
    CHECK_EQ(send_soon(&sock, 0, 10), WF_ESYS);
    CHECK_EQ(errno, EPIPE);
    close_pair();
}

TEST(without_memory_for_what_was_not_taken_the_sock_fails) {
    for (size_t nth = 1; nth <= 2; nth++) {
        open_pair(connect_unix);
        size_t taken = 0;
        bool failed = false;
        for (int i = 0; !failed && i < 1000; i++) {
            CHECK_EQ(send_soon(&sock, taken, 8000), 8000);
            taken += 8000;
            test_mem_fail_at(nth);
            CHECK_EQ(wf_loop_wait(loop, 0), 0);
            test_mem_fail_at(0);
            wf_loop_event event;
            if (wf_loop_next(loop, &event) == WF_OK) {
                CHECK_EQ(event.kind, WF_LOOP_FAILED);
                CHECK_EQ(event.sys_errno, ENOMEM);
                failed = true;
            }
        }
        CHECK(failed);
        check_silent(loop);
        close_pair();
    }
}

/* Else each of their sends would be a system call, from some time on for ever. */
TEST(readers_that_are_slow_do_not_fill_the_arena) {
    open_pair(connect_unix);
    turn_without_event();
    size_t taken = 0, got = 0;
    for (int i = 0; i < 200; i++) {
        wf_sock slow;
        int slow_peer, small = 1;
        adopt_pair(connect_unix, &slow, &slow_peer);
        setsockopt(slow.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        for (size_t sent = 0; wf_loop_memory(loop) == 0; sent += 8000) {
            CHECK_EQ(send_soon(&slow, sent, 8000), 8000);
            CHECK_EQ(send_soon(&sock, taken, 100), 100); /* behind it, and taken whole */
            taken += 100;
            char byte;
            peer_reads(peer, &got);
            CHECK(recv(peer, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN); /* goes with the turn */
            turn_waits();
        }
        wf_sock_close(loop, &slow);
        close(slow_peer);
    }
    peer_reads(peer, &got);
    CHECK_EQ(got, taken);
    close_pair();
}

/* A thousand requests are laid down, and the sends among them must not make the next wait deaf. */
TEST(more_requests_in_a_turn_than_the_queue_holds) {
    enum { SOCKS = 100 };
    static wf_sock socks[SOCKS];
    int peers[SOCKS];
    test_uring_entries(16, 512);
    open_loop(0);
    for (int i = 0; i < SOCKS; i++)
        adopt_pair(connect_unix, &socks[i], &peers[i]);
    turn_without_event();
    size_t got[SOCKS] = {0}, taken = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < SOCKS; i++)
            CHECK_EQ(send_soon(&socks[i], taken, 100), 100);
        taken += 100;
        turn_without_event();
        for (int i = 0; i < SOCKS; i++)
            peer_reads(peers[i], &got[i]);
        for (int i = 0; i < SOCKS; i++)
            CHECK_EQ(got[i], taken);
        CHECK_EQ(send(peers[round], "x", 1, 0), 1);
        uint64_t begin_ms = wf_clock_ms();
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        CHECK(event.sock == &socks[round]);
        CHECK(wf_clock_ms() - begin_ms < PATIENCE_MS / 2);
    }
    for (int i = 0; i < SOCKS; i++) {
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
    }
    wf_loop_flush(loop);
    close_loop();
}

/* The same with a wait that has nothing to look at but sends. */
TEST(sends_that_were_submitted_early_do_not_hide_what_comes_next) {
    enum { SOCKS = 40 };
    static wf_sock socks[SOCKS];
    int peers[SOCKS];
    test_uring_entries(8, 512);
    open_loop(0);
    for (int i = 0; i < SOCKS; i++)
        adopt_pair(connect_unix, &socks[i], &peers[i]);
    turn_without_event();
    for (int i = 0; i < SOCKS; i++)
        CHECK_EQ(send_soon(&socks[i], 0, 10), 10);
    CHECK_EQ(wf_loop_wait(loop, 20), 0);
    for (int i = 0; i < SOCKS; i++)
        CHECK_EQ(send_soon(&socks[i], 10, 10), 10);
    wf_loop_event event;
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    CHECK_EQ(send(peers[3], "x", 1, 0), 1);
    uint64_t begin_ms = wf_clock_ms();
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    CHECK(wf_clock_ms() - begin_ms < PATIENCE_MS / 2);
    CHECK_EQ(next_event(loop).kind, WF_LOOP_RECEIVED);
    for (int i = 0; i < SOCKS; i++) {
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
    }
    wf_loop_flush(loop);
    close_loop();
}
