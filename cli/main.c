/*
 * weft: finds the subcommand.
 */
#include "cli/commands.h"

#include "cli/exits.h"
#include "cli/manual.h"

#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

typedef struct entry {
    const cli_command *command;
    int (*run)(int argc, char **argv);
} entry;

static const entry entries[] = {
    {&cli_serve, cli_run_serve}, {&cli_connect, cli_run_connect}, {&cli_bench, cli_run_bench}};
static const char *const words[] = {"serve", "connect", "bench", "help", "version", NULL};

static void overview(FILE *out) {
    fprintf(out, "weft " WEFT_VERSION " - WebSocket, whole\n\n");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        fprintf(out, "  weft %-10s %s\n", entries[i].command->name, entries[i].command->summary);
    fprintf(out, "  weft %-10s %s\n  weft %-10s %s\n", "help", "what a subcommand can do: weft help serve", "version",
            "the version");
}

static const entry *find(const char *word) {
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strcmp(word, entries[i].command->name) == 0)
            return &entries[i];
    return NULL;
}

static int unknown(const char *word) {
    if (word[0] == '-') {
        fprintf(stderr, "weft: %s stands behind a subcommand, as in: weft serve %s ... (weft help)\n", word, word);
        return CLI_EXIT_USAGE;
    }
    const char *near = cli_nearest(word, words);
    fprintf(stderr, near ? "weft: %s is no subcommand; did you mean %s?\n" : "weft: %s is no subcommand (weft help)\n",
            word, near);
    return CLI_EXIT_USAGE;
}

/* What the table of options is made into, for packagers. */
static int made(int argc, char **argv) {
    const cli_command *commands[sizeof entries / sizeof entries[0] + 1] = {0};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        commands[i] = entries[i].command;
    const entry *about = argc > 1 ? find(argv[1]) : NULL;
    if (strcmp(argv[0], "--man") == 0 && argc > 1 && !about)
        return unknown(argv[1]);
    if (strcmp(argv[0], "--man") == 0)
        cli_man(about ? about->command : NULL, commands);
    else if (strcmp(argv[0], "--completion") != 0 || argc < 2 || !cli_completion(argv[1], commands))
        return fprintf(stderr, "weft: help takes a subcommand, --man [SUBCOMMAND] or --completion bash|zsh|fish\n"),
               CLI_EXIT_USAGE;
    return 0;
}

static int help(int argc, char **argv) {
    if (argc > 0 && argv[0][0] == '-')
        return made(argc, argv);
    const entry *about = argc > 0 ? find(argv[0]) : NULL;
    if (argc > 0 && !about)
        return unknown(argv[0]);
    if (about)
        cli_help(about->command, true);
    else
        overview(stdout);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        overview(stderr);
        return CLI_EXIT_USAGE;
    }
    const char *word = argv[1];
    const entry *found = find(word);
    if (found)
        return found->run(argc - 2, argv + 2);
    if (strcmp(word, "help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(word, "version") == 0 || strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("weft %s\n", weft_version());
        return 0;
    }
    return unknown(word);
}
