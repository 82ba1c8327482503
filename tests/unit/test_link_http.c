/*
 * HTTP on a link: requests one after another, answers now or later, and the deadlines before a WebSocket is
 * open. See link_help.h.
 */
#include "link_help.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static fixture f;

static void peer_asks(const char *text) {
    peer_writes(&f, text, strlen(text));
}

TEST(requests_are_answered_one_after_another) {
    fixture_init(&f);
    peer_asks(GET("/1") GET("/2") "GET /3 HTTP/1.1\r\n");
    CHECK_STR(peer_text(&f), "</1></2>");
    CHECK_STR(yielded(&f), "request(/1) request(/2) ");
    peer_asks("Host: a\r\n\r\n");
    CHECK_STR(peer_text(&f), "</3>");
    fixture_deinit(&f);
}

TEST(the_next_request_waits_for_the_answer_to_the_last) {
    fixture_init(&f);
    f.answers = false;
    peer_asks(GET("/1") GET("/2"));
    CHECK_STR(yielded(&f), "request(/1) ");
    CHECK_EQ(wf_link_reply(&f.link, "one", 3, false), WF_OK);
    CHECK_EQ(wf_link_reply(&f.link, "one", 3, false), WF_ECLOSED);
    CHECK_STR(yielded(&f), "request(/2) ");
    CHECK_STR(peer_text(&f), "one");
    CHECK_EQ(wf_link_reply(&f.link, "two", 3, true), WF_OK);
    CHECK_STR(peer_text(&f), "twoFIN");
    fixture_deinit(&f);
}

TEST(an_upgrade_behind_a_request_is_an_upgrade) {
    fixture_init(&f);
    peer_asks(GET("/1") UPGRADE);
    CHECK_STR(peer_text(&f), "</1>" ACCEPT);
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    fixture_deinit(&f);
}

TEST(a_request_behind_a_refused_upgrade_is_http) {
    fixture_init(&f);
    f.accepts = false;
    peer_asks(UPGRADE GET("/2"));
    CHECK_STR(peer_text(&f), "</chat></2>");
    CHECK_EQ(f.link.stage, WF_LINK_HTTP);
    fixture_deinit(&f);
}

TEST(an_idle_keep_alive_owns_nothing_and_ends_by_itself) {
    fixture_init(&f);
    peer_asks(GET("/1"));
    CHECK_STR(peer_text(&f), "</1>");
    wf_outq_pool_deinit(&f.env.pool);
    CHECK_EQ(test_mem_live(), f.live_idle);
    pass(&f, 14999);
    CHECK_STR(yielded(&f), "request(/1) ");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_STR(peer_text(&f), "FIN");
    fixture_deinit(&f);
}

TEST(close_asked_for_is_close_done) {
    fixture_init(&f);
    peer_asks("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/2"));
    CHECK_STR(peer_text(&f), "</1>FIN");
    CHECK_STR(yielded(&f), "request(/1) ");
    peer_closes(&f);
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

TEST(what_is_not_http_is_answered_and_closed) {
    fixture_init(&f);
    peer_asks("\x16\x03\x01 hello\r\n\r\n");
    CHECK_STR(peer_text(&f), "400FIN");
    CHECK_STR(yielded(&f), "broken(400) ");
    peer_asks("more of it");
    pass(&f, 2000);
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

TEST(continue_is_said_when_it_is_asked_for) {
    fixture_init(&f);
    peer_asks("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK_STR(peer_text(&f), "HTTP/1.1 100 Continue\r\n\r\n");
    peer_asks("abc");
    CHECK_STR(peer_text(&f), "</1>");
    fixture_deinit(&f);
}

/* ---- a client that reads slowly ---- */

TEST(a_client_that_asks_and_does_not_read_is_bounded_and_loses_nothing) {
    enum { ASKED = 30000, ANSWER = 200 };
    wf_buf asks = WF_BUF_INIT;
    char text[100];
    size_t sent = 0, seen = 0, at = 0, most = 0;
    fixture_init(&f);
    f.answer_bytes = ANSWER;
    f.quiet = true;
    for (int i = 0; i < ASKED; i++) {
        snprintf(text, sizeof text, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
        wf_buf_append_str(&asks, text);
    }
    size_t before = test_mem_bytes();
    for (int round = 0; round < 20000 && seen < ASKED; round++) {
        size_t left = asks.len - sent;
        ssize_t wrote = left > 0 ? send(f.peer, asks.data + sent, left, MSG_DONTWAIT) : 0;
        sent += wrote > 0 ? (size_t)wrote : 0;
        settle(&f);
        size_t used = test_mem_bytes() - before;
        most = used > most ? used : most;
        CHECK(f.link.q.bytes < 64 * 1024 + ANSWER);
        if (round < 30)
            continue; /* at first it only asks */
        CHECK(round > 30 || (f.link.deadlines.resting && wrote < 0));
        peer_reads(&f);
        for (; f.read_len - at >= ANSWER; at += ANSWER) {
            snprintf(text, sizeof text, "</%zu.", seen++);
            CHECK(memcmp(f.read + at, text, strlen(text)) == 0);
            CHECK(f.read[at + ANSWER - 1] == '>');
        }
    }
    CHECK_EQ(seen, ASKED);
    CHECK_EQ(f.read_len, at);
    CHECK(most < 1u << 20);
    settle(&f);
    CHECK(!f.link.deadlines.resting);
    CHECK_EQ(f.env.input_bytes, 0);
    wf_buf_deinit(&asks);
    fixture_deinit(&f);
}

enum { LARGE = 3 << 20 };

/* Asks for an answer larger than the socket holds. */
static void ask_for_much(void) {
    fixture_init(&f);
    f.answer_bytes = LARGE;
    peer_asks(GET("/large"));
    CHECK_STR(yielded(&f), "request(/large) ");
    CHECK(f.link.q.bytes > LARGE / 2);
}

TEST(a_large_answer_takes_the_time_it_takes) {
    ask_for_much();
    size_t got = 0;
    for (int i = 0; i < 1000 && f.link.q.bytes > 0; i++) {
        pass(&f, 20000); /* longer than keep_alive_ms and than a request may take */
        got += peer_sips(&f);
    }
    CHECK_STR(yielded(&f), "");
    peer_reads(&f);
    CHECK_EQ(got + f.read_len, LARGE);
    CHECK_EQ(f.read[f.read_len - 1], '>');
    pass(&f, 14999); /* from when all is sent */
    CHECK_STR(yielded(&f), "");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

TEST(a_large_answer_that_is_not_taken_ends_it) {
    ask_for_much();
    pass(&f, 29999);
    peer_sips(&f);
    pass(&f, 29999);
    CHECK_STR(yielded(&f), "");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ETIMEDOUT);
    fixture_deinit(&f);
}

/* What the client began and will not end takes nothing from the answer before it. */
TEST(a_large_answer_is_sent_whole_to_a_client_that_has_left_its_half) {
    static const char *const begun[] = {"", "GET /2 HT"};
    for (size_t i = 0; i < sizeof begun / sizeof *begun; i++) {
        test_context("behind it: \"%s\"", begun[i]);
        ask_for_much();
        peer_asks(begun[i]);
        shutdown(f.peer, SHUT_WR);
        size_t got = 0;
        for (int j = 0; j < 1000 && f.link.q.bytes > 0; j++) {
            pass(&f, 11000);
            got += peer_sips(&f);
        }
        peer_reads(&f);
        CHECK_EQ(got + f.read_len, LARGE);
        CHECK(f.fin);
        CHECK_STR(yielded(&f), "ended ");
        fixture_deinit(&f);
    }
}

/* ---- deadlines ---- */

TEST(nothing_said_is_nothing_answered) {
    fixture_init(&f);
    pass(&f, 9999);
    CHECK_STR(yielded(&f), "");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_STR(peer_text(&f), "FIN");
    fixture_deinit(&f);
}

TEST(a_dripping_request_gets_408_in_ten_seconds) {
    static const char request[] = "GET /slow HTTP/1.1\r\nHost: a\r\nX: 012345678901234567890123456789";
    fixture_init(&f);
    for (int i = 0; i < 39; i++) {
        peer_writes(&f, &request[i], 1);
        pass(&f, 250);
    }
    CHECK_STR(yielded(&f), "");
    pass(&f, 250);
    CHECK_STR(yielded(&f), "broken(408) ");
    CHECK_STR(peer_text(&f), "408FIN");
    fixture_deinit(&f);
}

TEST(a_late_first_byte_does_not_move_the_deadline) {
    fixture_init(&f);
    pass(&f, 6000);
    peer_asks("GET");
    pass(&f, 3999);
    CHECK_STR(yielded(&f), "");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "broken(408) ");
    fixture_deinit(&f);
}

TEST(the_second_request_has_ten_seconds_of_its_own) {
    fixture_init(&f);
    peer_asks(GET("/1"));
    pass(&f, 9000);
    peer_asks("GET");
    pass(&f, 9999);
    CHECK_STR(yielded(&f), "request(/1) ");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "broken(408) ");
    fixture_deinit(&f);
}

TEST(an_answer_that_does_not_come_is_told) {
    fixture_init(&f);
    f.answers = f.accepts = false;
    peer_asks(UPGRADE);
    pass(&f, 19999);
    CHECK_STR(yielded(&f), "request(/chat) ");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "unanswered ");
    CHECK_STR(peer_text(&f), "503FIN");
    fixture_deinit(&f);
}

TEST(a_refusal_before_the_request_is_an_answer) {
    fixture_init(&f);
    peer_asks("GET /1 HT");
    settle(&f);
    wf_link_refuse(&f.link, 503, "full");
    pump(&f);
    CHECK_STR(peer_text(&f), "503FIN");
    CHECK_STR(yielded(&f), "broken(503) ");
    fixture_deinit(&f);
}

/* ---- the peer leaves ---- */

TEST(a_client_that_leaves_before_the_answer_to_its_handshake_is_gone) {
    fixture_init(&f);
    f.accepts = f.answers = false;
    peer_asks(UPGRADE);
    settle(&f);
    peer_closes(&f);
    CHECK_STR(yielded(&f), "request(/chat) ended ");
    CHECK_EQ(wf_link_accept(&f.link, ACCEPT, strlen(ACCEPT), &f.limits), WF_ECLOSED);
    fixture_deinit(&f);
}

TEST(a_client_that_only_closed_its_half_gets_its_answer) {
    fixture_init(&f);
    f.answers = false;
    peer_asks(GET("/1"));
    shutdown(f.peer, SHUT_WR);
    CHECK_STR(yielded(&f), "request(/1) ");
    CHECK_EQ(wf_link_reply(&f.link, "late", 4, false), WF_OK);
    CHECK_STR(peer_text(&f), "lateFIN");
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

TEST(a_client_that_asks_and_leaves_its_half_at_once_gets_its_answer) {
    fixture_init(&f);
    peer_asks(GET("/1"));
    shutdown(f.peer, SHUT_WR);
    CHECK_STR(peer_text(&f), "</1>FIN");
    CHECK_STR(yielded(&f), "request(/1) ended ");
    fixture_deinit(&f);
}

TEST(a_connection_opened_and_closed_is_nothing) {
    fixture_init(&f);
    peer_closes(&f);
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

TEST(ending_a_link_in_any_stage_leaves_nothing) {
    static const char *const inputs[] = {
        "", "GET", GET("/1"), UPGRADE, UPGRADE "\x81", UPGRADE "\x01\x84", UPGRADE "\x83"};
    for (int how = 0; how < 3; how++) {
        for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
            test_context("input %zu, end %d", i, how);
            fixture_init(&f);
            peer_asks(inputs[i]);
            settle(&f);
            f.yielded[0] = '\0';
            if (how == 0)
                wf_link_abort(&f.link);
            else if (how == 1)
                wf_link_die(&f.link, 0, "the end");
            if (how < 2) {
                pump(&f);
                CHECK_STR(yielded(&f), "ended ");
            }
            fixture_deinit(&f);
        }
    }
}
