/*
 * fan.h - the way of each published message to all subscribers: when the first had it, when the last, and whether all
 * did.
 *
 * The last 65,536 messages are kept. Subscribers of all threads write here, so it is atomics; two threads meet in a
 * slot only while both deliver the same message.
 */
#ifndef CLI_BENCH_FAN_H
#define CLI_BENCH_FAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_FAN_SLOTS = 1 << 16, BENCH_FAN_INFLIGHT_MAX = BENCH_FAN_SLOTS / 2 };

typedef struct bench_fan_slot {
    _Atomic uint64_t tag; /* the message, plus one */
    _Atomic uint64_t first_ns, last_ns;
    atomic_uint count;
} bench_fan_slot;

typedef struct bench_fan {
    uint32_t publishers;
    atomic_uint subscribers;    /* that were there at the start */
    _Atomic uint64_t published; /* messages, all in all */
    atomic_uint publishing;     /* workers that still publish */
    bench_fan_slot *slots;
    _Atomic uint64_t *complete; /* per publisher: messages that have reached all */
} bench_fan;

bool bench_fan_init(bench_fan *f, uint32_t publishers); /* false: out of memory */
void bench_fan_deinit(bench_fan *f);

/* Before the message is sent. */
void bench_fan_begin(bench_fan *f, uint32_t publisher, uint64_t number);

/* At a subscriber. true: it was the last of all; then the times of the first and the last delivery are told. */
bool bench_fan_deliver(bench_fan *f, uint32_t publisher, uint64_t number, uint64_t now, uint64_t out_times[2]);

#endif
