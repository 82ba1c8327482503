/*
 * What a server takes on: connections, unfinished handshakes, time and memory; and what it says when it
 * cannot.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANY = 24 };
static client c, many[MANY];

static void reply_page(weft_request *request, void *user) {
    (void)user;
    weft_request_reply(request, 200, "text/plain", "page", 4);
}

static void begin(const weft_config *config) {
    fixture_new(config);
    fixture_route("/", &(weft_route) {.message = fixture_on_message, .closed = fixture_on_closed});
    fixture_route("/page", &(weft_route) {.request = reply_page});
    fixture_run(NULL);
}

static uint64_t refusals(const char *reason) {
    uint64_t count;
    const char *name;
    for (size_t i = 0; (name = weft_server_refusals(fixture.server, i, &count)); i++)
        if (strcmp(name, reason) == 0)
            return count;
    return UINT64_MAX;
}

static void end(void) {
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(over_connections_max_the_newcomer_gets_503_and_a_place_that_is_left_is_taken_again) {
    begin(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 4});
    for (int i = 0; i < 4; i++)
        CHECK_EQ(client_open(&many[i], fixture.address, "/", NULL), 101);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 503);
    CHECK_STR(client_header(&c, "Retry-After"), "5");
    CHECK(client_ended(&c, CLIENT_PATIENCE_MS));
    client_close(&c);
    CHECK_EQ(fixture_stats().shed_connections, 1);
    CHECK_EQ(refusals("overload"), 1);
    CHECK(client_text(&many[0], "the others go on"));
    CHECK_STR(client_next(&many[0]), "text the others go on");
    client_close(&many[1]);
    EVENTUALLY(fixture_stats().connections == 3);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    for (int i = 0; i < 4; i++)
        client_close(&many[i]);
    end();
}

TEST(the_oldest_unfinished_handshake_makes_room) {
    begin(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .half_open_max = 4});
    for (int i = 0; i < 8; i++) {
        CHECK(client_connect(&many[i], fixture.address, 0));
        CHECK(client_print(&many[i], "GET / HTTP/1.1\r\nHost: h\r\n")); /* and no more */
        EVENTUALLY(fixture_stats().accepted == (unsigned)i + 1);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(client_answer(&many[i]), 503);
        CHECK_STR(client_header(&many[i], "Retry-After"), "5");
    }
    for (int i = 4; i < 8; i++) { /* the youngest may finish */
        CHECK(client_print(&many[i], "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
        CHECK_EQ(client_answer(&many[i]), 101);
    }
    CHECK_EQ(fixture_stats().shed_connections, 4);
    for (int i = 0; i < 8; i++)
        client_close(&many[i]);
    end();
}

TEST(a_handshake_that_drips_ends_in_408_in_time) {
    begin(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .handshake_timeout_ms = 200});
    uint64_t since = client_now_ms();
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "GET / HTTP/1.1\r\nHost: h\r\nX: "));
    while (client_now_ms() - since < 180 && client_print(&c, "x")) /* bytes do not extend it */
        client_sleep_ms(10);
    CHECK_EQ(client_answer(&c), 408);
    CHECK(client_now_ms() - since >= 190 && client_now_ms() - since < 2000);
    CHECK(client_ended(&c, CLIENT_PATIENCE_MS));
    CHECK_EQ(refusals("too_slow"), 1);
    client_close(&c);
    CHECK(client_connect(&c, fixture.address, 0)); /* who never says a word is just left */
    CHECK(client_ended(&c, CLIENT_PATIENCE_MS));
    CHECK_EQ(c.len, 0);
    end();
}

TEST(an_idle_http_connection_is_kept_for_a_while) {
    begin(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .keep_alive_ms = 150});
    CHECK(client_connect(&c, fixture.address, 0));
    for (int i = 0; i < 3; i++) {
        client_sleep_ms(60); /* each request starts it anew */
        CHECK(client_ask(&c, "/page", NULL, false));
        CHECK_EQ(client_answer(&c), 200);
    }
    uint64_t since = client_now_ms();
    CHECK_STR(client_next(&c), "eof");
    CHECK(client_now_ms() - since >= 140 && client_now_ms() - since < 3000);
    end();
}

static weft_request *kept;

static void keep(weft_request *request, void *user) {
    (void)user;
    kept = weft_request_ref(request);
}

TEST(an_answer_that_does_not_come_is_503) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .answer_timeout_ms = 100});
    fixture_route("/", &(weft_route) {.request = keep});
    fixture_run(NULL);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/", NULL, false));
    CHECK_EQ(client_answer(&c), 503);
    CHECK_EQ(weft_request_reply(kept, 200, NULL, "late", 4), WEFT_ECLOSED);
    weft_request_unref(kept);
    CHECK_EQ(refusals("overload"), 1);
    CHECK(client_ask(&c, "/nothing", NULL, false)); /* HTTP goes on */
    CHECK_EQ(client_answer(&c), 404);
    end();
}

TEST(large_and_broken_requests_are_told_so) {
    static char line[3000];
    memset(line, 'x', sizeof line - 1);
    begin(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .head_bytes_max = 1024, .headers_max = 8,
                          .body_bytes_max = 100, .server_name = "it"});
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", line));
    CHECK_EQ(client_answer(&c), 414);
    client_close(&c);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "GET / HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", line));
    CHECK_EQ(client_answer(&c), 431);
    client_close(&c);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n"));
    CHECK_EQ(client_answer(&c), 413);
    client_close(&c);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_print(&c, "\x16\x03\x01 this is not http\r\n\r\n"));
    CHECK_EQ(client_answer(&c), 400);
    client_close(&c);
    CHECK_EQ(refusals("too_large"), 3);
    CHECK_EQ(refusals("broken"), 1);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK_STR(client_header(&c, "Server"), "it");
    end();
}

/* ---- memory ---- */

TEST(short_of_memory_newcomers_get_503_and_the_largest_is_closed_with_1013) {
    static char part[256 * 1024];
    begin(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .memory_bytes_max = 8 << 20,
                          .limits = {.message_bytes_max = 64 << 20}});
    CHECK_EQ(client_open(&many[0], fixture.address, "/", NULL), 101);
    CHECK_EQ(client_open(&many[1], fixture.address, "/", NULL), 101);
    CHECK(client_frame(&many[1], 0x02, part, sizeof part)); /* begun, not finished */
    int sent = 0;
    while (fixture_stats().memory_bytes < (8u << 20) * 77 / 100 && sent++ < 200) {
        uint64_t taken = fixture_stats().bytes_in + 64 * 1024;
        CHECK(client_frame(&many[0], sent == 1 ? 0x02 : 0x00, part, 64 * 1024));
        EVENTUALLY(fixture_stats().bytes_in >= taken); /* however busy the machine: no more is under way */
    }
    CHECK(fixture_stats().memory_bytes < (8u << 20) * 90 / 100);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 503);
    CHECK_STR(client_header(&c, "Retry-After"), "5");
    client_close(&c);
    for (int i = 0; i < 200 && client_frame(&many[0], 0x00, part, 64 * 1024); i++)
        client_sleep_ms(1);
    CHECK_EQ(strncmp(client_next(&many[0]), "close 1013", 10), 0);
    CHECK_STR(diary_next(), "closed 1013 memory_bytes_max: the largest connection is closed");
    CHECK(client_frame(&many[1], 0x80, "!", 1)); /* the other one goes on */
    CHECK_STR(client_next(&many[1]), "binary of 262145 bytes");
    client_close(&many[0]);
    EVENTUALLY(fixture_stats().memory_bytes < 1 << 20);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    client_close(&many[1]);
    CHECK_EQ(fixture_stats().shed_connections, 2);
    end();
    CHECK_STR(diary_next_within(0), "nothing");
}

static void join(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    weft_conn_subscribe(conn, "t", 0);
}

TEST(published_messages_in_a_slow_readers_queue_count_too) {
    static char piece[64 * 1024];
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .memory_bytes_max = 8 << 20,
                                .limits = {.queue_bytes_max = WEFT_NONE, .close_timeout_ms = 200}});
    fixture_route("/", &(weft_route) {.open = join, .closed = fixture_on_closed});
    fixture_run(NULL);
    CHECK_EQ(client_open(&many[0], fixture.address, "/", NULL), 101);
    uint64_t most = 0;
    for (int i = 0; i < 600; i++) {
        CHECK_EQ(weft_publish(fixture.server, "t", WEFT_BINARY, piece, sizeof piece), WEFT_OK);
        client_sleep_ms(1);
        uint64_t now = fixture_stats().memory_bytes;
        most = now > most ? now : most;
    }
    CHECK_STR(diary_next_within(3000), "closed 1013 memory_bytes_max: the largest connection is closed");
    CHECK(most < 10 << 20);
    client_close(&many[0]);
    end();
}

/* ---- listening and configuring ---- */

TEST(servers_that_want_it_share_a_port) {
    const weft_config sharing = {WEFT_CONFIG_INIT, .connections_max = 8, .workers = 2, .reuse_port = true};
    weft_server *both[2] = {weft_server_new(&sharing), weft_server_new(&sharing)};
    weft_server *alone = weft_server_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 8});
    CHECK(both[0] && both[1] && alone);
    CHECK_EQ(weft_server_listen(both[0], "127.0.0.1:0"), WEFT_OK);
    const char *address = weft_server_address(both[0], 0);
    CHECK_EQ(weft_server_listen(alone, address), WEFT_ESYS);
    CHECK_EQ(errno, EADDRINUSE);
    CHECK_EQ(weft_server_listen(both[1], address), WEFT_OK);
    CHECK_STR(weft_server_address(both[1], 0), address);
    for (int i = 0; i < 2; i++)
        weft_server_free(both[i]);
    CHECK_EQ(weft_server_listen(alone, "127.0.0.1:0"), WEFT_OK);
    weft_server_free(alone);
}

TEST(an_address_in_use_is_an_error_in_words) {
    char expected[128];
    begin(NULL);
    snprintf(expected, sizeof expected, "%s", fixture.address);
    weft_server *second = weft_server_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 8, .workers = 2});
    CHECK(second != NULL);
    errno = 0;
    CHECK_EQ(weft_server_listen(second, fixture.address), WEFT_ESYS);
    CHECK_EQ(errno, EADDRINUSE);
    CHECK(strstr(weft_server_error(second), fixture.address) && strstr(weft_server_error(second), "in use"));
    CHECK_EQ(weft_server_listen(second, "127.0.0.1:notaport"), WEFT_EINVAL);
    CHECK(strstr(weft_server_error(second), "notaport") != NULL);
    CHECK(weft_server_address(second, 0) == NULL);
    CHECK_EQ(weft_server_listen(second, "127.0.0.1:0"), WEFT_OK); /* it can go on */
    CHECK_EQ(weft_server_listen(second, "[::1]:0"), WEFT_OK);
    CHECK_EQ(strncmp(weft_server_address(second, 0), "127.0.0.1:", 10), 0);
    CHECK_EQ(strncmp(weft_server_address(second, 1), "[::1]:", 6), 0);
    CHECK(weft_server_address(second, 2) == NULL);
    weft_server_free(second);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 101);
    CHECK_EQ(weft_server_listen(fixture.server, "127.0.0.1:0"), WEFT_EINVAL); /* it runs */
    CHECK_EQ(weft_server_run(fixture.server), WEFT_EINVAL);
    end();
}

TEST(a_unix_socket_is_served_and_its_file_removed) {
    char directory[] = "/tmp/weft_test_XXXXXX", address[64];
    CHECK(mkdtemp(directory) != NULL);
    snprintf(address, sizeof address, "unix:%s/s", directory);
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .workers = 2});
    fixture_route("/", &(weft_route) {.message = fixture_on_message});
    fixture_run(address);
    CHECK_STR(fixture.address, address);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(client_open(&many[i], address, "/", NULL), 101);
        CHECK(client_text(&many[i], "over unix"));
        CHECK_STR(client_next(&many[i]), "text over unix");
    }
    for (int i = 0; i < 8; i++)
        client_close(&many[i]);
    end();
    CHECK_EQ(access(address + 5, F_OK), -1);
    CHECK_EQ(rmdir(directory), 0);
}

TEST(a_config_of_another_size_is_refused) {
    weft_config config = {WEFT_CONFIG_INIT};
    config.struct_size = 0;
    CHECK(weft_server_new(&config) == NULL);
    config.struct_size = sizeof config - 8;
    CHECK(weft_server_new(&config) == NULL);
    weft_server *server = weft_server_new(NULL);
    CHECK(server != NULL);
    weft_route route = {WEFT_ROUTE_INIT, .path = "no slash"};
    CHECK_EQ(weft_server_route(server, &route), WEFT_EINVAL);
    route.path = NULL;
    CHECK_EQ(weft_server_route(server, &route), WEFT_EINVAL);
    route = (weft_route) {.path = "/"};
    CHECK_EQ(weft_server_route(server, &route), WEFT_EINVAL);
    weft_server_free(server);
    weft_server_free(NULL);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(a_server_that_listens_nowhere_does_not_run) {
    for (int stopped = 1; stopped >= 0; stopped--) { /* the stopped one first: it ends in any case */
        fixture_new(NULL);
        fixture_route("/", &(weft_route) {.message = fixture_on_message});
        if (stopped)
            weft_server_stop(fixture.server);
        uint64_t began = client_now_ms();
        CHECK_EQ(weft_server_run(fixture.server), WEFT_EINVAL);
        CHECK(client_now_ms() - began < 1000);
    }
    fixture_run(NULL); /* it is whole */
    client late = {0};
    CHECK_EQ(client_open(&late, fixture.address, "/", NULL), 101);
    client_close(&late);
    CHECK_EQ(fixture_end(), WEFT_OK);
}
