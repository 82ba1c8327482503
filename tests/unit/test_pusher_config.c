/*
 * Apps in a config file: what is read, and what is refused, with its line.
 */
#include "test.h"

#include "app/pusher/config.h"
#include "app/pusher/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64], why[256];
static push_settings *list;

static bool read_text(const char *text) {
    snprintf(path, sizeof path, "pusher-config-%d.ini", (int)getpid());
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    list = NULL;
    strcpy(why, "");
    bool got = push_settings_read(path, &list, why, sizeof why);
    unlink(path);
    return got;
}

TEST(apps_are_read_and_other_sections_are_not) {
    CHECK(read_text("threads = 2\n[serve]\nlisten = x\n"
                    "[app shop]\nid = 3\nkey = k1\nsecret = s1\nkey = k2\nsecret = s2\nclient_events = on\n"
                    "members = 7\nwebhook = https://a.example/\n"
                    "[app other]\nid = 4\nkey = k3\nsecret = s3\nenabled = false\n"));
    const push_settings *shop = list, *other = shop->next;
    CHECK_STR(shop->name, "shop");
    CHECK_STR(shop->id, "3");
    CHECK_EQ(shop->key_count, 2);
    CHECK_STR(push_settings_secret(shop, push_str("k1")), "s1");
    CHECK_STR(push_settings_secret(shop, push_str("k2")), "s2");
    CHECK(!push_settings_secret(shop, push_str("k3")) && !push_settings_secret(shop, push_str("k")));
    CHECK(shop->enabled && shop->client_events && !shop->require_tls && !shop->subscription_count);
    CHECK_EQ(shop->limits.members, 7);
    CHECK_EQ(shop->limits.event_bytes, 10240);
    CHECK_EQ(shop->limits.batch_events, 10);
    CHECK_EQ(shop->webhooks.count, 1);
    CHECK_STR(shop->webhooks.items[0].url, "https://a.example/");
    CHECK_STR(other->name, "other");
    CHECK(!other->enabled && !other->next);
    push_settings_unref_all(list);
    CHECK(read_text("[serve]\nlisten = x\n"));
    CHECK(list == NULL);
}

/* As the documentation has it. */
TEST(what_is_not_given_has_its_standard) {
    CHECK(read_text("[app a]\nid = 1\nkey = k\nsecret = s\n"));
    CHECK(list->enabled && !list->require_tls && !list->client_events && !list->subscription_count && !list->history);
    const push_limits *l = &list->limits;
    const push_webhooks *w = &list->webhooks;
    const struct {
        uint32_t is, standard;
    } rows[] = {{l->connections, 100000},
                {l->channels, 100},
                {l->app_channels, 200000},
                {l->members, 100},
                {l->member_bytes, 1024},
                {l->event_bytes, 10240},
                {l->event_channels, 100},
                {l->batch_events, 10},
                {l->client_events_second, 10},
                {l->subscriptions_second, 10},
                {l->watchlist, 100},
                {l->cached_channels, 10000},
                {l->history_messages, 100},
                {l->history_bytes, 1 << 20},
                {l->history_seconds, 0},
                {w->grace_ms, 3000},
                {w->timeout_ms, 10000},
                {w->rules.batch_ms, 50},
                {w->rules.batch_events, 10},
                {w->rules.queue_events, 10000},
                {w->rules.queue_bytes, 16 << 20},
                {w->rules.retry_first_ms, 1000},
                {w->rules.retry_max_ms, 300000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %zu", i);
        CHECK_EQ(rows[i].is, rows[i].standard);
    }
    test_context("%s", "");
    push_settings_unref_all(list);
}

TEST(what_is_wrong_is_told_with_its_line) {
#define GOOD "id = 1\nkey = k\nsecret = s\n"
#define X16  "xxxxxxxxxxxxxxxx"
#define X64  X16 X16 X16 X16
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"[app a]\n" GOOD "color = red\n", "line 5: color is no setting of an app"},
        {"[app a]\n" GOOD "members = many\n", "line 5: members takes a number"},
        {"[app a]\n" GOOD "members = 0\n", "line 5: members is out of range"},
        {"[app a]\n" GOOD "members = 99999999999999999999\n", "line 5: members is out of range"},
        {"[app a]\n" GOOD "client_events = maybe\n", "line 5: client_events takes true or false"},
        {"[app a]\n" GOOD "id = 2\n", "line 5: id is given twice"},
        {"[app a]\n" GOOD "secret = t\n", "line 5: secret stands behind its key"},
        {"[app a]\n" GOOD "key = l\nkey = m\n", "line 6: key follows a key without its secret"},
        {"[app a]\n" GOOD "key = k\n", "line 5: key is given twice"},
        {"[app a]\nid = a b\n", "line 2: id takes up to 32 digits or letters"},
        {"[app a]\nid = 1\nkey = k/l\n", "line 3: key takes up to 128 letters, digits, _ and -"},
        {"[app a]\nid = 1\n", "app a needs an id, a key and a secret"},
        {"[app a]\nkey = k\nsecret = s\n", "app a needs an id, a key and a secret"},
        {"[app a]\nid = 1\nkey = k\n", "app a has a key without its secret"},
        {"[app a]\nid = 1\n[app b]\nid = 2\n", "line 4: a needs an id, a key and a secret"},
        {"[app a]\n" GOOD "[app b]\nid = 2\nkey = k\nsecret = t\n", "app b has the id or a key of another app"},
        {"[app a]\n" GOOD "[app b]\nid = 1\nkey = l\nsecret = t\n", "app b has the id or a key of another app"},
        {"[app a]\n" GOOD "[app b]\nid = 2\nkey = l\nsecret = t\n[app a]\nid = 3\n", "line 10: a is there twice"},
        {"[app a]\n" GOOD "nothing\n", "line 5: this is not \"name = value\""},
        {"[app a]\nid = 1\nkey = k\nsecret = " X64 X64 X64 "\nid = 2", "line 4: the line is too long"},
        {"[app a]\n" GOOD "#" X64 X64 X64 "=xxxxxxx\n", "line 5: the line is too long"}, /* its rest is no setting */
        {"[app a]\n" GOOD "#" X64 X64 X64 "=xxxx\nnothing\n", "line 6: this is not"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %zu", i);
        CHECK(!read_text(rows[i].text));
        test_context("row %zu: %s", i, why);
        CHECK(strstr(why, path) == why && strstr(why, rows[i].why));
        CHECK(!list);
    }
    test_context("%s", "");
    CHECK(!push_settings_read("/nowhere/at/all", &list, why, sizeof why));
    CHECK_STR(why, "cannot read /nowhere/at/all: No such file or directory");
}

TEST(one_may_be_made_up) {
    push_settings *a = push_settings_random(), *b = push_settings_random();
    CHECK(a && b && strcmp(a->keys[0].key, b->keys[0].key) != 0 && strcmp(a->keys[0].secret, b->keys[0].secret) != 0);
    CHECK_EQ(strspn(a->id, "0123456789"), strlen(a->id));
    CHECK_EQ(strlen(a->keys[0].secret), 32);
    CHECK(push_settings_ref(a) == a);
    push_settings_unref(a);
    CHECK_EQ(a->key_count, 1);
    push_settings_unref(a);
    push_settings_unref(b);
    push_settings_unref(NULL);
}
