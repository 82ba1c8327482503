/*
 * An answer that goes on, as bytes: how a body is laid out and ended, and cut so that it shows.
 */
#include "link_help.h"

#define HEAD "HTTP/1.1 200 OK\r\n\r\n"

static fixture f;
static const wf_str head = {HEAD, sizeof HEAD - 1};

/* As far as the head of the answer, which the peer has read. */
static void open_stream(wf_link_body body) {
    fixture_init(&f);
    f.answers = false;
    peer_writes(&f, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 28);
    CHECK_STR(yielded(&f), "request(/a) ");
    CHECK_EQ(wf_link_stream(&f.link, &head, &f.limits, body), WF_OK);
    CHECK_STR(peer_text(&f), body == WF_LINK_BODY_NONE ? HEAD "FIN" : HEAD);
}

static int say_text(const char *text) {
    return wf_link_send(&f.link, WF_OP_TEXT, text, strlen(text));
}

static int publish_text(const char *text) {
    uint8_t frame[300];
    size_t len = strlen(text), head_len = wf_frame_encode(frame, &(wf_frame) {.fin = true, .opcode = 1, .len = len});
    memcpy(frame + head_len, text, len);
    return publish(&f, (char *)frame, head_len + len);
}

TEST(what_is_sent_and_published_is_body_in_that_order) {
    static const struct {
        wf_link_body body;
        const char *bytes, *end;
    } rows[] = {
        {WF_LINK_BODY_CHUNKED, "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n11\r\nseventeen letters\r\n", "0\r\n\r\nFIN"},
        {WF_LINK_BODY_AS_IS, "onetwothreeseventeen letters", "FIN"},
    };
    for (int i = 0; i < 2; i++) {
        open_stream(rows[i].body);
        CHECK_EQ(say_text("one"), WF_OK);
        CHECK_EQ(publish_text("two"), WF_OK);
        CHECK_EQ(publish_text(""), WF_OK); /* an empty chunk would end it */
        CHECK_EQ(say_text(""), WF_OK);
        CHECK_EQ(wf_link_send_plain(&f.link, WF_OP_BINARY, "three", 5), WF_OK);
        CHECK_EQ(publish_text("seventeen letters"), WF_OK);
        CHECK_STR(peer_text(&f), rows[i].bytes);
        CHECK_EQ(publish_text(""), WF_OK);
        CHECK_STR(peer_text(&f), "");
        CHECK_EQ(wf_link_close(&f.link, 1000, "nobody hears this"), WF_OK);
        CHECK_EQ(say_text("late"), WF_ECLOSED);
        CHECK_EQ(publish_text("late"), WF_ECLOSED);
        CHECK_EQ(wf_link_close(&f.link, 1000, NULL), WF_ECLOSED);
        CHECK_EQ(wf_link_ping(&f.link), WF_ECLOSED);
        CHECK_STR(peer_text(&f), rows[i].end);
        peer_closes(&f);
        CHECK_STR(yielded(&f), "ended ");
        const wf_link_end *end = wf_link_end_of(&f.link);
        CHECK_EQ(end->sent_code, 1000);
        CHECK_EQ(end->received_code, 1000);
        CHECK_EQ(end->fault.status, 0);
        fixture_deinit(&f);
    }
}

TEST(of_head_there_is_no_body) {
    open_stream(WF_LINK_BODY_NONE);
    CHECK_EQ(say_text("x"), WF_ECLOSED);
    CHECK_EQ(publish_text("x"), WF_ECLOSED);
    peer_closes(&f);
    CHECK_STR(yielded(&f), "ended ");
    fixture_deinit(&f);
}

TEST(published_messages_wait_for_the_end_of_fragments) {
    open_stream(WF_LINK_BODY_CHUNKED);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "be", 2, false), WF_OK);
    CHECK_EQ(publish_text("P"), WF_OK);
    CHECK_EQ(say_text("x"), WF_EINVAL);
    CHECK_STR(peer_text(&f), "2\r\nbe\r\n");
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "gin", 3, true), WF_OK);
    CHECK_STR(peer_text(&f), "3\r\ngin\r\n1\r\nP\r\n");
    fixture_deinit(&f);
}

TEST(what_the_peer_sends_meanwhile_is_passed_over) {
    static char flood[300000];
    open_stream(WF_LINK_BODY_CHUNKED);
    for (size_t sent = 0; sent < sizeof flood; sent += 50000) {
        peer_writes(&f, flood + sent, 50000);
        settle(&f);
    }
    CHECK_EQ(f.env.input_bytes, 0);
    CHECK_STR(yielded(&f), "");
    CHECK_EQ(say_text("on"), WF_OK);
    CHECK_STR(peer_text(&f), "2\r\non\r\n");
    fixture_deinit(&f);
}

TEST(a_peer_that_finishes_has_left) {
    for (int ending = 0; ending <= 1; ending++) {
        static char much[900000]; /* more than the kernel takes */
        open_stream(WF_LINK_BODY_CHUNKED);
        if (ending) {
            CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, much, sizeof much), WF_OK);
            CHECK_EQ(wf_link_close(&f.link, 1000, NULL), WF_OK);
        }
        settle(&f);
        CHECK_EQ(shutdown(f.peer, SHUT_WR), 0);
        CHECK_STR(yielded(&f), "ended ");
        CHECK(wf_link_end_of(&f.link)->by_peer);
        CHECK_EQ(wf_link_end_of(&f.link)->received_code, 0);
        fixture_deinit(&f);
    }
}

TEST(who_takes_nothing_is_found) {
    static char much[900000];
    for (int ending = 0; ending <= 1; ending++) {
        open_stream(WF_LINK_BODY_CHUNKED);
        pass(&f, 1000000); /* no heartbeat, no deadline */
        CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, much, sizeof much), WF_OK);
        if (ending)
            CHECK_EQ(wf_link_close(&f.link, 1000, NULL), WF_OK);
        pass(&f, 29000);
        peer_sips(&f);
        pass(&f, 29000);
        CHECK_STR(yielded(&f), "");
        pass(&f, 1500);
        CHECK_STR(yielded(&f), "ended ");
        CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "send_timeout: the peer takes nothing");
        fixture_deinit(&f);
    }
}

TEST(a_slow_reader_is_cut_not_ended) {
    static char much[201];
    static char seen[5000000];
    memset(much, 'x', sizeof much - 1);
    open_stream(WF_LINK_BODY_CHUNKED);
    f.link.q.bytes_max = 100000;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < 20000 && !f.link.q.overflowed; i++) {
        publish_text(much);
        if (i % 100 == 0)
            settle(&f);
    }
    CHECK(f.link.q.overflowed);
    CHECK_EQ(wf_link_close(&f.link, 1000, NULL), WF_ECLOSED);
    pump(&f);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_EQ(wf_link_end_of(&f.link)->fault.close_code, 1008);
    size_t len = 0;
    for (ssize_t got; (got = recv(f.peer, seen + len, sizeof seen - len, MSG_DONTWAIT)) > 0;)
        len += (size_t)got;
    CHECK(len > 0);
    CHECK(memmem(seen, len, "\r\n0\r\n", 5) == NULL);
    fixture_deinit(&f);
}

TEST(a_full_queue_says_so_and_when_it_is_empty) {
    static char much[900000];
    open_stream(WF_LINK_BODY_AS_IS);
    f.link.q.bytes_max = 1000;
    CHECK_EQ(wf_link_send(&f.link, WF_OP_TEXT, much, sizeof much), WF_OK);
    CHECK_EQ(say_text("x"), WF_FULL);
    CHECK_EQ(wf_link_send_fragment(&f.link, WF_OP_TEXT, "x", 1, true), WF_FULL);
    settle(&f);
    peer_reads(&f);
    CHECK_EQ(f.read_len, sizeof much);
    f.read_len = 0;
    CHECK_STR(yielded(&f), "drained ");
    CHECK_EQ(say_text("x"), WF_OK);
    CHECK_STR(peer_text(&f), "x");
    fixture_deinit(&f);
}

/* The whole life, with each allocation failing in turn: it ends, or what the peer has is a beginning of what it was to
 * get, and nothing is left behind. */
TEST(without_memory_it_is_cut_and_leaks_nothing) {
    static const char whole[] = HEAD "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\nFIN";
    bool passed = false;
    for (size_t n = 1; !passed && n < 100; n++) {
        test_context("allocation %zu", n);
        fixture_init(&f);
        f.answers = false;
        peer_writes(&f, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 28);
        settle(&f);
        wf_outq_pool_deinit(&f.env.pool);
        test_mem_fail_at(n);
        wf_blob *blob = wf_blob_new(5, NULL);
        if (blob)
            memcpy(blob->data, "\x81\x03two", 5);
        if (wf_link_stream(&f.link, &head, &f.limits, WF_LINK_BODY_CHUNKED) == WF_OK && say_text("one") == WF_OK &&
            blob && wf_outq_publish(&f.link.q, blob) == WF_OK) {
            settle(&f);
            if (say_text("three") == WF_OK)
                wf_link_close(&f.link, 1000, NULL);
        } else {
            wf_link_abort(&f.link);
        }
        wf_blob_unref(blob);
        pump(&f);
        settle(&f);
        passed = test_mem_calls() < n;
        test_mem_fail_at(0);
        const char *text = peer_text(&f);
        if (passed)
            CHECK_STR(text, whole);
        else
            CHECK(strncmp(text, whole, strlen(text) - (strlen(text) >= 3 && f.fin ? 3 : 0)) == 0);
        fixture_deinit(&f);
    }
    CHECK(passed);
    test_context("%s", "");
}
