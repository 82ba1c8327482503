/*
 * A list in the order of time and a table by what it is about: a beginning finds the end that it takes back.
 */
#include "app/pusher/pending.h"

#include <stdlib.h>
#include <string.h>

static bool is_end(push_note note) {
    return note == PUSH_VACATED || note == PUSH_MEMBER_REMOVED;
}

static bool is_beginning(push_note note) {
    return note == PUSH_OCCUPIED || note == PUSH_MEMBER_ADDED;
}

static uint64_t hash_of(const push_happened *what) {
    uint64_t channel = push_hash(what->channel.data, what->channel.len);
    return push_hash_pair((void *)(uintptr_t)channel, (void *)(uintptr_t)push_hash(what->text.data, what->text.len));
}

/* The end that waits and that this beginning takes back. A channel has no user, so it is never taken for a member. */
static push_waiting *find(const push_pending *p, const push_happened *what) {
    push_note end = what->note == PUSH_OCCUPIED ? PUSH_VACATED : PUSH_MEMBER_REMOVED;
    for (push_link *l = push_table_first(&p->table, hash_of(what)); l; l = push_table_next(l)) {
        push_waiting *w = (push_waiting *)l;
        if (w->what.note == end && push_text_equal(w->what.channel, what->channel) &&
            push_text_equal(w->what.text, what->text))
            return w;
    }
    return NULL;
}

static void take_out(push_pending *p, push_waiting *w) {
    *(w->prev ? &w->prev->next : &p->first) = w->next;
    *(w->next ? &w->next->prev : &p->last) = w->prev;
    push_table_remove(&p->table, &w->link);
}

static bool wait(push_pending *p, const push_happened *what, uint64_t due_ms) {
    push_waiting *w = push_table_reserve(&p->table) ? malloc(sizeof *w + what->channel.len + what->text.len) : NULL;
    if (!w)
        return false;
    *w = (push_waiting) {.due_ms = due_ms, .prev = p->last};
    w->what =
        (push_happened) {what->note, {w->bytes, what->channel.len}, {w->bytes + what->channel.len, what->text.len}};
    memcpy(w->bytes, what->channel.data, what->channel.len);
    if (what->text.len > 0)
        memcpy(w->bytes + what->channel.len, what->text.data, what->text.len);
    *(p->last ? &p->last->next : &p->first) = w;
    p->last = w;
    push_table_add(&p->table, &w->link, hash_of(what));
    return true;
}

void push_pending_free(push_pending *p) {
    for (push_waiting *w; (w = push_pending_take(p, UINT64_MAX)); free(w))
        ;
    push_table_free(&p->table);
}

bool push_pending_note(push_pending *p, const push_happened *what, uint64_t due_ms) {
    if (is_end(what->note))
        return !wait(p, what, due_ms);
    push_waiting *w = is_beginning(what->note) ? find(p, what) : NULL;
    if (!w)
        return true;
    take_out(p, w);
    free(w);
    return false;
}

push_waiting *push_pending_take(push_pending *p, uint64_t now_ms) {
    push_waiting *w = p->first;
    if (!w || (w->due_ms > now_ms && p->table.count <= PUSH_PENDING_MAX))
        return NULL;
    take_out(p, w);
    return w;
}

uint64_t push_pending_due(const push_pending *p) {
    return !p->first ? UINT64_MAX : p->table.count > PUSH_PENDING_MAX ? 0 : p->first->due_ms;
}
