/*
 * shared.h - options that several subcommands have, and what they mean. Each macro is rows of a table of options.
 */
#ifndef CLI_SHARED_H
#define CLI_SHARED_H

#include "cli/options.h"

#include <weft/tls.h>

/* `at`: offset of a weft_tls_client. */
#define CLI_TLS_OPTIONS(at)                                                                                            \
    {"insecure",      'k', CLI_FLAG, (at) + offsetof(weft_tls_client, insecure), NULL, "wss: take any certificate",    \
     .standard = NULL},                                                                                                \
        {"cacert",    0,                                                                                               \
         CLI_TEXT,    (at) + offsetof(weft_tls_client, ca_file),                                                       \
         "FILE",      "wss: trust these authorities (PEM) in place of the system's",                                   \
         .rare = true},                                                                                                \
        {"cert",      0,                                                                                               \
         CLI_TEXT,    (at) + offsetof(weft_tls_client, cert_file),                                                     \
         "FILE",      "wss: our own certificate (PEM), with its chain",                                                \
         .rare = true},                                                                                                \
    {                                                                                                                  \
        "key", 0, CLI_TEXT, (at) + offsetof(weft_tls_client, key_file), "FILE", "wss: its key [in --cert]",            \
            .rare = true                                                                                               \
    }

/* What the environment says of it: SSLKEYLOGFILE. */
void cli_tls_environment(weft_tls_client *tls);

/* `at`: offset of an int, a cli_color. */
#define CLI_COLOR_OPTION(at)                                                                                           \
    { "color", 0, CLI_CHOICE, (at), "WHEN", "colors", .standard = "auto", .choices = cli_color_choices, .rare = true }

typedef enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER } cli_color;

extern const char *const cli_color_choices[];

/* Whether to color what is written to a descriptor: AUTO is on a terminal, unless NO_COLOR or TERM=dumb. */
bool cli_colors(int color, int descriptor);

#endif
