#include "link/deadlines.h"

_Static_assert(WF_PING_BURST * 1000 <= UINT16_MAX, "ping_tokens");

static void earliest(uint64_t since_ms, uint32_t interval_ms, wf_due due, wf_due *best, uint64_t *best_ms) {
    if (interval_ms != WF_NEVER && since_ms + interval_ms < *best_ms) {
        *best_ms = since_ms + interval_ms;
        *best = due;
    }
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* The whole time, of those with this low half the one next to now. */
static uint64_t whole(uint32_t kept_ms, uint64_t now_ms) {
    return now_ms + (uint64_t)(int64_t)(int32_t)(kept_ms - (uint32_t)now_ms);
}

static uint64_t pong_awaited_since(const wf_deadlines *d, uint64_t now_ms) {
    uint64_t since = later(whole(d->ping_ms, now_ms), whole(d->message_ms, now_ms));
    return d->sending ? later(since, whole(d->output_ms, now_ms)) : since;
}

wf_due wf_deadlines_next(const wf_deadlines *d, const wf_intervals *intervals, uint64_t now_ms, uint64_t *out_at_ms) {
    wf_due best = WF_DUE_NOTHING;
    uint64_t at = UINT64_MAX;
    if (!d->open && d->until_ms)
        earliest(whole(d->until_ms, now_ms), 0, WF_DUE_STAGE, &best, &at);
    if (d->sending)
        earliest(whole(d->output_ms, now_ms), intervals->send_timeout_ms, WF_DUE_SEND, &best, &at);
    if (d->open && d->until_ms) {
        earliest(whole(d->until_ms, now_ms), 0, WF_DUE_GATE, &best, &at);
    } else if (d->open && !d->resting) {
        if (d->in_message)
            earliest(whole(d->message_ms, now_ms), intervals->message_timeout_ms, WF_DUE_MESSAGE, &best, &at);
        if (d->ping_ms)
            earliest(pong_awaited_since(d, now_ms), intervals->ping_timeout_ms, WF_DUE_PONG, &best, &at);
        else
            earliest(whole(d->input_ms, now_ms), intervals->ping_interval_ms, WF_DUE_PING, &best, &at);
    }
    if (best != WF_DUE_NOTHING)
        *out_at_ms = at;
    return best;
}

void wf_deadlines_ping_init(wf_deadlines *d, uint64_t now_ms) {
    d->refilled_ms = (uint32_t)now_ms;
    d->ping_tokens = WF_PING_BURST * 1000;
}

/* The low half of the clock will do: only differences count, and a long one fills the bucket anyway. */
uint32_t wf_deadlines_ping_take(wf_deadlines *d, uint32_t per_second, uint64_t now_ms) {
    if (per_second == WF_NEVER)
        return 0;
    uint64_t gained = (uint64_t)((uint32_t)now_ms - d->refilled_ms) * per_second; /* thousandths: 1/s is 1 per ms */
    uint64_t tokens = d->ping_tokens + gained;
    d->refilled_ms = (uint32_t)now_ms;
    tokens = tokens > WF_PING_BURST * 1000 ? WF_PING_BURST * 1000 : tokens;
    d->ping_tokens = (uint16_t)(tokens > 1000 ? tokens - 1000 : 0);
    return d->ping_tokens >= 1000 ? 0 : (1000u - d->ping_tokens + per_second - 1) / per_second;
}
