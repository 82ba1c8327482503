/*
 * Completions. Each shell has its own words for the same: subcommands first, then the options of the one that was
 * typed, and behind an option its choices, or files.
 */
#include "cli/manual.h"

#include <stdio.h>
#include <string.h>

static bool takes_file(const cli_option *o) {
    return o->argument && (strcmp(o->argument, "FILE") == 0 || strcmp(o->argument, "DIR") == 0);
}

/* In single quotes of any of the three. */
static void quoted(const char *text) {
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
    putchar('\'');
}

static void names(const cli_command *const *commands) {
    for (; *commands; commands++)
        printf("%s ", (*commands)->name);
    printf("help version");
}

/* ---- bash ---- */

static void bash_values(const cli_command *c) {
    printf("        case $previous in\n");
    for (size_t i = 0; i < c->option_count; i++) {
        const cli_option *o = &c->options[i];
        if (!o->choices && !takes_file(o))
            continue;
        printf("        --%s", o->name);
        if (o->letter)
            printf(" | -%c", o->letter);
        printf(") COMPREPLY=($(compgen ");
        if (o->choices) {
            printf("-W '");
            for (size_t k = 0; o->choices[k]; k++)
                printf("%s ", o->choices[k]);
            printf("'");
        } else {
            printf("-f");
        }
        printf(" -- \"$word\")); return ;;\n");
    }
    printf("        esac\n");
}

static void bash(const cli_command *const *commands) {
    printf("_weft() {\n    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} options=\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '");
    names(commands);
    printf("' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (const cli_command *const *at = commands; *at; at++) {
        printf("    %s)\n", (*at)->name);
        bash_values(*at);
        printf("        options='");
        for (size_t i = 0; i < (*at)->option_count; i++)
            printf("--%s ", (*at)->options[i].name);
        printf("--help' ;;\n");
    }
    printf("    help) options='");
    names(commands);
    printf("' ;;\n    esac\n    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\ncomplete -F _weft weft\n");
}

/* ---- zsh ---- */

/* Brackets and colons part the fields of a specification. */
static void zsh_text(const char *text) {
    for (; *text; text++) {
        if (strchr("[]:\\", *text))
            putchar('\\');
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
}

static void zsh_option(const cli_option *o) {
    printf("            ");
    if (o->letter)
        printf("'*'{-%c,--%s%s}", o->letter, o->name, o->argument ? (o->bare ? "=-" : "=") : "");
    else
        printf("'*--%s%s'", o->name, o->argument ? (o->bare ? "=-" : "=") : "");
    printf("'[");
    zsh_text(o->help);
    printf("]");
    if (o->argument) {
        printf(":");
        zsh_text(o->argument);
        printf(":");
        for (size_t i = 0; o->choices && o->choices[i]; i++)
            printf("%s%s", i ? " " : "(", o->choices[i]);
        printf("%s", o->choices ? ")" : takes_file(o) ? "_files" : "");
    }
    printf("' \\\n");
}

static void zsh(const cli_command *const *commands) {
    printf("#compdef weft\nif (( CURRENT == 2 )); then\n    _values subcommand ");
    for (const cli_command *const *at = commands; *at; at++) {
        printf("'%s[", (*at)->name);
        zsh_text((*at)->summary);
        printf("]' ");
    }
    printf("help version\nelse\n    case $words[2] in\n");
    for (const cli_command *const *at = commands; *at; at++) {
        printf("        %s)\n            shift words; (( CURRENT-- ))\n            _arguments \\\n", (*at)->name);
        for (size_t i = 0; i < (*at)->option_count; i++)
            zsh_option(&(*at)->options[i]);
        printf("            '--help[everything it can do]' '*:%s:' ;;\n", (*at)->operand ? (*at)->operand : "");
    }
    printf("    esac\nfi\n");
}

/* ---- fish ---- */

static void fish_option(const cli_command *c, const cli_option *o) {
    printf("complete -c weft -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    if (o->choices) {
        printf(" -x -a '");
        for (size_t i = 0; o->choices[i]; i++)
            printf("%s%s", i ? " " : "", o->choices[i]);
        printf("'");
    } else if (o->argument && !o->bare) {
        printf("%s", takes_file(o) ? " -r -F" : " -x");
    }
    printf(" -d ");
    quoted(o->help);
    printf("\n");
}

static void fish(const cli_command *const *commands) {
    printf("complete -c weft -f\n");
    for (const cli_command *const *at = commands; *at; at++) {
        printf("complete -c weft -n __fish_use_subcommand -a %s -d ", (*at)->name);
        quoted((*at)->summary);
        printf("\n");
        for (size_t i = 0; i < (*at)->option_count; i++)
            fish_option(*at, &(*at)->options[i]);
    }
}

bool cli_completion(const char *shell, const cli_command *const *commands) {
    if (strcmp(shell, "bash") == 0)
        bash(commands);
    else if (strcmp(shell, "zsh") == 0)
        zsh(commands);
    else if (strcmp(shell, "fish") == 0)
        fish(commands);
    else
        return false;
    return true;
}
