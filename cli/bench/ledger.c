/*
 * A bit for each of the last 256 numbers, at the place of its remainder: moving on clears the bits of what is passed
 * over.
 */
#include "cli/bench/ledger.h"

#include <string.h>

static uint64_t bit_of(uint64_t number) {
    return UINT64_C(1) << (number % 64);
}

static uint64_t *word_of(bench_ledger *l, uint64_t number) {
    return &l->seen[number % BENCH_LEDGER_WINDOW / 64];
}

bench_arrival bench_ledger_arrived(bench_ledger *l, uint64_t number) {
    if (number < l->next) {
        if (l->next - number > BENCH_LEDGER_WINDOW)
            return BENCH_STALE;
        if (*word_of(l, number) & bit_of(number))
            return BENCH_DUPLICATE;
        *word_of(l, number) |= bit_of(number);
        l->count++;
        return BENCH_LATE;
    }
    if (number - l->next >= BENCH_LEDGER_WINDOW)
        memset(l->seen, 0, sizeof l->seen);
    else
        for (uint64_t n = l->next; n < number; n++)
            *word_of(l, n) &= ~bit_of(n);
    *word_of(l, number) |= bit_of(number);
    l->next = number + 1;
    l->count++;
    return BENCH_IN_ORDER;
}

uint64_t bench_ledger_widen(const bench_ledger *l, uint64_t low, unsigned bits) {
    uint64_t span = UINT64_C(1) << bits, mask = span - 1;
    uint64_t ahead = (low - l->next) & mask; /* this far before us, or span - ahead behind us */
    if (ahead < span / 2 || l->next < span - ahead)
        return l->next + ahead;
    return l->next - (span - ahead);
}
