/*
 * The HTTP client: pipelines numbered requests, some of which are answered in a later turn, and wants their answers
 * in order, each with its own body. At the end it asks to close, says FIN and still wants its answers, or just waits.
 */
#include "client.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_CLOSE, HALF_CLOSE, IDLE, WAYS, AHEAD_MAX = 20, REQUEST_WITHIN_MS = 2000 };

static void begin(sim_client *c) {
    c->total = sim_log_between(1, 40);
    c->ending = (int)sim_below(WAYS);
}

/* Bodies are as long as it can say in time: a request has 10 s, whatever comes of it. */
static void speak(sim_client *c) {
    static uint8_t body[MESSAGE_MAX];
    int opcode;
    c->quiet = true;
    if (c->sent == c->total || c->sent - c->received >= AHEAD_MAX) {
        if (c->sent == c->total && c->ending == HALF_CLOSE)
            sim_pipe_fin(c->pipe);
        return;
    }
    uint32_t n = c->sent++;
    bool close = c->sent == c->total && c->ending == ASK_CLOSE;
    size_t len = sim_message(c->id, n, &opcode, body);
    const char *path = sim_below(4) ? "/page" : "/later";
    const char *extra = close ? "Connection: close\r\n" : "";
    if (len < sim_client_gives(c, REQUEST_WITHIN_MS) && len < 16384) {
        sim_client_print(c, "POST %s?id=%d&n=%u HTTP/1.1\r\nHost: sim\r\n%sContent-Length: %zu\r\n\r\n", path, c->id, n,
                         extra, len);
        sim_client_put(c, body, len);
    } else {
        sim_client_print(c, "GET %s?id=%d&n=%u HTTP/1.1\r\nHost: sim\r\n%s\r\n", path, c->id, n, extra);
    }
    c->quiet = false;
}

static size_t read_answer(sim_client *c) {
    static uint8_t expected[MESSAGE_MAX];
    int opcode;
    const uint8_t *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    const uint8_t *length = memmem(c->in, c->in_len, "Content-Length: ", 16);
    if (!end || !length)
        return 0;
    size_t head_len = (size_t)(end - c->in) + 4, len = strtoul((const char *)length + 16, NULL, 10);
    if (c->in_len - head_len < len)
        return 0;
    int status = atoi((const char *)c->in + 9);
    sim_trace("is answered", c->id, status, (int64_t)len);
    c->progress_ns = sim.now_ns;
    if (status == 200) {
        size_t expected_len = sim_message(c->id, c->received, &opcode, expected);
        if (c->received >= c->sent || len != expected_len || memcmp(end + 4, expected, len) != 0)
            sim_fail("answers", "client %d (pages): what came is not answer %u", c->id, c->received);
    } else if (!sim_client_excused(c)) {
        sim_fail("answers", "client %d (pages): answer %u is %d, %.*s", c->id, c->received, status, (int)len,
                 (const char *)end + 4);
    }
    c->received++;
    return head_len + len;
}

static void ended(sim_client *c, sim_end end) {
    if (sim_client_excused(c))
        return;
    if (end != SIM_END_FIN || c->received != c->total || c->in_len > 0)
        sim_fail("answers", "client %d (pages): ended by %d after %u of %u answers", c->id, (int)end, c->received,
                 c->total);
}

static bool waits(const sim_client *c) {
    return c->received < c->sent;
}

const sim_model sim_pages = {"pages", begin, speak, read_answer, NULL, ended, waits, NULL};
