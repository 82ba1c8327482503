/*
 * Agreeing on permessage-deflate (RFC 7692 5, 7.1): rows of what a client offers and what our server answers, and of
 * what a server answers and what our client makes of it.
 */
#include "test.h"
#include "ws/extension.h"

#include <stdio.h>

static const wf_pmd_config all = {true, true, true, 15, 15, 0};
static const wf_pmd_config none = {true, false, false, 15, 15, 0};
static const wf_pmd_config small = {true, true, true, 10, 12, 0};
static const wf_pmd_config off = {false, true, true, 15, 15, 0};

/* Header lines, parted by '\n'. */
static size_t cut_lines(const char *text, wf_str lines[8]) {
    size_t count = 0;
    while (text && count < 8) {
        const char *end = strchr(text, '\n');
        lines[count++] = (wf_str) {text, end ? (size_t)(end - text) : strlen(text)};
        text = end ? end + 1 : NULL;
    }
    return count;
}

#define PMD "permessage-deflate"

static const struct {
    const char *name;
    const wf_pmd_config *config;
    const char *offer, *answer; /* answer NULL: declined */
} answers[] = {
    {"plain_offer", &all, PMD, PMD},
    {"nothing_offered", &all, "", NULL},
    {"switched_off", &off, PMD, NULL},
    {"what_browsers_offer", &all, PMD "; client_max_window_bits", PMD "; client_max_window_bits=15"},
    {"client_window_is_asked_for", &small, PMD "; client_max_window_bits", PMD "; client_max_window_bits=12"},
    {"client_window_cannot_be_asked_for", &small, PMD, PMD},
    {"client_has_a_shorter_one", &small, PMD "; client_max_window_bits=9", PMD "; client_max_window_bits=9"},
    {"server_window_is_kept", &all, PMD "; server_max_window_bits=11", PMD "; server_max_window_bits=11"},
    {"server_window_is_ours_when_shorter", &small, PMD "; server_max_window_bits=15",
     PMD "; server_max_window_bits=10"},
    {"window_of_8", &all, PMD "; server_max_window_bits=8; client_max_window_bits=8",
     PMD "; server_max_window_bits=8; client_max_window_bits=8"},
    {"no_server_takeover_is_kept", &all, PMD "; server_no_context_takeover", PMD "; server_no_context_takeover"},
    {"no_client_takeover_is_taken", &all, PMD "; client_no_context_takeover", PMD "; client_no_context_takeover"},
    {"no_takeover_is_ours_to_say", &none, PMD, PMD "; server_no_context_takeover; client_no_context_takeover"},
    {"all_four", &all,
     PMD
     "; client_max_window_bits=10; server_max_window_bits=14; client_no_context_takeover; server_no_context_takeover",
     PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=14; "
         "client_max_window_bits=10"},
    {"spaces_are_free", &all, "  " PMD "\t;server_max_window_bits = 10 ;\tclient_no_context_takeover  ",
     PMD "; client_no_context_takeover; server_max_window_bits=10"},

    {"first_acceptable_of_several", &all, PMD "; server_max_window_bits=7, " PMD "; server_max_window_bits=9, " PMD,
     PMD "; server_max_window_bits=9"},
    {"over_several_lines", &all, "x-webkit-deflate-frame\nfoo; bar=\"a,b;c\"\n" PMD, PMD},
    {"among_others", &all, "foo, " PMD ", bar; x", PMD},
    {"empty_elements", &all, ", ,," PMD ",", PMD},
    {"other_extensions_only", &all, "permessage-bzip2, x-webkit-deflate-frame", NULL},
    {"another_name_with_the_same_beginning", &all, PMD "d", NULL},
    {"the_name_in_capitals_is_another", &all, "Permessage-Deflate", NULL},

    {"window_of_7", &all, PMD "; server_max_window_bits=7", NULL},
    {"window_of_16", &all, PMD "; client_max_window_bits=16", NULL},
    {"window_of_0", &all, PMD "; server_max_window_bits=0", NULL},
    {"window_with_a_leading_zero", &all, PMD "; server_max_window_bits=08", NULL},
    {"window_with_a_sign", &all, PMD "; server_max_window_bits=+9", NULL},
    {"window_of_words", &all, PMD "; server_max_window_bits=ten", NULL},
    {"window_of_many_digits", &all, PMD "; server_max_window_bits=99999999999999999999", NULL},
    {"window_of_a_letter_below_the_digits", &all, PMD "; server_max_window_bits=1.", NULL},
    {"window_quoted", &all, PMD "; server_max_window_bits=\"10\"; client_max_window_bits = \"\\9\"",
     PMD "; server_max_window_bits=10; client_max_window_bits=9"},
    {"window_quoted_in_part", &all, PMD "; server_max_window_bits=\"1\"0", NULL},
    {"window_quoted_behind_a_digit", &all, PMD "; server_max_window_bits=1\"0\"", NULL},
    {"window_quoted_with_a_space", &all, PMD "; server_max_window_bits=\"9 \"", NULL},
    {"window_quoted_with_a_leading_zero", &all, PMD "; server_max_window_bits=\"010\"", NULL},
    {"window_quoted_without_an_end", &all, PMD "; server_max_window_bits=\"10", NULL},
    {"window_quoted_up_to_a_backslash", &all, PMD "; server_max_window_bits=\"1\\", NULL},
    {"window_of_a_quote", &all, PMD "; server_max_window_bits=\"", NULL},
    {"window_quoted_empty", &all, PMD "; client_max_window_bits=\"\"", NULL},
    {"window_quoted_with_a_semicolon", &all, PMD "; server_max_window_bits=\"9;\"", NULL},
    {"takeover_with_a_quoted_nothing", &all, PMD "; server_no_context_takeover=\"\"", NULL},
    {"window_empty", &all, PMD "; server_max_window_bits=", NULL},
    {"client_window_empty", &all, PMD "; client_max_window_bits=", NULL},
    {"server_window_without_value", &all, PMD "; server_max_window_bits", NULL},
    {"takeover_with_a_value", &all, PMD "; server_no_context_takeover=1", NULL},
    {"client_takeover_with_a_value", &all, PMD "; client_no_context_takeover=", NULL},
    {"unknown_parameter", &all, PMD "; level=9", NULL},
    {"parameter_twice", &all, PMD "; server_no_context_takeover; server_no_context_takeover", NULL},
    {"window_twice", &all, PMD "; client_max_window_bits; client_max_window_bits=10", NULL},
    {"parameter_in_capitals", &all, PMD "; Server_No_Context_Takeover", NULL},
    {"spaces_inside", &all, PMD "; client max window bits", NULL},
    {"nothing_behind_a_semicolon", &all, PMD ";", NULL},
    {"nothing_between_semicolons", &all, PMD "; ; client_max_window_bits", NULL},
    {"a_bad_one_spoils_no_other", &all, PMD "; client max window bits, " PMD, PMD},
    {"unclosed_quote", &all, PMD "; x=\"a, " PMD, NULL},
};

TEST(each_offer_has_its_answer) {
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        test_context("%s", answers[i].name);
        wf_str lines[8];
        size_t count = cut_lines(answers[i].offer, lines);
        wf_pmd_params params;
        char text[WF_PMD_TEXT_MAX + 1] = "";
        bool agreed = wf_pmd_answer(lines, count, answers[i].config, &params);
        if (agreed)
            text[wf_pmd_answer_write(&params, text)] = '\0';
        CHECK_STR(agreed ? text : "declined", answers[i].answer ? answers[i].answer : "declined");
    }
}

TEST(the_longest_answer_fits) {
    wf_pmd_params params = {true, true, 10, 10, true, true};
    wf_pmd_offer offer = {true, true, 10, true, 10};
    char text[WF_PMD_TEXT_MAX];
    CHECK(wf_pmd_answer_write(&params, text) < WF_PMD_TEXT_MAX);
    CHECK(wf_pmd_offer_write(&offer, text) < WF_PMD_TEXT_MAX);
}

TEST(what_an_answer_means) {
    wf_str line = wf_str_of(PMD "; client_max_window_bits; server_max_window_bits=13; server_no_context_takeover");
    wf_pmd_params params;
    CHECK(wf_pmd_answer(&line, 1, &small, &params));
    CHECK(params.server_no_context_takeover && !params.client_no_context_takeover);
    CHECK_EQ(params.server_max_window_bits, 10);
    CHECK_EQ(params.client_max_window_bits, 12);
    line = wf_str_of(PMD); /* a client that does not let us choose may use 15 bits */
    CHECK(wf_pmd_answer(&line, 1, &small, &params));
    CHECK_EQ(params.client_max_window_bits, 15);
}

/* ---- the client ---- */

static const wf_pmd_offer offers_plain = {0}, offers_bits = {.client_bits = true},
                          offers_all = {true, true, 12, true, 11};

static const char not_offered[] = "RFC6455/9.1: the server chose an extension that was not offered",
                  bad_parameter[] = "RFC7692/7: the server's answer has a parameter or value it may not have",
                  takeover_kept[] = "RFC7692/7.1.1.1: server_no_context_takeover was asked for and is not granted",
                  its_too_long[] = "RFC7692/7.1.2.1: server_max_window_bits is over what was offered",
                  no_value[] = "RFC7692/7.1.2.2: client_max_window_bits in an answer has no value",
                  ours_not_offered[] = "RFC7692/7.1.2.2: client_max_window_bits was not offered",
                  ours_too_long[] = "RFC7692/7.1.2.2: client_max_window_bits is over what was offered";

static const struct {
    const char *name;
    const wf_pmd_offer *offer; /* NULL: nothing was offered */
    const char *answer;
    const char *rule; /* word for word; NULL: good */
    bool agreed;
} judgements[] = {
    {"no_answer_is_no_extension", &offers_plain, "", NULL, false},
    {"not_offered_not_answered", NULL, "", NULL, false},
    {"plain", &offers_plain, PMD, NULL, true},
    {"server_says_no_takeover_unasked", &offers_plain, PMD "; server_no_context_takeover", NULL, true},
    {"server_forbids_us_takeover", &offers_plain, PMD "; client_no_context_takeover", NULL, true},
    {"server_says_its_window_unasked", &offers_plain, PMD "; server_max_window_bits=9", NULL, true},
    {"server_sets_our_window", &offers_bits, PMD "; client_max_window_bits=9", NULL, true},
    {"all_granted", &offers_all,
     PMD
     "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11",
     NULL, true},
    {"its_window_quoted", &offers_plain, PMD "; server_max_window_bits=\"9\"", NULL, true},
    {"all_granted_with_less", &offers_all, PMD "; server_no_context_takeover; server_max_window_bits=8", NULL, true},

    {"not_offered", NULL, PMD, not_offered, false},
    {"another_extension", &offers_plain, "foo", not_offered, false},
    {"another_beside_it", &offers_plain, PMD ", foo", not_offered, false},
    {"twice", &offers_plain, PMD ", " PMD, not_offered, false},
    {"twice_in_two_lines", &offers_plain, PMD "\n" PMD, not_offered, false},
    {"unknown_parameter", &offers_plain, PMD "; level=9", bad_parameter, false},
    {"window_of_16", &offers_plain, PMD "; server_max_window_bits=16", bad_parameter, false},
    {"window_without_value", &offers_plain, PMD "; server_max_window_bits", bad_parameter, false},
    {"window_with_a_leading_zero", &offers_plain, PMD "; server_max_window_bits=09", bad_parameter, false},
    {"takeover_with_a_value", &offers_plain, PMD "; server_no_context_takeover=1", bad_parameter, false},
    {"our_window_of_7", &offers_bits, PMD "; client_max_window_bits=7", bad_parameter, false},
    {"parameter_twice", &offers_plain, PMD "; server_max_window_bits=9; server_max_window_bits=9", bad_parameter,
     false},
    {"our_window_without_value", &offers_bits, PMD "; client_max_window_bits", no_value, false},
    {"our_window_without_value_not_offered", &offers_plain, PMD "; client_max_window_bits", no_value, false},
    {"our_window_not_offered", &offers_plain, PMD "; client_max_window_bits=15", ours_not_offered, false},
    {"our_window_longer_than_offered", &offers_all,
     PMD "; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12", ours_too_long, false},
    {"its_window_longer_than_asked", &offers_all, PMD "; server_no_context_takeover; server_max_window_bits=13",
     its_too_long, false},
    {"its_window_not_granted", &offers_all, PMD "; server_no_context_takeover", its_too_long, false},
    {"takeover_not_granted", &offers_all, PMD "; server_max_window_bits=12", takeover_kept, false},
};

TEST(each_answer_is_judged) {
    for (size_t i = 0; i < sizeof judgements / sizeof *judgements; i++) {
        test_context("%s", judgements[i].name);
        wf_str lines[8];
        size_t count = cut_lines(judgements[i].answer, lines);
        wf_pmd_params params;
        wf_fault fault = {0};
        bool agreed = false;
        int got = wf_pmd_check_answer(lines, count, judgements[i].offer, &agreed, &params, &fault);
        CHECK_EQ(got, judgements[i].rule ? WF_ERROR : WF_OK);
        CHECK_EQ(agreed, judgements[i].agreed);
        if (judgements[i].rule) {
            CHECK_EQ(fault.close_code, 1010);
            CHECK_STR(fault.rule, judgements[i].rule);
        }
    }
}

TEST(what_a_client_makes_of_it) {
    wf_str line = wf_str_of(PMD "; server_no_context_takeover; server_max_window_bits=10");
    wf_pmd_params params;
    wf_fault fault = {0};
    bool agreed;
    CHECK_EQ(wf_pmd_check_answer(&line, 1, &offers_all, &agreed, &params, &fault), WF_OK);
    CHECK(params.server_no_context_takeover && params.client_no_context_takeover);
    CHECK_EQ(params.server_max_window_bits, 10);
    CHECK_EQ(params.client_max_window_bits, 11);
}

/* Both roles of ours, over every config and every offer of window bits. */
TEST(our_client_takes_what_our_server_answers) {
    for (unsigned n = 0; n < 4096; n++) {
        wf_pmd_offer offer = {.server_no_context_takeover = n & 1,
                              .client_no_context_takeover = n & 2,
                              .server_max_window_bits = n & 4 ? (uint8_t)(8 + n / 8 % 8) : 0,
                              .client_bits = n & 64,
                              .client_max_window_bits = n & 128 ? (uint8_t)(8 + n / 256 % 8) : 0};
        wf_pmd_config config = {true, n & 2048, n & 1024, (uint8_t)(8 + n % 7), (uint8_t)(8 + n % 5), 0};
        char offered[WF_PMD_TEXT_MAX], answered[WF_PMD_TEXT_MAX];
        if (!offer.client_bits)
            offer.client_max_window_bits = 0;
        wf_str line = {offered, wf_pmd_offer_write(&offer, offered)};
        wf_pmd_params server, client;
        wf_fault fault = {0};
        bool agreed;
        test_context("%.*s", (int)line.len, line.data);
        CHECK(wf_pmd_answer(&line, 1, &config, &server));
        line = (wf_str) {answered, wf_pmd_answer_write(&server, answered)};
        CHECK_EQ(wf_pmd_check_answer(&line, 1, &offer, &agreed, &client, &fault), WF_OK);
        CHECK(agreed);
        CHECK_EQ(client.server_no_context_takeover, server.server_no_context_takeover);
        CHECK_EQ(client.client_no_context_takeover, server.client_no_context_takeover);
        CHECK(server.server_max_window_bits <= client.server_max_window_bits);
        CHECK(client.client_max_window_bits <= server.client_max_window_bits);
    }
}
