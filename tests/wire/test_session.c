/*
 * Every row of the case table is replayed whole, under every split in two, byte by byte, in random pieces,
 * and with every allocation failing in turn. However the bytes are cut, the same events must come out, and
 * then the same fault.
 *
 * Pieces are fed from blocks of exactly their size, which are freed as soon as the session says it is done
 * with them: a sanitizer sees a read too far or too late. Memory is looked at after each piece: at most an
 * eighth more than what came, and 4 KiB.
 */
#include "base/status.h"
#include "cases.h"
#include "test.h"

#include <stdlib.h>

enum { SPLIT_ALL_BYTES = 400, PIECES = 7, RANDOM_RUNS = 8, ENOUGH = 1000000 };

typedef struct replay {
    wf_ws ws;
    wf_ws_limits limits;
    wf_codec codec;
    wf_inflate inflate;
    bool deflates;
    case_bytes log;
    size_t fed;
    bool over; /* the fault is in the log */
} replay;

static const char *library; /* for the deflate cases; NULL: the best for each size */

static bool is_deflate_case(const session_case *row) {
    return row >= deflate_cases && row < deflate_cases + deflate_case_count;
}

static void replay_init(replay *r, const session_case *row) {
    *r = (replay) {.limits = {.message_bytes_max = row->message_bytes_max ? row->message_bytes_max : 1 << 20,
                              .empty_fragments_max = row->empty_fragments_max ? row->empty_fragments_max : 1024},
                   .deflates = is_deflate_case(row)};
    wf_ws_init(&r->ws, row->role, &r->limits);
    wf_codec_init(&r->codec);
    if (library)
        CHECK_EQ(wf_codec_use(&r->codec, library), WF_OK);
    wf_inflate_init(&r->inflate, &r->codec, row->no_takeover ? 0 : 15);
    if (r->deflates)
        wf_ws_use_inflate(&r->ws, &r->inflate);
}

static void replay_deinit(replay *r) {
    wf_ws_deinit(&r->ws);
    wf_inflate_deinit(&r->inflate);
    wf_codec_deinit(&r->codec);
    free(r->log.data);
}

/* What a session may hold: an eighth more than what came, and 4 KiB. What is compressed may become as much as the
 * limit, and beside it there may be a window and a decompressor. */
static size_t memory_allowed(const replay *r) {
    size_t got = r->fed * 2 * 9 / 8 + 4096 + 256;
    return r->deflates ? got + (size_t)r->limits.message_bytes_max * 9 / 8 + 34816 + 96 * 1024 : got;
}

static void feed(replay *r, const uint8_t *data, size_t len) {
    uint8_t *piece = malloc(len ? len : 1);
    CHECK(piece != NULL);
    if (len > 0)
        memcpy(piece, data, len);
    wf_ws_feed(&r->ws, piece, len);
    r->fed += len;
    wf_ws_event event;
    int got;
    for (int pulls = 0; (got = wf_ws_next(&r->ws, &event)) == WF_OK; pulls++) {
        CHECK(pulls < ENOUGH && !r->over);
        case_log_event(&r->log, &event);
        wf_ws_check(&r->ws);
    }
    if (got < 0 && !r->over) {
        CHECK(wf_ws_fault(&r->ws).rule != NULL && wf_ws_fault(&r->ws).status == got);
        CHECK_EQ(wf_ws_memory(&r->ws), r->deflates ? r->inflate.window.cap : 0);
        case_log_fault(&r->log, wf_ws_fault(&r->ws).close_code);
        r->over = true;
    }
    CHECK(got == (r->over ? wf_ws_fault(&r->ws).status : WF_WANT_INPUT));
    wf_ws_check(&r->ws);
    CHECK(wf_ws_memory(&r->ws) <= memory_allowed(r));
    free(piece);
}

/* Feeds all of `in`, cut before each of the ascending places. */
static void feed_cut(replay *r, const case_bytes *in, const size_t *cuts, size_t cut_count) {
    size_t at = 0;
    for (size_t i = 0; i <= cut_count; i++) {
        size_t end = i < cut_count ? cuts[i] : in->len;
        feed(r, in->data + at, end - at);
        at = end;
    }
}

static void check_outcome(const replay *r, const session_case *row, const case_bytes *expected) {
    if (r->log.len != expected->len || (expected->len && memcmp(r->log.data, expected->data, expected->len) != 0))
        test_fail(__FILE__, __LINE__, "got %s(rule: %s)", case_log_words(&r->log),
                  wf_ws_fault(&r->ws).rule ? wf_ws_fault(&r->ws).rule : "none");
    CHECK(r->over == (row->rule != NULL));
    if (row->rule && strcmp(wf_ws_fault(&r->ws).rule, row->rule) != 0)
        test_fail(__FILE__, __LINE__, "the rule is \"%s\", not \"%s\"", wf_ws_fault(&r->ws).rule, row->rule);
}

static void run_cut(const session_case *row, const case_bytes *in, const case_bytes *expected, const size_t *cuts,
                    size_t cut_count) {
    size_t live = test_mem_live();
    replay r;
    replay_init(&r, row);
    feed_cut(&r, in, cuts, cut_count);
    check_outcome(&r, row, expected);
    replay_deinit(&r);
    CHECK_EQ(test_mem_live(), live);
}

static void random_cuts(uint64_t *seed, size_t len, size_t cuts[PIECES]) {
    for (size_t i = 0; i < PIECES; i++) {
        size_t cut = test_random(seed) % (len + 1), j = i;
        for (; j > 0 && cuts[j - 1] > cut; j--)
            cuts[j] = cuts[j - 1];
        cuts[j] = cut;
    }
}

/* Out of memory is a fault of its own after a beginning of the expected events; or the row did not need that
 * block. */
static void run_failing(const session_case *row, const case_bytes *in, const case_bytes *expected, const size_t *cuts,
                        size_t cut_count) {
    for (size_t nth = 1; nth < 1000; nth++) {
        test_context("%s, allocation %zu of %zu pieces fails", row->name, nth, cut_count + 1);
        size_t live = test_mem_live();
        replay r;
        replay_init(&r, row);
        test_mem_fail_at(nth);
        feed_cut(&r, in, cuts, cut_count);
        bool failed = test_mem_calls() >= nth;
        test_mem_fail_at(0);
        /* zlib asks for its window when there is output already, and that may be condemned first. */
        if (failed && (wf_ws_fault(&r.ws).status == WF_ENOMEM || !r.deflates)) {
            CHECK_EQ(wf_ws_fault(&r.ws).status, WF_ENOMEM);
            CHECK_EQ(wf_ws_fault(&r.ws).close_code, 1011);
            size_t before = r.log.len - 7;
            CHECK(before <= expected->len && (before == 0 || memcmp(r.log.data, expected->data, before) == 0));
        } else {
            check_outcome(&r, row, expected);
        }
        replay_deinit(&r);
        CHECK_EQ(test_mem_live(), live);
        if (!failed)
            return;
    }
    test_fail(__FILE__, __LINE__, "there is no end of allocations");
}

static void run_row(const session_case *row, uint64_t *seed) {
    case_bytes in = {0}, expected = {0};
    case_read_input(row, &in);
    case_read_output(row, &expected);

    test_context("%s, whole", row->name);
    test_mem_fail_at(0);
    run_cut(row, &in, &expected, NULL, 0);
    if (row->takes_no_memory) /* but for the few words on a message that is begun */
        CHECK_EQ(test_mem_calls(), row->out[0] == '\0');

    for (size_t cut = 0; cut <= in.len; cut++) {
        if (in.len > SPLIT_ALL_BYTES && cut > 40 && cut + 40 < in.len)
            cut += test_random(seed) % (in.len / 16);
        cut = cut < in.len ? cut : in.len;
        test_context("%s, split at %zu", row->name, cut);
        run_cut(row, &in, &expected, &cut, 1);
    }

    size_t *every = malloc((in.len + 1) * sizeof *every);
    CHECK(every != NULL);
    for (size_t i = 0; i < in.len; i++)
        every[i] = i;
    test_context("%s, byte by byte", row->name);
    run_cut(row, &in, &expected, every, in.len);
    if (in.len <= SPLIT_ALL_BYTES)
        run_failing(row, &in, &expected, every, in.len);
    free(every);

    for (int run = 0; run < RANDOM_RUNS; run++) {
        size_t cuts[PIECES];
        random_cuts(seed, in.len, cuts);
        test_context("%s, random split %d", row->name, run);
        run_cut(row, &in, &expected, cuts, PIECES);
        if (run == 0)
            run_failing(row, &in, &expected, cuts, PIECES);
    }
    run_failing(row, &in, &expected, NULL, 0);
    free(in.data);
    free(expected.data);
}

TEST(every_row_however_it_is_cut) {
    uint64_t seed = 1;
    for (size_t i = 0; i < session_case_count; i++)
        run_row(&session_cases[i], &seed);
}

TEST(every_deflate_row_however_it_is_cut_by_every_library) {
    uint64_t seed = 2;
    const wf_decompressor *d;
    for (size_t n = 0; n == 0 || (d = wf_zip_decompressors(n - 1)); n++) {
        library = n > 0 ? d->name : NULL;
        for (size_t i = 0; i < deflate_case_count; i++)
            run_row(&deflate_cases[i], &seed);
    }
    library = NULL;
}

/* ---- what a row cannot say ---- */

/* Puts one masked frame into `out` and returns its bytes. */
static size_t put_masked(uint8_t *out, uint8_t first, const uint8_t *payload, size_t len) {
    wf_frame frame = {.fin = first >> 7, .opcode = first & 15, .masked = true, .key = {9, 8, 7, 6}, .len = len};
    size_t head_len = wf_frame_encode(out, &frame);
    wf_mask(out + head_len, payload, len, frame.key, 0);
    return head_len + len;
}

TEST(a_message_of_65537_fragments_costs_its_bytes_and_little_more) {
    enum { FRAGMENTS = 65537, BYTES = 64 };
    static const session_case row = {.role = WF_WS_SERVER, .message_bytes_max = 8 << 20};
    replay r;
    replay_init(&r, &row);
    uint8_t payload[BYTES], frame[BYTES + WF_FRAME_HEAD_MAX];
    size_t before = test_mem_bytes();
    for (size_t i = 0; i < FRAGMENTS; i++) {
        memset(payload, 'a' + (int)(i % 26), sizeof payload);
        size_t len = put_masked(frame, (uint8_t)((i == 0 ? 1 : 0) | (i == FRAGMENTS - 1 ? 0x80 : 0)), payload, BYTES);
        feed(&r, frame, len);
        CHECK(!r.over);
        size_t got = (i + 1) * BYTES;
        CHECK(test_mem_bytes() - before <= got * 2 * 9 / 8 + 4096 + 256);
    }
    CHECK_EQ(r.log.len, 7 + (size_t)FRAGMENTS * BYTES);
    for (size_t i = 0; i < FRAGMENTS; i++)
        CHECK_EQ(r.log.data[7 + i * BYTES], 'a' + (int)(i % 26));
    CHECK_EQ(test_mem_bytes(), before);
    replay_deinit(&r);
}

TEST(one_byte_fragments_cost_their_bytes_and_little_more) {
    static const session_case row = {.role = WF_WS_SERVER};
    replay r;
    replay_init(&r, &row);
    uint8_t frame[1 + WF_FRAME_HEAD_MAX];
    size_t before = test_mem_bytes();
    for (size_t i = 0; i < 100000; i++) {
        feed(&r, frame, put_masked(frame, i == 0 ? 2 : 0, (const uint8_t *)"x", 1));
        CHECK(!r.over && test_mem_bytes() - before <= (i + 1) * 2 * 9 / 8 + 4096 + 256);
    }
    replay_deinit(&r);
    CHECK_EQ(test_mem_bytes(), before);
}

TEST(an_idle_session_owns_nothing) {
    static const session_case row = {.role = WF_WS_SERVER};
    replay r;
    replay_init(&r, &row);
    uint8_t frame[64 + WF_FRAME_HEAD_MAX];
    size_t len = put_masked(frame, 0x81, (const uint8_t *)"0123456789", 10);
    CHECK(!wf_ws_in_message(&r.ws));
    for (size_t cut = 1; cut < len; cut++) {
        feed(&r, frame, cut);
        CHECK(wf_ws_in_message(&r.ws));
        feed(&r, frame + cut, len - cut);
        CHECK(!wf_ws_in_message(&r.ws));
        CHECK_EQ(wf_ws_memory(&r.ws), 0);
    }
    len = put_masked(frame, 0x89, (const uint8_t *)"ping", 4);
    feed(&r, frame, len - 1);
    CHECK(wf_ws_in_message(&r.ws));
    CHECK(wf_ws_memory(&r.ws) > 0);
    feed(&r, frame + len - 1, 1);
    CHECK_EQ(wf_ws_memory(&r.ws), 0);
    replay_deinit(&r);
}

TEST(a_message_cut_off_by_a_close_frame_is_given_back) {
    static const session_case row = {.role = WF_WS_SERVER};
    replay r;
    replay_init(&r, &row);
    uint8_t frame[512 + WF_FRAME_HEAD_MAX], payload[512] = {0};
    feed(&r, frame, put_masked(frame, 0x02, payload, sizeof payload));
    CHECK(wf_ws_memory(&r.ws) >= sizeof payload);
    feed(&r, frame, put_masked(frame, 0x88, (const uint8_t *)"\x03\xe8", 2));
    CHECK_EQ(wf_ws_memory(&r.ws), 0);
    CHECK(!wf_ws_in_message(&r.ws));
    replay_deinit(&r);
}

TEST(a_caller_that_stops_pulling_gets_the_rest_back) {
    static const session_case row = {.role = WF_WS_SERVER};
    replay r;
    replay_init(&r, &row);
    uint8_t bytes[64], *rest;
    size_t first = put_masked(bytes, 0x81, (const uint8_t *)"one", 3);
    size_t len = first + put_masked(bytes + first, 0x81, (const uint8_t *)"two", 3);
    wf_ws_event event;
    wf_ws_feed(&r.ws, bytes, len);
    CHECK_EQ(wf_ws_next(&r.ws, &event), WF_OK);
    CHECK_BYTES(event.data, event.len, "one", 3);
    CHECK_EQ(wf_ws_take_rest(&r.ws, &rest), len - first);
    CHECK(rest == bytes + first);
    CHECK_BYTES(event.data, event.len, "one", 3);
    CHECK_EQ(wf_ws_next(&r.ws, &event), WF_WANT_INPUT);
    wf_ws_feed(&r.ws, rest, len - first);
    CHECK_EQ(wf_ws_next(&r.ws, &event), WF_OK);
    CHECK_BYTES(event.data, event.len, "two", 3);
    CHECK(event.data > bytes && event.data < bytes + len); /* a pointer into what was fed, no copy */
    replay_deinit(&r);
}
