/*
 * A topic exists while somebody is subscribed or its history holds something. Subscribers stand in a dense
 * array, because fan-out reads it end to end; each remembers its index, so that leaving is a swap with the
 * last one. So do the topics of a subscriber.
 *
 * Whether somebody is in a topic is looked up in the shorter of the two: his topics, or its subscribers. So one with
 * thousands of topics of his own is as quick as a topic with thousands of subscribers.
 *
 * A topic whose last subscriber left goes to the vacant list, which is ordered by time: the first is the
 * first to be forgotten, be it for age, for number or for bytes.
 */
#include "hub/hub.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

struct wf_topic {
    wf_map_node node;
    wf_sub **subs;
    size_t sub_cap;
    wf_topic *vacant_prev, *vacant_next;
    uint64_t vacant_since_ms;
    const wf_history_rule *rule; /* NULL: no history */
    wf_blob **history;           /* ring of history_cap */
    uint32_t history_cap, history_first, history_count;
    size_t history_bytes;
    atomic_uint sub_count; /* written by the loop, read by any thread */
    atomic_ullong messages;
    char name[];
};

static uint32_t sub_count(const wf_topic *topic) {
    return atomic_load_explicit(&topic->sub_count, memory_order_relaxed);
}

static void set_sub_count(wf_topic *topic, uint32_t count) {
    atomic_store_explicit(&topic->sub_count, count, memory_order_relaxed);
}

static wf_topic *topic_of(wf_map_node *node) {
    return (wf_topic *)((char *)node - offsetof(wf_topic, node));
}

void wf_hub_init(wf_hub *hub, const wf_hub_config *config) {
    *hub = (wf_hub) {.config = *config, .nobody.closed = true};
    wf_map_init(&hub->topics, config->hash_key);
    pthread_mutex_init(&hub->lock, NULL);
}

void wf_hub_set_rules(wf_hub *hub, const wf_history_rule *rules, size_t count) {
    hub->rules = rules;
    hub->rule_count = count;
}

static const wf_history_rule *rule_for(const wf_hub *hub, wf_str name) {
    for (size_t i = 0; i < hub->rule_count; i++) {
        const wf_history_rule *rule = &hub->rules[i];
        size_t len = strlen(rule->prefix);
        if (name.len >= len && memcmp(name.data, rule->prefix, len) == 0)
            return rule->messages_max > 0 ? rule : NULL;
    }
    return NULL;
}

static void vacant_add(wf_hub *hub, wf_topic *topic) {
    topic->vacant_since_ms = hub->now_ms;
    topic->vacant_next = NULL;
    topic->vacant_prev = hub->vacant_last;
    *(hub->vacant_last ? &hub->vacant_last->vacant_next : &hub->vacant_first) = topic;
    hub->vacant_last = topic;
    hub->vacant_count++;
}

static void vacant_remove(wf_hub *hub, wf_topic *topic) {
    *(topic->vacant_prev ? &topic->vacant_prev->vacant_next : &hub->vacant_first) = topic->vacant_next;
    *(topic->vacant_next ? &topic->vacant_next->vacant_prev : &hub->vacant_last) = topic->vacant_prev;
    hub->vacant_count--;
}

static wf_topic *topic_new(wf_hub *hub, wf_str name) {
    wf_topic *topic = wf_mem_zalloc(sizeof *topic + name.len);
    if (!topic)
        return NULL;
    memcpy(topic->name, name.data, name.len);
    topic->node.name = (wf_str) {topic->name, name.len};
    topic->rule = rule_for(hub, name);
    pthread_mutex_lock(&hub->lock);
    int got = wf_map_insert(&hub->topics, &topic->node);
    pthread_mutex_unlock(&hub->lock);
    if (got < 0) {
        wf_mem_free(topic);
        return NULL;
    }
    vacant_add(hub, topic);
    return topic;
}

static wf_blob *history_drop_first(wf_hub *hub, wf_topic *topic) {
    wf_blob *blob = topic->history[topic->history_first];
    topic->history_first = (topic->history_first + 1) % topic->history_cap;
    topic->history_count--;
    topic->history_bytes -= blob->len;
    hub->history_bytes -= blob->len;
    return blob;
}

static void history_clear(wf_hub *hub, wf_topic *topic) {
    while (topic->history_count > 0)
        wf_blob_unref(history_drop_first(hub, topic));
}

static void topic_forget(wf_hub *hub, wf_topic *topic) {
    wf_assert(sub_count(topic) == 0);
    vacant_remove(hub, topic);
    history_clear(hub, topic);
    pthread_mutex_lock(&hub->lock);
    wf_map_remove(&hub->topics, &topic->node);
    pthread_mutex_unlock(&hub->lock);
    wf_mem_free(topic->history);
    wf_mem_free(topic->subs);
    wf_mem_free(topic);
}

void wf_hub_deinit(wf_hub *hub) {
    while (hub->vacant_first)
        topic_forget(hub, hub->vacant_first);
    wf_assert(hub->topics.count == 0);
    wf_map_deinit(&hub->topics);
    pthread_mutex_destroy(&hub->lock);
}

static wf_topic *topic_find(const wf_hub *hub, wf_str name) {
    wf_map_node *node = wf_map_find(&hub->topics, name);
    return node ? topic_of(node) : NULL;
}

/* The ring grows by doubling up to the rule's count: most topics see few messages. */
static int history_grow(wf_topic *topic) {
    uint32_t cap = topic->history_cap ? topic->history_cap * 2 : 8;
    if (cap > topic->rule->messages_max)
        cap = topic->rule->messages_max;
    wf_blob **ring = wf_mem_alloc(cap * sizeof *ring);
    if (!ring)
        return WF_ENOMEM;
    for (uint32_t i = 0; i < topic->history_count; i++)
        ring[i] = topic->history[(topic->history_first + i) % topic->history_cap];
    wf_mem_free(topic->history);
    topic->history = ring;
    topic->history_cap = cap;
    topic->history_first = 0;
    return WF_OK;
}

static void history_add(wf_hub *hub, wf_topic *topic, wf_blob *blob) {
    const wf_history_rule *rule = topic->rule;
    if (!rule || blob->len > rule->bytes_max)
        return;
    while (topic->history_count > 0 &&
           (topic->history_count >= rule->messages_max || topic->history_bytes + blob->len > rule->bytes_max))
        wf_blob_unref(history_drop_first(hub, topic));
    if (topic->history_count == topic->history_cap && history_grow(topic) < 0) {
        if (topic->history_count == 0)
            return;
        wf_blob_unref(history_drop_first(hub, topic)); /* no memory for more: the oldest makes room, no gap */
    }
    topic->history[(topic->history_first + topic->history_count++) % topic->history_cap] = wf_blob_ref(blob);
    topic->history_bytes += blob->len;
    hub->history_bytes += blob->len;
}

/* Keeps the vacant topics within their limits, but for `newest`. */
static void vacant_trim(wf_hub *hub, const wf_topic *newest) {
    while ((hub->history_bytes > hub->config.history_bytes_max || hub->vacant_count > hub->config.vacant_max) &&
           hub->vacant_first && hub->vacant_first != newest)
        topic_forget(hub, hub->vacant_first);
}

/* Keeps the whole past within its limits; `newest` may lose history but stays. */
static void history_trim(wf_hub *hub, wf_topic *newest) {
    vacant_trim(hub, newest);
    while (hub->history_bytes > hub->config.history_bytes_max && newest->history_count > 0)
        wf_blob_unref(history_drop_first(hub, newest));
}

static void replay(const wf_topic *topic, wf_outq *q, size_t most) {
    size_t used = wf_outq_weight(q), take = 0;
    size_t room = used < q->bytes_max ? q->bytes_max - used : 0;
    if (room > q->bytes_max / 2)
        room = q->bytes_max / 2;
    while (take < topic->history_count && take < most) {
        uint32_t at = (topic->history_first + topic->history_count - 1 - (uint32_t)take) % topic->history_cap;
        size_t weight = topic->history[at]->len + WF_OUTQ_SEG_COST;
        if (weight > room)
            break;
        room -= weight;
        take++;
    }
    for (size_t i = topic->history_count - take; i < topic->history_count; i++)
        wf_outq_publish(q, topic->history[(topic->history_first + i) % topic->history_cap]);
}

/* ---- a subscriber's topics ---- */

static wf_sub **own_subs(wf_subscriber *who) {
    return who->count > 1 ? who->subs.many : &who->subs.one;
}

/* It is full whenever it holds a power of two. */
static int own_add(wf_subscriber *who, wf_sub *sub) {
    uint32_t count = who->count;
    if (count > 0 && (count & (count - 1)) == 0) {
        wf_sub **many = wf_mem_resize(count > 1 ? who->subs.many : NULL, 2 * count * sizeof *many);
        if (!many)
            return WF_ENOMEM;
        if (count == 1)
            many[0] = who->subs.one;
        who->subs.many = many;
    }
    sub->place = who->count++;
    own_subs(who)[sub->place] = sub;
    return WF_OK;
}

static void own_remove(wf_subscriber *who, const wf_sub *sub) {
    wf_sub **subs = own_subs(who), *last = subs[who->count - 1];
    subs[sub->place] = last;
    last->place = sub->place;
    if (--who->count != 1)
        return;
    last = subs[0];
    wf_mem_free(subs);
    who->subs.one = last;
}

static wf_sub *find_sub(wf_subscriber *who, const wf_topic *topic) {
    uint32_t count = sub_count(topic);
    if (who->count > count) {
        for (uint32_t i = 0; i < count; i++)
            if (topic->subs[i]->who == who)
                return topic->subs[i];
        return NULL;
    }
    wf_sub **own = own_subs(who);
    for (uint32_t i = 0; i < who->count; i++)
        if (own[i]->topic == topic)
            return own[i];
    return NULL;
}

static int subs_grow(wf_topic *topic) {
    size_t cap = topic->sub_cap ? topic->sub_cap * 2 : 4;
    wf_sub **subs = wf_mem_resize(topic->subs, cap * sizeof *subs);
    if (!subs)
        return WF_ENOMEM;
    topic->subs = subs;
    topic->sub_cap = cap;
    return WF_OK;
}

/* A topic that has neither subscribers nor history has no reason to be. */
static void drop_if_idle(wf_hub *hub, wf_topic *topic) {
    if (sub_count(topic) == 0 && topic->history_count == 0)
        topic_forget(hub, topic);
}

static uint32_t next_join(wf_hub *hub) {
    if (++hub->joins == 0)
        hub->joins = 1;
    return hub->joins;
}

int wf_hub_subscribe(wf_hub *hub, wf_subscriber *who, wf_str name, uint32_t *out_join) {
    if (name.len == 0 || name.len > WF_TOPIC_NAME_MAX)
        return WF_EINVAL;
    wf_topic *topic = topic_find(hub, name);
    if (topic && find_sub(who, topic)) {
        *out_join = 0;
        return WF_OK;
    }
    if (who->count >= who->count_max)
        return WF_ELIMIT;
    if (!topic && !(topic = topic_new(hub, name)))
        return WF_ENOMEM;
    uint32_t count = sub_count(topic);
    wf_sub *sub = count == topic->sub_cap && subs_grow(topic) < 0 ? NULL : wf_mem_alloc(sizeof *sub);
    if (!sub || own_add(who, sub) < 0) {
        wf_mem_free(sub);
        drop_if_idle(hub, topic);
        return WF_ENOMEM;
    }
    if (count == 0)
        vacant_remove(hub, topic);
    *out_join = next_join(hub);
    *sub = (wf_sub) {topic, who, &hub->nobody, count, sub->place, *out_join};
    topic->subs[count] = sub;
    set_sub_count(topic, count + 1);
    return WF_OK;
}

void wf_hub_join(wf_hub *hub, wf_subscriber *who, uint32_t join, wf_outq *q, size_t most) {
    uint32_t i = who->count; /* it is one of the last */
    wf_sub **own = own_subs(who), *sub = NULL;
    while (i > 0 && !sub)
        sub = own[--i]->join == join ? own[i] : NULL;
    if (!sub)
        return;
    wf_assert(join != 0 && sub->q == &hub->nobody);
    sub->join = 0;
    sub->q = q;
    replay(sub->topic, q, most);
}

static void leave(wf_hub *hub, wf_sub *sub) {
    wf_topic *topic = sub->topic;
    uint32_t last = sub_count(topic) - 1;
    own_remove(sub->who, sub);
    topic->subs[sub->index] = topic->subs[last];
    topic->subs[sub->index]->index = sub->index;
    set_sub_count(topic, last);
    wf_mem_free(sub);
    if (last == 0) {
        vacant_add(hub, topic);
        drop_if_idle(hub, topic);
        vacant_trim(hub, NULL);
    }
}

void wf_hub_unsubscribe(wf_hub *hub, wf_subscriber *who, wf_str name) {
    const wf_topic *topic = topic_find(hub, name);
    wf_sub *sub = topic ? find_sub(who, topic) : NULL;
    if (sub)
        leave(hub, sub);
}

void wf_hub_leave_all(wf_hub *hub, wf_subscriber *who) {
    while (who->count > 0)
        leave(hub, own_subs(who)[who->count - 1]);
}

size_t wf_hub_publish(wf_hub *hub, wf_str name, wf_blob *blob, const wf_outq *except) {
    wf_topic *topic = topic_find(hub, name);
    if (!topic) {
        if (!rule_for(hub, name) || !(topic = topic_new(hub, name)))
            return 0;
    }
    size_t delivered = 0;
    uint32_t count = sub_count(topic);
    for (uint32_t i = 0; i < count; i++) {
        wf_outq *q = topic->subs[i]->q;
        if (q != except && wf_outq_publish(q, blob) == WF_OK)
            delivered++;
    }
    atomic_store_explicit(&topic->messages, atomic_load_explicit(&topic->messages, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (count == 0) { /* to the end of the vacant list */
        vacant_remove(hub, topic);
        vacant_add(hub, topic);
    }
    history_add(hub, topic, blob);
    history_trim(hub, topic);
    drop_if_idle(hub, topic);
    return delivered;
}

bool wf_hub_has_subscribers(wf_hub *hub, wf_str name) {
    pthread_mutex_lock(&hub->lock);
    const wf_topic *topic = topic_find(hub, name);
    bool has = topic && sub_count(topic) > 0;
    pthread_mutex_unlock(&hub->lock);
    return has;
}

void wf_hub_sweep(wf_hub *hub) {
    while (hub->vacant_first && hub->now_ms - hub->vacant_first->vacant_since_ms > hub->config.vacant_ms)
        topic_forget(hub, hub->vacant_first);
}

void wf_hub_look(wf_hub *hub, wf_hub_see *see, void *context) {
    pthread_mutex_lock(&hub->lock);
    wf_map_walk walk = {0};
    wf_map_node *node;
    while ((node = wf_map_next(&hub->topics, &walk))) {
        wf_topic *topic = topic_of(node);
        see(context, node->name, sub_count(topic), atomic_load_explicit(&topic->messages, memory_order_relaxed));
    }
    pthread_mutex_unlock(&hub->lock);
}

static bool is_listed(const wf_sub *sub) {
    return sub->place < sub->who->count && own_subs(sub->who)[sub->place] == sub;
}

void wf_hub_check(wf_hub *hub) {
    wf_map_check(&hub->topics);
    size_t bytes = 0;
    uint32_t vacant = 0;
    wf_map_walk walk = {0};
    wf_map_node *node;
    while ((node = wf_map_next(&hub->topics, &walk))) {
        wf_topic *topic = topic_of(node);
        for (uint32_t i = 0; i < sub_count(topic); i++)
            wf_assert(topic->subs[i]->index == i && topic->subs[i]->topic == topic && is_listed(topic->subs[i]) &&
                      (topic->subs[i]->join != 0) == (topic->subs[i]->q == &hub->nobody));
        wf_assert(sub_count(topic) > 0 || topic->history_count > 0);
        bytes += topic->history_bytes;
        vacant += sub_count(topic) == 0;
    }
    wf_assert(bytes == hub->history_bytes);
    wf_assert(vacant == hub->vacant_count);
    for (wf_topic *topic = hub->vacant_first, *prev = NULL; topic; prev = topic, topic = topic->vacant_next) {
        wf_assert(sub_count(topic) == 0 && topic->vacant_prev == prev);
        wf_assert(!prev || prev->vacant_since_ms <= topic->vacant_since_ms);
        wf_assert(topic->vacant_next || topic == hub->vacant_last);
        vacant--;
    }
    wf_assert(vacant == 0);
}
