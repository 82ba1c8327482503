#include "app/pusher/outbox.h"

#include <stdlib.h>
#include <string.h>

#include <weft/retry.h>

/* A body gets no longer than that, unless a single event is. */
enum { BODY_BYTES_MAX = 256 << 10 };

struct push_letter {
    push_letter *next;
    uint64_t since_ms;
    size_t len;
    char text[];
};

void push_outbox_free(push_outbox *box) {
    while (box->first) {
        push_letter *letter = box->first;
        box->first = letter->next;
        free(letter);
    }
    push_text_free(&box->body);
    *box = (push_outbox) {0};
}

bool push_outbox_add(push_outbox *box, const push_outbox_rules *rules, weft_text text, uint64_t now_ms) {
    if (box->count >= rules->queue_events || text.len > rules->queue_bytes ||
        box->bytes > rules->queue_bytes - text.len)
        return false;
    push_letter *letter = malloc(sizeof *letter + text.len);
    if (!letter)
        return false;
    *letter = (push_letter) {.since_ms = now_ms, .len = text.len};
    memcpy(letter->text, text.data, text.len);
    *(box->last ? &box->last->next : &box->first) = letter;
    box->last = letter;
    box->count++;
    box->bytes += text.len;
    return true;
}

uint64_t push_outbox_due(const push_outbox *box, const push_outbox_rules *rules) {
    if (box->under_way || !box->first)
        return UINT64_MAX;
    uint64_t full = box->batch > 0 || box->count >= rules->batch_events ? 0 : box->first->since_ms + rules->batch_ms;
    return full > box->next_ms ? full : box->next_ms;
}

void push_outbox_begin(push_outbox *box, const push_outbox_rules *rules) {
    box->under_way = true;
    if (box->batch > 0 && !box->body.failed)
        return;
    size_t bytes = 0;
    box->batch = 0;
    for (const push_letter *l = box->first; l && box->batch < rules->batch_events; l = l->next) {
        if (box->batch > 0 && bytes + l->len > BODY_BYTES_MAX)
            break;
        bytes += l->len + 1;
        box->batch++;
    }
    push_text_clear(&box->body);
}

/* Behind the last of them others may be added meanwhile. */
void push_outbox_write(push_outbox *box, uint64_t wall_ms) {
    if (box->body.len > 0)
        return;
    push_put_str(&box->body, "{\"time_ms\":");
    push_put_number(&box->body, wall_ms);
    push_put_str(&box->body, ",\"events\":[");
    const push_letter *l = box->first;
    for (size_t i = 0; i < box->batch; i++) {
        if (i > 0)
            l = l->next;
        push_put_str(&box->body, i > 0 ? "," : "");
        push_put(&box->body, l->text, l->len);
    }
    push_put_str(&box->body, "]}");
}

void push_outbox_drop(push_outbox *box) {
    for (; box->batch > 0; box->batch--) {
        push_letter *letter = box->first;
        box->first = letter->next;
        if (!box->first)
            box->last = NULL;
        box->count--;
        box->bytes -= letter->len;
        free(letter);
    }
    push_text_free(&box->body);
    box->under_way = false;
}

void push_outbox_done(push_outbox *box) {
    push_outbox_drop(box);
    box->failures = 0;
    box->next_ms = 0;
}

/* The last attempt is made when the time is over, and not before. */
void push_outbox_failed(push_outbox *box, const push_outbox_rules *rules, uint64_t now_ms, uint64_t random) {
    weft_retry policy = {WEFT_RETRY_INIT, .first_ms = rules->retry_first_ms};
    weft_retry_end end = {0};
    box->under_way = false;
    box->failures++;
    box->next_ms = now_ms + (uint64_t)weft_retry_ms(&policy, box->failures, &end, random);
    uint64_t last_ms = box->first ? box->first->since_ms + rules->retry_max_ms : 0;
    if (now_ms < last_ms && last_ms < box->next_ms)
        box->next_ms = last_ms;
}

bool push_outbox_expired(const push_outbox *box, const push_outbox_rules *rules, uint64_t now_ms) {
    return box->first && now_ms - box->first->since_ms >= rules->retry_max_ms;
}
