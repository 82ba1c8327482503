/*
 * Who is in a room. Two readers fold what they are told into lists of their own: one from the beginning, one who comes
 * at any time and begins with what the list says of itself. Both must have what is true but for the grace.
 */
#include "app/here.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static here_list list;
static app_text text;

static const char *told(uint64_t now_ms) {
    app_text_free(&text);
    return here_tell(&list, now_ms, &text) ? text.data : "";
}

static const char *written(void) {
    app_text_free(&text);
    here_write(&list, &text);
    return text.data;
}

static void clear(void) {
    here_free(&list);
    app_text_free(&text);
}

TEST(names_are_utf8_without_control_characters) {
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {
        {"a", true},
        {"Ann B\xc3\xa9", true},
        {"\xf0\x9f\xa6\x8a", true},
        {"\xc2\xa0", true},
        {"", false},
        {"a\nb", false},
        {"\x7f", false},
        {"\xc2\x85", false}, /* next line */
        {"\xc2\x9f", false},
        {"\xff", false},
        {"\xed\xa0\x80", false}, /* half a pair */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_EQ(here_name_ok(rows[i].name), rows[i].ok);
    char longest[HERE_NAME_BYTES + 2] = {0};
    memset(longest, 'x', HERE_NAME_BYTES);
    CHECK(here_name_ok(longest));
    longest[HERE_NAME_BYTES] = 'x';
    CHECK(!here_name_ok(longest));
}

TEST(ten_of_one_name_are_one) {
    here_seat seats[10];
    for (int i = 0; i < 10; i++)
        seats[i] = here_come(&list, "ann");
    CHECK_STR(told(0), "{\"came\":[\"ann\"],\"went\":[],\"more\":0,\"version\":1}");
    for (int i = 0; i < 9; i++)
        here_go(&list, &seats[i], 1000);
    CHECK_STR(told(9000), "");
    CHECK(here_told_all(&list));
    here_go(&list, &seats[9], 9000);
    CHECK(!here_told_all(&list));
    CHECK_STR(told(9000 + HERE_GRACE_MS - 1), "");
    CHECK_STR(told(9000 + HERE_GRACE_MS), "{\"came\":[],\"went\":[\"ann\"],\"more\":0,\"version\":2}");
    CHECK(here_told_all(&list));
    CHECK_EQ(list.count, 0);
    clear();
}

TEST(who_comes_back_soon_was_never_away) {
    here_seat seat = here_come(&list, "ann");
    told(0);
    here_go(&list, &seat, 100);
    CHECK_STR(told(2000), "");
    seat = here_come(&list, "ann");
    CHECK_STR(told(9000), "");
    here_go(&list, &seat, 9000);
    CHECK_STR(told(9000 + HERE_GRACE_MS), "{\"came\":[],\"went\":[\"ann\"],\"more\":0,\"version\":2}");
    clear();
}

TEST(what_it_says_is_what_was_told) {
    here_seat bob = here_come(&list, "bob");
    CHECK_STR(written(), "{\"here\":[],\"more\":0,\"version\":0}");
    told(0);
    here_seat ann = here_come(&list, "a\"n");
    CHECK_STR(written(), "{\"here\":[\"bob\"],\"more\":0,\"version\":1}");
    told(0);
    here_go(&list, &bob, 0);
    CHECK_STR(written(), "{\"here\":[\"a\\\"n\",\"bob\"],\"more\":0,\"version\":2}");
    CHECK_STR(told(HERE_GRACE_MS), "{\"came\":[],\"went\":[\"bob\"],\"more\":0,\"version\":3}");
    here_go(&list, &ann, 0);
    clear();
}

TEST(too_many_are_counted) {
    static here_seat seats[HERE_NAMES_MAX + 2];
    for (int i = 0; i < HERE_NAMES_MAX + 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        seats[i] = here_come(&list, name);
    }
    CHECK_EQ(list.count, HERE_NAMES_MAX);
    CHECK(strstr(told(0), "\"more\":2,\"version\":1}"));
    here_go(&list, &seats[HERE_NAMES_MAX], 0);
    CHECK_STR(told(0), "{\"came\":[],\"went\":[],\"more\":1,\"version\":2}");
    here_go(&list, &seats[0], 0);
    told(HERE_GRACE_MS);
    seats[0] = here_come(&list, "new");
    CHECK_STR(told(HERE_GRACE_MS), "{\"came\":[\"new\"],\"went\":[],\"more\":1,\"version\":4}");
    clear();
}

/* ---- random ---- */

enum { NAMES = 6, SEATS = 12 };

static const char *const names[NAMES] = {"ann", "bob", "cleo", "dan", "eve", "f"};

/* A reader's list: bits. */
typedef struct reader {
    unsigned here;
    unsigned long long version;
} reader;

static unsigned bits_after(const char *json, const char *key) {
    unsigned bits = 0;
    const char *at = strstr(json, key), *end = at ? strchr(at, ']') : NULL;
    for (int i = 0; at && i < NAMES; i++) {
        char quoted[16];
        snprintf(quoted, sizeof quoted, "\"%s\"", names[i]);
        const char *found = strstr(at + strlen(key), quoted);
        bits |= (unsigned)(found && found < end) << i;
    }
    return bits;
}

static void fold(reader *r, const char *json) {
    unsigned came = bits_after(json, "\"came\":["), went = bits_after(json, "\"went\":[");
    CHECK_EQ(r->here & came, 0);
    CHECK_EQ(went & ~r->here, 0);
    CHECK_EQ(strtoull(strstr(json, "\"version\":") + 10, NULL, 10), ++r->version);
    r->here = (r->here | came) & ~went;
}

static reader begin(void) {
    const char *json = written();
    return (reader) {bits_after(json, "\"here\":["), strtoull(strstr(json, "\"version\":") + 10, NULL, 10)};
}

TEST(whoever_reads_knows_who_is_here) {
    here_seat seats[SEATS] = {{0}};
    int of[SEATS] = {0}; /* its name */
    uint64_t left_ms[NAMES] = {0}, now_ms = 10000;
    reader always = begin(), late = always;
    srand(1);
    for (int step = 0; step < 20000; step++) {
        int i = rand() % SEATS;
        now_ms += (uint64_t)(rand() % 700);
        if (seats[i].taken) {
            here_go(&list, &seats[i], now_ms);
            left_ms[of[i]] = now_ms;
        } else {
            seats[i] = here_come(&list, names[of[i] = rand() % NAMES]);
        }
        if (rand() % 3)
            continue;
        unsigned true_now = 0;
        for (int s = 0; s < SEATS; s++)
            true_now |= (unsigned)seats[s].taken << of[s];
        const char *json = told(now_ms);
        if (*json) {
            fold(&always, json);
            fold(&late, json);
        }
        for (int n = 0; n < NAMES; n++) {
            bool is = true_now >> n & 1, said = always.here >> n & 1;
            CHECK(said == is || (said && now_ms < left_ms[n] + HERE_GRACE_MS));
        }
        if (rand() % 5 == 0)
            late = begin();
        CHECK_EQ(late.here, always.here);
    }
    clear();
}
