/*
 * exits.h - the numbers the program leaves with, the same in all subcommands, and what they mean.
 */
#ifndef CLI_EXITS_H
#define CLI_EXITS_H

#include <weft/client.h>

typedef enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1,
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_DNS = 6,
    CLI_EXIT_CONNECT = 7,
    CLI_EXIT_HTTP = 22,
    CLI_EXIT_TIMEOUT = 28,
    CLI_EXIT_TLS = 35,
    CLI_EXIT_CERTIFICATE = 60,
    CLI_EXIT_ABNORMAL = 64,
    CLI_EXIT_PROTOCOL = 65,
    CLI_EXIT_CLOSED_1XXX = 66,
    CLI_EXIT_CLOSED_OTHER = 67,
    CLI_EXIT_INVALID = 70,
    CLI_EXIT_SIGNAL = 128 /* and the signal's number */
} cli_exit;

int cli_exit_of_dial(const weft_dial_failure *failure);

/* 0: it ended as it should. */
int cli_exit_of_close(const weft_close_info *info);

/* What the numbers of a client mean, for help: row `i` of them; NULL behind the last. */
const char *cli_exit_text(size_t i, int *out_code);

#endif
