/*
 * A client's link behind a proxy: other words come first, within the connect deadline, and none of them may come to lie
 * behind the connection that the proxy makes.
 */
#include "link_help.h"

enum { CONNECT_MS = 1000, HANDSHAKE_MS = 5000 };

static const wf_str request = {"GET / HTTP/1.1\r\n\r\n", 18};

static void begin(fixture *f) {
    int fds[2];
    fixture_init(f);
    wf_link_deinit(&f->link);
    peer_closes(f);
    f->limits.handshake_timeout_ms = HANDSHAKE_MS;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    f->peer = fds[1];
    wf_link_dial(&f->link, &f->env, &f->limits, CONNECT_MS);
    CHECK_EQ(wf_link_connect(&f->link, fds[0], NULL, wf_str_of("to the proxy")), WF_OK);
    wf_link_tunnel(&f->link);
}

TEST(the_request_follows_the_proxys_answer) {
    fixture f;
    begin(&f);
    CHECK_STR(peer_text(&f), "to the proxy");
    CHECK(f.link.connected && f.link.tunnels);
    peer_writes(&f, "more?", 5);
    CHECK_STR(yielded(&f), "bytes(more?) ");
    CHECK_EQ(wf_link_send_raw(&f.link, "more", 4), WF_OK);
    CHECK_STR(peer_text(&f), "more");
    CHECK_EQ(wf_link_through(&f.link, NULL, request), WF_OK);
    CHECK_EQ(wf_link_send_raw(&f.link, "more", 4), WF_ECLOSED);
    CHECK_STR(peer_text(&f), "GET / HTTP/1.1\r\n\r\n");
    pass(&f, HANDSHAKE_MS - 1);
    CHECK_STR(yielded(&f), "");
    peer_writes(&f, ACCEPT, strlen(ACCEPT));
    CHECK_STR(yielded(&f), "replied ");
    fixture_deinit(&f);
}

TEST(what_came_behind_the_proxys_answer_is_read) {
    static char answer_text[] = ACCEPT; /* writable, with what may be read behind it */
    fixture f;
    begin(&f);
    CHECK_STR(peer_text(&f), "to the proxy");
    CHECK_EQ(wf_link_through(&f.link, NULL, request), WF_OK);
    wf_link_feed(&f.link, (uint8_t *)answer_text, strlen(answer_text));
    pump(&f);
    CHECK_STR(yielded(&f), "replied ");
    fixture_deinit(&f);
}

TEST(the_connect_deadline_goes_on) {
    fixture f;
    begin(&f);
    CHECK_STR(peer_text(&f), "to the proxy");
    pass(&f, CONNECT_MS - 2);
    CHECK_STR(yielded(&f), "");
    pass(&f, 4);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_EQ(wf_link_end_of(&f.link)->fault.sys_errno, ETIMEDOUT);
    fixture_deinit(&f);
}

TEST(a_proxy_that_speaks_before_it_was_asked) {
    fixture f;
    begin(&f);
    peer_writes(&f, "welcome", 7);
    CHECK_STR(yielded(&f), "ended ");
    CHECK_STR(wf_link_end_of(&f.link)->fault.rule, "the proxy spoke before it was asked");
    fixture_deinit(&f);
}
