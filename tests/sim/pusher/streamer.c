/*
 * The client without WebSockets that hears by one answer that goes on, and says what it says by the requests of another
 * connection, its sender's: that is the next client. Who loses one of the two is lost.
 */
#include "chatter.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAUSE_MS = 100, BEAT_MS = 2000, HEAD = 0, AS_IS, CHUNKED };

static void begin(sim_client *c) {
    chatter *p = chatter_of(c);
    chatter_begin(c);
    p->outbox = json_array();
    if (sim_is_h2() && p->fate == FALLS_SILENT) /* what it is told then waits for windows as long as others ask */
        p->fate = LEAVES;
    c->delay_us_max = c->delay_us_max > 2000 ? 2000 : c->delay_us_max; /* a request has 10 s */
    c->read_max = c->write_max = CLIENT_BYTES_MAX;
}

static void speak(sim_client *c) {
    chatter *p = chatter_of(c);
    c->quiet = true;
    if (c->sent == 0) {
        chatter_requests(c, c->id, "xhr_streaming", "");
        return;
    }
    if (world_now() != WORLD_BUSY || p->conn < 0)
        return;
    const sim_client *sender = sim_client_of(c->id + 1);
    if (sender && p->acts_left > 0 && sim.now_ns >= c->pause_until_ns &&
        p->asked_to - p->asked_from < CHATTER_ASKED_MAX) {
        chatter_act(c);
        c->pause_until_ns = sim.now_ns + (uint64_t)sim_below(c->budget) * SIM_MS;
    } else if ((!sender || p->acts_left == 0) && p->fate != STAYS && (p->fate != CLOSES || chatter_owed(c) == 0)) {
        chatter_go(c);
        return;
    }
    sim_client_rest(c, PAUSE_MS);
}

/* ---- what it hears ---- */

/* Nobody gives signs of life for it. */
static bool is_mute(const sim_client *c) {
    const sim_client *sender = sim_client_of(c->id + 1);
    return !sender || sender->over;
}

/* Who reads slowly may be cut off. */
static bool may_end(const sim_client *c) {
    return sim_client_excused(c) || chatter_terminated(c) || world_slow();
}

/* Lines that are whole. */
static void hear(sim_client *c, const uint8_t *data, size_t len) {
    if (len > sizeof c->assembled - c->assembled_len)
        sim_fail("pusher", "client %d: a line does not end", c->id);
    memcpy(c->assembled + c->assembled_len, data, len);
    c->assembled_len += len;
    const uint8_t *end = memrchr(c->assembled, '\n', c->assembled_len);
    size_t whole = end ? (size_t)(end + 1 - c->assembled) : 0;
    if (whole == 0)
        return;
    c->progress_ns = sim.now_ns;
    bool was_known = chatter_of(c)->conn >= 0;
    chatter_hears_frames(c, (const char *)c->assembled, whole);
    c->assembled_len -= whole;
    memmove(c->assembled, c->assembled + whole, c->assembled_len);
    if (!was_known && chatter_of(c)->conn >= 0 && sim_client_of(c->id + 1))
        sim_client_hurry(c->id + 1);
    if (c->close_code && !may_end(c) && !(c->close_code == 4201 && is_mute(c)))
        sim_fail("endings", "client %d (streamer): close %d", c->id, c->close_code);
}

static size_t read_head(sim_client *c) {
    const uint8_t *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t len = (size_t)(end - c->in) + 4;
    int status = atoi((const char *)c->in + 9);
    if (status != 200 && !sim_client_excused(c))
        sim_fail("pusher", "client %d (streamer) is answered %d", c->id, status);
    c->hurt = c->hurt || status != 200;
    c->body = memmem(c->in, len, "Transfer-Encoding: chunked", 26) ? CHUNKED : AS_IS;
    return len;
}

/* A chunk is read when it is whole. */
static size_t read_chunk(sim_client *c) {
    const uint8_t *end = memmem(c->in, c->in_len, "\r\n", 2);
    if (!end)
        return 0;
    size_t head_len = (size_t)(end - c->in) + 2, len = strtoul((const char *)c->in, NULL, 16);
    if (c->in_len < head_len + len + 2)
        return 0;
    hear(c, c->in + head_len, len);
    return head_len + len + 2;
}

static size_t read_some(sim_client *c) {
    if (c->body == HEAD)
        return read_head(c);
    if (c->hurt)
        return c->in_len;
    size_t used = c->in_len;
    if (c->body == CHUNKED)
        used = read_chunk(c);
    else
        hear(c, c->in, c->in_len);
    if (c->close_code)
        sim_client_leave(c);
    return used;
}

static void ended(sim_client *c, sim_end end) {
    if (!may_end(c))
        sim_fail("endings", "client %d (streamer): ended by %d", c->id, (int)end);
}

static bool waits(const sim_client *c) {
    return c->sent > 0 && (chatter_of(c)->conn < 0 || chatter_owed(c) > 0);
}

const sim_model world_streamer = {"streamer", begin, speak, read_some, NULL, ended, waits, NULL};

/* ---- the sender ---- */

static sim_client *streamer_of(const sim_client *c) {
    return sim_client_of(c->id - 1);
}

static void begin_sender(sim_client *c) {
    c->delay_us_max = 2000;
    c->read_max = c->write_max = CLIENT_BYTES_MAX;
    c->next_ns = UINT64_MAX; /* until its streamer calls it */
}

/* Without anything to say it gives signs of life. */
static void speak_sender(sim_client *c) {
    const sim_client *streamer = streamer_of(c);
    chatter *p = chatter_of(streamer);
    c->quiet = true;
    if (c->sent > c->received)
        return;
    if (streamer->over || streamer->silent_ns != UINT64_MAX) {
        sim_client_leave(c);
    } else if (json_array_size(p->outbox) > 0 || sim.now_ns >= c->pause_until_ns) {
        char *body = json_dumps(p->outbox, JSON_COMPACT);
        chatter_requests(c, streamer->id, "xhr_send", body);
        free(body);
        json_array_clear(p->outbox);
        c->pause_until_ns = sim.now_ns + (uint64_t)BEAT_MS * SIM_MS;
    } else {
        sim_client_rest(c, PAUSE_MS);
    }
}

static void answered(sim_client *c, int status, const char *body, size_t len) {
    const sim_client *streamer = streamer_of(c);
    bool lost = streamer->over || streamer->hurt || chatter_terminated(streamer) || sim_client_excused(streamer);
    if (status != 204 && !(status == 404 && lost))
        sim_fail("pusher", "client %d (sender) is answered %d, %.*s", c->id, status, (int)len, body);
}

/* It is not heard any more. */
static void lose_streamer(const sim_client *c) {
    sim_client *streamer = streamer_of(c);
    if (streamer->over || !streamer->pipe || streamer->silent_ns != UINT64_MAX)
        return;
    streamer->hurt = true;
    sim_client_leave(streamer);
}

static size_t read_sender(sim_client *c) {
    size_t used = backend_read(c, answered);
    if (c->ending == WORLD_REFUSED)
        lose_streamer(c);
    return used;
}

static void ended_sender(sim_client *c, sim_end end) {
    if (!sim_client_excused(c))
        sim_fail("endings", "client %d (sender): ended by %d", c->id, (int)end);
    lose_streamer(c);
}

static bool sender_waits(const sim_client *c) {
    return c->sent > c->received;
}

const sim_model world_sender = {"sender", begin_sender, speak_sender, read_sender,
                                NULL,     ended_sender, sender_waits, NULL};
