/*
 * The clock and what else the library asks the system about. Time stands still while the server works.
 */
#include "sim.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
time_t __wrap_time(time_t *out);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);

/* A machine has been up for a while, and its clock does not begin at a whole millisecond. */
enum { UP_S = 86400, UNIX_S = 1700000000, ODD_NS = 123456 };

int __wrap_clock_gettime(clockid_t clock, struct timespec *out) {
    uint64_t ns = sim.now_ns + ODD_NS;
    out->tv_sec = (time_t)(ns / 1000000000u) + (clock == CLOCK_REALTIME ? UNIX_S : UP_S);
    out->tv_nsec = (long)(ns % 1000000000u);
    return 0;
}

time_t __wrap_time(time_t *out) {
    time_t now = (time_t)(sim.now_ns / 1000000000u) + UNIX_S;
    if (out)
        *out = now;
    return now;
}

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags) {
    uint8_t *at = out;
    (void)flags;
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)sim_random();
    return (ssize_t)len;
}
