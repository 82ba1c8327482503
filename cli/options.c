#include "cli/options.h"

#include "app/ini_file.h"
#include "cli/exits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static bool parse_u64(const char *text, const char **out_rest, uint64_t *out) {
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    *out_rest = end;
    return errno == 0;
}

/* Multiplies by the unit that stands behind the number. */
static bool scaled(const char *text, const char *const *units, const uint64_t *factors, uint64_t *out) {
    const char *rest;
    uint64_t value;
    if (!parse_u64(text, &rest, &value))
        return false;
    for (size_t i = 0; units[i]; i++) {
        if (strcmp(rest, units[i]) == 0) {
            *out = value * factors[i];
            return value == 0 || *out / value == factors[i];
        }
    }
    return false;
}

static bool parse_size(const char *text, uint64_t *out) {
    static const char *const units[] = {"", "k", "K", "M", "G", NULL};
    static const uint64_t factors[] = {1, 1024, 1024, 1024 * 1024, 1024 * 1024 * 1024};
    return scaled(text, units, factors, out);
}

static bool parse_duration(const char *text, uint64_t *out) {
    static const char *const units[] = {"", "s", "ms", "m", "h", NULL};
    static const uint64_t factors[] = {1000, 1000, 1, 60000, 3600000};
    return scaled(text, units, factors, out);
}

static const char *set_number(const cli_option *option, const char *text, uint32_t *out) {
    uint64_t value;
    const char *rest;
    uint32_t max = option->max ? option->max : UINT32_MAX - 1;
    if (option->never && (strcmp(text, "never") == 0 || strcmp(text, "0") == 0)) {
        *out = UINT32_MAX;
        return NULL;
    }
    if (option->kind == CLI_SIZE       ? !parse_size(text, &value)
        : option->kind == CLI_DURATION ? !parse_duration(text, &value)
                                       : !parse_u64(text, &rest, &value) || *rest)
        return option->kind == CLI_SIZE       ? "takes a size like 64k or 1M"
               : option->kind == CLI_DURATION ? "takes a time like 250ms, 25s or 2m"
                                              : "takes a number";
    if (value < option->min || value > max)
        return "is out of range";
    *out = (uint32_t)value;
    return NULL;
}

static const char *set_choice(const cli_option *option, const char *text, int *out) {
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(text, option->choices[i]) == 0) {
            *out = i;
            return NULL;
        }
    }
    return "is none of its choices";
}

static const char *set_bool(const char *text, bool *out) {
    *out = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "on") == 0 || strcmp(text, "1") == 0;
    bool no =
        strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "off") == 0 || strcmp(text, "0") == 0;
    return *out || no ? NULL : "takes true or false";
}

/* NULL, or what is wrong with the value. */
static const char *set(const cli_option *option, const char *text, void *target) {
    void *at = (char *)target + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        return set_bool(text, at);
    case CLI_COUNT:
    case CLI_MINUS: {
        bool on;
        const char *problem = set_bool(text, &on);
        if (!problem && on)
            *(int *)at = option->kind == CLI_MINUS ? -1 : *(int *)at + 1;
        return problem;
    }
    case CLI_TEXT:
        *(const char **)at = text;
        return NULL;
    case CLI_LIST: {
        cli_list *list = at;
        if (list->count == CLI_LIST_MAX)
            return "is given too often";
        list->items[list->count++] = text;
        return NULL;
    }
    case CLI_CHOICE:
        return set_choice(option, text, at);
    default:
        return set_number(option, text, at);
    }
}

static bool takes_value(const cli_option *option) {
    return option->kind != CLI_FLAG && option->kind != CLI_COUNT && option->kind != CLI_MINUS;
}

/* ---- misspellings ---- */

/* Edit distance with swaps of neighbours, for words up to 31 letters. */
static unsigned distance(const char *a, const char *b) {
    enum { MOST = 32 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MOST || m >= MOST)
        return MOST;
    unsigned d[MOST][MOST];
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *cli_nearest(const char *word, const char *const *names) {
    const char *best = NULL;
    unsigned nearest = 1 + (unsigned)strlen(word) / 3;
    for (size_t i = 0; names[i]; i++) {
        unsigned far = distance(word, names[i]);
        if (far <= nearest && (!best || far < nearest)) {
            nearest = far;
            best = names[i];
        }
    }
    return best;
}

/* ---- parsing ---- */

typedef struct parse {
    const cli_command *command;
    void *target;
    bool *given;      /* per option: by a flag */
    const char *file; /* the config file, while it is read */
    char problem[256];
} parse;

static int wrong(parse *p, const char *name, const char *what) {
    if (p->problem[0] == '\0')
        snprintf(p->problem, sizeof p->problem, "%s%.100s %s", p->file ? "" : "--", name, what);
    return -1;
}

static const cli_option *by_name(const cli_command *command, const char *name, size_t len) {
    for (size_t i = 0; i < command->option_count; i++)
        if (strlen(command->options[i].name) == len && memcmp(command->options[i].name, name, len) == 0)
            return &command->options[i];
    return NULL;
}

static const cli_option *by_letter(const cli_command *command, char letter) {
    for (size_t i = 0; i < command->option_count; i++)
        if (letter && (command->options[i].letter == letter || command->options[i].also == letter))
            return &command->options[i];
    return NULL;
}

static int unknown(parse *p, const char *name) {
    const char *names[64] = {NULL};
    for (size_t i = 0; i < p->command->option_count && i < 63; i++)
        names[i] = p->command->options[i].name;
    const char *near = cli_nearest(name, names);
    for (size_t i = 0; i < p->command->option_count; i++)
        if (p->command->options[i].elsewhere && strcmp(p->command->options[i].elsewhere, name) == 0)
            near = p->command->options[i].name;
    char what[128];
    snprintf(what, sizeof what, near ? "is not an option; did you mean %s%s?" : "is not an option", p->file ? "" : "--",
             near ? near : "");
    return wrong(p, name, what);
}

/* Values of a file live as long as the process. */
static const char *keep(const char *text) {
    typedef struct kept {
        struct kept *next;
        char text[];
    } kept;
    static kept *all;
    kept *k = malloc(sizeof *k + strlen(text) + 1);
    if (!k)
        return NULL;
    strcpy(k->text, text);
    k->next = all;
    all = k;
    return k->text;
}

/* A file's values count only where no flag was given. */
static int on_ini(void *context, const char *section, const char *name, const char *value) {
    parse *p = context;
    const char *foreign = p->command->foreign;
    if (foreign && strncmp(section, foreign, strlen(foreign)) == 0)
        return 1;
    if (section[0] != '\0' && strcmp(section, p->command->name) != 0)
        return wrong(p, section, "is no section") == 0;
    const cli_option *option = by_name(p->command, name, strlen(name));
    if (!option || option->no_file)
        return unknown(p, name) == 0;
    if (p->given[option - p->command->options])
        return 1;
    const char *kept = keep(value);
    const char *problem = kept ? set(option, kept, p->target) : "does not fit into memory";
    return problem ? wrong(p, name, problem) == 0 : 1;
}

static int read_file(parse *p, const char *path) {
    p->file = path;
    FILE *file = fopen(path, "r");
    const char *form;
    int got = file ? app_ini_parse(file, on_ini, p, &form) : -1;
    int saved = errno;
    if (file)
        fclose(file);
    p->file = NULL;
    if (got == 0)
        return 0;
    if (got < 0)
        fprintf(stderr, "weft: cannot read %s: %s\n", path, strerror(saved));
    else
        fprintf(stderr, "weft: %s, line %d: %s\n", path, got, p->problem[0] ? p->problem : form);
    return -1;
}

/* One flag, with its value if it takes one. Returns how many arguments it used, or -1. */
static int parse_flag(parse *p, const cli_option *option, const char *name, const char *value, const char *next) {
    int used = 1;
    if (!takes_value(option)) {
        if (value)
            return wrong(p, name, "takes no value");
        value = "true";
    } else if (!value && option->bare) {
        value = option->bare;
    } else if (!value) {
        if (!next)
            return wrong(p, name, "needs a value");
        value = next;
        used = 2;
    }
    p->given[option - p->command->options] = true;
    const char *problem = set(option, value, p->target);
    return problem ? wrong(p, name, problem) : used;
}

static int parse_argument(parse *p, char **argv, int left) {
    const char *arg = argv[0], *next = left > 1 ? argv[1] : NULL;
    if (arg[0] == '-' && arg[1] == '-' && arg[2]) {
        size_t len = strcspn(arg + 2, "=");
        const cli_option *option = by_name(p->command, arg + 2, len);
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)len, arg + 2);
        return option ? parse_flag(p, option, name, arg[2 + len] ? arg + 3 + len : NULL, next) : unknown(p, name);
    }
    if (arg[0] == '-' && arg[1] && arg[1] != '-') {
        const cli_option *option = by_letter(p->command, arg[1]);
        if (!option)
            return unknown(p, arg + 1);
        if (!takes_value(option) && arg[2]) { /* -vv */
            parse_flag(p, option, option->name, NULL, NULL);
            memmove(argv[0] + 1, argv[0] + 2, strlen(argv[0] + 2) + 1);
            return 0;
        }
        return parse_flag(p, option, option->name, arg[2] ? arg + 2 : NULL, next);
    }
    cli_list *operands = p->command->operand ? (void *)((char *)p->target + p->command->operands) : NULL;
    if (operands && operands->count < CLI_LIST_MAX) {
        operands->items[operands->count++] = arg;
        return 1;
    }
    snprintf(p->problem, sizeof p->problem, "%.100s is not expected here", arg);
    return -1;
}

static int defaults(parse *p, bool lists) {
    for (size_t i = 0; i < p->command->option_count; i++) {
        const cli_option *option = &p->command->options[i];
        cli_list *list = option->kind == CLI_LIST ? (void *)((char *)p->target + option->offset) : NULL;
        if (option->standard && (list != NULL) == lists && (!list || list->count == 0) &&
            set(option, option->standard, p->target))
            return -1;
    }
    return 0;
}

int cli_parse(const cli_command *command, int argc, char **argv, void *target) {
    parse p = {.command = command, .target = target, .given = calloc(command->option_count, sizeof(bool))};
    const cli_option *config = by_name(command, "config", strlen("config"));
    int at = 0, got = p.given ? defaults(&p, false) : -1;
    while (got >= 0 && at < argc) {
        if (strcmp(argv[at], "-h") == 0 || strcmp(argv[at], "--help") == 0) {
            cli_help(command, argv[at][1] == '-');
            free(p.given);
            return 1;
        }
        got = parse_argument(&p, argv + at, argc - at);
        at += got;
    }
    if (got < 0)
        fprintf(stderr, "weft: %s (weft %s --help)\n", p.problem, command->name);
    const char *path = config ? *(const char **)((char *)target + config->offset) : NULL;
    if (got >= 0 && path)
        got = read_file(&p, path);
    if (got >= 0)
        got = defaults(&p, true);
    free(p.given);
    return got < 0 ? -1 : 0;
}

/* ---- help ---- */

static void print_option(const cli_option *option) {
    char left[64];
    snprintf(left, sizeof left, "%c%c%s --%s%s%s", option->letter ? '-' : ' ', option->letter ? option->letter : ' ',
             option->letter ? "," : " ", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    printf("  %-30s %s", left, option->help);
    if (option->choices) {
        printf(": ");
        for (size_t i = 0; option->choices[i]; i++)
            printf("%s%s", i ? ", " : "", option->choices[i]);
    }
    if (option->standard)
        printf(" [%s]", option->standard);
    printf("\n");
}

int cli_usage(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("weft: ", stderr);
    vfprintf(stderr, format, args);
    fprintf(stderr, " (weft %s --help)\n", command->name);
    va_end(args);
    return CLI_EXIT_USAGE;
}

void cli_help(const cli_command *command, bool everything) {
    printf("weft %s - %s\n\n%s\n", command->name, command->summary, command->examples);
    for (size_t i = 0; i < command->option_count; i++)
        if (everything || !command->options[i].rare)
            print_option(&command->options[i]);
    printf("  %-30s %s\n", "-h, --help", "this; --help says more");
    if (!everything)
        return;
    printf("\n%s", command->notes);
    int code;
    if (command->leaves_as_client)
        printf("Exit:\n");
    for (size_t i = 0; command->leaves_as_client && cli_exit_text(i, &code); i++)
        printf("  %-4d %s\n", code, cli_exit_text(i, &code));
}

void cli_print_config(const cli_command *command) {
    printf("# A config file for weft %s. What begins with # is a comment: take it away from what you change.\n"
           "# Whether the file is good: weft %s --config FILE --check\n\n[%s]",
           command->name, command->name, command->name);
    for (size_t i = 0; i < command->option_count; i++) {
        const cli_option *option = &command->options[i];
        if (option->no_file)
            continue;
        printf("\n# %s", option->help);
        for (size_t k = 0; option->choices && option->choices[k]; k++)
            printf("%s%s", k ? ", " : ": ", option->choices[k]);
        printf("\n#%s = %s\n", option->name,
               option->standard       ? option->standard
               : !takes_value(option) ? "false"
               : option->argument     ? option->argument
                                      : "");
    }
}
