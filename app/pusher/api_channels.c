/*
 * Asking: which channels there are, who is in one, and ending what a user has open.
 */
#include "app/pusher/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INFO_BYTES = 256, HISTORY_LIMIT = 100, HISTORY_BYTES = 256 << 10 };

static void put_last(push_text *out, weft_text data, uint64_t left_ms) {
    push_put_str(out, "{\"data\":");
    push_put_text(out, data);
    push_put_str(out, ",\"ttl\":");
    push_put_number(out, left_ms / 1000);
    push_put_str(out, "}");
}

static void put_cache(push_text *out, const push_cached *cached) {
    if (!cached) {
        push_put_str(out, "null");
        return;
    }
    uint64_t now_ms = push_now_ms();
    put_last(out, (weft_text) {cached->text + cached->data_at, cached->data_len},
             cached->until_ms > now_ms ? cached->until_ms - now_ms : 0);
}

static void put_logged(push_text *out, weft_text name, const app_past *log) {
    app_message last;
    push_put_str(out, "\"cache\":");
    if (push_past_last(log, &last))
        put_last(out, push_kept_data(&last, name), PUSH_CACHE_MS - app_past_age_ms(log, &last));
    else
        push_put_str(out, "null");
    push_put_str(out, ",");
}

/* Members without braces, each with a comma behind it; the last comma is taken back by the caller. */
static void put_members(push_text *out, weft_text name, const push_channel *channel, unsigned info) {
    push_kind kind = push_kind_of(name);
    if (info & PUSH_USER_COUNT && kind.access == PUSH_PRESENCE) {
        push_put_str(out, "\"user_count\":");
        push_put_number(out, channel ? channel->member_count : 0);
        push_put_str(out, ",");
    }
    if (info & PUSH_SUBSCRIPTION_COUNT) {
        push_put_str(out, "\"subscription_count\":");
        push_put_number(out, channel ? channel->subs : 0);
        push_put_str(out, ",");
    }
    if (info & PUSH_CACHE && kind.cache) {
        push_put_str(out, "\"cache\":");
        put_cache(out, channel ? channel->cached : NULL);
        push_put_str(out, ",");
    }
}

static void end_object(push_text *out) {
    if (out->len > 0 && out->data[out->len - 1] == ',')
        out->len--;
    push_put_str(out, "}");
}

void push_put_info(push_text *out, weft_text name, const push_channel *channel, unsigned info) {
    push_put_str(out, "{");
    put_members(out, name, channel, info);
    end_object(out);
}

/* A parameter that may be absent; false: it does not fit, or is broken, which is answered. */
static bool param(push_call *call, const char *name, char *out, size_t cap) {
    int got = weft_request_param(call->request, name, out, cap);
    if (got == WEFT_ESTALE)
        out[0] = '\0';
    else if (got != WEFT_OK)
        push_refuse(call, 400, "%s= is too long, or has a bad escape", name);
    return got == WEFT_OK || got == WEFT_ESTALE;
}

typedef struct listing {
    push_text *out;
    const char *prefix;
    unsigned info;
} listing;

static void put_channel(void *context, const push_channel *channel) {
    const listing *l = context;
    weft_text name = push_channel_name(channel);
    if (channel->kind.access == PUSH_USER || !push_text_begins(name, l->prefix))
        return;
    push_put_quoted(l->out, name);
    push_put_str(l->out, ":");
    push_put_info(l->out, name, channel, l->info);
    push_put_str(l->out, ",");
}

void push_api_channels(push_call *call) {
    char prefix[PUSH_CHANNEL_NAME_MAX + 1], words[INFO_BYTES];
    if (!param(call, "filter_by_prefix", prefix, sizeof prefix) || !param(call, "info", words, sizeof words))
        return;
    unsigned info = push_info_of(push_str(words));
    if (info & PUSH_USER_COUNT && !push_text_begins(push_str(prefix), "presence-")) {
        push_refuse(call, 400,
                    "user_count may only be requested for presence channels - please supply filter_by_prefix "
                    "begining with presence-");
        return;
    }
    push_put_str(&call->out, "{\"channels\":{");
    push_app_channels(call->app, put_channel, &(listing) {&call->out, prefix, info});
    end_object(&call->out);
    push_put_str(&call->out, "}");
    push_answer(call);
}

static bool is_channel(push_call *call, weft_text name) {
    if (push_channel_name_ok(name))
        return true;
    push_refuse(call, 400, "Invalid channel name: 1 to %d of A-Z a-z 0-9 _ - = @ , . ;", PUSH_CHANNEL_NAME_MAX);
    return false;
}

void push_api_channel(push_call *call, weft_text name) {
    char words[INFO_BYTES];
    if (!is_channel(call, name) || !param(call, "info", words, sizeof words))
        return;
    push_kind kind = push_kind_of(name);
    unsigned info = push_info_of(push_str(words));
    if (info & PUSH_USER_COUNT && kind.access != PUSH_PRESENCE) {
        push_refuse(call, 400, "Cannot retrieve the user count unless the channel is a presence channel");
        return;
    }
    if (info & PUSH_CACHE && !kind.cache) {
        push_refuse(call, 400, "Cannot retrieve the cache unless the channel is a cache channel");
        return;
    }
    bool failed = false;
    app_past *log = NULL;
    push_app_enter(call->app);
    const push_channel *channel = push_channel_find(&call->app->state, name);
    push_put_str(&call->out, channel && channel->subs > 0 ? "{\"occupied\":true," : "{\"occupied\":false,");
    if (info & PUSH_CACHE && !(channel && channel->cached))
        log = push_past_lock(&call->app->state, name, &failed);
    put_members(&call->out, name, channel, log ? info & ~(unsigned)PUSH_CACHE : info);
    push_app_leave(call->app, NULL);
    if (log) {
        put_logged(&call->out, name, log);
        app_past_unlock(log);
    }
    end_object(&call->out);
    if (failed)
        push_refuse(call, 503, "The history cannot be read");
    else
        push_answer(call);
}

void push_api_users(push_call *call, weft_text name) {
    if (!is_channel(call, name))
        return;
    if (push_kind_of(name).access != PUSH_PRESENCE) {
        push_refuse(call, 400, "Users can only be retrieved for presence channels");
        return;
    }
    push_put_str(&call->out, "{\"users\":[");
    push_app_enter(call->app);
    const push_channel *channel = push_channel_find(&call->app->state, name);
    for (const push_member *m = channel ? channel->members : NULL; m; m = m->next) {
        push_put_str(&call->out, "{\"id\":");
        push_put_quoted(&call->out, push_member_id(m));
        push_put_str(&call->out, m->next ? "}," : "}");
    }
    push_app_leave(call->app, NULL);
    push_put_str(&call->out, "]}");
    push_answer(call);
}

/* Where it is read from: what is no place is none of ours. False: answered. */
static bool read_since(push_call *call, app_place *out_place, uint64_t *out_limit) {
    char epoch[64], offset[24], limit[16], text[96];
    if (!param(call, "since_epoch", epoch, sizeof epoch) || !param(call, "since_offset", offset, sizeof offset) ||
        !param(call, "limit", limit, sizeof limit))
        return false;
    if (limit[strspn(limit, "0123456789")] || offset[strspn(offset, "0123456789")]) {
        push_refuse(call, 400, "since_offset= and limit= take numbers");
        return false;
    }
    *out_limit = limit[0] ? strtoull(limit, NULL, 10) : HISTORY_LIMIT;
    *out_place = (app_place) {0};
    snprintf(text, sizeof text, "%s:%s", epoch, offset);
    app_place_parse(text, out_place);
    return true;
}

/* What came behind the place; when that cannot be told, the last ones. */
static void put_history(push_text *out, const app_past *log, app_place from, uint64_t limit) {
    app_message message;
    app_place end = app_past_end(log);
    bool recovered = app_past_recovers(log, &from);
    uint64_t kept = end.offset + 1 - app_past_first(log), at = from.offset;
    if (!recovered)
        at = end.offset - (limit < kept ? limit : kept);
    push_put_str(out, "{\"events\":[");
    for (size_t begin = out->len; limit > 0 && out->len - begin < HISTORY_BYTES && app_past_at(log, at + 1, &message);
         at++, limit--) {
        push_put_str(out, out->len > begin ? "," : "");
        push_put_kept(out, &message);
    }
    push_put_str(out, "],\"epoch\":");
    push_put_quoted(out, push_str(end.epoch));
    push_put_str(out, ",\"offset\":");
    push_put_number(out, at);
    push_put_str(out, recovered ? ",\"recovered\":true}" : ",\"recovered\":false}");
}

void push_api_history(push_call *call, weft_text name) {
    app_place from;
    uint64_t limit;
    bool failed;
    if (!is_channel(call, name) || !read_since(call, &from, &limit))
        return;
    push_app_enter(call->app);
    app_past *log = push_past_lock(&call->app->state, name, &failed);
    push_app_leave(call->app, NULL);
    if (!log) {
        push_refuse(call, failed ? 503 : 400, failed ? "The history cannot be read" : "This channel keeps no history");
        return;
    }
    put_history(&call->out, log, from, limit);
    app_past_unlock(log);
    push_answer(call);
}

void push_api_terminate(push_call *call, weft_text user_id) {
    if (!push_user_id_ok(user_id)) {
        push_refuse(call, 400, "A user's id is 1 to %d bytes", PUSH_USER_ID_MAX);
        return;
    }
    push_terminate(&call->app->state, user_id, push_app_enter(call->app));
    push_app_leave(call->app, NULL);
    push_put_str(&call->out, "{}");
    push_answer(call);
}
