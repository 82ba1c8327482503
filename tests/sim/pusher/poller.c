/*
 * The client without WebSockets: what it says goes by xhr_send, and it hears by answers to xhr, one request after the
 * other on one connection. Else it is a chatter.
 */
#include "chatter.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACTS_MAX = 4 };

static void begin(sim_client *c) {
    chatter_begin(c);
    chatter_of(c)->outbox = json_array();
    if (sim_is_h2() && chatter_of(c)->fate == FALLS_SILENT) /* an answer then waits for windows as long as others ask */
        chatter_of(c)->fate = LEAVES;
    c->delay_us_max = c->delay_us_max > 2000 ? 2000 : c->delay_us_max; /* a request has 10 s */
    c->read_max = c->write_max = CLIENT_BYTES_MAX;
}

void chatter_requests(sim_client *c, int session, const char *verb, const char *body) {
    sim_client_print(c,
                     "POST /pusher/app/" WORLD_KEY "/%d/session0/%s?protocol=7&client=js&version=8.4.0&t=1&n=%u "
                     "HTTP/1.1\r\nHost: sim\r\n%sContent-Length: %zu\r\n\r\n",
                     session, verb, c->sent++, body[0] ? "Content-Type: application/json\r\n" : "", strlen(body));
    sim_client_put(c, body, strlen(body));
    c->quiet = false;
}

static void speak(sim_client *c) {
    chatter *p = chatter_of(c);
    c->quiet = true;
    if (p->waits)
        return;
    bool acts = world_now() == WORLD_BUSY && p->conn >= 0 && p->asked_to - p->asked_from < CHATTER_ASKED_MAX - ACTS_MAX;
    if (acts && p->acts_left == 0 && p->fate != STAYS && (p->fate != CLOSES || chatter_owed(c) == 0)) {
        chatter_go(c);
        return;
    }
    for (uint32_t n = sim_below(ACTS_MAX); acts && n > 0 && p->acts_left > 0; n--)
        chatter_act(c);
    p->sends = json_array_size(p->outbox) > 0;
    char *body = p->sends ? json_dumps(p->outbox, JSON_COMPACT) : NULL;
    chatter_requests(c, c->id, p->sends ? "xhr_send" : "xhr", p->sends ? body : "");
    p->waits = true;
    free(body);
    json_array_clear(p->outbox);
}

/* Lines: o{}, h, a["..."], c[code,"why"]. */
void chatter_hears_frames(sim_client *c, const char *at, size_t len) {
    const char *end = at + len, *next;
    for (; at < end; at = next) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end)
            sim_fail("pusher", "client %d: a frame without an end", c->id);
        next = line_end + 1;
        json_t *array = *at == 'a' || *at == 'c' ? json_loadb(at + 1, (size_t)(line_end - at - 1), 0, NULL) : NULL;
        if (*at != 'o' && *at != 'h' && json_array_size(array) == 0)
            sim_fail("pusher", "client %d: this is no frame: %.*s", c->id, (int)(line_end - at), at);
        if (*at == 'c')
            c->close_code = (int)json_integer_value(json_array_get(array, 0));
        for (size_t i = 0; *at == 'a' && i < json_array_size(array); i++) {
            const json_t *text = json_array_get(array, i);
            chatter_hears(c, 1, (const uint8_t *)json_string_value(text), json_string_length(text));
        }
        json_decref(array);
    }
}

bool chatter_terminated(const sim_client *c) {
    const chatter *p = chatter_of(c);
    return p->conn >= 0 && truth_conns[p->conn].terminated;
}

static void answered(sim_client *c, int status, const char *body, size_t len) {
    chatter *p = chatter_of(c);
    p->waits = false;
    sim_trace("hears", c->id, status, (int64_t)len);
    if (p->sends ? status == 404 && chatter_terminated(c) : false)
        c->close_code = 4009;
    else if (status != (p->sends ? 204 : 200))
        sim_fail("pusher", "client %d is answered %d, %.*s", c->id, status, (int)len, body);
    else if (!p->sends)
        chatter_hears_frames(c, body, len);
    if (c->close_code && !chatter_terminated(c) && !sim_client_excused(c))
        sim_fail("endings", "client %d (poller): close %d", c->id, c->close_code);
}

/* Once it is sent away it asks no more. */
static size_t read_some(sim_client *c) {
    size_t used = backend_read(c, answered);
    c->hurt = c->hurt || c->ending == WORLD_REFUSED;
    if (used > 0 && (c->close_code || c->ending == WORLD_REFUSED))
        sim_client_leave(c);
    return used;
}

static void ended(sim_client *c, sim_end end) {
    if (!sim_client_excused(c))
        sim_fail("endings", "client %d (poller): ended by %d", c->id, (int)end);
}

static bool waits(const sim_client *c) {
    return chatter_of(c)->conn < 0 || chatter_owed(c) > 0 || chatter_of(c)->sends;
}

const sim_model world_poller = {"poller", begin, speak, read_some, NULL, ended, waits, NULL};
