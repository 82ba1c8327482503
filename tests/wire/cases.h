/*
 * cases.h - protocol cases as rows: what comes in, what must come out, and the clause that says so.
 *
 * Input is a list of frames and raw bytes, parted by spaces:
 *
 *     81:'Hello'          first byte 81 (FIN, text), then the shortest length, the mask if our role expects
 * one, the payload 82:'a'*126<ff00>    payloads are made of 'text' and <hex>, each perhaps repeated
 *     =82ff000000         bytes as they stand
 *
 * Output is a list of events, the last perhaps a fault:
 *
 *     T:'text' B:'binary' P:'ping' O:'pong' C1000:'close, reason' !1002
 */
#ifndef WF_TESTS_CASES_H
#define WF_TESTS_CASES_H

#include "ws/session.h"

typedef struct session_case {
    const char *name;
    wf_ws_role role; /* ours: a server reads masked frames */
    const char *in, *out;
    const char *rule;             /* the fault's rule, word for word; NULL: no fault */
    uint64_t message_bytes_max;   /* 0: 1 MiB */
    uint32_t empty_fragments_max; /* 0: 1,024 */
    bool takes_no_memory;         /* when it comes in one piece */
    bool no_takeover;             /* of the deflate cases: the peer keeps no context */
} session_case;

extern const session_case session_cases[], deflate_cases[];
extern const size_t session_case_count, deflate_case_count;

/* Bytes on the plain heap: what a row's words become. Fails the test when it cannot read them. */
typedef struct case_bytes {
    uint8_t *data;
    size_t len, cap;
} case_bytes;

void case_put(case_bytes *bytes, const void *data, size_t len);
void case_read_input(const session_case *row, case_bytes *out_bytes);
void case_read_output(const session_case *row, case_bytes *out_log);

/* The log that a row's output is compared with: one entry per event. */
void case_log_event(case_bytes *log, const wf_ws_event *event);
void case_log_fault(case_bytes *log, int close_code);

/* The log in words, for a failure's message; a static buffer. */
const char *case_log_words(const case_bytes *log);

#endif
