/*
 * timer.h - a hierarchical timer wheel. The clock is a parameter: it never asks the time.
 *
 * Resolution 1 ms, 4 levels of 64 slots; a deadline beyond the running 2^24 ms (about 4.6 h) waits in the
 * list `far` and is placed anew when that stretch ends. add, cancel and re-add are O(1); nothing is
 * allocated: a wf_timer is embedded in what it times. Neither a wheel nor an armed timer may be moved in
 * memory.
 *
 * Invariants (wf_timers_check): 1. an armed timer is in exactly one list. 2. which one follows from its
 * deadline and the wheel's now alone; so a lower level is always due before a higher one. 3. count equals the
 * armed timers. 4. a bit of `used` is set exactly when its slot holds something.
 */
#ifndef WF_BASE_TIMER_H
#define WF_BASE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: not armed. */
typedef struct wf_timer {
    struct wf_timer *next, *prev; /* NULL: not armed */
    uint64_t deadline_ms;
} wf_timer;

enum { WF_TIMER_LEVELS = 4, WF_TIMER_SLOTS = 64 };

typedef struct wf_timers {
    wf_timer slots[WF_TIMER_LEVELS][WF_TIMER_SLOTS]; /* list heads, circular */
    wf_timer far;                                    /* list head: beyond the levels' reach */
    wf_timer due;                                    /* list head: expired, not yet handed out */
    uint64_t now_ms;
    size_t count;                   /* armed timers, those that are due included */
    uint64_t used[WF_TIMER_LEVELS]; /* a bit per slot that holds something */
} wf_timers;

void wf_timers_init(wf_timers *timers, uint64_t now_ms);

/* (Re-)arms. A deadline at or before now is due at the next wf_timers_next, also in the middle of a run of
 * them: who re-arms from such a run takes a deadline after now, or the run does not end. */
void wf_timers_add(wf_timers *timers, wf_timer *timer, uint64_t deadline_ms);
void wf_timers_cancel(wf_timers *timers, wf_timer *timer); /* not armed: nothing happens */

static inline bool wf_timer_armed(const wf_timer *timer) {
    return timer->next != NULL;
}

/* Moves the clock on (never back) and collects what is due. Cost: linear in the used slots that are crossed
 * and the timers that are placed anew; empty stretches, however long, cost nothing. */
void wf_timers_advance(wf_timers *timers, uint64_t now_ms);

/* One due timer, disarmed, or NULL. Never earlier than its deadline; among due ones, no order is promised. */
wf_timer *wf_timers_next(wf_timers *timers);

/* Milliseconds from the wheel's now until something may be due: 0 now, -1 never (nothing is armed). May be
 * early (when timers move to a finer level: at most once per level on the way to a deadline), never late.
 * O(1). */
int64_t wf_timers_wait_ms(const wf_timers *timers);

/* Asserts the invariants. O(slots + armed). */
void wf_timers_check(const wf_timers *timers);

#endif
