/*
 * table.h - a hash table of things that carry their own link. Keys come from peers, so the hash is keyed (SipHash-1-3):
 * nobody outside can choose names that collide.
 *
 *     for (push_link *l = push_table_first(&t, hash); l; l = push_table_next(l))
 *         if (... the key behind l is the one ...)
 *
 * walks those of one hash: nearly always one at most.
 */
#ifndef APP_PUSHER_TABLE_H
#define APP_PUSHER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct push_link {
    struct push_link *next;
    uint64_t hash;
} push_link;

typedef struct push_table {
    push_link **slots; /* 0 or a power of two */
    size_t slot_count, count;
} push_table;

void push_table_free(push_table *table); /* what is in it is its owner's */

/* Makes sure that the next add has a place. False: memory is out and there is none. */
bool push_table_reserve(push_table *table);
void push_table_add(push_table *table, push_link *link, uint64_t hash); /* reserved before */
void push_table_remove(push_table *table, push_link *link);

push_link *push_table_first(const push_table *table, uint64_t hash);
push_link *push_table_next(const push_link *link);

/* All of them, in no order; the one that was given last may be removed. */
push_link *push_table_walk(const push_table *table, const push_link *last);

/* The same, but to be broken off: all links of one slot (by their `next`), or NULL as it is empty. *place is 0 at first,
 * and again with the last slot. Between two calls anything may come and go, and the table grow: what is there all the
 * while comes once, all else once or not at all. */
push_link *push_table_slot(const push_table *table, uint64_t *place);

/* Keyed at the start of the process. */
uint64_t push_hash(const void *data, size_t len);
uint64_t push_hash_pair(const void *a, const void *b);

#endif
