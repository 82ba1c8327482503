/*
 * A connection of HTTP/2 and a stream on it, as links: when the one ends that nobody uses, and how the other lets go of
 * a peer who takes nothing more. See link_help.h.
 */
#include "link_help.h"
#include "net/port.h"

static fixture f;

/* What waits when a connection has been idle for too long goes first; whoever comes back to it meanwhile keeps it. */
static void end_idle_behind_a_full_socket(bool comes_back) {
    static const char block[65536];
    fixture_init(&f);
    wf_link_raw_begin(&f.link);
    for (int i = 0; i < 100 && !f.link.in_flight; i++) {
        CHECK_EQ(wf_link_send_raw(&f.link, block, sizeof block), WF_OK);
        turn(&f);
    }
    CHECK(f.link.in_flight);
    wf_link_raw_idle(&f.link, true);
    pass(&f, f.http.keep_alive_ms + 1);
    CHECK_EQ(f.link.stage, WF_LINK_RAW);
    if (comes_back)
        wf_link_raw_idle(&f.link, false);
    while (f.link.in_flight)
        peer_sips(&f);
    settle(&f);
    CHECK_EQ(f.link.stage, comes_back ? WF_LINK_RAW : WF_LINK_LINGER);
    fixture_deinit(&f);
}

TEST(an_idle_connection_ends_behind_what_waits) {
    end_idle_behind_a_full_socket(false);
}

TEST(a_connection_that_is_used_again_goes_on) {
    end_idle_behind_a_full_socket(true);
}

/* ---- a stream ---- */

static int closes, aborts;

static void be_still(wf_port *port) {
    (void)port;
}

static int64_t take(wf_port *port, const struct iovec *ranges, int count) {
    int64_t taken = 0;
    (void)port;
    for (int i = 0; i < count; i++)
        taken += (int64_t)ranges[i].iov_len;
    return taken;
}

static void be_closed(wf_port *port, bool abort) {
    (void)port;
    closes++;
    aborts += abort;
}

static const wf_port_calls calls = {be_still, be_still, take, be_still, be_closed};

static void begin_stream(wf_port *port) {
    static char upgrade[] = UPGRADE;
    fixture_init(&f);
    wf_link_deinit(&f.link);
    closes = aborts = 0;
    CHECK_EQ(wf_link_init_on_port(&f.link, &f.env, port), WF_OK);
    wf_link_received(&f.link, (uint8_t *)upgrade, strlen(upgrade));
    pump(&f);
    CHECK_EQ(f.link.stage, WF_LINK_OPEN);
}

TEST(a_stream_whose_websocket_failed_is_reset) {
    static wf_sock below = {.fd = -1};
    wf_port port = {.calls = &calls, .below = &below};
    begin_stream(&port);
    pass(&f, 25001);
    pass(&f, 8001); /* no pong: a close frame, and some time for it */
    CHECK_EQ(closes, 0);
    pass(&f, 10000);
    CHECK_EQ(closes, 1);
    CHECK_EQ(aborts, 1);
    fixture_deinit(&f);
}

TEST(a_stream_that_ends_as_it_should_is_not_reset) {
    static wf_sock below = {.fd = -1};
    static uint8_t bye[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
    wf_port port = {.calls = &calls, .below = &below};
    begin_stream(&port);
    wf_link_received(&f.link, bye, sizeof bye);
    pump(&f);
    settle(&f);
    wf_link_input_over(&f.link);
    pump(&f);
    pass(&f, 10000);
    CHECK_EQ(closes, 1);
    CHECK_EQ(aborts, 0);
    fixture_deinit(&f);
}
