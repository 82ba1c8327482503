/*
 * line.h - a line being typed on a terminal, with editing and history (libedit); what the peer says appears above it.
 *
 * Only one at a time: libedit is one. Without libedit nothing is edited, and all of this does nothing.
 */
#ifndef CLI_CONNECT_LINE_H
#define CLI_CONNECT_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Takes the terminal, if stdin and stdout are one. Whole lines are given to `take`, without their end; NULL: Ctrl-D.
 * False: there is no editing here. */
bool line_begin(void (*take)(const char *line, void *user), void *user);
void line_end(void); /* gives the terminal back as it was. Not begun: nothing happens */

void line_read(void); /* something was typed */

/* Around everything that is printed. */
void line_hide(void);
void line_show(void);

void line_resized(void);
void line_suspend(void); /* Ctrl-Z: stops the program, the terminal as it was; returns when it goes on */

/* From a signal handler that is about to leave. */
void line_restore_terminal(void);

#endif
