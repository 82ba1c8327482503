#include "app/pusher/state.h"

#include <stdlib.h>
#include <string.h>

void push_state_init(push_state *state, const push_settings *settings) {
    *state = (push_state) {.settings = settings};
}

void push_state_deinit(push_state *state) {
    while (state->cached_first)
        push_cache_forget(state, state->cached_first->channel);
    push_table_free(&state->channels);
    push_table_free(&state->subs);
    push_table_free(&state->members);
    push_table_free(&state->users);
    push_table_free(&state->conns);
}

/* ---- connections ---- */

push_conn *push_connect(push_state *state, const char *socket_id, weft_handle handle) {
    push_conn *conn = calloc(1, sizeof *conn);
    if (!conn || !push_table_reserve(&state->conns)) {
        free(conn);
        return NULL;
    }
    conn->state = state;
    conn->handle = handle;
    strncpy(conn->socket_id, socket_id, sizeof conn->socket_id - 1);
    push_table_add(&state->conns, &conn->link, push_hash(conn->socket_id, strlen(conn->socket_id)));
    return conn;
}

void push_disconnect(push_conn *conn, push_effects *e, uint64_t now_ms) {
    while (conn->subs)
        push_leave(conn->subs, e, now_ms);
    push_sign_out(conn, e);
    push_table_remove(&conn->state->conns, &conn->link);
    free(conn);
}

bool push_bucket_take(push_bucket *bucket, uint64_t per_second, uint64_t most, uint64_t now_ms) {
    enum { ONE = 1000 };
    uint64_t left = bucket->left + (now_ms - bucket->at_ms) * per_second;
    bucket->at_ms = now_ms;
    bucket->left = (uint32_t)(left < most * ONE ? left : most * ONE);
    if (bucket->left < ONE)
        return false;
    bucket->left -= ONE;
    return true;
}

push_conn *push_conn_find(const push_state *state, weft_text socket_id) {
    for (push_link *l = push_table_first(&state->conns, push_hash(socket_id.data, socket_id.len)); l;
         l = push_table_next(l))
        if (push_text_equal(push_str(((push_conn *)l)->socket_id), socket_id))
            return (push_conn *)l;
    return NULL;
}

/* ---- channels ---- */

weft_text push_channel_name(const push_channel *channel) {
    return (weft_text) {channel->name, channel->name_len};
}

weft_text push_member_id(const push_member *member) {
    return (weft_text) {member->bytes, member->id_len};
}

weft_text push_member_info(const push_member *member) {
    return (weft_text) {member->bytes + member->id_len, member->info_len};
}

push_channel *push_channel_find(const push_state *state, weft_text name) {
    for (push_link *l = push_table_first(&state->channels, push_hash(name.data, name.len)); l; l = push_table_next(l))
        if (push_text_equal(push_channel_name((push_channel *)l), name))
            return (push_channel *)l;
    return NULL;
}

push_channel *push_channel_need(push_state *state, weft_text name) {
    push_channel *channel = push_channel_find(state, name);
    if (channel || !push_table_reserve(&state->channels))
        return channel;
    channel = calloc(1, sizeof *channel + name.len + 1);
    if (!channel)
        return NULL;
    channel->kind = push_kind_of(name);
    channel->name_len = (uint16_t)name.len;
    memcpy(channel->name, name.data, name.len);
    push_table_add(&state->channels, &channel->link, push_hash(name.data, name.len));
    return channel;
}

static void forget_to_tell(push_state *state, const push_channel *channel) {
    push_channel **at = &state->tell_first;
    while (*at != channel)
        at = &(*at)->tell_next;
    *at = channel->tell_next;
}

void push_channel_drop(push_state *state, push_channel *channel) {
    if (channel->subs > 0 || channel->cached)
        return;
    if (channel->tell_due)
        forget_to_tell(state, channel);
    push_table_remove(&state->channels, &channel->link);
    free(channel);
}

push_sub *push_sub_find(const push_conn *conn, const push_channel *channel) {
    for (push_link *l = push_table_first(&conn->state->subs, push_hash_pair(conn, channel)); l; l = push_table_next(l))
        if (((push_sub *)l)->conn == conn && ((push_sub *)l)->channel == channel)
            return (push_sub *)l;
    return NULL;
}

push_user *push_user_find(const push_state *state, weft_text id) {
    for (push_link *l = push_table_first(&state->users, push_hash(id.data, id.len)); l; l = push_table_next(l))
        if (push_text_equal((weft_text) {((push_user *)l)->id, ((push_user *)l)->id_len}, id))
            return (push_user *)l;
    return NULL;
}

/* ---- what must hold ---- */

static bool channel_holds(const push_state *state, const push_channel *channel) {
    uint32_t members = 0, member_subs = 0;
    bool holds = true;
    for (const push_member *m = channel->members; m; m = m->next) {
        holds = holds && m->channel == channel && m->subs > 0;
        holds = holds && (m->next ? m->next->prev == m : channel->last_member == m);
        members++;
        member_subs += m->subs;
    }
    return holds && members == channel->member_count &&
           (channel->kind.access != PUSH_PRESENCE || member_subs == channel->subs) &&
           (channel->subs > 0 || channel->cached) && (!channel->cached || channel->cached->channel == channel) &&
           push_channel_find(state, push_channel_name(channel)) == channel;
}

static bool conn_holds(const push_conn *conn) {
    uint32_t count = 0;
    bool holds = true;
    for (const push_sub *s = conn->subs; s; s = s->next) {
        holds = holds && s->conn == conn && push_sub_find(conn, s->channel) == s;
        holds = holds && (!s->next || s->next->prev == s);
        count++;
    }
    return holds && count == conn->sub_count;
}

bool push_state_holds(const push_state *state) {
    size_t subs = 0, members = 0, counted = 0, occupied = 0, cached = 0;
    bool holds = true;
    for (push_link *l = NULL; (l = push_table_walk(&state->channels, l));) {
        const push_channel *channel = (push_channel *)l;
        holds = holds && channel_holds(state, channel);
        counted += channel->subs;
        members += channel->member_count;
        occupied += channel->subs > 0;
        cached += channel->cached != NULL;
    }
    for (push_link *l = NULL; (l = push_table_walk(&state->conns, l));) {
        holds = holds && conn_holds((push_conn *)l);
        subs += ((push_conn *)l)->sub_count;
    }
    for (push_link *l = NULL; (l = push_table_walk(&state->users, l));)
        holds = holds && ((push_user *)l)->conns && ((push_user *)l)->conns->user == (push_user *)l;
    return holds && subs == counted && subs == state->subs.count && members == state->members.count &&
           occupied == state->occupied && cached == state->cached_count;
}
