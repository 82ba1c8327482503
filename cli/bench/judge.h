/*
 * judge.h - what a finished run is worth: whether the client was its limit, which rules it broke, and the exit code.
 */
#ifndef CLI_BENCH_JUDGE_H
#define CLI_BENCH_JUDGE_H

#include "cli/bench/config.h"

/* Fills invalid, failed and exit_code of the report. `failure_code` is the exit code of the first connection that
 * failed or closed early; 0: none did. */
void bench_judge(bench_report *r, const bench_config *c, int failure_code);

#endif
