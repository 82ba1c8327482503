/*
 * A WebSocket on a link: real bytes through a socket pair, a loop, and a clock moved by hand. See
 * link_help.h.
 */
#include "link_help.h"

static fixture f; /* too large for a stack */

/* ---- opening ---- */

TEST(frames_behind_the_handshake_are_not_lost) {
    wf_buf bytes = WF_BUF_INIT;
    fixture_init(&f);
    wf_buf_append_str(&bytes, UPGRADE);
    put_frame(&bytes, 0x81, "one", 3);
    put_frame(&bytes, 0x01, "tw", 2);
    put_frame(&bytes, 0x89, "p", 1);
    put_frame(&bytes, 0x80, "o", 1);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    CHECK_STR(yielded(&f), "request(/chat) message(one) message(two) ");
    peer_reads(&f);
    CHECK_BYTES(f.read, f.read_len, ACCEPT "\x8a\x01p", strlen(ACCEPT) + 3);
    fixture_deinit(&f);
}

static void ping_at_open(struct fixture *it) {
    CHECK_EQ(wf_link_send(&it->link, WF_OP_TEXT, "data", 4), WF_OK);
    CHECK_EQ(wf_link_ping(&it->link), WF_OK);
}

TEST(pings_and_pongs_at_once_come_after_the_101) {
    wf_buf bytes = WF_BUF_INIT;
    fixture_init(&f);
    f.on_open = ping_at_open;
    wf_buf_append_str(&bytes, UPGRADE);
    put_frame(&bytes, 0x89, "p", 1);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    peer_reads_accept(&f);
    CHECK_STR(peer_frames(&f), "P(8 bytes) O(p) T(data) ");
    fixture_deinit(&f);
}

TEST(frames_wait_for_an_answer_that_comes_later) {
    fixture_init(&f);
    f.accepts = f.answers = false;
    peer_writes(&f, UPGRADE, strlen(UPGRADE));
    settle(&f);
    peer_sends_text(&f, "early");
    CHECK_STR(yielded(&f), "request(/chat) ");
    CHECK_EQ(wf_link_accept(&f.link, ACCEPT, strlen(ACCEPT), &f.limits), WF_OK);
    CHECK_EQ(wf_link_accept(&f.link, ACCEPT, strlen(ACCEPT), &f.limits), WF_ECLOSED);
    CHECK_STR(yielded(&f), "message(early) ");
    fixture_deinit(&f);
}

TEST(an_idle_websocket_owns_nothing) {
    fixture_open(&f);
    peer_sends_text(&f, "hello");
    settle(&f);
    wf_link_send(&f.link, WF_OP_TEXT, "answer", 6);
    CHECK_STR(peer_frames(&f), "T(answer) ");
    CHECK_EQ(wf_link_memory(&f.link), 0);
    wf_outq_pool_deinit(&f.env.pool);
    CHECK_EQ(test_mem_live(), f.live_idle);
    fixture_deinit(&f);
}

/* ---- closing, RFC 6455 5.5.1, 7 ---- */

TEST(the_peers_close_is_answered_with_its_code) {
    fixture_open(&f);
    peer_sends(&f, 0x88, "\x0f\xa0reason", 8);
    CHECK_STR(peer_frames(&f), "C4000() FIN");
    CHECK_STR(yielded(&f), "ended ");
    CHECK(wf_link_end_of(&f.link)->by_peer && wf_link_end_of(&f.link)->fault.status == 0);
    CHECK_EQ(wf_link_end_of(&f.link)->sent_code, 4000);
    CHECK_EQ(wf_link_end_of(&f.link)->received_code, 4000);
    CHECK_STR(wf_link_end_of(&f.link)->reason, "reason");
    fixture_deinit(&f);
}

TEST(a_close_without_a_code_is_answered_without_one) {
    fixture_open(&f);
    peer_sends(&f, 0x88, "", 0);
    CHECK_STR(peer_frames(&f), "C() FIN");
    CHECK_EQ(wf_link_end_of(&f.link)->received_code, 1005);
    CHECK(wf_link_end_of(&f.link)->reason == NULL);
    fixture_deinit(&f);
}

TEST(our_close_waits_for_the_peers) {
    fixture_open(&f);
    CHECK_EQ(wf_link_close(&f.link, 1001, "bye"), WF_OK);
    CHECK_EQ(wf_link_close(&f.link, 1001, "bye"), WF_ECLOSED);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "late", 4), WF_ECLOSED);
    CHECK_STR(peer_frames(&f), "C1001(bye) ");
    peer_sends_text(&f, "under way");
    peer_sends(&f, 0x89, "p", 1);
    CHECK_STR(peer_frames(&f), "");
    CHECK_STR(yielded(&f), "");
    peer_sends(&f, 0x88, "\x03\xe9", 2);
    CHECK_STR(peer_frames(&f), "FIN");
    CHECK_STR(yielded(&f), "ended ");
    CHECK(!wf_link_end_of(&f.link)->by_peer && wf_link_end_of(&f.link)->fault.status == 0);
    fixture_deinit(&f);
}

TEST(both_sides_may_close_at_once) {
    fixture_open(&f);
    peer_sends(&f, 0x88, "\x03\xe8", 2);
    CHECK_EQ(wf_link_close(&f.link, 1001, NULL), WF_OK);
    CHECK_STR(peer_frames(&f), "C1001() FIN");
    CHECK_STR(yielded(&f), "ended ");
    CHECK_EQ(wf_link_end_of(&f.link)->sent_code, 1001);
    CHECK_EQ(wf_link_end_of(&f.link)->received_code, 1000);
    fixture_deinit(&f);
}

TEST(a_close_that_is_never_answered_has_an_end) {
    fixture_open(&f);
    wf_link_close(&f.link, 1000, NULL);
    CHECK_STR(peer_frames(&f), "C1000() ");
    pass(&f, 4999);
    CHECK_STR(yielded(&f), "");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "the closing handshake was not finished in time");
    fixture_deinit(&f);
}

TEST(what_was_queued_before_close_goes_before_it) {
    fixture_open(&f);
    wf_link_send(&f.link, WF_OP_TEXT, "last", 4);
    wf_link_close(&f.link, 1000, NULL);
    CHECK_STR(peer_frames(&f), "T(last) C1000() ");
    fixture_deinit(&f);
}

TEST(codes_and_reasons_that_may_not_travel_are_refused) {
    char reason[130];
    fixture_open(&f);
    memset(reason, 'r', sizeof reason);
    reason[124] = '\0';
    CHECK_EQ(wf_link_close(&f.link, 1005, NULL), WF_EINVAL);
    CHECK_EQ(wf_link_close(&f.link, 999, NULL), WF_EINVAL);
    CHECK_EQ(wf_link_close(&f.link, 1000, reason), WF_EINVAL);
    CHECK_EQ(wf_link_close(&f.link, 1000, "\xff"), WF_EINVAL);
    CHECK_EQ(wf_link_close(&f.link, 0, "reason"), WF_EINVAL);
    reason[123] = '\0';
    CHECK_EQ(wf_link_close(&f.link, 1000, reason), WF_OK);
    fixture_deinit(&f);
}

TEST(a_websocket_cut_off_ends_as_a_fault) {
    fixture_open(&f);
    peer_sends_text(&f, "last words");
    shutdown(f.peer, SHUT_WR);
    CHECK_STR(yielded(&f), "message(last words) ended ");
    CHECK(strncmp(wf_link_end_of(&f.link)->fault.rule, "RFC6455/7.1.5", 13) == 0);
    CHECK_EQ(wf_link_end_of(&f.link)->sent_code, 0);
    fixture_deinit(&f);
}

/* ---- faults ---- */

static const struct {
    const char *name, *bytes;
    size_t len;
    const char *closing;
} faults[] = {
    {"unmasked", "\x81\x01x", 3, "C1002(RFC6455/5.1: client frame is not masked) FIN"},
    {"unknown_opcode", "\x83\x80\0\0\0\0", 6, "C1002(RFC6455/5.2: unknown opcode) FIN"},
    {"not_utf8", "\x81\x81\0\0\0\0\xff", 7, "C1007(RFC6455/8.1: text is not UTF-8) FIN"},
    {"too_big", "\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0", 14, "C1009(message over message_bytes_max) FIN"},
    {"bad_close", "\x88\x81\0\0\0\0\x03", 7, "C1002(RFC6455/5.5.1: close payload of one byte) FIN"},
};

TEST(a_fault_puts_its_code_on_the_wire_and_then_fin) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        test_context("%s", faults[i].name);
        fixture_open(&f);
        peer_writes(&f, faults[i].bytes, faults[i].len);
        CHECK_STR(peer_frames(&f), faults[i].closing);
        CHECK_EQ(f.link.stage, WF_LINK_LINGER);
        peer_sends_text(&f, "still talking"); /* no reset comes of it */
        settle(&f);
        CHECK_STR(yielded(&f), "");
        CHECK_EQ(wf_link_memory(&f.link), 0);
        if (i & 1)
            peer_closes(&f);
        else
            pass(&f, 2000);
        CHECK_STR(yielded(&f), "ended ");
        CHECK(wf_link_end_of(&f.link)->fault.close_code >= 1002);
        fixture_deinit(&f);
    }
}

/* UPGRADE and what follows it, in one packet. */
static void peer_upgrades_with(const void *frames, size_t len) {
    wf_buf bytes = WF_BUF_INIT;
    wf_buf_append_str(&bytes, UPGRADE);
    wf_buf_append(&bytes, frames, len);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
}

static void talk_at_open(struct fixture *it) {
    CHECK_EQ(wf_link_ping(&it->link), WF_OK);
    CHECK_EQ(wf_link_send(&it->link, WF_OP_TEXT, "welcome", 7), WF_OK);
    CHECK_EQ(publish(it, "\x81\x03xyz", 5), WF_OK);
}

TEST(a_fault_in_the_packet_of_the_handshake_comes_after_the_101) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults * 2; i++) {
        test_context("%s, %s", faults[i / 2].name, i & 1 ? "the application talks" : "nobody talks");
        fixture_init(&f);
        f.on_open = i & 1 ? talk_at_open : NULL;
        peer_upgrades_with(faults[i / 2].bytes, faults[i / 2].len);
        peer_reads_accept(&f);
        CHECK_STR(peer_frames(&f), faults[i / 2].closing);
        pass(&f, 2000);
        CHECK_STR(yielded(&f), "request(/chat) ended ");
        CHECK_EQ(wf_link_end_of(&f.link)->sent_code, wf_link_end_of(&f.link)->fault.close_code);
        fixture_deinit(&f);
    }
}

TEST(a_peer_that_has_said_all_is_not_lingered_for) {
    fixture_open(&f);
    peer_sends(&f, 0x83, "bad", 3);
    shutdown(f.peer, SHUT_WR);
    CHECK_STR(peer_frames(&f), "C1002(RFC6455/5.2: unknown opcode) FIN");
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

/* Fills the socket until the kernel takes no more. */
static void stop_up(void) {
    static const char block[16384];
    for (int i = 0; i < 1000 && !f.link.in_flight; i++) {
        CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, sizeof block), WF_OK);
        turn(&f);
    }
    CHECK(f.link.in_flight);
}

TEST(a_peer_that_talks_on_after_its_fault_and_does_not_read_is_borne) {
    fixture_open(&f);
    stop_up();
    wf_buf bytes = WF_BUF_INIT;
    put_frame(&bytes, 0x83, "bad", 3);
    put_frame(&bytes, 0x81, "more behind it", 14);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    settle(&f);
    CHECK_EQ(f.link.stage, WF_LINK_CLOSING);
    peer_sends_text(&f, "and more");
    settle(&f);
    peer_sends_text(&f, "and more");
    settle(&f);
    const char *frames = peer_frames(&f);
    const char *closing = strstr(frames, "C1002(RFC6455/5.2: unknown opcode) FIN");
    CHECK(closing != NULL);
    fixture_deinit(&f);
}

TEST(nothing_is_published_behind_our_close) {
    fixture_open(&f);
    wf_blob *blob = wf_blob_new(5, NULL);
    memcpy(blob->data, "\x81\x03xyz", 5);
    CHECK_EQ(wf_outq_publish(&f.link.q, blob), WF_OK);
    wf_link_close(&f.link, 1000, NULL);
    CHECK(wf_outq_publish(&f.link.q, blob) != WF_OK);
    CHECK_STR(peer_frames(&f), "T(xyz) C1000() ");
    CHECK(wf_outq_publish(&f.link.q, blob) != WF_OK);
    wf_link_abort(&f.link);
    CHECK(wf_outq_publish(&f.link.q, blob) != WF_OK);
    CHECK_EQ(blob->refs, 1);
    wf_blob_unref(blob);
    fixture_deinit(&f);
}

static void abort_at_message(struct fixture *it, const wf_ws_event *message) {
    uint8_t first = message->data[0];
    wf_link_abort(&it->link);
    CHECK_EQ(wf_link_send(&it->link, WF_OP_TEXT, "x", 1), WF_ECLOSED);
    CHECK_EQ(message->data[0], first); /* the payload lives until the next pull */
    say(it, "message", NULL, 0);
}

TEST(aborting_inside_a_message_is_safe) {
    for (int held = 0; held < 2; held++) {
        wf_buf bytes = WF_BUF_INIT;
        fixture_open(&f);
        f.on_message = abort_at_message;
        put_frame(&bytes, 0x81, "one", 3);
        put_frame(&bytes, 0x81, "two", 3);
        peer_writes(&f, bytes.data, bytes.len / (held ? 2 : 1) + (size_t)held * 2);
        settle(&f);
        CHECK_STR(yielded(&f), "message ended ");
        CHECK_EQ(f.link.stage, WF_LINK_DEAD);
        wf_buf_deinit(&bytes);
        fixture_deinit(&f);
    }
}

static void close_at_message(struct fixture *it, const wf_ws_event *message) {
    say(it, "message", message->data, message->len);
    CHECK_EQ(wf_link_close(&it->link, 1000, NULL), WF_OK);
}

TEST(closing_inside_a_message_ends_the_messages) {
    wf_buf bytes = WF_BUF_INIT;
    fixture_open(&f);
    f.on_message = close_at_message;
    put_frame(&bytes, 0x81, "one", 3);
    put_frame(&bytes, 0x81, "two", 3);
    put_frame(&bytes, 0x88, "\x03\xe8", 2);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    CHECK_STR(yielded(&f), "message(one) ended ");
    CHECK_STR(peer_frames(&f), "C1000() FIN");
    fixture_deinit(&f);
}
