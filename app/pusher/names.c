#include "app/pusher/names.h"

#include "app/pusher/text.h"

#include <string.h>

#define USER_PREFIX "#server-to-user-"

enum { SOCKET_ID_MAX = 40 };

push_kind push_kind_of(weft_text channel) {
    static const struct {
        const char *prefix;
        push_access access;
    } prefixes[] = {{USER_PREFIX, PUSH_USER},
                    {"private-encrypted-", PUSH_ENCRYPTED}, /* before the shorter one */
                    {"private-", PUSH_PRIVATE},
                    {"presence-", PUSH_PRESENCE},
                    {"", PUSH_PUBLIC}};
    size_t i = 0;
    while (!push_text_begins(channel, prefixes[i].prefix))
        i++;
    size_t len = strlen(prefixes[i].prefix);
    weft_text rest = {channel.data + len, channel.len - len};
    return (push_kind) {prefixes[i].access, prefixes[i].access != PUSH_USER && push_text_begins(rest, "cache-")};
}

static bool all_in(weft_text text, const char *allowed) {
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0' || !strchr(allowed, text.data[i]))
            return false;
    return true;
}

bool push_channel_name_ok(weft_text channel) {
    if (channel.len == 0 || channel.len > PUSH_CHANNEL_NAME_MAX)
        return false;
    if (push_kind_of(channel).access == PUSH_USER)
        return push_user_id_ok(push_channel_user(channel));
    return all_in(channel, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;");
}

weft_text push_channel_user(weft_text channel) {
    size_t len = sizeof USER_PREFIX - 1;
    return (weft_text) {channel.data + len, channel.len - len};
}

static bool no_controls(weft_text text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return true;
}

bool push_event_name_ok(weft_text event) {
    return event.len > 0 && event.len <= PUSH_EVENT_NAME_MAX && no_controls(event);
}

bool push_event_of_client(weft_text event) {
    return push_text_begins(event, "client-");
}

bool push_user_id_ok(weft_text id) {
    return id.len > 0 && id.len <= PUSH_USER_ID_MAX && no_controls(id);
}

static size_t digits(const char *data, size_t len) {
    size_t n = 0;
    while (n < len && data[n] >= '0' && data[n] <= '9')
        n++;
    return n;
}

bool push_socket_id_ok(weft_text id) {
    size_t first = digits(id.data, id.len);
    return id.len <= SOCKET_ID_MAX && first > 0 && first + 1 < id.len && id.data[first] == '.' &&
           first + 1 + digits(id.data + first + 1, id.len - first - 1) == id.len;
}
