/*
 * Several workers: one order per topic, whoever publishes and wherever the subscribers live; numbers that add
 * up.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 4, READERS = 64, PUBLISHERS = 4, EACH = 500, ALL = PUBLISHERS * EACH };

static client readers[READERS], writers[2];
static uint16_t seen[READERS][ALL];

/* One reader drains its socket on a thread of its own and writes down what it saw. */
typedef struct reading {
    client *from;
    uint16_t *seen;
    int count;
    char problem[128];
} reading;

static void *read_all(void *arg) {
    reading *r = arg;
    int next_of[PUBLISHERS] = {0};
    while (r->count < ALL) {
        const char *came = client_next(r->from);
        int publisher, number;
        if (sscanf(came, "text %d:%d", &publisher, &number) != 2 || publisher < 0 || publisher >= PUBLISHERS) {
            snprintf(r->problem, sizeof r->problem, "%.60s after %d", came, r->count);
            break;
        }
        if (number != next_of[publisher]++) {
            snprintf(r->problem, sizeof r->problem, "%d:%d out of its publisher's order", publisher, number);
            break;
        }
        r->seen[r->count++] = (uint16_t)(publisher * EACH + number);
    }
    return NULL;
}

/* Publishers 0 and 1 are threads outside of the server, 2 and 3 are clients. */
static void *publish_from_outside(void *arg) {
    char text[32];
    for (int i = 0; i < EACH; i++) {
        snprintf(text, sizeof text, "%d:%d", *(int *)arg, i);
        if (weft_publish(fixture.server, "t", WEFT_TEXT, text, strlen(text)) != WEFT_OK)
            diary("a publish failed");
        if (i % 50 == 0)
            client_sleep_ms(1);
    }
    return NULL;
}

static void *publish_as_client(void *arg) {
    char text[32];
    for (int i = 0; i < EACH; i++) {
        snprintf(text, sizeof text, "%d:%d", *(int *)arg, i);
        client_text(&writers[*(int *)arg - 2], text);
    }
    return NULL;
}

static void join_topic(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    if (weft_conn_subscribe(conn, user, 0) != WEFT_OK)
        diary("subscribe failed");
}

static void publish_on(weft_conn *conn, weft_message message, void *user) {
    if (weft_conn_publish(conn, user, message.kind, message.data, message.len) != WEFT_OK)
        diary("publish failed");
}

TEST(everyone_sees_every_message_in_one_order) {
    static int numbers[PUBLISHERS] = {0, 1, 2, 3};
    static reading readings[READERS];
    pthread_t reading_threads[READERS], publishing[PUBLISHERS];
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = WORKERS, .connections_max = 256});
    fixture_route("/join", &(weft_route) {.open = join_topic, .closed = NULL, .user = "t"});
    fixture_route("/say", &(weft_route) {.message = publish_on, .user = "t"});
    fixture_run(NULL);
    for (int i = 0; i < READERS; i++)
        CHECK_EQ(client_open(&readers[i], fixture.address, "/join", NULL), 101);
    CHECK_EQ(client_open(&writers[0], fixture.address, "/say", NULL), 101);
    CHECK_EQ(client_open(&writers[1], fixture.address, "/say", NULL), 101);
    size_t count;
    weft_topic_info *topics = NULL;
    uint32_t subscribers = 0;
    uint64_t until = client_now_ms() + CLIENT_PATIENCE_MS;
    while (subscribers < READERS && client_now_ms() < until) {
        topics = weft_server_topics(fixture.server, "", &count);
        subscribers = topics ? topics[0].subscribers : 0;
        weft_topics_free(topics);
    }
    CHECK_EQ(subscribers, READERS); /* over all workers */
    for (int i = 0; i < READERS; i++) {
        readings[i] = (reading) {.from = &readers[i], .seen = seen[i]};
        CHECK_EQ(pthread_create(&reading_threads[i], NULL, read_all, &readings[i]), 0);
    }
    for (int i = 0; i < PUBLISHERS; i++)
        CHECK_EQ(pthread_create(&publishing[i], NULL, i < 2 ? publish_from_outside : publish_as_client, &numbers[i]),
                 0);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(publishing[i], NULL);
    for (int i = 0; i < READERS; i++)
        pthread_join(reading_threads[i], NULL);
    for (int i = 0; i < READERS; i++) {
        test_context("reader %d", i);
        CHECK_STR(readings[i].problem, "");
        CHECK_EQ(readings[i].count, ALL);
        CHECK(memcmp(seen[i], seen[0], sizeof seen[0]) == 0);
        client_close(&readers[i]);
    }
    test_context("%s", "");
    CHECK_STR(diary_next_within(1), "nothing");
    weft_stats stats = fixture_stats();
    CHECK_EQ(stats.published, ALL);
    CHECK_EQ(stats.delivered, ALL * READERS);
    CHECK_EQ(stats.messages_out, ALL * READERS);
    CHECK_EQ(stats.messages_in, 2 * EACH);
    CHECK_EQ(stats.handshakes, READERS + 2);
    CHECK_EQ(stats.accepted, READERS + 2);
    CHECK_EQ(stats.queue_drops, 0);
    client_close(&writers[0]);
    client_close(&writers[1]);
    EVENTUALLY(fixture_stats().connections == 0 && fixture_stats().websockets == 0);
    EVENTUALLY(fixture_stats().memory_bytes == 0);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

TEST(the_past_is_the_same_on_every_worker) {
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = WORKERS, .connections_max = 256});
    CHECK_EQ(weft_server_history(fixture.server, "", 20, 10000), WEFT_OK);
    for (int i = 0; i < 30; i++) {
        char text[8];
        snprintf(text, sizeof text, "m%02d", i);
        CHECK_EQ(weft_publish(fixture.server, "t", WEFT_TEXT, text, 3), WEFT_OK);
    }
    fixture_route("/", &(weft_route) {.open = join_topic, .message = publish_on, .user = "t"});
    fixture_run(NULL);
    EVENTUALLY(fixture_stats().published == 30);
    client_sleep_ms(50); /* from the home to the others */
    for (int i = 0; i < 16; i++) {
        CHECK_EQ(client_open(&readers[i], fixture.address, "/", NULL), 101);
        CHECK_STR(client_next_within(&readers[i], 1), "timeout"); /* replay 0 */
    }
    client_text(&readers[0], "now");
    for (int i = 1; i < 16; i++)
        CHECK_STR(client_next(&readers[i]), "text now");
    CHECK_STR(client_next_within(&readers[0], 10), "timeout"); /* not to itself */
    for (int i = 0; i < 16; i++)
        client_close(&readers[i]);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

static void join_with_past(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    weft_conn_subscribe(conn, user, 1000);
}

static atomic_bool publish_on_and_on;

static void *publish_until_told(void *count) {
    char text[16];
    while (atomic_load(&publish_on_and_on) && *(int *)count < 20000) {
        snprintf(text, sizeof text, "%d", *(int *)count);
        weft_publish(fixture.server, "t", WEFT_TEXT, text, strlen(text));
        ++*(int *)count;
        if (*(int *)count % 8 == 0)
            client_sleep_ms(1);
    }
    return NULL;
}

TEST(between_the_past_and_the_present_there_is_neither_gap_nor_repeat) {
    int count = 0;
    pthread_t publisher;
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = WORKERS, .connections_max = 256});
    CHECK_EQ(weft_server_history(fixture.server, "", 50, 10000), WEFT_OK);
    fixture_route("/", &(weft_route) {.open = join_with_past, .user = "t"});
    fixture_run(NULL);
    atomic_store(&publish_on_and_on, true);
    CHECK_EQ(pthread_create(&publisher, NULL, publish_until_told, &count), 0);
    EVENTUALLY(fixture_stats().published > 60);
    bool ok = true;
    for (int i = 0; i < READERS && ok; i++) {
        ok = client_open(&readers[i], fixture.address, "/", NULL) == 101;
        int expected = -1;
        for (int n = 0; n < 80 && ok; n++) {
            int number = -1;
            sscanf(client_next(&readers[i]), "text %d", &number);
            ok = number >= 0 && (expected < 0 || number == expected);
            expected = number + 1;
        }
        client_close(&readers[i]);
    }
    atomic_store(&publish_on_and_on, false);
    pthread_join(publisher, NULL);
    CHECK(ok);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- a state that changes by publishing, and newcomers who are told it ---- */

static struct {
    pthread_mutex_t lock;
    int count; /* published */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void count_up(void) {
    char text[16];
    pthread_mutex_lock(&state.lock);
    snprintf(text, sizeof text, "%d", ++state.count);
    if (weft_publish(fixture.server, "state", WEFT_TEXT, text, strlen(text)) != WEFT_OK)
        diary("publish failed");
    pthread_mutex_unlock(&state.lock);
}

static void count_up_on(weft_conn *conn, weft_message message, void *user) {
    (void)conn, (void)message, (void)user;
    count_up();
}

static void *count_up_outside(void *unused) {
    for (int i = 0; atomic_load(&publish_on_and_on) && i < 20000; i++) {
        count_up();
        if (i % 8 == 0)
            client_sleep_ms(1);
    }
    return unused;
}

static void *count_up_inside(void *writer) {
    for (int i = 0; atomic_load(&publish_on_and_on) && i < 20000; i++) {
        client_text(writer, "up");
        if (i % 8 == 0)
            client_sleep_ms(1);
    }
    return NULL;
}

static void tell_and_join(weft_conn *conn, const weft_request *request, void *user) {
    (void)request, (void)user;
    char text[16];
    pthread_mutex_lock(&state.lock);
    snprintf(text, sizeof text, "%d", state.count);
    if (weft_conn_send(conn, WEFT_TEXT, text, strlen(text)) != WEFT_OK ||
        weft_conn_subscribe(conn, "state", 0) != WEFT_OK)
        diary("no state");
    pthread_mutex_unlock(&state.lock);
}

/* On workers, and outside of them; newcomers on the topic's home and elsewhere. */
TEST(what_is_told_under_a_lock_and_what_is_published_have_neither_gap_nor_repeat) {
    pthread_t outside, inside[2];
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = WORKERS, .connections_max = 256});
    fixture_route("/", &(weft_route) {.open = tell_and_join});
    fixture_route("/up", &(weft_route) {.message = count_up_on});
    fixture_run(NULL);
    state.count = 0;
    atomic_store(&publish_on_and_on, true);
    CHECK_EQ(pthread_create(&outside, NULL, count_up_outside, NULL), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(client_open(&writers[i], fixture.address, "/up", NULL), 101);
        CHECK_EQ(pthread_create(&inside[i], NULL, count_up_inside, &writers[i]), 0);
    }
    EVENTUALLY(fixture_stats().published > 60);
    int due = 0, number = 0;
    for (int i = 0; i < READERS && number == due; i++) {
        CHECK_EQ(client_open(&readers[i], fixture.address, "/", NULL), 101);
        for (int n = 0; n < 40 && number == due; n++) {
            const char *came = client_next(&readers[i]);
            if (sscanf(came, "text %d", &number) != 1)
                number = -1;
            due = n == 0 ? number : due + 1;
        }
        client_close(&readers[i]);
    }
    atomic_store(&publish_on_and_on, false);
    pthread_join(outside, NULL);
    for (int i = 0; i < 2; i++) {
        pthread_join(inside[i], NULL);
        client_close(&writers[i]);
    }
    CHECK_EQ(number, due);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- now and then ---- */

static void publish_a_tick(weft_server *server, void *count) {
    ++*(atomic_int *)count;
    if (weft_publish(server, "t", WEFT_TEXT, "tick", 4) != WEFT_OK)
        diary("publish failed");
}

TEST(what_is_to_be_done_now_and_then_is_done) {
    atomic_int often = 0, seldom = 0;
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = 2, .connections_max = 64});
    CHECK_EQ(weft_server_every(fixture.server, 0, publish_a_tick, &often), WEFT_EINVAL);
    CHECK_EQ(weft_server_every(fixture.server, 10, NULL, &often), WEFT_EINVAL);
    CHECK_EQ(weft_server_every(fixture.server, 10, publish_a_tick, &often), WEFT_OK);
    CHECK_EQ(weft_server_every(fixture.server, 3600000, publish_a_tick, &seldom), WEFT_OK);
    fixture_route("/", &(weft_route) {.open = join_topic, .user = "t"});
    fixture_run(NULL);
    CHECK_EQ(client_open(&readers[0], fixture.address, "/", NULL), 101);
    for (int i = 0; i < 3; i++)
        CHECK_STR(client_next(&readers[0]), "text tick");
    CHECK_EQ(weft_server_every(fixture.server, 10, publish_a_tick, &often), WEFT_EINVAL); /* it runs */
    CHECK(often >= 3 && seldom == 0);
    weft_server_drain(fixture.server, WEFT_CLOSE_GOING_AWAY, 0);
    for (int ms = 0; seldom == 0 && ms < CLIENT_PATIENCE_MS; ms++)
        client_sleep_ms(1);
    client_close(&readers[0]);
    CHECK_EQ(fixture_end(), WEFT_OK);
    CHECK_EQ(seldom, 1);
}

/* ---- a walk over all ---- */

enum { WALKED = 40 };

static struct {
    weft_handle met[2 * WALKED];
    atomic_int count, rounds;
    _Atomic weft_handle last;
    atomic_int ended;
    atomic_bool routes_ok;
} walk;

static bool meet(weft_conn *conn, void *user) {
    int at = atomic_fetch_add(&walk.count, 1);
    if (at < 2 * WALKED)
        walk.met[at] = weft_conn_handle(conn);
    const weft_route *route = weft_conn_route(conn);
    if (!route || route->open != join_topic || route->user != user)
        atomic_store(&walk.routes_ok, false);
    return true;
}

static void walked(weft_server *server, weft_handle last, void *user) {
    (void)server;
    (void)user;
    atomic_store(&walk.last, last);
    atomic_fetch_add(&walk.ended, 1);
}

/* Pages of `max`, until there are no more. */
static void walk_all(uint32_t max) {
    atomic_store(&walk.count, 0);
    atomic_store(&walk.rounds, 0);
    atomic_store(&walk.last, 0);
    do {
        int before = atomic_load(&walk.ended);
        CHECK_EQ(weft_server_visit(fixture.server, &(weft_visit) {WEFT_VISIT_INIT, .after = walk.last, .max = max,
                                                                  .visit = meet, .done = walked, .user = "t"}),
                 WEFT_OK);
        EVENTUALLY(atomic_load(&walk.ended) > before);
        walk.rounds++;
    } while (walk.last != 0 && walk.rounds <= WALKED + 1);
}

static void check_met_once(int count) {
    CHECK_EQ(walk.count, count);
    for (int i = 0; i < count; i++)
        for (int k = i + 1; k < count; k++)
            CHECK(walk.met[i] != walk.met[k]);
}

TEST(a_walk_meets_everyone_once) {
    atomic_store(&walk.routes_ok, true);
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = WORKERS, .connections_max = 5000});
    fixture_route("/", &(weft_route) {.open = join_topic, .user = "t"});
    fixture_run(NULL);
    weft_visit none = {WEFT_VISIT_INIT, .max = 1, .visit = meet};
    CHECK_EQ(weft_server_visit(fixture.server, &none), WEFT_EINVAL); /* nobody would hear of its end */
    none.done = walked, none.max = 0;
    CHECK_EQ(weft_server_visit(fixture.server, &none), WEFT_EINVAL);
    none.max = 1, none.after = UINT64_C(200) << 24;
    CHECK_EQ(weft_server_visit(fixture.server, &none), WEFT_EINVAL); /* no such worker */
    walk_all(10);
    check_met_once(0);
    for (int i = 0; i < WALKED; i++)
        CHECK_EQ(client_open(&readers[i], fixture.address, "/", NULL), 101);
    EVENTUALLY(fixture_stats().websockets == WALKED);
    walk_all(1000);
    CHECK_EQ(walk.rounds, 1);
    check_met_once(WALKED);
    walk_all(7);
    CHECK_EQ(walk.rounds, 6);
    check_met_once(WALKED);
    for (int i = 0; i < WALKED; i += 2)
        client_close(&readers[i]);
    EVENTUALLY(fixture_stats().websockets == WALKED / 2);
    walk_all(1);
    check_met_once(WALKED / 2);
    CHECK(walk.routes_ok);
    for (int i = 1; i < WALKED; i += 2)
        client_close(&readers[i]);
    CHECK_EQ(fixture_end(), WEFT_OK);
}

/* ---- handles and answers from many threads at once, while connections come and go ---- */

static _Atomic weft_handle handles[16];
static atomic_int opens, closes, accepted, answering;
static atomic_bool storm;

static void remember_handle(weft_conn *conn, const weft_request *request, void *user) {
    (void)request;
    (void)user;
    atomic_store(&handles[atomic_fetch_add(&opens, 1) % 16], weft_conn_handle(conn));
    weft_conn_subscribe(conn, "storm", 5);
}

static void count_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)info;
    (void)user;
    atomic_fetch_add(&closes, 1);
    weft_conn_publish(conn, "storm", WEFT_TEXT, "bye", 3);
}

static void *answer_later(void *request) {
    if (weft_request_accept(request, NULL, NULL, 0) == WEFT_OK)
        atomic_fetch_add(&accepted, 1);
    weft_request_unref(request);
    atomic_fetch_sub(&answering, 1);
    return NULL;
}

static void start_answer(weft_request *request, void *user) {
    (void)user;
    pthread_t thread;
    atomic_fetch_add(&answering, 1);
    if (pthread_create(&thread, NULL, answer_later, weft_request_ref(request)) == 0)
        pthread_detach(thread);
}

static void *stir(void *unused) {
    (void)unused;
    uint64_t random = 7;
    while (atomic_load(&storm)) {
        weft_handle handle = atomic_load(&handles[test_random(&random) % 16]);
        size_t count;
        weft_stats stats;
        switch (test_random(&random) % 5) {
        case 0:
            weft_handle_send(fixture.server, handle, WEFT_TEXT, "hello", 5);
            break;
        case 1:
            weft_handle_close(fixture.server, handle, 4000, "storm");
            break;
        case 2:
            weft_publish(fixture.server, "storm", WEFT_BINARY, "x", 1);
            break;
        case 3:
            weft_topics_free(weft_server_topics(fixture.server, "", &count));
            break;
        default:
            weft_server_stats(fixture.server, &stats);
            client_sleep_ms(1);
            break;
        }
    }
    return NULL;
}

TEST(connections_come_and_go_in_a_storm_of_foreign_calls) {
    pthread_t stirrers[3];
    uint64_t random = 3;
    atomic_store(&opens, 0);
    atomic_store(&closes, 0);
    atomic_store(&accepted, 0);
    fixture_new(&(weft_config) {WEFT_CONFIG_INIT, .workers = WORKERS, .connections_max = 256});
    CHECK_EQ(weft_server_history(fixture.server, "", 20, 10000), WEFT_OK);
    fixture_route("/", &(weft_route) {.upgrade = start_answer,
                                      .open = remember_handle,
                                      .message = fixture_on_message,
                                      .closed = count_closed});
    fixture_run(NULL);
    atomic_store(&storm, true);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&stirrers[i], NULL, stir, NULL), 0);
    for (int round = 0; round < 600; round++) {
        client *who = &readers[round % 32];
        if (round >= 32) {
            if (test_random(&random) % 2)
                client_reset(who);
            else
                client_close(who);
        }
        if (client_connect(who, fixture.address, 0)) {
            client_ask(who, "/", NULL, true);
            if (test_random(&random) % 4) /* the others leave while the answer is on its way */
                client_answer(who);
        }
    }
    atomic_store(&storm, false);
    for (int i = 0; i < 3; i++)
        pthread_join(stirrers[i], NULL);
    for (int i = 0; i < 32; i++)
        client_close(&readers[i]);
    EVENTUALLY(fixture_stats().connections == 0 && answering == 0);
    CHECK_EQ(fixture_stats().websockets, 0);
    CHECK_EQ(fixture_stats().accepted, 600);
    CHECK_EQ(opens, closes);
    CHECK(opens <= accepted && opens > 300);
    CHECK_EQ(fixture_stats().handshakes, opens);
    CHECK_EQ(fixture_end(), WEFT_OK);
}
