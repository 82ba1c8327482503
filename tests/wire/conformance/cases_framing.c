/*
 * Frames as such: lengths in their three forms, keys, reserved bits, opcodes (RFC 6455 5.2, 5.3).
 */
#include "case.h"

#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {0,   1,    2,    3,    4,    5,     7,     8,     15,    16,    17,  31,
                               32,  33,   63,   64,   65,   124,   125,   126,   127,   128,   254, 255,
                               256, 1000, 4095, 4096, 4097, 65534, 65535, 65536, 65537, 131072};

static const char hello[] = "Hello, world";

/* Text and binary differ in more than the opcode: letters, or every byte there is. */
static uint8_t *payload_of(unsigned opcode, size_t len) {
    uint8_t *payload = malloc(len + 1);
    if (!payload)
        abort();
    for (size_t i = 0; i < len; i++)
        payload[i] = opcode == TEXT ? (uint8_t)('a' + i * 7 % 26) : (uint8_t)(i * 37 + i / 256);
    return payload;
}

static void lengths(suite *s) {
    static const size_t chops[] = {0, 997, 1};
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
            for (int chop = 0; chop < 3; chop++) {
                if (chops[chop] && (sizes[n] < chops[chop] || sizes[n] / chops[chop] > 1000))
                    continue;
                conf_case *c = case_begin(s, "framing", "RFC6455/5.2", LEVEL_MUST, "%s of %zu bytes, %s",
                                          opcode == TEXT ? "text" : "binary", sizes[n],
                                          chop == 0   ? "at once"
                                          : chop == 1 ? "in chops of 997"
                                                      : "byte by byte");
                uint8_t *payload = payload_of(opcode, sizes[n]);
                c->chop = chops[chop];
                case_frame(c, FIN | opcode, payload, sizes[n]);
                case_expect_echo(s, c, opcode, payload, sizes[n]);
                free(payload);
                case_end(s, c);
            }
}

/* A length that would fit a shorter form (5.2: "the minimal number of bytes MUST be used"), and the reserved top
 * bit. */
static void long_forms(suite *s) {
    static const struct {
        unsigned width;
        uint64_t len;
    } rows[] = {{2, 0}, {2, 1}, {2, 124}, {2, 125}, {8, 0}, {8, 1}, {8, 125}, {8, 126}, {8, 65534}, {8, 65535}};
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
            conf_case *c =
                case_begin(s, "framing", "RFC6455/5.2", LEVEL_MUST, "%llu bytes of %s, length in %u bytes",
                           (unsigned long long)rows[n].len, opcode == TEXT ? "text" : "binary", rows[n].width);
            uint8_t head[10] = {(uint8_t)(FIN | opcode),
                                (uint8_t)((c->masks ? 0x80 : 0) | (rows[n].width == 2 ? 126 : 127))};
            for (unsigned i = 0; i < rows[n].width; i++)
                head[2 + i] = (uint8_t)(rows[n].len >> 8 * (rows[n].width - 1 - i));
            case_send(c, head, 2 + rows[n].width);
            if (c->masks)
                case_send(c, "mask", 4);
            case_expect_close(c, 1002);
            case_end(s, c);
        }
    static const uint8_t tops[] = {0x80, 0xff, 0xc0};
    for (size_t n = 0; n < sizeof tops; n++) {
        conf_case *c =
            case_begin(s, "framing", "RFC6455/5.2", LEVEL_MUST, "a 64-bit length that begins with %02x", tops[n]);
        uint8_t head[14] = {FIN | BINARY, (uint8_t)(c->masks ? 0xff : 0x7f), tops[n], 0, 0, 0, 0, 0, 0, 5};
        case_send(c, head, c->masks ? 14 : 10);
        case_expect_close(c, 1002);
        case_end(s, c);
    }
}

static void keys(suite *s) {
    static const uint32_t rows[] = {0,          0xffffffff, 0x00000001, 0x80000000,
                                    0x37fa213d, 0x61616161, 0x000000ff, 0xff00ff00};
    if (!s->masks)
        return;
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (size_t len = 0; len <= 40; len += 13) {
            conf_case *c =
                case_begin(s, "framing", "RFC6455/5.3", LEVEL_MUST, "masking key %08x, %zu bytes", rows[n], len);
            uint8_t *payload = payload_of(BINARY, len);
            case_frame_keyed(c, FIN | BINARY, payload, len, rows[n]);
            case_expect_message(c, BINARY, payload, len);
            free(payload);
            case_end(s, c);
        }
}

/* Every kind of frame masked as it may not be; nothing of it may be delivered. */
static void masks(suite *s) {
    static const uint8_t firsts[] = {0x81, 0x82, 0x01, 0x02, 0x89, 0x8a, 0x88};
    for (size_t n = 0; n < sizeof firsts; n++)
        for (int empty = 0; empty < 2; empty++)
            for (int later = 0; later < 2; later++) {
                conf_case *c =
                    case_begin(s, "framing", "RFC6455/5.1", LEVEL_MUST, "%s%s frame %02x with the wrong masking",
                               later ? "after a message, " : "", empty ? "an empty" : "a", firsts[n]);
                if (later) {
                    case_frame(c, FIN | TEXT, hello, 5);
                    case_expect_message(c, TEXT, hello, 5);
                }
                case_frame_misused(c, firsts[n], "\x03\xe8", empty ? 0 : 2);
                case_expect_close(c, 1002);
                case_end(s, c);
            }
    conf_case *c = case_begin(s, "framing", "RFC6455/5.1", LEVEL_MUST, "the second fragment with the wrong masking");
    case_frame(c, TEXT, hello, 5);
    case_frame_misused(c, FIN, hello, 5);
    case_expect_close(c, 1002);
    case_end(s, c);
    c = case_begin(s, "framing", "RFC6455/5.1", LEVEL_STRICT, "wrong masking seen before the payload is there");
    case_send(c, c->masks ? "\x82\x7e\x10\x00" : "\x82\xfe\x10\x00", 4);
    case_expect_close(c, 1002);
    case_end(s, c);
}

/* Reserved bits that no extension gave a meaning, in every frame and in every place. */
static void reserved_bits(suite *s) {
    static const uint8_t opcodes[] = {0x81, 0x82, 0x01, 0x89, 0x8a, 0x88};
    for (unsigned bits = 1; bits < 8; bits++)
        for (size_t n = 0; n < sizeof opcodes; n++)
            for (int place = 0; place < 3; place++) {
                static const char *const places[] = {"first of all", "after a message", "between fragments"};
                if (place == 2 && (opcodes[n] & 8) == 0)
                    continue;
                conf_case *c = case_begin(s, "reserved bits", "RFC6455/5.2", LEVEL_MUST, "bits %u in a frame %02x, %s",
                                          bits, opcodes[n], places[place]);
                if (place == 1) {
                    case_frame(c, FIN | TEXT, hello, 5);
                    case_expect_message(c, TEXT, hello, 5);
                }
                if (place == 2)
                    case_frame(c, TEXT, hello, 5);
                case_frame(c, opcodes[n] | bits << 4, "\x03\xe8", 2);
                case_expect_close(c, 1002);
                case_end(s, c);
            }
    for (unsigned bits = 1; bits < 8; bits++)
        for (unsigned fin = 0; fin <= FIN; fin += FIN) {
            conf_case *c = case_begin(s, "reserved bits", "RFC6455/5.2", LEVEL_MUST, "bits %u in a %s continuation",
                                      bits, fin ? "final" : "middle");
            case_frame(c, BINARY, hello, 5);
            case_frame(c, fin | bits << 4, hello, 5);
            case_expect_close(c, 1002);
            case_end(s, c);
        }
}

/* 3-7 and b-f have no meaning (5.2). */
static void opcodes(suite *s) {
    static const char *const places[] = {"first of all", "after a message", "between fragments", "before a message"};
    for (unsigned opcode = 3; opcode <= 15; opcode++) {
        if (opcode >= 8 && opcode <= 10)
            continue;
        for (int place = 0; place < 4; place++)
            for (int full = 0; full < 2; full++) {
                conf_case *c = case_begin(s, "opcodes", "RFC6455/5.2", LEVEL_MUST, "opcode %x, %s, %s", opcode,
                                          full ? "with a payload" : "empty", places[place]);
                if (place == 1) {
                    case_frame(c, FIN | TEXT, hello, 5);
                    case_expect_message(c, TEXT, hello, 5);
                }
                if (place == 2)
                    case_frame(c, TEXT, hello, 5);
                case_frame(c, FIN | opcode, hello, full ? 5 : 0);
                if (place == 3)
                    case_frame(c, FIN | TEXT, hello, 5);
                case_expect_close(c, 1002);
                case_end(s, c);
            }
        conf_case *c = case_begin(s, "opcodes", "RFC6455/5.2", LEVEL_MUST, "opcode %x without FIN", opcode);
        case_frame(c, opcode, hello, 5);
        case_expect_close(c, 1002);
        case_end(s, c);
    }
}

void cases_framing(suite *s) {
    lengths(s);
    long_forms(s);
    keys(s);
    masks(s);
    reserved_bits(s);
    opcodes(s);
}
