/*
 * Connections by number, in pages of 64: a page is one block, taken when its first connection comes and given back when
 * the last of it has gone. So a connection costs its own bytes and no more, and neighbours in number are neighbours in
 * memory.
 *
 *      pages:  [ * | NULL | * ]        page: [taken|conn 0|conn 1|....|conn 63]
 *                |          `--------------> conn 2*64 + i
 *
 * A handle is generation | worker | slot: 32 | 8 | 24 bits. A slot's generation is odd while a connection lives in it
 * and moves on by one at each birth and death, so a handle of the dead never fits the next one. Generations outlive
 * their page, and any thread may read them. Both tables are taken once, zeroed by the system and untouched until used:
 * their unused part costs no memory.
 *
 * Invariants (wf_slots_check): 1. a page is there exactly when a slot of it is taken, but for one that is empty and the
 * only one with room: that is kept until wf_slots_rest. 2. `room` lists the pages that are not full. 3. what lives is
 * taken. 4. used is the number of the taken.
 */
#include "server/server_impl.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/poison.h"

#include <string.h>

enum { SLOT_BITS = 24, WORKER_BITS = 8, PAGE_CONNS = 64 };

struct wf_page {
    wf_page *prev, *next; /* while it has room */
    uint64_t taken;       /* a bit per connection: from its birth until its memory is given back */
    uint32_t number;
    weft_conn conns[PAGE_CONNS];
};

static uint32_t page_count(const wf_slots *s) {
    return s->count / PAGE_CONNS;
}

int wf_slots_init(wf_slots *s, uint32_t count) {
    *s = (wf_slots) {.count = (count + PAGE_CONNS - 1) / PAGE_CONNS * PAGE_CONNS};
    s->pages = wf_mem_zalloc(page_count(s) * sizeof *s->pages);
    s->generations = wf_mem_zalloc((size_t)s->count * sizeof *s->generations);
    return s->pages && s->generations ? WF_OK : WF_ENOMEM;
}

static void room_add(wf_slots *s, wf_page *page) {
    page->prev = NULL;
    page->next = s->room;
    if (s->room)
        s->room->prev = page;
    s->room = page;
}

static void room_remove(wf_slots *s, wf_page *page) {
    *(page->prev ? &page->prev->next : &s->room) = page->next;
    if (page->next)
        page->next->prev = page->prev;
}

static wf_page *page_new(wf_slots *s) {
    while (s->pages[s->missing_from])
        s->missing_from++;
    wf_page *page = wf_mem_alloc(sizeof *page);
    if (!page)
        return NULL;
    page->taken = 0;
    page->number = s->missing_from;
    WF_POISON(page->conns, sizeof page->conns);
    s->pages[page->number] = page;
    if (s->high < (page->number + 1) * PAGE_CONNS)
        s->high = (page->number + 1) * PAGE_CONNS;
    room_add(s, page);
    return page;
}

static void page_free(wf_slots *s, wf_page *page) {
    room_remove(s, page);
    s->pages[page->number] = NULL;
    if (page->number < s->missing_from)
        s->missing_from = page->number;
    WF_UNPOISON(page->conns, sizeof page->conns);
    wf_mem_free(page);
}

void wf_slots_deinit(wf_slots *s) {
    wf_assert(s->used == 0);
    wf_slots_rest(s);
    wf_mem_free(s->pages);
    wf_mem_free(s->generations);
    *s = (wf_slots) {0};
}

weft_conn *wf_slots_add(wf_slots *s) {
    if (s->used >= s->count)
        return NULL;
    wf_page *page = s->room ? s->room : page_new(s);
    if (!page)
        return NULL;
    uint32_t at = (uint32_t)__builtin_ctzll(~page->taken);
    page->taken |= UINT64_C(1) << at;
    if (~page->taken == 0)
        room_remove(s, page);
    weft_conn *conn = &page->conns[at];
    WF_UNPOISON(conn, sizeof *conn);
    memset(conn, 0, sizeof *conn);
    conn->slot = page->number * PAGE_CONNS + at;
    atomic_fetch_add_explicit(&s->generations[conn->slot], 1, memory_order_relaxed);
    s->used++;
    return conn;
}

void wf_slots_end(wf_slots *s, const weft_conn *conn) {
    atomic_fetch_add_explicit(&s->generations[conn->slot], 1, memory_order_relaxed);
}

void wf_slots_free(wf_slots *s, weft_conn *conn) {
    wf_page *page = s->pages[conn->slot / PAGE_CONNS];
    if (~page->taken == 0) {
        wf_slots_rest(s);
        room_add(s, page);
    }
    page->taken &= ~(UINT64_C(1) << conn->slot % PAGE_CONNS);
    s->used--;
    WF_POISON(conn, sizeof *conn);
    if (page->taken == 0 && (page->prev || page->next))
        page_free(s, page);
}

void wf_slots_rest(wf_slots *s) {
    if (s->room && s->room->taken == 0)
        page_free(s, s->room);
}

static unsigned generation(const wf_slots *s, uint32_t index) {
    return atomic_load_explicit(&s->generations[index], memory_order_relaxed);
}

weft_conn *wf_slots_at(const wf_slots *s, uint32_t index) {
    return generation(s, index) & 1 ? &s->pages[index / PAGE_CONNS]->conns[index % PAGE_CONNS] : NULL;
}

void wf_slots_check(const wf_slots *s) {
    uint32_t used = 0, with_room = 0, listed = 0;
    for (uint32_t i = 0; i < page_count(s); i++) {
        const wf_page *page = s->pages[i];
        wf_assert(page || i >= s->missing_from);
        for (uint32_t k = 0; k < PAGE_CONNS; k++)
            wf_assert(!(generation(s, i * PAGE_CONNS + k) & 1) || (page && page->taken >> k & 1));
        if (!page)
            continue;
        wf_assert(page->number == i && (i + 1) * PAGE_CONNS <= s->high);
        wf_assert(page->taken != 0 || (s->room == page && !page->next));
        used += (uint32_t)__builtin_popcountll(page->taken);
        with_room += ~page->taken != 0;
    }
    for (const wf_page *page = s->room; page; page = page->next, listed++)
        wf_assert(~page->taken != 0 && (!page->next || page->next->prev == page));
    wf_assert(used == s->used && listed == with_room);
}

weft_handle wf_handle_of(const weft_conn *conn) {
    const wf_worker *w = wf_conn_worker(conn);
    return (uint64_t)generation(&w->slots, conn->slot) << (SLOT_BITS + WORKER_BITS) | (uint64_t)w->index << SLOT_BITS |
           conn->slot;
}

wf_worker *wf_handle_worker(const weft_server *server, weft_handle handle) {
    unsigned index = handle >> SLOT_BITS & ((1 << WORKER_BITS) - 1);
    return handle != 0 && index < server->worker_count ? &server->workers[index] : NULL;
}

uint32_t wf_handle_slot(weft_handle handle) {
    return handle & ((1 << SLOT_BITS) - 1);
}

bool wf_handle_alive(const wf_worker *w, weft_handle handle) {
    uint32_t index = handle & ((1 << SLOT_BITS) - 1);
    return index < w->slots.count && generation(&w->slots, index) == handle >> (SLOT_BITS + WORKER_BITS) &&
           (handle >> (SLOT_BITS + WORKER_BITS) & 1);
}

weft_conn *wf_handle_conn(wf_worker *w, weft_handle handle) {
    return wf_handle_alive(w, handle) ? wf_slots_at(&w->slots, handle & ((1 << SLOT_BITS) - 1)) : NULL;
}
