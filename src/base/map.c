/*
 * Chaining rather than open addressing: nodes live inside their things, never move, and removal is a pointer
 * swap. The table doubles when it holds as many nodes as buckets; if that allocation fails the chains just
 * get longer.
 */
#include "base/map.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/status.h"

enum { FIRST_BUCKETS = 16 };

static uint64_t rotl(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein). */
static uint64_t siphash(const uint64_t key[2], const char *data, size_t len) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    uint64_t word;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, data + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)len << 56;
    for (size_t j = 0; i + j < len; j++)
        word |= (uint64_t)(unsigned char)data[i + j] << (8 * j);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void wf_map_init(wf_map *map, const uint8_t key[16]) {
    *map = (wf_map) {0};
    memcpy(map->key, key, 16);
}

void wf_map_deinit(wf_map *map) {
    wf_mem_free(map->buckets);
    map->buckets = NULL;
    map->bucket_count = map->count = 0;
}

uint64_t wf_map_hash(const wf_map *map, wf_str name) {
    return siphash(map->key, name.data, name.len);
}

wf_map_node *wf_map_find(const wf_map *map, wf_str name) {
    if (map->count == 0)
        return NULL;
    uint64_t hash = wf_map_hash(map, name);
    wf_map_node *node = map->buckets[hash & (map->bucket_count - 1)];
    while (node && (node->hash != hash || !wf_str_eq(node->name, name)))
        node = node->next;
    return node;
}

static int grow(wf_map *map) {
    size_t bucket_count = map->bucket_count ? map->bucket_count * 2 : FIRST_BUCKETS;
    wf_map_node **buckets = wf_mem_zalloc(bucket_count * sizeof *buckets);
    if (!buckets)
        return WF_ENOMEM;
    for (size_t i = 0; i < map->bucket_count; i++) {
        for (wf_map_node *node = map->buckets[i], *next; node; node = next) {
            next = node->next;
            wf_map_node **bucket = &buckets[node->hash & (bucket_count - 1)];
            node->next = *bucket;
            *bucket = node;
        }
    }
    wf_mem_free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = bucket_count;
    return WF_OK;
}

int wf_map_insert(wf_map *map, wf_map_node *node) {
    if (map->count >= map->bucket_count && grow(map) < 0 && map->bucket_count == 0)
        return WF_ENOMEM;
    node->hash = wf_map_hash(map, node->name);
    wf_map_node **bucket = &map->buckets[node->hash & (map->bucket_count - 1)];
    node->next = *bucket;
    *bucket = node;
    map->count++;
    return WF_OK;
}

void wf_map_remove(wf_map *map, wf_map_node *node) {
    wf_map_node **link = &map->buckets[node->hash & (map->bucket_count - 1)];
    while (*link != node) {
        wf_assert(*link);
        link = &(*link)->next;
    }
    *link = node->next;
    map->count--;
}

wf_map_node *wf_map_next(const wf_map *map, wf_map_walk *walk) {
    wf_map_node *node = walk->following;
    while (!node && walk->bucket < map->bucket_count)
        node = map->buckets[walk->bucket++];
    walk->following = node ? node->next : NULL;
    return node;
}

void wf_map_check(const wf_map *map) {
    wf_assert((map->bucket_count & (map->bucket_count - 1)) == 0);
    size_t count = 0;
    for (size_t i = 0; i < map->bucket_count; i++) {
        for (wf_map_node *node = map->buckets[i]; node; node = node->next, count++) {
            wf_assert(node->hash == wf_map_hash(map, node->name));
            wf_assert((node->hash & (map->bucket_count - 1)) == i);
            for (wf_map_node *other = node->next; other; other = other->next)
                wf_assert(!wf_str_eq(node->name, other->name));
        }
    }
    wf_assert(count == map->count);
}
