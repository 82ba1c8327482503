/*
 * map.h - names to things: a chained hash table whose nodes are embedded in the things, keyed by bytes.
 *
 * Names come from peers, so the hash is SipHash-1-3 under a key of its own: nobody outside can make them
 * collide.
 *
 * Invariants (wf_map_check): 1. bucket_count is a power of two, or 0 before the first insert. 2. every node
 * is in the bucket of its hash. 3. count equals the nodes. 4. no two nodes have equal names.
 */
#ifndef WF_BASE_MAP_H
#define WF_BASE_MAP_H

#include "base/bytes.h"

typedef struct wf_map_node {
    struct wf_map_node *next;
    uint64_t hash;
    wf_str name; /* owned by the thing */
} wf_map_node;

typedef struct wf_map {
    wf_map_node **buckets;
    size_t bucket_count;
    size_t count;
    uint64_t key[2];
} wf_map;

/* `key`: 16 random bytes. Takes no memory yet. */
void wf_map_init(wf_map *map, const uint8_t key[16]);
void wf_map_deinit(wf_map *map); /* frees the table, not the things */

uint64_t wf_map_hash(const wf_map *map, wf_str name);

wf_map_node *wf_map_find(const wf_map *map, wf_str name); /* NULL: not there */

/* node->name is set by the caller and is not in the map yet. 0, or WF_ENOMEM. */
int wf_map_insert(wf_map *map, wf_map_node *node);
void wf_map_remove(wf_map *map, wf_map_node *node);

/* Walks all nodes, in no order:
 *     wf_map_walk walk = {0};
 *     while ((node = wf_map_next(map, &walk))) ...
 * The node just handed out may be removed; nothing may be inserted meanwhile. */
typedef struct wf_map_walk {
    size_t bucket;
    wf_map_node *following;
} wf_map_walk;

wf_map_node *wf_map_next(const wf_map *map, wf_map_walk *walk);

void wf_map_check(const wf_map *map);

#endif
