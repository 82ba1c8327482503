/*
 * Topics, behaviour by behaviour: who gets a message, what is kept of the past, and when a topic is
 * forgotten. test_hub_model.c runs it at random beside a model.
 */
#include "hub_help.h"

#include <stdio.h>

static const wf_hub_config roomy = {.history_bytes_max = 1 << 20, .vacant_max = 100, .vacant_ms = 1000};

static int join(fixture *f, int who, const char *name, size_t replay) {
    int got = subscribe(f, who, wf_str_of(name), replay);
    wf_hub_check(&f->hub);
    return got;
}

static void part(fixture *f, int who, const char *name) {
    wf_hub_unsubscribe(&f->hub, &f->who[who], wf_str_of(name));
    wf_hub_check(&f->hub);
}

static size_t publish(fixture *f, const char *name, const char *text, int except) {
    wf_blob *blob = wf_blob_new(strlen(text), NULL);
    CHECK(blob != NULL);
    memcpy(blob->data, text, blob->len);
    size_t delivered = wf_hub_publish(&f->hub, wf_str_of(name), blob, except < 0 ? NULL : &f->q[except]);
    wf_blob_unref(blob);
    wf_hub_check(&f->hub);
    return delivered;
}

TEST(a_message_reaches_every_subscriber_once) {
    fixture f;
    fixture_init(&f, &roomy);
    CHECK_EQ(publish(&f, "a", "nobody", -1), 0);
    CHECK_EQ(join(&f, 0, "a", 0), WF_OK);
    CHECK_EQ(join(&f, 1, "a", 0), WF_OK);
    CHECK_EQ(join(&f, 1, "a", 0), WF_OK);
    CHECK_EQ(join(&f, 2, "b", 0), WF_OK);
    CHECK_EQ(f.who[1].count, 1);
    CHECK_EQ(publish(&f, "a", "one ", -1), 2);
    CHECK_EQ(publish(&f, "a", "two ", 0), 1);
    CHECK_EQ(publish(&f, "A", "case ", -1), 0);
    CHECK_EQ(publish(&f, "aa", "longer ", -1), 0);
    CHECK_STR(received(&f, 0), "one ");
    CHECK_STR(received(&f, 1), "one two ");
    CHECK_STR(received(&f, 2), "");
    part(&f, 0, "a");
    part(&f, 0, "a");
    part(&f, 0, "never joined");
    CHECK_EQ(publish(&f, "a", "three", -1), 1);
    fixture_deinit(&f);
}

TEST(leaving_swaps_with_the_last_and_forgets_nobody) {
    for (int leaver = 0; leaver < PEOPLE; leaver++) {
        fixture f;
        fixture_init(&f, &roomy);
        for (int i = 0; i < PEOPLE; i++)
            join(&f, i, "a", 0);
        part(&f, leaver, "a");
        CHECK_EQ(publish(&f, "a", "x", -1), PEOPLE - 1);
        for (int i = 0; i < PEOPLE; i++)
            CHECK_STR(received(&f, i), i == leaver ? "" : "x");
        fixture_deinit(&f);
    }
}

TEST(names_have_a_length_and_a_number) {
    fixture f;
    char name[WF_TOPIC_NAME_MAX + 2];
    fixture_init(&f, &roomy);
    memset(name, 'n', sizeof name);
    CHECK_EQ(subscribe(&f, 0, (wf_str) {name, 0}, 0), WF_EINVAL);
    CHECK_EQ(subscribe(&f, 0, (wf_str) {name, WF_TOPIC_NAME_MAX + 1}, 0), WF_EINVAL);
    CHECK_EQ(subscribe(&f, 0, (wf_str) {name, WF_TOPIC_NAME_MAX}, 0), WF_OK);
    f.who[0].count_max = 2;
    CHECK_EQ(subscribe(&f, 0, wf_str_of("b"), 0), WF_OK);
    CHECK_EQ(subscribe(&f, 0, wf_str_of("c"), 0), WF_ELIMIT);
    CHECK_EQ(subscribe(&f, 0, wf_str_of("b"), 0), WF_OK);
    CHECK_EQ(topics(&f), 2);
    fixture_deinit(&f);
}

TEST(what_is_published_before_the_join_is_not_for_it) {
    fixture f;
    uint32_t first, second, again;
    fixture_init(&f, &roomy);
    wf_hub_subscribe(&f.hub, &f.who[0], wf_str_of("few/a"), &first);
    wf_hub_subscribe(&f.hub, &f.who[0], wf_str_of("few/a"), &again);
    CHECK(first != 0 && again == 0);
    CHECK_EQ(publish(&f, "few/a", "1", -1), 0);
    wf_hub_join(&f.hub, &f.who[0], first, &f.q[0], 0);
    CHECK_EQ(publish(&f, "few/a", "2", -1), 1);
    CHECK_STR(received(&f, 0), "2");

    wf_hub_subscribe(&f.hub, &f.who[1], wf_str_of("few/a"), &first);
    part(&f, 1, "few/a");
    wf_hub_subscribe(&f.hub, &f.who[1], wf_str_of("few/a"), &second);
    wf_hub_join(&f.hub, &f.who[1], first, &f.q[1], 0); /* of a subscription that is no more */
    CHECK_EQ(publish(&f, "few/a", "3", -1), 1);
    wf_hub_join(&f.hub, &f.who[1], second, &f.q[1], 1);
    CHECK_EQ(publish(&f, "few/a", "4", -1), 2);
    CHECK_STR(received(&f, 1), "34"); /* the past is that of the join */
    fixture_deinit(&f);
}

TEST(a_topic_with_nobody_and_no_past_is_gone) {
    fixture f;
    fixture_init(&f, &roomy);
    join(&f, 0, "a", 0);
    CHECK_EQ(topics(&f), 1);
    part(&f, 0, "a");
    CHECK_EQ(topics(&f), 0);
    publish(&f, "quiet/none/x", "kept by nobody", -1);
    CHECK_EQ(topics(&f), 0);
    fixture_deinit(&f);
}

static const struct {
    const char *name, *topic, *messages; /* parted by spaces */
    size_t replay;
    const char *expected; /* what a newcomer gets */
} pasts[] = {
    {"no_rule_no_past", "a", "1 2 3", 10, ""},
    {"none_asked_none_given", "few/a", "1 2 3", 0, ""},
    {"the_last_ones_in_order", "few/a", "1 2 3", 2, "23"},
    {"more_asked_than_there_are", "few/a", "1 2", 10, "12"},
    {"count_limit", "few/a", "1 2 3 4 5", 10, "345"},
    {"byte_limit", "small/a", "aaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbb cccccccccccccccccccc", 10,
     "bbbbbbbbbbbbbbbbbbbbcccccccccccccccccccc"},
    {"byte_limit_is_reached_exactly", "small/a", "aaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbb", 10,
     "aaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbb"},
    {"over_the_byte_limit_is_not_kept_and_drops_nothing", "small/a",
     "old xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx new", 10, "oldnew"},
    {"the_first_fitting_rule_counts", "few/never/a", "1 2 3 4", 10, "234"},
    {"a_rule_of_none_ends_the_search", "quiet/none/a", "1 2", 10, ""},
    {"ring_that_has_grown", "many/a", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", 12,
     "91011121314151617181920"},
};

TEST(a_newcomer_gets_the_past_that_is_kept) {
    for (size_t i = 0; i < sizeof pasts / sizeof *pasts; i++) {
        fixture f;
        char words[200], *state, *word;
        test_context("%s", pasts[i].name);
        fixture_init(&f, &roomy);
        snprintf(words, sizeof words, "%s", pasts[i].messages);
        for (word = strtok_r(words, " ", &state); word; word = strtok_r(NULL, " ", &state))
            publish(&f, pasts[i].topic, word, -1);
        CHECK_EQ(join(&f, 0, pasts[i].topic, pasts[i].replay), WF_OK);
        CHECK_STR(received(&f, 0), pasts[i].expected);
        CHECK_EQ(join(&f, 0, pasts[i].topic, pasts[i].replay), WF_OK);
        CHECK_STR(received(&f, 0), "");
        fixture_deinit(&f);
    }
}

TEST(replay_fills_half_a_budget_and_never_ends_a_connection) {
    enum { EACH = 4 + WF_OUTQ_SEG_COST };
    fixture f;
    fixture_init(&f, &roomy);
    for (int i = 0; i < 9; i++)
        publish(&f, "many/a", (char[]) {(char)('1' + i), '0', '0', '0', '\0'}, -1);
    f.q[0].bytes_max = 5 * EACH;
    CHECK_EQ(join(&f, 0, "many/a", 10), WF_OK);
    CHECK_STR(received(&f, 0), "80009000");
    f.q[1].bytes_max = WF_OUTQ_SEG_COST + 15 + 2 * EACH - 1;
    memset(wf_outq_write(&f.q[1], 15), 'w', 15);
    CHECK_EQ(join(&f, 1, "many/a", 10), WF_OK);
    CHECK_STR(received(&f, 1), "wwwwwwwwwwwwwww9000");
    f.q[2].bytes_max = 20;
    memset(wf_outq_write(&f.q[2], 20), 'w', 20);
    CHECK_EQ(join(&f, 2, "many/a", 10), WF_OK);
    CHECK(!f.q[2].overflowed);
    CHECK_EQ(wf_count_read(&f.pool.drops), 0);
    fixture_deinit(&f);
}

TEST(replay_of_many_small_ones_never_ends_a_connection) {
    fixture f;
    fixture_init(&f, &roomy);
    for (int i = 0; i < 40; i++)
        publish(&f, "many/a", (char[]) {(char)('A' + i), '\0'}, -1);
    f.q[0].bytes_max = 20 * (WF_OUTQ_SEG_COST + 1); /* of which half is for ten */
    CHECK_EQ(join(&f, 0, "many/a", 40), WF_OK);
    CHECK(!f.q[0].overflowed);
    CHECK_EQ(wf_count_read(&f.pool.drops), 0);
    CHECK_STR(received(&f, 0), "_`abcdefgh");
    fixture_deinit(&f);
}

TEST(a_slow_subscriber_is_no_delivery_and_no_hindrance) {
    fixture f;
    fixture_init(&f, &roomy);
    join(&f, 0, "a", 0);
    join(&f, 1, "a", 0);
    f.q[0].bytes_max = 3;
    CHECK_EQ(publish(&f, "a", "long", -1), 2);
    CHECK_EQ(publish(&f, "a", "more", -1), 1);
    CHECK(f.q[0].overflowed && !f.q[1].overflowed);
    CHECK_EQ(wf_count_read(&f.pool.drops), 1);
    CHECK_STR(received(&f, 1), "longmore");
    fixture_deinit(&f);
}

TEST(vacant_topics_go_by_age) {
    fixture f;
    fixture_init(&f, &roomy);
    publish(&f, "few/old", "x", -1);
    join(&f, 0, "few/held", 0);
    publish(&f, "few/held", "x", -1);
    f.hub.now_ms += 600;
    publish(&f, "few/new", "x", -1);
    f.hub.now_ms += 400;
    wf_hub_sweep(&f.hub);
    CHECK_EQ(topics(&f), 3);
    f.hub.now_ms += 1;
    wf_hub_sweep(&f.hub);
    CHECK_EQ(topics(&f), 2);
    publish(&f, "few/new", "again", -1); /* younger once more */
    f.hub.now_ms += 1000;
    wf_hub_sweep(&f.hub);
    CHECK_EQ(topics(&f), 2);
    f.hub.now_ms += 1;
    wf_hub_sweep(&f.hub);
    CHECK_EQ(topics(&f), 1);
    wf_hub_check(&f.hub);
    fixture_deinit(&f);
}

TEST(vacant_topics_go_by_number) {
    fixture f;
    wf_hub_config config = roomy;
    config.vacant_max = 2;
    fixture_init(&f, &config);
    publish(&f, "few/1", "one", -1);
    publish(&f, "few/2", "two", -1);
    publish(&f, "few/1", "one again", -1);
    publish(&f, "few/3", "three", -1);
    CHECK_EQ(topics(&f), 2);
    join(&f, 0, "few/2", 9);
    CHECK_STR(received(&f, 0), "");
    join(&f, 0, "few/1", 9);
    CHECK_STR(received(&f, 0), "oneone again");
    fixture_deinit(&f);
}

TEST(topics_left_by_many_stay_within_the_number) {
    fixture f;
    wf_hub_config config = roomy;
    char name[20];
    config.vacant_max = 3;
    fixture_init(&f, &config);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "few/%d", i);
        join(&f, 0, name, 0);
        publish(&f, name, "x", -1);
    }
    wf_hub_leave_all(&f.hub, &f.who[0]);
    wf_hub_check(&f.hub);
    CHECK_EQ(topics(&f), 3);
    fixture_deinit(&f);
}

TEST(the_whole_past_has_a_limit_in_bytes) {
    fixture f;
    wf_hub_config config = roomy;
    config.history_bytes_max = 10;
    fixture_init(&f, &config);
    publish(&f, "few/1", "aaaa", -1);
    publish(&f, "few/2", "bbbb", -1);
    publish(&f, "few/3", "cc", -1);
    CHECK_EQ(f.hub.history_bytes, 10);
    publish(&f, "few/3", "d", -1); /* few/1, longest vacant, goes */
    CHECK_EQ(f.hub.history_bytes, 7);
    CHECK_EQ(topics(&f), 2);
    join(&f, 0, "few/2", 0);
    join(&f, 0, "few/3", 0);
    publish(&f, "few/3", "eeee", -1); /* nothing is vacant: its own past goes */
    CHECK_EQ(f.hub.history_bytes, 9);
    publish(&f, "few/3", "longer than all", -1);
    CHECK_EQ(f.hub.history_bytes, 4);
    join(&f, 1, "few/2", 9);
    CHECK_STR(received(&f, 1), "bbbb");
    fixture_deinit(&f);
}

/* The first topic, the second and the third take memory in different ways. */
static bool subscribe_failing_at(size_t nth, uint32_t before) {
    static const char *const names[] = {"few/a", "few/b", "few/c"};
    fixture f;
    test_context("allocation %zu with %u topics", nth, before);
    fixture_init(&f, &roomy);
    for (uint32_t i = 0; i < before; i++)
        CHECK_EQ(join(&f, 0, names[i], 3), WF_OK);
    test_mem_fail_at(nth);
    int got = join(&f, 0, names[before], 3);
    bool failed = test_mem_calls() >= nth;
    test_mem_fail_at(0);
    wf_hub_check(&f.hub);
    CHECK_EQ(got, failed ? WF_ENOMEM : WF_OK);
    CHECK_EQ(topics(&f), before + !failed);
    CHECK_EQ(f.who[0].count, before + !failed);
    fixture_deinit(&f);
    return failed;
}

TEST(without_memory_a_subscription_fails_whole) {
    for (uint32_t before = 0; before < 3; before++) {
        size_t nth = 1;
        while (nth < 20 && subscribe_failing_at(nth, before))
            nth++;
        CHECK(nth > 2 && nth < 20);
    }
}

TEST(without_memory_publishing_loses_at_most_the_message) {
    size_t nth = 1;
    for (bool failed = true; failed; nth++) {
        fixture f;
        test_context("allocation %zu", nth);
        fixture_init(&f, &roomy);
        CHECK_EQ(join(&f, 0, "many/a", 0), WF_OK);
        CHECK_EQ(join(&f, 1, "many/a", 0), WF_OK);
        wf_blob *blob = wf_blob_new(1, NULL);
        blob->data[0] = 'x';
        test_mem_fail_at(nth);
        size_t delivered = 0, published = 0;
        for (; published < 20; published++)
            delivered += wf_hub_publish(&f.hub, wf_str_of("many/a"), blob, NULL);
        wf_hub_publish(&f.hub, wf_str_of("many/b"), blob, NULL);
        failed = test_mem_calls() >= nth;
        test_mem_fail_at(0);
        wf_hub_check(&f.hub);
        CHECK(delivered + failed >= 2 * published);
        CHECK_EQ(delivered + wf_count_read(&f.pool.drops), 2 * published);
        CHECK_EQ(strlen(received(&f, 0)) + strlen(received(&f, 1)), delivered);
        wf_blob_unref(blob);
        fixture_deinit(&f);
        CHECK(nth < 200);
    }
    CHECK(nth > 40);
}

TEST(without_memory_for_a_longer_past_the_oldest_makes_room) {
    fixture f;
    fixture_init(&f, &roomy);
    for (int i = 1; i <= 10; i++) {
        wf_blob *blob = wf_blob_new(1, NULL);
        blob->data[0] = (uint8_t)('a' + i);
        test_mem_fail_at(i > 8); /* the ring has grown to 8 */
        wf_hub_publish(&f.hub, wf_str_of("many/a"), blob, NULL);
        CHECK(i <= 8 || test_mem_calls() == 1);
        test_mem_fail_at(0);
        wf_blob_unref(blob);
        wf_hub_check(&f.hub);
    }
    publish(&f, "many/a", "X", -1); /* memory again: the past grows on */
    join(&f, 0, "many/a", 40);
    CHECK_STR(received(&f, 0), "defghijkX");
    fixture_deinit(&f);
}
