/*
 * When clients act, and how their bytes come and go: in pieces, at a pace of their own.
 */
#include "client.h"

#include "app.h"
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static sim_client clients[CLIENTS_MAX];
static int count;

/* SILENCE: an answer of 30 s, a ping after at most 25 s and its 8 s, no more progress for 30 s, a close of 5 s, a
 * linger of 2 s. Or a stream whose client gives no sign of life for 80 s, and then takes no more for 30 s. */
enum { CONTROL_BYTES_MAX = 127, SILENCE_MAX_MS = 115000, STALL_MAX_MS = 40000, LOOP_BYTES_MAX = 8192 };

uint64_t sim_client_gives(const sim_client *c, uint32_t ms) {
    uint32_t step = sim_pipe_step() < c->write_max ? sim_pipe_step() : c->write_max;
    return (uint64_t)step * ms * 1000 / c->delay_us_max;
}

uint64_t sim_client_takes(const sim_client *c, uint32_t ms) {
    uint32_t step = sim_pipe_step() < c->read_max ? sim_pipe_step() : c->read_max;
    return (uint64_t)step * ms * 1000 / c->delay_us_max;
}

static void begin(sim_client *c, int id) {
    size_t bytes_at = offsetof(sim_client, out), state_at = offsetof(sim_client, out_at);
    memset(c, 0, bytes_at);
    memset((char *)c + state_at, 0, sizeof *c - state_at);
    c->model = sim_app_model(id);
    c->id = id;
    c->silent_ns = UINT64_MAX;
    c->next_ns = (uint64_t)sim_below(5000) * SIM_MS;
    c->delay_us_max = sim_log_between(1, 200000);
    c->write_max = sim_log_between(sim_below(4) ? 16 : 1, CLIENT_BYTES_MAX);
    c->read_max = sim_log_between(sim_below(4) ? 16 : 1, CLIENT_BYTES_MAX);
    /* A handshake of some 200 bytes is done within 8 s. */
    if (c->delay_us_max > c->write_max * 40000)
        c->delay_us_max = c->write_max * 40000;
    uint32_t greeting_us_max = 3000000 / (sim_pipe_greeting() / sim_ring_bytes() + 6);
    if (sim_pipe_greeting() > 0 && c->delay_us_max > greeting_us_max)
        c->delay_us_max = greeting_us_max;
    /* What the kernel holds for us, and the loop over io_uring, is read within 5 s: the server cannot see that we
     * have not its ping yet. */
    uint32_t held = sim_ring_bytes() + (sim.on_uring ? LOOP_BYTES_MAX : 0) + sim_pipe_held();
    while (sim_client_takes(c, 5000) < held && c->read_max < sim_pipe_step())
        c->read_max *= 2;
    while (sim_client_takes(c, 5000) < held)
        c->delay_us_max /= 2;
    c->model->begin(c);
    sim_trace(c->model->name, id, c->write_max, c->read_max);
}

void sim_clients_begin(void) {
    count = (int)sim_between(1, CLIENTS_MAX);
    for (int i = 0; i < count; i++)
        begin(&clients[i], i);
}

sim_client *sim_client_of(int id) {
    return id >= 0 && id < count ? &clients[id] : NULL;
}

bool sim_client_excused(const sim_client *c) {
    return c->hurt || sim_app_ending() || (c->pipe && sim_pipe_hurt(c->pipe));
}

void sim_client_leave(sim_client *c) {
    if (c->pipe) {
        c->hurt = c->hurt || sim_pipe_hurt(c->pipe);
        sim_pipe_let_go(c->pipe);
    }
    sim_zip_end(c);
    c->pipe = NULL;
    c->over = true;
    c->next_ns = UINT64_MAX;
    sim_trace("leaves", c->id, 0, 0);
}

void sim_client_put(sim_client *c, const void *data, size_t len) {
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
    if (len > sizeof c->out - c->out_len)
        sim_fail("simulator", "client %d has no room for %zu bytes", c->id, len);
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
}

void sim_client_print(sim_client *c, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_client_put(c, text, (size_t)len);
}

size_t sim_message(int client, uint32_t n, int *out_opcode, uint8_t *out) {
    uint64_t kept = sim.random;
    sim.random = sim.seed * 1000003 + (uint64_t)client * 65537 + n;
    uint32_t dice = sim_below(100);
    /* Through a narrow pipe go only short ones: else most of a run would be spent on few. */
    size_t len = dice < 60 || sim_pipe_step() < 256    ? sim_below(126)
                 : dice < 92 || sim_pipe_step() < 2048 ? sim_below(2000)
                 : dice < 99                           ? sim_below(12000)
                                                       : sim_between(65000, MESSAGE_MAX);
    *out_opcode = 1 + (int)sim_below(2);
    for (size_t at = 0; at < len; at += 8) {
        uint64_t bytes = sim_random();
        if (*out_opcode == 1)
            bytes = (bytes & 0x3f3f3f3f3f3f3f3f) + 0x2020202020202020;
        memcpy(out + at, &bytes, len - at < 8 ? len - at : 8);
    }
    if (*out_opcode == 1 && len >= 3)
        memcpy(out + sim_below((uint32_t)len - 2), "\xE2\x82\xAC", 3);
    sim.random = kept;
    return len;
}

static void read_some(sim_client *c) {
    size_t room = sizeof c->in - c->in_len;
    size_t got = sim_pipe_read(c->pipe, c->in + c->in_len, room < c->read_max ? room : c->read_max);
    if (got == 0)
        return;
    sim.deeds++;
    c->in_len += got;
    if (c->in_len > CONTROL_BYTES_MAX)
        c->progress_ns = sim.now_ns;
    for (size_t used; c->in_len > 0 && c->pipe && (used = c->model->read(c)) > 0;) {
        c->in_len -= used;
        memmove(c->in, c->in + used, c->in_len);
    }
}

/* Answers whether bytes went. */
static bool write_some(sim_client *c) {
    c->quiet = false;
    while (c->pipe && c->out_at == c->out_len && !c->quiet)
        c->model->speak(c);
    if (!c->pipe)
        return false;
    size_t len = c->out_len - c->out_at;
    if (len > c->write_max)
        len = c->write_max;
    size_t put = sim_pipe_write(c->pipe, c->out + c->out_at, len);
    c->out_at += put;
    if (put > 0) {
        sim.deeds++;
        c->progress_ns = sim.now_ns;
    }
    return put > 0;
}

static void act(sim_client *c) {
    c->next_ns = UINT64_MAX;
    if (c->silent_ns != UINT64_MAX)
        return;
    if (!c->pipe) {
        c->pipe = sim_pipe_open(c->id);
        c->connected = c->pipe != NULL;
        c->progress_ns = sim.now_ns;
        sim_trace("connects", c->id, c->connected, 0);
        if (!c->connected) {
            sim_client_leave(c);
            return;
        }
    }
    sim_pipe_pump(c->pipe);
    read_some(c);
    if (c->pipe && sim_pipe_readable(c->pipe) == 0 && sim_pipe_end(c->pipe)) {
        sim_end end = sim_pipe_end(c->pipe);
        sim_trace("sees the end", c->id, (int)end, 0);
        c->model->ended(c, end);
        sim_client_leave(c);
    }
    if (!c->pipe || c->silent_ns != UINT64_MAX)
        return;
    bool went = write_some(c);
    if (!c->pipe || c->silent_ns != UINT64_MAX)
        return;
    /* Without anything to read or to write, and without room, it waits to be stirred. */
    bool more = c->out_at < c->out_len || !c->quiet;
    if (sim_pipe_readable(c->pipe) > 0 || (more && went))
        sim_client_stir(c->id);
}

void sim_client_rest(sim_client *c, uint32_t ms) {
    uint64_t at = sim.now_ns + (uint64_t)ms * SIM_MS;
    if (at < c->next_ns)
        c->next_ns = at;
}

void sim_client_hurry(int id) {
    sim_client *c = &clients[id];
    if (c->over)
        return;
    c->hurried = true;
    c->next_ns = sim.now_ns;
}

void sim_client_stir(int id) {
    sim_client *c = &clients[id];
    if (c->over)
        return;
    uint64_t at = sim.now_ns + 1000 * (uint64_t)sim_between(1, c->delay_us_max);
    if (at < c->next_ns)
        c->next_ns = at;
}

void sim_client_stir_all(int id) {
    sim_client_stir(id);
    for (int i = 0; i < count; i++)
        if (i != id && clients[i].pipe && sim_pipe_shared(i, id))
            sim_client_stir(i);
}

void sim_clients_act(void) {
    int first = (int)sim_below((uint32_t)count);
    for (int i = 0; i < count; i++) {
        sim_client *c = &clients[(first + i) % count];
        if (!c->over && c->next_ns <= sim.now_ns)
            act(c);
    }
}

/* Who must not be kept waiting, and who must be given up. */
void sim_clients_check(void) {
    for (int i = 0; i < count; i++) {
        const sim_client *c = &clients[i];
        if (c->over || !c->pipe)
            continue;
        if (c->silent_ns != UINT64_MAX && sim.now_ns > c->silent_ns + SILENCE_MAX_MS * (uint64_t)SIM_MS &&
            !sim_pipe_given_up(c->pipe))
            sim_fail("bounded silence", "client %d (%s) went silent at %.6f s and is still there", i, c->model->name,
                     (double)c->silent_ns / 1e9);
        if (c->model->waits && sim.now_ns > c->progress_ns + STALL_MAX_MS * (uint64_t)SIM_MS && c->model->waits(c) &&
            !sim_client_excused(c))
            sim_fail("progress", "client %d (%s) has waited since %.6f s", i, c->model->name,
                     (double)c->progress_ns / 1e9);
    }
}

void sim_client_fall_silent(sim_client *c) {
    c->silent_ns = sim.now_ns;
    c->quiet = true;
    sim_trace("falls silent", c->id, 0, 0);
}

void sim_clients_meanwhile(void) {
    sim_client *c = &clients[sim_below((uint32_t)count)];
    if (!c->over && c->connected)
        act(c);
}

uint64_t sim_clients_next_ns(void) {
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < count; i++)
        if (!clients[i].over && clients[i].next_ns < next)
            next = clients[i].next_ns;
    return next;
}

void sim_clients_end(void) {
    for (int i = 0; i < count; i++)
        if (!clients[i].over)
            sim_client_leave(&clients[i]);
}
