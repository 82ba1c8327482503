/*
 * Dialling through a proxy, to the end: what it is asked for, what comes of its answers, and every allocation and call
 * that can fail on the way. The proxy is ours, on a thread; behind its answer it is also the server.
 */
#include "client_help.h"

#include <netdb.h>

#define GOOD                                                                                                           \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "          \
    "{A}\r\n\r\n\x88\x02\x03\xe8"
#define CONNECTED "HTTP/1.1 200 Connected\r\n\r\n"

/* A proxy that says `answer` to a CONNECT; with two clients, the first one's server sends it elsewhere. */
typedef struct fake_proxy {
    raw_server at;
    pthread_t thread;
    const char *answer;
    const char *first;               /* what the server answers to the first request; NULL: as to the others */
    size_t clients;                  /* in turn */
    char asked[2048], request[2048]; /* of the last one */
} fake_proxy;

static void talk(fake_proxy *p, int fd) {
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const char *answer = p->first ? p->first : GOOD;
    if (hear_request(fd, p->asked, sizeof p->asked) == 0)
        return;
    send(fd, p->answer, strlen(p->answer), MSG_NOSIGNAL);
    if (strcmp(p->answer, CONNECTED) == 0 && hear_request(fd, p->request, sizeof p->request) > 0)
        speak(fd, answer, strlen(answer), p->request);
    p->first = NULL;
    shutdown(fd, SHUT_WR);
    char rest[512];
    for (int i = 0; i < 100 && recv(fd, rest, sizeof rest, 0) > 0; i++)
        ;
}

static void *fake_proxy_run(void *arg) {
    fake_proxy *p = arg;
    for (size_t i = 0; i < p->clients; i++) {
        int fd = accept(p->at.listen_fd, NULL, NULL);
        if (fd < 0)
            break;
        talk(p, fd);
        close(fd);
    }
    return NULL;
}

static const char *fake_proxy_start(fake_proxy *p, const char *answer, size_t clients) {
    static char url[100];
    *p = (fake_proxy) {.answer = answer, .clients = clients};
    if (clients == 2)
        p->first = "HTTP/1.1 302 There\r\nLocation: ws://b.test:5/\r\nContent-Length: 0\r\n\r\n";
    raw_server_listen(&p->at);
    CHECK_EQ(pthread_create(&p->thread, NULL, fake_proxy_run, p), 0);
    snprintf(url, sizeof url, "http://me:secret@%s", p->at.url + 5);
    return url;
}

static void fake_proxy_end(fake_proxy *p) {
    shutdown(p->at.listen_fd, SHUT_RDWR); /* whoever waits for a client waits no more */
    pthread_join(p->thread, NULL);
    close(p->at.listen_fd);
}

static void see_phase(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    static const char *const phases[] = {"?", "resolve", "connect", "proxy", "tls", "handshake"};
    const char *behind = strstr(failure->text, "127.0.0.1:"); /* the port differs each time */
    see("%s %d %s: %.*s%s", phases[failure->phase], failure->response ? weft_response_status(failure->response) : 0,
        failure->sys_errno ? strerrorname_np(failure->sys_errno) : "0",
        behind ? (int)(behind - failure->text) : (int)strlen(failure->text), failure->text,
        behind ? strchr(behind, ' ') : "");
}

static weft_dial dial_by(const char *proxy, const char *url) {
    weft_dial dial = dial_to(url);
    dial.proxy = proxy;
    dial.failed = see_phase;
    return dial;
}

static void check_dial(const weft_client_config *config, const weft_dial *dial, const char *expected) {
    weft_client *c = weft_client_new(config);
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, dial, NULL), WEFT_OK);
    CHECK_STR(seen, "");
    run_out(c);
    CHECK_STR(seen, expected);
    weft_client_free(c);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(the_target_is_asked_for_and_told_nothing_of_the_proxy) {
    fake_proxy p;
    weft_dial dial = dial_by(fake_proxy_start(&p, CONNECTED, 1), "ws://nowhere.test/path");
    dial.user_password = "you:open";
    check_dial(NULL, &dial, "open 101; closed 1000  clean peer");
    fake_proxy_end(&p);
    CHECK_STR(p.asked, "CONNECT nowhere.test:80 HTTP/1.1\r\nHost: nowhere.test:80\r\n"
                       "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
    CHECK(strncmp(p.request, "GET /path HTTP/1.1\r\nHost: nowhere.test\r\n", 40) == 0);
    CHECK(strstr(p.request, "\r\nAuthorization: Basic eW91Om9wZW4=\r\n") != NULL);
    CHECK(strcasestr(p.request, "proxy") == NULL);
}

static const struct {
    const char *url, *address, *asked;
} targets[] = {
    {"ws://nowhere.test.:9001/", NULL, "nowhere.test.:9001"},
    {"ws://localhost/", NULL, "localhost:80"},
    {"ws://[::1]:9001/", NULL, "[::1]:9001"},
    {"http://192.0.2.1/", NULL, "192.0.2.1:80"},
    {"ws://nowhere.test/", "192.0.2.1:9001,192.0.2.2:9002", "192.0.2.1:9001"},
};

TEST(each_form_of_a_target_is_asked_for) {
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        fake_proxy p;
        char expected[100];
        test_context("row %s", targets[i].url);
        weft_dial dial = dial_by(fake_proxy_start(&p, CONNECTED, 1), targets[i].url);
        dial.address = targets[i].address;
        check_dial(NULL, &dial, "open 101; closed 1000  clean peer");
        fake_proxy_end(&p);
        snprintf(expected, sizeof expected, "CONNECT %s HTTP/1.1\r\n", targets[i].asked);
        CHECK(strncmp(p.asked, expected, strlen(expected)) == 0);
    }
}

static const struct {
    const char *answer, *expected;
} answers[] = {
    {"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n",
     "proxy 407 0: the proxy  answered 407 Proxy Authentication Required"},
    {"HTTP/1.0 502 No\r\n\r\nwhy", "proxy 502 0: the proxy  answered 502 Bad Gateway"},
    {"HTTP/1.1 302 There\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
     "proxy 302 0: the proxy  answered 302 Found"},
    {"what?\r\n\r\n", "proxy 0 0: the proxy  made no connection to a.test:80: "
                      "RFC9112/4: the answer does not begin with an HTTP/1.x status line"},
    {"", "proxy 0 ECONNRESET: the proxy  made no connection to a.test:80: RFC6455/4.1: the connection ended without an "
         "answer"},
    /* Bytes right behind the 200 are the target's, and not lost. */
    {CONNECTED "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
     "handshake 404 0: a.test:80 (through the proxy  answered 404 Not Found"},
};

TEST(what_the_proxy_answers_is_told) {
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        fake_proxy p;
        test_context("row %zu", i);
        weft_dial dial = dial_by(fake_proxy_start(&p, answers[i].answer, 1), "ws://a.test/");
        dial.redirects_max = 3;
        check_dial(NULL, &dial, answers[i].expected);
        fake_proxy_end(&p);
    }
}

TEST(redirects_go_through_the_same_proxy) {
    fake_proxy p;
    weft_dial dial = dial_by(fake_proxy_start(&p, CONNECTED, 2), "ws://a.test/");
    dial.redirects_max = 1;
    dial.user_password = "you:open";
    check_dial(NULL, &dial, "open 101; closed 1000  clean peer");
    fake_proxy_end(&p);
    CHECK_STR(p.asked, "CONNECT b.test:5 HTTP/1.1\r\nHost: b.test:5\r\n"
                       "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
    CHECK(strcasestr(p.request, "authorization") == NULL); /* what was for a.test stays there */
}

/* The proxy hears and says nothing. */
TEST(the_connect_deadline_covers_the_proxy) {
    raw_server s;
    raw_server_listen(&s);
    char proxy[100];
    snprintf(proxy, sizeof proxy, "http://%.60s", s.url + 5);
    weft_dial dial = dial_by(proxy, "ws://a.test/");
    dial.connect_timeout_ms = 50;
    check_dial(NULL, &dial,
               "proxy 0 ETIMEDOUT: the proxy  made no connection to a.test:80: "
               "connect_timeout: no connection came about in time");
    close(s.listen_fd);
}

TEST(a_proxy_that_is_not_there) {
    raw_server s;
    raw_server_listen(&s);
    close(s.listen_fd);
    char proxy[100];
    snprintf(proxy, sizeof proxy, "socks5h://%.60s", s.url + 5);
    weft_dial dial = dial_by(proxy, "ws://a.test/");
    check_dial(NULL, &dial, "connect 0 ECONNREFUSED: cannot connect to the proxy  Connection refused");
}

TEST(which_proxy_is_taken) {
    raw_server s;
    fake_proxy p;
    const char *proxy = fake_proxy_start(&p, CONNECTED, 1);
    weft_client_config config = {WEFT_CLIENT_CONFIG_INIT, .proxy = proxy};
    weft_dial dial = dial_to("ws://a.test/");
    check_dial(&config, &dial, "open 101; closed 1000  clean peer"); /* the client's */
    fake_proxy_end(&p);
    CHECK(p.asked[0] != '\0');

    config.proxy = "http://127.0.0.1:1"; /* nobody's */
    proxy = fake_proxy_start(&p, CONNECTED, 1);
    dial.proxy = proxy;
    check_dial(&config, &dial, "open 101; closed 1000  clean peer"); /* the dial's */
    fake_proxy_end(&p);

    raw_server_start(&s, (script) {GOOD, sizeof GOOD - 1, ENDS_WITH_FIN, NULL, 0});
    dial = dial_to(s.url);
    dial.proxy = "none";
    check_dial(&config, &dial, "open 101; closed 1000  clean peer");
    raw_server_end(&s);

    dial = dial_to("ws+unix:/nowhere/at/all.sock:/"); /* the client's proxy leads to no such thing */
    check_dial(&config, &dial, "failed to connect ENOENT");
}

static const struct {
    weft_dial dial;
    const char *why;
} refused[] = {
    {{WEFT_DIAL_INIT, .url = "ws://a/", .proxy = "https://p"},
     "a proxy is http://host:port, socks5h://host:port or socks5://host:port"},
    {{WEFT_DIAL_INIT, .url = "ws://a/", .proxy = ""},
     "a proxy is http://host:port, socks5h://host:port or socks5://host:port"},
    {{WEFT_DIAL_INIT, .url = "ws+unix:/a:/", .proxy = "http://p"}, "a proxy does not lead to a unix socket"},
    {{WEFT_DIAL_INIT, .url = "ws://a/", .address = "unix:/a", .proxy = "http://p"},
     "a proxy does not lead to a unix socket"},
    {{WEFT_DIAL_INIT, .url = "wss://a/", .headers = (const char *const[]) {"Host: b", NULL}, .proxy = "http://p"},
     "a header is one that the handshake sets itself"},
};

TEST(proxies_that_cannot_be_meant_are_refused) {
    weft_client *c = weft_client_new(&(weft_client_config) {WEFT_CLIENT_CONFIG_INIT, .proxy = "ftp://a"});
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        test_context("row %zu", i);
        CHECK_EQ(weft_client_dial(c, &refused[i].dial, NULL), WEFT_EINVAL);
        CHECK_STR(weft_client_error(c), refused[i].why);
    }
    weft_dial dial = dial_to("ws://a/");
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_EINVAL);
    CHECK_STR(weft_client_error(c), "a proxy is http://host:port, socks5h://host:port or socks5://host:port");
    weft_client_free(c);
}

/* ---- names (tests/CMakeLists.txt wraps getaddrinfo) ---- */

static char looked_up[200];

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out) {
    size_t used = strlen(looked_up);
    snprintf(looked_up + used, sizeof looked_up - used, "%s:%s ", host, port);
    return strcmp(host, "nowhere.test") == 0 ? EAI_NONAME : __real_getaddrinfo("127.0.0.1", port, hints, out);
}

/* Threads give back what they own in their own time. */
static void run_names(const weft_dial *dial, const char *expected, const char *names) {
    weft_client *c = weft_client_new(NULL);
    seen[0] = looked_up[0] = '\0';
    CHECK_EQ(weft_client_dial(c, dial, NULL), WEFT_OK);
    run_out(c);
    CHECK_STR(seen, expected);
    CHECK_STR(looked_up, names);
    weft_client_free(c);
    for (int i = 0; i < PATIENCE_MS && test_mem_live() > 0; i++)
        usleep(1000);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(who_looks_up_which_name) {
    fake_proxy p;
    char proxy[100], names[100];
    fake_proxy_start(&p, CONNECTED, 1);
    const char *port = strrchr(p.at.url, ':');
    snprintf(proxy, sizeof proxy, "http://proxy.test%s", port);
    snprintf(names, sizeof names, "proxy.test%.*s ", (int)strlen(port) - 1, port);
    weft_dial dial = dial_by(proxy, "ws://nowhere.test/");
    run_names(&dial, "open 101; closed 1000  clean peer", names);
    fake_proxy_end(&p);

    dial = dial_by("http://nowhere.test", "ws://a.test/");
    run_names(&dial, "resolve 0 ENOENT: cannot find the proxy nowhere.test: Name or service not known",
              "nowhere.test:80 ");
    dial = dial_by("socks5://127.0.0.1:1", "ws://nowhere.test/");
    run_names(&dial, "resolve 0 ENOENT: cannot find nowhere.test: Name or service not known", "nowhere.test:80 ");
    dial = dial_by("socks5h://127.0.0.1:1", "ws://nowhere.test/");
    run_names(&dial, "connect 0 ECONNREFUSED: cannot connect to the proxy  Connection refused", "");
    dial = dial_by("socks5://proxy.test:1", "ws://a.test:5/"); /* the target first: without it no proxy is needed */
    run_names(&dial, "connect 0 ECONNREFUSED: cannot connect to the proxy  Connection refused",
              "a.test:5 proxy.test:1 ");
}

TEST(every_allocation_can_fail) {
    for (size_t n = 1;; n++) {
        fake_proxy p;
        const char *proxy = fake_proxy_start(&p, CONNECTED, 1);
        weft_client *c = weft_client_new(NULL);
        weft_dial dial = dial_by(proxy, "ws://a.test/");
        dial.redirects_max = 1;
        seen[0] = '\0';
        test_mem_fail_at(n);
        int got = weft_client_dial(c, &dial, NULL);
        run_out(c);
        bool reached = test_mem_calls() >= n;
        test_mem_fail_at(0);
        test_context("allocation %zu: %s", n, seen);
        if (got != WEFT_OK)
            CHECK_EQ(got, WEFT_ENOMEM);
        else
            CHECK(strncmp(seen, "open 101; closed 1000", 21) == 0 || strstr(seen, "ENOMEM") || strstr(seen, "1006"));
        weft_client_free(c);
        fake_proxy_end(&p);
        CHECK_EQ(test_mem_live(), 0);
        if (!reached)
            break;
    }
}
