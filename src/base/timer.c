/*
 * The wheel reads a time as digits to the base 64, one per level:
 *
 *       ... | level 3 | level 2 | level 1 | level 0 |      24 bits of milliseconds; what stands above is
 * `far`
 *
 * A timer lives at the level of the highest digit in which its deadline differs from now, in the slot of the
 * deadline's digit there. All digits above are equal, and the deadline is later, so that slot lies strictly
 * after now's own: no level ever wraps around, and everything on a level is due before anything on the next.
 * From this follow the two operations that matter:
 *
 *   - What comes first is the lowest bit of the lowest level in use.
 *   - When now moves on and `top` is the highest digit that changes, every level under `top` is past as a
 * whole, `top` is past up to now's new digit, the slot at that digit is spread over the levels below, and
 * nothing else changes.
 *
 * Bitmaps of used slots make both independent of how far the clock has moved.
 */
#include "base/timer.h"

#include "base/assert.h"

enum { DIGIT_BITS = 6 };

_Static_assert(1 << DIGIT_BITS == WF_TIMER_SLOTS, "a digit is a slot");

static void list_init(wf_timer *head) {
    head->next = head->prev = head;
}

static bool list_empty(const wf_timer *head) {
    return head->next == head;
}

static void list_append(wf_timer *head, wf_timer *timer) {
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

/* Moves everything in `from` to the end of `to`. */
static void list_splice(wf_timer *to, wf_timer *from) {
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

/* The highest digit in which two different times differ; WF_TIMER_LEVELS when that is beyond the wheel. */
static unsigned level_of(uint64_t a, uint64_t b) {
    unsigned level = (63u - (unsigned)__builtin_clzll(a ^ b)) / DIGIT_BITS;
    return level < WF_TIMER_LEVELS ? level : WF_TIMER_LEVELS;
}

static unsigned digit_of(uint64_t time_ms, unsigned level) {
    return time_ms >> level * DIGIT_BITS & (WF_TIMER_SLOTS - 1);
}

/* The list a deadline belongs to, as of now. */
static wf_timer *list_of(wf_timers *timers, uint64_t deadline_ms) {
    if (deadline_ms <= timers->now_ms)
        return &timers->due;
    unsigned level = level_of(deadline_ms, timers->now_ms);
    return level == WF_TIMER_LEVELS ? &timers->far : &timers->slots[level][digit_of(deadline_ms, level)];
}

static bool is_slot(const wf_timers *timers, const wf_timer *head) {
    return head != &timers->due && head != &timers->far;
}

/* The bit of a slot in its level's word, and the word's index. */
static uint64_t used_bit(const wf_timers *timers, const wf_timer *slot, size_t *out_level) {
    size_t index = (size_t)(slot - &timers->slots[0][0]);
    *out_level = index / WF_TIMER_SLOTS;
    return UINT64_C(1) << index % WF_TIMER_SLOTS;
}

static void place(wf_timers *timers, wf_timer *timer) {
    wf_timer *head = list_of(timers, timer->deadline_ms);
    list_append(head, timer);
    if (is_slot(timers, head)) {
        size_t level;
        uint64_t bit = used_bit(timers, head, &level);
        timers->used[level] |= bit;
    }
}

static void take_out(wf_timers *timers, wf_timer *timer) {
    wf_timer *next = timer->next;
    bool was_alone = next == timer->prev;
    next->prev = timer->prev;
    timer->prev->next = next;
    timer->next = timer->prev = NULL;
    timers->count--;
    if (was_alone && is_slot(timers, next)) { /* then `next` is the list's head */
        size_t level;
        uint64_t bit = used_bit(timers, next, &level);
        timers->used[level] &= ~bit;
    }
}

void wf_timers_init(wf_timers *timers, uint64_t now_ms) {
    for (unsigned level = 0; level < WF_TIMER_LEVELS; level++) {
        for (unsigned slot = 0; slot < WF_TIMER_SLOTS; slot++)
            list_init(&timers->slots[level][slot]);
        timers->used[level] = 0;
    }
    list_init(&timers->far);
    list_init(&timers->due);
    timers->now_ms = now_ms;
    timers->count = 0;
}

void wf_timers_add(wf_timers *timers, wf_timer *timer, uint64_t deadline_ms) {
    wf_timers_cancel(timers, timer);
    timer->deadline_ms = deadline_ms;
    place(timers, timer);
    timers->count++;
}

void wf_timers_cancel(wf_timers *timers, wf_timer *timer) {
    if (wf_timer_armed(timer))
        take_out(timers, timer);
}

/* Everything in the slots of `mask` is past. */
static void expire(wf_timers *timers, unsigned level, uint64_t mask) {
    uint64_t past = timers->used[level] & mask;
    timers->used[level] &= ~mask;
    for (; past; past &= past - 1)
        list_splice(&timers->due, &timers->slots[level][__builtin_ctzll(past)]);
}

/* Finds each timer of a list its place as of the new now. They are detached first: some come back to the same
 * list. */
static void place_anew(wf_timers *timers, wf_timer *head) {
    wf_timer moving;
    list_init(&moving);
    list_splice(&moving, head);
    while (!list_empty(&moving)) {
        wf_timer *timer = moving.next;
        moving.next = timer->next;
        timer->next->prev = &moving;
        place(timers, timer);
    }
}

void wf_timers_advance(wf_timers *timers, uint64_t now_ms) {
    if (now_ms <= timers->now_ms)
        return;
    unsigned top = level_of(timers->now_ms, now_ms);
    timers->now_ms = now_ms;
    for (unsigned level = 0; level < top; level++)
        expire(timers, level, UINT64_MAX);
    if (top == WF_TIMER_LEVELS) {
        place_anew(timers, &timers->far);
        return;
    }
    unsigned digit = digit_of(now_ms, top);
    uint64_t bit = UINT64_C(1) << digit;
    expire(timers, top, bit - 1);
    if (timers->used[top] & bit) {
        timers->used[top] &= ~bit;
        place_anew(timers, &timers->slots[top][digit]);
    }
}

wf_timer *wf_timers_next(wf_timers *timers) {
    if (list_empty(&timers->due))
        return NULL;
    wf_timer *timer = timers->due.next;
    take_out(timers, timer);
    return timer;
}

/* How far now is into its own slot of a level. */
static uint64_t gone_of_slot(uint64_t now_ms, unsigned level) {
    return now_ms & ((UINT64_C(1) << level * DIGIT_BITS) - 1);
}

int64_t wf_timers_wait_ms(const wf_timers *timers) {
    if (timers->count == 0)
        return -1;
    if (!list_empty(&timers->due))
        return 0;
    for (unsigned level = 0; level < WF_TIMER_LEVELS; level++) {
        if (timers->used[level]) {
            unsigned first = (unsigned)__builtin_ctzll(timers->used[level]);
            uint64_t slots = first - digit_of(timers->now_ms, level);
            return (int64_t)((slots << level * DIGIT_BITS) - gone_of_slot(timers->now_ms, level));
        }
    }
    return (int64_t)((UINT64_C(1) << WF_TIMER_LEVELS * DIGIT_BITS) - gone_of_slot(timers->now_ms, WF_TIMER_LEVELS));
}

static size_t check_list(const wf_timers *timers, const wf_timer *head) {
    size_t count = 0;
    for (const wf_timer *timer = head->next; timer != head; timer = timer->next) {
        wf_assert(timer->next->prev == timer && timer->prev->next == timer);
        wf_assert(list_of((wf_timers *)timers, timer->deadline_ms) == head);
        count++;
        wf_assert(count <= timers->count);
    }
    return count;
}

void wf_timers_check(const wf_timers *timers) {
    size_t count = check_list(timers, &timers->due) + check_list(timers, &timers->far);
    for (unsigned level = 0; level < WF_TIMER_LEVELS; level++) {
        for (unsigned slot = 0; slot < WF_TIMER_SLOTS; slot++) {
            size_t held = check_list(timers, &timers->slots[level][slot]);
            wf_assert((held > 0) == (timers->used[level] >> slot & 1));
            count += held;
        }
    }
    wf_assert(count == timers->count);
}
