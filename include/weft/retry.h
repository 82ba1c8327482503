/*
 * weft/retry.h - whether to dial again, and when (RFC 6455 7.2.3). A client does it by itself where weft_dial.retry
 * says so. For a caller who waits and dials himself these decide, and do nothing:
 *
 *     static void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
 *         weft_retry_end end = weft_retry_of_failure(failure);
 *         int64_t wait_ms = weft_retry_ms(&policy, ++attempt, &end, my_random());     // attempt = 0 when it opened
 *
 * Waits grow to the double each time and are random in part, so that those who lost the same server do not come back
 * all at once. What cannot heal by itself is not tried again.
 */
#ifndef WEFT_RETRY_H
#define WEFT_RETRY_H

#include <weft/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero is the value in brackets. */
typedef struct weft_retry {
    size_t struct_size; /* WEFT_RETRY_INIT */
    uint32_t first_ms;  /* [1,000] the first wait is anything up to this, the second half of its double to all of it */
    uint32_t max_ms;    /* [60,000] no wait of ours is longer */
    uint32_t asked_max_ms; /* [3,600,000] nor one that the server asks for */
    uint32_t attempts_max; /* [no limit] */
} weft_retry;

#define WEFT_RETRY_INIT .struct_size = sizeof(weft_retry)

/* What it depends on. weft_retry_of_failure and weft_retry_of_close fill it in. */
typedef struct weft_retry_end {
    int http_status;  /* of a refusal; 0: there was none */
    int64_t asked_ms; /* Retry-After, from now; 0: none */
    int close_code;   /* 0: it was never open */
    bool is_for_good; /* a broken rule, a certificate that is not good, given up or closed by the caller */
} weft_retry_end;

/* Retry-After in seconds or as a date (RFC 9110 10.2.3), which is held against the clock. */
WEFT_API weft_retry_end weft_retry_of_failure(const weft_dial_failure *failure);
WEFT_API weft_retry_end weft_retry_of_close(const weft_close_info *info);

#define WEFT_RETRY_NEVER (-1)

/*
 * Milliseconds to wait before attempt number `attempt` (1: the first after a connection that was open, or after the
 * very first dial). WEFT_RETRY_NEVER: attempts_max is over; or the end is not one that heals:
 *   - an answer of 1xx, 2xx, 3xx, 4xx but 408, 425 and 429, or 501 and 505: who answered means it
 *   - close codes 1000, 1002, 1003, 1007-1010, 1015, 3000 and 3003: done, or the same would happen again
 *   - is_for_good
 * A wait is never shorter than what the server asked for; with 1012 and 1013 (IANA: WebSocket Close Code Number
 * Registry) it is 5 to 30 seconds at least. `random` is any 64 bits, new each time. Pure.
 */
WEFT_API int64_t weft_retry_ms(const weft_retry *policy, uint32_t attempt, const weft_retry_end *end, uint64_t random);

#ifdef __cplusplus
}
#endif

#endif
