/*
 * judge.h - one run of a case against one endpoint, sans-I/O: says what to send, is told what came, and finds the
 * fault.
 */
#ifndef WF_TESTS_CONFORMANCE_JUDGE_H
#define WF_TESTS_CONFORMANCE_JUDGE_H

#include "frames.h"

typedef enum verdict { JUDGE_SENDS, JUDGE_WAITS, JUDGE_LISTENS, PASSED, FAILED, DECLINED } verdict;

typedef struct judge {
    const conf_case *c;
    size_t at; /* the step at hand */
    verdict verdict;
    bytes in, pongs, messages; /* what came, and what of it came before it was asked for */
    size_t in_at, pongs_at, messages_at;
    bool peer_ended, peer_reset;
    zip zip;
    uint32_t key;
    bytes message; /* the one that comes, as sent */
    unsigned message_kind;
    bool message_compressed;
    char why[240];
} judge;

/* The case must outlive it. */
void judge_init(judge *j, const conf_case *c);
void judge_free(judge *j);

/* What was agreed on, where no handshake says it. */
void judge_agree(judge *j, const agreement *agreed);

/* JUDGE_SENDS: take what to send, or pass over it; JUDGE_WAITS: something must come; JUDGE_LISTENS: nothing may, for
 * judge_silence_ms; the rest is final. */
void judge_take_output(judge *j, bytes *out);
void judge_skip_output(judge *j);
unsigned judge_silence_ms(const judge *j);

void judge_input(judge *j, const uint8_t *data, size_t len);
void judge_input_ended(judge *j, bool reset);
void judge_silence_kept(judge *j);
void judge_timed_out(judge *j);

/* The server has said its last and waits for us: some end a failed connection only then. */
bool judge_waits_for_end(const judge *j);

#endif
