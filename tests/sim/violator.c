/*
 * The violator breaks one rule, goes on talking for a while, and must be told which it was: a status before the
 * handshake, a close code behind it.
 */
#include "client.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

typedef struct violation {
    const char *name;
    int told; /* a status under 1000, else a close code */
    const char *bytes;
    size_t len;
} violation;

#define BYTES(text) text, sizeof(text) - 1
#define UPGRADE     "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"

static const violation violations[] = {
    {"no_mask", 1002, BYTES("\x81\x02hi")},
    {"rsv1_without_extension", 1002, BYTES("\xC1\x80\1\2\3\4")},
    {"rsv3", 1002, BYTES("\x91\x80\1\2\3\4")},
    {"reserved_opcode", 1002, BYTES("\x83\x80\1\2\3\4")},
    {"reserved_control_opcode", 1002, BYTES("\x8B\x80\1\2\3\4")},
    {"fragmented_ping", 1002, BYTES("\x09\x80\1\2\3\4")},
    {"long_ping", 1002, BYTES("\x89\xFE\0\x7E\1\2\3\4")},
    {"continuation_of_nothing", 1002, BYTES("\x80\x80\1\2\3\4")},
    {"text_in_a_message", 1002, BYTES("\x01\x80\1\2\3\4\x81\x80\1\2\3\4")},
    {"length_not_shortest", 1002, BYTES("\x82\xFE\0\x05\1\2\3\4")},
    {"length_over_63_bits", 1002, BYTES("\x82\xFF\x80\0\0\0\0\0\0\0\1\2\3\4")},
    {"too_long", 1009, BYTES("\x82\xFF\0\0\0\0\x7F\xFF\xFF\xFF\1\2\3\4")},
    {"bad_utf8", 1007, BYTES("\x81\x82\0\0\0\0\xC0\x80")},
    {"cut_utf8", 1007, BYTES("\x81\x81\0\0\0\0\xC3")},
    {"close_of_one_byte", 1002, BYTES("\x88\x81\0\0\0\0\x03")},
    {"close_1005", 1002, BYTES("\x88\x82\0\0\0\0\x03\xED")},
    {"close_999", 1002, BYTES("\x88\x82\0\0\0\0\x03\xE7")},
    {"close_bad_utf8", 1007, BYTES("\x88\x83\0\0\0\0\x03\xE8\xFF")},
    {"not_http", 400, BYTES("\x16\x03\x01 hello\r\n\r\n")},
    {"no_host", 400, BYTES("GET /echo HTTP/1.1\r\n\r\n")},
    {"no_such_path", 404, BYTES("GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")},
    {"no_key", 400, BYTES(UPGRADE "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")},
    {"version_12", 426,
     BYTES(UPGRADE "Upgrade: websocket\r\nSec-WebSocket-Version: 12\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")},
    {"foreign_origin", 403,
     BYTES(UPGRADE "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nOrigin: http://evil\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")},
    {"unanswered_page", 503, BYTES("GET /later?never=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")},
    {"unanswered_handshake", 503,
     BYTES("GET /later?never=1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")},
    {"no_upgrade", 426, BYTES("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")},
};

static const violation *row_of(const sim_client *c) {
    return c->row;
}

static void begin(sim_client *c) {
    const violation *row;
    do /* what is no HTTP/1.1 is another matter in HTTP/2 */
        row = &violations[sim_below(sizeof violations / sizeof *violations)];
    while (sim_is_h2() && row->told < 1000);
    c->row = row;
    c->budget = sim_below(2) ? 0 : sim_below(10);
    c->plain = true; /* what is a violation without an extension may be none with it */
    if (row->told >= 1000)
        sim_ws_ask(c, "/echo");
}

static void speak(sim_client *c) {
    const violation *row = row_of(c);
    c->quiet = true;
    if (c->sent == 0 && (c->open || row->told < 1000)) {
        sim_client_put(c, row->bytes, row->len);
        c->sent = 1;
        c->progress_ns = sim.now_ns;
    } else if (c->sent && c->budget > 0 && row->told >= 1000 && sim.now_ns < c->progress_ns + 1000 * (uint64_t)SIM_MS) {
        c->budget--;
        sim_client_print(c, "and another thing");
    }
    c->quiet = c->out_at == c->out_len;
}

static size_t read_told(sim_client *c) {
    if (row_of(c)->told >= 1000)
        return sim_ws_read(c);
    if (c->received == 0 && memmem(c->in, c->in_len, "\r\n\r\n", 4)) {
        c->received = (uint32_t)atoi((const char *)c->in + 9);
        sim_trace("is answered", c->id, c->received, 0);
    }
    return 0;
}

static void message(sim_client *c, int opcode, const uint8_t *data, size_t len) {
    (void)data;
    sim_fail("messages", "client %d (violator): got %zu bytes of %d", c->id, len, opcode);
}

static void ended(sim_client *c, sim_end end) {
    const violation *row = row_of(c);
    int told = row->told >= 1000 ? c->close_code : (int)c->received;
    if (!sim_client_excused(c) && (told != row->told || end != SIM_END_FIN))
        sim_fail("refusals", "client %d (violator, %s): told %d, not %d, and ended by %d", c->id, row->name, told,
                 row->told, (int)end);
}

static bool waits(const sim_client *c) {
    return c->sent > 0;
}

static void closed(sim_client *c, const weft_close_info *info) {
    const violation *row = row_of(c);
    if (info->code != row->told || info->clean || !info->rule)
        sim_fail("refusals", "client %d (violator, %s): closed with %d", c->id, row->name, info->code);
}

const sim_model sim_violator = {"violator", begin, speak, read_told, message, ended, waits, closed};
