#include "app/pusher/state.h"

#include <stdio.h>
#include <string.h>

/* What one who returns is sent at once; more is to be fetched by HTTP. */
enum { RECOVERED_BYTES_MAX = 256 << 10 };

bool push_keeps(const push_settings *settings, weft_text channel) {
    const char *at = settings->history;
    if (!at || push_kind_of(channel).access == PUSH_USER)
        return false;
    for (size_t len; *(at += strspn(at, " ")); at += len) {
        len = strcspn(at, " ");
        if ((len == 1 && *at == '*') || (channel.len >= len && memcmp(channel.data, at, len) == 0))
            return true;
    }
    return false;
}

app_past *push_past_lock(const push_state *state, weft_text channel, bool *out_failed) {
    char name[PUSH_CHANNEL_NAME_MAX + 1];
    *out_failed = false;
    if (!state->history || channel.len >= sizeof name || !push_keeps(state->settings, channel))
        return NULL;
    memcpy(name, channel.data, channel.len);
    name[channel.len] = '\0';
    app_past *log = app_history_lock(state->history, name);
    *out_failed = !log;
    return log;
}

void push_put_kept(push_text *out, const app_message *message) {
    push_put(out, (const char *)message->data, message->len);
    push_put_str(out, ",\"offset\":");
    push_put_number(out, message->offset);
    push_put_str(out, "}");
}

bool push_past_last(const app_past *log, app_message *out) {
    return app_past_at(log, app_past_end(log).offset, out) && app_past_age_ms(log, out) < PUSH_CACHE_MS;
}

/* What stands before it cannot stand in the name, where quotes are escaped. */
weft_text push_kept_data(const app_message *message, weft_text channel) {
    char before[PUSH_CHANNEL_NAME_MAX + 32];
    const char *text = (const char *)message->data, *end = text + message->len;
    int len = snprintf(before, sizeof before, ",\"channel\":\"%.*s\",\"data\":", (int)channel.len, channel.data);
    const char *found = memmem(text, message->len, before, (size_t)len);
    return found ? (weft_text) {found + len, (size_t)(end - found - len)} : (weft_text) {"null", 4};
}

/* NULL: he can have all he missed. */
static const char *cannot(const push_want *want, const app_past *log, bool failed) {
    app_message message;
    size_t bytes = 0, bytes_max = RECOVERED_BYTES_MAX;
    if (want->bytes_max > 0 && want->bytes_max < bytes_max)
        bytes_max = want->bytes_max;
    if (!log)
        return failed ? "the history cannot be read" : "this channel keeps no history";
    if (strcmp(want->place.epoch, app_past_end(log).epoch) != 0)
        return "the history has begun anew since";
    if (!app_past_recovers(log, &want->place))
        return "not all that was missed is kept";
    for (uint64_t offset = want->place.offset; app_past_at(log, ++offset, &message);)
        bytes += message.len;
    return bytes > bytes_max ? "more was missed than is sent at once: see history in the HTTP API" : NULL;
}

bool push_past_say(push_text *out, const push_want *want, const app_past *log, bool failed) {
    const char *why_not = want->returns ? cannot(want, log, failed) : NULL;
    if (log) {
        push_put_str(out, ",\"epoch\":");
        push_put_quoted(out, push_str(app_past_end(log).epoch));
        push_put_str(out, ",\"offset\":");
        push_put_number(out, want->returns && !why_not ? want->place.offset : app_past_end(log).offset);
    }
    if (want->returns)
        push_put_str(out, why_not ? ",\"recovered\":false,\"reason\":" : ",\"recovered\":true");
    if (why_not)
        push_put_quoted(out, push_str(why_not));
    return want->returns && !why_not;
}

void push_past_send(push_effects *e, const push_want *want, const app_past *log) {
    app_message message;
    for (uint64_t offset = want->place.offset; app_past_at(log, ++offset, &message);) {
        size_t at = push_effect_begin(e);
        push_put_kept(&e->text, &message);
        push_effect_send(e, at);
    }
}
