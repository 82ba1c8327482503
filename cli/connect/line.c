#include "cli/connect/line.h"

#if CLI_HAVE_LIBEDIT

#include <editline/readline.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

enum { HISTORY_LINES = 500 };

static const char prompt[] = "> ";

static struct {
    void (*take)(const char *line, void *user);
    void *user;
    struct termios before;
    volatile sig_atomic_t has_terminal;
    bool is_hidden;
    bool is_taken; /* a line came: another is to begin */
    bool is_fresh; /* nothing was typed on it: the prompt is ours */
} edit;

static void on_line(char *line) {
    if (line && line[0] != '\0')
        add_history(line);
    edit.is_taken = true;
    edit.take(line, edit.user);
    free(line);
}

static void put(const char *text) {
    ssize_t unused = write(STDOUT_FILENO, text, strlen(text));
    (void)unused;
}

/* How many rows the cursor is below the one with the prompt. Text is laid out as libedit does it: a wide character that
 * does not fit into the rest of a row begins the next one, and so does the cursor behind a full row. */
static unsigned rows_above(void) {
    struct winsize window;
    unsigned columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
    unsigned row = 0, column = sizeof prompt - 1;
    const char *at = rl_line_buffer, *end = at ? at + rl_point : at;
    mbstate_t state = {0};
    while (at < end) {
        wchar_t c;
        size_t used = mbrtowc(&c, at, (size_t)(end - at), &state);
        if (used == 0 || used > (size_t)(end - at)) { /* no character: it is left out */
            state = (mbstate_t) {0};
            at++;
            continue;
        }
        unsigned width = c == L'\t'            ? 8 - column % 8
                         : iswcntrl((wint_t)c) ? 2
                         : wcwidth(c) > 0      ? (unsigned)wcwidth(c)
                                               : 0;
        if (column + width > columns) {
            row++;
            column = 0;
        }
        column += width;
        at += used;
    }
    return row + column / columns;
}

/* Hidden, the cursor is where the prompt is to be. */
static void erase(void) {
    char up[32];
    unsigned rows = edit.is_hidden ? 0 : rows_above();
    snprintf(up, sizeof up, "\x1b[%uA", rows);
    if (rows > 0)
        put(up);
    put("\r\x1b[J");
}

/* Begins a line. libedit is back to whole lines behind each, and does not always show the prompt. */
static void arm(void) {
    rl_callback_handler_install(prompt, on_line);
    edit.is_taken = false;
    edit.is_hidden = edit.is_fresh = true;
    rl_point = rl_end = 0;
}

bool line_begin(void (*take)(const char *line, void *user), void *user) {
    const char *term = getenv("TERM");
    if (!term || term[0] == '\0' || strcmp(term, "dumb") == 0)
        return false;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &edit.before) < 0)
        return false;
    /* Messages are UTF-8, whatever is said of the language: without it libedit drops what is not ASCII. */
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    edit.take = take;
    edit.user = user;
    edit.has_terminal = 1;
    rl_catch_signals = 0; /* they are ours */
    rl_catch_sigwinch = 0;
    rl_readline_name = (char *)"weft";
    using_history();
    stifle_history(HISTORY_LINES);
    arm();
    return true;
}

void line_restore_terminal(void) {
    if (edit.has_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &edit.before);
}

void line_end(void) {
    if (!edit.has_terminal)
        return;
    erase();
    rl_callback_handler_remove();
    line_restore_terminal();
    edit.has_terminal = 0;
}

void line_read(void) {
    rl_point = rl_end = 0; /* libedit forgets to when the line becomes empty */
    rl_callback_read_char();
    bool was_fresh = edit.is_fresh;
    edit.is_fresh = false;
    if (was_fresh && !edit.is_taken) /* libedit may not know of the prompt */
        line_hide();
    if (edit.is_taken && edit.has_terminal)
        arm();
}

void line_hide(void) {
    if (edit.has_terminal && (!edit.is_hidden || edit.is_fresh)) /* libedit may have shown a prompt already */
        erase();
    edit.is_hidden = true;
}

void line_show(void) {
    if (edit.has_terminal && edit.is_hidden) {
        erase();
        if (edit.is_fresh)
            put(prompt);
        else
            rl_forced_update_display();
    }
    edit.is_hidden = false;
}

void line_resized(void) {
    if (edit.has_terminal)
        rl_resize_terminal();
}

void line_suspend(void) {
    bool had = edit.has_terminal;
    char *typed = had && rl_end > 0 ? strndup(rl_line_buffer, (size_t)rl_end) : NULL;
    line_end();
    raise(SIGSTOP);
    if (had && line_begin(edit.take, edit.user) && typed) {
        rl_insert_text(typed);
        edit.is_fresh = false;
    }
    free(typed);
}

#else

bool line_begin(void (*take)(const char *line, void *user), void *user) {
    (void)take, (void)user;
    return false;
}

void line_end(void) {}

void line_read(void) {}

void line_hide(void) {}

void line_show(void) {}

void line_resized(void) {}

void line_suspend(void) {}

void line_restore_terminal(void) {}

#endif
