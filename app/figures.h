/*
 * figures.h - figures in Prometheus' text format (version 0.0.4). All of one name stand together:
 *
 *     app_figure(page, "closes_total", "WebSockets ended, by close code.");
 *     app_figure_value(page, "closes_total", labels, 12);      // once for each set of labels
 *
 * Names are written without "weft_", which each gets. What only grows is called ..._total; all others are gauges.
 */
#ifndef APP_FIGURES_H
#define APP_FIGURES_H

#include "app/envelope.h"

void app_figure(app_text *page, const char *name, const char *help);

/* `labels` is what app_label made; "": none. */
void app_figure_value(app_text *page, const char *name, const char *labels, uint64_t value);

/* A figure without labels; and one that is a time. */
void app_figure_one(app_text *page, const char *name, const char *help, uint64_t value);
void app_figure_seconds(app_text *page, const char *name, const char *help, uint64_t ns);

/* Adds NAME="VALUE" to a list of labels. A value that is not UTF-8 is told byte by byte, each other one as a "?": a
 * whole page is worth nothing to its reader when one character is broken. */
void app_label(app_text *labels, const char *name, const char *value);

#endif
