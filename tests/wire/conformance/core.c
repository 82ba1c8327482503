/*
 * The same cases without a socket: the library's receiving half with a small echo behind it, in both roles. As a
 * client it is sent unmasked frames, and what it may not be sent is masked.
 *
 * Each case is judged step by step. Then its whole input is given again in other pieces - under every split in two
 * when it is short, byte by byte, and at random - and what comes out must be the same bytes. Pieces are blocks of
 * exactly their size, so that a sanitizer sees a read too far or too late.
 */
#include "base/status.h"
#include "http.h"
#include "judge.h"
#include "test.h"
#include "ws/close.h"
#include "ws/deflate.h"
#include "ws/extension.h"
#include "ws/session.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIMIT = 16 << 20, SPLIT_ALL_BYTES = 400, BYTEWISE_BYTES = 4096, RANDOM_RUNS = 2 };

typedef struct runner {
    wf_ws_role role;
    wf_codec codec;
    wf_ws_limits limits;
    uint64_t seed;
    size_t cases, runs, failures;
} runner;

/* One connection's end: ours. */
typedef struct echo {
    runner *r;
    wf_ws ws;
    wf_inflate inflate;
    wf_deflate deflate;
    bool deflates, over;
    bytes out;
} echo;

static void echo_init(echo *e, runner *r, const wf_pmd_params *params) {
    *e = (echo) {.r = r, .deflates = params != NULL};
    wf_ws_init(&e->ws, r->role, &r->limits);
    if (!params)
        return;
    wf_inflate_init(&e->inflate, &r->codec, params->client_no_context_takeover ? 0 : params->client_max_window_bits);
    wf_deflate_init(&e->deflate, &r->codec, params->server_max_window_bits, !params->server_no_context_takeover, 64);
    wf_ws_use_inflate(&e->ws, &e->inflate);
}

static void echo_deinit(echo *e) {
    wf_ws_deinit(&e->ws);
    if (e->deflates) {
        wf_inflate_deinit(&e->inflate);
        wf_deflate_deinit(&e->deflate);
    }
    bytes_free(&e->out);
}

static void put_frame(echo *e, unsigned opcode, bool compressed, const uint8_t *payload, size_t len) {
    wf_frame head_frame = {.fin = true,
                           .rsv = compressed ? WF_RSV1 : 0,
                           .opcode = (uint8_t)opcode,
                           .masked = e->r->role == WF_WS_CLIENT,
                           .key = {11, 22, 33, 44},
                           .len = len};
    uint8_t head[WF_FRAME_HEAD_MAX];
    bytes_put(&e->out, head, wf_frame_encode(head, &head_frame));
    size_t at = e->out.len;
    bytes_put(&e->out, payload, len);
    if (head_frame.masked && len > 0)
        wf_mask(e->out.data + at, e->out.data + at, len, head_frame.key, 0);
}

static void put_close(echo *e, int code) {
    uint8_t payload[WF_CONTROL_BYTES_MAX];
    put_frame(e, WF_OP_CLOSE, false, payload, wf_close_encode(payload, code, NULL, 0));
    e->over = true;
}

static void on_event(echo *e, const wf_ws_event *event) {
    const uint8_t *packed;
    size_t packed_len;
    if (event->kind == WF_WS_PING)
        put_frame(e, WF_OP_PONG, false, event->data, event->len);
    else if (event->kind == WF_WS_CLOSE)
        put_close(e, event->close_code);
    else if (event->kind == WF_WS_MESSAGE) {
        /* The message may lie in the codec's room: it is copied before it is compressed, as a server's queue would. */
        bytes plain = {0};
        bytes_put(&plain, event->data, event->len);
        bool packs =
            e->deflates && wf_deflate_message(&e->deflate, plain.data, plain.len, &packed, &packed_len) == WF_OK;
        put_frame(e, event->opcode, packs, packs ? packed : plain.data, packs ? packed_len : plain.len);
        bytes_free(&plain);
    }
}

static void echo_feed(echo *e, const uint8_t *data, size_t len) {
    uint8_t *piece = malloc(len ? len : 1);
    CHECK(piece != NULL);
    if (len > 0)
        memcpy(piece, data, len);
    wf_ws_feed(&e->ws, piece, len);
    wf_ws_event event;
    int got;
    while ((got = wf_ws_next(&e->ws, &event)) == WF_OK) {
        CHECK(!e->over);
        on_event(e, &event);
    }
    if (got < 0 && !e->over)
        put_close(e, wf_ws_fault(&e->ws).close_code);
    wf_ws_check(&e->ws);
    free(piece);
}

/* ---- the agreement ---- */

/* Both halves of the library's negotiation, and the judge's opinion of what they say. */
static void agree(const conf_case *c, wf_pmd_params *out_params, agreement *out_agreed) {
    static const wf_pmd_config config = {
        .on = true, .server_takeover = true, .client_takeover = true, .server_bits = 15, .client_bits = 15};
    static const char name[] = "Sec-WebSocket-Extensions: ";
    const pmd_offer *o = &c->offer;
    wf_pmd_offer ours = {.server_no_context_takeover = o->server_no_takeover,
                         .client_no_context_takeover = o->client_no_takeover,
                         .server_max_window_bits = (uint8_t)o->server_bits,
                         .client_bits = o->client_bits != 0,
                         .client_max_window_bits = (uint8_t)(o->client_bits > 0 ? o->client_bits : 0)};
    char offered[WF_PMD_TEXT_MAX], answered[WF_PMD_TEXT_MAX];
    bytes line = {0}, head = {0};
    http_offer(&line, o);
    size_t len = wf_pmd_offer_write(&ours, offered);
    CHECK_BYTES(line.data + sizeof name - 1, line.len - (sizeof name - 1) - 2, offered, len);
    CHECK(wf_pmd_answer(&(wf_str) {offered, len}, 1, &config, out_params));
    len = wf_pmd_answer_write(out_params, answered);
    bool agreed;
    wf_pmd_params read;
    wf_fault fault = {0};
    CHECK_EQ(wf_pmd_check_answer(&(wf_str) {answered, len}, 1, &ours, &agreed, &read, &fault), WF_OK);
    CHECK(agreed && read.server_max_window_bits == out_params->server_max_window_bits);
    bytes_print(&head, "HTTP/1.1 101 x\r\n%s%.*s\r\n\r\n", name, (int)len, answered);
    http_response response = {101, (const char *)head.data, head.len};
    const char *wrong = http_judge_extensions(&response, c, out_agreed);
    if (wrong)
        test_fail(__FILE__, __LINE__, "%s", wrong);
    bytes_free(&line);
    bytes_free(&head);
}

/* ---- runs ---- */

/* Step by step; collects what is sent, and leaves what came in e->out. */
static void run_judged(echo *e, judge *j, bytes *all_input) {
    size_t told = 0;
    bool told_end = false;
    while (j->verdict < PASSED) {
        if (j->verdict == JUDGE_SENDS) {
            size_t at = all_input->len;
            judge_take_output(j, all_input);
            echo_feed(e, all_input->data + at, all_input->len - at);
        } else if (told < e->out.len) {
            size_t at = told;
            told = e->out.len;
            judge_input(j, e->out.data + at, told - at);
        } else if (e->over && !told_end) {
            told_end = true;
            judge_input_ended(j, false);
        } else if (j->verdict == JUDGE_LISTENS) {
            judge_silence_kept(j);
        } else {
            judge_timed_out(j);
        }
    }
}

typedef struct replay {
    runner *r;
    const conf_case *c;
    const wf_pmd_params *params;
    const bytes *in, *expected;
} replay;

/* The input again, cut before each of the ascending places, or into pieces of `piece` bytes. */
static bool run_again(const replay *p, const size_t *cuts, size_t cut_count, size_t piece) {
    echo e;
    echo_init(&e, p->r, p->params);
    size_t at = 0;
    for (size_t i = 0; i < cut_count; i++) {
        echo_feed(&e, p->in->data + at, cuts[i] - at);
        at = cuts[i];
    }
    for (; at < p->in->len; at += piece)
        echo_feed(&e, p->in->data + at, p->in->len - at < piece ? p->in->len - at : piece);
    bool same =
        e.out.len == p->expected->len && (e.out.len == 0 || memcmp(e.out.data, p->expected->data, e.out.len) == 0);
    p->r->runs++;
    echo_deinit(&e);
    return same;
}

static bool run_at_random(const replay *p) {
    enum { PIECES = 9 };
    size_t cuts[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        size_t cut = test_random(&p->r->seed) % (p->in->len + 1), k = i;
        for (; k > 0 && cuts[k - 1] > cut; k--)
            cuts[k] = cuts[k - 1];
        cuts[k] = cut;
    }
    return run_again(p, cuts, PIECES, SIZE_MAX / 2);
}

/* NULL, or how it was cut when it came out differently. */
static const char *run_in_pieces(const replay *p) {
    static char how[40];
    if (!run_again(p, NULL, 0, SIZE_MAX / 2))
        return "whole";
    for (size_t cut = 1; cut < p->in->len && p->in->len <= SPLIT_ALL_BYTES; cut++) {
        snprintf(how, sizeof how, "split at %zu", cut);
        if (!run_again(p, &cut, 1, SIZE_MAX / 2))
            return how;
    }
    if (p->in->len <= BYTEWISE_BYTES && !run_again(p, NULL, 0, 1))
        return "byte by byte";
    for (int i = 0; i < (p->in->len > 1 << 20 ? 1 : RANDOM_RUNS); i++)
        if (!run_at_random(p))
            return "at random";
    return NULL;
}

static void take(void *context, conf_case *c) {
    runner *r = context;
    echo e;
    judge j;
    bytes in = {0};
    wf_pmd_params params;
    agreement agreed = {0};
    c->answers_may_be_lost = c->pongs_may_be_left_out = false;
    if (c->outcome == OFFER_MAY_BE_MET)
        agree(c, &params, &agreed);
    const wf_pmd_params *used = c->outcome == OFFER_MAY_BE_MET ? &params : NULL;
    test_context("%s", c->name);
    echo_init(&e, r, used);
    judge_init(&j, c);
    judge_agree(&j, &agreed);
    run_judged(&e, &j, &in);
    replay again = {r, c, used, &in, &e.out};
    const char *how = j.verdict == PASSED ? run_in_pieces(&again) : NULL;
    if (j.verdict != PASSED || how)
        fprintf(stderr, "FAILED %s: %s [%s %s]: %s%s\n", c->category, c->name, level_name(c->level), c->clause,
                how ? "comes out differently " : j.why, how ? how : "");
    r->failures += j.verdict != PASSED || how;
    r->cases++;
    judge_free(&j);
    echo_deinit(&e);
    bytes_free(&in);
    case_free(c);
}

static void run_all(wf_ws_role role) {
    runner r = {.role = role, .limits = {.message_bytes_max = LIMIT, .empty_fragments_max = 1024}, .seed = 1};
    suite s = {.masks = role == WF_WS_SERVER, .limit = LIMIT, .runner = &r, .take = take};
    size_t live = test_mem_live();
    wf_codec_init(&r.codec);
    suite_run(&s);
    wf_codec_deinit(&r.codec);
    printf("%zu cases as a %s, in %zu ways\n", r.cases, role == WF_WS_SERVER ? "server" : "client", r.cases + r.runs);
    CHECK_EQ(r.failures, 0);
    CHECK_EQ(test_mem_live(), live);
    CHECK(r.cases > 1200);
}

TEST(as_a_server) {
    run_all(WF_WS_SERVER);
}

TEST(as_a_client) {
    run_all(WF_WS_CLIENT);
}
