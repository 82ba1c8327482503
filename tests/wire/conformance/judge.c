/*
 * The steps of a case are gone through one by one. What comes is kept until a step asks for it; what nobody asks for
 * is seen by the last step, which asks for the end of the stream.
 */
#include "judge.h"

#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const step *step_at_hand(const judge *j) {
    return &j->c->steps[j->at];
}

static void fail(judge *j, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(j->why, sizeof j->why, format, args);
    va_end(args);
    j->verdict = FAILED;
}

/* "81 'Hello' (5)" into a static buffer, or one of two. */
static const char *frame_words(unsigned first, const uint8_t *payload, size_t len) {
    static char words[2][96];
    static int turn;
    char *out = words[turn ^= 1];
    int used = snprintf(out, 96, "%02x <", first);
    for (size_t i = 0; i < len && i < 16; i++)
        used += snprintf(out + used, 96 - (size_t)used, "%02x", payload[i]);
    snprintf(out + used, 96 - (size_t)used, "%s> of %zu", len > 16 ? "..." : "", len);
    return out;
}

/* ---- what is expected, each: true when the step is done ---- */

/* Keeps a frame for a later step. */
static void keep(judge *j, bytes *kept, const frame *f) {
    frame_put(kept, f->first, f->payload, f->len, !j->c->masks, 0);
}

/* The next frame of those that have come, where pongs and messages may overtake each other: those that are not asked
 * for are kept. A close frame is the last of all and is always given. */
static bool next_frame(judge *j, bool wants_pong, frame *out_frame) {
    const char *wrong = NULL;
    bool theirs = !j->c->masks;
    if (wants_pong ? frame_take(&j->pongs, &j->pongs_at, theirs, out_frame, &wrong)
                   : frame_take(&j->messages, &j->messages_at, theirs, out_frame, &wrong))
        return true;
    int got;
    while ((got = frame_take(&j->in, &j->in_at, theirs, out_frame, &wrong)) == 1) {
        unsigned opcode = out_frame->first & 15;
        if (out_frame->first & 0x30)
            fail(j, "reserved bits are set: %02x", out_frame->first);
        if (opcode == CLOSE || (opcode == PONG) == wants_pong)
            return j->verdict != FAILED;
        keep(j, opcode == PONG ? &j->pongs : &j->messages, out_frame);
    }
    if (got < 0)
        fail(j, "%s", wrong);
    else if (j->peer_ended)
        fail(j, "the stream ended%s, with %zu bytes unread", j->peer_reset ? " by a reset" : "", j->in.len - j->in_at);
    return false;
}

/* Something else came than what the step asks for. A close frame may stand for what was still to be said. */
static void mismatch(judge *j, const step *s, const frame *f) {
    if (f->first == (FIN | CLOSE) && j->c->answers_may_be_lost) {
        while (step_at_hand(j)->kind != STEP_EXPECT_CLOSE)
            j->at++;
        j->at--;
        keep(j, &j->messages, f);
        return;
    }
    fail(j, "expected %s, got %s", frame_words(s->first, s->data.data, s->data.len),
         frame_words(f->first, f->payload, f->len));
}

static bool is_pong(const step *s, const frame *f) {
    return s->kind == STEP_EXPECT_PONG && f->first == s->first && f->len == s->data.len &&
           (f->len == 0 || memcmp(f->payload, s->data.data, f->len) == 0);
}

static bool expect_pong(judge *j) {
    frame f;
    if (!next_frame(j, true, &f))
        return false;
    const step *s = step_at_hand(j);
    while (j->c->pongs_may_be_left_out && !is_pong(step_at_hand(j), &f) && s[1].kind == STEP_EXPECT_PONG)
        s = &j->c->steps[++j->at];
    if (!is_pong(s, &f))
        mismatch(j, s, &f);
    return j->verdict != FAILED;
}

static bool message_is(judge *j, const step *s) {
    bytes plain = {0};
    const char *wrong = NULL;
    if (j->message_compressed)
        wrong = zip_inflate(&j->zip, j->message.data, j->message.len, &plain);
    const bytes *got = j->message_compressed ? &plain : &j->message;
    if (wrong)
        fail(j, "the message cannot be inflated: %s", wrong);
    else if (j->message_kind != s->first || got->len != s->data.len ||
             (got->len > 0 && memcmp(got->data, s->data.data, got->len) != 0))
        fail(j, "expected message %s, got %s", frame_words(s->first, s->data.data, s->data.len),
             frame_words(j->message_kind, got->data, got->len));
    bytes_free(&plain);
    j->message.len = 0;
    j->message_kind = 0;
    return j->verdict != FAILED;
}

static bool expect_message(judge *j, const step *s) {
    frame f;
    while (next_frame(j, false, &f)) {
        unsigned opcode = f.first & 15;
        bool begins = opcode == TEXT || opcode == BINARY;
        if ((!begins && opcode != 0) || begins == (j->message_kind != 0)) {
            mismatch(j, s, &f);
            return j->verdict != FAILED;
        }
        if ((f.first & RSV1) && (!begins || !j->zip.agreed.on)) {
            fail(j, "RSV1 where it may not be: %s", frame_words(f.first, f.payload, f.len));
            return false;
        }
        if (begins) {
            j->message_kind = opcode;
            j->message_compressed = f.first & RSV1;
        }
        bytes_put(&j->message, f.payload, f.len);
        if (f.first & FIN)
            return message_is(j, s);
    }
    return false;
}

static bool expect_close(judge *j, const step *s) {
    frame f;
    if (j->pongs.len > j->pongs_at)
        fail(j, "a pong that was not asked for");
    if (j->verdict == FAILED || !next_frame(j, false, &f))
        return false;
    int code = f.len == 0 ? 1005 : f.len == 1 ? 0 : f.payload[0] << 8 | f.payload[1];
    if (f.first != (FIN | CLOSE))
        fail(j, "expected a close frame with %d, got %s", s->code, frame_words(f.first, f.payload, f.len));
    else if (f.len > 2 && !utf8_ok(f.payload + 2, f.len - 2))
        fail(j, "the close reason is not UTF-8: %s", frame_words(f.first, f.payload, f.len));
    else if (s->code >= 0 && code != s->code)
        fail(j, "expected close code %d, got %d \"%.*s\"", s->code, code, f.len > 2 ? (int)f.len - 2 : 0,
             f.payload + 2);
    return j->verdict != FAILED;
}

static bool expect_end(judge *j) {
    if (j->in.len > j->in_at) {
        const uint8_t *rest = j->in.data + j->in_at;
        fail(j, "expected the end of the stream, got %s", frame_words(rest[0], rest, j->in.len - j->in_at));
    } else if (j->messages.len > j->messages_at || j->pongs.len > j->pongs_at) {
        fail(j, "something came that was not asked for");
    } else if (j->peer_reset) {
        fail(j, "the stream ended by a reset");
    }
    return j->peer_ended && j->verdict != FAILED;
}

static bool expect_http(judge *j, const step *s) {
    http_response r;
    int got = http_take(&j->in, &j->in_at, !j->c->no_body, &r);
    if (got < 0 || (got == 0 && j->peer_ended))
        fail(j, got < 0 ? "the answer is not HTTP" : "the stream ended%s without an answer",
             j->peer_reset ? " by a reset" : "");
    if (got <= 0)
        return false;
    const char *wrong = http_judge_lines(&r, (const char *)s->data.data);
    if (s->code < 10 ? r.status / 100 != s->code : r.status != s->code)
        fail(j, "expected status %d, got %d", s->code, r.status);
    else if (wrong)
        fail(j, "%s", wrong);
    if (r.status != 101 || j->verdict == FAILED)
        return j->verdict != FAILED;
    wrong = http_judge_extensions(&r, j->c, &j->zip.agreed);
    if (wrong)
        fail(j, "%s", wrong);
    else if (j->c->outcome == OFFER_MAY_BE_MET && !j->zip.agreed.on)
        j->verdict = DECLINED;
    return j->verdict == JUDGE_WAITS;
}

static bool expect(judge *j, const step *s) {
    switch (s->kind) {
    case STEP_EXPECT_PONG:
        return expect_pong(j);
    case STEP_EXPECT_MESSAGE:
        return expect_message(j, s);
    case STEP_EXPECT_CLOSE:
        return expect_close(j, s);
    case STEP_EXPECT_END:
        return expect_end(j);
    default:
        return expect_http(j, s);
    }
}

/* ---- going on ---- */

/* Goes on for as long as what has come is enough. */
static void advance(judge *j) {
    while (j->verdict < PASSED) {
        if (j->at == j->c->step_count) {
            j->verdict = PASSED;
            return;
        }
        const step *s = step_at_hand(j);
        if (s->kind <= STEP_SEND_MESSAGE) {
            j->verdict = JUDGE_SENDS;
            return;
        }
        if (s->kind == STEP_EXPECT_SILENCE) {
            j->verdict = JUDGE_LISTENS;
            if (j->in.len > j->in_at || j->peer_ended)
                fail(j, "expected silence, got %zu bytes%s", j->in.len - j->in_at, j->peer_ended ? " and the end" : "");
            return;
        }
        j->verdict = JUDGE_WAITS;
        if (!expect(j, s))
            return;
        j->at++;
    }
}

void judge_init(judge *j, const conf_case *c) {
    *j = (judge) {.c = c, .verdict = JUDGE_WAITS, .key = 0x51a7b3c9};
    advance(j);
}

void judge_free(judge *j) {
    zip_free(&j->zip);
    bytes_free(&j->in);
    bytes_free(&j->pongs);
    bytes_free(&j->messages);
    bytes_free(&j->message);
}

void judge_agree(judge *j, const agreement *agreed) {
    j->zip.agreed = *agreed;
}

static void put_message(judge *j, const step *s, bytes *out) {
    bytes packed = {0};
    if (s->compress)
        zip_deflate(&j->zip, s->data.data, s->data.len, &packed);
    const bytes *payload = s->compress ? &packed : &s->data;
    size_t at = 0;
    do {
        size_t left = payload->len - at, part = s->fragment && s->fragment < left ? s->fragment : left;
        unsigned first = at == 0 ? s->first | (s->compress ? RSV1 : 0u) : 0;
        j->key = j->key * 1664525 + 1013904223;
        frame_put(out, first | (part == left ? FIN : 0u), payload->data + at, part, j->c->masks, j->key);
        at += part;
    } while (at < payload->len);
    bytes_free(&packed);
}

void judge_take_output(judge *j, bytes *out) {
    const step *s = step_at_hand(j);
    if (s->kind == STEP_SEND)
        bytes_put(out, s->data.data, s->data.len);
    else
        put_message(j, s, out);
    judge_skip_output(j);
}

void judge_skip_output(judge *j) {
    j->at++;
    advance(j);
}

unsigned judge_silence_ms(const judge *j) {
    return step_at_hand(j)->ms;
}

void judge_input(judge *j, const uint8_t *data, size_t len) {
    if (j->in_at == j->in.len)
        j->in_at = j->in.len = 0;
    bytes_put(&j->in, data, len);
    if (j->verdict == JUDGE_WAITS || j->verdict == JUDGE_LISTENS)
        advance(j);
}

void judge_input_ended(judge *j, bool reset) {
    j->peer_ended = true;
    j->peer_reset = reset;
    if (j->verdict == JUDGE_WAITS || j->verdict == JUDGE_LISTENS)
        advance(j);
}

void judge_silence_kept(judge *j) {
    j->at++;
    advance(j);
}

void judge_timed_out(judge *j) {
    static const char *const missing[] = {"to be read",    "to be read", "a pong", "a message",
                                          "a close frame", "the end",    "",       "an answer"};
    fail(j, "nothing came, expected %s (step %zu, code %d)", missing[step_at_hand(j)->kind], j->at,
         step_at_hand(j)->code);
}

bool judge_waits_for_end(const judge *j) {
    return j->verdict == JUDGE_WAITS && step_at_hand(j)->kind == STEP_EXPECT_END;
}
