/*
 * The well-behaved client: sends its numbered messages in fragments of any size, with pings between them, and wants
 * each back, byte for byte and in order, every ping answered, and a clean close.
 */
#include "app.h"
#include "client.h"
#include "sim.h"

#include <string.h>

enum { AHEAD_MAX = 40, PINGS_AHEAD_MAX = 8, FRAME_BYTES = 16 };

/* A close frame waits for all that was asked before it, and the server waits 5 s for the whole of it: who reads slowly
 * closes later. */
enum { CLOSE_WITHIN_MS = 3000 };

static void begin(sim_client *c) {
    c->total = sim_log_between(1, 40);
    sim_ws_ask(c, "/echo");
}

static void begin_late(sim_client *c) {
    c->total = sim_log_between(1, 10);
    sim_ws_ask(c, "/later");
}

static void begin_dismissed(sim_client *c) {
    c->total = 100; /* more than it may be ahead and is answered: it is the server who ends it */
    c->read_max = c->write_max = CLIENT_BYTES_MAX; /* the server gives the end 5 s: this one is fast */
    c->delay_us_max = 2000;
    sim_ws_ask(c, "/dismiss");
}

static void begin_vanishing(sim_client *c) {
    c->total = 40;
    c->budget = sim_log_between(1, 60) - 1;
    sim_ws_ask(c, sim_below(2) ? "/echo" : "/later");
}

static void send_fragment(sim_client *c) {
    static uint8_t message[MESSAGE_MAX];
    int opcode;
    size_t len = sim_message(c->id, c->sent, &opcode, message);
    if (!c->opcode_sent)
        opcode |= sim_ws_prepare(c, message, len);
    size_t left = c->payload_len - c->fragment_at;
    size_t part = left == 0 || sim_below(2) ? left : sim_below((uint32_t)left + 1);
    bool fin = part == left && (part > 0 || left == 0);
    sim_ws_frame(c, fin, c->opcode_sent ? 0 : opcode, c->payload + c->fragment_at, part);
    c->opcode_sent = !fin;
    c->fragment_at = fin ? 0 : c->fragment_at + part;
    c->sent += fin;
    c->owed += fin ? len + FRAME_BYTES : 0;
}

static void speak(sim_client *c) {
    c->quiet = true;
    if (!c->open || c->close_sent)
        return;
    if (sim_below(8) == 0 && c->pings - c->pongs < PINGS_AHEAD_MAX)
        sim_ws_ping(c);
    else if (c->sent < c->total && c->sent - c->received < AHEAD_MAX)
        send_fragment(c);
    else if (c->sent == c->total && c->owed + c->pings * FRAME_BYTES < sim_client_takes(c, CLOSE_WITHIN_MS))
        sim_ws_close(c, 1000);
    c->quiet = c->out_at == c->out_len;
}

static void message(sim_client *c, int opcode, const uint8_t *data, size_t len) {
    static uint8_t expected[MESSAGE_MAX];
    int expected_opcode;
    size_t expected_len = sim_message(c->id, c->received, &expected_opcode, expected);
    if (c->received >= c->sent || opcode != expected_opcode || len != expected_len || memcmp(data, expected, len) != 0)
        sim_fail("messages", "client %d (echo): what came is not message %u", c->id, c->received);
    c->received++;
    c->owed -= len + FRAME_BYTES;
}

static void ended(sim_client *c, sim_end end) {
    if (sim_client_excused(c))
        return;
    if (end != SIM_END_FIN || c->close_code != 1000)
        sim_fail("endings", "client %d (echo): ended by %d, close %d", c->id, (int)end, c->close_code);
    if (c->received != c->total || c->pongs != c->pings)
        sim_fail("messages", "client %d (echo): %u of %u came back, %u of %u pongs", c->id, c->received, c->total,
                 c->pongs, c->pings);
}

/* The server ends it at a number of its own; what came until then is whole. */
static void ended_dismissed(sim_client *c, sim_end end) {
    uint32_t least = sim_app_dismissed(c->id);
    if (sim_client_excused(c) || (end == SIM_END_RESET && sim_app_aborted(c->id)))
        return;
    if (end != SIM_END_FIN || c->close_code != DISMISS_CODE || c->received < least)
        sim_fail("endings", "client %d (dismissed): ended by %d, close %d, %u of %u came", c->id, (int)end,
                 c->close_code, c->received, least);
}

static void closed_dismissed(sim_client *c, const weft_close_info *info) {
    bool aborted = sim_app_aborted(c->id);
    if (info->code != (aborted ? 1006 : DISMISS_CODE) || info->clean == aborted || info->by_peer)
        sim_fail("endings", "client %d (dismissed): closed %d%s", c->id, info->code, info->clean ? " clean" : "");
}

static void closed(sim_client *c, const weft_close_info *info) {
    if (info->code != 1000 || !info->clean || !info->by_peer || info->rule)
        sim_fail("endings", "client %d (echo): closed %d%s, %s", c->id, info->code, info->clean ? " clean" : "",
                 info->rule ? info->rule : "");
    char reason[16];
    sim_ws_reason(c->id, reason);
    if (strcmp(info->reason, reason) != 0)
        sim_fail("endings", "client %d (echo): closed for \"%s\", not \"%s\"", c->id, info->reason, reason);
}

static bool waits(const sim_client *c) {
    return c->received < c->sent;
}

static bool waits_dismissed(const sim_client *c) {
    return c->received < c->sent && !c->close_sent;
}

/* Ends in the middle of whatever it does. */
static void vanish(sim_client *c) {
    switch (sim_below(4)) {
    case 0:
        sim_client_fall_silent(c);
        return;
    case 1:
        sim_pipe_fin(c->pipe);
        sim_client_fall_silent(c);
        return;
    case 2:
        sim_pipe_reset(c->pipe);
        break;
    default:
        break;
    }
    sim_client_leave(c);
}

static void speak_vanishing(sim_client *c) {
    if (c->hurried || c->budget-- == 0) {
        c->hurt = true;
        vanish(c);
        return;
    }
    speak(c);
}

static void ended_vanishing(sim_client *c, sim_end end) {
    if (!sim_client_excused(c) && !(end == SIM_END_FIN && c->close_code == 1000))
        sim_fail("endings", "client %d (vanisher): ended by %d before it vanished", c->id, (int)end);
}

const sim_model sim_dismissed = {"dismissed", begin_dismissed, speak,           sim_ws_read,
                                 message,     ended_dismissed, waits_dismissed, closed_dismissed};
const sim_model sim_echo = {"echo", begin, speak, sim_ws_read, message, ended, waits, closed};
const sim_model sim_late = {"late", begin_late, speak, sim_ws_read, message, ended, waits, closed};
const sim_model sim_vanisher = {
    "vanisher", begin_vanishing, speak_vanishing, sim_ws_read, message, ended_vanishing, NULL, NULL};
