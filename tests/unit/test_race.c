/*
 * Racing addresses: the order in which they take turns, and what an attempt that cannot even begin leads to.
 */
#include "test.h"

#include "client/race.h"

#include <errno.h>
#include <sys/socket.h>

static const struct {
    const char *given, *expected; /* lower case: IPv4, upper case: IPv6 */
} orders[] = {
    {"", ""},
    {"a", "a"},
    {"ab", "ab"},
    {"aB", "aB"},
    {"Ab", "Ab"},
    {"ABCd", "AdBC"},
    {"ABCde", "AdBeC"},
    {"abCD", "aCbD"},
    {"aBCDe", "aBeCD"},
    {"ABCDEFgh", "AgBhCDEF"},
    {"AbCdEf", "AbCdEf"},
};

TEST(families_take_turns) {
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        wf_address list[8] = {0};
        char got[9] = "";
        size_t count = strlen(orders[i].given);
        test_context("row %s", orders[i].given);
        for (size_t k = 0; k < count; k++) {
            list[k].storage.ss_family = orders[i].given[k] >= 'a' ? AF_INET : AF_INET6;
            list[k].len = (socklen_t)orders[i].given[k];
        }
        wf_addresses_interleave(list, count);
        for (size_t k = 0; k < count; k++)
            got[k] = (char)list[k].len;
        CHECK_STR(got, orders[i].expected);
    }
}

TEST(what_cannot_begin_is_passed_over) {
    wf_address list[3] = {0};
    const char *why;
    wf_loop *loop = wf_loop_new(0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(wf_address_parse("127.0.0.1:9", &list[i], &why), WF_OK);
    wf_race *race = wf_race_new(loop, list, 3, NULL);
    test_call_fail_at("socket", 0, EMFILE);
    CHECK_EQ(wf_race_step(race, 1000), WF_ERROR);
    test_call_fail_at(NULL, 0, 0);
    CHECK_EQ(race->failed_last, 2);
    CHECK_EQ(race->sys_errno, EMFILE);
    CHECK(race->next_ms == UINT64_MAX);
    wf_race_free(race);
    wf_race_free(NULL);

    race = wf_race_new(loop, list, 3, NULL);
    test_call_fail_at("socket", 1, EMFILE);
    CHECK_EQ(wf_race_step(race, 1000), WF_OK);
    test_call_fail_at(NULL, 0, 0);
    CHECK(race->begun == 2 && race->under_way == 1 && race->next_ms == 1000 + WF_RACE_DELAY_MS);
    CHECK_EQ(wf_race_step(race, 1000 + WF_RACE_DELAY_MS - 1), WF_OK);
    CHECK_EQ(race->begun, 2);
    CHECK_EQ(wf_race_step(race, 1000 + WF_RACE_DELAY_MS), WF_OK);
    CHECK(race->begun == 3 && race->under_way == 2 && race->next_ms == UINT64_MAX);
    wf_race_free(race);
    wf_loop_free(loop);
    CHECK_EQ(test_mem_live(), 0);
}
