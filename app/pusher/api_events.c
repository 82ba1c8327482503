/*
 * Publishing: one event to many channels, or many events at once. All of a request is looked at before any of it is
 * published. The name and the data become JSON once, whatever the number of channels.
 */
#include "app/pusher/api.h"
#include "app/pusher/trace.h"

#include <stdlib.h>
#include <string.h>

/* One event of a request; borrowed from its body. */
typedef struct posted {
    weft_text name, data, socket_id;
    unsigned info;
} posted;

/* ---- looking ---- */

static bool read_posted(push_call *call, const json_t *json, posted *out) {
    uint32_t max = call->settings->limits.event_bytes;
    *out = (posted) {push_json_text(json, "name"), push_json_text(json, "data"), push_json_text(json, "socket_id"),
                     push_info_of(push_json_text(json, "info"))};
    const json_t *socket_id = json_object_get(json, "socket_id");
    if (!json_is_object(json)) {
        push_refuse(call, 400, "An event is a JSON object with name, data and channels");
    } else if (!out->name.data || !push_event_name_ok(out->name)) {
        push_refuse(call, 400, "An event's name is a string of 1 to %d bytes", PUSH_EVENT_NAME_MAX);
    } else if (!out->data.data) {
        push_refuse(call, 400, "An event's data is a string; what it says may be JSON");
    } else if (out->data.len > max) {
        push_refuse(call, 413,
                    "The data content of this event exceeds the allowed maximum (%u bytes). See "
                    "https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info",
                    max);
    } else if (socket_id && !json_is_null(socket_id) && !push_socket_id_ok(out->socket_id)) {
        push_refuse(call, 400, "Invalid socket id: it is the one that the connection was told");
    }
    return !call->answered;
}

static bool is_channel(push_call *call, const json_t *json) {
    weft_text name = {json_string_value(json), json_string_length(json)};
    if (name.data && push_channel_name_ok(name))
        return true;
    push_refuse(call, 400, "Invalid channel name: 1 to %d of A-Z a-z 0-9 _ - = @ , . ;", PUSH_CHANNEL_NAME_MAX);
    return false;
}

static weft_text text_of(const json_t *string) {
    return (weft_text) {json_string_value(string), json_string_length(string)};
}

static bool are_channels(push_call *call, const json_t *list) {
    size_t count = json_array_size(list), max = call->settings->limits.event_channels;
    if (count == 0 || count > max)
        push_refuse(call, 400, "An event goes to 1 to %zu channels, not %zu", max, count);
    for (size_t i = 0; i < count && !call->answered; i++)
        if (is_channel(call, json_array_get(list, i)) && count > 1 &&
            push_kind_of(text_of(json_array_get(list, i))).access == PUSH_ENCRYPTED)
            push_refuse(call, 400, "An event goes to one encrypted channel, and to no other with it");
    return !call->answered;
}

/* ---- publishing ---- */

/* The event as it goes to each channel. */
typedef struct prepared {
    push_text text;
    push_event event; /* in the text, but for the channel */
    const posted *posted;
} prepared;

static bool prepare(push_call *call, const posted *p, prepared *out) {
    *out = (prepared) {.posted = p};
    push_put_quoted(&out->text, p->name);
    size_t name_len = out->text.len;
    push_put_quoted(&out->text, p->data);
    if (out->text.failed)
        push_refuse(call, 503, "out of memory");
    out->event.name = (weft_text) {out->text.data, name_len};
    out->event.data = (weft_text) {out->text.data + name_len, out->text.len - name_len};
    return !call->answered;
}

/* False: it is answered that memory is out. Then it may have reached some, and is to be sent again. */
static bool publish(push_call *call, prepared *p, weft_text channel) {
    p->event.channel = channel;
    app_past *log;
    push_verdict got = PUSH_DONE;
    push_effects *e = push_app_enter(call->app);
    bool stores = push_stores(call->app, channel, &log);
    const push_conn *except =
        p->posted->socket_id.data ? push_conn_find(&call->app->state, p->posted->socket_id) : NULL;
    if (!stores)
        got = push_trigger(&call->app->state, &p->event, except, e, push_now_ms());
    if (p->posted->info)
        push_put_info(&call->out, channel, push_channel_find(&call->app->state, channel), p->posted->info);
    push_app_leave(call->app, NULL);
    if (got == PUSH_DONE)
        push_trace_event(call->app, "api_event", NULL, &p->event);
    if (stores)
        return push_store_event(call, &p->event, p->posted->socket_id, log);
    if (got == PUSH_NO_MEMORY)
        push_refuse(call, 503, "out of memory");
    return got != PUSH_NO_MEMORY;
}

static void publish_to_all(push_call *call, const json_t *channels, const posted *p) {
    prepared ready;
    bool ok = prepare(call, p, &ready);
    push_put_str(&call->out, p->info ? "{\"channels\":{" : "{");
    for (size_t i = 0; i < json_array_size(channels) && ok; i++) {
        weft_text channel = text_of(json_array_get(channels, i));
        if (p->info) {
            push_put_str(&call->out, i > 0 ? "," : "");
            push_put_quoted(&call->out, channel);
            push_put_str(&call->out, ":");
        }
        ok = publish(call, &ready, channel);
    }
    push_put_str(&call->out, p->info ? "}}" : "}");
    push_text_free(&ready.text);
    if (ok)
        push_answer(call);
}

void push_api_events(push_call *call) {
    json_t *json = push_json_parse(weft_request_body(call->request)), *channels = NULL;
    const json_t *one = json_object_get(json, "channel"), *many = json_object_get(json, "channels");
    posted p;
    if (!json_is_object(json)) {
        push_refuse(call, 400, "The body must be a JSON object without duplicate keys");
    } else if (!json_is_array(many) && !json_is_string(one)) {
        push_refuse(call, 400, "An event needs channels, an array of names, or channel, a name");
    } else if (read_posted(call, json, &p)) {
        channels = json_is_array(many) ? json_incref(json_object_get(json, "channels"))
                                       : json_pack("[O]", json_object_get(json, "channel"));
        if (!channels)
            push_refuse(call, 503, "out of memory");
        else if (are_channels(call, channels))
            publish_to_all(call, channels, &p);
    }
    json_decref(channels);
    json_decref(json);
}

/* ---- many at once ---- */

static bool read_batch(push_call *call, const json_t *batch, posted *out) {
    for (size_t i = 0; i < json_array_size(batch); i++) {
        const json_t *json = json_array_get(batch, i);
        if (!read_posted(call, json, &out[i]) || !is_channel(call, json_object_get(json, "channel")))
            return false;
    }
    return true;
}

static void publish_batch(push_call *call, const json_t *batch, const posted *events) {
    size_t count = json_array_size(batch);
    bool ok = true, asks = false;
    for (size_t i = 0; i < count; i++)
        asks = asks || events[i].info;
    push_put_str(&call->out, asks ? "{\"batch\":[" : "{");
    for (size_t i = 0; i < count && ok; i++) {
        prepared ready;
        if (asks)
            push_put_str(&call->out, i > 0 ? "," : "");
        if (asks && !events[i].info)
            push_put_str(&call->out, "{}");
        ok = prepare(call, &events[i], &ready) &&
             publish(call, &ready, text_of(json_object_get(json_array_get(batch, i), "channel")));
        push_text_free(&ready.text);
    }
    push_put_str(&call->out, asks ? "]}" : "}");
    if (ok)
        push_answer(call);
}

void push_api_batch(push_call *call) {
    json_t *json = push_json_parse(weft_request_body(call->request));
    const json_t *batch = json_object_get(json, "batch");
    size_t count = json_array_size(batch), max = call->settings->limits.batch_events;
    posted *events = count > 0 && count <= max ? calloc(count, sizeof *events) : NULL;
    if (!json_is_array(batch))
        push_refuse(call, 400, "The body must be a JSON object with batch, an array of events");
    else if (count > max)
        push_refuse(call, 400, "Batch too large (%zu > %zu)", count, max);
    else if (count > 0 && !events)
        push_refuse(call, 503, "out of memory");
    else if (read_batch(call, batch, events))
        publish_batch(call, batch, events);
    free(events);
    json_decref(json);
}
