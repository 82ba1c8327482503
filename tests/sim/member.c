/*
 * The member of a room: publishes its numbered messages, and wants those of the others exactly as the application
 * handed them on, from its joining on, in that order and without a gap. Where the room's policy is to drop, gaps are
 * allowed, and nothing else.
 */
#include "app.h"
#include "client.h"
#include "faults.h"
#include "sim.h"

#include <string.h>

enum { CLOSE_WITHIN_MS = 3000, PAUSE_MS = 50 };

static void begin(sim_client *c) {
    static const char *const paths[ROOMS] = {"/rooms/0", "/rooms/1", "/rooms/2"};
    c->room = (int)sim_below(ROOMS);
    c->total = c->room == ROOM_OF_OTHERS || sim_below(3) == 0 ? 0 : sim_log_between(1, 30);
    c->budget = sim_log_between(1, 2000);
    sim_ws_ask(c, paths[c->room]);
}

static uint64_t owed(const sim_client *c) {
    uint64_t bytes = 0;
    uint32_t from = c->cursor, most;
    if (c->received == 0)
        sim_app_joined(c->id, &from, &most);
    for (uint32_t i = from; i < sim_app_log(c->room)->count; i++)
        bytes += sim_app_log(c->room)->entries[i].len + 16;
    return bytes;
}

static void speak(sim_client *c) {
    static uint8_t message[MESSAGE_MAX];
    int opcode;
    c->quiet = true;
    if (!c->open || c->close_sent)
        return;
    if (sim.now_ns < c->pause_until_ns) {
        sim_client_rest(c, PAUSE_MS);
    } else if (c->sent < c->total) {
        size_t len = sim_message(c->id, c->sent++, &opcode, message);
        opcode |= sim_ws_prepare(c, message, len);
        sim_ws_frame(c, true, opcode, c->payload, c->payload_len);
        c->pause_until_ns = sim.now_ns + (uint64_t)sim_below(c->budget) * SIM_MS;
        c->quiet = false;
    } else if (!c->stays) {
        c->stays = true; /* for a while, to listen */
        c->pause_until_ns = sim.now_ns + (uint64_t)sim_below(10000) * SIM_MS;
        sim_client_rest(c, PAUSE_MS);
    } else if (owed(c) < sim_client_takes(c, CLOSE_WITHIN_MS)) {
        c->close_at = sim_app_log(c->room)->count;
        sim_ws_close(c, 1000);
        c->quiet = false;
    } else {
        sim_client_rest(c, PAUSE_MS);
    }
}

static bool gaps(const sim_log *log) {
    return log->drops && (log->small || sim_memory_faults() > 0);
}

static bool own(const sim_client *c, uint32_t index) {
    return sim_app_log(c->room)->entries[index].client == c->id;
}

static bool is_entry(const sim_client *c, uint32_t index, int opcode, const uint8_t *data, size_t len) {
    static uint8_t expected[MESSAGE_MAX];
    const sim_log_entry *entry = &sim_app_log(c->room)->entries[index];
    int expected_opcode;
    return entry->len == len && !own(c, index) &&
           sim_message(entry->client, entry->n, &expected_opcode, expected) == len && expected_opcode == opcode &&
           memcmp(expected, data, len) == 0;
}

/* What was on its way by mail when it joined may have come too late for it. */
static uint32_t first_number(const sim_client *c, int opcode, const uint8_t *data, size_t len) {
    uint32_t least, most;
    sim_app_joined(c->id, &least, &most);
    while (least < most && !is_entry(c, least, opcode, data, len))
        least++;
    return least;
}

static void message(sim_client *c, int opcode, const uint8_t *data, size_t len) {
    const sim_log *log = sim_app_log(c->room);
    if (c->received++ == 0)
        c->cursor = first_number(c, opcode, data, len);
    while (c->cursor < log->count && (own(c, c->cursor) || (gaps(log) && !is_entry(c, c->cursor, opcode, data, len))))
        c->cursor++;
    if (c->cursor >= log->count || !is_entry(c, c->cursor, opcode, data, len))
        sim_fail("messages", "client %d (member): what came is not number %u of room %d", c->id, c->cursor, c->room);
    c->cursor++;
}

static void ended(sim_client *c, sim_end end) {
    const sim_log *log = sim_app_log(c->room);
    if (sim_client_excused(c) || c->slow || (c->close_code == 1008 && log->small))
        return;
    if (end != SIM_END_FIN || c->close_code != 1000)
        sim_fail("endings", "client %d (member): ended by %d, close %d", c->id, (int)end, c->close_code);
    uint32_t least;
    if (c->received == 0)
        sim_app_joined(c->id, &least, &c->cursor);
    while (c->cursor < log->count && own(c, c->cursor))
        c->cursor++;
    if (c->cursor < c->close_at && !gaps(log))
        sim_fail("messages", "client %d (member): only %u of %u came of room %d", c->id, c->cursor, c->close_at,
                 c->room);
}

static void closed(sim_client *c, const weft_close_info *info) {
    c->slow = info->code == 1008 && sim_app_log(c->room)->small;
    if (c->slow)
        return;
    if (info->code != 1000 || !info->clean || !info->by_peer || info->rule)
        sim_fail("endings", "client %d (member): closed %d%s, %s", c->id, info->code, info->clean ? " clean" : "",
                 info->rule ? info->rule : "");
}

const sim_model sim_member = {"member", begin, speak, sim_ws_read, message, ended, NULL, closed};
