/*
 * A WebSocket whose peer reads slowly or not at all: what waits is bounded, reading rests, a standstill ends
 * it and progress does not. See link_help.h.
 */
#include "link_help.h"

static fixture f;

/* ---- deadlines ---- */

/* Fills the socket and then the queue. */
static void fill(void) {
    static const char block[65536];
    for (int i = 0; i < 1000 && !(f.link.in_flight && wf_outq_full(&f.link.q)); i++)
        if (wf_link_send(&f.link, WF_OP_BINARY, block, sizeof block) != WF_OK)
            settle(&f);
    CHECK(f.link.in_flight && wf_outq_full(&f.link.q));
}

TEST(output_that_does_not_go_on_ends_it) {
    static const char block[65536];
    fixture_open(&f);
    f.limits.intervals.ping_interval_ms = WF_NEVER;
    for (int i = 0; i < 100 && !f.link.in_flight; i++) {
        wf_link_send(&f.link, WF_OP_BINARY, block, sizeof block);
        turn(&f);
    }
    CHECK(f.link.in_flight);
    pass(&f, 29999);
    CHECK_STR(yielded(&f), "");
    pass(&f, 1);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ETIMEDOUT);
    fixture_deinit(&f);
}

TEST(a_slow_reader_that_goes_on_is_kept) {
    static const char block[65536];
    fixture_open(&f);
    f.limits.intervals.ping_interval_ms = WF_NEVER;
    for (int i = 0; i < 15; i++)
        CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, sizeof block), WF_OK);
    settle(&f);
    for (int i = 0; i < 4; i++) {
        pass(&f, 29000);
        peer_sips(&f);
    }
    CHECK_STR(yielded(&f), "");
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    fixture_deinit(&f);
}

/* Reading rests because the queue is full: the peer is not to blame for what we do not read. */
TEST(a_slow_reader_is_not_blamed_for_what_we_do_not_read) {
    enum { BYTES = 4 << 20 };
    uint8_t *large = calloc(1, BYTES);
    CHECK(large != NULL);
    fixture_open(&f);
    f.link.q.bytes_max = 20000;
    peer_sends(&f, 0x01, "begun", 5);
    settle(&f);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, large, BYTES), WF_OK);
    free(large);
    settle(&f);
    peer_sends(&f, 0x80, "ended", 5);
    for (int i = 0; i < 5; i++) {
        pass(&f, 20000);
        CHECK_EQ(f.link.stage, WF_LINK_OPEN);
        CHECK(f.link.deadlines.resting);
        peer_sips(&f);
    }
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    for (int i = 0; i < 100 && f.yielded[0] == '\0'; i++)
        peer_sips(&f);
    CHECK_STR(yielded(&f), "message(begunended) ");
    fixture_deinit(&f);
}

/* After the rest all that is awaited of the peer is awaited anew. */
TEST(when_reading_goes_on_the_peer_has_its_time_again) {
    enum { BYTES = 4 << 20 };
    for (int pinged = 0; pinged < 2; pinged++) {
        uint8_t *large = calloc(1, BYTES);
        CHECK(large != NULL);
        test_context("%s", pinged ? "a pong is awaited" : "a message is begun");
        fixture_open(&f);
        f.limits.intervals.ping_interval_ms = WF_NEVER;
        f.link.q.bytes_max = 20000;
        peer_sends(&f, 0x01, "begun", 5);
        settle(&f);
        if (pinged)
            CHECK_EQ(wf_link_ping(&f.link), WF_OK);
        CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, large, BYTES), WF_OK);
        free(large);
        settle(&f);
        peer_sends(&f, 0x8a, "", 0); /* the first that comes now is not read: reading rests */
        for (int i = 0; i < 3; i++) {
            pass(&f, 20000);
            CHECK(f.link.deadlines.resting);
            peer_sips(&f);
        }
        peer_reads(&f);
        CHECK(!f.link.deadlines.resting);
        CHECK_EQ(f.link.q.bytes, 0);
        pass(&f, pinged ? 7999 : 29999);
        CHECK_EQ(f.link.stage, WF_LINK_OPEN);
        pass(&f, 1);
        CHECK_EQ(f.link.stage, WF_LINK_LINGER);
        CHECK(strncmp(wf_link_end_of(&f.link)->fault.rule, pinged ? "ping_timeout" : "message_timeout", 12) == 0);
        fixture_deinit(&f);
    }
}

/* Our ping waits behind what the peer reads slowly: while that goes on, its pong is not late. */
TEST(a_slow_reader_that_goes_on_is_not_blamed_for_its_late_pong) {
    static const char block[65536];
    for (int goes_on = 1; goes_on >= 0; goes_on--) {
        test_context("the peer %s", goes_on ? "reads slowly" : "does not read");
        fixture_open(&f);
        f.link.q.bytes_max = 8 << 20;
        for (int i = 0; i < 64; i++)
            CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, sizeof block), WF_OK);
        settle(&f);
        CHECK(f.link.in_flight && !wf_outq_full(&f.link.q));
        pass(&f, 20000);
        peer_sips(&f); /* progress, so that the time for sending is not what ends it */
        pass(&f, 5000);
        CHECK(f.link.deadlines.ping_ms != 0);
        for (int i = 0; i < (goes_on ? 5 : 1); i++) {
            if (goes_on)
                peer_sips(&f);
            pass(&f, 7999);
            CHECK_EQ(f.link.stage, WF_LINK_OPEN);
        }
        CHECK(f.link.deadlines.sending);
        pass(&f, 1);
        CHECK_EQ(f.link.stage, WF_LINK_CLOSING);
        CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "ping_timeout: the peer does not answer our ping");
        CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ETIMEDOUT);
        fixture_deinit(&f);
    }
}

/* Nor is a ping that the loop has taken and the kernel has not. */
TEST(a_ping_that_waits_with_the_loop_is_not_late) {
    enum { BYTES = 2000 };
    static const char block[BYTES];
    int small = 4096, fit = 0;
    for (int measured = 0; measured < 2; measured++) {
        fixture_open(&f);
        f.limits.intervals.ping_interval_ms = WF_NEVER;
        setsockopt(f.link.sock.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        for (int i = 0; measured ? i < fit : !f.link.in_flight && wf_loop_memory(f.env.loop) == 0; i++) {
            CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, BYTES), WF_OK);
            settle(&f);
            fit = measured ? fit : i;
        }
        if (!measured)
            fixture_deinit(&f);
    }
    CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, BYTES), WF_OK);
    CHECK_EQ(wf_link_ping(&f.link), WF_OK);
    pass(&f, 7000);
    peer_reads(&f);
    CHECK_EQ(f.link.q.bytes + wf_loop_memory(f.env.loop), 0);
    pass(&f, 7999);
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    pass(&f, 1);
    CHECK_EQ(f.link.stage, WF_LINK_LINGER);
    CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "ping_timeout: the peer does not answer our ping");
    fixture_deinit(&f);
}

/* And when all has left at last, its time is still to come: the ping may have been the last to leave. */
TEST(a_ping_that_left_late_is_awaited_from_then) {
    static const char block[65536];
    fixture_open(&f);
    f.limits.intervals.ping_interval_ms = WF_NEVER;
    f.link.q.bytes_max = 8 << 20;
    for (int i = 0; i < 64; i++)
        CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, sizeof block), WF_OK);
    settle(&f);
    CHECK(f.link.in_flight);
    CHECK_EQ(wf_link_ping(&f.link), WF_OK);
    pass(&f, 7000);
    peer_reads(&f);
    settle(&f);
    peer_reads(&f);
    CHECK(!f.link.deadlines.sending);
    pass(&f, 7999);
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    pass(&f, 1);
    CHECK_EQ(f.link.stage, WF_LINK_LINGER);
    CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "ping_timeout: the peer does not answer our ping");
    fixture_deinit(&f);
}

/* ---- a full queue ---- */

TEST(at_its_budget_reading_rests_and_no_message_is_lost) {
    enum { MESSAGES = 3000, BYTES = 1000 };
    static uint8_t message[BYTES];
    wf_buf bytes = WF_BUF_INIT;
    fixture_open(&f);
    f.limits.queue_bytes_max = f.link.q.bytes_max = 20000;
    f.echoes = true;
    size_t sent = 0, seen = 0, at = 0, most = 0;
    for (int i = 0; i < MESSAGES; i++) {
        snprintf((char *)message, sizeof message, "%d", i);
        put_frame(&bytes, 0x82, message, sizeof message);
    }
    for (int round = 0; round < 20000 && seen < MESSAGES; round++) {
        ssize_t wrote = sent < bytes.len ? send(f.peer, bytes.data + sent, bytes.len - sent, MSG_DONTWAIT) : 0;
        sent += wrote > 0 ? (size_t)wrote : 0;
        settle(&f);
        most = f.link.q.bytes > most ? f.link.q.bytes : most;
        if (round < 10)
            continue; /* the peer only talks at first */
        peer_reads(&f);
        for (; f.read_len - at >= BYTES + 4; at += BYTES + 4) {
            CHECK(f.read[at] == 0x82 && f.read[at + 1] == 126);
            CHECK_EQ(atoi((char *)f.read + at + 4), seen++);
        }
    }
    CHECK_EQ(seen, MESSAGES);
    CHECK(most >= 20000 && most <= 20000 + BYTES + 4);
    CHECK_EQ(f.link.q.bytes, 0);
    settle(&f);
    CHECK(!f.link.deadlines.resting);
    CHECK_EQ(f.env.input_bytes, 0);
    wf_buf_deinit(&bytes);
    fixture_deinit(&f);
}

TEST(what_a_fault_gives_back_is_not_counted_while_its_close_frame_waits) {
    enum { ENOUGH = 900000 }; /* more than the kernel takes, less than the budget */
    static const char data[ENOUGH];
    fixture_open(&f);
    CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, data, ENOUGH), WF_OK);
    settle(&f);
    CHECK(f.link.in_flight);
    peer_sends(&f, 0x01, "abc", 3);
    settle(&f);
    CHECK(f.env.input_bytes > 0);
    peer_sends(&f, 0x83, "", 0);
    settle(&f);
    CHECK_EQ(f.link.stage, WF_LINK_CLOSING);
    CHECK_EQ(f.env.input_bytes, 0);
    fixture_deinit(&f);
}

TEST(a_refused_send_is_told_when_the_queue_is_empty) {
    static const char block[65536];
    fixture_open(&f);
    while (wf_link_send(&f.link, WF_OP_BINARY, block, sizeof block) == WF_OK)
        ;
    CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, 1), WF_FULL);
    CHECK_STR(yielded(&f), "");
    for (int i = 0; i < 40 && f.yielded[0] == '\0'; i++)
        peer_sips(&f);
    CHECK_STR(yielded(&f), "drained ");
    CHECK_EQ(wf_link_send(&f.link, WF_OP_BINARY, block, 1), WF_OK);
    fixture_deinit(&f);
}

TEST(an_overflow_with_the_policy_to_close_ends_in_1008) {
    fixture_open(&f);
    fill();
    CHECK_EQ(publish(&f, "\x81\x01x", 3), WF_FULL);
    settle(&f);
    CHECK_EQ(f.link.stage, WF_LINK_CLOSING);
    CHECK(strstr(peer_frames(&f), "C1008(subscriber reads too slowly: queue_bytes_max) FIN") != NULL);
    fixture_deinit(&f);
}

/* Not even a close of ours, which would look as if nothing were missing. */
TEST(a_close_does_not_hide_an_overflow) {
    fixture_open(&f);
    fill();
    CHECK_EQ(publish(&f, "\x81\x01x", 3), WF_FULL);
    CHECK_EQ(wf_link_close(&f.link, 4000, "as if nothing had been"), WF_ECLOSED);
    settle(&f);
    CHECK_EQ(wf_link_end_of(&f.link)->sent_code, 1008);
    CHECK(strstr(peer_frames(&f), "C1008(subscriber reads too slowly: queue_bytes_max) FIN") != NULL);
    fixture_deinit(&f);
}

/* ---- published messages ---- */

TEST(many_small_messages_to_a_stuck_reader_are_bounded_and_the_drops_are_seen) {
    enum { MANY = 200000 };
    fixture_open(&f);
    f.link.q.policy = WF_SLOW_DROP_NEWEST;
    size_t before = test_mem_bytes(), taken = 0;
    for (int i = 0; i < MANY; i++) {
        taken += publish(&f, "\x82\x01x", 3) == WF_OK;
        if (i % 100 == 0)
            settle(&f);
    }
    CHECK(f.link.in_flight);
    CHECK(taken < MANY);
    CHECK_EQ(wf_count_read(&f.env.pool.drops), MANY - taken); /* nothing has been read yet */
    CHECK(test_mem_bytes() - before < 3u << 20);              /* a segment and a blob each */
    CHECK(f.link.q.seg_count <= (1 << 20) / (WF_OUTQ_SEG_COST + 3) + 1);
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
    peer_reads(&f);
    CHECK_EQ(f.read_len, taken * 3);
    CHECK_EQ(f.link.q.bytes, 0);
    CHECK_EQ(f.env.pool.bytes_used, 0);
    fixture_deinit(&f);
}

/* The kernel has refused what waits, and has kept none of it: the oldest of it may still make room. */
TEST(the_oldest_are_dropped_although_the_kernel_has_refused_them) {
    enum { BEFORE = 900, AFTER = 5000, FRAME = 1004, BODY = 4 };
    static char frame[FRAME + 1] = {(char)0x82, 126, 1000 >> 8, (char)(1000 & 255)};
    fixture_open(&f);
    f.link.q.policy = WF_SLOW_DROP_OLDEST;
    size_t waiting = 0, seen = 0, head = 0;
    for (int i = 0; i < BEFORE + AFTER; i++) {
        snprintf(frame + BODY, sizeof frame - BODY, "%d", i);
        CHECK_EQ(publish(&f, frame, FRAME), WF_OK);
        if (i == BEFORE - 1) {
            settle(&f);
            CHECK(f.link.in_flight);
            waiting = f.link.q.seg_count;
            CHECK(waiting > 100);
        }
    }
    size_t most = f.link.q.seg_count;
    peer_reads(&f);
    CHECK_EQ(f.read_len % FRAME, 0);
    seen = f.read_len / FRAME;
    while (head < seen && (size_t)atoi((char *)f.read + head * FRAME + BODY) == head)
        head++;
    CHECK(head <= BEFORE - waiting + 1); /* what the kernel had, and the one that was begun */
    for (size_t i = head; i < seen; i++)
        CHECK_EQ(atoi((char *)f.read + i * FRAME + BODY), BEFORE + AFTER - (seen - i)); /* the newest, no gap */
    CHECK(seen - head + 1 >= most);
    CHECK_EQ(wf_count_read(&f.env.pool.drops), BEFORE + AFTER - seen);
    fixture_deinit(&f);
}

TEST(a_published_message_without_memory_is_told_as_an_overflow) {
    fixture_open(&f);
    wf_outq_pool_deinit(&f.env.pool); /* no segment is spare */
    wf_blob *blob = wf_blob_new(3, NULL);
    memcpy(blob->data, "\x81\x01x", 3);
    test_mem_fail_at(1);
    CHECK_EQ(wf_outq_publish(&f.link.q, blob), WF_FULL);
    test_mem_fail_at(0);
    wf_blob_unref(blob);
    CHECK_STR(peer_frames(&f), "C1008(subscriber reads too slowly: queue_bytes_max) FIN");
    fixture_deinit(&f);
}

TEST(what_is_held_does_not_keep_the_message_from_its_end) {
    static const char block[65536];
    fixture_open(&f);
    f.link.q.policy = WF_SLOW_DROP_NEWEST;
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_BINARY, "a", 1, false), WF_OK);
    CHECK_EQ(publish(&f, "\x81\x03xyz", 5), WF_OK);
    while (wf_link_send_fragment(&f.link, WF_OP_BINARY, block, sizeof block, false) == WF_OK)
        ;
    settle(&f);
    for (int i = 0; i < 40 && f.yielded[0] == '\0'; i++)
        peer_sips(&f);
    CHECK_STR(yielded(&f), "drained ");
    CHECK(!f.link.deadlines.sending); /* the kernel has all: no deadline for the peer to read */
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_BINARY, "z", 1, true), WF_OK);
    settle(&f);
    CHECK_EQ(f.link.q.bytes, 0);
    fixture_deinit(&f);
}
