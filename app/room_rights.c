#include "app/room_rights.h"

#include <string.h>

static const char *const names[] = {[ROOM_JOIN] = "join", [ROOM_PUBLISH] = "publish"};

/* A star elsewhere would be taken for more than it is. */
static bool is_pattern(const json_t *value) {
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) && strcspn(text, "*") + 1 >= json_string_length(value);
}

static const char *judge_list(const json_t *list) {
    if (!list || is_pattern(list))
        return NULL;
    if (!json_is_array(list))
        return "its rooms are named neither by text nor by an array, or with a star that is not at the end";
    if (json_array_size(list) > ROOM_PATTERNS_MAX)
        return "it names more than 64 rooms";
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!is_pattern(json_array_get(list, i)))
            return "a name in its rooms is no text, or has a star that is not at the end";
    return NULL;
}

const char *room_rights_judge(const json_t *claims) {
    const json_t *rooms = json_object_get(claims, "rooms");
    if (rooms && !json_is_object(rooms))
        return "its claim rooms is no object";
    const char *why = judge_list(json_object_get(rooms, names[ROOM_JOIN]));
    return why ? why : judge_list(json_object_get(rooms, names[ROOM_PUBLISH]));
}

static bool matches(const json_t *pattern, const char *room) {
    const char *text = json_string_value(pattern);
    size_t len = json_string_length(pattern);
    return len > 0 && text[len - 1] == '*' ? strncmp(room, text, len - 1) == 0 : strcmp(room, text) == 0;
}

bool room_rights_have(const json_t *claims, room_right right, const char *room) {
    const json_t *list = json_object_get(json_object_get(claims, "rooms"), names[right]);
    bool has = json_is_string(list) && matches(list, room);
    for (size_t i = 0; !has && i < json_array_size(list); i++)
        has = matches(json_array_get(list, i), room);
    return has;
}
