/*
 * frames.h - frames from an input, and what a receiver owes for them: a decoder written once more, straight from RFC
 * 6455, for which all bytes lie in one block.
 */
#ifndef WF_TESTS_FUZZ_FRAMES_H
#define WF_TESTS_FUZZ_FRAMES_H

#include "fuzz.h"
#include "ws/session.h"

/* The wire bytes that an input describes, as sent to `receiver`: frames, most of them in order. Uses up the input, or
 * stops after WIRE_BYTES_MAX. */
enum { FUZZ_WIRE_BYTES_MAX = 40000 };
void fuzz_put_frames(fuzz_bytes *wire, wf_ws_role receiver, fuzz_input *in);

/* One of these frames. */
void fuzz_put_frame(fuzz_bytes *wire, wf_ws_role receiver, fuzz_input *in);

/* One event of a session in a log: kind T B P O C. */
void fuzz_log_event(fuzz_bytes *log, const wf_ws_event *event);

/* The log a receiver owes, its last entry '!' with the close code when a rule is broken. */
void fuzz_model_frames(fuzz_bytes *log, wf_ws_role receiver, const wf_ws_limits *limits, const fuzz_bytes *wire);

/* The harness for either role. */
int fuzz_frames(wf_ws_role receiver, const uint8_t *data, size_t size);

#endif
