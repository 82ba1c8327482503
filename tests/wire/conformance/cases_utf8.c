/*
 * UTF-8 (RFC 3629), as RFC 6455 8.1 asks it of text: made from the ranges of code points, not from a list of examples.
 *
 * A sequence is sent in several ways: in one frame between two letters, byte by byte in fragments of one byte, and
 * with chops of one byte on the wire. And what is impossible must be refused with 1007 as soon as its first
 * impossible byte is there, not when the message is whole: such a case sends nothing after that byte, and hears
 * nothing before it.
 */
#include "frames.h"

#include <stdio.h>
#include <string.h>

static const char *hex(const uint8_t *data, size_t len) {
    static char words[64];
    words[0] = '\0';
    for (size_t i = 0; i < len && i < 20; i++)
        snprintf(words + 2 * i, 3, "%02x", data[i]);
    return words;
}

/* Any number up to 2^31 in the pattern of `len` bytes, also where UTF-8 does not allow it. */
static void encode(uint32_t point, unsigned len, uint8_t *out) {
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc};
    for (unsigned i = len; i-- > 1; point >>= 6)
        out[i] = (uint8_t)(0x80 | (point & 0x3f));
    out[0] = (uint8_t)(leads[len] | point);
}

/* How many bytes it takes to see that this is no UTF-8; 0: it is, or may become so. */
static size_t impossible_at(const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        /* A beginning is possible when some end makes it whole: the ends of a character are at most three
         * continuations, and it is enough to try the least and the greatest of each. */
        bool possible = utf8_ok(data, i + 1);
        for (unsigned more = 1; more <= 3 && !possible; more++)
            for (unsigned pick = 0; pick < 1u << more && !possible; pick++) {
                uint8_t whole[64];
                memcpy(whole, data, i + 1);
                for (unsigned k = 0; k < more; k++)
                    whole[i + 1 + k] = pick >> k & 1 ? 0xbf : 0x80;
                possible = utf8_ok(whole, i + 1 + more);
            }
        if (!possible)
            return i + 1;
    }
    return 0;
}

typedef enum manner { IN_ONE_FRAME, IN_FRAGMENTS, IN_CHOPS, MANNER_COUNT } manner;

static const char *const manners[] = {"in one frame", "in fragments", "in chops"};

static void send_text(conf_case *c, const uint8_t *data, size_t len, manner how) {
    c->chop = how == IN_CHOPS;
    if (how != IN_FRAGMENTS) {
        case_frame(c, FIN | TEXT, data, len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        case_frame(c, (i == 0 ? TEXT : 0) | (i + 1 == len ? FIN : 0u), data + i, 1);
}

/* The sequence between two letters, or bare. */
static void one(suite *s, const char *group, const uint8_t *data, size_t len, manner how) {
    uint8_t text[64] = {'<'};
    memcpy(text + 1, data, len);
    text[1 + len] = '>';
    bool good = utf8_ok(text, len + 2);
    conf_case *c = case_begin(s, "utf-8", "RFC6455/8.1", LEVEL_MUST, "%s %s, %s", group, hex(data, len), manners[how]);
    send_text(c, text, len + 2, how);
    if (good)
        case_expect_message(c, TEXT, text, len + 2);
    else
        case_expect_close(c, 1007);
    case_end(s, c);
}

/* Up to the first impossible byte, of a frame that claims more or of a message that is to go on. */
static void fail_fast(suite *s, const char *group, const uint8_t *data, size_t len) {
    size_t at = impossible_at(data, len);
    for (int fragments = 0; fragments < 2 && at > 0; fragments++) {
        conf_case *c = case_begin(s, "utf-8 fail-fast", "RFC6455/8.1", LEVEL_STRICT, "%s %s refused at byte %zu%s",
                                  group, hex(data, len), at, fragments ? ", in fragments" : " of an unfinished frame");
        if (fragments) {
            case_frame(c, TEXT, "before", 6);
            case_frame(c, 0, data, at);
        } else {
            uint8_t head[6] = {FIN | TEXT, (uint8_t)((c->masks ? 0x80 : 0) | 100)};
            case_send(c, head, c->masks ? 6 : 2); /* the key is zero */
            if (at > 1) {
                case_send(c, data, at - 1);
                case_expect_silence(c, 15);
            }
            case_send(c, data + at - 1, 1);
        }
        case_expect_close(c, 1007);
        case_end(s, c);
    }
}

/* ---- the tables ---- */

/* First and last of each length and of each range that is cut out or ends. */
static void boundaries(suite *s) {
    static const struct {
        uint32_t point;
        unsigned len;
    } rows[] = {{0x00, 1},     {0x01, 1},    {0x7f, 1},    {0x80, 2},    {0x81, 2},    {0x7ff, 2},   {0x800, 3},
                {0x801, 3},    {0xfff, 3},   {0x1000, 3},  {0xcfff, 3},  {0xd000, 3},  {0xd7ff, 3},  {0xe000, 3},
                {0xfdd0, 3},   {0xfdef, 3},  {0xfeff, 3},  {0xfffd, 3},  {0xfffe, 3},  {0xffff, 3},  {0x10000, 4},
                {0x10001, 4},  {0x1fffe, 4}, {0x1ffff, 4}, {0x2fffe, 4}, {0x2ffff, 4}, {0x3fffe, 4}, {0x3ffff, 4},
                {0x4ffff, 4},  {0x5fffe, 4}, {0x6ffff, 4}, {0x7fffe, 4}, {0x8ffff, 4}, {0x9fffe, 4}, {0xaffff, 4},
                {0xbfffe, 4},  {0xcffff, 4}, {0xdfffe, 4}, {0xeffff, 4}, {0xffffe, 4}, {0xfffff, 4}, {0x100000, 4},
                {0x10fffe, 4}, {0x10ffff, 4}};
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (manner how = 0; how < MANNER_COUNT; how++) {
            uint8_t data[4];
            encode(rows[n].point, rows[n].len, data);
            one(s, rows[n].len == 1 ? "ASCII" : "code point", data, rows[n].len, how);
        }
}

/* A number in more bytes than it needs, or beyond what there is. */
static void bad_numbers(suite *s) {
    static const struct {
        const char *group;
        uint32_t point;
        unsigned len;
    } rows[] = {
        {"overlong", 0x00, 2},    {"overlong", 0x2f, 2},      {"overlong", 0x40, 2},     {"overlong", 0x7f, 2},
        {"overlong", 0x00, 3},    {"overlong", 0x2f, 3},      {"overlong", 0x7f, 3},     {"overlong", 0x80, 3},
        {"overlong", 0x7ff, 3},   {"overlong", 0x00, 4},      {"overlong", 0x2f, 4},     {"overlong", 0x7ff, 4},
        {"overlong", 0x800, 4},   {"overlong", 0xd800, 4},    {"overlong", 0xffff, 4},   {"overlong", 0x00, 5},
        {"overlong", 0x2f, 5},    {"overlong", 0xffff, 5},    {"overlong", 0x1fffff, 5}, {"overlong", 0x00, 6},
        {"overlong", 0x2f, 6},    {"overlong", 0x3ffffff, 6}, {"surrogate", 0xd800, 3},  {"surrogate", 0xd801, 3},
        {"surrogate", 0xdb7f, 3}, {"surrogate", 0xdb80, 3},   {"surrogate", 0xdbff, 3},  {"surrogate", 0xdc00, 3},
        {"surrogate", 0xdf80, 3}, {"surrogate", 0xdfff, 3},   {"beyond", 0x110000, 4},   {"beyond", 0x110001, 4},
        {"beyond", 0x13ffff, 4},  {"beyond", 0x140000, 4},    {"beyond", 0x1fffff, 4},   {"beyond", 0x200000, 5},
        {"beyond", 0x3ffffff, 5}, {"beyond", 0x4000000, 6},   {"beyond", 0x7fffffff, 6},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        uint8_t data[6];
        encode(rows[n].point, rows[n].len, data);
        for (manner how = 0; how < MANNER_COUNT; how++)
            one(s, rows[n].group, data, rows[n].len, how);
        fail_fast(s, rows[n].group, data, rows[n].len);
    }
    static const uint16_t pairs[][2] = {{0xd800, 0xdc00}, {0xd800, 0xdfff}, {0xdb7f, 0xdc00}, {0xdb80, 0xdfff},
                                        {0xdbff, 0xdc00}, {0xdbff, 0xdfff}, {0xdc00, 0xd800}};
    for (size_t n = 0; n < sizeof pairs / sizeof *pairs; n++) {
        uint8_t data[6];
        encode(pairs[n][0], 3, data);
        encode(pairs[n][1], 3, data + 3);
        for (manner how = 0; how < MANNER_COUNT; how++)
            one(s, "surrogate pair", data, 6, how);
    }
}

/* Each byte that can begin nothing. */
static void bad_leads(suite *s) {
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        if (lead >= 0xc2 && lead <= 0xf4)
            continue;
        uint8_t data[] = {(uint8_t)lead, 0x80, 0x80, 0x80};
        one(s, "lead byte", data, 1, IN_ONE_FRAME);
        one(s, "lead byte and continuations", data, 4, lead & 1 ? IN_CHOPS : IN_FRAGMENTS);
        fail_fast(s, "lead byte", data, 1);
    }
}

/* One good character of each shape; each of its bytes replaced by what cannot stand there, and each of its
 * beginnings. */
static void broken_characters(suite *s) {
    static const char *const good[] = {"\xc2\x80",         "\xdf\xbf",         "\xe0\xa0\x80",
                                       "\xe1\x80\x80",     "\xed\x9f\xbf",     "\xee\x80\x80",
                                       "\xf0\x90\x80\x80", "\xf1\x80\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const uint8_t bad[] = {0x00, 0x41, 0x7f, 0xc0, 0xc2, 0xe1, 0xf4, 0xff};
    for (size_t n = 0; n < sizeof good / sizeof *good; n++) {
        size_t len = strlen(good[n]);
        uint8_t data[4];
        for (size_t at = 1; at < len; at++) {
            for (size_t b = 0; b < sizeof bad; b++) {
                memcpy(data, good[n], len);
                data[at] = bad[b];
                one(s, "not a continuation", data, len, (manner)((at + b) % MANNER_COUNT));
                if (b % 3 == 0)
                    fail_fast(s, "not a continuation", data, len);
            }
            one(s, "cut", (const uint8_t *)good[n], at, IN_ONE_FRAME);
        }
        /* A message that ends inside a character. */
        for (size_t at = 1; at < len; at++)
            for (int fragments = 0; fragments < 2; fragments++) {
                conf_case *c = case_begin(s, "utf-8", "RFC6455/8.1", LEVEL_MUST, "%s ends after %zu of %zu bytes%s",
                                          hex((const uint8_t *)good[n], len), at, len,
                                          fragments ? ", in an empty last fragment" : "");
                case_frame(c, fragments ? TEXT : FIN | TEXT, good[n], at);
                if (fragments)
                    case_frame(c, FIN, "", 0);
                case_expect_close(c, 1007);
                case_end(s, c);
            }
    }
    /* The second byte after each lead that narrows it. */
    static const uint8_t narrow[][2] = {{0xe0, 0x9f}, {0xe0, 0x80}, {0xed, 0xa0}, {0xed, 0xbf},
                                        {0xf0, 0x8f}, {0xf0, 0x80}, {0xf4, 0x90}, {0xf4, 0xbf}};
    for (size_t n = 0; n < sizeof narrow / sizeof *narrow; n++)
        fail_fast(s, "second byte", narrow[n], 2);
}

/* A text with characters of all lengths, cut everywhere: into two fragments, and with a ping in the cut. */
static void cuts(suite *s) {
    static const char text[] = "a\xc2\xa2\xe2\x82\xac\xf0\x90\x8d\x88z\xd0\xb6\xed\x9f\xbf\xf4\x8f\xbf\xbf.";
    size_t len = sizeof text - 1;
    for (size_t at = 0; at <= len; at++)
        for (int pings = 0; pings < 2; pings++) {
            conf_case *c = case_begin(s, "utf-8", "RFC6455/8.1", LEVEL_MUST, "characters cut at %zu%s", at,
                                      pings ? ", with a ping" : "");
            case_frame(c, TEXT, text, at);
            if (pings) {
                case_frame(c, FIN | PING, "\xff", 1);
                case_expect_pong(c, "\xff", 1);
            }
            case_frame(c, FIN, text + at, len - at);
            case_expect_message(c, TEXT, text, len);
            case_end(s, c);
        }
}

/* Long texts whose one bad byte is far in: whatever checks many bytes at once must see it in every place of its
 * block. */
static void far_in(suite *s) {
    for (size_t at = 0; at < 70; at++)
        for (int kind = 0; kind < 2; kind++) {
            char text[200];
            memset(text, 'x', sizeof text);
            text[at + 60] = (char)(kind ? 0xff : 0x80);
            conf_case *c = case_begin(s, "utf-8", "RFC6455/8.1", LEVEL_MUST, "%02x after %zu letters",
                                      kind ? 0xff : 0x80, at + 60);
            case_frame(c, FIN | TEXT, text, sizeof text);
            case_expect_close(c, 1007);
            case_end(s, c);
        }
    for (size_t at = 0; at < 70; at += 3) {
        char text[200];
        memset(text, 'x', sizeof text);
        memcpy(text + at + 60, "\xf0\x9f\x91\x8b", 4);
        conf_case *c = case_begin(s, "utf-8", "RFC6455/8.1", LEVEL_MUST, "a character after %zu letters", at + 60);
        case_frame(c, FIN | TEXT, text, sizeof text);
        case_expect_message(c, TEXT, text, sizeof text);
        case_end(s, c);
    }
}

/* A violation in the second message, and text that is bad but binary. */
static void around(suite *s) {
    conf_case *c = case_begin(s, "utf-8", "RFC6455/8.1", LEVEL_MUST, "a good text, then a bad one");
    c->answers_may_be_lost = true;
    case_frame(c, FIN | TEXT, "κόσμε", 10);
    case_frame(c, FIN | TEXT, "\xce", 1);
    case_expect_message(c, TEXT, "κόσμε", 10);
    case_expect_close(c, 1007);
    case_end(s, c);
    c = case_begin(s, "utf-8", "RFC6455/5.6", LEVEL_MUST, "a binary may be no UTF-8, in fragments too");
    case_frame(c, BINARY, "\xff\xc0", 2);
    case_frame(c, FIN, "\xed\xa0\x80", 3);
    case_expect_message(c, BINARY, "\xff\xc0\xed\xa0\x80", 5);
    case_end(s, c);
    c = case_begin(s, "utf-8", "RFC6455/8.1", LEVEL_MUST, "a half character does not reach into the next message");
    c->answers_may_be_lost = true;
    case_frame(c, FIN | BINARY, "\xe2\x82", 2);
    case_frame(c, FIN | TEXT, "\xac", 1);
    case_expect_message(c, BINARY, "\xe2\x82", 2);
    case_expect_close(c, 1007);
    case_end(s, c);
}

void cases_utf8(suite *s) {
    boundaries(s);
    bad_numbers(s);
    bad_leads(s);
    broken_characters(s);
    cuts(s);
    far_in(s);
    around(s);
}
