/*
 * What a WebSocket on a link does over time: pings, heartbeats, stalls, an open fragmented message, and no
 * memory. See link_help.h.
 */
#include "link_help.h"

static fixture f;

/* ---- pings, RFC 6455 5.5.2, 5.5.3 ---- */

TEST(a_ping_is_answered_with_its_payload) {
    fixture_open(&f);
    peer_sends(&f, 0x89, "Hello", 5);
    peer_sends(&f, 0x89, "", 0);
    CHECK_STR(peer_frames(&f), "O(Hello) O() ");
    CHECK_STR(yielded(&f), "");
    fixture_deinit(&f);
}

TEST(ten_pings_are_ten_pongs_in_their_order) {
    wf_buf bytes = WF_BUF_INIT;
    fixture_open(&f);
    for (int i = 0; i < 10; i++)
        put_frame(&bytes, 0x89, &"0123456789"[i], 1);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    CHECK_STR(peer_frames(&f), "O(0) O(1) O(2) O(3) O(4) O(5) O(6) O(7) O(8) O(9) ");
    fixture_deinit(&f);
}

TEST(a_pong_goes_ahead_of_data_that_waits) {
    fixture_open(&f);
    wf_link_send(&f.link, WF_OP_TEXT, "data", 4);
    wf_outq_ready_remove(&f.link.q); /* not flushed yet */
    peer_sends(&f, 0x89, "p", 1);
    CHECK_STR(peer_frames(&f), "O(p) T(data) ");
    fixture_deinit(&f);
}

TEST(a_pong_that_fills_the_queue_keeps_what_is_behind_it) {
    wf_buf bytes = WF_BUF_INIT;
    fixture_open(&f);
    f.link.q.bytes_max = 1;
    f.echoes = true; /* and no echo may find the queue full */
    for (int i = 0; i < 3; i++) {
        put_frame(&bytes, 0x89, "p", 1);
        put_frame(&bytes, 0x81, "behind", 6);
    }
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    CHECK_STR(peer_frames(&f), "O(p) T(behind) O(p) T(behind) O(p) T(behind) ");
    fixture_deinit(&f);
}

TEST(a_flood_of_pings_rests_and_nothing_behind_it_is_lost) {
    enum { PINGS = 100 };
    wf_buf bytes = WF_BUF_INIT;
    fixture_open(&f);
    for (int i = 0; i < PINGS; i++)
        put_frame(&bytes, 0x89, "p", 1);
    put_frame(&bytes, 0x81, "behind", 6);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    CHECK_STR(yielded(&f), "");
    CHECK(f.link.deadlines.resting);
    CHECK(f.env.input_bytes > 0);
    size_t pongs = strlen(peer_frames(&f)) / strlen("O(p) ");
    CHECK_EQ(pongs, WF_OUTQ_URGENT_MAX); /* of the 32 that were read the last stand for the rest */
    uint64_t waited_ms = 0;
    for (; waited_ms < 20000 && strlen(f.yielded) == 0; waited_ms += 50) {
        pass(&f, 50);
        peer_frames(&f);
    }
    CHECK_EQ(waited_ms, (PINGS - WF_PING_BURST + 1) * 100);
    CHECK_STR(yielded(&f), "message(behind) ");
    CHECK(!f.link.deadlines.resting);
    CHECK_EQ(f.env.input_bytes, 0);
    peer_sends_text(&f, "again");
    CHECK_STR(yielded(&f), "message(again) ");
    fixture_deinit(&f);
}

/* ---- heartbeat ---- */

static void read_ping(uint8_t nonce[8]) {
    settle(&f);
    peer_reads(&f);
    CHECK_EQ(f.read_len, 10);
    CHECK(f.read[0] == 0x89 && f.read[1] == 8);
    memcpy(nonce, f.read + 2, 8);
    f.read_len = 0;
}

TEST(a_silent_peer_is_pinged_and_lives_by_its_pong) {
    uint8_t nonce[8], other[8];
    fixture_open(&f);
    pass(&f, 24999);
    CHECK_STR(peer_frames(&f), "");
    pass(&f, 1);
    read_ping(nonce);
    CHECK_EQ(f.link.rtt_ns, 0);
    pass(&f, 7000);
    peer_sends(&f, 0x8a, (const char *)nonce, 8);
    CHECK_STR(yielded(&f), "pong ");
    CHECK(f.link.rtt_ns > 0);
    pass(&f, 24999);
    CHECK_STR(peer_frames(&f), "");
    pass(&f, 1);
    read_ping(other);
    CHECK(memcmp(nonce, other, 8) != 0);
    fixture_deinit(&f);
}

TEST(a_wrong_pong_does_not_count) {
    uint8_t nonce[8];
    fixture_open(&f);
    pass(&f, 25000);
    read_ping(nonce);
    peer_sends(&f, 0x8a, (const char *)nonce, 7);
    nonce[3] ^= 1;
    peer_sends(&f, 0x8a, (const char *)nonce, 8);
    peer_sends(&f, 0x8a, "", 0);
    CHECK_STR(yielded(&f), "");
    pass(&f, 8000);
    CHECK_STR(peer_frames(&f), "C1008(ping_timeout: the peer does not answer our ping) FIN");
    fixture_deinit(&f);
}

/* Both are due at once: the gate, behind which the pong rests, and the end for want of a pong. */
TEST(a_pong_that_rested_here_is_not_late) {
    uint8_t nonce[8];
    wf_buf bytes = WF_BUF_INIT;
    fixture_open(&f);
    CHECK_EQ(wf_link_ping(&f.link), WF_OK);
    read_ping(nonce);
    for (int i = 0; i < WF_PING_BURST; i++)
        put_frame(&bytes, 0x89, "p", 1);
    put_frame(&bytes, 0x8a, nonce, 8);
    peer_writes(&f, bytes.data, bytes.len);
    wf_buf_deinit(&bytes);
    CHECK_STR(yielded(&f), "");
    CHECK(f.link.deadlines.resting);
    pass(&f, 9000);
    CHECK_STR(yielded(&f), "pong ");
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    fixture_deinit(&f);
}

TEST(a_pong_counts_once) {
    uint8_t nonce[8];
    fixture_open(&f);
    CHECK_EQ(wf_link_ping(&f.link), WF_OK);
    CHECK_EQ(wf_link_ping(&f.link), WF_FULL);
    read_ping(nonce);
    peer_sends(&f, 0x8a, (const char *)nonce, 8);
    peer_sends(&f, 0x8a, (const char *)nonce, 8);
    CHECK_STR(yielded(&f), "pong ");
    fixture_deinit(&f);
}

TEST(a_peer_that_talks_is_not_pinged) {
    fixture_open(&f);
    for (int i = 0; i < 10; i++) {
        pass(&f, 20000);
        peer_sends_text(&f, "x");
        settle(&f);
    }
    CHECK_STR(peer_frames(&f), "");
    fixture_deinit(&f);
}

/* ---- stalls ---- */

TEST(a_message_that_does_not_go_on_ends_in_1008) {
    fixture_open(&f);
    f.limits.intervals.ping_interval_ms = WF_NEVER;
    peer_sends(&f, 0x01, "begun", 5);
    settle(&f);
    for (int i = 0; i < 5; i++) {
        pass(&f, 29000);
        peer_sends(&f, 0x00, "more", 4); /* each bit of progress counts anew */
        settle(&f);
    }
    CHECK_STR(peer_frames(&f), "");
    pass(&f, 20000);
    peer_sends(&f, 0x8a, "not progress", 12);
    settle(&f);
    pass(&f, 9999);
    CHECK_STR(peer_frames(&f), "");
    pass(&f, 1);
    CHECK_STR(peer_frames(&f), "C1008(message_timeout: a message was begun and does not go on) FIN");
    fixture_deinit(&f);
}

/* ---- a message in fragments of ours ---- */

TEST(what_is_published_waits_for_the_last_fragment) {
    fixture_open(&f);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "one", 3, false), WF_OK);
    CHECK_EQ(publish(&f, "\x81\x03xyz", 5), WF_OK);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "no", 2), WF_EINVAL);
    peer_sends(&f, 0x89, "p", 1);
    CHECK_STR(peer_frames(&f), "O(p) -T(one) ");
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "two", 3, false), WF_OK);
    CHECK_STR(peer_frames(&f), "-c(two) ");
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "", 0, true), WF_OK);
    CHECK_STR(peer_frames(&f), "c() T(xyz) ");
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "yes", 3), WF_OK);
    CHECK_STR(peer_frames(&f), "T(yes) ");
    fixture_deinit(&f);
}

/* Every kind of frame, by every way that leads to the wire. */
TEST(what_a_server_sends_is_never_masked) {
    static const uint8_t firsts[] = {0x89, 0x8a, 0x81, 0x82, 0x01, 0x00, 0x80, 0x82, 0x88};
    fixture_open(&f);
    CHECK_EQ(wf_link_ping(&f.link), WF_OK);
    peer_sends(&f, 0x89, "p", 1);
    settle(&f);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "text", 4), WF_OK);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, "\0\xff", 2), WF_OK);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "fr", 2, false), WF_OK);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "ag", 2, false), WF_OK);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "ment", 4, true), WF_OK);
    CHECK_EQ(publish(&f, "\x82\x01x", 3), WF_OK);
    CHECK_EQ(wf_link_close(&f.link, 1000, "bye"), WF_OK);
    settle(&f);
    peer_reads(&f);
    size_t at = 0, count = 0;
    for (; at < f.read_len; count++) {
        CHECK(count < sizeof firsts);
        CHECK_EQ(f.read[at], firsts[count]); /* FIN, no reserved bit, the opcode */
        CHECK_EQ(f.read[at + 1] & 0x80, 0);
        at += 2u + f.read[at + 1];
    }
    CHECK_EQ(at, f.read_len);
    CHECK_EQ(count, sizeof firsts);
    fixture_deinit(&f);
}

TEST(closing_inside_a_fragmented_message_drops_what_is_held) {
    fixture_open(&f);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "one", 3, false), WF_OK);
    CHECK_EQ(publish(&f, "\x81\x03xyz", 5), WF_OK);
    CHECK_EQ(wf_link_close(&f.link, 1000, NULL), WF_OK);
    CHECK_STR(peer_frames(&f), "-T(one) C1000() ");
    fixture_deinit(&f);
}

TEST(the_end_inside_a_fragmented_message_is_told_as_one) {
    fixture_open(&f);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "one", 3, false), WF_OK);
    wf_link_abort(&f.link);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "x", 1), WF_ECLOSED);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "x", 1, true), WF_ECLOSED);
    fixture_deinit(&f);
}

/* ---- permessage-deflate, RFC 7692 6 ---- */

static const wf_pmd_params all_takeover = {.server_max_window_bits = 15, .client_max_window_bits = 15};

static void fixture_open_deflating(const wf_pmd_params *params) {
    fixture_open(&f);
    CHECK_EQ(wf_link_deflate(&f.link, params), WF_OK);
}

/* What was read, frame by frame, as "c1(text)": the first byte and the payload, inflated where the frame is marked. */
static const char *peer_inflates(wf_inflate *in) {
    static char words[WORDS];
    size_t at = 0, used = 0;
    settle(&f);
    peer_reads(&f);
    words[0] = '\0';
    while (at < f.read_len) {
        wf_frame frame;
        size_t head_len = wf_frame_head_bytes(f.read + at);
        wf_frame_decode(f.read + at, &frame);
        wf_buf message = WF_BUF_INIT;
        const uint8_t *data = f.read + at + head_len;
        at += head_len + (size_t)frame.len;
        CHECK(at <= f.read_len && !frame.masked);
        if (frame.rsv)
            CHECK_EQ(wf_inflate_piece(in, data, (size_t)frame.len, true, &message, 1 << 20), WF_OK);
        else
            CHECK_EQ(wf_buf_append(&message, data, (size_t)frame.len), WF_OK);
        used += (size_t)snprintf(words + used, 200, "%02x(%.*s) ", f.read[at - head_len - frame.len],
                                 frame.opcode == WF_OP_PING ? 0 : (int)message.len, (const char *)message.data);
        CHECK(used + 400 < sizeof words);
        wf_buf_deinit(&message);
    }
    f.read_len = 0;
    return words;
}

#define SAID "one and one and one"

/* Every kind of frame, by every way that leads to the wire: the mark is on the first frame of what is compressed. */
TEST(the_mark_is_on_compressed_messages_and_on_nothing_else) {
    for (int takeover = 0; takeover <= 1; takeover++) {
        wf_pmd_params params = all_takeover;
        params.server_no_context_takeover = !takeover;
        test_context("takeover %d", takeover);
        fixture_open_deflating(&params);
        wf_inflate in;
        wf_inflate_init(&in, &f.env.codec, takeover ? 15 : 0);
        CHECK_EQ(wf_link_ping(&f.link), WF_OK);
        peer_sends(&f, 0x89, SAID, strlen(SAID));
        CHECK_STR(peer_inflates(&in), "89() 8a(" SAID ") ");
        CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_OK);
        CHECK_EQ(wf_link_send_plain(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_OK);
        CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, SAID, strlen(SAID)), WF_OK);
        CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, "x", 1), WF_OK);
        CHECK_EQ(wf_link_send_plain(&f.link, WF_OP_BINARY, SAID, strlen(SAID)), WF_OK);
        CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_OK);
        CHECK_STR(peer_inflates(&in), "c1(" SAID ") 81(" SAID ") c2(" SAID ") 81(x) 82(" SAID ") c1(" SAID ") ");
        CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, SAID, strlen(SAID), false), WF_OK);
        CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, SAID, strlen(SAID), false), WF_OK);
        CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, SAID, strlen(SAID), true), WF_OK);
        CHECK_STR(peer_inflates(&in), "01(" SAID ") 00(" SAID ") 80(" SAID ") ");
        CHECK_EQ(publish(&f, "\x82\x13" SAID, 2 + strlen(SAID)), WF_OK);
        CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, SAID, strlen(SAID)), WF_OK);
        /* what is published is compressed here where each reader has a context, and otherwise where it is published */
        CHECK_STR(peer_inflates(&in), takeover ? "c2(" SAID ") c1(" SAID ") " : "82(" SAID ") c1(" SAID ") ");
        CHECK_EQ(wf_link_close(&f.link, 1000, SAID SAID SAID), WF_OK);
        CHECK_STR(peer_inflates(&in), "88(\x03\xe8" SAID SAID SAID ") ");
        wf_inflate_deinit(&in);
        fixture_deinit(&f);
    }
}

TEST(what_comes_compressed_is_handed_over_as_it_was) {
    fixture_open_deflating(&all_takeover);
    peer_sends(&f, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    peer_sends(&f, 0x81, "plain", 5);
    peer_sends(&f, 0x41, "\xf2\x00", 2);
    peer_sends(&f, 0x89, "p", 1);
    peer_sends(&f, 0x80, "\x11\x00\x00", 3);
    CHECK_STR(yielded(&f), "message(Hello) message(plain) message(Hello) ");
    CHECK_STR(peer_frames(&f), "O(p) ");
    fixture_deinit(&f);
}

TEST(a_mark_where_none_may_be_ends_in_1002) {
    static const uint8_t firsts[] = {0xc9, 0xca, 0xc8, 0xc0};
    for (size_t i = 0; i < sizeof firsts; i++) {
        test_context("first byte %02x", firsts[i]);
        fixture_open_deflating(&all_takeover);
        if (firsts[i] == 0xc0)
            peer_sends(&f, 0x41, "\xf2\x48", 2);
        peer_sends(&f, firsts[i], "", 0);
        CHECK_STR(peer_frames(&f), "C1002(RFC7692/6.1: compressed mark on a control frame or a later fragment) FIN");
        CHECK_STR(wf_link_end_of(&f.link)->fault.rule,
                  "RFC7692/6.1: compressed mark on a control frame or a later fragment");
        fixture_deinit(&f);
    }
}

TEST(what_is_corrupt_ends_in_1007) {
    fixture_open_deflating(&all_takeover);
    peer_sends(&f, 0xc1, "\x07", 1);
    CHECK_STR(peer_frames(&f), "C1007(RFC7692/7.2.2: compressed data is corrupt) FIN");
    fixture_deinit(&f);
}

static size_t heard, heard_bytes;

static void count_message(fixture *it, const wf_ws_event *message) {
    (void)it;
    heard++;
    heard_bytes += message->len;
}

/* 100 times 64 KiB in 8 KiB: each turn a few, so that others come in between; all of them in the end. */
TEST(little_input_that_makes_much_is_spread_over_turns) {
    enum { MESSAGES = 100, LONG = 65536 };
    static uint8_t zeros[LONG];
    for (int closing = 0; closing <= 1; closing++) {
        wf_deflate out;
        const uint8_t *bomb;
        size_t len;
        fixture_open_deflating(&all_takeover);
        f.on_message = count_message;
        wf_deflate_init(&out, &f.env.codec, 15, false, 1);
        CHECK_EQ(wf_deflate_message(&out, zeros, LONG, &bomb, &len), WF_OK);
        CHECK(len < 220);
        uint8_t frames[MESSAGES * 230], *at = frames;
        for (int i = 0; i < MESSAGES; i++) {
            at += wf_frame_encode(at, &(wf_frame) {.fin = true, .rsv = 4, .opcode = 2, .masked = true, .len = len});
            memcpy(at, bomb, len);
            at += len;
        }
        heard = heard_bytes = 0;
        if (closing) /* what is not wanted any more is inflated all the same, to find the close frame behind it */
            CHECK_EQ(wf_link_close(&f.link, 1000, "bye"), WF_OK);
        CHECK_EQ(send(f.peer, frames, (size_t)(at - frames), 0), at - frames);
        size_t turns = 0;
        for (uint32_t before = wf_link_pmd_of(&f.link)->in.work; turn(&f);
             before = wf_link_pmd_of(&f.link)->in.work, turns++)
            CHECK(wf_link_pmd_of(&f.link)->in.work - before <= 2 * WF_LINK_WORK_PER_TURN);
        CHECK(turns >= MESSAGES * LONG / WF_LINK_WORK_PER_TURN / 2);
        CHECK_EQ(heard, closing ? 0 : MESSAGES);
        CHECK_EQ(heard_bytes, closing ? 0 : (size_t)MESSAGES * LONG);
        CHECK(f.link.held == NULL);
        wf_deflate_deinit(&out);
        fixture_deinit(&f);
    }
}

/* ---- no memory ---- */

/* A whole conversation. Whatever fails, it ends in order. */
static void converse(void) {
    send(f.peer, UPGRADE, 20, MSG_NOSIGNAL);
    settle(&f);
    send(f.peer, &UPGRADE[20], strlen(UPGRADE) - 20, MSG_NOSIGNAL);
    settle(&f);
    static const char *const frames[] = {"one", "two", "three"};
    for (int i = 0; i < 3 && f.link.stage == WF_LINK_OPEN; i++) {
        static uint8_t frame[64] = {0x81, 0x80 | 5};
        send(f.peer, frame, 3 + (size_t)i, MSG_NOSIGNAL); /* cut inside the head, then inside the payload */
        settle(&f);
        send(f.peer, frame + 3 + i, 11 - 3 - (size_t)i, MSG_NOSIGNAL);
        settle(&f);
        frame[0] = i == 0 ? 0x89 : 0x01;
        wf_link_send(&f.link, WF_OP_TEXT, frames[i], strlen(frames[i]));
        settle(&f);
    }
    if (f.link.stage == WF_LINK_OPEN)
        wf_link_ping(&f.link);
    send(f.peer, "\x88\x85\0\0\0\0\x03\xe8xyz", 11, MSG_NOSIGNAL);
    settle(&f);
    peer_reads(&f);
    pass(&f, 60000);
}

TEST(without_memory_a_link_ends_in_order) {
    bool failed = true;
    size_t nth = 1;
    for (; failed && nth < 200; nth++) {
        test_context("allocation %zu fails", nth);
        fixture_init(&f);
        test_mem_fail_at(nth);
        converse();
        failed = test_mem_calls() >= nth;
        test_mem_fail_at(0);
        CHECK_EQ(f.link.stage, WF_LINK_DEAD);
        CHECK(strstr(f.yielded, "ended ") != NULL);
        CHECK(f.fin);
        fixture_deinit(&f);
    }
    CHECK(!failed && nth > 5);
}

/* ---- what a message costs ---- */

TEST(short_messages_allocate_nothing) {
    static const size_t lengths[] = {0, 1, 20, 125, 126, 512, 4000};
    fixture_open(&f);
    f.echoes = true;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (int text = 0; text < 2; text++) {
            char payload[4001];
            test_context("%zu bytes, text %d", lengths[i], text);
            memset(payload, 'x', sizeof payload);
            peer_sends(&f, text ? 0x81 : 0x82, payload, lengths[i]);
            settle(&f); /* whatever is taken once is taken now */
            for (int messages = 0; messages < 20; messages++) {
                peer_sends(&f, text ? 0x81 : 0x82, payload, lengths[i]);
                size_t sending = test_mem_calls(); /* the peer's own */
                settle(&f);
                CHECK_EQ(test_mem_calls(), sending);
            }
            peer_reads(&f);
        }
    }
    fixture_deinit(&f);
}

/* Long ones are answered from where they lie: the loop's buffer, or the one they were gathered in. */
TEST(long_messages_come_back_as_they_were) {
    enum { LONGEST = 300000 };
    static uint8_t payload[LONGEST];
    static const size_t lengths[] = {4095, 4096, 5000, 16384, 65535, 65536, 70000, LONGEST};
    for (size_t i = 0; i < LONGEST; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof lengths[0]; i++) {
        wf_buf bytes = WF_BUF_INIT, want = WF_BUF_INIT;
        uint8_t head[WF_FRAME_HEAD_MAX];
        size_t len = lengths[i / 2], sent = 0;
        test_context("%zu bytes", len);
        fixture_open(&f);
        f.echoes = true;
        f.flushes_soon = i & 1;
        f.limits.ws.message_bytes_max = LONGEST;
        f.limits.queue_bytes_max = f.link.q.bytes_max = 100000;
        for (int k = 0; k < 5; k++) {
            put_frame(&bytes, 0x82, payload + k, len - (size_t)k);
            wf_frame frame = {.fin = true, .opcode = WF_OP_BINARY, .len = len - (size_t)k};
            CHECK_EQ(wf_buf_append(&want, head, wf_frame_encode(head, &frame)), WF_OK);
            CHECK_EQ(wf_buf_append(&want, payload + k, len - (size_t)k), WF_OK);
        }
        for (int round = 0; round < 20000 && f.read_len < want.len; round++) {
            ssize_t wrote = sent < bytes.len ? send(f.peer, bytes.data + sent, bytes.len - sent, MSG_DONTWAIT) : 0;
            sent += wrote > 0 ? (size_t)wrote : 0;
            settle(&f);
            if (round > 20)
                peer_reads(&f);
        }
        CHECK_BYTES(f.read, f.read_len, want.data, want.len);
        wf_buf_deinit(&bytes);
        wf_buf_deinit(&want);
        fixture_deinit(&f);
    }
}
