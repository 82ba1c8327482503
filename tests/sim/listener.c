/*
 * The client of an answer that goes on: asks how many messages it is to hear, and they must come as one body, byte by
 * byte, to its end, however slowly it reads.
 */
#include "app.h"
#include "client.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD, AS_IS, CHUNKED };

static void begin(sim_client *c) {
    c->total = sim_log_between(1, 100);
}

static void speak(sim_client *c) {
    c->quiet = true;
    if (c->sent++ > 0)
        return;
    sim_client_print(c, "GET /stream?id=%d&n=%u HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n", c->id, c->total);
    c->quiet = false;
}

/* These are the next bytes of the body. */
static void hear(sim_client *c, const uint8_t *data, size_t len) {
    static uint8_t expected[MESSAGE_MAX];
    int opcode;
    c->progress_ns = sim.now_ns;
    for (;;) {
        size_t left = c->received < c->total ? sim_message(c->id, c->received, &opcode, expected) - c->body_at : 0;
        size_t now = len < left ? len : left;
        if (memcmp(data, expected + c->body_at, now) != 0 || (c->received == c->total && len > 0))
            sim_fail("streams", "client %d: what came is not message %u", c->id, c->received);
        c->body_at += now;
        data += now;
        len -= now;
        if (c->received == c->total || now < left)
            return;
        c->received++;
        c->body_at = 0;
    }
}

static size_t read_head(sim_client *c) {
    const uint8_t *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t len = (size_t)(end - c->in) + 4;
    int status = atoi((const char *)c->in + 9);
    if (status != 200 && !sim_client_excused(c))
        sim_fail("streams", "client %d is answered %d", c->id, status);
    c->hurt = c->hurt || status != 200;
    c->body = memmem(c->in, len, "Transfer-Encoding: chunked", 26) ? CHUNKED : AS_IS;
    c->progress_ns = sim.now_ns;
    return len;
}

/* A chunk is read when it is whole. */
static size_t read_chunk(sim_client *c) {
    const uint8_t *end = memmem(c->in, c->in_len, "\r\n", 2);
    if (!end || c->body_ended)
        return 0;
    size_t head_len = (size_t)(end - c->in) + 2, len = strtoul((const char *)c->in, NULL, 16);
    if (c->in_len < head_len + len + 2)
        return 0;
    if (memcmp(c->in + head_len + len, "\r\n", 2) != 0)
        sim_fail("streams", "client %d: a chunk is longer than it says", c->id);
    c->body_ended = len == 0;
    hear(c, c->in + head_len, len);
    return head_len + len + 2;
}

static size_t read_some(sim_client *c) {
    if (c->body == HEAD)
        return read_head(c);
    if (c->hurt)
        return c->in_len;
    if (c->body == CHUNKED)
        return read_chunk(c);
    hear(c, c->in, c->in_len);
    return c->in_len;
}

/* A body that only looks whole is a lie, whatever was done to the connection; but a drain ends it early. */
static void ended(sim_client *c, sim_end end) {
    hear(c, c->in, 0); /* the last ones may be empty */
    bool whole = c->received == c->total && c->in_len == 0;
    if (c->body_ended && !whole && !sim_app_ending())
        sim_fail("streams", "client %d: the body ended after %u of %u messages", c->id, c->received, c->total);
    if (sim_client_excused(c))
        return;
    if (end != SIM_END_FIN || !whole || (c->body == CHUNKED && !c->body_ended))
        sim_fail("streams", "client %d: ended by %d after %u of %u messages", c->id, (int)end, c->received, c->total);
}

static bool waits(const sim_client *c) {
    return c->sent > 0 && c->received < c->total;
}

static void closed(sim_client *c, const weft_close_info *info) {
    if (info->code != 1000 || !info->clean)
        sim_fail("streams", "client %d: closed says %d, %s", c->id, info->code, info->rule ? info->rule : "no rule");
}

const sim_model sim_listener = {"listener", begin, speak, read_some, NULL, ended, waits, closed};
