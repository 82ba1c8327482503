#include "app/expiry.h"

static uint64_t moment_of(uint64_t ms) {
    return ms / APP_EXPIRY_MS;
}

void app_expiry_init(app_expiry *expiry, uint64_t now_ms) {
    *expiry = (app_expiry) {.lock = PTHREAD_MUTEX_INITIALIZER, .moment = moment_of(now_ms)};
}

static void take_out(app_expiry_item *item) {
    if (!item->at)
        return;
    *item->at = item->next;
    if (item->next)
        item->next->at = item->at;
    item->next = NULL;
    item->at = NULL;
}

void app_expiry_add(app_expiry *expiry, app_expiry_item *item, weft_handle who, uint64_t due_ms) {
    pthread_mutex_lock(&expiry->lock);
    item->who = who;
    item->due = moment_of(due_ms) + 1; /* none ends before its time */
    uint64_t moment = item->due > expiry->moment ? item->due : expiry->moment;
    item->at = &expiry->slots[moment % APP_EXPIRY_SLOTS];
    item->next = *item->at;
    if (item->next)
        item->next->at = &item->next;
    *item->at = item;
    pthread_mutex_unlock(&expiry->lock);
}

void app_expiry_remove(app_expiry *expiry, app_expiry_item *item) {
    pthread_mutex_lock(&expiry->lock);
    take_out(item);
    pthread_mutex_unlock(&expiry->lock);
}

size_t app_expiry_turn(app_expiry *expiry, uint64_t now_ms, size_t max, bool (*end)(void *context, weft_handle who),
                       void *context) {
    uint64_t now = moment_of(now_ms);
    size_t count = 0;
    bool goes_on = true;
    pthread_mutex_lock(&expiry->lock);
    if (now > expiry->moment + APP_EXPIRY_SLOTS) /* it stood still: one time around sees each */
        expiry->moment = now - APP_EXPIRY_SLOTS;
    while (goes_on && expiry->moment <= now) {
        app_expiry_item *item = expiry->slots[expiry->moment % APP_EXPIRY_SLOTS], *next;
        for (; goes_on && item; item = next) {
            next = item->next;
            if (item->due > now)
                continue; /* another time around */
            goes_on = count < max && end(context, item->who);
            if (goes_on)
                take_out(item);
            count += goes_on;
        }
        expiry->moment += goes_on;
    }
    pthread_mutex_unlock(&expiry->lock);
    return count;
}
