/*
 * Webhooks without a socket: what waits and is taken back, how events become posts, when a post is tried again, what a
 * config file may say, and the file of what could not be told.
 */
#include "test.h"

#include "app/log.h"
#include "app/pusher/config.h"
#include "app/pusher/dead.h"
#include "app/pusher/hooks.h"
#include "app/pusher/json.h"
#include "app/pusher/outbox.h"
#include "app/pusher/pending.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GRACE = 3000 };

/* ---- pending ---- */

static push_pending pending;

static bool note(push_note what, const char *channel, const char *user, uint64_t now_ms) {
    push_happened happened = {what, push_str(channel), push_str(user)};
    return push_pending_note(&pending, &happened, now_ms + GRACE);
}

/* "1 news " - what is due, in order. */
static const char *due(uint64_t now_ms) {
    static char out[512];
    size_t used = 0;
    out[0] = '\0';
    for (push_waiting *w; (w = push_pending_take(&pending, now_ms)); free(w))
        used += (size_t)snprintf(out + used, sizeof out - used, "%d %.*s%.*s ", w->what.note, (int)w->what.channel.len,
                                 w->what.channel.data, (int)w->what.text.len, w->what.text.data);
    return out;
}

TEST(an_end_waits_and_is_told_in_its_order) {
    CHECK_EQ(push_pending_due(&pending), UINT64_MAX);
    CHECK(note(PUSH_OCCUPIED, "news", "", 0));
    CHECK(note(PUSH_CLIENT_EVENT, "news", "text", 0) && note(PUSH_CACHE_MISS, "news", "", 0));
    CHECK(!note(PUSH_MEMBER_REMOVED, "presence-a", "1", 100));
    CHECK(!note(PUSH_VACATED, "presence-a", "", 100));
    CHECK(!note(PUSH_VACATED, "news", "", 101));
    CHECK_EQ(push_pending_due(&pending), 3100);
    CHECK_STR(due(3099), "");
    CHECK_STR(due(3100), "3 presence-a1 1 presence-a ");
    CHECK_EQ(push_pending_due(&pending), 3101);
    CHECK_STR(due(9000), "1 news ");
    push_pending_free(&pending);
}

TEST(an_end_is_taken_back_by_its_own_beginning) {
    CHECK(!note(PUSH_VACATED, "a", "", 0) && !note(PUSH_MEMBER_REMOVED, "a", "1", 0));
    CHECK(!note(PUSH_MEMBER_REMOVED, "a", "2", 0) && !note(PUSH_MEMBER_REMOVED, "b", "1", 0));
    CHECK(note(PUSH_OCCUPIED, "b", "", 1) && note(PUSH_MEMBER_ADDED, "a", "3", 1) &&
          note(PUSH_MEMBER_ADDED, "b", "2", 1));
    CHECK(!note(PUSH_MEMBER_ADDED, "a", "1", 2)); /* says nothing, and both are gone */
    CHECK(note(PUSH_MEMBER_ADDED, "a", "1", 2));
    CHECK_STR(due(GRACE), "1 a 3 a2 3 b1 ");
    CHECK(!note(PUSH_VACATED, "a", "", 10000) && !note(PUSH_OCCUPIED, "a", "", 12000));
    CHECK(!note(PUSH_VACATED, "a", "", 12999)); /* waits anew */
    CHECK_STR(due(15998), "");
    CHECK_STR(due(15999), "1 a ");
    push_pending_free(&pending);
}

TEST(too_many_ends_wait_no_longer) {
    char name[32];
    for (int i = 0; i <= PUSH_PENDING_MAX; i++) {
        snprintf(name, sizeof name, "c%d", i);
        CHECK(!note(PUSH_VACATED, name, "", 0));
    }
    CHECK_EQ(push_pending_due(&pending), 0);
    CHECK_STR(due(0), "1 c0 ");
    CHECK_EQ(push_pending_due(&pending), GRACE);
    push_pending_free(&pending);
}

/* ---- outbox ---- */

static const push_outbox_rules rules = {.batch_ms = 50,
                                        .batch_events = 3,
                                        .queue_events = 8,
                                        .queue_bytes = 1 << 20,
                                        .retry_first_ms = 1000,
                                        .retry_max_ms = 300000};
static push_outbox box;

static bool add(const char *text, uint64_t now_ms) {
    return push_outbox_add(&box, &rules, push_str(text), now_ms);
}

static const char *begun(uint64_t wall_ms) {
    push_outbox_begin(&box, &rules);
    push_outbox_write(&box, wall_ms);
    CHECK(!box.body.failed && box.under_way);
    CHECK_EQ(push_outbox_due(&box, &rules), UINT64_MAX);
    return box.body.data;
}

TEST(events_become_posts_by_number_and_by_time) {
    CHECK_EQ(push_outbox_due(&box, &rules), UINT64_MAX);
    CHECK(add("1", 1000) && add("2", 1040));
    CHECK_EQ(push_outbox_due(&box, &rules), 1050);
    CHECK(add("3", 1041) && add("4", 1042));
    CHECK_EQ(push_outbox_due(&box, &rules), 0);
    CHECK_STR(begun(77), "{\"time_ms\":77,\"events\":[1,2,3]}");
    CHECK(add("5", 1043));
    push_outbox_done(&box);
    CHECK_EQ(push_outbox_due(&box, &rules), 1092);
    CHECK_STR(begun(78), "{\"time_ms\":78,\"events\":[4,5]}");
    push_outbox_done(&box);
    CHECK_EQ(push_outbox_due(&box, &rules), UINT64_MAX);
    CHECK(!box.first && !box.last && box.count == 0 && box.bytes == 0 && !box.body.data);
    push_outbox_free(&box);
}

TEST(a_post_that_fails_is_tried_again_word_by_word) {
    CHECK(add("1", 0));
    CHECK_STR(begun(77), "{\"time_ms\":77,\"events\":[1]}");
    CHECK(add("2", 1));
    push_outbox_failed(&box, &rules, 10, 500);
    CHECK_EQ(push_outbox_due(&box, &rules), 510);
    CHECK_STR(begun(99), "{\"time_ms\":77,\"events\":[1]}");
    push_outbox_failed(&box, &rules, 600, 0);
    CHECK_EQ(push_outbox_due(&box, &rules), 2600);
    CHECK(add("3", 601) && add("4", 602) && add("5", 603)); /* more than enough for a post: it waits all the same */
    CHECK_EQ(push_outbox_due(&box, &rules), 2600);
    begun(100);
    push_outbox_done(&box);
    CHECK_EQ(push_outbox_due(&box, &rules), 0);
    CHECK_STR(begun(101), "{\"time_ms\":101,\"events\":[2,3,4]}");
    push_outbox_free(&box);
}

TEST(waits_double_up_to_a_minute_and_the_last_attempt_is_when_time_is_over) {
    uint64_t seed = 1, now = 0;
    CHECK(add("1", 0));
    int attempts = 0;
    for (uint64_t most = 1000; now < 300000; attempts++) {
        begun(1);
        CHECK(!push_outbox_expired(&box, &rules, now));
        push_outbox_failed(&box, &rules, now, test_random(&seed));
        uint64_t wait = push_outbox_due(&box, &rules) - now;
        CHECK(wait <= most && (attempts == 0 || wait >= most / 2 || now + wait == 300000));
        now += wait;
        most = most * 2 < 60000 ? most * 2 : 60000;
    }
    CHECK(attempts >= 8 && attempts <= 20);
    CHECK_EQ(now, 300000);
    CHECK(add("2", 299000));
    begun(1);
    push_outbox_failed(&box, &rules, now, 0);
    CHECK(push_outbox_expired(&box, &rules, now));
    begun(1);
    push_outbox_drop(&box);
    CHECK(box.first && !push_outbox_expired(&box, &rules, now)); /* it is younger */
    CHECK_EQ(push_outbox_due(&box, &rules), now + 60000);        /* and the URL still fails */
    push_outbox_free(&box);
}

TEST(an_outbox_has_an_end) {
    static char big[300 << 10], half[600 << 10];
    memset(big, '7', sizeof big - 1);
    memset(half, '7', sizeof half - 1);
    for (int i = 0; i < 8; i++)
        CHECK(add("1", 0));
    CHECK(!add("1", 0));
    push_outbox_free(&box);
    CHECK(add(half, 0) && !add(half, 0) && add(big, 0) && add("1", 0));
    CHECK_EQ(strlen(begun(1)), sizeof half - 1 + sizeof "{\"time_ms\":1,\"events\":[]}" - 1); /* a big one goes alone */
    push_outbox_done(&box);
    begun(1);
    CHECK_EQ(box.batch, 1);
    push_outbox_free(&box);
}

/* ---- words ---- */

static const char *event(push_note what, const char *text) {
    static push_text out;
    push_text_clear(&out);
    push_webhook_event(&out, what, push_str("presence-a"), push_str(text));
    return out.data;
}

TEST(events_say_what_has_happened) {
#define OF(name) "{\"name\":\"" name "\",\"channel\":\"presence-a\""
    CHECK_STR(event(PUSH_OCCUPIED, ""), OF("channel_occupied") "}");
    CHECK_STR(event(PUSH_VACATED, ""), OF("channel_vacated") "}");
    CHECK_STR(event(PUSH_MEMBER_ADDED, "a\"b"), OF("member_added") ",\"user_id\":\"a\\\"b\"}");
    CHECK_STR(event(PUSH_MEMBER_REMOVED, "7"), OF("member_removed") ",\"user_id\":\"7\"}");
    CHECK_STR(event(PUSH_CACHE_MISS, ""), OF("cache_miss") "}");
    CHECK_STR(event(PUSH_COUNT, "12"), OF("subscription_count") ",\"subscription_count\":12}");
    CHECK_STR(event(PUSH_CLIENT_EVENT, "{\"event\":\"client-x\"}"),
              "{\"name\":\"client_event\",\"event\":\"client-x\"}");
}

TEST(where_they_go_is_read) {
    push_webhooks hooks = {0};
    CHECK(!push_webhook_setting("webhooks") && push_webhook_setting("webhook_header"));
    CHECK(!push_webhook_set(&hooks, "webhook", "https://a.example/x?y=1"));
    CHECK(!push_webhook_set(&hooks, "webhook_events", "member_added,  cache_miss"));
    CHECK(!push_webhook_set(&hooks, "webhook_header", "Authorization: Bearer x"));
    CHECK(!push_webhook_set(&hooks, "webhook_header", "X-Two: 2"));
    CHECK(!push_webhook_set(&hooks, "webhook", "http://[::1]:80"));
    CHECK(!push_webhook_set(&hooks, "webhook_proxy", "socks5h://127.0.0.1:1080"));
    CHECK_EQ(hooks.items[0].kinds, 1 << PUSH_MEMBER_ADDED | 1 << PUSH_CACHE_MISS);
    CHECK_EQ(hooks.items[1].kinds, (1 << (PUSH_COUNT + 1)) - 1);
    CHECK_STR(hooks.items[0].headers[1], "X-Two: 2");
    CHECK(!hooks.items[0].headers[2] && !hooks.items[1].headers[0]);
    push_webhooks_free(&hooks);
}

TEST(what_is_no_webhook_is_refused) {
    static const struct {
        const char *name, *value, *why;
    } rows[] = {
        {"webhook", "ftp://a.example/", "takes http"},
        {"webhook", "file:///etc/passwd", "takes http"},
        {"webhook", "https://", "takes http"},
        {"webhook", "https://a b/", "takes http"},
        {"webhook", "", "takes http"},
        {"webhook", "https://me:secret@a.example/", "takes no user"},
        {"webhook", "https://a.example/", "is given twice"},
        {"webhook_events", "member_added member", "takes some of"},
        {"webhook_events", " , ", "is empty"},
        {"webhook_header", "X-A", "takes NAME: VALUE"},
        {"webhook_header", ": x", "takes NAME: VALUE"},
        {"webhook_header", "X-A:", "takes NAME: VALUE"},
        {"webhook_header", "X A: x", "takes NAME: VALUE"},
        {"webhook_header", "X-A: a\rX-B: b", "control"},
        {"webhook_header", "x-pusher-signature: 00", "already"},
        {"webhook_header", "Content-Length: 3", "already"},
        {"webhook_ca", "/nowhere/at/all", "no file"},
        {"webhook_ca", "/dev/zero", "no file"},
        {"webhook_ca", "/proc/self/cmdline", "no certificate"},
        {"webhook_proxy", "proxy:3128", "takes http"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        push_webhooks hooks = {0};
        test_context("row %zu", i);
        CHECK(!push_webhook_set(&hooks, "webhook", "https://a.example/"));
        const char *why = push_webhook_set(&hooks, rows[i].name, rows[i].value);
        CHECK(why && strstr(why, rows[i].why));
        push_webhooks_free(&hooks);
    }
    test_context("%s", "");
    push_webhooks hooks = {0};
    CHECK_STR(push_webhook_set(&hooks, "webhook_header", "X-A: x"), "stands behind its webhook");
    for (int i = 0; i < PUSH_WEBHOOKS_MAX; i++) {
        char url[32];
        snprintf(url, sizeof url, "https://a.example/%d", i);
        CHECK(!push_webhook_set(&hooks, "webhook", url));
        CHECK(!push_webhook_set(&hooks, "webhook_header", "X-A: x"));
    }
    CHECK_STR(push_webhook_set(&hooks, "webhook", "https://a.example/"), "is given more than 8 times");
    for (int i = 1; i < PUSH_WEBHOOK_HEADERS_MAX; i++)
        CHECK(!push_webhook_set(&hooks, "webhook_header", "X-A: x"));
    CHECK_STR(push_webhook_set(&hooks, "webhook_header", "X-A: x"), "is given more than 8 times");
    push_webhooks_free(&hooks);
}

/* ---- the file ---- */

static char path[64];

static size_t length(void) {
    struct stat is;
    CHECK(stat(path, &is) == 0 && (is.st_mode & 0777) == 0600);
    return (size_t)is.st_size;
}

TEST(what_cannot_be_told_is_kept_in_a_file) {
    push_dead dead;
    push_text lines = {0};
    snprintf(path, sizeof path, "pusher-hooks-%d.dead", (int)getpid());
    unlink(path);
    CHECK(!push_dead_open(&dead, path, 400));
    push_dead_post post = {"42", "https://a.example/\"", "it answered 500", 500,
                           push_str("{\"events\":[\"\xc3\xa9\n\"]}")};
    push_dead_line(&lines, &post, 1795892829290);
    CHECK_STR(lines.data,
              "{\"time\":\"2026-11-28T19:07:09.290Z\",\"app\":\"42\",\"url\":\"https://a.example/\\\"\","
              "\"status\":500,\"error\":\"it answered 500\",\"body\":\"{\\\"events\\\":[\\\"\xc3\xa9\\n\\\"]}\"}\n");
    json_t *json = push_json_parse((weft_text) {lines.data, lines.len - 1});
    CHECK_STR(push_json_text(json, "body").data, post.body.data);
    json_decref(json);
    weft_text text = {lines.data, lines.len};
    CHECK(!push_dead_write(&dead, text) && !push_dead_write(&dead, text));
    CHECK(strstr(push_dead_write(&dead, text), "as long as it may get"));
    CHECK_EQ(length(), 2 * lines.len);
    CHECK(truncate(path, 0) == 0 && !push_dead_write(&dead, text));
    CHECK_EQ(length(), lines.len);
    struct rlimit before, less = {lines.len + 10, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0 && setrlimit(RLIMIT_FSIZE, &less) == 0);
    CHECK_STR(push_dead_write(&dead, text), "the disk is full"); /* ten bytes were written, and taken back */
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_EQ(length(), lines.len);
    char moved[sizeof path + 2]; /* and who has moved it will read it there */
    snprintf(moved, sizeof moved, "%s.1", path);
    CHECK(rename(path, moved) == 0 && truncate(moved, 0) == 0 && !push_dead_write(&dead, text));
    CHECK(unlink(moved) == 0);
    CHECK_STR(push_dead_write(&dead, text), "the file has been deleted: it is opened at the start alone");
    push_dead_close(&dead);
    CHECK_STR(push_dead_write(&dead, text), "there is no --webhook-dead file");
    unlink(path);
    CHECK_STR(push_dead_open(&dead, "/dev/full", 400), "it is no regular file");
    CHECK_STR(push_dead_open(&dead, "/nowhere/at/all", 400), "No such file or directory");
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(push_dead_open(&dead, path, 400)); /* and does not wait for a reader */
    unlink(path);
    push_text_free(&lines);
}

/* ---- all of it, with nobody at the other end ---- */

enum { WORKERS = 2, NOTES = 1500 };

typedef struct worker {
    pthread_t thread;
    push_hooked *app;
    int number;
    int last[2]; /* that was found: given up at last, or found no place */
} worker;

static void *note_all(void *user) {
    const worker *w = user;
    char text[64];
    for (int i = 1; i <= NOTES; i++) {
        int len = snprintf(text, sizeof text, "{\"worker\":%d,\"n\":%d}", w->number, i);
        push_hooks_note(w->app, PUSH_CLIENT_EVENT, push_str("private-a"), (weft_text) {text, (size_t)len});
        if (i % 8 == 0)
            usleep(500);
    }
    return NULL;
}

static push_settings *settings_of(const char *url, const char *other) {
    char why[128];
    push_line lines[] = {{"id", "1"},
                         {"key", "k"},
                         {"secret", "s"},
                         {"webhook_batch_ms", "0"},
                         {"webhook_queue_events", "50"},
                         {"webhook_retry_max_ms", "1"},
                         {"webhook", url},
                         {"webhook", other}};
    push_settings *settings = push_settings_make("a", lines, other ? 8 : 7, why, sizeof why);
    CHECK(settings != NULL);
    return settings;
}

/* Each event of a line is the next of its worker in the outbox it was in. */
static uint64_t find_events(worker *workers, const char *line, size_t len) {
    json_t *json = push_json_parse((weft_text) {line, len});
    bool full = strncmp(push_json_text(json, "error").data, "too many", 8) == 0;
    weft_text text = push_json_text(json, "body");
    json_t *body = push_json_parse(text), *events = json_object_get(body, "events");
    size_t count = json_array_size(events);
    CHECK(count > 0 && strcmp(push_json_text(json, "url").data, "http://127.0.0.1:1/") == 0);
    for (size_t i = 0; i < count; i++) {
        const json_t *event = json_array_get(events, i);
        int n = (int)json_number_value(json_object_get(event, "n"));
        worker *w = &workers[(int)json_number_value(json_object_get(event, "worker"))];
        CHECK(n > w->last[full]);
        w->last[full] = n;
    }
    json_decref(body);
    json_decref(json);
    return count;
}

static uint64_t find_all_events(worker *workers) {
    static char text[4 << 20];
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, sizeof text, file) : 0;
    uint64_t found = 0;
    CHECK(file && len < sizeof text && fclose(file) == 0);
    for (const char *at = text, *end; (end = memchr(at, '\n', (size_t)(text + len - at))); at = end + 1)
        found += find_events(workers, at, (size_t)(end - at));
    return found;
}

/* While the thread makes bodies without the lock, events come and settings change. */
TEST(each_event_ends_in_one_place_and_in_order_whatever_comes_meanwhile) {
    static const char nowhere[] = "http://127.0.0.1:1/";
    push_settings *one = settings_of(nowhere, NULL), *two = settings_of(nowhere, "http://127.0.0.1:2/");
    two->webhooks.items[1].kinds = 1u << PUSH_COUNT;
    worker workers[WORKERS] = {{.number = 0}, {.number = 1}};
    push_hooked *app = NULL;
    push_dead dead;
    app_log_setup(false, -1);
    snprintf(path, sizeof path, "pusher-hooks-%d.dead", (int)getpid());
    unlink(path);
    CHECK(!push_dead_open(&dead, path, 4 << 20));
    push_hooks *hooks = push_hooks_new(dead);
    CHECK(push_hooks_set(hooks, &app, one) && push_hooks_start(hooks));
    for (int i = 0; i < WORKERS; i++) {
        workers[i].app = app;
        CHECK(pthread_create(&workers[i].thread, NULL, note_all, &workers[i]) == 0);
    }
    for (int i = 0; i < 200; i++) {
        CHECK(push_hooks_set(hooks, &app, i % 2 ? one : two));
        usleep(500);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    push_hooks_stop(hooks);
    push_hooks_counts counts = push_hooks_count(app);
    CHECK_EQ(counts.dead + counts.lost, WORKERS * NOTES);
    CHECK_EQ(counts.sent + counts.queued, 0);
    CHECK(counts.dead > 100);
    CHECK_EQ(find_all_events(workers), counts.dead);
    push_hooks_free(hooks);
    push_settings_unref(one);
    push_settings_unref(two);
    unlink(path);
}
