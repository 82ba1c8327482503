/*
 * Sessions of clients without a WebSocket, with a server that only writes down what it is asked for: what is said
 * reaches them whole and in order whatever they receive by, or they end.
 */
#include "test.h"

#include "app/pusher/apps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory that can be out ---- */

static size_t fail_at; /* the n-th allocation from now; 0: none */

static bool refused(void) {
    return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size) {
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return refused() ? NULL : __real_realloc(old, size);
}

/* ---- a server that writes down ---- */

struct weft_request {
    int refs;
    bool gone, half_closed;
};

static char said[4 << 20]; /* since it was last looked at: answers to polls and what streams got, as they came */
static size_t said_len;
static weft_handle closed; /* the last */
static int stream_answers; /* what a stream's next send is answered */

static const char *heard(void) {
    said[said_len] = '\0';
    said_len = 0;
    return said;
}

static void note(const void *data, size_t len) {
    CHECK(said_len + len < sizeof said);
    memcpy(said + said_len, data, len);
    said_len += len;
}

weft_request *__wrap_weft_request_ref(weft_request *request);
void __wrap_weft_request_unref(weft_request *request);
bool __wrap_weft_request_gone(const weft_request *request);
bool __wrap_weft_request_half_closed(const weft_request *request);
int __wrap_weft_request_reply_with(weft_request *request, int status, const weft_header *headers, size_t header_count,
                                   weft_text body);
int __wrap_weft_handle_send(weft_server *server, weft_handle handle, weft_kind kind, const void *data, size_t len);
int __wrap_weft_handle_close(weft_server *server, weft_handle handle, int code, const char *reason);
int __wrap_weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                               weft_handle except);

weft_request *__wrap_weft_request_ref(weft_request *request) {
    request->refs++;
    return request;
}

void __wrap_weft_request_unref(weft_request *request) {
    request->refs--;
}

bool __wrap_weft_request_gone(const weft_request *request) {
    return request->gone;
}

bool __wrap_weft_request_half_closed(const weft_request *request) {
    return request->half_closed;
}

int __wrap_weft_request_reply_with(weft_request *request, int status, const weft_header *headers, size_t header_count,
                                   weft_text body) {
    (void)headers;
    if (request->gone)
        return WEFT_ECLOSED;
    if (refused())
        return WEFT_ENOMEM;
    CHECK(status == 200 && header_count > 0);
    note(body.data, body.len);
    return WEFT_OK;
}

int __wrap_weft_handle_send(weft_server *server, weft_handle handle, weft_kind kind, const void *data, size_t len) {
    (void)server;
    CHECK(handle != 0 && kind == WEFT_TEXT);
    if (refused())
        return WEFT_ENOMEM;
    if (stream_answers == WEFT_OK)
        note(data, len);
    return stream_answers;
}

int __wrap_weft_handle_close(weft_server *server, weft_handle handle, int code, const char *reason) {
    (void)server;
    (void)reason;
    CHECK(code == WEFT_CLOSE_NORMAL);
    closed = handle;
    return WEFT_OK;
}

int __wrap_weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                               weft_handle except) {
    (void)server, (void)topic, (void)kind, (void)data, (void)len, (void)except;
    return WEFT_OK;
}

/* ---- an app with a session or two ---- */

static push_settings settings;
static push_apps apps;
static push_app app;
static weft_request request;
static uint64_t start_ms;

static void begin(void) {
    settings = (push_settings) {.id = (char *)"7", .name = (char *)"shop", .enabled = true};
    settings.limits = (push_limits) {.channels = 100, .app_channels = 100, .members = 100, .subscriptions_second = 10};
    app = (push_app) {.apps = &apps, .settings = &settings};
    pthread_mutex_init(&app.lock, NULL);
    push_state_init(&app.state, &settings);
    request = (weft_request) {0};
    said_len = 0;
    closed = 0;
    stream_answers = WEFT_OK;
    start_ms = push_now_ms();
}

static void end(void) {
    fail_at = 0;
    push_sessions_stop(&app.sessions, &app.effects);
    push_sessions_free(&app.sessions);
    CHECK(push_state_holds(&app.state));
    CHECK_EQ(app.sessions.inbox_bytes, 0);
    CHECK_EQ(request.refs, 0);
    push_state_deinit(&app.state);
    push_effects_free(&app.effects);
    pthread_mutex_destroy(&app.lock);
}

/* Without a reference of the caller's. */
static push_session *session(const char *id) {
    push_session *s = push_session_new(&app, push_str(id), push_connect(&app.state, id, 0));
    CHECK(s && s->who);
    push_session_unref(s);
    return s;
}

static void subscribe(push_session *s, const char *channel) {
    push_want want = {.channel = push_str(channel)};
    CHECK_EQ(push_subscribe(s->who, &want, push_app_enter(&app), start_ms), PUSH_DONE);
    push_app_leave(&app, &(push_peer) {NULL, s});
}

static void trigger(const char *data, const push_conn *except) {
    push_event event = {.channel = push_str("news"), .name = push_str("\"e\""), .data = push_str(data)};
    push_trigger(&app.state, &event, except, push_app_enter(&app), start_ms);
    push_app_leave(&app, NULL);
}

static bool polls(push_session *s) {
    push_app_enter(&app);
    bool asks = push_session_asks(s);
    if (asks)
        push_session_poll(s, &request);
    push_app_leave(&app, NULL);
    return asks;
}

static bool streams(push_session *s, weft_handle handle) {
    push_app_enter(&app);
    bool asks = push_session_asks(s);
    if (asks)
        push_session_open(s, handle);
    push_app_leave(&app, NULL);
    return asks;
}

static bool is_there(const char *id) {
    push_session *s = push_session_find(&app.sessions, push_str(id));
    if (s)
        push_session_unref(s);
    return s != NULL;
}

static void tick(uint64_t after_ms) {
    push_sessions_tick(&app.sessions, push_app_enter(&app), start_ms + after_ms, false);
    push_app_leave(&app, NULL);
}

#define JOINED                                                                                                         \
    "a[\"{\\\"event\\\":\\\"pusher_internal:subscription_succeeded\\\",\\\"channel\\\":\\\"news\\\",\\\"data\\\":"     \
    "\\\"{}\\\"}\"]\n"
#define EVENT(n) "a[\"{\\\"event\\\":\\\"e\\\",\\\"channel\\\":\\\"news\\\",\\\"data\\\":" n "}\"]\n"

/* ---- paths and frames ---- */

TEST(a_path_names_a_session_and_what_is_asked_of_it) {
    static const struct {
        const char *path;
        int verb; /* -1: it is none */
    } rows[] = {{"key/0/abcdefgh/xhr", PUSH_XHR_POLL},
                {"key/999/a1b2c3d4/xhr_streaming", PUSH_XHR_STREAM},
                {"key/12/ABCDEFGH/xhr_send", PUSH_XHR_SEND},
                {"key", -1},
                {"key/", -1},
                {"key/xhr", -1},
                {"/0/abcdefgh/xhr", -1},
                {"key/abcdefgh/xhr", -1},
                {"key//abcdefgh/xhr", -1},
                {"key/0/abcdefg/xhr", -1},
                {"key/0/abcdefghi/xhr", -1},
                {"key/0/abcd/fgh/xhr", -1},
                {"key/0/abcdefg-/xhr", -1},
                {"key/1000/abcdefgh/xhr", -1},
                {"key/0x/abcdefgh/xhr", -1},
                {"key/0/abcdefgh/", -1},
                {"key/0/abcdefgh/xhr/", -1},
                {"key/0/abcdefgh/xhr_polling", -1},
                {"key/0/abcdefgh/more/xhr", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        push_xhr xhr;
        bool is = push_xhr_parse(rows[i].path, &xhr);
        test_context("%s", rows[i].path);
        CHECK_EQ(is, rows[i].verb >= 0);
        if (!is)
            continue;
        CHECK_EQ(xhr.verb, rows[i].verb);
        CHECK_BYTES(xhr.key.data, xhr.key.len, "key", 3);
        CHECK(xhr.session.data == rows[i].path + 4 && xhr.session.len <= PUSH_SESSION_ID_MAX);
    }
    test_context("%s", "");
}

TEST(frames_are_lines) {
    push_text out = {0};
    push_frame_message(&out, push_str("{\"a\":\"\n\\\"\"}"));
    push_frame_close(&out, 4001, "it is \"off\"");
    CHECK_STR(out.data, "a[\"{\\\"a\\\":\\\"\\n\\\\\\\"\\\"}\"]\nc[4001,\"it is \\\"off\\\"\"]\n");
    push_text_free(&out);
}

TEST(frames_fit_until_a_client_would_leave) {
    size_t units = 0;
    CHECK_EQ(push_frames_fit("h\nh\nh\n", 6, &units), 6);
    CHECK_EQ(units, 6);
    units = 0;
    CHECK_EQ(push_frames_fit("\xc3\xa4\xe2\x82\xac\xf0\x9f\xa7\xb5\n", 10, &units), 10);
    CHECK_EQ(units, 5); /* of one, one, two and the line's end */
    units = PUSH_STREAM_UNITS;
    CHECK_EQ(push_frames_fit("h\nh\n", 4, &units), 2); /* it leaves behind more than that, not at it */
    CHECK_EQ(units, PUSH_STREAM_UNITS + 2);
    CHECK_EQ(push_frames_fit("h\n", 2, &units), 0);
}

/* ---- sessions ---- */

TEST(a_poll_gets_all_there_is_and_waits_when_there_is_nothing) {
    begin();
    push_session *s = session("1/aaaaaaaa");
    subscribe(s, "news");
    trigger("1", NULL);
    CHECK_STR(heard(), "");
    CHECK(polls(s));
    CHECK_STR(heard(), "o{}\n" JOINED EVENT("1"));
    CHECK(polls(s));
    CHECK_STR(heard(), "");
    CHECK(!polls(s) && !streams(s, 5)); /* one at a time */
    trigger("2", NULL);
    CHECK_STR(heard(), EVENT("2"));
    trigger("3", s->who); /* not for itself */
    trigger("4", NULL);
    CHECK(polls(s));
    CHECK_STR(heard(), EVENT("4"));
    push_unsubscribe(s->who, push_str("news"), push_app_enter(&app), start_ms);
    push_app_leave(&app, &(push_peer) {NULL, s});
    trigger("5", NULL);
    CHECK_EQ(app.sessions.topics.count, 0);
    CHECK(polls(s));
    CHECK_STR(heard(), "");
    end();
}

TEST(a_stream_rests_where_its_client_leaves_and_the_next_goes_on) {
    begin();
    static char data[60002];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    push_session *s = session("1/aaaaaaaa");
    CHECK(streams(s, 5));
    subscribe(s, "news");
    CHECK_STR(heard(), "o{}\n" JOINED);
    for (int n = 0; n < 5; n++)
        trigger(data, NULL);
    CHECK(said_len > PUSH_STREAM_UNITS && said_len < PUSH_STREAM_UNITS + sizeof data);
    heard();
    trigger("6", NULL);
    tick(1000);
    CHECK_STR(heard(), ""); /* it would be lost */
    CHECK(streams(s, 6));
    CHECK_EQ(closed, 5);
    CHECK_STR(heard(), EVENT("6"));
    push_session_closed(s, 5); /* the old one says so late */
    trigger("7", NULL);
    CHECK_STR(heard(), EVENT("7"));
    CHECK(!streams(s, 7) && !polls(s));
    end();
}

TEST(a_stream_that_is_not_renewed_ends) {
    begin();
    static char data[300002];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    push_session *s = session("1/aaaaaaaa");
    CHECK(streams(s, 5));
    subscribe(s, "news");
    trigger(data, NULL);
    tick(29000);
    CHECK_EQ(app.sessions.by_id.count, 1);
    tick(31000);
    CHECK_EQ(closed, 5);
    CHECK_EQ(app.sessions.by_id.count, 0);
    CHECK_EQ(app.state.conns.count, 0);
    end();
}

TEST(signs_of_life_are_given_and_wanted) {
    begin();
    push_session *poller = session("1/aaaaaaaa");
    CHECK(polls(poller));
    CHECK(polls(poller));
    heard();
    tick(24000);
    CHECK_STR(heard(), "");
    tick(26000);
    CHECK_STR(heard(), "h\n");
    tick(26001);
    CHECK_STR(heard(), "");
    push_session_close(poller, 4009, "");
    tick(26002);

    push_session *s = session("2/aaaaaaaa");
    CHECK(streams(s, 5));
    subscribe(s, "news");
    heard();
    for (uint64_t after = 26000; after < 200000; after += 26000) {
        trigger("1", NULL); /* other traffic is no reason to go without */
        tick(after);
        CHECK_STR(heard(), EVENT("1") "h\n");
        s->heard_ms = start_ms + after;
    }
    tick(200000);
    CHECK_EQ(app.state.conns.count, 1);
    heard();
    tick(280000);
    CHECK_STR(heard(), "h\nc[4201,\"nothing was heard for too long\"]\n");
    CHECK_EQ(closed, 5);
    tick(280001);
    CHECK_EQ(app.state.conns.count, 0);
    end();
}

TEST(who_does_not_ask_any_more_has_left) {
    enum { BETWEEN_POLLS, POLL_GONE, POLL_HALF_CLOSED, STREAM_CLOSED, WAYS };
    for (int how = 0; how < WAYS; how++) {
        test_context("way %d", how);
        begin();
        push_session *s = session("1/aaaaaaaa");
        if (how == STREAM_CLOSED)
            CHECK(streams(s, 5));
        else
            CHECK(polls(s) && (how == BETWEEN_POLLS || polls(s)));
        tick(0);
        CHECK(is_there("1/aaaaaaaa"));
        request.gone = how == POLL_GONE;
        request.half_closed = how == POLL_HALF_CLOSED;
        if (how == STREAM_CLOSED)
            push_session_closed(s, 5);
        uint64_t after = how == BETWEEN_POLLS ? 29000 : 0;
        tick(after);
        CHECK_EQ(is_there("1/aaaaaaaa"), how == BETWEEN_POLLS);
        CHECK_EQ(app.state.conns.count, how == BETWEEN_POLLS);
        tick(after + 2000);
        CHECK_EQ(app.state.conns.count, 0);
        CHECK_EQ(app.sessions.by_id.count, 0);
        end();
    }
    test_context("%s", "");
}

TEST(nobody_leaves_while_a_message_of_his_is_looked_at) {
    begin();
    push_session *s = session("1/aaaaaaaa");
    pthread_mutex_lock(&s->turn);
    tick(31000);
    tick(32000);
    CHECK(!is_there("1/aaaaaaaa"));
    CHECK_EQ(app.state.conns.count, 1);
    pthread_mutex_unlock(&s->turn);
    tick(33000);
    CHECK_EQ(app.state.conns.count, 0);
    CHECK_EQ(app.sessions.by_id.count, 0);
    end();
}

TEST(who_is_sent_away_hears_of_it_with_his_next_poll) {
    begin();
    push_session *s = session("1/aaaaaaaa");
    CHECK(polls(s));
    heard();
    push_app_enter(&app);
    push_session_close(s, 4009, "");
    push_session_close(s, 4001, "not twice");
    push_session_say(s, "x", 1);
    push_app_leave(&app, NULL);
    tick(0);
    CHECK_EQ(app.state.conns.count, 0);
    CHECK_EQ(app.sessions.by_id.count, 1);
    CHECK(polls(s));
    CHECK_STR(heard(), "c[4009,\"\"]\n");
    CHECK(!is_there("1/aaaaaaaa"));
    tick(1);
    CHECK_EQ(app.sessions.by_id.count, 0);
    end();
}

TEST(an_inbox_has_an_end) {
    begin();
    static char data[100002];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    push_session *s = session("1/aaaaaaaa"), *other = session("2/aaaaaaaa");
    subscribe(s, "news");
    subscribe(other, "other");
    for (int n = 0; n < 20; n++)
        trigger(data, NULL);
    CHECK(polls(s));
    CHECK_STR(heard(), "c[4100,\"it is not read fast enough\"]\n");
    CHECK(!other->closing);
    tick(0);
    CHECK_EQ(app.state.conns.count, 1);
    end();
}

/* When all inboxes together are too much, it is not who reads that pays. */
TEST(who_lags_makes_place) {
    enum { LAGGING = 75 };
    begin();
    static char data[900002];
    memset(data, 'x', sizeof data - 1);
    data[0] = data[sizeof data - 2] = '"';
    push_session *reads = session("0/aaaaaaaa");
    CHECK(polls(reads) && polls(reads));
    subscribe(reads, "other");
    heard();
    for (int i = 0; i < LAGGING; i++) {
        char id[PUSH_SESSION_ID_MAX + 1];
        snprintf(id, sizeof id, "%d/bbbbbbbb", i);
        subscribe(session(id), "news");
    }
    trigger(data, NULL);
    CHECK(app.sessions.inbox_bytes >= 64 << 20);
    for (int n = 0; n < 3; n++) {
        CHECK(polls(reads));
        push_app_enter(&app);
        push_session_say(reads, "{}", 2);
        push_session_say(reads, "{}", 2); /* more than one at once is not yet to lag */
        push_app_leave(&app, NULL);
        CHECK_STR(heard(), "a[\"{}\"]\na[\"{}\"]\n");
    }
    trigger("1", NULL);
    CHECK(app.sessions.inbox_bytes < 64 << 20);
    CHECK(!reads->closing && !reads->over);
    end();
}

/* One connection can begin many sessions: they do not take the place of those who come by WebSocket. */
TEST(not_all_may_be_sessions_that_ask_for_nothing) {
    begin();
    enum { CONNECTIONS = 1000, IDLE = 64 + CONNECTIONS / 10 };
    settings.limits.connections = CONNECTIONS;
    push_session *last = NULL;
    for (int i = 0; i < IDLE; i++) {
        char id[PUSH_SESSION_ID_MAX + 1];
        CHECK(push_session_has_place(&app));
        snprintf(id, sizeof id, "%d/aaaaaaaa", i);
        last = session(id);
    }
    CHECK(!push_session_has_place(&app));
    CHECK(polls(last) && polls(last)); /* one waits: it is not idle */
    tick(250);
    CHECK(push_session_has_place(&app));
    session("999/aaaaaaaa");
    CHECK(!push_session_has_place(&app));
    tick(1900);
    CHECK(!push_session_has_place(&app));
    tick(2500); /* they have less time when they are so many */
    tick(2501);
    CHECK(push_session_has_place(&app) && is_there(last->id));
    CHECK_EQ(app.sessions.by_id.count, 1);
    session("998/aaaaaaaa");
    tick(29000);
    CHECK(is_there("998/aaaaaaaa"));
    end();
}

TEST(a_drain_sends_away_who_polls) {
    begin();
    push_session *s = session("1/aaaaaaaa"), *streamer = session("2/aaaaaaaa");
    CHECK(polls(s) && polls(s) && streams(streamer, 5));
    heard();
    push_sessions_tick(&app.sessions, push_app_enter(&app), start_ms, true);
    push_app_leave(&app, NULL);
    CHECK_STR(heard(), "c[1001,\"the server goes away\"]\n");
    CHECK(!streamer->closing); /* the server closes it */
    end();
}

/* Whoever carries the effects out then tells webhooks. */
TEST(who_is_there_at_the_end_has_left) {
    begin();
    push_session *s = session("1/aaaaaaaa");
    subscribe(s, "news");
    app.effects.notes = true;
    push_sessions_stop(&app.sessions, &app.effects);
    CHECK(app.effects.count > 0);
    CHECK_EQ(app.effects.items[app.effects.count - 1].kind, PUSH_NOTE);
    CHECK_EQ(app.effects.items[app.effects.count - 1].code, PUSH_VACATED);
    end();
}

/* Whatever is out of memory: it gets all that is said, or it ends. */
TEST(without_memory_there_are_no_gaps) {
    for (int how = 0; how < 2; how++)
        for (size_t nth = 1; nth < 60; nth++) {
            test_context("%s, allocation %zu", how ? "stream" : "poll", nth);
            begin();
            push_session *s = session("1/aaaaaaaa");
            CHECK(how ? streams(s, 5) : polls(s));
            subscribe(s, "news");
            if (how == 0)
                polls(s);
            heard();
            fail_at = nth;
            int done = 0;
            for (int n = 1; n <= 3; n++) {
                push_event event = {.channel = push_str("news"), .name = push_str("\"e\""), .data = push_str("1")};
                push_verdict got = push_trigger(&app.state, &event, NULL, push_app_enter(&app), start_ms);
                push_app_leave(&app, NULL);
                done += got == PUSH_DONE;
                if (how == 0)
                    polls(s);
            }
            fail_at = 0;
            tick(1000);
            char all[1024];
            snprintf(all, sizeof all, "%s%s%s", done > 0 ? EVENT("1") : "", done > 1 ? EVENT("1") : "",
                     done > 2 ? EVENT("1") : "");
            if (app.sessions.by_id.count > 0 && !s->over)
                CHECK_STR(heard(), all);
            end();
        }
    test_context("%s", "");
}
