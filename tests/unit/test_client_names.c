/*
 * Dialling by name: the lookup is off the loop, has the connect deadline over it, and is waited for by nobody. The
 * resolver is ours here: it knows few names, and one of them takes as long as the test wants.
 */
#include "client_help.h"

#include "client/lookup.h"

#include <netdb.h>
#include <stdatomic.h>

#define GOOD                                                                                                           \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "          \
    "{A}\r\n\r\n"
#define CLOSE "\x88\x02\x03\xe8"

/* ---- a resolver (tests/CMakeLists.txt wraps getaddrinfo) ---- */

static atomic_int slow_is_held, asked;

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out) {
    atomic_fetch_add(&asked, 1);
    while (strcmp(host, "slow.test") == 0 && atomic_load(&slow_is_held))
        usleep(1000);
    if (strcmp(host, "again.test") == 0 || strcmp(host, "rooted.test.") == 0)
        return EAI_AGAIN;
    if (strcmp(host, "broken.test") == 0) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (strcmp(host, "good.test") != 0 && strcmp(host, "slow.test") != 0)
        return EAI_NONAME;
    return __real_getaddrinfo("127.0.0.1", port, hints, out);
}

/* Threads own what they work on, and give it back in their own time. */
static void check_all_is_freed(void) {
    for (int i = 0; i < PATIENCE_MS && test_mem_live() > 0; i++)
        usleep(1000);
    CHECK_EQ(test_mem_live(), 0);
}

static const char *url_of(const char *name, const raw_server *s) {
    static char url[100];
    snprintf(url, sizeof url, "ws://%s%s", name, strrchr(s->url, ':'));
    return url;
}

static void see_all(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    see("%s%s %s", failure->phase == WEFT_DIAL_RESOLVE ? "" : "not resolve: ", failure->text,
        failure->sys_errno ? strerrorname_np(failure->sys_errno) : "0");
}

TEST(a_name_is_looked_up_and_dialled) {
    raw_server s;
    raw_server_start(&s, (script) {GOOD CLOSE, sizeof(GOOD CLOSE) - 1, ENDS_WITH_FIN, NULL, 0});
    weft_client *c = weft_client_new(NULL);
    weft_dial dial = dial_to(url_of("good.test", &s));
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    CHECK_EQ(weft_client_run(c), WEFT_OK); /* nothing but the wake ends its first wait */
    CHECK_STR(seen, "open 101; closed 1000  clean peer");
    weft_client_free(c);
    raw_server_end(&s);
    check_all_is_freed();
}

static const struct {
    const char *url, *expected;
} lost[] = {
    {"ws://nowhere.test/", "cannot find nowhere.test: Name or service not known ENOENT"},
    {"ws://rooted.test.:80/", "cannot find rooted.test: Temporary failure in name resolution EAGAIN"},
    {"wss://again.test/", "cannot find again.test: Temporary failure in name resolution EAGAIN"},
    {"http://broken.test/", "cannot find broken.test: Too many open files EMFILE"},
};

TEST(what_the_resolver_says_is_told) {
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        weft_client *c = weft_client_new(NULL);
        weft_dial dial = dial_to(lost[i].url);
        dial.failed = see_all;
        seen[0] = '\0';
        CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
        run_out(c);
        CHECK_STR(seen, lost[i].expected);
        weft_client_free(c);
    }
    check_all_is_freed();
}

TEST(the_connect_deadline_covers_the_lookup) {
    atomic_store(&slow_is_held, 1);
    weft_client *c = weft_client_new(NULL);
    weft_dial dial = dial_to("ws://slow.test/");
    dial.failed = see_all;
    dial.connect_timeout_ms = 50;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    run_out(c);
    CHECK_STR(seen, "cannot find slow.test: connect_timeout: no connection came about in time ETIMEDOUT");
    atomic_store(&slow_is_held, 0);
    weft_client_free(c);
    check_all_is_freed();
}

/* A slow name keeps neither the others nor the client. */
TEST(others_are_found_meanwhile) {
    atomic_store(&slow_is_held, 1);
    raw_server s;
    raw_server_start(&s, (script) {GOOD CLOSE, sizeof(GOOD CLOSE) - 1, ENDS_WITH_FIN, NULL, 0});
    weft_client *c = weft_client_new(NULL);
    weft_dial slow = dial_to("ws://slow.test/"), good = dial_to(url_of("good.test", &s));
    weft_conn *conn;
    seen[0] = '\0';
    CHECK_EQ(weft_client_dial(c, &slow, &conn), WEFT_OK);
    CHECK_EQ(weft_client_dial(c, &good, NULL), WEFT_OK);
    uint64_t until_ms = wf_clock_ms() + PATIENCE_MS;
    while (weft_client_connections(c) > 1 && wf_clock_ms() < until_ms)
        CHECK_EQ(weft_client_turn(c, 50), WEFT_OK);
    CHECK_STR(seen, "open 101; closed 1000  clean peer");
    seen[0] = '\0';
    weft_conn_abort(conn);
    CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
    CHECK_STR(seen, "failed to find ECONNABORTED");
    CHECK_EQ(weft_client_connections(c), 0);
    atomic_store(&slow_is_held, 0);
    CHECK_EQ(weft_client_turn(c, 20), WEFT_OK); /* what was given up comes to nobody */
    weft_client_free(c);
    raw_server_end(&s);
    check_all_is_freed();
}

/* In work, waiting, and done: each in turn is left behind by a client that goes. */
TEST(freeing_waits_for_no_resolver) {
    atomic_store(&slow_is_held, 1);
    for (int names = 0; names < 8; names++) {
        weft_client *c = weft_client_new(NULL);
        weft_dial slow = dial_to("ws://slow.test/"), lost_one = dial_to("ws://nowhere.test/");
        seen[0] = '\0';
        for (int i = 0; i < names; i++)
            CHECK_EQ(weft_client_dial(c, i % 3 == 2 ? &lost_one : &slow, NULL), WEFT_OK);
        usleep(2000);
        weft_client_free(c);
        CHECK_STR(seen, "");
    }
    atomic_store(&slow_is_held, 0);
    check_all_is_freed();
}

/* Given up while they wait for a thread: they are never asked for, and leave their places. */
TEST(what_waits_and_is_given_up_is_not_asked_for) {
    enum { DIALS = 10 };
    atomic_store(&slow_is_held, 1);
    atomic_store(&asked, 0);
    weft_client *c = weft_client_new(NULL);
    weft_conn *conns[DIALS];
    for (int i = 0; i < DIALS; i++) {
        char to[40];
        snprintf(to, sizeof to, "ws://slow.test:%d/", i + 1);
        weft_dial dial = dial_to(to);
        CHECK_EQ(weft_client_dial(c, &dial, &conns[i]), WEFT_OK);
    }
    while (atomic_load(&asked) < WF_LOOKUP_THREADS_MAX)
        usleep(1000);
    for (int i = 0; i < DIALS; i++)
        weft_conn_abort(conns[i]);
    run_out(c);
    atomic_store(&slow_is_held, 0);
    weft_client_free(c);
    check_all_is_freed();
    CHECK_EQ(atomic_load(&asked), WF_LOOKUP_THREADS_MAX);
}

/* ---- dials of one name ---- */

static size_t refused, given_up;

static void count_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    (void)conn, (void)user;
    refused += failure->phase == WEFT_DIAL_CONNECT && failure->sys_errno == ECONNREFUSED;
    given_up += failure->phase == WEFT_DIAL_RESOLVE && failure->sys_errno == ECONNABORTED;
}

static void dial_many(weft_client *c, const char *url, weft_conn **out_conns, size_t count) {
    weft_dial dial = {WEFT_DIAL_INIT, .url = url, .failed = count_failed};
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(weft_client_dial(c, &dial, &out_conns[i]), WEFT_OK);
}

/* Whichever of them give up, in work as it waits for a thread: each of the others is told. */
TEST(dials_of_one_name_are_one_question) {
    enum { DIALS = 1000, GIVE_UP = 300 };
    static weft_conn *conns[DIALS], *others[WF_LOOKUP_THREADS_MAX];
    for (int waiting = 0; waiting < 2; waiting++) {
        test_context("%s", waiting ? "waiting" : "in work");
        atomic_store(&slow_is_held, 1);
        atomic_store(&asked, 0);
        refused = given_up = 0;
        weft_client *c = weft_client_new(NULL);
        for (int i = 0; i < WF_LOOKUP_THREADS_MAX * waiting; i++) {
            char to[40];
            snprintf(to, sizeof to, "ws://slow.test:%d/", i + 2);
            dial_many(c, to, &others[i], 1);
        }
        dial_many(c, "ws://slow.test:1/", conns, DIALS / 2);
        dial_many(c, "ws://Slow.Test:1/", conns + DIALS / 2, DIALS / 2);
        while (atomic_load(&asked) < (waiting ? WF_LOOKUP_THREADS_MAX : 1))
            usleep(1000);
        for (int i = 0; i < GIVE_UP; i++)
            weft_conn_abort(conns[i * 3]);
        CHECK_EQ(weft_client_turn(c, 0), WEFT_OK);
        CHECK_EQ(given_up, GIVE_UP);
        atomic_store(&slow_is_held, 0);
        run_out(c);
        CHECK_EQ(refused, DIALS - GIVE_UP + (waiting ? WF_LOOKUP_THREADS_MAX : 0));
        CHECK_EQ(atomic_load(&asked), waiting ? WF_LOOKUP_THREADS_MAX + 1 : 1);
        dial_many(c, "ws://slow.test:1/", conns, 1); /* no answer is kept */
        run_out(c);
        CHECK_EQ(atomic_load(&asked), waiting ? WF_LOOKUP_THREADS_MAX + 2 : 2);
        weft_client_free(c);
        check_all_is_freed();
    }
}

/* One that all had given up, and that its thread is not done with, is there for who asks again. */
TEST(a_lookup_in_work_is_joined_again) {
    weft_conn *conn;
    atomic_store(&slow_is_held, 1);
    atomic_store(&asked, 0);
    refused = given_up = 0;
    weft_client *c = weft_client_new(NULL);
    dial_many(c, "ws://slow.test:1/", &conn, 1);
    while (atomic_load(&asked) == 0)
        usleep(1000);
    weft_conn_abort(conn);
    run_out(c);
    dial_many(c, "ws://slow.test:1/", &conn, 1);
    atomic_store(&slow_is_held, 0);
    run_out(c);
    CHECK_EQ(given_up, 1);
    CHECK_EQ(refused, 1);
    CHECK_EQ(atomic_load(&asked), 1);
    weft_client_free(c);
    check_all_is_freed();
}

TEST(more_than_may_wait_are_refused) {
    atomic_store(&slow_is_held, 1);
    wf_loop *loop = wf_loop_new(0);
    wf_lookups *l = wf_lookups_new(loop);
    enum { MANY = WF_LOOKUPS_MAX + 2 * WF_LOOKUP_THREADS_MAX };
    wf_asker *askers = calloc(MANY, sizeof *askers);
    int got = WF_OK;
    unsigned taken = 0;
    while (taken < MANY && (got = wf_lookups_start(l, "slow.test", taken, &askers[taken])) == WF_OK)
        taken++;
    CHECK_EQ(got, WF_ELIMIT);
    CHECK(taken >= WF_LOOKUPS_MAX && taken <= WF_LOOKUPS_MAX + WF_LOOKUP_THREADS_MAX);
    CHECK_EQ(wf_lookups_start(l, "slow.test", 0, &askers[taken]), WF_OK); /* who joins takes no place */
    wf_lookups_give_up(l, &askers[taken - 1]);
    CHECK_EQ(wf_lookups_start(l, "slow.test", MANY, &askers[taken - 1]), WF_OK);
    wf_lookups_close(l);
    free(askers);
    atomic_store(&slow_is_held, 0);
    wf_loop_free(loop);
    check_all_is_freed();
}

TEST(without_a_thread_there_is_no_lookup) {
    weft_client *c = weft_client_new(NULL);
    weft_dial dial = dial_to("ws://good.test/");
    dial.failed = see_all;
    seen[0] = '\0';
    test_call_fail_at("pthread_create", 1, EAGAIN);
    CHECK_EQ(weft_client_dial(c, &dial, NULL), WEFT_OK);
    test_call_fail_at(NULL, 0, 0);
    run_out(c);
    CHECK_STR(seen, "cannot find good.test: Resource temporarily unavailable EAGAIN");
    weft_client_free(c);
    check_all_is_freed();
}

TEST(every_allocation_can_fail) {
    for (size_t n = 1;; n++) {
        test_context("allocation %zu", n);
        weft_client *c = weft_client_new(NULL);
        weft_dial dial = dial_to("ws://nowhere.test/");
        seen[0] = '\0';
        test_mem_fail_at(n);
        int got = weft_client_dial(c, &dial, NULL);
        run_out(c);
        bool reached = test_mem_calls() >= n;
        test_mem_fail_at(0);
        test_context("allocation %zu: %s", n, seen);
        if (got == WEFT_OK)
            CHECK(strcmp(seen, "failed to find ENOENT") == 0 || strncmp(seen, "failed to find ENOMEM", 21) == 0);
        else
            CHECK_EQ(got, WEFT_ENOMEM);
        weft_client_free(c);
        check_all_is_freed();
        if (!reached)
            break;
    }
}
