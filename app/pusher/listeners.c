#include "app/pusher/listeners.h"

#include <stdlib.h>
#include <string.h>

static push_topic *find(const push_table *topics, const char *name) {
    for (push_link *l = push_table_first(topics, push_hash(name, strlen(name))); l; l = push_table_next(l))
        if (strcmp(((push_topic *)l)->name, name) == 0)
            return (push_topic *)l;
    return NULL;
}

static push_topic *need(push_table *topics, const char *name) {
    push_topic *topic = find(topics, name);
    size_t len = strlen(name);
    if (topic || !push_table_reserve(topics) || !(topic = malloc(sizeof *topic + len + 1)))
        return topic;
    topic->first = NULL;
    memcpy(topic->name, name, len + 1);
    push_table_add(topics, &topic->link, push_hash(name, len));
    return topic;
}

static void drop_if_empty(push_table *topics, push_topic *topic) {
    if (topic->first)
        return;
    push_table_remove(topics, &topic->link);
    free(topic);
}

static push_listener **own_place(push_listener **own, const char *topic) {
    while (*own && strcmp((*own)->topic->name, topic) != 0)
        own = &(*own)->own_next;
    return own;
}

bool push_listen(push_table *topics, push_listener **own, push_session *session, const char *name) {
    if (*own_place(own, name))
        return true;
    push_topic *topic = need(topics, name);
    if (!topic)
        return false;
    push_listener *l = malloc(sizeof *l);
    if (!l) {
        drop_if_empty(topics, topic);
        return false;
    }
    *l = (push_listener) {.next = topic->first, .own_next = *own, .topic = topic, .session = session};
    if (l->next)
        l->next->prev = l;
    topic->first = l;
    *own = l;
    return true;
}

/* The one at this place of its session's list. */
static void remove_at(push_table *topics, push_listener **at) {
    push_listener *l = *at;
    *at = l->own_next;
    *(l->prev ? &l->prev->next : &l->topic->first) = l->next;
    if (l->next)
        l->next->prev = l->prev;
    drop_if_empty(topics, l->topic);
    free(l);
}

void push_unlisten(push_table *topics, push_listener **own, const char *topic) {
    push_listener **at = own_place(own, topic);
    if (*at)
        remove_at(topics, at);
}

void push_unlisten_all(push_table *topics, push_listener **own) {
    while (*own)
        remove_at(topics, own);
}

push_listener *push_listeners(const push_table *topics, const char *name) {
    push_topic *topic = topics->count > 0 ? find(topics, name) : NULL;
    return topic ? topic->first : NULL;
}
