/*
 * A session fed the same bytes in several ways, and one judge (fuzz_model_frames) who sees them whole.
 *
 * An input: a byte that chooses the limits and whether wire bytes or a list of frames follow; a byte that tells which
 * allocation fails in one more run; the rest.
 *
 * Oracles: the judge's log whatever the cuts; memory as accounted, and at most an eighth and 4 KiB over what came;
 * no more events than half the bytes, no more allocations than bytes; nothing left alive; pieces are blocks of their
 * exact size, gone as soon as the session has said it wants more.
 */
#include "base/status.h"
#include "frames.h"

#include <stdlib.h>

typedef struct run {
    wf_ws ws;
    fuzz_bytes log;
    size_t fed, pulls, bytes_before;
    bool over; /* the fault is in the log */
} run;

static void feed(run *r, const uint8_t *data, size_t len) {
    uint8_t *piece = fuzz_exact(data, len);
    wf_ws_event event;
    int got;
    wf_ws_feed(&r->ws, piece, len);
    r->fed += len;
    while ((got = wf_ws_next(&r->ws, &event)) == WF_OK) {
        CHECK(++r->pulls <= r->fed / 2 && !r->over);
        fuzz_log_event(&r->log, &event);
        wf_ws_check(&r->ws);
        CHECK_EQ(wf_ws_memory(&r->ws), test_mem_bytes() - r->bytes_before);
    }
    if (got < 0 && !r->over) {
        CHECK(wf_ws_fault(&r->ws).rule != NULL && wf_ws_fault(&r->ws).status == got);
        fuzz_log(&r->log, '!', wf_ws_fault(&r->ws).close_code, NULL, 0);
        r->over = true;
    }
    CHECK(got == (r->over ? wf_ws_fault(&r->ws).status : WF_WANT_INPUT));
    wf_ws_check(&r->ws);
    CHECK_EQ(wf_ws_memory(&r->ws), test_mem_bytes() - r->bytes_before);
    CHECK(wf_ws_memory(&r->ws) <= r->fed * 2 * 9 / 8 + 4096 + 256);
    CHECK(!r->over || wf_ws_memory(&r->ws) == 0);
    free(piece);
}

static void run_cut(run *r, wf_ws_role role, const wf_ws_limits *limits, const fuzz_bytes *wire, fuzz_cuts cuts) {
    *r = (run) {.bytes_before = test_mem_bytes()};
    wf_ws_init(&r->ws, role, limits);
    size_t at = 0;
    for (size_t len; (len = fuzz_cut(&cuts, wire->len - at)) > 0; at += len)
        feed(r, wire->data + at, len);
    wf_ws_deinit(&r->ws);
    CHECK_EQ(test_mem_bytes(), r->bytes_before);
}

/* Memory that is out is a fault of its own, behind a beginning of what was owed. */
static void run_failing(wf_ws_role role, const wf_ws_limits *limits, const fuzz_bytes *wire, fuzz_cuts cuts,
                        size_t nth) {
    run r, whole;
    run_cut(&whole, role, limits, wire, cuts);
    test_mem_fail_at(nth);
    run_cut(&r, role, limits, wire, cuts);
    bool failed = test_mem_calls() >= nth;
    test_mem_fail_at(0);
    if (failed) {
        CHECK(r.over && wf_ws_fault(&r.ws).status == WF_ENOMEM && wf_ws_fault(&r.ws).close_code == 1011);
        fuzz_bytes ending = {0};
        fuzz_log(&ending, '!', 1011, NULL, 0);
        r.log.len -= ending.len;
        fuzz_free(&ending);
        fuzz_log_begins(&r.log, &whole.log, "an allocation fails");
    } else {
        fuzz_log_equal(&r.log, &whole.log, "no allocation fails");
    }
    fuzz_free(&r.log);
    fuzz_free(&whole.log);
}

int fuzz_frames(wf_ws_role receiver, const uint8_t *data, size_t size) {
    static const char *const names[FUZZ_CUTS] = {"whole", "byte by byte", "in small pieces", "in mixed pieces"};
    static const uint64_t bytes_max[] = {1 << 20, 16, 125, 1000, 65536, UINT64_MAX, 0, 130000};
    static const uint32_t empty_max[] = {1024, 0, 1, 3};
    enum { BYTEWISE_MAX = 1500, SMALL_MAX = 15000 };
    fuzz_input all = {data, size}, in = all;
    uint8_t choices = fuzz_byte(&in), nth = fuzz_byte(&in);
    wf_ws_limits limits = {bytes_max[choices & 7], empty_max[choices >> 3 & 3]};
    fuzz_bytes wire = {0}, owed = {0};
    if (choices & 32)
        fuzz_put(&wire, in.data, in.len);
    else
        fuzz_put_frames(&wire, receiver, &in);
    fuzz_model_frames(&owed, receiver, &limits, &wire);
    for (int kind = 0; kind < FUZZ_CUTS; kind++) {
        if ((kind == FUZZ_BYTEWISE && wire.len > BYTEWISE_MAX) || (kind == FUZZ_SMALL && wire.len > SMALL_MAX))
            continue;
        run r;
        test_mem_fail_at(0);
        run_cut(&r, receiver, &limits, &wire, fuzz_cuts_of(kind, all));
        CHECK(test_mem_calls() <= wire.len + 1);
        fuzz_log_equal(&r.log, &owed, names[kind]);
        fuzz_free(&r.log);
    }
    if (nth > 0)
        run_failing(receiver, &limits, &wire, fuzz_cuts_of(FUZZ_MIXED, all), nth);
    fuzz_free(&wire);
    fuzz_free(&owed);
    return 0;
}
