/*
 * From a request to its answer: routes, what a request tells, answers given at once, later, twice, too late
 * or never.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

static client c;

static void name_reply(weft_request *request, void *user) {
    weft_request_reply(request, 200, "text/plain", user, strlen(user));
}

static void name_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    weft_conn_send(conn, WEFT_TEXT, user, strlen(user));
}

TEST(the_longest_route_answers) {
    static const char *const routes[][2] = {
        {"/a/*", "a prefix"}, {"/a", "a"}, {"/", "root"}, {"/ab*", "ab prefix"}, {"/a/b*", "a/b prefix"}};
    static const char nothing[] = "there is nothing here\n";
    static const struct {
        const char *path, *answer;
    } rows[] = {{"/", "root"},
                {"/a", "a"},
                {"/a/", "a prefix"},
                {"/a/x", "a prefix"},
                {"/a/b", "a/b prefix"},
                {"/a/bc", "a/b prefix"},
                {"/a/b/c", "a/b prefix"},
                {"/ab", "ab prefix"},
                {"/ab?x=/a/bc", "ab prefix"},
                {"/abc", "ab prefix"},
                {"/b", nothing},
                {"/A", nothing}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    fixture_new(NULL);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        fixture_route(routes[i][0], &(weft_route) {.request = name_reply, .user = (void *)routes[i][1]});
    fixture_run(NULL);
    CHECK(client_connect(&c, fixture.address, 0));
    for (size_t i = 0; i < ROWS; i++) {
        test_context("row %zu: %s", i, rows[i].path);
        CHECK(client_ask(&c, rows[i].path, NULL, false));
        CHECK_EQ(client_answer(&c), rows[i].answer == nothing ? 404 : 200);
        CHECK_STR(c.body, rows[i].answer);
    }
    test_context("%s", "");
    CHECK_EQ(fixture_stats().requests, ROWS); /* all over one connection */
    CHECK_EQ(fixture_stats().accepted, 1);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(an_exact_route_beats_a_prefix_of_the_same_length) {
    for (int order = 0; order < 2; order++) {
        fixture_new(NULL);
        fixture_route(order ? "/a" : "/a*", &(weft_route) {.request = name_reply, .user = order ? "exact" : "prefix"});
        fixture_route(order ? "/a*" : "/a", &(weft_route) {.request = name_reply, .user = order ? "prefix" : "exact"});
        fixture_run(NULL);
        CHECK(client_connect(&c, fixture.address, 0));
        CHECK(client_ask(&c, "/a", NULL, false));
        CHECK_EQ(client_answer(&c), 200);
        CHECK_STR(c.body, "exact");
        client_close(&c);
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
}

static void silent(weft_request *request, void *user) {
    (void)request;
    (void)user;
}

TEST(a_callback_without_an_answer_is_answered_500) {
    fixture_new(NULL);
    fixture_route("/page", &(weft_route) {.request = silent});
    fixture_route("/ws", &(weft_route) {.upgrade = silent});
    fixture_run(NULL);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/page", NULL, false));
    CHECK_EQ(client_answer(&c), 500);
    CHECK(client_ask(&c, "/ws", NULL, true));
    CHECK_EQ(client_answer(&c), 500);
    CHECK(client_ask(&c, "/page", NULL, false)); /* HTTP goes on */
    CHECK_EQ(client_answer(&c), 500);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_websocket_path_tells_plain_requests_what_it_is) {
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/ws", NULL, false));
    CHECK_EQ(client_answer(&c), 426);
    CHECK_STR(client_header(&c, "Upgrade"), "websocket");
    CHECK(client_print(&c, "POST /ws HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQ(client_answer(&c), 405);
    CHECK_STR(client_header(&c, "Allow"), "GET");
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- what a request tells ---- */

static void tell_header(const weft_request *request, const char *name) {
    weft_text value = weft_request_header(request, name);
    if (value.data)
        diary("%s=%.*s", name, (int)value.len, value.data);
    else
        diary("%s absent", name);
}

static void tell(const weft_request *request) {
    char value[32];
    weft_text method = weft_request_method(request), path = weft_request_path(request);
    weft_text query = weft_request_query(request), body = weft_request_body(request);
    diary("%.*s %.*s ? %.*s [%.*s]%s", (int)method.len, method.data, (int)path.len, path.data, (int)query.len,
          query.data ? query.data : "", (int)body.len, body.data ? body.data : "",
          weft_request_is_upgrade(request) ? " upgrade" : "");
    tell_header(request, "Cookie");
    tell_header(request, "user-agent");
    tell_header(request, "AUTHORIZATION");
    tell_header(request, "X-Absent");
    int got = weft_request_tail(request, value, sizeof value);
    diary("tail %d %s", got, got == WEFT_OK ? value : "");
    got = weft_request_tail(request, value, 2);
    diary("short tail %d", got);
    got = weft_request_param(request, "last", value, sizeof value);
    diary("last %d %s", got, got == WEFT_OK ? value : "");
    got = weft_request_param(request, "none", value, sizeof value);
    diary("none %d, bad %d", got, weft_request_param(request, "bad", value, sizeof value));
    weft_text name, first;
    size_t count = 0;
    while (weft_request_header_at(request, count, &name, &first))
        count++;
    diary("headers %zu, peer %.10s", count, weft_request_peer(request));
}

static void tell_and_reply(weft_request *request, void *user) {
    tell(request);
    diary("server %s", weft_request_server(request) == fixture.server ? "same" : "other");
    weft_request_reply(request, 204, NULL, NULL, 0);
    (void)user;
}

static void tell_open(weft_conn *conn, const weft_request *request, void *user) {
    tell(request);
    diary("user %s, request user %s", (const char *)weft_conn_user(conn), (const char *)weft_request_user(request));
    weft_conn_set_user(conn, "second");
    diary("user %s, route user %s", (const char *)weft_conn_user(conn), (const char *)user);
}

static void set_user_and_accept(weft_request *request, void *user) {
    (void)user;
    weft_request_set_user(request, "first");
    diary("accept %d", weft_request_accept(request, NULL, NULL, 0));
}

TEST(a_request_is_readable_and_so_is_the_handshake_in_open) {
    static const char headers[] = "Cookie: a=1; b=2\r\nUser-Agent: it\r\nAuthorization: Bearer x\r\n";
    fixture_new(NULL);
    fixture_route("/p/*", &(weft_route) {.request = tell_and_reply});
    fixture_route("/w/*", &(weft_route) {.upgrade = set_user_and_accept, .open = tell_open, .user = "route"});
    fixture_run(NULL);
    for (int upgrade = 0; upgrade < 2; upgrade++) {
        CHECK(client_connect(&c, fixture.address, 0));
        CHECK(client_ask(&c, upgrade ? "/w/x%20y?last=5&bad=%zz" : "/p/x%20y?last=5&bad=%zz", headers, upgrade));
        CHECK_EQ(client_answer(&c), upgrade ? 101 : 204);
        if (upgrade)
            CHECK_STR(diary_next(), "accept 0");
        CHECK_STR(diary_next(),
                  upgrade ? "GET /w/x%20y ? last=5&bad=%zz [] upgrade" : "GET /p/x%20y ? last=5&bad=%zz []");
        CHECK_STR(diary_next(), "Cookie=a=1; b=2");
        CHECK_STR(diary_next(), "user-agent=it");
        CHECK_STR(diary_next(), "AUTHORIZATION=Bearer x");
        CHECK_STR(diary_next(), "X-Absent absent");
        CHECK_STR(diary_next(), "tail 0 x y");
        CHECK_STR(diary_next(), "short tail -6");
        CHECK_STR(diary_next(), "last 0 5");
        CHECK_STR(diary_next(), "none -5, bad -3");
        CHECK_STR(diary_next(), upgrade ? "headers 8, peer 127.0.0.1:" : "headers 4, peer 127.0.0.1:");
        CHECK_STR(diary_next(), upgrade ? "user first, request user first" : "server same");
        client_close(&c);
    }
    CHECK_STR(diary_next(), "user second, route user route");
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- accepting ---- */

static void try_accepts(weft_request *request, void *user) {
    (void)user;
    weft_header split[] = {{"X-A", "b\r\nX-C: d"}}, zero_name[] = {{"", "v"}}, spaced[] = {{"X A", "v"}};
    weft_header good[] = {{"X-Room", "lobby"}, {"Set-Cookie", "k=v"}};
    weft_header many[40];
    for (int i = 0; i < 40; i++)
        many[i] = (weft_header) {"X-Many", "v"};
    diary("offers %d%d%d", weft_request_offers(request, "a"), weft_request_offers(request, "b"),
          weft_request_offers(request, "c"));
    diary("refused %d %d %d %d %d", weft_request_accept(request, "c", NULL, 0),
          weft_request_accept(request, NULL, split, 1), weft_request_accept(request, NULL, zero_name, 1),
          weft_request_accept(request, NULL, spaced, 1), weft_request_accept(request, NULL, many, 40));
    diary("reply refused %d %d", weft_request_reply(request, 199, NULL, NULL, 0),
          weft_request_reply(request, 200, "a\nb", "x", 1));
    diary("accepted %d", weft_request_accept(request, "b", good, 2));
    diary("again %d %d", weft_request_accept(request, "b", NULL, 0), weft_request_reply(request, 403, NULL, "", 0));
}

TEST(what_cannot_be_sent_is_refused_whole_and_the_request_can_still_be_accepted) {
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.upgrade = try_accepts, .open = fixture_on_open});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/ws", "Sec-WebSocket-Protocol: a, b\r\n"), 101);
    CHECK_STR(diary_next(), "offers 110");
    CHECK_STR(diary_next(), "refused -3 -3 -3 -3 -3");
    CHECK_STR(diary_next(), "reply refused -3 -3");
    CHECK_STR(diary_next(), "accepted 0");
    CHECK_STR(diary_next(), "again -4 -4");
    CHECK_STR(diary_next(), "open /ws");
    CHECK_STR(client_header(&c, "Sec-WebSocket-Protocol"), "b");
    CHECK_STR(client_header(&c, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK_STR(client_header(&c, "X-Room"), "lobby");
    CHECK_STR(client_header(&c, "Set-Cookie"), "k=v");
    CHECK_STR(client_header(&c, "X-C"), "");
    CHECK_STR(client_header(&c, "X-A"), "");
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void try_handshake_headers(weft_request *request, void *user) {
    static const char *const names[] = {"Upgrade",
                                        "upgrade",
                                        "Connection",
                                        "CONNECTION",
                                        "Sec-WebSocket-Accept",
                                        "sec-websocket-protocol",
                                        "Sec-WebSocket-Extensions",
                                        "Sec-WebSocket-Version",
                                        "Sec-WebSocket-"};
    (void)user;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        weft_header headers[] = {{"X-Fine", "v"}, {names[i], "b"}};
        int got = weft_request_accept(request, NULL, headers, 2);
        if (got != WEFT_EINVAL)
            diary("%s: %d", names[i], got);
    }
    weft_header near[] = {{"Upgrades", "1"}, {"Sec-WebSocke", "2"}};
    diary("accepted %d", weft_request_accept(request, "b", near, 2));
}

TEST(the_handshakes_own_headers_cannot_be_given_and_the_request_can_still_be_accepted) {
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.upgrade = try_handshake_headers, .message = fixture_on_message});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/ws", "Sec-WebSocket-Protocol: a, b\r\n"), 101);
    CHECK_STR(diary_next(), "accepted 0");
    CHECK_STR(client_header(&c, "Upgrades"), "1");
    CHECK_STR(client_header(&c, "Sec-WebSocke"), "2");
    CHECK_STR(client_header(&c, "X-Fine"), "");
    CHECK(client_text(&c, "first")); /* and nothing was sent but the one answer */
    CHECK_STR(client_next(&c), "text first");
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void accept_page(weft_request *request, void *user) {
    (void)user;
    diary("accept of a page %d", weft_request_accept(request, NULL, NULL, 0));
    weft_request_reply(request, 200, NULL, "x", 1);
}

TEST(a_page_cannot_be_accepted) {
    fixture_new(NULL);
    fixture_route("/", &(weft_route) {.request = accept_page});
    fixture_run(NULL);
    CHECK_EQ(client_open(&c, fixture.address, "/", NULL), 200); /* the path knows no WebSocket */
    CHECK_STR(diary_next(), "accept of a page -3");
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(the_route_picks_the_first_subprotocol_of_the_client_that_it_knows) {
    static const char *const known[] = {"v1", "v2", NULL};
    static const struct {
        const char *offer, *picked;
    } rows[] = {{"", ""}, {"Sec-WebSocket-Protocol: v9\r\n", ""}, {"Sec-WebSocket-Protocol: v9, v2, v1\r\n", "v2"}};
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.message = fixture_on_message, .subprotocols = known});
    fixture_run(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_EQ(client_open(&c, fixture.address, "/ws", rows[i].offer), 101);
        CHECK_STR(client_header(&c, "Sec-WebSocket-Protocol"), rows[i].picked);
        client_close(&c);
    }
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* How many lines of the last answer's head begin with this name. */
static size_t lines_of(const char *name) {
    size_t count = 0, len = strlen(name);
    for (const char *at = c.head; (at = strstr(at, "\r\n")); at += 2)
        count += strncasecmp(at + 2, name, len) == 0 && at[2 + len] == ':';
    return count;
}

TEST(the_handshake_says_everything_once_and_names_no_extension_unasked) {
    static const char *const known[] = {"v1", "v2", NULL};
    static const char *const once[] = {"Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"};
    static const char *const offers[] = {
        "",
        "Sec-WebSocket-Extensions: x-unknown\r\n",
        "Sec-WebSocket-Extensions: x-one; a=1; b=\"2\", x-two\r\nSec-WebSocket-Extensions: x-three\r\n",
        "Sec-WebSocket-Extensions:\r\n",
        "Sec-WebSocket-Extensions: ;;=, x y; \"\r\n",
    };
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.message = fixture_on_message, .subprotocols = known});
    fixture_run(NULL);
    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
        char headers[256];
        test_context("offer %zu", i);
        snprintf(headers, sizeof headers, "Sec-WebSocket-Protocol: v1, v2\r\nSec-WebSocket-Protocol: v2\r\n%s",
                 offers[i]);
        CHECK_EQ(client_open(&c, fixture.address, "/ws", headers), 101);
        CHECK_EQ(strncmp(c.head, "HTTP/1.1 101 Switching Protocols\r\n", 34), 0);
        for (size_t k = 0; k < sizeof once / sizeof once[0]; k++)
            CHECK_EQ(lines_of(once[k]), 1);
        CHECK_EQ(lines_of("Sec-WebSocket-Extensions"), 0);
        CHECK_EQ(lines_of("Sec-WebSocket-Version"), 0);
        CHECK_STR(client_header(&c, "Upgrade"), "websocket");
        CHECK_STR(client_header(&c, "Connection"), "Upgrade");
        CHECK(client_text(&c, "works"));
        CHECK_STR(client_next(&c), "text works");
        client_close(&c);
    }
    test_context("%s", "");
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(another_version_is_told_which_one_is_spoken) {
    static const char *const versions[] = {"25", "8", "13, 8", ""};
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.message = fixture_on_message});
    fixture_run(NULL);
    CHECK(client_connect(&c, fixture.address, 0));
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        test_context("version \"%s\"", versions[i]);
        CHECK(client_print(&c,
                           "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: %s\r\n\r\n",
                           versions[i]));
        CHECK_EQ(client_answer(&c), 426);
        CHECK_STR(client_header(&c, "Sec-WebSocket-Version"), "13");
        CHECK_STR(c.body, "RFC6455/4.4: Sec-WebSocket-Version is not 13\n");
    }
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void count_refused(const weft_request *request, int status, const char *why, void *user) {
    CHECK(status == 403 && strstr(why, "Origin") && weft_request_header(request, "Origin").len > 0);
    atomic_fetch_add((atomic_int *)user, 1);
}

TEST(a_foreign_origin_is_refused_and_the_routes_list_replaces_the_servers) {
    static atomic_int refused;
    static const char *const everywhere[] = {"https://a.example", NULL}, *const here[] = {"https://b.example", NULL};
    static const struct {
        const char *path, *origin;
        int status;
    } rows[] = {
        {"/server", "Origin: http://localhost\r\n", 101},
        {"/server", "Origin: https://a.example\r\n", 101},
        {"/server", "Origin: https://b.example\r\n", 403},
        {"/server", "Origin: null\r\n", 403},
        {"/route", "Origin: https://b.example\r\n", 101},
        {"/route", "Origin: https://a.example\r\n", 403},
        {"/route", "", 101},
    };
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .origins = everywhere,
                                .refused = count_refused, .refused_user = &refused});
    fixture_route("/server", &(weft_route) {.message = fixture_on_message});
    fixture_route("/route", &(weft_route) {.message = fixture_on_message, .origins = here});
    fixture_run(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %zu: %s %s", i, rows[i].path, rows[i].origin);
        CHECK_EQ(client_open(&c, fixture.address, rows[i].path, rows[i].origin), rows[i].status);
        client_close(&c);
    }
    test_context("%s", "");
    CHECK_EQ(atomic_load(&refused), 3);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- answering later, from another thread: the main one ---- */

static _Atomic(weft_request *) kept;

static void keep(weft_request *request, void *user) {
    (void)user;
    kept = weft_request_ref(request);
    diary("kept");
}

static weft_request *wait_kept(void) {
    CHECK_STR(diary_next(), "kept");
    return atomic_exchange(&kept, NULL);
}

static void later_fixture(void) {
    fixture_new(NULL);
    fixture_route("/ws", &(weft_route) {.upgrade = keep,
                                        .open = name_open,
                                        .user = "opened",
                                        .message = fixture_on_message,
                                        .closed = fixture_on_closed});
    fixture_route("/page", &(weft_route) {.request = keep});
    fixture_run(NULL);
}

TEST(frames_sent_with_the_handshake_wait_for_a_late_accept) {
    uint8_t bytes[256];
    later_fixture();
    CHECK(client_connect(&c, fixture.address, 0));
    static const char handshake[] = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    size_t len = sizeof handshake - 1;
    memcpy(bytes, handshake, len);
    len += client_encode(bytes + len, 0x81, "one", 3);
    len += client_encode(bytes + len, 0x81, "two", 3);
    CHECK(client_send(&c, bytes, len));
    weft_request *request = wait_kept();
    CHECK(client_text(&c, "three"));
    client_sleep_ms(100);
    CHECK_EQ(weft_request_accept(request, NULL, NULL, 0), WEFT_OK);
    CHECK_EQ(weft_request_accept(request, NULL, NULL, 0), WEFT_ECLOSED);
    CHECK_EQ(client_answer(&c), 101);
    CHECK_STR(client_next(&c), "text opened");
    CHECK_STR(client_next(&c), "text one");
    CHECK_STR(client_next(&c), "text two");
    CHECK_STR(client_next(&c), "text three");
    CHECK(!weft_request_gone(request));
    weft_request_unref(request);
    client_close(&c);
    CHECK_STR(diary_next(), "closed 1006 RFC6455/7.1.5: connection ended without a close frame");
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_late_refusal_and_a_late_page_are_answered_and_http_goes_on) {
    later_fixture();
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/ws", NULL, true));
    CHECK(client_text(&c, "not a frame any more")); /* no smuggling: behind a refusal these bytes are HTTP */
    weft_request *request = wait_kept();
    client_sleep_ms(20);
    CHECK_EQ(weft_request_reply(request, 403, "text/plain", "no", 2), WEFT_OK);
    CHECK_EQ(weft_request_reply(request, 200, "text/plain", "yes", 3), WEFT_ECLOSED);
    weft_request_unref(request);
    CHECK_EQ(client_answer(&c), 403);
    CHECK_STR(c.body, "no");
    CHECK_EQ(client_answer(&c), 400);
    CHECK(client_ended(&c, CLIENT_PATIENCE_MS));
    client_close(&c);

    CHECK(client_connect(&c, fixture.address, 0));
    for (int i = 0; i < 3; i++) {
        CHECK(client_ask(&c, "/page", NULL, false));
        request = wait_kept();
        CHECK_EQ(weft_request_reply(request, 200, "text/plain", "page", 4), WEFT_OK);
        weft_request_unref(request);
        CHECK_EQ(client_answer(&c), 200);
        CHECK_STR(c.body, "page");
    }
    client_close(&c);
    CHECK_EQ(fixture_stats().requests, 4); /* what is not HTTP is counted as refused */
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_request_outlives_its_client_and_says_so) {
    for (int reset = 0; reset < 2; reset++) {
        test_context("reset %d", reset);
        later_fixture();
        CHECK(client_connect(&c, fixture.address, 0));
        CHECK(client_ask(&c, "/ws", "Cookie: still=here\r\n", true));
        weft_request *request = wait_kept();
        CHECK(!weft_request_gone(request));
        if (reset)
            client_reset(&c);
        else
            client_close(&c);
        EVENTUALLY(weft_request_gone(request));
        CHECK_EQ(weft_request_accept(request, NULL, NULL, 0), WEFT_ECLOSED);
        CHECK_EQ(weft_request_reply(request, 200, NULL, "x", 1), WEFT_ECLOSED);
        weft_text cookie = weft_request_header(request, "Cookie");
        CHECK_BYTES(cookie.data, cookie.len, "still=here", 10);
        CHECK_EQ(strncmp(weft_request_peer(request), "127.0.0.1:", 10), 0);
        EVENTUALLY(fixture_stats().connections == 0);
        weft_request_unref(request);
        CHECK_STR(diary_next_within(20), "nothing"); /* neither open nor closed */
        CHECK_EQ(fixture_end(), WEFT_OK);
    }
    test_context("%s", "");
}

TEST(a_request_says_that_its_client_sends_no_more_and_is_answered_still) {
    later_fixture();
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/page", NULL, false));
    weft_request *request = wait_kept();
    client_sleep_ms(20);
    CHECK(!weft_request_half_closed(request));
    CHECK_EQ(shutdown(c.fd, SHUT_WR), 0);
    EVENTUALLY(weft_request_half_closed(request));
    CHECK(!weft_request_gone(request));
    CHECK_EQ(weft_request_reply(request, 200, "text/plain", "page", 4), WEFT_OK);
    weft_request_unref(request);
    CHECK_EQ(client_answer(&c), 200);
    CHECK_STR(c.body, "page");
    CHECK(client_ended(&c, CLIENT_PATIENCE_MS));
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_request_outlives_a_stopped_server) {
    later_fixture();
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/ws", NULL, true));
    weft_request *request = wait_kept();
    weft_server_stop(fixture.server);
    CHECK_EQ(fixture_wait(CLIENT_PATIENCE_MS), WEFT_OK);
    CHECK(weft_request_gone(request));
    CHECK_EQ(weft_request_accept(request, NULL, NULL, 0), WEFT_ECLOSED);
    weft_request_unref(request);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(a_reference_that_is_dropped_without_an_answer_ends_in_503) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .connections_max = 64, .answer_timeout_ms = 100});
    fixture_route("/ws", &(weft_route) {.upgrade = keep});
    fixture_run(NULL);
    CHECK(client_connect(&c, fixture.address, 0));
    CHECK(client_ask(&c, "/ws", NULL, true));
    weft_request *request = wait_kept();
    client_sleep_ms(30); /* the callback has returned: it counts as taken for later */
    weft_request_unref(request);
    CHECK_EQ(client_answer(&c), 503);
    CHECK_STR(client_header(&c, "Retry-After"), "5");
    uint64_t count, overload = 0, application = 0;
    const char *name;
    for (size_t i = 0; (name = weft_server_refusals(fixture.server, i, &count)); i++) {
        overload += strcmp(name, "overload") == 0 ? count : 0;
        application += strcmp(name, "application") == 0 ? count : 0;
    }
    CHECK_EQ(overload, 1);
    CHECK_EQ(application, 0);
    client_close(&c);
    CHECK_EQ(fixture_end(), WEFT_OK);
}
