/*
 * What a token says of rooms.
 */
#include "app/room_rights.h"
#include "test.h"

#include <stdio.h>

/* In single quotes, for they are easier to read. */
static json_t *claims(const char *text) {
    char json[4096];
    size_t i = 0;
    for (; text[i]; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    json_t *object = json_loadb(json, i, JSON_ALLOW_NUL, NULL);
    CHECK(object != NULL);
    return object;
}

TEST(names_and_prefixes) {
    static const struct {
        const char *rooms, *name;
        bool joins, publishes;
    } rows[] = {
        {"{'rooms':{'join':['lobby','team-*'],'publish':'lobby'}}", "lobby", true, true},
        {"{'rooms':{'join':['lobby','team-*'],'publish':'lobby'}}", "team-7", true, false},
        {"{'rooms':{'join':['lobby','team-*'],'publish':'lobby'}}", "team-", true, false},
        {"{'rooms':{'join':['lobby','team-*'],'publish':'lobby'}}", "team", false, false},
        {"{'rooms':{'join':['lobby','team-*'],'publish':'lobby'}}", "lobby2", false, false},
        {"{'rooms':{'join':['lobby','team-*'],'publish':'lobby'}}", "lobb", false, false},
        {"{'rooms':{'join':['lobby','team-*'],'publish':'lobby'}}", "Lobby", false, false},
        {"{'rooms':{'publish':['a','b','c']}}", "c", false, true},
        {"{'rooms':{'join':'*'}}", "whatever", true, false},
        {"{'rooms':{'join':''}}", "whatever", false, false},
        {"{'rooms':{'join':[]}}", "whatever", false, false},
        {"{'rooms':{}}", "whatever", false, false},
        {"{'join':'*','publish':'*'}", "whatever", false, false},
        {"{}", "whatever", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("%s of %s", rows[i].name, rows[i].rooms);
        json_t *json = claims(rows[i].rooms);
        CHECK(room_rights_judge(json) == NULL);
        CHECK_EQ(room_rights_have(json, ROOM_JOIN, rows[i].name), rows[i].joins);
        CHECK_EQ(room_rights_have(json, ROOM_PUBLISH, rows[i].name), rows[i].publishes);
        json_decref(json);
    }
}

TEST(what_cannot_be_understood) {
    static const char *const rows[] = {
        "{'rooms':'*'}",
        "{'rooms':['*']}",
        "{'rooms':null}",
        "{'rooms':{'join':7}}",
        "{'rooms':{'join':null}}",
        "{'rooms':{'join':{'lobby':true}}}",
        "{'rooms':{'join':['lobby',7]}}",
        "{'rooms':{'join':['lobby',['a']]}}",
        "{'rooms':{'join':'*lobby'}}",
        "{'rooms':{'join':'a*b'}}",
        "{'rooms':{'join':'a**'}}",
        "{'rooms':{'join':'lobby','publish':['a','b*c']}}",
        "{'rooms':{'join':'lobby\\u0000'}}",
        "{'rooms':{'join':'lobby\\u0000*'}}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("%s", rows[i]);
        json_t *json = claims(rows[i]);
        CHECK(room_rights_judge(json) != NULL);
        json_decref(json);
    }
}

TEST(so_many_and_no_more) {
    char text[2048];
    for (int over = 0; over < 2; over++) {
        int n = snprintf(text, sizeof text, "{'rooms':{'publish':['last'");
        for (int i = 1; i < ROOM_PATTERNS_MAX + over; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, ",'room%d'", i);
        strcpy(text + n, "]}}");
        json_t *json = claims(text);
        CHECK_EQ(room_rights_judge(json) != NULL, over);
        CHECK(room_rights_have(json, ROOM_PUBLISH, "room63"));
        json_decref(json);
    }
}
