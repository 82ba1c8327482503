/*
 * The closing handshake (RFC 6455 5.5.1, 7): which codes may travel, what a reason may be, and that nothing comes
 * after.
 */
#include "case.h"

#include <string.h>

/* 7.4: 1000-1003 and 1007-1011; 1012-1014 are in the registry; 3000-4999 are free for all. */
static bool may_travel(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void one_code(suite *s, int code, const char *reason) {
    conf_case *c =
        case_begin(s, "close codes", "RFC6455/7.4", LEVEL_MUST, "code %d%s", code, *reason ? " with a reason" : "");
    case_close(c, code, reason, strlen(reason));
    case_expect_close(c, may_travel(code) ? code : 1002);
    case_end(s, c);
}

/* 1005 as a number, which case_close has for none. */
static void code_1005(suite *s) {
    conf_case *c = case_begin(s, "close codes", "RFC6455/7.4.1", LEVEL_MUST, "code 1005, which may not travel");
    case_frame(c, FIN | CLOSE, "\x03\xed", 2);
    case_expect_close(c, 1002);
    case_end(s, c);
}

static void codes(suite *s) {
    static const int rows[] = {0,    1,    2,    100,  125,  255,  256,   500,   998,   999,   1024,  1100, 1499, 1500,
                               1998, 1999, 2000, 2001, 2500, 2998, 2999,  3000,  3001,  3500,  3998,  3999, 4000, 4001,
                               4500, 4998, 4999, 5000, 5001, 9999, 16384, 32767, 32768, 65533, 65534, 65535};
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        one_code(s, rows[n], "");
        one_code(s, rows[n], "because");
    }
    for (int code = 1000; code <= 1020; code++)
        if (code != 1005) {
            one_code(s, code, "");
            one_code(s, code, "because");
        }
    for (int code = 3000; code < 5000; code += 101)
        one_code(s, code, "");
    code_1005(s);
}

static void bodies(suite *s) {
    conf_case *c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "a close frame without a body");
    case_close(c, 1005, "", 0);
    case_expect_close(c, 1005);
    case_end(s, c);
    for (unsigned byte = 0; byte < 256; byte += 51) {
        c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "a body of one byte, %02x", byte);
        case_frame(c, FIN | CLOSE, &(uint8_t) {(uint8_t)byte}, 1);
        case_expect_close(c, 1002);
        case_end(s, c);
    }
    char reason[124];
    memset(reason, 'r', sizeof reason);
    for (size_t len = 0; len <= 124; len += len < 8 || len >= 116 ? 1 : 9) {
        c = case_begin(s, "close", "RFC6455/5.5", LEVEL_MUST, "a reason of %zu bytes", len);
        case_close(c, 1000, reason, len);
        case_expect_close(c, len > 123 ? 1002 : 1000);
        case_end(s, c);
    }
}

static void reasons(suite *s) {
    static const struct {
        const char *name, *text;
        bool good;
    } rows[] = {
        {"Greek", "κόσμε", true},
        {"four-byte characters", "\xf0\x9f\x91\x8b\xf4\x8f\xbf\xbf", true},
        {"U+FFFE and U+FFFF", "\xef\xbf\xbe\xef\xbf\xbf", true},
        {"ff", "\xff", false},
        {"a lone continuation", "\x80", false},
        {"an overlong slash", "\xc0\xaf", false},
        {"a surrogate", "\xed\xa0\x80", false},
        {"a character cut at the end", "abc\xe2\x82", false},
        {"beyond U+10FFFF", "\xf4\x90\x80\x80", false},
        {"Latin-1", "caf\xe9!", false},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (size_t chop = 0; chop < 2; chop++) {
            conf_case *c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "the reason is %s%s", rows[n].name,
                                      chop ? ", byte by byte" : "");
            c->chop = chop;
            case_close(c, 1000, rows[n].text, strlen(rows[n].text));
            case_expect_close(c, rows[n].good ? 1000 : 1007);
            case_end(s, c);
        }
}

/* "The application MUST NOT send any more data frames after sending a Close frame", and who got one may pass over what
 * follows. What came before is answered. */
static void after(suite *s) {
    static const struct {
        const char *name;
        uint8_t first;
        const char *payload;
    } rows[] = {{"a text", 0x81, "late"},     {"a binary", 0x82, "late"},          {"a ping", 0x89, "late"},
                {"a pong", 0x8a, "late"},     {"an unknown opcode", 0x83, "late"}, {"bad UTF-8", 0x81, "\xff\xff"},
                {"a fragment", 0x01, "late"}, {"a reserved bit", 0xc1, "late"}};
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (int before = 0; before < 2; before++) {
            conf_case *c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "%s after the close frame%s",
                                      rows[n].name, before ? ", and a message before" : "");
            if (before)
                case_frame(c, FIN | TEXT, "in time", 7);
            case_close(c, 1001, "", 0);
            case_frame(c, rows[n].first, rows[n].payload, strlen(rows[n].payload));
            if (before)
                case_expect_message(c, TEXT, "in time", 7);
            case_expect_close(c, 1001);
            case_end(s, c);
        }
    conf_case *c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "two close frames are answered once");
    case_close(c, 1000, "one", 3);
    case_close(c, 1001, "two", 3);
    case_expect_close(c, 1000);
    case_end(s, c);
    for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
        c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "a close frame ends an unfinished %s",
                       opcode == TEXT ? "text" : "binary");
        case_frame(c, opcode, "not whole", 9);
        case_close(c, 1000, "", 0);
        case_expect_close(c, 1000);
        case_end(s, c);
    }
    c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "a close frame inside a character of a text");
    case_frame(c, TEXT, "\xe2\x82", 2);
    case_close(c, 1000, "", 0);
    case_expect_close(c, 1000);
    case_end(s, c);
    c = case_begin(s, "close", "RFC6455/5.5.1", LEVEL_MUST, "pings, then close: all answered");
    for (int i = 0; i < 10; i++)
        case_frame(c, FIN | PING, "p", 1);
    case_close(c, 4321, "done", 4);
    for (int i = 0; i < 10; i++)
        case_expect_pong(c, "p", 1);
    case_expect_close(c, 4321);
    case_end(s, c);
    c = case_begin(s, "close", "RFC6455/7.1.7", LEVEL_MUST, "what follows a violation is passed over");
    case_frame(c, FIN | 3, "bad", 3);
    for (int i = 0; i < 20; i++)
        case_frame(c, FIN | TEXT, "good, and too late", 18);
    case_frame(c, FIN | PING, "p", 1);
    case_expect_close(c, 1002);
    case_end(s, c);
    c = case_begin(s, "close", "RFC6455/7.1.7", LEVEL_MUST, "what came before a violation is answered, or dropped");
    c->answers_may_be_lost = true;
    case_frame(c, FIN | TEXT, "good", 4);
    case_frame(c, FIN | PING, "p", 1);
    case_frame(c, FIN | 3, "bad", 3);
    case_expect_message(c, TEXT, "good", 4);
    case_expect_pong(c, "p", 1);
    case_expect_close(c, 1002);
    case_end(s, c);
}

void cases_close(suite *s) {
    codes(s);
    bodies(s);
    reasons(s);
    after(s);
}
