/*
 * permessage-deflate (RFC 7692): every set of parameters that can be offered, messages of all sizes, and what a peer
 * may do though few do: several blocks, stored blocks, a last block that is not the last, plain messages in between.
 *
 * The judge reads what comes back with the window the endpoint promised and, without context takeover, with a window
 * that is empty for each message: an endpoint that promises and does not keep it is found out.
 */
#include "frames.h"

#include <stdlib.h>
#include <string.h>

static const pmd_offer plain_offer = {.client_bits = -1};

static const char *kind(unsigned opcode) {
    return opcode == TEXT ? "text" : "binary";
}

static uint32_t next_random(uint32_t *x) {
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

/* Records as an application sends them: what was said before is said again, from near and from far. */
static void put_words(bytes *out, size_t len, uint32_t seed) {
    static const char *const names[] = {"amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath"};
    uint32_t x = seed;
    size_t from = out->len;
    while (out->len - from < len) {
        uint32_t r = next_random(&x);
        bytes_print(out,
                    "{\"id\":%u,\"name\":\"%s\",\"at\":[%u.%02u,%u],\"tags\":[\"%s\",\"k\xc3\xb6nig\"],\"on\":%s}\n",
                    r % 100000, names[r % 8], r % 90, r % 100, next_random(&x) % 1000, names[r / 8 % 8],
                    r & 1 ? "true" : "false");
    }
    out->len = from + len;
    for (size_t i = out->len; i-- > from && out->data[i] >= 0x80;) /* no half a character at the end */
        out->data[i] = '.';
}

static void put_noise(bytes *out, size_t len, uint32_t seed) {
    uint32_t x = seed ^ 0x5bd1e995;
    for (size_t i = 0; i < len; i++)
        bytes_put_byte(out, next_random(&x) & 0xff);
}

static void put_content(bytes *out, unsigned opcode, bool noise, size_t len, uint32_t seed) {
    if (!noise)
        put_words(out, len, seed);
    else if (opcode == BINARY)
        put_noise(out, len, seed);
    else
        for (uint32_t x = seed, i = 0; i < len; i++)
            bytes_put_byte(out, ' ' + next_random(&x) % 95);
}

/* Sends a message compressed and expects it back. */
static bool round_trip(suite *s, conf_case *c, unsigned opcode, const bytes *content, size_t fragment) {
    case_compressed(c, opcode, content->data, content->len, fragment);
    return case_expect_echo(s, c, opcode, content->data, content->len);
}

/* Every combination of the four parameters. Each is tried with messages short and long, of both kinds, compressible
 * or not, in one frame or many; which ones, turns with the number of the combination. */
static void every_offer(suite *s) {
    static const size_t lens[] = {0, 1, 125, 126, 1024, 4096, 65536, 131072};
    static const size_t fragments[] = {0, 100, 1000, 7};
    unsigned n = 0;
    for (int server_bits = 7; server_bits <= 15; server_bits++)
        for (int client_bits = 6; client_bits <= 15; client_bits++)
            for (unsigned takeovers = 0; takeovers < 4; takeovers++, n++) {
                pmd_offer o = {takeovers & 1, takeovers & 2, server_bits == 7 ? 0 : server_bits,
                               client_bits == 6   ? 0
                               : client_bits == 7 ? -1
                                                  : client_bits};
                conf_case *c =
                    case_begin(s, "deflate offers", "RFC7692/7.1", LEVEL_MUST,
                               "server takeover %s, bits %d; client takeover %s, bits %d", takeovers & 1 ? "no" : "yes",
                               o.server_bits, takeovers & 2 ? "no" : "yes", o.client_bits);
                case_offer(s, c, &o);
                bool goes_on = true;
                for (unsigned i = 0; i < 7 && goes_on; i++) {
                    /* The same words again and again from far: there is something to refer to, beyond a short window
                     * too. */
                    bytes content = {0};
                    unsigned opcode = (n + i) % 2 ? TEXT : BINARY;
                    size_t len = i < 5 ? lens[(n + i) % 6] : lens[4 + (n + i) % 4];
                    put_content(&content, opcode, i == 3, len, i % 2 ? 7 : n);
                    goes_on = round_trip(s, c, opcode, &content, fragments[(n / 3 + i) % 4]);
                    bytes_free(&content);
                }
                case_end(s, c);
            }
}

/* Every size under the parameters that matter most: text and binary, words and noise, in one frame and in many. */
static void sizes(suite *s) {
    static const size_t lens[] = {0,   1,    2,    16,   64,    125,   126,   127,   128,
                                  256, 1024, 4096, 8192, 16384, 32768, 65535, 65536, 131072};
    static const pmd_offer offers[] = {{.client_bits = -1},
                                       {.server_no_takeover = true, .client_no_takeover = true},
                                       {.server_bits = 9, .client_bits = 9}};
    static const char *const names[] = {"takeover", "no takeover", "short windows"};
    for (size_t n = 0; n < sizeof lens / sizeof *lens; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++)
            for (int noise = 0; noise < 2; noise++)
                for (size_t p = 0; p < 3; p++) {
                    conf_case *c = case_begin(s, "deflate sizes", "RFC7692/7.2", LEVEL_MUST, "%s of %zu bytes, %s, %s",
                                              kind(opcode), lens[n], noise ? "noise" : "words", names[p]);
                    case_offer(s, c, &offers[p]);
                    size_t parts = (n + p) % 4, fragment = parts == 0 ? 0 : lens[n] / (parts * 3) + 1;
                    for (uint32_t i = 0; i < (lens[n] < 10000 ? 20 : 3); i++) {
                        bytes content = {0};
                        put_content(&content, opcode, noise, lens[n], i % 3);
                        bool goes_on = round_trip(s, c, opcode, &content, fragment);
                        bytes_free(&content);
                        if (!goes_on)
                            break;
                    }
                    case_end(s, c);
                }
}

/* ---- by hand ---- */

static conf_case *begin_by_hand(suite *s, const char *clause, const char *name) {
    conf_case *c = case_begin(s, "deflate frames", clause, LEVEL_MUST, "%s", name);
    case_offer(s, c, &plain_offer);
    return c;
}

/* Sends a payload made by hand as one compressed message, cut into fragments at will. */
static void send_payload(conf_case *c, unsigned opcode, const bytes *payload, size_t fragment) {
    size_t at = 0;
    do {
        size_t left = payload->len - at, part = fragment && fragment < left ? fragment : left;
        case_frame(c, (at == 0 ? RSV1 | opcode : 0) | (part == left ? FIN : 0u), payload->data + at, part);
        at += part;
    } while (at < payload->len);
}

typedef void pack(bytes *out, const uint8_t *data, size_t len);

static void pack_usual(bytes *out, const uint8_t *data, size_t len) {
    deflate_raw(out, data, len, 15, Z_SYNC_FLUSH);
    out->len -= 4;
}

static void pack_stored(bytes *out, const uint8_t *data, size_t len) {
    deflate_stored(out, data, len, false);
    bytes_put_byte(out, 0);
}

static void pack_many_blocks(bytes *out, const uint8_t *data, size_t len) {
    for (size_t at = 0; at < len; at += 100) {
        deflate_raw(out, data + at, len - at < 100 ? len - at : 100, 15, Z_SYNC_FLUSH);
        if (at % 300 == 0)
            deflate_stored(out, data, 0, false);
    }
    out->len -= len > 0 ? 4 : 0;
}

/* RFC 7692 7.2.3.4: a block with BFINAL set, and behind it an empty block, without its last four bytes. */
static void pack_final(bytes *out, const uint8_t *data, size_t len) {
    deflate_raw(out, data, len, 15, Z_FINISH);
    bytes_put_byte(out, 0);
}

static void pack_final_in_the_middle(bytes *out, const uint8_t *data, size_t len) {
    deflate_raw(out, data, len / 2, 15, Z_FINISH);
    pack_usual(out, data + len / 2, len - len / 2);
}

static void pack_final_stored(bytes *out, const uint8_t *data, size_t len) {
    deflate_stored(out, data, len, true);
    bytes_put_byte(out, 0);
}

/* Empty blocks before and behind, and the 00 00 ff ff left on: what is cut off by the sender is only the last
 * (7.2.1). */
static void pack_padded(bytes *out, const uint8_t *data, size_t len) {
    for (int i = 0; i < 3; i++)
        deflate_stored(out, data, 0, false);
    deflate_raw(out, data, len, 15, Z_SYNC_FLUSH);
    deflate_stored(out, data, 0, false);
    bytes_put_byte(out, 0);
}

static void blocks(suite *s) {
    static const struct {
        const char *name, *clause;
        pack *pack;
    } rows[] = {
        {"the usual block", "RFC7692/7.2.3.1", pack_usual},
        {"stored blocks", "RFC7692/7.2.3.3", pack_stored},
        {"many blocks", "RFC7692/7.2.3.5", pack_many_blocks},
        {"BFINAL", "RFC7692/7.2.3.4", pack_final},
        {"BFINAL in the middle", "RFC7692/7.2.3.4", pack_final_in_the_middle},
        {"a stored block with BFINAL", "RFC7692/7.2.3.4", pack_final_stored},
        {"empty blocks around", "RFC7692/7.2.3.5", pack_padded},
    };
    static const size_t lens[] = {5, 300, 5000};
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (size_t l = 0; l < 3; l++)
            for (size_t fragment = 0; fragment < 3; fragment++) {
                conf_case *c = case_begin(s, "deflate frames", rows[n].clause, LEVEL_MUST, "%s, %zu bytes%s",
                                          rows[n].name, lens[l],
                                          fragment == 0   ? ""
                                          : fragment == 1 ? ", byte by byte"
                                                          : ", in fragments of 50");
                case_offer(s, c, &plain_offer);
                bytes content = {0}, payload = {0};
                put_words(&content, lens[l], 3);
                rows[n].pack(&payload, content.data, content.len);
                for (int i = 0; i < 2; i++) {
                    send_payload(c, TEXT, &payload, fragment == 2 ? 50 : fragment);
                    case_expect_message(c, TEXT, content.data, content.len);
                }
                bytes_free(&content);
                bytes_free(&payload);
                case_end(s, c);
            }
}

/* A message cut in two everywhere, also in an empty fragment, with a ping in the cut. */
static void cuts(suite *s) {
    static const char text[] = "cut me anywhere, cut me everywhere";
    bytes payload = {0};
    pack_usual(&payload, (const uint8_t *)text, sizeof text - 1);
    for (size_t at = 0; at <= payload.len; at++) {
        conf_case *c = case_begin(s, "deflate frames", "RFC7692/6", LEVEL_MUST, "cut at %zu, with a ping", at);
        case_offer(s, c, &plain_offer);
        case_frame(c, RSV1 | TEXT, payload.data, at);
        case_frame(c, FIN | PING, "cut", 3);
        case_frame(c, FIN, payload.data + at, payload.len - at);
        case_expect_pong(c, "cut", 3);
        case_expect_message(c, TEXT, text, sizeof text - 1);
        case_end(s, c);
    }
    bytes_free(&payload);
}

static void empty(suite *s) {
    static const struct {
        const char *name, *payload;
        size_t len;
    } rows[] = {
        {"one byte 00", "\x00", 1},           {"nothing at all", "", 0},
        {"a fixed block", "\x02\x00", 2},     {"a stored block, whole, and 00", "\x00\x00\x00\xff\xff\x00", 6},
        {"BFINAL and 00", "\x03\x00\x00", 3},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (unsigned opcode = TEXT; opcode <= BINARY; opcode++) {
            conf_case *c = case_begin(s, "deflate frames", "RFC7692/7.2.3.6", LEVEL_MUST, "an empty %s: %s",
                                      kind(opcode), rows[n].name);
            case_offer(s, c, &plain_offer);
            case_frame(c, FIN | RSV1 | opcode, rows[n].payload, rows[n].len);
            case_expect_message(c, opcode, "", 0);
            case_frame(c, FIN | opcode, "plain", 5);
            case_expect_message(c, opcode, "plain", 5);
            case_end(s, c);
        }
}

/* 6.1 leaves it to the sender which messages are compressed; a plain one is in nobody's window. */
static void plain_between(suite *s) {
    for (unsigned pattern = 0; pattern < 16; pattern++)
        for (size_t len = 50; len <= 5000; len *= 10) {
            conf_case *c = case_begin(s, "deflate frames", "RFC7692/6", LEVEL_MUST,
                                      "plain and compressed in turns, %x, %zu bytes", pattern, len);
            case_offer(s, c, &plain_offer);
            for (unsigned i = 0; i < 6; i++) {
                bytes content = {0};
                put_words(&content, len, i % 2);
                if (pattern >> i % 4 & 1)
                    case_compressed(c, TEXT, content.data, content.len, i == 2 ? 33 : 0);
                else
                    case_message(c, TEXT, content.data, content.len, i == 2 ? 33 : 0);
                case_expect_message(c, TEXT, content.data, content.len);
                bytes_free(&content);
            }
            case_end(s, c);
        }
}

/* RSV1 says "compressed" on the first frame of a message, once it is agreed on, and nowhere else. */
static void misused_bit(suite *s) {
    static const struct {
        const char *name;
        unsigned before, first;
    } rows[] = {
        {"a ping", 0, 0xc9},
        {"a pong", 0, 0xca},
        {"a close frame", 0, 0xc8},
        {"a ping in a message", 0x41, 0xc9},
        {"a ping in a plain message", 0x01, 0xc9},
        {"the last continuation", 0x41, 0xc0},
        {"a middle continuation", 0x41, 0x40},
        {"the last continuation of a plain message", 0x01, 0xc0},
        {"a continuation of nothing", 0, 0xc0},
        {"an unknown opcode", 0, 0xc3},
        {"RSV2 beside it", 0, 0xe1},
        {"RSV3 beside it", 0, 0xd1},
        {"all three", 0, 0xf2},
        {"RSV2 alone", 0, 0xa1},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        conf_case *c = case_begin(s, "deflate frames", "RFC7692/6", LEVEL_MUST, "RSV1 on %s", rows[n].name);
        case_offer(s, c, &plain_offer);
        if (rows[n].before)
            case_frame(c, rows[n].before, "\x02", rows[n].before & RSV1 ? 1 : 0);
        case_frame(c, rows[n].first, "\x03\xe8", 2);
        case_expect_close(c, 1002);
        case_end(s, c);
    }
    static const uint8_t firsts[] = {0xc1, 0xc2, 0x41, 0x42};
    for (size_t n = 0; n < sizeof firsts; n++) {
        conf_case *c =
            case_begin(s, "deflate frames", "RFC6455/5.2", LEVEL_MUST, "RSV1 on %02x that nobody agreed on", firsts[n]);
        case_frame(c, firsts[n], "\x02\x00", 2);
        case_expect_close(c, 1002);
        case_end(s, c);
    }
}

static void corrupt(suite *s) {
    static const struct {
        const char *name, *payload;
        size_t len;
    } rows[] = {
        {"a block of the reserved kind", "\x06", 1},
        {"a block of the reserved kind, last", "\x07", 1},
        {"a stored block whose lengths disagree", "\x00\x05\x00\x00\x00hello", 10},
        {"a letter and a reference before it", "\x4a\x04\x42\x00", 4},
        {"a reference before the beginning", "\x02\x02\x00", 3},
        {"a dynamic block with bad lengths", "\x04\xff\xff\xff\xff\xff", 6},
        {"bytes of ff", "\xff\xff\xff\xff", 4},
        {"a stored block cut off", "\x00\x05\x00\xfa\xffhel", 8},
        {"a fixed block cut off", "\xca\x48\xcd\xc9\xc9", 5},
        {"a stored block's head cut off", "\x00\x05", 2},
        {"the text itself", "Hello, world", 12},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (size_t chop = 0; chop < 2; chop++) {
            conf_case *c = case_begin(s, "deflate frames", "RFC7692/7.2.2", LEVEL_STRICT, "corrupt: %s%s", rows[n].name,
                                      chop ? ", byte by byte" : "");
            case_offer(s, c, &plain_offer);
            c->chop = chop;
            case_frame(c, FIN | RSV1 | BINARY, rows[n].payload, rows[n].len);
            case_expect_close(c, 1007);
            case_end(s, c);
        }
}

/* A sender that said it would remember nothing, and does. */
static void broken_promise(suite *s) {
    static const pmd_offer no_takeover = {.client_no_takeover = true};
    conf_case *c = case_begin(s, "deflate frames", "RFC7692/7.1.1.2", LEVEL_STRICT,
                              "a reference to the message before, in spite of a promise");
    case_offer(s, c, &no_takeover);
    zip sender = {.agreed = {.on = true, .sends_takeover = true, .sends_bits = 15}};
    bytes content = {0}, first = {0}, second = {0};
    put_words(&content, 300, 5);
    zip_deflate(&sender, content.data, content.len, &first);
    zip_deflate(&sender, content.data, content.len, &second);
    send_payload(c, TEXT, &first, 0);
    case_expect_message(c, TEXT, content.data, content.len);
    send_payload(c, TEXT, &second, 0);
    case_expect_close(c, 1007);
    bytes_free(&content);
    bytes_free(&first);
    bytes_free(&second);
    zip_free(&sender);
    case_end(s, c);
}

/* UTF-8 is asked of what the message says, not of how it is packed. */
static void utf8(suite *s) {
    static const char *const bad[] = {"\xff",     "\x80",    "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x82", "fine\xfe"};
    for (size_t n = 0; n < sizeof bad / sizeof *bad; n++)
        for (size_t fragment = 0; fragment < 2; fragment++) {
            conf_case *c = case_begin(s, "deflate frames", "RFC6455/8.1", LEVEL_MUST, "bad UTF-8 compressed, %zu%s", n,
                                      fragment ? ", byte by byte" : "");
            case_offer(s, c, &plain_offer);
            case_compressed(c, TEXT, bad[n], strlen(bad[n]), fragment);
            case_expect_close(c, 1007);
            case_end(s, c);
            c = case_begin(s, "deflate frames", "RFC6455/5.6", LEVEL_MUST, "the same as a binary, %zu%s", n,
                           fragment ? ", byte by byte" : "");
            case_offer(s, c, &plain_offer);
            case_compressed(c, BINARY, bad[n], strlen(bad[n]), fragment);
            case_expect_message(c, BINARY, bad[n], strlen(bad[n]));
            case_end(s, c);
        }
    conf_case *c = begin_by_hand(s, "RFC6455/8.1", "bad UTF-8 is refused before the message is whole");
    bytes payload = {0};
    deflate_raw(&payload, "good so far \xff", 13, 15, Z_SYNC_FLUSH);
    c->level = LEVEL_STRICT;
    case_frame(c, RSV1 | TEXT, payload.data, payload.len);
    case_expect_close(c, 1007);
    case_end(s, c);
    bytes_free(&payload);
}

/* Little on the wire, much behind it: refused when the limit is reached, not when all is unpacked. */
static void bombs(suite *s) {
    bytes zeros = {0}, payload = {0};
    uint8_t block[4096] = {0};
    while (zeros.len <= s->limit)
        bytes_put(&zeros, block, sizeof block);
    deflate_raw(&payload, zeros.data, zeros.len, 15, Z_SYNC_FLUSH);
    for (int whole = 0; whole < 2; whole++) {
        conf_case *c = begin_by_hand(s, "RFC6455/7.4.1",
                                     whole ? "a bomb just over the limit" : "a bomb, and the message not whole");
        c->level = LEVEL_STRICT;
        case_frame(c, RSV1 | BINARY | (whole ? FIN : 0u), payload.data, payload.len - (whole ? 4 : 0));
        case_expect_close(c, 1009);
        case_end(s, c);
    }
    conf_case *c = begin_by_hand(s, "RFC6455/7.4.1", "a bomb of many times the limit");
    c->level = LEVEL_STRICT;
    bytes again = {0};
    for (int i = 0; i < 9; i++)
        bytes_put(&again, payload.data, payload.len);
    case_frame(c, FIN | RSV1 | BINARY, again.data, again.len);
    bytes_free(&again);
    case_expect_close(c, 1009);
    case_end(s, c);
    c = begin_by_hand(s, "RFC7692/7.2.2", "zeros up to the limit");
    case_compressed(c, BINARY, zeros.data, (size_t)s->limit, 0);
    case_expect_message(c, BINARY, zeros.data, (size_t)s->limit);
    case_end(s, c);
    bytes_free(&zeros);
    bytes_free(&payload);
}

/* ---- offers ---- */

/* What may not be accepted; the connection goes on without (RFC 7692 7.1: "MUST decline"). */
static void bad_offers(suite *s) {
    static const char *const rows[] = {
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=0",
        "permessage-deflate; server_max_window_bits=-9",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=1e1",
        "permessage-deflate; server_max_window_bits=10.0",
        "permessage-deflate; server_max_window_bits=99999999999999999999",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=ten",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=08",
        "permessage-deflate; client_max_window_bits=15x",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=0",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; unknown_parameter",
        "permessage-deflate; unknown_parameter=1",
        "permessage-deflate; SERVER_NO_CONTEXT_TAKEOVER=1",
        "permessage-deflate-frame",
        "x-webkit-deflate-frame",
        "x-webkit-deflate-frame; no_context_takeover",
        "permessage-bzip2",
        "deflate",
        "foo; bar=\"baz\"",
        "foo, bar; x=1, baz",
    };
    /* No extension list by RFC 6455 9.1, which lets a server fail the handshake. */
    static const char *const malformed[] = {
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client max window bits",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate;",
        "permessage-deflate; ; client_max_window_bits",
        ",",
        "",
    };
    enum { ROWS = sizeof rows / sizeof *rows, ALL = ROWS + sizeof malformed / sizeof *malformed };
    for (size_t n = 0; n < ALL; n++) {
        const char *text = n < ROWS ? rows[n] : malformed[n - ROWS];
        conf_case *c = case_begin(s, "deflate declined", n < ROWS ? "RFC7692/7.1" : "RFC6455/9.1",
                                  n < ROWS ? LEVEL_MUST : LEVEL_STRICT, "%s", *text ? text : "an empty header");
        bytes line = {0};
        bytes_print(&line, "Sec-WebSocket-Extensions: %s\r\n%c", text, 0);
        if (s->has_http)
            case_bad_offer(s, c, (const char *)line.data);
        c->needs_http = true;
        bytes_free(&line);
        case_frame(c, FIN | TEXT, "goes on without", 15);
        case_expect_message(c, TEXT, "goes on without", 15);
        case_frame(c, FIN | RSV1 | TEXT, "\x00", 1);
        case_expect_close(c, 1002);
        case_end(s, c);
    }
}

/* Odd in form, and yet to be accepted: the first that can be met. */
static void odd_offers(suite *s) {
    static const struct {
        const char *name, *lines;
    } rows[] = {
        {"a quoted value", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\"10\"\r\n"},
        {"an unknown extension before", "Sec-WebSocket-Extensions: foo; bar=1, permessage-deflate\r\n"},
        {"an unknown extension on its own line",
         "Sec-WebSocket-Extensions: foo\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"},
        {"a bad offer before a good one",
         "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7, permessage-deflate\r\n"},
        {"a bad offer on the line before",
         "Sec-WebSocket-Extensions: permessage-deflate; nonsense\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"},
        {"the same offer twice", "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n"},
        {"no white space", "Sec-WebSocket-Extensions:foo;a=b;c,permessage-deflate\r\n"},
        {"much white space", "Sec-WebSocket-Extensions: \t foo ; a = b ,\t permessage-deflate \t\r\n"},
        {"empty elements", "Sec-WebSocket-Extensions: , ,permessage-deflate,,\r\n"},
        {"a header name in small letters", "sec-websocket-extensions: permessage-deflate\r\n"},
        {"a quoted token before", "Sec-WebSocket-Extensions: foo; a=\"x\", permessage-deflate\r\n"},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        conf_case *c = case_begin(s, "deflate offers", "RFC6455/9.1", LEVEL_MUST, "accepted: %s", rows[n].name);
        if (s->has_http)
            case_bad_offer(s, c, rows[n].lines);
        c->needs_http = true;
        c->outcome = OFFER_MAY_BE_MET;
        for (int i = 0; i < 3; i++) {
            case_compressed(c, TEXT, "words and words and words", 25, 0);
            case_expect_message(c, TEXT, "words and words and words", 25);
        }
        case_end(s, c);
    }
}

void cases_deflate(suite *s) {
    every_offer(s);
    sizes(s);
    blocks(s);
    cuts(s);
    empty(s);
    plain_between(s);
    misused_bit(s);
    corrupt(s);
    broken_promise(s);
    utf8(s);
    bombs(s);
    bad_offers(s);
    odd_offers(s);
}
