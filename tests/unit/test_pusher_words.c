/*
 * The words of the Pusher Channels protocol: names, signatures, JSON as it comes and as it goes.
 */
#include "test.h"

#include "app/pusher/json.h"
#include "app/pusher/names.h"
#include "app/pusher/sign.h"
#include "app/pusher/table.h"
#include "app/pusher/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *repeated(char c, size_t count) {
    static char text[300];
    memset(text, c, count);
    text[count] = '\0';
    return text;
}

TEST(a_channel_is_what_its_prefix_says) {
    static const struct {
        const char *name;
        push_access access;
        bool cache;
    } rows[] = {
        {"news", PUSH_PUBLIC, false},
        {"cache-news", PUSH_PUBLIC, true},
        {"private", PUSH_PUBLIC, false},
        {"private-", PUSH_PRIVATE, false},
        {"private-x", PUSH_PRIVATE, false},
        {"private-cache-x", PUSH_PRIVATE, true},
        {"private-encrypted-x", PUSH_ENCRYPTED, false},
        {"private-encrypted-cache-x", PUSH_ENCRYPTED, true},
        {"private-encrypted", PUSH_PRIVATE, false},
        {"presence-x", PUSH_PRESENCE, false},
        {"presence-cache-x", PUSH_PRESENCE, true},
        {"presence-encrypted-x", PUSH_PRESENCE, false},
        {"#server-to-user-7", PUSH_USER, false},
        {"#server-to-user-cache-7", PUSH_USER, false},
        {"Private-x", PUSH_PUBLIC, false},
        {"x-cache-", PUSH_PUBLIC, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("%s", rows[i].name);
        push_kind kind = push_kind_of(push_str(rows[i].name));
        CHECK_EQ(kind.access, rows[i].access);
        CHECK_EQ(kind.cache, rows[i].cache);
    }
    test_context("%s", "");
}

TEST(names_that_are_good_and_names_that_are_not) {
    static const char *const good[] = {"a", "private-A_z-0=@,.;9", "#server-to-user-any thing: é", "presence-"};
    static const char *const bad[] = {"", "a b", "a/b", "#a", "a#", "é", "a:b", "#server-to-user-", "a\n", "!a"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(push_channel_name_ok(push_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!push_channel_name_ok(push_str(bad[i])));
    CHECK(push_channel_name_ok(push_str(repeated('c', 200))));
    CHECK(!push_channel_name_ok(push_str(repeated('c', 201))));
    CHECK(!push_channel_name_ok((weft_text) {"a\0b", 3}));
    CHECK(push_event_name_ok(push_str(repeated('e', 200))));
    CHECK(!push_event_name_ok(push_str(repeated('e', 201))));
    CHECK(!push_event_name_ok(push_str("")) && !push_event_name_ok(push_str("a\tb")));
    CHECK(push_user_id_ok(push_str(repeated('u', 128))));
    CHECK(!push_user_id_ok(push_str(repeated('u', 129))) && !push_user_id_ok((weft_text) {"", 0}));
    CHECK(push_event_of_client(push_str("client-x")) && !push_event_of_client(push_str("Client-x")));
}

TEST(a_socket_id_is_two_numbers) {
    CHECK(push_socket_id_ok(push_str("1234.1234")) && push_socket_id_ok(push_str("1.2")));
    static const char *const bad[] = {"", ".", "1", "1.", ".1", "1.2.3", "a.1", "1.b", "1.2 ", "1,2", "-1.2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!push_socket_id_ok(push_str(bad[i])));
    CHECK(!push_socket_id_ok(push_str("1234567890123456789012345678901234567890.1")));
}

static const char secret[] = "7ad3773142a6692b25b8";

TEST(signatures_of_the_documentation) {
    static const struct {
        const char *text, *signature;
    } rows[] = {
        {"1234.1234:private-foobar", "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"},
        {"1234.1234:presence-foobar:{\"user_id\":10,\"user_info\":{\"name\":\"Mr. Channels\"}}",
         "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"},
        {"1234.1234:presence-foobar:{\"user_id\":10,\"user_info\":{\"name\":\"Mr. Pusher\"}}",
         "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"},
        {"1234.1234::user::{\"id\":\"12345\"}", "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"},
        {"POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&"
         "body_md5=ec365a775a4cd0599faeb73354201b6f",
         "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char hex[PUSH_SHA256_HEX], other[PUSH_SHA256_HEX];
        size_t len = strlen(rows[i].text);
        CHECK(push_hmac_hex(secret, rows[i].text, len, hex));
        CHECK_STR(hex, rows[i].signature);
        CHECK(push_signed(secret, rows[i].text, len, push_str(rows[i].signature)));
        CHECK(!push_signed("7ad3773142a6692b25b9", rows[i].text, len, push_str(rows[i].signature)));
        CHECK(!push_signed(secret, rows[i].text, len - 1, push_str(rows[i].signature)));
        for (size_t k = 0; k < 64; k++) { /* each digit counts */
            strcpy(other, hex);
            other[k] = other[k] == '0' ? '1' : '0';
            CHECK(!push_signed(secret, rows[i].text, len, push_str(other)));
            other[k] = 'g';
            CHECK(!push_signed(secret, rows[i].text, len, push_str(other)));
        }
        CHECK(!push_signed(secret, rows[i].text, len, (weft_text) {hex, 63}));
        CHECK(!push_signed(secret, rows[i].text, len, (weft_text) {NULL, 0}));
    }
    static const char body[] =
        "{\"name\":\"foo\",\"channels\":[\"project-3\"],\"data\":\"{\\\"some\\\":\\\"data\\\"}\"}";
    char md5[PUSH_MD5_HEX];
    CHECK(push_md5_hex(body, sizeof body - 1, md5));
    CHECK_STR(md5, "ec365a775a4cd0599faeb73354201b6f");
}

TEST(json_that_is_refused) {
    static const char *const bad[] = {"",       "{", "{\"a\":1,\"a\":2}", "{\"a\":1} x", "nul", "{\"a\":\"\xff\"}",
                                      "{'a':1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!push_json_parse(push_str(bad[i])));
    char deep[80];
    for (size_t depth = 31; depth <= 33; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        json_t *json = push_json_parse((weft_text) {deep, 2 * depth});
        CHECK_EQ(json != NULL, depth <= PUSH_JSON_DEPTH_MAX);
        json_decref(json);
    }
    json_t *json = push_json_parse(push_str("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]")); /* in a string */
    CHECK(json != NULL);
    json_decref(json);
}

/* RFC 8259 8.2: JSON.stringify writes half of an emoji so. */
TEST(half_of_a_pair_is_looked_at_as_one_that_is_unknown) {
    static const struct {
        const char *text, *value; /* NULL: refused */
    } rows[] = {{"\"\\ud83e\"", "\xef\xbf\xbd"},
                {"\"a\\uDDF5b\"", "a\xef\xbf\xbd"
                                  "b"},
                {"\"\\ud83e\\ud83e\\uddf5\"", "\xef\xbf\xbd\xf0\x9f\xa7\xb5"},
                {"\"\\uddf5\\ud83e\\u0041\"", "\xef\xbf\xbd\xef\xbf\xbd"
                                              "A"},
                {"\"\\ud83e\\\\uddf5\"", "\xef\xbf\xbd\\uddf5"}, /* the second is a backslash */
                {"\"\\\\ud83e\"", "\\ud83e"},
                {"\"\\ud83e", NULL},
                {"\"\\ud83\"", NULL},
                {"\"\\ud83e\\x\"", NULL},
                {"\"\\ud83e\\udd", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %zu", i);
        size_t len = strlen(rows[i].text);
        char *text = malloc(len); /* without a NUL behind it */
        memcpy(text, rows[i].text, len);
        json_t *json = push_json_parse((weft_text) {text, len});
        CHECK_EQ(json != NULL, rows[i].value != NULL);
        if (rows[i].value)
            CHECK_STR(json_string_value(json), rows[i].value);
        json_decref(json);
        free(text);
    }
    test_context("%s", "");
}

TEST(json_is_passed_on_as_it_came) {
    static const struct {
        const char *text, *key, *raw;
    } rows[] = {
        {"{\"data\":12345678901234567890.50,\"b\":1}", "data", "12345678901234567890.50"},
        {" { \"a\" : { \"data\" : 1 } , \"data\" : [ 1 , {\"x\":\"]}\"} ] }", "data", "[ 1 , {\"x\":\"]}\"} ]"},
        {"{\"data\":\"a\\\"}b\\\\\",\"c\":null}", "data", "\"a\\\"}b\\\\\""},
        {"{\"data\":\"a\\\"}b\\\\\",\"c\":null}", "c", "null"},
        {"{\"data\":\"\",\"c\":true\n}", "c", "true"},
        {"{\"x\":\"data\",\"data\":{}}", "data", "{}"},
        {"{\"\\u0064ata\":1,\"event\":2}", "data", "1"}, /* as keys may be written, too */
        {"{\"dat\\\\\":1,\"data\":2}", "data", "2"},
        {"{\"\\ud800\":1,\"data\":\"\\udc00\"}", "data", "\"\\udc00\""},
        {"{}", "data", NULL},
        {"[\"data\",1]", "data", NULL},
        {"\"data\"", "data", NULL},
        {"{\"a\":1}", "data", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %zu", i);
        json_t *json = push_json_parse(push_str(rows[i].text));
        CHECK(json != NULL);
        json_decref(json);
        weft_text raw = push_json_raw(push_str(rows[i].text), rows[i].key);
        CHECK_EQ(raw.data != NULL, rows[i].raw != NULL);
        if (rows[i].raw)
            CHECK(push_text_equal(raw, push_str(rows[i].raw)));
    }
    test_context("%s", "");
}

static json_t *random_json(uint64_t *seed, int depth) {
    static const char *const words[] = {"", "a", "]}", "\"", "\\", "\\\"", "{\"a\":", "\xc3\xa9", "\n", " , "};
    unsigned kind = (unsigned)(test_random(seed) >> 30) % (depth > 4 ? 5 : 8);
    const char *word = words[(test_random(seed) >> 30) % 10];
    if (kind < 2)
        return json_string(word);
    if (kind < 5)
        return kind == 2 ? json_null() : kind == 3 ? json_true() : json_real((double)(test_random(seed) % 1000) / 8);
    json_t *json = kind < 6 ? json_array() : json_object();
    for (size_t i = (test_random(seed) >> 30) % 4; i > 0; i--) {
        char key[16];
        snprintf(key, sizeof key, "%zu%s", i, words[(test_random(seed) >> 30) % 10]);
        if (kind < 6)
            json_array_append_new(json, random_json(seed, depth + 1));
        else
            json_object_set_new(json, key, random_json(seed, depth + 1));
    }
    return json;
}

/* Of any object, however it is written, the value that is found in the text is the one that a parser finds. */
TEST(what_is_found_in_the_text_is_what_a_parser_finds) {
    uint64_t seed = 11;
    for (int round = 0; round < 3000; round++) {
        json_t *json = json_object();
        json_object_set_new(json, "before", random_json(&seed, 0));
        json_object_set_new(json, "data", random_json(&seed, 0));
        json_object_set_new(json, "after", random_json(&seed, 0));
        size_t flags = round % 3 == 0 ? JSON_COMPACT : round % 3 == 1 ? JSON_INDENT(2) : JSON_ENSURE_ASCII;
        char *text = json_dumps(json, flags | (round % 2 ? JSON_SORT_KEYS : 0));
        weft_text raw = push_json_raw(push_str(text), "data");
        CHECK(raw.data != NULL);
        json_t *found = json_loadb(raw.data, raw.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        CHECK(found && json_equal(found, json_object_get(json, "data")));
        json_decref(found);
        json_decref(json);
        free(text);
    }
}

TEST(an_id_is_a_string_or_a_number) {
    static const struct {
        const char *text, *id;
    } rows[] = {{"{\"id\":\"ab\"}", "ab"},
                {"{\"id\":10}", "10"},
                {"{\"id\":12345678901234567890}", "12345678901234567890"},
                {"{\"id\":null}", NULL},
                {"{\"id\":{}}", NULL},
                {"{}", NULL},
                {"{\"id\":\"a\\u0000\"}", NULL},
                {"{\"id\":\"12345678901234567890123\"}", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[22];
        json_t *json = push_json_parse(push_str(rows[i].text));
        CHECK_EQ(push_json_id(push_str(rows[i].text), json, "id", id, sizeof id), rows[i].id != NULL);
        if (rows[i].id)
            CHECK_STR(id, rows[i].id);
        json_decref(json);
    }
}

/* Whatever is quoted, once or twice, a parser reads back. */
TEST(what_is_quoted_is_read_back) {
    uint64_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        char in[64];
        size_t len = test_random(&seed) % sizeof in;
        for (size_t i = 0; i < len; i++)
            in[i] = (char)(test_random(&seed) % (round % 2 ? 128 : 40));
        push_text text = {0};
        push_put_str(&text, "[");
        size_t at = text.len;
        push_put_quoted(&text, (weft_text) {in, len});
        push_quote_from(&text, at);
        push_put_str(&text, "]");
        CHECK(!text.failed && text.data[text.len] == '\0');
        json_t *outer = push_json_parse((weft_text) {text.data, text.len});
        weft_text once = {json_string_value(json_array_get(outer, 0)), json_string_length(json_array_get(outer, 0))};
        json_t *inner = once.data ? push_json_parse(once) : NULL;
        CHECK(json_is_string(inner));
        CHECK_BYTES(json_string_value(inner), json_string_length(inner), in, len);
        json_decref(inner);
        json_decref(outer);
        push_text_free(&text);
    }
}

typedef struct thing {
    push_link link;
    int number;
    bool in;
} thing;

TEST(a_table_holds_what_was_put_into_it) {
    enum { THINGS = 500 };
    static thing things[THINGS];
    push_table table = {0};
    uint64_t seed = 3;
    CHECK(!push_table_first(&table, 1) && !push_table_walk(&table, NULL));
    for (int round = 0; round < 20000; round++) {
        int i = (int)(test_random(&seed) % THINGS);
        uint64_t hash = round % 3 ? push_hash(&i, sizeof i) : 5; /* some collide */
        if (things[i].in)
            push_table_remove(&table, &things[i].link);
        else if (push_table_reserve(&table))
            push_table_add(&table, &things[i].link, hash);
        things[i].in = !things[i].in;
    }
    size_t count = 0;
    for (push_link *l = NULL; (l = push_table_walk(&table, l));) {
        CHECK(((thing *)l)->in);
        count++;
    }
    CHECK_EQ(count, table.count);
    for (int i = 0; i < THINGS; i++) {
        push_link *l = things[i].in ? push_table_first(&table, things[i].link.hash) : NULL;
        while (l && l != &things[i].link)
            l = push_table_next(l);
        CHECK_EQ(l != NULL, things[i].in);
        count -= things[i].in;
    }
    CHECK_EQ(count, 0);
    push_table_free(&table);
}

/* `number` is how often it was seen. Every other one is there all the while; the rest come and go, and the table grows. */
TEST(a_walk_that_is_broken_off_sees_each_once) {
    enum { STAY = 3000, ALL = 2 * STAY };
    static thing things[ALL];
    for (uint64_t round = 1; round <= 20; round++) {
        push_table table = {0};
        uint64_t seed = round, place = 0;
        size_t others = round < 5 ? 0 : test_random(&seed) % STAY;
        memset(things, 0, sizeof things);
        for (uint64_t i = 0; i < ALL; i += 2) {
            CHECK(push_table_reserve(&table));
            push_table_add(&table, &things[i].link, i < 100 ? i % 7 : push_hash(&i, sizeof i));
        }
        for (int steps = 0; steps == 0 || place != 0; steps++) {
            CHECK(steps < 4 * ALL);
            for (push_link *l = push_table_slot(&table, &place); l; l = l->next)
                ((thing *)l)->number++;
            uint64_t i = test_random(&seed) % (others + 1) * 2 + 1;
            if (i >= ALL)
                continue;
            if (things[i].in)
                push_table_remove(&table, &things[i].link);
            else if (push_table_reserve(&table))
                push_table_add(&table, &things[i].link, push_hash(&i, sizeof i));
            things[i].in = !things[i].in;
        }
        for (int i = 0; i < ALL; i++)
            CHECK(i % 2 == 0 ? things[i].number == 1 : things[i].number <= 1);
        push_table_free(&table);
    }
    uint64_t place = 0;
    CHECK(!push_table_slot(&(push_table) {0}, &place) && place == 0);
}
