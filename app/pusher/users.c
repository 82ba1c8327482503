/*
 * Users who have signed in, and those who watch them. A user is online while one connection of his is; who watches him
 * is in a topic of his, "!ID", which no channel can be called. So the state keeps no list of watchers, and one text
 * tells them all.
 */
#include "app/pusher/state.h"

#include <stdlib.h>
#include <string.h>

static weft_text user_id(const push_user *user) {
    return (weft_text) {user->id, user->id_len};
}

static size_t watch_topic(const push_state *state, weft_text id, push_effects *e) {
    return push_effect_topic(e, state->settings->id, "!", id);
}

/* ---- what watchers hear ---- */

static size_t begin_watch_events(push_effects *e, size_t *out_data) {
    size_t at = push_effect_begin(e);
    push_put_str(&e->text, "{\"event\":\"pusher_internal:watchlist_events\",\"data\":");
    *out_data = e->text.len;
    push_put_str(&e->text, "{\"events\":[");
    return at;
}

static void end_watch_events(push_effects *e, size_t data) {
    push_put_str(&e->text, "]}");
    push_quote_from(&e->text, data);
    push_put_str(&e->text, "}");
}

static void publish_online(const push_state *state, weft_text id, bool online, push_effects *e) {
    size_t data, topic = watch_topic(state, id, e), at = begin_watch_events(e, &data);
    push_put_str(&e->text, online ? "{\"name\":\"online\",\"user_ids\":[" : "{\"name\":\"offline\",\"user_ids\":[");
    push_put_quoted(&e->text, id);
    push_put_str(&e->text, "]}");
    end_watch_events(e, data);
    push_effect_publish(e, topic, at, NULL);
}

static size_t put_those(const push_state *state, const push_signin *who, bool online, push_text *text) {
    size_t count = 0;
    for (size_t i = 0; i < who->watch_count; i++) {
        weft_text id = who->watchlist[i];
        if ((push_user_find(state, id) != NULL || push_text_equal(id, who->id)) != online)
            continue;
        push_put_str(text, count++  ? ","
                           : online ? "{\"name\":\"online\",\"user_ids\":["
                                    : "{\"name\":\"offline\",\"user_ids\":[");
        push_put_quoted(text, id);
    }
    if (count > 0)
        push_put_str(text, "]}");
    return count;
}

/* From now on he hears of changes; this is how it stands. */
static void watch(const push_state *state, const push_signin *who, push_effects *e) {
    if (who->watch_count == 0)
        return;
    for (size_t i = 0; i < who->watch_count; i++) {
        size_t topic = watch_topic(state, who->watchlist[i], e);
        push_effect_join(e, topic, push_effect_begin(e));
    }
    size_t data, at = begin_watch_events(e, &data);
    size_t online = put_those(state, who, true, &e->text);
    size_t comma = e->text.len;
    if (online > 0)
        push_put_str(&e->text, ",");
    if (put_those(state, who, false, &e->text) == 0)
        e->text.len = comma;
    end_watch_events(e, data);
    push_effect_send(e, at);
}

/* ---- in and out ---- */

static push_user *user_new(weft_text id) {
    push_user *user = calloc(1, sizeof *user + id.len);
    if (user) {
        user->id_len = (uint32_t)id.len;
        memcpy(user->id, id.data, id.len);
    }
    return user;
}

static void user_add(push_user *user, push_conn *conn) {
    conn->user = user;
    conn->user_prev = NULL;
    conn->user_next = user->conns;
    if (conn->user_next)
        conn->user_next->user_prev = conn;
    user->conns = conn;
}

push_verdict push_sign_in(push_conn *conn, const push_signin *who, push_effects *e) {
    push_state *state = conn->state;
    if (conn->user)
        return PUSH_AGAIN;
    push_user *known = push_user_find(state, who->id), *user = known ? known : user_new(who->id);
    char *info = who->info.len > 0 ? strndup(who->info.data, who->info.len) : NULL;
    if (user && push_table_reserve(&state->users) && (info || who->info.len == 0)) {
        size_t at = push_effect_begin(e);
        push_put_str(&e->text, "{\"event\":\"pusher:signin_success\",\"data\":{\"user_data\":");
        push_put_quoted(&e->text, who->user_data);
        push_put_str(&e->text, "}}");
        push_effect_send(e, at);
        if (!known)
            publish_online(state, who->id, true, e);
        watch(state, who, e);
        if (push_effects_ok(e)) {
            if (!known)
                push_table_add(&state->users, &user->link, push_hash(who->id.data, who->id.len));
            user_add(user, conn);
            conn->user_info = info;
            return PUSH_DONE;
        }
    }
    if (!known)
        free(user);
    free(info);
    push_effects_clear(e);
    return PUSH_NO_MEMORY;
}

void push_sign_out(push_conn *conn, push_effects *e) {
    push_user *user = conn->user;
    if (!user)
        return;
    *(conn->user_prev ? &conn->user_prev->user_next : &user->conns) = conn->user_next;
    if (conn->user_next)
        conn->user_next->user_prev = conn->user_prev;
    conn->user = NULL;
    free(conn->user_info);
    conn->user_info = NULL;
    if (user->conns)
        return;
    publish_online(conn->state, user_id(user), false, e);
    push_table_remove(&conn->state->users, &user->link);
    free(user);
}

void push_terminate(push_state *state, weft_text id, push_effects *e) {
    push_user *user = push_user_find(state, id);
    for (push_conn *conn = user ? user->conns : NULL; conn; conn = conn->user_next)
        push_effect_close(e, conn, 4009);
}
