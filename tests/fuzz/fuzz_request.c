/*
 * The request reader: pipelined requests, fed whole, byte by byte and in random pieces, under small and large limits
 * and with an allocation failing. However they are cut, the same requests come out, at the same places, then the same
 * fault.
 *
 * A request that comes out is judged by a second reading (requests.c) that has all bytes before it, and, written anew
 * in the plainest form, it must be read as the same again. Memory stays within what came, an eighth and 4 KiB, and
 * within what the limits allow.
 *
 * An input: a byte that chooses limits, a byte that tells which allocation fails in one more run, wire bytes.
 */
#include "requests.h"

#include <stdlib.h>

typedef struct run {
    const wf_http_limits *limits;
    wf_http_reader *reader;
    fuzz_bytes log;
    size_t at;           /* bytes of the wire used */
    size_t begun_at;     /* where this request begins */
    size_t bytes_before; /* memory: without a reader, and with a fresh one */
    size_t bytes_fresh;
    bool content; /* this reader has seen more than line ends */
    bool over;
} run;

static void begin(run *r) {
    r->begun_at = r->at;
    r->content = false;
    r->reader = wf_http_reader_new(r->limits);
    r->over |= !r->reader;
    r->bytes_fresh = test_mem_bytes();
}

static void check_memory(const run *r) {
    size_t fed = r->at - r->begun_at, held = test_mem_bytes() - r->bytes_fresh;
    size_t limit = r->limits->head_bytes_max + r->limits->body_bytes_max;
    size_t lines = fed / 2 < r->limits->headers_max ? fed / 2 : r->limits->headers_max;
    size_t most = fed < limit ? fed : limit;
    CHECK(held <= most + most / 8 + 4096 + lines * sizeof(wf_http_header));
}

static void check_fault(run *r, int got) {
    static const uint16_t statuses[] = {400, 405, 413, 414, 417, 431, 501, 505};
    const wf_fault *fault = wf_http_reader_fault(r->reader);
    bool known = got == WF_ENOMEM && fault->close_code == 503;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        known |= got == WF_ERROR && fault->close_code == statuses[i];
    CHECK(known && fault->status == got && fault->rule);
    size_t used = 1;
    CHECK_EQ(wf_http_reader_feed(r->reader, (const uint8_t *)"x", 1, &used), got);
    CHECK_EQ(used, 0);
    CHECK(!wf_http_reader_idle(r->reader) && !wf_http_reader_wants_continue(r->reader));
    fuzz_log(&r->log, '!', fault->close_code, fault->rule, strlen(fault->rule));
    r->over = true;
}

/* Feeds a piece; what is behind the end of a request belongs to the next. */
static void feed(run *r, const uint8_t *data, size_t len, const fuzz_bytes *wire) {
    uint8_t *piece = fuzz_exact(data, len);
    for (size_t from = 0; from < len && !r->over;) {
        size_t used = SIZE_MAX;
        int got = wf_http_reader_feed(r->reader, piece + from, len - from, &used);
        CHECK(used <= len - from);
        for (size_t i = 0; i < used; i++)
            r->content |= piece[from + i] != '\r' && piece[from + i] != '\n';
        from += used;
        r->at += used;
        check_memory(r);
        if (got == WF_WANT_INPUT) {
            CHECK_EQ(from, len);
            CHECK_EQ(wf_http_reader_idle(r->reader), !r->content);
            if (wf_http_reader_wants_continue(r->reader))
                CHECK(!wf_http_reader_wants_continue(r->reader));
        } else if (got == WF_OK) {
            const wf_http_request *request = wf_http_reader_request(r->reader);
            if (wire)
                fuzz_check_request(request, r->limits, wire->data + r->begun_at, r->at - r->begun_at);
            fuzz_log_request(&r->log, request, r->at);
            wf_http_reader_free(r->reader);
            CHECK_EQ(test_mem_bytes(), r->bytes_before);
            begin(r);
        } else {
            check_fault(r, got);
        }
    }
    free(piece);
}

/* `judged`: requests are compared with the second reading. */
static void run_cut(run *r, const wf_http_limits *limits, const fuzz_bytes *wire, fuzz_cuts cuts, bool judged) {
    *r = (run) {.limits = limits, .bytes_before = test_mem_bytes()};
    begin(r);
    size_t at = 0;
    for (size_t len; !r->over && (len = fuzz_cut(&cuts, wire->len - at)) > 0; at += len)
        feed(r, wire->data + at, len, judged ? wire : NULL);
    wf_http_reader_free(r->reader);
    CHECK_EQ(test_mem_bytes(), r->bytes_before);
}

static void run_failing(const wf_http_limits *limits, const fuzz_bytes *wire, fuzz_cuts cuts, size_t nth) {
    static const char rule[] = "out of memory";
    fuzz_bytes ending = {0};
    run r, whole;
    fuzz_log(&ending, '!', 503, rule, sizeof rule - 1);
    run_cut(&whole, limits, wire, cuts, false);
    test_mem_fail_at(nth);
    run_cut(&r, limits, wire, cuts, false);
    bool failed = test_mem_calls() >= nth;
    test_mem_fail_at(0);
    bool told = r.log.len >= ending.len && memcmp(r.log.data + r.log.len - ending.len, ending.data, ending.len) == 0;
    CHECK(!failed || r.over);
    if (failed && told) /* else it was the reader itself that could not be made */
        r.log.len -= ending.len;
    fuzz_log_begins(&r.log, &whole.log, "an allocation fails");
    fuzz_free(&r.log);
    fuzz_free(&whole.log);
    fuzz_free(&ending);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[FUZZ_CUTS] = {"whole", "byte by byte", "in small pieces", "in mixed pieces"};
    static const size_t head_max[] = {8192, 1 << 20, 64, 200}, headers_max[] = {64, 1000, 0, 3},
                        body_max[] = {65536, 1 << 20, 0, 5};
    fuzz_input all = {data, size}, in = all;
    uint8_t choices = fuzz_byte(&in), nth = fuzz_byte(&in);
    wf_http_limits limits = {head_max[choices & 3], headers_max[choices >> 2 & 3], body_max[choices >> 4 & 3]};
    fuzz_bytes wire = {0}, first = {0};
    fuzz_put(&wire, in.data, in.len);
    for (int kind = 0; kind < FUZZ_CUTS; kind++) {
        run r;
        test_mem_fail_at(0);
        run_cut(&r, &limits, &wire, fuzz_cuts_of(kind, all), kind == 0);
        CHECK(kind == 0 || test_mem_calls() <= 4 + wire.len / 4); /* the judge allocates, too */
        if (kind == 0)
            first = r.log;
        else
            fuzz_log_equal(&r.log, &first, names[kind]);
        if (kind != 0)
            fuzz_free(&r.log);
    }
    if (nth > 0)
        run_failing(&limits, &wire, fuzz_cuts_of(FUZZ_MIXED, all), nth);
    fuzz_free(&wire);
    fuzz_free(&first);
    return 0;
}
