/*
 * A link whose kernel or memory says no, and one that is spoken to when it is over.
 */
#include "link_help.h"

#include <fcntl.h>

static fixture f;

/* The next allocation fails; what the pool keeps for later is given back, so that there is one. */
static void no_memory(void) {
    wf_outq_pool_deinit(&f.env.pool);
    test_mem_fail_at(1);
}

static void memory_again(void) {
    CHECK(test_mem_calls() > 0);
    test_mem_fail_at(0);
}

TEST(a_descriptor_that_cannot_be_watched_makes_no_link) {
    wf_link other;
    int fds[2];
    fixture_init_on(&f, WF_LOOP_EPOLL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    test_call_fail_at("epoll_ctl", 1, ENOSPC);
    CHECK_EQ(wf_link_init(&other, &f.env, fds[0], NULL), WF_ESYS);
    CHECK_EQ(close(fds[0]), 0); /* still ours */
    close(fds[1]);
    fixture_deinit(&f);
}

TEST(a_send_that_fails_ends_it) {
    fixture_open_on(&f, WF_LOOP_EPOLL); /* which sends at once */
    test_call_fail_at("send", 1, ECONNRESET);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "hello", 5), WF_OK);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ECONNRESET);
    CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "the connection broke");
    fixture_deinit(&f);
}

TEST(what_is_over_answers_so) {
    wf_link_event event;
    fixture_open(&f);
    wf_link_abort(&f.link);
    CHECK_STR(yielded(&f), "");
    pump(&f);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_EQ(wf_link_next(&f.link, &event), WF_WANT_INPUT);
    CHECK_EQ(wf_link_ping(&f.link), WF_ECLOSED);
    CHECK_EQ(wf_link_reply(&f.link, "x", 1, true), WF_ECLOSED);
    wf_link_flush(&f.link);
    wf_link_refuse(&f.link, 503, "too late");
    wf_link_fail(&f.link, 1011, "too late");
    wf_link_abort(&f.link);
    CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ECONNABORTED); /* the first fault sticks */
    CHECK_STR(yielded(&f), "");
    fixture_deinit(&f);
}

TEST(a_fault_before_the_websocket_just_ends) {
    for (int waiting = 0; waiting <= 1; waiting++) {
        fixture_init(&f);
        f.accepts = f.answers = false;
        if (waiting)
            peer_writes(&f, UPGRADE, strlen(UPGRADE));
        settle(&f);
        f.yielded[0] = '\0';
        wf_link_fail(&f.link, 1013, "no room for it");
        pump(&f);
        CHECK_STR(yielded(&f), "ended ");
        CHECK_STR(peer_text(&f), "FIN");
        CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "no room for it");
        fixture_deinit(&f);
    }
}

TEST(an_answer_of_nothing_is_an_answer) {
    fixture_init(&f);
    f.answers = false;
    peer_writes(&f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    CHECK_STR(yielded(&f), "request(/) ");
    CHECK_EQ(wf_link_reply(&f.link, "", 0, true), WF_OK);
    CHECK_STR(peer_text(&f), "");
    fixture_deinit(&f);
}

TEST(empty_lines_are_no_request_that_was_not_finished) {
    fixture_init(&f);
    peer_writes(&f, "\r\n", 2);
    pass(&f, 10000);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_STR(peer_text(&f), "FIN"); /* no 408 */
    fixture_deinit(&f);
}

/* ---- closing ---- */

TEST(a_peer_that_leaves_instead_of_answering_our_close_is_a_fault) {
    fixture_open(&f);
    CHECK_EQ(wf_link_close(&f.link, 1000, "bye"), WF_OK);
    CHECK_STR(peer_frames(&f), "C1000(bye) ");
    CHECK_EQ(shutdown(f.peer, SHUT_WR), 0);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "RFC6455/7.1.5: connection ended without a close frame");
    fixture_deinit(&f);
}

TEST(a_peer_that_has_closed_and_left_its_half_gets_what_waits) {
    enum { ENOUGH = 900000 }; /* more than the kernel takes */
    static const char data[ENOUGH];
    for (int fault = 0; fault <= 1; fault++) {
        fixture_open(&f);
        CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, data, ENOUGH), WF_OK);
        settle(&f);
        CHECK(f.link.in_flight);
        peer_sends(&f, fault ? 0x83 : 0x88, "\x03\xe8", 2);
        CHECK_EQ(shutdown(f.peer, SHUT_WR), 0);
        CHECK_STR(yielded(&f), "");
        CHECK_STR(peer_frames(&f),
                  fault ? "B(900000 bytes) C1002(RFC6455/5.2: unknown opcode) FIN" : "B(900000 bytes) C1000() FIN");
        CHECK_STR(yielded(&f), "ended ");
        fixture_deinit(&f);
    }
}

TEST(a_fault_after_our_close_ends_in_fin) {
    fixture_open(&f);
    CHECK_EQ(wf_link_close(&f.link, 1000, "bye"), WF_OK);
    CHECK_STR(peer_frames(&f), "C1000(bye) ");
    peer_sends(&f, 0x83, "", 0);
    CHECK_STR(peer_frames(&f), "FIN");
    CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "RFC6455/5.2: unknown opcode");
    fixture_deinit(&f);
}

/* ---- no memory ---- */

TEST(without_memory_for_its_bytes_an_answer_ends_the_connection) {
    for (int upgrade = 0; upgrade <= 1; upgrade++) {
        fixture_init(&f);
        f.accepts = f.answers = false;
        peer_writes(&f, UPGRADE, strlen(UPGRADE));
        CHECK_STR(yielded(&f), "request(/chat) ");
        no_memory();
        CHECK_EQ(upgrade ? wf_link_accept(&f.link, ACCEPT, strlen(ACCEPT), &f.limits)
                         : wf_link_reply(&f.link, "403", 3, false),
                 WF_ENOMEM);
        memory_again();
        pump(&f);
        CHECK_STR(yielded(&f), "ended ");
        CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ENOMEM);
        fixture_deinit(&f);
    }
}

TEST(without_memory_nothing_is_sent_and_the_link_lives) {
    fixture_open(&f);
    no_memory();
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "hello", 5), WF_ENOMEM);
    memory_again();
    no_memory();
    CHECK_EQ(wf_link_ping(&f.link), WF_ENOMEM);
    memory_again();
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "hello", 5), WF_OK);
    CHECK_STR(peer_frames(&f), "T(hello) ");
    fixture_deinit(&f);
}

TEST(without_memory_a_ping_is_put_off) {
    fixture_open(&f);
    f.env.now_ms += 25000;
    no_memory();
    settle(&f);
    memory_again();
    CHECK_STR(peer_frames(&f), "");
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    pass(&f, 25000);
    CHECK_STR(peer_frames(&f), "P(8 bytes) ");
    fixture_deinit(&f);
}

TEST(without_memory_for_a_pong_or_a_close_it_ends) {
    static const struct {
        const char *name;
        uint8_t first;
        const char *told;
    } rows[] = {{"pong", 0x89, "C1011(out of memory) FIN"}, {"close", 0x88, "FIN"}};
    for (size_t i = 0; i < 2; i++) {
        test_context("%s", rows[i].name);
        fixture_open(&f);
        peer_sends(&f, rows[i].first, "", 0);
        no_memory();
        settle(&f);
        memory_again();
        CHECK_STR(peer_frames(&f), rows[i].told);
        CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "out of memory");
        fixture_deinit(&f);
    }
}

/* How it ends is noted in memory that is taken for it. */
TEST(without_memory_to_note_how_it_ends_it_says_that) {
    for (int broken = 0; broken <= 1; broken++) {
        fixture_open(&f);
        CHECK_EQ(wf_link_end_of(&f.link)->fault.status, 0);
        no_memory();
        if (broken)
            wf_link_failed(&f.link, ECONNRESET);
        else
            wf_link_fail(&f.link, 1008, "no room for it");
        memory_again();
        CHECK_EQ(f.link.stage, WF_LINK_DEAD);
        pump(&f);
        CHECK_STR(yielded(&f), "ended ");
        CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ENOMEM);
        CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "out of memory");
        CHECK_EQ(wf_link_end_of(&f.link)->sent_code, 0);
        fixture_deinit(&f);
    }
}

TEST(without_memory_the_peers_reason_is_lost_and_nothing_else) {
    fixture_open(&f);
    CHECK_EQ(wf_link_close(&f.link, 1000, "bye"), WF_OK);
    settle(&f);
    peer_sends(&f, 0x88, "\x03\xe8why", 5);
    no_memory();
    CHECK_STR(yielded(&f), "ended ");
    memory_again();
    CHECK_EQ(wf_link_end_of(&f.link)->received_code, 1000);
    CHECK(wf_link_end_of(&f.link)->reason == NULL);
    CHECK_EQ(wf_link_end_of(&f.link)->fault.status, 0);
    fixture_deinit(&f);
}

/* The bytes behind a request that waits for its answer are kept: the last allocation of all. */
TEST(without_memory_for_what_came_behind_a_request_it_ends) {
    bool ended = false;
    for (size_t nth = 1; !ended && nth < 20; nth++) {
        fixture_init(&f);
        f.accepts = f.answers = false;
        peer_writes(&f, UPGRADE "early", strlen(UPGRADE "early"));
        test_mem_fail_at(nth);
        settle(&f);
        test_mem_fail_at(0);
        ended = strcmp(yielded(&f), "request(/chat) ended ") == 0;
        if (ended)
            CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "out of memory");
        fixture_deinit(&f);
    }
    CHECK(ended);
}

/* ---- permessage-deflate ---- */

static const wf_pmd_params takeover = {.server_max_window_bits = 15, .client_max_window_bits = 15};

TEST(without_memory_there_is_no_compression_and_no_link) {
    fixture_open(&f);
    test_mem_fail_at(1);
    CHECK_EQ(wf_link_deflate(&f.link, &takeover), WF_ENOMEM);
    test_mem_fail_at(0);
    pump(&f);
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

TEST(a_window_that_was_named_bounds_what_is_encoded_once_for_all) {
    wf_pmd_params params = takeover;
    params.server_max_window_bits = 10;
    params.server_bits_named = params.client_no_context_takeover = true;
    fixture_open(&f);
    CHECK_EQ(wf_link_deflate(&f.link, &params), WF_OK);
    CHECK_EQ(f.link.q.alt_bits, 10);
    CHECK_EQ(wf_link_pmd_of(&f.link)->in.window.bytes_max, 0);
    fixture_deinit(&f);
}

#define SAID "one and one and one and one and one and one and one"

TEST(without_memory_what_was_compressed_is_forgotten) {
    fixture_open(&f);
    CHECK_EQ(wf_link_deflate(&f.link, &takeover), WF_OK);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_OK);
    settle(&f);
    CHECK_EQ(wf_link_pmd_of(&f.link)->out.window.len, strlen(SAID));
    no_memory();
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_ENOMEM);
    memory_again();
    CHECK_EQ(wf_link_pmd_of(&f.link)->out.window.len, 0);
    peer_reads(&f);
    f.read_len = 0;
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_OK);
    CHECK_EQ(publish(&f, "\x81\x33" SAID, 2 + strlen(SAID)), WF_OK);
    CHECK_EQ(publish(&f, "\x81\x01x", 3), WF_OK);
    settle(&f);
    peer_reads(&f);
    CHECK(f.read_len > 3 && f.read_len < 2 * strlen(SAID));
    CHECK_BYTES(f.read + f.read_len - 3, (size_t)3, "\x81\x01x", (size_t)3); /* it would not have become shorter */
    f.read_len = 0;
    fixture_deinit(&f);
}

TEST(without_memory_what_is_published_goes_plain) {
    fixture_open(&f);
    CHECK_EQ(wf_link_deflate(&f.link, &takeover), WF_OK);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_OK);
    settle(&f);
    peer_reads(&f);
    f.read_len = 0;
    CHECK_EQ(publish(&f, "\x81\x33" SAID, 2 + strlen(SAID)), WF_OK);
    no_memory();
    settle(&f);
    memory_again();
    CHECK_STR(peer_frames(&f), "T(51 bytes) ");
    fixture_deinit(&f);
}

/* A long one is taken as it was compressed for all, and the next may refer to it. */
TEST(what_is_long_comes_in_the_encoding_made_for_all) {
    enum { LONG = 5000 };
    uint8_t frame[LONG + 4] = {0x81, 126, LONG >> 8, LONG & 255};
    memset(frame + 4, 'a', LONG);
    fixture_open(&f);
    CHECK_EQ(wf_link_deflate(&f.link, &takeover), WF_OK);
    for (int alt = 0; alt <= 1; alt++) {
        wf_blob *blob = wf_blob_new(sizeof frame, NULL);
        CHECK(blob != NULL);
        memcpy(blob->data, frame, sizeof frame);
        blob->alt = alt ? wf_blob_new(9, NULL) : NULL;
        if (alt)
            memcpy(blob->alt->data, "\xc1\x07whatev.", 9);
        CHECK_EQ(wf_outq_publish(&f.link.q, blob), WF_OK);
        wf_blob_unref(blob);
        settle(&f);
        peer_reads(&f);
        if (alt)
            CHECK_BYTES(f.read, f.read_len, "\xc1\x07whatev.", (size_t)9);
        else
            CHECK(f.read[0] == 0xc1 && f.read_len < LONG / 10);
        CHECK_EQ(wf_link_pmd_of(&f.link)->out.window.len, (alt + 1) * LONG);
        f.read_len = 0;
    }
    fixture_deinit(&f);
}
