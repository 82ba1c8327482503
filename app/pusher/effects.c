#include "app/pusher/effects.h"

#include <stdlib.h>

enum { FIRST_ITEMS = 8, KEPT_BYTES = 64 << 10 };

void push_effects_free(push_effects *e) {
    free(e->items);
    push_text_free(&e->text);
    *e = (push_effects) {0};
}

/* The memory is kept for the next, but not that of an unusually long text. */
void push_effects_clear(push_effects *e) {
    e->count = 0;
    e->failed = false;
    push_text_clear(&e->text);
    if (e->text.cap > KEPT_BYTES)
        push_text_free(&e->text);
}

bool push_effects_ok(const push_effects *e) {
    return !e->failed && !e->text.failed;
}

size_t push_effect_begin(push_effects *e) {
    return e->text.len;
}

size_t push_effect_topic(push_effects *e, const char *app, const char *mark, weft_text name) {
    size_t at = e->text.len;
    push_put_str(&e->text, app);
    push_put(&e->text, " ", 1);
    push_put_str(&e->text, mark);
    push_put_text(&e->text, name);
    push_put(&e->text, "", 1);
    return at;
}

static void add(push_effects *e, push_effect effect) {
    if (e->text.failed)
        return;
    if (e->count == e->cap) {
        size_t cap = e->cap ? 2 * e->cap : FIRST_ITEMS;
        push_effect *items = realloc(e->items, cap * sizeof *items);
        if (!items) {
            e->failed = true;
            return;
        }
        e->items = items;
        e->cap = cap;
    }
    e->items[e->count++] = effect;
}

void push_effect_join(push_effects *e, size_t topic, size_t at) {
    add(e, (push_effect) {.kind = PUSH_JOIN, .topic = topic, .at = at, .len = e->text.len - at});
}

void push_effect_leave(push_effects *e, size_t topic) {
    add(e, (push_effect) {.kind = PUSH_LEAVE, .topic = topic});
}

void push_effect_send(push_effects *e, size_t at) {
    add(e, (push_effect) {.kind = PUSH_SEND, .at = at, .len = e->text.len - at});
}

void push_effect_publish(push_effects *e, size_t topic, size_t at, const push_conn *except) {
    add(e, (push_effect) {.kind = PUSH_PUBLISH, .topic = topic, .at = at, .len = e->text.len - at, .who = except});
}

void push_effect_close(push_effects *e, const push_conn *who, int code) {
    add(e, (push_effect) {.kind = PUSH_CLOSE, .who = who, .code = code});
}

void push_effect_note(push_effects *e, push_note note, weft_text channel, weft_text text) {
    if (!e->notes)
        return;
    size_t topic = e->text.len;
    push_put_text(&e->text, channel);
    push_put(&e->text, "", 1);
    size_t at = e->text.len;
    push_put_text(&e->text, text);
    add(e, (push_effect) {.kind = PUSH_NOTE, .code = (int)note, .topic = topic, .at = at, .len = text.len});
}
