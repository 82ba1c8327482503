/*
 * --reconnect: when another attempt can help, and how long to wait for it. The wait doubles from a quarter of a second to
 * half a minute, and half of it is chance, so that the clients of a server that restarts do not come back all at once.
 */
#include "cli/connect/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_MS = 250, LONGEST_MS = 30000, RESTART_MS = 1000, TRY_LATER_MS = 5000, ASKED_MAX_S = 3600 };

static bool schedule(connect_session *s, uint64_t least_ms) {
    const connect_options *o = s->options;
    if (!o->reconnect || s->attempts >= o->reconnect_max || connect_signal != 0 || s->is_leaving)
        return false;
    uint64_t ms = s->attempts < 7 ? (uint64_t)FIRST_MS << s->attempts : LONGEST_MS;
    ms = ms > least_ms ? ms : least_ms;
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance)
        chance = (uint32_t)connect_now_ns();
    /* What the server asked for is a least; without, the whole wait is a most. */
    ms = least_ms > 0 ? ms + chance % (ms / 2 + 1) : ms / 2 + chance % (ms / 2 + 1);
    s->attempts++;
    s->retry_ns = connect_now_ns() + ms * 1000000;
    char text[80];
    int used = snprintf(text, sizeof text, "connecting again in %.1f s (attempt %u)", (double)ms / 1000, s->attempts);
    connect_tell(s, text, (size_t)used);
    return true;
}

/* In seconds, or the standard's other form, a date, which is not read. */
static uint64_t asked_ms(const weft_response *response) {
    weft_text value = weft_response_header(response, "Retry-After");
    uint64_t seconds = 0;
    for (size_t i = 0; i < value.len && value.data[i] >= '0' && value.data[i] <= '9' && seconds < ASKED_MAX_S; i++)
        seconds = seconds * 10 + (uint64_t)(value.data[i] - '0');
    return (seconds < ASKED_MAX_S ? seconds : ASKED_MAX_S) * 1000;
}

bool connect_retry_failed(connect_session *s, const weft_dial_failure *failure, int exit_code) {
    if (exit_code == CONNECT_EXIT_HTTP) {
        int status = weft_response_status(failure->response);
        bool heals = status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501);
        return heals && schedule(s, asked_ms(failure->response));
    }
    bool heals =
        exit_code == CONNECT_EXIT_CONNECT || exit_code == CONNECT_EXIT_TIMEOUT || exit_code == CONNECT_EXIT_ABNORMAL;
    return heals && schedule(s, 0);
}

bool connect_retry_closed(connect_session *s, const weft_close_info *info) {
    switch (info->code) {
    case WEFT_CLOSE_RESTART:
        return schedule(s, RESTART_MS);
    case WEFT_CLOSE_TRY_LATER:
        return schedule(s, TRY_LATER_MS);
    case WEFT_CLOSE_GOING_AWAY:
    case WEFT_CLOSE_ABNORMAL:
    case WEFT_CLOSE_INTERNAL:
        return schedule(s, 0);
    default:
        return false;
    }
}
