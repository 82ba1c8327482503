/*
 * Pings and pongs (RFC 6455 5.5): answered each with its own payload, in any place, however many come at once.
 */
#include "case.h"

#include <string.h>

static uint8_t pattern[256];

static void payloads(suite *s) {
    for (size_t len = 0; len <= 125; len++) {
        conf_case *c = case_begin(s, "control", "RFC6455/5.5.2", LEVEL_MUST, "ping of %zu bytes", len);
        case_frame(c, FIN | PING, pattern + 64, len);
        case_expect_pong(c, pattern + 64, len);
        case_end(s, c);
    }
    static const size_t too_long[] = {126, 127, 200, 256};
    static const uint8_t opcodes[] = {PING, PONG, CLOSE};
    uint8_t too_much[256] = {0x03, 0xe8}; /* code 1000 and a reason, were it a close frame */
    memset(too_much + 2, 'r', sizeof too_much - 2);
    for (size_t n = 0; n < 4; n++)
        for (size_t k = 0; k < 3; k++)
            for (size_t chop = 0; chop < 2; chop++) {
                conf_case *c = case_begin(s, "control", "RFC6455/5.5", LEVEL_MUST, "opcode %x with %zu bytes%s",
                                          opcodes[k], too_long[n], chop ? ", byte by byte" : "");
                c->chop = chop;
                case_frame(c, FIN | opcodes[k], too_much, too_long[n]);
                case_expect_close(c, 1002);
                case_end(s, c);
            }
    conf_case *c =
        case_begin(s, "control", "RFC6455/5.5", LEVEL_STRICT, "a ping of 126 bytes refused by its head alone");
    case_send(c, c->masks ? "\x89\xfe\x00\x7e" : "\x89\x7e\x00\x7e", 4);
    case_expect_close(c, 1002);
    case_end(s, c);
}

static void fragmented(suite *s) {
    for (unsigned opcode = CLOSE; opcode <= PONG; opcode++)
        for (size_t len = 0; len <= 4; len += 2)
            for (int inside = 0; inside < 2; inside++) {
                conf_case *c = case_begin(s, "control", "RFC6455/5.5", LEVEL_MUST, "opcode %x without FIN, %zu bytes%s",
                                          opcode, len, inside ? ", in a message" : "");
                if (inside)
                    case_frame(c, TEXT, "abc", 3);
                case_frame(c, opcode, "\x03\xe8hi", len);
                case_expect_close(c, 1002);
                case_end(s, c);
            }
}

/* Many in a row, one write or one byte a write: each is answered, in order. */
static void many(suite *s) {
    static const int counts[] = {2, 3, 10, 100, 1000};
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
        for (int mode = 0; mode < 3; mode++) {
            static const char *const modes[] = {"at once", "in chops of 13", "of 125 bytes"};
            conf_case *c = case_begin(s, "control", "RFC6455/5.5.3", counts[n] > 10 ? LEVEL_STRICT : LEVEL_MUST,
                                      "%d pings, %s", counts[n], modes[mode]);
            uint8_t payload[125] = {0};
            size_t len = mode == 2 ? 125 : 8;
            c->chop = mode == 1 ? 13 : 0;
            c->pongs_may_be_left_out = counts[n] > 10;
            for (int i = 0; i < counts[n]; i++) {
                memcpy(payload, &i, sizeof i);
                case_frame(c, FIN | PING, payload, len);
            }
            for (int i = 0; i < counts[n]; i++) {
                memcpy(payload, &i, sizeof i);
                case_expect_pong(c, payload, len);
            }
            case_end(s, c);
        }
}

/* A pong that answers nothing is no error, and is not answered (5.5.3). */
static void pongs(suite *s) {
    for (size_t len = 0; len <= 125; len += 25)
        for (int count = 1; count <= 10; count += 9) {
            conf_case *c = case_begin(s, "control", "RFC6455/5.5.3", LEVEL_MUST,
                                      "%d pongs of %zu bytes nobody asked for", count, len);
            for (int i = 0; i < count; i++)
                case_frame(c, FIN | PONG, pattern, len);
            case_expect_silence(c, 20);
            case_frame(c, FIN | PING, "still there?", 12);
            case_expect_pong(c, "still there?", 12);
            case_end(s, c);
        }
    conf_case *c = case_begin(s, "control", "RFC6455/5.5.3", LEVEL_MUST, "a pong between fragments");
    case_frame(c, TEXT, "frag", 4);
    case_frame(c, FIN | PONG, "unasked", 7);
    case_frame(c, FIN, "ments", 5);
    case_expect_message(c, TEXT, "fragments", 9);
    case_end(s, c);
}

/* A ping in every gap of a fragmented message, answered before the message is whole (5.4). */
static void between_fragments(suite *s) {
    for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
        for (int parts = 2; parts <= 6; parts++)
            for (int waits = 0; waits < 2; waits++) {
                conf_case *c =
                    case_begin(s, "control", "RFC6455/5.4", LEVEL_MUST, "pings between %d fragments of %s, %s", parts,
                               opcode == TEXT ? "text" : "binary", waits ? "one by one" : "at once");
                for (int i = 0; i < parts; i++) {
                    case_frame(c, (i == 0 ? opcode : 0) | (i == parts - 1 ? FIN : 0u), &"abcdef"[i], 1);
                    if (i == parts - 1)
                        break;
                    case_frame(c, FIN | PING, &(char) {(char)('0' + i)}, 1);
                    if (waits)
                        case_expect_pong(c, &(char) {(char)('0' + i)}, 1);
                }
                for (int i = 0; i < parts - 1 && !waits; i++)
                    case_expect_pong(c, &(char) {(char)('0' + i)}, 1);
                case_expect_message(c, opcode, "abcdef", (size_t)parts);
                case_end(s, c);
            }
    for (size_t len = 0; len <= 125; len += 25) {
        conf_case *c = case_begin(s, "control", "RFC6455/5.4", LEVEL_MUST,
                                  "a ping of %zu bytes inside a message, byte by byte", len);
        c->chop = 1;
        case_frame(c, BINARY, pattern, 100);
        case_frame(c, FIN | PING, pattern, len);
        case_frame(c, FIN, pattern + 100, 100);
        case_expect_pong(c, pattern, len);
        case_expect_message(c, BINARY, pattern, 200);
        case_end(s, c);
    }
}

/* Around other things: a ping before a message, after one, and one whose answer comes before the echo of what
 * follows. */
static void around(suite *s) {
    static const char *const kinds[] = {"text", "binary"};
    for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
        conf_case *c =
            case_begin(s, "control", "RFC6455/5.5.2", LEVEL_MUST, "ping, %s, ping, at once", kinds[opcode - 1]);
        case_frame(c, FIN | PING, "1", 1);
        case_frame(c, FIN | opcode, "message", 7);
        case_frame(c, FIN | PING, "2", 1);
        case_expect_pong(c, "1", 1);
        case_expect_message(c, opcode, "message", 7);
        case_expect_pong(c, "2", 1);
        case_end(s, c);
    }
    conf_case *c = case_begin(s, "control", "RFC6455/5.5.2", LEVEL_MUST, "a ping whose payload is not UTF-8");
    case_frame(c, FIN | PING, "\xff\xfe\xc0", 3);
    case_expect_pong(c, "\xff\xfe\xc0", 3);
    case_end(s, c);
}

void cases_control(suite *s) {
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 11 + 3);
    payloads(s);
    fragmented(s);
    many(s);
    pongs(s);
    between_fragments(s);
    around(s);
}
