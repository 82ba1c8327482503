/*
 * How a stream ends, as its owner is told: every way a peer can leave, over TCP and unix, while we read and
 * while we are paused, with and without unread bytes. After each event the loop must fall silent: a
 * level-triggered backend that goes on watching what nobody wants shows up here as a burnt core.
 */
#include "net_help.h"

enum leave {
    PEER_FIN,   /* shutdown: it still reads */
    PEER_CLOSE, /* both directions */
    PEER_RESET, /* TCP RST */
    BOTH_FIN,   /* ours, then the peer's */
};

enum { NOTHING_YET = NO_EVENT };

static const struct end_case {
    const char *name;
    bool unix_socket, paused, unread;
    enum leave leave;
    int first; /* the event that tells, NOTHING_YET: only after the resume */
} cases[] = {
    {"reading_tcp_fin", false, false, false, PEER_FIN, WF_LOOP_EOF},
    {"reading_tcp_close", false, false, false, PEER_CLOSE, WF_LOOP_EOF},
    {"reading_tcp_reset", false, false, false, PEER_RESET, WF_LOOP_FAILED},
    {"reading_tcp_both_fin", false, false, false, BOTH_FIN, WF_LOOP_EOF},
    {"reading_unix_fin", true, false, false, PEER_FIN, WF_LOOP_EOF},
    {"reading_unix_close", true, false, false, PEER_CLOSE, WF_LOOP_EOF},
    {"reading_unix_both_fin", true, false, false, BOTH_FIN, WF_LOOP_EOF},
    {"reading_tcp_bytes_fin", false, false, true, PEER_FIN, WF_LOOP_RECEIVED},
    {"reading_tcp_bytes_close", false, false, true, PEER_CLOSE, WF_LOOP_RECEIVED},
    {"reading_unix_bytes_close", true, false, true, PEER_CLOSE, WF_LOOP_RECEIVED},
    {"reading_tcp_bytes_both_fin", false, false, true, BOTH_FIN, WF_LOOP_RECEIVED},
    {"paused_tcp_fin", false, true, false, PEER_FIN, WF_LOOP_EOF},
    {"paused_tcp_close", false, true, false, PEER_CLOSE, WF_LOOP_EOF},
    {"paused_tcp_reset", false, true, false, PEER_RESET, WF_LOOP_FAILED},
    {"paused_tcp_both_fin", false, true, false, BOTH_FIN, WF_LOOP_EOF},
    {"paused_unix_fin", true, true, false, PEER_FIN, WF_LOOP_EOF},
    {"paused_unix_close", true, true, false, PEER_CLOSE, WF_LOOP_EOF},
    {"paused_unix_both_fin", true, true, false, BOTH_FIN, WF_LOOP_EOF},
    {"paused_tcp_bytes_fin", false, true, true, PEER_FIN, NOTHING_YET},
    {"paused_tcp_bytes_close", false, true, true, PEER_CLOSE, NOTHING_YET},
    {"paused_tcp_bytes_reset", false, true, true, PEER_RESET, WF_LOOP_FAILED},
    {"paused_tcp_bytes_both_fin", false, true, true, BOTH_FIN, NOTHING_YET},
    {"paused_unix_bytes_fin", true, true, true, PEER_FIN, NOTHING_YET},
    {"paused_unix_bytes_close", true, true, true, PEER_CLOSE, NOTHING_YET},
    {"paused_unix_bytes_both_fin", true, true, true, BOTH_FIN, NOTHING_YET},
};

static wf_loop *loop;
static wf_sock sock;
static int peer;

static void leave(enum leave how) {
    if (how == BOTH_FIN)
        wf_sock_shutdown(loop, &sock);
    if (how == PEER_RESET)
        reset_on_close(peer);
    if (how == PEER_FIN || how == BOTH_FIN) {
        CHECK_EQ(shutdown(peer, SHUT_WR), 0);
        return;
    }
    close(peer);
    peer = -1;
}

static void open_case(const struct end_case *row) {
    int fds[2];
    loop = wf_loop_new(0);
    CHECK(loop != NULL);
    if (row->unix_socket)
        connect_unix(fds);
    else
        connect_tcp(fds);
    peer = fds[1];
    CHECK_EQ(wf_sock_adopt(loop, &sock, fds[0]), 0);
}

static void close_case(void) {
    wf_sock_close(loop, &sock);
    if (peer >= 0)
        close(peer);
    wf_loop_free(loop);
}

static void check_told(int kind) {
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, kind);
    CHECK(event.sock == &sock);
    if (kind == WF_LOOP_FAILED)
        CHECK_EQ(event.sys_errno, ECONNRESET);
    if (kind == WF_LOOP_RECEIVED)
        CHECK_BYTES(event.data, event.len, "last words", 10);
}

/* `settled`: the loop looks at the unread bytes before the peer leaves, else it meets both at once. */
static void replay(const struct end_case *row, bool settled) {
    open_case(row);
    if (row->paused)
        wf_sock_pause(loop, &sock);
    if (row->unread)
        CHECK_EQ(send(peer, "last words", 10, 0), 10);
    if (row->unread && row->paused && settled)
        check_silent(loop);
    leave(row->leave);
    if (row->first != NOTHING_YET)
        check_told(row->first);
    if (row->first == WF_LOOP_RECEIVED)
        check_told(WF_LOOP_EOF);
    check_silent(loop);
    wf_sock_resume(loop, &sock);
    if (row->first == NOTHING_YET) {
        check_told(WF_LOOP_RECEIVED);
        check_told(WF_LOOP_EOF);
    }
    check_silent(loop); /* told once */
    if (row->leave == PEER_FIN) {
        CHECK_EQ(send_text(loop, &sock, "and farewell"), 12);
        char answer[12];
        CHECK_EQ(recv(peer, answer, 12, MSG_WAITALL), 12);
    }
    close_case();
}

TEST(each_end_is_told_once_and_then_there_is_silence) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int settled = 0; settled < 2; settled++) {
            test_context("%s, %s", cases[i].name, settled ? "bytes first" : "all at once");
            if (cases[i].unread && cases[i].paused)
                replay(&cases[i], settled);
            else if (!settled)
                replay(&cases[i], true);
        }
    }
}

TEST(a_reset_after_the_eof_is_still_told) {
    for (int paused = 0; paused < 2; paused++) {
        open_case(&(struct end_case) {.name = "tcp"});
        if (paused)
            wf_sock_pause(loop, &sock);
        CHECK_EQ(shutdown(peer, SHUT_WR), 0);
        CHECK_EQ(next_event(loop).kind, WF_LOOP_EOF);
        check_silent(loop);
        reset_on_close(peer);
        close(peer);
        peer = -1;
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_FAILED);
        CHECK(event.sys_errno == EPIPE || event.sys_errno == ECONNRESET);
        check_silent(loop);
        CHECK_EQ(send_text(loop, &sock, "x"), WF_ESYS);
        CHECK_EQ(errno, EPIPE);
        close_case();
    }
}

TEST(a_reset_behind_a_fin_and_unread_bytes_is_told_while_paused) {
    open_case(&(struct end_case) {.name = "tcp"});
    wf_sock_pause(loop, &sock);
    CHECK_EQ(send(peer, "last words", 10, 0), 10);
    CHECK_EQ(shutdown(peer, SHUT_WR), 0);
    check_silent(loop);
    reset_on_close(peer);
    close(peer);
    peer = -1;
    CHECK_EQ(next_event(loop).kind, WF_LOOP_FAILED);
    check_silent(loop);
    close_case();
}

TEST(paused_bytes_wait_for_the_resume) {
    open_case(&(struct end_case) {.name = "tcp"});
    CHECK_EQ(send(peer, "last ", 5, 0), 5);
    CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
    wf_sock_pause(loop, &sock); /* after it was collected */
    check_silent(loop);
    CHECK_EQ(send(peer, "words", 5, 0), 5);
    check_silent(loop);
    wf_sock_resume(loop, &sock);
    wf_sock_resume(loop, &sock);
    char told[10];
    for (size_t len = 0; len < sizeof told;) { /* in one piece or two */
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        CHECK(event.len <= sizeof told - len);
        memcpy(told + len, event.data, event.len);
        len += event.len;
    }
    CHECK_BYTES(told, (size_t)10, "last words", (size_t)10);
    check_silent(loop);
    close_case();
}

TEST(our_fin_reaches_the_peer_and_its_bytes_reach_us) {
    open_case(&(struct end_case) {.name = "tcp"});
    wf_sock_shutdown(loop, &sock);
    char byte;
    CHECK_EQ(recv(peer, &byte, 1, 0), 0);
    CHECK_EQ(send(peer, "last words", 10, 0), 10);
    check_told(WF_LOOP_RECEIVED);
    CHECK_EQ(send_text(loop, &sock, "x"), WF_ESYS);
    CHECK_EQ(errno, EPIPE);
    close_case();
}

TEST(a_send_to_a_peer_that_is_gone_is_an_error_and_no_signal) {
    open_case(&(struct end_case) {.name = "tcp"});
    reset_on_close(peer);
    close(peer);
    peer = -1;
    CHECK_EQ(send_text(loop, &sock, "x"), WF_ESYS); /* over loopback the reset is there at once */
    CHECK(errno == ECONNRESET || errno == EPIPE);
    CHECK_EQ(send_text(loop, &sock, "x"), WF_ESYS);
    CHECK_EQ(errno, EPIPE);
    wf_loop_event event = next_event(loop); /* the send took the error: what is left is an end */
    CHECK(event.kind == WF_LOOP_EOF || event.kind == WF_LOOP_FAILED);
    check_silent(loop);
    close_case();
}
