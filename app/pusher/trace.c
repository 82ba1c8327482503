#include "app/pusher/trace.h"

void push_trace(const push_app *app, const char *what, const push_conn *who, weft_text channel, weft_text data) {
    if (app_traced())
        app_trace(&(app_happening) {
            .what = what, .app = app->id, .who = who ? who->socket_id : NULL, .channel = channel, .data = data});
}

/* Its name is JSON: a string, nearly always without escapes. */
void push_trace_event(const push_app *app, const char *what, const push_conn *who, const push_event *event) {
    if (!app_traced())
        return;
    weft_text name = event->name;
    if (name.len >= 2)
        name = (weft_text) {name.data + 1, name.len - 2};
    app_trace(&(app_happening) {.what = what,
                                .app = app->id,
                                .who = who ? who->socket_id : NULL,
                                .channel = event->channel,
                                .name = name,
                                .data = event->data});
}

void push_trace_note(const push_app *app, push_note note, const char *channel, weft_text text) {
    static const char *const words[] = {"occupied",   "vacated", "member_added", "member_removed", NULL,
                                        "cache_miss", NULL};
    if (!app_traced() || !words[note]) /* client events and counts are seen where they are made */
        return;
    app_trace(&(app_happening) {.what = words[note],
                                .app = app->id,
                                .channel = push_str(channel),
                                .name = {text.len > 0 ? text.data : NULL, text.len}});
}
