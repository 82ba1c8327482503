/*
 * A handle is generation | worker | slot: 32 | 8 | 24 bits. A slot's generation is odd while a connection
 * lives in it and moves on by one at each birth and death, so a handle of the dead never fits the next one.
 * The table is taken once, zeroed by the system and untouched until used: its unused part costs no memory.
 */
#include "server/server_impl.h"

#include "base/mem.h"

enum { SLOT_BITS = 24, WORKER_BITS = 8, NO_SLOT = UINT32_MAX };

int wf_slots_init(wf_slots *s, uint32_t count) {
    *s = (wf_slots) {.count = count, .free_first = NO_SLOT};
    s->table = wf_mem_zalloc((size_t)count * sizeof *s->table);
    return s->table ? WF_OK : WF_ENOMEM;
}

void wf_slots_deinit(wf_slots *s) {
    wf_mem_free(s->table);
    s->table = NULL;
}

int wf_slots_add(wf_slots *s, weft_conn *conn) {
    uint32_t index = s->free_first;
    if (index != NO_SLOT)
        s->free_first = s->table[index].next_free;
    else if (s->high < s->count)
        index = s->high++;
    else
        return WF_ELIMIT;
    s->table[index].conn = conn;
    atomic_fetch_add_explicit(&s->table[index].generation, 1, memory_order_relaxed);
    conn->slot = index;
    s->used++;
    return WF_OK;
}

void wf_slots_remove(wf_slots *s, weft_conn *conn) {
    wf_slot *at = &s->table[conn->slot];
    at->conn = NULL;
    atomic_fetch_add_explicit(&at->generation, 1, memory_order_relaxed);
    at->next_free = s->free_first;
    s->free_first = conn->slot;
    s->used--;
}

static unsigned generation(const wf_worker *w, uint32_t index) {
    return atomic_load_explicit(&w->slots.table[index].generation, memory_order_relaxed);
}

weft_handle wf_handle_of(const weft_conn *conn) {
    return (uint64_t)generation(wf_conn_worker(conn), conn->slot) << (SLOT_BITS + WORKER_BITS) |
           (uint64_t)wf_conn_worker(conn)->index << SLOT_BITS | conn->slot;
}

wf_worker *wf_handle_worker(const weft_server *server, weft_handle handle) {
    unsigned index = handle >> SLOT_BITS & ((1 << WORKER_BITS) - 1);
    return handle != 0 && index < server->worker_count ? &server->workers[index] : NULL;
}

bool wf_handle_alive(const wf_worker *w, weft_handle handle) {
    uint32_t index = handle & ((1 << SLOT_BITS) - 1);
    return index < w->slots.count && generation(w, index) == handle >> (SLOT_BITS + WORKER_BITS) &&
           (handle >> (SLOT_BITS + WORKER_BITS) & 1);
}

weft_conn *wf_handle_conn(wf_worker *w, weft_handle handle) {
    return wf_handle_alive(w, handle) ? w->slots.table[handle & ((1 << SLOT_BITS) - 1)].conn : NULL;
}
