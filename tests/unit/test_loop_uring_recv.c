/*
 * How the loop over io_uring receives: into buffers that wrap and run out, and what comes while a sock is paused; and
 * how it closes: by request, while others are under way.
 */
#include "uring_help.h"

#include <fcntl.h>

/* ---- buffers ---- */

/* Every cut of a message at the end of a buffer, of every place in it. */
TEST(messages_cross_the_ends_of_buffers) {
    for (size_t bytes = 1; bytes <= 96; bytes += bytes < 16 ? 1 : 13) {
        for (size_t len = 1; len <= 40; len += 3) {
            test_context("%zu bytes of buffers, %zu each", bytes, len);
            open_loop(bytes);
            adopt_pair(connect_unix, &sock, &peer);
            size_t wrote = 0, got = 0;
            for (int i = 0; i < 20; i++) {
                wrote += peer_writes(peer, wrote, len);
                while (got < wrote) {
                    wf_loop_event event = next_event(loop);
                    CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
                    check_pattern(event.data, event.len, got);
                    unsigned sum = 0;
                    for (size_t k = 0; k < WF_RECV_SLACK; k++)
                        sum += event.data[event.len + k];
                    memset(event.data, (int)sum, event.len); /* ours to change */
                    got += event.len;
                }
            }
            close_pair();
        }
    }
}

TEST(more_arrives_in_a_turn_than_all_buffers_hold) {
    enum { SOCKS = 40, EACH = 1000 };
    static wf_sock socks[SOCKS];
    int peers[SOCKS];
    size_t got[SOCKS] = {0};
    open_loop(256);
    for (int i = 0; i < SOCKS; i++) {
        adopt_pair(connect_unix, &socks[i], &peers[i]);
        CHECK_EQ(peer_writes(peers[i], 0, EACH), EACH);
    }
    for (size_t total = 0; total < SOCKS * EACH;) {
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        ptrdiff_t i = event.sock - socks;
        check_pattern(event.data, event.len, got[i]);
        got[i] += event.len;
        total += event.len;
    }
    check_silent(loop);
    for (int i = 0; i < SOCKS; i++) {
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
    }
    wf_loop_flush(loop);
    close_loop();
}

/* Each of these has more than all buffers hold, all the time. */
TEST(who_fills_the_buffers_does_not_starve_the_others) {
    enum { SOCKS = 5, TURNS = 200 };
    static wf_sock socks[SOCKS];
    int peers[SOCKS];
    size_t wrote[SOCKS] = {0}, got[SOCKS] = {0};
    open_loop(1024);
    for (int i = 0; i < SOCKS; i++)
        adopt_pair(connect_unix, &socks[i], &peers[i]);
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < SOCKS; i++)
            wrote[i] += peer_writes(peers[i], wrote[i], 5000);
        CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
        wf_loop_event event;
        while (wf_loop_next(loop, &event) == WF_OK) {
            CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
            check_pattern(event.data, event.len, got[event.sock - socks]);
            got[event.sock - socks] += event.len;
        }
    }
    for (int i = 0; i < SOCKS; i++) {
        CHECK(got[i] > TURNS * 1024 / SOCKS / 2);
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
    }
    wf_loop_flush(loop);
    close_loop();
}

TEST(a_sock_that_is_paused_when_the_buffers_ran_out_hears_of_its_peers_end) {
    for (int reset = 0; reset < 2; reset++) {
        enum { SOCKS = 8 };
        static wf_sock socks[SOCKS];
        int peers[SOCKS];
        open_loop(64);
        for (int i = 0; i < SOCKS; i++)
            adopt_pair(connect_tcp, &socks[i], &peers[i]);
        turn_without_event();
        for (int i = 0; i < SOCKS; i++)
            CHECK_EQ(peer_writes(peers[i], 0, 100), 100);
        CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
        for (int i = 0; i < SOCKS; i++)
            wf_sock_pause(loop, &socks[i]);
        check_silent(loop);
        for (int i = 0; i < SOCKS; i++) {
            if (reset)
                reset_on_close(peers[i]);
            close(peers[i]);
        }
        for (int i = 0; reset && i < SOCKS; i++)
            CHECK_EQ(next_event(loop).kind, WF_LOOP_FAILED);
        check_silent(loop);
        for (int i = 0; i < SOCKS; i++)
            wf_sock_resume(loop, &socks[i]);
        int ends = 0;
        size_t got = 0;
        while (!reset && ends < SOCKS) {
            wf_loop_event event = next_event(loop);
            CHECK(event.kind == WF_LOOP_RECEIVED || event.kind == WF_LOOP_EOF);
            ends += event.kind == WF_LOOP_EOF;
            got += event.kind == WF_LOOP_RECEIVED ? event.len : 0;
        }
        CHECK_EQ(got, reset ? 0 : SOCKS * 100);
        for (int i = 0; i < SOCKS; i++)
            wf_sock_close(loop, &socks[i]);
        wf_loop_flush(loop);
        close_loop();
    }
}

/* ---- pauses ---- */

TEST(what_floods_in_while_paused_is_kept_and_given_once_in_order) {
    for (int tcp = 0; tcp < 2; tcp++) {
        open_loop(4096);
        adopt_pair(tcp ? connect_tcp : connect_unix, &sock, &peer);
        turn_without_event();
        size_t wrote = 0, got = 0;
        for (int round = 0; round < 50; round++) {
            wf_sock_pause(loop, &sock);
            for (int i = 0; i < 10; i++) {
                wrote += peer_writes(peer, wrote, 3000);
                turn_without_event();
            }
            size_t most = wf_loop_memory(loop);
            CHECK(most > 0 && most < 3 * 4096 + 8192);
            turn_without_event();
            turn_without_event();
            CHECK(wf_loop_memory(loop) <= most); /* the kernel keeps the rest */
            wf_sock_resume(loop, &sock);
            while (got < wrote) {
                wf_loop_event event = next_event(loop);
                CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
                check_pattern(event.data, event.len, got);
                got += event.len;
                if (got % 5 == 0) { /* and in the middle of it */
                    wf_sock_pause(loop, &sock);
                    turn_without_event();
                    wf_sock_resume(loop, &sock);
                }
            }
            CHECK_EQ(wf_loop_memory(loop), 0);
        }
        close_pair();
    }
}

/* What comes of one sock in a turn stands apart, and it is resumed in between. */
TEST(what_comes_behind_what_was_kept_does_not_overtake_it) {
    wf_sock other;
    int other_peer;
    open_pair(connect_unix);
    adopt_pair(connect_unix, &other, &other_peer);
    turn_without_event();
    CHECK_EQ(peer_writes(peer, 0, 10), 10);
    wf_loop_flush(loop);
    CHECK_EQ(peer_writes(other_peer, 0, 10), 10);
    wf_loop_flush(loop);
    CHECK_EQ(peer_writes(peer, 10, 10), 10);
    wf_loop_flush(loop);
    wf_sock_pause(loop, &sock);
    wf_loop_event event = next_event(loop);
    CHECK(event.kind == WF_LOOP_RECEIVED && event.sock == &other);
    wf_sock_resume(loop, &sock);
    for (size_t got = 0; got < 20; got += event.len) {
        event = next_event(loop);
        CHECK(event.kind == WF_LOOP_RECEIVED && event.sock == &sock);
        check_pattern(event.data, event.len, got);
    }
    wf_sock_close(loop, &other);
    close(other_peer);
    close_pair();
}

TEST(without_memory_for_what_came_while_paused_the_sock_fails) {
    for (size_t nth = 1; nth <= 2; nth++) {
        open_pair(connect_unix);
        turn_without_event();
        wf_sock_pause(loop, &sock);
        CHECK_EQ(peer_writes(peer, 0, 5000), 5000);
        test_mem_fail_at(nth);
        wf_loop_event event = next_event(loop);
        test_mem_fail_at(0);
        CHECK_EQ(event.kind, WF_LOOP_FAILED);
        CHECK_EQ(event.sys_errno, ENOMEM);
        CHECK(peer_writes(peer, 5000, 5000) > 0);
        wf_sock_resume(loop, &sock);
        check_silent(loop);
        close_pair();
    }
}

/* The receive that brought the bytes is being cancelled when the peer breaks. */
TEST(a_reset_right_behind_what_came_while_paused_is_told) {
    for (int again = 0; again < 2; again++) {
        open_pair(connect_tcp);
        turn_without_event();
        if (again) { /* a pause before has left its watch */
            wf_sock_pause(loop, &sock);
            CHECK_EQ(peer_writes(peer, 0, 10), 10);
            check_silent(loop);
            wf_sock_resume(loop, &sock);
            CHECK_EQ(next_event(loop).kind, WF_LOOP_RECEIVED);
            check_silent(loop);
        }
        wf_sock_pause(loop, &sock);
        CHECK_EQ(peer_writes(peer, 0, 10), 10);
        turn_without_event();
        reset_on_close(peer);
        close(peer);
        peer = -1;
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_FAILED);
        check_silent(loop);
        close_pair();
    }
}

TEST(what_was_kept_weighs_nothing_once_it_was_given) {
    open_pair(connect_unix);
    size_t bytes = test_mem_bytes();
    wf_sock_pause(loop, &sock);
    size_t wrote = peer_writes(peer, 0, 100000);
    turn_without_event();
    CHECK(test_mem_bytes() > bytes + wrote / 2);
    wf_sock_resume(loop, &sock);
    for (size_t got = 0; got < wrote;) {
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        got += event.len;
    }
    turn_without_event();
    CHECK_EQ(test_mem_bytes(), bytes);
    close_pair();
}

/* ---- completions that run over ---- */

/* Sends back what was received, in pieces, as far as it may. */
static void echo(wf_sock *s, size_t received, size_t *sent, bool *later) {
    while (!*later && *sent < received) {
        int64_t taken = send_soon(s, *sent, received - *sent > 40 ? 40 : received - *sent);
        CHECK(taken >= 0);
        *later = taken == WF_SEND_LATER;
        *sent += (size_t)taken;
    }
}

TEST(more_completions_than_the_queue_holds) {
    enum { SOCKS = 100 };
    static wf_sock socks[SOCKS];
    int peers[SOCKS];
    size_t got[SOCKS] = {0}, sent[SOCKS] = {0}, back[SOCKS] = {0};
    bool later[SOCKS] = {false};
    int quiet = 0;
    test_uring_entries(8, 16);
    open_loop(0);
    for (int i = 0; i < SOCKS; i++)
        adopt_pair(connect_unix, &socks[i], &peers[i]);
    for (size_t round = 1; round <= 20; round++) {
        for (int i = 0; i < SOCKS; i++)
            CHECK_EQ(peer_writes(peers[i], (round - 1) * 100, 100), 100);
        for (size_t total = 0; total < SOCKS * 100 * round;) {
            wf_loop_event event = event_within(loop, 10);
            CHECK(event.kind == WF_LOOP_RECEIVED || event.kind == WF_LOOP_SENT || (int)event.kind == NO_EVENT);
            if ((int)event.kind != NO_EVENT) {
                ptrdiff_t i = event.sock - socks;
                if (event.kind == WF_LOOP_RECEIVED) {
                    check_pattern(event.data, event.len, got[i]);
                    got[i] += event.len;
                } else {
                    CHECK(later[i]);
                    later[i] = false;
                }
                echo(&socks[i], got[i], &sent[i], &later[i]);
                continue;
            }
            total = 0;
            for (int i = 0; i < SOCKS; i++) {
                peer_reads(peers[i], &back[i]);
                total += back[i];
            }
            CHECK(++quiet < 1000);
        }
        for (int i = 0; i < SOCKS; i++)
            CHECK_EQ(back[i], round * 100);
    }
    for (int i = 0; i < SOCKS; i++) {
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
    }
    wf_loop_flush(loop);
    close_loop();
}

/* ---- closing ---- */

enum state {
    FRESH,
    ARMED,
    PAUSED_EMPTY,
    PAUSED_KEPT,
    SENDING_LATER,
    SEND_QUEUED,
    SPILLED,
    SPILLED_UNTOLD,
    DUE_KEPT,
    EOF_WATCHED,
    STATES
};

static void bring_to(enum state state) {
    open_pair(connect_unix);
    if (state > FRESH)
        turn_without_event();
    switch (state) {
    case PAUSED_EMPTY:
        wf_sock_pause(loop, &sock);
        break;
    case PAUSED_KEPT:
    case DUE_KEPT:
        wf_sock_pause(loop, &sock);
        peer_writes(peer, 0, 100);
        turn_without_event();
        if (state == DUE_KEPT)
            wf_sock_resume(loop, &sock);
        break;
    case SENDING_LATER:
        send_until_later(loop, &sock);
        break;
    case SEND_QUEUED:
        CHECK_EQ(send_soon(&sock, 0, 100), 100);
        break;
    case SPILLED:
        for (size_t taken = 0; wf_loop_memory(loop) == 0; taken += 8000) {
            CHECK_EQ(send_soon(&sock, taken, 8000), 8000);
            turn_waits();
        }
        break;
    case SPILLED_UNTOLD:
        for (size_t taken = 0; wf_loop_memory(loop) == 0; taken += 8000) {
            turn_without_event();
            CHECK_EQ(send_soon(&sock, taken, 8000), 8000);
            CHECK_EQ(wf_loop_wait(loop, 0), 0);
        }
        break;
    case EOF_WATCHED:
        shutdown(peer, SHUT_WR);
        CHECK_EQ(next_event(loop).kind, WF_LOOP_EOF);
        turn_without_event();
        break;
    default:
        break;
    }
}

/* Whatever the kernel still holds of a closed one, its slot's and its descriptor's next owner hears nothing of it. */
TEST(a_sock_may_be_closed_in_every_state) {
    for (int state = 0; state < STATES; state++) {
        for (int turns = 0; turns < 3; turns++) {
            test_context("state %d, %d turns", state, turns);
            bring_to((enum state)state);
            int old_peer = peer;
            peer_writes(old_peer, 0, 10);
            wf_sock_close(loop, &sock);
            CHECK_EQ(wf_loop_memory(loop), 0);
            for (int i = 0; i < turns; i++)
                turn_without_event();
            wf_sock others[4];
            int peers[4];
            for (int i = 0; i < 4; i++)
                adopt_pair(connect_unix, &others[i], &peers[i]);
            check_silent(loop);
            for (int i = 0; i < 4; i++) {
                CHECK_EQ(peer_writes(peers[i], (size_t)i, 7), 7);
                wf_loop_event event = next_event(loop);
                CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
                CHECK(event.sock == &others[i]);
                CHECK_EQ(event.len, 7);
                check_pattern(event.data, event.len, (size_t)i);
                CHECK_EQ(send_soon(&others[i], (size_t)i, 5), 5);
            }
            check_silent(loop);
            for (int i = 0; i < 4; i++) {
                size_t at = (size_t)i;
                peer_reads(peers[i], &at);
                CHECK_EQ(at, i + 5);
                wf_sock_close(loop, &others[i]);
                close(peers[i]);
            }
            close_pair();
        }
    }
}

TEST(a_descriptor_closed_before_the_first_wait_is_forgotten) {
    open_pair(connect_unix);
    int fd = sock.fd, old_peer = peer;
    wf_sock_close(loop, &sock);
    close(old_peer);
    adopt_pair(connect_unix, &sock, &peer);
    CHECK_EQ(sock.fd, fd); /* the number's next owner */
    CHECK_EQ(peer_writes(peer, 0, 1000), 1000);
    for (size_t got = 0; got < 1000;) {
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        check_pattern(event.data, event.len, got);
        got += event.len;
    }
    close_pair();
}

TEST(a_loop_may_be_freed_right_after_its_socks_were_closed) {
    for (int waited = 0; waited < 2; waited++) {
        open_pair(connect_tcp);
        if (waited)
            turn_without_event();
        CHECK_EQ(send_soon(&sock, 0, 100), 100);
        wf_sock_close(loop, &sock);
        CHECK_EQ(wf_loop_memory(loop), 0);
        wf_loop_free(loop);
        size_t got = 0;
        bool fin = false;
        for (int tries = 0; !fin && tries < 1000; tries++) {
            fin = peer_reads(peer, &got);
            usleep(1000);
        }
        CHECK(fin);
        CHECK_EQ(got, 100);
        close(peer);
        CHECK_EQ(test_mem_live(), live_before);
        CHECK_EQ(descriptors(), descriptors_before);
    }
}

TEST(an_address_is_free_when_its_listener_is_closed) {
    for (int waited = 0; waited < 2; waited++) {
        wf_address address;
        const char *why;
        open_loop(0);
        CHECK_EQ(wf_address_parse("127.0.0.1:0", &address, &why), 0);
        CHECK_EQ(wf_listen_adopt(loop, &sock, wf_listen_open(&address, true, 4)), 0);
        for (int i = 0; i < 20; i++) {
            if (waited)
                turn_without_event();
            wf_sock_close(loop, &sock);
            int fd = wf_listen_open(&address, true, 4);
            CHECK(fd >= 0);
            CHECK_EQ(wf_listen_adopt(loop, &sock, fd), 0);
        }
        peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_EQ(connect(peer, (struct sockaddr *)&address.storage, address.len), 0);
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
        close(event.fd);
        close_pair();
    }
}

/* What it had sent soon is in the queue, in the name of a number. */
TEST(what_is_closed_while_the_kernel_takes_no_requests_leaves_nothing_to_the_next) {
    for (int queued = 0; queued < 8; queued++) {
        static wf_sock socks[8];
        int peers[8];
        test_context("%d queued before", queued);
        test_uring_entries(8, 512);
        open_loop(0);
        for (int i = 0; i < 8; i++)
            adopt_pair(connect_unix, &socks[i], &peers[i]);
        turn_without_event();
        test_call_fail_at("io_uring_submit", 0, -EAGAIN);
        for (int i = 0; i < queued; i++)
            CHECK_EQ(send_soon(&socks[i], 0, 10), 10);
        CHECK_EQ(send_soon(&socks[7], 0, 10), 10);
        int fd = socks[7].fd;
        wf_sock_close(loop, &socks[7]);
        close(peers[7]);
        int fds[2];
        connect_unix(fds);
        test_call_fail_at(NULL, 0, 0);
        if (queued == 7) /* no room: it was closed at once */
            CHECK(fds[0] == fd || fds[1] == fd);
        turn_without_event();
        wf_sock fresh;
        CHECK_EQ(wf_sock_adopt(loop, &fresh, fds[0]), 0);
        turn_without_event();
        size_t got = 0;
        CHECK(!peer_reads(fds[1], &got));
        CHECK_EQ(got, 0);
        CHECK(recv(fds[0], &got, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
        CHECK_EQ(peer_writes(fds[1], 0, 10), 10);
        wf_loop_event event = next_event(loop);
        CHECK(event.kind == WF_LOOP_RECEIVED && event.sock == &fresh && event.len == 10);
        wf_sock_close(loop, &fresh);
        close(fds[1]);
        for (int i = 0; i < 7; i++) {
            wf_sock_close(loop, &socks[i]);
            close(peers[i]);
        }
        wf_loop_flush(loop);
        close_loop();
    }
}

TEST(what_the_kernel_takes_no_request_for_is_not_adopted) {
    test_uring_entries(8, 16);
    open_loop(0);
    turn_without_event();
    static wf_sock socks[20];
    int peers[20], adopted = 0;
    test_call_fail_at("io_uring_submit", 0, -EAGAIN);
    for (int i = 0; i < 20; i++) {
        int fds[2];
        connect_unix(fds);
        peers[i] = fds[1];
        int status = wf_sock_adopt(loop, &socks[i], fds[0]);
        if (status < 0) {
            CHECK_EQ(errno, ENOMEM);
            CHECK_EQ(close(fds[0]), 0); /* still ours */
        }
        adopted += status == 0;
    }
    CHECK(adopted > 0 && adopted < 20);
    for (int i = 0; i < 20; i++) {
        wf_sock_close(loop, &socks[i]);
        close(peers[i]);
    }
    test_call_fail_at(NULL, 0, 0);
    turn_without_event();
    wf_loop_flush(loop);
    close_loop();
}
