/*
 * manual.h - what else is made of the option tables: man pages, and completions for shells. So they cannot drift from
 * what the program does.
 */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "cli/options.h"

/* On stdout, for man(7): one subcommand's page; NULL: the program's. The list ends in NULL. */
void cli_man(const cli_command *command, const cli_command *const *commands);

/* On stdout, for "bash", "zsh" or "fish". False: it is another shell. */
bool cli_completion(const char *shell, const cli_command *const *commands);

#endif
