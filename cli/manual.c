/*
 * Man pages: the help, in the words of roff.
 */
#include "cli/manual.h"

#include "cli/exits.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

/* A hyphen would be set as a dash, and a dot at the start of a line is a request. */
static void put(const char *text) {
    bool begins = true;
    for (; *text; text++) {
        if (begins && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
        begins = *text == '\n';
    }
}

static void put_block(const char *title, const char *text) {
    printf(".SH %s\n.nf\n", title);
    put(text);
    printf(".fi\n");
}

static void put_option(const cli_option *o) {
    printf(".TP\n");
    if (o->letter)
        printf("\\fB\\-%c\\fR, ", o->letter);
    if (o->also)
        printf("\\fB\\-%c\\fR, ", o->also);
    printf("\\fB\\-\\-");
    put(o->name);
    printf("\\fR");
    if (o->argument && !o->bare)
        printf(" ");
    if (o->argument) {
        printf("\\fI");
        put(o->argument);
        printf("\\fR");
    }
    printf("\n");
    put(o->help);
    for (size_t i = 0; o->choices && o->choices[i]; i++) {
        printf("%s", i ? ", " : ": ");
        put(o->choices[i]);
    }
    if (o->standard) {
        printf(" [");
        put(o->standard);
        printf("]");
    }
    printf("\n");
}

static void head(const char *name, const char *summary) {
    printf(".TH WEFT");
    if (name[0])
        putchar('\\'), putchar('-');
    for (const char *c = name; *c; c++)
        putchar(toupper((unsigned char)*c));
    printf(" 1 \"\" \"weft " WEFT_VERSION "\"\n.SH NAME\nweft%s%s \\- ", name[0] ? "\\-" : "", name);
    put(summary);
    printf("\n.SH SYNOPSIS\n");
}

static void man_of_program(const cli_command *const *commands) {
    head("", "WebSocket: serve, talk, measure");
    printf(".B weft\n.I SUBCOMMAND\n[\\fIOPTION\\fR...]\n.SH SUBCOMMANDS\n");
    for (; *commands; commands++) {
        printf(".TP\n\\fB%s\\fR\n", (*commands)->name);
        put((*commands)->summary);
        printf("; see\n.BR weft\\-%s (1).\n", (*commands)->name);
    }
}

void cli_man(const cli_command *command, const cli_command *const *commands) {
    if (!command) {
        man_of_program(commands);
        return;
    }
    head(command->name, command->summary);
    printf(".B weft %s\n[\\fIOPTION\\fR...]", command->name);
    if (command->operand)
        printf(" \\fI%s\\fR", command->operand);
    printf("\n");
    put_block("EXAMPLES", command->examples);
    printf(".SH OPTIONS\n");
    for (size_t i = 0; i < command->option_count; i++)
        put_option(&command->options[i]);
    put_block("NOTES", command->notes);
    int code;
    if (command->leaves_as_client)
        printf(".SH EXIT STATUS\n");
    for (size_t i = 0; command->leaves_as_client && cli_exit_text(i, &code); i++) {
        const char *text = cli_exit_text(i, &code);
        printf(".TP\n%d\n", code);
        put(text);
        printf("\n");
    }
    printf(".SH SEE ALSO\n.BR weft (1)\n");
}
