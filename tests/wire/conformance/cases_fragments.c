/*
 * Fragmentation (RFC 6455 5.4): a message in any number of frames, and everything that may not stand between them.
 */
#include "case.h"

#include <string.h>

static const char *kind(unsigned opcode) {
    return opcode == TEXT ? "text" : "binary";
}

/* Every message of up to 4 bytes under every cut into fragments: each bit of `cuts` is an end of a fragment. */
static void every_cut(suite *s) {
    for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
        for (unsigned len = 1; len <= 4; len++)
            for (unsigned cuts = 1; cuts < 1u << (len + 1); cuts++) {
                conf_case *c = case_begin(s, "fragments", "RFC6455/5.4", LEVEL_MUST, "%s of %u bytes, cut at %#x",
                                          kind(opcode), len, cuts);
                unsigned from = 0, first = opcode;
                for (unsigned at = 0; at <= len; at++)
                    if (cuts >> at & 1) {
                        case_frame(c, first, &"wxyz"[from], at - from);
                        from = at;
                        first = 0;
                    }
                case_frame(c, FIN | first, &"wxyz"[from], len - from);
                case_expect_message(c, opcode, "wxyz", len);
                case_end(s, c);
            }
}

/* A frame in one letter: Text, Binary, Continuation; capital with FIN. */
static unsigned first_of(char letter) {
    unsigned fin = letter < 'a' ? FIN : 0, low = (unsigned char)letter | 0x20u;
    return fin | (low == 't' ? TEXT : low == 'b' ? BINARY : 0u);
}

/* Frames of which the last may not stand where it stands; those before are good and are answered. */
static void orders(suite *s) {
    static const struct {
        const char *name, *frames;
    } rows[] = {
        {"a continuation of nothing", "C"},
        {"an unfinished continuation of nothing", "c"},
        {"a continuation after a whole text", "TC"},
        {"a continuation after a whole binary", "BC"},
        {"an unfinished continuation after a whole text", "Tc"},
        {"a continuation after a fragmented text", "tcCC"},
        {"an unfinished continuation after a fragmented binary", "bCc"},
        {"text in a text", "tT"},
        {"text in a binary", "bT"},
        {"binary in a text", "tB"},
        {"binary in a binary", "bB"},
        {"an unfinished text in a text", "tt"},
        {"an unfinished binary in a binary", "bb"},
        {"text in a text after a continuation", "tcT"},
        {"binary in a text after two continuations", "tccB"},
        {"text in the second message", "tCbCtcT"},
        {"a continuation after two messages", "BBC"},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (int pings = 0; pings < 2; pings++)
            for (size_t chop = 0; chop < 2; chop++) {
                conf_case *c = case_begin(s, "fragments", "RFC6455/5.4", LEVEL_MUST, "%s%s%s", rows[n].name,
                                          pings ? ", with pings" : "", chop ? ", byte by byte" : "");
                c->chop = chop;
                c->answers_may_be_lost = true;
                const char *frames = rows[n].frames;
                size_t count = strlen(frames), begun = 0;
                for (size_t i = 0; i < count; i++) {
                    case_frame(c, first_of(frames[i]), &"01234567"[i], 1);
                    if (pings && i + 1 < count)
                        case_frame(c, FIN | PING, &"01234567"[i], 1);
                }
                for (size_t i = 0; i + 1 < count; i++) {
                    if ((frames[i] | 0x20) != 'c')
                        begun = i;
                    if (first_of(frames[i]) & FIN)
                        case_expect_message(c, first_of(frames[begun]) & 15, &"01234567"[begun], i + 1 - begun);
                    if (pings)
                        case_expect_pong(c, &"01234567"[i], 1);
                }
                case_expect_close(c, 1002);
                case_end(s, c);
            }
}

/* Empty fragments in every place. */
static void empty_fragments(suite *s) {
    static const int counts[] = {1, 2, 10, 100, 1000};
    for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
        for (size_t n = 0; n < 5; n++)
            for (int full = 0; full < 2; full++) {
                conf_case *c = case_begin(s, "fragments", "RFC6455/5.4", LEVEL_MUST, "%d empty fragments of %s, %s",
                                          counts[n], kind(opcode), full ? "then a full one" : "and nothing else");
                for (int i = 0; i < counts[n]; i++)
                    case_frame(c, i == 0 ? opcode : 0, "", 0);
                case_frame(c, FIN, "full", full ? 4 : 0);
                case_expect_message(c, opcode, "full", full ? 4 : 0);
                case_end(s, c);
            }
}

/* Messages one after the other in one write, and cut where no frame ends. */
static void chops(suite *s) {
    for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
        for (size_t chop = 1; chop <= 24; chop++) {
            conf_case *c = case_begin(s, "fragments", "RFC6455/5.4", LEVEL_MUST,
                                      "three messages of %s with a ping, in chops of %zu", kind(opcode), chop);
            c->chop = chop;
            case_frame(c, FIN | opcode, "first", 5);
            case_frame(c, opcode, "se", 2);
            case_frame(c, FIN | PING, "?", 1);
            case_frame(c, 0, "co", 2);
            case_frame(c, FIN, "nd", 2);
            case_frame(c, FIN | opcode, "", 0);
            case_expect_message(c, opcode, "first", 5);
            case_expect_pong(c, "?", 1);
            case_expect_message(c, opcode, "second", 6);
            case_expect_message(c, opcode, "", 0);
            case_end(s, c);
        }
    conf_case *c = case_begin(s, "fragments", "RFC6455/5.4", LEVEL_MUST, "an unfinished message is not answered");
    case_frame(c, TEXT, "not yet", 7);
    case_frame(c, 0, "nor now", 7);
    case_expect_silence(c, 50);
    case_frame(c, FIN, "!", 1);
    case_expect_message(c, TEXT, "not yetnor now!", 15);
    case_end(s, c);
    c = case_begin(s, "fragments", "RFC6455/5.6", LEVEL_MUST, "binary and text keep their kind, in turns");
    for (int i = 0; i < 20; i++) {
        case_frame(c, FIN | (i % 2 ? TEXT : BINARY), "same", 4);
        case_expect_message(c, i % 2 ? TEXT : BINARY, "same", 4);
    }
    case_end(s, c);
}

void cases_fragments(suite *s) {
    every_cut(s);
    orders(s);
    empty_fragments(s);
    chops(s);
}
