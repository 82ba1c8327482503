/*
 * ini_file.h - a config file, line by line. inih takes what it has no room for as a line of its own; here such a line
 * is one that is wrong.
 */
#ifndef APP_INI_FILE_H
#define APP_INI_FILE_H

#include <ini.h>
#include <stdio.h>

/* As ini_parse_file, which it is but for that: 0, the number of the first line that is wrong, or negative. *out_form
 * says what is wrong with its form, if on_line has not refused it. */
int app_ini_parse(FILE *file, ini_handler on_line, void *context, const char **out_form);

#endif
