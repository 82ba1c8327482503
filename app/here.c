#include "app/here.h"

#include <stdlib.h>
#include <string.h>

struct here_name {
    uint32_t seats;
    bool told;
    uint64_t gone_ms; /* since when there are none */
    char text[];
};

bool here_name_ok(const char *name) {
    size_t len = strlen(name);
    if (len == 0 || len > HERE_NAME_BYTES || !weft_utf8_valid(name, len))
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) /* C0, DEL, C1 */
            return false;
    return true;
}

/* ---- coming and going ---- */

/* The first that is not before it. */
static size_t find(const here_list *list, const char *name) {
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(list->names[middle]->text, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static here_name *insert(here_list *list, size_t at, const char *name) {
    if (list->count == HERE_NAMES_MAX || !here_name_ok(name))
        return NULL;
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        here_name **names = realloc(list->names, cap * sizeof *names);
        if (!names)
            return NULL;
        list->names = names;
        list->cap = cap;
    }
    size_t bytes = strlen(name) + 1;
    here_name *new = malloc(sizeof *new + bytes);
    if (!new)
        return NULL;
    *new = (here_name) {0};
    memcpy(new->text, name, bytes);
    memmove(list->names + at + 1, list->names + at, (list->count - at) * sizeof *list->names);
    list->names[at] = new;
    list->count++;
    return new;
}

here_seat here_come(here_list *list, const char *name) {
    size_t at = find(list, name);
    bool known = at < list->count && strcmp(list->names[at]->text, name) == 0;
    here_name *found = known ? list->names[at] : insert(list, at, name);
    if (found)
        found->seats++;
    else
        list->more++;
    return (here_seat) {true, found};
}

void here_go(here_list *list, here_seat *seat, uint64_t now_ms) {
    if (seat->name && --seat->name->seats == 0)
        seat->name->gone_ms = now_ms;
    list->more -= seat->taken && !seat->name;
    *seat = (here_seat) {0};
}

/* ---- telling ---- */

static bool is_gone(const here_name *name, uint64_t now_ms) {
    return name->seats == 0 && now_ms >= name->gone_ms + HERE_GRACE_MS;
}

static void add_name(app_text *text, size_t *count, const char *name) {
    if ((*count)++ > 0)
        app_text_add(text, ",", 1);
    app_text_json(text, name, strlen(name));
}

static void forget_gone(here_list *list, uint64_t now_ms) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (is_gone(list->names[i], now_ms))
            free(list->names[i]);
        else
            list->names[kept++] = list->names[i];
    }
    list->count = kept;
}

bool here_tell(here_list *list, uint64_t now_ms, app_text *out_json) {
    app_text went = {0};
    size_t came_count = 0, went_count = 0;
    app_text_print(out_json, "{\"came\":[");
    for (size_t i = 0; i < list->count; i++) {
        const here_name *name = list->names[i];
        if (!name->told && !is_gone(name, now_ms))
            add_name(out_json, &came_count, name->text);
        else if (name->told && is_gone(name, now_ms))
            add_name(&went, &went_count, name->text);
    }
    app_text_print(out_json, "],\"went\":[");
    app_text_add(out_json, went.data, went.len);
    bool any = came_count + went_count > 0 || list->more != list->more_told;
    app_text_print(out_json, "],\"more\":%u,\"version\":%llu}", list->more, (unsigned long long)list->version + any);
    out_json->failed |= went.failed;
    app_text_free(&went);
    if (out_json->failed)
        return false;
    forget_gone(list, now_ms);
    for (size_t i = 0; i < list->count; i++)
        list->names[i]->told = true;
    list->more_told = list->more;
    list->version += any;
    return any;
}

bool here_told_all(const here_list *list) {
    for (size_t i = 0; i < list->count; i++)
        if (!list->names[i]->told || list->names[i]->seats == 0)
            return false;
    return list->more == list->more_told;
}

void here_write(const here_list *list, app_text *out_json) {
    size_t count = 0;
    app_text_print(out_json, "{\"here\":[");
    for (size_t i = 0; i < list->count; i++)
        if (list->names[i]->told)
            add_name(out_json, &count, list->names[i]->text);
    app_text_print(out_json, "],\"more\":%u,\"version\":%llu}", list->more_told, (unsigned long long)list->version);
}

void here_free(here_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    *list = (here_list) {0};
}
