/*
 * options.h - one table per subcommand says everything about its options: parsing, config file, both help
 * texts and the nearest match of a misspelled flag all read it, so they cannot drift apart.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum cli_kind {
    CLI_FLAG,     /* bool: present or not; in a file true/false */
    CLI_COUNT,    /* int: how often it was given; in a file a small number, or true/false */
    CLI_MINUS,    /* int: set to -1; in a file true/false */
    CLI_TEXT,     /* const char * */
    CLI_LIST,     /* cli_list: repeatable */
    CLI_NUMBER,   /* uint32_t */
    CLI_SIZE,     /* uint32_t bytes: 64k, 1M */
    CLI_DURATION, /* uint32_t milliseconds: 250ms, 25s, 2m; plain numbers are seconds; 0 or "never" is
                   * UINT32_MAX where the option's `never` is set */
    CLI_CHOICE    /* int: index into choices */
} cli_kind;

enum { CLI_LIST_MAX = 64 };

typedef struct cli_list {
    const char *items[CLI_LIST_MAX + 1]; /* NULL-terminated */
    size_t count;
} cli_list;

typedef struct cli_option {
    const char *name; /* "listen", without dashes; the same in the config file */
    char letter;      /* 0: none */
    cli_kind kind;
    size_t offset;              /* of the value in the subcommand's struct */
    const char *argument;       /* "ADDR"; NULL for flags */
    const char *help;           /* one line */
    const char *standard;       /* the default, as one would type it; NULL: none. Applied by the parser. */
    const char *const *choices; /* NULL-terminated, for CLI_CHOICE */
    uint32_t min, max;          /* for numbers; 0 max: UINT32_MAX - 1 */
    bool never;
    char also;             /* a second letter, as other programs call it; 0: none */
    bool rare;             /* only --help tells of it */
    bool no_file;          /* a config file does not know it */
    const char *elsewhere; /* what other programs call it: not taken, but understood; NULL: the same */
    const char *bare;      /* the value when none stands behind a "="; the next argument is none then */
} cli_option;

typedef struct cli_command {
    const char *name; /* "serve" */
    const char *summary;
    const char *examples; /* several lines */
    const cli_option *options;
    size_t option_count;
    const char *notes;     /* for --help */
    bool leaves_as_client; /* with the numbers of exits.h */
    const char *operand;   /* what stands without a dash, "URL"; NULL: nothing may */
    size_t operands;       /* offset of a cli_list for it */
    const char *foreign;   /* sections of a file that begin so are read by others; NULL: none */
} cli_command;

/* Fills `target` with the defaults, then from argv (without the program and subcommand names). "--config
 * FILE" is read where it stands; flags win over the file wherever they stand. 0: go on. 1: help was printed.
 * -1: a usage error, told in one line on stderr. Strings point into argv or are kept for the life of the
 * process. */
int cli_parse(const cli_command *command, int argc, char **argv, void *target);

/* A usage error that only the subcommand can see: one line on stderr. Returns the exit code. */
int cli_usage(const cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

void cli_help(const cli_command *command, bool everything);

/* A config file on stdout: every option with what it is, commented out, with its default or what it takes. */
void cli_print_config(const cli_command *command);

/* The nearest of the names to a misspelled word, or NULL when none is near. `names` ends in NULL. */
const char *cli_nearest(const char *word, const char *const *names);

#endif
