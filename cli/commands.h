/*
 * commands.h - the subcommands. Each gets argv behind its own name and returns the exit code.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

extern const cli_command cli_serve;
int cli_run_serve(int argc, char **argv);

extern const cli_command cli_connect;
int cli_run_connect(int argc, char **argv);

extern const cli_command cli_bench;
int cli_run_bench(int argc, char **argv);

#endif
