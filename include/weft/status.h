/*
 * weft/status.h - results, close codes, version.
 */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

#if defined(__GNUC__)
#define WEFT_API __attribute__((visibility("default")))
#else
#define WEFT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_VERSION "0.1.0"

typedef struct weft_server weft_server;

/* Zero: done. Positive: normal, the caller branches. Negative: not done, and will not be. */
typedef enum weft_status {
    WEFT_OK = 0,      /* done; for a send: queued, it leaves with the next flush, in this turn of the loop */
    WEFT_FULL = 2,    /* the queue budget is reached and nothing was queued; `drained` tells when there is room */
    WEFT_TIMEOUT = 3, /* not in time (weft/blocking.h) */

    WEFT_ENOMEM = -2,  /* out of memory; nothing changed */
    WEFT_EINVAL = -3,  /* a wrong argument, or a call out of order */
    WEFT_ECLOSED = -4, /* the connection is closing, or the request is answered already */
    WEFT_ESTALE = -5,  /* the handle's connection is gone */
    WEFT_ELIMIT = -6,  /* a configured limit is reached */
    WEFT_ESYS = -7     /* a system call failed: see errno */
} weft_status;

/* "queue full". Static, never NULL. */
WEFT_API const char *weft_status_text(int status);

/* The library's version at run time: "0.1.0". */
WEFT_API const char *weft_version(void);

/* Close codes, RFC 6455 7.4.1 and the IANA registry. 1005, 1006 and 1015 never travel: they are what is
 * reported when no code came, or no close frame at all. */
enum {
    WEFT_CLOSE_NORMAL = 1000,
    WEFT_CLOSE_GOING_AWAY = 1001,
    WEFT_CLOSE_PROTOCOL_ERROR = 1002,
    WEFT_CLOSE_UNSUPPORTED = 1003,
    WEFT_CLOSE_NO_STATUS = 1005,
    WEFT_CLOSE_ABNORMAL = 1006,
    WEFT_CLOSE_INVALID_DATA = 1007,
    WEFT_CLOSE_POLICY = 1008,
    WEFT_CLOSE_TOO_BIG = 1009,
    WEFT_CLOSE_EXTENSION = 1010,
    WEFT_CLOSE_INTERNAL = 1011,
    WEFT_CLOSE_RESTART = 1012,
    WEFT_CLOSE_TRY_LATER = 1013
};

#ifdef __cplusplus
}
#endif

#endif
