/*
 * A message has a slot by its number. Its publisher takes the slot over before the message leaves, so a delivery
 * finds its own tag there, or that of a message 65,536 later.
 */
#include "cli/bench/fan.h"

#include <stdlib.h>

bool bench_fan_init(bench_fan *f, uint32_t publishers) {
    f->slots = calloc(BENCH_FAN_SLOTS, sizeof *f->slots);
    f->complete = calloc(publishers, sizeof *f->complete);
    f->publishers = publishers;
    return f->slots && f->complete;
}

void bench_fan_deinit(bench_fan *f) {
    free(f->slots);
    free(f->complete);
    f->slots = NULL;
    f->complete = NULL;
}

static uint64_t tag_of(const bench_fan *f, uint32_t publisher, uint64_t number) {
    return number * f->publishers + publisher + 1;
}

static bench_fan_slot *slot_of(bench_fan *f, uint64_t tag) {
    return &f->slots[tag % BENCH_FAN_SLOTS];
}

void bench_fan_begin(bench_fan *f, uint32_t publisher, uint64_t number) {
    uint64_t tag = tag_of(f, publisher, number);
    bench_fan_slot *s = slot_of(f, tag);
    atomic_store_explicit(&s->count, 0, memory_order_relaxed);
    atomic_store_explicit(&s->first_ns, UINT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&s->last_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&s->tag, tag, memory_order_release);
}

bool bench_fan_deliver(bench_fan *f, uint32_t publisher, uint64_t number, uint64_t now, uint64_t out_times[2]) {
    uint64_t tag = tag_of(f, publisher, number);
    bench_fan_slot *s = slot_of(f, tag);
    if (atomic_load_explicit(&s->tag, memory_order_acquire) != tag)
        return false; /* 65,536 messages ago */
    uint64_t first = atomic_load_explicit(&s->first_ns, memory_order_relaxed);
    while (now < first && !atomic_compare_exchange_weak_explicit(&s->first_ns, &first, now, memory_order_relaxed,
                                                                 memory_order_relaxed)) {
    }
    uint64_t last = atomic_load_explicit(&s->last_ns, memory_order_relaxed);
    while (now > last && !atomic_compare_exchange_weak_explicit(&s->last_ns, &last, now, memory_order_relaxed,
                                                                memory_order_relaxed)) {
    }
    unsigned count = atomic_fetch_add_explicit(&s->count, 1, memory_order_acq_rel) + 1;
    if (count != atomic_load_explicit(&f->subscribers, memory_order_relaxed))
        return false;
    out_times[0] = atomic_load_explicit(&s->first_ns, memory_order_relaxed);
    out_times[1] = atomic_load_explicit(&s->last_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->complete[publisher], 1, memory_order_release);
    return true;
}
