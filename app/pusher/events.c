/*
 * Events: what servers publish, what clients say to each other, and the last event of a cache channel. What is
 * published is one text for all, whatever their number.
 */
#include "app/pusher/state.h"

#include <stdlib.h>
#include <string.h>

static size_t put_event(push_effects *e, const push_event *event, size_t *out_data_at) {
    size_t at = push_effect_begin(e);
    push_put_str(&e->text, "{\"event\":");
    push_put_text(&e->text, event->name);
    push_put_str(&e->text, ",\"channel\":");
    push_put_quoted(&e->text, event->channel);
    push_put_str(&e->text, ",\"data\":");
    *out_data_at = e->text.len - at;
    push_put_text(&e->text, event->data);
    return at;
}

/* ---- the last event ---- */

static void cache_unlink(push_state *state, push_cached *c) {
    *(c->prev ? &c->prev->next : &state->cached_first) = c->next;
    *(c->next ? &c->next->prev : &state->cached_last) = c->prev;
    state->cached_count--;
    c->channel->cached = NULL;
    free(c);
}

void push_cache_forget(push_state *state, push_channel *channel) {
    cache_unlink(state, channel->cached);
    push_channel_drop(state, channel);
}

void push_cache_tell(const push_channel *channel, const app_past *log, bool told, push_effects *e) {
    app_message last;
    bool logged = !channel->cached && log && push_past_last(log, &last), any = channel->cached || logged;
    if (any && told)
        return;
    size_t at = push_effect_begin(e);
    if (logged) {
        push_put_kept(&e->text, &last);
    } else if (any) {
        push_put(&e->text, channel->cached->text, channel->cached->len);
    } else {
        push_put_str(&e->text, "{\"event\":\"pusher:cache_miss\",\"channel\":");
        push_put_quoted(&e->text, push_channel_name(channel));
        push_put_str(&e->text, "}");
    }
    push_effect_send(e, at);
    if (!any)
        push_effect_note(e, PUSH_CACHE_MISS, push_channel_name(channel), (weft_text) {0});
}

/* False: memory is out. The channel may be one that nobody is in. */
static bool cache_keep(push_state *state, push_channel *channel, weft_text text, const push_cached *like) {
    push_cached *c = malloc(sizeof *c + text.len);
    if (!c)
        return false;
    if (channel->cached)
        cache_unlink(state, channel->cached);
    *c = *like;
    c->channel = channel;
    c->len = text.len;
    memcpy(c->text, text.data, text.len);
    c->next = NULL;
    c->prev = state->cached_last;
    *(c->prev ? &c->prev->next : &state->cached_first) = c;
    state->cached_last = c;
    channel->cached = c;
    state->cached_count++;
    while (state->cached_count > state->settings->limits.cached_channels) /* it may have become less */
        push_cache_forget(state, state->cached_first->channel);
    return true;
}

/* ---- from a server ---- */

/* An event goes to all subscriptions but that of `except`; the channel NULL: there are none. */
static void count_published(push_state *state, const push_channel *channel, const push_conn *except) {
    state->traffic.published++;
    if (channel)
        state->traffic.deliveries += channel->subs - (except && push_sub_find(except, channel));
}

/* The event but for its end goes to the log, and with its offset to all. What the store has is appended in any case. */
static bool keep_in(app_past *log, const push_event *event, push_effects *e, size_t at) {
    size_t len = e->text.len - at;
    push_put_str(&e->text, ",\"offset\":");
    push_put_number(&e->text, app_past_end(log).offset + 1);
    push_put_str(&e->text, "}");
    if (event->stored)
        return app_past_append_stored(log, event->stored) > 0;
    return push_effects_ok(e) && app_past_append(log, WEFT_TEXT, e->text.data + at, len) > 0;
}

static push_verdict trigger_kept(push_state *state, push_channel *channel, const push_event *event,
                                 const push_conn *except, push_effects *e, uint64_t now_ms) {
    bool failed, cache = push_kind_of(event->channel).cache;
    app_past *log = event->log;
    if (log)
        app_past_lock(log);
    else
        log = push_past_lock(state, event->channel, &failed);
    if (!log) {
        if (channel)
            push_channel_drop(state, channel);
        return PUSH_NO_MEMORY;
    }
    push_cached like = {.until_ms = now_ms + PUSH_CACHE_MS, .data_len = event->data.len};
    size_t topic = push_effect_topic(e, state->settings->id, "", event->channel);
    size_t at = put_event(e, event, &like.data_at);
    bool kept = keep_in(log, event, e, at);
    app_past_unlock(log);
    if (kept && channel)
        push_effect_publish(e, topic, at, except);
    if (kept)
        count_published(state, channel, except);
    weft_text text = {e->text.data + at, e->text.len - at};
    if (kept && push_effects_ok(e) && cache && channel)
        cache_keep(state, channel, text, &like); /* or the history has it */
    if (channel)
        push_channel_drop(state, channel);
    if (!kept)
        push_effects_clear(e);
    return kept ? PUSH_DONE : PUSH_NO_MEMORY;
}

push_verdict push_trigger(push_state *state, const push_event *event, const push_conn *except, push_effects *e,
                          uint64_t now_ms) {
    push_kind kind = push_kind_of(event->channel);
    push_channel *channel =
        kind.cache ? push_channel_need(state, event->channel) : push_channel_find(state, event->channel);
    if (event->log || push_keeps(state->settings, event->channel))
        return trigger_kept(state, channel, event, except, e, now_ms);
    if (!channel && kind.cache)
        return PUSH_NO_MEMORY;
    if (!channel) { /* nobody is there */
        count_published(state, NULL, NULL);
        return PUSH_DONE;
    }
    push_cached like = {.until_ms = now_ms + PUSH_CACHE_MS, .data_len = event->data.len};
    size_t topic = push_effect_topic(e, state->settings->id, "", event->channel);
    size_t at = put_event(e, event, &like.data_at);
    push_put_str(&e->text, "}");
    push_effect_publish(e, topic, at, except);
    weft_text text = {e->text.data + at, e->text.len - at};
    if (!push_effects_ok(e) || (kind.cache && !cache_keep(state, channel, text, &like))) {
        push_effects_clear(e);
        push_channel_drop(state, channel);
        return PUSH_NO_MEMORY;
    }
    count_published(state, channel, except);
    return PUSH_DONE;
}

/* ---- from a client ---- */

static bool may_send(push_conn *conn, uint64_t now_ms) {
    uint32_t rate = conn->state->settings->limits.client_events_second;
    return push_bucket_take(&conn->events, rate, rate, now_ms);
}

/* With the data as a string, as that of other events is; some SDKs rely on it. */
static void note_client_event(const push_conn *conn, const push_event *event, const push_member *member,
                              push_effects *e) {
    push_text text = {0};
    push_put_str(&text, "{\"event\":");
    push_put_text(&text, event->name);
    push_put_str(&text, ",\"channel\":");
    push_put_quoted(&text, event->channel);
    push_put_str(&text, ",\"data\":");
    if (event->data.data[0] == '"')
        push_put_text(&text, event->data);
    else
        push_put_quoted(&text, event->data);
    push_put_str(&text, ",\"socket_id\":");
    push_put_quoted(&text, push_str(conn->socket_id));
    if (member) {
        push_put_str(&text, ",\"user_id\":");
        push_put_quoted(&text, push_member_id(member));
    }
    push_put_str(&text, "}");
    if (text.failed)
        e->failed = true;
    else
        push_effect_note(e, PUSH_CLIENT_EVENT, event->channel, (weft_text) {text.data, text.len});
    push_text_free(&text);
}

push_verdict push_client_event(push_conn *conn, const push_event *event, push_effects *e, uint64_t now_ms) {
    push_state *state = conn->state;
    push_access access = push_kind_of(event->channel).access;
    if (access != PUSH_PRIVATE && access != PUSH_PRESENCE)
        return PUSH_NOT_FOR_CLIENTS;
    if (!state->settings->client_events)
        return PUSH_SWITCHED_OFF;
    push_channel *channel = push_channel_find(state, event->channel);
    push_sub *sub = channel ? push_sub_find(conn, channel) : NULL;
    if (!sub)
        return PUSH_NOT_IN;
    if (!may_send(conn, now_ms))
        return PUSH_TOO_FAST;
    size_t topic = push_effect_topic(e, state->settings->id, "", event->channel), data_at;
    size_t at = put_event(e, event, &data_at);
    if (sub->member) {
        push_put_str(&e->text, ",\"user_id\":");
        push_put_quoted(&e->text, push_member_id(sub->member));
    }
    push_put_str(&e->text, "}");
    push_effect_publish(e, topic, at, conn);
    if (e->notes)
        note_client_event(conn, event, sub->member, e);
    if (!push_effects_ok(e))
        return PUSH_NO_MEMORY;
    state->traffic.client_events++;
    state->traffic.deliveries += channel->subs - 1;
    return PUSH_DONE;
}
