/*
 * settings.h - the options of weft bench.
 */
#ifndef CLI_BENCH_SETTINGS_H
#define CLI_BENCH_SETTINGS_H

#include "cli/bench/config.h"
#include "cli/bench/outputs.h"

/* 0: go on. -1: help was printed. Positive: the exit code, and what is wrong was told. */
int bench_settings_read(int argc, char **argv, bench_config *c, bench_outputs *outputs);

/* One line on stderr. Returns the exit code. */

#endif
