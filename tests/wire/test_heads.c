/*
 * Spaces small enough to be walked whole: every pair of first bytes in every state of a session and both
 * roles, every close code, and the byte at which text becomes impossible. The reference for each is written
 * here once more, straight from the RFC's words, and knows nothing of the code it judges.
 */
#include "base/bytes.h"
#include "base/status.h"
#include "test.h"
#include "ws/close.h"
#include "ws/session.h"

#include <stdlib.h>

static const wf_ws_limits limits = {.message_bytes_max = 1 << 20, .empty_fragments_max = 1024};

/* ---- the first two bytes ---- */

typedef enum state { IDLE, IN_TEXT, IN_BINARY, CLOSED, STATES } state;

static const char *const state_names[STATES] = {"idle", "in a fragmented text", "in a fragmented binary",
                                                "after a close"};

/* RFC 6455: may a frame that begins so come now? */
static bool may_begin(wf_ws_role we, state now, unsigned first, unsigned second) {
    bool fin = first & 128, rsv1 = first & 64, rsv2 = first & 32, rsv3 = first & 16, mask = second & 128;
    unsigned opcode = first % 16, length = second % 128;
    if (now == CLOSED)
        return true; /* 5.5.1: whatever it is, it is not looked at */
    if (rsv1 || rsv2 || rsv3)
        return false; /* 5.2: MUST be 0 unless an extension is negotiated */
    if (we == WF_WS_SERVER ? !mask : mask)
        return false; /* 5.1: a client MUST mask, a server MUST NOT */
    switch (opcode) {
    case 0x0:
        return now == IN_TEXT || now == IN_BINARY; /* 5.4 */
    case 0x1:
    case 0x2:
        return now == IDLE; /* 5.4: fragments of one message are not interleaved with another's */
    case 0x8:
    case 0x9:
    case 0xA:
        return fin && length <= 125; /* 5.5 */
    default:
        return false; /* 5.2: reserved */
    }
}

static void bring_to(wf_ws *ws, wf_ws_role we, state now) {
    static const uint8_t openings[STATES][2] = {[IN_TEXT] = {0x01, 0}, [IN_BINARY] = {0x02, 0}, [CLOSED] = {0x88, 0}};
    uint8_t frame[6] = {openings[now][0], we == WF_WS_SERVER ? 0x80 : 0};
    wf_ws_event event;
    wf_ws_init(ws, we, &limits);
    if (now == IDLE)
        return;
    wf_ws_feed(ws, frame, we == WF_WS_SERVER ? 6 : 2);
    CHECK_EQ(wf_ws_next(ws, &event), now == CLOSED ? WF_OK : WF_WANT_INPUT);
    if (now == CLOSED)
        CHECK_EQ(wf_ws_next(ws, &event), WF_WANT_INPUT);
}

static void check_head(wf_ws_role we, state now, unsigned first, unsigned second) {
    wf_ws ws;
    bring_to(&ws, we, now);
    uint8_t head[2] = {(uint8_t)first, (uint8_t)second};
    wf_ws_event event;
    wf_ws_feed(&ws, head, 2);
    int got = wf_ws_next(&ws, &event);
    bool allowed = may_begin(we, now, first, second);
    if ((got >= 0) != allowed)
        test_fail(__FILE__, __LINE__, "%02x %02x %s, %s: got %d (%s)", first, second, state_names[now],
                  we == WF_WS_SERVER ? "as server" : "as client", got,
                  wf_ws_fault(&ws).rule ? wf_ws_fault(&ws).rule : "no rule");
    if (!allowed) {
        CHECK_EQ(wf_ws_fault(&ws).close_code, 1002);
        CHECK(strncmp(wf_ws_fault(&ws).rule, "RFC6455/5.", 10) == 0);
    } else if (got == WF_OK) { /* an empty frame of a server is whole with its second byte */
        CHECK(we == WF_WS_CLIENT && now != CLOSED && second == 0);
        CHECK_EQ(event.len, 0);
        CHECK_EQ(event.kind, first == 0x88   ? WF_WS_CLOSE
                             : first == 0x89 ? WF_WS_PING
                             : first == 0x8A ? WF_WS_PONG
                                             : WF_WS_MESSAGE);
    }
    wf_ws_deinit(&ws);
}

TEST(every_first_two_bytes_in_every_state_and_role) {
    for (int we = WF_WS_SERVER; we <= WF_WS_CLIENT; we++)
        for (int now = 0; now < STATES; now++)
            for (unsigned first = 0; first < 256; first++)
                for (unsigned second = 0; second < 256; second++)
                    check_head((wf_ws_role)we, (state)now, first, second);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(a_head_written_is_the_head_read) {
    static const uint64_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536, UINT64_C(1) << 32, INT64_MAX};
    for (unsigned bits = 0; bits < 256; bits++) {
        for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
            wf_frame in = {.fin = bits >> 7,
                           .rsv = bits >> 4 & 7,
                           .opcode = bits & 15,
                           .masked = i & 1,
                           .key = {1, 2, 3, 4},
                           .len = lengths[i / 2]};
            wf_frame out = {.key = {1, 2, 3, 4}};
            uint8_t head[WF_FRAME_HEAD_MAX];
            size_t len = wf_frame_encode(head, &in);
            CHECK_EQ(len, wf_frame_head_bytes(head));
            CHECK_EQ(len, 2 + (in.len < 126 ? 0 : in.len < 65536 ? 2 : 8) + (in.masked ? 4 : 0));
            wf_frame_decode(head, &out);
            CHECK(wf_frame_length_ok(head, &out));
            CHECK(out.fin == in.fin && out.rsv == in.rsv && out.opcode == in.opcode && out.masked == in.masked);
            CHECK(out.len == in.len && memcmp(out.key, in.key, 4) == 0);
        }
    }
}

/* ---- close codes ---- */

/* RFC 6455 7.4 and the registry it opened: which codes an endpoint may put into a close frame. */
static bool may_travel(int code) {
    switch (code) {
    case 1000: /* normal */
    case 1001: /* going away */
    case 1002: /* protocol error */
    case 1003: /* unsupported data */
    case 1007: /* invalid payload */
    case 1008: /* policy */
    case 1009: /* too big */
    case 1010: /* extension needed */
    case 1011: /* internal error */
    case 1012: /* service restart */
    case 1013: /* try again later */
    case 1014: /* bad gateway */
        return true;
    default:
        return code / 1000 == 3 || code / 1000 == 4; /* 7.4.2: registered, private */
    }
}

TEST(every_close_code) {
    for (int code = 0; code < 65536; code++) {
        test_context("code %d", code);
        CHECK_EQ(wf_close_code_ok(code), may_travel(code));
        uint8_t frame[] = {0x88, 3, (uint8_t)(code >> 8), (uint8_t)code, 'r'};
        wf_ws ws;
        wf_ws_event event;
        wf_ws_init(&ws, WF_WS_CLIENT, &limits);
        wf_ws_feed(&ws, frame, sizeof frame);
        int got = wf_ws_next(&ws, &event);
        if (may_travel(code)) {
            CHECK(got == WF_OK && event.kind == WF_WS_CLOSE);
            CHECK_EQ(event.close_code, code);
            CHECK_BYTES(event.data, event.len, "r", 1);
        } else {
            CHECK_EQ(got, WF_ERROR);
            CHECK_EQ(wf_ws_fault(&ws).close_code, 1002);
        }
        wf_ws_deinit(&ws);
    }
    CHECK(!wf_close_code_ok(-1) && !wf_close_code_ok(65536) && !wf_close_code_ok(65536 + 1000));
}

TEST(close_decode_leaves_its_result_alone_on_failure) {
    static const struct {
        const char *bytes;
        size_t len;
        int fault_code;
    } rows[] = {{"\x03", 1, 1002},
                {"\x03\xed", 2, 1002},
                {"\x03\xe8\xff", 3, 1007},
                {"\x03\xe8"
                 "a\xe2\x82",
                 5, 1007}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int code = 77;
        wf_fault fault = {0};
        CHECK_EQ(wf_close_decode((const uint8_t *)rows[i].bytes, rows[i].len, &code, &fault), WF_ERROR);
        CHECK_EQ(fault.close_code, rows[i].fault_code);
        CHECK_EQ(code, 77);
    }
}

/* A reason of `lead` letters and then three-byte characters: wherever the cut falls, it falls between
 * characters. */
TEST(a_long_reason_is_cut_between_characters) {
    for (size_t lead = 0; lead < 8; lead++) {
        for (size_t len = 0; len < 200; len++) {
            char reason[256];
            uint8_t out[WF_CONTROL_BYTES_MAX + 8];
            size_t used = 0;
            memset(out, 0x5a, sizeof out);
            while (used < lead)
                reason[used++] = 'a';
            while (used < len) {
                memcpy(reason + used, "\xe2\x82\xac", 3);
                used += 3;
            }
            size_t wrote = wf_close_encode(out, 1001, reason, used);
            size_t most = used <= 123 ? used : lead + (123 - lead) / 3 * 3;
            CHECK_EQ(wrote, 2 + most);
            CHECK_EQ(wf_load_be16(out), 1001);
            CHECK(memcmp(out + 2, reason, most) == 0);
            for (size_t i = wrote; i < sizeof out; i++)
                CHECK_EQ(out[i], 0x5a);
            int code;
            wf_fault fault = {0};
            CHECK_EQ(wf_close_decode(out, wrote, &code, &fault), WF_OK);
        }
    }
}

TEST(a_reason_of_nothing_but_continuations_is_left_out) {
    uint8_t out[WF_CONTROL_BYTES_MAX];
    char reason[WF_CLOSE_REASON_MAX + 1];
    memset(reason, '\x80', sizeof reason);
    CHECK_EQ(wf_close_encode(out, 1000, reason, sizeof reason), 2);
}

TEST(what_an_application_may_close_with) {
    char letters[WF_CLOSE_REASON_MAX + 1];
    memset(letters, 'a', sizeof letters);
    const struct {
        const char *name;
        int code;
        const char *reason;
        size_t reason_len;
        bool ok;
    } rows[] = {
        {"a_code", 1000, "", 0, true},
        {"a_code_and_a_reason", 4999, "bye", 3, true},
        {"neither", 0, "", 0, true},
        {"a_reason_without_a_code", 0, "bye", 3, false},
        {"a_code_that_may_not_travel", 1005, "", 0, false},
        {"the_longest_reason", 1000, letters, WF_CLOSE_REASON_MAX, true},
        {"a_longer_reason", 1000, letters, WF_CLOSE_REASON_MAX + 1, false},
        {"a_reason_that_is_not_utf8", 1000, "\xff", 1, false},
        {"a_reason_that_ends_in_a_character", 1000, "\xe2\x82", 2, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_context("%s", rows[i].name);
        CHECK_EQ(wf_close_ok(rows[i].code, rows[i].reason, rows[i].reason_len), rows[i].ok);
    }
}

TEST(no_code_means_no_payload) {
    uint8_t out[WF_CONTROL_BYTES_MAX];
    CHECK_EQ(wf_close_encode(out, 0, NULL, 0), 0);
    CHECK_EQ(wf_close_encode(out, WF_CLOSE_NO_STATUS, "reason", 6), 0);
    CHECK_EQ(wf_close_encode(out, 1000, NULL, 0), 2);
}

/* ---- the byte at which text becomes impossible ---- */

/* RFC 3629 4: can these bytes be the beginning of a UTF8-octets? Sets *out_whole when they are one already. */
static bool can_begin(const uint8_t *s, size_t len, bool *out_whole) {
    size_t at = 0, want = 0;
    *out_whole = true;
    while (at < len) {
        uint8_t lead = s[at], low = 0x80, high = 0xBF;
        if (lead <= 0x7F)
            want = 0;
        else if (lead >= 0xC2 && lead <= 0xDF)
            want = 1;
        else if (lead >= 0xE0 && lead <= 0xEF)
            want = 2;
        else if (lead >= 0xF0 && lead <= 0xF4)
            want = 3;
        else
            return false;
        low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        for (at++; want > 0 && at < len; at++, want--, low = 0x80, high = 0xBF)
            if (s[at] < low || s[at] > high)
                return false;
    }
    *out_whole = want == 0;
    return true;
}

/* Text made mostly of what stands near an edge of UTF-8. */
static void random_text(uint64_t *seed, uint8_t *text, size_t len) {
    static const uint8_t edges[] = {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                    0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    for (size_t i = 0; i < len; i++) {
        uint64_t r = test_random(seed);
        text[i] = r % 4 == 0 ? (uint8_t)(r >> 8) : r % 4 == 1 ? 'a' : edges[(r >> 8) % sizeof edges];
    }
}

static int feed_all(wf_ws *ws, uint8_t *data, size_t len, wf_ws_event *out_event) {
    wf_ws_feed(ws, data, len);
    int got = wf_ws_next(ws, out_event);
    return got == WF_OK && out_event->kind == WF_WS_PING ? wf_ws_next(ws, out_event) : got;
}

/* One text message, a byte at a time, here and there a new fragment or a ping in between: the verdict comes
 * with the very byte after which no text is possible, or else at the end. */
static void check_verdict(wf_ws_role we, uint64_t *seed, uint8_t *text, size_t len) {
    uint8_t mask = we == WF_WS_SERVER ? 0x80 : 0;
    wf_ws ws;
    wf_ws_event event;
    wf_ws_init(&ws, we, &limits);
    bool begun = false, whole = true;
    for (size_t at = 0; at < len;) {
        size_t fragment = 1 + test_random(seed) % (len - at);
        bool fin = at + fragment == len;
        uint8_t head[6] = {(uint8_t)((fin ? 0x80 : 0) | (begun ? 0 : 1)), (uint8_t)(mask | fragment)};
        uint8_t ping[6] = {0x89, mask};
        begun = true;
        CHECK_EQ(feed_all(&ws, head, mask ? 6 : 2, &event), WF_WANT_INPUT);
        for (size_t end = at + fragment; at < end; at++) {
            uint8_t byte = text[at];
            int got = feed_all(&ws, &byte, 1, &event);
            bool possible = can_begin(text, at + 1, &whole);
            if (!possible || (at + 1 == len && !whole)) {
                CHECK_EQ(got, WF_ERROR);
                CHECK_EQ(wf_ws_fault(&ws).close_code, 1007);
                wf_ws_deinit(&ws);
                return;
            }
            CHECK_EQ(got, at + 1 == len ? WF_OK : WF_WANT_INPUT);
            if (got == WF_OK)
                CHECK_BYTES(event.data, event.len, text, len);
        }
        if (!fin && test_random(seed) % 2)
            CHECK_EQ(feed_all(&ws, ping, mask ? 6 : 2, &event), WF_WANT_INPUT);
    }
    wf_ws_deinit(&ws);
}

TEST(impossible_text_is_refused_at_the_very_byte) {
    uint64_t seed = 3;
    for (int round = 0; round < 30000; round++) {
        uint8_t text[12];
        size_t len = 1 + test_random(&seed) % sizeof text;
        random_text(&seed, text, len);
        test_context("round %d", round);
        check_verdict(round & 1 ? WF_WS_CLIENT : WF_WS_SERVER, &seed, text, len);
    }
}

TEST(every_two_bytes_and_then_a_letter_as_text) {
    uint64_t seed = 4;
    for (unsigned pair = 0; pair < 65536; pair++) {
        uint8_t text[3] = {(uint8_t)(pair >> 8), (uint8_t)pair, 'a'};
        test_context("%04x", pair);
        check_verdict(WF_WS_SERVER, &seed, text, 3);
        check_verdict(WF_WS_CLIENT, &seed, text, 2);
    }
    CHECK_EQ(test_mem_live(), 0);
}
