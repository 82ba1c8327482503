#include "app/pusher/table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_SLOTS = 8 };

void push_table_free(push_table *table) {
    free(table->slots);
    *table = (push_table) {0};
}

static push_link **slot_of(const push_table *table, uint64_t hash) {
    return &table->slots[hash & (table->slot_count - 1)];
}

/* Doubles it. When memory is out the lists become longer, and all stays right. */
bool push_table_reserve(push_table *table) {
    if (table->count < table->slot_count)
        return true;
    push_table grown = {.slot_count = table->slot_count ? 2 * table->slot_count : FIRST_SLOTS, .count = table->count};
    grown.slots = calloc(grown.slot_count, sizeof(push_link *));
    if (!grown.slots)
        return table->slot_count > 0;
    for (size_t i = 0; i < table->slot_count; i++) {
        for (push_link *l = table->slots[i], *next; l; l = next) {
            push_link **slot = slot_of(&grown, l->hash);
            next = l->next;
            l->next = *slot;
            *slot = l;
        }
    }
    free(table->slots);
    *table = grown;
    return true;
}

void push_table_add(push_table *table, push_link *link, uint64_t hash) {
    push_link **slot = slot_of(table, hash);
    link->hash = hash;
    link->next = *slot;
    *slot = link;
    table->count++;
}

void push_table_remove(push_table *table, push_link *link) {
    push_link **at = slot_of(table, link->hash);
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    table->count--;
}

static push_link *of_hash(push_link *l, uint64_t hash) {
    while (l && l->hash != hash)
        l = l->next;
    return l;
}

push_link *push_table_first(const push_table *table, uint64_t hash) {
    return table->slot_count ? of_hash(*slot_of(table, hash), hash) : NULL;
}

push_link *push_table_next(const push_link *link) {
    return of_hash(link->next, link->hash);
}

push_link *push_table_walk(const push_table *table, const push_link *last) {
    size_t i = 0;
    if (last) {
        if (last->next)
            return last->next;
        i = (last->hash & (table->slot_count - 1)) + 1;
    }
    for (; i < table->slot_count; i++)
        if (table->slots[i])
            return table->slots[i];
    return NULL;
}

/* The slots in the order of their numbers' bits turned round: a table that doubles splits each slot into two that are
 * neighbours in this order, so a walk is as far in the new table as it was in the old one. */
push_link *push_table_slot(const push_table *table, uint64_t *place) {
    if (table->slot_count == 0)
        return NULL;
    push_link *first = table->slots[*place];
    uint64_t bit = table->slot_count >> 1;
    for (; bit > 0 && *place & bit; bit >>= 1)
        *place ^= bit;
    *place |= bit;
    return first;
}

/* ---- SipHash-1-3 ---- */

static uint64_t key[2];
static pthread_once_t keyed = PTHREAD_ONCE_INIT;

/* Without randomness from the kernel an address of this process is better than nothing. */
static void make_key(void) {
    if (getrandom(key, sizeof key, 0) != sizeof key)
        key[0] = (uint64_t)(uintptr_t)&key, key[1] = (uint64_t)(uintptr_t)malloc;
}

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static void round_of(uint64_t v[4]) {
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t push_hash(const void *data, size_t len) {
    pthread_once(&keyed, make_key);
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    const unsigned char *at = data;
    uint64_t word, last = (uint64_t)len << 56;
    size_t left = len;
    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        v[3] ^= word;
        round_of(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)at[i] << (8 * i);
    v[3] ^= last;
    round_of(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        round_of(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t push_hash_pair(const void *a, const void *b) {
    uintptr_t both[2] = {(uintptr_t)a, (uintptr_t)b};
    return push_hash(both, sizeof both);
}
