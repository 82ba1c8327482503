/*
 * --reconnect: the library says whether another attempt can help, and how long to wait for it.
 */
#include "cli/connect/connect.h"

#include <sys/random.h>

enum { FIRST_MS = 500, LONGEST_MS = 30000 };

bool connect_retry(connect_session *s, const weft_retry_end *end) {
    const connect_options *o = s->options;
    if (!o->reconnect || connect_signal != 0 || s->is_leaving)
        return false;
    weft_retry policy = {WEFT_RETRY_INIT, .first_ms = FIRST_MS, .max_ms = LONGEST_MS, .attempts_max = o->reconnect_max};
    uint64_t chance = 0;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance)
        chance = connect_now_ns();
    int64_t ms = weft_retry_ms(&policy, s->attempts + 1, end, chance);
    if (ms == WEFT_RETRY_NEVER)
        return false;
    s->attempts++;
    s->retry_ns = connect_now_ns() + (uint64_t)ms * 1000000;
    connect_note(s, "connecting again in %.1f s (attempt %u)", (double)ms / 1000, s->attempts);
    return true;
}
