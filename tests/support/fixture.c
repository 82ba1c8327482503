/*
 * The diary is a ring of lines under a lock. The main thread reads it in order and waits for the next line,
 * so a test says what must happen, in which order, and that nothing else does.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LINES = 4096, LINE_BYTES = 256 };

fixture_state fixture;

static pthread_t thread;
static bool started, finished;
static int run_result;
static char lines[LINES][LINE_BYTES];
static unsigned long written, read_so_far;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void diary(const char *format, ...) {
    va_list args;
    pthread_mutex_lock(&lock);
    va_start(args, format);
    vsnprintf(lines[written++ % LINES], LINE_BYTES, format, args);
    va_end(args);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until `done`, the lock held. */
static void wait_change(int timeout_ms, bool (*done)(void)) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (!done() && pthread_cond_timedwait(&changed, &lock, &until) == 0)
        continue;
}

static bool has_line(void) {
    return written > read_so_far;
}

static bool has_finished(void) {
    return finished;
}

const char *diary_next_within(int timeout_ms) {
    static char line[LINE_BYTES];
    pthread_mutex_lock(&lock);
    wait_change(timeout_ms, has_line);
    snprintf(line, sizeof line, "%s", has_line() ? lines[read_so_far++ % LINES] : "nothing");
    pthread_mutex_unlock(&lock);
    return line;
}

const char *diary_next(void) {
    return diary_next_within(CLIENT_PATIENCE_MS);
}

void diary_closed(const weft_close_info *info) {
    diary("closed %d%s%s%s%s%s%s", info->code, info->reason[0] ? " " : "", info->reason, info->clean ? " clean" : "",
          info->by_peer ? " peer" : "", info->rule ? " " : "", info->rule ? info->rule : "");
}

static void *run(void *unused) {
    (void)unused;
    int got = weft_server_run(fixture.server);
    pthread_mutex_lock(&lock);
    run_result = got;
    finished = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void take_down(void) {
    if (started) {
        weft_server_stop(fixture.server);
        pthread_join(thread, NULL);
    }
    weft_server_free(fixture.server);
    fixture = (fixture_state) {0};
    started = finished = false;
    written = read_so_far = 0;
}

void fixture_new(const weft_config *config) {
    take_down();
    fixture.server = weft_server_new(config ? config : &(weft_config) {WEFT_CONFIG_INIT, .connections_max = 512});
    CHECK(fixture.server != NULL);
}

void fixture_route(const char *path, const weft_route *route) {
    weft_route filled = *route;
    filled.struct_size = sizeof filled;
    filled.path = path;
    CHECK_EQ(weft_server_route(fixture.server, &filled), WEFT_OK);
}

void fixture_run(const char *address) {
    if (!weft_server_address(fixture.server, 0))
        CHECK_EQ(weft_server_listen(fixture.server, address ? address : "127.0.0.1:0"), WEFT_OK);
    fixture.address = weft_server_address(fixture.server, 0);
    CHECK_EQ(pthread_create(&thread, NULL, run, NULL), 0);
    started = true;
}

int fixture_wait(int timeout_ms) {
    pthread_mutex_lock(&lock);
    wait_change(timeout_ms, has_finished);
    int got = finished ? run_result : WEFT_ESTALE;
    pthread_mutex_unlock(&lock);
    return got;
}

int fixture_end(void) {
    weft_server_stop(fixture.server);
    int got = fixture_wait(CLIENT_PATIENCE_MS);
    CHECK(got != WEFT_ESTALE);
    take_down();
    CHECK_EQ(test_mem_live(), 0);
    return got;
}

weft_stats fixture_stats(void) {
    weft_stats stats;
    weft_server_stats(fixture.server, &stats);
    return stats;
}

void fixture_on_open(weft_conn *conn, const weft_request *request, void *user) {
    (void)conn;
    (void)user;
    weft_text path = weft_request_path(request);
    diary("open %.*s", (int)path.len, path.data);
}

void fixture_on_message(weft_conn *conn, weft_message message, void *user) {
    (void)user;
    weft_conn_send(conn, message.kind, message.data, message.len);
}

void fixture_on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    (void)conn;
    (void)user;
    diary_closed(info);
}
