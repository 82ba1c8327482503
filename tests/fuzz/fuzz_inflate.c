/*
 * The receiving half of permessage-deflate: messages of any bytes, by each library, in any cut, and always what a
 * slow reader of RFC 1951 makes of them; with an allocation failing in one more run.
 *
 * An input: window bits (4 bits; under 8: no context takeover) and the limit (2 bits); which allocation fails; then
 * messages, each a byte with its length, 255 for all that is left.
 */
#include "slow_inflate.h"
#include "zips.h"

#include "base/status.h"

#include <stdlib.h>

enum { MESSAGES_MAX = 16, WHOLE_MAX = 1 << 20 };

typedef struct job {
    fuzz_input all;
    unsigned window_bits;
    uint64_t bytes_max;
    fuzz_input messages[MESSAGES_MAX];
    size_t count;
    fuzz_bytes owed; /* log */
    bool grey;       /* what comes behind the log is anyone's */
} job;

static void read_input(job *j, fuzz_input in) {
    static const uint64_t limits[] = {65536, 0, 100, 5000};
    j->all = in;
    uint8_t choices = fuzz_byte(&in);
    fuzz_byte(&in);
    j->window_bits = (choices & 15) >= 8 ? choices & 15 : 0;
    j->bytes_max = limits[choices >> 4 & 3];
    while (in.len > 0 && j->count < MESSAGES_MAX) {
        uint8_t len = fuzz_byte(&in);
        j->messages[j->count++] = fuzz_take(&in, len == 255 ? in.len : len);
    }
}

/* What the slow reader says. */
static void read_slowly(job *j) {
    fuzz_bytes said = {0};
    for (size_t i = 0; i < j->count; i++) {
        size_t before = said.len, window = j->window_bits ? (size_t)1 << j->window_bits : 0;
        slow_inflate got =
            slow_inflate_message(j->messages[i].data, j->messages[i].len, before < window ? before : window, &said);
        bool full = said.len - before > j->bytes_max;
        j->grey = got.grey;
        if (got.grey)
            break;
        if (full || got.corrupt) {
            fuzz_log(&j->owed, '!', full ? WF_FULL : WF_ERROR, NULL, 0);
            break;
        }
        fuzz_log(&j->owed, 'M', 0, said.data ? said.data + before : NULL, said.len - before);
    }
    fuzz_free(&said);
}

static void run_cut(const job *j, const char *library, fuzz_cuts cuts, fuzz_bytes *log) {
    wf_codec codec;
    wf_inflate inflate;
    size_t memory_before = test_mem_bytes();
    zips_codec_init(&codec, library);
    wf_inflate_init(&inflate, &codec, j->window_bits);
    for (size_t i = 0; i < j->count; i++) {
        if (!zips_inflate(&inflate, &j->messages[i], &cuts, j->bytes_max, log))
            break;
        CHECK(test_mem_bytes() - memory_before <= wf_inflate_memory(&inflate) + wf_codec_memory(&codec));
        CHECK(wf_inflate_memory(&inflate) <= ((size_t)1 << j->window_bits) * 17 / 16);
    }
    wf_inflate_deinit(&inflate);
    wf_codec_deinit(&codec);
    CHECK_EQ(test_mem_bytes(), memory_before);
}

static void run_library(const char *library, void *user) {
    const job *j = user;
    for (int kind = 0; kind < FUZZ_CUTS; kind++) {
        fuzz_bytes log = {0};
        run_cut(j, library, fuzz_cuts_of(kind, j->all), &log);
        if (j->grey)
            fuzz_log_begins(&j->owed, &log, library ? library : "best");
        else
            fuzz_log_equal(&log, &j->owed, library ? library : "best");
        fuzz_free(&log);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    job j = {0};
    fuzz_bytes log = {0};
    test_mem_fail_at(0);
    read_input(&j, (fuzz_input) {data, size});
    read_slowly(&j);
    zips_each_library(run_library, &j);
    if (size > 1 && data[1] > 0) {
        test_mem_fail_at(data[1]);
        run_cut(&j, NULL, fuzz_cuts_of(FUZZ_MIXED, j.all), &log);
        test_mem_fail_at(0);
    }
    fuzz_free(&log);
    fuzz_free(&j.owed);
    return 0;
}
