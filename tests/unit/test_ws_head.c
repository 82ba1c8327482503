/*
 * Frame heads as they come: the verdict and the frame are the same however the bytes are cut, and no byte behind the
 * one that condemns is asked for. wire.heads goes through all first bytes in a session.
 */
#include "base/status.h"
#include "test.h"
#include "ws/head.h"

typedef struct row {
    const char *name, *bytes;
    size_t len;
    wf_head_rules rules;
    const char *rule; /* NULL: good */
    size_t seen;      /* bytes after which it is known */
    uint64_t payload;
} row;

#define BYTES(text) text, sizeof(text) - 1
#define SERVER      .masked = true

static const row rows[] = {
    {"text", BYTES("\x81\x85key!"), {SERVER}, NULL, 6, 5},
    {"text of a server", BYTES("\x81\x05"), {0}, NULL, 2, 5},
    {"126", BYTES("\x82\xfe\x00\x7ekey!"), {SERVER}, NULL, 8, 126},
    {"65535", BYTES("\x82\xfe\xff\xffkey!"), {SERVER}, NULL, 8, 65535},
    {"65536", BYTES("\x82\xff\0\0\0\0\0\1\0\0key!"), {SERVER}, NULL, 14, 65536},
    {"2^63 - 1", BYTES("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), {0}, NULL, 10, INT64_MAX},
    {"2^63", BYTES("\x82\x7f\x80\0\0\0\0\0\0\0"), {0}, "RFC6455/5.2: top bit of the length is set", 10, 0},
    {"125 in 16 bits", BYTES("\x82\xfe\0\x7dkey!"), {SERVER}, "RFC6455/5.2: length is not in its shortest form", 8, 0},
    {"not masked", BYTES("\x81\x05"), {SERVER}, "RFC6455/5.1: client frame is not masked", 2, 0},
    {"masked", BYTES("\x81\x85key!"), {0}, "RFC6455/5.1: server frame is masked", 2, 0},
    {"opcode 3", BYTES("\x83\x80key!"), {SERVER}, "RFC6455/5.2: unknown opcode", 2, 0},
    {"opcode 11", BYTES("\x8b\x80key!"), {SERVER}, "RFC6455/5.2: unknown opcode", 2, 0},
    {"ping in a message", BYTES("\x89\x80key!"), {SERVER, .in_message = true}, NULL, 6, 0},
    {"ping of 126", BYTES("\x89\xfe\0\x7ekey!"), {SERVER}, "RFC6455/5.5: control frame over 125 bytes", 2, 0},
    {"half a ping", BYTES("\x09\x80key!"), {SERVER}, "RFC6455/5.5: fragmented control frame", 2, 0},
    {"more", BYTES("\x80\x81key!"), {SERVER, .in_message = true}, NULL, 6, 1},
    {"more of nothing", BYTES("\x80\x81key!"), {SERVER}, "RFC6455/5.4: continuation of nothing", 2, 0},
    {"text in a text",
     BYTES("\x81\x81key!"),
     {SERVER, .in_message = true},
     "RFC6455/5.4: new message inside a fragmented one",
     2,
     0},
    {"RSV1", BYTES("\xc1\x81key!"), {SERVER}, "RFC6455/5.2: reserved bit set with no extension negotiated", 2, 0},
    {"compressed", BYTES("\xc1\x81key!"), {SERVER, .deflates = true}, NULL, 6, 1},
    {"RSV2",
     BYTES("\xa1\x81key!"),
     {SERVER, .deflates = true},
     "RFC6455/5.2: reserved bit set that no extension uses",
     2,
     0},
    {"compressed ping",
     BYTES("\xc9\x80key!"),
     {SERVER, .deflates = true},
     "RFC7692/6.1: compressed mark on a control frame or a later fragment",
     2,
     0},
};

static void judged(const row *r, int got, const wf_frame *frame, const char *rule) {
    CHECK_EQ(got, r->rule ? WF_ERROR : WF_OK);
    CHECK_STR(rule ? rule : "good", r->rule ? r->rule : "good");
    if (r->rule || got != WF_OK)
        return;
    CHECK_EQ(frame->len, r->payload);
    CHECK_EQ(frame->opcode, r->bytes[0] & 15);
    CHECK_EQ(frame->masked, r->rules.masked);
    if (frame->masked)
        CHECK_BYTES(frame->key, 4, "key!", 4);
}

TEST(a_whole_head_is_read_where_it_lies) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const row *r = &rows[i];
        char text[32] = {0};
        memcpy(text, r->bytes, r->len);
        wf_head head = {0};
        wf_str input = {text, r->len + 7}; /* payload follows */
        wf_frame frame;
        const char *rule = NULL;
        test_context("%s", r->name);
        int got = wf_head_read(&head, &r->rules, &input, &frame, &rule);
        judged(r, got, &frame, rule);
        if (!r->rule)
            CHECK_EQ(input.len, 7);
    }
}

TEST(a_cut_head_gives_the_same_as_soon_as_it_can) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step < rows[i].len; step++) {
            const row *r = &rows[i];
            wf_head head = {0};
            wf_frame frame;
            const char *rule = NULL;
            int got = WF_WANT_INPUT;
            size_t at = 0, began = 0;
            test_context("%s", r->name);
            while (got == WF_WANT_INPUT && at < r->len) {
                size_t len = r->len - at < step ? r->len - at : step;
                began = at;
                wf_str input = {r->bytes + at, len};
                got = wf_head_read(&head, &r->rules, &input, &frame, &rule);
                if (got == WF_WANT_INPUT)
                    CHECK_EQ(input.len, 0);
                at += len;
            }
            judged(r, got, &frame, rule);
            CHECK(began < r->seen && at >= r->seen); /* by the piece with the byte that tells */
            if (got == WF_OK)
                CHECK_EQ(head.len, 0); /* ready for the next */
        }
}

static void whole_beside_read(const uint8_t *data, size_t len, bool masked) {
    wf_head head = {0};
    wf_head_rules rules = {.masked = masked};
    wf_str input = {(const char *)data, len};
    wf_frame frame;
    const char *rule;
    wf_whole whole = {0};
    bool good = wf_head_read(&head, &rules, &input, &frame, &rule) == WF_OK && frame.fin &&
                !wf_opcode_is_control(frame.opcode) && frame.len <= input.len;
    test_context("%02x %02x .. %02x, %zu bytes", data[0], data[1], data[3], len);
    CHECK_EQ(wf_head_whole(data, len, masked, &whole), good);
    if (!good)
        return;
    CHECK_EQ(whole.opcode, frame.opcode);
    CHECK_EQ(whole.len, frame.len);
    CHECK_EQ(whole.head_len, len - input.len);
}

/* What is taken as whole is a good head with its payload behind it, and an unfragmented message. */
TEST(what_is_whole_is_what_the_long_way_takes) {
    static const uint8_t seconds[] = {0, 1, 125, 126, 127, 128, 129, 253, 254, 255}, lows[] = {0, 1, 125, 126, 200};
    uint8_t data[300] = {0};
    for (unsigned first = 0; first < 256; first++)
        for (size_t i = 0; i < sizeof seconds; i++)
            for (size_t k = 0; k < sizeof lows; k++) {
                data[0] = (uint8_t)first, data[1] = seconds[i], data[3] = lows[k];
                for (size_t len = 1; len < sizeof data; len += len < 20 || (len > 120 && len < 145) ? 1 : 20) {
                    whole_beside_read(data, len, false);
                    whole_beside_read(data, len, true);
                }
            }
}

TEST(a_long_whole_frame_needs_its_64_bits) {
    static uint8_t data[14 + 65536] = {0x82, 0xff};
    for (uint64_t len = 65535; len <= 65536; len++)
        for (size_t cut = 0; cut < 2; cut++) {
            wf_store_be64(data + 2, len);
            whole_beside_read(data, 14 + (size_t)len - cut, true);
        }
}
