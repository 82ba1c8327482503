/*
 * Pure but for the clock that a Retry-After with a date is held against. The random part of a wait is half of it, and
 * of the first wait all; what a server asks for is stretched by up to a tenth, for it asks everyone the same.
 */
#include "base/bytes.h"
#include "http/date.h"

#include <errno.h>
#include <time.h>
#include <weft/retry.h>

static bool status_heals(int status) {
    if (status < 500)
        return status == 408 || status == 425 || status == 429;
    return status != 501 && status != 505;
}

static bool close_heals(int code) {
    switch (code) {
    case 1000: /* done */
    case 1002:
    case 1003:
    case 1007:
    case 1008:
    case 1009:
    case 1010:
    case 1015:
    case 3000: /* unauthorized */
    case 3003: /* forbidden */
        return false;
    default:
        return true;
    }
}

static bool heals(const weft_retry_end *end) {
    if (end->is_for_good || (end->http_status && !status_heals(end->http_status)))
        return false;
    return !end->close_code || close_heals(end->close_code);
}

static uint64_t or_else(uint32_t value, uint32_t standard) {
    return value ? value : standard;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t own_ms(const weft_retry *policy, uint32_t attempt, uint64_t random) {
    uint64_t max_ms = or_else(policy->max_ms, 60 * 1000), ms = least(or_else(policy->first_ms, 1000), max_ms);
    if (attempt <= 1)
        return random % (ms + 1);
    for (uint32_t i = 1; i < attempt && ms < max_ms; i++)
        ms = least(2 * ms, max_ms);
    return ms - random % (ms / 2 + 1);
}

static uint64_t asked_ms(const weft_retry *policy, const weft_retry_end *end, uint64_t random) {
    enum { LEAST_MS = 5000, MOST_MS = 30000 };
    if (end->asked_ms > 0) {
        uint64_t ms = least((uint64_t)end->asked_ms, or_else(policy->asked_max_ms, 3600 * 1000));
        return ms + random % (ms / 10 + 1);
    }
    bool is_restart = end->close_code == 1012 || end->close_code == 1013;
    return is_restart ? LEAST_MS + random % (MOST_MS - LEAST_MS + 1) : 0;
}

int64_t weft_retry_ms(const weft_retry *policy, uint32_t attempt, const weft_retry_end *end, uint64_t random) {
    if ((policy->attempts_max && attempt > policy->attempts_max) || !heals(end))
        return WEFT_RETRY_NEVER;
    uint64_t own = own_ms(policy, attempt, random), asked = asked_ms(policy, end, random);
    return (int64_t)(own > asked ? own : asked);
}

static int64_t retry_after_ms(weft_text value) {
    wf_str text = wf_str_trim((wf_str) {value.data, value.len});
    int64_t s = 0, date_s;
    size_t at = 0;
    for (; at < text.len && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        s = s < 1000 * 1000 * 1000 ? 10 * s + (text.data[at] - '0') : s;
    if (at == text.len)
        return s * 1000;
    if (!wf_http_date_parse(text, &date_s))
        return 0;
    int64_t from_now_s = date_s - (int64_t)time(NULL);
    return from_now_s > 0 ? from_now_s * 1000 : 0;
}

weft_retry_end weft_retry_of_failure(const weft_dial_failure *failure) {
    weft_retry_end end = {0};
    if (failure->response && weft_response_status(failure->response) != 101) {
        end.http_status = weft_response_status(failure->response);
        end.asked_ms = retry_after_ms(weft_response_header(failure->response, "Retry-After"));
    } else {
        end.is_for_good = failure->rule && failure->sys_errno == 0;
    }
    end.is_for_good |= failure->verify_error != 0 || failure->sys_errno == ECONNABORTED;
    return end;
}

weft_retry_end weft_retry_of_close(const weft_close_info *info) {
    bool is_ours = info->clean && !info->by_peer; /* who closes does not want it back */
    return (weft_retry_end) {.close_code = info->code, .is_for_good = is_ours || info->sys_errno == ECONNABORTED};
}
