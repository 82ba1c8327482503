/*
 * One after the other (RFC 6455 4.1): of the connections to one host one is being made at a time, if that is wanted.
 */
#include "client_help.h"

#include <fcntl.h>

#define GOOD                                                                                                           \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "          \
    "{A}\r\n\r\n"

enum { DIALS_MAX = 8 };

static raw_server host;
static weft_client *c;
static weft_conn *conns[DIALS_MAX];
static int fds[DIALS_MAX]; /* as they came */
static size_t dialled, came, opened, failed;

static void count_open(weft_conn *conn, const weft_response *response, void *user) {
    (void)conn, (void)response, (void)user;
    opened++;
}

static void count_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    see("%s; ", failure->sys_errno ? strerrorname_np(failure->sys_errno) : failure->rule);
    failed++;
}

static void begin_with(const weft_client_config *config) {
    raw_server_listen(&host);
    fcntl(host.listen_fd, F_SETFL, O_NONBLOCK);
    c = weft_client_new(config);
    dialled = came = opened = failed = 0;
    seen[0] = '\0';
}

static void begin(bool in_turn) {
    begin_with(&(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .in_turn = in_turn});
}

static void end(void) {
    weft_client_free(c);
    while (came > 0)
        close(fds[--came]);
    close(host.listen_fd);
    CHECK_EQ(test_mem_live(), 0);
}

static void dial_with(weft_dial dial) {
    dial.struct_size = sizeof dial;
    dial.open = count_open;
    dial.failed = count_failed;
    CHECK_EQ(weft_client_dial(c, &dial, &conns[dialled++]), WEFT_OK);
}

/* Turns until nothing more comes; how many have come so far. */
static size_t turn(void) {
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(weft_client_turn(c, 2), WEFT_OK);
        int fd = accept(host.listen_fd, NULL, NULL);
        if (fd >= 0)
            fds[came++] = fd;
        if (fd >= 0)
            i = 0;
    }
    return came;
}

static void answer(size_t index) {
    char request[2048];
    hear_request(fds[index], request, sizeof request);
    speak(fds[index], GOOD, sizeof(GOOD) - 1, request);
}

static void break_off(size_t index) {
    shutdown(fds[index], SHUT_RDWR);
}

TEST(one_waits_until_another_has_opened_or_failed) {
    begin(true);
    for (int i = 0; i < 5; i++)
        dial_with((weft_dial) {.url = host.url});
    CHECK_EQ(turn(), 1);
    answer(0);
    CHECK_EQ(turn(), 2);
    CHECK_EQ(opened, 1);
    break_off(1);
    CHECK_EQ(turn(), 3);
    CHECK_EQ(failed, 1);
    weft_conn_abort(conns[2]);
    weft_conn_abort(conns[3]); /* which waits */
    CHECK_EQ(turn(), 4);
    CHECK_EQ(failed, 3);
    answer(3);
    turn();
    CHECK_EQ(opened, 2);
    dial_with((weft_dial) {.url = host.url}); /* nobody is before it */
    CHECK_EQ(turn(), 5);
    end();
}

TEST(all_at_once_when_that_is_not_wanted) {
    begin(false);
    for (int i = 0; i < 5; i++)
        dial_with((weft_dial) {.url = host.url});
    CHECK_EQ(turn(), 5);
    end();
}

TEST(another_name_of_the_host_waits_and_another_host_does_not) {
    char address[40], both[80];
    begin(true);
    snprintf(address, sizeof address, "127.0.0.1%.*s", (int)strcspn(strrchr(host.url, ':'), "/"),
             strrchr(host.url, ':'));
    snprintf(both, sizeof both, "127.0.0.2%s,%s", strchr(address, ':'), address);
    dial_with((weft_dial) {.url = "ws://one.test/", .address = address});
    dial_with((weft_dial) {.url = "ws://two.test/", .address = address});
    dial_with((weft_dial) {.url = "ws://both.test/", .address = both});
    dial_with((weft_dial) {.url = "ws://127.0.0.1:1/"});
    CHECK_EQ(turn(), 1);
    CHECK_STR(seen, "ECONNREFUSED; ");
    answer(0);
    CHECK_EQ(turn(), 2);
    answer(1);
    CHECK_EQ(turn(), 3); /* 127.0.0.2 refuses */
    answer(2);
    turn();
    CHECK_EQ(opened, 3);
    end();
}

/* Who looks the names up is the proxy. */
TEST(through_a_proxy_each_name_is_a_host) {
    char proxy[80];
    begin(true);
    snprintf(proxy, sizeof proxy, "http%.*s", (int)strlen(host.url + 2) - 1, host.url + 2);
    dial_with((weft_dial) {.url = "ws://one.test/", .proxy = proxy});
    dial_with((weft_dial) {.url = "ws://two.test/", .proxy = proxy});
    dial_with((weft_dial) {.url = "ws://ONE.test/", .proxy = proxy});
    dial_with((weft_dial) {.url = host.url}); /* and the proxy itself is another */
    CHECK_EQ(turn(), 3);
    break_off(1);
    CHECK_EQ(turn(), 3);
    break_off(0);
    CHECK_EQ(turn(), 4);
    end();
}

TEST(its_time_begins_with_its_turn) {
    begin(true);
    dial_with((weft_dial) {.url = host.url});
    dial_with((weft_dial) {.url = host.url, .connect_timeout_ms = 40});
    CHECK_EQ(turn(), 1);
    usleep(60000);
    CHECK_EQ(turn(), 1);
    CHECK_EQ(failed, 0);
    answer(0);
    CHECK_EQ(turn(), 2);
    answer(1);
    turn();
    CHECK_EQ(opened, 2);
    end();
}

/* A host whose backlog is full answers nobody. */
TEST(each_gives_up_in_its_own_time) {
    enum { FILLERS = 8 };
    int fillers[FILLERS];
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    begin(true);
    CHECK_EQ(listen(host.listen_fd, 0), 0);
    CHECK_EQ(getsockname(host.listen_fd, (struct sockaddr *)&in, &len), 0);
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&in, len);
    }
    uint64_t began_ms = wf_clock_ms();
    for (int i = 0; i < 3; i++)
        dial_with((weft_dial) {.url = host.url, .connect_timeout_ms = 30});
    run_out(c);
    CHECK_STR(seen, "ETIMEDOUT; ETIMEDOUT; ETIMEDOUT; ");
    CHECK(wf_clock_ms() - began_ms >= 90);
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    end();
}

/* Two names of one host, each with a connection to be shared: those who wait for the second have no deadline. */
TEST(shared_connections_are_made_one_after_the_other) {
    char address[40];
    begin_with(&(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .in_turn = true, .http2 = WEFT_HTTP2_ON,
                                      .tls = {.insecure = true}});
    snprintf(address, sizeof address, "127.0.0.1%.*s", (int)strcspn(strrchr(host.url, ':'), "/"),
             strrchr(host.url, ':'));
    dial_with((weft_dial) {.url = "wss://one.test/", .address = address});
    for (int i = 0; i < 2; i++)
        dial_with((weft_dial) {.url = "wss://two.test/", .address = address, .connect_timeout_ms = 5});
    CHECK_EQ(turn(), 1);
    CHECK_STR(seen, "");
    break_off(0);
    CHECK_EQ(turn(), 2);
    CHECK_EQ(failed, 1);
    end();
}
