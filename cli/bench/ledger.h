/*
 * ledger.h - what has come of a numbered stream: each message once, in order, or what went wrong with it.
 *
 * The last 256 numbers are remembered one by one, so a late message is told from a second copy. One that comes later
 * than that cannot be told: it is stale, and does not count as come.
 */
#ifndef CLI_BENCH_LEDGER_H
#define CLI_BENCH_LEDGER_H

#include <stdint.h>

enum { BENCH_LEDGER_WINDOW = 256 };

/* Zeroed memory expects number 0. */
typedef struct bench_ledger {
    uint64_t next;                           /* the number after the greatest seen */
    uint64_t count;                          /* numbers that came: next - count were passed over */
    uint64_t seen[BENCH_LEDGER_WINDOW / 64]; /* bit n % 256: number n of the window came */
} bench_ledger;

typedef enum bench_arrival { BENCH_IN_ORDER, BENCH_LATE, BENCH_STALE, BENCH_DUPLICATE } bench_arrival;

bench_arrival bench_ledger_arrived(bench_ledger *l, uint64_t number);

/* The full number of which only the low `bits` travelled: the one nearest to what is expected. */
uint64_t bench_ledger_widen(const bench_ledger *l, uint64_t low, unsigned bits);

#endif
