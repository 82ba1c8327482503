/*
 * Requests that are answered in a later turn: by another thread, or from the callback of some other connection on the
 * same loop. An accepted handshake comes to `open`, or to `lost` when the client had gone: never to both, nor to
 * neither.
 */
#include "app.h"
#include "client.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { PENDING_MAX = 64, INSIDE_PATIENCE_MS = 300 };

typedef struct pending {
    weft_request *request; /* NULL: free */
    int id, n;
    bool inside, never;
    uint64_t due_ns;
} pending;

static pending all[PENDING_MAX];
static int high; /* places ever used */
static bool accepted[CLIENTS_MAX], lost[CLIENTS_MAX];

int sim_later_text(const weft_request *request, const char *name) {
    char text[16];
    return weft_request_param(request, name, text, sizeof text) == WEFT_OK ? atoi(text) : -1;
}

void sim_later_begin(void) {
    memset(all, 0, sizeof all);
    high = 0;
    memset(accepted, 0, sizeof accepted);
    memset(lost, 0, sizeof lost);
}

void sim_later_ask(weft_request *request, void *user) {
    (void)user;
    for (int i = 0; i < PENDING_MAX; i++) {
        pending *p = &all[i];
        if (p->request)
            continue;
        high = i >= high ? i + 1 : high;
        *p = (pending) {.request = weft_request_ref(request),
                        .id = sim_later_text(request, "id"),
                        .n = sim_later_text(request, "n"),
                        .inside = sim_below(2),
                        .never = sim_later_text(request, "never") == 1,
                        .due_ns = sim.now_ns + (uint64_t)sim_log_between(1, 1000) * SIM_MS};
        sim_trace("asks later", p->id, p->n, p->inside);
        return;
    }
    sim_fail("simulator", "too many requests wait");
}

static void answer(void *arg) {
    static uint8_t bytes[MESSAGE_MAX];
    pending *p = arg;
    int opcode, got;
    if (weft_request_is_upgrade(p->request)) {
        weft_request_set_user(p->request, (void *)(intptr_t)(p->id + 1));
        got = weft_request_accept(p->request, NULL, NULL, 0);
        accepted[p->id] = got == WEFT_OK;
    } else {
        size_t len = sim_message(p->id, (uint32_t)p->n, &opcode, bytes);
        got = weft_request_reply(p->request, 200, NULL, bytes, len);
    }
    sim_trace("answers", p->id, p->n, got);
    weft_request_unref(p->request);
    p->request = NULL;
}

void sim_later_inside(void) {
    for (int i = 0; i < high; i++)
        if (all[i].request && all[i].inside && !all[i].never && sim.now_ns >= all[i].due_ns)
            answer(&all[i]);
}

static uint64_t outside_due(const pending *p) {
    return !p->request || p->never ? UINT64_MAX
           : p->inside             ? p->due_ns + INSIDE_PATIENCE_MS * (uint64_t)SIM_MS
                                   : p->due_ns;
}

void sim_later_act(void) {
    for (int i = 0; i < high; i++)
        if (outside_due(&all[i]) <= sim.now_ns) {
            int id = all[i].id;
            sim_outside(answer, &all[i]);
            if (sim_below(4) == 0)
                sim_client_hurry(id); /* before the answer has come in by mail */
        }
}

uint64_t sim_later_next_ns(void) {
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < high; i++)
        if (outside_due(&all[i]) < next)
            next = outside_due(&all[i]);
    return next;
}

void sim_later_lost(void *given, void *user) {
    (void)user;
    int id = (int)(intptr_t)given - 1;
    if (!sim_client_of(id) || lost[id])
        sim_fail("callbacks", "lost for client %d, again or for nobody", id);
    lost[id] = true;
    sim_trace("lost", id, 0, 0);
}

/* Answers that come when the server has stopped go nowhere, and nothing is left of them. */
void sim_later_run_over(void) {
    for (int i = 0; i < high; i++)
        if (all[i].request && !all[i].never)
            sim_outside(answer, &all[i]);
    for (int i = 0; i < high; i++)
        weft_request_unref(all[i].request);
}

void sim_later_freed(const bool *opened) {
    for (int i = 0; i < CLIENTS_MAX; i++)
        if ((accepted[i] && opened[i] == lost[i]) || (lost[i] && !accepted[i]))
            sim_fail("callbacks", "client %d was accepted %d, opened %d, lost %d", i, accepted[i], opened[i], lost[i]);
}
