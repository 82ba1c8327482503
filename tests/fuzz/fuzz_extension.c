/*
 * Agreeing on permessage-deflate: arbitrary header lines as an offer and as an answer, against a slow reading of RFC
 * 7692 7.1; and what either side writes is understood by the other.
 *
 * An input: a byte of what the server agrees to, two of what the client offers, then header values, parted by LF, in
 * blocks of their exact size.
 */
#include "base/status.h"
#include "handshakes.h"
#include "ws/extension.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINES_MAX = 16, SERVER_TAKEOVER = 0, CLIENT_TAKEOVER, SERVER_BITS, CLIENT_BITS, PARAMS };

/* One extension of a list, read slowly. */
typedef struct slow_pmd {
    bool ours, good, has[PARAMS];
    int value[PARAMS]; /* 0: none */
} slow_pmd;

static bool is(wf_str s, const char *text) {
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* 8..15 in its only form, or 0. */
static int slow_bits(wf_str s) {
    char text[4];
    for (int bits = 8; bits <= 15; bits++) {
        snprintf(text, sizeof text, "%d", bits);
        if (is(s, text))
            return bits;
    }
    return 0;
}

/* A value in quotes is what they hold, a backslash before each of its characters or not (RFC 6455 9.1). */
static int slow_value(wf_str s) {
    char plain[3] = "";
    size_t len = 0;
    if (s.len == 0 || s.data[0] != '"')
        return slow_bits(s);
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] == '"')
            return i + 1 == s.len ? slow_bits((wf_str) {plain, len}) : 0;
        i += s.data[i] == '\\';
        if (i == s.len || len == 2)
            return 0;
        plain[len++] = s.data[i];
    }
    return 0;
}

static void read_param(slow_pmd *e, wf_str text) {
    static const char *const names[PARAMS] = {"server_no_context_takeover", "client_no_context_takeover",
                                              "server_max_window_bits", "client_max_window_bits"};
    size_t equals = 0;
    while (equals < text.len && text.data[equals] != '=')
        equals++;
    bool valued = equals < text.len;
    wf_str name = wf_str_trim((wf_str) {text.data, equals});
    int which = 0,
        bits = valued ? slow_value(wf_str_trim((wf_str) {text.data + equals + 1, text.len - equals - 1})) : 0;
    while (which < PARAMS && !is(name, names[which]))
        which++;
    bool allowed = which < SERVER_BITS ? !valued : bits > 0 || (!valued && which == CLIENT_BITS);
    if (which == PARAMS || e->has[which] || !allowed) {
        e->good = false;
        return;
    }
    e->has[which] = true;
    e->value[which] = bits;
}

static slow_pmd read_element(wf_str element) {
    slow_pmd e = {.good = true};
    size_t from = 0, part = 0;
    for (size_t i = 0; i <= element.len; i++) {
        if (i < element.len && element.data[i] != ';')
            continue;
        wf_str text = wf_str_trim((wf_str) {element.data + from, i - from});
        if (part == 0)
            e.ours = is(text, "permessage-deflate");
        else
            read_param(&e, text);
        part++;
        from = i + 1;
    }
    return e;
}

typedef struct job {
    wf_str lines[LINES_MAX];
    size_t count;
    wf_pmd_config config;
    wf_pmd_offer offer;
    bool offers;
} job;

static void read_input(job *j, fuzz_input in) {
    uint8_t server = fuzz_byte(&in), client = fuzz_byte(&in), bits = fuzz_byte(&in);
    uint8_t asked = 8 + (bits & 7), own = 8 + (bits >> 3 & 7);
    j->config = (wf_pmd_config) {.on = server & 1,
                                 .server_takeover = server & 2,
                                 .client_takeover = server & 4,
                                 .server_bits = server & 8 ? 15 : 8 + (server >> 4 & 7),
                                 .client_bits = server & 16 ? 15 : 8 + (server >> 5 & 7)};
    j->offers = client & 1;
    j->offer = (wf_pmd_offer) {.server_no_context_takeover = client & 2,
                               .client_no_context_takeover = client & 4,
                               .server_max_window_bits = client & 8 ? asked : 0,
                               .client_bits = client & 16,
                               .client_max_window_bits = (client & 48) == 48 ? own : 0};
    while (in.len > 0 && j->count < LINES_MAX) {
        const uint8_t *end = memchr(in.data, '\n', in.len);
        fuzz_input line = fuzz_take(&in, end ? (size_t)(end - in.data) : in.len);
        j->lines[j->count++] = (wf_str) {(const char *)fuzz_exact(line.data, line.len), line.len};
        fuzz_byte(&in);
    }
}

static bool next_slowly(const job *j, size_t *line, size_t *n, slow_pmd *out) {
    wf_str element;
    for (; *line < j->count; (*line)++, *n = 0)
        while (slow_element(j->lines[*line], (*n)++, &element))
            if (element.len > 0) {
                *out = read_element(element);
                return true;
            }
    return false;
}

static uint8_t least(int a, int b) {
    return (uint8_t)(a < b ? a : b);
}

static bool same_params(const wf_pmd_params *a, const wf_pmd_params *b) {
    return a->server_no_context_takeover == b->server_no_context_takeover &&
           a->client_no_context_takeover == b->client_no_context_takeover &&
           a->server_max_window_bits == b->server_max_window_bits &&
           a->client_max_window_bits == b->client_max_window_bits && a->server_bits_named == b->server_bits_named &&
           a->client_bits_named == b->client_bits_named;
}

/* What was written for `params` is accepted by the client that made `offer`. It takes a server's window for longer,
 * and its own for shorter, where the answer does not name them; and may give up its context unasked. */
static void check_written(const wf_pmd_params *params, const wf_pmd_offer *offer) {
    char text[WF_PMD_TEXT_MAX];
    wf_pmd_params got;
    wf_fault fault = {0};
    bool agreed = false;
    size_t len = wf_pmd_answer_write(params, text);
    CHECK(len < WF_PMD_TEXT_MAX);
    wf_str line = {(const char *)fuzz_exact(text, len), len};
    if (wf_pmd_check_answer(&line, 1, offer, &agreed, &got, &fault) != WF_OK)
        test_fail(__FILE__, __LINE__, "%.*s: %s", (int)len, text, fault.rule);
    CHECK(agreed);
    CHECK(got.server_max_window_bits == params->server_max_window_bits ||
          (!params->server_bits_named && got.server_max_window_bits > params->server_max_window_bits));
    CHECK(got.client_max_window_bits == params->client_max_window_bits ||
          (!params->client_bits_named && got.client_max_window_bits < params->client_max_window_bits));
    CHECK_EQ(got.server_no_context_takeover, params->server_no_context_takeover);
    CHECK(got.client_no_context_takeover || !params->client_no_context_takeover);
    free((void *)line.data);
}

static void check_server(const job *j) {
    static const wf_pmd_params untouched = {.server_max_window_bits = 99};
    wf_pmd_params params = untouched, owed;
    slow_pmd e;
    size_t line = 0, n = 0;
    bool found = false;
    while (j->config.on && !found && next_slowly(j, &line, &n, &e))
        found = e.ours && e.good;
    CHECK_EQ(wf_pmd_answer(j->lines, j->count, &j->config, &params), found);
    if (!found) {
        CHECK(same_params(&params, &untouched));
        return;
    }
    bool client_bits = e.has[CLIENT_BITS];
    owed = (wf_pmd_params) {
        .server_no_context_takeover = e.has[SERVER_TAKEOVER] || !j->config.server_takeover,
        .client_no_context_takeover = e.has[CLIENT_TAKEOVER] || !j->config.client_takeover,
        .server_max_window_bits = least(e.has[SERVER_BITS] ? e.value[SERVER_BITS] : 15, j->config.server_bits),
        .client_max_window_bits =
            client_bits ? least(e.value[CLIENT_BITS] ? e.value[CLIENT_BITS] : 15, j->config.client_bits) : 15,
        .server_bits_named = e.has[SERVER_BITS],
        .client_bits_named = client_bits};
    CHECK(same_params(&params, &owed));
    check_written(&params, &(wf_pmd_offer) {.server_no_context_takeover = e.has[SERVER_TAKEOVER],
                                            .client_no_context_takeover = e.has[CLIENT_TAKEOVER],
                                            .server_max_window_bits = (uint8_t)e.value[SERVER_BITS],
                                            .client_bits = client_bits,
                                            .client_max_window_bits = (uint8_t)e.value[CLIENT_BITS]});
}

/* What a client writes is understood by a server, whose answer is understood by the client. */
static void check_offer(const job *j) {
    char text[WF_PMD_TEXT_MAX];
    wf_pmd_config config = j->config;
    wf_pmd_params params;
    size_t len = wf_pmd_offer_write(&j->offer, text);
    CHECK(len < WF_PMD_TEXT_MAX);
    config.on = true;
    wf_str line = {text, len};
    CHECK(wf_pmd_answer(&line, 1, &config, &params));
    check_written(&params, &j->offer);
}

static bool answer_ok(const slow_pmd *e, const wf_pmd_offer *offer) {
    bool client_ok = !e->has[CLIENT_BITS] ||
                     (e->value[CLIENT_BITS] > 0 && offer->client_bits &&
                      (!offer->client_max_window_bits || e->value[CLIENT_BITS] <= offer->client_max_window_bits));
    bool server_ok = !offer->server_max_window_bits ||
                     (e->has[SERVER_BITS] && e->value[SERVER_BITS] <= offer->server_max_window_bits);
    return e->ours && e->good && client_ok && server_ok &&
           (e->has[SERVER_TAKEOVER] || !offer->server_no_context_takeover);
}

static void check_client(const job *j) {
    wf_fault fault = {0};
    wf_pmd_params params;
    bool agreed = false, ok = true;
    slow_pmd e;
    size_t line = 0, n = 0, count = 0;
    for (; ok && next_slowly(j, &line, &n, &e); count++)
        ok = count == 0 && j->offers && answer_ok(&e, &j->offer);
    int got = wf_pmd_check_answer(j->lines, j->count, j->offers ? &j->offer : NULL, &agreed, &params, &fault);
    CHECK_EQ(got, ok ? WF_OK : WF_ERROR);
    CHECK_EQ(agreed, ok && count == 1);
    CHECK(ok ? fault.status == 0 : fault.close_code == 1010 && fault.rule);
    if (agreed)
        CHECK(params.server_max_window_bits >= 8 && params.server_max_window_bits <= 15 &&
              params.client_max_window_bits >= 8 && params.client_max_window_bits <= 15);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    job j = {.count = 0};
    read_input(&j, (fuzz_input) {data, size});
    check_server(&j);
    check_offer(&j);
    check_client(&j);
    for (size_t i = 0; i < j.count; i++)
        free((void *)j.lines[i].data);
    return 0;
}
