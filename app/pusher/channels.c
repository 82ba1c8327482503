/*
 * Who is in which channel, and who knows of it. An operation first takes all the memory that it needs and writes all it
 * has to say, and only then changes the state: so it is done whole, or not at all.
 *
 * A newcomer to a presence channel is told of all who are there, himself included; those who are there are told of him
 * when he is the first connection of his user, before he joins. What is published after that reaches him too.
 */
#include "app/pusher/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above so many subscriptions their number is told every so often; so many may be made at once, in any case. */
enum { COUNT_AT_ONCE_MAX = 100, COUNT_INTERVAL_MS = 5000, JOINS_AT_ONCE_MIN = 100 };

static size_t topic_of(const push_state *state, const push_channel *channel, push_effects *e) {
    return push_effect_topic(e, state->settings->id, "", push_channel_name(channel));
}

/* {"event":"...","channel":"..." - and more is to follow. */
static size_t begin_event(push_effects *e, const char *event, const push_channel *channel) {
    size_t at = push_effect_begin(e);
    push_put_str(&e->text, "{\"event\":\"");
    push_put_str(&e->text, event);
    push_put_str(&e->text, "\",\"channel\":");
    push_put_quoted(&e->text, push_channel_name(channel));
    return at;
}

/* ---- how many ---- */

static void publish_count(push_state *state, push_channel *channel, push_effects *e, uint64_t now_ms) {
    size_t topic = topic_of(state, channel, e);
    size_t at = begin_event(e, "pusher_internal:subscription_count", channel);
    push_put_str(&e->text, ",\"data\":\"{\\\"subscription_count\\\":");
    push_put_number(&e->text, channel->subs);
    push_put_str(&e->text, "}\"}");
    push_effect_publish(e, topic, at, NULL);
    channel->told_count = channel->subs;
    channel->told_ms = now_ms;
    char number[16];
    snprintf(number, sizeof number, "%u", channel->subs);
    push_effect_note(e, PUSH_COUNT, push_channel_name(channel), push_str(number));
}

/* The number has changed. */
static void tell_count(push_state *state, push_channel *channel, push_effects *e, uint64_t now_ms) {
    if (!state->settings->subscription_count || channel->kind.access == PUSH_PRESENCE ||
        channel->kind.access == PUSH_USER || channel->subs == 0)
        return;
    if (channel->subs <= COUNT_AT_ONCE_MAX || now_ms - channel->told_ms >= COUNT_INTERVAL_MS) {
        publish_count(state, channel, e, now_ms);
    } else if (!channel->tell_due) {
        channel->tell_due = true;
        channel->tell_next = state->tell_first;
        state->tell_first = channel;
    }
}

static void tell_due_counts(push_state *state, push_effects *e, uint64_t now_ms) {
    push_channel **at = &state->tell_first;
    while (*at) {
        push_channel *channel = *at;
        if (channel->subs > 0 && now_ms - channel->told_ms < COUNT_INTERVAL_MS) {
            at = &channel->tell_next;
            continue;
        }
        *at = channel->tell_next;
        channel->tell_due = false;
        if (channel->subs > 0 && channel->told_count != channel->subs)
            publish_count(state, channel, e, now_ms);
    }
}

/* ---- presence ---- */

static uint64_t member_hash(const push_channel *channel, weft_text id) {
    return push_hash_pair(channel, (void *)(uintptr_t)push_hash(id.data, id.len));
}

static push_member *member_find(const push_state *state, const push_channel *channel, weft_text id) {
    for (push_link *l = push_table_first(&state->members, member_hash(channel, id)); l; l = push_table_next(l)) {
        push_member *m = (push_member *)l;
        if (m->channel == channel && push_text_equal(push_member_id(m), id))
            return m;
    }
    return NULL;
}

static push_member *member_new(push_channel *channel, const push_want *want) {
    push_member *m = calloc(1, sizeof *m + want->user_id.len + want->user_info.len);
    if (!m)
        return NULL;
    m->channel = channel;
    m->id_len = (uint32_t)want->user_id.len;
    m->info_len = (uint32_t)want->user_info.len;
    memcpy(m->bytes, want->user_id.data, m->id_len);
    if (m->info_len > 0)
        memcpy(m->bytes + m->id_len, want->user_info.data, m->info_len);
    return m;
}

static void member_link(push_state *state, push_member *m) {
    push_channel *channel = m->channel;
    m->prev = channel->last_member;
    *(m->prev ? &m->prev->next : &channel->members) = m;
    channel->last_member = m;
    channel->member_count++;
    push_table_add(&state->members, &m->link, member_hash(channel, push_member_id(m)));
}

static void member_unlink(push_state *state, push_member *m) {
    push_channel *channel = m->channel;
    *(m->prev ? &m->prev->next : &channel->members) = m->next;
    *(m->next ? &m->next->prev : &channel->last_member) = m->prev;
    channel->member_count--;
    push_table_remove(&state->members, &m->link);
    free(m);
}

static void put_info(push_text *text, const push_member *m) {
    if (m->info_len > 0)
        push_put_text(text, push_member_info(m));
    else
        push_put_str(text, "null");
}

static void publish_member(push_state *state, const push_member *m, bool added, push_effects *e) {
    size_t topic = topic_of(state, m->channel, e);
    size_t at = begin_event(e, added ? "pusher_internal:member_added" : "pusher_internal:member_removed", m->channel);
    push_put_str(&e->text, ",\"data\":");
    size_t data = e->text.len;
    push_put_str(&e->text, "{\"user_id\":");
    push_put_quoted(&e->text, push_member_id(m));
    if (added && m->info_len > 0) {
        push_put_str(&e->text, ",\"user_info\":");
        push_put_text(&e->text, push_member_info(m));
    }
    push_put_str(&e->text, "}");
    push_quote_from(&e->text, data);
    push_put_str(&e->text, "}");
    push_effect_publish(e, topic, at, NULL);
}

/* All who are there, and the newcomer when he is not among them yet. */
static void put_presence(push_text *text, const push_channel *channel, const push_member *newcomer) {
    push_put_str(text, "{\"presence\":{\"count\":");
    push_put_number(text, channel->member_count + (newcomer != NULL));
    push_put_str(text, ",\"ids\":[");
    for (const push_member *m = channel->members; m; m = m->next) {
        push_put_quoted(text, push_member_id(m));
        if (m->next || newcomer)
            push_put_str(text, ",");
    }
    if (newcomer)
        push_put_quoted(text, push_member_id(newcomer));
    push_put_str(text, "],\"hash\":{");
    for (const push_member *m = channel->members; m; m = m->next) {
        push_put_quoted(text, push_member_id(m));
        push_put_str(text, ":");
        put_info(text, m);
        if (m->next || newcomer)
            push_put_str(text, ",");
    }
    if (newcomer) {
        push_put_quoted(text, push_member_id(newcomer));
        push_put_str(text, ":");
        put_info(text, newcomer);
    }
    push_put_str(text, "}}}");
}

/* ---- in and out ---- */

static void say_subscribed(push_state *state, push_channel *channel, const push_member *newcomer, const push_want *want,
                           push_effects *e) {
    bool failed;
    size_t topic = topic_of(state, channel, e);
    size_t at = begin_event(e, "pusher_internal:subscription_succeeded", channel);
    push_put_str(&e->text, ",\"data\":");
    size_t data = e->text.len;
    if (channel->kind.access == PUSH_PRESENCE)
        put_presence(&e->text, channel, newcomer);
    else
        push_put_str(&e->text, "{}");
    push_quote_from(&e->text, data);
    app_past *log = push_past_lock(state, push_channel_name(channel), &failed);
    bool recovered = push_past_say(&e->text, want, log, failed);
    push_put_str(&e->text, "}");
    push_effect_join(e, topic, at);
    if (recovered)
        push_past_send(e, want, log);
    if (channel->kind.cache)
        push_cache_tell(channel, log, recovered, e);
    if (log)
        app_past_unlock(log);
}

static void sub_link(push_sub *sub) {
    push_conn *conn = sub->conn;
    sub->next = conn->subs;
    if (sub->next)
        sub->next->prev = sub;
    conn->subs = sub;
    conn->sub_count++;
    if (sub->channel->subs++ == 0)
        conn->state->occupied++;
    if (sub->member)
        sub->member->subs++;
    push_table_add(&conn->state->subs, &sub->link, push_hash_pair(conn, sub->channel));
}

/* What the others, the newcomer and the webhooks hear. */
static void say_joined(push_sub *sub, bool first_of_user, const push_want *want, push_effects *e) {
    push_channel *channel = sub->channel;
    push_state *state = sub->conn->state;
    if (channel->subs == 0)
        push_effect_note(e, PUSH_OCCUPIED, push_channel_name(channel), (weft_text) {0});
    if (first_of_user) {
        push_effect_note(e, PUSH_MEMBER_ADDED, push_channel_name(channel), push_member_id(sub->member));
        if (channel->subs > 0)
            publish_member(state, sub->member, true, e);
    }
    say_subscribed(state, channel, first_of_user ? sub->member : NULL, want, e);
}

/* All in a channel may hear of each who comes and goes: so nobody does it without end. At once he may join all the
 * channels that he may be in, and again. */
static bool may_join(push_conn *conn, uint64_t now_ms) {
    const push_limits *limits = &conn->state->settings->limits;
    uint64_t most = 2 * (uint64_t)limits->channels;
    return push_bucket_take(&conn->joins, limits->subscriptions_second,
                            most > JOINS_AT_ONCE_MIN ? most : JOINS_AT_ONCE_MIN, now_ms);
}

push_verdict push_subscribe(push_conn *conn, const push_want *want, push_effects *e, uint64_t now_ms) {
    push_state *state = conn->state;
    push_channel *channel = push_channel_find(state, want->channel);
    if (channel && push_sub_find(conn, channel))
        return PUSH_AGAIN;
    if (conn->sub_count >= state->settings->limits.channels)
        return PUSH_TOO_MANY_CHANNELS;
    if ((!channel || channel->subs == 0) && state->occupied >= state->settings->limits.app_channels)
        return PUSH_APP_FULL;
    bool presence = push_kind_of(want->channel).access == PUSH_PRESENCE;
    push_member *member = channel && presence ? member_find(state, channel, want->user_id) : NULL;
    if (presence && !member && channel && channel->member_count >= state->settings->limits.members)
        return PUSH_TOO_MANY_MEMBERS;
    if (!may_join(conn, now_ms))
        return PUSH_TOO_FAST;

    channel = push_channel_need(state, want->channel);
    if (!channel)
        return PUSH_NO_MEMORY;
    bool first_of_user = presence && !member;
    if (first_of_user)
        member = member_new(channel, want);
    push_sub *sub = calloc(1, sizeof *sub);
    if (!sub || (presence && !member) || !push_table_reserve(&state->subs) || !push_table_reserve(&state->members))
        goto no_memory;
    *sub = (push_sub) {.conn = conn, .channel = channel, .member = member};
    say_joined(sub, first_of_user, want, e);
    if (!push_effects_ok(e))
        goto no_memory;
    sub_link(sub);
    if (first_of_user)
        member_link(state, member);
    tell_count(state, channel, e, now_ms);
    return PUSH_DONE;
no_memory:
    if (first_of_user)
        free(member);
    free(sub);
    push_effects_clear(e);
    push_channel_drop(state, channel);
    return PUSH_NO_MEMORY;
}

void push_leave(push_sub *sub, push_effects *e, uint64_t now_ms) {
    push_conn *conn = sub->conn;
    push_state *state = conn->state;
    push_channel *channel = sub->channel;
    push_member *member = sub->member;
    push_table_remove(&state->subs, &sub->link);
    *(sub->prev ? &sub->prev->next : &conn->subs) = sub->next;
    if (sub->next)
        sub->next->prev = sub->prev;
    conn->sub_count--;
    channel->subs--;
    free(sub);
    if (member && --member->subs == 0) {
        push_effect_note(e, PUSH_MEMBER_REMOVED, push_channel_name(channel), push_member_id(member));
        if (channel->subs > 0)
            publish_member(state, member, false, e);
        member_unlink(state, member);
    }
    tell_count(state, channel, e, now_ms);
    if (channel->subs == 0) {
        state->occupied--;
        push_effect_note(e, PUSH_VACATED, push_channel_name(channel), (weft_text) {0});
        push_channel_drop(state, channel);
    }
}

void push_unsubscribe(push_conn *conn, weft_text name, push_effects *e, uint64_t now_ms) {
    push_channel *channel = push_channel_find(conn->state, name);
    push_sub *sub = channel ? push_sub_find(conn, channel) : NULL;
    if (!sub)
        return;
    push_effect_leave(e, topic_of(conn->state, channel, e));
    push_leave(sub, e, now_ms);
}

void push_tick(push_state *state, push_effects *e, uint64_t now_ms) {
    while (state->cached_first && state->cached_first->until_ms <= now_ms)
        push_cache_forget(state, state->cached_first->channel);
    tell_due_counts(state, e, now_ms);
}
