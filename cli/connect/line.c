#include "cli/connect/line.h"

#if CLI_HAVE_LIBEDIT

#include <editline/readline.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

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

static void erase(void) {
    put("\r\x1b[J");
}

/* Begins a line. libedit is back to whole lines behind each, and does not always show the prompt. */
static void arm(void) {
    rl_callback_handler_install(prompt, on_line);
    edit.is_taken = false;
    edit.is_hidden = edit.is_fresh = true;
}

bool line_begin(void (*take)(const char *line, void *user), void *user) {
    const char *term = getenv("TERM");
    if (!term || term[0] == '\0' || strcmp(term, "dumb") == 0)
        return false;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &edit.before) < 0)
        return false;
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
    rl_callback_read_char();
    edit.is_hidden = edit.is_hidden || edit.is_fresh; /* whatever libedit believes of the screen */
    edit.is_fresh = false;
    if (edit.is_taken && edit.has_terminal)
        arm();
}

void line_hide(void) {
    if (edit.has_terminal && !edit.is_hidden)
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
    char *typed = had ? strdup(rl_line_buffer) : NULL;
    line_end();
    raise(SIGSTOP);
    if (had && line_begin(edit.take, edit.user) && typed && typed[0] != '\0') {
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
