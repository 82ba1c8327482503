/*
 * Sizes: messages up to 16 MB in one frame, in many, in small writes; many messages; and what is over the limit,
 * refused before it is there (RFC 6455 7.4.1, 10.4). A size over the endpoint's limit is expected to be refused with
 * 1009.
 */
#include "case.h"

#include <stdlib.h>
#include <string.h>

enum { KB = 1 << 10, MB = 1 << 20 };

static const char *kind(unsigned opcode) {
    return opcode == TEXT ? "text" : "binary";
}

static uint8_t *fill(unsigned opcode, size_t len) {
    uint8_t *data = malloc(len + 1);
    if (!data)
        abort();
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = opcode == TEXT ? (uint8_t)(' ' + (x >> 24) % 95) : (uint8_t)(x >> 24);
    }
    return data;
}

/* An endpoint may limit the fragments of a message; the best limit only what costs more than its bytes. */
static conf_case *begin_sized(suite *s, const char *what, unsigned opcode, size_t len, size_t part) {
    if (part)
        return case_begin(s, "limits", "RFC6455/5.4", len / part < 10000 ? LEVEL_MUST : LEVEL_STRICT,
                          "%s of %zu bytes, %s %zu", kind(opcode), len, what, part);
    return case_begin(s, "limits", "RFC6455/5.2", LEVEL_MUST, "%s of %zu bytes, %s", kind(opcode), len, what);
}

static void end_sized(suite *s, conf_case *c, unsigned opcode, uint8_t *data, size_t len) {
    case_expect_echo(s, c, opcode, data, len);
    free(data);
    case_end(s, c);
}

static void sizes(suite *s) {
    static const size_t lens[] = {64 * KB, 256 * KB, MB, 4 * MB, 8 * MB, 16 * MB};
    for (size_t n = 0; n < sizeof lens / sizeof *lens; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
            conf_case *c = begin_sized(s, "in one frame", opcode, lens[n], 0);
            uint8_t *data = fill(opcode, lens[n]);
            case_message(c, opcode, data, lens[n], 0);
            end_sized(s, c, opcode, data, lens[n]);
        }
    for (size_t part = 64; part <= 4 * MB; part *= 4)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
            conf_case *c = begin_sized(s, "in fragments of", opcode, 4 * MB, part);
            uint8_t *data = fill(opcode, 4 * MB);
            case_message(c, opcode, data, 4 * MB, part);
            end_sized(s, c, opcode, data, 4 * MB);
        }
    for (size_t part = 64; part <= 2048; part *= 2)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
            conf_case *c = begin_sized(s, "in chops of", opcode, MB, part);
            uint8_t *data = fill(opcode, MB);
            c->chop = part;
            case_message(c, opcode, data, MB, 0);
            end_sized(s, c, opcode, data, MB);
        }
}

/* A sender that fragments by itself: parts that fit no block, of a message that they do not divide. */
static void auto_fragmentation(suite *s) {
    static const size_t parts[] = {1, 2, 3, 125, 126, 127, 1300, 1460, 4095, 4097, 65535, 65536};
    for (size_t n = 0; n < sizeof parts / sizeof *parts; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
            size_t len = parts[n] < 125 ? 5000 : 65536 + 1;
            conf_case *c = begin_sized(s, "fragmented at", opcode, len, parts[n]);
            uint8_t *data = fill(opcode, len);
            case_message(c, opcode, data, len, parts[n]);
            end_sized(s, c, opcode, data, len);
        }
    conf_case *c = begin_sized(s, "65,537 fragments of", BINARY, (size_t)65537 * 64, 64);
    uint8_t *data = fill(BINARY, (size_t)65537 * 64);
    case_message(c, BINARY, data, (size_t)65537 * 64, 64);
    end_sized(s, c, BINARY, data, (size_t)65537 * 64);
}

/* One after the other, each echoed before the next; and all in one write. */
static void many(suite *s) {
    static const size_t lens[] = {0, 16, 64, 256, 1024, 4096, 16384};
    for (size_t n = 0; n < sizeof lens / sizeof *lens; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
            for (int at_once = 0; at_once < 2; at_once++) {
                int count = at_once ? 200 : 500;
                conf_case *c = case_begin(s, "limits", "RFC6455/5.6", LEVEL_MUST, "%d messages of %s, %zu bytes, %s",
                                          count, kind(opcode), lens[n], at_once ? "at once" : "one by one");
                uint8_t *data = fill(opcode, lens[n] + 500);
                for (int i = 0; i < count; i++) {
                    case_frame(c, FIN | opcode, data + i, lens[n]);
                    if (!at_once)
                        case_expect_message(c, opcode, data + i, lens[n]);
                }
                for (int i = 0; i < count && at_once; i++)
                    case_expect_message(c, opcode, data + i, lens[n]);
                free(data);
                case_end(s, c);
            }
}

/* The head of a frame that claims `len` bytes, and of these the first few. */
static void claim(conf_case *c, unsigned first, uint64_t len, size_t few) {
    bool masks = c->masks;
    size_t width = len < 126 ? 0 : len < 65536 ? 2 : 8;
    uint8_t head[14] = {(uint8_t)first, (uint8_t)((masks ? 0x80 : 0) | (width == 0 ? len : width == 2 ? 126 : 127))};
    for (size_t i = 0; i < width; i++)
        head[2 + i] = (uint8_t)(len >> 8 * (width - 1 - i));
    case_send(c, head, 2 + width + (masks ? 4 : 0)); /* the key is zero */
    for (size_t i = 0; i < few; i++)
        case_send(c, "x", 1);
}

/* Too large is known by the head: no byte of the payload is there, and none is waited for. */
static void over(suite *s) {
    const uint64_t claims[] = {s->limit + 1,     s->limit + 2, s->limit * 2, 1ull << 31, 1ull << 32,
                               (1ull << 32) + 5, 1ull << 40,   1ull << 53,   1ull << 62, (1ull << 63) - 1};
    for (size_t n = 0; n < sizeof claims / sizeof *claims; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
            for (int fin = 0; fin < 2; fin++) {
                conf_case *c = case_begin(s, "limits", "RFC6455/7.4.1", LEVEL_STRICT, "%s%s that claims %llu bytes",
                                          kind(opcode), fin ? "" : ", unfinished,", (unsigned long long)claims[n]);
                claim(c, (fin ? FIN : 0) | opcode, claims[n], 0);
                case_expect_close(c, 1009);
                case_end(s, c);
            }
    /* The limit is the message's, not the frame's. */
    static const size_t firsts[] = {1, 2, 100};
    for (size_t n = 0; n < 3; n++) {
        conf_case *c = case_begin(s, "limits", "RFC6455/7.4.1", LEVEL_STRICT,
                                  "%zu bytes, then a fragment that is too many", firsts[n]);
        claim(c, BINARY, firsts[n], firsts[n]);
        claim(c, FIN, s->limit + 1 - firsts[n], 0);
        case_expect_close(c, 1009);
        case_end(s, c);
        c = case_begin(s, "limits", "RFC6455/7.4.1", LEVEL_STRICT, "%zu bytes, then a fragment whose sum overflows",
                       firsts[n]);
        claim(c, BINARY, firsts[n], firsts[n]);
        claim(c, 0, (1ull << 63) - 1, 0);
        case_expect_close(c, 1009);
        case_end(s, c);
    }
    conf_case *c =
        case_begin(s, "limits", "RFC6455/7.4.1", LEVEL_STRICT, "a message of small fragments that becomes too long");
    uint8_t *data = fill(BINARY, 64 * KB);
    uint64_t sum = 0;
    for (; sum + 64 * KB <= s->limit; sum += 64 * KB)
        case_frame(c, sum == 0 ? BINARY : 0, data, 64 * KB);
    case_frame(c, sum == 0 ? BINARY : 0, data, (size_t)(s->limit - sum) + 1);
    free(data);
    case_expect_close(c, 1009);
    case_end(s, c);
    for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
        for (int more = 0; more < 2; more++) {
            size_t len = (size_t)s->limit + (size_t)more;
            c = begin_sized(s, more ? "one more than the limit" : "the limit", opcode, len, 0);
            data = fill(opcode, len);
            case_message(c, opcode, data, len, 0);
            end_sized(s, c, opcode, data, len);
        }
}

void cases_limits(suite *s) {
    sizes(s);
    auto_fragmentation(s);
    many(s);
    over(s);
}
