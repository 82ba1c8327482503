/*
 * The compression libraries behind their interface: whatever one writes every other reads, and zlib used directly
 * reads it too, in a window no longer than was promised.
 */
#include "base/status.h"
#include "test.h"
#include "ws/zip.h"

#include <stdlib.h>
#include <zlib.h>

enum { TEXT_BYTES = 200000 };

static const size_t sizes[] = {1, 2, 5, 20, 127, 300, 1000, 4095, 4096, 5000, 32768, 70000, TEXT_BYTES};

/* Text with repetitions near and far: `variety` letters, copies from up to `reach` bytes back. */
static void write_text(uint8_t *text, size_t len, uint64_t *seed) {
    uint64_t variety = 1 + test_random(seed) % 60, reach = 1 + test_random(seed) % 40000;
    for (size_t i = 0; i < len;) {
        size_t run = 1 + test_random(seed) % 40, from = reach < i ? i - reach : 0;
        bool copy = i > 0 && test_random(seed) % 4 != 0;
        for (; run > 0 && i < len; run--, i++)
            text[i] = copy ? text[from++] : (uint8_t)(' ' + test_random(seed) % variety);
        reach = 1 + test_random(seed) % 40000;
    }
}

typedef struct zipped {
    uint8_t *data;
    size_t len;
} zipped;

static zipped zip(const wf_compressor *c, void *state, wf_zip_job job) {
    zipped z = {malloc(job.len + job.len / 4 + 100), 0};
    CHECK(z.data != NULL);
    job.out = z.data;
    job.out_cap = job.len + job.len / 4 + 96;
    z.len = c->run(state, &job);
    CHECK(z.len > 0);
    memcpy(z.data + z.len, "\0\0\xff\xff", 4);
    return z;
}

/* zlib by itself, one byte of output at a time: a reference further back than the window is then an error. */
static void check_by_zlib(const zipped *z, const wf_zip_job *job) {
    z_stream s = {0};
    uint8_t byte;
    CHECK_EQ(inflateInit2(&s, -(int)job->window_bits), Z_OK);
    if (job->history_len > 0)
        CHECK_EQ(inflateSetDictionary(&s, job->history, (uInt)job->history_len), Z_OK);
    s.next_in = z->data;
    s.avail_in = (uInt)z->len + 4;
    for (size_t i = 0; i < job->len; i++) {
        s.next_out = &byte;
        s.avail_out = 1;
        CHECK_EQ(inflate(&s, Z_SYNC_FLUSH), Z_OK);
        CHECK_EQ(s.avail_out, 0);
        CHECK_EQ(byte, job->data[i]);
    }
    s.next_out = &byte;
    s.avail_out = 1;
    inflate(&s, Z_SYNC_FLUSH);
    CHECK(s.avail_in == 0 && s.avail_out == 1);
    inflateEnd(&s);
}

/* Feeds what was written, with its tail, in pieces of up to piece_max bytes, taking out up to room_max at a time. */
static void check_by(const wf_decompressor *d, void *state, const zipped *z, const wf_zip_job *job, size_t piece_max,
                     size_t room_max, uint64_t *seed) {
    uint8_t *out = malloc(job->len + 1);
    size_t got = 0, fed = 0;
    CHECK(out != NULL);
    CHECK_EQ(d->begin(state, job->history, job->history_len), WF_OK);
    CHECK(d->between_blocks(state));
    while (fed < z->len + 4) {
        size_t piece = d->whole_only ? piece_max : 1 + test_random(seed) % piece_max;
        piece = piece < z->len + 4 - fed ? piece : z->len + 4 - fed;
        uint8_t *in = malloc(piece);
        CHECK(in != NULL);
        memcpy(in, z->data + fed, piece);
        fed += piece;
        wf_zip_io io = {.in = in, .in_len = piece};
        do {
            size_t room = 1 + test_random(seed) % room_max;
            room = room < job->len + 1 - got ? room : job->len + 1 - got;
            io.out = out + got;
            io.out_len = room;
            CHECK_EQ(d->run(state, &io), WF_OK);
            got += room - io.out_len;
            CHECK(io.in_len == 0 || io.out_len == 0);
            CHECK(got <= job->len);
        } while (io.out_len == 0);
        free(in);
    }
    CHECK_BYTES(out, got, job->data, job->len);
    CHECK(d->between_blocks(state));
    free(out);
}

static void check_job(const wf_compressor *c, void *state, const wf_zip_job *job, uint64_t *seed) {
    zipped z = zip(c, state, *job);
    check_by_zlib(&z, job);
    const wf_decompressor *d;
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++) {
        void *reader = d->new ();
        CHECK(reader != NULL);
        size_t whole = z.len + 4;
        check_by(d, reader, &z, job, whole, job->len + 1, seed);
        check_by(d, reader, &z, job, d->whole_only ? whole : 1 + job->len / 50, 1 + job->len / 10, seed);
        if (job->len <= 5000)
            check_by(d, reader, &z, job, d->whole_only ? whole : 1, 1, seed);
        d->free(reader);
    }
    free(z.data);
}

TEST(what_one_library_writes_every_other_reads) {
    uint64_t seed = 7;
    uint8_t *text = malloc(2 * TEXT_BYTES);
    CHECK(text != NULL);
    const wf_compressor *c;
    for (size_t i = 0; (c = wf_zip_compressors(i)); i++) {
        void *state = c->new ();
        CHECK(state != NULL);
        for (unsigned bits = c->window_bits_min; bits <= 15; bits++) {
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                size_t history = test_random(&seed) % ((1u << bits) + 1);
                history = s % 3 == 0 ? 0 : s % 3 == 1 ? 1u << bits : history;
                test_context("%s, %u bits, %zu bytes after %zu", c->name, bits, sizes[s], history);
                write_text(text, history + sizes[s], &seed);
                wf_zip_job job = {.history = text,
                                  .history_len = history,
                                  .window_bits = bits,
                                  .data = text + history,
                                  .len = sizes[s]};
                check_job(c, state, &job, &seed);
            }
        }
        c->free(state);
    }
    free(text);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(what_does_not_fit_is_not_written) {
    uint64_t seed = 8;
    uint8_t data[3000], out[3000];
    const wf_compressor *c;
    for (size_t i = 0; (c = wf_zip_compressors(i)); i++) {
        test_context("%s", c->name);
        for (size_t at = 0; at < sizeof data; at++)
            data[at] = (uint8_t)test_random(&seed);
        void *state = c->new ();
        CHECK(state != NULL);
        wf_zip_job job = {.window_bits = 15, .data = data, .len = sizeof data, .out = out, .out_cap = sizeof out};
        CHECK_EQ(c->run(state, &job), 0);
        memset(data, 'x', sizeof data); /* and the state is as good as new */
        size_t used = c->run(state, &job);
        CHECK(used > 0);
        for (job.out_cap = 0; job.out_cap < used + 4; job.out_cap++) {
            test_context("%s, room for %u of %zu", c->name, job.out_cap, used);
            CHECK_EQ(c->run(state, &job), 0);
        }
        job.out_cap = used + 64;
        CHECK_EQ(c->run(state, &job), used);
        c->free(state);
    }
}

/* A stream that ends, and another that refers back into it. */
TEST(a_last_block_is_not_the_end) {
    static const char text[] = "one and one and one and one and two and two and two and two";
    uint8_t bytes[200];
    size_t len = 0, half = sizeof text / 2;
    for (int part = 0; part < 2; part++) {
        z_stream s = {0};
        CHECK_EQ(deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_FIXED), Z_OK);
        if (part == 1)
            CHECK_EQ(deflateSetDictionary(&s, (const Bytef *)text, (uInt)half), Z_OK);
        s.next_in = (Bytef *)text + (part ? half : 0);
        s.avail_in = (uInt)(part ? sizeof text - half : half);
        s.next_out = bytes + len;
        s.avail_out = (uInt)(sizeof bytes - len);
        CHECK_EQ(deflate(&s, Z_FINISH), Z_STREAM_END);
        len = sizeof bytes - s.avail_out;
        deflateEnd(&s);
    }
    const wf_decompressor *d;
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++) {
        void *state = d->new ();
        CHECK(state != NULL);
        for (size_t cut = 0; cut <= len; cut++) {
            test_context("%s, cut at %zu", d->name, cut);
            uint8_t out[200];
            CHECK_EQ(d->begin(state, NULL, 0), WF_OK);
            wf_zip_io io = {.in = bytes, .in_len = d->whole_only ? len : cut, .out = out, .out_len = sizeof out};
            int got = d->run(state, &io);
            CHECK_EQ(got, d->whole_only ? WF_ZIP_DECLINED : WF_OK);
            if (d->whole_only)
                break;
            CHECK_EQ(io.in_len, 0);
            io.in_len = len - cut;
            CHECK_EQ(d->run(state, &io), WF_OK);
            CHECK_EQ(io.in_len, 0);
            CHECK_BYTES(out, sizeof out - io.out_len, text, sizeof text);
            CHECK(d->between_blocks(state));
        }
        d->free(state);
    }
}

TEST(what_is_corrupt_is_found_and_forgotten) {
    static const struct {
        const char *name, *bytes;
        size_t len;
    } bad[] = {
        {"block type 3", "\x07", 1},
        {"a stored block whose lengths disagree", "\x00\x05\x00\x00\x00", 5},
        {"a reference to before the beginning", "\x02\x00\x00", 3},
        {"too many codes", "\xfd\xff\xff", 3},
    };
    const wf_decompressor *d;
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++) {
        void *state = d->new ();
        CHECK(state != NULL);
        for (size_t row = 0; row < sizeof bad / sizeof *bad; row++) {
            test_context("%s, %s", d->name, bad[row].name);
            uint8_t out[100], in[300] = {0};
            memcpy(in, bad[row].bytes, bad[row].len);
            CHECK_EQ(d->begin(state, NULL, 0), WF_OK);
            wf_zip_io io = {.in = in, .in_len = sizeof in, .out = out, .out_len = sizeof out};
            CHECK_EQ(d->run(state, &io), d->whole_only ? WF_ZIP_DECLINED : WF_ERROR);
            static const uint8_t good[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff};
            CHECK_EQ(d->begin(state, NULL, 0), WF_OK);
            io = (wf_zip_io) {.in = good, .in_len = sizeof good, .out = out, .out_len = sizeof out};
            CHECK_EQ(d->run(state, &io), WF_OK);
            CHECK_BYTES(out, sizeof out - io.out_len, "Hello", 5);
        }
        d->free(state);
    }
}

TEST(without_memory_there_is_no_state) {
    const wf_compressor *c;
    const wf_decompressor *d;
    for (size_t i = 0; (c = wf_zip_compressors(i)); i++) {
        test_mem_fail_at(1);
        CHECK(c->new () == NULL);
        test_mem_fail_at(0);
        for (size_t nth = 1; nth < 20; nth++) {
            uint8_t out[64], data[60] = {0};
            void *state = c->new ();
            wf_zip_job job = {.window_bits = 15, .data = data, .len = 60, .out = out, .out_cap = sizeof out};
            test_mem_fail_at(nth);
            size_t used = c->run(state, &job);
            bool failed = test_mem_calls() >= nth;
            test_mem_fail_at(0);
            CHECK_EQ(used > 0, !failed);
            CHECK(c->run(state, &job) > 0);
            c->free(state);
        }
    }
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++) {
        test_mem_fail_at(1);
        CHECK(d->new () == NULL);
        test_mem_fail_at(2);
        void *state = d->new ();
        test_mem_fail_at(0);
        d->free(state);
    }
    CHECK_EQ(test_mem_live(), 0);
}

TEST(room_for_the_beginning_is_not_enough) {
    uint64_t seed = 10;
    uint8_t *noise = malloc(TEXT_BYTES), out[1000];
    CHECK(noise != NULL);
    for (size_t at = 0; at < TEXT_BYTES; at++)
        noise[at] = (uint8_t)test_random(&seed);
    const wf_compressor *c;
    for (size_t i = 0; (c = wf_zip_compressors(i)); i++) {
        test_context("%s", c->name);
        void *state = c->new ();
        wf_zip_job job = {.window_bits = 15, .data = noise, .len = TEXT_BYTES, .out = out, .out_cap = sizeof out};
        CHECK_EQ(c->run(state, &job), 0);
        c->free(state);
    }
    free(noise);
}

TEST(room_may_be_more_than_32_bits_can_say) {
    static const uint8_t hello[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
    const wf_decompressor *d;
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++) {
        test_context("%s", d->name);
        uint8_t out[100];
        size_t room = (size_t)UINT32_MAX + 1 + sizeof out; /* of which the first bytes are there */
        void *state = d->new ();
        wf_zip_io io = {.in = hello, .in_len = sizeof hello, .out = out, .out_len = room};
        CHECK_EQ(d->begin(state, NULL, 0), WF_OK);
        CHECK_EQ(d->run(state, &io), WF_OK);
        CHECK_BYTES(out, room - io.out_len, "Hello", 5);
        d->free(state);
    }
}

/* What no input can bring about: a library that says no. */
TEST(a_compressor_that_fails_writes_nothing) {
    static const char *const calls[] = {"deflate",      "deflateReset",          "deflateSetDictionary",
                                        "isal_deflate", "isal_deflate_set_dict", "isal_deflate_set_hufftables"};
    static const uint8_t text[] = "one and one and one and one and two";
    uint8_t out[100];
    const wf_zip_job job = {.history = text,
                            .history_len = 16,
                            .window_bits = 15,
                            .data = text,
                            .len = sizeof text,
                            .out = out,
                            .out_cap = sizeof out};
    const wf_compressor *c;
    for (size_t i = 0; (c = wf_zip_compressors(i)); i++) {
        void *state = c->new ();
        size_t used = c->run(state, &job);
        CHECK(used > 0);
        for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
            test_context("%s, %s fails", c->name, calls[k]);
            bool its_own = (strncmp(calls[k], "isal", 4) == 0) == (strcmp(c->name, "isa-l") == 0);
            test_call_fail_at(calls[k], 1, -2);
            CHECK_EQ(c->run(state, &job), its_own ? 0 : used);
            test_call_fail_at(NULL, 0, 0);
            CHECK_EQ(c->run(state, &job), used);
        }
        c->free(state);
    }
}

TEST(a_decompressor_that_does_not_begin_says_so) {
    const wf_decompressor *d;
    for (size_t i = 0; (d = wf_zip_decompressors(i)); i++) {
        test_context("%s", d->name);
        void *state = d->new ();
        test_call_fail_at(strcmp(d->name, "zlib") == 0 ? "inflateReset" : "isal_inflate_set_dict", 1, -2);
        CHECK_EQ(d->begin(state, (const uint8_t *)"before", 6), WF_ENOMEM);
        CHECK_EQ(d->begin(state, (const uint8_t *)"before", 6), WF_OK);
        d->free(state);
    }
}
