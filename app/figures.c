#include "app/figures.h"

#include <inttypes.h>
#include <string.h>

static bool only_grows(const char *name) {
    static const char end[] = "_total";
    size_t len = strlen(name);
    return len >= sizeof end - 1 && strcmp(name + len - (sizeof end - 1), end) == 0;
}

void app_figure(app_text *page, const char *name, const char *help) {
    app_text_print(page, "# HELP weft_%s %s\n# TYPE weft_%s %s\n", name, help, name,
                   only_grows(name) ? "counter" : "gauge");
}

void app_figure_value(app_text *page, const char *name, const char *labels, uint64_t value) {
    app_text_print(page, "weft_%s%s", name, labels[0] ? "{" : "");
    app_text_add(page, labels, strlen(labels)); /* which may be long */
    app_text_print(page, "%s %" PRIu64 "\n", labels[0] ? "}" : "", value);
}

void app_figure_one(app_text *page, const char *name, const char *help, uint64_t value) {
    app_figure(page, name, help);
    app_figure_value(page, name, "", value);
}

void app_figure_seconds(app_text *page, const char *name, const char *help, uint64_t ns) {
    app_figure(page, name, help);
    app_text_print(page, "weft_%s %.6f\n", name, (double)ns / 1e9);
}

void app_label(app_text *labels, const char *name, const char *value) {
    bool utf8 = weft_utf8_valid(value, strlen(value));
    app_text_print(labels, "%s%s=\"", labels->len > 0 ? "," : "", name);
    for (const char *c = value; *c; c++) {
        if (*c == '\\' || *c == '"')
            app_text_add(labels, "\\", 1);
        if (*c == '\n')
            app_text_add(labels, "\\n", 2);
        else
            app_text_add(labels, utf8 || (unsigned char)*c < 0x80 ? c : "?", 1);
    }
    app_text_add(labels, "\"", 1);
}
